/* arch_experts.c - reads the keys of mixtures of experts.
 *
 * A row has what an architecture's files do not say: how scores are computed, whether weights are normalized. Where a file
 * does say it, the file is right.
 */
#include "arch_private.h"

#include <inttypes.h>
#include <stdio.h>

/* ---- routing ---- */

static bool read_gating(struct moe_layer *l, const struct arch_keys *k)
{
    uint32_t gating;
    if (!arch_key_number(k, "expert_gating_func", UINT32_MAX, l->gating, &gating))
        return false;
    if (gating > MOE_SQRT_SOFTPLUS)
        return error_set(
            k->err, "key %s.expert_gating_func is %" PRIu32 ", which is not known", k->architecture, gating);
    l->gating = (enum moe_gating)gating;
    return true;
}

/* Groups of experts of one size. Those that are used have enough experts. */
static bool read_groups(struct moe_layer *l, const struct arch_keys *k)
{
    if (!arch_key_number(k, "expert_group_count", MOE_EXPERTS_MAX, 1, &l->n_groups) ||
        !arch_key_number(k, "expert_group_used_count", MOE_EXPERTS_MAX, l->n_groups, &l->n_groups_used))
        return false;
    if (l->n_groups == 1 || (l->n_expert % l->n_groups == 0 && l->n_groups_used <= l->n_groups &&
                                l->n_used <= l->n_expert / l->n_groups * l->n_groups_used))
        return true;
    return error_set(k->err,
        "keys %s.expert_group_count (%" PRIu32 ") and expert_group_used_count (%" PRIu32
        ") contradict %" PRIu32 " experts, %" PRIu32 " of them used",
        k->architecture, l->n_groups, l->n_groups_used, l->n_expert, l->n_used);
}

static bool read_weights(struct moe_layer *l, const struct arch_keys *k)
{
    char name[ARCH_KEY_ROOM];
    bool normalized = false;
    if (checkpoint_get_bool(k->file, arch_key_name(name, k, "expert_weights_norm"), &normalized, k->err) ==
        CHECKPOINT_WRONG)
        return false;
    l->normalized |= normalized;
    return arch_key_float(k, "expert_weights_scale", 1, &l->weights_scale);
}

/* ---- sizes ---- */

/* A shared expert as large as the keys say, where they do; several are one, as large as all of them. */
static bool read_beside(struct moe_layer *l, const struct arch_keys *k)
{
    uint32_t count, size;
    if (!l->beside_suffix || !l->beside_suffix[0])
        return true;
    if (!arch_key_number(k, "expert_shared_count", MOE_EXPERTS_MAX, 0, &count) ||
        !arch_key_number(k, "expert_shared_feed_forward_length", DECODER_SIZE_MAX, 0, &size))
        return false;
    l->beside_needed |= count > 0 || size > 0;
    if (count <= 1)
        l->beside_told = size;
    return true;
}

/* Chunks of experts, at least as many as a row has experts. */
static bool read_chunks(struct moe_layer *l, const struct arch_keys *k)
{
    if (!arch_key_number(k, "experts_per_group", MOE_EXPERTS_MAX, 0, &l->per_chunk) || l->per_chunk == 0)
        return l->per_chunk == 0;
    if (l->n_expert % l->per_chunk != 0 || l->n_expert / l->per_chunk < l->n_used)
        return error_set(k->err,
            "key %s.experts_per_group is %" PRIu32 ", which contradicts %" PRIu32 " experts, %" PRIu32
            " of them used",
            k->architecture, l->per_chunk, l->n_expert, l->n_used);
    return arch_key_float(k, "expert_group_scale", 0.05, &l->chunk_scale);
}

static void set_expert_ff(struct layer *l, uint32_t value)
{
    if (l->ffn == &layer_moe)
        l->moe.experts.n_ff = value;
}

/* One number for all layers, or one for each. Where there is none, experts are as large as a dense feed-forward. */
static bool read_expert_sizes(struct decoder *d, const struct arch_keys *k)
{
    char name[ARCH_KEY_ROOM];
    const char *rest = "expert_feed_forward_length";
    const struct checkpoint_value *pair = checkpoint_find(k->file, arch_key_name(name, k, rest));
    uint32_t size = 0;
    if (pair && pair->is_array)
        return arch_key_layers(d, k, rest, 1, set_expert_ff);
    if (!arch_key_number(k, rest, DECODER_SIZE_MAX, 0, &size))
        return false;
    for (uint32_t i = 0; i < d->shape.n_layer && size > 0; i++)
        set_expert_ff(&d->layers[i], size);
    return true;
}

/* The limit of layer i: a key has one for all layers, or one for each. Writers use 0 for none. */
static bool read_limit(const struct arch_keys *k, const char *rest, uint32_t i, float *limit)
{
    char name[ARCH_KEY_ROOM];
    const struct checkpoint_value *pair = checkpoint_find(k->file, arch_key_name(name, k, rest));
    double value = 0;
    if (!pair || !pair->is_array)
        return arch_key_float(k, rest, *limit, limit);
    if (i >= pair->count || !checkpoint_item_f64(pair, i, &value) || !(value >= 0) || value > 1e6)
        return error_set(k->err, "key %s has no limit for layer %" PRIu32, name, i);
    if (value > 0)
        *limit = (float)value;
    return true;
}

/* Limits of the experts' activation and of the shared expert's. */
static bool read_limits(struct decoder *d, const struct arch_keys *k)
{
    for (uint32_t i = 0; i < d->shape.n_layer; i++) {
        struct moe_layer *l = &d->layers[i].moe;
        if (d->layers[i].ffn == &layer_moe && (!read_limit(k, "swiglu_clamp_exp", i, &l->experts.limit) ||
                                                  !read_limit(k, "swiglu_clamp_shexp", i, &l->beside.limit)))
            return false;
    }
    return true;
}

static bool has_router(const struct arch_keys *k, uint32_t layer)
{
    char name[ARCH_KEY_ROOM];
    snprintf(name, sizeof(name), "blk.%" PRIu32 ".ffn_gate_inp.weight", layer);
    return checkpoint_tensor(k->file, name) != NULL;
}

/* The first layers are dense, and of the others all but each `step`-th, counted from 1. */
static bool choose_layers(struct decoder *d, const struct moe_layer *l, const struct arch_keys *k)
{
    uint32_t dense, step;
    if (!arch_key_number(k, "leading_dense_block_count", DECODER_LAYERS_MAX, 0, &dense) ||
        !arch_key_number(k, "interleave_moe_layer_step", DECODER_LAYERS_MAX, 1, &step))
        return false;
    for (uint32_t i = l->by_tensor ? 0 : dense; i < d->shape.n_layer; i++) {
        uint32_t n_ff = d->layers[i].dense.n_ff;
        if (!d->layers[i].ffn || (i + 1) % step != 0 || (l->by_tensor && !has_router(k, i)))
            continue;
        d->layers[i].ffn = &layer_moe;
        d->layers[i].moe = *l;
        d->layers[i].moe.experts.n_ff = n_ff;
    }
    return read_expert_sizes(d, k) && read_limits(d, k);
}

static struct moe_layer mixture_of(const struct moe_row *r)
{
    struct moe_layer l = {.gating = r->gating ? r->gating : MOE_SOFTMAX,
        .early = r->early,
        .by_logits = r->by_logits,
        .normalized = r->normalized,
        .weighs_input = r->weighs_input,
        .by_tensor = r->by_tensor,
        .own_norms = r->own_norms,
        .beside_needed = r->beside_needed,
        .beside_suffix = r->beside_suffix,
        .sum_scale = r->sum_scale != 0 ? r->sum_scale : 1,
        .experts = arch_dense(&r->experts)};
    l.beside = l.experts;
    return l;
}

static bool read_mixture(
    struct decoder *d, const struct moe_row *row, uint64_t experts, const struct arch_keys *k)
{
    struct moe_layer l = mixture_of(row);
    l.n_expert = (uint32_t)experts;
    return arch_key_size(k, "expert_used_count", l.n_expert, 0, &l.n_used) &&
           arch_key_number(k, "moe_latent_size", DECODER_SIZE_MAX, 0, &l.n_latent) && read_gating(&l, k) &&
           read_groups(&l, k) && read_weights(&l, k) && read_beside(&l, k) && read_chunks(&l, k) &&
           choose_layers(d, &l, k);
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
