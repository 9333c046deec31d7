/* family_starcoder.c - StarCoder 1 and 2. Facts: the models' configs on the hub and llama.cpp's loader. */
#include "arch_private.h"

/* clang-format off */
const struct arch family_starcoder[] = {
    {.name = "starcoder", .shape = {.layer_norm = true, .positions = true}, .rope = {.none = true},
     .dense = {.activation = VECTOR_GELU, .ungated = true}},
    {.name = "starcoder2", .shape = {.layer_norm = true}, .rope = {.halves = true},
     .dense = {.activation = VECTOR_GELU, .ungated = true}},
    {.name = NULL},
};
/* clang-format on */
