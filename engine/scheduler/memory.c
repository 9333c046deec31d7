/* memory.c - which slots get pages, and which are preempted.
 *
 * A sequence takes pages as its tokens are computed. A new slot begins only when the pages for its known tokens fit beside
 * those for the known tokens of the other slots. The length of an answer is not known, so memory may still run out. Then
 * idle prefixes are dropped, the oldest first, and after that the youngest slot of all models is preempted. The oldest
 * slot is never preempted, so one slot always makes progress, and each slot becomes the oldest in the end.
 */
#include "scheduler_private.h"

uint64_t memory_of(const struct engine *e, const struct text_model *m, size_t positions)
{
    return kv_cache_least_bytes_for(m->cache, positions, e->options.chunk);
}

size_t memory_slots(const struct engine *e)
{
    size_t n = 0;
    for (const struct schedule *s = e->schedules; s; s = s->next)
        n += s->n_slots;
    return n;
}

/* Bytes that the slots need for their known tokens beyond what they hold. */
static uint64_t promised(const struct engine *e)
{
    uint64_t bytes = 0;
    for (const struct schedule *s = e->schedules; s; s = s->next)
        for (size_t i = 0; i < s->n_slots; i++) {
            const struct slot *l = s->slots[i];
            size_t left = slot_left(l) + 1, rows = left < e->options.chunk ? left : e->options.chunk;
            uint64_t held = sequence_bytes(l->sequence);
            uint64_t needed = kv_cache_bytes_for(s->model->cache, l->known + 1, rows);
            if (needed > held)
                bytes += needed - held;
        }
    return bytes;
}

/* Bytes of idle prefixes, which can be dropped at any time. */
static uint64_t idle(const struct engine *e)
{
    uint64_t bytes = 0;
    for (const struct schedule *s = e->schedules; s; s = s->next)
        bytes += prefix_idle_bytes(s->prefixes);
    return bytes;
}

bool memory_allows(const struct engine *e, const struct text_model *m, size_t positions, size_t pages_in_use)
{
    uint64_t held = atomic_load_explicit(&e->budget.used, memory_order_relaxed) - idle(e) + promised(e);
    uint64_t needed = kv_cache_bytes_for(m->cache, positions, e->options.chunk) -
                      pages_in_use * kv_cache_class_bytes(m->cache, KV_GLOBAL);
    uint64_t limit = kv_budget_limit(&e->budget);
    return held <= limit && needed <= limit - held;
}

/* Drops the oldest idle page of a prefix, of all models. */
static bool drop_prefix(struct engine *e)
{
    struct prefix_cache *oldest = NULL;
    for (struct schedule *s = e->schedules; s; s = s->next)
        if (prefix_oldest(s->prefixes) < prefix_oldest(oldest))
            oldest = s->prefixes;
    return prefix_give_back(oldest);
}

/* Frees the prompts that are kept for choices without a slot. These choices will compute the prompt again. */
static bool drop_prompts(struct engine *e)
{
    bool dropped = false;
    for (struct schedule *s = e->schedules; s; s = s->next)
        for (struct request *t = s->requests; t; t = t->next) {
            dropped = dropped || t->prompt;
            sequence_free(t->prompt);
            t->prompt = NULL;
        }
    return dropped;
}

/* Drops the recurrent states and windowed pages of all prefixes, also of those in use. */
static bool drop_states(struct engine *e)
{
    bool dropped = false;
    for (struct schedule *s = e->schedules; s; s = s->next)
        dropped = prefix_drop_states(s->prefixes) || dropped;
    return dropped;
}

/* Frees parts of texts of requests from this number on, which begin again. */
static bool drop_parts(struct engine *e, uint64_t number)
{
    for (struct schedule *s = e->schedules; s; s = s->next)
        if (s->kind->give_back && s->kind->give_back(s, number))
            return true;
    return false;
}

bool memory_drop_kept(struct engine *e, uint64_t number)
{
    return drop_prefix(e) || drop_prompts(e) || drop_parts(e, number);
}

static struct slot *youngest(const struct engine *e)
{
    struct slot *found = NULL;
    for (const struct schedule *s = e->schedules; s; s = s->next) {
        struct slot *last = s->n_slots > 0 ? s->slots[s->n_slots - 1] : NULL;
        if (last && (!found || slot_is_older(found, last)))
            found = last;
    }
    return found;
}

static void preempt(struct slot *l)
{
    struct schedule *s = l->request->schedule;
    schedule_remove(s, l);
    slot_leave_prefix(l);
    sequence_free(l->sequence);
    l->sequence = NULL;
    l->n_rows = 0;
    struct slot **at = &s->preempted;
    while (*at && slot_is_older(*at, l))
        at = &(*at)->next;
    l->next = *at;
    *at = l;
    atomic_fetch_add_explicit(&s->model->served.metrics.preemptions, 1, memory_order_relaxed);
}

bool memory_reserve(struct engine *e, struct slot *l, size_t n, bool *alone)
{
    *alone = false;
    while (!sequence_reserve(l->sequence, n)) {
        if (memory_drop_kept(e, 0))
            continue;
        if (sequence_reserve_least(l->sequence, n))
            return true;
        if (drop_states(e))
            continue;
        if (memory_slots(e) == 1) {
            *alone = true;
            return false;
        }
        struct slot *victim = youngest(e);
        preempt(victim);
        if (victim == l)
            return false;
    }
    return true;
}
