/* arch_shape.c - reads what all architectures have: sizes, heads, the epsilon of norms. */
#include "arch_private.h"

#include <inttypes.h>
#include <math.h>
#include <stdlib.h>

/* The fields of layer i where it is an attention layer, else NULL. */
struct attention_layer *arch_attention(struct decoder *d, uint32_t i)
{
    return d->layers[i].mixer == &layer_attention ? &d->layers[i].attention : NULL;
}

/* Of the first attention layer, or NULL when there is none. */
struct attention_layer *arch_first_attention(struct decoder *d)
{
    for (uint32_t i = 0; i < d->shape.n_layer; i++)
        if (arch_attention(d, i))
            return arch_attention(d, i);
    return NULL;
}

void arch_set_no_rope(struct decoder *d)
{
    for (uint32_t i = 0; i < d->shape.n_layer; i++)
        if (arch_attention(d, i))
            arch_attention(d, i)->rotates = false;
}

void arch_set_scale(struct decoder *d, float scale)
{
    for (uint32_t i = 0; i < d->shape.n_layer; i++)
        if (arch_attention(d, i))
            arch_attention(d, i)->scale = scale;
}

bool arch_read_alibi(struct decoder *d, const struct arch_keys *k, double fallback)
{
    float most;
    if (!arch_key_float(k, "attention.max_alibi_bias", fallback, &most))
        return false;
    for (uint32_t i = 0; i < d->shape.n_layer; i++)
        if (arch_attention(d, i))
            arch_attention(d, i)->alibi = most;
    return true;
}

bool arch_read_clamp(struct decoder *d, const struct arch_keys *k)
{
    float limit;
    if (!arch_key_float(k, "attention.clamp_kqv", 0, &limit))
        return false;
    for (uint32_t i = 0; i < d->shape.n_layer; i++)
        if (arch_attention(d, i))
            arch_attention(d, i)->clamp = limit;
    return true;
}

/* ---- sizes ---- */

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

/* A head's size is the same in all layers. */
static bool read_head_sizes(struct decoder *d, const struct arch_keys *k)
{
    const struct decoder_shape *s = &d->shape;
    const struct attention_layer *first = arch_first_attention(d);
    struct attention_layer head = {0};
    if (!first)
        return true;
    uint32_t even = s->n_embd % first->n_head == 0 ? s->n_embd / first->n_head : 0;
    if (!arch_key_size(k, "attention.key_length", ATTENTION_HEAD_MAX, even, &head.head_dim_k) ||
        !arch_key_size(k, "attention.value_length", ATTENTION_HEAD_MAX, even, &head.head_dim_v) ||
        !arch_key_float(k, "attention.scale", 1 / sqrt(head.head_dim_k), &head.scale))
        return false;
    for (uint32_t i = 0; i < s->n_layer; i++) {
        struct attention_layer *l = arch_attention(d, i);
        if (!l)
            continue;
        l->head_dim_k = head.head_dim_k;
        l->head_dim_v = head.head_dim_v;
    }
    arch_set_scale(d, head.scale);
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
        if (a->halves && l->dense.n_ff > 0)
            continue;
        uint32_t n_head = l->attention.n_head, n_head_kv = l->attention.n_head_kv;
        if (n_head == 0 && a->gaps)
            *l = (struct layer){.ffn = l->ffn, .dense = l->dense};
        else if (n_head_kv == 0)
            *l = (struct layer){.mixer = a->headless, .ffn = l->ffn, .dense = l->dense};
        else if (n_head == 0 || n_head % n_head_kv != 0 || n_head / n_head_kv > ATTENTION_GROUP_MAX)
            return error_set(k->err,
                "keys %s.attention.head_count (%" PRIu32 ") and head_count_kv (%" PRIu32
                ") contradict each other in layer %" PRIu32,
                k->architecture, n_head, n_head_kv, i);
    }
    return read_head_sizes(d, k);
}

/* Some configs have an epsilon of 0. */
static bool read_epsilon(struct decoder *d, const struct arch_keys *k)
{
    struct decoder_shape *s = &d->shape;
    const char *rest = s->layer_norm ? "attention.layer_norm_epsilon" : "attention.layer_norm_rms_epsilon";
    char name[ARCH_KEY_ROOM];
    if (!checkpoint_find(k->file, arch_key_name(name, k, rest)))
        return error_set(k->err, "key %s is missing", name);
    return arch_key_float(k, rest, 0, &s->epsilon) &&
           (s->epsilon >= 0 || error_set(k->err, "key %s is below 0", name));
}

/* Takes from each layer the half that it does not have. */
static void set_halves(struct decoder *d, const struct arch *a)
{
    for (uint32_t i = 0; i < d->shape.n_layer; i++) {
        struct layer *l = &d->layers[i];
        if (a->no_ffn || ((a->halves || a->gaps) && l->dense.n_ff == 0))
            l->ffn = NULL;
        else if (a->halves)
            l->mixer = NULL;
    }
}

static bool read_halves(struct decoder *d, const struct arch *a, const struct arch_keys *k)
{
    if (!a->no_ffn && !arch_key_layers(d, k, "feed_forward_length", a->halves || a->gaps ? 0 : 1, set_ff))
        return false;
    if (!a->mixer && !read_heads(d, a, k))
        return false;
    set_halves(d, a);
    return true;
}

/* Norms by root mean square where the file has their epsilon, in architectures that have either. */
static bool choose_norm(struct decoder_shape *s, const struct arch_keys *k)
{
    double epsilon = 0;
    if (s->norm_by_epsilon && !arch_key_real(k, "attention.layer_norm_rms_epsilon", 0, &epsilon))
        return false;
    s->layer_norm &= epsilon == 0;
    return true;
}

static struct attention_layer attention_of(const struct attention_row *r)
{
    return (struct attention_layer){
        .qk_norm = r->qk_norm, .gated = r->gated, .norm_rotated = r->norm_rotated, .sinks = r->sinks};
}

struct dense_layer arch_dense(const struct dense_row *r)
{
    return (struct dense_layer){.activation = r->activation,
        .limit = r->limit,
        .limits = r->limits,
        .ungated = r->ungated,
        .act_scales = r->act_scales,
        .xielu = r->xielu};
}

bool arch_read_sizes(struct decoder *d, const struct arch *a, const struct arch_keys *k)
{
    struct decoder_shape *s = &d->shape;
    if (!choose_norm(s, k))
        return false;
    if (!arch_key_size(k, "block_count", DECODER_LAYERS_MAX, 0, &s->n_layer) ||
        !arch_key_size(k, "embedding_length", DECODER_SIZE_MAX, 0, &s->n_embd) ||
        !arch_key_size(k, "context_length", DECODER_CONTEXT_MAX, 0, &s->n_ctx_train))
        return false;
    d->layers = calloc(s->n_layer, sizeof(*d->layers));
    if (!d->layers)
        return error_set(k->err, "no memory for %" PRIu32 " layers", s->n_layer);
    for (uint32_t i = 0; i < s->n_layer; i++)
        d->layers[i] = (struct layer){.mixer = a->mixer ? a->mixer : &layer_attention,
            .second = a->second,
            .ffn = &layer_dense,
            .attention = attention_of(&a->attention),
            .dense = arch_dense(&a->dense)};
    return read_halves(d, a, k) && read_epsilon(d, k);
}
