/* family_rwkv.c - RWKV 6 and 7, and models that have their mixers in place of Qwen 2's attention.
 * Facts: arXiv 2404.05892 and 2503.14456, the models' code on the hub; keys and tensors as llama.cpp's converter writes and
 * its loader reads them.
 */
#include "arch_private.h"

#include <inttypes.h>

static bool read_ranks(const struct arch_keys *k, struct rwkv_layer *l)
{
    static const struct {
        const char *rest;
        uint8_t input;
    } keys[] = {{"attention.decay_lora_rank", RWKV_W}, {"attention.iclr_lora_rank", RWKV_A},
        {"attention.value_residual_mix_lora_rank", RWKV_V}};
    if (!l->by_delta)
        return arch_key_size(k, "time_mix_extra_dim", DECODER_SIZE_MAX, 0, &l->shift_rank) &&
               arch_key_size(k, "time_decay_extra_dim", DECODER_SIZE_MAX, 0, &l->low[RWKV_W].rank);
    for (size_t i = 0; i < sizeof(keys) / sizeof(keys[0]); i++)
        if (!arch_key_size(k, keys[i].rest, DECODER_SIZE_MAX, 0, &l->low[keys[i].input].rank))
            return false;
    return arch_key_number(k, "attention.gate_lora_rank", DECODER_SIZE_MAX, 0, &l->low[RWKV_G].rank);
}

/* Each `every`-th layer halves its result: its weights are larger in turn, so that a float16 does not overflow. */
static bool read_rescale(struct decoder *d, const struct arch_keys *k)
{
    static const float half = 0.5f;
    uint32_t every;
    if (!arch_key_number(k, "rescale_every_n_layers", DECODER_LAYERS_MAX, 0, &every))
        return false;
    for (uint32_t i = 0; every > 0 && i < d->shape.n_layer; i++)
        d->layers[i].result_scale = (i + 1) % every == 0 ? &half : NULL;
    return true;
}

/* `own`: a model of RWKV's own, with channel mixes and so with two shifts of tokens in a layer. */
static bool read_rwkv(struct decoder *d, const struct arch_keys *k, bool by_delta, bool own)
{
    struct rwkv_layer l = {.by_delta = by_delta, .gla = !by_delta && !own};
    uint32_t n_embd = d->shape.n_embd, shifts;
    if (!arch_key_number(k, "token_shift_count", 2, 2, &shifts) ||
        !arch_key_size(k, "wkv.head_size", n_embd, 0, &l.head_dim) || !read_ranks(k, &l))
        return false;
    l.most_rank = l.shift_rank;
    for (size_t j = 0; j < RWKV_INPUTS; j++)
        l.most_rank = l.low[j].rank > l.most_rank ? l.low[j].rank : l.most_rank;
    l.n_head = l.n_head_kv = n_embd / l.head_dim;
    if (l.gla && !arch_key_number(k, "attention.head_count_kv", l.n_head, l.n_head, &l.n_head_kv))
        return false;
    if (n_embd % l.head_dim != 0 || l.n_head % l.n_head_kv != 0 || (shifts == 2) != own)
        return error_set(k->err,
            "keys %s.embedding_length (%" PRIu32 "), wkv.head_size (%" PRIu32
            "), attention.head_count_kv (%" PRIu32 ") and token_shift_count (%" PRIu32
            ") contradict each other or the architecture",
            k->architecture, n_embd, l.head_dim, l.n_head_kv, shifts);
    for (uint32_t i = 0; i < d->shape.n_layer; i++) {
        struct layer *layer = &d->layers[i];
        uint32_t n_ff = layer->dense.n_ff;
        layer->rwkv = l;
        if (!own)
            continue;
        layer->ffn = &layer_channel_mix;
        layer->channel_mix = (struct channel_mix_layer){.n_ff = n_ff, .gated = !by_delta};
    }
    return true;
}

static bool read_7(struct decoder *d, const struct arch_keys *k)
{
    return read_rwkv(d, k, true, true);
}

static bool read_7_qwen2(struct decoder *d, const struct arch_keys *k)
{
    return read_rwkv(d, k, true, false);
}

static bool read_6(struct decoder *d, const struct arch_keys *k)
{
    return read_rwkv(d, k, false, true) && read_rescale(d, k);
}

static bool read_6_qwen2(struct decoder *d, const struct arch_keys *k)
{
    return read_rwkv(d, k, false, false);
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
