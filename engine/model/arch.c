/* arch.c - the architectures: one row each, which says of which kinds the layers are, and with which fields.
 *
 * A row holds what never varies within a family and a function for what a key or a size decides; everything
 * else (sizes, epsilon, rotation and its stretching) is read in one way for all. Nothing outside this file
 * asks for an architecture by name. Every number is bounded here, before anything is allocated or multiplied
 * with it; bind.c checks that the tensors agree.
 */
#include "decoder_private.h"

#include <inttypes.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define KEY_ROOM 96

/* The keys of a file, with the architecture's name that they begin with. */
struct arch_keys {
    const struct checkpoint *file;
    const char *architecture;
    struct error *err;
};

/* What does not vary within a family: a file's keys fill in the rest. */
struct arch {
    const char *name;
    struct decoder_shape shape;
    struct rope_fields rope;
    struct attention_layer attention; /* of each attention layer */
    const struct layer_kind
        *headless; /* the mixer of layers without key-value heads; NULL: all layers have heads */
    struct dense_layer dense; /* of each dense feed-forward */
    bool experts; /* a file of the family may have mixtures of experts in place of these */
    struct moe_layer moe;
    bool (*read)(struct decoder *d, const struct arch_keys *k); /* the family's own keys; may be NULL */
};

/* ---- one key ---- */

static const char *key_name(char name[KEY_ROOM], const struct arch_keys *k, const char *rest)
{
    snprintf(name, KEY_ROOM, "%s.%s", k->architecture, rest);
    return name;
}

/* A number from 1 to `most`; `fallback` where the key is missing or 0, unless that is 0. */
static bool read_size(
    const struct arch_keys *k, const char *rest, uint32_t most, uint32_t fallback, uint32_t *out)
{
    char name[KEY_ROOM];
    uint64_t value = 0;
    if (checkpoint_get_u64(k->file, key_name(name, k, rest), &value, k->err) == CHECKPOINT_WRONG)
        return false;
    if (value == 0)
        value = fallback;
    if (value == 0)
        return error_set(k->err, "key %s is missing, or 0", name);
    if (value > most)
        return error_set(k->err, "key %s is %" PRIu64 "; %" PRIu32 " is the most", name, value, most);
    *out = (uint32_t)value;
    return true;
}

/* A finite number; `fallback` where the key is missing, or 0, which writers use for "none". */
static bool read_real(const struct arch_keys *k, const char *rest, double fallback, double *out)
{
    char name[KEY_ROOM];
    double value = 0;
    if (checkpoint_get_f64(k->file, key_name(name, k, rest), &value, k->err) == CHECKPOINT_WRONG)
        return false;
    if (!isfinite(value) || fabs(value) > 1e15)
        return error_set(k->err, "key %s is %g; a finite number up to 1e15 is needed", name, value);
    *out = value == 0 ? fallback : value;
    return true;
}

static bool read_float(const struct arch_keys *k, const char *rest, double fallback, float *out)
{
    double value;
    if (!read_real(k, rest, fallback, &value))
        return false;
    *out = (float)value;
    return true;
}

static uint64_t array_item(const struct checkpoint_value *a, size_t i)
{
    uint64_t value;
    return checkpoint_item_u64(a, i, &value) ? value : UINT64_MAX;
}

/* A number for each layer: one for all, or an array, whose items are `least` or more. `each` puts it into the layer. */
static bool read_layers(struct decoder *d, const struct arch_keys *k, const char *rest, uint32_t least,
    void (*each)(struct layer *l, uint32_t value))
{
    char name[KEY_ROOM];
    const struct checkpoint_value *pair = checkpoint_find(k->file, key_name(name, k, rest));
    uint32_t n = d->shape.n_layer;
    if (pair && pair->is_array) {
        if (pair->count != n)
            return error_set(
                k->err, "key %s has %" PRIu64 " items for %" PRIu32 " layers", name, pair->count, n);
        for (uint32_t i = 0; i < n; i++) {
            uint64_t value = array_item(pair, i);
            if (value < least || value > DECODER_SIZE_MAX)
                return error_set(k->err,
                    "item %" PRIu32 " of key %s is no whole number from %" PRIu32 " to %u", i, name, least,
                    DECODER_SIZE_MAX);
            each(&d->layers[i], (uint32_t)value);
        }
        return true;
    }
    uint32_t value;
    if (!read_size(k, rest, DECODER_SIZE_MAX, 0, &value))
        return false;
    for (uint32_t i = 0; i < n; i++)
        each(&d->layers[i], value);
    return true;
}

static void set_heads(struct layer *l, uint32_t value)
{
    l->attention.n_head = l->attention.n_head_kv = value;
}

static void set_kv_heads(struct layer *l, uint32_t value)
{
    l->attention.n_head_kv = value;
}

static void set_ff(struct layer *l, uint32_t value)
{
    l->dense.n_ff = value;
}

/* ---- what all families have ---- */

/* Refuses keys that ask for another routing than the one that is computed here. 0 and 1 ask for nothing. */
static bool check_routing(const struct arch_keys *k)
{
    uint64_t function = 0, groups = 0;
    double scale;
    char name[KEY_ROOM];
    if (checkpoint_get_u64(k->file, key_name(name, k, "expert_gating_func"), &function, k->err) ==
            CHECKPOINT_WRONG ||
        checkpoint_get_u64(k->file, key_name(name, k, "expert_group_count"), &groups, k->err) ==
            CHECKPOINT_WRONG ||
        !read_real(k, "expert_weights_scale", 1, &scale))
        return false;
    if (function > 1)
        return error_set(k->err, "key %s.expert_gating_func is %" PRIu64 ": only softmax (1) is supported",
            k->architecture, function);
    if (groups > 1)
        return error_set(k->err,
            "key %s.expert_group_count is %" PRIu64 ": groups of experts are not supported", k->architecture,
            groups);
    return scale == 1 ||
           error_set(k->err, "key %s.expert_weights_scale is %g: scaled weights are not supported",
               k->architecture, scale);
}

static bool read_mixture(
    struct decoder *d, const struct moe_layer *family, uint64_t experts, const struct arch_keys *k)
{
    struct moe_layer l = *family;
    l.n_expert = (uint32_t)experts;
    if (!check_routing(k) || !read_size(k, "expert_used_count", l.n_expert, 0, &l.n_used))
        return false;
    for (uint32_t i = 0; i < d->shape.n_layer; i++) {
        uint32_t n_ff = d->layers[i].dense.n_ff;
        d->layers[i].ffn = &layer_moe;
        d->layers[i].moe = l;
        if (!read_size(
                k, "expert_feed_forward_length", DECODER_SIZE_MAX, n_ff, &d->layers[i].moe.experts.n_ff))
            return false;
    }
    return true;
}

/* A file of a family that may have experts has them when it says how many. */
static bool read_experts(struct decoder *d, const struct arch *a, const struct arch_keys *k)
{
    char name[KEY_ROOM];
    uint64_t experts = 0;
    if (checkpoint_get_u64(k->file, key_name(name, k, "expert_count"), &experts, k->err) == CHECKPOINT_WRONG)
        return false;
    if (experts == 0)
        return true;
    if (!a->experts)
        return error_set(
            k->err, "key %s is %" PRIu64 ": mixtures of experts are not supported", name, experts);
    if (experts > MOE_EXPERTS_MAX)
        return error_set(k->err, "key %s is %" PRIu64 "; %d is the most", name, experts, MOE_EXPERTS_MAX);
    return read_mixture(d, &a->moe, experts, k);
}

/* The fields of layer i where it is an attention layer, else NULL. */
static struct attention_layer *attention_of(struct decoder *d, uint32_t i)
{
    return d->layers[i].mixer == &layer_attention ? &d->layers[i].attention : NULL;
}

/* Of the first attention layer, or NULL when there is none. */
static struct attention_layer *first_attention(struct decoder *d)
{
    for (uint32_t i = 0; i < d->shape.n_layer; i++)
        if (attention_of(d, i))
            return attention_of(d, i);
    return NULL;
}

static void set_scale(struct decoder *d, float scale)
{
    for (uint32_t i = 0; i < d->shape.n_layer; i++)
        if (attention_of(d, i))
            attention_of(d, i)->scale = scale;
}

/* A head's size is the same in all layers. */
static bool read_head_sizes(struct decoder *d, const struct arch_keys *k)
{
    const struct decoder_shape *s = &d->shape;
    const struct attention_layer *first = first_attention(d);
    struct attention_layer head = {0};
    if (!first)
        return true;
    uint32_t even = s->n_embd % first->n_head == 0 ? s->n_embd / first->n_head : 0;
    if (!read_size(k, "attention.key_length", ATTENTION_HEAD_MAX, even, &head.head_dim_k) ||
        !read_size(k, "attention.value_length", ATTENTION_HEAD_MAX, even, &head.head_dim_v) ||
        !read_float(k, "attention.scale", 1 / sqrt(head.head_dim_k), &head.scale))
        return false;
    for (uint32_t i = 0; i < s->n_layer; i++) {
        struct attention_layer *l = attention_of(d, i);
        if (!l)
            continue;
        l->head_dim_k = head.head_dim_k;
        l->head_dim_v = head.head_dim_v;
    }
    set_scale(d, head.scale);
    return true;
}

static bool read_heads(struct decoder *d, const struct arch *a, const struct arch_keys *k)
{
    uint32_t least = a->headless ? 0 : 1;
    if (!read_layers(d, k, "attention.head_count", least, set_heads))
        return false;
    if (checkpoint_find(k->file, key_name((char[KEY_ROOM]){0}, k, "attention.head_count_kv")) &&
        !read_layers(d, k, "attention.head_count_kv", least, set_kv_heads))
        return false;
    for (uint32_t i = 0; i < d->shape.n_layer; i++) {
        struct layer *l = &d->layers[i];
        uint32_t n_head = l->attention.n_head, n_head_kv = l->attention.n_head_kv;
        if (n_head_kv == 0)
            *l = (struct layer){.mixer = a->headless, .ffn = l->ffn, .dense = l->dense};
        else if (n_head == 0 || n_head % n_head_kv != 0 || n_head / n_head_kv > ATTENTION_GROUP_MAX)
            return error_set(k->err,
                "keys %s.attention.head_count (%" PRIu32 ") and head_count_kv (%" PRIu32
                ") contradict each other in layer %" PRIu32,
                k->architecture, n_head, n_head_kv, i);
    }
    return read_head_sizes(d, k);
}

static bool read_sizes(struct decoder *d, const struct arch *a, const struct arch_keys *k)
{
    struct decoder_shape *s = &d->shape;
    if (!read_size(k, "block_count", DECODER_LAYERS_MAX, 0, &s->n_layer) ||
        !read_size(k, "embedding_length", DECODER_SIZE_MAX, 0, &s->n_embd) ||
        !read_size(k, "context_length", DECODER_CONTEXT_MAX, 0, &s->n_ctx_train))
        return false;
    d->layers = calloc(s->n_layer, sizeof(*d->layers));
    if (!d->layers)
        return error_set(k->err, "no memory for %" PRIu32 " layers", s->n_layer);
    for (uint32_t i = 0; i < s->n_layer; i++)
        d->layers[i] = (struct layer){
            .mixer = &layer_attention, .ffn = &layer_dense, .attention = a->attention, .dense = a->dense};
    return read_layers(d, k, "feed_forward_length", 1, set_ff) && read_heads(d, a, k) &&
           read_float(k, s->layer_norm ? "attention.layer_norm_epsilon" : "attention.layer_norm_rms_epsilon",
               0, &s->epsilon) &&
           (s->epsilon > 0 ||
               error_set(k->err, "key %s.attention.layer_norm%s_epsilon is missing, or not above 0",
                   k->architecture, s->layer_norm ? "" : "_rms"));
}

/* ---- rotation ---- */

/* YaRN (arXiv 2309.00071) stretches slow pairs, leaves fast ones and raises the magnitude by 0.1 ln(factor) +
 * 1. Files may name another attn_factor, which comes on top. */
static bool read_yarn(struct rope_shape *r, const struct arch_keys *k)
{
    if (!read_real(k, "rope.scaling.yarn_ext_factor", -1, &r->yarn) ||
        !read_real(k, "rope.scaling.yarn_beta_fast", 32, &r->yarn_fast) ||
        !read_real(k, "rope.scaling.yarn_beta_slow", 1, &r->yarn_slow))
        return false;
    if (r->yarn < 0)
        r->yarn = 1;
    if (r->scale < 1)
        r->magnitude *= 1 - 0.1 * log(r->scale);
    return true;
}

static bool read_scaling(struct decoder *d, const struct arch_keys *k)
{
    struct rope_shape *r = &d->rope.global;
    struct span type = {NULL, 0};
    char name[KEY_ROOM];
    double factor;
    if (checkpoint_get_text(k->file, key_name(name, k, "rope.scaling.type"), &type, k->err) ==
        CHECKPOINT_WRONG)
        return false;
    if (!read_real(k, "rope.scale_linear", 1, &factor) ||
        !read_real(k, "rope.scaling.factor", factor, &factor) ||
        !read_real(k, "rope.scaling.attn_factor", 1, &r->magnitude) ||
        !read_size(k, "rope.scaling.original_context_length", DECODER_CONTEXT_MAX, d->shape.n_ctx_train,
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

static bool read_rope(struct decoder *d, const struct arch_keys *k)
{
    struct rope_fields *r = &d->rope;
    const struct attention_layer *first = first_attention(d);
    if (!first)
        return true;
    uint32_t head = first->head_dim_k;
    if (!read_size(k, "rope.dimension_count", ATTENTION_HEAD_MAX, head, &r->n_rot) ||
        !read_real(k, "rope.freq_base", 10000, &r->global.base) || !read_scaling(d, k))
        return false;
    if (r->n_rot > head || r->n_rot % 2 != 0)
        return error_set(k->err,
            "key %s.rope.dimension_count is %" PRIu32 ", which is odd or above the head's %" PRIu32,
            k->architecture, r->n_rot, head);
    if (r->global.base <= 1)
        return error_set(k->err, "key %s.rope.freq_base is not above 1", k->architecture);
    for (uint32_t i = 0; i < d->shape.n_layer; i++)
        if (attention_of(d, i))
            attention_of(d, i)->rotates = r->skip == 0 || (i + 1) % r->skip != 0;
    r->local = r->global;
    return true;
}

/* ---- windows ---- */

static void set_window(struct decoder *d, uint32_t layer, uint32_t window)
{
    d->layers[layer].attention.window = window;
    d->layers[layer].attention.rope = window != 0;
}

/* Layers with a window: those that the pattern, an array of 0 and 1, marks with 1; without an array all but each
 * `period`-th, counted from 1. */
static bool set_windows(struct decoder *d, const struct arch_keys *k, uint32_t window, uint32_t period)
{
    char name[KEY_ROOM];
    const struct checkpoint_value *pattern =
        checkpoint_find(k->file, key_name(name, k, "attention.sliding_window_pattern"));
    bool array = pattern && pattern->is_array;
    if (array && pattern->count != d->shape.n_layer)
        return error_set(k->err, "key %s has %" PRIu64 " items for %" PRIu32 " layers", name, pattern->count,
            d->shape.n_layer);
    if (!array && !read_size(k, "attention.sliding_window_pattern", DECODER_SIZE_MAX, period, &period))
        return false;
    for (uint32_t i = 0; i < d->shape.n_layer; i++) {
        bool local = array ? array_item(pattern, i) == 1 : (i + 1) % period != 0;
        set_window(d, i, local ? window : 0);
    }
    return true;
}

/* The window's size; 0 where the file has none and the family needs none. */
static bool read_window(const struct arch_keys *k, uint32_t fallback, uint32_t *window)
{
    char name[KEY_ROOM];
    uint64_t value = 0;
    if (checkpoint_get_u64(k->file, key_name(name, k, "attention.sliding_window"), &value, k->err) ==
        CHECKPOINT_WRONG)
        return false;
    if (value > DECODER_CONTEXT_MAX)
        return error_set(k->err, "key %s is %" PRIu64 "; %u is the most", name, value, DECODER_CONTEXT_MAX);
    *window = value ? (uint32_t)value : fallback;
    return true;
}

/* ---- the families ---- */

static bool read_gemma(struct decoder *d, const struct arch_keys *k, uint32_t largest)
{
    struct decoder_shape *s = &d->shape;
    const struct attention_layer *first = first_attention(d);
    float scale;
    s->embedding_scale = sqrtf((float)s->n_embd);
    /* The largest of the family scales by its share of the embedding's width instead of by the head's size. */
    double per_head = s->n_layer == largest ? (double)s->n_embd / first->n_head : first->head_dim_k;
    if (!read_float(k, "attention.scale", 1 / sqrt(per_head), &scale))
        return false;
    set_scale(d, scale);
    return true;
}

static bool read_gemma2(struct decoder *d, const struct arch_keys *k)
{
    struct decoder_shape *s = &d->shape;
    uint32_t window;
    float softcap;
    if (!read_gemma(d, k, 46) || !read_float(k, "attn_logit_softcapping", 50, &softcap))
        return false;
    for (uint32_t i = 0; i < s->n_layer; i++)
        d->layers[i].attention.softcap = softcap;
    return read_float(k, "final_logit_softcapping", 30, &s->logit_softcap) && read_window(k, 4096, &window) &&
           set_windows(d, k, window, 2) &&
           read_real(k, "rope.freq_base_swa", d->rope.global.base, &d->rope.local.base);
}

static bool read_gemma3(struct decoder *d, const struct arch_keys *k)
{
    struct decoder_shape *s = &d->shape;
    uint32_t window;
    if (!read_gemma(d, k, 62) || !read_float(k, "final_logit_softcapping", 0, &s->logit_softcap) ||
        !read_window(k, 0, &window))
        return false;
    if (window == 0)
        return true;
    d->rope.local = (struct rope_shape){.scale = 1, .magnitude = 1};
    return set_windows(d, k, window, 6) && read_real(k, "rope.freq_base_swa", 10000, &d->rope.local.base);
}

/* Only OLMo 3 has windows; its layers with one rotate as if the model had not been stretched. */
static bool read_olmo2(struct decoder *d, const struct arch_keys *k)
{
    uint32_t window;
    if (!read_window(k, 0, &window))
        return false;
    if (window == 0)
        return true;
    d->rope.local = (struct rope_shape){.scale = 1, .magnitude = 1};
    return set_windows(d, k, window, 4) &&
           read_real(k, "rope.freq_base_swa", d->rope.global.base, &d->rope.local.base);
}

static bool read_phi3(struct decoder *d, const struct arch_keys *k)
{
    uint32_t window;
    if (!read_window(k, 0, &window))
        return false;
    for (uint32_t i = 0; i < d->shape.n_layer; i++)
        d->layers[i].attention.window = window;
    return true;
}

/* Where there is a window, all attention layers have it. */
static bool read_lfm2(struct decoder *d, const struct arch_keys *k)
{
    uint32_t n_taps, window;
    if (!read_size(k, "shortconv.l_cache", SHORTCONV_TAPS_MAX, 0, &n_taps) || !read_window(k, 0, &window))
        return false;
    for (uint32_t i = 0; i < d->shape.n_layer; i++)
        if (d->layers[i].mixer == &layer_shortconv)
            d->layers[i].shortconv.n_taps = n_taps;
        else
            d->layers[i].attention.window = window;
    return true;
}

/* An expert for all rows, where the file gives its size. */
static bool read_shared_expert(struct moe_layer *l, const struct arch_keys *k)
{
    char name[KEY_ROOM];
    uint64_t value = 0;
    if (checkpoint_get_u64(k->file, key_name(name, k, "expert_shared_feed_forward_length"), &value, k->err) ==
        CHECKPOINT_WRONG)
        return false;
    if (value > DECODER_SIZE_MAX)
        return error_set(k->err, "key %s is %" PRIu64 "; %u is the most", name, value, DECODER_SIZE_MAX);
    l->shared = l->experts;
    l->shared.n_ff = (uint32_t)value;
    return true;
}

/* Granite divides logits by its key; its mixtures may have a shared expert. */
static bool read_granite(struct decoder *d, const struct arch_keys *k)
{
    struct decoder_shape *s = &d->shape;
    double divisor;
    if (!read_float(k, "embedding_scale", 1, &s->embedding_scale) ||
        !read_float(k, "residual_scale", 1, &s->residual_scale) || !read_real(k, "logit_scale", 1, &divisor))
        return false;
    s->logit_scale = (float)(1 / divisor);
    for (uint32_t i = 0; i < s->n_layer; i++)
        if (d->layers[i].ffn == &layer_moe && !read_shared_expert(&d->layers[i].moe, k))
            return false;
    return true;
}

/* clang-format off */
static const struct arch archs[] = {
    {.name = "llama", .dense = {.activation = VECTOR_SILU}, /* Llama, Mistral, SmolLM, TinyLlama and many more */
     .experts = true, .moe = {.normalized = true, .experts = {.activation = VECTOR_SILU}}}, /* Mixtral */
    {.name = "qwen2", .rope = {.halves = true}, .dense = {.activation = VECTOR_SILU}},
    {.name = "qwen3", .rope = {.halves = true}, .attention = {.qk_norm = QK_HEAD},
     .dense = {.activation = VECTOR_SILU}},
    {.name = "qwen3moe", .rope = {.halves = true}, .attention = {.qk_norm = QK_HEAD},
     .experts = true, .moe = {.normalized = true, .experts = {.activation = VECTOR_SILU}}},
    {.name = "gemma2", .shape = {.post_norms = true}, .rope = {.halves = true},
     .dense = {.activation = VECTOR_GELU}, .read = read_gemma2},
    {.name = "gemma3", .shape = {.post_norms = true}, .rope = {.halves = true}, .attention = {.qk_norm = QK_HEAD},
     .dense = {.activation = VECTOR_GELU}, .read = read_gemma3},
    {.name = "phi3", .rope = {.halves = true, .long_factors = true},
     .dense = {.activation = VECTOR_SILU, .fused_gate = true}, .read = read_phi3},
    {.name = "granite", .dense = {.activation = VECTOR_SILU}, .experts = true,
     .moe = {.normalized = true, .experts = {.activation = VECTOR_SILU}}, .read = read_granite},
    {.name = "granitemoe", .dense = {.activation = VECTOR_SILU}, .experts = true,
     .moe = {.normalized = true, .experts = {.activation = VECTOR_SILU}}, .read = read_granite},
    {.name = "olmo2", .shape = {.no_pre_norms = true, .post_norms = true}, .rope = {.halves = true},
     .attention = {.qk_norm = QK_ROW}, .dense = {.activation = VECTOR_SILU}, .read = read_olmo2},
    {.name = "olmoe", .rope = {.halves = true}, .attention = {.qk_norm = QK_ROW},
     .experts = true, .moe = {.experts = {.activation = VECTOR_SILU}}},
    {.name = "smollm3", .rope = {.skip = 4}, .dense = {.activation = VECTOR_SILU}},
    {.name = "starcoder2", .shape = {.layer_norm = true}, .rope = {.halves = true},
     .dense = {.activation = VECTOR_GELU, .ungated = true}},
    {.name = "stablelm", .shape = {.layer_norm = true, .ffn_norm_optional = true}, .rope = {.halves = true},
     .attention = {.qk_norm = QK_EACH_HEAD}, .dense = {.activation = VECTOR_SILU}},
    {.name = "lfm2", .shape = {.output_norm = "token_embd_norm"}, .rope = {.halves = true},
     .attention = {.qk_norm = QK_HEAD}, .headless = &layer_shortconv, .dense = {.activation = VECTOR_SILU},
     .read = read_lfm2},
    {.name = "internlm2", .dense = {.activation = VECTOR_SILU}},
};
/* clang-format on */

#define N_ARCHS (sizeof(archs) / sizeof(archs[0]))

static const struct arch *find_arch(struct span name)
{
    for (size_t i = 0; i < N_ARCHS; i++)
        if (span_is(name, archs[i].name))
            return &archs[i];
    return NULL;
}

bool arch_supported(struct span name)
{
    return find_arch(name) != NULL;
}

bool arch_read(struct decoder *d, const struct checkpoint *c, struct error *err)
{
    struct span name = {NULL, 0};
    if (checkpoint_get_text(c, "general.architecture", &name, err) == CHECKPOINT_WRONG)
        return false;
    const struct arch *a = find_arch(name);
    if (!a) {
        char shown[64];
        text_escape(shown, sizeof(shown), name);
        return error_set(err, "architecture \"%s\" is not supported", shown);
    }
    struct decoder_shape *s = &d->shape;
    struct arch_keys k = {.file = c, .architecture = a->name, .err = err};
    *s = a->shape;
    d->rope = a->rope;
    snprintf(s->architecture, sizeof(s->architecture), "%s", a->name);
    s->embedding_scale = s->residual_scale = s->logit_scale = 1;
    return read_sizes(d, a, &k) && read_experts(d, a, &k) && read_rope(d, &k) && (!a->read || a->read(d, &k));
}
