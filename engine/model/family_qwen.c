/* family_qwen.c - Qwen 2 and 3. */
#include "arch_private.h"

/* clang-format off */
const struct arch family_qwen[] = {
    {.name = "qwen2", .rope = {.halves = true}, .dense = {.activation = VECTOR_SILU}},
    {.name = "qwen3", .rope = {.halves = true}, .attention = {.qk_norm = QK_HEAD},
     .dense = {.activation = VECTOR_SILU}},
    {.name = "qwen3moe", .rope = {.halves = true}, .attention = {.qk_norm = QK_HEAD},
     .experts = true, .moe = {.normalized = true, .experts = {.activation = VECTOR_SILU}}},
    {.name = "qwen2moe", .rope = {.halves = true}, .experts = true, /* Qwen 1.5 and 2 */
     .moe = {.beside_suffix = "_shexp", .beside_needed = true, .experts = {.activation = VECTOR_SILU}}},
    {.name = "qwen3vlmoe", .rope = {.halves = true}, .attention = {.qk_norm = QK_HEAD},
     .experts = true, .moe = {.normalized = true, .experts = {.activation = VECTOR_SILU}}},
    {.name = NULL},
};
/* clang-format on */
