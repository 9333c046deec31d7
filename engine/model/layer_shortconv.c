/* layer_shortconv.c - the mixer "short convolution" with gates.
 *
 * The workers divide the channels. Each has all rows of its channels, so there is no barrier between the gate, the
 * convolution and the state. Taps are added from the oldest to the newest.
 */
#include "layer_shortconv_private.h"

#include "bind_private.h"
#include "forward_private.h"

#include <string.h>

#define CHANNELS 256 /* of a stripe */

/* ---- weights and state ---- */

static bool bind(struct binder *b, size_t i)
{
    struct decoder *d = binder_decoder(b);
    struct shortconv_layer *l = &d->layers[i].shortconv;
    size_t n_embd = d->shape.n_embd;
    bool good = bind_linear(b, bind_stem(i, "shortconv.in_proj").text, 3 * n_embd, n_embd, &l->in) &&
                bind_linear(b, bind_stem(i, "shortconv.out_proj").text, n_embd, n_embd, &l->out) &&
                bind_transposed(b, bind_stem(i, "shortconv.conv.weight").text, n_embd, l->n_taps, &l->taps);
    d->layers[i].mixer_packs = good && linear_packs(&l->in);
    return good;
}

static struct layer_state state(const struct decoder *d, size_t i)
{
    return (struct layer_state){
        .recurrent_floats = (d->layers[i].shortconv.n_taps - 1) * (size_t)d->shape.n_embd};
}

static void workspace(struct forward *f, struct layout *lasting, struct layout *passing)
{
    (void)lasting;
    f->shortconv.products = layout_floats(passing, f->n, 3 * (size_t)f->d->shape.n_embd);
    f->shortconv.mixed = layout_floats(passing, f->n, f->d->shape.n_embd);
}

/* ---- run ---- */

/* The rows of a run, and the channels of them that a worker computes at a time. */
struct stripe {
    const struct forward *f;
    const struct shortconv_layer *l;
    const struct batch_run *run;
    size_t layer, n_embd;
    size_t channel, n;
};

/* b * x of a row of the run; a negative number counts positions before the run, which come from the state. */
static const float *gated_at(const struct stripe *s, ptrdiff_t row)
{
    static const float zeros[CHANNELS] = {0};
    const float *before = sequence_state(s->run->sequence);
    if (row >= 0)
        return s->f->shortconv.products + (s->run->row + (size_t)row) * 3 * s->n_embd + s->channel;
    if (!before)
        return zeros;
    size_t at = (size_t)(row + (ptrdiff_t)s->l->n_taps - 1);
    return before + kv_cache_state_at(s->f->cache, s->layer) + at * s->n_embd + s->channel;
}

static void gate(const struct stripe *s)
{
    for (size_t t = 0; t < s->run->n; t++) {
        float *b = s->f->shortconv.products + (s->run->row + t) * 3 * s->n_embd + s->channel;
        vector_multiply(b, b, b + 2 * s->n_embd, s->n);
    }
}

static void convolve(const struct stripe *s)
{
    float sum[CHANNELS], part[CHANNELS];
    ptrdiff_t before = (ptrdiff_t)s->l->n_taps - 1;
    for (size_t t = 0; t < s->run->n; t++) {
        size_t row = s->run->row + t;
        const float *c = s->f->shortconv.products + (row * 3 + 1) * s->n_embd + s->channel;
        const float *taps = s->l->taps + s->channel;
        vector_multiply(sum, taps, gated_at(s, (ptrdiff_t)t - before), s->n);
        for (ptrdiff_t j = 1; j <= before; j++) {
            vector_multiply(part, taps + (size_t)j * s->n_embd, gated_at(s, (ptrdiff_t)t - before + j), s->n);
            vector_add(sum, sum, part, s->n);
        }
        vector_multiply(s->f->shortconv.mixed + row * s->n_embd + s->channel, c, sum, s->n);
    }
}

/* Writes the state after so many rows of the run. */
static void write_state(const struct stripe *s, float *state, size_t rows)
{
    size_t held = s->l->n_taps - 1;
    float *out = state + kv_cache_state_at(s->f->cache, s->layer) + s->channel;
    for (size_t j = 0; j < held; j++)
        memcpy(
            out + j * s->n_embd, gated_at(s, (ptrdiff_t)(rows + j) - (ptrdiff_t)held), s->n * sizeof(float));
}

static void write_states(const struct stripe *s)
{
    const struct batch_run *r = s->run;
    size_t position;
    float *checkpoint;
    if (s->l->n_taps == 1)
        return;
    write_state(s, sequence_next_state(r->sequence), r->n);
    for (size_t i = 0;
         (checkpoint = sequence_next_checkpoint(r->sequence, i, &position)) && position <= r->end; i++)
        write_state(s, checkpoint, position - r->start);
}

static void run(struct worker *m, size_t i)
{
    struct forward *f = m->f;
    struct shortconv_memory *w = &f->shortconv;
    const struct shortconv_layer *l = &f->d->layers[i].shortconv;
    size_t n_embd = f->d->shape.n_embd;
    struct work_range share = forward_work_range(m, n_embd);
    linear_multiply(m, (struct product[]){{&l->in, w->products}}, 1);
    for (size_t r = 0; r < f->n_runs; r++)
        for (size_t at = share.first; at < share.end; at += CHANNELS) {
            struct stripe s = {.f = f,
                .l = l,
                .run = &f->runs[r],
                .layer = i,
                .n_embd = n_embd,
                .channel = at,
                .n = share.end - at < CHANNELS ? share.end - at : CHANNELS};
            gate(&s);
            convolve(&s);
            write_states(&s);
        }
    forward_barrier(m);
    const float *mixed = forward_keep_wanted(m, i, w->mixed, n_embd, w->products);
    if (!mixed)
        return;
    linear_input(m, mixed, n_embd, linear_packs(&l->out));
    linear_multiply(m, (struct product[]){{&l->out, f->sum}}, 1);
}

const struct layer_kind layer_shortconv = {
    .name = "short convolution", .bind = bind, .state = state, .workspace = workspace, .run = run};
