/* ssm.c - the convolution and the scan of state space layers over the rows of a batch.
 *
 * Channels do not depend on each other, and neither do the blocks of the scan. So workers divide these, and each goes
 * through all rows of a run by itself, without a barrier for each position.
 */
#include "ssm_private.h"

#include "bind_private.h"
#include "forward_private.h"

#include "berth/kernels/scan.h"

#include <string.h>

#define CHANNELS 256 /* that are convolved at a time */
#define UNIT 16 /* channels of a worker's share: a cache line */

/* ---- weights and state ---- */

size_t ssm_held_floats(const struct ssm_layer *l)
{
    size_t held = (size_t)(l->n_taps - 1) * l->n_channels;
    return (held + UNIT - 1) / UNIT * UNIT;
}

static size_t blocks_of_head(const struct ssm_layer *l)
{
    return (ssm_head_rows(l) + SCAN_ROWS - 1) / SCAN_ROWS;
}

static size_t block_floats(const struct ssm_layer *l)
{
    return (size_t)l->n_state * SCAN_ROWS;
}

static size_t count_blocks(const struct ssm_layer *l)
{
    return (l->n_head > 0 ? l->n_head : 1) * blocks_of_head(l);
}

struct layer_state ssm_state(const struct ssm_layer *l)
{
    return (struct layer_state){.recurrent_floats = ssm_held_floats(l) + count_blocks(l) * block_floats(l)};
}

bool ssm_bind(struct binder *b, size_t i, struct ssm_layer *l, size_t in_rows)
{
    size_t n_embd = binder_decoder(b)->shape.n_embd;
    return bind_linear(b, bind_stem(i, "ssm_in").text, in_rows, n_embd, &l->in) &&
           bind_linear(b, bind_stem(i, "ssm_out").text, n_embd, l->n_inner, &l->out) &&
           bind_transposed(b, bind_stem(i, "ssm_conv1d.weight").text, l->n_channels, l->n_taps, &l->taps) &&
           bind_optional(b, bind_stem(i, "ssm_conv1d.bias").text, 1, l->n_channels, &l->conv_bias);
}

/* ---- the convolution ---- */

/* Some channels of a run. */
struct ssm_stripe {
    const struct ssm_layer *l;
    const struct batch_run *run;
    struct ssm_rows in; /* from the run's first row and the stripe's first channel on */
    const float *held; /* the state before the run; NULL for zeros */
    size_t channel, n;
};

/* A row of the run; negative numbers count positions before the run, which come from the state. */
static const float *row_at(const struct ssm_stripe *s, ptrdiff_t row)
{
    static const float zeros[CHANNELS] = {0};
    if (row >= 0)
        return s->in.at + (size_t)row * s->in.stride;
    if (!s->held)
        return zeros;
    return s->held + (size_t)(row + (ptrdiff_t)s->l->n_taps - 1) * s->l->n_channels + s->channel;
}

static void convolve_stripe(const struct ssm_stripe *s, float *out)
{
    const struct ssm_layer *l = s->l;
    const float *rows[SSM_TAPS_MAX];
    for (size_t t = 0; t < s->run->n; t++) {
        for (size_t j = 0; j < l->n_taps; j++)
            rows[j] = row_at(s, (ptrdiff_t)(t + j + 1) - (ptrdiff_t)l->n_taps);
        scan_convolve(out + (s->run->row + t) * l->n_channels + s->channel, rows, l->taps + s->channel,
            l->n_channels, l->conv_bias ? l->conv_bias + s->channel : NULL, l->n_taps, s->n);
    }
}

/* Writes the state after so many rows of the run. */
static void hold(const struct ssm_stripe *s, float *held, size_t rows)
{
    size_t n = s->l->n_taps - 1;
    for (size_t j = 0; j < n; j++)
        memcpy(held + j * s->l->n_channels + s->channel, row_at(s, (ptrdiff_t)(rows + j) - (ptrdiff_t)n),
            s->n * sizeof(float));
}

static void hold_all(const struct ssm_stripe *s, size_t state_at)
{
    const struct batch_run *r = s->run;
    size_t position;
    float *checkpoint;
    hold(s, sequence_next_state(r->sequence) + state_at, r->n);
    for (size_t i = 0;
         (checkpoint = sequence_next_checkpoint(r->sequence, i, &position)) && position <= r->end; i++)
        hold(s, checkpoint + state_at, position - r->start);
}

/* Channels of the share that lie side by side in memory, from the first. */
static size_t side_by_side(const struct ssm_layer *l, size_t gap, struct work_range share)
{
    size_t n = share.end - share.first, left = ssm_head_rows(l) - share.first % ssm_head_rows(l);
    n = n < CHANNELS ? n : CHANNELS;
    return gap > 0 && left < n ? left : n;
}

void ssm_convolve(
    struct worker *m, size_t layer, const struct ssm_layer *l, struct ssm_rows in, size_t gap, float *out)
{
    const struct forward *f = m->f;
    size_t state_at = kv_cache_state_at(f->cache, layer);
    struct work_range units = forward_work_range(m, (l->n_channels + UNIT - 1) / UNIT);
    struct work_range all = {units.first * UNIT, units.end * UNIT};
    all.end = all.end < l->n_channels ? all.end : l->n_channels;
    for (size_t r = 0; r < f->n_runs; r++)
        for (struct work_range share = all; share.first < share.end;) {
            const float *before = sequence_state(f->runs[r].sequence);
            size_t skipped = gap > 0 ? share.first / ssm_head_rows(l) * gap : 0;
            struct ssm_stripe s = {.l = l,
                .run = &f->runs[r],
                .in = {in.at + f->runs[r].row * in.stride + share.first + skipped, in.stride},
                .held = before ? before + state_at : NULL,
                .channel = share.first,
                .n = side_by_side(l, gap, share)};
            convolve_stripe(&s, out);
            hold_all(&s, state_at);
            share.first += s.n;
        }
}

/* ---- the walk ---- */

struct state_walk state_walk_begin(const struct batch_run *run, size_t at, size_t floats)
{
    return (struct state_walk){.run = run, .at = at, .floats = floats, .done = run->start};
}

bool state_walk_next(struct state_walk *w)
{
    const struct batch_run *r = w->run;
    const float *first = sequence_state(r->sequence);
    float *next = sequence_next_state(r->sequence) + w->at, *checkpoint;
    size_t end = r->end, position;
    w->before = w->after ? w->after : first ? first + w->at : NULL;
    if (w->done == r->end) {
        if (w->before != next) /* the last checkpoint is the run's end */
            memcpy(next, w->before, w->floats * sizeof(float));
        return false;
    }
    w->after = next;
    checkpoint = sequence_next_checkpoint(r->sequence, w->checkpoint, &position);
    if (checkpoint && position <= r->end) {
        w->after = checkpoint + w->at;
        w->checkpoint++;
        end = position;
    }
    w->tokens = end - w->done;
    w->done = end;
    return true;
}

/* ---- the scan ---- */

/* Block `i` of the layer, at the first row of the batch. */
static struct scan_block block_of(const struct ssm_layer *l, const struct ssm_scan *s, size_t i)
{
    size_t head = i / blocks_of_head(l), in_head = i % blocks_of_head(l) * SCAN_ROWS;
    size_t rows = ssm_head_rows(l), first = head * rows + in_head;
    size_t group = l->n_head > 0 ? head / (l->n_head / l->n_group) : 0;
    bool heads = l->n_head > 0;
    return (struct scan_block){.rows = rows - in_head < SCAN_ROWS ? rows - in_head : SCAN_ROWS,
        .states = l->n_state,
        .x = s->x.at + first,
        .x_stride = s->x.stride,
        .dt = s->dt.at + (heads ? head : first),
        .dt_stride = s->dt.stride,
        .a = l->a + (heads ? head : i * block_floats(l)),
        .d = l->d + (heads ? head : first),
        .b = s->b.at + group * l->n_state,
        .b_stride = s->b.stride,
        .c = s->c.at + group * l->n_state,
        .c_stride = s->c.stride,
        .z = s->z.at + first + head * s->gap,
        .z_stride = s->z.stride,
        .y = s->y.at + first,
        .y_stride = s->y.stride};
}

/* Goes on by so many rows of the batch. */
static void skip_rows(struct scan_block *b, size_t rows)
{
    b->x += rows * b->x_stride;
    b->dt += rows * b->dt_stride;
    b->b += rows * b->b_stride;
    b->c += rows * b->c_stride;
    b->z += rows * b->z_stride;
    b->y += rows * b->y_stride;
}

static void scan_run(const struct ssm_layer *l, struct scan_block *b, const struct batch_run *r, size_t at)
{
    struct state_walk w = state_walk_begin(r, at, block_floats(l));
    skip_rows(b, r->row);
    for (; state_walk_next(&w); skip_rows(b, w.tokens)) {
        b->before = w.before;
        b->after = w.after;
        b->tokens = w.tokens;
        if (l->n_head > 0)
            scan_head(b);
        else
            scan_channels(b);
    }
}

void ssm_scan(struct worker *m, size_t layer, const struct ssm_layer *l, const struct ssm_scan *s)
{
    const struct forward *f = m->f;
    size_t state_at = kv_cache_state_at(f->cache, layer) + ssm_held_floats(l), blocks = count_blocks(l);
    for (size_t i; (i = forward_take(m)) < f->n_runs * blocks;) {
        struct scan_block b = block_of(l, s, i % blocks);
        scan_run(l, &b, &f->runs[i / blocks], state_at + i % blocks * block_floats(l));
    }
    forward_barrier(m);
}

void ssm_softplus(struct worker *m, struct ssm_rows in, const float *bias, struct ssm_rows out, size_t n)
{
    struct work_range units = forward_work_range(m, (n + UNIT - 1) / UNIT);
    size_t first = units.first * UNIT, end = units.end * UNIT < n ? units.end * UNIT : n;
    for (size_t t = 0; t < m->f->n && first < end; t++) {
        float *to = out.at + t * out.stride + first;
        const float *from = in.at + t * in.stride + first;
        if (bias)
            vector_add(to, from, bias + first, end - first);
        vector_softplus(to, bias ? to : from, end - first);
    }
}
