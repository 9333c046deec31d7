/* tiny_keys.h - the forms of small models, and the keys of their files. */
#ifndef BERTH_TESTS_TINY_KEYS_H
#define BERTH_TESTS_TINY_KEYS_H

#include "tiny_tensor.h"

#include <stdio.h>

#define TINY_WIDTH 64
#define TINY_FF 96
#define TINY_HEADS 4
#define TINY_KV_HEADS 2
#define TINY_HEAD 16
#define TINY_VOCABULARY 96
#define TINY_CONTEXT 4096
#define TINY_TENSORS 160
#define TINY_EXPERTS 6
#define TINY_EXPERTS_USED 2
#define TINY_SHARED_FF 32
#define TINY_INPUT 32
#define TINY_STREAMS 4
#define TINY_LAUREL 32
#define TINY_TAPS 3
#define TINY_INNER 96 /* rows of a scan; as heads none fills a block of the kernel */
#define TINY_SSM_HEADS 4
#define TINY_GROUPS 2
#define TINY_STATES 16
#define TINY_DT_RANK 8
#define TINY_CHANNELS (TINY_INNER + 2 * TINY_GROUPS * TINY_STATES)
#define TINY_DELTA 40 /* elements of a head's key and value: none fills its blocks of the kernel */
#define TINY_DELTA_INNER (TINY_SSM_HEADS * TINY_DELTA)
#define TINY_WKV_HEAD 16 /* fills no block of the kernel; in rwkv7 one head fills two */
#define TINY_WKV_RANK 32
#define TINY_LATENT 32
#define TINY_NOPE 16

struct tiny_edit {
    const char *without; /* a key, without the architecture's name, or a tensor */
    const char *key; /* takes `value` instead, or in addition */
    double value;
    const char *tensor; /* gets these dimensions instead, or in addition */
    uint64_t columns, rows;
    bool each_expert; /* has tensors of its own */
};

/* The choices of an architecture. */
struct tiny_family {
    const char *arch;
    size_t layers;
    bool post_norms, window, experts, shared, norm_heads, norm_rows, latent, sinks, gate;
    bool inputs; /* each layer has an input of its own, and the last two use the keys and values of others */
    bool streams; /* the residual has several, and a learned residual is beside attention */
    /* Of the experts: one tensor for gate and up; a dense feed-forward beside them; a space of their own. */
    bool fused, beside, own_space;
    /* A letter for each layer's mixer: Attention, short Convolution, Mamba, mamba 2 (S), Both attention and mamba 2, gated
     * Delta rule, the same with decay by Key, RWKV 7 (W), RWKV 6 (V), or none (F); NULL for attention in all. With `halves`
     * only the layers without a mixer have a feed-forward. */
    const char *mixers;
    bool halves, output, gated_q;
    bool channel; /* the feed-forward is a channel mix, and norms have a bias */
};

static const struct tiny_family tiny_families[] = {
    {.arch = "llama", .layers = 2, .output = true},
    {.arch = "gemma2", .layers = 3, .post_norms = true, .window = true},
    {.arch = "granitemoe", .layers = 2, .experts = true, .shared = true},
    {.arch = "olmoe", .layers = 2, .experts = true, .norm_rows = true, .output = true},
    {.arch = "deepseek2", .layers = 2, .experts = true, .shared = true, .latent = true, .output = true},
    {.arch = "smallthinker", .layers = 5, .window = true, .experts = true, .fused = true, .output = true},
    {.arch = "arctic", .layers = 2, .experts = true, .beside = true, .output = true},
    {.arch = "maion-coder",
        .layers = 2,
        .post_norms = true,
        .window = true,
        .experts = true,
        .norm_heads = true,
        .own_space = true,
        .output = true},
    {.arch = "lfm2", .layers = 4, .norm_heads = true, .mixers = "CCAC"},
    {.arch = "refact", .layers = 2, .output = true}, /* slopes by distance */
    {.arch = "plamo", .layers = 2, .output = true}, /* a parallel residual */
    {.arch = "granite_swa", .layers = 5, .window = true, .sinks = true},
    {.arch = "k2-horizon", .layers = 2, .gate = true, .output = true},
    {.arch = "gemma4", .layers = 5, .post_norms = true, .window = true, .norm_heads = true, .inputs = true},
    {.arch = "gemma3n",
        .layers = 5,
        .post_norms = true,
        .window = true,
        .norm_heads = true,
        .inputs = true,
        .streams = true},
    {.arch = "mamba", .layers = 2, .mixers = "MM", .halves = true},
    {.arch = "jamba", .layers = 3, .mixers = "MAM", .output = true},
    {.arch = "falcon-h1", .layers = 2, .mixers = "BB", .output = true},
    {.arch = "nemotron_h", .layers = 5, .mixers = "SFASF", .halves = true, .output = true},
    {.arch = "qwen35", .layers = 3, .mixers = "DAD", .norm_heads = true, .gated_q = true, .output = true},
    {.arch = "kimi-linear", .layers = 3, .mixers = "KAK", .latent = true, .output = true},
    {.arch = "rwkv7", .layers = 3, .mixers = "WWW", .channel = true, .output = true},
    {.arch = "arwkv7", .layers = 2, .mixers = "WW", .output = true},
    {.arch = "rwkv6", .layers = 3, .mixers = "VVV", .channel = true, .output = true},
    {.arch = "rwkv6qwen2", .layers = 2, .mixers = "VV", .output = true},
};

struct tiny {
    const char *arch;
    const struct tiny_family *family; /* of other names: llama's */
    const struct tiny_edit *edit;
    struct writer w;
    struct tiny_tensor tensors[TINY_TENSORS];
    size_t n_tensors, n_pairs;
    bool edited; /* the key of the edit has been written */
    uint64_t random;
    struct gguf *gguf;
};

static inline uint32_t tiny_random(struct tiny *t)
{
    t->random ^= t->random << 13;
    t->random ^= t->random >> 7;
    t->random ^= t->random << 17;
    return (uint32_t)(t->random >> 20);
}

/* ---- keys ---- */

static inline void tiny_key(struct tiny *t, struct writer *w, const char *key, double value, bool real)
{
    char name[96];
    const struct tiny_edit *e = t->edit;
    if (e && e->without && strcmp(e->without, key) == 0)
        return;
    if (e && e->key && strcmp(e->key, key) == 0) {
        value = e->value;
        t->edited = true;
    }
    snprintf(name, sizeof(name), "%s.%s", t->arch, key);
    if (real) {
        float single = (float)value;
        write_key(w, name, GGUF_F32);
        write_bytes(w, &single, sizeof(single));
    } else {
        write_pair_u32(w, name, (uint32_t)value);
    }
    t->n_pairs++;
}

static inline char tiny_mixer(const struct tiny *t, size_t layer)
{
    return t->family->mixers ? t->family->mixers[layer] : 'A';
}

static inline bool tiny_mixes(const struct tiny *t, char mixer)
{
    return t->family->mixers && strchr(t->family->mixers, mixer);
}

static inline bool tiny_is_rwkv(const struct tiny *t)
{
    return tiny_mixes(t, 'W') || tiny_mixes(t, 'V');
}

/* A key with a number for each layer: `value` where the mixer is one of `mixers`, 0 elsewhere. */
static inline void tiny_key_layers(
    struct tiny *t, struct writer *w, const char *key, uint32_t value, const char *mixers)
{
    char name[96];
    snprintf(name, sizeof(name), "%s.%s", t->arch, key);
    write_key(w, name, GGUF_ARRAY);
    write_u32(w, GGUF_I32);
    write_u64(w, t->family->layers);
    for (size_t i = 0; i < t->family->layers; i++)
        write_u32(w, strchr(mixers, tiny_mixer(t, i)) ? value : 0);
    t->n_pairs++;
}

static inline void tiny_halves(struct tiny *t, struct writer *w)
{
    if (t->family->mixers && !tiny_is_rwkv(t))
        tiny_key_layers(t, w, "attention.head_count_kv", TINY_KV_HEADS, "ABD");
    else
        tiny_key(t, w, "attention.head_count_kv", TINY_KV_HEADS, false);
    if (t->family->halves)
        tiny_key_layers(t, w, "feed_forward_length", TINY_FF, "F");
    else
        tiny_key(t, w, "feed_forward_length", TINY_FF, false);
}

static inline void tiny_ssm_keys(struct tiny *t, struct writer *w, bool heads)
{
    tiny_key(t, w, "ssm.inner_size", TINY_INNER, false);
    tiny_key(t, w, "ssm.conv_kernel", TINY_TAPS + 1, false);
    tiny_key(t, w, "ssm.state_size", TINY_STATES, false);
    tiny_key(t, w, "ssm.time_step_rank", heads ? TINY_SSM_HEADS : TINY_DT_RANK, false);
    if (heads)
        tiny_key(t, w, "ssm.group_count", TINY_GROUPS, false);
}

static inline void tiny_delta_keys(struct tiny *t, struct writer *w)
{
    tiny_key(t, w, "ssm.conv_kernel", TINY_TAPS + 1, false);
    if (tiny_mixes(t, 'K')) {
        tiny_key(t, w, "kda.head_dim", TINY_DELTA, false);
        return;
    }
    tiny_key_layers(t, w, "attention.recurrent_layers", 1, "D");
    tiny_key(t, w, "ssm.inner_size", TINY_DELTA_INNER, false);
    tiny_key(t, w, "ssm.state_size", TINY_DELTA, false);
    tiny_key(t, w, "ssm.time_step_rank", TINY_SSM_HEADS, false);
    tiny_key(t, w, "ssm.group_count", TINY_GROUPS, false);
}

static inline void tiny_rwkv_keys(struct tiny *t, struct writer *w)
{
    tiny_key(t, w, "wkv.head_size", strcmp(t->arch, "rwkv7") == 0 ? TINY_WIDTH : TINY_WKV_HEAD, false);
    tiny_key(t, w, "token_shift_count", t->family->channel ? 2 : 1, false);
    if (t->family->channel)
        tiny_key(t, w, "attention.layer_norm_epsilon", 1e-5, true);
    if (tiny_mixes(t, 'W')) {
        tiny_key(t, w, "attention.decay_lora_rank", TINY_WKV_RANK, false);
        tiny_key(t, w, "attention.iclr_lora_rank", TINY_WKV_RANK, false);
        tiny_key(t, w, "attention.value_residual_mix_lora_rank", TINY_WKV_RANK, false);
        tiny_key(t, w, "attention.gate_lora_rank", t->family->channel ? TINY_WKV_RANK : 0, false);
        return;
    }
    tiny_key(t, w, "time_mix_extra_dim", TINY_WKV_RANK, false);
    tiny_key(t, w, "time_decay_extra_dim", TINY_WKV_RANK, false);
    if (t->family->channel)
        tiny_key(t, w, "rescale_every_n_layers", 2, false);
}

static inline void tiny_kind_keys(struct tiny *t, struct writer *w)
{
    if (t->family->window)
        tiny_key(t, w, "attention.sliding_window", 32, false);
    if (t->family->inputs) {
        tiny_key(t, w, "attention.sliding_window_pattern", 2, false);
        tiny_key(t, w, "attention.shared_kv_layers", 2, false);
        tiny_key(t, w, "embedding_length_per_layer_input", TINY_INPUT, false);
    }
    if (t->family->experts) {
        tiny_key(t, w, "expert_count", TINY_EXPERTS, false);
        tiny_key(t, w, "expert_used_count", TINY_EXPERTS_USED, false);
    }
    if (t->family->own_space)
        tiny_key(t, w, "moe_latent_size", TINY_LATENT, false);
    if (t->family->shared)
        tiny_key(t, w, "expert_shared_feed_forward_length", TINY_SHARED_FF, false);
    if (tiny_mixes(t, 'C'))
        tiny_key(t, w, "shortconv.l_cache", TINY_TAPS, false);
    if (tiny_mixes(t, 'M') || tiny_mixes(t, 'S') || tiny_mixes(t, 'B'))
        tiny_ssm_keys(t, w, !tiny_mixes(t, 'M'));
    if (tiny_mixes(t, 'D') || tiny_mixes(t, 'K'))
        tiny_delta_keys(t, w);
    if (tiny_is_rwkv(t))
        tiny_rwkv_keys(t, w);
    if (!t->family->latent)
        return;
    tiny_key(t, w, "attention.kv_lora_rank", TINY_LATENT, false);
    tiny_key(t, w, "attention.q_lora_rank", TINY_LATENT, false);
    tiny_key(t, w, "attention.key_length_mla", TINY_NOPE + TINY_HEAD, false);
    tiny_key(t, w, "attention.value_length_mla", TINY_HEAD, false);
}

static inline void tiny_keys(struct tiny *t, struct writer *w)
{
    const struct tiny_edit *e = t->edit;
    write_pair_text(w, "general.architecture", t->arch);
    t->n_pairs = 1;
    t->edited = false;
    tiny_key(t, w, "block_count", (double)t->family->layers, false);
    tiny_key(t, w, "embedding_length", TINY_WIDTH, false);
    tiny_key(t, w, "context_length", TINY_CONTEXT, false);
    tiny_key(t, w, "attention.head_count", TINY_HEADS, false);
    tiny_halves(t, w);
    tiny_key(t, w, "attention.key_length", TINY_HEAD, false);
    tiny_key(t, w, "attention.value_length", TINY_HEAD, false);
    tiny_key(t, w, "vocab_size", TINY_VOCABULARY, false);
    tiny_key(t, w, "attention.layer_norm_rms_epsilon", 1e-5, true);
    tiny_key(t, w, "rope.freq_base", 10000, true);
    tiny_kind_keys(t, w);
    if (e && e->key && !t->edited)
        tiny_key(t, w, e->key, e->value, e->value != (double)(uint32_t)e->value);
}

#endif
