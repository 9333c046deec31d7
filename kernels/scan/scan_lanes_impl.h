/* scan_lanes_impl.h - scan.h over sixteen lanes, a template for each instruction set.
 *
 * One file of each set includes it and ends with the set's table. Each function gives the bits of the one of the same
 * name in scan_plain.c. Lanes are rows. The two halves of a block are computed side by side, because the sum of each has
 * to wait for its last addition.
 */
#ifndef BERTH_SCAN_LANES_IMPL_H
#define BERTH_SCAN_LANES_IMPL_H

#include "delta_lanes_impl.h"
#include "scan_private.h"

#include "kernels/vector/lanes_math_impl.h"

#include <stdbool.h>

/* Sixteen rows of a block during the step of one token. */
struct half {
    struct lanes x; /* times dt */
    struct lanes dt, y;
};

LANES_INLINE size_t lanes_left(size_t rows, size_t from)
{
    return rows > from ? rows - from : 0;
}

LANES_INLINE struct half half_begin(const struct scan_block *s, size_t t, size_t from, bool channels)
{
    size_t n = lanes_left(s->rows, from), at = n > 0 ? from : 0;
    const float *dt = s->dt + t * s->dt_stride;
    struct half h = {.y = lanes_set(0.0f)};
    h.dt = channels ? lanes_load_part(dt + at, n) : lanes_set(*dt);
    h.x = lanes_mul(lanes_load_part(s->x + t * s->x_stride + at, n), h.dt);
    return h;
}

LANES_INLINE void half_step(
    struct half *h, const float *from, float *to, struct lanes decay, struct lanes b, struct lanes c)
{
    struct lanes state = lanes_fma(b, h->x, lanes_mul(lanes_load(from), decay));
    lanes_store(to, state);
    h->y = lanes_fma(state, c, h->y);
}

LANES_INLINE struct lanes silu(struct lanes x)
{
    return lanes_div(x, lanes_add(lanes_set(1.0f), lanes_exp(lanes_xor(x, lanes_set(-0.0f)))));
}

LANES_INLINE void half_end(
    const struct scan_block *s, size_t t, size_t from, const struct half *h, bool channels)
{
    size_t n = lanes_left(s->rows, from);
    if (n == 0)
        return;
    struct lanes d = channels ? lanes_load_part(s->d + from, n) : lanes_set(*s->d);
    struct lanes y = lanes_fma(d, lanes_load_part(s->x + t * s->x_stride + from, n), h->y);
    struct lanes z = lanes_load_part(s->z + t * s->z_stride + from, n);
    lanes_store_part(s->y + t * s->y_stride + from, lanes_mul(y, silu(z)), n);
}

LANES_INLINE void scan_token(const struct scan_block *s, size_t t, bool channels)
{
    const float *from = t > 0 ? s->after : s->before, *b = s->b + t * s->b_stride,
                *c = s->c + t * s->c_stride;
    struct half low = half_begin(s, t, 0, channels), high = half_begin(s, t, LANES, channels);
    struct lanes low_decay = lanes_set(0.0f), high_decay = low_decay;
    if (!channels)
        low_decay = high_decay = lanes_exp(lanes_mul(low.dt, lanes_set(*s->a)));
    for (size_t k = 0; k < s->states; k++) {
        struct lanes in = lanes_set(b[k]), out = lanes_set(c[k]);
        if (channels) {
            low_decay = lanes_exp(lanes_mul(low.dt, lanes_load(s->a + k * SCAN_ROWS)));
            high_decay = lanes_exp(lanes_mul(high.dt, lanes_load(s->a + k * SCAN_ROWS + LANES)));
        }
        half_step(&low, from + k * SCAN_ROWS, s->after + k * SCAN_ROWS, low_decay, in, out);
        half_step(&high, from + k * SCAN_ROWS + LANES, s->after + k * SCAN_ROWS + LANES, high_decay, in, out);
    }
    half_end(s, t, 0, &low, channels);
    half_end(s, t, LANES, &high, channels);
}

LANES_INLINE void scan_tokens(const struct scan_block *s, bool channels)
{
    struct scan_block zeros = *s;
    if (!s->before) {
        memset(s->after, 0, s->states * SCAN_ROWS * sizeof(float));
        zeros.before = s->after;
        s = &zeros;
    }
    for (size_t t = 0; t < s->tokens; t++)
        scan_token(s, t, channels);
}

static void channels(const struct scan_block *s)
{
    scan_tokens(s, true);
}

static void head(const struct scan_block *s)
{
    scan_tokens(s, false);
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
        .channels = channels, .head = head, .convolve = convolve, .delta = delta                             \
    }

#endif
