/* family_moe.c - mixtures of experts that have no dense relatives: dots.llm1, MiniMax-M2 and others. */
#include "arch_private.h"

#include <math.h>

#define EXPERTS .experts = {.activation = VECTOR_SILU}
#define SHARED .beside_suffix = "_shexp"

/* Only layers with a window rotate. */
static bool read_windows_that_rotate(struct decoder *d, const struct arch_keys *k)
{
    if (!arch_read_windows(d, k, 0, 4))
        return false;
    arch_key_name((char[ARCH_KEY_ROOM]){0}, k, "attention.rope_pattern"); /* says the same */
    if (d->layers[0].attention.window > 0 || d->layers[d->shape.n_layer - 1].attention.window > 0)
        arch_rotate_windows(d);
    return true;
}

static bool read_maion(struct decoder *d, const struct arch_keys *k)
{
    return read_windows_that_rotate(d, k) && arch_read_rope_pattern(d, k);
}

/* The same with one set of frequencies. */
static bool read_exaone(struct decoder *d, const struct arch_keys *k)
{
    if (!read_windows_that_rotate(d, k))
        return false;
    arch_share_rope(d);
    return true;
}

/* Layers with a window rotate without the scaling of the others. */
static bool read_mellum(struct decoder *d, const struct arch_keys *k)
{
    uint32_t window;
    if (!arch_read_window(k, 0, &window))
        return false;
    if (window == 0)
        return true;
    d->rope.local.scale = d->rope.local.magnitude = 1;
    d->rope.local.yarn = 0;
    return arch_set_windows(d, k, window, 4);
}

static bool read_minimax_m3(struct decoder *d, const struct arch_keys *k)
{
    uint32_t block;
    return arch_key_size(k, "attention.indexer.block_size", DECODER_SIZE_MAX, 0, &block) &&
           arch_read_indexer(d, k, block);
}

static const char *const no_indexer[] = {".indexer.q_proj.weight", ".indexer.k_proj.weight",
    ".indexer.q_norm.weight", ".indexer.k_norm.weight", NULL};
static const char *const no_out_bias[] = {".attn_output.bias", NULL};
static const char *const no_qkv_extras[] = {
    ".attn_q.scale", ".attn_k.scale", ".attn_v.scale", ".attn_q.bias", ".attn_k.bias", ".attn_v.bias", NULL};
static const char *const no_gate_scale[] = {".attn_gate.scale", NULL};

/* The first of every four layers sees all positions, the others a window, unless an array says which. */
static bool read_windows_after_one(struct decoder *d, const struct arch_keys *k, uint32_t fallback)
{
    char name[ARCH_KEY_ROOM];
    const struct checkpoint_value *pattern =
        checkpoint_find(k->file, arch_key_name(name, k, "attention.sliding_window_pattern"));
    uint32_t window, period;
    if (!arch_read_window(k, fallback, &window))
        return false;
    if (window == 0)
        return true;
    if (!arch_key_real(k, "rope.freq_base_swa", d->rope.global.base, &d->rope.local.base))
        return false;
    if (pattern && pattern->is_array)
        return arch_set_windows(d, k, window, 4);
    if (!arch_key_size(k, "attention.sliding_window_pattern", DECODER_SIZE_MAX, 4, &period))
        return false;
    for (uint32_t i = 0; i < d->shape.n_layer; i++) {
        d->layers[i].attention.window = i % period != 0 ? window : 0;
        d->layers[i].attention.rope = i % period != 0;
    }
    return true;
}

/* Without windows all layers rotate; otherwise the first of every four does not. */
static bool read_smallthinker(struct decoder *d, const struct arch_keys *k)
{
    if (!read_windows_after_one(d, k, 0))
        return false;
    bool windows = d->layers[d->shape.n_layer - 1].attention.window > 0;
    for (uint32_t i = 0; i < d->shape.n_layer; i++)
        d->layers[i].attention.rotates = !windows || i % 4 != 0;
    return true;
}

/* The leading dense layers rotate, too. */
static bool read_cohere2moe(struct decoder *d, const struct arch_keys *k)
{
    if (!read_windows_after_one(d, k, 4096) || !arch_key_float(k, "logit_scale", 1, &d->shape.logit_scale))
        return false;
    arch_rotate_windows(d);
    arch_share_rope(d);
    for (uint32_t i = 0; i < d->shape.n_layer && d->layers[i].ffn != &layer_moe; i++)
        d->layers[i].attention.rotates = true;
    return true;
}

static bool read_afmoe(struct decoder *d, const struct arch_keys *k)
{
    d->shape.embedding_scale = sqrtf((float)d->shape.n_embd);
    return read_windows_that_rotate(d, k);
}

/* Layers with a window rotate other elements, without the scaling of the others. */
static bool read_laguna(struct decoder *d, const struct arch_keys *k)
{
    struct rope_shape *r = &d->rope.local;
    r->scale = r->magnitude = 1;
    r->yarn = 0;
    if (!read_windows_after_one(d, k, 0) ||
        !arch_key_size(k, "rope.dimension_count_swa", d->layers[0].attention.head_dim_k, r->n_rot, &r->n_rot))
        return false;
    return r->n_rot % 2 == 0 || error_set(k->err, "key %s.rope.dimension_count_swa is odd", k->architecture);
}

static bool read_mimo2(struct decoder *d, const struct arch_keys *k)
{
    float scale;
    if (!arch_key_float(k, "attention.value_scale", 1, &scale) || !arch_read_windows(d, k, 0, 4))
        return false;
    for (uint32_t i = 0; i < d->shape.n_layer && scale != 1; i++)
        d->layers[i].attention.result_scale = scale;
    return true;
}

static bool read_gpt_oss(struct decoder *d, const struct arch_keys *k)
{
    return arch_read_windows(d, k, 0, 2);
}

static bool read_dbrx(struct decoder *d, const struct arch_keys *k)
{
    return arch_read_clamp(d, k);
}

/* Files of the first model do not have its factors. */
static bool read_grok(struct decoder *d, const struct arch_keys *k)
{
    struct decoder_shape *s = &d->shape;
    float scale, softcap;
    if (!arch_key_float(k, "attention.output_scale", 0.08838834764831845, &scale) ||
        !arch_key_float(k, "attn_logit_softcapping", 30, &softcap) ||
        !arch_key_float(k, "embedding_scale", 78.38367176906169, &s->embedding_scale) ||
        !arch_key_float(k, "logit_scale", 0.5773502691896257, &s->logit_scale) ||
        !arch_key_float(k, "final_logit_softcapping", 0, &s->logit_softcap))
        return false;
    arch_set_scale(d, scale);
    for (uint32_t i = 0; i < s->n_layer; i++)
        d->layers[i].attention.softcap = softcap;
    return true;
}

/* clang-format off */
const struct arch family_moe[] = {
    /* Facts: the models' configurations on the hub, and llama.cpp's loader. */
    {.name = "dots1", .rope = {.halves = true}, .attention = {.qk_norm = QK_HEAD},
     .dense = {.activation = VECTOR_SILU}, .experts = true,
     .moe = {.beside_needed = true, SHARED, EXPERTS}},
    {.name = "minimax-m2", .rope = {.halves = true}, .attention = {.qk_norm = QK_ROW},
     .experts = true, .moe = {.normalized = true, EXPERTS}},
    {.name = "minimax-m3", .shape = {.unused = no_indexer}, .rope = {.halves = true}, .attention = {.qk_norm = QK_HEAD},
     .dense = {.limit = 7, .limits = LIMIT_SWIGLU_OAI}, .experts = true,
     .moe = {.gating = MOE_SIGMOID, .beside_needed = true, SHARED,
         .experts = {.limit = 7, .limits = LIMIT_SWIGLU_OAI}},
     .read = read_minimax_m3},
    {.name = "glm4moe", .shape = {.ffn_norm = "post_attention_norm"}, .rope = {.halves = true},
     .attention = {.qk_norm = QK_HEAD_OPTIONAL}, .dense = {.activation = VECTOR_SILU},
     .experts = true, .moe = {.gating = MOE_SIGMOID, .beside_needed = true, SHARED, EXPERTS}},
    {.name = "ernie4_5-moe", .shape = {.unused = no_out_bias}, .dense = {.activation = VECTOR_SILU}, .experts = true,
     .moe = {.normalized = true, SHARED, EXPERTS}},
    {.name = "exaone-moe", .rope = {.halves = true}, .attention = {.qk_norm = QK_HEAD},
     .dense = {.activation = VECTOR_SILU}, .experts = true,
     .moe = {.beside_needed = true, SHARED, EXPERTS}, .read = read_exaone},
    {.name = "maple", .rope = {.halves = true}, .attention = {.qk_norm = QK_HEAD}, .experts = true,
     .moe = {.normalized = true, .experts = {.activation = VECTOR_SILU, .limit = 7}},
     .read = read_windows_that_rotate},
    {.name = "mellum", .rope = {.halves = true}, .attention = {.qk_norm = QK_HEAD}, .experts = true,
     .moe = {.normalized = true, EXPERTS}, .read = read_mellum},
    {.name = "hy_v3", .rope = {.halves = true}, .attention = {.qk_norm = QK_HEAD},
     .dense = {.activation = VECTOR_SILU}, .experts = true,
     .moe = {.gating = MOE_SIGMOID, .by_tensor = true, SHARED, EXPERTS}},
    {.name = "hunyuan-moe", .rope = {.halves = true}, .attention = {.qk_norm = QK_HEAD, .norm_rotated = true},
     .experts = true, .moe = {.normalized = true, .beside_needed = true, SHARED, EXPERTS}},
    {.name = "gpt-oss", .shape = {.ffn_norm = "post_attention_norm"}, .rope = {.halves = true},
     .attention = {.sinks = true}, .experts = true,
     .moe = {.gating = MOE_SOFTMAX_OF_CHOSEN, .experts = {.limit = 7, .limits = LIMIT_SWIGLU_OAI}},
     .read = read_gpt_oss},
    {.name = "dbrx", .shape = {.layer_norm = true, .ffn_norm = "attn_output_norm"}, .rope = {.halves = true},
     .experts = true, .moe = {.normalized = true, EXPERTS}, .read = read_dbrx},
    {.name = "grok", .shape = {.post_norms = true}, .rope = {.halves = true}, .experts = true,
     .moe = {.normalized = true, .beside_suffix = "", .sum_scale = 0.70710678f,
         .experts = {.activation = VECTOR_GELU}},
     .read = read_grok},
    {.name = "arctic", .experts = true,
     .moe = {.normalized = true, .early = MOE_EXPERTS_EARLY, .beside_suffix = "", .beside_needed = true, EXPERTS}},
    {.name = "smallthinker", .rope = {.halves = true}, .experts = true,
     .moe = {.normalized = true, .early = MOE_ROUTER_EARLY, .experts = {.activation = VECTOR_RELU}},
     .read = read_smallthinker},
    {.name = "cohere2moe", .shape = {.layer_norm = true, .norm_by_epsilon = true, .parallel_residual = true},
     .dense = {.activation = VECTOR_SILU}, .experts = true,
     .moe = {.gating = MOE_SIGMOID, .sum_scale = 0.5f, SHARED, EXPERTS}, .read = read_cohere2moe},
    {.name = "afmoe", .shape = {.post_norms = true, .unused = no_gate_scale}, .rope = {.halves = true},
     .attention = {.qk_norm = QK_HEAD, .gated = GATE_SIGMOID}, .dense = {.activation = VECTOR_SILU}, .experts = true,
     .moe = {.gating = MOE_SIGMOID, SHARED, EXPERTS}, .read = read_afmoe},
    {.name = "laguna", .shape = {.unused = no_gate_scale}, .rope = {.halves = true}, .attention = {.qk_norm = QK_HEAD, .gated = GATE_SOFTPLUS},
     .dense = {.activation = VECTOR_SILU}, .experts = true,
     .moe = {.gating = MOE_SIGMOID, .beside_needed = true, SHARED, EXPERTS}, .read = read_laguna},
    {.name = "mimo2", .shape = {.unused = no_qkv_extras}, .rope = {.halves = true}, .attention = {.sinks = true}, .dense = {.activation = VECTOR_SILU},
     .experts = true, .moe = {.gating = MOE_SIGMOID, .normalized = true, .by_tensor = true, EXPERTS},
     .read = read_mimo2},
    {.name = "maion-coder", .shape = {.post_norms = true}, .rope = {.halves = true}, .attention = {.qk_norm = QK_HEAD},
     .dense = {.activation = VECTOR_SILU}, .experts = true, .moe = {.normalized = true, EXPERTS},
     .read = read_maion},
    {.name = "grovemoe", .rope = {.halves = true}, .attention = {.qk_norm = QK_HEAD}, .experts = true,
     .moe = {.by_logits = true, .normalized = true, EXPERTS}},
    {.name = NULL},
};
/* clang-format on */
