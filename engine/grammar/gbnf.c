/* gbnf.c - reads grammars in GBNF, the notation of llama.cpp.
 *
 *     root  ::= item ("," item)*     # a comment
 *     item  ::= [a-z]+ | "\"" [^"\x00-\x1f]{0,80} "\""
 *
 * A rule ends with its line, except that lines go on inside a group and behind "|". Escapes name characters: "\xe4" is
 * U+00E4. Where a rule is defined twice the last definition counts, as in llama.cpp. Tokens of a vocabulary (<[123]> and
 * <name>) are refused.
 */
#include "berth/engine/grammar/sources.h"

#include "berth/base/strbuf.h"
#include "builder_private.h"

#include <stdlib.h>
#include <string.h>

#define NESTED_MOST 256 /* groups in groups: each is a call of this reader */

struct gbnf_rule {
    struct span name;
    grammar_rule number;
    size_t line; /* where it is used first, or defined */
    bool defined;
};

struct gbnf {
    struct grammar_builder *b;
    struct span source;
    size_t at, line, nested;
    struct gbnf_rule *rules;
    struct hash_index names;
    grammar_node *items; /* of the sequences that are being read, the outer ones first */
    struct grammar_range *ranges;
    struct strbuf literal;
    uint32_t n_rules, room_rules, n_items, room_items, n_ranges, room_ranges;
};

static int peek(const struct gbnf *p, size_t ahead)
{
    return ahead < p->source.size - p->at ? p->source.at[p->at + ahead] : -1;
}

static bool skip(struct gbnf *p, char c)
{
    if (peek(p, 0) != (uint8_t)c)
        return false;
    p->at++;
    return true;
}

/* Fails with what was expected, and what is there instead. */
static grammar_node unexpected(struct gbnf *p, const char *expected)
{
    char text[64] = "the end";
    size_t left = p->source.size - p->at;
    if (left > 0) {
        text[0] = '"';
        size_t n = text_escape(text + 1, 40, (struct span){p->source.at + p->at, left < 12 ? left : 12});
        memcpy(text + 1 + n, "\"", 2);
    }
    return grammar_builder_fail(p->b, "line %zu: %s was expected, and %s is there", p->line, expected, text);
}

/* Skips white space and comments; ends of lines too with `lines`. */
static void space(struct gbnf *p, bool lines)
{
    for (int c; (c = peek(p, 0)) >= 0; p->at++) {
        bool end = c == '\n' || (c == '\r' && peek(p, 1) == '\n');
        if (c == '#') {
            while (peek(p, 1) >= 0 && peek(p, 1) != '\n' && peek(p, 1) != '\r')
                p->at++;
        } else if (end ? !lines : c != ' ' && c != '\t') {
            return;
        }
        p->line += c == '\n';
    }
}

static bool is_word(int c)
{
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '-' || c == '_';
}

static struct span word(struct gbnf *p)
{
    size_t start = p->at;
    while (is_word(peek(p, 0)))
        p->at++;
    return (struct span){p->source.at + start, p->at - start};
}

/* The rule of this name, new when it is not known. NULL when the builder has failed. */
static struct gbnf_rule *rule_of(struct gbnf *p, struct span name)
{
    uint32_t hash = hash_of(name.at, name.size, 0), at = 0, item;
    while ((item = hash_index_next(&p->names, hash, &at)) != NO_INDEX)
        if (span_compare(p->rules[item].name, name) == 0)
            return &p->rules[item];
    if (!array_grow(&p->rules, &p->room_rules, (size_t)p->n_rules + 1, sizeof(*p->rules)) ||
        !hash_index_add(&p->names, hash, p->n_rules))
        grammar_builder_no_memory(p->b);
    grammar_rule number = grammar_rule_new(p->b);
    if (grammar_builder_failed(p->b))
        return NULL;
    p->rules[p->n_rules] = (struct gbnf_rule){.name = name, .number = number, .line = p->line};
    return &p->rules[p->n_rules++];
}

/* ---- characters ---- */

/* Reads `n` hexadecimal digits. False when others are there. */
static bool hex(struct gbnf *p, unsigned n, uint32_t *out)
{
    uint32_t value = 0;
    for (; n > 0; n--, p->at++) {
        int c = peek(p, 0), low = c | 0x20;
        if (c >= '0' && c <= '9')
            value = value << 4 | (uint32_t)(c - '0');
        else if (low >= 'a' && low <= 'f')
            value = value << 4 | (uint32_t)(low - 'a' + 10);
        else
            return false;
    }
    *out = value;
    return true;
}

static bool escape(struct gbnf *p, uint32_t *out)
{
    static const struct {
        char name;
        uint8_t digits; /* of a number in base 16, or 0: */
        char character;
    } escapes[] = {{'x', 2, 0}, {'u', 4, 0}, {'U', 8, 0}, {'n', 0, '\n'}, {'r', 0, '\r'}, {'t', 0, '\t'},
        {'\\', 0, '\\'}, {'"', 0, '"'}, {'[', 0, '['}, {']', 0, ']'}};
    for (size_t i = 0; i < sizeof(escapes) / sizeof(escapes[0]); i++) {
        if (!skip(p, escapes[i].name))
            continue;
        *out = (uint8_t)escapes[i].character;
        if (escapes[i].digits == 0)
            return true;
        if (hex(p, escapes[i].digits, out) && *out <= 0x10ffff && (*out < 0xd800 || *out > 0xdfff))
            return true;
        grammar_builder_fail(p->b, "line %zu: \\%c needs %d hexadecimal digits that name a character",
            p->line, escapes[i].name, escapes[i].digits);
        return false;
    }
    unexpected(p, "an escape: x, u, U, n, r, t, \\, \", [ or ]");
    return false;
}

/* One character of a literal or a set. False, with the builder failed, when there is none. */
static bool character(struct gbnf *p, uint32_t *out)
{
    struct span left = {p->source.at + p->at, p->source.size - p->at};
    if (skip(p, '\\'))
        return escape(p, out);
    size_t n = text_character(left);
    if (n == 0) {
        unexpected(p, "a character");
        return false;
    }
    static const uint8_t bits[] = {0, 0x7f, 0x1f, 0x0f, 0x07};
    *out = left.at[0] & bits[n];
    for (size_t i = 1; i < n; i++)
        *out = *out << 6 | (left.at[i] & 0x3f);
    p->at += n;
    p->line += *out == '\n';
    return true;
}

static void add_utf8(struct strbuf *out, uint32_t c)
{
    uint8_t bytes[4] = {(uint8_t)c};
    size_t n = c < 0x80 ? 1 : c < 0x800 ? 2 : c < 0x10000 ? 3 : 4;
    for (size_t i = n; n > 1 && i-- > 0; c >>= 6)
        bytes[i] = (uint8_t)(i > 0 ? 0x80 | (c & 0x3f) : (0xf00 >> n & 0xff) | c);
    strbuf_add(out, (struct span){bytes, n});
}

static grammar_node literal(struct gbnf *p)
{
    uint32_t c;
    strbuf_cut(&p->literal, 0);
    while (!skip(p, '"')) {
        if (!character(p, &c))
            return NODE_NEVER;
        add_utf8(&p->literal, c);
    }
    if (p->literal.failed)
        return grammar_builder_no_memory(p->b);
    return grammar_literal(p->b, (struct span){(const uint8_t *)p->literal.text, p->literal.size});
}

static grammar_node set(struct gbnf *p)
{
    bool negated = skip(p, '^');
    for (p->n_ranges = 0; !skip(p, ']'); p->n_ranges++) {
        struct grammar_range r;
        if (!character(p, &r.first))
            return NODE_NEVER;
        r.last = r.first;
        if (peek(p, 0) == '-' && peek(p, 1) != ']') {
            p->at++;
            if (!character(p, &r.last))
                return NODE_NEVER;
        }
        if (r.last < r.first)
            return grammar_builder_fail(
                p->b, "line %zu: a range of characters ends before it begins", p->line);
        if (!array_grow(&p->ranges, &p->room_ranges, (size_t)p->n_ranges + 1, sizeof(*p->ranges)))
            return grammar_builder_no_memory(p->b);
        p->ranges[p->n_ranges] = r;
    }
    return grammar_chars(p->b, p->ranges, p->n_ranges, negated);
}

/* ---- expressions ---- */

static grammar_node alternatives(struct gbnf *p);

static grammar_node group(struct gbnf *p)
{
    if (p->nested == NESTED_MOST)
        return grammar_builder_fail(
            p->b, "line %zu: groups are nested more than %d deep", p->line, NESTED_MOST);
    p->nested++;
    space(p, true);
    grammar_node node = alternatives(p);
    p->nested--;
    if (!grammar_builder_failed(p->b) && !skip(p, ')'))
        return unexpected(p, "\")\"");
    return node;
}

/* One item of a sequence. NODE_NEVER, with nothing read and `*none` set, when none begins here. */
static grammar_node item(struct gbnf *p, bool *none)
{
    int c = peek(p, 0);
    if (is_word(c)) {
        struct span name = word(p);
        const struct gbnf_rule *rule = rule_of(p, name);
        return rule ? grammar_call(p->b, rule->number) : NODE_NEVER;
    }
    if (c == '<' || (c == '!' && peek(p, 1) == '<'))
        return grammar_builder_fail(p->b,
            "line %zu: tokens of the vocabulary, as <[123]> or <name>, cannot be used in a grammar here",
            p->line);
    if (skip(p, '"'))
        return literal(p);
    if (skip(p, '['))
        return set(p);
    if (skip(p, '('))
        return group(p);
    if (skip(p, '.'))
        return grammar_chars(p->b, NULL, 0, true);
    *none = true;
    return NODE_NEVER;
}

static bool number(struct gbnf *p, size_t *out)
{
    int c = peek(p, 0);
    if (c < '0' || c > '9') {
        unexpected(p, "a number");
        return false;
    }
    for (*out = 0; (c = peek(p, 0)) >= '0' && c <= '9'; p->at++)
        if (*out < 1000000000)
            *out = *out * 10 + (size_t)(c - '0');
    space(p, p->nested > 0);
    return true;
}

/* "{n}", "{n,}" and "{n,m}" behind the brace. */
static grammar_node counted(struct gbnf *p, grammar_node node)
{
    size_t least, most;
    space(p, p->nested > 0);
    if (!number(p, &least))
        return NODE_NEVER;
    most = least;
    if (skip(p, ',')) {
        space(p, p->nested > 0);
        most = GRAMMAR_UNBOUNDED;
        if (peek(p, 0) != '}' && !number(p, &most))
            return NODE_NEVER;
    }
    if (!skip(p, '}'))
        return unexpected(p, "\"}\"");
    if (most < least)
        return grammar_builder_fail(p->b, "line %zu: {%zu,%zu} counts down", p->line, least, most);
    return grammar_repeat(p->b, node, least, most);
}

/* What follows an item: any number of *, +, ? and counts. */
static grammar_node repeated(struct gbnf *p, grammar_node node)
{
    while (!grammar_builder_failed(p->b)) {
        if (skip(p, '*'))
            node = grammar_repeat(p->b, node, 0, GRAMMAR_UNBOUNDED);
        else if (skip(p, '+'))
            node = grammar_repeat(p->b, node, 1, GRAMMAR_UNBOUNDED);
        else if (skip(p, '?'))
            node = grammar_optional(p->b, node);
        else if (skip(p, '{'))
            node = counted(p, node);
        else
            break;
        space(p, p->nested > 0);
    }
    return node;
}

static grammar_node sequence(struct gbnf *p)
{
    uint32_t first = p->n_items;
    for (bool none = false; !grammar_builder_failed(p->b);) {
        grammar_node node = item(p, &none);
        if (none)
            break;
        space(p, p->nested > 0);
        node = repeated(p, node);
        if (!array_grow(&p->items, &p->room_items, (size_t)p->n_items + 1, sizeof(*p->items)))
            grammar_builder_no_memory(p->b);
        else
            p->items[p->n_items++] = node;
    }
    /* Nested to the right, so that what follows an item is one frame on a stack. */
    grammar_node all = NODE_EMPTY;
    while (p->n_items > first)
        all = grammar_sequence(p->b, p->items[--p->n_items], all);
    return all;
}

static grammar_node alternatives(struct gbnf *p)
{
    grammar_node all = sequence(p);
    while (!grammar_builder_failed(p->b) && skip(p, '|')) {
        space(p, true);
        all = grammar_either(p->b, all, sequence(p));
    }
    return all;
}

/* ---- rules ---- */

static void read_rule(struct gbnf *p)
{
    struct span name = word(p);
    size_t line = p->line;
    if (name.size == 0) {
        unexpected(p, "the name of a rule");
        return;
    }
    struct gbnf_rule *rule = rule_of(p, name);
    space(p, false);
    if (!rule || peek(p, 0) != ':' || peek(p, 1) != ':' || peek(p, 2) != '=') {
        unexpected(p, "\"::=\"");
        return;
    }
    p->at += 3;
    grammar_rule defines = rule->number;
    rule->defined = true;
    builder_name_rule(p->b, defines, name, line);
    space(p, true);
    grammar_rule_define(p->b, defines, alternatives(p));
    if (!grammar_builder_failed(p->b) && peek(p, 0) >= 0 && peek(p, 0) != '\n' && peek(p, 0) != '\r')
        unexpected(p, "an item, \"|\" or the end of the rule");
}

static grammar_node root_of(struct gbnf *p)
{
    const struct gbnf_rule *root = NULL;
    for (uint32_t i = 0; i < p->n_rules; i++) {
        const struct gbnf_rule *r = &p->rules[i];
        if (!r->defined)
            return grammar_builder_fail(p->b, "line %zu: the rule \"%.*s\" is not defined", r->line,
                r->name.size < 200 ? (int)r->name.size : 200, (const char *)r->name.at);
        if (span_is(r->name, "root"))
            root = r;
    }
    return root ? grammar_call(p->b, root->number)
                : grammar_builder_fail(p->b, "the rule \"root\" is not defined");
}

grammar_node grammar_gbnf(struct grammar_builder *b, struct span source)
{
    struct gbnf p = {.b = b, .source = source, .line = 1};
    if (grammar_builder_failed(b))
        return NODE_NEVER;
    strbuf_init(&p.literal, source.size + 64);
    space(&p, true);
    while (!grammar_builder_failed(b) && p.at < source.size) {
        read_rule(&p);
        space(&p, true);
    }
    grammar_node root = grammar_builder_failed(b) ? NODE_NEVER : root_of(&p);
    strbuf_release(&p.literal);
    free(p.names.slots);
    free(p.rules);
    free(p.items);
    free(p.ranges);
    return root;
}
