/* family_lfm2.c - LFM2. */
#include "arch_private.h"

/* A window applies to all attention layers. */
static bool read_lfm2(struct decoder *d, const struct arch_keys *k)
{
    uint32_t n_taps, window;
    if (!arch_key_size(k, "shortconv.l_cache", SHORTCONV_TAPS_MAX, 0, &n_taps) ||
        !arch_read_window(k, 0, &window))
        return false;
    for (uint32_t i = 0; i < d->shape.n_layer; i++)
        if (d->layers[i].mixer == &layer_shortconv)
            d->layers[i].shortconv.n_taps = n_taps;
        else
            d->layers[i].attention.window = window;
    return true;
}

/* clang-format off */
const struct arch family_lfm2[] = {
    {.name = "lfm2", .shape = {.output_norm = "token_embd_norm"}, .rope = {.halves = true},
     .attention = {.qk_norm = QK_HEAD}, .headless = &layer_shortconv, .dense = {.activation = VECTOR_SILU},
     .read = read_lfm2},
    {.name = "lfm2moe", .shape = {.output_norm = "token_embd_norm"}, .rope = {.halves = true},
     .attention = {.qk_norm = QK_HEAD}, .headless = &layer_shortconv, .dense = {.activation = VECTOR_SILU},
     .experts = true, .moe = {.gating = MOE_SIGMOID, .normalized = true, .experts = {.activation = VECTOR_SILU}},
     .read = read_lfm2},
    {.name = NULL},
};
/* clang-format on */
