/* family_gemma.c - Gemma 1 to 4. Facts: the models' configs on the hub and llama.cpp's loader. */
#include "arch_private.h"

#include <math.h>

#define HALF_ROOT 0.707106781f
#define SPARSITY_95 1.6448533535003662 /* of a normal distribution 5 % are above so many deviations */

static bool read_gemma(struct decoder *d, const struct arch_keys *k, uint32_t largest)
{
    struct decoder_shape *s = &d->shape;
    const struct attention_layer *first = arch_first_attention(d);
    float scale;
    s->embedding_scale = sqrtf((float)s->n_embd);
    /* The largest model of the family scales by n_embd / n_head, the others by the head's size. */
    double per_head = s->n_layer == largest ? (double)s->n_embd / first->n_head : first->head_dim_k;
    if (!arch_key_float(k, "attention.scale", 1 / sqrt(per_head), &scale))
        return false;
    arch_set_scale(d, scale);
    return true;
}

static bool read_gemma2(struct decoder *d, const struct arch_keys *k)
{
    struct decoder_shape *s = &d->shape;
    uint32_t window;
    float softcap;
    if (!read_gemma(d, k, 46) || !arch_key_float(k, "attn_logit_softcapping", 50, &softcap))
        return false;
    for (uint32_t i = 0; i < s->n_layer; i++)
        d->layers[i].attention.softcap = softcap;
    return arch_key_float(k, "final_logit_softcapping", 30, &s->logit_softcap) &&
           arch_read_window(k, 4096, &window) && arch_set_windows(d, k, window, 2) &&
           arch_key_real(k, "rope.freq_base_swa", d->rope.global.base, &d->rope.local.base);
}

static bool read_gemma3(struct decoder *d, const struct arch_keys *k)
{
    struct decoder_shape *s = &d->shape;
    uint32_t window;
    if (!read_gemma(d, k, 62) || !arch_key_float(k, "final_logit_softcapping", 0, &s->logit_softcap) ||
        !arch_read_window(k, 0, &window))
        return false;
    if (window == 0)
        return true;
    d->rope.local = (struct rope_shape){.n_rot = d->rope.global.n_rot, .scale = 1, .magnitude = 1};
    return arch_set_windows(d, k, window, 6) &&
           arch_key_real(k, "rope.freq_base_swa", 10000, &d->rope.local.base);
}

static bool read_gemma1(struct decoder *d, const struct arch_keys *k)
{
    (void)k;
    d->shape.embedding_scale = sqrtf((float)d->shape.n_embd);
    return true;
}

/* Gemma 4: heads of layers with a window may have another size, scores are not scaled, values are normed, and the last
 * layers may use the keys and values of the last layer of their sort before them. */
static bool read_gemma4_heads(struct decoder *d, const struct arch_keys *k)
{
    const struct attention_layer *first = arch_first_attention(d);
    struct rope_shape *local = &d->rope.local;
    uint32_t size = first->head_dim_k, window_size;
    if (!arch_key_size(k, "attention.key_length_swa", ATTENTION_HEAD_MAX, size, &window_size) ||
        !arch_key_size(k, "rope.dimension_count_swa", window_size, window_size, &local->n_rot))
        return false;
    for (uint32_t i = 0; i < d->shape.n_layer; i++) {
        struct attention_layer *l = &d->layers[i].attention;
        l->v_norm = l->v_from_k = true;
        if (l->window > 0)
            l->head_dim_k = l->head_dim_v = window_size;
    }
    return local->n_rot % 2 == 0 ||
           error_set(k->err, "key %s.rope.dimension_count_swa is odd", k->architecture);
}

/* Files have the number of layers that share as an integer or as a float. */
static bool share_caches(struct decoder *d, const struct arch_keys *k, uint32_t fallback)
{
    char name[ARCH_KEY_ROOM];
    const struct checkpoint_value *v =
        checkpoint_find(k->file, arch_key_name(name, k, "attention.shared_kv_layers"));
    uint32_t n = d->shape.n_layer, shared;
    double real;
    if (v && v->kind == CHECKPOINT_REAL) {
        if (!arch_key_real(k, "attention.shared_kv_layers", fallback, &real))
            return false;
        if (real < 0 || real >= n)
            return error_set(k->err, "key %s is %g for %u layers", name, real, n);
        shared = (uint32_t)real;
    } else if (!arch_key_number(k, "attention.shared_kv_layers", n - 1, fallback, &shared)) {
        return false;
    }
    for (uint32_t i = n - shared; i < n; i++) {
        struct attention_layer *l = &d->layers[i].attention;
        uint32_t of = n - shared;
        while (of > 0 && (d->layers[of - 1].attention.window > 0) != (l->window > 0))
            of--;
        if (of == 0 || d->layers[of - 1].attention.n_head_kv != l->n_head_kv)
            return error_set(k->err, "key %s.attention.shared_kv_layers: layer %u has none to share with",
                k->architecture, i);
        l->shares_cache = true;
        l->cache_of = of - 1;
    }
    return true;
}

/* What Gemma 3n and 4 have alike; `period`, `softcap` and `input` are of files that have no keys for them. */
static bool read_inputs_and_windows(
    struct decoder *d, const struct arch_keys *k, uint32_t period, double softcap, uint32_t input)
{
    struct decoder_shape *s = &d->shape;
    uint32_t window;
    s->embedding_scale = sqrtf((float)s->n_embd);
    arch_set_scale(d, 1);
    d->rope.local = (struct rope_shape){.n_rot = d->rope.global.n_rot, .scale = 1, .magnitude = 1};
    return arch_read_window(k, 0, &window) &&
           (window > 0 || error_set(k->err, "key %s.attention.sliding_window is missing", k->architecture)) &&
           arch_set_windows(d, k, window, period) &&
           arch_key_real(k, "rope.freq_base_swa", 10000, &d->rope.local.base) &&
           arch_key_float(k, "final_logit_softcapping", softcap, &s->logit_softcap) &&
           arch_key_number(k, "embedding_length_per_layer_input", DECODER_SIZE_MAX, input, &s->n_input);
}

static bool read_gemma4(struct decoder *d, const struct arch_keys *k)
{
    return read_inputs_and_windows(d, k, 6, 0, 0) && read_gemma4_heads(d, k) && share_caches(d, k, 0);
}

/* The deviations that a layer's gate must be above its mean by. Layers that keep all of it have 0 or -infinity. */
static bool read_sparsity(struct decoder *d, const struct arch_keys *k)
{
    char name[ARCH_KEY_ROOM];
    const struct checkpoint_value *v =
        checkpoint_find(k->file, arch_key_name(name, k, "activation_sparsity_scale"));
    uint32_t n = d->shape.n_layer;
    if (v && v->count != n)
        return error_set(k->err, "key %s has not one item for each layer", name);
    for (uint32_t i = 0; i < n; i++) {
        double value = i < 10 ? SPARSITY_95 : 0;
        if (v && !checkpoint_item_f64(v, i, &value))
            return error_set(k->err, "key %s has an item that is no number", name);
        d->layers[i].dense.sparsity = value > 0 ? (float)value : 0;
    }
    return true;
}

/* Gemma 3n: AltUp's streams, LAuReL beside attention, and the first feed-forwards keep 5 % of their gates. */
static bool read_gemma3n(struct decoder *d, const struct arch_keys *k)
{
    uint32_t n = d->shape.n_layer;
    for (uint32_t i = 0; i < n; i++)
        d->layers[i].attention.v_norm = true;
    return arch_key_number(k, "altup.num_inputs", STREAMS_MAX, 4, &d->shape.n_streams) &&
           read_inputs_and_windows(d, k, 5, 30, 256) && share_caches(d, k, n > 20 ? n - 20 : 0) &&
           read_sparsity(d, k);
}

/* clang-format off */
const struct arch family_gemma[] = {
    {.name = "gemma", .rope = {.halves = true}, .dense = {.activation = VECTOR_GELU}, .read = read_gemma1},
    {.name = "gemma2", .shape = {.post_norms = true}, .rope = {.halves = true},
     .dense = {.activation = VECTOR_GELU}, .read = read_gemma2},
    {.name = "gemma3", .shape = {.post_norms = true}, .rope = {.halves = true}, .attention = {.qk_norm = QK_HEAD},
     .dense = {.activation = VECTOR_GELU}, .read = read_gemma3},
    {.name = "gemma4", .shape = {.post_norms = true, .result_scales = true}, .rope = {.halves = true},
     .attention = {.qk_norm = QK_HEAD}, .dense = {.activation = VECTOR_GELU}, .experts = true,
     .moe = {.normalized = true, .by_tensor = true, .own_norms = true, .beside_suffix = "", .beside_needed = true,
         .experts = {.activation = VECTOR_GELU}},
     .read = read_gemma4},
    {.name = "gemma3n", .shape = {.post_norms = true, .streams = &streams_altup, .mixers_scale = HALF_ROOT},
     .rope = {.halves = true}, .second = &layer_laurel, .attention = {.qk_norm = QK_HEAD},
     .dense = {.activation = VECTOR_GELU}, .read = read_gemma3n},
    {.name = NULL},
};
/* clang-format on */
