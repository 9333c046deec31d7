/* delta_lanes_impl.h - delta.h over sixteen lanes, a template for each instruction set.
 *
 * Lanes are columns; the two halves of a block are computed side by side. `delta` gives the bits of delta_plain.
 */
#ifndef BERTH_DELTA_LANES_IMPL_H
#define BERTH_DELTA_LANES_IMPL_H

#include "berth/kernels/delta.h"

#include "kernels/vector/lanes_math_impl.h"

#include <string.h>

#define DELTA_HALVES (DELTA_COLUMNS / LANES)

/* The partial sums of a token. */
struct delta_sums {
    struct lanes at[DELTA_HALVES][4];
};

LANES_INLINE struct lanes delta_total(const struct lanes sums[4])
{
    return lanes_add(lanes_add(sums[0], sums[2]), lanes_add(sums[1], sums[3]));
}

LANES_INLINE void delta_clear(struct delta_sums *s)
{
    for (size_t h = 0; h < DELTA_HALVES; h++)
        for (size_t j = 0; j < 4; j++)
            s->at[h][j] = lanes_set(0.0f);
}

LANES_INLINE void delta_decay(
    struct delta_sums *s, const float *from, float *to, float decay, float k, size_t j)
{
    for (size_t h = 0; h < DELTA_HALVES; h++) {
        struct lanes state = lanes_mul(lanes_load(from + h * LANES), lanes_set(decay));
        lanes_store(to + h * LANES, state);
        s->at[h][j] = lanes_fma(state, lanes_set(k), s->at[h][j]);
    }
}

LANES_INLINE void delta_correct(struct delta_sums *s, const struct lanes difference[DELTA_HALVES],
    float *state, float k, float q, size_t j)
{
    for (size_t h = 0; h < DELTA_HALVES; h++) {
        struct lanes next = lanes_fma(lanes_set(k), difference[h], lanes_load(state + h * LANES));
        lanes_store(state + h * LANES, next);
        s->at[h][j] = lanes_fma(next, lanes_set(q), s->at[h][j]);
    }
}

/* The first line of the formula, and the sum of the second. */
LANES_INLINE void delta_forget(
    struct delta_sums *s, const struct delta_block *b, size_t t, const float *from, bool by_key)
{
    const float *k = b->k + t * b->k_stride, *decay = b->decay + t * b->decay_stride;
    size_t i = 0, whole = b->keys / 4 * 4;
    delta_clear(s);
    for (; i < whole; i += 4)
        for (size_t j = 0; j < 4; j++)
            delta_decay(s, from + (i + j) * DELTA_COLUMNS, b->after + (i + j) * DELTA_COLUMNS,
                decay[by_key ? i + j : 0], k[i + j], j);
    for (; i < b->keys; i++)
        delta_decay(
            s, from + i * DELTA_COLUMNS, b->after + i * DELTA_COLUMNS, decay[by_key ? i : 0], k[i], i % 4);
}

LANES_INLINE void delta_learn(
    struct delta_sums *s, const struct delta_block *b, size_t t, const struct lanes difference[DELTA_HALVES])
{
    const float *k = b->k + t * b->k_stride, *q = b->q + t * b->q_stride;
    size_t i = 0, whole = b->keys / 4 * 4;
    delta_clear(s);
    for (; i < whole; i += 4)
        for (size_t j = 0; j < 4; j++)
            delta_correct(s, difference, b->after + (i + j) * DELTA_COLUMNS, k[i + j], q[i + j], j);
    for (; i < b->keys; i++)
        delta_correct(s, difference, b->after + i * DELTA_COLUMNS, k[i], q[i], i % 4);
}

LANES_INLINE size_t delta_left(const struct delta_block *b, size_t half)
{
    return b->columns > half * LANES ? b->columns - half * LANES : 0;
}

LANES_INLINE void delta_token(const struct delta_block *b, size_t t, const float *from)
{
    struct lanes difference[DELTA_HALVES], beta = lanes_set(b->beta[t * b->beta_stride]);
    struct delta_sums sums;
    if (b->decay_by_key)
        delta_forget(&sums, b, t, from, true);
    else
        delta_forget(&sums, b, t, from, false);
    for (size_t h = 0; h < DELTA_HALVES; h++) {
        size_t n = delta_left(b, h);
        struct lanes v = lanes_load_part(b->v + t * b->v_stride + (n > 0 ? h * LANES : 0), n);
        difference[h] = lanes_mul(lanes_sub(v, delta_total(sums.at[h])), beta);
    }
    delta_learn(&sums, b, t, difference);
    for (size_t h = 0; h < DELTA_HALVES && delta_left(b, h) > 0; h++)
        lanes_store_part(b->out + t * b->out_stride + h * LANES, delta_total(sums.at[h]), delta_left(b, h));
}

static void delta(const struct delta_block *b)
{
    const float *from = b->before;
    if (!from) {
        memset(b->after, 0, b->keys * DELTA_COLUMNS * sizeof(float));
        from = b->after;
    }
    for (size_t t = 0; t < b->tokens; t++, from = b->after)
        delta_token(b, t, from);
}

#endif
