/* layer_moe_private.h - the feed-forward "mixture of experts".
 *
 * A router gives each row a probability for every expert (softmax); the most probable ones work on the row, and
 * their results are added, weighted by these probabilities. An expert is a feed-forward of the form of layer_dense.
 * A shared expert, where there is one, works on every row with weight 1.
 */
#ifndef LAYER_MOE_PRIVATE_H
#define LAYER_MOE_PRIVATE_H

#include "layer_dense_private.h"

#define MOE_EXPERTS_MAX 4096

extern const struct layer_kind layer_moe;

/* Fields and weights of one layer. */
struct moe_layer {
    uint32_t n_expert, n_used; /* all experts, and those that work on a row */
    bool normalized; /* the weights of a row's experts are divided by their sum */
    struct linear router; /* [n_expert][n_embd] */
    struct dense_layer experts; /* fields of all, weights of the first; the others lie behind it */
    const float *gate_scales, *up_scales, *down_scales; /* [n_expert], or NULL */
    struct dense_layer shared; /* n_ff is 0 where there is none */
};

/* Rows of one expert: places first ... first + n - 1. */
struct expert_group {
    size_t expert, first, n;
};

/* A pair is a row and one of its experts, by rank: row * n_used + rank. In the order of experts a pair has a place, and
 * the rows of one expert stand together. */
struct moe_memory {
    float *router; /* [n][n_expert]: logits, then probabilities */
    uint32_t *chosen; /* [pairs] experts */
    float *weights; /* [pairs] */
    float *rows; /* [places][n_embd]: inputs of the experts, then their results */
    float *up; /* [places][n_ff] */
    uint8_t *packed; /* the packed form of either, each group by itself */
    /* Each worker's own. */
    float *gates; /* [n][gate_columns] */
    size_t gate_columns;
    struct expert_group *groups; /* [n_expert] */
    size_t *places; /* [pairs] */
    uint32_t *pairs; /* [places] */
};

#endif
