/* family_cohere.c - Command R and Command A: layer norms without a bias, halves side by side.
 *
 * Facts: the models' configs on the hub and llama.cpp's loader. In Command R7B and A only layers with a window rotate.
 */
#include "arch_private.h"

static bool read_command_r(struct decoder *d, const struct arch_keys *k)
{
    return arch_key_float(k, "logit_scale", 1, &d->shape.logit_scale);
}

static bool read_cohere2(struct decoder *d, const struct arch_keys *k)
{
    if (!read_command_r(d, k) || !arch_read_windows(d, k, 4096, 4))
        return false;
    arch_rotate_windows(d);
    arch_share_rope(d);
    return true;
}

/* clang-format off */
const struct arch family_cohere[] = {
    {.name = "command-r", .shape = {.layer_norm = true, .parallel_residual = true}, .attention = {.qk_norm = QK_EACH_HEAD},
     .dense = {.activation = VECTOR_SILU}, .read = read_command_r},
    {.name = "cohere2", .shape = {.layer_norm = true, .parallel_residual = true}, .dense = {.activation = VECTOR_SILU},
     .read = read_cohere2},
    {.name = NULL},
};
/* clang-format on */
