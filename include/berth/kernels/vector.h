/* vector.h - functions of rows of floats between two products: norms, gates, rotations, exponentials.
 *
 * Every function gives the same bits on every CPU. A sum over a row has sixteen partial sums. Element i is added to
 * partial sum i % 16, in order, with a fused multiply-add where products are summed. One fixed tree adds them up: i and
 * i + 8, then i + 4, i + 2, i + 1. exp, tanh and erf are polynomials of our own, each step rounded in the same order. A
 * NaN stays a NaN, but its payload may change. Results of exp below 2^-126 are 0. vector_plain.c is the reference.
 *
 * Rows may lie at any address that is aligned for floats. `out` may be one of the inputs.
 */
#ifndef BERTH_VECTOR_H
#define BERTH_VECTOR_H

#include <stdbool.h>
#include <stddef.h>

float vector_sum(const float *x, size_t n);
float vector_dot(const float *a, const float *b, size_t n);
float vector_max(const float *x, size_t n); /* -infinity for n = 0; NaN elements are ignored */

void vector_add(float *out, const float *a, const float *b, size_t n);
void vector_multiply(float *out, const float *a, const float *b, size_t n);
void vector_scale(float *out, const float *x, float factor, size_t n);
void vector_divide(float *out, const float *x, float divisor, size_t n);
void vector_add_scaled(float *out, const float *x, float factor, size_t n); /* out += factor * x, fused */

/* out = x / sqrt(mean(x^2) + epsilon) * weight. `weight` may be NULL for ones. In both norms 1 / sqrt() is rounded and
 * then multiplied by; the sums are over x * x and (x - mean)^2. */
void vector_rms_norm(float *out, const float *x, const float *weight, float epsilon, size_t n);
/* out = (x - mean) / sqrt(variance + epsilon) * weight + bias. Both may be NULL. */
void vector_layer_norm(
    float *out, const float *x, const float *weight, const float *bias, float epsilon, size_t n);

/* Gates of feed-forward layers: out = f(gate) * up, or f(gate) when `up` is NULL. */
enum vector_gate {
    VECTOR_SILU, /* x / (1 + exp(-x)) */
    VECTOR_GELU, /* x / 2 * (1 + tanh(sqrt(2 / pi) * (x + 0.044715 x^3))) */
    VECTOR_GELU_ERF, /* x / 2 * (1 + erf(x / sqrt(2))) */
    VECTOR_RELU,
    VECTOR_RELU_SQUARED,
    VECTOR_SIGMOID, /* 1 / (1 + exp(-x)) */
    VECTOR_EXP,
};
void vector_gate(float *out, const float *gate, const float *up, enum vector_gate f, size_t n);

void vector_softplus(float *out, const float *x, size_t n); /* log(1 + exp(x)) */
/* xIELU (arXiv 2411.13010): positive x^2 + linear x above 0, negative (exp(min(x, least)) - 1 - x) + linear x below. */
struct vector_xielu {
    float positive, negative, linear, least;
};
void vector_xielu(float *out, const float *x, const struct vector_xielu *f, size_t n);
/* Limits x to -limit ... limit. */
void vector_clamp(float *out, const float *x, float limit, size_t n);

/* out = cap * tanh(x / cap) */
void vector_softcap(float *out, const float *x, float cap, size_t n);

/* Returns the sum of exp(x[i] - max). vector_softmax writes exp(x[i] - the largest x) divided by their sum. */
float vector_exp_sum(const float *x, float max, size_t n);
void vector_softmax(float *out, const float *x, size_t n);

/* Rotates pairs of x in place. Pair i (a, b) becomes (a cos - b sin, a sin + b cos), each product and sum rounded.
 * a and b are x[2i] and x[2i + 1], or with `halves` x[i] and x[i + pairs]. cos_sin[2i] is the cosine, cos_sin[2i + 1]
 * the sine. */
void vector_rotate(float *x, const float *cos_sin, size_t pairs, bool halves);

/* Functions of one number. exp and tanh give the bits of the functions above; exp is within one unit in the last place,
 * tanh within one and a half. log, sine and cosine are computed in double and then rounded. Sine and cosine are NaN for
 * angles of 2^30 and more. power is within two units of a double for a positive base, and NaN otherwise. */
float vector_exp(float x);
float vector_log(float x);
float vector_tanh(float x);
void vector_sin_cos(double angle, float *sine, float *cosine);
double vector_power(double base, double exponent);

#endif
