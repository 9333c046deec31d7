/* scan_plain.c - scan.h in plain C: the reference. Every other set gives these bits. */
#include "scan_private.h"

#include "berth/kernels/vector.h"

static float gated(const struct scan_block *s, size_t t, size_t row, float y, bool channels)
{
    float z = s->z[t * s->z_stride + row];
    y = __builtin_fmaf(s->d[channels ? row : 0], s->x[t * s->x_stride + row], y);
    return y * (z / (1.0f + vector_exp(-z)));
}

/* One row of a block. Rows beyond the last have an x of 0, as in the other sets. */
static void step_row(const struct scan_block *s, size_t t, size_t row, bool channels)
{
    const float *from = t > 0 ? s->after : s->before, *b = s->b + t * s->b_stride,
                *c = s->c + t * s->c_stride;
    bool there = row < s->rows;
    float dt = channels ? (there ? s->dt[t * s->dt_stride + row] : 0.0f) : s->dt[t * s->dt_stride];
    float x = there ? s->x[t * s->x_stride + row] * dt : 0.0f, y = 0.0f;
    float decay = channels ? 0.0f : vector_exp(dt * *s->a);
    for (size_t k = 0; k < s->states; k++) {
        size_t at = k * SCAN_ROWS + row;
        if (channels)
            decay = vector_exp(dt * s->a[at]);
        s->after[at] = __builtin_fmaf(b[k], x, from ? from[at] * decay : 0.0f * decay);
        y = __builtin_fmaf(s->after[at], c[k], y);
    }
    if (there)
        s->y[t * s->y_stride + row] = gated(s, t, row, y, channels);
}

static void step_all(const struct scan_block *s, bool channels)
{
    for (size_t t = 0; t < s->tokens; t++)
        for (size_t row = 0; row < SCAN_ROWS; row++)
            step_row(s, t, row, channels);
}

static void channels(const struct scan_block *s)
{
    step_all(s, true);
}

static void head(const struct scan_block *s)
{
    step_all(s, false);
}

static void convolve(float *out, const float *const *rows, const float *taps, size_t stride,
    const float *bias, size_t n_taps, size_t n)
{
    for (size_t i = 0; i < n; i++) {
        float sum = taps[i] * rows[0][i];
        for (size_t j = 1; j < n_taps; j++)
            sum = __builtin_fmaf(taps[j * stride + i], rows[j][i], sum);
        out[i] = bias ? sum + bias[i] : sum;
    }
    vector_gate(out, out, NULL, VECTOR_SILU, n);
}

const struct scan_set scan_plain = {
    .channels = channels, .head = head, .convolve = convolve, .delta = delta_plain, .wkv = wkv_plain};
