/* streams_altup.c - AltUp (arXiv 2301.13310): layers work on the first of several streams, and the others follow.
 *
 * The first stream is the embedding, the others are projections of it, scaled to its length. Before a layer each stream
 * becomes a prediction: itself and a mix of all of them. The layer works on the first one. What its result differs by from
 * that prediction is added to each stream, with a factor. A router, tanh of a product by the normed row, gives the factors
 * of both. The layer's own input is added to all streams but the first. At the end the streams are projected back, scaled
 * to the length of the first one, and their mean is the residual. Facts: the model's code in transformers and llama.cpp's.
 */
#include "streams_private.h"

#include "bind_private.h"
#include "forward_private.h"

#include <math.h>
#include <string.h>

#define MIXED 128 /* elements of all streams that are mixed at a time */

/* ---- weights ---- */

static bool bind(struct binder *b)
{
    struct decoder *d = binder_decoder(b);
    size_t others = d->shape.n_streams - 1, width = d->shape.n_embd;
    return bind_experts(b, "altup_proj", others, width, width, &d->altup.proj) &&
           bind_experts(b, "altup_unembd_proj", others, width, width, &d->altup.unembd_proj);
}

static bool bind_part(
    struct binder *b, size_t i, const char *name, size_t rows, size_t columns, const float **out)
{
    return bind_vector(b, bind_name(bind_stem(i, name).text, "weight").text, rows, columns, out);
}

static bool bind_layer(struct binder *b, size_t i)
{
    struct decoder *d = binder_decoder(b);
    struct altup_layer *l = &d->layers[i].altup;
    size_t n = d->shape.n_streams, width = d->shape.n_embd;
    return bind_part(b, i, "altup_router_norm", 1, width, &l->router_norm.weight) &&
           bind_part(b, i, "altup_router", n, width, &l->router) &&
           bind_part(b, i, "altup_predict_coef", n * n, n, &l->predict) &&
           bind_part(b, i, "altup_correct_coef", n, n, &l->correct) &&
           bind_part(b, i, "altup_correct_scale", 1, width, &l->correct_scale);
}

/* ---- the streams of a row ---- */

static float *streams_of(const struct worker *m, size_t t)
{
    const struct decoder_shape *s = &m->f->d->shape;
    return m->streams + t * s->n_streams * s->n_embd;
}

/* out = x, scaled to the length of `like`. */
static void scale_to_length(float *out, const float *x, const float *like, size_t n)
{
    float own = vector_dot(x, x, n);
    vector_scale(out, x, own > 0 ? sqrtf(vector_dot(like, like, n) / own) : 0, n);
}

/* coefs[rows] = weight [rows][n_streams] * tanh(router * norm(x) / n_embd). The norm goes to `normed`. */
static void route(const struct worker *m, const struct altup_layer *l, const float *x, float *normed,
    const float *weight, size_t rows, float *coefs)
{
    const struct decoder_shape *s = &m->f->d->shape;
    float modalities[STREAMS_MAX];
    forward_norm(s, normed, x, l->router_norm, s->n_embd);
    for (size_t k = 0; k < s->n_streams; k++)
        modalities[k] =
            vector_tanh(vector_dot(l->router + k * s->n_embd, normed, s->n_embd) / (float)s->n_embd);
    for (size_t r = 0; r < rows; r++)
        coefs[r] = vector_dot(weight + r * s->n_streams, modalities, s->n_streams);
}

/* Adds to each of the n streams [n][width] the mix of all of them with its n coefficients. */
static void mix(float *streams, const float *coefs, size_t n, size_t width)
{
    float before[STREAMS_MAX][MIXED];
    for (size_t at = 0, count; at < width; at += count) {
        count = width - at < MIXED ? width - at : MIXED;
        for (size_t k = 0; k < n; k++)
            memcpy(before[k], streams + k * width + at, count * sizeof(float));
        for (size_t j = 0; j < n * n; j++)
            vector_add_scaled(streams + j / n * width + at, before[j % n], coefs[j], count);
    }
}

/* ---- before and behind a layer ---- */

static void enter(struct worker *m, size_t i)
{
    const struct altup_layer *l = &m->f->d->layers[i].altup;
    size_t n = m->f->d->shape.n_streams, width = m->f->d->shape.n_embd;
    struct work_range rows = forward_residual_rows(m);
    for (size_t t = rows.first; t < rows.end; t++) {
        float *streams = streams_of(m, t), coefs[STREAMS_MAX * STREAMS_MAX];
        route(m, l, streams, m->normed + t * width, l->predict, n * n, coefs);
        mix(streams, coefs, n, width);
        memcpy(m->x + t * width, streams, width * sizeof(float));
    }
}

static void correct(struct worker *m, const struct altup_layer *l, size_t t)
{
    size_t n = m->f->d->shape.n_streams, width = m->f->d->shape.n_embd;
    float *x = m->x + t * width, *innovation = m->normed + t * width, *streams = streams_of(m, t);
    float coefs[STREAMS_MAX];
    route(m, l, x, innovation, l->correct, n, coefs);
    memcpy(innovation, x, width * sizeof(float));
    vector_add_scaled(innovation, streams, -1, width);
    for (size_t j = 0; j < n; j++)
        vector_add_scaled(streams + j * width, innovation, coefs[j] + 1, width);
    vector_multiply(x, streams, l->correct_scale, width);
}

static void leave(struct worker *m, size_t i)
{
    const struct decoder *d = m->f->d;
    size_t width = d->shape.n_embd;
    struct work_range rows = forward_residual_rows(m);
    for (size_t t = rows.first; t < rows.end; t++)
        correct(m, &d->layers[i].altup, t);
    forward_run_input(m, i);
    for (size_t t = rows.first; t < rows.end; t++) {
        float *normed = m->normed + t * width, *streams = streams_of(m, t);
        forward_norm(&d->shape, normed, m->f->sum + t * width, d->layers[i].input_norm, width);
        for (size_t j = 1; j < d->shape.n_streams; j++)
            vector_add(streams + j * width, streams + j * width, normed, width);
    }
}

/* ---- the beginning and the end ---- */

static void begin(struct worker *m)
{
    const struct decoder *d = m->f->d;
    size_t width = d->shape.n_embd;
    struct work_range rows = forward_residual_rows(m);
    for (size_t t = rows.first; t < rows.end; t++)
        memcpy(streams_of(m, t), m->x + t * width, width * sizeof(float));
    linear_input(m, m->x, width, linear_packs(&d->altup.proj.first));
    for (size_t j = 1; j < d->shape.n_streams; j++) {
        struct linear proj = expert_linear(&d->altup.proj, j - 1);
        linear_multiply(m, (struct product[]){{&proj, m->f->sum}}, 1);
        for (size_t t = rows.first; t < rows.end; t++)
            scale_to_length(streams_of(m, t) + j * width, m->f->sum + t * width, m->x + t * width, width);
        forward_barrier(m); /* the sum is written again */
    }
}

static void end(struct worker *m)
{
    const struct forward *f = m->f;
    size_t width = f->d->shape.n_embd, n = f->d->shape.n_streams;
    forward_barrier(
        m); /* the wanted rows are divided otherwise than all of them, and the sum is written again */
    m->n = f->n_out;
    m->kept_wanted = true;
    struct work_range rows = forward_residual_rows(m);
    for (size_t i = rows.first; i < rows.end; i++)
        memcpy(m->x + i * width, streams_of(m, f->wanted[i]), width * sizeof(float));
    for (size_t j = 1; j < n; j++) {
        struct linear proj = expert_linear(&f->d->altup.unembd_proj, j - 1);
        for (size_t i = rows.first; i < rows.end; i++)
            memcpy(m->normed + i * width, streams_of(m, f->wanted[i]) + j * width, width * sizeof(float));
        linear_input(m, m->normed, width, linear_packs(&proj));
        linear_multiply(m, (struct product[]){{&proj, f->sum}}, 1);
        for (size_t i = rows.first; i < rows.end; i++) {
            float *normed = m->normed + i * width, *x = m->x + i * width;
            scale_to_length(normed, f->sum + i * width, streams_of(m, f->wanted[i]), width);
            vector_add(x, x, normed, width);
        }
        forward_barrier(m);
    }
    for (size_t i = rows.first; i < rows.end; i++)
        vector_scale(m->x + i * width, m->x + i * width, 1 / (float)n, width);
}

const struct stream_kind streams_altup = {
    .bind = bind, .bind_layer = bind_layer, .begin = begin, .enter = enter, .leave = leave, .end = end};
