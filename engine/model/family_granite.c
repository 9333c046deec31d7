/* family_granite.c - Granite 3. */
#include "arch_private.h"

/* Granite divides the logits by logit_scale. */
static bool read_granite(struct decoder *d, const struct arch_keys *k)
{
    struct decoder_shape *s = &d->shape;
    double divisor;
    if (!arch_key_float(k, "embedding_scale", 1, &s->embedding_scale) ||
        !arch_key_float(k, "residual_scale", 1, &s->residual_scale) ||
        !arch_key_real(k, "logit_scale", 1, &divisor))
        return false;
    s->logit_scale = (float)(1 / divisor);
    return true;
}

/* clang-format off */
const struct arch family_granite[] = {
    {.name = "granite", .dense = {.activation = VECTOR_SILU}, .experts = true,
     .moe = {.normalized = true, .beside_suffix = "_shexp", .experts = {.activation = VECTOR_SILU}}, .read = read_granite},
    {.name = "granitemoe", .dense = {.activation = VECTOR_SILU}, .experts = true,
     .moe = {.normalized = true, .beside_suffix = "_shexp", .experts = {.activation = VECTOR_SILU}}, .read = read_granite},
    {.name = NULL},
};
/* clang-format on */
