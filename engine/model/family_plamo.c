/* family_plamo.c - PLaMo 1 to 3. Facts: the models' configs on the hub and llama.cpp's loader. */
#include "arch_private.h"

#include <inttypes.h>

#define DT_RANK_LEAST 64

/* The base of the rotation in layers with a window is 10000 where the file has none. */
static bool read_plamo3(struct decoder *d, const struct arch_keys *k)
{
    d->rope.local = (struct rope_shape){.n_rot = d->rope.global.n_rot, .scale = 1, .magnitude = 1};
    return arch_read_windows(d, k, 0, 8) &&
           arch_key_real(k, "rope.freq_base_swa", 10000, &d->rope.local.base);
}

static const char *const unused_plamo3[] = {".attn_qkv.scale", NULL};
static const char *const unused_plamo2[] = {".attn_qkv.scale", ".ssm_in.scale", ".ssm_out.scale", NULL};

/* The scan goes by heads, whose number is time_step_rank. The second product's columns are no key. */
static bool read_plamo2(struct decoder *d, const struct arch_keys *k)
{
    if (!arch_read_mamba(d, k))
        return false;
    for (uint32_t i = 0; i < d->shape.n_layer; i++) {
        struct mamba_layer *l = &d->layers[i].mamba;
        if (d->layers[i].mixer != &layer_mamba)
            continue;
        l->by_heads = l->norms = true;
        l->ssm.n_head = l->dt_rank;
        l->ssm.n_group = 1;
        l->dt_rank = d->shape.n_embd / 16 > DT_RANK_LEAST ? d->shape.n_embd / 16 : DT_RANK_LEAST;
        if (l->ssm.n_inner % l->ssm.n_head != 0)
            return error_set(k->err,
                "keys %s.ssm.inner_size (%" PRIu32 ") and time_step_rank (%" PRIu32 ") contradict each other",
                k->architecture, l->ssm.n_inner, l->ssm.n_head);
    }
    return true;
}

/* clang-format off */
const struct arch family_plamo[] = {
    {.name = "plamo", .shape = {.parallel_residual = true}, .rope = {.halves = true}, .dense = {.activation = VECTOR_SILU}},
    {.name = "plamo3", .shape = {.post_norms = true, .unused = unused_plamo3}, .rope = {.halves = true}, .attention = {.qk_norm = QK_HEAD},
     .dense = {.activation = VECTOR_SILU}, .read = read_plamo3},
    {.name = "plamo2", .shape = {.post_norms = true, .unused = unused_plamo2},
     .rope = {.halves = true},
     .attention = {.qk_norm = QK_EACH_HEAD}, .headless = &layer_mamba,
     .dense = {.activation = VECTOR_SILU}, .read = read_plamo2},
    {.name = NULL},
};
/* clang-format on */
