/* attention_avx2.c - attention with AVX2, FMA and F16C. A tile of 3 queries by 32 numbers uses twelve of the sixteen
 * registers for its sums, three for one number of each query and one for a row.
 */
#define TILE_QUERIES 3
#define TILE_LANES 2
#include "attention_lanes_impl.h"

const struct attention_set attention_avx2 = {
    .split = split, .merge = merge, .narrow = narrow, .quantize = quantize};
