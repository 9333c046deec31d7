/* arch_experts.c - reads the keys of mixtures of experts. */
#include "arch_private.h"

#include <inttypes.h>

/* Refuses keys that ask for a routing other than the one that layer_moe.c computes. 0 (missing) and 1 are that one. */
static bool check_routing(const struct arch_keys *k)
{
    uint64_t function = 0, groups = 0;
    double scale;
    char name[ARCH_KEY_ROOM];
    if (checkpoint_get_u64(k->file, arch_key_name(name, k, "expert_gating_func"), &function, k->err) ==
            CHECKPOINT_WRONG ||
        checkpoint_get_u64(k->file, arch_key_name(name, k, "expert_group_count"), &groups, k->err) ==
            CHECKPOINT_WRONG ||
        !arch_key_real(k, "expert_weights_scale", 1, &scale))
        return false;
    if (function > 1)
        return error_set(k->err, "key %s.expert_gating_func is %" PRIu64 ": only softmax (1) is supported",
            k->architecture, function);
    if (groups > 1)
        return error_set(k->err,
            "key %s.expert_group_count is %" PRIu64 ": groups of experts are not supported", k->architecture,
            groups);
    return scale == 1 ||
           error_set(k->err, "key %s.expert_weights_scale is %g: scaled weights are not supported",
               k->architecture, scale);
}

static bool read_mixture(
    struct decoder *d, const struct moe_layer *family, uint64_t experts, const struct arch_keys *k)
{
    struct moe_layer l = *family;
    l.n_expert = (uint32_t)experts;
    if (!check_routing(k) || !arch_key_size(k, "expert_used_count", l.n_expert, 0, &l.n_used))
        return false;
    for (uint32_t i = 0; i < d->shape.n_layer; i++) {
        uint32_t n_ff = d->layers[i].dense.n_ff;
        if (!d->layers[i].ffn)
            continue;
        d->layers[i].ffn = &layer_moe;
        d->layers[i].moe = l;
        if (!arch_key_size(
                k, "expert_feed_forward_length", DECODER_SIZE_MAX, n_ff, &d->layers[i].moe.experts.n_ff))
            return false;
    }
    return true;
}

/* Makes the feed-forwards mixtures of experts where the file has a number of experts. */
bool arch_read_experts(struct decoder *d, const struct arch *a, const struct arch_keys *k)
{
    char name[ARCH_KEY_ROOM];
    uint64_t experts = 0;
    if (checkpoint_get_u64(k->file, arch_key_name(name, k, "expert_count"), &experts, k->err) ==
        CHECKPOINT_WRONG)
        return false;
    if (experts == 0)
        return true;
    if (!a->experts)
        return error_set(
            k->err, "key %s is %" PRIu64 ": mixtures of experts are not supported", name, experts);
    if (experts > MOE_EXPERTS_MAX)
        return error_set(k->err, "key %s is %" PRIu64 "; %d is the most", name, experts, MOE_EXPERTS_MAX);
    return read_mixture(d, &a->moe, experts, k);
}

/* A shared expert, where the file gives its size. */
bool arch_read_shared_expert(struct moe_layer *l, const struct arch_keys *k)
{
    l->shared = l->experts;
    return arch_key_number(k, "expert_shared_feed_forward_length", DECODER_SIZE_MAX, 0, &l->shared.n_ff);
}
