/* family_stablelm.c - StableLM 2. */
#include "arch_private.h"

/* clang-format off */
const struct arch family_stablelm[] = {
    {.name = "stablelm", .shape = {.layer_norm = true, .ffn_norm_optional = true}, .rope = {.halves = true},
     .attention = {.qk_norm = QK_EACH_HEAD}, .dense = {.activation = VECTOR_SILU}},
    {.name = NULL},
};
/* clang-format on */
