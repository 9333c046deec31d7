/* family_gpt.c - GPT-2, GPT-NeoX and others with layer norms and a feed-forward without a gate.
 *
 * Facts: the models' configs on the hub and llama.cpp's loader.
 */
#include "arch_private.h"

static bool read_gptneox(struct decoder *d, const struct arch_keys *k)
{
    return arch_key_bool(k, "use_parallel_residual", true, &d->shape.parallel_residual);
}

static bool read_bloom(struct decoder *d, const struct arch_keys *k)
{
    return arch_read_alibi(d, k, 8);
}

static bool read_mpt(struct decoder *d, const struct arch_keys *k)
{
    return arch_read_alibi(d, k, 0) && arch_read_clamp(d, k);
}

/* clang-format off */
const struct arch family_gpt[] = {
    {.name = "gpt2", .shape = {.layer_norm = true, .positions = true}, .rope = {.none = true},
     .dense = {.activation = VECTOR_GELU, .ungated = true}},
    {.name = "gptneox", .shape = {.layer_norm = true}, .rope = {.halves = true},
     .dense = {.activation = VECTOR_GELU, .ungated = true}, .read = read_gptneox},
    {.name = "falcon", .shape = {.layer_norm = true, .parallel_residual = true}, .rope = {.halves = true},
     .dense = {.activation = VECTOR_GELU, .ungated = true}},
    {.name = "bloom", .shape = {.layer_norm = true, .embedding_norm = "token_embd_norm"}, .rope = {.none = true},
     .dense = {.activation = VECTOR_GELU, .ungated = true}, .read = read_bloom},
    {.name = "mpt", .shape = {.layer_norm = true, .positions = true}, .rope = {.none = true},
     .attention = {.qk_norm = QK_ROW_OPTIONAL},
     .dense = {.activation = VECTOR_GELU, .ungated = true, .act_scales = true}, .read = read_mpt},
    {.name = "codeshell", .shape = {.layer_norm = true}, .rope = {.halves = true},
     .dense = {.activation = VECTOR_GELU, .ungated = true}},
    {.name = "nemotron", .shape = {.layer_norm = true}, .rope = {.halves = true},
     .dense = {.activation = VECTOR_RELU_SQUARED, .ungated = true}},
    {.name = "jais2", .shape = {.layer_norm = true}, .rope = {.halves = true},
     .dense = {.activation = VECTOR_RELU_SQUARED, .ungated = true}},
    {.name = "pockettts", .shape = {.layer_norm = true}, .dense = {.activation = VECTOR_GELU, .ungated = true}},
    {.name = NULL},
};
/* clang-format on */
