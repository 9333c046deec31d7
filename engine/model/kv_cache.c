/* kv_cache.c - what all sequences of a model share: the layout of pages and states, and the budget. */
#include "sequence_private.h"

#include <stdlib.h>

/* All checkpoints are kept where one takes at most one fourth of the memory of the pages up to the next one. Otherwise
 * they are thinned. */
#define STATE_SHARE 4
#define CHECKPOINT_PAGES_MAX 4 /* from one checkpoint to the next */
#define CHECKPOINT_WINDOWS                                                                                   \
    2 /* the same, at least; a checkpoint of a model with windows is the pages of one */

static size_t key_bytes(const struct kv_cache *c, size_t layer)
{
    return attention_bytes(c->type, c->layers[layer].head_dim_k);
}

static size_t head_bytes(const struct kv_cache *c, size_t layer)
{
    const struct layer_state *l = &c->layers[layer];
    return key_bytes(c, layer) + (l->values_in_keys ? 0 : attention_bytes(c->type, l->head_dim_v));
}

/* The most pages of the windowed class that a sequence needs to go on at any position of its last page. */
static size_t window_pages(const struct kv_cache *c)
{
    return c->window > 0 ? pages_for(c->window - 1) + 1 : 0;
}

static void place_checkpoints(struct kv_cache *c)
{
    size_t lasting = c->page_bytes[KV_GLOBAL], least = CHECKPOINT_WINDOWS * window_pages(c);
    size_t pages = (STATE_SHARE * c->state_bytes + lasting - 1) / lasting;
    c->thins = pages > CHECKPOINT_PAGES_MAX || least > 0;
    pages = pages > CHECKPOINT_PAGES_MAX ? CHECKPOINT_PAGES_MAX : pages;
    c->checkpoint_every = (pages < least ? least : pages) * ATTENTION_BLOCK;
}

/* The window of all layers reaches as far back as that of each. */
static void widen(struct kv_cache *c, const struct layer_state *l)
{
    if (l->window == 0)
        return;
    c->chunked = l->chunked && (c->window == 0 || (c->chunked && c->window == l->window));
    c->window = l->window > c->window ? l->window : c->window;
}

static void lay_out(struct kv_cache *c, const struct layer_state *layers)
{
    size_t bytes[KV_CLASSES] = {0}, floats = 0;
    for (size_t i = 0; i < c->n_layers; i++) {
        c->layers[i] = layers[i];
        size_t *end = &bytes[kv_cache_class(c, i)];
        c->at[i] = *end;
        c->state_at[i] = floats;
        *end += layers[i].n_head_kv > 0 ? layers[i].n_head_kv * head_bytes(c, i) : 0;
        floats += layers[i].recurrent_floats;
        widen(c, &layers[i]);
    }
    c->n_classes = c->window > 0 ? KV_CLASSES : 1;
    for (size_t k = 0; k < c->n_classes; k++)
        c->page_bytes[k] = KV_HEADER + bytes[k];
    c->state_bytes = floats > 0 ? KV_HEADER + floats * sizeof(float) : 0;
    place_checkpoints(c);
}

struct kv_cache *kv_cache_new(
    struct kv_budget *budget, enum attention_type type, const struct layer_state *layers, size_t n_layers)
{
    struct kv_cache *c = calloc(1, sizeof(*c));
    if (!c)
        return NULL;
    *c = (struct kv_cache){.budget = budget, .type = type, .n_layers = n_layers};
    c->layers = calloc(n_layers + 1, sizeof(*c->layers));
    c->at = calloc(n_layers + 1, sizeof(*c->at));
    c->state_at = calloc(n_layers + 1, sizeof(*c->state_at));
    if (!c->layers || !c->at || !c->state_at) {
        kv_cache_free(c);
        return NULL;
    }
    lay_out(c, layers);
    return c;
}

void kv_cache_free(struct kv_cache *c)
{
    if (!c)
        return;
    free(c->layers);
    free(c->at);
    free(c->state_at);
    free(c);
}

size_t kv_cache_class_bytes(const struct kv_cache *c, enum kv_class class)
{
    return c->page_bytes[class];
}

size_t kv_cache_page_bytes(const struct kv_cache *c)
{
    return c->page_bytes[KV_GLOBAL] + c->page_bytes[KV_WINDOWED];
}

enum kv_class kv_cache_class(const struct kv_cache *c, size_t layer)
{
    return c->layers[layer].window > 0 ? KV_WINDOWED : KV_GLOBAL;
}

enum attention_type kv_cache_type(const struct kv_cache *c)
{
    return c->type;
}

uint64_t kv_cache_bytes(const struct kv_cache *c)
{
    uint64_t bytes = (uint64_t)c->n_states * c->state_bytes;
    for (size_t k = 0; k < KV_CLASSES; k++)
        bytes += (uint64_t)c->n_pages[k] * c->page_bytes[k];
    return bytes;
}

size_t cache_first_page(const struct kv_cache *c, size_t position)
{
    return kv_first_key(c->window, c->chunked, position) / ATTENTION_BLOCK;
}

size_t kv_cache_kept_page(const struct kv_cache *c, size_t position)
{
    return position > 0 ? cache_first_page(c, (position - 1) / ATTENTION_BLOCK * ATTENTION_BLOCK) : 0;
}

/* One state to read and one to write. */
uint64_t kv_cache_least_bytes_for(const struct kv_cache *c, size_t positions, size_t rows)
{
    size_t pages = pages_for(positions), windowed = window_pages(c) + pages_for(rows);
    windowed = windowed < pages ? windowed : pages;
    return (uint64_t)pages * c->page_bytes[KV_GLOBAL] + (uint64_t)windowed * c->page_bytes[KV_WINDOWED] +
           2 * (uint64_t)c->state_bytes;
}

uint64_t kv_cache_bytes_for(const struct kv_cache *c, size_t positions, size_t rows)
{
    uint64_t checkpoints = c->state_bytes > 0 ? positions / c->checkpoint_every : 0, kept = 0;
    for (uint64_t left = c->thins ? checkpoints : 0; left > 0; left /= 2)
        kept++; /* one of each power of two */
    checkpoints = c->thins ? kept : checkpoints;
    return kv_cache_least_bytes_for(c, positions, rows) + checkpoints * c->state_bytes;
}

size_t kv_cache_k_at(const struct kv_cache *c, size_t layer, size_t head)
{
    return c->at[layer] + head * head_bytes(c, layer);
}

size_t kv_cache_v_at(const struct kv_cache *c, size_t layer, size_t head)
{
    return kv_cache_k_at(c, layer, head) + key_bytes(c, layer);
}

size_t kv_cache_state_bytes(const struct kv_cache *c)
{
    return c->state_bytes;
}

size_t kv_cache_state_at(const struct kv_cache *c, size_t layer)
{
    return c->state_at[layer];
}

size_t kv_cache_checkpoint_every(const struct kv_cache *c)
{
    return c->checkpoint_every;
}

/* Checkpoint i of `last`, counted from 1, is kept while fewer than 2 * p have been passed since, where p is the largest
 * power of two that divides i: one for each power of two. The choice depends on positions alone, and what was dropped is
 * never wanted again as the sequence grows. */
bool kv_cache_keeps_checkpoint(const struct kv_cache *c, size_t position, size_t end)
{
    if (!c->thins || position % c->checkpoint_every != 0)
        return true;
    size_t i = position / c->checkpoint_every, last = end / c->checkpoint_every;
    return last < i || last - i < 2 * (i & (0 - i));
}

/* ---- the budget ---- */

static bool budget_take(struct kv_budget *b, uint64_t bytes)
{
    uint_fast64_t used = atomic_load_explicit(&b->used, memory_order_relaxed), limit = kv_budget_limit(b);
    do {
        if (bytes > limit || used > limit - bytes)
            return false;
    } while (!atomic_compare_exchange_weak(&b->used, &used, used + bytes));
    return true;
}

void *kv_cache_take(struct kv_cache *c, size_t bytes)
{
    if (!budget_take(c->budget, bytes))
        return NULL;
    void *memory = aligned_alloc(KV_HEADER, (bytes + KV_HEADER - 1) / KV_HEADER * KV_HEADER);
    if (!memory)
        atomic_fetch_sub(&c->budget->used, bytes);
    return memory;
}

void kv_cache_give_back(struct kv_cache *c, void *memory, size_t bytes)
{
    free(memory);
    atomic_fetch_sub(&c->budget->used, bytes);
}
