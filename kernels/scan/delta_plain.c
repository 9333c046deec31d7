/* delta_plain.c - delta.h in plain C: the reference. Every other set gives these bits. */
#include "berth/kernels/delta.h"

#include "scan_private.h"

static float total(const float sums[4])
{
    return (sums[0] + sums[2]) + (sums[1] + sums[3]);
}

/* One token of one column. Columns beyond the last have a value of 0, as in the other sets. */
static void step_column(const struct delta_block *b, size_t t, size_t column)
{
    const float *k = b->k + t * b->k_stride, *q = b->q + t * b->q_stride;
    const float *decay = b->decay + t * b->decay_stride, *from = t > 0 ? b->after : b->before;
    float held[4] = {0}, out[4] = {0};
    for (size_t i = 0; i < b->keys; i++) {
        float *s = &b->after[i * DELTA_COLUMNS + column];
        *s = (from ? from[i * DELTA_COLUMNS + column] : 0.0f) * decay[b->decay_by_key ? i : 0];
        held[i % 4] = __builtin_fmaf(*s, k[i], held[i % 4]);
    }
    float v = column < b->columns ? b->v[t * b->v_stride + column] : 0.0f;
    float difference = (v - total(held)) * b->beta[t * b->beta_stride];
    for (size_t i = 0; i < b->keys; i++) {
        float *s = &b->after[i * DELTA_COLUMNS + column];
        *s = __builtin_fmaf(k[i], difference, *s);
        out[i % 4] = __builtin_fmaf(*s, q[i], out[i % 4]);
    }
    if (column < b->columns)
        b->out[t * b->out_stride + column] = total(out);
}

void delta_plain(const struct delta_block *b)
{
    for (size_t t = 0; t < b->tokens; t++)
        for (size_t column = 0; column < DELTA_COLUMNS; column++)
            step_column(b, t, column);
}
