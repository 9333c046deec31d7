/* tiny_model.h - small decoder models with random weights, in memory, valid or with one fault.
 *
 * They have what the architectures differ in: several layers, grouped heads, weights of several types with and without an
 * int8 path, experts, convolutions. An edit leaves out one key or tensor, gives a key another value, gives a tensor
 * another shape, or adds a tensor.
 */
#ifndef BERTH_TESTS_TINY_MODEL_H
#define BERTH_TESTS_TINY_MODEL_H

#include "tiny_keys.h"

#include "berth/base/half.h"

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

/* The time mix of RWKV. `channel`: as in RWKV's own models, not in those made from Qwen 2. */
static inline void tiny_time_mix(struct tiny *t, size_t i, bool version_7, bool channel)
{
    enum { W = TINY_WIDTH, R = TINY_WKV_RANK, H = TINY_WKV_HEAD, KV = TINY_KV_HEADS * TINY_WKV_HEAD };
    static const struct tiny_tensor both[] = {{"time_mix_receptance.weight", W, W, TENSOR_Q8_0, 0},
        {"time_mix_output.weight", W, W, TENSOR_Q4_0, 0}, {.name = ""}};
    static const struct tiny_tensor seven[] = {{"time_mix_key.weight", W, W, TENSOR_Q8_0, 0},
        {"time_mix_value.weight", W, W, TENSOR_F32, 0}, {"time_mix_w0.weight", W, 1, TENSOR_F32, 0},
        {"time_mix_w1.weight", W, R, TENSOR_F32, 0}, {"time_mix_w2.weight", R, W, TENSOR_F16, 0},
        {"time_mix_a0.weight", W, 1, TENSOR_F32, 0}, {"time_mix_a1.weight", W, R, TENSOR_Q8_0, 0},
        {"time_mix_a2.weight", R, W, TENSOR_F32, 0}, {"time_mix_v0.weight", W, 1, TENSOR_F32, 0},
        {"time_mix_v1.weight", W, R, TENSOR_F32, 0}, {"time_mix_v2.weight", R, W, TENSOR_F32, 0},
        {"time_mix_k_k.weight", W, 1, TENSOR_F32, 0}, {"time_mix_k_a.weight", W, 1, TENSOR_F32, 0},
        {"time_mix_r_k.weight", W, 1, TENSOR_F16, 0}, {.name = ""}};
    static const struct tiny_tensor gate_7[] = {{"time_mix_lerp_fused.weight", W, 6, TENSOR_F32, 0},
        {"time_mix_g1.weight", W, R, TENSOR_F32, 0}, {"time_mix_g2.weight", R, W, TENSOR_Q8_0, 0}, {.name = ""}};
    static const struct tiny_tensor no_gate_7[] = {
        {"time_mix_lerp_fused.weight", W, 5, TENSOR_F32, 0}, {.name = ""}};
    static const struct tiny_tensor six[] = {{"time_mix_w1.weight", W, 5 * R, TENSOR_Q8_0, 0},
        {"time_mix_w2.weight", R, W, TENSOR_F32, 5}, {"time_mix_lerp_x.weight", W, 1, TENSOR_F32, 0},
        {"time_mix_lerp_fused.weight", W, 5, TENSOR_F32, 0}, {"time_mix_decay.weight", W, 1, TENSOR_F32, 0},
        {"time_mix_decay_w1.weight", W, R, TENSOR_F16, 0}, {"time_mix_decay_w2.weight", R, W, TENSOR_F32, 0},
        {"time_mix_gate.weight", W, W, TENSOR_Q4_0, 0}, {.name = ""}};
    static const struct tiny_tensor own_6[] = {{"time_mix_key.weight", W, W, TENSOR_Q8_0, 0},
        {"time_mix_value.weight", W, W, TENSOR_F32, 0}, {"time_mix_first.weight", H, W / H, TENSOR_F32, 0},
        {.name = ""}};
    static const struct tiny_tensor qwen2_6[] = {{"time_mix_key.weight", W, KV, TENSOR_Q8_0, 0},
        {"time_mix_value.weight", W, KV, TENSOR_F32, 0}, {"time_mix_key.bias", KV, 1, TENSOR_F32, 0}, {.name = ""}};
    static const struct tiny_tensor norm[] = {{"time_mix_ln.weight", W, 1, TENSOR_F32, 0},
        {"time_mix_ln.bias", W, 1, TENSOR_F32, 0}, {.name = ""}};
    tiny_group(t, i, both);
    tiny_group(t, i, version_7 ? seven : six);
    tiny_group(t, i, version_7 ? (channel ? gate_7 : no_gate_7) : channel ? own_6 : qwen2_6);
    if (channel)
        tiny_group(t, i, norm);
}

static inline void tiny_channel_mix(struct tiny *t, size_t i, bool version_7)
{
    enum { W = TINY_WIDTH };
    static const struct tiny_tensor mix[] = {{"channel_mix_lerp_k.weight", W, 1, TENSOR_F32, 0},
        {"channel_mix_key.weight", W, TINY_FF, TENSOR_Q4_0, 0},
        {"channel_mix_value.weight", TINY_FF, W, TENSOR_F16, 0}, {.name = ""}};
    static const struct tiny_tensor receptance[] = {{"channel_mix_lerp_r.weight", W, 1, TENSOR_F32, 0},
        {"channel_mix_receptance.weight", W, W, TENSOR_Q8_0, 0}, {.name = ""}};
    tiny_group(t, i, mix);
    if (!version_7)
        tiny_group(t, i, receptance);
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
    static const struct tiny_tensor channel_norm[] = {{"attn_norm_2.weight", W, 1, TENSOR_F32, 0},
        {"attn_norm_2.bias", W, 1, TENSOR_F32, 0}, {"attn_norm.bias", W, 1, TENSOR_F32, 0}, {.name = ""}};
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
    if (!f->halves)
        tiny_group(t, i, f->channel ? channel_norm : tiny_mixes(t, 'D') ? other_norm : ffn_norm);
    tiny_feed_forward(t, i);
    if (f->post_norms)
        tiny_group(t, i, post_norms);
}

/* Of the inputs of each layer. */
static inline void tiny_inputs(struct tiny *t)
{
    enum { W = TINY_WIDTH, P = TINY_INPUT };
    static const struct tiny_tensor of_layer[] = {{"inp_gate.weight", W, P, TENSOR_Q8_0, 0},
        {"proj.weight", P, W, TENSOR_Q4_0, 0}, {"post_norm.weight", W, 1, TENSOR_F32, 0}, {.name = ""}};
    static const struct tiny_tensor scale[] = {
        {"layer_output_scale.weight", 1, 1, TENSOR_F32, 0}, {.name = ""}};
    uint64_t all = t->family->layers * P;
    struct tiny_tensor embedding = {"per_layer_token_embd.weight", all, TINY_VOCABULARY, TENSOR_Q8_0, 0};
    struct tiny_tensor projection = {"per_layer_model_proj.weight", W, all, TENSOR_F16, 0};
    struct tiny_tensor norm = {"per_layer_proj_norm.weight", P, 1, TENSOR_F32, 0};
    tiny_tensor(t, &embedding);
    tiny_tensor(t, &projection);
    tiny_tensor(t, &norm);
    for (size_t i = 0; i < t->family->layers; i++) {
        tiny_group(t, i, of_layer);
        if (!t->family->streams)
            tiny_group(t, i, scale);
    }
}

/* Of AltUp's streams and of LAuReL. */
static inline void tiny_streams(struct tiny *t)
{
    enum { W = TINY_WIDTH, N = TINY_STREAMS };
    static const struct tiny_tensor of_layer[] = {{"altup_router_norm.weight", W, 1, TENSOR_F32, 0},
        {"altup_router.weight", W, N, TENSOR_F16, 0}, {"altup_predict_coef.weight", N, N * N, TENSOR_F32, 0},
        {"altup_correct_coef.weight", N, N, TENSOR_F32, 0},
        {"altup_correct_scale.weight", W, 1, TENSOR_F32, 0},
        {"laurel_l.weight", W, TINY_LAUREL, TENSOR_Q8_0, 0},
        {"laurel_r.weight", TINY_LAUREL, W, TENSOR_Q4_0, 0}, {"laurel_post_norm.weight", W, 1, TENSOR_F32, 0},
        {.name = ""}};
    struct tiny_tensor proj = {"altup_proj.weight", W, W, TENSOR_F16, N - 1};
    struct tiny_tensor unembd = {"altup_unembd_proj.weight", W, W, TENSOR_Q8_0, N - 1};
    tiny_tensor(t, &proj);
    tiny_tensor(t, &unembd);
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
    if (t->family->streams)
        tiny_streams(t);
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
