/* arch.c - the architectures: one row each, which says of which kinds the layers are, and with which fields.
 *
 * A row holds what never varies within a family, and a function for what a key or a size decides. Everything else
 * (sizes, epsilon, rotation and its scaling) is read in the same way for all families. No other file compares an
 * architecture's name. Every number is bounded here, before it is multiplied or memory is allocated by it; bind.c checks
 * that the tensors agree.
 */
#include "arch_keys_private.h"

#include <inttypes.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

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

/* ---- what all families have ---- */

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

/* Refuses keys that ask for a routing other than the one that layer_moe.c computes. 0 (missing) and 1 are that one. */
static bool check_routing(const struct arch_keys *k)
{
    uint64_t function = 0, groups = 0;
    double scale;
    char name[ARCH_KEY_ROOM];
    if (checkpoint_get_u64(k->file, arch_key_name(name, k, "expert_gating_func"), &function, k->err) ==
            CHECKPOINT_WRONG ||
        checkpoint_get_u64(k->file, arch_key_name(name, k, "expert_group_count"), &groups, k->err) ==
            CHECKPOINT_WRONG ||
        !arch_key_real(k, "expert_weights_scale", 1, &scale))
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
    if (!check_routing(k) || !arch_key_size(k, "expert_used_count", l.n_expert, 0, &l.n_used))
        return false;
    for (uint32_t i = 0; i < d->shape.n_layer; i++) {
        uint32_t n_ff = d->layers[i].dense.n_ff;
        d->layers[i].ffn = &layer_moe;
        d->layers[i].moe = l;
        if (!arch_key_size(
                k, "expert_feed_forward_length", DECODER_SIZE_MAX, n_ff, &d->layers[i].moe.experts.n_ff))
            return false;
    }
    return true;
}

/* Makes the feed-forwards mixtures of experts where the file has a number of experts. */
static bool read_experts(struct decoder *d, const struct arch *a, const struct arch_keys *k)
{
    char name[ARCH_KEY_ROOM];
    uint64_t experts = 0;
    if (checkpoint_get_u64(k->file, arch_key_name(name, k, "expert_count"), &experts, k->err) ==
        CHECKPOINT_WRONG)
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
    if (!arch_key_size(k, "attention.key_length", ATTENTION_HEAD_MAX, even, &head.head_dim_k) ||
        !arch_key_size(k, "attention.value_length", ATTENTION_HEAD_MAX, even, &head.head_dim_v) ||
        !arch_key_float(k, "attention.scale", 1 / sqrt(head.head_dim_k), &head.scale))
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
    if (!arch_key_layers(d, k, "attention.head_count", least, set_heads))
        return false;
    if (checkpoint_find(k->file, arch_key_name((char[ARCH_KEY_ROOM]){0}, k, "attention.head_count_kv")) &&
        !arch_key_layers(d, k, "attention.head_count_kv", least, set_kv_heads))
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
    if (!arch_key_size(k, "block_count", DECODER_LAYERS_MAX, 0, &s->n_layer) ||
        !arch_key_size(k, "embedding_length", DECODER_SIZE_MAX, 0, &s->n_embd) ||
        !arch_key_size(k, "context_length", DECODER_CONTEXT_MAX, 0, &s->n_ctx_train))
        return false;
    d->layers = calloc(s->n_layer, sizeof(*d->layers));
    if (!d->layers)
        return error_set(k->err, "no memory for %" PRIu32 " layers", s->n_layer);
    for (uint32_t i = 0; i < s->n_layer; i++)
        d->layers[i] = (struct layer){
            .mixer = &layer_attention, .ffn = &layer_dense, .attention = a->attention, .dense = a->dense};
    return arch_key_layers(d, k, "feed_forward_length", 1, set_ff) && read_heads(d, a, k) &&
           arch_key_float(k,
               s->layer_norm ? "attention.layer_norm_epsilon" : "attention.layer_norm_rms_epsilon", 0,
               &s->epsilon) &&
           (s->epsilon > 0 ||
               error_set(k->err, "key %s.attention.layer_norm%s_epsilon is missing, or not above 0",
                   k->architecture, s->layer_norm ? "" : "_rms"));
}

/* ---- rotation ---- */

/* YaRN (arXiv 2309.00071) scales the frequencies of slow pairs, leaves those of fast pairs, and multiplies cosine and sine
 * by 1 + 0.1 ln(factor). attn_factor multiplies them as well. */
static bool read_yarn(struct rope_shape *r, const struct arch_keys *k)
{
    if (!arch_key_real(k, "rope.scaling.yarn_ext_factor", -1, &r->yarn) ||
        !arch_key_real(k, "rope.scaling.yarn_beta_fast", 32, &r->yarn_fast) ||
        !arch_key_real(k, "rope.scaling.yarn_beta_slow", 1, &r->yarn_slow))
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

static bool read_rope(struct decoder *d, const struct arch_keys *k)
{
    struct rope_fields *r = &d->rope;
    const struct attention_layer *first = first_attention(d);
    if (!first)
        return true;
    uint32_t head = first->head_dim_k;
    if (!arch_key_size(k, "rope.dimension_count", ATTENTION_HEAD_MAX, head, &r->n_rot) ||
        !arch_key_real(k, "rope.freq_base", 10000, &r->global.base) || !read_scaling(d, k))
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

/* Sets the windows. Where the pattern is an array of 0 and 1, the layers with a 1 have one; otherwise all layers have one
 * except each `period`-th, counted from 1. */
static bool set_windows(struct decoder *d, const struct arch_keys *k, uint32_t window, uint32_t period)
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
static bool read_window(const struct arch_keys *k, uint32_t fallback, uint32_t *window)
{
    return arch_key_number(k, "attention.sliding_window", DECODER_CONTEXT_MAX, fallback, window);
}

/* ---- the families ---- */

static bool read_gemma(struct decoder *d, const struct arch_keys *k, uint32_t largest)
{
    struct decoder_shape *s = &d->shape;
    const struct attention_layer *first = first_attention(d);
    float scale;
    s->embedding_scale = sqrtf((float)s->n_embd);
    /* The largest model of the family scales by n_embd / n_head, the others by the head's size. */
    double per_head = s->n_layer == largest ? (double)s->n_embd / first->n_head : first->head_dim_k;
    if (!arch_key_float(k, "attention.scale", 1 / sqrt(per_head), &scale))
        return false;
    set_scale(d, scale);
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
           read_window(k, 4096, &window) && set_windows(d, k, window, 2) &&
           arch_key_real(k, "rope.freq_base_swa", d->rope.global.base, &d->rope.local.base);
}

static bool read_gemma3(struct decoder *d, const struct arch_keys *k)
{
    struct decoder_shape *s = &d->shape;
    uint32_t window;
    if (!read_gemma(d, k, 62) || !arch_key_float(k, "final_logit_softcapping", 0, &s->logit_softcap) ||
        !read_window(k, 0, &window))
        return false;
    if (window == 0)
        return true;
    d->rope.local = (struct rope_shape){.scale = 1, .magnitude = 1};
    return set_windows(d, k, window, 6) && arch_key_real(k, "rope.freq_base_swa", 10000, &d->rope.local.base);
}

/* Only OLMo 3 has windows. Its layers with a window rotate without the scaling of the others. */
static bool read_olmo2(struct decoder *d, const struct arch_keys *k)
{
    uint32_t window;
    if (!read_window(k, 0, &window))
        return false;
    if (window == 0)
        return true;
    d->rope.local = (struct rope_shape){.scale = 1, .magnitude = 1};
    return set_windows(d, k, window, 4) &&
           arch_key_real(k, "rope.freq_base_swa", d->rope.global.base, &d->rope.local.base);
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

/* A window applies to all attention layers. */
static bool read_lfm2(struct decoder *d, const struct arch_keys *k)
{
    uint32_t n_taps, window;
    if (!arch_key_size(k, "shortconv.l_cache", SHORTCONV_TAPS_MAX, 0, &n_taps) || !read_window(k, 0, &window))
        return false;
    for (uint32_t i = 0; i < d->shape.n_layer; i++)
        if (d->layers[i].mixer == &layer_shortconv)
            d->layers[i].shortconv.n_taps = n_taps;
        else
            d->layers[i].attention.window = window;
    return true;
}

/* A shared expert, where the file gives its size. */
static bool read_shared_expert(struct moe_layer *l, const struct arch_keys *k)
{
    l->shared = l->experts;
    return arch_key_number(k, "expert_shared_feed_forward_length", DECODER_SIZE_MAX, 0, &l->shared.n_ff);
}

/* Granite divides the logits by logit_scale. Its mixtures of experts may have a shared expert. */
static bool read_granite(struct decoder *d, const struct arch_keys *k)
{
    struct decoder_shape *s = &d->shape;
    double divisor;
    if (!arch_key_float(k, "embedding_scale", 1, &s->embedding_scale) ||
        !arch_key_float(k, "residual_scale", 1, &s->residual_scale) ||
        !arch_key_real(k, "logit_scale", 1, &divisor))
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
#define LISTED 256 /* bytes of names in a refusal */

static const struct arch *find_arch(struct span name)
{
    for (size_t i = 0; i < N_ARCHS; i++)
        if (span_is(name, archs[i].name))
            return &archs[i];
    return NULL;
}

const char *arch_name(size_t i)
{
    return i < N_ARCHS ? archs[i].name : NULL;
}

/* Refuses an architecture, and lists those that are supported as far as LISTED bytes go. */
static bool refuse(struct span name, struct error *err)
{
    char shown[64], list[LISTED + 64] = "";
    if (name.size == 0)
        return error_set(err, "the file has no key general.architecture");
    text_escape(shown, sizeof(shown), name);
    for (size_t i = 0, size = 0; i < N_ARCHS; i++)
        if (size < LISTED)
            size +=
                (size_t)snprintf(list + size, sizeof(list) - size, "%s%s", i > 0 ? ", " : "", archs[i].name);
        else
            return error_set(err,
                "architecture \"%s\" is not supported; berth runs %s and %zu more, which `berth inspect --help` lists",
                shown, list, N_ARCHS - i);
    return error_set(err, "architecture \"%s\" is not supported; berth runs %s", shown, list);
}

bool arch_read(struct decoder *d, const struct checkpoint *c, struct error *err)
{
    struct span name = {NULL, 0};
    if (checkpoint_get_text(c, "general.architecture", &name, err) == CHECKPOINT_WRONG)
        return false;
    const struct arch *a = find_arch(name);
    if (!a)
        return refuse(name, err);
    struct decoder_shape *s = &d->shape;
    struct arch_keys k = {.file = c, .architecture = a->name, .err = err};
    *s = a->shape;
    d->rope = a->rope;
    snprintf(s->architecture, sizeof(s->architecture), "%s", a->name);
    s->embedding_scale = s->residual_scale = s->logit_scale = 1;
    return read_sizes(d, a, &k) && read_experts(d, a, &k) && read_rope(d, &k) && (!a->read || a->read(d, &k));
}
