/* scan_neon.c - scan.h with NEON: scan_lanes_impl.h with sixteen lanes in four registers. */
#include "scan_lanes_impl.h"

const struct scan_set scan_neon = SCAN_SET_OF_LANES;
