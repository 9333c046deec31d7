/* arch_choices.c - what a row chooses, as the fields of the layer kinds.
 *
 * Rows have choices rather than the kinds' own structures, which also have room for weights: there are many rows, and each
 * would be two kilobytes of the program.
 */
#include "arch_private.h"

struct rope_fields arch_rope_fields(const struct rope_choice *c)
{
    return (struct rope_fields){
        .none = c->none, .halves = c->halves, .long_factors = c->long_factors, .skip = c->skip};
}

struct attention_layer arch_attention_fields(const struct attention_choice *c)
{
    return (struct attention_layer){
        .qk_norm = c->qk_norm, .gated = c->gated, .norm_rotated = c->norm_rotated, .sinks = c->sinks};
}

struct dense_layer arch_dense_fields(const struct dense_choice *c)
{
    return (struct dense_layer){.activation = c->activation,
        .limits = c->limits,
        .limit = c->limit,
        .ungated = c->ungated,
        .xielu = c->xielu,
        .act_scales = c->act_scales};
}

struct moe_layer arch_moe_fields(const struct experts_choice *c)
{
    return (struct moe_layer){.gating = c->gating,
        .early = c->early,
        .sum_scale = c->sum_scale,
        .by_logits = c->by_logits,
        .normalized = c->normalized,
        .weighs_input = c->weighs_input,
        .by_tensor = c->by_tensor,
        .beside_needed = c->beside_needed,
        .beside_suffix = c->beside_suffix,
        .experts = arch_dense_fields(&c->experts)};
}
