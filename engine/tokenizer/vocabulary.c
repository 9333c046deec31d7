/* vocabulary.c - the texts of the tokens, where the file has them, and a hash table that finds one.
 *
 * A token takes eight bytes and two or three slots of the table, of eight bytes each; its text stays in the mapping. The
 * table has open addressing. A file may have texts that were chosen to collide, so a vocabulary in which a search takes
 * thousands of steps is refused.
 */
#include "tokenizer_private.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#define FOUND_AT_A_TIME 32
#define AHEAD 8 /* tokens whose slots are prefetched */

static uint64_t load_4(const uint8_t *at)
{
    uint32_t word;
    memcpy(&word, at, sizeof(word));
    return word;
}

/* Loads 1 to 7 bytes: as two words that may overlap, or as single bytes. That is faster than one byte after the other. */
static uint64_t load_few(const uint8_t *at, size_t size)
{
    if (size >= 4)
        return load_4(at) | load_4(at + size - 4) << 32;
    return at[0] | (uint64_t)at[size / 2] << 8 | (uint64_t)at[size - 1] << 16;
}

/* Eight bytes a step. The values are used in this process only, so they may depend on the byte order. */
uint32_t vocabulary_hash(struct span text)
{
    const uint64_t odd = 0x9e3779b97f4a7c15u;
    uint64_t h = text.size * odd;
    size_t i = 0;
    for (; i + 8 <= text.size; i += 8) {
        h = (h ^ (load_4(text.at + i) | load_4(text.at + i + 4) << 32)) * odd;
        h ^= h >> 29;
    }
    if (i < text.size) {
        h = (h ^ load_few(text.at + i, text.size - i)) * odd;
        h ^= h >> 29;
    }
    /* The last bytes have changed the upper bits only, but the lower ones choose the slot. */
    h = (h ^ h >> 32) * odd;
    return (uint32_t)(h >> 32);
}

struct span vocabulary_text(const struct vocabulary *v, size_t id)
{
    return (struct span){v->bytes.at + v->tokens[id].at, v->tokens[id].size};
}

static bool equal(struct span a, struct span b)
{
    return a.size == b.size && memcmp(a.at, b.at, a.size) == 0;
}

size_t vocabulary_slots(size_t n)
{
    size_t slots = 16;
    while (slots < n + n / 2)
        slots *= 2;
    return slots;
}

/* The slot with this text, or the free one where it belongs, or NO_SLOT after too many steps. */
static size_t slot_of(const struct vocabulary *v, struct span text, uint32_t hash)
{
    for (size_t step = 0, i = hash & v->mask; step < PROBES_MAX; step++, i = (i + 1) & v->mask)
        if (v->slots[i].id == NO_SLOT ||
            (v->slots[i].hash == hash && equal(vocabulary_text(v, v->slots[i].id), text)))
            return i;
    return NO_SLOT;
}

static int32_t find_hashed(const struct vocabulary *v, struct span text, uint32_t hash)
{
    if (text.size == 0 || text.size > v->longest || !bits_hold(v->bits, hash & v->bits_mask))
        return TOKENIZER_NONE;
    size_t slot = slot_of(v, text, hash);
    return slot == NO_SLOT || v->slots[slot].id == NO_SLOT ? TOKENIZER_NONE : (int32_t)v->slots[slot].id;
}

int32_t vocabulary_find(const struct vocabulary *v, struct span text)
{
    return find_hashed(v, text, vocabulary_hash(text));
}

/* Prefetches the memory of all of them before it reads any. */
static void find_some(const struct vocabulary *v, const struct span *texts, size_t n, int32_t *ids)
{
    uint32_t hash[FOUND_AT_A_TIME], id[FOUND_AT_A_TIME];
    for (size_t i = 0; i < n; i++) {
        hash[i] = vocabulary_hash(texts[i]);
        __builtin_prefetch(&v->slots[hash[i] & v->mask]);
    }
    for (size_t i = 0; i < n; i++) {
        id[i] = v->slots[hash[i] & v->mask].id;
        if (id[i] != NO_SLOT)
            __builtin_prefetch(&v->tokens[id[i]]);
    }
    for (size_t i = 0; i < n; i++)
        if (id[i] != NO_SLOT)
            __builtin_prefetch(v->bytes.at + v->tokens[id[i]].at);
    for (size_t i = 0; i < n; i++)
        ids[i] = find_hashed(v, texts[i], hash[i]);
}

void vocabulary_find_all(const struct vocabulary *v, const struct span *texts, size_t n, int32_t *ids)
{
    for (size_t i = 0; i < n; i += FOUND_AT_A_TIME)
        find_some(v, texts + i, n - i < FOUND_AT_A_TIME ? n - i : FOUND_AT_A_TIME, ids + i);
}

bool text_holds(struct span text, const char *lower)
{
    size_t size = strlen(lower);
    for (size_t i = 0; i + size <= text.size; i++) {
        size_t n = 0;
        while (n < size && (text.at[i + n] == lower[n] || (text.at[i + n] | 0x20) == lower[n]))
            n++;
        if (n == size)
            return true;
    }
    return false;
}

bool vocabulary_is_mark(const struct vocabulary *v, int32_t id)
{
    return v->tokens[id].kind == TOKEN_CONTROL || v->tokens[id].kind == TOKEN_UNKNOWN;
}

int32_t vocabulary_find_word(const struct vocabulary *v, struct span text)
{
    int32_t id = vocabulary_find(v, text);
    return id == TOKENIZER_NONE || vocabulary_is_mark(v, id) ? TOKENIZER_NONE : id;
}

/* Of two tokens with the same text the later one is found, as in the reference. */
static bool insert(struct vocabulary *v, size_t id, uint32_t hash, struct error *err)
{
    struct span text = vocabulary_text(v, id);
    if (text.size == 0)
        return true;
    size_t slot = slot_of(v, text, hash);
    if (slot == NO_SLOT)
        return error_set(err, "too many of the vocabulary's tokens collide");
    v->slots[slot].hash = hash;
    v->slots[slot].id = (uint32_t)id;
    bits_set(v->bits, hash & v->bits_mask);
    return true;
}

bool vocabulary_index(struct vocabulary *v, struct error *err)
{
    uint32_t ahead[AHEAD] = {0};
    memset(v->slots, 0xff, (v->mask + 1) * sizeof(*v->slots)); /* every id NO_SLOT */
    v->longest = 0;
    for (size_t i = 0; i < v->n; i++)
        if (v->tokens[i].size > v->longest)
            v->longest = v->tokens[i].size;
    for (size_t i = 0; i < v->n + AHEAD; i++) {
        if (i >= AHEAD && !insert(v, i - AHEAD, ahead[i % AHEAD], err))
            return false;
        if (i < v->n) {
            ahead[i % AHEAD] = vocabulary_hash(vocabulary_text(v, i));
            __builtin_prefetch(&v->slots[ahead[i % AHEAD] & v->mask]);
        }
    }
    return true;
}

static bool read_texts(struct vocabulary *v, const struct checkpoint_value *array, struct error *err)
{
    size_t pos = 0;
    v->bytes = array->bytes;
    for (size_t i = 0; i < v->n; i++) {
        struct span text = checkpoint_next_string(array->bytes, &pos);
        if (text.size > TOKEN_BYTES_MAX)
            return error_set(
                err, "token %zu has a text of %zu bytes; %d is the most", i, text.size, TOKEN_BYTES_MAX);
        size_t at = text.size ? (size_t)(text.at - array->bytes.at) : 0;
        v->tokens[i] =
            (struct vocab_token){.at = (uint32_t)at, .size = (uint16_t)text.size, .kind = TOKEN_NORMAL};
    }
    return vocabulary_index(v, err);
}

static bool read_kinds(struct vocabulary *v, const struct checkpoint *c, struct error *err)
{
    const struct checkpoint_value *kinds = checkpoint_find(c, "tokenizer.ggml.token_type");
    if (!kinds)
        return true;
    if (!kinds->is_array || (kinds->kind != CHECKPOINT_SIGNED && kinds->kind != CHECKPOINT_UNSIGNED))
        return error_set(err, "key \"tokenizer.ggml.token_type\" is not an array of integers");
    if (kinds->count < v->n)
        return error_set(err, "key \"tokenizer.ggml.token_type\" has %" PRIu64 " items for %zu tokens",
            kinds->count, v->n);
    for (size_t i = 0; i < v->n; i++) {
        uint64_t kind = TOKEN_UNDEFINED;
        bool known = checkpoint_item_u64(kinds, i, &kind) && kind <= TOKEN_BYTE;
        v->tokens[i].kind = (uint8_t)(known ? kind : TOKEN_UNDEFINED);
    }
    return true;
}

static bool make_room(struct vocabulary *v)
{
    v->mask = vocabulary_slots(v->n) - 1;
    v->tokens = malloc(v->n * sizeof(*v->tokens));
    v->slots = malloc((v->mask + 1) * sizeof(*v->slots));
    v->bits_mask = BITS_A_SLOT * (v->mask + 1) - 1;
    v->bits = calloc(BITS_A_SLOT / 8, v->mask + 1);
    return v->tokens && v->slots && v->bits;
}

bool vocabulary_copy(struct vocabulary *v, const struct vocabulary *from)
{
    v->n = from->n;
    if (!make_room(v))
        return false;
    memcpy(v->tokens, from->tokens, v->n * sizeof(*v->tokens));
    return true;
}

bool vocabulary_read(struct vocabulary *v, const struct checkpoint *c, struct error *err)
{
    const struct checkpoint_value *texts = checkpoint_find(c, "tokenizer.ggml.tokens");
    if (!texts || !checkpoint_is_array_of(texts, CHECKPOINT_STRING) || texts->count == 0)
        return error_set(err, "the file has no vocabulary: key \"tokenizer.ggml.tokens\" is %s",
            !texts              ? "missing"
            : texts->count == 0 ? "empty"
                                : "not an array of strings");
    v->n = (size_t)texts->count;
    if (!make_room(v))
        return error_set(err, "no memory for a vocabulary of %zu tokens", v->n);
    return read_texts(v, texts, err) && read_kinds(v, c, err);
}

void vocabulary_release(struct vocabulary *v)
{
    free(v->tokens);
    free(v->slots);
    free(v->bits);
}
