/* methods.c - the methods of Python's dicts, lists, tuples, ranges and numbers, a row each.
 *
 * A method of Python that is not in a table is refused where it is used. Treated as a missing item it would change the
 * prompt without an error. Methods that change a list or dict do not exist, as in the sandbox.
 */
#include "template_private.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

static bool dict_view(struct template_run *r, const struct value *at, enum view_of what, struct value *out)
{
    struct view *v = value_alloc(r->arena, sizeof(*v));
    if (!v)
        return run_step(r, 1);
    *v = (struct view){at[0], what};
    *out = object_value(object_view, v);
    return true;
}

static bool dict_items(struct template_run *r, const struct value *at, struct value *out)
{
    return dict_view(r, at, VIEW_ITEMS, out);
}

static bool dict_keys(struct template_run *r, const struct value *at, struct value *out)
{
    return dict_view(r, at, VIEW_KEYS, out);
}

static bool dict_values(struct template_run *r, const struct value *at, struct value *out)
{
    return dict_view(r, at, VIEW_VALUES, out);
}

static bool dict_get(struct template_run *r, const struct arguments *args, struct value *out)
{
    struct value *found;
    if (args->n < 2 || args->n > 3 || args->named.n > 0)
        return run_fail(r, "'get' takes a key and a default");
    if (!map_find(r, &args->at[0], &args->at[1], &found))
        return false;
    *out = found ? *found : args->n == 3 ? args->at[2] : value_null;
    return true;
}

static bool dict_fromkeys(struct template_run *r, const struct value *at, struct value *out)
{
    struct value list, map = value_map(r->arena, 0);
    if (!iterate(r, &at[1], &list) || !run_step(r, 1))
        return false;
    for (size_t i = 0; i < list.list->n; i++)
        if (!map_set(r, &map, &list.list->items[i], at[2].kind == VALUE_UNDEFINED ? &value_null : &at[2]))
            return false;
    *out = map;
    return true;
}

static bool same_copy(struct template_run *r, const struct value *at, struct value *out)
{
    *out = at[0]; /* neither of the two can be changed */
    return run_step(r, 1);
}

/* Of lists, tuples and ranges. */
static bool list_count(struct template_run *r, const struct value *at, struct value *out)
{
    struct value list;
    int64_t n = 0;
    if (!iterate(r, &at[0], &list))
        return false;
    for (size_t i = 0; i < list.list->n; i++) {
        bool equal;
        if (!values_equal(r, &list.list->items[i], &at[1], &equal))
            return false;
        n += equal;
    }
    *out = value_integer(n);
    return true;
}

static bool list_index(struct template_run *r, const struct value *at, struct value *out)
{
    struct value list;
    int64_t ends[2];
    if (!iterate(r, &at[0], &list) || !wants_count(r, &at[2], 0, &ends[0]) ||
        !wants_count(r, &at[3], INT64_MAX, &ends[1]))
        return false;
    for (size_t i = 0; i < 2; i++) {
        ends[i] = ends[i] < 0 ? ends[i] + (int64_t)list.list->n : ends[i];
        ends[i] = ends[i] < 0 ? 0 : ends[i];
    }
    for (int64_t i = ends[0]; i < (int64_t)list.list->n && i < ends[1]; i++) {
        bool equal;
        if (!values_equal(r, &list.list->items[i], &at[1], &equal))
            return false;
        *out = value_integer(i);
        if (equal)
            return true;
    }
    return run_fail(r, "the value of 'index' is not in the list");
}

static bool number_itself(struct template_run *r, const struct value *at, struct value *out)
{
    (void)r;
    *out = at[0].kind == VALUE_BOOL ? value_integer(at[0].boolean) : at[0];
    return true;
}

static bool number_is_integer(struct template_run *r, const struct value *at, struct value *out)
{
    (void)r;
    *out = value_bool(at[0].kind != VALUE_FLOAT || (isfinite(at[0].real) && floor(at[0].real) == at[0].real));
    return true;
}

/* bit_length and bit_count: of the value without its sign. */
static bool int_bit_length(struct template_run *r, const struct value *at, struct value *out)
{
    uint64_t bits = as_integer(at[0]) < 0 ? 0 - (uint64_t)as_integer(at[0]) : (uint64_t)as_integer(at[0]);
    int64_t n = 0;
    for (; bits; bits >>= 1)
        n++;
    *out = value_integer(n);
    return run_step(r, 1);
}

static bool int_bit_count(struct template_run *r, const struct value *at, struct value *out)
{
    uint64_t bits = as_integer(at[0]) < 0 ? 0 - (uint64_t)as_integer(at[0]) : (uint64_t)as_integer(at[0]);
    *out = value_integer(__builtin_popcountll(bits));
    return run_step(r, 1);
}

static const struct builtin dict_methods[] = {
    {"items", "1", {.run = dict_items}},
    {"keys", "1", {.run = dict_keys}},
    {"values", "1", {.run = dict_values}},
    {"get", NULL, {.run_any = dict_get}},
    {"copy", "1", {.run = same_copy}},
    {"fromkeys", "1 2 3?", {.run = dict_fromkeys}},
    {.name = NULL},
};

static const struct builtin tuple_methods[] = {
    {"count", "1 2", {.run = list_count}},
    {"index", "1 2 3? 4?", {.run = list_index}},
    {.name = NULL},
};

static const struct builtin list_methods[] = {
    {"count", "1 2", {.run = list_count}},
    {"index", "1 2 3? 4?", {.run = list_index}},
    {"copy", "1", {.run = same_copy}},
    {.name = NULL},
};

static const struct builtin integer_methods[] = {
    {"bit_length", "1", {.run = int_bit_length}},
    {"bit_count", "1", {.run = int_bit_count}},
    {"conjugate", "1", {.run = number_itself}},
    {"is_integer", "1", {.run = number_is_integer}},
    {.name = NULL},
};

static const struct builtin float_methods[] = {
    {"conjugate", "1", {.run = number_itself}},
    {"is_integer", "1", {.run = number_is_integer}},
    {.name = NULL},
};

/* What Python has and the table has not, words with blanks between. Methods that change a list or dict are not among
 * them: the sandbox hides those. */
static const char str_others[] = " encode isidentifier maketrans ";
static const char integer_others[] = " as_integer_ratio from_bytes to_bytes ";
static const char float_others[] = " as_integer_ratio fromhex hex ";
static const char dict_others[] = " ";

static bool has_word(const char *words, struct span name)
{
    char word[24];
    if (name.size > 20)
        return false;
    snprintf(word, sizeof(word), " %.*s ", (int)name.size, (const char *)name.at);
    return name.size > 0 && strstr(words, word) != NULL;
}

const struct builtin *method_find(struct value of, struct span name, bool *refused)
{
    static const struct {
        const struct builtin *methods;
        const char *others;
    } kinds[] = {
        [VALUE_BOOL] = {integer_methods, integer_others},
        [VALUE_INTEGER] = {integer_methods, integer_others},
        [VALUE_FLOAT] = {float_methods, float_others},
        [VALUE_STRING] = {str_methods, str_others},
        [VALUE_LIST] = {list_methods, dict_others},
        [VALUE_MAP] = {dict_methods, dict_others},
        [VALUE_OBJECT] = {NULL, dict_others},
    };
    const struct builtin *b = kinds[of.kind].methods;
    if ((of.kind == VALUE_LIST && of.list->tuple) || is_object(of, object_range))
        b = tuple_methods;
    for (; b && b->name; b++)
        if (span_is(name, b->name))
            return b;
    *refused = kinds[of.kind].others && has_word(kinds[of.kind].others, name);
    return NULL;
}
