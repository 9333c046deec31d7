/* family_granite.c - Granite 3. */
#include "arch_private.h"

#include <math.h>

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

static bool read_granite_swa(struct decoder *d, const struct arch_keys *k)
{
    if (!read_granite(d, k) || !arch_read_windows(d, k, 0, 4))
        return false;
    arch_share_rope(d);
    return arch_read_rope_pattern(d, k);
}

#define MINICPM_EMBEDDING 12
#define MINICPM_DEPTH 1.4
#define MINICPM_BASE 256

/* Older files of MiniCPM have no keys of its scales. */
static bool read_minicpm(struct decoder *d, const struct arch_keys *k)
{
    struct decoder_shape *s = &d->shape;
    double divisor;
    if (!arch_key_float(k, "embedding_scale", MINICPM_EMBEDDING, &s->embedding_scale) ||
        !arch_key_float(k, "residual_scale", MINICPM_DEPTH / sqrt(s->n_layer), &s->residual_scale) ||
        !arch_key_real(k, "logit_scale", (double)s->n_embd / MINICPM_BASE, &divisor))
        return false;
    s->logit_scale = (float)(1 / divisor);
    return true;
}

/* The key rope.scaling.finetuned says whether attention rotates: it does where the key is missing. */
static bool read_switched(struct decoder *d, const struct arch_keys *k)
{
    bool rotates = true;
    char name[ARCH_KEY_ROOM];
    if (checkpoint_get_bool(k->file, arch_key_name(name, k, "rope.scaling.finetuned"), &rotates, k->err) ==
        CHECKPOINT_WRONG)
        return false;
    if (!rotates)
        arch_set_no_rope(d);
    return read_granite(d, k);
}

static bool read_hybrid(struct decoder *d, const struct arch_keys *k)
{
    return arch_read_mamba2(d, k) && read_switched(d, k);
}

/* clang-format off */
const struct arch family_granite[] = {
    {.name = "granite", .dense = {.activation = VECTOR_SILU}, .experts = true,
     .moe = {.normalized = true, .beside_suffix = "_shexp", .experts = {.activation = VECTOR_SILU}}, .read = read_switched},
    {.name = "granitemoe", .dense = {.activation = VECTOR_SILU}, .experts = true,
     .moe = {.normalized = true, .beside_suffix = "_shexp", .experts = {.activation = VECTOR_SILU}}, .read = read_granite},
    {.name = "granitehybrid", .headless = &layer_mamba2, .dense = {.activation = VECTOR_SILU},
     .experts = true, .moe = {.normalized = true, .beside_suffix = "_shexp", .experts = {.activation = VECTOR_SILU}},
     .read = read_hybrid},
    {.name = "granite_swa", .attention = {.sinks = true}, .dense = {.activation = VECTOR_SILU}, .read = read_granite_swa},
    {.name = "minicpm", .rope = {.long_factors = true}, .dense = {.activation = VECTOR_SILU}, .experts = true,
     .moe = {.normalized = true, .experts = {.activation = VECTOR_SILU}}, .read = read_minicpm},
    {.name = NULL},
};
/* clang-format on */
