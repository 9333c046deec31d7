/* vector_private.h - the table of functions of each instruction set, and the constants that all sets share.
 *
 * The polynomials minimize the largest error (Remez). They were computed for this program and rounded to float32; the
 * errors given here are those before rounding. They are evaluated by Horner's rule from the last term on, with one
 * fused multiply-add a term. vector_scalar.c has each function for one number, lanes_math_impl.h for sixteen.
 */
#ifndef BERTH_VECTOR_PRIVATE_H
#define BERTH_VECTOR_PRIVATE_H

#include "berth/kernels/vector.h"

#define VECTOR_LANES 16

/* The functions of vector.h that have these names, and those that they are made of. */
struct vector_set {
    float (*sum)(const float *x, size_t n);
    float (*dot)(const float *a, const float *b, size_t n);
    float (*max)(const float *x, size_t n);
    void (*add)(float *out, const float *a, const float *b, size_t n);
    void (*multiply)(float *out, const float *a, const float *b, size_t n);
    void (*scale)(float *out, const float *x, float factor, size_t n);
    void (*add_scaled)(float *out, const float *x, float factor, size_t n);
    /* out = (x - mean) * factor * weight + bias, and the sum of (x - mean)^2: what the norms are made of. */
    void (*normalize)(float *out, const float *x, float mean, float factor, const float *weight,
        const float *bias, size_t n);
    float (*square_sum)(const float *x, float mean, size_t n);
    void (*gate)(float *out, const float *gate, const float *up, enum vector_gate f, size_t n);
    void (*softplus)(float *out, const float *x, size_t n);
    void (*softcap)(float *out, const float *x, float cap, size_t n);
    /* Sums exp(x - max), and writes the terms where `out` is not NULL. */
    float (*exp_sum)(float *out, const float *x, float max, size_t n);
    void (*divide)(float *out, const float *x, float divisor, size_t n);
    void (*rotate)(float *x, const float *cos_sin, size_t pairs, bool halves);
};

extern const struct vector_set vector_plain, vector_avx2, vector_avx512, vector_neon;

float vector_erf(float x);

/* exp: x = n ln 2 + r, with |r| <= ln 2 / 2; exp(r) = 1 + r + r^2 p(r), to 2^-28. Adding VECTOR_ROUNDER to a number
 * below 2^22 rounds it to an integer, which is then in the lowest bits of the sum. The exponent of the result is set
 * by an addition of integers, which cannot make subnormal numbers: results below 2^-126 are 0. */
#define VECTOR_EXP_LEAST (-87.33654f)
#define VECTOR_EXP_MOST 88.72283f
#define VECTOR_ROUNDER 12582912.0f /* 1.5 * 2^23 */
#define VECTOR_LOG2_E 1.44269502f
#define VECTOR_LN2_HIGH 0.693359375f /* ten bits: its products by n are exact */
#define VECTOR_LN2_LOW (-2.12194442e-4f)
#define VECTOR_HUGE 3.0e38f /* times an x above VECTOR_EXP_MOST is infinite */
static const float vector_exp_terms[] = {
    1.0f, 1.0f, 0.49999994f, 0.166665211f, 0.0416683890f, 0.00836871658f, 0.00138145941f};
#define VECTOR_EXP_TERMS 7

/* tanh: x + x^3 p(x^2) below VECTOR_TANH_SMALL, to 2^-28; above, 1 - 2 / (exp(2 |x|) + 1) with x's sign. */
#define VECTOR_TANH_SMALL 0.6f
static const float vector_tanh_terms[] = {
    -0.333332956f, 0.133318156f, -0.0537731573f, 0.0207555238f, -0.00584335066f};
#define VECTOR_TANH_TERMS 5

/* erf: x + x p(x^2) below VECTOR_ERF_SMALL, to 2^-31; above, 1 - exp(|x| q(|x|)) with x's sign, to 2^-30,
 * where from VECTOR_ERF_ONE on the result is 1 in float32. */
#define VECTOR_ERF_SMALL 0.925f
#define VECTOR_ERF_ONE 4.0f
static const float vector_erf_small_terms[] = {0.128379166f, -0.376126349f, 0.112836912f, -0.0268591195f,
    0.00520026032f, -0.000813321327f, 8.32748048e-5f};
static const float vector_erf_large_terms[] = {-1.12865222f, -0.635135829f, -0.106263310f, 0.0237854905f,
    -0.00365383341f, 0.000325670175f, -1.15240746e-5f};
#define VECTOR_ERF_TERMS 7

/* softplus: max(x, 0) + log(1 + u), where u = exp(-|x|) and log(1 + u) = 2 artanh(s) for s = u / (2 + u), at most 1 / 3;
 * artanh(s) = s + s^3 p(s^2), to 2^-33. */
static const float vector_artanh_terms[] = {
    0.333333373f, 0.199994385f, 0.143084422f, 0.107138284f, 0.121504702f};
#define VECTOR_ARTANH_TERMS 5

/* GELU by tanh: its argument is x sqrt(2 / pi) (1 + 0.044715 x^2). */
#define VECTOR_GELU_FACTOR 0.797884561f
#define VECTOR_GELU_CUBE 0.044715f
#define VECTOR_SQRT_HALF 0.707106781f

#endif
