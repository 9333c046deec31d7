/* family_hunyuan.c - Hunyuan. Facts: the models' configs on the hub and llama.cpp's loader. */
#include "arch_private.h"

/* clang-format off */
const struct arch family_hunyuan[] = {
    {.name = "hunyuan-dense", .rope = {.halves = true}, .attention = {.qk_norm = QK_HEAD, .norm_rotated = true},
     .dense = {.activation = VECTOR_SILU}},
    {.name = "hunyuan_vl", .rope = {.halves = true}, .attention = {.qk_norm = QK_HEAD, .norm_rotated = true},
     .dense = {.activation = VECTOR_SILU}},
    {.name = NULL},
};
/* clang-format on */
