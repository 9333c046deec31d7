/* kv_cache.h - the state of sequences, within one budget for all models.
 *
 * A sequence stores what the layers need of the tokens so far. It has a part for each kind of layer:
 *
 *  - Keys and values lie in pages of ATTENTION_BLOCK positions, taken from the budget as the sequence grows. Layers that
 *    see all positions have one class of pages, all of them in one page, and layers with a window another. Pages of the
 *    former are given back when the sequence ends, pages of the latter when they lie behind the window. Pages are counted,
 *    so that sequences with a common beginning share them; a page that is shared is copied before it is written to. A
 *    sequence can be cut, forked or resumed at a position only where it has the pages that the window reaches from there.
 *  - A recurrent state has a fixed size and stands for all positions up to the sequence's length. It cannot be cut, so
 *    the sequence keeps checkpoints: copies of the state at absolute positions, at each multiple of
 *    kv_cache_checkpoint_every and where sequence_mark asks for one. Where a state is large, older ones are thinned, so
 *    that a long sequence keeps one for each power of two: to cut it by some positions costs about as many to be computed
 *    again. States are counted and shared like pages, and are never written to once a forward call has ended.
 *
 * All pages of a class have one size, and all of a model's states. A cache and its sequences belong to one thread, the
 * scheduler's; the budget's figures may be read by any.
 */
#ifndef BERTH_KV_CACHE_H
#define BERTH_KV_CACHE_H

#include "berth/kernels/attention.h"
#include "berth/base/error.h"

#include <stdatomic.h>

/* Bytes that all caches may use together. Any thread may read both figures and set the limit. Below what is used a limit
 * frees nothing; it only refuses new pages and states. */
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

/* Classes of pages: of layers that see all positions, and of layers with a window. */
enum kv_class { KV_GLOBAL, KV_WINDOWED, KV_CLASSES };

/* What a sequence stores for one layer: keys and values of each position, a recurrent state, or nothing. */
struct layer_state {
    uint32_t n_head_kv, head_dim_k, head_dim_v; /* n_head_kv is 0 where the layer has no keys and values */
    size_t recurrent_floats; /* 0 where the layer is not recurrent */
    bool values_in_keys; /* values are the first elements of keys, and are not stored by themselves */
    uint32_t window; /* keys that a query sees, its own the last; 0 for all */
    bool chunked; /* the window begins at a multiple of its size */
};

/* The first position that a query sees through a window. */
static inline size_t kv_first_key(size_t window, bool chunked, size_t position)
{
    if (window == 0 || position < window)
        return 0;
    return chunked ? position - position % window : position + 1 - window;
}

struct kv_cache;

/* `layers` is copied. NULL without memory. The budget must live longer. */
struct kv_cache *kv_cache_new(
    struct kv_budget *budget, enum attention_type type, const struct layer_state *layers, size_t n_layers);
void kv_cache_free(struct kv_cache *c); /* no sequence, page or state may be left */

size_t kv_cache_page_bytes(const struct kv_cache *c); /* of one page of each class */
size_t kv_cache_class_bytes(
    const struct kv_cache *c, enum kv_class class); /* of a page; 0: no layer has a window */
enum kv_class kv_cache_class(const struct kv_cache *c, size_t layer);
enum attention_type kv_cache_type(const struct kv_cache *c);
uint64_t kv_cache_bytes(
    const struct kv_cache *c); /* of all pages and states that are held, each counted once */
/* Bytes of a sequence of so many positions that shares nothing, with all of its checkpoints, and without any. A forward
 * call computes at most `rows` of the positions; pages behind the window are given back before it. */
uint64_t kv_cache_bytes_for(const struct kv_cache *c, size_t positions, size_t rows);
uint64_t kv_cache_least_bytes_for(const struct kv_cache *c, size_t positions, size_t rows);
/* The first page of the windowed class that a sequence of so many positions keeps: with it a sequence can go on at each
 * position of the last page. 0 where no layer has a window. */
size_t kv_cache_kept_page(const struct kv_cache *c, size_t positions);
/* Byte offset in every page of the layer's class of a head's keys and values. */
size_t kv_cache_k_at(const struct kv_cache *c, size_t layer, size_t head);
size_t kv_cache_v_at(const struct kv_cache *c, size_t layer, size_t head);

size_t kv_cache_state_bytes(const struct kv_cache *c); /* 0: no layer is recurrent */
size_t kv_cache_state_at(
    const struct kv_cache *c, size_t layer); /* index of a layer's first float in every state */
/* Positions from one checkpoint to the next, a multiple of ATTENTION_BLOCK: so many that checkpoints take about a quarter of
 * the memory of pages, but at most 256; at least two windows. 0: no layer is recurrent or has a window. */
size_t kv_cache_checkpoint_every(const struct kv_cache *c);
/* False for a checkpoint that has been thinned out when a sequence is `end` positions long. */
bool kv_cache_keeps_checkpoint(const struct kv_cache *c, size_t position, size_t end);

struct sequence;

struct sequence *sequence_new(struct kv_cache *c); /* empty; NULL without memory */
void sequence_free(struct sequence *s); /* NULL is fine */

const struct kv_cache *sequence_cache(const struct sequence *s);
size_t sequence_length(const struct sequence *s); /* positions that are filled */
uint64_t sequence_bytes(const struct sequence *s); /* of its pages and states, those that it shares, too */

/* Makes positions up to `n` writable: gives back pages behind the window, thins the checkpoints, takes pages and states,
 * copies the last page where it is shared. The length stays. False, and no more has changed, when the budget does not
 * allow it or memory is short. */
bool sequence_reserve(struct sequence *s, size_t n);
/* The same with the least memory: drops the sequence's checkpoints, and takes none. */
bool sequence_reserve_least(struct sequence *s, size_t n);
bool sequence_is_reserved(const struct sequence *s, size_t position);
void sequence_advance(
    struct sequence *s, size_t n); /* the length becomes n, at most what was reserved and written */

/* Asks for a checkpoint at this position, when a forward call passes it. The last call counts. */
void sequence_mark(struct sequence *s, size_t position);

/* Cuts the sequence to its first n positions, or, where it has a recurrent state, to the last checkpoint among them; to
 * nothing where the pages of the window are gone. n <= length. Returns the new length. Without a recurrent state it is
 * exact within the page of the last position, down to where the sequence was resumed. */
size_t sequence_cut(struct sequence *s, size_t n);

/* A new sequence with the first n positions of `s`, or fewer as with sequence_cut, that shares its pages and states. A
 * fork that is kept is a snapshot: it does not change with `s`. NULL without memory. */
struct sequence *sequence_fork(const struct sequence *s, size_t n);

/* ---- for a forward call ---- */

/* [pages], for attention.h; valid until the sequence is changed. NULL in place of pages that were given back. */
uint8_t *const *sequence_pages(const struct sequence *s, enum kv_class class);

/* The state after the sequence's positions; NULL stands for zeros, before the first one. */
const float *sequence_state(const struct sequence *s);
/* Where the forward call writes the state after its last row. */
float *sequence_next_state(const struct sequence *s);
/* Checkpoint i among those that were reserved, except at the call's last position, where the next state serves: where
 * the state after *position positions is to be written, if the call comes that far. NULL: there is no further one. */
float *sequence_next_checkpoint(const struct sequence *s, size_t i, size_t *position);

/* ---- pages and states by themselves ---- */

/* Holds page i of the sequence, until kv_cache_drop_page. The positions that are filled by now do not change while it is
 * held. NULL where it was given back, or the class has no pages. */
uint8_t *sequence_hold_page(const struct sequence *s, enum kv_class class, size_t i);
void kv_cache_drop_page(struct kv_cache *c, uint8_t *page); /* NULL is fine */
/* Makes a page of the same cache and class page i of the sequence, in the place of the old page i or behind the last one.
 * The caller keeps its own hold. NULL stands for a page that was given back, and replaces none. The length stays. False
 * without memory, which only a page behind the last needs. */
bool sequence_share_page(struct sequence *s, enum kv_class class, size_t i, uint8_t *page);
/* The first page of the windowed class that the sequence still has. */
size_t sequence_first_page(const struct sequence *s);

struct kv_state;

/* Holds the state after the first n positions, until kv_cache_drop_state. NULL when the sequence has none there. */
struct kv_state *sequence_hold_state(const struct sequence *s, size_t n);
/* The same only where that is a checkpoint. */
struct kv_state *sequence_hold_checkpoint(const struct sequence *s, size_t n);
void kv_cache_drop_state(struct kv_cache *c, struct kv_state *state); /* NULL is fine */
/* Sets the length to n, above what it was. The pages up to there have been shared, of the windowed class those from
 * kv_cache_kept_page on; pages behind the window are given back. `state` is the state after n positions,
 * NULL where no layer is recurrent; the caller keeps its own hold. */
void sequence_resume(struct sequence *s, size_t n, struct kv_state *state);

#endif
