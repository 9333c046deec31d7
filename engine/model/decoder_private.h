/* decoder_private.h - a decoder taken apart: the shape, the weights, and what the files that fill them share.
 *
 * arch.c reads keys into the shape by the architecture's row, bind.c finds the tensors that the shape
 * asks for, rope.c works out the turns; from then on nothing changes and forward.c runs it.
 */
#ifndef DECODER_PRIVATE_H
#define DECODER_PRIVATE_H

#include "berth/engine/model/decoder.h"
#include "berth/kernels/matmul.h"
#include "berth/kernels/vector.h"

#define DECODER_LAYERS_MAX 1024
#define DECODER_SIZE_MAX (1u << 20) /* of widths and numbers of heads: products of two still fit */
#define DECODER_CONTEXT_MAX (1u << 30)
#define DECODER_GROUP_MAX 512 /* query heads for one key-value head */

/* ---- the shape ---- */

enum qk_norm {
    QK_NONE,
    QK_HEAD, /* over each head, one weight [head_dim_k] for all */
    QK_EACH_HEAD, /* over each head, weights [n_head][head_dim_k]; may be missing */
    QK_ROW, /* over all heads together, weight [n_head * head_dim_k] */
};

/* What turns positions into angles: every pair of a head's elements at its own rate. */
struct rope_shape {
    double base;
    double scale; /* factor of all positions: 1 / rope.scaling.factor */
    double magnitude; /* factor of cosine and sine */
    double yarn; /* share of YaRN's blend, 0 for none */
    double yarn_fast, yarn_slow; /* turns within the original context between which it blends */
};

struct decoder_shape {
    char architecture[32];
    uint32_t n_vocab, n_embd, n_ctx_train, n_layer;
    uint32_t head_dim_k, head_dim_v; /* of a head */
    /* Norms: before each half of a layer, and after it, on the way back into the stream. */
    bool layer_norm; /* mean and bias, too; otherwise by root mean square */
    bool no_pre_norms, post_norms;
    bool ffn_norm_optional; /* without it a layer's halves run side by side, on the same input */
    float epsilon;
    enum qk_norm qk_norm;
    /* Rotation. */
    uint32_t n_rot; /* elements of a head that turn */
    bool rope_halves; /* element i goes with i + n_rot / 2, not with its neighbour */
    bool rope_long_factors; /* the file has two sets of factors, by context */
    uint32_t rope_skip; /* every so many layers one does not turn; 0 for none */
    uint32_t rope_context; /* that the model had before it was stretched */
    struct rope_shape rope, local_rope; /* of layers that see all, and of those with a window */
    /* Attention. */
    float attention_scale;
    float attention_softcap; /* 0 for none, */
    float logit_softcap; /* here, too */
    /* Feed-forward. */
    enum vector_gate gate;
    bool ungated; /* down(gate(up(x))), otherwise down(gate(gate(x)) * up(x)) */
    bool fused_gate; /* ffn_up holds the rows of the gate, then those of up */
    /* Factors on the way; 1 where there is none. */
    float embedding_scale, residual_scale, logit_scale;
};

/* ---- the weights ---- */

struct linear {
    struct matmul_weight weight;
    const float *bias; /* [rows], or NULL */
    const float *scale; /* [1], or NULL */
};

struct norm {
    const float *weight; /* NULL: the values go through as they are */
    const float *bias;
};

struct layer {
    uint32_t n_head, n_head_kv, n_ff;
    uint32_t window; /* keys that a query sees, its own the last; 0 for all */
    bool rotates;
    unsigned rope; /* index of the decoder's ropes */
    struct norm attn_norm, attn_post_norm, ffn_norm, ffn_post_norm;
    const float *q_norm, *k_norm;
    struct linear q, k, v, out;
    struct linear gate, up, down;
};

struct rope {
    double *inv_freq; /* [n_rot / 2], radians a position */
    float magnitude;
};

struct decoder {
    struct decoder_shape shape;
    struct layer *layers; /* [n_layer] */
    struct kv_layer *kv; /* [n_layer] */
    struct matmul_weight embedding;
    struct norm output_norm;
    struct linear output;
    struct rope ropes[2]; /* of layers that see all, of layers with a window */
    size_t n_ropes;
    const float *rope_factors; /* [n_rot / 2], or NULL */
    const float *rope_factors_long, *rope_factors_short;
    /* The largest of all layers. */
    size_t q_width, k_width, v_width, att_width, ff_width;
    bool packs; /* some weight takes packed activations */
    bool as_float;
    struct copy *copies; /* vectors that could not be used where they lie */
};

/* Whether a list of architectures has this name. */
bool arch_supported(struct span name);

/* Reads shape and layers' numbers from the model's keys; allocates d->layers. */
bool arch_read(struct decoder *d, const struct gguf *keys, struct error *err);

/* Finds every weight, and checks its shape. */
bool decoder_bind(struct decoder *d, const struct gguf_model *m, struct error *err);
void decoder_free_copies(struct decoder *d);

/* Works out the inv_freq for a context of so many positions. */
bool rope_prepare(struct decoder *d, size_t context, struct error *err);
/* Cosine and sine of pairs first ... first + count - 1 at a position, to cos_sin[2 * pair] and behind it. */
void rope_cos_sin(const struct rope *r, uint32_t position, size_t first, size_t count, float *cos_sin);

#endif
