/* family_exaone.c - EXAONE 3 and 4. Facts: the models' configs on the hub and llama.cpp's loader. */
#include "arch_private.h"

#define LAYERS_WITH_WINDOWS 64 /* of the model that has windows; only its layers with a window rotate */

static bool read_exaone4(struct decoder *d, const struct arch_keys *k)
{
    char name[ARCH_KEY_ROOM];
    uint32_t unused;
    bool pattern = checkpoint_find(k->file, arch_key_name(name, k, "attention.sliding_window_pattern"));
    if (d->shape.n_layer != LAYERS_WITH_WINDOWS && !pattern)
        return arch_read_window(k, 0, &unused);
    if (!arch_read_windows(d, k, 4096, 4))
        return false;
    arch_rotate_windows(d);
    arch_share_rope(d);
    return true;
}

/* clang-format off */
const struct arch family_exaone[] = {
    {.name = "exaone", .rope = {.halves = true}, .dense = {.activation = VECTOR_SILU}},
    {.name = "exaone4", .shape = {.no_pre_norms = true, .post_norms = true}, .rope = {.halves = true},
     .attention = {.qk_norm = QK_HEAD}, .dense = {.activation = VECTOR_SILU}, .read = read_exaone4},
    {.name = NULL},
};
/* clang-format on */
