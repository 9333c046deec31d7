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
    BY_EIGHTS, /* element 8b + s to 4s + b */
    BY_TWOS, /* element 2b + s of each 8 to 4s + b */
};

/* For a byte shuffle of each half of a block: which element is at each place. With BY_EIGHTS pairs of bytes of both
 * halves are interleaved afterwards. */
static const uint8_t orders[][16] = {
    [IN_ORDER] = {0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15},
    [BY_FOURS] = {0, 4, 8, 12, 1, 5, 9, 13, 2, 6, 10, 14, 3, 7, 11, 15},
    [BY_EIGHTS] = {0, 8, 1, 9, 2, 10, 3, 11, 4, 12, 5, 13, 6, 14, 7, 15},
    [BY_TWOS] = {0, 2, 4, 6, 1, 3, 5, 7, 8, 10, 12, 14, 9, 11, 13, 15},
};

/* What the weights of a type are, so that the set knows how to multiply them. */
enum weights { TERNARY, SMALL, SMALL_HALVES, LARGE, LARGE_HALVES };

INLINE bool by_halves(unsigned weights)
{
    return weights == SMALL_HALVES || weights == LARGE_HALVES;
}

/* Weights are too large by 2^offset: the offsets in the order of enum weights. */
static const uint8_t offsets[] = {0, 4, 4, 6, 6};

/* What add_one prefetches of the next rows: `step` bytes with each part, from `at` on. */
struct next_rows {
    const uint8_t *at;
    size_t step, row_bytes;
};

/* A type. Panel i of the block at a group's rows goes to p[i * step]. */
struct codes {
    void (*unpack)(struct panel *p, size_t step, const uint8_t *at, size_t row_bytes);
    uint8_t bytes, parts; /* of a block */
    uint8_t order, weights;
};

extern const struct codes CODES_TABLE[MATMUL_INT8];

#endif
