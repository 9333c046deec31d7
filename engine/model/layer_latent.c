/* layer_latent.c - the mixer "latent attention".
 *
 * It is attention with one key-value head, whose values are the first part of its keys and are not stored again.
 * Products by a head's own matrix are divided among the workers by head and by rows of the matrix. Attention is divided
 * by rows and heads; where there are few rows and long ranges, by row and split of positions, and merged afterwards. No
 * result depends on it.
 */
#include "layer_latent_private.h"

#include "bind_private.h"
#include "forward_private.h"

#include "berth/kernels/quant.h"

#include <math.h>
#include <string.h>

#define TILE_QUERIES 48 /* of a call of attention_run, for the best speed */
#define SPLIT_ROWS 4 /* up to so many rows, splits of positions are divided */

/* ---- weights ---- */

static bool bind_queries(struct binder *b, size_t i, struct latent_layer *l, size_t width)
{
    size_t n_embd = binder_decoder(b)->shape.n_embd;
    struct stem whole = bind_stem(i, "attn_q");
    l->full_rank = l->n_query == 0 || bind_has(b, whole.text);
    if (l->full_rank)
        return bind_linear(b, whole.text, width, n_embd, &l->query);
    return bind_linear(b, bind_stem(i, "attn_q_a").text, l->n_query, n_embd, &l->query_low) &&
           bind_vector(b, bind_stem(i, "attn_q_a_norm.weight").text, 1, l->n_query, &l->query_norm) &&
           bind_linear(b, bind_stem(i, "attn_q_b").text, width, l->n_query, &l->query);
}

/* The matrices of keys and values of each head: two tensors, or one in older files. */
static bool bind_heads(struct binder *b, size_t i, struct latent_layer *l)
{
    struct stem joined = bind_stem(i, "attn_kv_b");
    size_t rows = (size_t)l->n_nope + l->n_value;
    l->is_joined = bind_has(b, joined.text);
    if (!l->is_joined)
        return bind_experts(b, bind_stem(i, "attn_k_b").text, l->n_head, l->n_latent, l->n_nope, &l->key) &&
               bind_experts(b, bind_stem(i, "attn_v_b").text, l->n_head, l->n_value, l->n_latent, &l->value);
    if (!bind_linear(b, joined.text, l->n_head * rows, l->n_latent, &l->joined))
        return false;
    l->joined.bias = NULL;
    l->value = (struct expert_weights){
        .first = linear_part(&l->joined, l->n_nope, l->n_value), .bytes = rows * l->joined.weight.row_bytes};
    return true;
}

static bool bind_gate(struct binder *b, size_t i, struct latent_layer *l)
{
    size_t elements = (size_t)l->n_head * l->n_value, n_embd = binder_decoder(b)->shape.n_embd;
    struct stem stem = bind_stem(i, "attn_gate");
    size_t rows = bind_rows(b, stem.text) == l->n_head ? l->n_head : elements;
    return !l->gated || bind_linear(b, stem.text, rows, n_embd, &l->gate);
}

static bool bind(struct binder *b, size_t i)
{
    struct decoder *d = binder_decoder(b);
    struct layer *layer = &d->layers[i];
    struct latent_layer *l = &layer->latent;
    size_t n_embd = d->shape.n_embd, n_rot = d->rope.global.n_rot;
    bool good =
        bind_queries(b, i, l, l->n_head * (l->n_nope + n_rot)) &&
        bind_linear(b, bind_stem(i, "attn_kv_a_mqa").text, l->n_latent + n_rot, n_embd, &l->low) &&
        bind_vector(b, bind_stem(i, "attn_kv_a_norm.weight").text, 1, l->n_latent, &l->latent_norm) &&
        (!l->norms_rotated ||
            bind_vector(b, bind_stem(i, "attn_k_norm.weight").text, 1, n_rot, &l->rotated_norm)) &&
        bind_heads(b, i, l) && bind_gate(b, i, l) &&
        bind_linear(b, bind_stem(i, "attn_output").text, n_embd, (size_t)l->n_head * l->n_value, &l->out);
    if (good)
        layer->mixer_packs = linear_packs(&l->low) ||
                             linear_packs(l->full_rank ? &l->query : &l->query_low) ||
                             (l->gated && linear_packs(&l->gate));
    return good;
}

static struct layer_state state(const struct decoder *d, size_t i)
{
    const struct latent_layer *l = &d->layers[i].latent;
    return (struct layer_state){.n_head_kv = 1,
        .head_dim_k = l->n_latent + d->rope.global.n_rot,
        .head_dim_v = l->n_latent,
        .values_in_keys = true,
        .window = l->window};
}

/* ---- memory ---- */

/* The largest of all layers. */
struct latent_widths {
    size_t heads, query_low, latent, query, value, gate, packed, part;
};

static size_t packed_bytes(size_t rows, size_t columns)
{
    return matmul_packed_bytes(rows, (columns + 31) / 32 * 32);
}

static struct latent_widths widths_of(const struct forward *f)
{
    struct latent_widths w = {.heads = 1};
    for (size_t i = 0; i < f->d->shape.n_layer; i++) {
        const struct latent_layer *l = &f->d->layers[i].latent;
        if (f->d->layers[i].mixer != &layer_latent)
            continue;
        const struct attention a = {.head_dim_k = l->n_latent, .head_dim_v = l->n_latent};
        size_t columns = larger(l->n_nope, l->n_latent);
        w.heads = larger(w.heads, l->n_head);
        w.query_low = larger(w.query_low, l->n_query);
        w.latent = larger(w.latent, l->n_latent);
        w.query = larger(w.query, l->n_nope);
        w.value = larger(w.value, l->n_value);
        w.gate = larger(w.gate, l->gated ? l->gate.weight.rows : 0);
        w.packed = larger(w.packed, l->n_head * packed_bytes(f->n, columns));
        w.part = larger(w.part, attention_part_floats(&a));
    }
    return w;
}

static size_t rows_up(size_t n, size_t step)
{
    return (n + step - 1) / step * step;
}

/* Chooses how the batch is divided. */
static void choose_ways(struct forward *f, size_t heads)
{
    struct latent_memory *w = &f->latent;
    unsigned workers = pool_size(f->pool);
    uint32_t end = 0;
    w->tile_rows = heads >= TILE_QUERIES ? 1 : TILE_QUERIES / heads;
    w->tile_heads = heads < TILE_QUERIES ? heads : TILE_QUERIES;
    w->n_tiles = 0;
    for (size_t i = 0; i < f->n_runs; i++)
        end = f->runs[i].end > end ? f->runs[i].end : end;
    w->split = workers > 1 && f->n <= SPLIT_ROWS && end > ATTENTION_SPLIT + ATTENTION_SPLIT / 2;
    if (w->split)
        w->tile_rows = 1;
    for (size_t i = 0; i < f->n_runs; i++)
        w->n_tiles += (f->runs[i].n + w->tile_rows - 1) / w->tile_rows;
    while (!w->split && w->n_tiles * ((heads + w->tile_heads - 1) / w->tile_heads) < workers &&
           w->tile_heads > 4)
        w->tile_heads = (w->tile_heads + 1) / 2;
    w->n_splits = (end + ATTENTION_SPLIT - 1) / ATTENTION_SPLIT;
}

static void workspace(struct forward *f, struct layout *lasting, struct layout *passing)
{
    struct latent_memory *w = &f->latent;
    struct latent_widths widths = widths_of(f);
    size_t n_rot = f->d->rope.global.n_rot, rows = f->n * widths.heads;
    choose_ways(f, widths.heads);
    size_t parts = rows_up(widths.heads, w->tile_heads) * f->n * w->n_splits;
    w->tiles = layout_take(lasting, w->n_tiles * sizeof(*w->tiles));
    for (size_t i = 0; i < 2; i++)
        w->cos_sin[i] = layout_floats(lasting, f->n, n_rot);
    w->gate = layout_floats(passing, f->n, widths.gate);
    w->query_low = layout_floats(passing, f->n, widths.query_low);
    w->low = layout_floats(passing, f->n, widths.latent + n_rot);
    w->query = layout_floats(passing, rows, widths.query + n_rot);
    w->latent_query = layout_floats(passing, rows, widths.latent + n_rot);
    w->att = layout_floats(passing, rows, widths.latent);
    w->value = layout_floats(passing, rows, widths.value);
    w->parts = layout_floats(passing, w->split ? parts : 0, widths.part);
    w->packed = layout_take(passing, widths.packed);
}

/* ---- before the first layer ---- */

static void begin(struct worker *m)
{
    struct forward *f = m->f;
    struct latent_memory *w = &f->latent;
    size_t n_rot = f->d->rope.global.n_rot;
    struct work_range rows = forward_work_range(m, f->n);
    struct query_tile *tile = w->tiles;
    for (size_t t = rows.first; t < rows.end; t++)
        for (size_t i = 0; i < 2; i++)
            rope_cos_sin(
                &f->d->ropes[i], f->batch->rows[t].position, 0, n_rot / 2, w->cos_sin[i] + t * n_rot);
    for (size_t i = 0; i < f->n_runs && m->index == 0; i++)
        for (size_t at = 0, n; at < f->runs[i].n; at += n) {
            n = f->runs[i].n - at < w->tile_rows ? f->runs[i].n - at : w->tile_rows;
            *tile++ = (struct query_tile){.run = i, .row = f->runs[i].row + at, .n = n};
        }
}

/* ---- products by the matrix of each head ---- */

/* Rows of a head's elements: element 0 of head h in row t is at x + t * row + h * head. */
struct head_rows {
    float *x;
    size_t row, head;
};

static struct matmul_input head_input(
    const struct worker *m, const struct head_rows *x, size_t head, size_t columns, bool packs)
{
    return (struct matmul_input){.x = x->x + head * x->head,
        .stride = x->row,
        .tokens = m->n,
        .columns = columns,
        .packed = packs ? m->f->latent.packed + head * packed_bytes(m->f->n, columns) : NULL};
}

/* out of a head = its matrix * in of the head, for all heads. */
static void multiply_heads(struct worker *m, const struct expert_weights *w, size_t n_head,
    struct head_rows in, struct head_rows out)
{
    size_t columns = w->first.weight.columns, rows = w->first.weight.rows;
    bool packs = linear_packs(&w->first);
    struct work_range heads = forward_work_range(m, n_head);
    for (size_t h = heads.first; h < heads.end && packs; h++) {
        struct matmul_input head = head_input(m, &in, h, columns, true);
        matmul_pack(&head, 0, m->n);
    }
    if (packs)
        forward_barrier(m);
    size_t piece = linear_piece_rows(m, rows * n_head);
    piece = piece < rows ? piece : rows;
    size_t pieces = linear_pieces(rows, piece);
    struct weight_walk walk = weight_walk_begin(m, n_head * pieces);
    for (size_t at; weight_walk_next(&walk, m, &at);) {
        size_t h = at / pieces;
        struct linear of_head = expert_linear(w, h);
        struct matmul_input head = head_input(m, &in, h, columns, packs);
        struct work_range part = linear_piece(at % pieces, rows, piece);
        linear_rows(&of_head, &head, part.first, part.end - part.first, out.x + h * out.head, out.row);
    }
    forward_barrier(m);
}

/* The same by the transposed rows of keys in the joined matrix: the rows, each multiplied by an element of the query, are
 * added in order. */
static void multiply_joined(
    struct worker *m, const struct latent_layer *l, struct head_rows in, struct head_rows out)
{
    const struct matmul_weight *w = &l->joined.weight;
    float row[ATTENTION_HEAD_MAX];
    for (size_t h; (h = forward_take(m)) < l->n_head;) {
        const uint8_t *data = w->data + h * (l->n_nope + l->n_value) * w->row_bytes;
        for (size_t t = 0; t < m->n; t++)
            memset(out.x + t * out.row + h * out.head, 0, l->n_latent * sizeof(float));
        for (size_t r = 0; r < l->n_nope; r++) {
            quant_to_floats(w->type, row, data + r * w->row_bytes, l->n_latent / w->type->block_elems);
            if (l->joined.scale)
                vector_scale(row, row, *l->joined.scale, l->n_latent);
            for (size_t t = 0; t < m->n; t++)
                vector_add_scaled(
                    out.x + t * out.row + h * out.head, row, in.x[t * in.row + h * in.head + r], l->n_latent);
        }
    }
    forward_barrier(m);
}

/* ---- keys and queries ---- */

static struct attention head_of(const struct forward *f, size_t layer, const struct batch_run *r)
{
    const struct latent_layer *l = &f->d->layers[layer].latent;
    return (struct attention){.type = kv_cache_type(f->cache),
        .head_dim_k = l->n_latent + f->d->rope.global.n_rot,
        .head_dim_v = l->n_latent,
        .scale = l->scale,
        .pages = (const uint8_t *const *)forward_pages(f, r, layer),
        .values_in_keys = true,
        .k_at = kv_cache_k_at(f->cache, layer, 0)};
}

static const struct batch_run *run_of(const struct forward *f, size_t row)
{
    const struct batch_run *r = f->runs;
    while (row >= r->row + r->n)
        r++;
    return r;
}

/* Norms what is of low rank, rotates the key's part, and stores keys and values: each worker its share of the rows. */
static void store(struct worker *m, size_t layer, const struct latent_layer *l)
{
    const struct forward *f = m->f;
    const struct latent_memory *w = &f->latent;
    const struct decoder_shape *s = &f->d->shape;
    size_t n_rot = f->d->rope.global.n_rot;
    struct work_range rows = forward_work_range(m, f->n);
    for (size_t t = rows.first; t < rows.end; t++) {
        float *key = w->low + t * (l->n_latent + n_rot), *low = w->query_low + t * l->n_query;
        const struct batch_run *r = run_of(f, t);
        size_t position = r->start + (t - r->row);
        struct attention a = head_of(f, layer, r);
        if (!l->full_rank)
            vector_rms_norm(low, low, l->query_norm, s->epsilon, l->n_query);
        vector_rms_norm(key, key, l->latent_norm, s->epsilon, l->n_latent);
        if (l->norms_rotated)
            vector_rms_norm(key + l->n_latent, key + l->n_latent, l->rotated_norm, s->epsilon, n_rot);
        if (l->rotates)
            vector_rotate(key + l->n_latent, w->cos_sin[l->rope] + t * n_rot, n_rot / 2, f->d->rope.halves);
        uint8_t *page = forward_pages(f, r, layer)[position / ATTENTION_BLOCK];
        attention_store(&a, page, position % ATTENTION_BLOCK, key, NULL);
    }
    forward_barrier(m);
}

static float temperature(const struct latent_layer *l, uint32_t position)
{
    if (l->temperature == 0)
        return 1;
    return 1 + l->temperature * vector_log(1 + floorf((float)position / (float)l->temperature_length));
}

/* Takes queries to the latent's space, behind which their rotated parts come. */
static void prepare_queries(struct worker *m, const struct latent_layer *l)
{
    const struct forward *f = m->f;
    const struct latent_memory *w = &f->latent;
    size_t n_rot = f->d->rope.global.n_rot, size = l->n_nope + n_rot, wide = l->n_latent + n_rot;
    struct head_rows in = {w->query, l->n_head * size, size}, out = {w->latent_query, l->n_head * wide, wide};
    struct work_range rows = forward_work_range(m, f->n);
    for (size_t t = rows.first; t < rows.end; t++) {
        float *q = in.x + t * in.row, factor = temperature(l, f->batch->rows[t].position);
        if (factor != 1)
            vector_scale(q, q, factor, in.row);
        for (size_t h = 0; h < l->n_head; h++) {
            float *rotated = out.x + t * out.row + h * wide + l->n_latent;
            memcpy(rotated, q + h * size + l->n_nope, n_rot * sizeof(*q));
            if (l->rotates)
                vector_rotate(rotated, w->cos_sin[l->rope] + t * n_rot, n_rot / 2, f->d->rope.halves);
        }
    }
    if (l->temperature != 0)
        forward_barrier(m);
    if (l->is_joined)
        multiply_joined(m, l, in, out);
    else
        multiply_heads(m, &l->key, l->n_head, in, out);
}

/* ---- attention ---- */

/* Lists the queries of a tile's rows for `n_heads` heads. Returns their number. */
static size_t list_queries(const struct forward *f, const struct latent_layer *l, const struct query_tile *t,
    size_t head, size_t n_heads, struct attention_query *out)
{
    const struct batch_run *r = &f->runs[t->run];
    size_t n = 0, wide = l->n_latent + f->d->rope.global.n_rot;
    for (size_t row = t->row; row < t->row + t->n; row++) {
        uint32_t position = r->start + (uint32_t)(row - r->row);
        uint32_t end = f->batch->causal ? position + 1 : r->end;
        for (size_t h = head; h < head + n_heads; h++)
            out[n++] = (struct attention_query){.q = f->latent.latent_query + (row * l->n_head + h) * wide,
                .out = f->latent.att + (row * l->n_head + h) * l->n_latent,
                .first = (uint32_t)kv_first_key(l->window, false, position),
                .end = end};
    }
    return n;
}

/* An item is a tile and some of its heads. */
struct attend_item {
    const struct query_tile *tile;
    size_t head, n_heads;
};

static struct attend_item item_at(
    const struct forward *f, const struct latent_layer *l, size_t i, size_t chunks)
{
    const struct latent_memory *w = &f->latent;
    size_t head = i % chunks * w->tile_heads;
    return (struct attend_item){.tile = &w->tiles[i / chunks],
        .head = head,
        .n_heads = l->n_head - head < w->tile_heads ? l->n_head - head : w->tile_heads};
}

static void attend(struct worker *m, size_t layer, const struct latent_layer *l)
{
    const struct forward *f = m->f;
    const struct latent_memory *w = &f->latent;
    struct attention_query queries[TILE_QUERIES];
    size_t chunks = (l->n_head + w->tile_heads - 1) / w->tile_heads, items = w->n_tiles * chunks;
    for (size_t i; (i = forward_take(m)) < items;) {
        struct attend_item item = item_at(f, l, items - 1 - i, chunks);
        struct attention a = head_of(f, layer, &f->runs[item.tile->run]);
        attention_run(&a, queries, list_queries(f, l, item.tile, item.head, item.n_heads, queries));
    }
    forward_barrier(m);
}

/* Parts are ordered by item, split and head of the item. Every tile has one row here. */
static void attend_in_splits(struct worker *m, size_t layer, const struct latent_layer *l)
{
    const struct forward *f = m->f;
    const struct latent_memory *w = &f->latent;
    struct attention_query queries[TILE_QUERIES];
    size_t chunks = (l->n_head + w->tile_heads - 1) / w->tile_heads, items = w->n_tiles * chunks;
    for (size_t i; (i = forward_take(m)) < items * w->n_splits;) {
        struct attend_item item = item_at(f, l, i / w->n_splits, chunks);
        struct attention a = head_of(f, layer, &f->runs[item.tile->run]);
        size_t n = list_queries(f, l, item.tile, item.head, item.n_heads, queries);
        float *parts = w->parts + i * w->tile_heads * attention_part_floats(&a);
        attention_split(&a, queries, n, (uint32_t)(i % w->n_splits), parts);
    }
    forward_barrier(m);
    for (size_t i; (i = forward_take(m)) < items;) {
        struct attend_item item = item_at(f, l, i, chunks);
        struct attention a = head_of(f, layer, &f->runs[item.tile->run]);
        size_t n = list_queries(f, l, item.tile, item.head, item.n_heads, queries);
        size_t floats = attention_part_floats(&a), stride = w->tile_heads * floats;
        for (size_t q = 0; q < n; q++)
            attention_merge(
                &a, queries + q, w->parts + i * w->n_splits * stride + q * floats, w->n_splits, stride);
    }
    forward_barrier(m);
}

/* Multiplies values by their gates: each worker its share of the rows. In the last layer they may be fewer. */
static void gate_values(struct worker *m, const struct latent_layer *l)
{
    const struct latent_memory *w = &m->f->latent;
    size_t width = (size_t)l->n_head * l->n_value, gates = l->gate.weight.rows;
    struct work_range rows = forward_work_range(m, m->n);
    for (size_t t = rows.first; t < rows.end; t++) {
        size_t from = m->kept_wanted ? m->f->wanted[t] : t;
        float *gate = w->gate + from * gates, *value = w->value + t * width;
        if (gates == width) {
            vector_gate(value, gate, value, VECTOR_SIGMOID, width);
            continue;
        }
        vector_gate(gate, gate, NULL, VECTOR_SIGMOID, gates);
        for (size_t h = 0; h < l->n_head; h++)
            vector_scale(value + h * l->n_value, value + h * l->n_value, gate[h], l->n_value);
    }
    forward_barrier(m);
}

static void run(struct worker *m, size_t i)
{
    struct latent_memory *w = &m->f->latent;
    const struct latent_layer *l = &m->f->d->layers[i].latent;
    size_t width = (size_t)l->n_head * l->n_latent;
    linear_multiply(m,
        (struct product[]){l->full_rank ? (struct product){&l->query, w->query}
                                        : (struct product){&l->query_low, w->query_low},
            {&l->low, w->low}, {&l->gate, w->gate}},
        l->gated ? 3 : 2);
    store(m, i, l);
    if (!l->full_rank) {
        linear_input(m, w->query_low, l->n_query, linear_packs(&l->query));
        linear_multiply(m, (struct product[]){{&l->query, w->query}}, 1);
    }
    prepare_queries(m, l);
    if (w->split)
        attend_in_splits(m, i, l);
    else
        attend(m, i, l);
    const float *kept = forward_keep_wanted(m, i, w->att, width, w->latent_query);
    if (!kept)
        return;
    float *att = kept == w->att ? w->att : w->latent_query;
    multiply_heads(m, &l->value, l->n_head, (struct head_rows){att, width, l->n_latent},
        (struct head_rows){w->value, (size_t)l->n_head * l->n_value, l->n_value});
    if (l->gated)
        gate_values(m, l);
    linear_input(m, w->value, (size_t)l->n_head * l->n_value, linear_packs(&l->out));
    linear_multiply(m, (struct product[]){{&l->out, m->f->sum}}, 1);
}

const struct layer_kind layer_latent = {.name = "latent attention",
    .bind = bind,
    .state = state,
    .workspace = workspace,
    .begin = begin,
    .run = run};
