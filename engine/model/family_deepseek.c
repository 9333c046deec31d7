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

/* Each query sees the positions that an indexer chooses, the best top_k of them. So up to top_k positions it sees all, and
 * longer sequences are not supported. */
static bool read_indexed(struct decoder *d, const struct arch_keys *k)
{
    struct decoder_shape *s = &d->shape;
    uint32_t most, heads;
    if (!arch_read_latent(d, k) ||
        !arch_key_number(k, "attention.indexer.head_count", DECODER_SIZE_MAX, 0, &heads) ||
        !arch_key_size(k, "attention.indexer.top_k", DECODER_CONTEXT_MAX, 0, &most))
        return false;
    s->n_ctx_train = most < s->n_ctx_train ? most : s->n_ctx_train;
    return true;
}

static const char *const no_indexer[] = {".indexer.k_norm.weight", ".indexer.k_norm.bias",
    ".indexer.proj.weight", ".indexer.attn_k.weight", ".indexer.attn_q_b.weight", NULL};

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
    {.name = "minicpm3", .rope = {.halves = true, .long_factors = true}, .dense = {.activation = VECTOR_SILU},
     .read = read_minicpm3},
    {.name = NULL},
};
/* clang-format on */
