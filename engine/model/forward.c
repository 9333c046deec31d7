/* forward.c - the forward pass: from rows of tokens to logits.
 *
 * It follows the diagram of a transformer's decoder: embedding, then in each layer norm, mixer, sum, norm, feed-forward,
 * sum, then the last norm and the logits. What a mixer or a feed-forward computes is defined by its kind
 * (layer_private.h). Every product by a weight goes through linear.c.
 *
 * The values of a row depend neither on the worker that computes them nor on the other rows of the batch: kernels
 * guarantee it, and no sum here runs over rows or workers.
 */
#include "forward_private.h"

#include "berth/kernels/quant.h"

#include <string.h>

/* ---- how workers share a step ---- */

struct work_range forward_work_range(const struct worker *m, size_t n)
{
    return (struct work_range){n * m->index / m->n_workers, n * (m->index + 1) / m->n_workers};
}

struct work_range forward_residual_rows(const struct worker *m)
{
    return m->f->alone ? (struct work_range){0, m->n} : forward_work_range(m, m->n);
}

size_t forward_take_of(const struct worker *m, size_t counter)
{
    struct counter *c = &m->f->counters[m->step % FORWARD_COUNTERS][counter];
    return atomic_fetch_add_explicit(&c->next, 1, memory_order_relaxed);
}

size_t forward_take(struct worker *m)
{
    return forward_take_of(m, 0);
}

size_t forward_counters(const struct worker *m)
{
    return m->n_workers < FORWARD_STRETCHES ? m->n_workers : FORWARD_STRETCHES;
}

/* A counter is reset when all workers have left the step that used it, and two barriers before its next use. */
void forward_barrier(struct worker *m)
{
    pool_barrier(m->f->pool);
    m->step++;
    for (size_t i = 0; m->index == 0 && i < forward_counters(m); i++)
        atomic_store_explicit(
            &m->f->counters[(m->step + 2) % FORWARD_COUNTERS][i].next, 0, memory_order_relaxed);
}

void forward_settle(struct worker *m)
{
    if (!m->f->alone)
        forward_barrier(m);
}

/* ---- the residual ---- */

void forward_norm(const struct decoder_shape *s, float *out, const float *x, struct norm w, size_t n)
{
    float epsilon = w.epsilon > 0 ? w.epsilon : s->epsilon;
    size_t part = w.groups > 1 ? n / w.groups : n;
    if (s->layer_norm) {
        vector_layer_norm(out, x, w.weight, w.bias, epsilon, n);
        return;
    }
    for (size_t i = 0; i < n; i += part)
        vector_rms_norm(out + i, x + i, w.weight ? w.weight + i : NULL, epsilon, part);
    if (w.bias)
        vector_add(out, out, w.bias, n);
}

/* Makes the norm of the residual the next input, or the residual itself where there is no norm. */
static void input_from_residual(struct worker *m, struct norm w, bool packed)
{
    const struct decoder_shape *s = &m->f->d->shape;
    struct work_range rows = forward_residual_rows(m);
    if (!norm_exists(&w)) {
        linear_input(m, m->x, s->n_embd, packed);
        return;
    }
    for (size_t t = rows.first; t < rows.end; t++)
        forward_norm(s, m->normed + t * s->n_embd, m->x + t * s->n_embd, w, s->n_embd);
    linear_input(m, m->normed, s->n_embd, packed);
}

/* Adds the result of a mixer or feed-forward to the residual. Where there is a norm, the result is normed before, or the
 * sum afterwards. */
static void add_to_residual(struct worker *m, struct norm post)
{
    const struct decoder_shape *s = &m->f->d->shape;
    struct work_range rows = forward_residual_rows(m);
    bool norms = norm_exists(&post);
    for (size_t t = rows.first; t < rows.end; t++) {
        float *x = m->x + t * s->n_embd;
        const float *sum = m->f->sum + t * s->n_embd;
        if (norms && !s->sum_norms) {
            forward_norm(s, m->normed + t * s->n_embd, sum, post, s->n_embd);
            sum = m->normed + t * s->n_embd;
        }
        vector_add_scaled(x, sum, s->residual_scale, s->n_embd);
        if (norms && s->sum_norms)
            forward_norm(s, x, x, post, s->n_embd);
    }
}

static void scale_residual(struct worker *m, float factor)
{
    size_t width = m->f->d->shape.n_embd;
    struct work_range rows = forward_residual_rows(m);
    for (size_t t = rows.first; t < rows.end; t++)
        vector_scale(m->x + t * width, m->x + t * width, factor, width);
}

static void row_to_floats(const struct matmul_weight *w, size_t row, float *out)
{
    quant_to_floats(w->type, out, w->data + row * w->row_bytes, w->columns / w->type->block_elems);
}

/* Adds the learned embedding of a position to x. The rows of the norm are memory that is free at this point. */
static void add_position(struct worker *m, float *x, uint32_t position)
{
    float *added = m->normed + (x - m->x);
    row_to_floats(&m->f->d->positions, position, added);
    vector_add(x, x, added, m->f->d->shape.n_embd);
}

static void embed(struct worker *m)
{
    const struct decoder *d = m->f->d;
    size_t width = d->shape.n_embd;
    struct work_range rows = forward_residual_rows(m);
    for (size_t t = rows.first; t < rows.end; t++) {
        const struct decoder_row *row = &m->f->batch->rows[t];
        float *x = m->x + t * width;
        if (row->embedding) {
            memcpy(x, row->embedding, width * sizeof(*x));
            continue;
        }
        row_to_floats(&d->embedding, (size_t)row->token, x);
        if (d->shape.embedding_scale != 1)
            vector_scale(x, x, d->shape.embedding_scale, width);
        if (d->token_type)
            vector_add(x, x, d->token_type, width);
        if (d->positions.rows > 0)
            add_position(m, x, row->position);
        if (norm_exists(&d->embedding_norm))
            forward_norm(&d->shape, x, x, d->embedding_norm, width);
    }
}

/* ---- a layer ---- */

/* Whether the feed-forward has a state, which it writes from all rows. */
static bool stores_by_ffn(const struct layer *l)
{
    return l->ffn && l->ffn->state;
}

/* The rows are copied to memory that is not used at this point. A worker that has a residual of its own keeps all rows. */
const float *forward_keep_wanted(
    struct worker *m, size_t layer, const float *rows, size_t columns, float *kept)
{
    struct forward *f = m->f;
    const struct decoder_shape *s = &f->d->shape;
    size_t width = s->n_embd;
    if (layer + 1 < s->n_layer || stores_by_ffn(&f->d->layers[layer]))
        return rows;
    if (f->n_out == 0)
        return NULL;
    if (f->alone || s->streams || f->d->layers[layer].parallel_residual || f->d->layers[layer].second)
        return rows;
    struct work_range part = forward_work_range(m, f->n_out);
    for (size_t i = part.first; i < part.end; i++) {
        memcpy(m->normed + i * width, m->x + f->wanted[i] * width, width * sizeof(float));
        if (rows)
            memcpy(kept + i * columns, rows + f->wanted[i] * columns, columns * sizeof(float));
    }
    float *x = m->x;
    m->x = m->normed;
    m->normed = x;
    m->n = f->n_out;
    m->kept_wanted = true;
    forward_barrier(m);
    return kept;
}

/* A layer has at least one barrier, so workers may be a layer apart. All of them see the new value before the end of the
 * next layer, and leave behind it together. */
static void look_for_stop(struct worker *m, size_t layer)
{
    struct forward *f = m->f;
    if (m->index == 0 && f->stop && atomic_load_explicit(f->stop, memory_order_relaxed) &&
        atomic_load_explicit(&f->last_layer, memory_order_relaxed) > layer + 1)
        atomic_store_explicit(&f->last_layer, layer + 1, memory_order_relaxed);
}

bool forward_needs_spare(const struct decoder *d)
{
    return d->shape.post_norms && d->layers[0].second;
}

/* The second mixer reads the same input, which is computed again, because its packed form has been overwritten. Its result
 * has no norm behind it. */
static void run_second(struct worker *m, size_t i)
{
    const struct layer *l = &m->f->d->layers[i];
    float *input = m->normed;
    input_from_residual(m, l->mixer_norm, l->second_packs);
    m->normed = m->spare;
    add_to_residual(m, l->mixer_post_norm);
    m->normed = input;
    l->second->run(m, i);
}

static void add_mixers(struct worker *m, const struct layer *l)
{
    float scale = m->f->d->shape.mixers_scale;
    add_to_residual(m, l->second ? (struct norm){.weight = NULL} : l->mixer_post_norm);
    if (scale > 0)
        scale_residual(m, scale);
}

/* In the last layer the rows whose results nobody wants can be left out. */
static void keep_wanted_for_ffn(struct worker *m, size_t i)
{
    if (i + 1 < m->f->d->shape.n_layer)
        return;
    forward_settle(m);
    forward_keep_wanted(m, i, NULL, 0, NULL);
}

static void run_layer(struct worker *m, size_t i)
{
    struct forward *f = m->f;
    const struct decoder_shape *s = &f->d->shape;
    const struct layer *l = &f->d->layers[i];

    if (!l->mixer && !l->ffn) { /* a barrier, as every layer has: look_for_stop */
        forward_barrier(m);
        return;
    }
    if (s->streams)
        s->streams->enter(m, i);
    if (l->ffn && l->ffn->early)
        l->ffn->early(m, i);
    if (l->mixer) {
        input_from_residual(m, l->mixer_norm, l->mixer_packs);
        l->mixer->run(m, i);
    }
    if (l->second)
        run_second(m, i);
    bool only_states = i + 1 == s->n_layer && f->n_out == 0;
    if (only_states && !stores_by_ffn(l))
        return; /* they are written */
    look_for_stop(m, i);

    if (!l->mixer) {
        keep_wanted_for_ffn(m, i);
        input_from_residual(m, l->ffn_norm, l->ffn_packs);
    } else if (!l->ffn) {
        add_mixers(m, l);
        return;
    } else if (
        l->parallel_residual) { /* a norm that both have is computed again: its packed form has been overwritten */
        input_from_residual(m, l->ffn_norm, l->ffn_packs);
        add_mixers(m, l);
    } else {
        add_mixers(m, l);
        input_from_residual(m, l->ffn_norm, l->ffn_packs);
    }
    l->ffn->run(m, i);
    if (only_states)
        return;
    add_to_residual(m, l->ffn_post_norm);
    if (s->streams) {
        s->streams->leave(m, i);
    } else if (s->n_input > 0) {
        forward_run_input(m, i);
        add_to_residual(m, l->input_norm);
    }
    if (l->result_scale)
        scale_residual(m, *l->result_scale);
    if (l->turn != TURN_NONE || l->embedding_skip)
        forward_after_layer(m, l);
}

/* ---- the end ---- */

/* Writes the last norm of the wanted rows to m->normed, one after the other. */
static void norm_wanted(struct worker *m)
{
    struct forward *f = m->f;
    const struct decoder_shape *s = &f->d->shape;
    forward_settle(m);
    m->n = f->n_out;
    struct work_range rows = forward_residual_rows(m);
    for (size_t i = rows.first; i < rows.end; i++) {
        const float *x = m->x + (m->kept_wanted ? i : f->wanted[i]) * s->n_embd;
        if (norm_exists(&f->d->output_norm))
            forward_norm(s, m->normed + i * s->n_embd, x, f->d->output_norm, s->n_embd);
        else
            memcpy(m->normed + i * s->n_embd, x, s->n_embd * sizeof(*x));
    }
}

static void logit_rows(struct worker *m, struct work_range rows)
{
    struct forward *f = m->f;
    const struct decoder_shape *s = &f->d->shape;
    size_t count = rows.end - rows.first;
    linear_rows(&f->d->output, &m->in, rows.first, count, f->out, f->out_stride);
    for (size_t i = 0; i < f->n_out; i++) {
        float *out = f->out + i * f->out_stride + rows.first;
        if (s->logit_scale != 1)
            vector_scale(out, out, s->logit_scale, count);
        if (s->logit_softcap > 0)
            vector_softcap(out, out, s->logit_softcap, count);
    }
}

static void write_logits(struct worker *m)
{
    size_t rows = m->f->d->shape.n_vocab, piece = linear_piece_rows(m, rows);
    struct weight_walk walk = weight_walk_begin(m, linear_pieces(rows, piece));
    linear_input(m, m->normed, m->f->d->shape.n_embd, linear_packs(&m->f->d->output));
    for (size_t at; weight_walk_next(&walk, m, &at);)
        logit_rows(m, linear_piece(at, rows, piece));
    forward_barrier(m);
}

/* Overwrites logits where a row's hidden state is wanted. */
static void write_hidden(struct worker *m)
{
    struct forward *f = m->f;
    size_t width = f->d->shape.n_embd;
    struct work_range part = forward_work_range(m, f->n_out);
    for (size_t i = part.first; i < part.end; i++)
        if (f->batch->rows[f->wanted[i]].output == DECODER_HIDDEN)
            memcpy(f->out + i * f->out_stride, m->normed + i * width, width * sizeof(float));
}

static void run_worker(void *context, unsigned index, unsigned n_workers)
{
    struct forward *f = context;
    size_t own = f->alone ? index : 0, width = f->d->shape.n_embd;
    struct worker m = {.f = f,
        .index = index,
        .n_workers = n_workers,
        .n = f->n,
        .x = f->x + own * f->n * width,
        .normed = f->normed + own * f->n * width,
        .high = f->high + own * f->n * width,
        .low = f->low + own * f->n * width,
        .spare = f->spare + own * f->n * width,
        .streams = f->streams + own * f->n * f->d->shape.n_streams * width,
        .packed = f->packed + own * f->packed_bytes};
    embed(&m);
    if (forward_keeps_high(f->d))
        forward_keep_embedding(&m);
    if (f->d->shape.n_input > 0)
        forward_make_inputs(&m);
    if (f->d->shape.streams)
        f->d->shape.streams->begin(&m);
    for (size_t i = 0; f->d->kinds[i]; i++)
        if (f->d->kinds[i]->begin)
            f->d->kinds[i]->begin(&m);
    for (size_t i = 0; i < f->d->shape.n_layer; i++) {
        run_layer(&m, i);
        if (i >= atomic_load_explicit(&f->last_layer, memory_order_relaxed))
            return;
    }
    if (f->n_out == 0)
        return;
    if (f->d->shape.streams)
        f->d->shape.streams->end(&m);
    norm_wanted(&m);
    if (f->logits)
        write_logits(&m);
    if (f->hidden) {
        forward_settle(&m);
        write_hidden(&m);
    }
}

bool decoder_forward(struct decoder *d, struct decoder_workspace *w, struct pool *pool,
    const struct decoder_batch *batch, const atomic_bool *stop, float **out, struct error *err)
{
    struct forward f = {
        .d = d, .batch = batch, .pool = pool, .stop = stop, .last_layer = SIZE_MAX, .n = batch->n};
    *out = NULL;
    if (batch->n == 0)
        return true;
    if (!forward_prepare(&f, w, err))
        return false;
    if (!pool_run(pool, run_worker, &f))
        return error_set(err, "the compute threads are busy");
    if (f.last_layer < d->shape.n_layer)
        return false;
    for (size_t i = 0; i < f.n_runs; i++)
        sequence_advance(batch->rows[f.runs[i].row].sequence, f.runs[i].end);
    *out = f.out;
    return true;
}
