/* merge.c - merges symbols pair by pair, the best pair first, in memory that does not grow with the text.
 *
 * Pairs are in a heap by (rank, place). A pair changes when one of its two symbols merges with another one. Its old entry
 * stays in the heap, and is skipped later because the symbol's rank has changed. Each merge removes one symbol and adds at
 * most two pairs, so n symbols take n log n steps.
 *
 * A long text is merged in windows that overlap. Pairs merge by rank, and equal ranks from the left. So the result for a
 * text is the only sequence of symbols in which no two neighbours would merge across their border if they were merged
 * alone: the first merge across a border would also happen in that pair alone. When two windows have a symbol in common,
 * the pairs up to it are in the first window and the pairs from it on are in the second. So the symbols of the first window
 * up to the common one and those of the second after it are the result for both. When two windows have no symbol in
 * common, the text is merged again with larger windows, in the end with one.
 */
#include "tokenizer_private.h"

#include <stdlib.h>

#define WINDOW ((size_t)8192) /* places of the first windows */

/* ---- one window ---- */

static void swap(uint64_t *a, uint64_t *b)
{
    uint64_t c = *a;
    *a = *b;
    *b = c;
}

static void sink(uint64_t *heap, size_t n, size_t at)
{
    for (size_t child; (child = 2 * at + 1) < n; at = child) {
        if (child + 1 < n && heap[child + 1] < heap[child])
            child++;
        if (heap[at] <= heap[child])
            return;
        swap(&heap[at], &heap[child]);
    }
}

static void rise(uint64_t *heap, size_t at)
{
    while (at > 0 && heap[at] < heap[(at - 1) / 2]) {
        swap(&heap[at], &heap[(at - 1) / 2]);
        at = (at - 1) / 2;
    }
}

/* Ranks the pair that begins at symbol `at`. True with its entry for the heap when it can merge. */
static bool rank_pair(
    const struct tokenizer_session *s, struct merge_window *w, uint32_t at, merge_rank rank, uint64_t *entry)
{
    struct symbol *left = &w->symbols[at];
    left->rank = RANK_NONE;
    if (left->next != NO_SYMBOL)
        rank(s, w, left, &w->symbols[left->next]);
    *entry = (uint64_t)left->rank << 32 | at;
    return left->rank != RANK_NONE;
}

static void push_pair(
    struct tokenizer_session *s, struct merge_window *w, size_t *n, uint32_t at, merge_rank rank)
{
    uint64_t entry;
    if (at == NO_SYMBOL || !rank_pair(s, w, at, rank, &entry))
        return;
    s->heap[*n] = entry;
    rise(s->heap, (*n)++);
}

static uint64_t pop(uint64_t *heap, size_t *n)
{
    uint64_t best = heap[0];
    heap[0] = heap[--*n];
    sink(heap, *n, 0);
    return best;
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

/* Merges the first n symbols of the window, linked in order, until no pair merges. The first symbol stays the first. */
static bool merge_window(
    struct tokenizer_session *s, struct merge_window *w, size_t n_symbols, merge_rank rank)
{
    /* At first an entry for each pair, later two for each merge, which has freed one. */
    if (!session_room(s, &s->heap, &s->heap_room, 2 * n_symbols, sizeof(*s->heap)))
        return false;
    size_t n = 0;
    for (size_t i = 0; i < n_symbols; i++)
        if (rank_pair(s, w, (uint32_t)i, rank, &s->heap[n]))
            n++;
    for (size_t i = n / 2; i > 0; i--)
        sink(s->heap, n, i - 1);
    while (n > 0) {
        uint64_t best = pop(s->heap, &n);
        struct symbol *left = &w->symbols[(uint32_t)best];
        if (left->rank != best >> 32)
            continue;
        join(w, left);
        push_pair(s, w, &n, (uint32_t)best, rank);
        push_pair(s, w, &n, left->previous, rank);
    }
    return true;
}

/* ---- windows ---- */

static struct symbol *next_of(const struct merge_window *w, const struct symbol *symbol)
{
    return symbol->next == NO_SYMBOL ? NULL : &w->symbols[symbol->next];
}

/* Merges the text from the symbol `from` on, at most `places` of it. */
static bool fill_window(struct tokenizer_session *s, const struct merge_text *m, struct merge_window *w,
    const struct symbol *from, size_t places)
{
    size_t n, end = m->places - from->place < places ? m->places : from->place + places;
    w->from = *from;
    return m->link(s, m, w, end, &n) && merge_window(s, w, n, m->rank);
}

/* Emits the symbols from `first` up to `last`, or all when that is NULL. */
static bool emit(struct tokenizer_session *s, const struct merge_text *m, const struct merge_window *w,
    const struct symbol *first, const struct symbol *last)
{
    for (const struct symbol *at = first; at; at = next_of(w, at)) {
        if (!m->emit(s, w, at))
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

enum windows_result { WINDOWS_DONE, WINDOWS_TOO_SMALL, WINDOWS_NO_MEMORY };

/* Emits the whole text in windows of `places`, which overlap by a quarter. */
static enum windows_result merge_windows(
    struct tokenizer_session *s, const struct merge_text *m, size_t places)
{
    static const struct symbol beginning = {0};
    struct merge_window *w = &s->windows[0], *next = &s->windows[1];
    if (!fill_window(s, m, w, &beginning, places))
        return WINDOWS_NO_MEMORY;
    const struct symbol *first = w->symbols;
    while (w->from.place + places < m->places) {
        const struct symbol *a = symbol_at(w, w->from.place + places - places / 4), *b;
        if (a && a->place < first->place)
            a = first;
        if (!a)
            return WINDOWS_TOO_SMALL;
        if (!fill_window(s, m, next, a, places))
            return WINDOWS_NO_MEMORY;
        b = next->symbols;
        if (!find_common(w, &a, next, &b) || !next_of(next, b))
            return WINDOWS_TOO_SMALL;
        if (!emit(s, m, w, first, a))
            return WINDOWS_NO_MEMORY;
        first = next_of(next, b);
        struct merge_window *done = w;
        w = next;
        next = done;
    }
    return emit(s, m, w, first, NULL) ? WINDOWS_DONE : WINDOWS_NO_MEMORY;
}

bool merge_text(struct tokenizer_session *s, const struct merge_text *m)
{
    const size_t before = s->ids->n;
    for (size_t places = WINDOW;; places *= 2) {
        s->ids->n = before;
        enum windows_result result = merge_windows(s, m, places);
        if (result != WINDOWS_TOO_SMALL)
            return result == WINDOWS_DONE;
    }
}
