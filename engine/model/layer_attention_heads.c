/* layer_attention_heads.c - what happens to the heads of queries, keys and values between the products and attention.
 *
 * Limits come first, then norms and the rotation, in the order that the architecture has, and then, for queries, the
 * factor of their position. A worker does this for one key-value head and the queries of its group, so nothing here needs
 * a barrier, but for what concerns all heads of a row.
 */
#include "layer_attention_private.h"

#include "forward_private.h"

#define LN_2 0.693147181f
#define LOG2_E 1.44269504f

struct attention attention_head(const struct forward *f, size_t layer, size_t head, const struct batch_run *r)
{
    const struct attention_layer *s = &f->d->layers[layer].attention;
    size_t stored = s->shares_cache ? s->cache_of : layer;
    return (struct attention){.type = kv_cache_type(f->cache),
        .head_dim_k = s->head_dim_k,
        .head_dim_v = s->head_dim_v,
        .scale = s->scale,
        .softcap = s->softcap,
        .pages = (const uint8_t *const *)forward_pages(f, r, stored),
        .k_at = kv_cache_k_at(f->cache, stored, head),
        .v_at = kv_cache_v_at(f->cache, stored, head)};
}

static void norm_head(
    const struct forward *f, const struct attention_layer *l, float *x, const struct norm *norm, size_t head)
{
    struct norm of = *norm;
    if (l->qk_norm == QK_EACH_HEAD && of.weight)
        of.weight += head * l->head_dim_k;
    forward_norm(&f->d->shape, x, x, of, l->head_dim_k);
}

/* Norms and rotates head `head` of queries or keys of one row, in place. */
static void prepare_head(const struct forward *f, const struct attention_layer *l, float *x,
    const struct norm *norm, size_t head, size_t row)
{
    const struct rope *rope = &f->d->ropes[l->rope];
    bool normed = l->qk_norm != QK_NONE && l->qk_norm != QK_ROW;
    if (normed && !l->norm_rotated)
        norm_head(f, l, x, norm, head);
    if (l->rotates)
        vector_rotate(
            x, f->attention.cos_sin[l->rope] + row * 2 * rope->pairs, rope->pairs, f->d->rope.halves);
    if (normed && l->norm_rotated)
        norm_head(f, l, x, norm, head);
}

static float temperature(const struct attention_temperature *t, size_t position)
{
    return 1.0f + t->scale * vector_log((float)((position + t->offset) / t->span) + 1.0f);
}

static void prepare_queries(const struct forward *f, const struct attention_layer *l, size_t first, size_t n,
    size_t row, size_t position)
{
    for (size_t h = first; h < first + n; h++) {
        float *q = f->attention.q + (row * l->n_head + h) * attention_q_room(l);
        prepare_head(f, l, q, &l->q_norm, h, row);
        if (l->temperature.scale != 0)
            vector_scale(q, q, temperature(&l->temperature, position), l->head_dim_k);
    }
}

void attention_prepare(const struct forward *f, size_t layer, const struct query_tile *t, size_t head)
{
    const struct attention_layer *l = &f->d->layers[layer].attention;
    const struct attention_memory *w = &f->attention;
    const struct batch_run *r = &f->runs[t->run];
    struct attention a = attention_head(f, layer, head, r);
    uint8_t *const *pages = forward_pages(f, r, layer);
    size_t group = l->n_head / l->n_head_kv;
    for (size_t row = t->row; row < t->row + t->n; row++) {
        size_t position = r->start + (row - r->row);
        float *k = w->k + (row * l->n_head_kv + head) * l->head_dim_k;
        float *v = w->v + (row * l->n_head_kv + head) * l->head_dim_v;
        prepare_queries(f, l, head * group, group, row, position);
        if (l->shares_cache)
            continue;
        prepare_head(f, l, k, &l->k_norm, head, row);
        if (l->v_norm)
            forward_norm(&f->d->shape, v, v, (struct norm){.bare = true}, l->head_dim_v);
        attention_store(&a, pages[position / ATTENTION_BLOCK], position % ATTENTION_BLOCK, k, v);
    }
}

void attention_prepare_rows(struct worker *m, const struct attention_layer *l)
{
    const struct decoder_shape *s = &m->f->d->shape;
    const struct attention_memory *w = &m->f->attention;
    size_t q_width = l->n_head * attention_q_room(l), k_width = (size_t)l->n_head_kv * l->head_dim_k;
    size_t v_width = (size_t)l->n_head_kv * l->head_dim_v;
    struct work_range rows = forward_work_range(m, m->f->n);
    for (size_t t = rows.first; t < rows.end; t++) {
        float *q = w->q + t * q_width, *k = w->k + t * k_width, *v = w->v + t * v_width;
        if (l->clamp > 0) {
            vector_clamp(q, q, l->clamp, q_width);
            vector_clamp(k, k, l->clamp, k_width);
            vector_clamp(v, v, l->clamp, v_width);
        }
        if (l->qk_norm == QK_ROW) {
            forward_norm(s, q, q, l->q_norm, q_width);
            forward_norm(s, k, k, l->k_norm, k_width);
        }
    }
    forward_barrier(m);
}

/* ---- gates ---- */

/* Makes n values of a gate the factors that they stand for. */
static void activate(enum attention_gate kind, float *gate, size_t n)
{
    if (kind == GATE_SIGMOID || kind == GATE_IN_Q) {
        vector_gate(gate, gate, NULL, VECTOR_SIGMOID, n);
        return;
    }
    if (kind == GATE_SOFTPLUS_2)
        vector_scale(gate, gate, LN_2, n);
    vector_softplus(gate, gate, n);
    if (kind == GATE_SOFTPLUS_2)
        vector_scale(gate, gate, LOG2_E, n);
}

void attention_apply_gate(
    const struct forward *f, const struct attention_layer *l, const struct query_tile *t, size_t head)
{
    const struct attention_memory *w = &f->attention;
    size_t group = l->n_head / l->n_head_kv, size = l->head_dim_v;
    for (size_t row = t->row; row < t->row + t->n; row++)
        for (size_t h = head * group; h < (head + 1) * group; h++) {
            size_t at = row * l->n_head + h;
            float *gate = w->q + at * attention_q_room(l) + l->head_dim_k, *out = w->att + at * size;
            bool one = l->gate.weight.rows == l->n_head; /* for all elements of the head */
            if (l->gated != GATE_IN_Q)
                gate = w->gate + at * (one ? 1 : size);
            activate(l->gated, gate, one ? 1 : size);
            if (one)
                vector_scale(out, out, *gate, size);
            else
                vector_multiply(out, out, gate, size);
        }
}
