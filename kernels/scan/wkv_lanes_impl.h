/* wkv_lanes_impl.h - wkv.h over sixteen lanes, a template for each instruction set.
 *
 * Lanes are columns; the two halves of a block are computed side by side. `wkv_lanes` gives the bits of wkv_plain.
 */
#ifndef BERTH_WKV_LANES_IMPL_H
#define BERTH_WKV_LANES_IMPL_H

#include "delta_lanes_impl.h"

#include "berth/kernels/wkv.h"

/* Numbers of each column. */
struct wkv_columns {
    struct lanes at[DELTA_HALVES];
};

/* Sums over the state before it changes. */
LANES_INLINE struct wkv_columns wkv_read(const float *state, const float *by, size_t keys)
{
    struct wkv_columns sum = {{lanes_set(0.0f), lanes_set(0.0f)}};
    for (size_t i = 0; i < keys; i++, state += DELTA_COLUMNS)
        for (size_t h = 0; h < DELTA_HALVES; h++)
            sum.at[h] = lanes_fma(lanes_load(state + h * LANES), lanes_set(by[i]), sum.at[h]);
    return sum;
}

/* Changes the state, and sums over it. `taken` is -held. */
LANES_INLINE struct wkv_columns wkv_step(const struct wkv_block *b, size_t at, const float *from,
    const struct wkv_columns *v, const struct wkv_columns *taken)
{
    struct wkv_columns sum = {{lanes_set(0.0f), lanes_set(0.0f)}};
    float *to = b->after;
    for (size_t i = at; i < at + b->keys; i++, from += DELTA_COLUMNS, to += DELTA_COLUMNS)
        for (size_t h = 0; h < DELTA_HALVES; h++) {
            struct lanes state = lanes_mul(lanes_load(from + h * LANES), lanes_set(b->w[i]));
            state = lanes_fma(lanes_set(b->k[i]), v->at[h], state);
            if (b->kk)
                state = lanes_fma(lanes_set(b->b[i]), taken->at[h], state);
            lanes_store(to + h * LANES, state);
            sum.at[h] = lanes_fma(state, lanes_set(b->r[i]), sum.at[h]);
        }
    return sum;
}

static void wkv_lanes(const struct wkv_block *b)
{
    const float *from = b->before;
    if (!from) {
        memset(b->after, 0, b->keys * DELTA_COLUMNS * sizeof(float));
        from = b->after;
    }
    for (size_t t = 0; t < b->tokens; t++, from = b->after) {
        float columns[DELTA_COLUMNS] = {0};
        size_t at = t * b->stride;
        struct wkv_columns v, taken, held = wkv_read(from, (b->kk ? b->kk : b->r) + at, b->keys);
        memcpy(columns, b->v + t * b->v_stride, b->columns * sizeof(float));
        for (size_t h = 0; h < DELTA_HALVES; h++) {
            v.at[h] = lanes_load(columns + h * LANES);
            taken.at[h] = lanes_xor(held.at[h], lanes_set(-0.0f));
        }
        struct wkv_columns out = wkv_step(b, at, from, &v, &taken);
        for (size_t h = 0; h < DELTA_HALVES; h++)
            lanes_store(columns + h * LANES, b->early ? held.at[h] : out.at[h]);
        memcpy(b->out + at, columns, b->columns * sizeof(float));
    }
}

#endif
