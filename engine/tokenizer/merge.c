/* merge.c - merges symbols pair by pair, the best pair of all first.
 *
 * Pairs wait in a heap by (rank, place). A pair changes when one of its two symbols merges with another; its
 * old entry stays in the heap and is known as stale when it comes up, since the symbol's rank is another by
 * then. Each merge takes one symbol away and adds two pairs at most, so n symbols take n log n steps,
 * whatever they are.
 */
#include "tokenizer_private.h"

#include <stdlib.h>

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
static bool rank_pair(const struct tokenizer_session *s, uint32_t at, merge_rank rank, uint64_t *entry)
{
    struct symbol *left = &s->symbols[at];
    left->rank = RANK_NONE;
    if (left->next != NO_SYMBOL)
        rank(s, left, &s->symbols[left->next]);
    *entry = (uint64_t)left->rank << 32 | at;
    return left->rank != RANK_NONE;
}

static void push_pair(struct tokenizer_session *s, size_t *n, uint32_t at, merge_rank rank)
{
    uint64_t entry;
    if (at == NO_SYMBOL || !rank_pair(s, at, rank, &entry))
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

/* The left symbol takes the right one in, which nobody reaches any more. */
static void join(struct tokenizer_session *s, struct symbol *left)
{
    struct symbol *right = &s->symbols[left->next];
    left->id = left->merged;
    left->size += right->size;
    left->next = right->next;
    right->rank = RANK_NONE;
    if (left->next != NO_SYMBOL)
        s->symbols[left->next].previous = (uint32_t)(left - s->symbols);
}

bool merge_symbols(struct tokenizer_session *s, size_t n_symbols, merge_rank rank)
{
    /* First each pair once, later two for each merge, of which one takes a place that was freed. */
    if (!session_room(s, &s->heap, &s->heap_room, 2 * n_symbols, sizeof(*s->heap)))
        return false;
    size_t n = 0;
    for (size_t i = 0; i < n_symbols; i++)
        if (rank_pair(s, (uint32_t)i, rank, &s->heap[n]))
            n++;
    for (size_t i = n / 2; i > 0; i--)
        sink(s->heap, n, i - 1);
    while (n > 0) {
        uint64_t best = pop(s->heap, &n);
        struct symbol *left = &s->symbols[(uint32_t)best];
        if (left->rank != best >> 32)
            continue;
        join(s, left);
        push_pair(s, &n, (uint32_t)best, rank);
        push_pair(s, &n, left->previous, rank);
    }
    return true;
}
