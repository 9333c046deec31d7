/* layer_attention.c - the mixer "attention".
 *
 * The keys and values of a batch are stored before attention reads them, and are read as the cache stores them. So a result
 * does not depend on how the positions were cut into batches. The work is divided by key-value head and tile (some rows of
 * one sequence), because one query head is too little work and the query heads of a group read the same keys. There are
 * three ways, which give the same bits:
 *  - together: where no sequence has more rows than a tile, the worker that stores the keys of a head also computes the
 *    attention of its queries.
 *  - in turn: all keys are stored, then attention is computed, the longest ranges first.
 *  - split: where there are few tiles and heads for the workers, and ranges are long, their splits are divided among the
 *    workers, too, and merged afterwards.
 */
#include "layer_attention_private.h"

#include "forward_private.h"

#define SPLIT_ITEMS 4 /* rows and heads for each worker, from which on splits are not divided */
#define TILE_QUERIES 48 /* of a call of attention_run, for the best speed */

static struct layer_state state(const struct decoder *d, size_t i)
{
    const struct attention_layer *l = &d->layers[i].attention;
    if (l->shares_cache)
        return (struct layer_state){0};
    return (struct layer_state){.n_head_kv = l->n_head_kv,
        .head_dim_k = l->head_dim_k,
        .head_dim_v = l->head_dim_v,
        .window = l->centered ? 0 : l->window,
        .chunked = l->chunked};
}

/* ---- memory ---- */

/* The largest of all layers. */
struct attention_widths {
    size_t group, kv_heads, q, k, v, gate, values, att, part;
};

static struct attention_widths widths_of(const struct decoder *d)
{
    struct attention_widths w = {.group = 1};
    for (size_t i = 0; i < d->shape.n_layer; i++) {
        const struct attention_layer *l = &d->layers[i].attention;
        if (d->layers[i].mixer != &layer_attention)
            continue;
        const struct attention a = {.head_dim_k = l->head_dim_k, .head_dim_v = l->head_dim_v};
        w.group = larger(w.group, l->n_head / l->n_head_kv);
        w.kv_heads = larger(w.kv_heads, l->n_head_kv);
        w.q = larger(w.q, l->n_head * attention_q_room(l));
        w.k = larger(w.k, (size_t)l->n_head_kv * l->head_dim_k);
        w.v = larger(w.v, (size_t)l->n_head_kv * l->head_dim_v);
        w.att = larger(w.att, (size_t)l->n_head * l->head_dim_v);
        w.gate = larger(w.gate, l->gate.weight.rows);
        w.values = larger(w.values, l->values.n > 0 ? l->v.weight.rows : 0);
        w.part = larger(w.part, l->n_head * attention_part_floats(&a));
    }
    return w;
}

/* The tiles of a run have `rows` rows each, in order; the last one may have fewer. */
static size_t count_tiles(const struct forward *f, size_t rows)
{
    size_t tiles = 0;
    for (size_t i = 0; i < f->n_runs; i++)
        tiles += (f->runs[i].n + rows - 1) / rows;
    return tiles;
}

static uint32_t longest_end(const struct forward *f)
{
    uint32_t end = 0;
    for (size_t i = 0; i < f->n_runs; i++)
        end = f->runs[i].end > end ? f->runs[i].end : end;
    return end;
}

/* Chooses how the batch is divided. No result depends on it. */
static void choose_ways(struct forward *f, const struct attention_widths *widths)
{
    struct attention_memory *w = &f->attention;
    unsigned workers = pool_size(f->pool);
    uint32_t end = longest_end(f);
    w->tile_rows = widths->group >= TILE_QUERIES ? 1 : TILE_QUERIES / widths->group;
    w->split = workers > 1 && end > ATTENTION_SPLIT + ATTENTION_SPLIT / 2 &&
               f->n * widths->kv_heads < SPLIT_ITEMS * workers;
    if (w->split)
        w->tile_rows = 1;
    w->n_tiles = count_tiles(f, w->tile_rows);
    w->n_splits = (end + ATTENTION_SPLIT - 1) / ATTENTION_SPLIT;
    w->together = !w->split && w->n_tiles == f->n_runs;
}

static void workspace(struct forward *f, struct layout *lasting, struct layout *passing)
{
    struct attention_memory *w = &f->attention;
    struct attention_widths widths = widths_of(f->d);
    choose_ways(f, &widths);
    w->tiles = layout_take(lasting, w->n_tiles * sizeof(*w->tiles));
    for (size_t i = 0; i < f->d->n_ropes; i++)
        w->cos_sin[i] = layout_floats(lasting, f->n, 2 * f->d->ropes[i].pairs);
    w->q = layout_floats(passing, f->n, larger(widths.q, widths.att));
    w->k = layout_floats(passing, f->n, widths.k);
    w->v = layout_floats(passing, f->n, widths.v);
    w->gate = layout_floats(passing, f->n, widths.gate);
    w->expert_values = layout_floats(passing, f->n, widths.values);
    w->value_router = layout_floats(passing, widths.values > 0 ? f->n : 0, VALUE_EXPERTS_MAX);
    w->att = layout_floats(passing, f->n, widths.att);
    w->parts = layout_floats(passing, w->split ? f->n * w->n_splits : 0, widths.part);
}

/* ---- before the first layer ---- */

static void list_tiles(struct forward *f)
{
    struct query_tile *tile = f->attention.tiles;
    for (size_t i = 0; i < f->n_runs; i++)
        for (size_t at = 0, n; at < f->runs[i].n; at += n) {
            n = f->runs[i].n - at < f->attention.tile_rows ? f->runs[i].n - at : f->attention.tile_rows;
            *tile++ = (struct query_tile){.run = i, .row = f->runs[i].row + at, .n = n};
        }
}

/* The cosines and sines of all rows, for all layers with this rope. */
static void turn(struct worker *m, const struct rope *r, float *cos_sin)
{
    size_t pairs = r->pairs;
    struct work_range part = forward_work_range(m, m->f->n * pairs);
    for (size_t at = part.first, n; at < part.end; at += n) {
        size_t t = at / pairs, pair = at % pairs;
        n = pairs - pair < part.end - at ? pairs - pair : part.end - at;
        rope_cos_sin(r, m->f->batch->rows[t].position, pair, n, cos_sin + t * 2 * pairs);
    }
}

static void begin(struct worker *m)
{
    if (m->index == 0)
        list_tiles(m->f);
    for (size_t r = 0; r < m->f->d->n_ropes; r++)
        turn(m, &m->f->d->ropes[r], m->f->attention.cos_sin[r]);
}

/* ---- attention ---- */

/* One more than the last key that a position sees, of a batch that is not causal and ends at `end`. */
static uint32_t end_key(const struct attention_layer *l, uint32_t position, uint32_t end)
{
    uint32_t half = l->window / 2;
    return l->centered && l->window > 0 && end - position > half + 1 ? position + half + 1 : end;
}

/* The first key that a position sees. */
static uint32_t first_key(const struct attention_layer *l, uint32_t position)
{
    if (l->centered)
        return l->window > 0 && position > l->window / 2 ? position - l->window / 2 : 0;
    return (uint32_t)kv_first_key(l->window, l->chunked, position);
}

/* Lists the queries of a tile for one key-value head, row by row, because neighbours have nearly the same range. Returns
 * their number. */
static size_t list_queries(const struct forward *f, const struct attention_layer *l,
    const struct query_tile *t, size_t head, struct attention_query *out)
{
    const struct attention_memory *w = &f->attention;
    const struct batch_run *r = &f->runs[t->run];
    size_t group = l->n_head / l->n_head_kv, n = 0;
    for (size_t row = t->row; row < t->row + t->n; row++) {
        uint32_t position = r->start + (uint32_t)(row - r->row);
        uint32_t end = f->batch->causal ? position + 1 : end_key(l, position, r->end);
        for (size_t h = head * group; h < (head + 1) * group; h++)
            out[n++] = (struct attention_query){.q = w->q + (row * l->n_head + h) * attention_q_room(l),
                .out = w->att + (row * l->n_head + h) * l->head_dim_v,
                .first = first_key(l, position),
                .end = end,
                .slope = l->slopes ? l->slopes[h] : 0.0f,
                .position = position,
                .sink = l->sink ? l->sink + h : NULL};
    }
    return n;
}

static void attend_tile(const struct forward *f, size_t layer, const struct query_tile *t, size_t head)
{
    const struct attention_layer *l = &f->d->layers[layer].attention;
    struct attention a = attention_head(f, layer, head, &f->runs[t->run]);
    size_t group = l->n_head / l->n_head_kv;
    struct attention_query queries[ATTENTION_GROUP_MAX];
    size_t most = ATTENTION_GROUP_MAX / group;
    for (size_t at = 0; at < t->n; at += most) {
        struct query_tile part = {
            .run = t->run, .row = t->row + at, .n = t->n - at < most ? t->n - at : most};
        attention_run(&a, queries, list_queries(f, l, &part, head, queries));
    }
    if (l->gated != GATE_NONE)
        attention_apply_gate(f, l, t, head);
}

/* ---- the three ways ---- */

static void in_turn(struct worker *m, size_t layer)
{
    struct forward *f = m->f;
    size_t heads = f->d->layers[layer].attention.n_head_kv, items = f->attention.n_tiles * heads;
    for (size_t i; (i = forward_take(m)) < items;) {
        const struct query_tile *t =
            &f->attention.tiles[f->attention.together ? i / heads : f->attention.n_tiles - 1 - i / heads];
        if (f->attention.together)
            attention_prepare(f, layer, t, i % heads);
        attend_tile(f, layer, t, i % heads);
    }
    forward_barrier(m);
}

static void store_all(struct worker *m, size_t layer)
{
    struct forward *f = m->f;
    size_t heads = f->d->layers[layer].attention.n_head_kv, items = f->attention.n_tiles * heads;
    for (size_t i; (i = forward_take(m)) < items;)
        attention_prepare(f, layer, &f->attention.tiles[i / heads], i % heads);
    forward_barrier(m);
}

/* Parts are ordered by row, key-value head, split and query of the group, so a worker writes the parts of one split of a
 * row's head without gaps. */
static float *parts_of(const struct forward *f, const struct attention *a, const struct attention_layer *l,
    size_t row, size_t head, size_t split)
{
    size_t group = l->n_head / l->n_head_kv;
    return f->attention.parts +
           ((row * l->n_head_kv + head) * f->attention.n_splits + split) * group * attention_part_floats(a);
}

static void attend_split(
    const struct forward *f, size_t layer, size_t row, size_t run, size_t head, uint32_t split)
{
    const struct attention_layer *l = &f->d->layers[layer].attention;
    struct attention a = attention_head(f, layer, head, &f->runs[run]);
    struct attention_query queries[ATTENTION_GROUP_MAX];
    size_t n = list_queries(f, l, &(struct query_tile){.run = run, .row = row, .n = 1}, head, queries);
    attention_split(&a, queries, n, split, parts_of(f, &a, l, row, head, split));
}

static void merge_row(const struct forward *f, size_t layer, const struct query_tile *t, size_t head)
{
    const struct attention_layer *l = &f->d->layers[layer].attention;
    struct attention a = attention_head(f, layer, head, &f->runs[t->run]);
    size_t group = l->n_head / l->n_head_kv, floats = attention_part_floats(&a);
    struct attention_query queries[ATTENTION_GROUP_MAX];
    size_t n = list_queries(f, l, t, head, queries);
    for (size_t i = 0; i < n; i++)
        attention_merge(&a, queries + i, parts_of(f, &a, l, t->row, head, 0) + i * floats,
            f->attention.n_splits, group * floats);
    if (l->gated != GATE_NONE)
        attention_apply_gate(f, l, t, head);
}

/* Every tile has one row here. */
static void in_splits(struct worker *m, size_t layer)
{
    struct forward *f = m->f;
    size_t heads = f->d->layers[layer].attention.n_head_kv, items = f->attention.n_tiles * heads;
    for (size_t i; (i = forward_take(m)) < items * f->attention.n_splits;) {
        size_t item = i / f->attention.n_splits;
        const struct query_tile *t = &f->attention.tiles[item / heads];
        attend_split(f, layer, t->row, t->run, item % heads, (uint32_t)(i % f->attention.n_splits));
    }
    forward_barrier(m);
    for (size_t i; (i = forward_take(m)) < items;)
        merge_row(f, layer, &f->attention.tiles[i / heads], i % heads);
    forward_barrier(m);
}

static void run(struct worker *m, size_t i)
{
    struct attention_memory *w = &m->f->attention;
    const struct attention_layer *l = &m->f->d->layers[i].attention;
    size_t width = (size_t)l->n_head * l->head_dim_v;
    float *v = l->values.n > 0 ? w->expert_values : w->v;
    struct product products[5] = {{&l->q, w->q}};
    size_t n = 1;
    if (!l->shares_cache) {
        products[n++] = (struct product){&l->k, w->k};
        products[n++] = (struct product){&l->v, v};
    }
    if (l->gate.weight.rows > 0)
        products[n++] = (struct product){&l->gate, w->gate};
    if (l->values.n > 0)
        products[n++] = (struct product){&l->values.router, w->value_router};
    linear_multiply(m, products, n);
    if (l->values.n > 0)
        attention_mix_values(m, l);
    if (l->qk_norm == QK_ROW || l->clamp > 0)
        attention_prepare_rows(m, l);
    if (!w->together)
        store_all(m, i);
    if (w->split)
        in_splits(m, i);
    else
        in_turn(m, i);
    const float *att = forward_keep_wanted(m, i, w->att, width, w->q);
    if (!att)
        return;
    linear_input(m, att, width, linear_packs(&l->out));
    linear_multiply(m, (struct product[]){{&l->out, m->f->sum}}, 1);
}

const struct layer_kind layer_attention = {.name = "attention",
    .bind = attention_bind,
    .state = state,
    .workspace = workspace,
    .begin = begin,
    .run = run};
