/* states.c - the recurrent state of a sequence, and its checkpoints.
 *
 * A forward call reads the state `now` and writes `next`, and the two change places when it has succeeded. So a call that
 * stops halfway does not change the sequence. A state that others hold is not written again, so a checkpoint or a fork
 * only raises its count. Memory for the checkpoints that a call may write is taken before the call.
 */
#include "sequence_private.h"

#include <stdlib.h>

struct kv_state {
    unsigned count;
    _Alignas(KV_HEADER) float values[];
};

static struct kv_state *state_new(struct kv_cache *c)
{
    struct kv_state *state = kv_cache_take(c, c->state_bytes);
    if (!state)
        return NULL;
    state->count = 1;
    c->n_states++;
    return state;
}

static struct kv_state *hold(struct kv_state *state)
{
    if (state)
        state->count++;
    return state;
}

void kv_cache_drop_state(struct kv_cache *c, struct kv_state *state)
{
    if (!state || --state->count > 0)
        return;
    kv_cache_give_back(c, state, c->state_bytes);
    c->n_states--;
}

/* Drops the checkpoints behind the first `keep`. */
static void drop_checkpoints(struct state_part *p, size_t keep)
{
    while (p->n > keep)
        kv_cache_drop_state(p->cache, p->checkpoints[--p->n].state);
}

void states_drop_checkpoints(struct state_part *p)
{
    drop_checkpoints(p, 0);
}

void states_release(struct state_part *p)
{
    drop_checkpoints(p, 0);
    kv_cache_drop_state(p->cache, p->now);
    kv_cache_drop_state(p->cache, p->next);
    free(p->checkpoints);
}

/* Checkpoints at or before n. */
static size_t checkpoints_to(const struct state_part *p, size_t n)
{
    size_t i = p->n;
    while (i > 0 && p->checkpoints[i - 1].position > n)
        i--;
    return i;
}

/* The first position above `after` that wants a checkpoint. */
static size_t next_wanted(const struct state_part *p, size_t after)
{
    size_t every = p->cache->checkpoint_every, regular = (after / every + 1) * every;
    return p->marked > after && p->marked < regular ? p->marked : regular;
}

static bool make_room(struct state_part *p)
{
    if (p->n < p->room)
        return true;
    size_t room = p->room ? 2 * p->room : 8;
    struct checkpoint_state *more = realloc(p->checkpoints, room * sizeof(*more));
    if (!more)
        return false;
    p->checkpoints = more;
    p->room = room;
    return true;
}

static bool add_checkpoint(struct state_part *p, size_t position, struct kv_state *state)
{
    if (!make_room(p))
        return false;
    p->checkpoints[p->n++] = (struct checkpoint_state){.position = position, .state = state};
    return true;
}

static void thin(struct state_part *p, size_t length)
{
    size_t kept = 0;
    for (size_t i = 0; i < p->n; i++) {
        size_t position = p->checkpoints[i].position;
        if (position == p->marked || kv_cache_keeps_checkpoint(p->cache, position, length))
            p->checkpoints[kept++] = p->checkpoints[i];
        else
            kv_cache_drop_state(p->cache, p->checkpoints[i].state);
    }
    p->n = kept;
}

/* Takes a state for each checkpoint before n; at n the next state serves. */
static bool reserve_checkpoints(struct state_part *p, size_t length, size_t n)
{
    size_t at = length;
    while ((at = next_wanted(p, at)) < n) {
        struct kv_state *state = state_new(p->cache);
        if (!state || !add_checkpoint(p, at, state)) {
            kv_cache_drop_state(p->cache, state);
            return false;
        }
    }
    p->end = at == n ? n : 0;
    return at > n || make_room(p);
}

/* Checkpoints beyond the length, from an earlier reservation, are dropped and taken again, because the mark may have
 * moved. */
bool states_reserve(struct state_part *p, size_t length, size_t n, bool checkpoints)
{
    if (p->cache->state_bytes == 0 || n <= length)
        return true;
    bool had_next = p->next != NULL;
    drop_checkpoints(p, checkpoints_to(p, length));
    thin(p, length);
    size_t before = p->n;
    p->end = 0;
    if ((had_next || (p->next = state_new(p->cache)) != NULL) &&
        (!checkpoints || reserve_checkpoints(p, length, n)))
        return true;
    drop_checkpoints(p, before);
    p->end = 0;
    if (!had_next) {
        kv_cache_drop_state(p->cache, p->next);
        p->next = NULL;
    }
    return false;
}

void states_advance(struct state_part *p, size_t n)
{
    struct kv_state *old = p->now;
    if (!p->next)
        return;
    p->now = p->next;
    p->next = NULL;
    drop_checkpoints(p, checkpoints_to(p, n));
    if (p->end == n && add_checkpoint(p, n, p->now))
        hold(p->now);
    p->end = 0;
    if (old && old->count == 1)
        p->next = old; /* the next token needs no new one */
    else
        kv_cache_drop_state(p->cache, old);
}

size_t states_point(const struct state_part *p, size_t length, size_t n)
{
    if (p->cache->state_bytes == 0 || n == length)
        return n;
    size_t keep = checkpoints_to(p, n);
    return keep > 0 ? p->checkpoints[keep - 1].position : 0;
}

void states_cut(struct state_part *p, size_t length, size_t n)
{
    if (p->cache->state_bytes == 0 || n == length)
        return;
    struct kv_state *state = hold(states_checkpoint(p, n));
    drop_checkpoints(p, checkpoints_to(p, n));
    kv_cache_drop_state(p->cache, p->now);
    p->now = state;
}

bool states_fork(struct state_part *to, const struct state_part *from, size_t length, size_t n)
{
    *to = (struct state_part){.cache = from->cache};
    if (from->cache->state_bytes == 0)
        return true;
    size_t keep = checkpoints_to(from, n);
    for (size_t i = 0; i < keep; i++) {
        if (!add_checkpoint(to, from->checkpoints[i].position, from->checkpoints[i].state))
            return false;
        hold(from->checkpoints[i].state);
    }
    to->now = hold(states_at(from, length, n));
    return true;
}

struct kv_state *states_checkpoint(const struct state_part *p, size_t n)
{
    size_t i = checkpoints_to(p, n);
    return i > 0 && p->checkpoints[i - 1].position == n ? p->checkpoints[i - 1].state : NULL;
}

struct kv_state *states_at(const struct state_part *p, size_t length, size_t n)
{
    return n == length ? p->now : n < length ? states_checkpoint(p, n) : NULL;
}

/* The state becomes a checkpoint, too, if there is memory for its entry in the list. */
void states_resume(struct state_part *p, size_t length, size_t n, struct kv_state *state)
{
    drop_checkpoints(p, checkpoints_to(p, length));
    kv_cache_drop_state(p->cache, p->now);
    p->now = hold(state);
    if (state && add_checkpoint(p, n, state))
        hold(state);
}

/* ---- for other files ---- */

float *state_values(struct kv_state *state)
{
    return state ? state->values : NULL;
}

struct kv_state *state_hold(struct kv_state *state)
{
    return hold(state);
}
