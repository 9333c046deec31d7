/* prefixes.c - finds the tokens with which a text goes on at some place, the shorter ones first.
 *
 * Two sets of bits are indexed by a hash that grows byte by byte: one has a bit for each beginning of a token, the other one
 * for each token. So a walk along the text ends where no token goes on, but for a few bytes more where hashes collide,
 * and looks up only what most likely is a token. Building them takes a step for each byte of the vocabulary.
 */
#include "tokenizer_private.h"

#include <stdlib.h>

#define BITS_A_BYTE 8 /* of the vocabulary's texts: how sparse the sets are */

static uint64_t grown(uint64_t hash, uint8_t byte)
{
    return (hash ^ byte) * 0x9e3779b97f4a7c15u + (hash >> 29);
}

static size_t bit_of(const struct prefixes *x, uint64_t hash)
{
    return (size_t)(hash >> 17) & x->mask;
}

static bool has(const uint8_t *bits, size_t bit)
{
    return bits[bit / 8] >> bit % 8 & 1;
}

static void set(uint8_t *bits, size_t bit)
{
    bits[bit / 8] |= (uint8_t)(1u << bit % 8);
}

bool prefixes_init(struct prefixes *x, const struct vocabulary *v, unsigned kinds, struct error *err)
{
    size_t bytes = 1024, texts = 0;
    for (size_t id = 0; id < v->n; id++)
        texts += kinds >> v->tokens[id].kind & 1 ? v->tokens[id].size : 0;
    while (8 * bytes < BITS_A_BYTE * texts)
        bytes *= 2;
    x->vocabulary = v;
    x->kinds = kinds;
    x->mask = 8 * bytes - 1;
    x->begins = calloc(2, bytes);
    if (!x->begins)
        return error_no_memory(err, "the vocabulary");
    x->ends = x->begins + bytes;
    for (size_t id = 0; id < v->n; id++) {
        struct span text = vocabulary_text(v, id);
        uint64_t hash = 0;
        if (!(kinds >> v->tokens[id].kind & 1) || text.size == 0)
            continue;
        for (size_t i = 0; i < text.size; i++) {
            hash = grown(hash, text.at[i]);
            set(x->begins, bit_of(x, hash));
        }
        set(x->ends, bit_of(x, hash));
    }
    return true;
}

void prefixes_release(struct prefixes *x)
{
    free(x->begins);
}

size_t prefixes_bytes(const struct prefixes *x)
{
    return x->begins ? 2 * ((x->mask + 1) / 8) : 0;
}

struct prefix_walk prefixes_walk(struct span text, size_t at)
{
    return (struct prefix_walk){.rest = {text.at + at, text.size - at}};
}

int32_t prefixes_next(const struct prefixes *x, struct prefix_walk *w)
{
    while (w->size < w->rest.size) {
        w->hash = grown(w->hash, w->rest.at[w->size++]);
        const size_t bit = bit_of(x, w->hash);
        if (!has(x->begins, bit))
            break;
        if (!has(x->ends, bit))
            continue;
        int32_t id = vocabulary_find(x->vocabulary, (struct span){w->rest.at, w->size});
        if (id != TOKENIZER_NONE && x->kinds >> x->vocabulary->tokens[id].kind & 1)
            return id;
    }
    w->size = w->rest.size; /* no more */
    return TOKENIZER_NONE;
}
