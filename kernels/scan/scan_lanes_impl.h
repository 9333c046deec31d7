/* scan_lanes_impl.h - scan.h over sixteen lanes, a template for each instruction set.
 *
 * One file of each set defines SCAN_TOKENS, the tokens of a head that are stepped together as far as there are registers,
 * includes this file and ends with the set's table. Each function gives the bits of the one of the same name in
 * scan_plain.c. Lanes are rows. The two halves of a block are computed side by side, because the sum of each has
 * to wait for its last addition.
 */
#ifndef BERTH_SCAN_LANES_IMPL_H
#define BERTH_SCAN_LANES_IMPL_H

#include "delta_lanes_impl.h"
#include "scan_private.h"
#include "wkv_lanes_impl.h"

#include "kernels/vector/lanes_math_impl.h"

#include <stdbool.h>

/* Sixteen rows of a block during the step of one token. */
struct half {
    struct lanes x; /* times dt */
    struct lanes dt, y;
};

/* One token of a block, in memory. */
struct rows {
    float x[SCAN_ROWS], dt[SCAN_ROWS], y[SCAN_ROWS];
};

LANES_INLINE struct lanes silu(struct lanes x)
{
    return lanes_div(x, lanes_add(lanes_set(1.0f), lanes_exp(lanes_xor(x, lanes_set(-0.0f)))));
}

/* What comes before and after the states of a token takes little time, and is kept out of line to save space. */
static __attribute__((noinline)) void rows_begin(
    struct rows *r, const struct scan_block *s, size_t t, bool channels)
{
    const float *dt = s->dt + t * s->dt_stride, *x = s->x + t * s->x_stride;
    for (size_t i = 0; i < SCAN_ROWS; i += LANES) {
        size_t n = s->rows > i ? s->rows - i : 0;
        struct lanes step = channels ? lanes_load_part(n > 0 ? dt + i : dt, n) : lanes_set(*dt);
        lanes_store(r->dt + i, step);
        lanes_store(r->x + i, lanes_mul(lanes_load_part(n > 0 ? x + i : x, n), step));
    }
}

static __attribute__((noinline)) void rows_end(
    const struct rows *r, const struct scan_block *s, size_t t, bool channels)
{
    for (size_t i = 0; i < s->rows; i += LANES) {
        size_t n = s->rows - i;
        struct lanes d = channels ? lanes_load_part(s->d + i, n) : lanes_set(*s->d);
        struct lanes y = lanes_fma(d, lanes_load_part(s->x + t * s->x_stride + i, n), lanes_load(r->y + i));
        struct lanes z = lanes_load_part(s->z + t * s->z_stride + i, n);
        lanes_store_part(s->y + t * s->y_stride + i, lanes_mul(y, silu(z)), n);
    }
}

LANES_INLINE struct half half_of(const struct rows *r, size_t from)
{
    return (struct half){.x = lanes_load(r->x + from), .dt = lanes_load(r->dt + from), .y = lanes_set(0.0f)};
}

/* One step of sixteen rows' state k. */
LANES_INLINE struct lanes half_step(
    struct half *h, struct lanes state, struct lanes decay, struct lanes b, struct lanes c)
{
    state = lanes_fma(b, h->x, lanes_mul(state, decay));
    h->y = lanes_fma(state, c, h->y);
    return state;
}

LANES_INLINE struct lanes decay_of(const struct half *h, const float *a)
{
    return lanes_exp(lanes_mul(h->dt, lanes_load(a)));
}

/* Steps n tokens, a constant, through each state before the next one: so its memory is read and written once, and the sums
 * of the tokens do not wait for each other. */
LANES_INLINE void scan_some(const struct scan_block *s, size_t t, size_t n, bool channels)
{
    const float *from = t > 0 ? s->after : s->before, *a = s->a, *b[SCAN_TOKENS], *c[SCAN_TOKENS];
    float *after = s->after;
    size_t states = s->states;
    struct rows rows[SCAN_TOKENS];
    struct half low[SCAN_TOKENS], high[SCAN_TOKENS];
    struct lanes decay[SCAN_TOKENS];
#pragma GCC unroll 4
    for (size_t i = 0; i < n; i++) {
        b[i] = s->b + (t + i) * s->b_stride;
        c[i] = s->c + (t + i) * s->c_stride;
        rows_begin(&rows[i], s, t + i, channels);
        low[i] = half_of(&rows[i], 0);
        high[i] = half_of(&rows[i], LANES);
        decay[i] = lanes_set(channels ? 0.0f : vector_exp(rows[i].dt[0] * *a));
    }
    for (size_t at = 0, k = 0; k < states; k++, at += SCAN_ROWS) {
        struct lanes first = lanes_load(from + at), second = lanes_load(from + at + LANES);
#pragma GCC unroll 4
        for (size_t i = 0; i < n; i++) {
            struct lanes in = lanes_set(b[i][k]), out = lanes_set(c[i][k]);
            struct lanes one = channels ? decay_of(&low[i], a + at) : decay[i];
            struct lanes other = channels ? decay_of(&high[i], a + at + LANES) : decay[i];
            first = half_step(&low[i], first, one, in, out);
            second = half_step(&high[i], second, other, in, out);
        }
        lanes_store(after + at, first);
        lanes_store(after + at + LANES, second);
    }
#pragma GCC unroll 4
    for (size_t i = 0; i < n; i++) {
        lanes_store(rows[i].y, low[i].y);
        lanes_store(rows[i].y + LANES, high[i].y);
        rows_end(&rows[i], s, t + i, channels);
    }
}

LANES_INLINE void scan_tokens(const struct scan_block *s, size_t most, bool channels)
{
    struct scan_block zeros = *s;
    size_t t = 0;
    if (!s->before) {
        memset(s->after, 0, s->states * SCAN_ROWS * sizeof(float));
        zeros.before = s->after;
        s = &zeros;
    }
    for (; t + most <= s->tokens; t += most)
        scan_some(s, t, most, channels);
    for (; most > 1 && t < s->tokens; t++)
        scan_some(s, t, 1, channels);
}

static void channels(const struct scan_block *s)
{
    scan_tokens(s, 1, true);
}

static void head(const struct scan_block *s)
{
    scan_tokens(s, SCAN_TOKENS, false);
}

static void convolve(float *out, const float *const *rows, const float *taps, size_t stride,
    const float *bias, size_t n_taps, size_t n)
{
    for (size_t i = 0; i < n; i += LANES) {
        struct lanes sum = lanes_mul(lanes_load_part(taps + i, n - i), lanes_load_part(rows[0] + i, n - i));
        for (size_t j = 1; j < n_taps; j++)
            sum = lanes_fma(
                lanes_load_part(taps + j * stride + i, n - i), lanes_load_part(rows[j] + i, n - i), sum);
        if (bias)
            sum = lanes_add(sum, lanes_load_part(bias + i, n - i));
        lanes_store_part(out + i, silu(sum), n - i);
    }
}

#define SCAN_SET_OF_LANES                                                                                    \
    {                                                                                                        \
        .channels = channels, .head = head, .convolve = convolve, .delta = delta, .wkv = wkv_lanes           \
    }

#endif
