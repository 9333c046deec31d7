/* kv_cache.c - pages that sequences share, each counted, all within the budget.
 *
 * A page lies behind a header of one cache line that holds its count; sequences keep pointers to the page
 * itself, in the form that attention reads. A page is written only while one sequence holds it, from that
 * sequence's length on: so a fork, which sees no more of it than what was there, needs no copy until somebody
 * writes. Counts are plain numbers, since one thread changes them; only the budget is shared between caches.
 */
#include "berth/engine/model/kv_cache.h"

#include <stdlib.h>
#include <string.h>

#define HEADER 64 /* bytes before a page; keeps the page aligned */
#define FIRST_ROOM 8 /* page pointers that a sequence starts with */

struct kv_cache {
    struct kv_budget *budget;
    enum attention_type type;
    size_t page_bytes; /* with the header */
    size_t n_pages; /* that are held */
    size_t n_layers;
    struct kv_layer *layers;
    size_t *at; /* [n_layer], where a layer begins in a page */
};

struct sequence {
    struct kv_cache *cache;
    uint8_t **pages; /* [n_pages of room] */
    size_t n_pages, room;
    size_t length;
};

/* ---- the cache ---- */

static size_t key_bytes(const struct kv_cache *c, size_t layer)
{
    return attention_bytes(c->type, c->layers[layer].head_dim_k);
}

static size_t head_bytes(const struct kv_cache *c, size_t layer)
{
    return key_bytes(c, layer) + attention_bytes(c->type, c->layers[layer].head_dim_v);
}

struct kv_cache *kv_cache_new(
    struct kv_budget *budget, enum attention_type type, const struct kv_layer *layers, size_t n_layers)
{
    struct kv_cache *c = calloc(1, sizeof(*c));
    if (!c)
        return NULL;
    *c = (struct kv_cache){.budget = budget, .type = type, .n_layers = n_layers};
    c->layers = calloc(n_layers + 1, sizeof(*c->layers));
    c->at = calloc(n_layers + 1, sizeof(*c->at));
    if (!c->layers || !c->at) {
        kv_cache_free(c);
        return NULL;
    }
    size_t bytes = 0;
    for (size_t i = 0; i < n_layers; i++) {
        c->layers[i] = layers[i];
        c->at[i] = bytes;
        bytes += layers[i].n_head_kv * head_bytes(c, i);
    }
    c->page_bytes = HEADER + bytes;
    return c;
}

void kv_cache_free(struct kv_cache *c)
{
    if (!c)
        return;
    free(c->layers);
    free(c->at);
    free(c);
}

size_t kv_cache_page_bytes(const struct kv_cache *c)
{
    return c->page_bytes;
}

enum attention_type kv_cache_type(const struct kv_cache *c)
{
    return c->type;
}

uint64_t kv_cache_bytes(const struct kv_cache *c)
{
    return (uint64_t)c->n_pages * c->page_bytes;
}

size_t kv_cache_k_at(const struct kv_cache *c, size_t layer, size_t head)
{
    return c->at[layer] + head * head_bytes(c, layer);
}

size_t kv_cache_v_at(const struct kv_cache *c, size_t layer, size_t head)
{
    return kv_cache_k_at(c, layer, head) + key_bytes(c, layer);
}

/* ---- pages ---- */

static unsigned *count_of(uint8_t *page)
{
    return (unsigned *)(void *)(page - HEADER);
}

static bool budget_take(struct kv_budget *b, uint64_t bytes)
{
    uint_fast64_t used = atomic_load_explicit(&b->used, memory_order_relaxed);
    do {
        if (bytes > b->limit || used > b->limit - bytes)
            return false;
    } while (!atomic_compare_exchange_weak(&b->used, &used, used + bytes));
    return true;
}

static uint8_t *page_new(struct kv_cache *c)
{
    if (!budget_take(c->budget, c->page_bytes))
        return NULL;
    uint8_t *memory = aligned_alloc(HEADER, c->page_bytes);
    if (!memory) {
        atomic_fetch_sub(&c->budget->used, c->page_bytes);
        return NULL;
    }
    uint8_t *page = memory + HEADER;
    *count_of(page) = 1;
    c->n_pages++;
    return page;
}

static void page_release(struct kv_cache *c, uint8_t *page)
{
    if (--*count_of(page) > 0)
        return;
    free(page - HEADER);
    c->n_pages--;
    atomic_fetch_sub(&c->budget->used, c->page_bytes);
}

static size_t pages_for(size_t positions)
{
    return positions / ATTENTION_BLOCK + (positions % ATTENTION_BLOCK != 0);
}

/* ---- sequences ---- */

/* A sequence with room for `room` pages and none of them there. */
static struct sequence *sequence_with_room(struct kv_cache *c, size_t room)
{
    struct sequence *s = calloc(1, sizeof(*s));
    uint8_t **pages = malloc(room * sizeof(*pages));
    if (!s || !pages) {
        free(s);
        free(pages);
        return NULL;
    }
    *s = (struct sequence){.cache = c, .pages = pages, .room = room};
    return s;
}

struct sequence *sequence_new(struct kv_cache *c)
{
    return sequence_with_room(c, FIRST_ROOM);
}

static void drop_pages(struct sequence *s, size_t keep)
{
    while (s->n_pages > keep)
        page_release(s->cache, s->pages[--s->n_pages]);
}

void sequence_free(struct sequence *s)
{
    if (!s)
        return;
    drop_pages(s, 0);
    free(s->pages);
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

static bool make_room(struct sequence *s, size_t pages)
{
    if (pages <= s->room)
        return true;
    size_t room = pages > 2 * s->room ? pages : 2 * s->room;
    uint8_t **grown = realloc(s->pages, room * sizeof(*grown));
    if (!grown)
        return false;
    s->pages = grown;
    s->room = room;
    return true;
}

/* True when the page that the next position lies in is there and others hold it, too. */
static bool writes_to_shared(const struct sequence *s, size_t n)
{
    size_t page = s->length / ATTENTION_BLOCK;
    return n > s->length && page<s->n_pages && * count_of(s->pages[page])> 1;
}

bool sequence_reserve(struct sequence *s, size_t n)
{
    size_t before = s->n_pages, wanted = pages_for(n);
    if (!make_room(s, wanted))
        return false;
    while (s->n_pages < wanted) {
        uint8_t *page = page_new(s->cache);
        if (!page) {
            drop_pages(s, before);
            return false;
        }
        s->pages[s->n_pages++] = page;
    }
    if (!writes_to_shared(s, n))
        return true;
    uint8_t *copy = page_new(s->cache);
    if (!copy) {
        drop_pages(s, before);
        return false;
    }
    uint8_t **shared = &s->pages[s->length / ATTENTION_BLOCK];
    memcpy(copy, *shared, s->cache->page_bytes - HEADER);
    page_release(s->cache, *shared);
    *shared = copy;
    return true;
}

void sequence_advance(struct sequence *s, size_t n)
{
    s->length = n;
}

void sequence_cut(struct sequence *s, size_t n)
{
    s->length = n;
    drop_pages(s, pages_for(n));
}

struct sequence *sequence_fork(const struct sequence *s, size_t n)
{
    size_t pages = pages_for(n);
    struct sequence *fork = sequence_with_room(s->cache, pages < FIRST_ROOM ? FIRST_ROOM : pages);
    if (!fork)
        return NULL;
    for (size_t i = 0; i < pages; i++) {
        fork->pages[i] = s->pages[i];
        ++*count_of(s->pages[i]);
    }
    fork->n_pages = pages;
    fork->length = n;
    return fork;
}

uint8_t *const *sequence_pages(const struct sequence *s, size_t *n)
{
    *n = s->n_pages;
    return s->pages;
}

/* ---- pages by themselves ---- */

uint8_t *sequence_hold_page(const struct sequence *s, size_t i)
{
    ++*count_of(s->pages[i]);
    return s->pages[i];
}

void kv_cache_drop_page(struct kv_cache *c, uint8_t *page)
{
    page_release(c, page);
}

bool sequence_share_page(struct sequence *s, size_t i, uint8_t *page)
{
    if (!make_room(s, i + 1))
        return false;
    ++*count_of(page);
    if (i < s->n_pages)
        page_release(s->cache, s->pages[i]);
    else
        s->n_pages++;
    s->pages[i] = page;
    return true;
}
