/* vector_neon.c - vector.h with NEON, four floats in a register.
 */
#include "vector_lanes_impl.h"

const struct vector_set vector_neon = VECTOR_SET_OF_LANES;
