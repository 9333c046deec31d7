/* scan_neon.c - scan.h with NEON: scan_lanes_impl.h with sixteen lanes in four registers. */
#define SCAN_TOKENS 1
#include "scan_lanes_impl.h"

const struct scan_set scan_neon = SCAN_SET_OF_LANES;
