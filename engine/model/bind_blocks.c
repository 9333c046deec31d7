/* bind_blocks.c - layers that share the weights of the file's blocks, as in models that are run several times. */
#include "bind_private.h"

#include <stdlib.h>
#include <string.h>

/* Where a layer that shares a block has factors of its own they take the place of the block's. */
static bool bind_own_factors(struct binder *b, uint32_t i, struct attention_layer *l)
{
    static const char *const names[] = {"attn_q", "attn_k", "attn_v", "attn_output"};
    struct linear *const products[] = {&l->q, &l->k, &l->v, &l->out};
    for (size_t p = 0; p < 4; p++) {
        const float *scale;
        if (!bind_optional(b, bind_name(bind_stem(i, names[p]).text, "scale").text, 1, 1, &scale))
            return false;
        if (scale)
            products[p]->scale = scale;
    }
    return true;
}

/* Gives layers that share blocks the blocks' weights. The blocks have been bound as the first layers. */
bool bind_shared_blocks(struct binder *b)
{
    struct decoder *d = binder_decoder(b);
    uint32_t n_blocks = d->shape.n_blocks;
    bool good = true;
    struct layer *blocks = calloc(n_blocks, sizeof(*blocks));
    if (!blocks)
        return bind_refuse(b, "no memory for the blocks that layers share");
    memcpy(blocks, d->layers, n_blocks * sizeof(*blocks));
    for (uint32_t i = 0; i < d->shape.n_layer; i++) {
        struct layer *l = &d->layers[i], own = *l;
        *l = blocks[own.block];
        l->block = own.block;
        l->turn = own.turn;
        good = good && (l->mixer != &layer_attention || bind_own_factors(b, i, &l->attention));
    }
    free(blocks);
    return good;
}
