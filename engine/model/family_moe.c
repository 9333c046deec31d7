/* family_moe.c - mixtures of experts that have no dense relatives: dots.llm1, MiniMax-M2 and others. */
#include "arch_private.h"

#define EXPERTS .experts = {.activation = VECTOR_SILU}
#define SHARED .beside_suffix = "_shexp"

/* Only layers with a window rotate. */
static bool read_windows_that_rotate(struct decoder *d, const struct arch_keys *k)
{
    if (!arch_read_windows(d, k, 0, 4))
        return false;
    if (d->layers[0].attention.window > 0 || d->layers[d->shape.n_layer - 1].attention.window > 0)
        arch_rotate_windows(d);
    return true;
}

/* The same with one set of frequencies. */
static bool read_exaone(struct decoder *d, const struct arch_keys *k)
{
    if (!read_windows_that_rotate(d, k))
        return false;
    arch_share_rope(d);
    return true;
}

/* Layers with a window rotate without the scaling of the others. */
static bool read_mellum(struct decoder *d, const struct arch_keys *k)
{
    uint32_t window;
    if (!arch_read_window(k, 0, &window))
        return false;
    if (window == 0)
        return true;
    d->rope.local.scale = d->rope.local.magnitude = 1;
    d->rope.local.yarn = 0;
    return arch_set_windows(d, k, window, 4);
}

static const char *const no_out_bias[] = {"attn_output.bias", NULL};

/* clang-format off */
const struct arch family_moe[] = {
    /* Facts: the models' configurations on the hub, and llama.cpp's loader. */
    {.name = "dots1", .rope = {.halves = true}, .attention = {.qk_norm = QK_HEAD},
     .dense = {.activation = VECTOR_SILU}, .experts = true,
     .moe = {.beside_needed = true, SHARED, EXPERTS}},
    {.name = "minimax-m2", .rope = {.halves = true}, .attention = {.qk_norm = QK_ROW},
     .experts = true, .moe = {.normalized = true, EXPERTS}},
    {.name = "glm4moe", .shape = {.ffn_norm = "post_attention_norm"}, .rope = {.halves = true},
     .attention = {.qk_norm = QK_HEAD_OPTIONAL}, .dense = {.activation = VECTOR_SILU},
     .experts = true, .moe = {.gating = MOE_SIGMOID, .beside_needed = true, SHARED, EXPERTS}},
    {.name = "ernie4_5-moe", .shape = {.unused = no_out_bias}, .dense = {.activation = VECTOR_SILU}, .experts = true,
     .moe = {.normalized = true, SHARED, EXPERTS}},
    {.name = "exaone-moe", .rope = {.halves = true}, .attention = {.qk_norm = QK_HEAD},
     .dense = {.activation = VECTOR_SILU}, .experts = true,
     .moe = {.beside_needed = true, SHARED, EXPERTS}, .read = read_exaone},
    {.name = "maple", .rope = {.halves = true}, .attention = {.qk_norm = QK_HEAD}, .experts = true,
     .moe = {.normalized = true, .experts = {.activation = VECTOR_SILU, .limit = 7}},
     .read = read_windows_that_rotate},
    {.name = "mellum", .rope = {.halves = true}, .attention = {.qk_norm = QK_HEAD}, .experts = true,
     .moe = {.normalized = true, EXPERTS}, .read = read_mellum},
    {.name = "hy_v3", .rope = {.halves = true}, .attention = {.qk_norm = QK_HEAD},
     .dense = {.activation = VECTOR_SILU}, .experts = true,
     .moe = {.gating = MOE_SIGMOID, .by_tensor = true, SHARED, EXPERTS}},
    {.name = NULL},
};
/* clang-format on */
