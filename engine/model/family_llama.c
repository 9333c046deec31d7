/* family_llama.c - Llama, Mistral, SmolLM and others that are built like them.
 *
 * Facts: the models' configs on the hub and llama.cpp's loader.
 */
#include "arch_private.h"

#define BAICHUAN_7B 32 /* layers of the model that rotates */
#define BAICHUAN_13B 40 /* layers of the one that has slopes in place of the rotation */

static bool read_baichuan(struct decoder *d, const struct arch_keys *k)
{
    for (uint32_t i = 0; i < d->shape.n_layer; i++)
        d->layers[i].attention.rotates = d->shape.n_layer == BAICHUAN_7B;
    return arch_read_alibi(d, k, d->shape.n_layer == BAICHUAN_13B ? 8 : 0);
}

static const char *const unused_output_bias[] = {".attn_output.bias", NULL};
static const char *const unused_biases[] = {
    "rope_freqs.weight", ".attn_output.bias", ".ffn_gate.bias", ".ffn_up.bias", ".ffn_down.bias", NULL};
static const char *const unused_factors[] = {"rope_freqs.weight", NULL};
static const char *const unused_qkv_scale[] = {".attn_qkv.scale", NULL};
/* CogVLM has a second set of weights for positions of pictures. */
static const char *const unused_pictures[] = {".vis_attn_qkv.weight", ".vis_attn_output.weight",
    ".vis_gate.weight", ".vis_down.weight", ".vis_up.weight", "rope_freqs.weight", ".attn_qkv.scale", NULL};

/* clang-format off */
const struct arch family_llama[] = {
    {.name = "llama", .dense = {.activation = VECTOR_SILU}, /* Llama, Mistral, SmolLM, TinyLlama and many more */
     .experts = true, .moe = {.normalized = true, .experts = {.activation = VECTOR_SILU}}}, /* Mixtral */
    {.name = "smollm3", .rope = {.skip = 4}, .dense = {.activation = VECTOR_SILU}},
    {.name = "internlm2", .dense = {.activation = VECTOR_SILU}},
    {.name = "baichuan", .dense = {.activation = VECTOR_SILU}, .read = read_baichuan},
    {.name = "xverse", .dense = {.activation = VECTOR_SILU}},
    {.name = "orion", .shape = {.layer_norm = true}, .rope = {.halves = true}, .dense = {.activation = VECTOR_SILU}},
    {.name = "arcee", .dense = {.activation = VECTOR_RELU_SQUARED, .ungated = true}},
    {.name = "seed_oss", .shape = {.ffn_norm = "post_attention_norm"}, .rope = {.halves = true},
     .dense = {.activation = VECTOR_SILU}},
    {.name = "ernie4_5", .shape = {.unused = unused_output_bias}, .dense = {.activation = VECTOR_SILU}, .experts_unread = true},
    {.name = "paddleocr", .rope = {.halves = true}, .dense = {.activation = VECTOR_SILU}, .experts_unread = true},
    {.name = "llada", .shape = {.not_causal = true, .unused = unused_biases}, .dense = {.activation = VECTOR_SILU}},
    {.name = "openelm", .shape = {.unused = unused_qkv_scale}, .rope = {.halves = true}, .attention = {.qk_norm = QK_HEAD},
     .dense = {.activation = VECTOR_SILU}},
    {.name = "pangu-embedded", .shape = {.unused = unused_factors}, .rope = {.halves = true}, .dense = {.activation = VECTOR_SILU}},
    {.name = "maincoder", .attention = {.qk_norm = QK_HEAD, .norm_rotated = true},
     .dense = {.activation = VECTOR_SILU}},
    {.name = "cogvlm", .shape = {.unused = unused_pictures}, .rope = {.halves = true}, .dense = {.activation = VECTOR_SILU}},
    {.name = NULL},
};
/* clang-format on */
