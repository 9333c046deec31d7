/* matmul_codes_private.h - what lies between the functions that unpack codes, matmul_codes_impl.h, and those that
 * multiply what they unpack, matmul_codes_tile_impl.h.
 *
 * Included by a set after its panel, which it names `panel`, and the name of its table, CODES_TABLE. Sets whose panels
 * are alike share a table.
 */
#ifndef BERTH_MATMUL_CODES_PRIVATE_H
#define BERTH_MATMUL_CODES_PRIVATE_H

#include "matmul_private.h"

/* Where element i of the activations goes. */
enum order {
    IN_ORDER,
    BY_FOURS, /* element 4b + s of each 16 to 4s + b */
    BY_TWOS, /* element 2b + s of each 8 to 4s + b */
};

/* What the weights of a type are, so that the set knows how to multiply them. */
enum weights { TERNARY, SMALL, SMALL_HALVES, LARGE, LARGE_HALVES };

/* A type. Panel i of the block at a group's rows goes to p[i * step]; large weights are too large by `large`. */
struct codes {
    void (*unpack)(struct panel *p, size_t step, const uint8_t *at, size_t row_bytes, int large);
    uint8_t bytes, parts; /* of a block */
    uint8_t order, weights;
};

extern const struct codes CODES_TABLE[MATMUL_INT8];

#endif
