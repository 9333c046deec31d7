/* layer_rwkv_private.h - the mixer "rwkv": RWKV's time mix, versions 6 (arXiv 2404.05892) and 7 (arXiv 2503.14456).
 *
 * Each row is mixed with the row before it (token_shift_private.h), once for each of receptance r, decay w, key k, value v,
 * rate a (version 7) and gate g; how much of it is a vector in version 7, and depends on the row in version 6. Products of
 * these, some through a narrow product, go into the recurrence of kernels/wkv.h, head by head. Its result is normed by
 * head, where the layer has a norm, and gated. Models that were made from Qwen 2 have no norm, and those of version 6 are
 * gated linear attention, without a share of the token's own, with keys and values that several heads have in common.
 *
 * The state of a sequence is that of the shift, and behind it the heads', block by block.
 */
#ifndef LAYER_RWKV_PRIVATE_H
#define LAYER_RWKV_PRIVATE_H

#include "layer_private.h"
#include "linear_private.h"

extern const struct layer_kind layer_rwkv;

enum rwkv_input { RWKV_R, RWKV_W, RWKV_K, RWKV_V, RWKV_A, RWKV_G, RWKV_INPUTS };

/* up(f(down(x))) + base, where f depends on the input. */
struct low_rank {
    uint32_t rank; /* 0: none */
    struct linear down, up;
    const float *base; /* [n_embd], or NULL */
};

/* Fields and weights of one layer. */
struct rwkv_layer {
    bool by_delta; /* version 7 */
    bool gla; /* version 6 as gated linear attention */
    uint32_t head_dim, n_head, n_head_kv; /* n_head_kv is smaller only for gla */
    uint32_t most_rank; /* of all that follow */
    const float *lerps[RWKV_INPUTS]; /* [n_embd] each; NULL where there is no such input */
    struct linear r, k, v, out;
    /* Of w, and in version 7 of the others: of v in all layers but the first, how much of the first one's v is taken. */
    struct low_rank low[RWKV_INPUTS];
    const float *k_k, *k_a; /* [n_embd], version 7 */
    const float *bonus; /* [n_embd], the token's own share: r_k, or time_first; NULL for gla */
    const float *norm, *norm_bias; /* [n_embd], or NULL */
    /* Version 6. The gate's input has the place of the rate's. */
    struct linear gate;
    uint32_t shift_rank; /* of what is added to the lerps: */
    const float *shift_lerp; /* [n_embd] */
    struct linear shift_down; /* [5 * shift_rank][n_embd] */
    struct expert_weights shift_up; /* 5 of [n_embd][shift_rank] */
};

struct rwkv_memory {
    float *in[RWKV_INPUTS]; /* [n][n_embd], shifted */
    float *low[RWKV_INPUTS]; /* [n][rank] */
    /* [n][n_embd]. All but r and y have the places of inputs that have been multiplied by then. */
    float *r, *w, *k, *v, *kk, *b, *g, *y;
    float *bonus; /* [n][n_head] */
    float *first_v; /* [n][n_embd], of the first layer: lasting */
};

/* ---- layer_rwkv_bind.c ---- */

/* Inputs of version 6, in the order in which its files have their parts in one tensor. */
#define RWKV_INPUTS_6 5
extern const uint8_t rwkv_inputs_6[RWKV_INPUTS_6];

bool rwkv_bind(struct binder *b, size_t i);

#endif
