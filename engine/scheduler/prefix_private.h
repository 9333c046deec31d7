/* prefix_private.h - what sequences of one model have read, kept so that others who begin in the same way need not.
 *
 * A tree. A node is a page of keys and values and the tokens that stand in it; the nodes above are the tokens before,
 * so a way down from the root is the beginning of a text, and it is found by its tokens, not by who has read it. A page
 * with room left at its end is a node without any below: another sequence takes what it shares of it, and copies the
 * page when it writes on (kv_cache.h). Keys and values depend on the tokens up to them alone, and so does their every
 * bit: who takes pages from here gets what it would have computed.
 *
 * Where layers of the model are recurrent, a node also holds the state after its last token, if somebody had a checkpoint
 * there. Readers of such a model can go on only behind a node with a state: its pages alone are not enough.
 *
 * A reader stands on the last node of its way, and all of its way is in use then. What nobody stands on or below is idle,
 * and is given back oldest first. All of it belongs to the scheduler's thread.
 */
#ifndef BERTH_PREFIX_PRIVATE_H
#define BERTH_PREFIX_PRIVATE_H

#include "berth/engine/model/kv_cache.h"

#define PREFIX_SWEEP_SECONDS 1.0 /* between two looks for idle pages that are too old */
#define PREFIX_LEAST 8 /* tokens of a page: fewer are read as fast as a page is copied */

struct prefix_cache;
struct prefix_node;

/* What the age of idle nodes is measured by. Caches whose ages are compared share one. */
struct prefix_clock {
    uint64_t turns; /* goes on whenever a reader leaves a cache */
    double seconds; /* set by the owner before it uses a cache */
};

/* Both must live longer than the cache. NULL without memory. */
struct prefix_cache *prefix_new(struct kv_cache *cache, struct prefix_clock *clock);
void prefix_free(struct prefix_cache *p); /* nobody may stand in it; NULL is fine */

/* In what follows `at` is a node with a full page, or NULL for the root. */

size_t prefix_depth(const struct prefix_node *at); /* pages from the root, with its own */
bool prefix_in_use(const struct prefix_node *at);
size_t prefix_tokens(const struct prefix_node *at); /* that stand in its page */
struct kv_state *prefix_state(const struct prefix_node *at); /* after the last of them; NULL: none */

/* The node below `at` that begins most like ids[0..n), and how many tokens they share; NULL when there is none. */
struct prefix_node *prefix_find(
    const struct prefix_cache *p, const struct prefix_node *at, const int32_t *ids, size_t n, size_t *same);

/* The page of a node that was found, for sequence_share_page; the node is as if it were new. */
uint8_t *prefix_take(struct prefix_cache *p, struct prefix_node *found);

/* From the node above it, steps on a node with a full page. */
void prefix_enter(struct prefix_cache *p, struct prefix_node *next);

/* Steps from `at` on the node for page i of the sequence, which is full of ids[ATTENTION_BLOCK]; it is made where there
 * is none, else the sequence gives its own page away for the one that is there. NULL, and nothing done, without memory. */
struct prefix_node *prefix_keep(
    struct prefix_cache *p, struct prefix_node *at, const int32_t *ids, struct sequence *s, size_t i);

/* Keeps a page that is not full, with ids[n] in it, below `at`; without memory it is not kept. */
void prefix_keep_part(struct prefix_cache *p, struct prefix_node *at, const int32_t *ids, size_t n,
    const struct sequence *s, size_t i);

void prefix_leave(
    struct prefix_cache *p, struct prefix_node *at); /* the reader that stood there stands nowhere */

/* The functions below take NULL for a cache in which there is nothing. */

uint64_t prefix_idle_bytes(const struct prefix_cache *p);
uint64_t prefix_oldest(const struct prefix_cache *p); /* its turn; UINT64_MAX when nothing is idle */
double prefix_idle_seconds(
    const struct prefix_cache *p); /* of the oldest idle page; 0 when nothing is idle */
bool prefix_give_back(struct prefix_cache *p); /* the oldest idle page; false when there is none */
bool prefix_drop_states(
    struct prefix_cache *p); /* of all nodes, those in use, too; false when there is none */

#endif
