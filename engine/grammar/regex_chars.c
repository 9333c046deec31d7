/* regex_chars.c - sets of characters as sorted ranges, and how JSON writes them. */
#include "regex_private.h"
#include "builder_private.h"

#include <stdlib.h>
#include <string.h>

#define RANGES_MOST ((size_t)1 << 17) /* of one set: more than a pattern can name */
#define SETTLE_FROM 64

void char_set_free(struct char_set *s)
{
    free(s->ranges);
    *s = (struct char_set){0};
}

void char_set_add(struct char_set *s, uint32_t first, uint32_t last)
{
    if (s->failed || first > last)
        return;
    bool settled = s->n == s->room && s->n >= SETTLE_FROM;
    if (settled)
        char_set_settle(s); /* classes that come over and over are one */
    if (s->n == s->room || (settled && s->n > s->room / 2)) {
        size_t room = s->room ? s->room * 2 : 8;
        struct grammar_range *ranges =
            room > RANGES_MOST ? NULL : realloc(s->ranges, room * sizeof(*s->ranges));
        if (!ranges) {
            s->failed = true;
            return;
        }
        s->ranges = ranges;
        s->room = room;
    }
    s->ranges[s->n++] = (struct grammar_range){first, last};
}

void char_set_add_table(struct char_set *s, const struct grammar_range *ranges, size_t n, bool negated)
{
    uint32_t next = 0;
    for (size_t i = 0; i < n; i++) {
        if (!negated)
            char_set_add(s, ranges[i].first, ranges[i].last);
        else if (ranges[i].first > next)
            char_set_add(s, next, ranges[i].first - 1);
        next = ranges[i].last + 1;
    }
    if (negated && next <= CHAR_LAST)
        char_set_add(s, next, CHAR_LAST);
}

static int by_first(const void *one, const void *other)
{
    const struct grammar_range *a = one, *b = other;
    return a->first < b->first ? -1 : a->first > b->first;
}

void char_set_settle(struct char_set *s)
{
    size_t kept = 0;
    if (s->n > 1)
        qsort(s->ranges, s->n, sizeof(*s->ranges), by_first);
    for (size_t i = 0; i < s->n; i++) {
        struct grammar_range r = s->ranges[i];
        if (kept && r.first <= s->ranges[kept - 1].last + 1) {
            if (r.last > s->ranges[kept - 1].last)
                s->ranges[kept - 1].last = r.last;
        } else {
            s->ranges[kept++] = r;
        }
    }
    s->n = kept;
}

void char_set_negate(struct char_set *s)
{
    struct char_set negated = {.failed = s->failed};
    char_set_settle(s);
    char_set_add_table(&negated, s->ranges, s->n, true);
    char_set_free(s);
    *s = negated;
}

static bool contains(const struct char_set *s, uint32_t c)
{
    for (size_t i = 0; i < s->n && s->ranges[i].first <= c; i++)
        if (c <= s->ranges[i].last)
            return true;
    return false;
}

static void set_byte(uint64_t set[4], unsigned byte)
{
    set[byte / 64] |= (uint64_t)1 << (byte % 64);
}

/* The escapes of the characters that must not stand in a string as they are, after the backslash. */
static grammar_node escaped(struct grammar_builder *b, const struct char_set *s)
{
    static const struct {
        uint8_t is, written;
    } shorts[] = {{'"', '"'}, {'\\', '\\'}, {8, 'b'}, {9, 't'}, {10, 'n'}, {12, 'f'}, {13, 'r'}};
    static const char digits[] = "0123456789abcdef";
    uint64_t letters[4] = {0}, low[2][4] = {{0}};
    bool any_low[2] = {false, false};
    grammar_node all = NODE_NEVER;
    for (uint32_t c = 0; c < 32; c++) {
        if (!contains(s, c) || c == 8 || c == 9 || c == 10 || c == 12 || c == 13)
            continue;
        set_byte(low[c / 16], (unsigned)digits[c % 16]);
        if (c % 16 > 9)
            set_byte(low[c / 16], (unsigned)digits[c % 16] - 32);
        any_low[c / 16] = true;
    }
    for (size_t i = 0; i < sizeof(shorts) / sizeof(shorts[0]); i++)
        if (contains(s, shorts[i].is))
            set_byte(letters, shorts[i].written);
    all = grammar_byte_set(b, letters);
    for (unsigned i = 0; i < 2; i++)
        if (any_low[i])
            all = grammar_either(b, all,
                grammar_sequence(
                    b, grammar_literal(b, span_of(i ? "u001" : "u000")), grammar_byte_set(b, low[i])));
    return all;
}

/* Ranges of the set without those characters. */
static void add_plain(struct char_set *plain, const struct grammar_range *r)
{
    static const struct grammar_range allowed[] = {{0x20, 0x21}, {0x23, 0x5b}, {0x5d, CHAR_LAST}};
    for (size_t i = 0; i < 3; i++) {
        uint32_t first = r->first > allowed[i].first ? r->first : allowed[i].first;
        uint32_t last = r->last < allowed[i].last ? r->last : allowed[i].last;
        char_set_add(plain, first, last);
    }
}

grammar_node char_set_node(struct grammar_builder *b, const struct char_set *s, enum char_writing writing)
{
    struct char_set plain = {.failed = s->failed};
    bool special = false;
    for (size_t i = 0; i < s->n; i++) {
        const struct grammar_range *r = &s->ranges[i];
        special = special || r->first < 0x20 || (r->first <= '"' && r->last >= '"') ||
                  (r->first <= '\\' && r->last >= '\\');
        if (writing == CHAR_JSON)
            add_plain(&plain, r);
        else
            char_set_add(&plain, r->first, r->last);
    }
    grammar_node node = NODE_NEVER;
    if (plain.failed)
        builder_no_memory(b);
    else if (plain.n)
        node = grammar_chars(b, plain.ranges, plain.n, false);
    if (special && writing == CHAR_JSON && !plain.failed)
        node = grammar_either(b, node, grammar_sequence(b, grammar_literal(b, span_of("\\")), escaped(b, s)));
    char_set_free(&plain);
    return node;
}

grammar_node char_any(struct grammar_builder *b, enum char_writing writing)
{
    struct grammar_range all = {0, CHAR_LAST};
    return char_set_node(b, &(struct char_set){.ranges = &all, .n = 1}, writing);
}

uint32_t char_decode(struct span s, size_t length)
{
    static const uint8_t lead[] = {0, 0x7f, 0x1f, 0x0f, 0x07};
    uint32_t c = s.at[0] & lead[length];
    for (size_t i = 1; i < length; i++)
        c = c << 6 | (s.at[i] & 0x3f);
    return c;
}

/* Writes the bytes by which JSON writes `c` into out[6], and returns how many. */
static size_t write_escaped(uint8_t out[6], uint8_t c)
{
    static const char shorts[] = "\b\t\n\f\r\"\\", letters[] = "btnfr\"\\";
    const char *found = c ? strchr(shorts, c) : NULL;
    out[0] = '\\';
    if (found) {
        out[1] = (uint8_t)letters[found - shorts];
        return 2;
    }
    memcpy(out + 1, "u00", 3);
    out[4] = (uint8_t)('0' + c / 16);
    out[5] = (uint8_t) "0123456789abcdef"[c % 16];
    return 6;
}

/* The literal of `before`, the text in this writing, and `after`. */
static grammar_node text_between(struct grammar_builder *b, const char *before, struct span text,
    const char *after, enum char_writing writing)
{
    size_t n = strlen(before), ends = n + strlen(after);
    uint8_t *out = text.size < SIZE_MAX / 8 ? malloc(text.size * 6 + ends + 1) : NULL;
    if (!out)
        return builder_no_memory(b);
    memcpy(out, before, n);
    for (size_t i = 0; i < text.size;) {
        size_t length = text_character((struct span){text.at + i, text.size - i});
        uint8_t c = text.at[i];
        if (!length) {
            free(out);
            return grammar_builder_fail(b, "a text is not UTF-8");
        }
        if (writing == CHAR_JSON && length == 1 && (c < 0x20 || c == '"' || c == '\\')) {
            n += write_escaped(out + n, c);
        } else {
            memcpy(out + n, text.at + i, length);
            n += length;
        }
        i += length;
    }
    memcpy(out + n, after, strlen(after));
    n += strlen(after);
    grammar_node node = n ? grammar_literal(b, (struct span){out, n}) : NODE_EMPTY;
    free(out);
    return node;
}

grammar_node char_text(struct grammar_builder *b, struct span text, enum char_writing writing)
{
    return text_between(b, "", text, "", writing);
}

grammar_node char_quoted(struct grammar_builder *b, struct span text, const char *after)
{
    char close[8] = "\"";
    strncat(close, after, sizeof(close) - 2);
    return text_between(b, "\"", text, close, CHAR_JSON);
}
