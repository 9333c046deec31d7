/* half.h - converts the two 16-bit float types to float32 and back.
 *
 * F16 is IEEE 754's binary16: one bit of sign, five of exponent (bias 15), ten of fraction. BF16 is the upper
 * half of a float32. The conversion to float32 is exact for every number, subnormals and infinities included. The
 * conversion to 16 bits rounds to the nearest number, ties to even. A number that is too large becomes infinite, one
 * that is too small becomes a subnormal or a zero; the sign stays. A NaN stays a NaN with its sign and the upper bits
 * of its payload, and becomes quiet, except that a NaN from BF16 is not made quiet. These are the bits of vcvtph2ps
 * and vcvtps2ph, so kernels may use a CPU's own conversion instead.
 */
#ifndef BERTH_HALF_H
#define BERTH_HALF_H

#include <stddef.h>
#include <stdint.h>

float half_to_float(uint16_t bits);
uint16_t half_from_float(float value);

float bfloat_to_float(uint16_t bits);
uint16_t bfloat_from_float(float value);

/* The same for n numbers in a row; the 16-bit side may lie at any address. */
void half_to_floats(float *out, const void *bits, size_t n);
void half_from_floats(void *bits, const float *values, size_t n);
void bfloat_to_floats(float *out, const void *bits, size_t n);
void bfloat_from_floats(void *bits, const float *values, size_t n);

#endif
