/* order.c - the filters that order and group items.
 *
 * Sorting is a stable merge sort, so that its steps are bounded and its result is Python's.
 */
#include "template_private.h"

#include <string.h>

/* The key by which an item is sorted: its attribute, in lower case unless case counts. */
static bool sort_key(
    struct template_run *r, struct value item, struct value path, bool case_counts, struct value *key)
{
    if (!get_path(r, item, path, key))
        return false;
    return case_counts || key->kind != VALUE_STRING || change_case(r, key, CASE_LOWER, key);
}

/* The keys of an item by one attribute, or several with commas between, as a list: equal items need no order then. */
static bool sort_keys(
    struct template_run *r, struct value item, struct value path, bool case_counts, struct value *key)
{
    struct value keys = value_list(r->arena, 1), part;
    if (path.kind != VALUE_STRING) {
        if (!sort_key(r, item, path, case_counts, &part))
            return false;
        list_put(r, &keys, &part);
    }
    for (size_t at = 0, end = 0; path.kind == VALUE_STRING && at <= path.text.size; at = end + 1) {
        end = find_bytes(value_span(path), span_of(","), at);
        end = end == SIZE_MAX ? path.text.size : end;
        if (!sort_key(r, item, value_part(path, at, end), case_counts, &part))
            return false;
        list_put(r, &keys, &part);
    }
    if (!run_step(r, 1))
        return false;
    *key = keys;
    return true;
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
                if (a < middle && b < end && !values_order(r, &pairs[b].key, &pairs[a].key, &order))
                    return false;
                bool second = a == middle || (b < end && (reverse ? order > 0 : order < 0));
                spare[i] = pairs[second ? b++ : a++];
            }
        }
        memcpy(pairs, spare, n * sizeof(*pairs));
    }
    return true;
}

/* Sorts a list by the keys that are in `pairs` beside its items. */
static bool sort_pairs(
    struct template_run *r, struct value_pair *pairs, size_t n, bool reverse, struct value *out)
{
    struct value_pair *spare = value_alloc(r->arena, n * sizeof(*pairs));
    struct value sorted = value_list(r->arena, n);
    if (!run_step(r, n) || !merge_sort(r, pairs, spare, n, reverse))
        return false;
    for (size_t i = 0; i < n; i++)
        list_put(r, &sorted, &pairs[i].value);
    *out = sorted;
    return run_step(r, 1);
}

static bool sort_list(struct template_run *r, struct value list, struct value path,
    bool (*key)(
        struct template_run *r, struct value item, struct value path, bool case_counts, struct value *key),
    bool case_counts, bool reverse, struct value *out)
{
    size_t n = list.list->n;
    struct value_pair *pairs = value_alloc(r->arena, n * sizeof(*pairs));
    if (!run_step(r, n))
        return false;
    for (size_t i = 0; i < n; i++) {
        pairs[i].value = list.list->items[i];
        if (!key(r, pairs[i].value, path, case_counts, &pairs[i].key))
            return false;
    }
    return sort_pairs(r, pairs, n, reverse, out);
}

bool filter_sort(struct template_run *r, const struct value *at, struct value *out)
{
    struct value list;
    if (!whole(at[1]) && at[1].kind != VALUE_UNDEFINED)
        return run_fail(r, "sort is told by a boolean whether to reverse, not by '%s'", kind_name(&at[1]));
    return iterate(r, &at[0], &list) &&
           sort_list(r, list, path_of(at[3]), sort_keys, truth(&at[2]), truth(&at[1]), out);
}

bool filter_dictsort(struct template_run *r, const struct value *at, struct value *out)
{
    struct value pairs;
    bool by_value = value_is(at[2], "value");
    if (at[2].kind != VALUE_UNDEFINED && !by_value && !value_is(at[2], "key"))
        return run_fail(r, "dictsort sorts by 'key' or 'value'");
    if (at[0].kind != VALUE_MAP)
        return run_fail(r, "dictsort is for a dict, not '%s'", kind_name(&at[0]));
    if (!whole(at[3]) && at[3].kind != VALUE_UNDEFINED)
        return run_fail(
            r, "dictsort is told by a boolean whether to reverse, not by '%s'", kind_name(&at[3]));
    return pairs_of(r, at[0], &pairs) &&
           sort_list(r, pairs, value_integer(by_value), sort_key, truth(&at[1]), truth(&at[3]), out);
}

static bool next_unique(struct template_run *r, struct generator *g, struct value *out, bool *more)
{
    struct value key = value_undefined, *known = NULL;
    for (*more = true; *more;) {
        if (!iterator_next(r, &g->from, out, more))
            return false;
        if (!*more)
            return true;
        if (!sort_key(r, *out, g->with[0], g->wanted, &key) || !map_find(r, &g->with[1], &key, &known))
            return false;
        if (!known)
            return value_set_new(r->arena, g->with[1], key, value_null) || run_step(r, 1);
    }
    return true;
}

bool filter_unique(struct template_run *r, const struct value *at, struct value *out)
{
    struct generator *g = generator_new(r, next_unique, at[0], out);
    if (!g)
        return false;
    g->wanted = truth(&at[1]); /* case counts */
    g->with[0] = path_of(at[2]);
    g->with[1] = value_map(r->arena, 0);
    return run_step(r, 1);
}

static bool extreme(struct template_run *r, const struct value *at, bool largest, struct value *out)
{
    struct iterator it;
    struct value item, key, best = value_undefined;
    bool first = true;
    *out = value_undefined;
    if (!iterator_open(r, &at[0], &it))
        return false;
    for (bool more = true;; first = false) {
        int order = 1;
        if (!iterator_next(r, &it, &item, &more))
            return false;
        if (!more)
            return true;
        if (!sort_key(r, item, path_of(at[2]), truth(&at[1]), &key) ||
            (!first && !values_order(r, largest ? &key : &best, largest ? &best : &key, &order)))
            return false;
        /* A later item takes the place of an earlier one when it is beyond it. */
        if (first || order > 0) {
            best = key;
            *out = item;
        }
    }
}

bool filter_min(struct template_run *r, const struct value *at, struct value *out)
{
    return extreme(r, at, false, out);
}

bool filter_max(struct template_run *r, const struct value *at, struct value *out)
{
    return extreme(r, at, true, out);
}

static bool group_of(struct template_run *r, struct value key, struct value items, struct value *out)
{
    if (!pair_of(r, &key, &items, out))
        return false;
    out->list->group = true;
    return true;
}

/* Groups of items with equal keys, in the order of the keys. Where case does not count, a group has the key of its first
 * item. */
bool filter_groupby(struct template_run *r, const struct value *at, struct value *out)
{
    struct value list, sorted, groups = value_list(r->arena, 0), group;
    if (!iterate(r, &at[0], &list))
        return false;
    size_t n = list.list->n;
    struct value_pair *pairs = value_alloc(r->arena, n * sizeof(*pairs));
    if (!run_step(r, n))
        return false;
    for (size_t i = 0; i < n; i++) {
        struct value key;
        pairs[i].value = list.list->items[i];
        if (!get_path_or(r, pairs[i].value, at[1], at[2], &key) ||
            (!truth(&at[3]) && key.kind == VALUE_STRING && !change_case(r, &key, CASE_LOWER, &key)))
            return false;
        pairs[i].key = key;
    }
    if (!sort_pairs(r, pairs, n, false, &sorted))
        return false;
    for (size_t i = 0, next; i < n; i = next) {
        struct value items = value_list(r->arena, 0), key;
        bool equal = true;
        for (next = i; next < n && equal;) {
            if (!values_equal(r, &pairs[i].key, &pairs[next].key, &equal))
                return false;
            if (equal && !list_put(r, &items, &pairs[next++].value))
                return false;
        }
        if (!get_path_or(r, pairs[i].value, at[1], at[2], &key) || !group_of(r, key, items, &group) ||
            !list_put(r, &groups, &group))
            return false;
    }
    *out = groups;
    return run_step(r, 1);
}
