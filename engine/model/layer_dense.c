/* layer_dense.c - the feed-forward "dense". */
#include "layer_dense_private.h"

#include "bind_private.h"
#include "forward_private.h"

#include "berth/base/half.h"

#include <math.h>

/* ---- weights ---- */

static bool bind_split(struct binder *b, size_t i, struct dense_layer *l)
{
    size_t n_embd = binder_decoder(b)->shape.n_embd;
    return (l->ungated || bind_linear(b, bind_stem(i, "ffn_gate").text, l->n_ff, n_embd, &l->gate)) &&
           bind_linear(b, bind_stem(i, "ffn_up").text, l->n_ff, n_embd, &l->up);
}

/* ffn_up holds the rows of the gate, then those of up. */
static bool bind_fused(struct binder *b, size_t i, struct dense_layer *l)
{
    struct linear whole = {0};
    size_t n_embd = binder_decoder(b)->shape.n_embd;
    if (!bind_linear(b, bind_stem(i, "ffn_up").text, 2 * (size_t)l->n_ff, n_embd, &whole))
        return false;
    l->gate = linear_part(&whole, 0, l->n_ff);
    l->up = linear_part(&whole, l->n_ff, l->n_ff);
    return true;
}

bool dense_packs(const struct dense_layer *l)
{
    return linear_packs(&l->up) || (!l->ungated && linear_packs(&l->gate));
}

static bool bind(struct binder *b, size_t i)
{
    struct decoder *d = binder_decoder(b);
    struct layer *layer = &d->layers[i];
    struct dense_layer *l = &layer->dense;
    bool fused = !l->ungated && bind_rows(b, bind_stem(i, "ffn_up").text) == 2 * (uint64_t)l->n_ff;
    if (!bind_linear(b, bind_stem(i, "ffn_down").text, d->shape.n_embd, l->n_ff, &l->down) ||
        !(fused ? bind_fused(b, i, l) : bind_split(b, i, l)) ||
        (l->act_scales &&
            !bind_optional(b, bind_stem(i, "ffn.act.scales").text, 1, l->n_ff, &l->act_divisors)))
        return false;
    layer->ffn_packs = dense_packs(l);
    return true;
}

/* ---- memory ---- */

size_t dense_gate_columns(const struct forward *f, size_t n_ff)
{
    return larger(MATMUL_TILE, n_ff / (FORWARD_PIECES * pool_size(f->pool)));
}

void dense_workspace(struct forward *f, struct layout *passing, size_t n_ff, struct dense_memory *w)
{
    w->up = layout_floats(passing, f->n, n_ff);
    w->gate_columns = dense_gate_columns(f, n_ff);
    w->gates = layout_floats(passing, pool_size(f->pool) * f->n, w->gate_columns);
}

static void workspace(struct forward *f, struct layout *lasting, struct layout *passing)
{
    (void)lasting;
    size_t n_ff = 0, sparse = 0;
    for (size_t i = 0; i < f->d->shape.n_layer; i++) {
        const struct dense_layer *l = &f->d->layers[i].dense;
        if (f->d->layers[i].ffn != &layer_dense)
            continue;
        n_ff = larger(n_ff, l->n_ff);
        sparse = larger(sparse, l->sparsity > 0 ? l->n_ff : 0);
    }
    dense_workspace(f, passing, n_ff, &f->dense);
    f->dense.sparse_gates = layout_floats(passing, f->n, sparse);
}

/* ---- run ---- */

static void limit_to(float *x, float least, float most, size_t n)
{
    for (size_t i = 0; i < n; i++)
        x[i] = x[i] < least ? least : x[i] > most ? most : x[i];
}

/* x sigmoid(a x) is silu(a x) / a. */
static void gate_swiglu_oai(float *gate, float *up, float limit, size_t n)
{
    const float alpha = 1.702f;
    limit_to(gate, -INFINITY, limit, n);
    limit_to(up, -limit, limit, n);
    for (size_t i = 0; i < n; i++) {
        gate[i] *= alpha;
        up[i] = (up[i] + 1.0f) / alpha;
    }
    vector_gate(up, gate, up, VECTOR_SILU, n);
}

/* up = f(gate) * up, within limits. */
static void gate_limited(const struct dense_layer *l, float *gate, float *up, size_t n)
{
    switch (l->limits) {
    case LIMIT_SWIGLU_OAI:
        gate_swiglu_oai(gate, up, l->limit, n);
        break;
    case LIMIT_GATE:
        limit_to(gate, -INFINITY, l->limit, n);
        limit_to(up, -l->limit, l->limit, n);
        vector_gate(up, gate, up, l->activation, n);
        break;
    case LIMIT_ACTIVATED:
        vector_gate(gate, gate, NULL, l->activation, n);
        limit_to(gate, -INFINITY, l->limit, n);
        limit_to(up, -l->limit, l->limit, n);
        vector_multiply(up, gate, up, n);
        break;
    }
}

#define ROUNDED_BELOW 10.0f

static float to_half(float x)
{
    return half_to_float(half_from_float(x));
}

/* f(x) / divisor. Divisors may be close to 0, and magnify how f was rounded when they were found: it is llama.cpp's GELU
 * that files with divisors were made for, which takes and gives float16 below 10. */
static void divide_activated(const struct dense_layer *l, float *x, const float *divisors, size_t n)
{
    for (size_t i = 0; i < n; i++) {
        float in = to_half(x[i]), out;
        vector_gate(&out, &in, NULL, l->activation, 1);
        out = x[i] >= ROUNDED_BELOW ? x[i] : x[i] <= -ROUNDED_BELOW ? 0.0f : to_half(out);
        x[i] = out / divisors[i];
    }
}

void dense_gate_rows(const struct dense_layer *l, const struct matmul_input *in, struct work_range rows,
    float *up, float *gate, size_t gate_columns)
{
    size_t count = rows.end - rows.first;
    linear_rows(&l->up, in, rows.first, count, up, l->n_ff);
    if (!l->ungated) {
        struct linear part = linear_part(&l->gate, rows.first, l->n_ff - rows.first);
        linear_rows(&part, in, 0, count, gate, gate_columns);
    }
    for (size_t t = 0; t < in->tokens; t++) {
        float *row = up + t * l->n_ff + rows.first;
        if (l->act_divisors)
            divide_activated(l, row, l->act_divisors + rows.first, count);
        else if (l->xielu)
            vector_xielu(row, row, &l->curve, count);
        else if (l->ungated)
            vector_gate(row, row, NULL, l->activation, count);
        else if (l->limit > 0)
            gate_limited(l, gate + t * gate_columns, row, count);
        else
            vector_gate(row, gate + t * gate_columns, row, l->activation, count);
    }
}

/* Leaves what is above the mean by `sparsity` deviations, less that bound; the rest becomes 0. */
static void cut_off(float *x, float sparsity, size_t n)
{
    float mean = vector_sum(x, n) / (float)n;
    for (size_t i = 0; i < n; i++)
        x[i] -= mean;
    float least = sparsity * sqrtf(vector_dot(x, x, n) / (float)(n - 1));
    for (size_t i = 0; i < n; i++)
        x[i] = x[i] <= least ? 0.0f : x[i] - least;
}

/* The bound is that of a whole row of the gate. */
static void run_sparse(struct worker *m, const struct dense_layer *l, const struct dense_memory *w)
{
    linear_multiply(m, (struct product[]){{&l->gate, w->sparse_gates}, {&l->up, w->up}}, 2);
    struct work_range rows = forward_work_range(m, m->n);
    for (size_t t = rows.first; t < rows.end; t++) {
        float *gate = w->sparse_gates + t * l->n_ff, *up = w->up + t * l->n_ff;
        cut_off(gate, l->sparsity, l->n_ff);
        vector_gate(up, gate, up, l->activation, l->n_ff);
    }
    forward_barrier(m);
}

/* The same worker computes a row of the gate and the same row of up, so no barrier is needed between the two. */
static void run_by_pieces(struct worker *m, const struct dense_layer *l, const struct dense_memory *w)
{
    float *gate = w->gates + m->index * m->f->n * w->gate_columns;
    size_t piece = linear_piece_rows(m, l->n_ff);
    struct weight_walk walk = weight_walk_begin(m, linear_pieces(l->n_ff, piece));
    for (size_t at; weight_walk_next(&walk, m, &at);)
        dense_gate_rows(l, &m->in, linear_piece(at, l->n_ff, piece), w->up, gate, w->gate_columns);
    forward_barrier(m);
}

void dense_run(struct worker *m, const struct dense_layer *l, const struct dense_memory *w)
{
    if (l->sparsity > 0)
        run_sparse(m, l, w);
    else
        run_by_pieces(m, l, w);
    linear_input(m, w->up, l->n_ff, linear_packs(&l->down));
    linear_multiply(m, (struct product[]){{&l->down, m->f->sum}}, 1);
}

static void run(struct worker *m, size_t i)
{
    dense_run(m, &m->f->d->layers[i].dense, &m->f->dense);
}

const struct layer_kind layer_dense = {.name = "dense", .bind = bind, .workspace = workspace, .run = run};
