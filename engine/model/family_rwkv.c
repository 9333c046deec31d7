/* family_rwkv.c - RWKV 6 and 7, and models that have their mixers in place of Qwen 2's attention.
 * Facts: arXiv 2404.05892 and 2503.14456, the models' code on the hub; keys and tensors as llama.cpp's converter writes and
 * its loader reads them.
 */
#include "arch_private.h"

#include <inttypes.h>

/* What all have: the heads, and the number of token shifts of a layer. */
static bool read_heads(const struct decoder *d, const struct arch_keys *k, uint32_t shifts, struct rwkv_layer *l)
{
    uint32_t n_embd = d->shape.n_embd, count;
    if (!arch_key_number(k, "token_shift_count", 2, 2, &count) ||
        !arch_key_size(k, "wkv.head_size", n_embd, 0, &l->head_dim))
        return false;
    if (count != shifts)
        return error_set(k->err, "key %s.token_shift_count is %" PRIu32 " instead of %" PRIu32, k->architecture,
            count, shifts);
    if (n_embd % l->head_dim != 0)
        return error_set(k->err,
            "keys %s.embedding_length (%" PRIu32 ") and wkv.head_size (%" PRIu32 ") contradict each other",
            k->architecture, n_embd, l->head_dim);
    l->n_head = l->n_head_kv = n_embd / l->head_dim;
    return true;
}

static bool read_ranks_6(const struct arch_keys *k, struct rwkv_layer *l)
{
    return arch_key_size(k, "time_mix_extra_dim", DECODER_SIZE_MAX, 0, &l->shift_rank) &&
           arch_key_size(k, "time_decay_extra_dim", DECODER_SIZE_MAX, 0, &l->w.rank);
}

static bool read_ranks_7(const struct arch_keys *k, struct rwkv_layer *l)
{
    l->by_delta = true;
    return arch_key_size(k, "attention.decay_lora_rank", DECODER_SIZE_MAX, 0, &l->w.rank) &&
           arch_key_size(k, "attention.iclr_lora_rank", DECODER_SIZE_MAX, 0, &l->a.rank) &&
           arch_key_size(
               k, "attention.value_residual_mix_lora_rank", DECODER_SIZE_MAX, 0, &l->value.rank) &&
           arch_key_number(k, "attention.gate_lora_rank", DECODER_SIZE_MAX, 0, &l->g.rank);
}

static void set_mixers(struct decoder *d, const struct rwkv_layer *l)
{
    for (uint32_t i = 0; i < d->shape.n_layer; i++)
        d->layers[i].rwkv = *l;
}

static void set_channel_mixes(struct decoder *d, bool gated)
{
    for (uint32_t i = 0; i < d->shape.n_layer; i++) {
        uint32_t n_ff = d->layers[i].dense.n_ff;
        d->layers[i].ffn = &layer_channel_mix;
        d->layers[i].channel_mix = (struct channel_mix_layer){.n_ff = n_ff, .gated = gated};
    }
}

/* Each `every`-th layer halves its result: its weights are larger in turn, so that a float16 does not overflow. */
static bool read_rescale(struct decoder *d, const struct arch_keys *k)
{
    static const float half = 0.5f;
    uint32_t every;
    if (!arch_key_number(k, "rescale_every_n_layers", DECODER_LAYERS_MAX, 0, &every))
        return false;
    for (uint32_t i = 0; every > 0 && i < d->shape.n_layer; i++)
        if ((i + 1) % every == 0)
            d->layers[i].result_scale = &half;
    return true;
}

static bool read_6(struct decoder *d, const struct arch_keys *k)
{
    struct rwkv_layer l = {0};
    if (!read_heads(d, k, 2, &l) || !read_ranks_6(k, &l) || !read_rescale(d, k))
        return false;
    set_mixers(d, &l);
    set_channel_mixes(d, true);
    return true;
}

static bool read_7(struct decoder *d, const struct arch_keys *k)
{
    struct rwkv_layer l = {0};
    if (!read_heads(d, k, 2, &l) || !read_ranks_7(k, &l))
        return false;
    set_mixers(d, &l);
    set_channel_mixes(d, false);
    return true;
}

static bool read_6_qwen2(struct decoder *d, const struct arch_keys *k)
{
    struct rwkv_layer l = {.gla = true};
    if (!read_heads(d, k, 1, &l) || !read_ranks_6(k, &l) ||
        !arch_key_number(k, "attention.head_count_kv", l.n_head, l.n_head, &l.n_head_kv))
        return false;
    if (l.n_head % l.n_head_kv != 0)
        return error_set(k->err,
            "key %s.attention.head_count_kv (%" PRIu32 ") does not divide the %" PRIu32 " heads",
            k->architecture, l.n_head_kv, l.n_head);
    set_mixers(d, &l);
    return true;
}

static bool read_7_qwen2(struct decoder *d, const struct arch_keys *k)
{
    struct rwkv_layer l = {0};
    if (!read_heads(d, k, 1, &l) || !read_ranks_7(k, &l))
        return false;
    set_mixers(d, &l);
    return true;
}

/* clang-format off */
const struct arch family_rwkv[] = {
    {.name = "rwkv7", .shape = {.layer_norm = true, .ffn_norm = "attn_norm_2", .embedding_norm = "token_embd_norm"},
     .mixer = &layer_rwkv, .read = read_7},
    {.name = "arwkv7", .mixer = &layer_rwkv, .dense = {.activation = VECTOR_SILU}, .read = read_7_qwen2},
    {.name = "rwkv6", .shape = {.layer_norm = true, .ffn_norm = "attn_norm_2", .embedding_norm = "token_embd_norm"},
     .mixer = &layer_rwkv, .read = read_6},
    {.name = "rwkv6qwen2", .mixer = &layer_rwkv, .dense = {.activation = VECTOR_SILU}, .read = read_6_qwen2},
    {.name = NULL},
};
/* clang-format on */
