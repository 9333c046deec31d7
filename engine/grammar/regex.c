/* regex.c - reads a regular expression into an expression of the builder.
 *
 * An anchor is no text, so a part of the pattern is not one expression but four: those of its texts that must stand at
 * the start of the whole or not, and at its end or not. In a sequence a part that must stand at the end can be followed
 * by empty text alone. So anchors are exact wherever they stand but in a repetition.
 *
 * Where ECMA-262 and Python differ about a class, \w or \s, the pattern matches what it matches in both.
 */
#include "berth/engine/grammar/sources.h"

#include "regex_private.h"

#include <string.h>

#define DEPTH_MOST 64 /* groups in each other */
#define REPEAT_MOST 100000
#define PATTERN_MOST ((size_t)1 << 16)

struct regex_reader {
    struct grammar_builder *b;
    struct span pattern;
    size_t at;
    unsigned depth;
    enum char_writing writing;
    bool widest;
};

/* Texts of a part: [must stand at the start][must stand at the end]. */
struct regex_part {
    grammar_node texts[2][2];
    bool empty[2][2]; /* the empty text is among them */
};

static struct regex_part read_choice(struct regex_reader *r);

static bool at_end(const struct regex_reader *r)
{
    return r->at >= r->pattern.size || grammar_builder_failed(r->b);
}

static uint8_t peek(const struct regex_reader *r, size_t ahead)
{
    return r->at + ahead < r->pattern.size ? r->pattern.at[r->at + ahead] : 0;
}

static bool take(struct regex_reader *r, const char *text)
{
    size_t size = strlen(text);
    if (r->pattern.size - r->at < size || memcmp(r->pattern.at + r->at, text, size) != 0)
        return false;
    r->at += size;
    return true;
}

static void refuse(struct regex_reader *r, const char *what, size_t at)
{
    grammar_builder_fail(r->b, "regular expression: %s at byte %zu", what, at);
}

static struct regex_part part_of(grammar_node node, bool empty)
{
    return (struct regex_part){.texts[0][0] = node, .empty[0][0] = empty};
}

/* ---- characters ---- */

static uint32_t read_character(struct regex_reader *r)
{
    struct span rest = {r->pattern.at + r->at, r->pattern.size - r->at};
    size_t length = text_character(rest);
    if (!length) {
        refuse(r, "the pattern is not UTF-8 or ends too early", r->at);
        return 0;
    }
    r->at += length;
    return char_decode(rest, length);
}

static int hex_value(uint8_t c)
{
    if (c >= '0' && c <= '9')
        return c - '0';
    c |= 0x20;
    return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

static uint32_t read_hex(struct regex_reader *r, unsigned digits)
{
    uint32_t value = 0;
    for (unsigned i = 0; i < digits; i++) {
        int digit = hex_value(peek(r, 0));
        if (digit < 0) {
            refuse(r, "an escape without its hexadecimal digits", r->at);
            return 0;
        }
        value = value * 16 + (uint32_t)digit;
        r->at++;
    }
    return value;
}

static uint32_t read_unicode(struct regex_reader *r)
{
    uint32_t value = 0;
    if (take(r, "{")) {
        while (hex_value(peek(r, 0)) >= 0 && value <= CHAR_LAST)
            value = value * 16 + (uint32_t)hex_value(r->pattern.at[r->at++]);
        if (!take(r, "}") || value > CHAR_LAST)
            refuse(r, "a code point that is none", r->at);
        return value;
    }
    value = read_hex(r, 4);
    if (value >= 0xd800 && value < 0xdc00 && take(r, "\\u")) {
        uint32_t low = read_hex(r, 4);
        if (low < 0xdc00 || low > 0xdfff)
            refuse(r, "half of a surrogate pair", r->at);
        value = 0x10000 + ((value - 0xd800) << 10) + (low - 0xdc00);
    }
    return value;
}

/* The character of an escape whose backslash is taken. */
static uint32_t read_escape(struct regex_reader *r)
{
    static const char names[] = "tnvfr", is[] = "\t\n\v\f\r";
    size_t start = r->at - 1;
    uint8_t c = peek(r, 0);
    const char *named = c ? strchr(names, c) : NULL;
    r->at += r->at < r->pattern.size;
    if (named)
        return (uint32_t)is[named - names];
    if (c == 'x')
        return read_hex(r, 2);
    if (c == 'u')
        return read_unicode(r);
    if (c == 'c' && (peek(r, 0) | 0x20) >= 'a' && (peek(r, 0) | 0x20) <= 'z')
        return r->pattern.at[r->at++] & 0x1f;
    if (c == '0' && (peek(r, 0) < '0' || peek(r, 0) > '9'))
        return 0;
    if (c >= '0' && c <= '9')
        refuse(r, "a back reference is not supported:", start);
    else if (c == 'k')
        refuse(r, "a back reference is not supported:", start);
    else if (c == 'b' || c == 'B')
        refuse(r, "a word border (\\b, \\B) is not supported:", start);
    else if (c == 'p' || c == 'P')
        refuse(r, "a Unicode property (\\p, \\P) is not supported:", start);
    else if (!c || c >= 0x80 || ((c | 0x20) >= 'a' && (c | 0x20) <= 'z'))
        refuse(r, "an unknown escape", start);
    return c;
}

/* A class has two meanings, what it surely contains and what it may contain: a negated set leaves out the latter. */
struct char_class {
    const struct grammar_range *sure, *maybe;
    size_t n_sure, n_maybe;
};

static const struct grammar_range digits_sure[] = {{'0', '9'}},
                                  digits_maybe[] = {{'0', '9'}, {0x660, CHAR_LAST}};
static const struct grammar_range word_sure[] = {{'0', '9'}, {'A', 'Z'}, {'_', '_'}, {'a', 'z'}};
static const struct grammar_range word_maybe[] = {
    {'0', '9'}, {'A', 'Z'}, {'_', '_'}, {'a', 'z'}, {0x80, CHAR_LAST}};
static const struct grammar_range space_sure[] = {{9, 13}, {' ', ' '}, {0xa0, 0xa0}, {0x1680, 0x1680},
    {0x2000, 0x200a}, {0x2028, 0x2029}, {0x202f, 0x202f}, {0x205f, 0x205f}, {0x3000, 0x3000}};
static const struct grammar_range space_maybe[] = {{9, 13}, {0x1c, ' '}, {0x85, 0x85}, {0xa0, 0xa0},
    {0x1680, 0x1680}, {0x180e, 0x180e}, {0x2000, 0x200a}, {0x2028, 0x2029}, {0x202f, 0x202f},
    {0x205f, 0x205f}, {0x3000, 0x3000}, {0xfeff, 0xfeff}};
static const struct grammar_range line_ends[] = {{'\n', '\n'}, {'\r', '\r'}, {0x2028, 0x2029}};

#define COUNT(table) (sizeof(table) / sizeof((table)[0]))

static const struct char_class classes[] = {
    {digits_sure, digits_maybe, COUNT(digits_sure), COUNT(digits_maybe)},
    {word_sure, word_maybe, COUNT(word_sure), COUNT(word_maybe)},
    {space_sure, space_maybe, COUNT(space_sure), COUNT(space_maybe)},
};

/* Adds a class escape, \d and the like, if one comes. `widest`: with all that the class may contain. */
static bool take_class(struct regex_reader *r, struct char_set *set, bool widest)
{
    static const char names[] = "dws";
    uint8_t c = peek(r, 0) == '\\' ? peek(r, 1) : 0;
    const char *found = c ? strchr(names, c | 0x20) : NULL;
    if (!found || (c | 0x20) == ' ')
        return false;
    const struct char_class *class = &classes[found - names];
    bool negated = c < 'a';
    r->at += 2;
    if (widest != negated)
        char_set_add_table(set, class->maybe, class->n_maybe, negated);
    else
        char_set_add_table(set, class->sure, class->n_sure, negated);
    return true;
}

/* One end of a range in a set. */
static uint32_t read_in_set(struct regex_reader *r)
{
    if (!take(r, "\\"))
        return read_character(r);
    if (take(r, "b"))
        return 8;
    return read_escape(r);
}

static void read_range(struct regex_reader *r, struct char_set *set)
{
    size_t start = r->at;
    uint32_t first = read_in_set(r), last = first;
    if (peek(r, 0) == '-' && peek(r, 1) && peek(r, 1) != ']') {
        r->at++;
        if (peek(r, 0) == '\\' && peek(r, 1) && strchr("dwsDWS", peek(r, 1)))
            refuse(r, "a class as the end of a range", start);
        last = read_in_set(r);
    }
    if (last < first)
        refuse(r, "a range that ends before it begins", start);
    char_set_add(set, first, last);
}

static struct regex_part finish_set(struct regex_reader *r, struct char_set *set)
{
    char_set_settle(set);
    grammar_node node = char_set_node(r->b, set, r->writing);
    char_set_free(set);
    return part_of(node, false);
}

/* A set whose bracket is taken. */
static struct regex_part read_set(struct regex_reader *r)
{
    struct char_set set = {0};
    size_t start = r->at - 1;
    bool negated = take(r, "^");
    while (!at_end(r) && peek(r, 0) != ']')
        if (!take_class(r, &set, negated != r->widest))
            read_range(r, &set);
    if (!take(r, "]"))
        refuse(r, "a set without its end", start);
    if (negated)
        char_set_negate(&set);
    return finish_set(r, &set);
}

static struct regex_part read_literal(struct regex_reader *r)
{
    struct char_set set = {0};
    if (!take_class(r, &set, r->widest)) {
        uint32_t c = take(r, "\\") ? read_escape(r) : read_character(r);
        char_set_add(&set, c, c);
    }
    return finish_set(r, &set);
}

static struct regex_part any_in_line(struct regex_reader *r)
{
    struct char_set set = {0};
    char_set_add_table(&set, line_ends, r->widest ? 1 : COUNT(line_ends), true);
    return finish_set(r, &set);
}

/* ---- sequences, choices, repetitions ---- */

static void add_texts(
    struct grammar_builder *b, struct regex_part *part, int start, int end, grammar_node texts, bool empty)
{
    part->texts[start][end] = grammar_either(b, part->texts[start][end], texts);
    part->empty[start][end] = part->empty[start][end] || empty;
}

static void sequence_of(struct grammar_builder *b, struct regex_part *out, const struct regex_part *x,
    const struct regex_part *y, int start, int end)
{
    grammar_node before = x->texts[start][0], after = y->texts[0][end];
    if (before != NODE_NEVER && after != NODE_NEVER)
        add_texts(
            b, out, start, end, grammar_sequence(b, before, after), x->empty[start][0] && y->empty[0][end]);
    if (x->texts[start][1] != NODE_NEVER && y->empty[0][end])
        add_texts(b, out, start, 1, x->texts[start][1], x->empty[start][1]);
    if (x->empty[start][0] && y->texts[1][end] != NODE_NEVER)
        add_texts(b, out, 1, end, y->texts[1][end], y->empty[1][end]);
    if (x->empty[start][1] && y->empty[1][end])
        add_texts(b, out, 1, 1, NODE_EMPTY, true);
}

static struct regex_part sequence(
    struct grammar_builder *b, const struct regex_part *x, const struct regex_part *y)
{
    struct regex_part out = {0};
    for (int i = 0; i < 4; i++)
        sequence_of(b, &out, x, y, i / 2, i % 2);
    return out;
}

static bool read_number(struct regex_reader *r, size_t *out)
{
    size_t start = r->at, value = 0;
    while (peek(r, 0) >= '0' && peek(r, 0) <= '9' && value <= REPEAT_MOST)
        value = value * 10 + (size_t)(r->pattern.at[r->at++] - '0');
    if (value > REPEAT_MOST)
        refuse(r, "a repetition of more than 100000 times", start);
    *out = value;
    return r->at > start;
}

/* {n}, {n,}, {n,m} or {,m}. Anything else in braces is text, and r stays where it is. */
static bool take_counts(struct regex_reader *r, size_t *least, size_t *most)
{
    size_t start = r->at;
    if (!take(r, "{"))
        return false;
    bool has_least = read_number(r, least), comma = take(r, ","), has_most = comma && read_number(r, most);
    if (!(has_least || has_most) || !take(r, "}")) {
        r->at = start;
        return false;
    }
    if (!comma)
        *most = *least;
    else if (!has_most)
        *most = GRAMMAR_UNBOUNDED;
    if (*most < *least)
        refuse(r, "a repetition whose limits are in the wrong order", start);
    return true;
}

static bool take_quantifier(struct regex_reader *r, size_t *least, size_t *most)
{
    *least = 0;
    *most = GRAMMAR_UNBOUNDED;
    if (take(r, "+"))
        *least = 1;
    else if (take(r, "?"))
        *most = 1;
    else if (!take(r, "*") && !take_counts(r, least, most))
        return false;
    if (peek(r, 0) == '+')
        refuse(r, "a possessive quantifier is not supported:", r->at);
    take(r, "?");
    return true;
}

static struct regex_part repeat(struct regex_reader *r, struct regex_part part, size_t start)
{
    size_t least, most;
    if (!take_quantifier(r, &least, &most))
        return part;
    bool anchored =
        part.texts[0][1] != NODE_NEVER || part.texts[1][0] != NODE_NEVER || part.texts[1][1] != NODE_NEVER;
    if (!anchored)
        return part_of(grammar_repeat(r->b, part.texts[0][0], least, most), part.empty[0][0] || !least);
    if (most != 1)
        refuse(r, "an anchor in a repetition is not supported:", start);
    if (!least)
        add_texts(r->b, &part, 0, 0, NODE_EMPTY, true);
    return part;
}

/* What follows "(?". */
static void read_group_kind(struct regex_reader *r, size_t start)
{
    if (take(r, ":"))
        return;
    if (peek(r, 0) == '=' || peek(r, 0) == '!') {
        refuse(r, "look-ahead is not supported:", start);
    } else if (peek(r, 0) == '<' && (peek(r, 1) == '=' || peek(r, 1) == '!')) {
        refuse(r, "look-behind is not supported:", start);
    } else if (take(r, "P<") || take(r, "<")) {
        while (peek(r, 0) && peek(r, 0) != '>')
            r->at++;
        if (!take(r, ">"))
            refuse(r, "a group's name without its end", start);
    } else if (take(r, "P=")) {
        refuse(r, "a back reference is not supported:", start);
    } else {
        refuse(r, "flags, conditions and atomic groups are not supported:", start);
    }
}

/* A group whose bracket is taken. */
static struct regex_part read_group(struct regex_reader *r)
{
    size_t start = r->at - 1;
    struct regex_part part = {0};
    if (take(r, "?"))
        read_group_kind(r, start);
    if (++r->depth > DEPTH_MOST)
        refuse(r, "groups are nested too deep", start);
    if (!at_end(r))
        part = read_choice(r);
    r->depth--;
    if (!take(r, ")"))
        refuse(r, "a group without its end", start);
    return part;
}

/* In Python $ also stands before a line end that ends the text. */
static struct regex_part end_of_text(struct regex_reader *r)
{
    struct regex_part end = {.texts[0][1] = NODE_EMPTY, .empty[0][1] = true};
    if (r->widest)
        end.texts[0][1] = grammar_optional(r->b, char_text(r->b, span_of("\n"), r->writing));
    return end;
}

static struct regex_part read_atom(struct regex_reader *r)
{
    if (take(r, "("))
        return read_group(r);
    if (take(r, "["))
        return read_set(r);
    if (take(r, "."))
        return any_in_line(r);
    if (take(r, "^") || take(r, "\\A"))
        return (struct regex_part){.texts[1][0] = NODE_EMPTY, .empty[1][0] = true};
    if (take(r, "$"))
        return end_of_text(r);
    if (take(r, "\\Z") || take(r, "\\z"))
        return (struct regex_part){.texts[0][1] = NODE_EMPTY, .empty[0][1] = true};
    if (peek(r, 0) && strchr("*+?", peek(r, 0)))
        refuse(r, "nothing to repeat", r->at);
    return read_literal(r);
}

static struct regex_part read_sequence(struct regex_reader *r)
{
    struct regex_part all = part_of(NODE_EMPTY, true);
    while (!at_end(r) && peek(r, 0) != '|' && peek(r, 0) != ')') {
        size_t start = r->at;
        struct regex_part atom = read_atom(r);
        atom = repeat(r, atom, start);
        all = sequence(r->b, &all, &atom);
    }
    return all;
}

static struct regex_part read_choice(struct regex_reader *r)
{
    struct regex_part all = read_sequence(r);
    while (!at_end(r) && take(r, "|")) {
        struct regex_part other = read_sequence(r);
        for (int i = 0; i < 4; i++)
            add_texts(r->b, &all, i / 2, i % 2, other.texts[i / 2][i % 2], other.empty[i / 2][i % 2]);
    }
    return all;
}

grammar_node regex_node(struct grammar_builder *b, struct span pattern, bool anywhere,
    enum char_writing writing, enum regex_reading reading)
{
    struct regex_reader r = {
        .b = b, .pattern = pattern, .writing = writing, .widest = reading == REGEX_WIDEST};
    grammar_node all = NODE_NEVER, any = NODE_EMPTY;
    if (pattern.size > PATTERN_MOST)
        return grammar_builder_fail(b, "a regular expression of more than %zu bytes", PATTERN_MOST);
    struct regex_part part = read_choice(&r);
    if (r.at < pattern.size)
        refuse(&r, "a closing bracket without its group", r.at);
    if (anywhere)
        any = grammar_repeat(b, char_any(b, writing), 0, GRAMMAR_UNBOUNDED);
    for (int i = 0; i < 4; i++) {
        grammar_node texts = part.texts[i / 2][i % 2];
        if (texts == NODE_NEVER)
            continue;
        if (i / 2 == 0)
            texts = grammar_sequence(b, any, texts);
        if (i % 2 == 0)
            texts = grammar_sequence(b, texts, any);
        all = grammar_either(b, all, texts);
    }
    return grammar_builder_failed(b) ? NODE_NEVER : all;
}

grammar_node grammar_regex(struct grammar_builder *b, struct span pattern, bool anywhere)
{
    return regex_node(b, pattern, anywhere, CHAR_RAW, REGEX_SURE);
}
