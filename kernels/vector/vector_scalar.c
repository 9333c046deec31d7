/* vector_scalar.c - exponential and trigonometric functions of one number.
 *
 * Those of C libraries differ in the last bits, and answers must not. So the functions here use only additions,
 * multiplications, divisions and fused multiply-adds, whose rounding IEEE 754 defines.
 *
 * exp, tanh and erf are computed in float32, in the same steps as in lanes_math_impl.h. The others use double. power
 * keeps its logarithm in two doubles, because the exponent multiplies the logarithm's error.
 */
#include "vector_private.h"

#include <math.h>
#include <stdint.h>
#include <string.h>

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

static float horner(float x, const float *terms, size_t n)
{
    float value = terms[n - 1];
    for (size_t i = n - 1; i-- > 0;)
        value = __builtin_fmaf(value, x, terms[i]);
    return value;
}

/* `size`, which has no sign, with the sign of x. */
static float with_sign(float size, float x)
{
    return float_of(bits_of(size) | (bits_of(x) & 0x80000000u));
}

static float without_sign(float x)
{
    return float_of(bits_of(x) & 0x7fffffffu);
}

float vector_exp(float x)
{
    if (x < VECTOR_EXP_LEAST)
        return 0.0f;
    if (!(x <= VECTOR_EXP_MOST))
        return x * VECTOR_HUGE;
    float rounded = __builtin_fmaf(x, VECTOR_LOG2_E, VECTOR_ROUNDER);
    float n = rounded - VECTOR_ROUNDER;
    float r = __builtin_fmaf(n, -VECTOR_LN2_HIGH, x);
    r = __builtin_fmaf(n, -VECTOR_LN2_LOW, r);
    float value = horner(r, vector_exp_terms, VECTOR_EXP_TERMS);
    return float_of(bits_of(value) + (bits_of(rounded) << 23));
}

float vector_tanh(float x)
{
    float size = without_sign(x);
    if (size < VECTOR_TANH_SMALL) {
        float square = x * x;
        return __builtin_fmaf(x * square, horner(square, vector_tanh_terms, VECTOR_TANH_TERMS), x);
    }
    float e = vector_exp(size + size);
    return with_sign(1.0f - 2.0f / (e + 1.0f), x);
}

float vector_erf(float x)
{
    float size = without_sign(x);
    if (size < VECTOR_ERF_SMALL)
        return __builtin_fmaf(x, horner(x * x, vector_erf_small_terms, VECTOR_ERF_TERMS), x);
    if (size > VECTOR_ERF_ONE)
        size = VECTOR_ERF_ONE;
    float e = vector_exp(size * horner(size, vector_erf_large_terms, VECTOR_ERF_TERMS));
    return with_sign(1.0f - e, x);
}

/* ---- in double ---------------------------------------------------------------------------------------- */

#define LN2_HIGH 0x1.62e42feep-1 /* 32 bits: its products by an exponent are exact */
#define LN2_LOW 0x1.a39ef35793c76p-33
#define LOG2_E 0x1.71547652b82fep+0
#define HALF_PI_HIGH 0x1.921fb54442d18p+0
#define HALF_PI_LOW 0x1.1a62633145c07p-54
#define TWO_OVER_PI 0x1.45f306dc9c883p-1
#define ROUNDER 0x1.8p52

static double horner_double(double x, const double *terms, size_t n)
{
    double value = terms[n - 1];
    for (size_t i = n - 1; i-- > 0;)
        value = __builtin_fma(value, x, terms[i]);
    return value;
}

/* 2^n for normal results. */
static double power_of_two(int n)
{
    uint64_t bits = (uint64_t)(n + 1023) << 52;
    double value;
    memcpy(&value, &bits, sizeof(value));
    return value;
}

/* Splits x > 0 into m * 2^e with m between sqrt(1/2) and sqrt(2). */
static double cut(double x, int *e)
{
    int raised = 0;
    if (x < 0x1p-1022) {
        x *= 0x1p54;
        raised = 54;
    }
    uint64_t bits;
    memcpy(&bits, &x, sizeof(bits));
    const uint64_t sqrt_half = 0x3fe6a09e667f3bcd;
    uint64_t above = bits - sqrt_half;
    *e = (int)((int64_t)above >> 52) - raised;
    bits = (above & 0x000fffffffffffff) + sqrt_half;
    memcpy(&x, &bits, sizeof(x));
    return x;
}

/* log x = the result + *low, for finite x > 0: log(m) = 2 artanh(s) = 2 (s + s^3 / 3 + s^5 / 5 ...) where
 * s = (m - 1) / (m + 1), at most 0.172. */
static double log_in_two(double x, double *low)
{
    static const double terms[] = {2.0 / 3, 2.0 / 5, 2.0 / 7, 2.0 / 9, 2.0 / 11, 2.0 / 13, 2.0 / 15, 2.0 / 17,
        2.0 / 19, 2.0 / 21, 2.0 / 23};
    int e;
    double m = cut(x, &e);
    double above = m - 1, sum = m + 1, sum_low = m - (sum - 1);
    double s = above / sum;
    double s_low = (__builtin_fma(-s, sum, above) - s * sum_low) / sum;
    double square = s * s;
    double rest = s * square * horner_double(square, terms, sizeof(terms) / sizeof(*terms));

    double whole = e * LN2_HIGH, part = 2 * s;
    double high = whole + part;
    double lost = e == 0 ? 0 : part - (high - whole); /* |whole| > |part| unless it is 0 */
    rest += lost + (e * LN2_LOW + 2 * s_low);
    double result = high + rest;
    *low = rest - (result - high);
    return result;
}

/* exp(x + low), where low is small beside x. */
static double exp_of_two(double x, double low)
{
    static const double terms[] = {1.0, 1.0, 1.0 / 2, 1.0 / 6, 1.0 / 24, 1.0 / 120, 1.0 / 720, 1.0 / 5040,
        1.0 / 40320, 1.0 / 362880, 1.0 / 3628800, 1.0 / 39916800, 1.0 / 479001600, 1.0 / 6227020800};
    if (x > 710)
        return INFINITY;
    if (x < -746)
        return 0;
    double n = (x * LOG2_E + ROUNDER) - ROUNDER;
    double r = __builtin_fma(n, -LN2_HIGH, x);
    r += __builtin_fma(n, -LN2_LOW, low);
    double value = horner_double(r, terms, sizeof(terms) / sizeof(*terms));
    int half = (int)n / 2; /* in two steps: the power itself may be out of range where the result is not */
    return value * power_of_two(half) * power_of_two((int)n - half);
}

float vector_log(float x)
{
    double low;
    if (x == 0)
        return -INFINITY;
    if (!(x > 0))
        return NAN;
    return x < INFINITY ? (float)log_in_two(x, &low) : x;
}

double vector_power(double base, double exponent)
{
    if (!(base > 0 && base < INFINITY && exponent - exponent == 0))
        return NAN;
    double low;
    double high = log_in_two(base, &low);
    double product = exponent * high;
    if (product > 710)
        return INFINITY;
    if (product < -746)
        return 0;
    low = __builtin_fma(exponent, high, -product) + exponent * low;
    return exp_of_two(product, low);
}

void vector_sin_cos(double angle, float *sine, float *cosine)
{
    static const double sin_terms[] = {1.0, -1.0 / 6, 1.0 / 120, -1.0 / 5040, 1.0 / 362880, -1.0 / 39916800,
        1.0 / 6227020800, -1.0 / 1307674368000};
    static const double cos_terms[] = {1.0, -1.0 / 2, 1.0 / 24, -1.0 / 720, 1.0 / 40320, -1.0 / 3628800,
        1.0 / 479001600, -1.0 / 87178291200};
    if (!(angle > -0x1p30 && angle < 0x1p30)) {
        *sine = *cosine = NAN;
        return;
    }
    double quarters = (angle * TWO_OVER_PI + ROUNDER) - ROUNDER;
    double r = __builtin_fma(quarters, -HALF_PI_HIGH, angle);
    r = __builtin_fma(quarters, -HALF_PI_LOW, r);
    double square = r * r;
    double s = r * horner_double(square, sin_terms, sizeof(sin_terms) / sizeof(*sin_terms));
    double c = horner_double(square, cos_terms, sizeof(cos_terms) / sizeof(*cos_terms));
    int64_t quarter = (int64_t)quarters;
    double turned_s = quarter & 1 ? c : s, turned_c = quarter & 1 ? s : c;
    *sine = (float)(quarter & 2 ? -turned_s : turned_s);
    *cosine = (float)((quarter + 1) & 2 ? -turned_c : turned_c);
}
