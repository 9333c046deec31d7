/* layer_delta_private.h - the mixer "gated delta rule": linear attention with a state for each head.
 *
 * Queries, keys and values are convolved like the channels of a state space layer, and queries and keys are scaled to
 * length 1. Each value head has the key head of its group, a factor beta and a decay, which is one number for a head
 * (Gated DeltaNet, arXiv 2412.06464) or one for each element of the key (Kimi Delta Attention, arXiv 2510.26692). What the
 * state gives (kernels/delta.h) is normed by head and multiplied by a gate.
 */
#ifndef LAYER_DELTA_PRIVATE_H
#define LAYER_DELTA_PRIVATE_H

#include "ssm_private.h"

extern const struct layer_kind layer_delta;

/* Fields and weights of one layer. */
struct delta_layer {
    /* n_inner: of all values; n_head: value heads; n_group: key heads; n_state: of a head; channels: q, k, v */
    struct ssm_layer ssm;
    bool decay_by_key; /* q, k and v are products of their own; decay and gate are products of products */
    bool tiled; /* value head i has the key head i % n_group, not those side by side */
    bool joined; /* beta and alpha are one product, key head by key head */
    struct linear q, k, v; /* k and v without data where q has the rows of all */
    struct linear gate, gate_low; /* gate_low without data: the gate is a product of the input */
    struct linear beta, alpha, alpha_low; /* alpha without data where beta has the rows of both */
    const float *dt_bias; /* [n_head], or [n_inner] with decay_by_key */
    const float *a; /* [n_head], below 0 */
    const float *norm; /* [n_state] */
};

struct delta_memory {
    float *products, *channels; /* [n][n_channels], before and after the convolution */
    float *q, *k, *v; /* products by themselves, [n][n_inner] */
    float *gate; /* [n][n_inner] */
    float *low; /* [n][n_state] and as much again */
    float *beta_alpha; /* [n][2 * n_head], or [n][n_head] */
    float *alpha; /* [n][n_head], or [n][n_inner] */
    float *beta, *decay; /* [n][n_head]; decay [n][n_inner] with decay_by_key */
    float *y; /* [n][n_inner] */
};

#endif
