/* family_mistral.c - Mistral 3. Facts: the models' configs on the hub and llama.cpp's loader. */
#include "arch_private.h"

/* Beyond the original context the scores' scale grows with the position. */
static bool read_mistral3(struct decoder *d, const struct arch_keys *k)
{
    struct attention_temperature t = {.span = d->rope.context};
    if (!arch_key_float(k, "attention.temperature_scale", 0, &t.scale))
        return false;
    for (uint32_t i = 0; i < d->shape.n_layer; i++)
        d->layers[i].attention.temperature = t;
    return true;
}

/* clang-format off */
const struct arch family_mistral[] = {
    {.name = "mistral3", .dense = {.activation = VECTOR_SILU}, .experts = true,
     .moe = {.normalized = true, .experts = {.activation = VECTOR_SILU}}, .read = read_mistral3},
    {.name = NULL},
};
/* clang-format on */
