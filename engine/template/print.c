/* print.c - values as text: str() and repr() of Python, and JSON as json.dumps writes it.
 *
 * Text from a message keeps its origin inside quotes. In repr() the quotes and brackets around it are the template's. In
 * JSON they are the message's unless every string in it is the template's, because tools and their names come from the
 * client.
 */
#include "template_private.h"

#include "berth/base/character.h"

#include <inttypes.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static bool add(struct template_run *r, const char *text)
{
    return run_add(r, span_of(text), VALUE_FROM_TEMPLATE);
}

/* Writes the fewest digits that read back as `d`; with an exponent below 1e-4 and from 1e16 on, as Python does. */
static void shortest_real(double d, char out[64])
{
    char text[40], digits[24];
    size_t n = 0;
    for (int precision = 1; precision <= 17; precision++) {
        snprintf(text, sizeof(text), "%.*e", precision - 1, d);
        if (strtod(text, NULL) == d)
            break;
    }
    const char *at = text;
    bool negative = *at == '-';
    at += negative;
    for (; *at && *at != 'e'; at++)
        if (*at != '.')
            digits[n++] = *at;
    digits[n] = '\0';
    int exponent = atoi(at + 1);
    const char *sign = negative ? "-" : "";
    if (exponent < -4 || exponent >= 16)
        snprintf(out, 64, "%s%c%s%se%c%02d", sign, digits[0], n > 1 ? "." : "", digits + 1,
            exponent < 0 ? '-' : '+', abs(exponent));
    else if (exponent < 0)
        snprintf(out, 64, "%s0.%.*s%s", sign, -exponent - 1, "0000", digits);
    else if ((size_t)exponent + 1 >= n)
        snprintf(out, 64, "%s%s%.*s.0", sign, digits, exponent + 1 - (int)n, "0000000000000000");
    else
        snprintf(out, 64, "%s%.*s.%s", sign, exponent + 1, digits, digits + exponent + 1);
}

bool print_real(struct template_run *r, double d, bool json)
{
    char text[64];
    if (isnan(d))
        return add(r, json ? "NaN" : "nan");
    if (isinf(d))
        return add(r, d < 0 ? json ? "-Infinity" : "-inf" : json ? "Infinity" : "inf");
    shortest_real(d, text);
    return add(r, text);
}

static bool print_integer(struct template_run *r, int64_t i)
{
    char text[32];
    snprintf(text, sizeof(text), "%" PRId64, i);
    return add(r, text);
}

/* ---- repr() ---- */

static bool print_quoted_character(struct template_run *r, struct value character, uint32_t c, char quote)
{
    char text[16];
    const char *known = c == '\n' ? "\\n" : c == '\r' ? "\\r" : c == '\t' ? "\\t" : c == '\\' ? "\\\\" : NULL;
    bool plain = !r->ascii || c < 0x80;
    if (!known && plain && c != (uint32_t)quote && (character_class(c) & CHARACTER_PRINTABLE))
        return run_add_text(r, &character);
    if (known)
        snprintf(text, sizeof(text), "%s", known);
    else if (c == (uint32_t)quote)
        snprintf(text, sizeof(text), "\\%c", quote);
    else if (c < 0x100)
        snprintf(text, sizeof(text), "\\x%02" PRIx32, c);
    else
        snprintf(text, sizeof(text), c < 0x10000 ? "\\u%04" PRIx32 : "\\U%08" PRIx32, c);
    return run_add(r, span_of(text), value_origin_at(&character.text, 0));
}

static bool print_quoted_text(struct template_run *r, struct value s)
{
    bool single = s.text.size > 0 && memchr(s.text.at, '\'', s.text.size);
    bool both = single && memchr(s.text.at, '"', s.text.size);
    const char *quote = single && !both ? "\"" : "'";
    if (!add(r, quote))
        return false;
    for (size_t at = 0, size; at < s.text.size; at += size) {
        uint32_t c = get_character((struct span){(const uint8_t *)s.text.at + at, s.text.size - at}, &size);
        if (!run_step(r, 1) || !print_quoted_character(r, value_part(s, at, at + size), c, quote[0]))
            return false;
    }
    return add(r, quote);
}

static bool print_quoted_list(struct template_run *r, const struct value_list *l, unsigned depth)
{
    if (!add(r, l->tuple ? "(" : "["))
        return false;
    for (size_t i = 0; i < l->n; i++)
        if ((i > 0 && !add(r, ", ")) || !print_quoted(r, &l->items[i], depth + 1))
            return false;
    return add(r, !l->tuple ? "]" : l->n == 1 ? ",)" : ")");
}

static bool sorted_pairs(struct template_run *r, const struct value_map *m, struct value_pair **out);

static bool print_quoted_map(struct template_run *r, const struct value_map *m, unsigned depth)
{
    struct value_pair *pairs = m->pairs;
    if ((r->sorted && m->n > 0 && !sorted_pairs(r, m, &pairs)) || !add(r, "{"))
        return false;
    for (size_t i = 0; i < m->n; i++)
        if ((i > 0 && !add(r, ", ")) || !print_quoted(r, &pairs[i].key, depth + 1) || !add(r, ": ") ||
            !print_quoted(r, &pairs[i].value, depth + 1))
            return false;
    return add(r, "}");
}

static bool print_view(struct template_run *r, const struct view *v, unsigned depth)
{
    static const char *const names[] = {
        [VIEW_KEYS] = "dict_keys([", [VIEW_VALUES] = "dict_values([", [VIEW_ITEMS] = "dict_items(["};
    for (size_t i = 0; i < v->map.map->n; i++) {
        const struct value_pair *pair = &v->map.map->pairs[i];
        if (!add(r, i > 0 ? ", " : names[v->what]) || (v->what == VIEW_ITEMS && !add(r, "(")) ||
            (v->what != VIEW_VALUES && !print_quoted(r, &pair->key, depth + 1)) ||
            (v->what == VIEW_ITEMS && !add(r, ", ")) ||
            (v->what != VIEW_KEYS && !print_quoted(r, &pair->value, depth + 1)) ||
            (v->what == VIEW_ITEMS && !add(r, ")")))
            return false;
    }
    return (v->map.map->n > 0 || add(r, names[v->what])) && add(r, "])");
}

static bool print_range(struct template_run *r, const struct range *range)
{
    char text[100];
    size_t n = (size_t)snprintf(text, sizeof(text), "range(%" PRId64 ", %" PRId64, range->start, range->stop);
    if (range->step != 1)
        n += (size_t)snprintf(text + n, sizeof(text) - n, ", %" PRId64, range->step);
    return run_add(r, (struct span){(const uint8_t *)text, n}, VALUE_FROM_TEMPLATE) && add(r, ")");
}

static bool print_loop(struct template_run *r, struct loop *l)
{
    char text[80];
    struct value length;
    if (!loop_attribute(r, l, value_literal("length"), &length))
        return false;
    snprintf(text, sizeof(text), "<LoopContext %zu/%zu>", l->index, l->length);
    return add(r, text);
}

static bool print_class(struct template_run *r, const struct builtin *b)
{
    static const char *const names[][2] = {{"dict", "dict"}, {"namespace", "jinja2.utils.Namespace"},
        {"cycler", "jinja2.utils.Cycler"}, {"joiner", "jinja2.utils.Joiner"}};
    for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++)
        if (span_is(span_of(b->name), names[i][0]))
            return add(r, "<class '") && add(r, names[i][1]) && add(r, "'>");
    return false;
}

static bool print_macro(struct template_run *r, const struct node *n)
{
    if (n->kind == NODE_CALL_BLOCK)
        return add(r, "<Macro anonymous>");
    return add(r, "<Macro ") && print_quoted(r, &n->value, 0) && add(r, ">");
}

/* Objects as Python writes them, where that is the same each time. */
static bool print_object(struct template_run *r, struct value v, unsigned depth)
{
    const void *type = v.object.type;
    if (type == object_view)
        return print_view(r, v.object.data, depth);
    if (type == object_range)
        return print_range(r, v.object.data);
    if (type == object_loop)
        return print_loop(r, v.object.data);
    if (type == object_namespace)
        return add(r, "<Namespace ") && print_quoted_map(r, v.object.data, depth) && add(r, ">");
    if (type == object_class)
        return print_class(r, v.object.data);
    if (type == object_macro && ((const struct macro *)v.object.data)->node->kind != NODE_BLOCK)
        return print_macro(r, ((const struct macro *)v.object.data)->node);
    return run_fail(r, "printing a '%s' is not supported", kind_name(&v));
}

bool print_quoted(struct template_run *r, const struct value *v, unsigned depth)
{
    if (depth > VALUE_DEPTH)
        return run_fail(r, "a value is printed that is nested deeper than %d", VALUE_DEPTH);
    if (!run_step(r, 1))
        return false;
    switch (v->kind) {
    case VALUE_UNDEFINED:
        return add(r, "Undefined");
    case VALUE_NULL:
        return add(r, "None");
    case VALUE_BOOL:
        return add(r, v->boolean ? "True" : "False");
    case VALUE_INTEGER:
        return print_integer(r, v->integer);
    case VALUE_FLOAT:
        return print_real(r, v->real, false);
    case VALUE_STRING:
        return v->text.markup ? add(r, "Markup(") && print_quoted_text(r, *v) && add(r, ")")
                              : print_quoted_text(r, *v);
    case VALUE_LIST:
        return print_quoted_list(r, v->list, depth);
    case VALUE_MAP:
        return print_quoted_map(r, v->map, depth);
    case VALUE_OBJECT:
        break;
    }
    return print_object(r, *v, depth);
}

bool print_ascii(struct template_run *r, struct value v)
{
    r->ascii = true;
    bool good = print_quoted(r, &v, 0);
    r->ascii = false;
    return good;
}

/* As Python's pprint where it needs one line: with the keys of dicts in order. */
bool filter_pprint(struct template_run *r, const struct value *at, struct value *out)
{
    size_t start = r->size;
    r->sorted = true;
    bool good = print_quoted(r, &at[0], 0);
    r->sorted = false;
    if (!good || !run_take(r, start, out))
        return false;
    return count_characters(value_span(*out)) <= 80 ||
           run_fail(r, "pprint of several lines is not supported");
}

bool print_text(struct template_run *r, const struct value *v)
{
    if (v->kind == VALUE_STRING)
        return run_add_text(r, v);
    return v->kind == VALUE_UNDEFINED || print_quoted(r, v, 0);
}

bool to_string(struct template_run *r, const struct value *v, struct value *out)
{
    size_t start = r->size;
    if (v->kind == VALUE_STRING) {
        *out = *v;
        return true;
    }
    return print_text(r, v) && run_take(r, start, out);
}

/* ---- JSON ---- */

struct json {
    struct template_run *r;
    const struct json_style *style;
    struct value between, colon; /* what separates items, and a key from its value */
};

static bool print_json_at(struct json *j, struct value v, unsigned depth);

static bool json_escape(struct template_run *r, uint32_t c, unsigned origin)
{
    char text[16];
    static const char from[] = "\"\\\b\f\n\r\t", to[] = "\"\\bfnrt";
    const char *known = c != 0 && c < 0x80 ? strchr(from, (int)c) : NULL;
    if (known)
        snprintf(text, sizeof(text), "\\%c", to[known - from]);
    else if (c < 0x10000)
        snprintf(text, sizeof(text), "\\u%04" PRIx32, c);
    else
        snprintf(text, sizeof(text), "\\u%04" PRIx32 "\\u%04" PRIx32, 0xd800 + ((c - 0x10000) >> 10),
            0xdc00 + ((c - 0x10000) & 0x3ff));
    return run_add(r, span_of(text), origin);
}

static bool print_json_text(struct json *j, struct value s)
{
    size_t start = 0;
    if (!add(j->r, "\""))
        return false;
    for (size_t at = 0, size; at < s.text.size; at += size) {
        uint32_t c = get_character((struct span){(const uint8_t *)s.text.at + at, s.text.size - at}, &size);
        if (c >= 0x20 && c != '"' && c != '\\' && (!j->style->ascii || c < 0x7f))
            continue;
        if (!run_add_part(j->r, &s, start, at) || !json_escape(j->r, c, value_origin_at(&s.text, at)))
            return false;
        start = at + size;
    }
    return run_add_part(j->r, &s, start, s.text.size) && add(j->r, "\"");
}

/* The line break and indent before an item or a closing bracket, when there are any. */
static bool json_break(struct json *j, unsigned depth)
{
    struct value indent = j->style->indent;
    if (!given(indent))
        return true;
    if (!add(j->r, "\n"))
        return false;
    for (unsigned i = 0; i < depth; i++) {
        if (indent.kind == VALUE_STRING && !run_add_text(j->r, &indent))
            return false;
        for (int64_t k = 0; whole(indent) && k < as_integer(indent); k++)
            if (!run_step(j->r, 1) || !add(j->r, " "))
                return false;
    }
    return true;
}

static bool print_json_list(struct json *j, const struct value_list *l, unsigned depth)
{
    if (l->n == 0)
        return add(j->r, "[]");
    if (!add(j->r, "["))
        return false;
    for (size_t i = 0; i < l->n; i++)
        if ((i > 0 && !run_add_text(j->r, &j->between)) || !json_break(j, depth + 1) ||
            !print_json_at(j, l->items[i], depth + 1))
            return false;
    return json_break(j, depth) && add(j->r, "]");
}

/* Other keys than strings become strings where Python does that. */
static bool print_json_key(struct json *j, struct value key)
{
    if (key.kind == VALUE_STRING)
        return print_json_text(j, key);
    if (key.kind != VALUE_NULL && !is_number(key))
        return run_fail(j->r, "a '%s' cannot be a key of JSON", kind_name(&key));
    return add(j->r, "\"") && print_json_at(j, key, 0) && add(j->r, "\"");
}

static int by_key(const void *a, const void *b)
{
    const struct value_pair *x = a, *y = b;
    return span_compare(value_span(x->key), value_span(y->key));
}

static bool sorted_pairs(struct template_run *r, const struct value_map *m, struct value_pair **out)
{
    struct value_pair *pairs = value_alloc(r->arena, m->n * sizeof(*pairs));
    if (!pairs)
        return run_step(r, 1);
    for (size_t i = 0; i < m->n; i++) {
        if (m->pairs[i].key.kind != VALUE_STRING)
            return run_fail(r, "sorting keys that are no strings is not supported");
        pairs[i] = m->pairs[i];
    }
    qsort(pairs, m->n, sizeof(*pairs), by_key);
    *out = pairs;
    return run_step(r, m->n);
}

static bool print_json_map(struct json *j, const struct value_map *m, unsigned depth)
{
    struct value_pair *pairs = m->pairs;
    if (m->n == 0)
        return add(j->r, "{}");
    if ((j->style->sorted && !sorted_pairs(j->r, m, &pairs)) || !add(j->r, "{"))
        return false;
    for (size_t i = 0; i < m->n; i++)
        if ((i > 0 && !run_add_text(j->r, &j->between)) || !json_break(j, depth + 1) ||
            !print_json_key(j, pairs[i].key) || !run_add_text(j->r, &j->colon) ||
            !print_json_at(j, pairs[i].value, depth + 1))
            return false;
    return json_break(j, depth) && add(j->r, "}");
}

static bool print_json_at(struct json *j, struct value v, unsigned depth)
{
    if (depth > VALUE_DEPTH)
        return run_fail(j->r, "a value is printed that is nested deeper than %d", VALUE_DEPTH);
    if (!run_step(j->r, 1))
        return false;
    switch (v.kind) {
    case VALUE_NULL:
        return add(j->r, "null");
    case VALUE_BOOL:
        return add(j->r, v.boolean ? "true" : "false");
    case VALUE_INTEGER:
        return print_integer(j->r, v.integer);
    case VALUE_FLOAT:
        return print_real(j->r, v.real, true);
    case VALUE_STRING:
        return print_json_text(j, v);
    case VALUE_LIST:
        return print_json_list(j, v.list, depth);
    case VALUE_MAP:
        return print_json_map(j, v.map, depth);
    case VALUE_UNDEFINED:
    case VALUE_OBJECT:
        break;
    }
    return run_fail(j->r, "a '%s' cannot be written as JSON", kind_name(&v));
}

/* If any byte of the text from `start` on is a client's, the template's bytes in it become the client's. */
static void distrust(struct template_run *r, size_t start)
{
    bool trusted = true;
    for (size_t i = start; i < r->size && trusted; i++)
        trusted = r->marks[i] == VALUE_FROM_TEMPLATE;
    for (size_t i = start; i < r->size && !trusted; i++)
        if (r->marks[i] == VALUE_FROM_TEMPLATE)
            r->marks[i] = VALUE_FROM_MESSAGE;
}

bool print_json(struct template_run *r, struct value v, const struct json_style *style)
{
    bool indents = style->indent.kind == VALUE_STRING || whole(style->indent);
    struct json j = {
        .r = r, .style = style, .between = value_literal(indents ? "," : ", "), .colon = value_literal(": ")};
    size_t start = r->size;
    if (style->separators.kind == VALUE_LIST && style->separators.list->n == 2) {
        j.between = style->separators.list->items[0];
        j.colon = style->separators.list->items[1];
        if (j.between.kind != VALUE_STRING || j.colon.kind != VALUE_STRING)
            return run_fail(r, "the separators of JSON must be strings");
    }
    if (!print_json_at(&j, v, 0))
        return false;
    distrust(r, start);
    return true;
}
