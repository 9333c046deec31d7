/* half.c - converts 16-bit floats with integer operations only.
 *
 * So the bits do not depend on the CPU's instructions or on the mode of its floating-point unit. Sign, exponent and
 * fraction are shifted to their places. The only arithmetic is the rounding, where a carry out of the fraction
 * correctly raises the exponent.
 */
#include "berth/base/half.h"

#include <string.h>

/* float32: 1 bit of sign, 8 of exponent (bias 127), 23 of fraction. */
#define FLOAT_INFINITY UINT32_C(0x7f800000)
#define FLOAT_QUIET UINT32_C(0x00400000)
/* binary16, and how far its bias lies below float32's. */
#define HALF_INFINITY UINT32_C(0x7c00)
#define HALF_QUIET UINT32_C(0x0200)
#define BIAS_BETWEEN UINT32_C(112)

static float float_of(uint32_t bits)
{
    float value;
    memcpy(&value, &bits, sizeof(value));
    return value;
}

static uint32_t bits_of(float value)
{
    uint32_t bits;
    memcpy(&bits, &value, sizeof(bits));
    return bits;
}

/* `bits` without the lowest `n` of them, 1 to 31, rounded to the nearest, ties to even. */
static uint32_t shift_rounded(uint32_t bits, unsigned n)
{
    uint32_t half = UINT32_C(1) << (n - 1);
    uint32_t odd = (bits >> n) & 1;
    return (bits + half - 1 + odd) >> n;
}

/* A subnormal half is fraction * 2^-24. As a float it is normal: its highest set bit becomes the implied one. */
static uint32_t widen_subnormal(uint32_t fraction)
{
    uint32_t exponent = BIAS_BETWEEN + 1;
    while (!(fraction & 0x400)) {
        fraction <<= 1;
        exponent--;
    }
    return exponent << 23 | (fraction & 0x3ff) << 13;
}

static uint32_t half_widen(uint16_t bits)
{
    uint32_t sign = (uint32_t)(bits & 0x8000) << 16;
    uint32_t size = bits & 0x7fff;
    if (size == 0)
        return sign;
    if (size < 0x400)
        return sign | widen_subnormal(size);
    if (size < HALF_INFINITY)
        return sign | (size + (BIAS_BETWEEN << 10)) << 13;
    if (size == HALF_INFINITY)
        return sign | FLOAT_INFINITY;
    return sign | FLOAT_INFINITY | FLOAT_QUIET | (size & 0x3ff) << 13;
}

/* `size` is a float below 2^-14 without its sign. Returns it in steps of 2^-24, those of a subnormal half. */
static uint32_t narrow_subnormal(uint32_t size)
{
    uint32_t exponent = size >> 23;
    if (exponent < BIAS_BETWEEN - 10) /* below 2^-25, half a step */
        return 0;
    uint32_t fraction = (size & 0x7fffff) | 0x800000;
    return shift_rounded(fraction, 126 - exponent);
}

static uint16_t half_narrow(uint32_t bits)
{
    uint32_t sign = bits >> 16 & 0x8000;
    uint32_t size = bits & 0x7fffffff;
    uint32_t half;
    if (size > FLOAT_INFINITY)
        half = HALF_INFINITY | HALF_QUIET | (size >> 13 & 0x3ff);
    else if (size < (BIAS_BETWEEN + 1) << 23)
        half = narrow_subnormal(size);
    else
        half = shift_rounded(size - (BIAS_BETWEEN << 23), 13);
    if (size <= FLOAT_INFINITY && half > HALF_INFINITY)
        half = HALF_INFINITY;
    return (uint16_t)(sign | half);
}

static uint16_t bfloat_narrow(uint32_t bits)
{
    if ((bits & 0x7fffffff) > FLOAT_INFINITY)
        return (uint16_t)((bits | FLOAT_QUIET) >> 16);
    return (uint16_t)shift_rounded(bits, 16);
}

float half_to_float(uint16_t bits)
{
    return float_of(half_widen(bits));
}

uint16_t half_from_float(float value)
{
    return half_narrow(bits_of(value));
}

float bfloat_to_float(uint16_t bits)
{
    return float_of((uint32_t)bits << 16);
}

uint16_t bfloat_from_float(float value)
{
    return bfloat_narrow(bits_of(value));
}

static uint16_t load(const void *bits, size_t i)
{
    uint16_t value;
    memcpy(&value, (const char *)bits + i * sizeof(value), sizeof(value));
    return value;
}

static void store(void *bits, size_t i, uint16_t value)
{
    memcpy((char *)bits + i * sizeof(value), &value, sizeof(value));
}

void half_to_floats(float *out, const void *bits, size_t n)
{
    for (size_t i = 0; i < n; i++)
        out[i] = half_to_float(load(bits, i));
}

void half_from_floats(void *bits, const float *values, size_t n)
{
    for (size_t i = 0; i < n; i++)
        store(bits, i, half_from_float(values[i]));
}

void bfloat_to_floats(float *out, const void *bits, size_t n)
{
    for (size_t i = 0; i < n; i++)
        out[i] = bfloat_to_float(load(bits, i));
}

void bfloat_from_floats(void *bits, const float *values, size_t n)
{
    for (size_t i = 0; i < n; i++)
        store(bits, i, bfloat_from_float(values[i]));
}
