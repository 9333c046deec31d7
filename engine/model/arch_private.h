/* arch_private.h - the row of an architecture, and what families share to read their keys.
 *
 * An architecture is a row of type struct arch in the file of its family, family_NAME.c: which kinds its layers are of,
 * with which fields, and one line that says where these facts come from. A row holds what never varies within an
 * architecture; what a key decides is read into the layers by its function `read`. What all architectures read in the
 * same way is in arch_shape.c (sizes, heads), arch_experts.c (mixtures of experts) and arch_rope.c (rotation, windows).
 * To add a family, write its file and list its rows in arch.c. No other file compares an architecture's name.
 *
 * Every number is bounded when it is read, before it is multiplied or memory is allocated by it. bind.c checks that the
 * tensors agree. A function that returns bool returns false with the reason in k->err, which names the key.
 */
#ifndef ARCH_PRIVATE_H
#define ARCH_PRIVATE_H

#include "arch_keys_private.h"

/* Fields of layers that do not vary within an architecture, under the names that the layers have for them. They are apart
 * from the layers because a layer is large, with its weights, and there are many rows. */
struct attention_row {
    enum qk_norm qk_norm : 4;
    enum attention_gate gated : 4;
    bool norm_rotated : 1, sinks : 1;
};

struct dense_row {
    float limit;
    enum vector_gate activation : 5;
    enum dense_limit limits : 3;
    bool ungated : 1, act_scales : 1, xielu : 1;
};

struct moe_row {
    enum moe_gating gating : 4; /* where the file does not say it; 0: by softmax */
    enum moe_early early : 4;
    bool by_logits : 1, normalized : 1, weighs_input : 1, by_tensor : 1, own_norms : 1, beside_needed : 1;
    float sum_scale; /* 0 for 1 */
    const char *beside_suffix;
    struct dense_row experts; /* and what is beside them */
};

struct shape_row {
    bool layer_norm : 1, norm_by_epsilon : 1, bare_norms : 1, no_pre_norms : 1, post_norms : 1, ffn_norm_optional : 1;
    bool parallel_residual : 1, not_causal : 1, positions : 1, result_scales : 1, embedding_skip : 1;
    bool sum_norms : 1, encoder : 1, first_norm_optional : 1;
    float post_epsilon, mixers_scale;
    const struct stream_kind *streams;
    const char *ffn_norm, *output_norm, *embedding_norm, *low_state;
    const char *const *unused;
};

struct rope_row {
    uint8_t skip;
    bool none : 1, halves : 1, long_factors : 1;
};

/* What does not vary within an architecture: a file's keys fill in the rest. */
struct arch {
    const char *name;
    struct shape_row shape;
    struct attention_row attention; /* of each attention layer */
    struct dense_row dense; /* of each dense feed-forward */
    struct rope_row rope;
    bool no_ffn : 1; /* no layer has a feed-forward */
    bool halves : 1; /* layers with a feed_forward_length have no mixer, the others no feed-forward */
    /* Layers without heads have no mixer, and those without a feed_forward_length no feed-forward. */
    bool gaps : 1;
    bool experts_unread : 1; /* files have a number of experts that says nothing */
    bool experts : 1; /* a file of the architecture may have mixtures of experts in place of these */
    /* The mixer of layers without key-value heads; NULL: all layers have heads. */
    const struct layer_kind *headless;
    const struct layer_kind *mixer; /* of all layers, in place of attention; NULL: attention */
    const struct layer_kind *second; /* a second mixer of all layers, or NULL */
    struct moe_row moe;
    bool (*read)(struct decoder *d, const struct arch_keys *k); /* the family's own keys; may be NULL */
};

/* Rows of a family; a row without a name ends them. */
/* clang-format off */
extern const struct arch
    family_apertus[],
    family_bailing[],
    family_bert[],
    family_cohere[],
    family_deepseek[],
    family_exaone[],
    family_gated[],
    family_gemma[],
    family_glm[],
    family_gpt[],
    family_granite[],
    family_hunyuan[],
    family_jais[],
    family_kimi[],
    family_lfm2[],
    family_llama[],
    family_loops[],
    family_llama4[],
    family_mamba[],
    family_mistral[],
    family_moe[],
    family_nemotron[],
    family_olmo[],
    family_phi[],
    family_plamo[],
    family_qwen[],
    family_qwen_next[],
    family_rwkv[],
    family_stablelm[],
    family_starcoder[];
/* clang-format on */

/* ---- arch_shape.c ---- */

/* A dense feed-forward with the fields of the row. */
struct dense_layer arch_dense(const struct dense_row *r);

/* Reads the sizes, the heads and the epsilon, and allocates d->layers with the row's kinds and fields. */
bool arch_read_sizes(struct decoder *d, const struct arch *a, const struct arch_keys *k);

/* The fields of layer i where it is an attention layer, else NULL. */
struct attention_layer *arch_attention(struct decoder *d, uint32_t i);
/* Of the first attention layer, or NULL when there is none. */
struct attention_layer *arch_first_attention(struct decoder *d);
/* No attention layer rotates. */
void arch_set_no_rope(struct decoder *d);
/* Sets the scale of scores in all attention layers. */
void arch_set_scale(struct decoder *d, float scale);
/* The slopes of ALiBi in all attention layers: the largest bias, `fallback` where the file has none. */
bool arch_read_alibi(struct decoder *d, const struct arch_keys *k, double fallback);
/* The limit of queries, keys and values in all attention layers, where the file has one. */
bool arch_read_clamp(struct decoder *d, const struct arch_keys *k);

/* ---- arch_unread.c ---- */

/* Refuses a key that would change the result, and that nothing has read. Called last. */
bool arch_check_unread(const struct arch_keys *k);

/* The fields of a feed-forward that a row has. */

/* ---- arch_experts.c ---- */

/* Makes the feed-forwards mixtures of experts where the file has a number of experts. */
bool arch_read_experts(struct decoder *d, const struct arch *a, const struct arch_keys *k);

/* ---- arch_latent.c ---- */

/* Makes all attention layers latent attention. Called after the rotation has been read. */
bool arch_read_latent(struct decoder *d, const struct arch_keys *k);

/* Gives the layers with a window the fields of `other`, but for the number of heads. */
bool arch_mix_latents(struct decoder *d, const struct arch_keys *k, const struct latent_layer *other);
/* An indexer chooses which positions a query sees, the best top_k of them, or of blocks of `block`. Up to so many it sees
 * all of them, so the context is limited to that. */
bool arch_read_indexer(struct decoder *d, const struct arch_keys *k, uint32_t block);

/* ---- arch_ssm.c ---- */

/* The fields of all layers that are mixers "mamba", or "mamba2" by themselves or beside another. */
bool arch_read_mamba(struct decoder *d, const struct arch_keys *k);
bool arch_read_mamba2(struct decoder *d, const struct arch_keys *k);

/* ---- arch_rope.c ---- */

/* Reads the rotation and its scaling. Layers with a window rotate as the others do until the family says otherwise. */
bool arch_read_rope(struct decoder *d, const struct arch_keys *k);
/* Where the file has sections of the rotation, for models that see pictures, elements of two halves are paired. In a text
 * the sections have equal positions. */
bool arch_read_sections(struct decoder *d, const struct arch_keys *k);
/* The window's size; `fallback` where the file has none. */
bool arch_read_window(const struct arch_keys *k, uint32_t fallback, uint32_t *window);
/* Sets the windows. Where the pattern is an array of 0 and 1, the layers with a 1 have one; otherwise all layers have one
 * except each `period`-th, counted from 1. */
bool arch_set_windows(struct decoder *d, const struct arch_keys *k, uint32_t window, uint32_t period);
/* Both; and the base of the rotation in layers with a window, where the file has one. */
bool arch_read_windows(struct decoder *d, const struct arch_keys *k, uint32_t fallback, uint32_t period);
/* Layers without a 1 in the array attention.rope_pattern, where the file has one, do not rotate. */
bool arch_read_rope_pattern(struct decoder *d, const struct arch_keys *k);
/* Only layers with a window rotate. */
void arch_rotate_windows(struct decoder *d);
/* Layers with a window rotate as the others do. */
void arch_share_rope(struct decoder *d);

/* ---- arch_delta.c ---- */

/* Makes recurrent layers mixers "gated delta rule" with these fields, and reads their sizes. */
bool arch_read_delta(struct decoder *d, const struct arch_keys *k, struct delta_layer fields);
/* The fields of the layers that are such mixers already, which decay by key (Kimi Delta Attention). */
bool arch_read_kimi_delta(struct decoder *d, const struct arch_keys *k);

#endif
