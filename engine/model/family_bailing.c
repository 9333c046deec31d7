/* family_bailing.c - Ling and Ring. */
#include "arch_private.h"

/* clang-format off */
const struct arch family_bailing[] = {
    /* Facts: the models' configurations on the hub, and llama.cpp's loader. */
    {.name = "bailingmoe", .dense = {.activation = VECTOR_SILU}, .experts = true,
     .moe = {.by_tensor = true, .beside_suffix = "_shexp", .beside_needed = true,
         .experts = {.activation = VECTOR_SILU}}},
    {.name = "bailingmoe2", .rope = {.halves = true}, .attention = {.qk_norm = QK_HEAD},
     .dense = {.activation = VECTOR_SILU}, .experts = true,
     .moe = {.beside_suffix = "_shexp", .beside_needed = true, .experts = {.activation = VECTOR_SILU}}},
    {.name = NULL},
};
/* clang-format on */
