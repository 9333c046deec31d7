/* family_qwen.c - Qwen 1 to 3. Facts: the models' configs on the hub and llama.cpp's loader.
 *
 * Models that see pictures rotate by three positions, which are equal in a text.
 */
#include "arch_private.h"

/* The file has the sum of the two widths of the feed-forward. */
static bool read_qwen(struct decoder *d, const struct arch_keys *k)
{
    (void)k;
    for (uint32_t i = 0; i < d->shape.n_layer; i++)
        d->layers[i].dense.n_ff /= 2;
    return true;
}

static const char *const unused_bias[] = {"output.bias", NULL};

/* clang-format off */
const struct arch family_qwen[] = {
    {.name = "qwen2", .rope = {.halves = true}, .dense = {.activation = VECTOR_SILU}},
    {.name = "qwen3", .rope = {.halves = true}, .attention = {.qk_norm = QK_HEAD},
     .dense = {.activation = VECTOR_SILU}},
    {.name = "qwen3moe", .rope = {.halves = true}, .attention = {.qk_norm = QK_HEAD},
     .experts = true, .moe = {.normalized = true, .experts = {.activation = VECTOR_SILU}}},
    {.name = "qwen2moe", .rope = {.halves = true}, .experts = true, /* Qwen 1.5 and 2 */
     .moe = {.beside_suffix = "_shexp", .beside_needed = true, .experts = {.activation = VECTOR_SILU}}},
    {.name = "qwen3vlmoe", .rope = {.halves = true}, .attention = {.qk_norm = QK_HEAD},
     .experts = true, .moe = {.normalized = true, .experts = {.activation = VECTOR_SILU}}},
    {.name = "qwen", .rope = {.halves = true}, .dense = {.activation = VECTOR_SILU}, .read = read_qwen},
    {.name = "qwen2vl", .shape = {.unused = unused_bias}, .rope = {.halves = true}, .dense = {.activation = VECTOR_SILU}},
    {.name = "qwen3vl", .rope = {.halves = true}, .attention = {.qk_norm = QK_HEAD},
     .dense = {.activation = VECTOR_SILU}},
    {.name = "qwen3tts", .rope = {.halves = true}, .attention = {.qk_norm = QK_HEAD},
     .dense = {.activation = VECTOR_SILU}},
    {.name = "dream", .shape = {.not_causal = true, .unused = unused_bias}, .rope = {.halves = true}, .dense = {.activation = VECTOR_SILU}},
    {.name = "rnd1", .shape = {.not_causal = true}, .rope = {.halves = true}, .attention = {.qk_norm = QK_HEAD},
     .experts = true, .moe = {.normalized = true, .experts = {.activation = VECTOR_SILU}}},
    {.name = NULL},
};
/* clang-format on */
