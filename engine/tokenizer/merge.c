/* merge.c - merges symbols pair by pair, the best pair first, in memory that does not grow with the text.
 *
 * Pairs are in a heap by (rank, place). A pair changes when one of its two symbols merges with another one. Its old entry
 * stays in the heap, and is skipped later because the symbol's rank has changed. Each merge removes one symbol and adds at
 * most two pairs, so n symbols take n log n steps. A few symbols need no heap: the best pair is looked for.
 *
 * Most pairs of a long text come many times, so what they merge into is kept in a small table of the session, in front of
 * the vocabulary's own, which are larger than a processor's caches.
 *
 * A long text is merged in windows that overlap. Pairs merge by rank, and equal ranks from the left. So the result for a
 * text is the only sequence of symbols in which no two neighbours would merge across their border if they were merged
 * alone: the first merge across a border would also happen in that pair alone. When two windows have a symbol in common,
 * the pairs up to it are in the first window and the pairs from it on are in the second. So the symbols of the first window
 * up to the common one and those of the second after it are the result for both. When two windows have no symbol in
 * common, the first is made larger, in the end as large as the text.
 */
#include "tokenizer_private.h"

#include "berth/engine/tokenizer/unicode.h"

#include <stdlib.h>
#include <string.h>

#define WINDOW ((size_t)1024) /* bytes of a window */
#define OVERLAP 3 /* an eighth of a window is in the next one, too; twice as much where that is too little */
#define FEW 24 /* symbols that need no heap */
#define WAYS 4 /* children of an entry of the heap */
#define PAIRS_BITS 12 /* of the number of rows in the table of pairs, 64 KB */
#define PAIRS_FROM ((size_t)4096) /* bytes of a text for which it is worth its time */

/* ---- the heap ---- */

static void sink(uint64_t *heap, size_t n, size_t at)
{
    const uint64_t entry = heap[at];
    for (size_t child; (child = WAYS * at + 1) < n;) {
        size_t best = child;
        if (child + WAYS <= n) { /* without branches, which no processor could predict */
            const size_t low = child + (heap[child + 1] < heap[child]);
            const size_t high = child + 2 + (heap[child + 3] < heap[child + 2]);
            best = heap[high] < heap[low] ? high : low;
        } else {
            for (size_t i = child + 1; i < n; i++)
                best = heap[i] < heap[best] ? i : best;
        }
        if (entry <= heap[best])
            break;
        heap[at] = heap[best];
        at = best;
    }
    heap[at] = entry;
}

static void rise(uint64_t *heap, size_t at)
{
    const uint64_t entry = heap[at];
    for (size_t parent; at > 0 && entry < heap[parent = (at - 1) / WAYS]; at = parent)
        heap[at] = heap[parent];
    heap[at] = entry;
}

static uint64_t pop(uint64_t *heap, size_t *n)
{
    uint64_t best = heap[0];
    heap[0] = heap[--*n];
    sink(heap, *n, 0);
    return best;
}

/* ---- pairs that came before ---- */

/* The row of the table in which a pair of tokens belongs. NULL for a pair that is not kept. */
static struct pair_found *pair_row(
    const struct tokenizer_session *s, const struct symbol *left, const struct symbol *right, uint64_t *key)
{
    if (!s->pairs || left->id < 0 || right->id < 0)
        return NULL;
    const bool by_others = left->by_others || right->by_others;
    *key = (uint64_t)(uint32_t)left->id << 32 | (uint64_t)by_others << 31 | (uint32_t)right->id;
    return &s->pairs[(*key * 0x9e3779b97f4a7c15u) >> (64 - PAIRS_BITS)];
}

/* A short text is done before the table is of use. Without memory there is none. */
static void keep_pairs(struct tokenizer_session *s, size_t bytes)
{
    s->n_merged += bytes;
    s->overlap = s->overlap ? s->overlap : OVERLAP;
    if (s->pairs || s->n_merged < PAIRS_FROM)
        return;
    s->pairs = malloc(sizeof(*s->pairs) << PAIRS_BITS);
    if (s->pairs)
        memset(s->pairs, 0xff, sizeof(*s->pairs) << PAIRS_BITS); /* no pair has this key */
}

/* ---- one window ---- */

/* Ranks the pair that begins at symbol `at`. True with its entry for the heap when it can merge. */
static bool rank_pair(const struct tokenizer_session *s, const struct merge_text *m, struct merge_window *w,
    uint32_t at, uint64_t *entry)
{
    struct symbol *left = &w->symbols[at];
    uint64_t key = 0;
    left->rank = RANK_NONE;
    if (left->next != NO_SYMBOL) {
        const struct symbol *right = &w->symbols[left->next];
        struct pair_found *row = pair_row(s, left, right, &key);
        if (row && row->key == key) {
            left->rank = row->rank;
            left->merged = row->merged;
        } else {
            m->rank(s, m, left, right);
            if (row)
                *row = (struct pair_found){key, left->rank, left->merged};
        }
    }
    *entry = (uint64_t)left->rank << 32 | at;
    return left->rank != RANK_NONE;
}

static void push_pair(
    struct tokenizer_session *s, const struct merge_text *m, struct merge_window *w, size_t *n, uint32_t at)
{
    uint64_t entry;
    if (at == NO_SYMBOL || !rank_pair(s, m, w, at, &entry))
        return;
    s->heap[*n] = entry;
    rise(s->heap, (*n)++);
}

/* Makes `left` the merged symbol of both, and removes the right one from the list. */
static void join(struct merge_window *w, struct symbol *left)
{
    struct symbol *right = &w->symbols[left->next];
    left->id = left->merged;
    left->size += right->size;
    left->by_others = left->by_others || right->by_others;
    left->next = right->next;
    right->rank = RANK_NONE;
    if (left->next != NO_SYMBOL)
        w->symbols[left->next].previous = (uint32_t)(left - w->symbols);
}

static void merge_few(
    const struct tokenizer_session *s, const struct merge_text *m, struct merge_window *w, size_t n)
{
    uint64_t entry;
    for (uint32_t i = 0; i < n; i++)
        rank_pair(s, m, w, i, &entry);
    for (;;) {
        uint32_t best = 0;
        for (uint32_t i = 0; i != NO_SYMBOL; i = w->symbols[i].next)
            if (w->symbols[i].rank < w->symbols[best].rank)
                best = i;
        struct symbol *left = &w->symbols[best];
        if (left->rank == RANK_NONE)
            return;
        join(w, left);
        rank_pair(s, m, w, best, &entry);
        if (left->previous != NO_SYMBOL)
            rank_pair(s, m, w, left->previous, &entry);
    }
}

static bool merge_many(
    struct tokenizer_session *s, const struct merge_text *m, struct merge_window *w, size_t n_symbols)
{
    /* At first an entry for each pair, later two for each merge, which has freed one. */
    if (!session_room(s, &s->heap, &s->heap_room, 2 * n_symbols, sizeof(*s->heap)))
        return false;
    size_t n = 0;
    for (size_t i = 0; i < n_symbols; i++)
        if (rank_pair(s, m, w, (uint32_t)i, &s->heap[n]))
            n++;
    for (size_t i = n / WAYS + 1; i > 0; i--)
        if (i <= n)
            sink(s->heap, n, i - 1);
    while (n > 0) {
        uint64_t best = pop(s->heap, &n);
        struct symbol *left = &w->symbols[(uint32_t)best];
        if (left->rank != best >> 32)
            continue;
        join(w, left);
        push_pair(s, m, w, &n, (uint32_t)best);
        push_pair(s, m, w, &n, left->previous);
    }
    return true;
}

/* Makes the symbols of the window, linked in order. The last symbol is whole, even when it reaches beyond the end. */
static size_t link_symbols(
    const struct tokenizer_session *s, const struct merge_text *m, struct merge_window *w, size_t end)
{
    size_t n = 0;
    for (size_t at = w->from; at < end; n++) {
        struct symbol *symbol = &w->symbols[n];
        *symbol = (struct symbol){.place = (uint32_t)at,
            .next = (uint32_t)n + 1,
            .previous = (uint32_t)n - 1, /* of the first that is NO_SYMBOL */
            .size = (uint32_t)m->size(m->text, at)};
        symbol->by_others = m->trusted && is_by_others(m->trusted + at, symbol->size);
        symbol->id = m->id(s, m, symbol);
        at += symbol->size;
    }
    w->symbols[n - 1].next = NO_SYMBOL;
    return n;
}

/* Whether two windows have the same bytes, by the same authors, up to the end of any last character. */
static bool is_repeated(
    const struct merge_text *m, const struct merge_window *a, const struct merge_window *b, size_t bytes)
{
    size_t later = a->from > b->from ? a->from : b->from, rest = m->text.size - later;
    size_t size = bytes + UNICODE_BYTES < rest ? bytes + UNICODE_BYTES : rest;
    return a->bytes == bytes && memcmp(m->text.at + a->from, m->text.at + b->from, size) == 0 &&
           (!m->trusted || memcmp(m->trusted + a->from, m->trusted + b->from, size) == 0) && size > bytes;
}

/* Merges `bytes` of the text from `from` on. A window that repeats the other one has its symbols: most texts that are one
 * long word repeat themselves. False when memory is short. */
static bool fill_window(struct tokenizer_session *s, const struct merge_text *m, struct merge_window *w,
    size_t from, size_t bytes)
{
    size_t end = m->text.size - from < bytes ? m->text.size : from + bytes;
    const struct merge_window *other = &s->windows[w == &s->windows[0]];
    w->from = from;
    w->bytes = 0;
    if (!session_room(s, &w->symbols, &w->symbols_room, end - from, sizeof(*w->symbols)))
        return false;
    if (is_repeated(m, other, w, end - from)) {
        for (size_t i = 0; i < other->n; i++) {
            w->symbols[i] = other->symbols[i];
            w->symbols[i].place += (uint32_t)(from - other->from);
        }
        w->n = other->n;
    } else {
        w->n = link_symbols(s, m, w, end);
        if (w->n <= FEW)
            merge_few(s, m, w, w->n);
        else if (!merge_many(s, m, w, w->n))
            return false;
    }
    w->bytes = end - from;
    return true;
}

/* ---- windows ---- */

static const struct symbol *next_of(const struct merge_window *w, const struct symbol *symbol)
{
    return symbol->next == NO_SYMBOL ? NULL : &w->symbols[symbol->next];
}

/* Emits the symbols from `first` up to `last`, or all when that is NULL. */
static bool emit(struct tokenizer_session *s, const struct merge_text *m, const struct merge_window *w,
    const struct symbol *first, const struct symbol *last)
{
    for (const struct symbol *at = first; at; at = next_of(w, at)) {
        if (!m->emit(s, m, at))
            return false;
        if (at == last)
            break;
    }
    return true;
}

/* The first symbol of the window that begins at or after this place; NULL for none. */
static const struct symbol *symbol_at(const struct merge_window *w, size_t place)
{
    const struct symbol *at = w->symbols;
    while (at && at->place < place)
        at = next_of(w, at);
    return at;
}

/* Moves *a and *b forward to a symbol that both windows have. False when there is none. The last symbol of a window does
 * not count, because it may have been cut. */
static bool find_common(const struct merge_window *wa, const struct symbol **a, const struct merge_window *wb,
    const struct symbol **b)
{
    while (*a && *b) {
        const struct symbol *next_a = next_of(wa, *a), *next_b = next_of(wb, *b);
        if (!next_a || !next_b)
            return false;
        if ((*a)->place == (*b)->place && next_a->place == next_b->place)
            return true;
        if ((*a)->place <= (*b)->place)
            *a = next_a;
        else
            *b = next_b;
    }
    return false;
}

enum overlap { OVERLAP_FOUND, OVERLAP_NONE, OVERLAP_NO_MEMORY };

/* After a window that had to be larger the next ones are smaller again. */
static size_t next_bytes(size_t bytes)
{
    return bytes > 2 * WINDOW ? bytes / 2 : WINDOW;
}

/* Fills the next window so that it overlaps the last part of this one, from the symbol `first` on at the earliest, and
 * finds a symbol that both have: *a in this one, *b in the next. */
static enum overlap overlap(struct tokenizer_session *s, const struct merge_text *m, size_t bytes,
    const struct symbol *first, const struct symbol **a, const struct symbol **b)
{
    struct merge_window *w = &s->windows[0], *next = &s->windows[1];
    *a = symbol_at(w, w->from + bytes - (bytes >> s->overlap));
    if (*a && (*a)->place < first->place)
        *a = first;
    if (!*a)
        return OVERLAP_NONE;
    if (!fill_window(s, m, next, (*a)->place, next_bytes(bytes)))
        return OVERLAP_NO_MEMORY;
    *b = next->symbols;
    return find_common(w, a, next, b) && next_of(next, *b) ? OVERLAP_FOUND : OVERLAP_NONE;
}

/* Emits all of the text from one window. */
static bool merge_whole(struct tokenizer_session *s, const struct merge_text *m)
{
    struct merge_window *w = &s->windows[0];
    return fill_window(s, m, w, 0, m->text.size) && emit(s, m, w, w->symbols, NULL);
}

bool merge_text(struct tokenizer_session *s, const struct merge_text *m)
{
    struct merge_window *w = &s->windows[0];
    const struct symbol *first, *a, *b;
    const size_t before = s->ids->n;
    size_t bytes = WINDOW, done = 0; /* done: the place up to which symbols are emitted */
    s->windows[0].bytes = s->windows[1].bytes = 0; /* what they hold is of another text */
    keep_pairs(s, m->text.size);
    if (m->text.size <= WINDOW)
        return merge_whole(s, m);
    if (!fill_window(s, m, w, 0, bytes))
        return false;
    while ((first = symbol_at(w, done)) && first->place == done) {
        if (w->from + bytes >= m->text.size)
            return emit(s, m, w, first, NULL);
        enum overlap result = overlap(s, m, bytes, first, &a, &b);
        if (result == OVERLAP_NO_MEMORY)
            return false;
        if (result == OVERLAP_NONE) {
            s->overlap = OVERLAP - 1;
            bytes *= 2;
            if (!fill_window(s, m, w, w->from, bytes))
                return false;
            continue;
        }
        if (!emit(s, m, w, first, a))
            return false;
        done = next_of(&s->windows[1], b)->place;
        bytes = next_bytes(bytes);
        const struct merge_window filled = *w;
        *w = s->windows[1];
        s->windows[1] = filled;
    }
    s->ids->n = before; /* a larger window has other borders than the smaller one had */
    return merge_whole(s, m);
}
