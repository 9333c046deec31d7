/* iterate.c - going over values: iterators, generators, ranges, and the views that a dict gives.
 *
 * An iterator is at one place of a list, string, dict, range, view or generator. A generator makes its items when they are
 * asked for and gives each of them once, as in Python, where most filters that pick or change items return one.
 */
#include "template_private.h"

#include <string.h>

#define RANGE_MAX 100000 /* numbers, as in Jinja's sandbox */

bool iterator_open(struct template_run *r, const struct value *over, struct iterator *it)
{
    *it = (struct iterator){.over = *over};
    switch (over->kind) {
    case VALUE_UNDEFINED:
    case VALUE_STRING:
    case VALUE_LIST:
    case VALUE_MAP:
        return true;
    case VALUE_OBJECT:
        if (is_object(*over, object_generator) || is_object(*over, object_range) ||
            is_object(*over, object_view) || is_object(*over, object_loop))
            return true;
        break;
    default:
        break;
    }
    return run_fail(r, "'%s' is not iterable", kind_name(over));
}

/* The next item of a generator. One inside another is a level of depth, because each calls the one that it goes over. */
static bool generator_next(struct template_run *r, struct generator *g, struct value *out, bool *more)
{
    *more = false;
    if (g->ended)
        return true;
    if (r->depth >= RUN_DEPTH)
        return run_fail(r, "more than %d nested levels of evaluation", RUN_DEPTH);
    r->depth++;
    bool good = (g->begun || iterator_open(r, &g->from.over, &g->from));
    g->begun = true;
    good = good && run_step(r, 1) && g->next(r, g, out, more);
    r->depth--;
    g->ended = !good || !*more;
    return good;
}

static bool view_item(struct template_run *r, const struct view *v, size_t at, struct value *out)
{
    const struct value_pair *pair = &v->map.map->pairs[at];
    if (v->what == VIEW_ITEMS)
        return pair_of(r, &pair->key, &pair->value, out);
    *out = v->what == VIEW_KEYS ? pair->key : pair->value;
    return true;
}

static size_t object_size(struct value v)
{
    if (is_object(v, object_range))
        return ((const struct range *)v.object.data)->n;
    return is_object(v, object_view) ? ((const struct view *)v.object.data)->map.map->n : 0;
}

static bool object_next(struct template_run *r, struct iterator *it, struct value *out, bool *more)
{
    if (is_object(it->over, object_generator))
        return generator_next(r, it->over.object.data, out, more);
    if (is_object(it->over, object_loop)) { /* goes on by itself: the item and the loop */
        struct loop *l = it->over.object.data;
        return loop_step(r, l, more) && (!*more || pair_of(r, &l->current, &it->over, out));
    }
    *more = it->at < object_size(it->over);
    if (!*more)
        return true;
    if (is_object(it->over, object_range))
        return range_item(it->over.object.data, (int64_t)it->at++, out);
    return view_item(r, it->over.object.data, it->at++, out);
}

bool iterator_next(struct template_run *r, struct iterator *it, struct value *out, bool *more)
{
    struct value over = it->over;
    *more = false;
    if (!run_step(r, 1))
        return false;
    if (over.kind == VALUE_OBJECT)
        return object_next(r, it, out, more);
    if (over.kind == VALUE_LIST && (*more = it->at < over.list->n))
        *out = over.list->items[it->at++];
    else if (over.kind == VALUE_MAP && (*more = it->at < over.map->n))
        *out = over.map->pairs[it->at++].key;
    else if (over.kind == VALUE_STRING && (*more = it->at < over.text.size)) {
        size_t size;
        get_character((struct span){(const uint8_t *)over.text.at + it->at, over.text.size - it->at}, &size);
        *out = value_part(over, it->at, it->at + size);
        out->text.markup = false;
        it->at += size;
    }
    return true;
}

bool iterate(struct template_run *r, const struct value *over, struct value *list)
{
    struct iterator it;
    if (over->kind == VALUE_LIST) {
        *list = *over;
        return run_step(r, 1);
    }
    if (!iterator_open(r, over, &it))
        return false;
    struct value item, made = value_list(r->arena, over->kind == VALUE_MAP ? over->map->n : 0);
    for (bool more = true; more;) {
        if (!iterator_next(r, &it, &item, &more))
            return false;
        if (more && !list_put(r, &made, &item))
            return false;
    }
    *list = made;
    return run_step(r, 1);
}

bool value_length(struct template_run *r, const struct value *v, int64_t *length)
{
    *length = 0;
    if (v->kind == VALUE_STRING) {
        *length = (int64_t)count_characters(value_span(*v));
        return run_step(r, v->text.size / 16);
    }
    if (v->kind == VALUE_LIST)
        *length = (int64_t)v->list->n;
    else if (v->kind == VALUE_MAP)
        *length = (int64_t)v->map->n;
    else if (is_object(*v, object_range) || is_object(*v, object_view))
        *length = (int64_t)object_size(*v);
    else if (v->kind != VALUE_UNDEFINED)
        return run_fail(r, "'%s' has no length", kind_name(v));
    return true;
}

/* ---- what can be gone over ---- */

struct generator *generator_new(struct template_run *r,
    bool (*next)(struct template_run *r, struct generator *g, struct value *out, bool *more),
    struct value from, struct value *out)
{
    struct generator *g = value_alloc(r->arena, sizeof(*g));
    if (!g) {
        run_step(r, 1);
        return NULL;
    }
    *g = (struct generator){.next = next, .from = {.over = from}};
    arguments_init(&g->args);
    *out = object_value(object_generator, g);
    return g;
}

bool range_item(const struct range *range, int64_t index, struct value *out)
{
    *out = value_integer((int64_t)((uint64_t)range->start + (uint64_t)index * (uint64_t)range->step));
    return true;
}

bool range_new(struct template_run *r, int64_t start, int64_t stop, int64_t step, struct value *out)
{
    if (step == 0)
        return run_fail(r, "range has the step 0");
    uint64_t far = 0, stride = step > 0 ? (uint64_t)step : 0 - (uint64_t)step;
    if (step > 0 ? start < stop : start > stop)
        far = (step > 0 ? (uint64_t)stop - (uint64_t)start : (uint64_t)start - (uint64_t)stop) - 1;
    bool empty = step > 0 ? start >= stop : start <= stop;
    uint64_t n = empty ? 0 : far / stride + 1;
    if (n > RANGE_MAX)
        return run_fail(r, "range has more than %d numbers", RANGE_MAX);
    struct range *range = value_alloc(r->arena, sizeof(*range));
    if (!range)
        return run_step(r, 1);
    *range = (struct range){start, stop, step, (size_t)n};
    *out = object_value(object_range, range);
    return true;
}

/* ---- the filters that go over their value in another way ---- */

static bool next_same(struct template_run *r, struct generator *g, struct value *out, bool *more)
{
    return iterator_next(r, &g->from, out, more);
}

static bool next_pair(struct template_run *r, struct generator *g, struct value *out, bool *more)
{
    struct value map = g->from.over;
    if (map.kind == VALUE_UNDEFINED)
        return true;
    if (map.kind != VALUE_MAP)
        return run_fail(r, "items is for a dict, not '%s'", kind_name(&map));
    *more = g->at < map.map->n;
    const struct value_pair *pair = *more ? &map.map->pairs[g->at++] : NULL;
    return !pair || pair_of(r, &pair->key, &pair->value, out);
}

bool filter_items(struct template_run *r, const struct value *at, struct value *out)
{
    return generator_new(r, next_pair, at[0], out) != NULL;
}

static bool reversed(struct template_run *r, struct value v, struct value *out)
{
    struct value list, copy;
    if (!iterate(r, &v, &list))
        return false;
    copy = value_list(r->arena, list.list->n);
    for (size_t i = list.list->n; i > 0; i--)
        list_put(r, &copy, &list.list->items[i - 1]);
    *out = copy;
    return run_step(r, 1 + list.list->n / 8);
}

/* Of a string the string, of what Python can go over backwards an iterator, of anything else a list. */
bool filter_reverse(struct template_run *r, const struct value *at, struct value *out)
{
    static const struct value bounds[3] = {
        {.kind = VALUE_NULL}, {.kind = VALUE_NULL}, {.kind = VALUE_INTEGER, .integer = -1}};
    struct value list;
    if (at[0].kind == VALUE_STRING)
        return get_slice(r, at[0], bounds, out);
    if (is_object(at[0], object_generator))
        return reversed(r, at[0], out);
    return reversed(r, at[0], &list) && generator_new(r, next_same, list, out) != NULL;
}

static bool next_batch(struct template_run *r, struct generator *g, struct value *out, bool *more)
{
    struct value row = value_list(r->arena, 0), item = g->with[2];
    bool left = g->at > 0, full = false; /* an item that was one too many is kept in with[2] */
    int64_t size = as_integer(g->with[0]);
    if (left)
        list_put(r, &row, &item);
    g->at = 0;
    while (!full) {
        if (!iterator_next(r, &g->from, &item, &left))
            return false;
        if (!left)
            break;
        full = row.kind == VALUE_LIST && (int64_t)row.list->n == size;
        if (full) {
            g->with[2] = item;
            g->at = 1;
        } else if (!list_put(r, &row, &item)) {
            return false;
        }
    }
    if (!run_step(r, 1))
        return false;
    *more = full || row.list->n > 0;
    for (int64_t n = (int64_t)row.list->n; !full && *more && given(g->with[1]) && n < size; n++)
        if (!list_put(r, &row, &g->with[1]) || !run_step(r, 1))
            return false;
    *out = row;
    return true;
}

static bool batches(struct template_run *r, const struct value *at,
    bool (*next)(struct template_run *r, struct generator *g, struct value *out, bool *more),
    struct value *out)
{
    struct generator *g = generator_new(r, next, at[0], out);
    if (!g)
        return false;
    g->with[0] = at[1];
    g->with[1] = at[2];
    return true;
}

bool filter_batch(struct template_run *r, const struct value *at, struct value *out)
{
    if (!is_number(at[1]))
        return run_fail(r, "batch needs a number, not '%s'", kind_name(&at[1]));
    struct value size[3] = {at[0], at[1], at[2]};
    if (at[1].kind == VALUE_FLOAT) /* one that no length equals */
        size[1] = value_integer(at[1].real == (double)(int)at[1].real ? (int)at[1].real : -1);
    return batches(r, size, next_batch, out);
}

static bool next_slice(struct template_run *r, struct generator *g, struct value *out, bool *more)
{
    if (g->at == 0 && (!iterate(r, &g->from.over, &g->with[2])))
        return false;
    if (!whole(g->with[0]))
        return run_fail(r, "slice needs an integer, not '%s'", kind_name(&g->with[0]));
    int64_t slices = as_integer(g->with[0]), n = (int64_t)g->with[2].list->n, i = (int64_t)g->at++;
    if (slices == 0)
        return run_fail(r, "division by zero");
    *more = i < slices;
    if (!*more)
        return true;
    int64_t each = n / slices, longer = n % slices;
    int64_t start = i * each + (i < longer ? i : longer), end = start + each + (i < longer);
    struct value row = value_list(r->arena, 0);
    for (int64_t k = start; k < end; k++)
        if (!list_put(r, &row, &g->with[2].list->items[k]) || !run_step(r, 1))
            return false;
    if (given(g->with[1]) && i >= longer)
        list_put(r, &row, &g->with[1]);
    *out = row;
    return run_step(r, 1);
}

bool filter_slice(struct template_run *r, const struct value *at, struct value *out)
{
    return batches(r, at, next_slice, out);
}
