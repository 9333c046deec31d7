/* family_starcoder.c - StarCoder 2. */
#include "arch_private.h"

/* clang-format off */
const struct arch family_starcoder[] = {
    {.name = "starcoder2", .shape = {.layer_norm = true}, .rope = {.halves = true},
     .dense = {.activation = VECTOR_GELU, .ungated = true}},
    {.name = NULL},
};
/* clang-format on */
