/* scan_avx2.c - scan.h with AVX2, FMA and F16C: scan_lanes_impl.h with sixteen lanes in two registers. */
#define SCAN_TOKENS 1
#include "scan_lanes_impl.h"

const struct scan_set scan_avx2 = SCAN_SET_OF_LANES;
