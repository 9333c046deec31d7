/* forward.c - the forward pass: from rows of tokens to logits.
 *
 * It reads like the diagram of a transformer's decoder; a family's choices are fields of the shape. Every
 * product by a weight goes through linear_rows. In a layer the workers of the pool meet five times at least:
 * after the products of queries, keys and values, after attention, after its output, after the gate and after
 * the sum that goes back into the stream.
 *
 * Nothing that a row becomes depends on which worker does it, nor on the rows beside it: kernels promise it,
 * and no sum here runs over rows or workers.
 */
#include "forward_private.h"

#include "berth/kernels/quant.h"

#include <string.h>

#define MANY_TOKENS 64

/* ---- how workers share a step ---- */

struct work_range forward_work_range(const struct worker *m, size_t n)
{
    return (struct work_range){n * m->index / m->n_workers, n * (m->index + 1) / m->n_workers};
}

/* The worker's rows of the stream. */
static struct work_range stream_rows(const struct worker *m)
{
    return m->f->alone ? (struct work_range){0, m->n} : forward_work_range(m, m->n);
}

static size_t take(const struct worker *m, size_t stretch)
{
    struct counter *c = &m->f->counters[m->step % FORWARD_COUNTERS][stretch];
    return atomic_fetch_add_explicit(&c->next, 1, memory_order_relaxed);
}

size_t forward_take(struct worker *m)
{
    return take(m, 0);
}

static size_t stretches_of(const struct worker *m)
{
    return m->n_workers < FORWARD_STRETCHES ? m->n_workers : FORWARD_STRETCHES;
}

/* Counters are set back two meetings before they are used again, and one after their last use. */
void forward_barrier(struct worker *m)
{
    pool_barrier(m->f->pool);
    m->step++;
    for (size_t i = 0; m->index == 0 && i < stretches_of(m); i++)
        atomic_store_explicit(
            &m->f->counters[(m->step + 2) % FORWARD_COUNTERS][i].next, 0, memory_order_relaxed);
}

/* After work on rows of the stream that others are about to read. */
static void settle(struct worker *m)
{
    if (!m->f->alone)
        forward_barrier(m);
}

/* ---- linear ---- */

/* The rows first ... first + count - 1 of weight * x, times scale, plus bias, for all tokens of the input. */
static void linear_rows(const struct linear *l, const struct matmul_input *in, size_t first, size_t count,
    float *out, size_t stride)
{
    matmul_rows(&l->weight, in, first, count, out, stride);
    if (!l->scale && !l->bias)
        return;
    for (size_t t = 0; t < in->tokens; t++) {
        float *row = out + t * stride + first;
        if (l->scale)
            vector_scale(row, row, *l->scale, count);
        if (l->bias)
            vector_add(row, row, l->bias + first, count);
    }
}

/* Makes `columns` numbers a row of x the input of the next products, packed where one of them wants that. The
 * worker's rows of x are there, and a unit of packing is a row. */
static void set_input(struct worker *m, const float *x, size_t columns, bool packs)
{
    m->in = (struct matmul_input){
        .x = x, .stride = columns, .tokens = m->n, .columns = columns, .packed = packs ? m->packed : NULL};
    struct work_range rows = stream_rows(m);
    if (packs && rows.end > rows.first)
        matmul_pack(&m->in, rows.first, rows.end - rows.first);
    settle(m);
}

static bool packs(const struct linear *l)
{
    return matmul_takes_packed(&l->weight);
}

/* Rows of weights that a worker takes at a time: with many tokens a few rows are much work already, and the
 * smaller the last pieces are, the shorter the others wait for them. */
static size_t piece_rows(const struct worker *m, size_t rows)
{
    size_t least = m->n < MANY_TOKENS ? MATMUL_TILE : MATMUL_TILE / 2;
    size_t piece = rows / (FORWARD_PIECES * m->n_workers);
    return piece < least ? least : piece / least * least;
}

static size_t pieces_of(size_t rows, size_t piece)
{
    return (rows + piece - 1) / piece;
}

static struct work_range piece_at(size_t i, size_t rows, size_t piece)
{
    size_t first = i * piece;
    return (struct work_range){first, rows - first < piece ? rows : first + piece};
}

/* How a worker goes through a step's pieces: they are cut into a stretch for each worker, and who has done its own
 * helps with the next. For kernels ask memory for the rows behind those they multiply: when workers took turns,
 * a piece's first rows had been asked for by another. */
struct weight_walk {
    size_t pieces, stretches;
    size_t done; /* stretches, beginning with the worker's own */
};

static struct weight_walk walk_begin(const struct worker *m, size_t pieces)
{
    return (struct weight_walk){.pieces = pieces, .stretches = stretches_of(m)};
}

/* False when none is left. */
static bool walk_next(struct weight_walk *w, const struct worker *m, size_t *piece)
{
    for (; w->done < w->stretches; w->done++) {
        size_t i = (m->index + w->done) % w->stretches;
        *piece = w->pieces * i / w->stretches + take(m, i);
        if (*piece < w->pieces * (i + 1) / w->stretches)
            return true;
    }
    return false;
}

struct product {
    const struct linear *linear;
    float *out; /* [n][rows of the weight] */
};

/* Products of one input by some weights. */
static void multiply(struct worker *m, const struct product *p, size_t n)
{
    size_t rows = 0, pieces = 0;
    for (size_t i = 0; i < n; i++)
        rows += p[i].linear->weight.rows;
    size_t piece = piece_rows(m, rows);
    for (size_t i = 0; i < n; i++)
        pieces += pieces_of(p[i].linear->weight.rows, piece);
    struct weight_walk walk = walk_begin(m, pieces);
    for (size_t at; walk_next(&walk, m, &at);) {
        const struct product *of = p;
        for (size_t mine; at >= (mine = pieces_of(of->linear->weight.rows, piece)); of++)
            at -= mine;
        struct work_range part = piece_at(at, of->linear->weight.rows, piece);
        linear_rows(of->linear, &m->in, part.first, part.end - part.first, of->out, of->linear->weight.rows);
    }
    forward_barrier(m);
}

/* ---- the stream ---- */

void forward_norm(const struct decoder_shape *s, float *out, const float *x, struct norm w, size_t n)
{
    if (s->layer_norm)
        vector_layer_norm(out, x, w.weight, w.bias, s->epsilon, n);
    else
        vector_rms_norm(out, x, w.weight, s->epsilon, n);
}

/* The stream's rows, normed, as the next input. Without a norm they are the input themselves. */
static void input_from_stream(struct worker *m, struct norm w, bool packed)
{
    const struct decoder_shape *s = &m->f->d->shape;
    struct work_range rows = stream_rows(m);
    if (!w.weight) {
        set_input(m, m->x, s->n_embd, packed);
        return;
    }
    for (size_t t = rows.first; t < rows.end; t++)
        forward_norm(s, m->normed + t * s->n_embd, m->x + t * s->n_embd, w, s->n_embd);
    set_input(m, m->normed, s->n_embd, packed);
}

/* Adds the half layer's sum to the stream, normed on the way where the family does so. */
static void add_to_stream(struct worker *m, struct norm post)
{
    const struct decoder_shape *s = &m->f->d->shape;
    struct work_range rows = stream_rows(m);
    for (size_t t = rows.first; t < rows.end; t++) {
        const float *sum = m->f->sum + t * s->n_embd;
        if (post.weight) {
            forward_norm(s, m->normed + t * s->n_embd, sum, post, s->n_embd);
            sum = m->normed + t * s->n_embd;
        }
        vector_add_scaled(m->x + t * s->n_embd, sum, s->residual_scale, s->n_embd);
    }
}

static void embed(struct worker *m)
{
    const struct decoder *d = m->f->d;
    const struct matmul_weight *e = &d->embedding;
    size_t width = d->shape.n_embd;
    struct work_range rows = stream_rows(m);
    for (size_t t = rows.first; t < rows.end; t++) {
        const struct decoder_row *row = &m->f->batch->rows[t];
        float *x = m->x + t * width;
        if (row->embedding) {
            memcpy(x, row->embedding, width * sizeof(*x));
            continue;
        }
        quant_to_floats(
            e->type, x, e->data + (size_t)row->token * e->row_bytes, width / e->type->block_elems);
        if (d->shape.embedding_scale != 1)
            vector_scale(x, x, d->shape.embedding_scale, width);
    }
}

/* Cosines and sines of all rows, for all layers. Read after the first meeting. */
static void turn(struct worker *m)
{
    struct forward *f = m->f;
    size_t pairs = f->d->shape.n_rot / 2;
    struct work_range part = forward_work_range(m, f->n * pairs);
    for (size_t r = 0; r < f->d->n_ropes; r++)
        for (size_t at = part.first, n; at < part.end; at += n) {
            size_t t = at / pairs, pair = at % pairs;
            n = pairs - pair < part.end - at ? pairs - pair : part.end - at;
            rope_cos_sin(&f->d->ropes[r], f->batch->rows[t].position, pair, n, f->cos_sin[r] + t * 2 * pairs);
        }
}

/* ---- a layer ---- */

/* Of the rows, leaves those whose results are wanted: the last layer's keys are stored, and nothing else of
 * the other rows is read again. Rows go into memory that is free at this point; a worker's own stream is left
 * whole. */
static void keep_wanted(struct worker *m)
{
    struct forward *f = m->f;
    const struct decoder *d = f->d;
    size_t width = d->shape.n_embd,
           att = d->layers[d->shape.n_layer - 1].n_head * (size_t)d->shape.head_dim_v;
    struct work_range part = forward_work_range(m, f->n_out);
    for (size_t i = part.first; i < part.end; i++) {
        memcpy(m->normed + i * width, m->x + f->wanted[i] * width, width * sizeof(float));
        memcpy(f->q + i * att, m->att + f->wanted[i] * att, att * sizeof(float));
    }
    float *x = m->x;
    m->x = m->normed;
    m->normed = x;
    m->att = f->q;
    m->n = f->n_out;
    m->kept_wanted = true;
    forward_barrier(m);
}

/* The same weights without their first rows. */
static struct linear linear_from(const struct linear *l, size_t first)
{
    struct linear rest = *l;
    rest.weight.data += first * l->weight.row_bytes;
    rest.weight.rows -= first;
    rest.bias = l->bias ? l->bias + first : NULL;
    return rest;
}

static void gate_rows(struct worker *m, const struct layer *l, struct work_range rows)
{
    struct forward *f = m->f;
    size_t count = rows.end - rows.first;
    linear_rows(&l->up, &m->in, rows.first, count, f->up, l->n_ff);
    if (!f->d->shape.ungated) {
        struct linear part = linear_from(&l->gate, rows.first);
        linear_rows(&part, &m->in, 0, count, m->gate, f->gate_columns);
    }
    for (size_t t = 0; t < m->n; t++) {
        float *up = f->up + t * l->n_ff + rows.first, *gate = m->gate + t * f->gate_columns;
        if (f->d->shape.ungated)
            vector_gate(up, up, NULL, f->d->shape.gate, count);
        else
            vector_gate(up, gate, up, f->d->shape.gate, count);
    }
}

/* up = f(gate(input)) * up(input): whoever has a row of one has the same row of the other. */
static void gated(struct worker *m, const struct layer *l)
{
    size_t piece = piece_rows(m, l->n_ff);
    struct weight_walk walk = walk_begin(m, pieces_of(l->n_ff, piece));
    for (size_t at; walk_next(&walk, m, &at);)
        gate_rows(m, l, piece_at(at, l->n_ff, piece));
    forward_barrier(m);
}

static bool ffn_packs(const struct layer *l)
{
    return packs(&l->up) || (l->gate.weight.data && packs(&l->gate));
}

static void run_layer(struct worker *m, size_t i)
{
    struct forward *f = m->f;
    const struct decoder_shape *s = &f->d->shape;
    const struct layer *l = &f->d->layers[i];
    bool side_by_side = s->ffn_norm_optional && !l->ffn_norm.weight, last = i + 1 == s->n_layer;

    input_from_stream(m, l->attn_norm, packs(&l->q) || packs(&l->k) || packs(&l->v));
    multiply(m, (struct product[]){{&l->q, f->q}, {&l->k, f->k}, {&l->v, f->v}}, 3);
    forward_attention(m, i);
    if (last && f->n_out == 0)
        return; /* the keys are stored: that was all */
    if (last && !f->alone && !side_by_side)
        keep_wanted(m);
    set_input(m, m->att, (size_t)l->n_head * s->head_dim_v, packs(&l->out));
    multiply(m, (struct product[]){{&l->out, f->sum}}, 1);

    if (side_by_side) { /* both halves read the same norm, which is worked out anew: it was packed over */
        input_from_stream(m, l->attn_norm, ffn_packs(l));
        add_to_stream(m, l->attn_post_norm);
    } else {
        add_to_stream(m, l->attn_post_norm);
        input_from_stream(m, l->ffn_norm, ffn_packs(l));
    }
    gated(m, l);
    set_input(m, f->up, l->n_ff, packs(&l->down));
    multiply(m, (struct product[]){{&l->down, f->sum}}, 1);
    add_to_stream(m, l->ffn_post_norm);
}

/* ---- the end ---- */

/* The wanted rows' last norm, in m->normed, closely. */
static void norm_wanted(struct worker *m)
{
    struct forward *f = m->f;
    const struct decoder_shape *s = &f->d->shape;
    settle(m);
    m->n = f->n_out;
    struct work_range rows = stream_rows(m);
    for (size_t i = rows.first; i < rows.end; i++)
        forward_norm(s, m->normed + i * s->n_embd, m->x + (m->kept_wanted ? i : f->wanted[i]) * s->n_embd,
            f->d->output_norm, s->n_embd);
}

static void logit_rows(struct worker *m, struct work_range rows)
{
    struct forward *f = m->f;
    const struct decoder_shape *s = &f->d->shape;
    size_t count = rows.end - rows.first;
    linear_rows(&f->d->output, &m->in, rows.first, count, f->out, f->out_stride);
    for (size_t i = 0; i < f->n_out; i++) {
        float *out = f->out + i * f->out_stride + rows.first;
        if (s->logit_scale != 1)
            vector_scale(out, out, s->logit_scale, count);
        if (s->logit_softcap > 0)
            vector_softcap(out, out, s->logit_softcap, count);
    }
}

static void write_logits(struct worker *m)
{
    size_t rows = m->f->d->shape.n_vocab, piece = piece_rows(m, rows);
    struct weight_walk walk = walk_begin(m, pieces_of(rows, piece));
    set_input(m, m->normed, m->f->d->shape.n_embd, packs(&m->f->d->output));
    for (size_t at; walk_next(&walk, m, &at);)
        logit_rows(m, piece_at(at, rows, piece));
    forward_barrier(m);
}

/* Hidden states go over whatever logits were worked out in their rows. */
static void write_hidden(struct worker *m)
{
    struct forward *f = m->f;
    size_t width = f->d->shape.n_embd;
    struct work_range part = forward_work_range(m, f->n_out);
    for (size_t i = part.first; i < part.end; i++)
        if (f->batch->rows[f->wanted[i]].output == DECODER_HIDDEN)
            memcpy(f->out + i * f->out_stride, m->normed + i * width, width * sizeof(float));
}

static void run_member(void *context, unsigned index, unsigned n_workers)
{
    struct forward *f = context;
    size_t own = f->alone ? index : 0, width = f->d->shape.n_embd;
    struct worker m = {.f = f,
        .index = index,
        .n_workers = n_workers,
        .n = f->n,
        .x = f->x + own * f->n * width,
        .normed = f->normed + own * f->n * width,
        .att = f->att,
        .gate = f->gates + index * f->n * f->gate_columns,
        .packed = f->packed + own * f->packed_bytes};
    embed(&m);
    turn(&m);
    for (size_t i = 0; i < f->d->shape.n_layer; i++) {
        run_layer(&m, i);
        if (f->stopping)
            return;
    }
    if (f->n_out == 0)
        return;
    norm_wanted(&m);
    if (f->logits)
        write_logits(&m);
    if (f->hidden) {
        settle(&m);
        write_hidden(&m);
    }
}

bool decoder_forward(struct decoder *d, struct decoder_workspace *w, struct pool *pool,
    const struct decoder_batch *batch, const atomic_bool *stop, float **out, struct error *err)
{
    struct forward f = {.d = d, .batch = batch, .pool = pool, .stop = stop, .n = batch->n};
    *out = NULL;
    if (batch->n == 0)
        return true;
    if (!forward_prepare(&f, w, err))
        return false;
    if (!pool_run(pool, run_member, &f))
        return error_set(err, "the compute threads are at work on something else");
    if (f.stopping)
        return false;
    for (size_t i = 0; i < f.n_runs; i++)
        sequence_advance(batch->rows[f.runs[i].row].sequence, f.runs[i].end);
    *out = f.out;
    return true;
}
