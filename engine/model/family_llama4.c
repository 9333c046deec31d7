/* family_llama4.c - Llama 4. Facts: the models' configurations on the hub, and llama.cpp's loader. */
#include "arch_private.h"

#define CHUNK 8192
#define EXPERTS_WITHOUT_NORM 128 /* of the model whose queries and keys are not normed */

/* Three of four layers rotate and see only their chunk of the context. The others' queries grow with the position. A file
 * with a window of 0 has neither. */
static bool read_llama4(struct decoder *d, const struct arch_keys *k)
{
    struct attention_temperature t = {.span = CHUNK, .offset = 1};
    char name[ARCH_KEY_ROOM];
    uint32_t window, experts;
    bool told = checkpoint_find(k->file, arch_key_name(name, k, "attention.sliding_window")) != NULL;
    if (!arch_read_window(k, 0, &window) || !arch_key_number(k, "expert_count", MOE_EXPERTS_MAX, 0, &experts))
        return false;
    if (!arch_key_float(k, "attention.temperature_scale", 0.1, &t.scale) ||
        !arch_key_size(k, "attention.temperature_length", DECODER_CONTEXT_MAX, CHUNK, &t.span))
        return false;
    bool chunked = !told || window > 0;
    if (chunked && !arch_set_windows(d, k, CHUNK, 4))
        return false;
    arch_share_rope(d);
    for (uint32_t i = 0; i < d->shape.n_layer; i++) {
        struct attention_layer *l = &d->layers[i].attention;
        l->chunked = true;
        l->rotates = !chunked || (i + 1) % 4 != 0;
        if (l->rotates && experts != EXPERTS_WITHOUT_NORM) /* in its dense layers neither */
            l->qk_norm = QK_BARE;
        if (!l->rotates)
            l->temperature = t;
    }
    return true;
}

/* clang-format off */
const struct arch family_llama4[] = {
    {.name = "llama4", .attention = {.norm_rotated = true}, .dense = {.activation = VECTOR_SILU}, .experts = true,
     .moe = {.gating = MOE_SIGMOID, .by_logits = true, .weighs_input = true, .beside_suffix = "_shexp",
         .beside_needed = true, .experts = {.activation = VECTOR_SILU}},
     .read = read_llama4},
    {.name = NULL},
};
/* clang-format on */
