/* attention_neon.c - attention.h with NEON. A tile of 3 queries by 32 numbers takes twenty-four of the thirty-two
 * registers for its sums, three for a number of each query and four for a row.
 */
#define TILE_QUERIES 3
#define TILE_LANES 2
#include "attention_lanes_private.h"

const struct attention_set attention_neon = {.span = span, .merge = merge, .narrow = narrow};
