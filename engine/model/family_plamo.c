/* family_plamo.c - PLaMo 2. */
#include "arch_private.h"

#include <inttypes.h>

#define DT_RANK_LEAST 64

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

/* Facts: the model's code on the hub (pfnet/plamo-2-1b); keys and tensors as llama.cpp's converter writes and its loader
 * reads them. It reads no factors of attn_qkv, ssm_in and ssm_out. */
/* clang-format off */
const struct arch family_plamo[] = {
    {.name = "plamo2", .shape = {.post_norms = true, .unused = {"attn_qkv.scale", "ssm_in.scale", "ssm_out.scale"}},
     .rope = {.halves = true},
     .attention = {.qk_norm = QK_EACH_HEAD}, .headless = &layer_mamba,
     .dense = {.activation = VECTOR_SILU, .fused_gate = true}, .read = read_plamo2},
    {.name = NULL},
};
/* clang-format on */
