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
    {.name = "minicpm3", .rope = {.halves = true, .long_factors = true}, .dense = {.activation = VECTOR_SILU},
     .read = read_minicpm3},
    {.name = NULL},
};
/* clang-format on */
