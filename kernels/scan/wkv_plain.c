/* wkv_plain.c - wkv.h in plain C: the reference. Every other set gives these bits. */
#include "scan_private.h"

/* The sum over a column of a state, NULL for zeros. */
static float read_column(const float *state, const float *by, size_t keys)
{
    float sum = 0.0f;
    for (size_t i = 0; i < keys; i++)
        sum = __builtin_fmaf(state ? state[i * DELTA_COLUMNS] : 0.0f, by[i], sum);
    return sum;
}

/* One token of one column. Columns beyond the last have a value of 0, as in the other sets. */
static void step_column(const struct wkv_block *b, size_t t, size_t column)
{
    size_t at = t * b->stride;
    const float *r = b->r + at, *state = t > 0 ? b->after : b->before, *from = state ? state + column : NULL;
    float *to = b->after + column, v = column < b->columns ? b->v[t * b->v_stride + column] : 0.0f;
    float held = read_column(from, b->kk ? b->kk + at : r, b->keys);
    for (size_t i = 0; i < b->keys; i++) {
        float s = (from ? from[i * DELTA_COLUMNS] : 0.0f) * b->w[at + i];
        s = __builtin_fmaf(b->k[at + i], v, s);
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
