/* attention_neon.c - attention.h with NEON. A tile of 5 queries by 16 numbers takes twenty of the thirty-two
 * registers for its sums, five for a number of each query and four for a row. Of 3 by 32 some would be spilled.
 */
#define TILE_QUERIES 5
#define TILE_LANES 1
#include "attention_lanes_impl.h"

const struct attention_set attention_neon = {
    .split = split, .merge = merge, .narrow = narrow, .quantize = quantize};
