/* attention_avx512.c - attention with AVX-512. A tile of 6 queries by 64 numbers uses twenty-four of the thirty-two
 * registers for its sums, six for one number of each query and one for a row.
 */
#define TILE_QUERIES 6
#define TILE_LANES 4
#include "attention_lanes_impl.h"

const struct attention_set attention_avx512 = {
    .split = split, .merge = merge, .narrow = narrow, .quantize = quantize};
