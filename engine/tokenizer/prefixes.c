/* prefixes.c - finds the tokens with which a text goes on at some place, the shorter ones first.
 *
 * Two sets of bits are indexed by a hash that grows byte by byte: one has a bit for each beginning of a token, the other one
 * for each token. So a walk along the text ends where no token goes on, but for a few bytes more where hashes collide,
 * and looks up only what most likely is a token. Building them takes a step for each byte of the vocabulary.
 */
#include "tokenizer_private.h"

#include <stdlib.h>
#include <string.h>

#define BITS_A_BYTE 8 /* of the vocabulary's texts: how sparse the sets are */

static uint64_t grown(uint64_t hash, uint8_t byte)
{
    return (hash ^ byte) * 0x9e3779b97f4a7c15u + (hash >> 29);
}

static size_t bit_of(const struct prefixes *x, uint64_t hash)
{
    return (size_t)(hash >> 17) & x->mask;
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
            bits_set(x->begins, bit_of(x, hash));
        }
        bits_set(x->ends, bit_of(x, hash));
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

bool prefixes_at(struct tokenizer_session *s, struct span text, size_t at, size_t *n)
{
    const struct prefixes *x = &s->t->prefixes;
    const struct span rest = {text.at + at, text.size - at};
    uint64_t hash = 0;
    *n = s->n_found;
    /* A text that goes on as it did before, such as a run of one character, has the same tokens. */
    if (s->found_bytes && rest.size >= s->found_bytes && memcmp(rest.at, s->found_in, s->found_bytes) == 0)
        return true;
    s->found_bytes = s->n_found = *n = 0;
    for (size_t size = 1; size <= rest.size; size++) {
        hash = grown(hash, rest.at[size - 1]);
        if (!bits_hold(x->begins, bit_of(x, hash))) {
            s->found_in = rest.at;
            s->found_bytes = size;
            break;
        }
        if (!bits_hold(x->ends, bit_of(x, hash)))
            continue;
        int32_t id = vocabulary_find(x->vocabulary, (struct span){rest.at, size});
        if (id == TOKENIZER_NONE || !(x->kinds >> x->vocabulary->tokens[id].kind & 1))
            continue;
        if (!session_room(s, &s->found, &s->found_room, *n + 1, sizeof(*s->found)))
            return false;
        s->found[(*n)++] = (struct prefix_found){id, (uint32_t)size};
    }
    s->n_found = *n;
    return true;
}
