/* linear_private.h - products by a weight, divided among the workers of a forward call.
 *
 * A linear is a weight with an optional bias and an optional factor. Every product of a forward call goes
 * through this file: linear_input makes rows of floats the input of the worker's next products, and
 * linear_multiply computes them.
 */
#ifndef LINEAR_PRIVATE_H
#define LINEAR_PRIVATE_H

#include "berth/kernels/matmul.h"

struct worker;

struct linear {
    struct matmul_weight weight;
    const float *bias; /* [rows], or NULL */
    const float *scale; /* [1], factor of all products, or NULL */
};

/* Weights of several experts, or of several heads, one behind the other. */
struct expert_weights {
    struct linear first;
    size_t bytes, rows; /* from one to the next: of the weight, and of the bias */
    const uint8_t **parts; /* each one's weight, where they lie in tensors of their own; or NULL */
    const float *scales; /* one for each, or NULL */
};

struct linear expert_linear(const struct expert_weights *w, size_t expert);

/* Rows or other items, from the first to before the end. */
struct work_range {
    size_t first, end;
};

/* True when products by the weight read the packed form of their input. */
bool linear_packs(const struct linear *l);

/* The rows first ... first + rows - 1 of a weight as a weight of its own. */
struct linear linear_part(const struct linear *l, size_t first, size_t rows);

/* Computes the rows first ... first + count - 1 of weight * x * scale + bias for all tokens of the input, into
 * out[token * stride + row]. */
void linear_rows(const struct linear *l, const struct matmul_input *in, size_t first, size_t count,
    float *out, size_t stride);

/* Makes x [m->n][columns] the input of the worker's next products, packed where one of them reads that form. Each
 * worker has written its rows of x (forward_residual_rows). Waits for the others where they share x. */
void linear_input(struct worker *m, const float *x, size_t columns, bool packs);

struct product {
    const struct linear *linear;
    float *out; /* [m->n][rows of the weight] */
};

/* Computes n products of the worker's input. All workers call it; what they wrote can be read when it returns. */
void linear_multiply(struct worker *m, const struct product *p, size_t n);

/* Both, for one product of x [m->n][columns of the weight]. */
void linear_apply(struct worker *m, const struct linear *l, const float *x, float *out);

/* ---- how workers share the rows of a weight ---- */

/* A walk through the pieces of a step. The pieces are divided into stretches, one for each worker; a worker that has
 * finished its own stretch takes pieces of the next ones. A worker takes neighbouring pieces one after the other, because
 * kernels prefetch the rows that follow. */
struct weight_walk {
    size_t pieces, stretches;
    size_t done; /* stretches that are finished, beginning with the worker's own */
};

struct weight_walk weight_walk_begin(const struct worker *m, size_t pieces);
bool weight_walk_next(
    struct weight_walk *w, const struct worker *m, size_t *piece); /* false when none is left */

/* Rows of a piece, for products with `rows` rows in all. */
size_t linear_piece_rows(const struct worker *m, size_t rows);
size_t linear_pieces(size_t rows, size_t piece);
struct work_range linear_piece(size_t i, size_t rows, size_t piece); /* the rows of piece i */

#endif
