/* half.h - the two 16-bit floats and how they become float32 and back.
 *
 * F16 is IEEE 754's binary16: one bit of sign, five of exponent (bias 15), ten of fraction. BF16 is the upper
 * half of a float32. Both go to float32 without loss, subnormal numbers and infinities included. The way back
 * rounds to the nearest, ties to the even one; what is too large becomes infinite, what is too small a
 * subnormal number or a zero of its sign. A NaN stays one, with its sign and the upper bits of its payload,
 * and is made quiet. These are the bits that vcvtph2ps and vcvtps2ph give, so that a CPU's own conversion may
 * stand in for these functions anywhere. (A NaN alone is not made quiet on the way from BF16.)
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
