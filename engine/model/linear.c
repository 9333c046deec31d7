/* linear.c - products by a weight, divided among the workers of a forward call. */
#include "forward_private.h"

#define MANY_TOKENS 64

bool linear_packs(const struct linear *l)
{
    return matmul_takes_packed(&l->weight);
}

struct linear linear_part(const struct linear *l, size_t first, size_t rows)
{
    struct linear part = *l;
    part.weight.data += first * l->weight.row_bytes;
    part.weight.rows = rows;
    part.bias = l->bias ? l->bias + first : NULL;
    return part;
}

struct linear expert_linear(const struct expert_weights *w, size_t expert)
{
    struct linear l = w->first;
    if (w->parts)
        l.weight.data = w->parts[expert];
    else
        l.weight.data += expert * w->bytes;
    if (l.bias)
        l.bias += expert * w->rows;
    l.scale = w->scales ? w->scales + expert : NULL;
    return l;
}

void linear_rows(const struct linear *l, const struct matmul_input *in, size_t first, size_t count,
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

void linear_input(struct worker *m, const float *x, size_t columns, bool packs)
{
    m->in = (struct matmul_input){
        .x = x, .stride = columns, .tokens = m->n, .columns = columns, .packed = packs ? m->packed : NULL};
    struct work_range rows = forward_residual_rows(m); /* a unit of packing is a row */
    if (packs && rows.end > rows.first)
        matmul_pack(&m->in, rows.first, rows.end - rows.first);
    forward_settle(m);
}

/* With many tokens a few rows are much work, and the smaller the last pieces are, the shorter the other workers wait for
 * them. */
size_t linear_piece_rows(const struct worker *m, size_t rows)
{
    size_t least = m->n < MANY_TOKENS ? MATMUL_TILE : MATMUL_TILE / 2;
    size_t piece = rows / (FORWARD_PIECES * m->n_workers);
    return piece < least ? least : piece / least * least;
}

size_t linear_pieces(size_t rows, size_t piece)
{
    return (rows + piece - 1) / piece;
}

struct work_range linear_piece(size_t i, size_t rows, size_t piece)
{
    size_t first = i * piece;
    return (struct work_range){first, rows - first < piece ? rows : first + piece};
}

struct weight_walk weight_walk_begin(const struct worker *m, size_t pieces)
{
    return (struct weight_walk){.pieces = pieces, .stretches = forward_counters(m)};
}

bool weight_walk_next(struct weight_walk *w, const struct worker *m, size_t *piece)
{
    for (; w->done < w->stretches; w->done++) {
        size_t i = (m->index + w->done) % w->stretches;
        *piece = w->pieces * i / w->stretches + forward_take_of(m, i);
        if (*piece < w->pieces * (i + 1) / w->stretches)
            return true;
    }
    return false;
}

void linear_multiply(struct worker *m, const struct product *p, size_t n)
{
    size_t rows = 0, pieces = 0;
    for (size_t i = 0; i < n; i++)
        rows += p[i].linear->weight.rows;
    size_t piece = linear_piece_rows(m, rows);
    for (size_t i = 0; i < n; i++)
        pieces += linear_pieces(p[i].linear->weight.rows, piece);
    struct weight_walk walk = weight_walk_begin(m, pieces);
    for (size_t at; weight_walk_next(&walk, m, &at);) {
        const struct product *of = p;
        for (size_t mine; at >= (mine = linear_pieces(of->linear->weight.rows, piece)); of++)
            at -= mine;
        struct work_range part = linear_piece(at, of->linear->weight.rows, piece);
        linear_rows(of->linear, &m->in, part.first, part.end - part.first, of->out, of->linear->weight.rows);
    }
    forward_barrier(m);
}

void linear_apply(struct worker *m, const struct linear *l, const float *x, float *out)
{
    linear_input(m, x, l->weight.columns, linear_packs(l));
    linear_multiply(m, (struct product[]){{l, out}}, 1);
}
