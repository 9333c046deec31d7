/* scan.c - passes each call to the functions of the selected instruction set. */
#include "scan_private.h"

#include "kernels/isa_private.h"

/* clang-format off */
static const struct scan_set *const sets[ISA_SETS] = {
    [ISA_PLAIN]  = &scan_plain,
    [ISA_AVX2]   = ISA_X86(scan_avx2),
    [ISA_AVX512] = ISA_X86(scan_avx512),
    [ISA_NEON]   = ISA_ARM64(scan_neon),
};
/* clang-format on */

const struct scan_set *scan_selected(void)
{
    enum isa set = isa_selected();
    while (!sets[set])
        set = isa_base(set);
    return sets[set];
}

void scan_channels(const struct scan_block *s)
{
    scan_selected()->channels(s);
}

void scan_head(const struct scan_block *s)
{
    scan_selected()->head(s);
}

void scan_convolve(float *out, const float *const *rows, const float *taps, size_t stride, const float *bias,
    size_t n_taps, size_t n)
{
    scan_selected()->convolve(out, rows, taps, stride, bias, n_taps, n);
}
