/* family_mamba.c - Mamba 1 and 2 and what has them for a part: Falcon Mamba, Jamba, Falcon-H1. */
#include "arch_private.h"

/* Attention does not rotate. Each feed-forward is a mixture of experts or dense, as its tensors say. */
static bool read_jamba(struct decoder *d, const struct arch_keys *k)
{
    arch_set_no_rope(d);
    return arch_read_mamba(d, k);
}

/* Facts: arXiv 2312.00752, 2405.21060, 2403.19887 (Jamba) and 2507.22448 (Falcon-H1); keys and tensors as llama.cpp's
 * converter writes and its loader reads them. It reads no bias of Falcon-H1's attn_output. */
static const char *const unused_falcon[] = {".attn_output.bias", "rope_freqs.weight", NULL};

/* clang-format off */
const struct arch family_mamba[] = {
    {.name = "mamba", .mixer = &layer_mamba, .no_ffn = true, .read = arch_read_mamba},
    {.name = "mamba2", .mixer = &layer_mamba2, .no_ffn = true, .read = arch_read_mamba2},
    {.name = "jamba", .headless = &layer_mamba, .dense = {.activation = VECTOR_SILU}, .experts = true,
     .moe = {.by_tensor = true, .experts = {.activation = VECTOR_SILU}}, .read = read_jamba},
    {.name = "falcon-h1", .shape = {.unused = unused_falcon},
     .second = &layer_mamba2, .rope = {.halves = true},
     .dense = {.activation = VECTOR_SILU}, .read = arch_read_mamba2},
    {.name = NULL},
};
/* clang-format on */
