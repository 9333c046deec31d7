/* wkv_plain.c - wkv.h in plain C: the reference. Every other set gives these bits. */
#include "scan_private.h"

static float total(const float sums[4])
{
    return (sums[0] + sums[2]) + (sums[1] + sums[3]);
}

/* The sum over a column of a state; 0 without a vector to multiply by. */
static float read_column(const float *state, const float *by, size_t keys)
{
    float sums[4] = {0};
    for (size_t i = 0; by && i < keys; i++)
        sums[i % 4] = __builtin_fmaf(state ? state[i * DELTA_COLUMNS] : 0.0f, by[i], sums[i % 4]);
    return total(sums);
}

/* One token of one column. Columns beyond the last have a value of 0, as in the other sets. */
static void step_column(const struct wkv_block *b, size_t t, size_t column)
{
    size_t at = t * b->stride;
    const float *r = b->r + at, *w = b->w + at, *k = b->k + at, *from = t > 0 ? b->after : b->before;
    float *to = b->after + column, v = column < b->columns ? b->v[t * b->v_stride + column] : 0.0f;
    from = from ? from + column : NULL;
    float held = read_column(from, b->kk ? b->kk + at : b->early ? r : NULL, b->keys);
    for (size_t i = 0; i < b->keys; i++) {
        float s = (from ? from[i * DELTA_COLUMNS] : 0.0f) * w[i];
        s = __builtin_fmaf(k[i], v, s);
        to[i * DELTA_COLUMNS] = b->kk ? __builtin_fmaf(b->b[at + i], -held, s) : s;
    }
    float out = read_column(to, r, b->keys);
    if (column < b->columns)
        b->out[at + column] = b->early ? held : out;
}

void wkv_plain(const struct wkv_block *b)
{
    for (size_t t = 0; t < b->tokens; t++)
        for (size_t column = 0; column < DELTA_COLUMNS; column++)
            step_column(b, t, column);
}
