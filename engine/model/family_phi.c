/* family_phi.c - Phi 2 to 4. Facts: the models' configs on the hub and llama.cpp's loader. */
#include "arch_private.h"

static bool read_phi3(struct decoder *d, const struct arch_keys *k)
{
    uint32_t window;
    if (!arch_read_window(k, 0, &window))
        return false;
    for (uint32_t i = 0; i < d->shape.n_layer; i++)
        d->layers[i].attention.window = window;
    return true;
}

/* clang-format off */
const struct arch family_phi[] = {
    {.name = "phi2", .shape = {.layer_norm = true, .parallel_residual = true}, .rope = {.halves = true},
     .dense = {.activation = VECTOR_GELU, .ungated = true}},
    {.name = "phi3", .rope = {.halves = true, .long_factors = true},
     .dense = {.activation = VECTOR_SILU}, .read = read_phi3},
    {.name = "phimoe", .rope = {.halves = true, .long_factors = true}, .experts = true,
     .moe = {.normalized = true, .experts = {.activation = VECTOR_SILU}}, .read = read_phi3},
    {.name = NULL},
};
/* clang-format on */
