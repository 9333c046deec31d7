/* filters.c - the filters, a row each: name, parameters, function.
 *
 * A filter without a row fails where a template reaches it. Filters that return generators in Jinja return lists here.
 */
#include "template_private.h"

#include <errno.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

static bool given(struct value v)
{
    return v.kind != VALUE_UNDEFINED;
}

static bool filter_trim(struct template_run *r, const struct value *at, struct value *out)
{
    struct value s;
    if (!to_string(r, at[0], &s))
        return false;
    bool characters = given(at[1]) && at[1].kind != VALUE_NULL;
    if (characters && at[1].kind != VALUE_STRING)
        return run_fail(r, "trim takes characters to strip, not '%s'", kind_name(at[1]));
    *out = strip(s, characters ? &at[1] : NULL, true, true);
    return run_step(r, s.text.size / 16);
}

static bool filter_length(struct template_run *r, const struct value *at, struct value *out)
{
    int64_t n;
    if (!value_length(r, at[0], &n))
        return false;
    *out = value_integer(n);
    return true;
}

static bool cased(struct template_run *r, struct value v, enum letter_case to, struct value *out)
{
    struct value s;
    return to_string(r, v, &s) && change_case(r, s, to, out);
}

static bool filter_upper(struct template_run *r, const struct value *at, struct value *out)
{
    return cased(r, at[0], CASE_UPPER, out);
}

static bool filter_lower(struct template_run *r, const struct value *at, struct value *out)
{
    return cased(r, at[0], CASE_LOWER, out);
}

static bool filter_capitalize(struct template_run *r, const struct value *at, struct value *out)
{
    return cased(r, at[0], CASE_CAPITAL, out);
}

static bool filter_title(struct template_run *r, const struct value *at, struct value *out)
{
    return cased(r, at[0], CASE_TITLE, out);
}

static bool filter_string(struct template_run *r, const struct value *at, struct value *out)
{
    return to_string(r, at[0], out);
}

static bool filter_default(struct template_run *r, const struct value *at, struct value *out)
{
    (void)r;
    bool falls_back = !given(at[0]) || (truth(at[2]) && !truth(at[0]));
    *out = !falls_back ? at[0] : given(at[1]) ? at[1] : value_literal("");
    return true;
}

static bool filter_tojson(struct template_run *r, const struct value *at, struct value *out)
{
    struct json_style style = {
        .ascii = truth(at[1]), .indent = at[2], .separators = at[3], .sorted = truth(at[4])};
    size_t start = r->size;
    return print_json(r, at[0], &style) && run_take(r, start, out);
}

static bool filter_join(struct template_run *r, const struct value *at, struct value *out)
{
    struct value list;
    if (!iterate(r, at[0], &list) ||
        (given(at[2]) && at[2].kind != VALUE_NULL && !pick(r, list, at[2], &list)))
        return false;
    return join_texts(r, list, given(at[1]) ? at[1] : value_literal(""), out);
}

static bool filter_first(struct template_run *r, const struct value *at, struct value *out)
{
    struct value list;
    if (!iterate(r, at[0], &list))
        return false;
    *out = list.list->n > 0 ? list.list->items[0] : value_undefined;
    return true;
}

static bool filter_last(struct template_run *r, const struct value *at, struct value *out)
{
    struct value list;
    if (!iterate(r, at[0], &list))
        return false;
    *out = list.list->n > 0 ? list.list->items[list.list->n - 1] : value_undefined;
    return true;
}

static bool filter_list(struct template_run *r, const struct value *at, struct value *out)
{
    struct value list, copy;
    if (!iterate(r, at[0], &list))
        return false;
    copy = value_list(r->arena, list.list->n);
    for (size_t i = 0; i < list.list->n; i++)
        value_append(r->arena, copy, list.list->items[i]);
    *out = copy;
    return run_step(r, 1 + list.list->n / 8);
}

static bool filter_reverse(struct template_run *r, const struct value *at, struct value *out)
{
    struct value list, copy;
    size_t start = r->size;
    if (!iterate(r, at[0], &list))
        return false;
    copy = value_list(r->arena, list.list->n);
    for (size_t i = list.list->n; i > 0; i--) {
        value_append(r->arena, copy, list.list->items[i - 1]);
        if (at[0].kind == VALUE_STRING && !run_add_text(r, list.list->items[i - 1]))
            return false;
    }
    *out = copy;
    return run_step(r, 1) && (at[0].kind != VALUE_STRING || run_take(r, start, out));
}

static bool filter_replace(struct template_run *r, const struct value *at, struct value *out)
{
    struct value parts[3];
    for (size_t i = 0; i < 3; i++)
        if (!to_string(r, at[i], &parts[i]))
            return false;
    int64_t count = at[3].kind == VALUE_INTEGER ? at[3].integer : -1;
    return replace_text(r, parts[0], parts[1], parts[2], count, out);
}

/* A list of (key, value) pairs. */
bool pairs_of(struct template_run *r, struct value map, struct value *out)
{
    struct value list = value_list(r->arena, map.map->n);
    for (size_t i = 0; i < map.map->n; i++) {
        struct value pair = value_list(r->arena, 2);
        value_append(r->arena, pair, map.map->pairs[i].key);
        value_append(r->arena, pair, map.map->pairs[i].value);
        if (!run_step(r, 1))
            return false;
        pair.list->tuple = true;
        value_append(r->arena, list, pair);
    }
    *out = list;
    return run_step(r, 1);
}

static bool filter_items(struct template_run *r, const struct value *at, struct value *out)
{
    if (at[0].kind == VALUE_UNDEFINED)
        *out = value_list(r->arena, 0);
    else if (at[0].kind == VALUE_MAP)
        return pairs_of(r, at[0], out);
    else
        return run_fail(r, "items is for a dict, not '%s'", kind_name(at[0]));
    return run_step(r, 1);
}

/* ---- numbers ---- */

/* Reads a string as a float. White space around it is allowed. */
static bool read_real(struct value s, double *out)
{
    char text[64], *end;
    struct value t = strip(s, NULL, true, true);
    if (t.text.size == 0 || t.text.size >= sizeof(text) || !is_ascii(value_span(t)))
        return false;
    memcpy(text, t.text.at, t.text.size);
    text[t.text.size] = '\0';
    if (strpbrk(text, "xXpP()"))
        return false;
    *out = strtod(text, &end);
    return *end == '\0';
}

static bool read_integer(struct value s, int64_t *out)
{
    char text[32], *end;
    struct value t = strip(s, NULL, true, true);
    if (t.text.size == 0 || t.text.size >= sizeof(text))
        return false;
    memcpy(text, t.text.at, t.text.size);
    text[t.text.size] = '\0';
    errno = 0;
    long long i = strtoll(text, &end, 10);
    *out = i;
    return *end == '\0' && errno == 0;
}

static bool filter_int(struct template_run *r, const struct value *at, struct value *out)
{
    double real = NAN;
    int64_t integer;
    *out = given(at[1]) ? at[1] : value_integer(0);
    if (!given(at[0]))
        return undefined_fail(r, at[0]);
    if (given(at[2]))
        return run_fail(r, "int with a base is not supported");
    if (at[0].kind == VALUE_INTEGER || at[0].kind == VALUE_BOOL)
        *out = value_integer(as_integer(at[0]));
    else if (at[0].kind == VALUE_STRING && read_integer(at[0], &integer))
        *out = value_integer(integer);
    else if (at[0].kind == VALUE_FLOAT)
        real = at[0].real;
    else if (at[0].kind == VALUE_STRING && !read_real(at[0], &real))
        return true;
    if (isfinite(real) && fabs(real) >= 9e18)
        return run_fail(r, "integers beyond 64 bits are not supported");
    if (isfinite(real))
        *out = value_integer((int64_t)real);
    return true;
}

static bool filter_float(struct template_run *r, const struct value *at, struct value *out)
{
    double real;
    if (!given(at[0]))
        return undefined_fail(r, at[0]);
    if (is_number(at[0]))
        *out = value_float(as_real(at[0]));
    else if (at[0].kind == VALUE_STRING && read_real(at[0], &real))
        *out = value_float(real);
    else
        *out = given(at[1]) ? at[1] : value_float(0);
    return true;
}

static bool filter_abs(struct template_run *r, const struct value *at, struct value *out)
{
    if (!is_number(at[0]))
        return run_fail(r, "abs is for numbers, not '%s'", kind_name(at[0]));
    if (at[0].kind == VALUE_FLOAT)
        *out = value_float(fabs(at[0].real));
    else if (as_integer(at[0]) == INT64_MIN)
        return run_fail(r, "integers beyond 64 bits are not supported");
    else
        *out = value_integer(as_integer(at[0]) < 0 ? -as_integer(at[0]) : as_integer(at[0]));
    return true;
}

static bool filter_sum(struct template_run *r, const struct value *at, struct value *out)
{
    struct value list, sum = given(at[2]) ? at[2] : value_integer(0);
    if (!iterate(r, at[0], &list) ||
        (given(at[1]) && at[1].kind != VALUE_NULL && !pick(r, list, at[1], &list)))
        return false;
    for (size_t i = 0; i < list.list->n; i++)
        if (!operate(r, OP_ADD, sum, list.list->items[i], &sum))
            return false;
    *out = sum;
    return true;
}

/* ---- text of several lines, rounding ---- */

/* Returns where the line that starts at `at` ends, and in *next where the following one starts. */
static size_t line_end(struct value s, size_t at, size_t *next)
{
    for (size_t i = at; i < s.text.size; i++) {
        size_t size;
        uint32_t c = get_character((struct span){(const uint8_t *)s.text.at + i, s.text.size - i}, &size);
        bool pair = c == '\r' && i + 1 < s.text.size && s.text.at[i + 1] == '\n';
        *next = i + (pair ? 2 : size);
        if ((c >= 0x0a && c <= 0x0d) || (c >= 0x1c && c <= 0x1e) || c == 0x85 || c == 0x2028 || c == 0x2029)
            return i;
        i += size - 1;
    }
    *next = s.text.size;
    return s.text.size;
}

static bool filter_indent(struct template_run *r, const struct value *at, struct value *out)
{
    size_t start = r->size, mark = start;
    struct value s = at[0], by = at[1];
    if (s.kind != VALUE_STRING)
        return run_fail(r, "indent is for a str, not '%s'", kind_name(s));
    if (by.kind != VALUE_STRING) {
        int64_t width = by.kind == VALUE_INTEGER ? by.integer : 4;
        for (int64_t i = 0; i < width; i++)
            if (!run_step(r, 1) || !run_add(r, span_of(" "), VALUE_FROM_TEMPLATE))
                return false;
        if (!run_take(r, mark, &by))
            return false;
    }
    if (truth(at[2]) && !run_add_text(r, by))
        return false;
    size_t next = 0;
    for (size_t from = 0; from <= s.text.size; from = next) {
        size_t end = line_end(s, from, &next);
        bool dents = from > 0 && (end > from || truth(at[3]));
        if ((from > 0 && !run_add(r, span_of("\n"), VALUE_FROM_TEMPLATE)) ||
            (dents && !run_add_text(r, by)) || !run_add_text(r, value_part(s, from, end)) || !run_step(r, 1))
            return false;
        if (next == s.text.size && end == s.text.size)
            break;
    }
    return run_take(r, start, out);
}

static bool filter_round(struct template_run *r, const struct value *at, struct value *out)
{
    if (!is_number(at[0]))
        return run_fail(r, "round is for numbers, not '%s'", kind_name(at[0]));
    if (given(at[1]) && as_integer(at[1]) != 0)
        return run_fail(r, "round to decimal places is not supported");
    double d = as_real(at[0]);
    bool common = !given(at[2]) || value_is(at[2], "common");
    if (common)
        d = nearbyint(d);
    else if (value_is(at[2], "ceil") || value_is(at[2], "floor"))
        d = value_is(at[2], "ceil") ? ceil(d) : floor(d);
    else
        return run_fail(r, "the method of round is 'common', 'ceil' or 'floor'");
    *out = at[0].kind == VALUE_FLOAT || !common ? value_float(d) : value_integer(as_integer(at[0]));
    return true;
}

/* clang-format off */
static const struct builtin filters[] = {
    {.name = "abs", .parameters = {"x"}, .needed = 1, .run = filter_abs},
    {.name = "capitalize", .parameters = {"s"}, .needed = 1, .run = filter_capitalize},
    {.name = "count", .parameters = {"obj"}, .needed = 1, .run = filter_length},
    {.name = "d", .parameters = {"value", "default_value", "boolean"}, .needed = 1, .run = filter_default},
    {.name = "default", .parameters = {"value", "default_value", "boolean"},
     .needed = 1, .run = filter_default},
    {.name = "dictsort", .parameters = {"value", "case_sensitive", "by", "reverse"},
     .needed = 1, .run = filter_dictsort},
    {.name = "first", .parameters = {"seq"}, .needed = 1, .run = filter_first},
    {.name = "float", .parameters = {"value", "default"}, .needed = 1, .run = filter_float},
    {.name = "indent", .parameters = {"s", "width", "first", "blank"}, .needed = 1, .run = filter_indent},
    {.name = "int", .parameters = {"value", "default", "base"}, .needed = 1, .run = filter_int},
    {.name = "items", .parameters = {"value"}, .needed = 1, .run = filter_items},
    {.name = "join", .parameters = {"value", "d", "attribute"}, .needed = 1, .run = filter_join},
    {.name = "last", .parameters = {"seq"}, .needed = 1, .run = filter_last},
    {.name = "length", .parameters = {"obj"}, .needed = 1, .run = filter_length},
    {.name = "list", .parameters = {"value"}, .needed = 1, .run = filter_list},
    {.name = "lower", .parameters = {"s"}, .needed = 1, .run = filter_lower},
    {.name = "map", .run_any = filter_map},
    {.name = "max", .parameters = {"value", "case_sensitive", "attribute"}, .needed = 1, .run = filter_max},
    {.name = "min", .parameters = {"value", "case_sensitive", "attribute"}, .needed = 1, .run = filter_min},
    {.name = "reject", .run_any = filter_reject},
    {.name = "rejectattr", .run_any = filter_rejectattr},
    {.name = "replace", .parameters = {"s", "old", "new", "count"}, .needed = 3, .run = filter_replace},
    {.name = "reverse", .parameters = {"value"}, .needed = 1, .run = filter_reverse},
    {.name = "round", .parameters = {"value", "precision", "method"}, .needed = 1, .run = filter_round},
    {.name = "safe", .parameters = {"value"}, .needed = 1, .run = filter_string},
    {.name = "select", .run_any = filter_select},
    {.name = "selectattr", .run_any = filter_selectattr},
    {.name = "sort", .parameters = {"value", "reverse", "case_sensitive", "attribute"},
     .needed = 1, .run = filter_sort},
    {.name = "string", .parameters = {"object"}, .needed = 1, .run = filter_string},
    {.name = "sum", .parameters = {"iterable", "attribute", "start"}, .needed = 1, .run = filter_sum},
    {.name = "title", .parameters = {"s"}, .needed = 1, .run = filter_title},
    {.name = "tojson", .parameters = {"x", "ensure_ascii", "indent", "separators", "sort_keys"},
     .needed = 1, .run = filter_tojson},
    {.name = "trim", .parameters = {"value", "chars"}, .needed = 1, .run = filter_trim},
    {.name = "unique", .parameters = {"value", "case_sensitive", "attribute"},
     .needed = 1, .run = filter_unique},
    {.name = "upper", .parameters = {"s"}, .needed = 1, .run = filter_upper},
};
/* clang-format on */

const struct builtin *filter_find(struct span name)
{
    for (size_t i = 0; i < sizeof(filters) / sizeof(filters[0]); i++)
        if (span_is(name, filters[i].name))
            return &filters[i];
    return NULL;
}
