/* family_deepseek.c - DeepSeek. */
#include "arch_private.h"

/* clang-format off */
const struct arch family_deepseek[] = {
    /* Facts: the models' configurations on the hub, and llama.cpp's loader. */
    {.name = "deepseek", .dense = {.activation = VECTOR_SILU}, .experts = true,
     .moe = {.beside_suffix = "_shexp", .beside_needed = true, .experts = {.activation = VECTOR_SILU}}},
    {.name = NULL},
};
/* clang-format on */
