/* prefix.c - how slots use the prefix cache.
 *
 * Before each step a slot takes the pages of its next tokens from the cache, whether they were computed long ago or in the
 * last step. It puts each page that it has filled into the cache at once, and the filled part of its last page when it
 * ends. Each slot computes at least its last token, because logits are not kept. States and windowed pages of the step
 * before are thinned when all slots had the chance to take them.
 *
 * Prompts that are scored need the logits of all their tokens, so they do not use the cache.
 */
#include "scheduler_private.h"

static struct prefix_cache *prefixes_for(const struct schedule *s, const struct job_request *r)
{
    bool lost = served_model_is_lost(&s->model->served);
    return !lost && r->cache_prompt && request_samples(r) && !r->echo_logprobs ? s->prefixes : NULL;
}

static struct prefix_cache *prefixes_of(const struct slot *l)
{
    return prefixes_for(l->request->schedule, l->request->params);
}

static void copy_ids(const struct slot *l, size_t from, size_t n, int32_t *out)
{
    for (size_t i = 0; i < n; i++)
        out[i] = slot_token(l, from + i);
}

/* Counts the tokens of the prompt that came from the cache. */
static void count_cached(struct slot *l)
{
    struct request *t = l->request;
    size_t length = sequence_length(l->sequence), n = t->params->n_prompt;
    size_t done = length < n ? length : n;
    if (done <= t->usage.prompt_done)
        return;
    size_t taken = done - t->usage.prompt_done;
    t->usage.cached_tokens += taken;
    t->usage.prompt_done = done;
    atomic_fetch_add_explicit(&t->schedule->model->served.metrics.cached_tokens, taken, memory_order_relaxed);
    request_update_usage(t);
}

/* ---- what a slot takes ---- */

static bool is_recurrent(const struct kv_cache *c)
{
    return kv_cache_state_bytes(c) > 0;
}

/* The first page from which on all windowed pages are there, when `first` is that of the pages before page i, which is of
 * this node. */
static size_t first_windowed(const struct kv_cache *c, const struct prefix_node *at, size_t i, size_t first)
{
    bool lacks = kv_cache_class_bytes(c, KV_WINDOWED) > 0 && !prefix_is_windowed(at);
    return lacks ? i + 1 : first;
}

/* Where a slot can go on: in or behind a node, after `end` tokens. */
struct resumption {
    struct prefix_node *node;
    size_t end;
};

/* Page i of the slot's tokens, of which the node `found` has the first `same`. A recurrent model goes on only where there
 * is a state. */
static struct resumption in_page(const struct prefix_cache *p, const struct slot *l,
    const struct prefix_node *above, size_t i, struct prefix_node **found, size_t *same)
{
    int32_t ids[ATTENTION_BLOCK];
    size_t start = i * ATTENTION_BLOCK, n = l->known - 1 - start;
    n = n < ATTENTION_BLOCK ? n : ATTENTION_BLOCK;
    copy_ids(l, start, n, ids);
    *found = prefix_find(p, above, ids, n, same);
    if (!is_recurrent(sequence_cache(l->sequence)))
        return (struct resumption){.node = *found, .end = start + *same};
    struct prefix_node *last = prefix_find_state(p, above, ids, n);
    return (struct resumption){.node = last, .end = last ? start + prefix_tokens(last) : 0};
}

/* The last place on the path of the slot's tokens. A part of a page, or a state, must save PREFIX_LEAST tokens. The node is
 * NULL when there is none. */
static struct resumption find_last(const struct prefix_cache *p, const struct slot *l)
{
    const struct kv_cache *c = sequence_cache(l->sequence);
    struct prefix_node *at = l->path;
    size_t length = sequence_length(l->sequence), i = prefix_depth(at), same = ATTENTION_BLOCK;
    struct resumption best = {.node = NULL, .end = length}, next;
    size_t first = sequence_first_page(l->sequence);
    if (length / ATTENTION_BLOCK != i || l->known - 1 <= length)
        return best;
    for (; same == ATTENTION_BLOCK && i * ATTENTION_BLOCK < l->known - 1; i++) {
        next = in_page(p, l, at, i, &at, &same);
        size_t before = is_recurrent(c) ? length : best.end;
        size_t least = is_recurrent(c) || same < ATTENTION_BLOCK ? PREFIX_LEAST : 1;
        if (next.node && next.end >= before + least &&
            kv_cache_kept_page(c, next.end) >= first_windowed(c, next.node, i, first))
            best = next;
        first = at ? first_windowed(c, at, i, first) : first;
    }
    return best;
}

/* Shares the pages down to the node, and its state. Without memory it shares nothing. */
static void resume(struct prefix_cache *p, struct slot *l, struct resumption to)
{
    int32_t ids[ATTENTION_BLOCK];
    size_t length = sequence_length(l->sequence);
    for (struct prefix_node *at = l->path; at != to.node;) {
        size_t page = prefix_depth(at), same;
        if (page + 1 < prefix_depth(to.node)) {
            copy_ids(l, page * ATTENTION_BLOCK, ATTENTION_BLOCK, ids);
            at = prefix_find(p, at, ids, ATTENTION_BLOCK, &same);
        } else {
            at = to.node;
        }
        if (!prefix_take(p, at, l->sequence, page)) {
            sequence_cut(l->sequence, length);
            return;
        }
        if ((page + 1) * ATTENTION_BLOCK <= to.end) {
            prefix_enter(p, at);
            l->path = at;
        }
    }
    sequence_resume(l->sequence, to.end, prefix_state(to.node));
}

void slot_take_prefix(struct slot *l)
{
    struct prefix_cache *p = prefixes_of(l);
    if (!p)
        return;
    struct resumption to = find_last(p, l);
    if (to.node)
        resume(p, l, to);
    count_cached(l);
}

/* ---- what it leaves ---- */

/* Keeps the state before the prompt's last token, where another request with this prompt goes on. */
static void keep_prompt_end(struct prefix_cache *p, struct slot *l)
{
    int32_t ids[ATTENTION_BLOCK];
    size_t end = l->request->params->n_prompt - 1, page = end / ATTENTION_BLOCK, n = end % ATTENTION_BLOCK;
    if (l->kept_prompt || n == 0 || prefix_depth(l->path) != page || sequence_length(l->sequence) < end)
        return;
    l->kept_prompt = true;
    copy_ids(l, page * ATTENTION_BLOCK, n, ids);
    prefix_keep_part(p, l->path, ids, n, l->sequence, page);
}

void slot_keep_prefix(struct slot *l)
{
    int32_t ids[ATTENTION_BLOCK];
    struct prefix_cache *p = prefixes_of(l);
    bool recurrent = is_recurrent(sequence_cache(l->sequence));
    size_t full = sequence_length(l->sequence) / ATTENTION_BLOCK;
    for (size_t page; p && (page = prefix_depth(l->path)) < full;) {
        if (recurrent)
            keep_prompt_end(p, l);
        copy_ids(l, page * ATTENTION_BLOCK, ATTENTION_BLOCK, ids);
        struct prefix_node *next = prefix_keep(p, l->path, ids, l->sequence, page);
        if (!next)
            return; /* without memory; it is tried again after the next step */
        l->path = next;
    }
    if (p && recurrent)
        keep_prompt_end(p, l);
}

void slot_thin_prefix(struct slot *l)
{
    struct prefix_cache *p = prefixes_of(l);
    size_t end = sequence_length(l->sequence) + l->n_rows, prompt = l->request->params->n_prompt - 1;
    bool thins = kv_cache_checkpoint_every(sequence_cache(l->sequence)) > 0;
    if (p && thins && prefix_depth(l->path) < end / ATTENTION_BLOCK)
        prefix_thin(p, l->path, (prompt + ATTENTION_BLOCK - 1) / ATTENTION_BLOCK * ATTENTION_BLOCK);
}

void slot_leave_prefix(struct slot *l)
{
    int32_t ids[ATTENTION_BLOCK];
    struct prefix_cache *p = l->sequence ? prefixes_of(l) : NULL;
    if (p) {
        slot_keep_prefix(l);
        size_t page = prefix_depth(l->path), length = sequence_length(l->sequence);
        if (page == length / ATTENTION_BLOCK && length % ATTENTION_BLOCK == 0 && page > 0)
            prefix_keep_end(l->path, l->sequence);
        if (page == length / ATTENTION_BLOCK && length % ATTENTION_BLOCK > 0) {
            copy_ids(l, page * ATTENTION_BLOCK, length % ATTENTION_BLOCK, ids);
            prefix_keep_part(p, l->path, ids, length % ATTENTION_BLOCK, l->sequence, page);
        }
    }
    if (l->path)
        prefix_leave(l->request->schedule->prefixes, l->path);
    l->path = NULL;
}

/* How many first tokens of the two prompts are equal, rounded down to whole pages, or to a checkpoint where the model is
 * recurrent. */
static size_t common(const struct slot *ahead, const struct slot *l)
{
    const struct job_request *a = ahead->request->params, *b = l->request->params;
    const struct kv_cache *c = sequence_cache(l->sequence);
    size_t every = is_recurrent(c) ? kv_cache_checkpoint_every(c) : ATTENTION_BLOCK;
    size_t most = a->n_prompt < b->n_prompt ? a->n_prompt : b->n_prompt - 1, i = 0;
    while (i < most && a->prompt[i] == b->prompt[i])
        i++;
    if (is_recurrent(c) && i + 1 >= a->n_prompt)
        return a->n_prompt - 1; /* a checkpoint */
    return i - i % every;
}

bool slot_may_wait(const struct slot *ahead, struct slot *l)
{
    if (ahead == l || !prefixes_of(ahead) || !prefixes_of(l))
        return false;
    if (l->compared != ahead->request->number + 1) {
        l->compared = ahead->request->number + 1;
        l->common = common(ahead, l);
    }
    return sequence_length(l->sequence) < l->common && sequence_length(ahead->sequence) < l->common;
}

bool prefixes_are_kept(const struct engine *e)
{
    for (const struct schedule *s = e->schedules; s; s = s->next)
        if (prefix_idle_bytes(s->prefixes) > 0)
            return true;
    return false;
}

void prefixes_sweep(struct engine *e)
{
    const struct engine_options *o = &e->options;
    double now = scheduler_now();
    e->prefix_clock.seconds = now;
    if (now - e->swept_prefixes < PREFIX_SWEEP_SECONDS)
        return;
    e->swept_prefixes = now;
    if (!prefixes_are_kept(e))
        return;
    bool is_short = o->memory_is_short && o->memory_is_short(o->memory_watch);
    for (struct schedule *s = e->schedules; s; s = s->next)
        while (is_short || (o->prefix_age > 0 && prefix_idle_seconds(s->prefixes) > o->prefix_age))
            if (!prefix_give_back(s->prefixes))
                break;
    scheduler_count_pages(e);
}

size_t prefix_pages_in_use(const struct schedule *s, const struct job_request *r)
{
    struct prefix_cache *p = prefixes_for(s, r);
    struct prefix_node *at = NULL;
    const struct kv_cache *c = s->model->cache;
    size_t same, n = 0, first = 0, shared = 0;
    while (p && (n + 1) * ATTENTION_BLOCK < r->n_prompt) {
        at = prefix_find(p, at, r->prompt + n * ATTENTION_BLOCK, ATTENTION_BLOCK, &same);
        if (!at || same < ATTENTION_BLOCK || !prefix_in_use(at))
            break;
        first = first_windowed(c, at, n++, first);
        if ((!is_recurrent(c) || prefix_state(at)) && kv_cache_kept_page(c, n * ATTENTION_BLOCK) >= first)
            shared = n;
    }
    return shared;
}
