/* sequence.c - a sequence as a whole: its length, and its parts for each kind of layer. */
#include "sequence_private.h"

#include <stdlib.h>

#define FIRST_ROOM 8 /* page pointers that a sequence starts with */

struct sequence {
    struct kv_cache *cache;
    size_t length;
    struct page_part pages;
    struct state_part states;
};

static struct sequence *with_room(struct kv_cache *c, size_t room)
{
    struct sequence *s = calloc(1, sizeof(*s));
    if (!s || !pages_init(&s->pages, c, room)) {
        free(s);
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
    pages_release(&s->pages);
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
    return (uint64_t)s->pages.n * s->cache->page_bytes + (uint64_t)states * s->cache->state_bytes;
}

/* When there is no memory for the states, the new pages are freed. */
static bool reserve(struct sequence *s, size_t n, bool checkpoints)
{
    size_t before = s->pages.n;
    if (!pages_reserve(&s->pages, s->length, n))
        return false;
    if (states_reserve(&s->states, s->length, n, checkpoints))
        return true;
    pages_cut(&s->pages, before);
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
    return position / ATTENTION_BLOCK < s->pages.n && (s->cache->state_bytes == 0 || s->states.next);
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

size_t sequence_cut(struct sequence *s, size_t n)
{
    s->length = states_cut(&s->states, s->length, n);
    pages_cut(&s->pages, pages_for(s->length));
    return s->length;
}

struct sequence *sequence_fork(const struct sequence *s, size_t n)
{
    size_t cut, room = pages_for(n);
    struct sequence *fork = with_room(s->cache, room < FIRST_ROOM ? FIRST_ROOM : room);
    if (!fork)
        return NULL;
    if (!states_fork(&fork->states, &s->states, s->length, n, &cut)) {
        pages_release(&fork->pages);
        free(fork);
        return NULL;
    }
    pages_fork(&fork->pages, &s->pages, pages_for(cut));
    fork->length = cut;
    return fork;
}

/* ---- for a forward call ---- */

uint8_t *const *sequence_pages(const struct sequence *s, size_t *n)
{
    *n = s->pages.n;
    return s->pages.pages;
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

uint8_t *sequence_hold_page(const struct sequence *s, size_t i)
{
    return page_hold(s->pages.pages[i]);
}

bool sequence_share_page(struct sequence *s, size_t i, uint8_t *page)
{
    return pages_share(&s->pages, i, page);
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
}
