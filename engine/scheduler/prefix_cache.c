/* prefix_cache.c - a tree of pages by their tokens, and the order in which idle pages are freed.
 *
 * The children of a node are sorted by the bytes of their tokens, so the child that shares the longest beginning with a
 * text is next to the place where the text itself would be. The time of a look-up depends mainly on the text's length.
 *
 * Idle nodes are in a list by age. A reader counts on its node and on all nodes above. When it leaves, they become idle
 * from below, so a node is always newer than its children. The oldest idle node therefore has no children and can be
 * freed.
 *
 * Cached pages count in the KV budget like those of sequences. The few hundred bytes of a node do not, because a page of
 * the smallest real models is hundreds of times larger.
 */
#include "prefix_private.h"

#include <stdlib.h>
#include <string.h>

struct prefix_node {
    struct prefix_node *above;
    struct prefix_node **below; /* [n_below of room], in the order of compare */
    size_t n_below, room;
    size_t depth;
    size_t users; /* readers on it or below */
    struct prefix_node *older, *newer; /* while it is idle, as `left` */
    uint64_t left; /* when its last reader left, by the clock: in turns, */
    double left_seconds; /* in seconds */
    uint8_t *pages[KV_CLASSES]; /* held; NULL where it was given back */
    struct kv_state *state; /* held; after the node's last token, or NULL */
    size_t n;
    int32_t ids[ATTENTION_BLOCK]; /* [n] */
};

struct prefix_cache {
    struct kv_cache *cache;
    struct prefix_clock *clock;
    struct prefix_node root; /* never idle */
    struct prefix_node *oldest, *newest;
    size_t n_idle, n_idle_windowed, n_idle_states;
};

struct prefix_cache *prefix_new(struct kv_cache *cache, struct prefix_clock *clock)
{
    struct prefix_cache *p = calloc(1, sizeof(*p));
    if (p) {
        p->cache = cache;
        p->clock = clock;
    }
    return p;
}

void prefix_free(struct prefix_cache *p)
{
    while (prefix_give_back(p))
        continue;
    if (p)
        free(p->root.below);
    free(p);
}

size_t prefix_depth(const struct prefix_node *at)
{
    return at ? at->depth : 0;
}

bool prefix_in_use(const struct prefix_node *at)
{
    return at->users > 0;
}

size_t prefix_tokens(const struct prefix_node *at)
{
    return at->n;
}

struct kv_state *prefix_state(const struct prefix_node *at)
{
    return at->state;
}

bool prefix_is_windowed(const struct prefix_node *at)
{
    return at->pages[KV_WINDOWED] != NULL;
}

/* ---- what is idle ---- */

static void list_newest(struct prefix_cache *p, struct prefix_node *x)
{
    x->left = p->clock->turns;
    x->left_seconds = p->clock->seconds;
    x->older = p->newest;
    x->newer = NULL;
    *(p->newest ? &p->newest->newer : &p->oldest) = x;
    p->newest = x;
    p->n_idle++;
    p->n_idle_windowed += prefix_is_windowed(x);
    p->n_idle_states += x->state != NULL;
}

static void unlist(struct prefix_cache *p, struct prefix_node *x)
{
    *(x->older ? &x->older->newer : &p->oldest) = x->newer;
    *(x->newer ? &x->newer->older : &p->newest) = x->older;
    p->n_idle--;
    p->n_idle_windowed -= prefix_is_windowed(x);
    p->n_idle_states -= x->state != NULL;
}

static void touch(struct prefix_cache *p, struct prefix_node *x)
{
    if (x->users > 0)
        return;
    unlist(p, x);
    list_newest(p, x);
}

void prefix_enter(struct prefix_cache *p, struct prefix_node *next)
{
    if (next->users++ == 0)
        unlist(p, next);
}

void prefix_leave(struct prefix_cache *p, struct prefix_node *at)
{
    p->clock->turns++;
    for (; at && at != &p->root; at = at->above)
        if (--at->users == 0)
            list_newest(p, at);
}

uint64_t prefix_idle_bytes(const struct prefix_cache *p)
{
    if (!p)
        return 0;
    return (uint64_t)p->n_idle * kv_cache_class_bytes(p->cache, KV_GLOBAL) +
           (uint64_t)p->n_idle_windowed * kv_cache_class_bytes(p->cache, KV_WINDOWED) +
           (uint64_t)p->n_idle_states * kv_cache_state_bytes(p->cache);
}

uint64_t prefix_oldest(const struct prefix_cache *p)
{
    return p && p->oldest ? p->oldest->left : UINT64_MAX;
}

double prefix_idle_seconds(const struct prefix_cache *p)
{
    return p && p->oldest ? p->clock->seconds - p->oldest->left_seconds : 0;
}

/* ---- the tree ---- */

static int compare(const struct prefix_node *x, const int32_t *ids, size_t n)
{
    int order = memcmp(x->ids, ids, (x->n < n ? x->n : n) * sizeof(*ids));
    return order ? order : (x->n > n) - (x->n < n);
}

/* The index of the first child that is not before ids. */
static size_t place_of(const struct prefix_node *above, const int32_t *ids, size_t n)
{
    size_t low = 0, high = above->n_below;
    while (low < high) {
        size_t middle = low + (high - low) / 2;
        if (compare(above->below[middle], ids, n) < 0)
            low = middle + 1;
        else
            high = middle;
    }
    return low;
}

static size_t shared(const struct prefix_node *x, const int32_t *ids, size_t n)
{
    size_t most = x->n < n ? x->n : n, i = 0;
    while (i < most && x->ids[i] == ids[i])
        i++;
    return i;
}

static bool lacks_window(const struct prefix_cache *p, const struct prefix_node *x)
{
    return kv_cache_class_bytes(p->cache, KV_WINDOWED) > 0 && !prefix_is_windowed(x);
}

/* Of the children around `place` that share as many tokens as x the first one that has its windowed page; x when none has. */
static struct prefix_node *with_window(
    const struct prefix_node *above, struct prefix_node *x, size_t place, const int32_t *ids, size_t n)
{
    size_t same = shared(x, ids, n);
    while (place > 0 && shared(above->below[place - 1], ids, n) == same)
        place--;
    for (; place < above->n_below && shared(above->below[place], ids, n) == same; place++)
        if (prefix_is_windowed(above->below[place]))
            return above->below[place];
    return x;
}

struct prefix_node *prefix_find(
    const struct prefix_cache *p, const struct prefix_node *at, const int32_t *ids, size_t n, size_t *same)
{
    const struct prefix_node *above = at ? at : &p->root;
    size_t place = place_of(above, ids, n);
    struct prefix_node *found = NULL;
    *same = 0;
    for (size_t i = place > 0 ? place - 1 : 0; i <= place && i < above->n_below; i++) {
        size_t these = shared(above->below[i], ids, n);
        if (these > *same) {
            *same = these;
            found = above->below[i];
        }
    }
    return found && lacks_window(p, found) ? with_window(above, found, place, ids, n) : found;
}

struct prefix_node *prefix_find_state(
    const struct prefix_cache *p, const struct prefix_node *at, const int32_t *ids, size_t n)
{
    const struct prefix_node *above = at ? at : &p->root;
    for (; n > 0 && above->n_below > 0; n--) {
        size_t place = place_of(above, ids, n);
        struct prefix_node *x = place < above->n_below ? above->below[place] : NULL;
        if (x && x->n == n && x->state && compare(x, ids, n) == 0)
            return x;
    }
    return NULL;
}

bool prefix_take(struct prefix_cache *p, struct prefix_node *found, struct sequence *s, size_t i)
{
    bool good = true;
    touch(p, found);
    for (int k = 0; good && k < KV_CLASSES; k++)
        good = sequence_share_page(s, (enum kv_class)k, i, found->pages[k]);
    return good;
}

static void drop_windowed(struct prefix_cache *p, struct prefix_node *x)
{
    if (x->users == 0)
        p->n_idle_windowed -= prefix_is_windowed(x);
    kv_cache_drop_page(p->cache, x->pages[KV_WINDOWED]);
    x->pages[KV_WINDOWED] = NULL;
}

/* Frees an idle node without children. */
static void drop(struct prefix_cache *p, struct prefix_node *x)
{
    struct prefix_node *above = x->above;
    size_t place = place_of(above, x->ids, x->n);
    memmove(above->below + place, above->below + place + 1,
        (above->n_below - place - 1) * sizeof(struct prefix_node *));
    above->n_below--;
    unlist(p, x);
    for (int k = 0; k < KV_CLASSES; k++)
        kv_cache_drop_page(p->cache, x->pages[k]);
    kv_cache_drop_state(p->cache, x->state);
    free(x->below);
    free(x);
}

bool prefix_give_back(struct prefix_cache *p)
{
    if (!p || !p->oldest)
        return false;
    drop(p, p->oldest);
    return true;
}

/* Of x and of the nodes below. The recursion is as deep as the longest cached text has pages. */
static bool drop_states(struct prefix_cache *p, struct prefix_node *x)
{
    bool dropped = x->state || prefix_is_windowed(x);
    if (x->state && x->users == 0)
        p->n_idle_states--;
    kv_cache_drop_state(p->cache, x->state);
    x->state = NULL;
    drop_windowed(p, x);
    for (size_t i = 0; i < x->n_below; i++)
        dropped = drop_states(p, x->below[i]) || dropped;
    return dropped;
}

bool prefix_drop_states(struct prefix_cache *p)
{
    return p && drop_states(p, &p->root);
}

static bool make_room(struct prefix_node *above)
{
    if (above->n_below < above->room)
        return true;
    size_t room = above->room ? 2 * above->room : 2;
    struct prefix_node **more = realloc(above->below, room * sizeof(struct prefix_node *));
    if (!more)
        return false;
    above->below = more;
    above->room = room;
    return true;
}

static bool forks(const struct prefix_node *x)
{
    size_t full = 0;
    for (size_t i = 0; i < x->n_below && full < 2; i++)
        full += x->below[i]->n == ATTENTION_BLOCK;
    return full > 1;
}

void prefix_thin(struct prefix_cache *p, struct prefix_node *at, size_t prompt)
{
    size_t end = prefix_depth(at) * ATTENTION_BLOCK, every = kv_cache_checkpoint_every(p->cache);
    size_t windowed = SIZE_MAX; /* pages from this one on stay, and those behind it were looked at */
    bool needed = false; /* by a text that leaves the path between this node and the next state */
    for (; at && at != &p->root; at = at->above) {
        size_t position = at->depth * ATTENTION_BLOCK;
        bool kept = kv_cache_keeps_checkpoint(p->cache, position, end);
        if (position == end || position == prompt || at->n_below > 1 || (kept && position % every == 0))
            windowed = kv_cache_kept_page(p->cache, position);
        if (at->depth <= windowed)
            drop_windowed(p, at);
        needed = needed || forks(at);
        if (!at->state)
            continue;
        if (!needed && !kept) {
            kv_cache_drop_state(p->cache, at->state);
            at->state = NULL;
        }
        needed = needed && !at->state;
    }
}

/* Adds an idle node that holds page i. Drops a node that has only a beginning of its tokens and no state. */
static struct prefix_node *add(struct prefix_cache *p, struct prefix_node *above, const int32_t *ids,
    size_t n, const struct sequence *s, size_t i)
{
    struct prefix_node *x = make_room(above) ? calloc(1, sizeof(*x)) : NULL;
    if (!x)
        return NULL;
    size_t place = place_of(above, ids, n);
    struct prefix_node *before = place > 0 ? above->below[place - 1] : NULL;
    if (before && !before->state && shared(before, ids, n) == before->n) {
        drop(p, before);
        place--;
    }
    *x = (struct prefix_node){.above = above, .depth = above->depth + 1, .n = n};
    memcpy(x->ids, ids, n * sizeof(*ids));
    for (int k = 0; k < KV_CLASSES; k++)
        x->pages[k] = sequence_hold_page(s, (enum kv_class)k, i);
    x->state = n < ATTENTION_BLOCK ? sequence_hold_state(s, i * ATTENTION_BLOCK + n)
                                   : sequence_hold_checkpoint(s, (i + 1) * ATTENTION_BLOCK);
    memmove(above->below + place + 1, above->below + place,
        (above->n_below - place) * sizeof(struct prefix_node *));
    above->below[place] = x;
    above->n_below++;
    list_newest(p, x);
    return x;
}

struct prefix_node *prefix_keep(
    struct prefix_cache *p, struct prefix_node *at, const int32_t *ids, struct sequence *s, size_t i)
{
    size_t same;
    struct prefix_node *x = prefix_find(p, at, ids, ATTENTION_BLOCK, &same);
    if (!x || same < ATTENTION_BLOCK)
        x = add(p, at ? at : &p->root, ids, ATTENTION_BLOCK, s, i);
    if (!x)
        return NULL;
    prefix_enter(p, x);
    /* The sequence's own pages have the same bits, and would cost memory until it ends. */
    for (int k = 0; k < KV_CLASSES; k++)
        if (x->pages[k])
            sequence_share_page(s, (enum kv_class)k, i, x->pages[k]);
        else
            x->pages[k] = sequence_hold_page(s, (enum kv_class)k, i);
    if (!x->state)
        x->state = sequence_hold_checkpoint(s, (i + 1) * ATTENTION_BLOCK);
    return x;
}

void prefix_keep_end(struct prefix_node *at, const struct sequence *s)
{
    if (!at->state)
        at->state = sequence_hold_state(s, at->depth * ATTENTION_BLOCK);
}

void prefix_keep_part(struct prefix_cache *p, struct prefix_node *at, const int32_t *ids, size_t n,
    const struct sequence *s, size_t i)
{
    size_t same;
    struct prefix_node *x = prefix_find(p, at, ids, n, &same);
    struct kv_state *state = sequence_hold_state(s, i * ATTENTION_BLOCK + n);
    if (x && same == n && (x->n == n || !(state || lacks_window(p, x)))) {
        touch(p, x);
        if (state && x->n == n && !x->state) {
            x->state = state;
            p->n_idle_states += x->users == 0;
            return;
        }
    } else if (n >= PREFIX_LEAST || state) {
        add(p, at ? at : &p->root, ids, n, s, i);
    }
    kv_cache_drop_state(p->cache, state);
}
