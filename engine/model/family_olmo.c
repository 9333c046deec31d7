/* family_olmo.c - OLMo 1 to 3 and OLMoE. Facts: the models' configs on the hub and llama.cpp's loader. */
#include "arch_private.h"

/* Only OLMo 3 has windows. Its layers with a window rotate without the scaling of the others. */
static bool read_olmo2(struct decoder *d, const struct arch_keys *k)
{
    uint32_t window;
    if (!arch_read_window(k, 0, &window))
        return false;
    if (window == 0)
        return true;
    d->rope.local = (struct rope_shape){.n_rot = d->rope.global.n_rot, .scale = 1, .magnitude = 1};
    return arch_set_windows(d, k, window, 4) &&
           arch_key_real(k, "rope.freq_base_swa", d->rope.global.base, &d->rope.local.base);
}

/* clang-format off */
const struct arch family_olmo[] = {
    {.name = "olmo", .shape = {.layer_norm = true, .bare_norms = true}, .dense = {.activation = VECTOR_SILU},
     .read = arch_read_clamp},
    {.name = "olmo2", .shape = {.no_pre_norms = true, .post_norms = true}, .rope = {.halves = true},
     .attention = {.qk_norm = QK_ROW}, .dense = {.activation = VECTOR_SILU}, .read = read_olmo2},
    {.name = "olmoe", .rope = {.halves = true}, .attention = {.qk_norm = QK_ROW},
     .experts = true, .moe = {.experts = {.activation = VECTOR_SILU}}},
    {.name = "llada-moe", .shape = {.not_causal = true}, .rope = {.halves = true}, .attention = {.qk_norm = QK_HEAD},
     .experts = true, .moe = {.experts = {.activation = VECTOR_SILU}}},
    {.name = NULL},
};
/* clang-format on */
