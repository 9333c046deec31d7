/* attention_neon.c - attention with NEON. A tile of 5 queries by 16 numbers uses twenty of the thirty-two registers for
 * its sums, five for one number of each query and four for a row. A tile of 3 by 32 would spill some of its sums.
 */
#define TILE_QUERIES 5
#define TILE_LANES 1
#include "attention_lanes_impl.h"

const struct attention_set attention_neon = {
    .split = split, .merge = merge, .narrow = narrow, .quantize = quantize};
