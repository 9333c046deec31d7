/* layer_laurel_private.h - the mixer "laurel": a learned residual of low rank (LAuReL, arXiv 2411.07501).
 *
 * It stands beside attention, as a layer's second mixer: x + norm(right(left(x))) of the layer's normed input. It sees only
 * its own row, and a sequence stores nothing for it.
 */
#ifndef LAYER_LAUREL_PRIVATE_H
#define LAYER_LAUREL_PRIVATE_H

#include "layer_private.h"
#include "linear_private.h"
#include "norm_private.h"

extern const struct layer_kind layer_laurel;

struct laurel_layer {
    struct linear left, right; /* [rank][n_embd], [n_embd][rank] */
    struct norm norm;
};

struct laurel_memory {
    float *low; /* [n][rank] */
};

#endif
