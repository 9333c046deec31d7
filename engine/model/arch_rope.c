/* arch_rope.c - reads the keys of rotation and of windows. */
#include "arch_private.h"

#include <inttypes.h>
#include <math.h>

/* ---- rotation ---- */

/* YaRN (arXiv 2309.00071) scales the frequencies of slow pairs, leaves those of fast pairs, and multiplies cosine and sine
 * by 1 + 0.1 ln(factor), divided by the same with a weight of the logarithm, where the file has one. attn_factor multiplies
 * them as well. */
static bool read_yarn(struct rope_shape *r, const struct arch_keys *k)
{
    double weight;
    if (!arch_key_real(k, "rope.scaling.yarn_log_multiplier", 0, &weight) ||
        !arch_key_real(k, "rope.scaling.yarn_ext_factor", -1, &r->yarn) ||
        !arch_key_real(k, "rope.scaling.yarn_beta_fast", 32, &r->yarn_fast) ||
        !arch_key_real(k, "rope.scaling.yarn_beta_slow", 1, &r->yarn_slow))
        return false;
    if (weight < 0)
        return error_set(k->err, "key %s.rope.scaling.yarn_log_multiplier is below 0", k->architecture);
    if (r->yarn < 0)
        r->yarn = 1;
    if (r->scale < 1)
        r->magnitude *= (1 - 0.1 * log(r->scale)) / (1 - 0.1 * weight * log(r->scale));
    return true;
}

static bool read_scaling(struct decoder *d, const struct arch_keys *k)
{
    struct rope_shape *r = &d->rope.global;
    struct span type = {NULL, 0};
    char name[ARCH_KEY_ROOM];
    double factor;
    if (checkpoint_get_text(k->file, arch_key_name(name, k, "rope.scaling.type"), &type, k->err) ==
        CHECKPOINT_WRONG)
        return false;
    if (!arch_key_real(k, "rope.scale_linear", 1, &factor) ||
        !arch_key_real(k, "rope.scaling.factor", factor, &factor) ||
        !arch_key_real(k, "rope.scaling.attn_factor", 1, &r->magnitude) ||
        !arch_key_size(k, "rope.scaling.original_context_length", DECODER_CONTEXT_MAX, d->shape.n_ctx_train,
            &d->rope.context))
        return false;
    if (factor <= 0)
        return error_set(k->err, "key %s.rope.scaling.factor is below 0", k->architecture);
    r->scale = 1 / factor;
    if (type.size == 0 || span_is(type, "linear") || span_is(type, "longrope"))
        return true;
    if (span_is(type, "yarn"))
        return read_yarn(r, k);
    r->scale = 1;
    char shown[64];
    text_escape(shown, sizeof(shown), type);
    return span_is(type, "none") || error_set(k->err, "key %s is \"%s\", which is not known", name, shown);
}

bool arch_read_rope(struct decoder *d, const struct arch_keys *k)
{
    struct rope_fields *r = &d->rope;
    const struct attention_layer *first = arch_first_attention(d);
    if (!first || r->none)
        return true;
    uint32_t head = first->head_dim_k, *n_rot = &r->global.n_rot;
    /* No key of GGUF, where the order of rows says it: loaders of formats with another order write it. */
    if (!arch_key_bool(k, "rope.halves", r->halves, &r->halves) ||
        !arch_key_size(k, "rope.dimension_count", ATTENTION_HEAD_MAX, head, n_rot) ||
        !arch_key_real(k, "rope.freq_base", 10000, &r->global.base) || !read_scaling(d, k))
        return false;
    if (*n_rot > head || *n_rot % 2 != 0)
        return error_set(k->err,
            "key %s.rope.dimension_count is %" PRIu32 ", which is odd or above the head's %" PRIu32,
            k->architecture, *n_rot, head);
    if (r->global.base <= 1)
        return error_set(k->err, "key %s.rope.freq_base is not above 1", k->architecture);
    for (uint32_t i = 0; i < d->shape.n_layer; i++)
        if (arch_attention(d, i))
            arch_attention(d, i)->rotates = *n_rot > 0 && (r->skip == 0 || (i + 1) % r->skip != 0);
    r->local = r->global;
    return true;
}

bool arch_read_sections(struct decoder *d, const struct arch_keys *k)
{
    char name[ARCH_KEY_ROOM];
    const struct checkpoint_value *sections =
        checkpoint_find(k->file, arch_key_name(name, k, "rope.dimension_sections"));
    for (size_t i = 0; sections && sections->is_array && i < sections->count; i++)
        d->rope.halves |= arch_key_item(sections, i) != 0;
    return true;
}

/* ---- windows ---- */

static void set_window(struct decoder *d, uint32_t layer, uint32_t window)
{
    d->layers[layer].attention.window = window;
    d->layers[layer].attention.rope = window != 0;
}

/* Sets the windows. Where the pattern is an array of 0 and 1, the layers with a 1 have one; otherwise all layers have one
 * except each `period`-th, counted from 1. */
bool arch_set_windows(struct decoder *d, const struct arch_keys *k, uint32_t window, uint32_t period)
{
    char name[ARCH_KEY_ROOM];
    const struct checkpoint_value *pattern =
        checkpoint_find(k->file, arch_key_name(name, k, "attention.sliding_window_pattern"));
    bool array = pattern && pattern->is_array;
    if (array && pattern->count != d->shape.n_layer)
        return error_set(k->err, "key %s has %" PRIu64 " items for %" PRIu32 " layers", name, pattern->count,
            d->shape.n_layer);
    if (!array && !arch_key_size(k, "attention.sliding_window_pattern", DECODER_SIZE_MAX, period, &period))
        return false;
    for (uint32_t i = 0; i < d->shape.n_layer; i++) {
        bool local = array ? arch_key_item(pattern, i) == 1 : (i + 1) % period != 0;
        set_window(d, i, local ? window : 0);
    }
    return true;
}

/* The window's size; 0 where the file has none and the family needs none. */
bool arch_read_window(const struct arch_keys *k, uint32_t fallback, uint32_t *window)
{
    return arch_key_number(k, "attention.sliding_window", DECODER_CONTEXT_MAX, fallback, window);
}

bool arch_read_windows(struct decoder *d, const struct arch_keys *k, uint32_t fallback, uint32_t period)
{
    uint32_t window;
    if (!arch_read_window(k, fallback, &window))
        return false;
    if (window == 0)
        return true;
    return arch_set_windows(d, k, window, period) &&
           arch_key_real(k, "rope.freq_base_swa", d->rope.global.base, &d->rope.local.base);
}

void arch_rotate_windows(struct decoder *d)
{
    for (uint32_t i = 0; i < d->shape.n_layer; i++)
        if (arch_attention(d, i))
            arch_attention(d, i)->rotates = arch_attention(d, i)->window != 0;
}

void arch_share_rope(struct decoder *d)
{
    for (uint32_t i = 0; i < d->shape.n_layer; i++)
        if (arch_attention(d, i))
            arch_attention(d, i)->rope = 0;
}

bool arch_read_rope_pattern(struct decoder *d, const struct arch_keys *k)
{
    char name[ARCH_KEY_ROOM];
    const struct checkpoint_value *pattern =
        checkpoint_find(k->file, arch_key_name(name, k, "attention.rope_pattern"));
    if (!pattern || !pattern->is_array)
        return true;
    if (pattern->count != d->shape.n_layer)
        return error_set(
            k->err, "key %s has %zu items for %u layers", name, (size_t)pattern->count, d->shape.n_layer);
    for (uint32_t i = 0; i < d->shape.n_layer; i++)
        if (arch_attention(d, i))
            arch_attention(d, i)->rotates &= arch_key_item(pattern, i) == 1;
    return true;
}
