/* prefix_private.h - the prefix cache: pages that sequences of one model have computed, kept for other sequences that begin
 * with the same tokens.
 *
 * The cache is a tree. A node is a page of keys and values of each class and the tokens in it; the nodes above hold the tokens before.
 * A path from the root is the beginning of a text, and is found by its tokens. A page that is not full is a node without
 * children: another sequence shares the part of it that it needs, and copies the page when it writes on (kv_cache.h).
 * Keys and values depend only on the tokens up to them, so shared pages hold the bits that a sequence would have computed.
 *
 * Where layers of the model are recurrent, a node also holds the state after its last token, when a sequence had a
 * checkpoint there or ended there. A reader of such a model can go on only behind a node with a state: pages alone are not enough.
 *
 * Where layers have a window, a node has its windowed page only while it lies within the window before a place where a text
 * is likely to go on: where a reader is or was last, at a prompt's end, where texts part, and at places whose distances
 * grow with the distance from the end. A reader can go on only where the nodes before have all pages that the window
 * reaches. Otherwise it goes on further before, and computes windowed pages anew, which the nodes take.
 *
 * A reader is at the last node of its path, and the whole path is in use. Nodes without a reader at or below them are idle,
 * and are freed oldest first. The cache belongs to the scheduler's thread.
 */
#ifndef BERTH_PREFIX_PRIVATE_H
#define BERTH_PREFIX_PRIVATE_H

#include "berth/engine/model/kv_cache.h"

#define PREFIX_SWEEP_SECONDS 1.0 /* between two looks for idle pages that are too old */
/* Tokens of a page that are worth sharing: fewer are computed as fast as the page is copied. */
#define PREFIX_LEAST 8

struct prefix_cache;
struct prefix_node;

/* The clock for the age of idle nodes. Caches whose ages are compared share one. */
struct prefix_clock {
    uint64_t turns; /* is raised whenever a reader leaves a cache */
    double seconds; /* set by the owner before it uses a cache */
};

/* Both must live longer than the cache. NULL without memory. */
struct prefix_cache *prefix_new(struct kv_cache *cache, struct prefix_clock *clock);
void prefix_free(struct prefix_cache *p); /* no reader may be left; NULL is fine */

/* In what follows `at` is a node with a full page, or NULL for the root. */

size_t prefix_depth(const struct prefix_node *at); /* pages from the root, with its own */
bool prefix_in_use(const struct prefix_node *at);
size_t prefix_tokens(const struct prefix_node *at); /* tokens of its page */
struct kv_state *prefix_state(const struct prefix_node *at); /* after its last token; NULL for none */
bool prefix_is_windowed(const struct prefix_node *at); /* it has its windowed page */

/* The child of `at` that shares most tokens with the beginning of ids[0..n), and how many in *same; NULL when none
 * shares any. Of several it is one that has its windowed page, where there is such. */
struct prefix_node *prefix_find(
    const struct prefix_cache *p, const struct prefix_node *at, const int32_t *ids, size_t n, size_t *same);

/* The child of `at` that holds a state and the most tokens, all of which ids[0..n) begins with; NULL when none does. */
struct prefix_node *prefix_find_state(
    const struct prefix_cache *p, const struct prefix_node *at, const int32_t *ids, size_t n);

/* Makes the pages of a node that was found page i of the sequence. The node counts as used now. False without memory. */
bool prefix_take(struct prefix_cache *p, struct prefix_node *found, struct sequence *s, size_t i);

/* Moves a reader from the node above to `next`, which has a full page. */
void prefix_enter(struct prefix_cache *p, struct prefix_node *next);

/* Moves a reader from `at` to the node for page i of the sequence, which is full and holds ids[ATTENTION_BLOCK]. Makes the
 * node where there is none; otherwise the sequence shares the node's pages instead of its own, and the node takes those
 * that it lacks. NULL, and no change, without memory. */
struct prefix_node *prefix_keep(
    struct prefix_cache *p, struct prefix_node *at, const int32_t *ids, struct sequence *s, size_t i);

/* Keeps the state behind `at`, where a reader is, although it is no checkpoint: the sequence ends there. */
void prefix_keep_end(struct prefix_node *at, const struct sequence *s);

/* Keeps page i, which begins with ids[n], below `at`, with the state there. Does nothing without memory. */
void prefix_keep_part(struct prefix_cache *p, struct prefix_node *at, const int32_t *ids, size_t n,
    const struct sequence *s, size_t i);

/* Thins states and windowed pages above `at` as those of a sequence that ends there (kv_cache_keeps_checkpoint), except
 * those from which a text that leaves the path went on, and the pages of the window before position `prompt`. */
void prefix_thin(struct prefix_cache *p, struct prefix_node *at, size_t prompt);

void prefix_leave(struct prefix_cache *p, struct prefix_node *at); /* removes a reader */

/* In the functions below NULL is an empty cache. */

uint64_t prefix_idle_bytes(const struct prefix_cache *p);
uint64_t prefix_oldest(const struct prefix_cache *p); /* its turn; UINT64_MAX when nothing is idle */
double prefix_idle_seconds(
    const struct prefix_cache *p); /* of the oldest idle page; 0 when nothing is idle */
bool prefix_give_back(struct prefix_cache *p); /* frees the oldest idle page; false when there is none */
/* Drops states and windowed pages of all nodes, also of those in use. False when there are none. */
bool prefix_drop_states(struct prefix_cache *p);

#endif
