/* wkv.h - the recurrences of RWKV's time mix, versions 6 and 7.
 *
 * A head has a state S of keys x columns numbers. A token with a receptance r, a decay w, a key k and a value v changes it
 * and reads from it. In version 7 (arXiv 2503.14456) it also takes out what the state holds under another key, kk:
 *
 *     held[c] = sum over i of S[i][c] * kk[i]
 *     S[i][c] = S[i][c] * w[i] + k[i] * v[c] - b[i] * held[c]
 *     out[c] = sum over i of S[i][c] * r[i]
 *
 * Without kk nothing is taken out; that is gated linear attention. In version 6 (arXiv 2404.05892) `early` is set as well:
 * out reads the state before it changes. The token's own share of out in version 6 is a number times v, which the caller
 * adds.
 *
 * Columns do not depend on each other, and lie in blocks as those of delta.h. S * w is rounded, then k * v and -b * held
 * are added by fused multiply-adds, in this order. The sums run from the first key to the last, with fused
 * multiply-adds. Every function gives the same bits on every CPU, and the same for one call over all tokens as for a call
 * for each token. wkv_plain.c is the reference.
 */
#ifndef BERTH_WKV_H
#define BERTH_WKV_H

#include "berth/kernels/delta.h"

/* One block of columns, and the tokens of a run. */
struct wkv_block {
    size_t columns; /* at most DELTA_COLUMNS */
    size_t keys;
    size_t tokens;
    const float *before; /* [keys][DELTA_COLUMNS], the state before the first token; NULL for zeros */
    float *after; /* [keys][DELTA_COLUMNS], the state after the last token; may be `before` */
    const float *r, *w, *k; /* [tokens][keys] */
    const float *kk, *b; /* [tokens][keys]; NULL: nothing is taken out */
    bool early; /* only without kk */
    const float *v; /* [tokens][columns] */
    float *out; /* [tokens][columns]; may be v */
    size_t stride; /* floats from one token to the next in all of these but v */
    size_t v_stride;
};

/* Steps through all tokens. */
void wkv(const struct wkv_block *b);

#endif
