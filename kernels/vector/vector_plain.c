/* vector_plain.c - vector.h in plain C: the reference.
 *
 * Every other set gives these bits. So each step is written as it is rounded, and a sum has the sixteen partial sums
 * that the other sets have in their lanes.
 */
#include "vector_private.h"

#include <math.h>

/* Adds partial sum i + 8 to i, then i + 4, i + 2, i + 1. */
static float tree_sum(float *lanes)
{
    for (size_t half = VECTOR_LANES / 2; half > 0; half /= 2)
        for (size_t i = 0; i < half; i++)
            lanes[i] += lanes[i + half];
    return lanes[0];
}

static float sum(const float *x, size_t n)
{
    float lanes[VECTOR_LANES] = {0};
    for (size_t i = 0; i < n; i++)
        lanes[i % VECTOR_LANES] += x[i];
    return tree_sum(lanes);
}

static float dot(const float *a, const float *b, size_t n)
{
    float lanes[VECTOR_LANES] = {0};
    for (size_t i = 0; i < n; i++)
        lanes[i % VECTOR_LANES] = __builtin_fmaf(a[i], b[i], lanes[i % VECTOR_LANES]);
    return tree_sum(lanes);
}

static float square_sum(const float *x, float mean, size_t n)
{
    float lanes[VECTOR_LANES] = {0};
    for (size_t i = 0; i < n; i++) {
        float away = x[i] - mean;
        lanes[i % VECTOR_LANES] = __builtin_fmaf(away, away, lanes[i % VECTOR_LANES]);
    }
    return tree_sum(lanes);
}

/* The order only matters to the sign of a zero. */
static float max(const float *x, size_t n)
{
    float lanes[VECTOR_LANES];
    for (size_t i = 0; i < VECTOR_LANES; i++)
        lanes[i] = -INFINITY;
    for (size_t i = 0; i < n; i++)
        if (x[i] > lanes[i % VECTOR_LANES])
            lanes[i % VECTOR_LANES] = x[i];
    for (size_t half = VECTOR_LANES / 2; half > 0; half /= 2)
        for (size_t i = 0; i < half; i++)
            if (lanes[i + half] > lanes[i])
                lanes[i] = lanes[i + half];
    return lanes[0];
}

static void add(float *out, const float *a, const float *b, size_t n)
{
    for (size_t i = 0; i < n; i++)
        out[i] = a[i] + b[i];
}

static void multiply(float *out, const float *a, const float *b, size_t n)
{
    for (size_t i = 0; i < n; i++)
        out[i] = a[i] * b[i];
}

static void scale(float *out, const float *x, float factor, size_t n)
{
    for (size_t i = 0; i < n; i++)
        out[i] = x[i] * factor;
}

static void divide(float *out, const float *x, float divisor, size_t n)
{
    for (size_t i = 0; i < n; i++)
        out[i] = x[i] / divisor;
}

static void add_scaled(float *out, const float *x, float factor, size_t n)
{
    for (size_t i = 0; i < n; i++)
        out[i] = __builtin_fmaf(x[i], factor, out[i]);
}

static void normalize(
    float *out, const float *x, float mean, float factor, const float *weight, const float *bias, size_t n)
{
    for (size_t i = 0; i < n; i++) {
        float value = (x[i] - mean) * factor;
        if (weight)
            value *= weight[i];
        out[i] = bias ? value + bias[i] : value;
    }
}

static float gate_of(float x, enum vector_gate f)
{
    switch (f) {
    case VECTOR_SILU:
        return x / (1.0f + vector_exp(-x));
    case VECTOR_GELU: {
        float inside = x * VECTOR_GELU_FACTOR * __builtin_fmaf(x * x, VECTOR_GELU_CUBE, 1.0f);
        return x * 0.5f * (1.0f + vector_tanh(inside));
    }
    case VECTOR_GELU_ERF:
        return x * 0.5f * (1.0f + vector_erf(x * VECTOR_SQRT_HALF));
    case VECTOR_RELU:
        return x < 0.0f ? 0.0f : x;
    case VECTOR_RELU_SQUARED:
        return x < 0.0f ? 0.0f : x * x;
    case VECTOR_SIGMOID:
        return 1.0f / (1.0f + vector_exp(-x));
    case VECTOR_EXP:
        return vector_exp(x);
    }
    return x;
}

static void gate(float *out, const float *in, const float *up, enum vector_gate f, size_t n)
{
    for (size_t i = 0; i < n; i++) {
        float value = gate_of(in[i], f);
        out[i] = up ? value * up[i] : value;
    }
}

static float softplus_of(float x)
{
    float u = vector_exp(x < 0.0f ? x : -x), most = x < 0.0f ? 0.0f : x;
    float s = u / (2.0f + u), square = s * s;
    float value = vector_artanh_terms[VECTOR_ARTANH_TERMS - 1];
    for (size_t i = VECTOR_ARTANH_TERMS - 1; i-- > 0;)
        value = __builtin_fmaf(value, square, vector_artanh_terms[i]);
    value = __builtin_fmaf(s * square, value, s);
    return __builtin_fmaf(2.0f, value, most);
}

static void softplus(float *out, const float *x, size_t n)
{
    for (size_t i = 0; i < n; i++)
        out[i] = softplus_of(x[i]);
}

static void softcap(float *out, const float *x, float cap, size_t n)
{
    for (size_t i = 0; i < n; i++)
        out[i] = cap * vector_tanh(x[i] / cap);
}

static float exp_sum(float *out, const float *x, float most, size_t n)
{
    float lanes[VECTOR_LANES] = {0};
    for (size_t i = 0; i < n; i++) {
        float value = vector_exp(x[i] - most);
        lanes[i % VECTOR_LANES] += value;
        if (out)
            out[i] = value;
    }
    return tree_sum(lanes);
}

static void rotate(float *x, const float *cos_sin, size_t pairs, bool halves)
{
    for (size_t i = 0; i < pairs; i++) {
        float *first = halves ? x + i : x + 2 * i;
        float *second = halves ? x + pairs + i : x + 2 * i + 1;
        float a = *first, b = *second;
        float cosine = cos_sin[2 * i], sine = cos_sin[2 * i + 1];
        *first = a * cosine - b * sine;
        *second = a * sine + b * cosine;
    }
}

const struct vector_set vector_plain = {
    .sum = sum,
    .dot = dot,
    .max = max,
    .add = add,
    .multiply = multiply,
    .scale = scale,
    .add_scaled = add_scaled,
    .normalize = normalize,
    .square_sum = square_sum,
    .gate = gate,
    .softplus = softplus,
    .softcap = softcap,
    .exp_sum = exp_sum,
    .divide = divide,
    .rotate = rotate,
};
