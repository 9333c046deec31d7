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

/* What follows a byte that leads to `left` more, for the characters from `first` on; only those of at least `least`. `before`
 * follows the byte in front of it, if there is one: where both lead to all characters, that is the same. */
static grammar_node block(struct grammar_builder *b, const struct ranges *r, uint32_t first, unsigned left,
    uint32_t least, grammar_node before)
{
    grammar_node after[64];
    uint32_t size = 1u << (6 * left), last = first + size - 1;
    int some = last < least || first > LAST_CHARACTER ? 0 : covered(r, first, last);
    if (some == 0)
        return NODE_NEVER;
    if (left == 0)
        return NODE_EMPTY;
    if (some == 1 && before != NODE_NEVER && first >= least + size && covered(r, first - size, last) == 1)
        return before;
    for (unsigned i = 0; i < 64; i++)
        after[i] = block(b, r, first + i * (size / 64), left - 1, least, i > 0 ? after[i - 1] : NODE_NEVER);
    return bytes_then(b, after, 0x80, 64);
}

static grammar_node characters(struct grammar_builder *b, const struct ranges *r)
{
    static const struct {
        uint8_t first, n, left;
        uint32_t least, most;
    } leads[] = {{0, 128, 0, 0, 0x7f}, {0xc0, 32, 1, 0x80, 0x7ff}, {0xe0, 16, 2, 0x800, 0xffff},
        {0xf0, 8, 3, 0x10000, LAST_CHARACTER}};
    grammar_node after[128], all = NODE_NEVER;
    for (size_t k = 0; k < sizeof(leads) / sizeof(leads[0]); k++) {
        if (!covered(r, leads[k].least, leads[k].most))
            continue;
        for (unsigned i = 0; i < leads[k].n; i++)
            after[i] = block(b, r, i << (6 * leads[k].left), leads[k].left, leads[k].least,
                i > 0 ? after[i - 1] : NODE_NEVER);
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
        return grammar_builder_no_memory(b);
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
