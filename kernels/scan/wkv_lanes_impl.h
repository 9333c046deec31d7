/* wkv_lanes_impl.h - wkv.h over sixteen lanes, a template for each instruction set.
 *
 * Lanes are columns, as in delta_lanes_impl.h, whose partial sums these are. `wkv_lanes` gives the bits of wkv_plain.
 */
#ifndef BERTH_WKV_LANES_IMPL_H
#define BERTH_WKV_LANES_IMPL_H

#include "delta_lanes_impl.h"

#include "berth/kernels/wkv.h"

/* What one token reads. */
struct wkv_token {
    const float *r, *w, *k, *b; /* b is NULL where nothing is taken out */
    struct lanes v[DELTA_HALVES], taken[DELTA_HALVES]; /* -held */
};

LANES_INLINE void wkv_read_key(struct delta_sums *s, const float *state, float by, size_t j)
{
    for (size_t h = 0; h < DELTA_HALVES; h++)
        s->at[h][j] = lanes_fma(lanes_load(state + h * LANES), lanes_set(by), s->at[h][j]);
}

/* The sum over the state before it changes. */
LANES_INLINE void wkv_read(struct delta_sums *s, const float *state, const float *by, size_t keys)
{
    size_t i = 0;
    for (; i + 4 <= keys; i += 4)
        for (size_t j = 0; j < 4; j++)
            wkv_read_key(s, state + (i + j) * DELTA_COLUMNS, by[i + j], j);
    for (; i < keys; i++)
        wkv_read_key(s, state + i * DELTA_COLUMNS, by[i], i % 4);
}

LANES_INLINE void wkv_step_key(
    struct delta_sums *s, const struct wkv_token *x, const float *from, float *to, size_t i, size_t j, bool takes)
{
    from += i * DELTA_COLUMNS;
    to += i * DELTA_COLUMNS;
    for (size_t h = 0; h < DELTA_HALVES; h++) {
        struct lanes state = lanes_mul(lanes_load(from + h * LANES), lanes_set(x->w[i]));
        state = lanes_fma(lanes_set(x->k[i]), x->v[h], state);
        if (takes)
            state = lanes_fma(lanes_set(x->b[i]), x->taken[h], state);
        lanes_store(to + h * LANES, state);
        s->at[h][j] = lanes_fma(state, lanes_set(x->r[i]), s->at[h][j]);
    }
}

/* Changes the state, and sums over it. */
LANES_INLINE void wkv_step(
    struct delta_sums *s, const struct wkv_token *x, const float *from, float *to, size_t keys, bool takes)
{
    size_t i = 0;
    for (; i + 4 <= keys; i += 4)
        for (size_t j = 0; j < 4; j++)
            wkv_step_key(s, x, from, to, i + j, j, takes);
    for (; i < keys; i++)
        wkv_step_key(s, x, from, to, i, i % 4, takes);
}

LANES_INLINE size_t wkv_left(const struct wkv_block *b, size_t half)
{
    return b->columns > half * LANES ? b->columns - half * LANES : 0;
}

LANES_INLINE void wkv_one(const struct wkv_block *b, size_t t, const float *from)
{
    size_t at = t * b->stride;
    struct wkv_token x = {.r = b->r + at, .w = b->w + at, .k = b->k + at, .b = b->kk ? b->b + at : NULL};
    struct delta_sums before, after;
    delta_clear(&before);
    delta_clear(&after);
    if (b->kk || b->early)
        wkv_read(&before, from, b->kk ? b->kk + at : x.r, b->keys);
    for (size_t h = 0; h < DELTA_HALVES; h++) {
        size_t n = wkv_left(b, h);
        x.v[h] = lanes_load_part(b->v + t * b->v_stride + (n > 0 ? h * LANES : 0), n);
        x.taken[h] = lanes_xor(delta_total(before.at[h]), lanes_set(-0.0f));
    }
    if (x.b)
        wkv_step(&after, &x, from, b->after, b->keys, true);
    else
        wkv_step(&after, &x, from, b->after, b->keys, false);
    for (size_t h = 0; h < DELTA_HALVES && wkv_left(b, h) > 0; h++)
        lanes_store_part(
            b->out + at + h * LANES, delta_total(b->early ? before.at[h] : after.at[h]), wkv_left(b, h));
}

static void wkv_lanes(const struct wkv_block *b)
{
    const float *from = b->before;
    if (!from) {
        memset(b->after, 0, b->keys * DELTA_COLUMNS * sizeof(float));
        from = b->after;
    }
    for (size_t t = 0; t < b->tokens; t++, from = b->after)
        wkv_one(b, t, from);
}

#endif
