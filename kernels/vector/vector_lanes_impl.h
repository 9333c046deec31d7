/* vector_lanes_impl.h - vector.h over sixteen lanes, a template for each instruction set.
 *
 * One file of each set includes it and ends with the set's table. Each function gives the bits of the one of the same
 * name in vector_plain.c. Rows are read sixteen elements at a time; the last step may have fewer.
 */
#ifndef BERTH_VECTOR_LANES_IMPL_H
#define BERTH_VECTOR_LANES_IMPL_H

#include "lanes_math_impl.h"

#include <math.h>

static float sum(const float *x, size_t n)
{
    struct lanes total = lanes_set(0.0f);
    for (size_t i = 0; i < n; i += LANES)
        total = lanes_first(lanes_add(total, lanes_load_part(x + i, n - i)), total, n - i);
    return lanes_sum(total);
}

static float dot(const float *a, const float *b, size_t n)
{
    struct lanes total = lanes_set(0.0f);
    for (size_t i = 0; i < n; i += LANES) {
        struct lanes more = lanes_fma(lanes_load_part(a + i, n - i), lanes_load_part(b + i, n - i), total);
        total = lanes_first(more, total, n - i);
    }
    return lanes_sum(total);
}

static float square_sum(const float *x, float mean, size_t n)
{
    struct lanes total = lanes_set(0.0f);
    for (size_t i = 0; i < n; i += LANES) {
        struct lanes away = lanes_sub(lanes_load_part(x + i, n - i), lanes_set(mean));
        total = lanes_first(lanes_fma(away, away, total), total, n - i);
    }
    return lanes_sum(total);
}

static float max(const float *x, size_t n)
{
    struct lanes most = lanes_set(-INFINITY);
    for (size_t i = 0; i < n; i += LANES)
        most = lanes_first(lanes_max(lanes_load_part(x + i, n - i), most), most, n - i);
    return lanes_most(most);
}

static void add(float *out, const float *a, const float *b, size_t n)
{
    for (size_t i = 0; i < n; i += LANES) {
        struct lanes value = lanes_add(lanes_load_part(a + i, n - i), lanes_load_part(b + i, n - i));
        lanes_store_part(out + i, value, n - i);
    }
}

static void multiply(float *out, const float *a, const float *b, size_t n)
{
    for (size_t i = 0; i < n; i += LANES) {
        struct lanes value = lanes_mul(lanes_load_part(a + i, n - i), lanes_load_part(b + i, n - i));
        lanes_store_part(out + i, value, n - i);
    }
}

static void scale(float *out, const float *x, float factor, size_t n)
{
    for (size_t i = 0; i < n; i += LANES)
        lanes_store_part(out + i, lanes_mul(lanes_load_part(x + i, n - i), lanes_set(factor)), n - i);
}

static void divide(float *out, const float *x, float divisor, size_t n)
{
    for (size_t i = 0; i < n; i += LANES)
        lanes_store_part(out + i, lanes_div(lanes_load_part(x + i, n - i), lanes_set(divisor)), n - i);
}

static void add_scaled(float *out, const float *x, float factor, size_t n)
{
    for (size_t i = 0; i < n; i += LANES) {
        struct lanes before = lanes_load_part(out + i, n - i);
        struct lanes value = lanes_fma(lanes_load_part(x + i, n - i), lanes_set(factor), before);
        lanes_store_part(out + i, value, n - i);
    }
}

static void normalize(
    float *out, const float *x, float mean, float factor, const float *weight, const float *bias, size_t n)
{
    for (size_t i = 0; i < n; i += LANES) {
        struct lanes value = lanes_sub(lanes_load_part(x + i, n - i), lanes_set(mean));
        value = lanes_mul(value, lanes_set(factor));
        if (weight)
            value = lanes_mul(value, lanes_load_part(weight + i, n - i));
        if (bias)
            value = lanes_add(value, lanes_load_part(bias + i, n - i));
        lanes_store_part(out + i, value, n - i);
    }
}

LANES_INLINE struct lanes gate_of(struct lanes x, enum vector_gate f)
{
    const struct lanes zero = lanes_set(0.0f), half = lanes_set(0.5f), one = lanes_set(1.0f);
    switch (f) {
    case VECTOR_SILU:
        return lanes_div(x, lanes_add(one, lanes_exp(lanes_xor(x, lanes_set(-0.0f)))));
    case VECTOR_GELU: {
        struct lanes inside = lanes_fma(lanes_mul(x, x), lanes_set(VECTOR_GELU_CUBE), one);
        inside = lanes_mul(lanes_mul(x, lanes_set(VECTOR_GELU_FACTOR)), inside);
        return lanes_mul(lanes_mul(x, half), lanes_add(one, lanes_tanh(inside)));
    }
    case VECTOR_GELU_ERF: {
        struct lanes inside = lanes_mul(x, lanes_set(VECTOR_SQRT_HALF));
        return lanes_mul(lanes_mul(x, half), lanes_add(one, lanes_erf(inside)));
    }
    case VECTOR_RELU:
        return lanes_less(x, zero, zero, x);
    case VECTOR_RELU_SQUARED:
        return lanes_less(x, zero, zero, lanes_mul(x, x));
    case VECTOR_SIGMOID:
        return lanes_div(one, lanes_add(one, lanes_exp(lanes_xor(x, lanes_set(-0.0f)))));
    case VECTOR_EXP:
        return lanes_exp(x);
    }
    return x;
}

static void gate(float *out, const float *in, const float *up, enum vector_gate f, size_t n)
{
    for (size_t i = 0; i < n; i += LANES) {
        struct lanes value = gate_of(lanes_load_part(in + i, n - i), f);
        if (up)
            value = lanes_mul(value, lanes_load_part(up + i, n - i));
        lanes_store_part(out + i, value, n - i);
    }
}

static void softplus(float *out, const float *x, size_t n)
{
    const struct lanes zero = lanes_set(0.0f), two = lanes_set(2.0f);
    for (size_t i = 0; i < n; i += LANES) {
        struct lanes in = lanes_load_part(x + i, n - i);
        struct lanes u = lanes_exp(lanes_less(in, zero, in, lanes_xor(in, lanes_set(-0.0f))));
        struct lanes s = lanes_div(u, lanes_add(two, u)), square = lanes_mul(s, s);
        struct lanes value = lanes_horner(square, vector_artanh_terms, VECTOR_ARTANH_TERMS);
        value = lanes_fma(lanes_mul(s, square), value, s);
        lanes_store_part(out + i, lanes_fma(two, value, lanes_less(in, zero, zero, in)), n - i);
    }
}

static void softcap(float *out, const float *x, float cap, size_t n)
{
    for (size_t i = 0; i < n; i += LANES) {
        struct lanes value = lanes_tanh(lanes_div(lanes_load_part(x + i, n - i), lanes_set(cap)));
        lanes_store_part(out + i, lanes_mul(lanes_set(cap), value), n - i);
    }
}

static float exp_sum(float *out, const float *x, float most, size_t n)
{
    struct lanes total = lanes_set(0.0f);
    for (size_t i = 0; i < n; i += LANES) {
        struct lanes value = lanes_exp(lanes_sub(lanes_load_part(x + i, n - i), lanes_set(most)));
        total = lanes_first(lanes_add(total, value), total, n - i);
        if (out)
            lanes_store_part(out + i, value, n - i);
    }
    return lanes_sum(total);
}

/* Pairs of neighbours, eight pairs at a time. */
static void rotate_pairs(float *x, const float *cos_sin, size_t n)
{
    for (size_t i = 0; i < n; i += LANES) {
        struct lanes pairs = lanes_load_part(x + i, n - i), turn = lanes_load_part(cos_sin + i, n - i);
        struct lanes by_cosine = lanes_mul(pairs, lanes_even_twice(turn));
        struct lanes by_sine = lanes_mul(lanes_swapped(pairs), lanes_odd_twice(turn));
        lanes_store_part(x + i, lanes_sub_add(by_cosine, by_sine), n - i);
    }
}

/* The first of each pair in one half of x, the second in the other: sixteen pairs at a time. */
static void rotate_halves(float *x, const float *cos_sin, size_t pairs)
{
    for (size_t i = 0; i < pairs; i += LANES) {
        size_t left = pairs - i, second = 2 * left > LANES ? 2 * left - LANES : 0;
        struct lanes a = lanes_load_part(x + i, left), b = lanes_load_part(x + pairs + i, left);
        struct lanes cosine, sine;
        lanes_split(lanes_load_part(cos_sin + 2 * i, 2 * left),
            lanes_load_part(cos_sin + 2 * i + (second ? LANES : 0), second), &cosine, &sine);
        lanes_store_part(x + i, lanes_sub(lanes_mul(a, cosine), lanes_mul(b, sine)), left);
        lanes_store_part(x + pairs + i, lanes_add(lanes_mul(a, sine), lanes_mul(b, cosine)), left);
    }
}

static void rotate(float *x, const float *cos_sin, size_t pairs, bool halves)
{
    if (halves)
        rotate_halves(x, cos_sin, pairs);
    else
        rotate_pairs(x, cos_sin, 2 * pairs);
}

#define VECTOR_SET_OF_LANES                                                                                  \
    {                                                                                                        \
        .sum = sum, .dot = dot, .max = max, .add = add, .multiply = multiply, .scale = scale,                \
        .add_scaled = add_scaled, .normalize = normalize, .square_sum = square_sum, .gate = gate,            \
        .softplus = softplus, .softcap = softcap, .exp_sum = exp_sum, .divide = divide, .rotate = rotate,    \
    }

#endif
