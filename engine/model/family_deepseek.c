/* family_deepseek.c - DeepSeek, and MiniCPM 3, which has latent attention as well. */
#include "arch_private.h"

#include <math.h>

/* Constants of the model that the file does not have. */
static bool read_minicpm3(struct decoder *d, const struct arch_keys *k)
{
    struct decoder_shape *s = &d->shape;
    if (!arch_read_latent(d, k))
        return false;
    for (uint32_t i = 0; i < s->n_layer; i++)
        d->layers[i].latent.scale = 1 / sqrtf((float)(d->layers[i].latent.n_nope + d->rope.global.n_rot));
    s->embedding_scale = 12;
    s->residual_scale = 1.4f / sqrtf((float)s->n_layer);
    s->logit_scale = 256.0f / (float)s->n_embd;
    return true;
}

static bool read_indexed(struct decoder *d, const struct arch_keys *k)
{
    return arch_read_latent(d, k) && arch_read_indexer(d, k, 1);
}

/* Layers with a window have a latent and heads of another size. */
static bool read_dots3note(struct decoder *d, const struct arch_keys *k)
{
    uint32_t window, head, n_rot = d->rope.global.n_rot;
    if (!read_indexed(d, k) || !arch_read_window(k, 0, &window) ||
        !arch_key_real(k, "rope.freq_base_swa", d->rope.global.base, &d->rope.local.base))
        return false;
    for (uint32_t i = 0; i < d->shape.n_layer; i++)
        d->layers[i].latent.gated = d->layers[i].latent.norms_rotated = true;
    struct latent_layer other = d->layers[0].latent;
    if (!arch_key_size(
            k, "attention.kv_lora_rank_swa", ATTENTION_HEAD_MAX - n_rot, other.n_latent, &other.n_latent) ||
        !arch_key_size(
            k, "attention.value_length_mla_swa", ATTENTION_HEAD_MAX, other.n_value, &other.n_value) ||
        !arch_key_size(k, "attention.key_length_mla_swa", ATTENTION_HEAD_MAX, other.n_nope + n_rot, &head))
        return false;
    if (head < n_rot)
        return error_set(
            k->err, "key %s.attention.key_length_mla_swa is below rope.dimension_count", k->architecture);
    other.n_nope = head - n_rot;
    other.scale = 1 / sqrtf((float)head);
    other.window = window;
    other.rope = 1;
    return arch_mix_latents(d, k, &other);
}

static const char *const no_indexer[] = {".indexer.k_norm.weight", ".indexer.k_norm.bias",
    ".indexer.proj.weight", ".indexer.attn_k.weight", ".indexer.attn_q_b.weight", ".attn_gate.scale", NULL};

/* clang-format off */
const struct arch family_deepseek[] = {
    /* Facts: the models' configurations on the hub, and llama.cpp's loader. */
    {.name = "deepseek", .dense = {.activation = VECTOR_SILU}, .experts = true,
     .moe = {.beside_suffix = "_shexp", .beside_needed = true, .experts = {.activation = VECTOR_SILU}}},
    {.name = "deepseek2", .dense = {.activation = VECTOR_SILU}, .experts = true, /* V2, V3, R1, Kimi K2 */
     .moe = {.beside_suffix = "_shexp", .beside_needed = true, .experts = {.activation = VECTOR_SILU}},
     .read = arch_read_latent},
    {.name = "mistral4", .dense = {.activation = VECTOR_SILU}, .experts = true,
     .moe = {.beside_suffix = "_shexp", .beside_needed = true, .experts = {.activation = VECTOR_SILU}},
     .read = arch_read_latent},
    {.name = "deepseek32", .shape = {.unused = no_indexer}, .dense = {.activation = VECTOR_SILU}, .experts = true,
     .moe = {.gating = MOE_SIGMOID, .beside_suffix = "_shexp", .beside_needed = true,
         .experts = {.activation = VECTOR_SILU}},
     .read = read_indexed},
    {.name = "glm-dsa", .shape = {.unused = no_indexer}, .dense = {.activation = VECTOR_SILU}, .experts = true,
     .moe = {.gating = MOE_SIGMOID, .beside_suffix = "_shexp", .beside_needed = true,
         .experts = {.activation = VECTOR_SILU}},
     .read = read_indexed},
    {.name = "dots3note", .shape = {.unused = no_indexer}, .dense = {.activation = VECTOR_SILU},
     .experts = true,
     .moe = {.gating = MOE_SIGMOID, .beside_suffix = "_shexp", .beside_needed = true,
         .experts = {.activation = VECTOR_SILU}},
     .read = read_dots3note},
    {.name = "minicpm3", .rope = {.halves = true, .long_factors = true}, .dense = {.activation = VECTOR_SILU},
     .read = read_minicpm3},
    {.name = NULL},
};
/* clang-format on */
