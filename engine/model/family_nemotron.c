/* family_nemotron.c - Nemotron-H: a layer is a mixer or a feed-forward. Nemotron 51B and 253B lack some of each. */
#include "arch_private.h"

/* Attention does not rotate. */
static bool read_nemotron_h(struct decoder *d, const struct arch_keys *k)
{
    arch_set_no_rope(d);
    return arch_read_mamba2(d, k);
}

/* Facts: arXiv 2504.03624; keys and tensors as llama.cpp's converter writes and its loader reads them. */
/* clang-format off */
const struct arch family_nemotron[] = {
    {.name = "nemotron_h", .headless = &layer_mamba2, .halves = true,
     .dense = {.activation = VECTOR_RELU_SQUARED, .ungated = true}, .read = read_nemotron_h},
    {.name = "nemotron_h_moe", .headless = &layer_mamba2, .halves = true,
     .dense = {.activation = VECTOR_RELU_SQUARED, .ungated = true}, .experts = true,
     .moe = {.gating = MOE_SIGMOID, .beside_suffix = "_shexp",
         .experts = {.activation = VECTOR_RELU_SQUARED, .ungated = true}},
     .read = read_nemotron_h},
    {.name = "deci", .headless = &layer_product, .gaps = true, .dense = {.activation = VECTOR_SILU}},
    {.name = NULL},
};
/* clang-format on */
