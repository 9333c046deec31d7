/* scan_private.h - the table of functions of each instruction set. */
#ifndef BERTH_SCAN_PRIVATE_H
#define BERTH_SCAN_PRIVATE_H

#include "berth/kernels/delta.h"
#include "berth/kernels/scan.h"
#include "berth/kernels/wkv.h"

/* The functions of scan.h, delta.h and wkv.h. */
struct scan_set {
    void (*channels)(const struct scan_block *s);
    void (*head)(const struct scan_block *s);
    void (*convolve)(float *out, const float *const *rows, const float *taps, size_t stride,
        const float *bias, size_t n_taps, size_t n);
    void (*delta)(const struct delta_block *b);
    void (*wkv)(const struct wkv_block *b);
};

void delta_plain(const struct delta_block *b);
void wkv_plain(const struct wkv_block *b);

/* The table of the selected set. */
const struct scan_set *scan_selected(void);

extern const struct scan_set scan_plain, scan_avx2, scan_avx512, scan_neon;

#endif
