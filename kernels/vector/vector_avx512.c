/* vector_avx512.c - vector.h with AVX-512: vector_lanes_impl.h with sixteen lanes in one register. */
#include "vector_lanes_impl.h"

const struct vector_set vector_avx512 = VECTOR_SET_OF_LANES;
