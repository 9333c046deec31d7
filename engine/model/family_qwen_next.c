/* family_qwen_next.c - Qwen 3 Next and Qwen 3.5: most layers have the gated delta rule, each fourth gated attention.
 * Facts: the models' configs and code on the hub, and llama.cpp's loader, which does not read the factors of Qwen 3 Next's
 * linear attention.
 */
#include "arch_private.h"

static bool read_next(struct decoder *d, const struct arch_keys *k)
{
    return arch_read_delta(d, k, (struct delta_layer){.tiled = false});
}

/* The converter puts value heads of the same key head apart. */
static bool read_35(struct decoder *d, const struct arch_keys *k)
{
    return arch_read_delta(d, k, (struct delta_layer){.tiled = true});
}

static const char *const unused_next[] = {".attn_qkv.scale", ".attn_gate.scale", ".ssm_in.weight",
    ".ssm_in.scale", ".ssm_in.input_scale", ".ssm_out.scale", NULL};

/* clang-format off */
const struct arch family_qwen_next[] = {
    {.name = "qwen35", .shape = {.ffn_norm = "post_attention_norm"}, .rope = {.halves = true},
     .attention = {.qk_norm = QK_HEAD, .gated = GATE_IN_Q}, .dense = {.activation = VECTOR_SILU}, .read = read_35},
    {.name = "qwen35moe", .shape = {.ffn_norm = "post_attention_norm"}, .rope = {.halves = true},
     .attention = {.qk_norm = QK_HEAD, .gated = GATE_IN_Q}, .experts = true,
     .moe = {.normalized = true, .beside_suffix = "_shexp", .beside_needed = true, .experts = {.activation = VECTOR_SILU}},
     .read = read_35},
    {.name = "qwen3next", .shape = {.ffn_norm = "post_attention_norm", .unused = unused_next}, .rope = {.halves = true},
     .attention = {.qk_norm = QK_HEAD, .gated = GATE_IN_Q}, .experts = true,
     .moe = {.normalized = true, .beside_suffix = "_shexp", .beside_needed = true, .experts = {.activation = VECTOR_SILU}},
     .read = read_next},
    {.name = NULL},
};
/* clang-format on */
