/* scan_avx512.c - scan.h with AVX-512: scan_lanes_impl.h with sixteen lanes in one register. */
#define SCAN_TOKENS 4
#include "scan_lanes_impl.h"

const struct scan_set scan_avx512 = SCAN_SET_OF_LANES;
