/* vector_avx2.c - vector.h with AVX2, FMA and F16C: vector_lanes_impl.h with sixteen lanes in two registers. */
#include "vector_lanes_impl.h"

const struct vector_set vector_avx2 = VECTOR_SET_OF_LANES;
