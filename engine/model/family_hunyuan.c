/* family_hunyuan.c - Hunyuan. Facts: the models' configs on the hub and llama.cpp's loader. */
#include "arch_private.h"

#include <math.h>

/* A factor of the context stretches the base of the rotation (NTK-aware scaling). */
static bool read_hunyuan_vl(struct decoder *d, const struct arch_keys *k)
{
    double alpha, size = arch_first_attention(d)->head_dim_k;
    if (!arch_key_real(k, "rope.scaling.alpha", 1, &alpha))
        return false;
    if (!(alpha > 0 && alpha < 1e6) || size <= 2)
        return error_set(k->err, "key %s.rope.scaling.alpha is not from 0 to 1e6", k->architecture);
    d->rope.global.base *= pow(alpha, size / (size - 2));
    d->rope.local = d->rope.global;
    return true;
}

/* clang-format off */
const struct arch family_hunyuan[] = {
    {.name = "hunyuan-dense", .rope = {.halves = true}, .attention = {.qk_norm = QK_HEAD, .norm_rotated = true},
     .dense = {.activation = VECTOR_SILU}},
    {.name = "hunyuan_vl", .rope = {.halves = true}, .attention = {.qk_norm = QK_HEAD, .norm_rotated = true},
     .dense = {.activation = VECTOR_SILU}, .read = read_hunyuan_vl},
    {.name = NULL},
};
/* clang-format on */
