/* attention.c - the middle of a layer: from queries, keys and values to what attention makes of them.
 *
 * The keys and values of a batch are stored before any of its queries is answered, and read back as the cache
 * holds them, so that it makes no difference which of them came in this batch and which in one before. The
 * work is divided by key-value head and tile (some rows of one sequence); one query head has too little to
 * do, and the heads of a group share the reading of keys. Three ways, which give the same bits:
 *  - together: where no sequence has more than a tile of rows, whoever stores a head's keys answers its
 *    queries.
 *  - in turn: all keys are stored, then all queries answered, the longest ranges first.
 *  - split: where there are fewer tiles and heads than workers could work on, and ranges are long, their
 *    splits are divided, too, and merged afterwards.
 */
#include "forward_private.h"

/* One head of one layer, as attention.h wants it. */
static struct attention head_of(const struct forward *f, size_t layer, size_t head, const struct batch_run *r)
{
    const struct decoder_shape *s = &f->d->shape;
    return (struct attention){.type = kv_cache_type(f->cache),
        .head_dim_k = s->head_dim_k,
        .head_dim_v = s->head_dim_v,
        .scale = s->attention_scale,
        .softcap = s->attention_softcap,
        .pages = (const uint8_t *const *)r->pages,
        .k_at = kv_cache_k_at(f->cache, layer, head),
        .v_at = kv_cache_v_at(f->cache, layer, head)};
}

/* ---- before it is stored ---- */

/* Queries or keys of one row, in place: normed head by head, and turned. */
static void prepare_heads(const struct forward *f, const struct layer *l, float *x, const float *norm,
    size_t first, size_t n, size_t row)
{
    const struct decoder_shape *s = &f->d->shape;
    const float *turns = f->cos_sin[l->rope] + row * s->n_rot;
    for (size_t h = first; h < first + n; h++) {
        float *head = x + h * s->head_dim_k;
        if (s->qk_norm == QK_HEAD)
            forward_norm(s, head, head, (struct norm){.weight = norm}, s->head_dim_k);
        else if (s->qk_norm == QK_EACH_HEAD && norm)
            forward_norm(s, head, head, (struct norm){.weight = norm + h * s->head_dim_k}, s->head_dim_k);
        if (l->rotates)
            vector_rotate(head, turns, s->n_rot / 2, s->rope_halves);
    }
}

/* The rows of a tile, for one key-value head and the query heads of its group. */
static void prepare_tile(const struct forward *f, size_t layer, const struct query_tile *t, size_t head)
{
    const struct decoder_shape *s = &f->d->shape;
    const struct layer *l = &f->d->layers[layer];
    const struct batch_run *r = &f->runs[t->run];
    struct attention a = head_of(f, layer, head, r);
    size_t group = l->n_head / l->n_head_kv;
    for (size_t row = t->row; row < t->row + t->n; row++) {
        float *k = f->k + row * l->n_head_kv * s->head_dim_k, *q = f->q + row * l->n_head * s->head_dim_k;
        const float *v = f->v + (row * l->n_head_kv + head) * s->head_dim_v;
        prepare_heads(f, l, k, l->k_norm, head, 1, row);
        prepare_heads(f, l, q, l->q_norm, head * group, group, row);
        size_t position = r->start + (row - r->row);
        attention_store(&a, r->pages[position / ATTENTION_BLOCK], position % ATTENTION_BLOCK,
            k + head * s->head_dim_k, v);
    }
}

/* Where a norm runs over all heads of a row, it comes before anything is done to one head. */
static void norm_rows(struct worker *m, const struct layer *l)
{
    const struct decoder_shape *s = &m->f->d->shape;
    size_t q_width = (size_t)l->n_head * s->head_dim_k, k_width = (size_t)l->n_head_kv * s->head_dim_k;
    struct work_range rows = forward_work_range(m, m->f->n);
    for (size_t t = rows.first; t < rows.end; t++) {
        float *q = m->f->q + t * q_width, *k = m->f->k + t * k_width;
        forward_norm(s, q, q, (struct norm){.weight = l->q_norm}, q_width);
        forward_norm(s, k, k, (struct norm){.weight = l->k_norm}, k_width);
    }
    forward_barrier(m);
}

/* ---- answers ---- */

/* The queries of a tile for one key-value head: row by row, since neighbours see nearly the same. Returns how
 * many. */
static size_t list_queries(const struct forward *f, const struct layer *l, const struct query_tile *t,
    size_t head, struct attention_query *out)
{
    const struct decoder_shape *s = &f->d->shape;
    const struct batch_run *r = &f->runs[t->run];
    size_t group = l->n_head / l->n_head_kv, n = 0;
    for (size_t row = t->row; row < t->row + t->n; row++) {
        uint32_t position = r->start + (uint32_t)(row - r->row);
        uint32_t end = f->batch->causal ? position + 1 : r->end;
        uint32_t first = l->window != 0 && position >= l->window ? position + 1 - l->window : 0;
        for (size_t h = head * group; h < (head + 1) * group; h++)
            out[n++] = (struct attention_query){.q = f->q + (row * l->n_head + h) * s->head_dim_k,
                .out = f->att + (row * l->n_head + h) * s->head_dim_v,
                .first = first,
                .end = end};
    }
    return n;
}

static void answer_tile(const struct forward *f, size_t layer, const struct query_tile *t, size_t head)
{
    const struct layer *l = &f->d->layers[layer];
    struct attention a = head_of(f, layer, head, &f->runs[t->run]);
    size_t group = l->n_head / l->n_head_kv;
    struct attention_query queries[DECODER_GROUP_MAX];
    size_t most = DECODER_GROUP_MAX / group;
    for (size_t at = 0; at < t->n; at += most) {
        struct query_tile part = {
            .run = t->run, .row = t->row + at, .n = t->n - at < most ? t->n - at : most};
        attention_run(&a, queries, list_queries(f, l, &part, head, queries));
    }
}

/* ---- the three ways ---- */

static void in_turn(struct worker *m, size_t layer)
{
    struct forward *f = m->f;
    size_t heads = f->d->layers[layer].n_head_kv, items = f->n_tiles * heads;
    for (size_t i; (i = forward_take(m)) < items;) {
        const struct query_tile *t = &f->tiles[f->together ? i / heads : f->n_tiles - 1 - i / heads];
        if (f->together)
            prepare_tile(f, layer, t, i % heads);
        answer_tile(f, layer, t, i % heads);
    }
    forward_barrier(m);
}

static void store_all(struct worker *m, size_t layer)
{
    struct forward *f = m->f;
    size_t heads = f->d->layers[layer].n_head_kv, items = f->n_tiles * heads;
    for (size_t i; (i = forward_take(m)) < items;)
        prepare_tile(f, layer, &f->tiles[i / heads], i % heads);
    forward_barrier(m);
}

/* Parts lie by row, key-value head, split and query of the group, so that whoever works on one split of a row's
 * head writes one stretch. */
static float *parts_of(const struct forward *f, const struct attention *a, const struct layer *l, size_t row,
    size_t head, size_t split)
{
    size_t group = l->n_head / l->n_head_kv;
    return f->parts + ((row * l->n_head_kv + head) * f->n_splits + split) * group * attention_part_floats(a);
}

static void answer_span(
    const struct forward *f, size_t layer, size_t row, size_t run, size_t head, uint32_t split)
{
    const struct layer *l = &f->d->layers[layer];
    struct attention a = head_of(f, layer, head, &f->runs[run]);
    struct attention_query queries[DECODER_GROUP_MAX];
    size_t n = list_queries(f, l, &(struct query_tile){.run = run, .row = row, .n = 1}, head, queries);
    attention_split(&a, queries, n, split, parts_of(f, &a, l, row, head, split));
}

static void merge_row(const struct forward *f, size_t layer, size_t row, size_t run, size_t head)
{
    const struct layer *l = &f->d->layers[layer];
    struct attention a = head_of(f, layer, head, &f->runs[run]);
    size_t group = l->n_head / l->n_head_kv, floats = attention_part_floats(&a);
    struct attention_query queries[DECODER_GROUP_MAX];
    size_t n = list_queries(f, l, &(struct query_tile){.run = run, .row = row, .n = 1}, head, queries);
    for (size_t i = 0; i < n; i++)
        attention_merge(
            &a, parts_of(f, &a, l, row, head, 0) + i * floats, f->n_splits, group * floats, queries[i].out);
}

/* Here every tile is one row. */
static void by_spans(struct worker *m, size_t layer)
{
    struct forward *f = m->f;
    size_t heads = f->d->layers[layer].n_head_kv, items = f->n_tiles * heads;
    for (size_t i; (i = forward_take(m)) < items * f->n_splits;) {
        size_t item = i / f->n_splits;
        const struct query_tile *t = &f->tiles[item / heads];
        answer_span(f, layer, t->row, t->run, item % heads, (uint32_t)(i % f->n_splits));
    }
    forward_barrier(m);
    for (size_t i; (i = forward_take(m)) < items;)
        merge_row(f, layer, f->tiles[i / heads].row, f->tiles[i / heads].run, i % heads);
    forward_barrier(m);
}

void forward_attention(struct worker *m, size_t i)
{
    struct forward *f = m->f;
    if (m->index == 0 && f->stop && atomic_load_explicit(f->stop, memory_order_relaxed))
        f->stopping = true;
    if (f->d->shape.qk_norm == QK_ROW)
        norm_rows(m, &f->d->layers[i]);
    if (!f->together)
        store_all(m, i);
    if (f->split)
        by_spans(m, i);
    else
        in_turn(m, i);
}
