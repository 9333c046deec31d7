/* json.c - the syntax of JSON, with bounds where a model could go on for ever: white space and digits. */
#include "json_private.h"

#include "regex_private.h"

#include <stdio.h>
#include <stdlib.h>

#define INDENT_MOST 40 /* spaces */
#define TABS_MOST 10
#define DIGITS_MOST 15 /* before the point, and behind it: a double stores 15 */
#define INTEGER_DIGITS_MOST 18

grammar_node json_text(struct json_parts *p, const char *text)
{
    return grammar_literal(p->b, span_of(text));
}

static grammar_node bytes_of(struct json_parts *p, const char *bytes)
{
    uint64_t set[4] = {0};
    for (; *bytes; bytes++)
        set[(uint8_t)*bytes / 64] |= (uint64_t)1 << ((uint8_t)*bytes % 64);
    return grammar_byte_set(p->b, set);
}

/* Calls the rule, after `make` made it. The rule exists before, because it may call itself. */
static grammar_node part(
    struct json_parts *p, struct json_part *shared, grammar_node (*make)(struct json_parts *p))
{
    if (!shared->made) {
        shared->made = true;
        shared->rule = grammar_rule_new(p->b);
        grammar_rule_define(p->b, shared->rule, make(p));
    }
    return grammar_call(p->b, shared->rule);
}

static grammar_node chain(struct json_parts *p, const grammar_node *nodes, size_t n)
{
    grammar_node all = nodes[n - 1];
    while (--n)
        all = grammar_sequence(p->b, nodes[n - 1], all);
    return all;
}

#define CHAIN(p, ...)                                                                                        \
    chain(p, (grammar_node[]){__VA_ARGS__}, sizeof((grammar_node[]){__VA_ARGS__}) / sizeof(grammar_node))

/* ---- between tokens ---- */

static grammar_node make_indent(struct json_parts *p)
{
    return grammar_either(p->b, grammar_repeat(p->b, json_text(p, " "), 0, INDENT_MOST),
        grammar_repeat(p->b, json_text(p, "\t"), 1, TABS_MOST));
}

grammar_node json_line(struct json_parts *p)
{
    if (p->o->compact)
        return NODE_EMPTY;
    grammar_node line = grammar_sequence(p->b, json_text(p, "\n"), part(p, &p->indent, make_indent));
    return grammar_optional(p->b, grammar_either(p->b, json_text(p, " "), line));
}

grammar_node json_comma(struct json_parts *p)
{
    return grammar_sequence(p->b, json_text(p, ","), json_line(p));
}

static grammar_node space(struct json_parts *p)
{
    return p->o->compact ? NODE_EMPTY : grammar_optional(p->b, json_text(p, " "));
}

grammar_node json_colon(struct json_parts *p)
{
    return grammar_sequence(p->b, json_text(p, ":"), space(p));
}

grammar_node json_between(struct json_parts *p, const char *brackets, grammar_node inner)
{
    char open[2] = {brackets[0], 0}, close[2] = {brackets[1], 0};
    return CHAIN(p, json_text(p, open), json_line(p), inner, json_line(p), json_text(p, close));
}

grammar_node json_series(struct json_parts *p, grammar_node item, size_t least, size_t most)
{
    grammar_node more = grammar_sequence(p->b, json_comma(p), item);
    return grammar_sequence(p->b, item,
        grammar_repeat(p->b, more, least ? least - 1 : 0, most == GRAMMAR_UNBOUNDED ? most : most - 1));
}

/* ---- strings ---- */

/* \uXXXX of a character, or of the two halves of one beyond U+FFFF; a half never stands alone. */
static grammar_node unicode_escape(struct json_parts *p)
{
    grammar_node hex = bytes_of(p, "0123456789abcdefABCDEF"), d = bytes_of(p, "dD");
    grammar_node two = grammar_repeat(p->b, hex, 2, 2);
    grammar_node plain = CHAIN(p, bytes_of(p, "0123456789abcefABCEF"), hex, two);
    grammar_node below = CHAIN(p, d, bytes_of(p, "01234567"), two);
    grammar_node pair =
        CHAIN(p, d, bytes_of(p, "89abAB"), two, json_text(p, "\\u"), d, bytes_of(p, "cdefCDEF"), two);
    return grammar_sequence(
        p->b, json_text(p, "u"), grammar_either(p->b, plain, grammar_either(p->b, below, pair)));
}

grammar_node json_character(struct json_parts *p)
{
    static const struct grammar_range plain[] = {{0x20, 0x21}, {0x23, 0x5b}, {0x5d, CHAR_LAST}};
    grammar_node escape = grammar_either(p->b, bytes_of(p, "\"\\/bfnrt"), unicode_escape(p));
    return grammar_either(
        p->b, grammar_chars(p->b, plain, 3, false), grammar_sequence(p->b, json_text(p, "\\"), escape));
}

static grammar_node make_string(struct json_parts *p)
{
    grammar_node quote = json_text(p, "\"");
    return CHAIN(p, quote, grammar_repeat(p->b, json_character(p), 0, GRAMMAR_UNBOUNDED), quote);
}

grammar_node json_any_string(struct json_parts *p)
{
    return part(p, &p->string, make_string);
}

grammar_node json_key(struct json_parts *p, struct span name)
{
    return grammar_sequence(p->b, char_quoted(p->b, name, ":"), space(p));
}

/* ---- numbers ---- */

static grammar_node digits(struct json_parts *p, size_t least, size_t most)
{
    return grammar_repeat(p->b, bytes_of(p, "0123456789"), least, most);
}

static grammar_node whole_part(struct json_parts *p, size_t most)
{
    grammar_node some = grammar_sequence(p->b, bytes_of(p, "123456789"), digits(p, 0, most - 1));
    return grammar_either(p->b, json_text(p, "0"), some);
}

/* A number with 15 digits before the point and this exponent is below the largest double. */
static grammar_node exponent(struct json_parts *p)
{
    grammar_node ten = digits(p, 1, 1);
    grammar_node hundred = CHAIN(p, json_text(p, "1"), ten, ten);
    grammar_node more = CHAIN(p, json_text(p, "2"), bytes_of(p, "012345678"), ten);
    grammar_node value = grammar_either(p->b, digits(p, 1, 2), grammar_either(p->b, hundred, more));
    return CHAIN(p, bytes_of(p, "eE"), grammar_optional(p->b, bytes_of(p, "+-")), value);
}

static grammar_node make_number(struct json_parts *p)
{
    grammar_node fraction = grammar_sequence(p->b, json_text(p, "."), digits(p, 1, DIGITS_MOST));
    return CHAIN(p, grammar_optional(p->b, json_text(p, "-")), whole_part(p, DIGITS_MOST),
        grammar_optional(p->b, fraction), grammar_optional(p->b, exponent(p)));
}

/* So few digits that the nearest double is not a whole number. */
static grammar_node make_fraction(struct json_parts *p)
{
    grammar_node fraction = CHAIN(p, json_text(p, "."), digits(p, 0, 5), bytes_of(p, "123456789"));
    return CHAIN(p, grammar_optional(p->b, json_text(p, "-")), whole_part(p, 9), fraction);
}

static grammar_node make_integer(struct json_parts *p)
{
    grammar_node some =
        grammar_sequence(p->b, bytes_of(p, "123456789"), digits(p, 0, INTEGER_DIGITS_MOST - 1));
    return grammar_either(
        p->b, json_text(p, "0"), grammar_sequence(p->b, grammar_optional(p->b, json_text(p, "-")), some));
}

grammar_node json_any_number(struct json_parts *p)
{
    return part(p, &p->number, make_number);
}

grammar_node json_any_fraction(struct json_parts *p)
{
    return part(p, &p->fraction, make_fraction);
}

grammar_node json_any_integer(struct json_parts *p)
{
    return part(p, &p->integer, make_integer);
}

/* ---- values ---- */

grammar_node json_literal_bool(struct json_parts *p, bool truth)
{
    if (p->o->style == JSON_STYLE_PYTHON)
        return grammar_tag(
            p->b, json_text(p, truth ? "True" : "False"), truth ? JSON_TAG_TRUE : JSON_TAG_FALSE);
    return json_text(p, truth ? "true" : "false");
}

grammar_node json_literal_null(struct json_parts *p)
{
    if (p->o->style == JSON_STYLE_PYTHON)
        return grammar_tag(p->b, json_text(p, "None"), JSON_TAG_NULL);
    return json_text(p, "null");
}

static grammar_node in_brackets(struct json_parts *p, const char *brackets, grammar_node item)
{
    return grammar_either(
        p->b, json_text(p, brackets), json_between(p, brackets, json_series(p, item, 1, GRAMMAR_UNBOUNDED)));
}

static grammar_node make_list(struct json_parts *p)
{
    return in_brackets(p, "[]", json_any(p));
}

static grammar_node make_object(struct json_parts *p)
{
    return in_brackets(p, "{}", CHAIN(p, json_any_string(p), json_colon(p), json_any(p)));
}

static grammar_node make_value(struct json_parts *p)
{
    grammar_node all = grammar_either(p->b, json_any_object(p), json_any_list(p));
    all = grammar_either(p->b, all, grammar_either(p->b, json_any_string(p), json_any_number(p)));
    return grammar_either(p->b, all,
        grammar_either(p->b, grammar_either(p->b, json_literal_bool(p, true), json_literal_bool(p, false)),
            json_literal_null(p)));
}

grammar_node json_any_list(struct json_parts *p)
{
    return part(p, &p->list, make_list);
}

grammar_node json_any_object(struct json_parts *p)
{
    return part(p, &p->object, make_object);
}

grammar_node json_any(struct json_parts *p)
{
    return part(p, &p->value, make_value);
}

static grammar_node constant_number(struct json_parts *p, struct value v)
{
    char text[40];
    if (v.kind == VALUE_INTEGER) {
        snprintf(text, sizeof(text), "%lld", (long long)v.integer);
        return json_text(p, text);
    }
    for (int precision = 15; precision <= 17; precision++) {
        snprintf(text, sizeof(text), "%.*g", precision, v.real);
        if (!(strtod(text, NULL) < v.real) && !(strtod(text, NULL) > v.real))
            break;
    }
    return json_text(p, text);
}

static grammar_node constant_at(struct json_parts *p, struct value v, unsigned depth);

static grammar_node constant_series(struct json_parts *p, struct value v, unsigned depth)
{
    bool map = v.kind == VALUE_MAP;
    size_t n = map ? v.map->n : v.list->n;
    grammar_node all = NODE_EMPTY;
    for (size_t i = n; i-- > 0;) {
        grammar_node item = map ? grammar_sequence(p->b, json_key(p, value_span(v.map->pairs[i].key)),
                                      constant_at(p, v.map->pairs[i].value, depth + 1))
                                : constant_at(p, v.list->items[i], depth + 1);
        if (i + 1 < n)
            item = CHAIN(p, item, json_comma(p), all);
        all = item;
    }
    const char *brackets = map ? "{}" : "[]";
    return n ? json_between(p, brackets, all) : json_text(p, brackets);
}

static grammar_node constant_at(struct json_parts *p, struct value v, unsigned depth)
{
    if (depth > VALUE_DEPTH)
        return grammar_builder_fail(p->b, "a constant is nested deeper than %d levels", VALUE_DEPTH);
    switch (v.kind) {
    case VALUE_NULL:
        return json_literal_null(p);
    case VALUE_BOOL:
        return json_literal_bool(p, v.boolean);
    case VALUE_INTEGER:
    case VALUE_FLOAT:
        return constant_number(p, v);
    case VALUE_STRING:
        return char_quoted(p->b, value_span(v), "");
    case VALUE_LIST:
    case VALUE_MAP:
        return constant_series(p, v, depth);
    case VALUE_UNDEFINED:
    case VALUE_OBJECT:
        break;
    }
    return grammar_builder_fail(p->b, "a constant is no JSON value");
}

grammar_node json_constant(struct json_parts *p, struct value v)
{
    return constant_at(p, v, 0);
}

grammar_node grammar_json(struct grammar_builder *b, const struct json_schema_options *o)
{
    return json_any(&(struct json_parts){.b = b, .o = o});
}

grammar_node grammar_json_object(struct grammar_builder *b, const struct json_schema_options *o)
{
    return json_any_object(&(struct json_parts){.b = b, .o = o});
}
