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

#include "bind_private.h"
#include "forward_private.h"

#define SPLIT_ITEMS 4 /* rows and heads for each worker, from which on splits are not divided */
#define TILE_QUERIES 48 /* of a call of attention_run, for the best speed */

/* ---- weights ---- */

static bool bind_qk_norm(
    struct binder *b, const struct attention_layer *l, struct stem stem, size_t heads, const float **out)
{
    struct name weight = bind_name(stem.text, "weight");
    if (l->qk_norm_optional && !bind_has(b, stem.text))
        return true;
    switch (l->qk_norm) {
    case QK_HEAD:
        return bind_vector(b, weight.text, 1, l->head_dim_k, out);
    case QK_EACH_HEAD:
        return bind_optional(b, weight.text, heads, l->head_dim_k, out);
    case QK_ROW:
        return bind_vector(b, weight.text, 1, heads * l->head_dim_k, out);
    case QK_NONE:
        break;
    }
    return true;
}

static bool bind_qkv(struct binder *b, size_t i, struct attention_layer *l)
{
    size_t n_embd = binder_decoder(b)->shape.n_embd;
    size_t q = (size_t)l->n_head * l->head_dim_k, k = (size_t)l->n_head_kv * l->head_dim_k;
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
    return bind_linear(b, bind_stem(i, "attn_q").text, q, n_embd, &l->q) &&
           bind_linear(b, bind_stem(i, "attn_k").text, k, n_embd, &l->k) &&
           bind_linear(b, bind_stem(i, "attn_v").text, v, n_embd, &l->v);
}

static bool bind(struct binder *b, size_t i)
{
    struct decoder *d = binder_decoder(b);
    struct layer *layer = &d->layers[i];
    struct attention_layer *l = &layer->attention;
    bool good = bind_qkv(b, i, l) && bind_qk_norm(b, l, bind_stem(i, "attn_q_norm"), l->n_head, &l->q_norm) &&
                bind_qk_norm(b, l, bind_stem(i, "attn_k_norm"), l->n_head_kv, &l->k_norm) &&
                bind_linear(b, bind_stem(i, "attn_output").text, d->shape.n_embd,
                    (size_t)l->n_head * l->head_dim_v, &l->out);
    if (l->no_out_bias)
        l->out.bias = NULL;
    layer->mixer_packs = good && (linear_packs(&l->q) || linear_packs(&l->k) || linear_packs(&l->v));
    return good;
}

static struct layer_state state(const struct decoder *d, size_t i)
{
    const struct attention_layer *l = &d->layers[i].attention;
    return (struct layer_state){
        .n_head_kv = l->n_head_kv, .head_dim_k = l->head_dim_k, .head_dim_v = l->head_dim_v};
}

/* ---- memory ---- */

/* The largest of all layers. */
struct widths {
    size_t group, kv_heads, q, k, v, att, part;
};

static struct widths widths_of(const struct decoder *d)
{
    struct widths w = {.group = 1};
    for (size_t i = 0; i < d->shape.n_layer; i++) {
        const struct attention_layer *l = &d->layers[i].attention;
        if (d->layers[i].mixer != &layer_attention)
            continue;
        const struct attention a = {.head_dim_k = l->head_dim_k, .head_dim_v = l->head_dim_v};
        w.group = larger(w.group, l->n_head / l->n_head_kv);
        w.kv_heads = larger(w.kv_heads, l->n_head_kv);
        w.q = larger(w.q, (size_t)l->n_head * l->head_dim_k);
        w.k = larger(w.k, (size_t)l->n_head_kv * l->head_dim_k);
        w.v = larger(w.v, (size_t)l->n_head_kv * l->head_dim_v);
        w.att = larger(w.att, (size_t)l->n_head * l->head_dim_v);
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
static void choose_ways(struct forward *f, const struct widths *widths)
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
    struct widths widths = widths_of(f->d);
    choose_ways(f, &widths);
    w->tiles = layout_take(lasting, w->n_tiles * sizeof(*w->tiles));
    for (size_t i = 0; i < f->d->n_ropes; i++)
        w->cos_sin[i] = layout_floats(lasting, f->n, f->d->rope.n_rot);
    w->q = layout_floats(passing, f->n, larger(widths.q, widths.att));
    w->k = layout_floats(passing, f->n, widths.k);
    w->v = layout_floats(passing, f->n, widths.v);
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

/* The tiles, and the cosines and sines of all rows, for all layers. */
static void begin(struct worker *m)
{
    struct forward *f = m->f;
    size_t pairs = f->d->rope.n_rot / 2;
    struct work_range part = forward_work_range(m, f->n * pairs);
    if (m->index == 0)
        list_tiles(f);
    for (size_t r = 0; r < f->d->n_ropes; r++)
        for (size_t at = part.first, n; at < part.end; at += n) {
            size_t t = at / pairs, pair = at % pairs;
            n = pairs - pair < part.end - at ? pairs - pair : part.end - at;
            rope_cos_sin(&f->d->ropes[r], f->batch->rows[t].position, pair, n,
                f->attention.cos_sin[r] + t * 2 * pairs);
        }
}

/* ---- one head ---- */

/* One head of one layer, in the form that attention.h takes. */
static struct attention head_of(const struct forward *f, size_t layer, size_t head, const struct batch_run *r)
{
    const struct attention_layer *s = &f->d->layers[layer].attention;
    return (struct attention){.type = kv_cache_type(f->cache),
        .head_dim_k = s->head_dim_k,
        .head_dim_v = s->head_dim_v,
        .scale = s->scale,
        .softcap = s->softcap,
        .pages = (const uint8_t *const *)r->pages,
        .k_at = kv_cache_k_at(f->cache, layer, head),
        .v_at = kv_cache_v_at(f->cache, layer, head)};
}

/* ---- queries and keys ---- */

/* Applies the norms of heads and the rotation to queries or keys of one row, in place. */
static void prepare_heads(const struct forward *f, const struct attention_layer *l, float *x,
    const float *norm, size_t first, size_t n, size_t row)
{
    const struct decoder_shape *s = &f->d->shape;
    const struct rope_fields *rope = &f->d->rope;
    const float *cos_sin = f->attention.cos_sin[l->rope] + row * rope->n_rot;
    for (size_t h = first; h < first + n; h++) {
        float *head = x + h * l->head_dim_k;
        if (l->qk_norm == QK_HEAD && norm)
            forward_norm(s, head, head, (struct norm){.weight = norm}, l->head_dim_k);
        else if (l->qk_norm == QK_EACH_HEAD && norm)
            forward_norm(s, head, head, (struct norm){.weight = norm + h * l->head_dim_k}, l->head_dim_k);
        if (l->rotates)
            vector_rotate(head, cos_sin, rope->n_rot / 2, rope->halves);
    }
}

/* Prepares the rows of a tile for one key-value head and the query heads of its group, and stores keys and values. */
static void prepare_tile(const struct forward *f, size_t layer, const struct query_tile *t, size_t head)
{
    const struct attention_layer *l = &f->d->layers[layer].attention;
    const struct attention_memory *w = &f->attention;
    const struct batch_run *r = &f->runs[t->run];
    struct attention a = head_of(f, layer, head, r);
    size_t group = l->n_head / l->n_head_kv;
    for (size_t row = t->row; row < t->row + t->n; row++) {
        float *k = w->k + row * l->n_head_kv * l->head_dim_k, *q = w->q + row * l->n_head * l->head_dim_k;
        const float *v = w->v + (row * l->n_head_kv + head) * l->head_dim_v;
        prepare_heads(f, l, k, l->k_norm, head, 1, row);
        prepare_heads(f, l, q, l->q_norm, head * group, group, row);
        size_t position = r->start + (row - r->row);
        attention_store(&a, r->pages[position / ATTENTION_BLOCK], position % ATTENTION_BLOCK,
            k + head * l->head_dim_k, v);
    }
}

/* A norm over all heads of a row, before any head is prepared. */
static void norm_rows(struct worker *m, const struct attention_layer *l)
{
    const struct decoder_shape *s = &m->f->d->shape;
    size_t q_width = (size_t)l->n_head * l->head_dim_k, k_width = (size_t)l->n_head_kv * l->head_dim_k;
    struct work_range rows = forward_work_range(m, m->f->n);
    for (size_t t = rows.first; t < rows.end; t++) {
        float *q = m->f->attention.q + t * q_width, *k = m->f->attention.k + t * k_width;
        forward_norm(s, q, q, (struct norm){.weight = l->q_norm}, q_width);
        forward_norm(s, k, k, (struct norm){.weight = l->k_norm}, k_width);
    }
    forward_barrier(m);
}

/* ---- attention ---- */

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
        uint32_t end = f->batch->causal ? position + 1 : r->end;
        uint32_t first = l->window != 0 && position >= l->window ? position + 1 - l->window : 0;
        for (size_t h = head * group; h < (head + 1) * group; h++)
            out[n++] = (struct attention_query){.q = w->q + (row * l->n_head + h) * l->head_dim_k,
                .out = w->att + (row * l->n_head + h) * l->head_dim_v,
                .first = first,
                .end = end};
    }
    return n;
}

static void attend_tile(const struct forward *f, size_t layer, const struct query_tile *t, size_t head)
{
    const struct attention_layer *l = &f->d->layers[layer].attention;
    struct attention a = head_of(f, layer, head, &f->runs[t->run]);
    size_t group = l->n_head / l->n_head_kv;
    struct attention_query queries[ATTENTION_GROUP_MAX];
    size_t most = ATTENTION_GROUP_MAX / group;
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
    size_t heads = f->d->layers[layer].attention.n_head_kv, items = f->attention.n_tiles * heads;
    for (size_t i; (i = forward_take(m)) < items;) {
        const struct query_tile *t =
            &f->attention.tiles[f->attention.together ? i / heads : f->attention.n_tiles - 1 - i / heads];
        if (f->attention.together)
            prepare_tile(f, layer, t, i % heads);
        attend_tile(f, layer, t, i % heads);
    }
    forward_barrier(m);
}

static void store_all(struct worker *m, size_t layer)
{
    struct forward *f = m->f;
    size_t heads = f->d->layers[layer].attention.n_head_kv, items = f->attention.n_tiles * heads;
    for (size_t i; (i = forward_take(m)) < items;)
        prepare_tile(f, layer, &f->attention.tiles[i / heads], i % heads);
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
    struct attention a = head_of(f, layer, head, &f->runs[run]);
    struct attention_query queries[ATTENTION_GROUP_MAX];
    size_t n = list_queries(f, l, &(struct query_tile){.run = run, .row = row, .n = 1}, head, queries);
    attention_split(&a, queries, n, split, parts_of(f, &a, l, row, head, split));
}

static void merge_row(const struct forward *f, size_t layer, size_t row, size_t run, size_t head)
{
    const struct attention_layer *l = &f->d->layers[layer].attention;
    struct attention a = head_of(f, layer, head, &f->runs[run]);
    size_t group = l->n_head / l->n_head_kv, floats = attention_part_floats(&a);
    struct attention_query queries[ATTENTION_GROUP_MAX];
    size_t n = list_queries(f, l, &(struct query_tile){.run = run, .row = row, .n = 1}, head, queries);
    for (size_t i = 0; i < n; i++)
        attention_merge(&a, queries + i, parts_of(f, &a, l, row, head, 0) + i * floats, f->attention.n_splits,
            group * floats);
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
        merge_row(f, layer, f->attention.tiles[i / heads].row, f->attention.tiles[i / heads].run, i % heads);
    forward_barrier(m);
}

static void run(struct worker *m, size_t i)
{
    struct attention_memory *w = &m->f->attention;
    const struct attention_layer *l = &m->f->d->layers[i].attention;
    size_t width = (size_t)l->n_head * l->head_dim_v;
    linear_multiply(m, (struct product[]){{&l->q, w->q}, {&l->k, w->k}, {&l->v, w->v}}, 3);
    if (l->qk_norm == QK_ROW)
        norm_rows(m, l);
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

const struct layer_kind layer_attention = {
    .name = "attention", .bind = bind, .state = state, .workspace = workspace, .begin = begin, .run = run};
