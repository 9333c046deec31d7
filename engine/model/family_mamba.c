/* family_mamba.c - Mamba 1 and 2 and what has them for a part: Falcon Mamba, Jamba, Falcon-H1. */
#include "arch_private.h"

/* Attention does not rotate. Each feed-forward is a mixture of experts or dense, as its tensors say. */
static bool read_jamba(struct decoder *d, const struct arch_keys *k)
{
    arch_set_no_rope(d);
    return arch_read_mamba(d, k);
}

/* clang-format off */
const struct arch family_mamba[] = {
    {.name = "mamba", .mixer = &layer_mamba, .no_ffn = true, .read = arch_read_mamba},
    {.name = "mamba2", .mixer = &layer_mamba2, .no_ffn = true, .read = arch_read_mamba2},
    {.name = "jamba", .headless = &layer_mamba, .dense = {.activation = VECTOR_SILU}, .read = read_jamba},
    {.name = "falcon-h1", .beside = &layer_mamba2, .rope = {.halves = true},
     .dense = {.activation = VECTOR_SILU}, .read = arch_read_mamba2},
    {.name = NULL},
};
/* clang-format on */
