/* layer_moe_private.h - the feed-forward "mixture of experts".
 *
 * A router gives each row a score for every expert; those with the highest scores work on the row, and their results are
 * added, each with a weight that comes from the scores. An expert is a feed-forward of the form of layer_dense. Another
 * feed-forward, which works on every row, may stand beside the experts: a shared expert, or a dense one.
 */
#ifndef LAYER_MOE_PRIVATE_H
#define LAYER_MOE_PRIVATE_H

#include "layer_dense_private.h"
#include "norm_private.h"

#define MOE_EXPERTS_MAX 4096

extern const struct layer_kind layer_moe;

/* How scores are computed from the router's logits. The values are those of the key expert_gating_func. */
enum moe_gating {
    MOE_SOFTMAX = 1,
    MOE_SIGMOID = 2,
    MOE_SOFTMAX_OF_CHOSEN = 3, /* experts are chosen by their logits; the weights are the softmax of those */
    MOE_SQRT_SOFTPLUS = 4, /* sqrt(log(1 + exp(x))) */
};

/* What reads the layer's input, before the mixer, in place of the feed-forward's input. */
enum moe_early { MOE_NOTHING_EARLY, MOE_ROUTER_EARLY, MOE_EXPERTS_EARLY /* and the router */ };

/* Fields and weights of one layer. */
struct moe_layer {
    uint32_t n_expert, n_used; /* all experts, and those that work on a row */
    uint32_t n_groups,
        n_groups_used; /* experts are chosen from the best groups; n_groups is 1 for no groups */
    enum moe_gating gating;
    bool by_logits; /* experts are chosen by their logits, not by their scores */
    bool normalized; /* the weights of a row's experts are divided by their sum */
    bool weighs_input; /* a weight multiplies an expert's input, not its result */
    float weights_scale; /* factor of all weights */
    enum moe_early early;
    bool
        by_tensor; /* a layer has experts where it has a router, whatever the keys say and whatever else it has */
    bool own_norms; /* router, experts and what is beside them read the residual, each by a norm of its own */
    uint32_t n_latent; /* experts work in a space of so many dimensions; 0: in that of the residual */
    struct linear router; /* [n_expert][n_embd] */
    const float *selection_bias; /* [n_expert], added to scores only to choose experts; or NULL */
    const float *early_norm; /* [n_embd]: weight of the norm of the layer's input for experts that read it */
    /* With own_norms: of what the router reads, and of the experts' input; the norms of their sum and of what is beside
     * them. The norm of what that reads is the feed-forward's. */
    struct norm router_norm, input_norm, sum_norm, beside_norm;
    struct dense_layer experts; /* the fields of all experts */
    struct expert_weights gate, up, down;
    struct linear latent_down, latent_up; /* [n_latent][n_embd] and back */

    /* Experts of chunks, each of `per_chunk` experts, work on the result of the experts; 0: there are none. Their sum, times
     * chunk_scale, is added to it. */
    uint32_t per_chunk;
    float chunk_scale;
    uint32_t chunk_n_ff;
    struct expert_weights chunk_gate, chunk_up, chunk_down;

    /* Beside the experts. */
    const char *beside_suffix; /* of the tensors' names: "_shexp", or ""; NULL: nothing can stand beside */
    bool beside_needed; /* the file must have it */
    uint32_t beside_told; /* its size by the keys; 0: its tensors say it */
    struct dense_layer beside; /* n_ff is 0 where there is none */
    const float
        *beside_gate; /* [n_embd]: the sigmoid of its product by the input multiplies the result; or NULL */
    float sum_scale; /* factor of the sum of experts and what is beside them; not used without the latter */
};

/* Rows of one expert: places first ... first + n - 1. */
struct expert_group {
    size_t expert, first, n;
};

/* A pair is a row and one of its experts, by rank: row * n_used + rank. In the order of experts a pair has a place, and
 * the rows of one expert stand together. The width is n_latent, or n_embd without one. */
struct moe_memory {
    float *early; /* [n][n_embd]: the layers' input, for those that read it; with own_norms the router's */
    float *
        early_kept; /* [n][n_embd]: those rows of it that are still computed; with own_norms the experts' input */
    float *router; /* [n][n_expert]: logits, then scores */
    uint32_t *chosen; /* [pairs] experts */
    float *weights; /* [pairs] */
    struct dense_memory beside;
    float *beside_weights; /* [n] */
    float *latent; /* [n][n_latent] */
    float *mixed; /* [n][n_embd]: the experts' sum, from the latent space */
    float *rows; /* [places][width]: inputs of the experts, then their results */
    float *up; /* [places][n_ff] */
    uint8_t *packed; /* the packed form of either, each group by itself */
    /* Each worker's own. */
    float *gates; /* [gate_rows][gate_columns] */
    size_t gate_rows,
        gate_columns; /* as many rows as one expert can have: two of a row's experts may be of one chunk */
    struct expert_group *groups; /* [n_expert] */
    size_t *places; /* [pairs] */
    uint32_t *pairs; /* [places] */
    struct moe_choice *choices; /* [n_expert] */
};

/* An expert while a row's experts are chosen, and a group of experts. */
struct moe_choice {
    float score, group_score;
    bool taken, group_taken; /* cannot be chosen any more */
};

/* For one row: turns the router's logits [n_expert] into scores, and writes the chosen experts, those with the highest
 * scores first, and their weights, [n_used] each. `choices` is memory, [n_expert]. */
void moe_route(
    const struct moe_layer *l, struct moe_choice *choices, float *router, uint32_t *chosen, float *weights);

/* Turns the scores of a row's chosen experts into weights. */
void moe_weigh(const struct moe_layer *l, float *weights);

#endif
