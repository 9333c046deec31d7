/* family_glm.c - GLM 3 (ChatGLM) and 4. Facts: the models' configs on the hub and llama.cpp's loader. */
#include "arch_private.h"

/* clang-format off */
const struct arch family_glm[] = {
    {.name = "chatglm", .dense = {.activation = VECTOR_SILU}},
    {.name = "glm4", .shape = {.post_norms = true}, .dense = {.activation = VECTOR_SILU}, .read = arch_read_sections},
    {.name = NULL},
};
/* clang-format on */
