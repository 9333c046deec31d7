/* prefix.c - how slots use the prefix cache.
 *
 * Before each step a slot takes the pages of its next tokens from the cache, whether they were computed long ago or in the
 * last step. It puts each page that it has filled into the cache at once, and the filled part of its last page when it
 * ends. Each slot computes at least its last token, because logits are not kept.
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

/* Shares the cached page in which the slot's next token lies. True when the whole page was there. */
static bool take_page(struct prefix_cache *p, struct slot *l)
{
    int32_t ids[ATTENTION_BLOCK];
    size_t page = prefix_depth(l->path), start = page * ATTENTION_BLOCK, same;
    size_t length = sequence_length(l->sequence), end = l->known - 1;
    if (length / ATTENTION_BLOCK != page || end <= length)
        return false;
    size_t n = end - start < ATTENTION_BLOCK ? end - start : ATTENTION_BLOCK;
    copy_ids(l, start, n, ids);
    struct prefix_node *found = prefix_find(p, l->path, ids, n, &same);
    bool all = same == ATTENTION_BLOCK;
    if (!found || start + same <= length || (!all && start + same < length + PREFIX_LEAST) ||
        !sequence_share_page(l->sequence, page, prefix_take(p, found)))
        return false;
    sequence_resume(l->sequence, start + same, NULL);
    if (all) {
        prefix_enter(p, found);
        l->path = found;
    }
    return all;
}

/* The node behind which a slot of a recurrent model can go on, and where its tokens end. */
struct resumption {
    struct prefix_node *node;
    size_t end;
};

/* The last node on the path of the slot's tokens that holds a state. The node is NULL when there is none that would save
 * PREFIX_LEAST tokens. */
static struct resumption find_state(const struct prefix_cache *p, const struct slot *l)
{
    int32_t ids[ATTENTION_BLOCK];
    struct prefix_node *at = l->path;
    struct resumption best = {.node = NULL};
    size_t length = sequence_length(l->sequence), end = l->known - 1,
           start = prefix_depth(at) * ATTENTION_BLOCK;
    if (length / ATTENTION_BLOCK != prefix_depth(at))
        return best;
    for (size_t same = ATTENTION_BLOCK; same == ATTENTION_BLOCK && start < end; start += ATTENTION_BLOCK) {
        size_t n = end - start < ATTENTION_BLOCK ? end - start : ATTENTION_BLOCK;
        copy_ids(l, start, n, ids);
        struct prefix_node *found = prefix_find_state(p, at, ids, n);
        if (found && start + prefix_tokens(found) >= length + PREFIX_LEAST)
            best = (struct resumption){.node = found, .end = start + prefix_tokens(found)};
        at = prefix_find(p, at, ids, n, &same);
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
        if (!sequence_share_page(l->sequence, page, prefix_take(p, at))) {
            sequence_cut(l->sequence, length);
            return;
        }
        if (prefix_tokens(at) == ATTENTION_BLOCK) {
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
    if (kv_cache_state_bytes(sequence_cache(l->sequence)) > 0) {
        struct resumption to = find_state(p, l);
        if (to.node)
            resume(p, l, to);
    } else {
        while (take_page(p, l))
            continue;
    }
    count_cached(l);
}

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
    bool recurrent = kv_cache_state_bytes(sequence_cache(l->sequence)) > 0;
    size_t full = sequence_length(l->sequence) / ATTENTION_BLOCK;
    /* The states of the step before this one were there for slots that waited for them. */
    if (p && recurrent && prefix_depth(l->path) < full)
        prefix_thin(p, l->path);
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
    size_t every = kv_cache_checkpoint_every(sequence_cache(l->sequence));
    size_t most = a->n_prompt < b->n_prompt ? a->n_prompt : b->n_prompt - 1, i = 0;
    while (i < most && a->prompt[i] == b->prompt[i])
        i++;
    if (every > 0 && i + 1 >= a->n_prompt)
        return a->n_prompt - 1; /* a checkpoint */
    return i - i % (every > 0 ? every : ATTENTION_BLOCK);
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
    bool recurrent = kv_cache_state_bytes(s->model->cache) > 0;
    size_t same, n = 0, shared = 0;
    while (p && (n + 1) * ATTENTION_BLOCK < r->n_prompt) {
        at = prefix_find(p, at, r->prompt + n * ATTENTION_BLOCK, ATTENTION_BLOCK, &same);
        if (!at || same < ATTENTION_BLOCK || !prefix_in_use(at))
            break;
        n++;
        if (!recurrent || prefix_state(at))
            shared = n;
    }
    return shared;
}
