/* layer_attention_bind.c - finds the weights of the mixer "attention". */
#include "layer_attention_private.h"

#include "bind_private.h"

#include <math.h>

/* ---- norms ---- */

/* "STEM.weight" and, for layer norms, "STEM.bias", which may be missing. */
static bool bind_one(struct binder *b, struct stem stem, uint64_t rows, uint64_t columns, struct norm *out)
{
    bool bias = binder_decoder(b)->shape.layer_norm;
    return bind_vector(b, bind_name(stem.text, "weight").text, rows, columns, &out->weight) &&
           (!bias || bind_optional(b, bind_name(stem.text, "bias").text, rows, columns, &out->bias));
}

/* One factor for each head becomes a weight for each of its elements. */
static bool bind_gain(struct binder *b, struct stem stem, struct attention_layer *l)
{
    const float *gain;
    float *weight = bind_memory(b, (size_t)l->n_head * l->head_dim_k, stem.text);
    if (!weight || !bind_vector(b, bind_name(stem.text, "weight").text, l->n_head, 1, &gain))
        return false;
    for (size_t i = 0; i < (size_t)l->n_head * l->head_dim_k; i++)
        weight[i] = gain[i / l->head_dim_k];
    l->q_norm = (struct norm){.weight = weight};
    l->k_norm = (struct norm){.bare = true};
    l->qk_norm = QK_EACH_HEAD;
    return true;
}

static bool bind_qk_norms(struct binder *b, size_t i, struct attention_layer *l)
{
    struct stem q = bind_stem(i, "attn_q_norm"), k = bind_stem(i, "attn_k_norm");
    size_t size = l->head_dim_k;
    switch (l->qk_norm) {
    case QK_NONE:
        break;
    case QK_BARE:
        l->q_norm.bare = l->k_norm.bare = true;
        break;
    case QK_HEAD_OPTIONAL:
        l->qk_norm = bind_has(b, q.text) ? QK_HEAD : QK_NONE;
        if (l->qk_norm == QK_NONE)
            break;
        /* fall through */
    case QK_HEAD:
        if (l->shares_cache) {
            bind_skip(b, k.text);
            return bind_one(b, q, 1, size, &l->q_norm);
        }
        return bind_one(b, q, 1, size, &l->q_norm) && bind_one(b, k, 1, size, &l->k_norm);
    case QK_GAIN:
        return bind_gain(b, q, l);
    case QK_EACH_HEAD:
        if (bind_has(b, q.text))
            return bind_one(b, q, l->n_head, size, &l->q_norm) &&
                   bind_one(b, k, l->n_head_kv, size, &l->k_norm);
        l->qk_norm = QK_NONE;
        break;
    case QK_ROW_OPTIONAL: /* norms of keys alone are not used: the family's files have both or none */
        l->qk_norm = bind_has(b, q.text) ? QK_ROW : QK_NONE;
        if (l->qk_norm == QK_NONE)
            return !bind_has(b, k.text) || bind_one(b, k, 1, l->n_head_kv * size, &l->k_norm);
        /* fall through */
    case QK_ROW:
        return bind_one(b, q, 1, l->n_head * size, &l->q_norm) &&
               bind_one(b, k, 1, l->n_head_kv * size, &l->k_norm);
    }
    return true;
}

/* ---- products ---- */

static bool bind_qkv(struct binder *b, size_t i, struct attention_layer *l)
{
    size_t n_embd = binder_decoder(b)->shape.n_embd;
    size_t q = l->n_head * attention_q_room(l), k = (size_t)l->n_head_kv * l->head_dim_k;
    size_t v = (size_t)l->n_head_kv * l->head_dim_v;
    struct stem fused = bind_stem(i, "attn_qkv");
    if (bind_has(b, fused.text)) {
        struct linear whole = {0};
        if (!bind_linear(b, fused.text, q + k + v, n_embd, &whole))
            return false;
        l->q = linear_part(&whole, 0, q);
        l->k = linear_part(&whole, q, k);
        l->v = linear_part(&whole, q + k, v);
        return true;
    }
    struct stem keys = bind_stem(i, "attn_k"), values = bind_stem(i, "attn_v");
    if (!bind_linear(b, bind_stem(i, "attn_q").text, q, n_embd, &l->q))
        return false;
    if (l->shares_cache) { /* a file may have them all the same */
        bind_skip(b, keys.text);
        bind_skip(b, values.text);
        return true;
    }
    if (!bind_linear(b, keys.text, k, n_embd, &l->k))
        return false;
    if (l->values.n > 0)
        return attention_bind_values(b, i, l, v);
    bool from_keys = l->v_from_k && v == k && !bind_has(b, values.text);
    return bind_linear(b, from_keys ? keys.text : values.text, v, n_embd, &l->v);
}

/* A gate for each head or for each element; a layer without the tensor has none. */
static bool bind_gate(struct binder *b, size_t i, struct attention_layer *l)
{
    size_t elements = (size_t)l->n_head * l->head_dim_v, n_embd = binder_decoder(b)->shape.n_embd;
    struct stem stem = bind_stem(i, "attn_gate");
    if (l->gated == GATE_NONE || l->gated == GATE_IN_Q)
        return true;
    if (!bind_has(b, stem.text)) {
        l->gated = GATE_NONE;
        return true;
    }
    size_t rows = bind_rows(b, stem.text) == l->n_head ? l->n_head : elements;
    return bind_linear(b, stem.text, rows, n_embd, &l->gate);
}

/* ---- positions and sinks ---- */

/* ALiBi's slopes: powers of 2^(-alibi / n) where the number of heads is n, a power of two. For another number, those of the
 * next smaller power of two, then every other one of twice that. */
static bool make_slopes(struct binder *b, size_t i, struct attention_layer *l)
{
    uint32_t whole = 1;
    float *slopes = bind_memory(b, l->n_head, bind_stem(i, "slopes").text);
    if (!slopes)
        return false;
    while (2 * whole <= l->n_head)
        whole *= 2;
    for (uint32_t h = 0; h < l->n_head; h++) {
        double step = h < whole ? h + 1.0 : h - whole + 0.5;
        slopes[h] = (float)vector_power(2, -(double)l->alibi * step / whole);
    }
    l->slopes = slopes;
    return true;
}

/* Multiplies the output's factor. */
static bool scale_output(struct binder *b, size_t i, struct attention_layer *l)
{
    float *scale = bind_memory(b, 1, bind_stem(i, "attn_output").text);
    if (!scale)
        return false;
    *scale = l->out.scale ? l->result_scale * *l->out.scale : l->result_scale;
    l->out.scale = scale;
    return true;
}

bool attention_bind(struct binder *b, size_t i)
{
    struct decoder *d = binder_decoder(b);
    struct layer *layer = &d->layers[i];
    struct attention_layer *l = &layer->attention;
    bool good = bind_qkv(b, i, l) && bind_qk_norms(b, i, l) && bind_gate(b, i, l) &&
                bind_linear(b, bind_stem(i, "attn_output").text, d->shape.n_embd,
                    (size_t)l->n_head * l->head_dim_v, &l->out) &&
                (!l->sinks || bind_optional(b, bind_name(bind_stem(i, "attn_sinks").text, "weight").text, 1,
                                  l->n_head, &l->sink)) &&
                (l->alibi == 0 || make_slopes(b, i, l)) && (l->result_scale == 0 || scale_output(b, i, l));
    layer->mixer_packs =
        good && (linear_packs(&l->q) || (!l->shares_cache && (linear_packs(&l->k) || linear_packs(&l->v))) ||
                    (l->gate.weight.rows > 0 && linear_packs(&l->gate)) ||
                    (l->values.n > 0 && linear_packs(&l->values.router)));
    return good;
}
