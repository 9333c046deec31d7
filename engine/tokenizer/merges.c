/* merges.c - the merges of byte-level BPE, as the file lists them.
 *
 * Merges are stored as ids: the two sides, and what they become. A text that a merge takes or makes need not be a token:
 * such extra texts have the ids after those of the vocabulary.
 */
#include "tokenizer_private.h"

#include <stdlib.h>
#include <string.h>

/* --- Extra texts --- */

static struct span extra_text(const struct extras *x, size_t i)
{
    return (struct span){x->bytes + x->at[i].at, x->at[i].size};
}

/* The slot that holds the text, or the free one where it belongs, or NO_SLOT after too many steps. */
static size_t extra_slot(const struct extras *x, struct span text, uint32_t hash)
{
    for (size_t step = 0, i = hash & x->mask; step < PROBES_MAX; step++, i = (i + 1) & x->mask) {
        if (x->slots[i] == NO_SLOT)
            return i;
        struct span own = extra_text(x, x->slots[i]);
        if (x->at[x->slots[i]].hash == hash && own.size == text.size &&
            memcmp(own.at, text.at, text.size) == 0)
            return i;
    }
    return NO_SLOT;
}

static bool extras_grow(struct extras *x)
{
    size_t mask = x->slots ? 2 * x->mask + 1 : 63;
    uint32_t *slots = malloc((mask + 1) * sizeof(*slots));
    if (!slots)
        return false;
    memset(slots, 0xff, (mask + 1) * sizeof(*slots)); /* every index NO_SLOT */
    free(x->slots);
    x->slots = slots;
    x->mask = mask;
    for (size_t i = 0; i < x->n; i++) {
        size_t slot = extra_slot(x, extra_text(x, i), x->at[i].hash);
        if (slot == NO_SLOT)
            return false;
        slots[slot] = (uint32_t)i;
    }
    return true;
}

static bool extras_room(struct extras *x, size_t bytes)
{
    if (x->n_bytes + bytes > x->bytes_room) {
        size_t room = 2 * (x->n_bytes + bytes);
        uint8_t *grown = room < UINT32_MAX ? realloc(x->bytes, room) : NULL;
        if (!grown)
            return false;
        x->bytes = grown;
        x->bytes_room = room;
    }
    if (x->n == x->room) {
        void *grown = realloc(x->at, (2 * x->room + 16) * sizeof(*x->at));
        if (!grown)
            return false;
        x->at = grown;
        x->room = 2 * x->room + 16;
    }
    return x->slots && 2 * x->n < x->mask ? true : extras_grow(x);
}

/* The index of the text, which is added when it is new; TOKENIZER_NONE with the reason when that fails. */
static int32_t extras_add(struct extras *x, struct span text, struct error *err)
{
    uint32_t hash = vocabulary_hash(text);
    size_t slot = extras_room(x, text.size) ? extra_slot(x, text, hash) : NO_SLOT;
    if (slot == NO_SLOT) {
        error_set(err, "no memory for the merges, or too many of them collide");
        return TOKENIZER_NONE;
    }
    if (x->slots[slot] == NO_SLOT) {
        memcpy(x->bytes + x->n_bytes, text.at, text.size);
        x->at[x->n].at = (uint32_t)x->n_bytes;
        x->at[x->n].size = (uint32_t)text.size;
        x->at[x->n].hash = hash;
        x->n_bytes += text.size;
        x->slots[slot] = (uint32_t)x->n++;
    }
    return (int32_t)x->slots[slot];
}

int32_t merges_find(const struct tokenizer *t, struct span text)
{
    const struct extras *x = &t->merges.extras;
    int32_t id = vocabulary_find_word(&t->vocabulary, text);
    if (id != TOKENIZER_NONE || x->n == 0)
        return id;
    size_t slot = extra_slot(x, text, vocabulary_hash(text));
    return slot == NO_SLOT || x->slots[slot] == NO_SLOT ? TOKENIZER_NONE
                                                        : (int32_t)(t->vocabulary.n + x->slots[slot]);
}

/* --- Reading --- */

#define MERGES_AT_A_TIME 32

static uint32_t hash_of_pair(int32_t left, int32_t right)
{
    uint64_t h = ((uint64_t)(uint32_t)left << 32 | (uint32_t)right) * 0x9e3779b97f4a7c15u;
    return (uint32_t)(h >> 32 ^ h >> 15);
}

/* The slot that holds the pair, or the free one where it belongs. NULL after too many steps. */
static struct merge *slot_of(const struct merges *m, int32_t left, int32_t right)
{
    for (size_t step = 0, i = hash_of_pair(left, right) & m->mask; step < PROBES_MAX; step++) {
        struct merge *at = &m->slots[i];
        if (at->rank == NO_SLOT || (at->left == left && at->right == right))
            return at;
        i = (i + 1) & m->mask;
    }
    return NULL;
}

const struct merge *merges_rank(const struct merges *m, int32_t left, int32_t right)
{
    if (m->n == 0 || left < 0 || right < 0 || !bits_hold(m->bits, hash_of_pair(left, right) & m->bits_mask))
        return NULL;
    const struct merge *at = slot_of(m, left, right);
    return at && at->rank != NO_SLOT && at->merged != TOKENIZER_NONE ? at : NULL;
}

void merges_drop_marks(struct tokenizer *t)
{
    for (size_t i = 0; t->merges.slots && i <= t->merges.mask; i++) {
        struct merge *at = &t->merges.slots[i];
        if (at->rank != NO_SLOT && (size_t)at->merged < t->vocabulary.n &&
            vocabulary_is_mark(&t->vocabulary, at->merged))
            at->merged = TOKENIZER_NONE;
    }
}

/* Whether a token's text is `left` followed by `right`. */
static bool is_both(struct span text, struct span left, struct span right)
{
    return text.size == left.size + right.size && memcmp(text.at, left.at, left.size) == 0 &&
           memcmp(text.at + left.size, right.at, right.size) == 0;
}

/* Not inlined, because the array would be set up at each call of the caller. */
static __attribute__((noinline)) int32_t find_joined(
    const struct vocabulary *v, struct span left, struct span right)
{
    uint8_t text[2 * TOKEN_BYTES_MAX];
    memcpy(text, left.at, left.size);
    memcpy(text + left.size, right.at, right.size);
    return vocabulary_find(v, (struct span){text, left.size + right.size});
}

/* The token whose text is both. The one after `last` is tried first, because most vocabularies are in the order of their
 * merges. */
static int32_t find_both(const struct vocabulary *v, struct span left, struct span right, int32_t last)
{
    size_t next = (size_t)(last + 1);
    if (next < v->n && is_both(vocabulary_text(v, next), left, right))
        return (int32_t)next;
    if (left.size + right.size > v->longest)
        return TOKENIZER_NONE;
    return find_joined(v, left, right);
}

/* A merge's two texts, as the file has them with a space between. */
static bool split_merge(struct span text, size_t rank, struct span sides[2], struct error *err)
{
    const uint8_t *gap = text.size > 2 ? memchr(text.at + 1, ' ', text.size - 2) : NULL;
    if (!gap)
        return error_set(err, "merge %zu has no space between two tokens", rank);
    sides[0] = (struct span){text.at, (size_t)(gap - text.at)};
    sides[1] = (struct span){gap + 1, text.size - sides[0].size - 1};
    return true;
}

/* The token that both make, or the extra text. */
static int32_t find_or_add_both(
    struct tokenizer *t, const struct span sides[2], int32_t last, struct error *err)
{
    int32_t both = find_both(&t->vocabulary, sides[0], sides[1], last);
    if (both != TOKENIZER_NONE)
        return both;
    uint8_t *text = malloc(sides[0].size + sides[1].size + 1);
    if (!text) {
        error_set(err, "no memory for the merges");
        return TOKENIZER_NONE;
    }
    memcpy(text, sides[0].at, sides[0].size);
    memcpy(text + sides[0].size, sides[1].at, sides[1].size);
    both = extras_add(&t->merges.extras, (struct span){text, sides[0].size + sides[1].size}, err);
    free(text);
    return both == TOKENIZER_NONE ? TOKENIZER_NONE : (int32_t)t->vocabulary.n + both;
}

/* Sets what a merge of these two sides gives. A side that is no token becomes an extra text. */
static bool find_merge(struct tokenizer *t, const struct span sides[2], const int32_t ids[2], int32_t last,
    struct merge *out, struct error *err)
{
    int32_t found[2];
    for (size_t i = 0; i < 2; i++) {
        int32_t extra = ids[i] >= 0 ? 0 : extras_add(&t->merges.extras, sides[i], err);
        if (extra == TOKENIZER_NONE)
            return false;
        found[i] = ids[i] >= 0 ? ids[i] : (int32_t)t->vocabulary.n + extra;
    }
    out->left = found[0];
    out->right = found[1];
    out->merged = find_or_add_both(t, sides, last, err);
    return out->merged != TOKENIZER_NONE;
}

static bool insert_merge(struct merges *m, const struct merge *merge, struct error *err)
{
    struct merge *slot = slot_of(m, merge->left, merge->right);
    if (!slot)
        return error_set(err, "too many of the vocabulary's merges collide");
    bits_set(m->bits, hash_of_pair(merge->left, merge->right) & m->bits_mask);
    if (slot->rank == NO_SLOT)
        *slot = *merge; /* of two merges of the same pair the first counts */
    return true;
}

/* Reads n merges from `first` on. The memory of all of them is prefetched before any is used. *last is what the merge
 * before them makes, and the last of them then. */
static bool add_merges(struct tokenizer *t, const struct checkpoint_value *array, size_t *pos, size_t first,
    size_t n, int32_t *last, struct error *err)
{
    struct merges *m = &t->merges;
    struct span texts[MERGES_AT_A_TIME], sides[2 * MERGES_AT_A_TIME] = {{0}};
    int32_t ids[2 * MERGES_AT_A_TIME];
    struct merge found[MERGES_AT_A_TIME];
    for (size_t i = 0; i < n; i++) {
        texts[i] = checkpoint_next_string(array->bytes, pos);
        if (!split_merge(texts[i], first + i, &sides[2 * i], err))
            return false;
    }
    vocabulary_find_all(&t->vocabulary, sides, 2 * n, ids);
    for (size_t i = 0; i < n; i++) {
        found[i].rank = (uint32_t)(first + i);
        if (!find_merge(t, &sides[2 * i], &ids[2 * i], *last, &found[i], err))
            return false;
        *last = found[i].merged;
        __builtin_prefetch(&m->slots[hash_of_pair(found[i].left, found[i].right) & m->mask]);
    }
    for (size_t i = 0; i < n; i++)
        if (!insert_merge(m, &found[i], err))
            return false;
    return true;
}

bool merges_read(struct tokenizer *t, const struct checkpoint *c, bool may_miss, struct error *err)
{
    struct merges *m = &t->merges;
    const struct checkpoint_value *array = checkpoint_find(c, "tokenizer.ggml.merges");
    if (!array && may_miss)
        return true;
    if (!array || !checkpoint_is_array_of(array, CHECKPOINT_STRING))
        return error_set(
            err, "key \"tokenizer.ggml.merges\" is %s", array ? "not an array of strings" : "missing");
    m->n = (size_t)array->count;
    m->mask = 63;
    while (
        m->mask / 5 * 4 < m->n) /* full enough to be small; what is not there is mostly known from the bits */
        m->mask = 2 * m->mask + 1;
    m->slots = malloc((m->mask + 1) * sizeof(*m->slots));
    m->bits_mask = BITS_A_SLOT * vocabulary_slots(m->n) - 1;
    m->bits = calloc(1, (m->bits_mask + 1) / 8);
    if (!m->slots || !m->bits)
        return error_set(err, "no memory for %zu merges", m->n);
    memset(m->slots, 0xff, (m->mask + 1) * sizeof(*m->slots)); /* every rank NO_SLOT */
    size_t pos = 0;
    int32_t last = TOKENIZER_NONE;
    for (size_t i = 0; i < m->n; i += MERGES_AT_A_TIME) {
        size_t n = m->n - i < MERGES_AT_A_TIME ? m->n - i : MERGES_AT_A_TIME;
        if (!add_merges(t, array, &pos, i, n, &last, err))
            return false;
    }
    return true;
}

void merges_release(struct merges *m)
{
    free(m->slots);
    free(m->bits);
    free(m->extras.bytes);
    free(m->extras.at);
    free(m->extras.slots);
}
