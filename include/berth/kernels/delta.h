/* delta.h - the gated delta rule: linear attention whose state forgets, and corrects what it holds under a key.
 *
 * A head has a state S of keys x columns numbers. A token with a key k, a value v, a query q, a factor beta and a decay g
 * changes it and reads from it:
 *
 *     S[i][c] = S[i][c] * g[i]
 *     d[c] = (v[c] - sum over i of S[i][c] * k[i]) * beta
 *     S[i][c] = S[i][c] + k[i] * d[c]
 *     out[c] = sum over i of S[i][c] * q[i]
 *
 * g is one number for a head (Gated DeltaNet, arXiv 2412.06464) or one for each element of the key (Kimi Delta Attention,
 * arXiv 2510.26692). Columns do not depend on each other. They are kept in blocks of DELTA_COLUMNS, each block as
 * [keys][DELTA_COLUMNS], which stays in the first cache while it steps through the tokens of a run. A block with fewer
 * columns has the same size.
 *
 * The first line is rounded, the third is a fused multiply-add. Both sums have four partial sums: element i is added to
 * partial sum i % 4, fused, in order; the result is (0 + 2) + (1 + 3). Every function gives the same bits on every CPU, and
 * the same for one call over all tokens as for a call for each token. delta_plain.c is the reference.
 */
#ifndef BERTH_DELTA_H
#define BERTH_DELTA_H

#include <stdbool.h>
#include <stddef.h>

#define DELTA_COLUMNS 32

/* One block of columns, and the tokens of a run. Strides are in floats, from one token to the next. */
struct delta_block {
    size_t columns; /* at most DELTA_COLUMNS */
    size_t keys;
    size_t tokens;
    const float *before; /* [keys][DELTA_COLUMNS], the state before the first token; NULL for zeros */
    float *after; /* [keys][DELTA_COLUMNS], the state after the last token; may be `before` */
    const float *q, *k; /* [tokens][keys] */
    size_t q_stride, k_stride;
    const float *v; /* [tokens][columns] */
    size_t v_stride;
    const float *decay; /* [tokens][keys] with `decay_by_key`, else [tokens] */
    size_t decay_stride;
    bool decay_by_key;
    const float *beta; /* [tokens] */
    size_t beta_stride;
    float *out; /* [tokens][columns]; may be v */
    size_t out_stride;
};

/* Steps through all tokens. */
void delta_rule(const struct delta_block *b);

#endif
