/* family_gated.c - models whose attention has a gate: Spark 2.5, Muse Glimmer, K2 Horizon.
 *
 * Facts: llama.cpp's loader. In Muse Glimmer only layers with a window rotate. K2 Horizon norms a row in groups.
 */
#include "arch_private.h"

static bool read_spark(struct decoder *d, const struct arch_keys *k)
{
    return arch_read_windows(d, k, 0, 4);
}

static bool read_muse(struct decoder *d, const struct arch_keys *k)
{
    if (!arch_read_windows(d, k, 0, 4) ||
        !arch_key_float(k, "final_logit_softcapping", 0, &d->shape.logit_softcap) ||
        !arch_key_float(k, "logit_scale", 1, &d->shape.logit_scale))
        return false;
    arch_rotate_windows(d);
    return true;
}

/* In layers with a mixture of experts the values come from experts, too. They are chosen as the others are. */
static bool read_value_experts(struct decoder *d, const struct arch_keys *k)
{
    struct value_experts e = {0};
    if (!arch_key_number(k, "attention.value_expert_count", VALUE_EXPERTS_MAX, 0, &e.n))
        return false;
    if (e.n == 0)
        return true;
    if (!arch_key_size(k, "attention.value_expert_used_count", e.n, 0, &e.n_used))
        return false;
    for (uint32_t i = 0; i < d->shape.n_layer; i++) {
        const struct moe_layer *l = &d->layers[i].moe;
        if (d->layers[i].ffn != &layer_moe)
            continue;
        e.sigmoid = l->gating == MOE_SIGMOID;
        e.normalized = l->normalized;
        e.scale = l->weights_scale;
        d->layers[i].attention.values = e;
    }
    return true;
}

static bool read_k2(struct decoder *d, const struct arch_keys *k)
{
    struct decoder_shape *s = &d->shape;
    return read_value_experts(d, k) &&
           arch_key_number(k, "attention.group_norm_groups", s->n_embd, 1, &s->norm_groups) &&
           (s->n_embd % s->norm_groups == 0 ||
               error_set(k->err, "key %s.attention.group_norm_groups does not divide the embedding's length",
                   k->architecture));
}

static const char *const unused_factor[] = {".attn_gate.scale", NULL};

/* clang-format off */
const struct arch family_gated[] = {
    {.name = "spark2_5", .shape = {.unused = unused_factor}, .rope = {.halves = true}, .attention = {.gated = GATE_SIGMOID},
     .dense = {.activation = VECTOR_GELU}, .read = read_spark},
    {.name = "muse-glimmer", .shape = {.embedding_norm = "", .post_norms = true, .post_epsilon = 1e-8f, .unused = unused_factor},
     .attention = {.qk_norm = QK_HEAD, .gated = GATE_SIGMOID}, .dense = {.activation = VECTOR_SILU}, .read = read_muse},
    {.name = "k2-horizon", .rope = {.halves = true}, .attention = {.qk_norm = QK_EACH_HEAD, .gated = GATE_SOFTPLUS_2},
     .dense = {.activation = VECTOR_SILU}, .experts = true,
     .moe = {.gating = MOE_SIGMOID, .beside_suffix = "_shexp", .experts = {.activation = VECTOR_SILU}}, .read = read_k2},
    {.name = NULL},
};
/* clang-format on */
