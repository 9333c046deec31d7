/* kv_cache.h - the state of sequences: pages of keys and values, within one budget for all models.
 *
 * A sequence is what a model has read so far. Its keys and values lie in pages of ATTENTION_BLOCK positions,
 * all layers of a position in one page, taken from the budget as the sequence grows and given back when it
 * ends: a sequence costs what it holds. Pages are counted, so that sequences with a common beginning share
 * them; a page that is shared is copied before it is written to. All of a model's pages have one size.
 *
 * A cache and its sequences belong to one thread, the scheduler's; the budget's figures may be read by any.
 */
#ifndef BERTH_KV_CACHE_H
#define BERTH_KV_CACHE_H

#include "berth/kernels/attention.h"
#include "berth/base/error.h"

#include <stdatomic.h>

/* Bytes that all caches may use together. Any thread may read both figures and set the limit; a limit below what is used
 * only keeps new pages from being taken. */
struct kv_budget {
    atomic_uint_fast64_t limit;
    atomic_uint_fast64_t used;
};

static inline uint64_t kv_budget_limit(const struct kv_budget *b)
{
    return atomic_load_explicit(&b->limit, memory_order_relaxed);
}

static inline void kv_budget_set_limit(struct kv_budget *b, uint64_t bytes)
{
    atomic_store_explicit(&b->limit, bytes, memory_order_relaxed);
}

static inline uint64_t kv_budget_used(const struct kv_budget *b)
{
    return atomic_load_explicit(&b->used, memory_order_relaxed);
}

/* What a position keeps of one layer. */
struct kv_layer {
    uint32_t n_head_kv, head_dim_k, head_dim_v;
};

struct kv_cache;

/* `layers` is copied. NULL without memory. The budget must live longer. */
struct kv_cache *kv_cache_new(
    struct kv_budget *budget, enum attention_type type, const struct kv_layer *layers, size_t n_layers);
void kv_cache_free(struct kv_cache *c); /* no sequence may be left */

size_t kv_cache_page_bytes(const struct kv_cache *c);
enum attention_type kv_cache_type(const struct kv_cache *c);
uint64_t kv_cache_bytes(const struct kv_cache *c); /* of all pages that are held, each counted once */
/* Byte offset in every page of a head's keys and values. */
size_t kv_cache_k_at(const struct kv_cache *c, size_t layer, size_t head);
size_t kv_cache_v_at(const struct kv_cache *c, size_t layer, size_t head);

struct sequence;

struct sequence *sequence_new(struct kv_cache *c); /* empty; NULL without memory */
void sequence_free(struct sequence *s); /* NULL is fine */

const struct kv_cache *sequence_cache(const struct sequence *s);
size_t sequence_length(const struct sequence *s); /* positions that are filled */

/* Makes positions up to `n` writable: takes pages, copies the last one where it is shared. The length stays.
 * False, and nothing has changed, when the budget does not allow it or memory is short. */
bool sequence_reserve(struct sequence *s, size_t n);
void sequence_advance(struct sequence *s, size_t n); /* the length becomes n, at most what was reserved */
void sequence_cut(struct sequence *s, size_t n); /* back to the first n positions; n <= length */

/* A new sequence with the first n positions of `s`, sharing its pages. A fork that is kept aside is a
 * snapshot: whatever becomes of `s`, it stays. NULL without memory. */
struct sequence *sequence_fork(const struct sequence *s, size_t n);

/* [pages], for attention.h; valid until the sequence is changed. */
uint8_t *const *sequence_pages(const struct sequence *s, size_t *n);

/* Holds page i of the sequence for somebody who is none, until kv_cache_drop_page: what is filled of it by now
 * stays as it is. */
uint8_t *sequence_hold_page(const struct sequence *s, size_t i);
void kv_cache_drop_page(struct kv_cache *c, uint8_t *page);
/* Puts a page of the same cache in the place of page i, or behind the last one; both hold it then. The length
 * stays. False without memory, which only one behind the last can want. */
bool sequence_share_page(struct sequence *s, size_t i, uint8_t *page);

#endif
