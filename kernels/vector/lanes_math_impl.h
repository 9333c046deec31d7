/* lanes_math_impl.h - exp, tanh and erf of sixteen numbers, step by step as vector_scalar.c computes one.
 *
 * Where vector_scalar.c branches, both results are computed here and one is selected. tanh and erf are not inlined, to
 * save space; exp is, because attention spends its time in it.
 */
#ifndef BERTH_LANES_MATH_IMPL_H
#define BERTH_LANES_MATH_IMPL_H

#include "lanes_impl.h"
#include "vector_private.h"

LANES_INLINE struct lanes lanes_horner(struct lanes x, const float *terms, size_t n)
{
    struct lanes value = lanes_set(terms[n - 1]);
#pragma GCC unroll 8
    for (size_t i = n - 1; i-- > 0;)
        value = lanes_fma(value, x, lanes_set(terms[i]));
    return value;
}

LANES_INLINE struct lanes lanes_exp(struct lanes x)
{
    const struct lanes rounder = lanes_set(VECTOR_ROUNDER);
    struct lanes rounded = lanes_fma(x, lanes_set(VECTOR_LOG2_E), rounder);
    struct lanes n = lanes_sub(rounded, rounder);
    struct lanes r = lanes_fma(n, lanes_set(-VECTOR_LN2_HIGH), x);
    r = lanes_fma(n, lanes_set(-VECTOR_LN2_LOW), r);
    struct lanes value = lanes_raise(lanes_horner(r, vector_exp_terms, VECTOR_EXP_TERMS), rounded);
    value = lanes_less(x, lanes_set(VECTOR_EXP_LEAST), lanes_set(0.0f), value);
    return lanes_at_most(x, lanes_set(VECTOR_EXP_MOST), value, lanes_mul(x, lanes_set(VECTOR_HUGE)));
}

static __attribute__((noinline, unused)) struct lanes lanes_tanh(struct lanes x)
{
    const struct lanes one = lanes_set(1.0f);
    struct lanes size = lanes_without_sign(x);
    struct lanes square = lanes_mul(x, x);
    struct lanes small = lanes_horner(square, vector_tanh_terms, VECTOR_TANH_TERMS);
    small = lanes_fma(lanes_mul(x, square), small, x);
    struct lanes e = lanes_exp(lanes_add(size, size));
    struct lanes large = lanes_sub(one, lanes_div(lanes_set(2.0f), lanes_add(e, one)));
    return lanes_less(size, lanes_set(VECTOR_TANH_SMALL), small, lanes_with_sign(large, x));
}

static __attribute__((noinline, unused)) struct lanes lanes_erf(struct lanes x)
{
    const struct lanes most = lanes_set(VECTOR_ERF_ONE);
    struct lanes size = lanes_without_sign(x);
    struct lanes small = lanes_horner(lanes_mul(x, x), vector_erf_small_terms, VECTOR_ERF_TERMS);
    small = lanes_fma(x, small, x);
    struct lanes cut = lanes_less(most, size, most, size);
    struct lanes e = lanes_exp(lanes_mul(cut, lanes_horner(cut, vector_erf_large_terms, VECTOR_ERF_TERMS)));
    struct lanes large = lanes_with_sign(lanes_sub(lanes_set(1.0f), e), x);
    return lanes_less(size, lanes_set(VECTOR_ERF_SMALL), small, large);
}

#endif
