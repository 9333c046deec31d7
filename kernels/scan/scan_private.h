/* scan_private.h - the table of functions of each instruction set. */
#ifndef BERTH_SCAN_PRIVATE_H
#define BERTH_SCAN_PRIVATE_H

#include "berth/kernels/scan.h"

/* The functions of scan.h. */
struct scan_set {
    void (*channels)(const struct scan_block *s);
    void (*head)(const struct scan_block *s);
    void (*convolve)(float *out, const float *const *rows, const float *taps, size_t stride,
        const float *bias, size_t n_taps, size_t n);
};

extern const struct scan_set scan_plain, scan_avx2, scan_avx512, scan_neon;

#endif
