/* methods.c - the methods of Python's strings, lists and dicts that templates call, a row each.
 *
 * A method of Python that is not in this table is refused where it is used. Treated as a missing item it would change the
 * prompt without an error. Methods that change a list or dict are refused, too, as in the sandbox.
 */
#include "template_private.h"

#include <ctype.h>
#include <string.h>

static bool given(struct value v)
{
    return v.kind != VALUE_UNDEFINED && v.kind != VALUE_NULL;
}

static bool wants_text(struct template_run *r, struct value v)
{
    return v.kind == VALUE_STRING || run_fail(r, "a str is needed here, not '%s'", kind_name(v));
}

static bool strip_with(
    struct template_run *r, const struct value *at, bool left, bool right, struct value *out)
{
    if (given(at[1]) && !wants_text(r, at[1]))
        return false;
    *out = strip(at[0], given(at[1]) ? &at[1] : NULL, left, right);
    return run_step(r, at[0].text.size / 16);
}

static bool str_strip(struct template_run *r, const struct value *at, struct value *out)
{
    return strip_with(r, at, true, true, out);
}

static bool str_lstrip(struct template_run *r, const struct value *at, struct value *out)
{
    return strip_with(r, at, true, false, out);
}

static bool str_rstrip(struct template_run *r, const struct value *at, struct value *out)
{
    return strip_with(r, at, false, true, out);
}

static bool str_upper(struct template_run *r, const struct value *at, struct value *out)
{
    return change_case(r, at[0], CASE_UPPER, out);
}

static bool str_lower(struct template_run *r, const struct value *at, struct value *out)
{
    return change_case(r, at[0], CASE_LOWER, out);
}

static bool str_title(struct template_run *r, const struct value *at, struct value *out)
{
    return change_case(r, at[0], CASE_WORDS, out);
}

static bool str_capitalize(struct template_run *r, const struct value *at, struct value *out)
{
    return change_case(r, at[0], CASE_CAPITAL, out);
}

static bool str_replace(struct template_run *r, const struct value *at, struct value *out)
{
    int64_t count = at[3].kind == VALUE_INTEGER ? at[3].integer : -1;
    return wants_text(r, at[1]) && wants_text(r, at[2]) && replace_text(r, at[0], at[1], at[2], count, out);
}

static bool starts(struct value s, struct value with)
{
    return with.text.size <= s.text.size &&
           (with.text.size == 0 || memcmp(s.text.at, with.text.at, with.text.size) == 0);
}

static bool ends(struct value s, struct value with)
{
    return with.text.size <= s.text.size &&
           starts(value_part(s, s.text.size - with.text.size, s.text.size), with);
}

/* startswith and endswith take one string or a tuple of them. */
static bool match_any(struct template_run *r, const struct value *at,
    bool (*match)(struct value s, struct value with), struct value *out)
{
    bool many = at[1].kind == VALUE_LIST && at[1].list->tuple, found = false;
    size_t n = many ? at[1].list->n : 1;
    for (size_t i = 0; i < n && !found; i++) {
        struct value with = many ? at[1].list->items[i] : at[1];
        if (!wants_text(r, with) || !run_step(r, 1))
            return false;
        found = match(at[0], with);
    }
    *out = value_bool(found);
    return true;
}

static bool str_startswith(struct template_run *r, const struct value *at, struct value *out)
{
    return match_any(r, at, starts, out);
}

static bool str_endswith(struct template_run *r, const struct value *at, struct value *out)
{
    return match_any(r, at, ends, out);
}

static bool str_removeprefix(struct template_run *r, const struct value *at, struct value *out)
{
    if (!wants_text(r, at[1]))
        return false;
    *out = value_part(at[0], starts(at[0], at[1]) ? at[1].text.size : 0, at[0].text.size);
    return true;
}

static bool str_removesuffix(struct template_run *r, const struct value *at, struct value *out)
{
    if (!wants_text(r, at[1]))
        return false;
    *out = value_part(at[0], 0, at[0].text.size - (ends(at[0], at[1]) ? at[1].text.size : 0));
    return true;
}

/* ---- cutting ---- */

static bool split_space(struct template_run *r, struct value s, int64_t most, struct value list)
{
    s = strip(s, NULL, true, false);
    for (; s.text.size > 0 && most != 0; most--) {
        size_t end = 0, size;
        while (end < s.text.size &&
               space_at((struct span){(const uint8_t *)s.text.at + end, s.text.size - end}) == 0) {
            get_character((struct span){(const uint8_t *)s.text.at + end, s.text.size - end}, &size);
            end += size;
        }
        value_append(r->arena, list, value_part(s, 0, end));
        s = strip(value_part(s, end, s.text.size), NULL, true, false);
        if (!run_step(r, 1 + end / 16))
            return false;
    }
    s = strip(s, NULL, false, true);
    return s.text.size == 0 || value_append(r->arena, list, s) || run_step(r, 1);
}

static bool split_at(struct template_run *r, struct value s, struct value by, int64_t most, struct value list)
{
    size_t at = 0;
    if (by.text.size == 0)
        return run_fail(r, "the separator of a split is empty");
    for (; most != 0; most--) {
        size_t found = find_bytes(value_span(s), value_span(by), at);
        if (found == SIZE_MAX)
            break;
        value_append(r->arena, list, value_part(s, at, found));
        at = found + by.text.size;
        if (!run_step(r, 1))
            return false;
    }
    return value_append(r->arena, list, value_part(s, at, s.text.size)) || run_step(r, 1);
}

static bool str_split(struct template_run *r, const struct value *at, struct value *out)
{
    int64_t most = at[2].kind == VALUE_INTEGER ? at[2].integer : -1;
    struct value list = value_list(r->arena, 0);
    if (given(at[1]) && !wants_text(r, at[1]))
        return false;
    bool good = given(at[1]) ? split_at(r, at[0], at[1], most, list) : split_space(r, at[0], most, list);
    *out = list;
    return good && run_step(r, 1);
}

/* Where `what` occurs last, or SIZE_MAX. */
static size_t find_last(struct span in, struct span what)
{
    for (size_t at = in.size >= what.size ? in.size - what.size + 1 : 0; at > 0; at--)
        if (what.size == 0 || memcmp(in.at + at - 1, what.at, what.size) == 0)
            return at - 1;
    return SIZE_MAX;
}

static bool str_rsplit(struct template_run *r, const struct value *at, struct value *out)
{
    int64_t most = at[2].kind == VALUE_INTEGER ? at[2].integer : -1;
    struct value parts = value_list(r->arena, 0), list = value_list(r->arena, 0), s = at[0];
    if (!given(at[1]) && most < 0)
        return str_split(r, at, out);
    if (!given(at[1]))
        return run_fail(r, "rsplit at white space with a count is not supported");
    if (!wants_text(r, at[1]) || (at[1].text.size == 0 && !run_fail(r, "the separator of a split is empty")))
        return false;
    for (; most != 0; most--) {
        size_t found = find_last(value_span(s), value_span(at[1]));
        if (found == SIZE_MAX)
            break;
        value_append(r->arena, parts, value_part(s, found + at[1].text.size, s.text.size));
        s = value_part(s, 0, found);
        if (!run_step(r, 1))
            return false;
    }
    value_append(r->arena, parts, s);
    for (size_t i = parts.kind == VALUE_LIST ? parts.list->n : 0; i > 0; i--)
        value_append(r->arena, list, parts.list->items[i - 1]);
    *out = list;
    return run_step(r, 1 + at[0].text.size / 16);
}

static bool str_join(struct template_run *r, const struct value *at, struct value *out)
{
    struct value list;
    if (!iterate(r, at[1], &list))
        return false;
    for (size_t i = 0; i < list.list->n; i++)
        if (!wants_text(r, list.list->items[i]))
            return false;
    return join_texts(r, list, at[0], out);
}

/* ---- asking ---- */

static bool str_find(struct template_run *r, const struct value *at, struct value *out)
{
    if (!wants_text(r, at[1]))
        return false;
    size_t found = find_bytes(value_span(at[0]), value_span(at[1]), 0);
    *out = value_integer(-1);
    if (found != SIZE_MAX)
        *out = value_integer((int64_t)count_characters((struct span){(const uint8_t *)at[0].text.at, found}));
    return run_step(r, at[0].text.size / 16);
}

static bool str_rfind(struct template_run *r, const struct value *at, struct value *out)
{
    if (!wants_text(r, at[1]))
        return false;
    size_t found = find_last(value_span(at[0]), value_span(at[1]));
    *out = value_integer(-1);
    if (found != SIZE_MAX)
        *out = value_integer((int64_t)count_characters((struct span){(const uint8_t *)at[0].text.at, found}));
    return run_step(r, at[0].text.size / 16);
}

static bool str_count(struct template_run *r, const struct value *at, struct value *out)
{
    int64_t n = 0;
    if (!wants_text(r, at[1]))
        return false;
    if (at[1].text.size == 0)
        n = (int64_t)count_characters(value_span(at[0])) + 1;
    else
        for (size_t i = 0; (i = find_bytes(value_span(at[0]), value_span(at[1]), i)) != SIZE_MAX;
             i += at[1].text.size)
            n++;
    *out = value_integer(n);
    return run_step(r, at[0].text.size / 16);
}

static bool all_of(struct template_run *r, struct value s, int (*holds)(int c), struct value *out)
{
    if (!is_ascii(value_span(s)))
        return run_fail(r, "the classes of characters beyond ASCII are not supported");
    bool all = s.text.size > 0;
    for (size_t i = 0; i < s.text.size && all; i++)
        all = holds((unsigned char)s.text.at[i]) != 0;
    *out = value_bool(all);
    return run_step(r, s.text.size / 16);
}

static bool str_isdigit(struct template_run *r, const struct value *at, struct value *out)
{
    return all_of(r, at[0], isdigit, out);
}

static bool str_isalpha(struct template_run *r, const struct value *at, struct value *out)
{
    return all_of(r, at[0], isalpha, out);
}

static bool str_isalnum(struct template_run *r, const struct value *at, struct value *out)
{
    return all_of(r, at[0], isalnum, out);
}

static bool str_isspace(struct template_run *r, const struct value *at, struct value *out)
{
    *out = value_bool(at[0].text.size > 0 && strip(at[0], NULL, true, false).text.size == 0);
    return run_step(r, at[0].text.size / 16);
}

/* ---- dicts and lists ---- */

static bool map_lists(struct template_run *r, struct value map, bool keys, bool values, struct value *out)
{
    struct value list = value_list(r->arena, map.map->n);
    for (size_t i = 0; i < map.map->n; i++) {
        struct value item = keys ? map.map->pairs[i].key : map.map->pairs[i].value;
        if (keys && values) {
            item = value_list(r->arena, 2);
            value_append(r->arena, item, map.map->pairs[i].key);
            value_append(r->arena, item, map.map->pairs[i].value);
        }
        if (!run_step(r, 1))
            return false;
        if (keys && values)
            item.list->tuple = true;
        value_append(r->arena, list, item);
    }
    *out = list;
    return run_step(r, 1);
}

static bool dict_items(struct template_run *r, const struct value *at, struct value *out)
{
    return map_lists(r, at[0], true, true, out);
}

static bool dict_keys(struct template_run *r, const struct value *at, struct value *out)
{
    return map_lists(r, at[0], true, false, out);
}

static bool dict_values(struct template_run *r, const struct value *at, struct value *out)
{
    return map_lists(r, at[0], false, true, out);
}

static bool dict_get(struct template_run *r, const struct arguments *args, struct value *out)
{
    struct value *found;
    if (args->n < 2 || args->n > 3 || args->n_named > 0)
        return run_fail(r, "'get' takes a key and a default");
    if (!map_find(r, args->at[0], args->at[1], &found))
        return false;
    *out = found ? *found : args->n == 3 ? args->at[2] : value_null;
    return true;
}

static bool same_copy(struct template_run *r, const struct value *at, struct value *out)
{
    *out = at[0]; /* neither of the two can be changed */
    return run_step(r, 1);
}

static bool list_count(struct template_run *r, const struct value *at, struct value *out)
{
    int64_t n = 0;
    for (size_t i = 0; i < at[0].list->n; i++) {
        bool equal;
        if (!values_equal(r, at[0].list->items[i], at[1], &equal))
            return false;
        n += equal;
    }
    *out = value_integer(n);
    return true;
}

static bool list_index(struct template_run *r, const struct value *at, struct value *out)
{
    for (size_t i = 0; i < at[0].list->n; i++) {
        bool equal;
        if (!values_equal(r, at[0].list->items[i], at[1], &equal))
            return false;
        *out = value_integer((int64_t)i);
        if (equal)
            return true;
    }
    return run_fail(r, "the value of 'index' is not in the list");
}

/* clang-format off */
static const struct builtin str_methods[] = {
    {.name = "strip", .parameters = {"self", "chars"}, .needed = 1, .run = str_strip},
    {.name = "lstrip", .parameters = {"self", "chars"}, .needed = 1, .run = str_lstrip},
    {.name = "rstrip", .parameters = {"self", "chars"}, .needed = 1, .run = str_rstrip},
    {.name = "split", .parameters = {"self", "sep", "maxsplit"}, .needed = 1, .run = str_split},
    {.name = "rsplit", .parameters = {"self", "sep", "maxsplit"}, .needed = 1, .run = str_rsplit},
    {.name = "startswith", .parameters = {"self", "prefix"}, .needed = 2, .run = str_startswith},
    {.name = "endswith", .parameters = {"self", "suffix"}, .needed = 2, .run = str_endswith},
    {.name = "removeprefix", .parameters = {"self", "prefix"}, .needed = 2, .run = str_removeprefix},
    {.name = "removesuffix", .parameters = {"self", "suffix"}, .needed = 2, .run = str_removesuffix},
    {.name = "replace", .parameters = {"self", "old", "new", "count"}, .needed = 3, .run = str_replace},
    {.name = "upper", .parameters = {"self"}, .needed = 1, .run = str_upper},
    {.name = "lower", .parameters = {"self"}, .needed = 1, .run = str_lower},
    {.name = "title", .parameters = {"self"}, .needed = 1, .run = str_title},
    {.name = "capitalize", .parameters = {"self"}, .needed = 1, .run = str_capitalize},
    {.name = "join", .parameters = {"self", "iterable"}, .needed = 2, .run = str_join},
    {.name = "find", .parameters = {"self", "sub"}, .needed = 2, .run = str_find},
    {.name = "rfind", .parameters = {"self", "sub"}, .needed = 2, .run = str_rfind},
    {.name = "count", .parameters = {"self", "sub"}, .needed = 2, .run = str_count},
    {.name = "isdigit", .parameters = {"self"}, .needed = 1, .run = str_isdigit},
    {.name = "isalpha", .parameters = {"self"}, .needed = 1, .run = str_isalpha},
    {.name = "isalnum", .parameters = {"self"}, .needed = 1, .run = str_isalnum},
    {.name = "isspace", .parameters = {"self"}, .needed = 1, .run = str_isspace},
    {.name = NULL},
};

static const struct builtin dict_methods[] = {
    {.name = "items", .parameters = {"self"}, .needed = 1, .run = dict_items},
    {.name = "keys", .parameters = {"self"}, .needed = 1, .run = dict_keys},
    {.name = "values", .parameters = {"self"}, .needed = 1, .run = dict_values},
    {.name = "get", .run_any = dict_get},
    {.name = "copy", .parameters = {"self"}, .needed = 1, .run = same_copy},
    {.name = NULL},
};

static const struct builtin list_methods[] = {
    {.name = "count", .parameters = {"self", "value"}, .needed = 2, .run = list_count},
    {.name = "index", .parameters = {"self", "value"}, .needed = 2, .run = list_index},
    {.name = "copy", .parameters = {"self"}, .needed = 1, .run = same_copy},
    {.name = NULL},
};

/* Methods of Python's types that are not supported here. */
static const char *const str_others[] = {"casefold", "center", "encode", "expandtabs", "format", "format_map",
    "index", "isascii", "isdecimal", "isidentifier", "islower", "isnumeric", "isprintable",
    "istitle", "isupper",
    "ljust", "maketrans", "partition", "rindex", "rjust", "rpartition", "splitlines", "swapcase", "translate",
    "zfill", NULL};
static const char *const dict_others[] = {"clear", "fromkeys", "pop", "popitem", "setdefault",
    "update", NULL};
static const char *const list_others[] = {
    "append", "clear", "extend", "insert", "pop", "remove", "reverse", "sort", NULL};
static const char *const integer_others[] = {"as_integer_ratio", "bit_count", "bit_length", "conjugate",
    "denominator", "from_bytes", "imag", "numerator", "real", "to_bytes", NULL};
static const char *const float_others[] = {
    "as_integer_ratio", "conjugate", "fromhex", "hex", "imag", "is_integer", "real", NULL};
static const char *const no_others[] = {NULL};

static const struct {
    const struct builtin *methods;
    const char *const *others;
} kinds[] = {
    [VALUE_UNDEFINED] = {NULL, no_others},
    [VALUE_NULL] = {NULL, no_others},
    [VALUE_BOOL] = {NULL, integer_others},
    [VALUE_INTEGER] = {NULL, integer_others},
    [VALUE_FLOAT] = {NULL, float_others},
    [VALUE_STRING] = {str_methods, str_others},
    [VALUE_LIST] = {list_methods, list_others},
    [VALUE_MAP] = {dict_methods, dict_others},
    [VALUE_OBJECT] = {NULL, no_others},
};
/* clang-format on */

const struct builtin *method_find(enum value_kind kind, struct span name, bool *known)
{
    *known = true;
    for (const struct builtin *b = kinds[kind].methods; b && b->name; b++)
        if (span_is(name, b->name))
            return b;
    *known = false;
    for (const char *const *other = kinds[kind].others; *other; other++)
        *known = *known || span_is(name, *other);
    return NULL;
}
