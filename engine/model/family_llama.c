/* family_llama.c - Llama, Mistral, SmolLM and others that are built like them. */
#include "arch_private.h"

/* clang-format off */
const struct arch family_llama[] = {
    {.name = "llama", .dense = {.activation = VECTOR_SILU}, /* Llama, Mistral, SmolLM, TinyLlama and many more */
     .experts = true, .moe = {.normalized = true, .experts = {.activation = VECTOR_SILU}}}, /* Mixtral */
    {.name = "smollm3", .rope = {.skip = 4}, .dense = {.activation = VECTOR_SILU}},
    {.name = "internlm2", .dense = {.activation = VECTOR_SILU}},
    {.name = NULL},
};
/* clang-format on */
