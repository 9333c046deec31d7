/* arch_delta.c - reads the keys of layers with the gated delta rule. */
#include "arch_private.h"

#include <inttypes.h>

/* Whether layer i is recurrent: by an array of 0 and 1, or all layers but each `interval`-th, counted from 1. */
static bool is_recurrent(const struct checkpoint_value *flags, uint32_t interval, uint32_t i)
{
    return flags && flags->is_array ? arch_key_item(flags, i) == 1 : (i + 1) % interval != 0;
}

bool arch_read_delta(struct decoder *d, const struct arch_keys *k, struct delta_layer fields)
{
    struct ssm_layer *s = &fields.ssm;
    uint32_t interval;
    char name[ARCH_KEY_ROOM];
    const struct checkpoint_value *flags =
        checkpoint_find(k->file, arch_key_name(name, k, "attention.recurrent_layers"));
    if (flags && flags->is_array && flags->count < d->shape.n_layer)
        return error_set(k->err, "key %s has %" PRIu64 " items for %" PRIu32 " layers", name, flags->count,
            d->shape.n_layer);
    if (!arch_key_size(k, "full_attention_interval", DECODER_LAYERS_MAX, 4, &interval) ||
        !arch_key_size(k, "ssm.inner_size", DECODER_SIZE_MAX, 0, &s->n_inner) ||
        !arch_key_size(k, "ssm.conv_kernel", SSM_TAPS_MAX, 0, &s->n_taps) ||
        !arch_key_size(k, "ssm.state_size", SSM_STATES_MAX, 0, &s->n_state) ||
        !arch_key_size(k, "ssm.time_step_rank", s->n_inner, 0, &s->n_head) ||
        !arch_key_size(k, "ssm.group_count", s->n_head, 0, &s->n_group))
        return false;
    if ((uint64_t)s->n_head * s->n_state != s->n_inner || s->n_head % s->n_group != 0)
        return error_set(k->err,
            "keys %s.ssm.inner_size (%" PRIu32 "), state_size (%" PRIu32 "), time_step_rank (%" PRIu32
            ") and group_count (%" PRIu32 ") contradict each other",
            k->architecture, s->n_inner, s->n_state, s->n_head, s->n_group);
    s->n_channels = s->n_inner + 2 * s->n_group * s->n_state;
    for (uint32_t i = 0; i < d->shape.n_layer; i++)
        if (is_recurrent(flags, interval, i)) {
            d->layers[i].mixer = &layer_delta;
            d->layers[i].delta = fields;
        }
    return true;
}

bool arch_read_kimi_delta(struct decoder *d, const struct arch_keys *k)
{
    struct delta_layer l = {.decay_by_key = true};
    struct ssm_layer *s = &l.ssm;
    const struct attention_layer *first = arch_first_attention(d);
    if (!first)
        return error_set(k->err, "key %s.attention.head_count_kv is 0 for all layers", k->architecture);
    s->n_head = s->n_group = first->n_head;
    if (!arch_key_size(k, "ssm.conv_kernel", SSM_TAPS_MAX, 0, &s->n_taps) ||
        !arch_key_size(k, "kda.head_dim", SSM_STATES_MAX, 0, &s->n_state))
        return false;
    if ((uint64_t)s->n_head * s->n_state > DECODER_SIZE_MAX)
        return error_set(k->err,
            "keys %s.attention.head_count (%" PRIu32 ") and kda.head_dim (%" PRIu32 ") are too large",
            k->architecture, s->n_head, s->n_state);
    s->n_inner = s->n_head * s->n_state;
    s->n_channels = 3 * s->n_inner;
    for (uint32_t i = 0; i < d->shape.n_layer; i++)
        if (d->layers[i].mixer == &layer_delta)
            d->layers[i].delta = l;
    return true;
}
