/* builder_chars.c - sets of characters as expressions over the bytes of UTF-8.
 *
 * The expression is a tree over lead and continuation bytes. Bytes after which the same may follow are one set, so that
 * the tree is small and a byte never leads to two places.
 */
#include "builder_private.h"

#include <stdlib.h>
#include <string.h>

#define LAST_CHARACTER 0x10ffffu

struct ranges {
    struct grammar_range *at; /* in order, apart from each other */
    size_t n;
};

static int compare_ranges(const void *one, const void *other)
{
    const struct grammar_range *a = one, *b = other;
    return (a->first > b->first) - (a->first < b->first);
}

/* Sorts and joins the ranges. */
static void normalize(struct ranges *r)
{
    size_t n = 0;
    if (r->n > 0)
        qsort(r->at, r->n, sizeof(*r->at), compare_ranges);
    for (size_t i = 0; i < r->n; i++) {
        struct grammar_range next = r->at[i];
        if (next.last > LAST_CHARACTER)
            next.last = LAST_CHARACTER;
        if (next.first > next.last)
            continue;
        if (n > 0 && next.first <= r->at[n - 1].last + 1) {
            if (next.last > r->at[n - 1].last)
                r->at[n - 1].last = next.last;
        } else {
            r->at[n++] = next;
        }
    }
    r->n = n;
}

/* What no range covers; there is room for one more. */
static void complement(struct ranges *r)
{
    uint32_t from = 0;
    size_t n = 0;
    for (size_t i = 0; i < r->n; i++) {
        struct grammar_range next = r->at[i];
        if (from < next.first)
            r->at[n++] = (struct grammar_range){from, next.first - 1};
        from = next.last + 1;
    }
    if (from <= LAST_CHARACTER)
        r->at[n++] = (struct grammar_range){from, LAST_CHARACTER};
    r->n = n;
}

/* Whether characters [first, last] are covered: 0 none, 1 all, 2 some. */
static int covered(const struct ranges *r, uint32_t first, uint32_t last)
{
    size_t low = 0, high = r->n;
    while (low < high) {
        size_t middle = low + (high - low) / 2;
        if (r->at[middle].last < first)
            low = middle + 1;
        else
            high = middle;
    }
    if (low == r->n || r->at[low].first > last)
        return 0;
    return r->at[low].first <= first && r->at[low].last >= last ? 1 : 2;
}

static grammar_node bytes_then(
    struct grammar_builder *b, const grammar_node *after, unsigned first, unsigned n)
{
    grammar_node all = NODE_NEVER;
    for (unsigned i = 0; i < n; i++) {
        struct byte_set set = {{0}};
        bool seen = after[i] == NODE_NEVER;
        for (unsigned k = 0; k < i && !seen; k++)
            seen = after[k] == after[i];
        if (seen)
            continue;
        for (unsigned k = i; k < n; k++)
            if (after[k] == after[i])
                set.bits[(first + k) / 64] |= (uint64_t)1 << ((first + k) % 64);
        all = grammar_either(b, all, grammar_sequence(b, grammar_byte_set(b, set.bits), after[i]));
    }
    return all;
}

/* `left` continuation bytes, for the characters of the block that begins at `base`; only those of [least, most]. */
static grammar_node continuation(
    struct grammar_builder *b, const struct ranges *r, uint32_t base, unsigned left, uint32_t least)
{
    grammar_node after[64];
    if (left == 0)
        return base >= least && covered(r, base, base) ? NODE_EMPTY : NODE_NEVER;
    uint32_t step = 1u << (6 * (left - 1));
    for (unsigned i = 0; i < 64; i++) {
        uint32_t first = base + i * step, last = first + step - 1;
        int some = last < least || first > LAST_CHARACTER ? 0 : covered(r, first, last);
        after[i] = some == 0 ? NODE_NEVER
                   : some == 1 && first >= least && i > 0 && covered(r, first - step, last) == 1 &&
                           first - step >= least
                       ? after[i - 1]
                       : continuation(b, r, first, left - 1, least);
    }
    return bytes_then(b, after, 0x80, 64);
}

static grammar_node characters(struct grammar_builder *b, const struct ranges *r)
{
    static const struct {
        uint8_t first, n, left;
        uint32_t least;
    } leads[] = {{0xc0, 32, 1, 0x80}, {0xe0, 16, 2, 0x800}, {0xf0, 8, 3, 0x10000}};
    grammar_node after[128];
    for (unsigned i = 0; i < 128; i++)
        after[i] = covered(r, i, i) ? NODE_EMPTY : NODE_NEVER;
    grammar_node all = bytes_then(b, after, 0, 128);
    for (size_t k = 0; k < sizeof(leads) / sizeof(leads[0]); k++) {
        for (unsigned i = 0; i < leads[k].n; i++) {
            uint32_t base = i << (6 * leads[k].left);
            after[i] =
                base > LAST_CHARACTER ? NODE_NEVER : continuation(b, r, base, leads[k].left, leads[k].least);
        }
        all = grammar_either(b, all, bytes_then(b, after, leads[k].first, leads[k].n));
    }
    return all;
}

grammar_node grammar_chars(
    struct grammar_builder *b, const struct grammar_range *ranges, size_t n, bool negated)
{
    if (b->failed)
        return NODE_NEVER;
    if (n > b->most_states)
        return grammar_builder_fail(b, "a set of characters has more than %zu ranges", b->most_states);
    /* Room for what surrogates and two complements add. */
    struct ranges r = {.at = malloc((n + 4) * sizeof(*r.at)), .n = n};
    if (!r.at)
        return builder_no_memory(b);
    if (n > 0)
        memcpy(r.at, ranges, n * sizeof(*ranges));
    normalize(&r);
    if (!negated)
        complement(&r);
    r.at[r.n++] = (struct grammar_range){0xd800, 0xdfff};
    normalize(&r);
    complement(&r);
    grammar_node node = characters(b, &r);
    free(r.at);
    return node;
}
