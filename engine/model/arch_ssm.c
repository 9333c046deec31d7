/* arch_ssm.c - reads the keys of state space layers. */
#include "arch_private.h"

#include <inttypes.h>

static bool read_ssm(struct ssm_layer *l, const struct arch_keys *k)
{
    return arch_key_size(k, "ssm.inner_size", DECODER_SIZE_MAX, 0, &l->n_inner) &&
           arch_key_size(k, "ssm.conv_kernel", SSM_TAPS_MAX, 0, &l->n_taps) &&
           arch_key_size(k, "ssm.state_size", SSM_STATES_MAX, 0, &l->n_state);
}

bool arch_read_mamba(struct decoder *d, const struct arch_keys *k)
{
    struct mamba_layer l = {.norms = false};
    if (!read_ssm(&l.ssm, k) || !arch_key_size(k, "ssm.time_step_rank", DECODER_SIZE_MAX, 0, &l.dt_rank) ||
        checkpoint_get_bool(k->file, arch_key_name((char[ARCH_KEY_ROOM]){0}, k, "ssm.dt_b_c_rms"), &l.norms,
            k->err) == CHECKPOINT_WRONG)
        return false;
    l.ssm.n_channels = l.ssm.n_inner;
    for (uint32_t i = 0; i < d->shape.n_layer; i++)
        if (d->layers[i].mixer == &layer_mamba)
            d->layers[i].mamba = l;
    return true;
}

/* time_step_rank is the number of heads. */
bool arch_read_mamba2(struct decoder *d, const struct arch_keys *k)
{
    struct ssm_layer l = {0};
    if (!read_ssm(&l, k) || !arch_key_size(k, "ssm.time_step_rank", l.n_inner, 0, &l.n_head) ||
        !arch_key_size(k, "ssm.group_count", l.n_head, 0, &l.n_group))
        return false;
    if (l.n_inner % l.n_head != 0 || l.n_head % l.n_group != 0 ||
        (uint64_t)l.n_group * l.n_state > DECODER_SIZE_MAX)
        return error_set(k->err,
            "keys %s.ssm.inner_size (%" PRIu32 "), state_size (%" PRIu32 "), time_step_rank (%" PRIu32
            ") and group_count (%" PRIu32 ") contradict each other",
            k->architecture, l.n_inner, l.n_state, l.n_head, l.n_group);
    l.n_channels = l.n_inner + 2 * l.n_group * l.n_state;
    for (uint32_t i = 0; i < d->shape.n_layer; i++)
        if (d->layers[i].mixer == &layer_mamba2 || d->layers[i].second == &layer_mamba2)
            d->layers[i].mamba2.ssm = l;
    return true;
}
