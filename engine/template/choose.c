/* choose.c - the filters that pick, change and order the items of lists.
 *
 * Sorting is a stable merge sort, so that its steps are bounded and its result is Python's.
 */
#include "template_private.h"

#include <string.h>

static bool given(struct value v)
{
    return v.kind != VALUE_UNDEFINED;
}

/* ---- attributes of items, as join, map and the like take them ---- */

/* One part of "a.b.0": an index when it is a number. */
static bool get_part(struct template_run *r, struct value of, struct value part, struct value *out)
{
    int64_t index = 0;
    bool number = part.text.size > 0 && part.text.size < 10;
    for (size_t i = 0; number && i < part.text.size; i++) {
        number = part.text.at[i] >= '0' && part.text.at[i] <= '9';
        index = index * 10 + (part.text.at[i] - '0');
    }
    return get_item(r, of, number ? value_integer(index) : part, out);
}

static bool get_path(struct template_run *r, struct value of, struct value path, struct value *out)
{
    *out = of;
    if (path.kind != VALUE_STRING)
        return get_item(r, of, path, out);
    for (size_t at = 0; at <= path.text.size;) {
        size_t end = find_bytes(value_span(path), span_of("."), at);
        end = end == SIZE_MAX ? path.text.size : end;
        if (!get_part(r, *out, value_part(path, at, end), out))
            return false;
        at = end + 1;
    }
    return true;
}

bool pick(struct template_run *r, struct value list, struct value path, struct value *out)
{
    struct value picked = value_list(r->arena, list.list->n), v;
    for (size_t i = 0; i < list.list->n; i++) {
        if (!get_path(r, list.list->items[i], path, &v))
            return false;
        value_append(r->arena, picked, v);
    }
    *out = picked;
    return run_step(r, 1);
}

/* ---- choosing and ordering ---- */

/* A filter or test that is named in an argument, applied to a value with the arguments from `first` on. */
static bool apply(struct template_run *r, const struct builtin *b, struct value v,
    const struct arguments *args, size_t first, struct value *out)
{
    struct arguments inner = {.n = 1};
    inner.at[0] = v;
    for (size_t i = first; i < args->n; i++)
        inner.at[inner.n++] = args->at[i];
    inner.n_named = args->n_named;
    memcpy(inner.names, args->names, sizeof(inner.names));
    memcpy(inner.named, args->named, sizeof(inner.named));
    return builtin_call(r, b, &inner, out);
}

/* A value that is empty, zero or none counts as a list without items. */
static bool iterate_truthy(struct template_run *r, struct value over, struct value *list)
{
    return iterate(r, truth(over) ? over : value_undefined, list);
}

/* select, reject, selectattr, rejectattr: the items that pass a test, or do not. */
static bool choose(
    struct template_run *r, const struct arguments *args, bool attribute, bool wanted, struct value *out)
{
    struct value list, kept = value_list(r->arena, 0), tested, result;
    const struct builtin *test = NULL;
    size_t first = attribute ? 2 : 1;
    if (args->n < first)
        return run_fail(r, "the filter needs the name of an attribute");
    if (!iterate_truthy(r, args->at[0], &list))
        return false;
    if (args->n > first) {
        test = args->at[first].kind == VALUE_STRING ? test_find(value_span(args->at[first])) : NULL;
        if (!test)
            return run_fail(r, "a test that is named in a filter is not known");
    }
    for (size_t i = 0; i < list.list->n; i++) {
        tested = list.list->items[i];
        if (attribute && !get_path(r, tested, args->at[1], &tested))
            return false;
        result = value_bool(truth(tested));
        if (test && !apply(r, test, tested, args, first + 1, &result))
            return false;
        if (truth(result) == wanted)
            value_append(r->arena, kept, list.list->items[i]);
    }
    *out = kept;
    return run_step(r, 1);
}

bool filter_select(struct template_run *r, const struct arguments *args, struct value *out)
{
    return choose(r, args, false, true, out);
}

bool filter_reject(struct template_run *r, const struct arguments *args, struct value *out)
{
    return choose(r, args, false, false, out);
}

bool filter_selectattr(struct template_run *r, const struct arguments *args, struct value *out)
{
    return choose(r, args, true, true, out);
}

bool filter_rejectattr(struct template_run *r, const struct arguments *args, struct value *out)
{
    return choose(r, args, true, false, out);
}

static bool map_attribute(
    struct template_run *r, const struct arguments *args, struct value list, struct value *out)
{
    struct value path = value_undefined, otherwise = value_undefined;
    for (size_t i = 0; i < args->n_named; i++)
        if (span_is(args->names[i], "attribute"))
            path = args->named[i];
        else if (span_is(args->names[i], "default"))
            otherwise = args->named[i];
        else
            return run_fail(r, "map takes 'attribute', 'default' or the name of a filter");
    if (!given(path) || !pick(r, list, path, out))
        return run_fail(r, "map needs 'attribute' or the name of a filter");
    for (size_t i = 0; i < (*out).list->n; i++)
        if (!given(out->list->items[i]))
            out->list->items[i] = given(otherwise) ? otherwise : out->list->items[i];
    return true;
}

bool filter_map(struct template_run *r, const struct arguments *args, struct value *out)
{
    struct value list, mapped = value_list(r->arena, 0), v;
    if (!iterate_truthy(r, args->at[0], &list))
        return false;
    if (args->n == 1)
        return map_attribute(r, args, list, out);
    const struct builtin *f = args->at[1].kind == VALUE_STRING ? filter_find(value_span(args->at[1])) : NULL;
    if (!f)
        return run_fail(r, "a filter that is named in map is not known");
    for (size_t i = 0; i < list.list->n; i++) {
        if (!apply(r, f, list.list->items[i], args, 2, &v))
            return false;
        value_append(r->arena, mapped, v);
    }
    *out = mapped;
    return run_step(r, 1);
}

/* The key by which an item is sorted: its attribute, in lower case unless case counts. */
static bool sort_key(
    struct template_run *r, struct value item, struct value path, bool case_counts, struct value *key)
{
    *key = item;
    if (given(path) && path.kind != VALUE_NULL && !get_path(r, item, path, key))
        return false;
    return case_counts || key->kind != VALUE_STRING || change_case(r, *key, CASE_LOWER, key);
}

/* Equal keys are not ordered: two undefined keys are equal and have no order. */
static bool order_keys(struct template_run *r, struct value a, struct value b, int *order)
{
    bool equal;
    if (!values_equal(r, a, b, &equal))
        return false;
    *order = 0;
    return equal || values_order(r, a, b, order);
}

/* A stable merge sort of n pairs (key, value) by key. `spare` has room for as many. */
static bool merge_sort(
    struct template_run *r, struct value_pair *pairs, struct value_pair *spare, size_t n, bool reverse)
{
    for (size_t width = 1; width < n; width *= 2) {
        for (size_t start = 0; start < n; start += 2 * width) {
            size_t middle = start + width < n ? start + width : n;
            size_t end = middle + width < n ? middle + width : n;
            size_t a = start, b = middle;
            for (size_t i = start; i < end; i++) {
                int order = 0;
                if (a < middle && b < end && !order_keys(r, pairs[b].key, pairs[a].key, &order))
                    return false;
                bool second = a == middle || (b < end && (reverse ? order > 0 : order < 0));
                spare[i] = pairs[second ? b++ : a++];
            }
        }
        memcpy(pairs, spare, n * sizeof(*pairs));
    }
    return true;
}

static bool sort_list(struct template_run *r, struct value list, struct value path, bool case_counts,
    bool reverse, struct value *out)
{
    size_t n = list.list->n;
    struct value_pair *pairs = value_alloc(r->arena, n * sizeof(*pairs));
    struct value_pair *spare = value_alloc(r->arena, n * sizeof(*pairs));
    struct value sorted = value_list(r->arena, n);
    if (!run_step(r, n))
        return false;
    for (size_t i = 0; i < n; i++) {
        pairs[i].value = list.list->items[i];
        if (!sort_key(r, pairs[i].value, path, case_counts, &pairs[i].key))
            return false;
    }
    if (!merge_sort(r, pairs, spare, n, reverse))
        return false;
    for (size_t i = 0; i < n; i++)
        value_append(r->arena, sorted, pairs[i].value);
    *out = sorted;
    return true;
}

bool filter_sort(struct template_run *r, const struct value *at, struct value *out)
{
    struct value list;
    if (at[3].kind == VALUE_STRING && find_bytes(value_span(at[3]), span_of(","), 0) != SIZE_MAX)
        return run_fail(r, "sorting by several attributes is not supported");
    return iterate(r, at[0], &list) && sort_list(r, list, at[3], truth(at[2]), truth(at[1]), out);
}

bool filter_dictsort(struct template_run *r, const struct value *at, struct value *out)
{
    struct value pairs;
    if (at[0].kind != VALUE_MAP)
        return run_fail(r, "dictsort is for a dict, not '%s'", kind_name(at[0]));
    bool by_value = value_is(at[2], "value");
    if (given(at[2]) && !by_value && !value_is(at[2], "key"))
        return run_fail(r, "dictsort sorts by 'key' or 'value'");
    return pairs_of(r, at[0], &pairs) &&
           sort_list(r, pairs, value_integer(by_value), truth(at[1]), truth(at[3]), out);
}

bool filter_unique(struct template_run *r, const struct value *at, struct value *out)
{
    struct value list, seen = value_list(r->arena, 0), kept = value_list(r->arena, 0), key;
    if (!iterate(r, at[0], &list))
        return false;
    for (size_t i = 0; i < list.list->n; i++) {
        bool known;
        if (!sort_key(r, list.list->items[i], at[2], truth(at[1]), &key) ||
            !values_contain(r, seen, key, &known))
            return false;
        if (known)
            continue;
        value_append(r->arena, seen, key);
        value_append(r->arena, kept, list.list->items[i]);
    }
    *out = kept;
    return run_step(r, 1);
}

static bool extreme(struct template_run *r, const struct value *at, bool largest, struct value *out)
{
    struct value list;
    if (!iterate(r, at[0], &list) || !sort_list(r, list, at[2], truth(at[1]), largest, &list))
        return false;
    *out = list.list->n > 0 ? list.list->items[0] : value_undefined;
    return true;
}

bool filter_min(struct template_run *r, const struct value *at, struct value *out)
{
    return extreme(r, at, false, out);
}

bool filter_max(struct template_run *r, const struct value *at, struct value *out)
{
    return extreme(r, at, true, out);
}
