/* family_jais.c - Jais and Refact: ALiBi, and a feed-forward with a gate.
 *
 * Facts: the models' configs on the hub and llama.cpp's loader. Jais scales scores by the head's size, not by its root.
 */
#include "arch_private.h"

static bool read_jais(struct decoder *d, const struct arch_keys *k)
{
    const struct attention_layer *first = arch_first_attention(d);
    arch_set_scale(d, 1.0f / (float)first->head_dim_k);
    return arch_read_alibi(d, k, 8);
}

static bool read_refact(struct decoder *d, const struct arch_keys *k)
{
    return arch_read_alibi(d, k, 8);
}

static const char *const unused[] = {
    "rope_freqs.weight", ".attn_output.bias", ".ffn_gate.bias", ".ffn_up.bias", ".ffn_down.bias", NULL};

/* clang-format off */
const struct arch family_jais[] = {
    {.name = "jais", .shape = {.layer_norm = true}, .rope = {.none = true}, .dense = {.activation = VECTOR_SILU},
     .read = read_jais},
    {.name = "refact", .shape = {.unused = unused}, .rope = {.none = true}, .dense = {.activation = VECTOR_SILU},
     .read = read_refact},
    {.name = NULL},
};
/* clang-format on */
