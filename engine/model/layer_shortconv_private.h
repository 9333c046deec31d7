/* layer_shortconv_private.h - the mixer "short convolution" with gates: out(c * conv(b * x)), where b, c and x are
 * products of the input.
 *
 * The convolution runs over each channel by itself: a row sees itself and the n_taps - 1 rows before it. The state of a
 * sequence is b * x of its last n_taps - 1 positions, [n_taps - 1][n_embd], oldest first.
 */
#ifndef LAYER_SHORTCONV_PRIVATE_H
#define LAYER_SHORTCONV_PRIVATE_H

#include "layer_private.h"
#include "linear_private.h"

#define SHORTCONV_TAPS_MAX 64

extern const struct layer_kind layer_shortconv;

/* Fields and weights of one layer. */
struct shortconv_layer {
    uint32_t n_taps;
    struct linear in; /* [3 * n_embd][n_embd]: b, c, x */
    struct linear out;
    const float *taps; /* [n_taps][n_embd], oldest first */
};

struct shortconv_memory {
    float *products; /* [n][3 * n_embd]: b, which becomes b * x, then c, then x */
    float *mixed; /* [n][n_embd] */
};

#endif
