/* scan.h - what state space layers compute between two products: a convolution, and the selective scan.
 *
 * The scan steps from token to token. Each row (a channel, or an element of a head) has `states` numbers:
 *
 *     state[k] = state[k] * exp(dt * a) + b[k] * (x * dt)
 *     y = (sum over k of state[k] * c[k] + d * x) * silu(z)
 *
 * Rows do not depend on each other, so they lie beside each other in memory and the kernels compute many at once. Rows are
 * kept in blocks of SCAN_ROWS, each block as [states][SCAN_ROWS]: a block stays in the first cache while it steps through
 * the tokens of a run. A block with fewer rows has the same size.
 *
 * A step multiplies the state by the exponential and rounds, then adds b * (x * dt) with a fused multiply-add. The sum runs
 * from the first state to the last, and d * x is added to it, all with fused multiply-adds. Every function gives the
 * same bits on every CPU, and the same for one call over all tokens as for a call for each token. scan_plain.c is the
 * reference. The formulas are those of the papers: Mamba (arXiv 2312.00752) has an `a` for each row and state, and a dt
 * and a d for each row, Mamba 2 (arXiv 2405.21060) one of each for a head.
 */
#ifndef BERTH_SCAN_H
#define BERTH_SCAN_H

#include <stddef.h>

#define SCAN_ROWS 32

/* One block of rows, and the tokens of a run. Strides are in floats, from one token to the next. */
struct scan_block {
    size_t rows; /* at most SCAN_ROWS */
    size_t states;
    size_t tokens; /* at least 1 */
    const float *before; /* [states][SCAN_ROWS], the state before the first token; NULL for zeros */
    float *after; /* [states][SCAN_ROWS], the state after the last token; may be `before` */
    const float *x; /* [tokens][rows] */
    size_t x_stride;
    const float *dt; /* [tokens][rows] for scan_channels, [tokens][1] for scan_head; after softplus */
    size_t dt_stride;
    const float *a; /* [states][SCAN_ROWS] for scan_channels, one number for scan_head */
    const float *d; /* [rows] for scan_channels, one number for scan_head */
    const float *b, *c; /* [tokens][states] */
    size_t b_stride, c_stride;
    const float *z; /* [tokens][rows] */
    size_t z_stride;
    float *y; /* [tokens][rows]; may be x or z */
    size_t y_stride;
};

/* Steps through all tokens. */
void scan_channels(const struct scan_block *s); /* Mamba */
void scan_head(const struct scan_block *s); /* Mamba 2 */

/* One row of a convolution that runs over each of n channels by itself: out = silu(bias + sum over j of taps[j] * rows[j]).
 * rows[n_taps][n] are from the oldest to the newest, taps[j] is at taps + j * stride. `bias` may be NULL. The first product
 * is rounded, the next ones are added fused, the bias is added last. */
void scan_convolve(float *out, const float *const *rows, const float *taps, size_t stride, const float *bias,
    size_t n_taps, size_t n);

#endif
