/* sequence_private.h - the parts of a sequence.
 *
 * sequence.c is the whole; pages.c has the keys and values, states.c the recurrent state and its checkpoints, kv_cache.c
 * what all sequences of a model share.
 */
#ifndef SEQUENCE_PRIVATE_H
#define SEQUENCE_PRIVATE_H

#include "berth/engine/model/kv_cache.h"

#define KV_HEADER 64 /* bytes before a page or state, for its count; keeps it aligned */

struct kv_cache {
    struct kv_budget *budget;
    enum attention_type type;
    size_t page_bytes[KV_CLASSES],
        state_bytes; /* with the header; 0 when no layer has a window, is recurrent */
    size_t n_classes; /* 1 when no layer has a window */
    uint32_t window; /* the widest of all layers; 0 for none */
    bool chunked;
    size_t checkpoint_every;
    bool thins; /* some checkpoints are dropped as a sequence grows */
    size_t n_pages[KV_CLASSES], n_states; /* that are held */
    size_t n_layers;
    struct layer_state *layers;
    size_t *at; /* [n_layers], where a layer begins in a page of its class, */
    size_t *state_at; /* and in a state, in floats */
};

/* The first page of the windowed class with which a sequence can go on at `position`. */
size_t cache_first_page(const struct kv_cache *c, size_t position);

/* Memory for a page or state with its header, whose count is 1. NULL when the budget or the memory is short. */
void *kv_cache_take(struct kv_cache *c, size_t bytes);
void kv_cache_give_back(struct kv_cache *c, void *memory, size_t bytes);

/* ---- keys and values ---- */

/* The pages of one class. */
struct page_part {
    struct kv_cache *cache;
    enum kv_class class;
    uint8_t **pages; /* [n] of `room` */
    size_t n, room;
    size_t first; /* pages before it were given back: NULL */
};

size_t pages_for(size_t positions);
bool pages_init(
    struct page_part *p, struct kv_cache *c, enum kv_class class, size_t room); /* false without memory */
void pages_release(struct page_part *p);
bool pages_reserve(struct page_part *p, size_t length, size_t n);
void pages_cut(struct page_part *p, size_t pages); /* keeps the first `pages` */
void pages_give_back(struct page_part *p, size_t first); /* those before `first` */
void pages_fork(struct page_part *to, const struct page_part *from, size_t pages); /* `to` has the room */
bool pages_share(struct page_part *p, size_t i, uint8_t *page);
uint8_t *page_hold(uint8_t *page); /* counts one holder more; NULL for NULL */

/* ---- the recurrent state ---- */

struct checkpoint_state {
    size_t position;
    struct kv_state *state; /* beyond the sequence's length it has not been written yet */
};

struct state_part {
    struct kv_cache *cache;
    struct kv_state *now; /* NULL at length 0 */
    struct kv_state *next; /* its own, for the next forward call; or NULL */
    struct checkpoint_state *checkpoints; /* [n] of `room`, by position */
    size_t n, room;
    size_t marked; /* where a further checkpoint is wanted; 0: nowhere */
    size_t end; /* where `next` will be a checkpoint, too, with room in the list; 0: nowhere */
};

void states_release(struct state_part *p);
void states_drop_checkpoints(struct state_part *p);
/* `checkpoints`: those that lie between the length and n, too. */
bool states_reserve(struct state_part *p, size_t length, size_t n, bool checkpoints);
void states_advance(struct state_part *p, size_t n); /* `next` has been written */
/* The last position up to n after which it has the state. */
size_t states_point(const struct state_part *p, size_t length, size_t n);
/* In both the state after n is there. Without memory a fork is to be released all the same. */
void states_cut(struct state_part *p, size_t length, size_t n);
bool states_fork(struct state_part *to, const struct state_part *from, size_t length, size_t n);
struct kv_state *states_at(const struct state_part *p, size_t length, size_t n); /* NULL: none there */
struct kv_state *states_checkpoint(const struct state_part *p, size_t n); /* NULL: none there */
void states_resume(struct state_part *p, size_t length, size_t n, struct kv_state *state);
float *state_values(struct kv_state *state); /* NULL for NULL */
struct kv_state *state_hold(struct kv_state *state); /* counts one holder more; NULL for NULL */

#endif
