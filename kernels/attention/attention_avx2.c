/* attention_avx2.c - attention.h with AVX2, FMA and F16C. A tile of 3 queries by 32 numbers takes twelve of
 * the sixteen registers for its sums, three for a number of each query and one for a row.
 */
#define TILE_QUERIES 3
#define TILE_LANES 2
#include "attention_lanes_impl.h"

const struct attention_set attention_avx2 = {
    .split = split, .merge = merge, .narrow = narrow, .quantize = quantize};
