/* decoder_private.h - the parts of a decoder: the shape, the layers with their kinds, the weights.
 *
 * arch.c reads keys into the shape and the layers' fields by the architecture's row, bind.c and the layer kinds
 * find the tensors, rope.c computes inv_freq. After that a decoder does not change. forward.c runs it.
 */
#ifndef DECODER_PRIVATE_H
#define DECODER_PRIVATE_H

#include "berth/engine/model/decoder.h"
#include "berth/kernels/vector.h"
#include "layer_attention_private.h"
#include "layer_channel_mix_private.h"
#include "layer_delta_private.h"
#include "layer_dense_private.h"
#include "layer_mamba2_private.h"
#include "layer_mamba_private.h"
#include "layer_latent_private.h"
#include "layer_laurel_private.h"
#include "layer_moe_private.h"
#include "layer_product_private.h"
#include "layer_rwkv_private.h"
#include "layer_shortconv_private.h"
#include "streams_private.h"

#define DECODER_LAYERS_MAX 1024
#define DECODER_SIZE_MAX (1u << 20) /* of widths and numbers of heads: the product of two does not overflow */
#define DECODER_CONTEXT_MAX (1u << 30)

/* ---- the shape ---- */

/* What all layer kinds share. Choices that only one kind reads are fields of that kind. */
struct decoder_shape {
    char architecture[32];
    uint32_t n_vocab, n_embd, n_ctx_train, n_layer;
    uint32_t n_blocks; /* that the file has, where layers share them; 0: one for each layer */
    bool not_causal; /* a row sees all rows of its sequence */
    uint32_t n_further; /* layers that the file has behind those, and that are not run */
    /* Norms: before each half of a layer, and after it, before its result is added to the residual. */
    bool layer_norm; /* mean and bias, too; otherwise by root mean square */
    bool
        norm_by_epsilon; /* by root mean square where the file has the epsilon of that, whatever layer_norm is */
    bool bare_norms; /* no norm has weights */
    bool no_pre_norms, post_norms;
    /* Norms after a half are of the residual with the result, and are the residual then (BERT). The last of them takes the
     * place of the norm at the end. */
    bool sum_norms;
    bool first_norm_optional; /* the first mixer may have none: its input is the normed embedding */
    bool encoder; /* there is no output matrix: rows have a hidden state and no logits */
    bool ffn_norm_optional; /* without it mixer and feed-forward have the same input */
    /* Mixer and feed-forward have the same residual as input: normed alike, or each by a norm of its own. */
    bool parallel_residual;
    float epsilon, post_epsilon; /* 0: the same */
    uint32_t norm_groups; /* parts of a row that are normed each alone; 0 for one */
    const char *ffn_norm, *output_norm; /* tensors; NULL for "ffn_norm" and "output_norm" */
    const char
        *embedding_norm; /* of the embedding, before the first layer; NULL for none, "" for a bare one */
    bool positions; /* learned ones are added to the embedding; a file with ALiBi may have none */
    const char *const *unused; /* tensors that files may have and nothing reads (bind.c); NULL ends them */
    const char *low_state; /* the tensor of the low state at first; NULL where the model has no two states */
    uint32_t n_input; /* elements of the input that each layer has of its own; 0 for none */
    const struct stream_kind *streams; /* of a residual with n_streams streams; NULL for one */
    uint32_t n_streams;
    float mixers_scale; /* factor of the residual behind the mixers; 0 for none */
    bool result_scales; /* layers multiply their result by layer_output_scale, which may be missing */
    bool embedding_skip; /* layers add the embedding, times layer_output_scale, to their result */
    float logit_softcap; /* 0 for none */
    /* Factors; 1 where there is none. */
    float embedding_scale, residual_scale, logit_scale;
};

/* ---- the weights ---- */

/* What happens to the residual behind a layer that ends a stack: it is normed, and, in models that go through two stacks
 * in turn, becomes the low or the high state, and the sum of both states goes on. */
enum layer_turn { TURN_NONE, TURN_NORM, TURN_LOW, TURN_HIGH };

struct layer {
    const struct layer_kind *mixer, *ffn; /* either may be NULL, for a layer without it */
    const struct layer_kind
        *second; /* a second mixer of the same input; the results are added. NULL for none */
    struct norm mixer_norm, mixer_post_norm, ffn_norm, ffn_post_norm;
    uint32_t block; /* whose tensors the layer has, where layers share blocks (shape.n_blocks) */
    enum layer_turn turn;
    struct linear input_gate,
        input_proj; /* of the layer's own input, where layers have one (forward_inputs.c) */
    struct norm input_norm;
    const float *result_scale; /* [1], factor of the result; NULL for none */
    const float *embedding_skip; /* [1], factor of the embedding that is added to the result; NULL for none */
    bool parallel_residual; /* mixer and feed-forward have the same residual as input */
    bool mixer_packs, second_packs, ffn_packs; /* a product by the normed input reads the packed form */
    union {
        struct attention_layer attention;
        struct latent_layer latent;
        struct shortconv_layer shortconv;
        struct delta_layer delta;
        struct mamba_layer mamba;
        struct product_layer product;
        struct rwkv_layer rwkv;
    };
    struct mamba2_layer mamba2; /* may be beside attention; so may laurel */
    struct laurel_layer laurel;
    struct altup_layer altup; /* where the streams are of this kind */
    union {
        struct dense_layer dense;
        struct moe_layer moe;
        struct channel_mix_layer channel_mix;
    };
};

struct decoder {
    struct decoder_shape shape;
    struct layer *layers; /* [n_layer] */
    const struct layer_kind *kinds[LAYER_KINDS_MAX + 1]; /* of its layers; NULL ends the list */
    struct layer_state *states; /* [n_layer] */
    struct matmul_weight embedding;
    struct matmul_weight positions; /* [n_ctx_train][n_embd]; without data where there are none */
    const float *token_type; /* [n_embd], added to the embedding of every token; NULL for none */
    struct norm embedding_norm, output_norm;
    struct matmul_weight input_embedding; /* [n_vocab][n_layer * n_input] */
    struct linear input_projection; /* [n_layer * n_input][n_embd] */
    const float *input_norm; /* [n_input] */
    const float *low_state; /* [n_embd], at first; NULL where there are no two states */
    struct altup altup;
    struct linear output;
    struct rope_fields rope;
    struct rope ropes[2]; /* of layers without and with a window */
    size_t n_ropes;
    const float *rope_factors; /* [n_rot / 2] of layers without a window, or NULL */
    const float *rope_factors_long, *rope_factors_short;
    size_t packed_columns; /* of the widest input that some weight reads in packed form; 0: none does */
    bool as_float;
    struct copy *copies; /* vectors that are no views on the file */
};

/* The name of row i of the table of architectures; NULL behind the last one. */
const char *arch_name(size_t i);

/* Reads the shape and the layers' kinds and fields from the model's keys; allocates d->layers. */
bool arch_read(struct decoder *d, const struct checkpoint *c, struct error *err);

/* Finds every weight, and checks its shape. */
bool decoder_bind(struct decoder *d, const struct checkpoint *c, struct error *err);
void decoder_free_copies(struct decoder *d);

#endif
