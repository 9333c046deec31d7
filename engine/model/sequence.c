/* sequence.c - a sequence as a whole: its length, and its parts for each kind of layer. */
#include "sequence_private.h"

#include <stdlib.h>

#define FIRST_ROOM 8 /* page pointers that a sequence starts with */

struct sequence {
    struct kv_cache *cache;
    size_t length;
    struct page_part pages[KV_CLASSES]; /* of the cache's n_classes */
    struct state_part states;
};

static struct sequence *with_room(struct kv_cache *c, size_t room)
{
    struct sequence *s = calloc(1, sizeof(*s));
    bool good = s != NULL;
    for (size_t k = 0; good && k < c->n_classes; k++)
        good = pages_init(&s->pages[k], c, (enum kv_class)k, room);
    if (!good) {
        sequence_free(s);
        return NULL;
    }
    s->cache = c;
    s->states = (struct state_part){.cache = c};
    return s;
}

struct sequence *sequence_new(struct kv_cache *c)
{
    return with_room(c, FIRST_ROOM);
}

void sequence_free(struct sequence *s)
{
    if (!s)
        return;
    for (size_t k = 0; k < KV_CLASSES; k++)
        pages_release(&s->pages[k]);
    states_release(&s->states);
    free(s);
}

const struct kv_cache *sequence_cache(const struct sequence *s)
{
    return s->cache;
}

size_t sequence_length(const struct sequence *s)
{
    return s->length;
}

uint64_t sequence_bytes(const struct sequence *s)
{
    const struct state_part *p = &s->states;
    bool listed = p->n > 0 && p->checkpoints[p->n - 1].state == p->now;
    size_t states = p->n + (p->now && !listed) + (p->next != NULL);
    uint64_t bytes = (uint64_t)states * s->cache->state_bytes;
    for (size_t k = 0; k < KV_CLASSES; k++)
        bytes += (uint64_t)(s->pages[k].n - s->pages[k].first) * s->cache->page_bytes[k];
    return bytes;
}

static void cut_pages(struct sequence *s, size_t pages)
{
    for (size_t k = 0; k < KV_CLASSES; k++)
        pages_cut(&s->pages[k], pages);
}

/* What lies behind the window is given back here and not after a forward call, so that until then the prefix cache, forks
 * and cuts may use all that the call has written. When memory is short, the new pages are freed. */
static bool reserve(struct sequence *s, size_t n, bool checkpoints)
{
    size_t before = s->pages[KV_GLOBAL].n;
    bool good = true;
    pages_give_back(&s->pages[KV_WINDOWED], kv_cache_kept_page(s->cache, s->length));
    for (size_t k = 0; good && k < s->cache->n_classes; k++)
        good = pages_reserve(&s->pages[k], s->length, n);
    if (good && states_reserve(&s->states, s->length, n, checkpoints))
        return true;
    cut_pages(s, before);
    return false;
}

bool sequence_reserve(struct sequence *s, size_t n)
{
    return reserve(s, n, true);
}

bool sequence_reserve_least(struct sequence *s, size_t n)
{
    states_drop_checkpoints(&s->states);
    return reserve(s, n, false);
}

bool sequence_is_reserved(const struct sequence *s, size_t position)
{
    return position / ATTENTION_BLOCK < s->pages[KV_GLOBAL].n &&
           (s->cache->state_bytes == 0 || s->states.next);
}

void sequence_advance(struct sequence *s, size_t n)
{
    if (n > s->length)
        states_advance(&s->states, n);
    s->length = n;
}

void sequence_mark(struct sequence *s, size_t position)
{
    s->states.marked = position;
}

/* The last position up to n at which the sequence can go on. */
static size_t last_point(const struct sequence *s, size_t n)
{
    n = states_point(&s->states, s->length, n);
    return cache_first_page(s->cache, n) >= sequence_first_page(s) ? n : 0;
}

size_t sequence_cut(struct sequence *s, size_t n)
{
    n = last_point(s, n);
    states_cut(&s->states, s->length, n);
    cut_pages(s, pages_for(n));
    return s->length = n;
}

struct sequence *sequence_fork(const struct sequence *s, size_t n)
{
    n = last_point(s, n);
    size_t room = pages_for(n);
    struct sequence *fork = with_room(s->cache, room < FIRST_ROOM ? FIRST_ROOM : room);
    if (!fork)
        return NULL;
    if (!states_fork(&fork->states, &s->states, s->length, n)) {
        sequence_free(fork);
        return NULL;
    }
    for (size_t k = 0; k < s->cache->n_classes; k++)
        pages_fork(&fork->pages[k], &s->pages[k], pages_for(n));
    fork->length = n;
    return fork;
}

/* ---- for a forward call ---- */

uint8_t *const *sequence_pages(const struct sequence *s, enum kv_class class)
{
    return s->pages[class].pages;
}

const float *sequence_state(const struct sequence *s)
{
    return state_values(s->states.now);
}

float *sequence_next_state(const struct sequence *s)
{
    return state_values(s->states.next);
}

float *sequence_next_checkpoint(const struct sequence *s, size_t i, size_t *position)
{
    const struct state_part *p = &s->states;
    size_t first = p->n;
    while (first > 0 && p->checkpoints[first - 1].position > s->length)
        first--;
    if (first + i >= p->n)
        return NULL;
    *position = p->checkpoints[first + i].position;
    return state_values(p->checkpoints[first + i].state);
}

/* ---- pages and states by themselves ---- */

uint8_t *sequence_hold_page(const struct sequence *s, enum kv_class class, size_t i)
{
    const struct page_part *p = &s->pages[class];
    return i < p->n ? page_hold(p->pages[i]) : NULL;
}

bool sequence_share_page(struct sequence *s, enum kv_class class, size_t i, uint8_t *page)
{
    return class >= s->cache->n_classes || pages_share(&s->pages[class], i, page);
}

size_t sequence_first_page(const struct sequence *s)
{
    return s->pages[KV_WINDOWED].first;
}

struct kv_state *sequence_hold_state(const struct sequence *s, size_t n)
{
    return state_hold(states_at(&s->states, s->length, n));
}

struct kv_state *sequence_hold_checkpoint(const struct sequence *s, size_t n)
{
    return n <= s->length ? state_hold(states_checkpoint(&s->states, n)) : NULL;
}

void sequence_resume(struct sequence *s, size_t n, struct kv_state *state)
{
    states_resume(&s->states, s->length, n, state);
    s->length = n;
    pages_give_back(&s->pages[KV_WINDOWED], kv_cache_kept_page(s->cache, n));
}
