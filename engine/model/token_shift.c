/* token_shift.c - the shift of tokens. */
#include "token_shift_private.h"

#include "forward_private.h"

#include <string.h>

#define CHANNELS 256 /* that are mixed at a time */
#define UNIT 16 /* channels of a worker's share: a cache line */

size_t token_shift_floats(const struct decoder *d)
{
    return (d->shape.n_embd + UNIT - 1) / UNIT * UNIT;
}

/* The worker's share of a row. */
static struct work_range share_of(const struct worker *m)
{
    size_t n = m->f->d->shape.n_embd;
    struct work_range units = forward_work_range(m, (n + UNIT - 1) / UNIT);
    size_t end = units.end * UNIT;
    return (struct work_range){units.first * UNIT, end < n ? end : n};
}

/* n elements of a row, from `at` in the row on; `row` is the row's number in the batch. `before` is NULL for zeros. */
static void mix(
    const struct token_shift *s, size_t width, size_t row, const float *before, size_t at, size_t n)
{
    float away[CHANNELS];
    const float *x = s->x + row * width + at;
    if (before)
        memcpy(away, before, n * sizeof(*away));
    else
        memset(away, 0, n * sizeof(*away));
    vector_add_scaled(away, x, -1, n);
    for (size_t i = 0; i < s->n_lerps; i++) {
        float *out = s->out[i] + row * width + at;
        const float *lerp = s->lerps[i] + at;
        if (s->own)
            vector_add(out, out, lerp, n);
        vector_multiply(out, away, s->own ? out : lerp, n);
        vector_add(out, out, x, n);
    }
}

void token_shift_mix(struct worker *m, const struct token_shift *s)
{
    const struct forward *f = m->f;
    size_t width = f->d->shape.n_embd;
    struct work_range share = share_of(m);
    for (const struct batch_run *r = f->runs; r < f->runs + f->n_runs; r++) {
        const float *state = sequence_state(r->sequence);
        for (size_t t = 0; t < r->n; t++)
            for (size_t at = share.first; at < share.end; at += CHANNELS) {
                const float *before = t > 0   ? s->x + (r->row + t - 1) * width + at
                                      : state ? state + s->state_at + at
                                              : NULL;
                mix(s, width, r->row + t, before, at, share.end - at < CHANNELS ? share.end - at : CHANNELS);
            }
    }
}

void token_shift_store(struct worker *m, const float *x, size_t state_at)
{
    const struct forward *f = m->f;
    struct work_range share = share_of(m);
    size_t width = f->d->shape.n_embd, bytes = (share.end - share.first) * sizeof(*x), position;
    if (bytes == 0)
        return;
    for (const struct batch_run *r = f->runs; r < f->runs + f->n_runs; r++) {
        const float *first = x + r->row * width + share.first;
        float *state = sequence_next_state(r->sequence);
        memcpy(state + state_at + share.first, first + (r->n - 1) * width, bytes);
        for (size_t i = 0;
             (state = sequence_next_checkpoint(r->sequence, i, &position)) && position <= r->end; i++)
            memcpy(state + state_at + share.first, first + (position - r->start - 1) * width, bytes);
    }
}
