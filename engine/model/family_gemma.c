/* family_gemma.c - Gemma 1 to 3. Facts: the models' configs on the hub and llama.cpp's loader. */
#include "arch_private.h"

#include <math.h>

static bool read_gemma(struct decoder *d, const struct arch_keys *k, uint32_t largest)
{
    struct decoder_shape *s = &d->shape;
    const struct attention_layer *first = arch_first_attention(d);
    float scale;
    s->embedding_scale = sqrtf((float)s->n_embd);
    /* The largest model of the family scales by n_embd / n_head, the others by the head's size. */
    double per_head = s->n_layer == largest ? (double)s->n_embd / first->n_head : first->head_dim_k;
    if (!arch_key_float(k, "attention.scale", 1 / sqrt(per_head), &scale))
        return false;
    arch_set_scale(d, scale);
    return true;
}

static bool read_gemma2(struct decoder *d, const struct arch_keys *k)
{
    struct decoder_shape *s = &d->shape;
    uint32_t window;
    float softcap;
    if (!read_gemma(d, k, 46) || !arch_key_float(k, "attn_logit_softcapping", 50, &softcap))
        return false;
    for (uint32_t i = 0; i < s->n_layer; i++)
        d->layers[i].attention.softcap = softcap;
    return arch_key_float(k, "final_logit_softcapping", 30, &s->logit_softcap) &&
           arch_read_window(k, 4096, &window) && arch_set_windows(d, k, window, 2) &&
           arch_key_real(k, "rope.freq_base_swa", d->rope.global.base, &d->rope.local.base);
}

static bool read_gemma3(struct decoder *d, const struct arch_keys *k)
{
    struct decoder_shape *s = &d->shape;
    uint32_t window;
    if (!read_gemma(d, k, 62) || !arch_key_float(k, "final_logit_softcapping", 0, &s->logit_softcap) ||
        !arch_read_window(k, 0, &window))
        return false;
    if (window == 0)
        return true;
    d->rope.local = (struct rope_shape){.n_rot = d->rope.global.n_rot, .scale = 1, .magnitude = 1};
    return arch_set_windows(d, k, window, 6) &&
           arch_key_real(k, "rope.freq_base_swa", 10000, &d->rope.local.base);
}

static bool read_gemma1(struct decoder *d, const struct arch_keys *k)
{
    (void)k;
    d->shape.embedding_scale = sqrtf((float)d->shape.n_embd);
    return true;
}

/* clang-format off */
const struct arch family_gemma[] = {
    {.name = "gemma", .rope = {.halves = true}, .dense = {.activation = VECTOR_GELU}, .read = read_gemma1},
    {.name = "gemma2", .shape = {.post_norms = true}, .rope = {.halves = true},
     .dense = {.activation = VECTOR_GELU}, .read = read_gemma2},
    {.name = "gemma3", .shape = {.post_norms = true}, .rope = {.halves = true}, .attention = {.qk_norm = QK_HEAD},
     .dense = {.activation = VECTOR_GELU}, .read = read_gemma3},
    {.name = NULL},
};
/* clang-format on */
