/* tiny_model.h - small decoder models with random weights, in memory, valid or with one fault.
 *
 * They have what the architectures differ in: several layers, grouped heads, weights of several types with and without an
 * int8 path, experts, convolutions. An edit leaves out one key or tensor, gives a key another value, gives a tensor
 * another shape, or adds a tensor.
 */
#ifndef BERTH_TESTS_TINY_MODEL_H
#define BERTH_TESTS_TINY_MODEL_H

#include "gguf_writer.h"

#include "berth/base/half.h"

#include <stdio.h>

#define TINY_WIDTH 64
#define TINY_FF 96
#define TINY_HEADS 4
#define TINY_KV_HEADS 2
#define TINY_HEAD 16
#define TINY_VOCABULARY 96
#define TINY_CONTEXT 4096
#define TINY_TENSORS 128
#define TINY_EXPERTS 6
#define TINY_EXPERTS_USED 2
#define TINY_SHARED_FF 32
#define TINY_INPUT 32
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

struct tiny_tensor {
    char name[64];
    uint64_t columns, rows;
    uint32_t type;
    uint64_t depth; /* experts; 0 for one matrix */
};

/* The choices of an architecture. */
struct tiny_family {
    const char *arch;
    size_t layers;
    bool post_norms, window, experts, shared, norm_heads, norm_rows, latent, sinks, gate;
    bool inputs; /* each layer has an input of its own, and the last two use the keys and values of others */
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

static inline void tiny_rwkv_keys(struct tiny *t, struct writer *w);

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

/* ---- tensors ---- */

static inline void tiny_tensor(struct tiny *t, const struct tiny_tensor *x)
{
    const struct tiny_edit *e = t->edit;
    struct tiny_tensor *new = &t->tensors[t->n_tensors];
    if (e && e->without && strcmp(e->without, x->name) == 0)
        return;
    *new = *x;
    if (e && e->tensor && strcmp(e->tensor, x->name) == 0) {
        new->columns = e->columns;
        new->rows = e->rows;
        new->depth = 0;
        new->type = TENSOR_F32;
    }
    t->n_tensors++;
}

/* Those of a layer, up to the one without a name. */
static inline void tiny_group(struct tiny *t, size_t layer, const struct tiny_tensor *group)
{
    for (; group->name[0]; group++) {
        struct tiny_tensor x = *group;
        snprintf(x.name, sizeof(x.name), "blk.%zu.%.30s", layer, group->name);
        const char *end = strstr(group->name, "_exps.weight");
        if (t->edit && t->edit->each_expert && end) {
            for (x.depth = 0; x.depth < TINY_EXPERTS; x.depth++) {
                struct tiny_tensor one = x;
                one.depth = 0;
                snprintf(one.name, sizeof(one.name), "blk.%zu.%.*s.%d.weight", layer,
                    (int)(end - group->name), group->name, (int)x.depth);
                tiny_tensor(t, &one);
            }
            continue;
        }
        tiny_tensor(t, &x);
    }
}

#include "tiny_rwkv.h"

static inline void tiny_scan(struct tiny *t, size_t i, bool heads)
{
    enum { W = TINY_WIDTH, N = TINY_INNER, H = TINY_SSM_HEADS };
    static const struct tiny_tensor mamba[] = {{"ssm_in.weight", W, 2 * N, TENSOR_Q8_0, 0},
        {"ssm_conv1d.weight", TINY_TAPS + 1, N, TENSOR_F32, 0}, {"ssm_conv1d.bias", N, 1, TENSOR_F32, 0},
        {"ssm_x.weight", N, TINY_DT_RANK + 2 * TINY_STATES, TENSOR_F16, 0},
        {"ssm_dt_norm.weight", TINY_DT_RANK, 1, TENSOR_F32, 0},
        {"ssm_b_norm.weight", TINY_STATES, 1, TENSOR_F32, 0},
        {"ssm_c_norm.weight", TINY_STATES, 1, TENSOR_F32, 0},
        {"ssm_dt.weight", TINY_DT_RANK, N, TENSOR_F32, 0}, {"ssm_dt.bias", N, 1, TENSOR_F32, 0},
        {"ssm_a", TINY_STATES, N, TENSOR_F32, 0}, {"ssm_d", N, 1, TENSOR_F32, 0},
        {"ssm_out.weight", N, W, TENSOR_Q4_0, 0}, {.name = ""}};
    static const struct tiny_tensor mamba2[] = {{"ssm_in.weight", W, N + TINY_CHANNELS + H, TENSOR_Q8_0, 0},
        {"ssm_conv1d.weight", TINY_TAPS + 1, TINY_CHANNELS, TENSOR_F32, 0},
        {"ssm_conv1d.bias", TINY_CHANNELS, 1, TENSOR_F32, 0}, {"ssm_dt.bias", H, 1, TENSOR_F32, 0},
        {"ssm_a", 1, H, TENSOR_F32, 0}, {"ssm_d", 1, H, TENSOR_F32, 0},
        {"ssm_norm.weight", N / TINY_GROUPS, TINY_GROUPS, TENSOR_F32, 0},
        {"ssm_out.weight", N, W, TENSOR_Q4_0, 0}, {.name = ""}};
    tiny_group(t, i, heads ? mamba2 : mamba);
}

static inline void tiny_delta(struct tiny *t, size_t i, bool by_key)
{
    enum { W = TINY_WIDTH, D = TINY_DELTA, N = TINY_DELTA_INNER, H = TINY_SSM_HEADS, T = TINY_TAPS + 1 };
    enum { C = N + 2 * TINY_GROUPS * D };
    static const struct tiny_tensor delta[] = {{"attn_qkv.weight", W, C, TENSOR_Q8_0, 0},
        {"ssm_conv1d.weight", T, C, TENSOR_F32, 0}, {"attn_gate.weight", W, N, TENSOR_Q4_0, 0},
        {"ssm_beta.weight", W, H, TENSOR_F32, 0}, {"ssm_alpha.weight", W, H, TENSOR_F32, 0},
        {"ssm_dt.bias", H, 1, TENSOR_F32, 0}, {"ssm_a", H, 1, TENSOR_F32, 0},
        {"ssm_norm.weight", D, 1, TENSOR_F32, 0}, {"ssm_out.weight", N, W, TENSOR_Q8_0, 0}, {.name = ""}};
    static const struct tiny_tensor delta_by_key[] = {{"attn_q.weight", W, N, TENSOR_Q8_0, 0},
        {"attn_k.weight", W, N, TENSOR_Q8_0, 0}, {"attn_v.weight", W, N, TENSOR_F32, 0},
        {"ssm_conv1d_q.weight", T, N, TENSOR_F32, 0}, {"ssm_conv1d_k.weight", T, N, TENSOR_F32, 0},
        {"ssm_conv1d_v.weight", T, N, TENSOR_F32, 0}, {"ssm_g_a.weight", W, D, TENSOR_F32, 0},
        {"ssm_g_b.weight", D, N, TENSOR_F32, 0}, {"ssm_f_a.weight", W, D, TENSOR_Q8_0, 0},
        {"ssm_f_b.weight", D, N, TENSOR_F16, 0}, {"ssm_beta.weight", W, H, TENSOR_F32, 0},
        {"ssm_dt.bias", N, 1, TENSOR_F32, 0}, {"ssm_a", 1, H, TENSOR_F32, 0},
        {"ssm_norm.weight", D, 1, TENSOR_F32, 0}, {"attn_output.weight", N, W, TENSOR_Q4_0, 0}, {.name = ""}};
    tiny_group(t, i, by_key ? delta_by_key : delta);
}

/* The mixer "attention" of each form, with its norms. */
static inline void tiny_attention(struct tiny *t, size_t i)
{
    enum { W = TINY_WIDTH, Q = TINY_HEADS * TINY_HEAD, KV = TINY_KV_HEADS * TINY_HEAD };
    static const struct tiny_tensor attention[] = {{"attn_q.weight", W, Q, TENSOR_Q8_0, 0},
        {"attn_k.weight", W, KV, TENSOR_Q8_0, 0}, {"attn_v.weight", W, KV, TENSOR_F32, 0},
        {"attn_output.weight", Q, W, TENSOR_Q4_0, 0}, {.name = ""}};
    static const struct tiny_tensor gated[] = {{"attn_q.weight", W, 2 * Q, TENSOR_Q8_0, 0},
        {"attn_k.weight", W, KV, TENSOR_Q8_0, 0}, {"attn_v.weight", W, KV, TENSOR_F32, 0},
        {"attn_output.weight", Q, W, TENSOR_Q4_0, 0}, {.name = ""}};
    static const struct tiny_tensor latent[] = {{"attn_q_a.weight", W, TINY_LATENT, TENSOR_Q8_0, 0},
        {"attn_q_a_norm.weight", TINY_LATENT, 1, TENSOR_F32, 0},
        {"attn_q_b.weight", TINY_LATENT, TINY_HEADS * (TINY_NOPE + TINY_HEAD), TENSOR_Q8_0, 0},
        {"attn_kv_a_mqa.weight", W, TINY_LATENT + TINY_HEAD, TENSOR_Q4_0, 0},
        {"attn_kv_a_norm.weight", TINY_LATENT, 1, TENSOR_F32, 0},
        {"attn_k_b.weight", TINY_NOPE, TINY_LATENT, TENSOR_F16, TINY_HEADS},
        {"attn_v_b.weight", TINY_LATENT, TINY_HEAD, TENSOR_Q8_0, TINY_HEADS},
        {"attn_output.weight", Q, W, TENSOR_Q4_0, 0}, {.name = ""}};
    static const struct tiny_tensor norms_of_heads[] = {{"attn_q_norm.weight", TINY_HEAD, 1, TENSOR_F32, 0},
        {"attn_k_norm.weight", TINY_HEAD, 1, TENSOR_F32, 0}, {.name = ""}};
    static const struct tiny_tensor norms_of_rows[] = {{"attn_q_norm.weight", Q, 1, TENSOR_F32, 0},
        {"attn_k_norm.weight", KV, 1, TENSOR_F32, 0}, {.name = ""}};
    const struct tiny_family *f = t->family;
    tiny_group(t, i, f->latent ? latent : f->gated_q ? gated : attention);
    if (f->norm_heads || f->norm_rows)
        tiny_group(t, i, f->norm_heads ? norms_of_heads : norms_of_rows);
}

/* The feed-forward of each form. */
static inline void tiny_feed_forward(struct tiny *t, size_t i)
{
    enum { W = TINY_WIDTH };
    static const struct tiny_tensor dense[] = {{"ffn_gate.weight", W, TINY_FF, TENSOR_Q4_0, 0},
        {"ffn_up.weight", W, TINY_FF, TENSOR_Q4_0, 0}, {"ffn_down.weight", TINY_FF, W, TENSOR_F16, 0},
        {.name = ""}};
    static const struct tiny_tensor experts[] = {{"ffn_gate_inp.weight", W, TINY_EXPERTS, TENSOR_F32, 0},
        {"ffn_gate_exps.weight", W, TINY_FF, TENSOR_Q4_0, TINY_EXPERTS},
        {"ffn_up_exps.weight", W, TINY_FF, TENSOR_Q8_0, TINY_EXPERTS},
        {"ffn_down_exps.weight", TINY_FF, W, TENSOR_Q4_0, TINY_EXPERTS},
        {"ffn_down_exps.scale", TINY_EXPERTS, 1, TENSOR_F32, 0}, {.name = ""}};
    static const struct tiny_tensor fused[] = {{"ffn_gate_inp.weight", W, TINY_EXPERTS, TENSOR_F32, 0},
        {"ffn_gate_inp.bias", TINY_EXPERTS, 1, TENSOR_F32, 0},
        {"ffn_gate_up_exps.weight", W, 2 * TINY_FF, TENSOR_Q4_0, TINY_EXPERTS},
        {"ffn_gate_up_exps.bias", 2 * TINY_FF, TINY_EXPERTS, TENSOR_F32, 0},
        {"ffn_down_exps.weight", TINY_FF, W, TENSOR_Q8_0, TINY_EXPERTS},
        {"ffn_down_exps.bias", W, TINY_EXPERTS, TENSOR_F32, 0}, {.name = ""}};
    static const struct tiny_tensor own_space[] = {{"ffn_gate_inp.weight", W, TINY_EXPERTS, TENSOR_F32, 0},
        {"ffn_latent_down.weight", W, TINY_LATENT, TENSOR_Q8_0, 0},
        {"ffn_latent_up.weight", TINY_LATENT, W, TENSOR_Q8_0, 0},
        {"ffn_gate_exps.weight", TINY_LATENT, TINY_FF, TENSOR_Q4_0, TINY_EXPERTS},
        {"ffn_up_exps.weight", TINY_LATENT, TINY_FF, TENSOR_Q8_0, TINY_EXPERTS},
        {"ffn_down_exps.weight", TINY_FF, TINY_LATENT, TENSOR_Q4_0, TINY_EXPERTS},
        {"exp_probs_b.bias", TINY_EXPERTS, 1, TENSOR_F32, 0}, {.name = ""}};
    static const struct tiny_tensor norm_exps[] = {
        {"ffn_norm_exps.weight", W, 1, TENSOR_F32, 0}, {.name = ""}};
    static const struct tiny_tensor shared[] = {{"ffn_gate_shexp.weight", W, TINY_SHARED_FF, TENSOR_F32, 0},
        {"ffn_up_shexp.weight", W, TINY_SHARED_FF, TENSOR_Q8_0, 0},
        {"ffn_down_shexp.weight", TINY_SHARED_FF, W, TENSOR_F16, 0}, {.name = ""}};
    static const struct tiny_tensor ungated[] = {{"ffn_up.weight", W, TINY_FF, TENSOR_Q4_0, 0},
        {"ffn_down.weight", TINY_FF, W, TENSOR_F16, 0}, {.name = ""}};
    const struct tiny_family *f = t->family;
    if (f->channel)
        tiny_channel_mix(t, i, tiny_mixer(t, i) == 'W');
    else if (!f->halves || tiny_mixer(t, i) == 'F')
        tiny_group(t, i,
            f->halves      ? ungated
            : f->fused     ? fused
            : f->own_space ? own_space
            : f->experts   ? experts
                           : dense);
    if (f->beside) {
        tiny_group(t, i, norm_exps);
        tiny_group(t, i, dense);
    }
    if (f->shared)
        tiny_group(t, i, shared);
}

static inline void tiny_layer(struct tiny *t, size_t i)
{
    enum { W = TINY_WIDTH, Q = TINY_HEADS * TINY_HEAD };
    static const struct tiny_tensor norm[] = {{"attn_norm.weight", W, 1, TENSOR_F32, 0}, {.name = ""}};
    static const struct tiny_tensor other_norm[] = {
        {"post_attention_norm.weight", W, 1, TENSOR_F32, 0}, {.name = ""}};
    static const struct tiny_tensor ffn_norm[] = {{"ffn_norm.weight", W, 1, TENSOR_F32, 0}, {.name = ""}};
    static const struct tiny_tensor convolution[] = {{"shortconv.in_proj.weight", W, 3 * W, TENSOR_Q8_0, 0},
        {"shortconv.conv.weight", TINY_TAPS, W, TENSOR_F32, 0},
        {"shortconv.out_proj.weight", W, W, TENSOR_Q4_0, 0}, {.name = ""}};
    static const struct tiny_tensor post_norms[] = {{"post_attention_norm.weight", W, 1, TENSOR_F32, 0},
        {"post_ffw_norm.weight", W, 1, TENSOR_F32, 0}, {.name = ""}};
    static const struct tiny_tensor sinks[] = {
        {"attn_sinks.weight", TINY_HEADS, 1, TENSOR_F32, 0}, {.name = ""}};
    static const struct tiny_tensor gate[] = {{"attn_gate.weight", W, Q, TENSOR_Q8_0, 0}, {.name = ""}};
    const struct tiny_family *f = t->family;
    char mixer = tiny_mixer(t, i);
    tiny_group(t, i, norm);
    if (mixer == 'C')
        tiny_group(t, i, convolution);
    if (mixer == 'A' || mixer == 'B')
        tiny_attention(t, i);
    if (f->sinks || f->gate)
        tiny_group(t, i, f->sinks ? sinks : gate);
    if (strchr("MSB", mixer))
        tiny_scan(t, i, mixer != 'M');
    if (mixer == 'D' || mixer == 'K')
        tiny_delta(t, i, mixer == 'K');
    if (mixer == 'W' || mixer == 'V')
        tiny_time_mix(t, i, mixer == 'W', f->channel);
    if (!f->halves && !f->channel)
        tiny_group(t, i, tiny_mixes(t, 'D') ? other_norm : ffn_norm);
    tiny_feed_forward(t, i);
    if (f->post_norms)
        tiny_group(t, i, post_norms);
}

/* Of the inputs of each layer. */
static inline void tiny_inputs(struct tiny *t)
{
    enum { W = TINY_WIDTH, P = TINY_INPUT };
    static const struct tiny_tensor of_layer[] = {{"inp_gate.weight", W, P, TENSOR_Q8_0, 0},
        {"proj.weight", P, W, TENSOR_Q4_0, 0}, {"post_norm.weight", W, 1, TENSOR_F32, 0},
        {"layer_output_scale.weight", 1, 1, TENSOR_F32, 0}, {.name = ""}};
    uint64_t all = t->family->layers * P;
    struct tiny_tensor embedding = {"per_layer_token_embd.weight", all, TINY_VOCABULARY, TENSOR_Q8_0, 0};
    struct tiny_tensor projection = {"per_layer_model_proj.weight", W, all, TENSOR_F16, 0};
    struct tiny_tensor norm = {"per_layer_proj_norm.weight", P, 1, TENSOR_F32, 0};
    tiny_tensor(t, &embedding);
    tiny_tensor(t, &projection);
    tiny_tensor(t, &norm);
    for (size_t i = 0; i < t->family->layers; i++)
        tiny_group(t, i, of_layer);
}

static inline void tiny_list(struct tiny *t)
{
    const struct tiny_edit *e = t->edit;
    struct tiny_tensor embedding = {"token_embd.weight", TINY_WIDTH, TINY_VOCABULARY, TENSOR_F16, 0};
    struct tiny_tensor norm = {"output_norm.weight", TINY_WIDTH, 1, TENSOR_F32, 0};
    struct tiny_tensor output = {"output.weight", TINY_WIDTH, TINY_VOCABULARY, TENSOR_Q8_0, 0};
    if (tiny_mixes(t, 'C'))
        snprintf(norm.name, sizeof(norm.name), "token_embd_norm.weight");
    tiny_tensor(t, &embedding);
    tiny_tensor(t, &norm);
    if (t->family->output)
        tiny_tensor(t, &output);
    if (t->family->inputs)
        tiny_inputs(t);
    if (t->family->channel) {
        snprintf(norm.name, sizeof(norm.name), "token_embd_norm.weight");
        tiny_tensor(t, &norm);
    }
    for (size_t i = 0; i < t->family->layers; i++)
        tiny_layer(t, i);
    bool known = !e || !e->tensor;
    for (size_t i = 0; i < t->n_tensors && !known; i++)
        known = strcmp(t->tensors[i].name, e->tensor) == 0;
    if (!known) {
        struct tiny_tensor added = {.columns = e->columns, .rows = e->rows, .type = TENSOR_F32};
        snprintf(added.name, sizeof(added.name), "%.63s", e->tensor);
        tiny_tensor(t, &added);
    }
}

static inline uint64_t tiny_elems(const struct tiny_tensor *x)
{
    return x->columns * x->rows * (x->depth ? x->depth : 1);
}

static inline uint64_t tiny_bytes(const struct tiny_tensor *x)
{
    uint64_t elems = tiny_elems(x);
    switch (x->type) {
    case TENSOR_F16:
        return elems * 2;
    case TENSOR_Q4_0:
        return elems / 32 * 18;
    case TENSOR_Q8_0:
        return elems / 32 * 34;
    default:
        return elems * 4;
    }
}

/* Blocks of random bytes with a small scale, or random numbers; of a norm, around 1; below 0 where a state decays. */
static inline void tiny_data(struct tiny *t, struct writer *w, const struct tiny_tensor *x)
{
    uint64_t elems = tiny_elems(x);
    if (x->type == TENSOR_F32 || x->type == TENSOR_F16) {
        for (uint64_t i = 0; i < elems; i++) {
            float value = ((float)(tiny_random(t) % 2001) - 1000) / 4000 + (x->rows == 1 ? 1 : 0);
            value = strstr(x->name, ".ssm_a") ? -0.02f - value * value : value;
            uint16_t half = half_from_float(value);
            if (x->type == TENSOR_F32)
                write_bytes(w, &value, sizeof(value));
            else
                write_bytes(w, &half, sizeof(half));
        }
        return;
    }
    uint16_t scale = half_from_float(x->type == TENSOR_Q4_0 ? 0.03f : 0.002f);
    for (uint64_t block = 0; block < elems / 32; block++) {
        write_bytes(w, &scale, sizeof(scale));
        for (int i = 0; i < (x->type == TENSOR_Q4_0 ? 16 : 32); i++) {
            uint8_t byte = (uint8_t)tiny_random(t);
            write_bytes(w, &byte, 1);
        }
    }
}

/* Makes the model's file in memory and reads it. `edit` may be NULL. */
static inline void tiny_make(
    struct tiny *t, const char *arch, const struct tiny_edit *edit, struct error *err)
{
    *t = (struct tiny){.arch = arch, .edit = edit, .random = 88172645463325252u, .family = tiny_families};
    for (size_t i = 0; i < sizeof(tiny_families) / sizeof(tiny_families[0]); i++)
        if (strcmp(arch, tiny_families[i].arch) == 0)
            t->family = &tiny_families[i];
    struct writer counted = {0};
    tiny_keys(t, &counted);
    writer_release(&counted);
    tiny_list(t);
    write_header(&t->w, 3, t->n_tensors, t->n_pairs);
    tiny_keys(t, &t->w);
    uint64_t offset = 0;
    for (size_t i = 0; i < t->n_tensors; i++) {
        const struct tiny_tensor *x = &t->tensors[i];
        const uint64_t *dims = x->depth       ? DIMS(x->columns, x->rows, x->depth)
                               : x->rows == 1 ? DIMS(x->columns)
                                              : DIMS(x->columns, x->rows);
        write_tensor(&t->w, x->name, dims, x->type, offset);
        offset += (tiny_bytes(x) + 31) / 32 * 32;
    }
    for (size_t i = 0; i < t->n_tensors; i++) {
        write_padding(&t->w, 32);
        tiny_data(t, &t->w, &t->tensors[i]);
    }
    write_padding(&t->w, 32);
    t->gguf = gguf_read(writer_done(&t->w), err);
}

static inline void tiny_release(struct tiny *t)
{
    gguf_free(t->gguf);
    writer_release(&t->w);
}

#endif
