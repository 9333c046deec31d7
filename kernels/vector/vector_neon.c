/* vector_neon.c - vector.h with NEON: vector_lanes_impl.h with sixteen lanes in four registers. */
#include "vector_lanes_impl.h"

const struct vector_set vector_neon = VECTOR_SET_OF_LANES;
