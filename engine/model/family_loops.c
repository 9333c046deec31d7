/* family_loops.c - Talkie, HRM-Text and Nanbeige: the embedding goes along, or layers are run several times.
 *
 * Facts: llama.cpp's loader, and for HRM-Text the model's code in transformers.
 */
#include "arch_private.h"

#include <inttypes.h>
#include <stdlib.h>

static bool read_talkie(struct decoder *d, const struct arch_keys *k)
{
    return arch_key_float(k, "logit_scale", 1, &d->shape.logit_scale);
}

/* block_count is the number of layers that are run: in each high cycle a low stack several times, then a high stack. The
 * file has the blocks of the low stack, then those of the high stack. */
static bool read_hrm(struct decoder *d, const struct arch_keys *k)
{
    struct decoder_shape *s = &d->shape;
    uint32_t stack, high, low;
    bool prefix;
    if (!arch_key_size(k, "hrm.layers_per_stack", DECODER_LAYERS_MAX, 0, &stack) ||
        !arch_key_size(k, "hrm.h_cycles", DECODER_LAYERS_MAX, 0, &high) ||
        !arch_key_size(k, "hrm.l_cycles", DECODER_LAYERS_MAX, 0, &low) ||
        !arch_key_float(k, "embedding_scale", 1, &s->embedding_scale) ||
        !arch_key_bool(k, "hrm.prefix_lm", false, &prefix))
        return false;
    if (prefix)
        return error_set(
            k->err, "key %s.hrm.prefix_lm: prompts that are not causal are not supported", k->architecture);
    if ((uint64_t)stack * high * (low + 1) != s->n_layer)
        return error_set(k->err, "keys %s.hrm.* contradict block_count", k->architecture);
    for (uint32_t i = 0; i < s->n_layer; i++) {
        bool is_high = i / stack % (low + 1) == low, ends = (i + 1) % stack == 0 && i + 1 < s->n_layer;
        d->layers[i].block = i % stack + (is_high ? stack : 0);
        d->layers[i].turn = !ends ? TURN_NONE : is_high ? TURN_HIGH : TURN_LOW;
    }
    s->n_blocks = 2 * stack;
    return true;
}

/* The layers are run num_loops times, with keys and values of their own each time. */
static bool read_nanbeige(struct decoder *d, const struct arch_keys *k)
{
    struct decoder_shape *s = &d->shape;
    uint32_t loops, n = s->n_layer;
    bool skip_norm;
    if (!arch_key_number(k, "num_loops", DECODER_LAYERS_MAX / n, 1, &loops) ||
        !arch_key_bool(k, "skip_loop_final_norm", false, &skip_norm))
        return false;
    if (loops == 1)
        return true;
    struct layer *layers = realloc(d->layers, (size_t)n * loops * sizeof(*layers));
    if (!layers)
        return error_set(k->err, "no memory for %" PRIu32 " layers", n * loops);
    d->layers = layers;
    s->n_layer = n * loops;
    s->n_blocks = n;
    for (uint32_t i = 0; i < s->n_layer; i++) {
        layers[i] = layers[i % n];
        layers[i].block = i % n;
        layers[i].turn = (i + 1) % n == 0 && i + 1 < s->n_layer && !skip_norm ? TURN_NORM : TURN_NONE;
    }
    return true;
}

static const char *const unused_factors[] = {
    ".attn_gate.scale", ".ffn_gate.scale", ".ffn_up.scale", ".ffn_down.scale", ".input_scale", NULL};

/* clang-format off */
const struct arch family_loops[] = {
    {.name = "talkie", .shape = {.bare_norms = true, .embedding_norm = "", .embedding_skip = true}, .rope = {.halves = true},
     .attention = {.qk_norm = QK_GAIN, .norm_rotated = true}, .dense = {.activation = VECTOR_SILU}, .read = read_talkie},
    {.name = "hrm_text", .shape = {.bare_norms = true, .low_state = "hrm.z_l_init", .unused = unused_factors}, .rope = {.halves = true},
     .attention = {.gated = GATE_SIGMOID}, .dense = {.activation = VECTOR_SILU}, .read = read_hrm},
    {.name = "nanbeige", .dense = {.activation = VECTOR_SILU}, .read = read_nanbeige},
    {.name = NULL},
};
/* clang-format on */
