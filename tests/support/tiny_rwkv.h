/* tiny_rwkv.h - a part of tiny_model.h, which includes it: keys and tensors of RWKV 6 and 7. */
#ifndef BERTH_TESTS_TINY_RWKV_H
#define BERTH_TESTS_TINY_RWKV_H

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
        {"time_mix_g1.weight", W, R, TENSOR_F32, 0}, {"time_mix_g2.weight", R, W, TENSOR_Q8_0, 0},
        {.name = ""}};
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
        {"time_mix_value.weight", W, KV, TENSOR_F32, 0}, {"time_mix_key.bias", KV, 1, TENSOR_F32, 0},
        {.name = ""}};
    static const struct tiny_tensor norm[] = {
        {"time_mix_ln.weight", W, 1, TENSOR_F32, 0}, {"time_mix_ln.bias", W, 1, TENSOR_F32, 0}, {.name = ""}};
    tiny_group(t, i, both);
    tiny_group(t, i, version_7 ? seven : six);
    tiny_group(t, i, version_7 ? (channel ? gate_7 : no_gate_7) : channel ? own_6 : qwen2_6);
    if (channel)
        tiny_group(t, i, norm);
}

static inline void tiny_channel_mix(struct tiny *t, size_t i, bool version_7)
{
    enum { W = TINY_WIDTH };
    static const struct tiny_tensor channel_norm[] = {{"attn_norm_2.weight", W, 1, TENSOR_F32, 0},
        {"attn_norm_2.bias", W, 1, TENSOR_F32, 0}, {"attn_norm.bias", W, 1, TENSOR_F32, 0}, {.name = ""}};
    static const struct tiny_tensor mix[] = {{"channel_mix_lerp_k.weight", W, 1, TENSOR_F32, 0},
        {"channel_mix_key.weight", W, TINY_FF, TENSOR_Q4_0, 0},
        {"channel_mix_value.weight", TINY_FF, W, TENSOR_F16, 0}, {.name = ""}};
    static const struct tiny_tensor receptance[] = {{"channel_mix_lerp_r.weight", W, 1, TENSOR_F32, 0},
        {"channel_mix_receptance.weight", W, W, TENSOR_Q8_0, 0}, {.name = ""}};
    tiny_group(t, i, channel_norm);
    tiny_group(t, i, mix);
    if (!version_7)
        tiny_group(t, i, receptance);
}

#endif
