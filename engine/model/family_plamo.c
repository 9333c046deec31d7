/* family_plamo.c - PLaMo 1 and 3. Facts: the models' configs on the hub and llama.cpp's loader. */
#include "arch_private.h"

/* The base of the rotation in layers with a window is 10000 where the file has none. */
static bool read_plamo3(struct decoder *d, const struct arch_keys *k)
{
    d->rope.local = (struct rope_shape){.n_rot = d->rope.global.n_rot, .scale = 1, .magnitude = 1};
    return arch_read_windows(d, k, 0, 8) &&
           arch_key_real(k, "rope.freq_base_swa", 10000, &d->rope.local.base);
}

static const char *const unused[] = {".attn_qkv.scale", NULL};

/* clang-format off */
const struct arch family_plamo[] = {
    {.name = "plamo", .shape = {.parallel_residual = true}, .rope = {.halves = true}, .dense = {.activation = VECTOR_SILU}},
    {.name = "plamo3", .shape = {.post_norms = true, .unused = unused}, .rope = {.halves = true}, .attention = {.qk_norm = QK_HEAD},
     .dense = {.activation = VECTOR_SILU}, .read = read_plamo3},
    {.name = NULL},
};
/* clang-format on */
