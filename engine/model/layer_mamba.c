/* layer_mamba.c - the mixer "mamba". */
#include "layer_mamba_private.h"

#include "bind_private.h"
#include "forward_private.h"

#include "berth/kernels/scan.h"

#include <string.h>

/* ---- weights and state ---- */

static size_t params_of(const struct mamba_layer *l)
{
    return l->dt_rank + 2 * (size_t)l->ssm.n_state;
}

static size_t dt_rows(const struct mamba_layer *l)
{
    return l->by_heads ? l->ssm.n_head : l->ssm.n_inner;
}

static bool bind_norms(struct binder *b, size_t i, struct mamba_layer *l)
{
    size_t states = l->ssm.n_state;
    return bind_weight_or_stem(b, bind_stem(i, "ssm_dt_norm").text, l->dt_rank, &l->dt_norm) &&
           bind_weight_or_stem(b, bind_stem(i, "ssm_b_norm").text, states, &l->b_norm) &&
           bind_weight_or_stem(b, bind_stem(i, "ssm_c_norm").text, states, &l->c_norm);
}

static bool bind_scan(struct binder *b, size_t i, struct ssm_layer *s)
{
    struct stem a = bind_stem(i, "ssm_a"), d = bind_stem(i, "ssm_d");
    if (s->n_head > 0)
        return bind_vector(b, a.text, 1, s->n_head, &s->a) && bind_vector(b, d.text, 1, s->n_head, &s->d);
    return bind_blocks(b, a.text, s->n_inner, s->n_state, SCAN_ROWS, &s->a) &&
           bind_vector(b, d.text, 1, s->n_inner, &s->d);
}

static bool bind(struct binder *b, size_t i)
{
    struct layer *layer = &binder_decoder(b)->layers[i];
    struct mamba_layer *l = &layer->mamba;
    struct ssm_layer *s = &l->ssm;
    bool good = ssm_bind(b, i, s, 2 * (size_t)s->n_inner) && bind_scan(b, i, s) && bind_norms(b, i, l) &&
                bind_linear(b, bind_stem(i, "ssm_x").text, params_of(l), s->n_inner, &l->params) &&
                bind_linear(b, bind_stem(i, "ssm_dt").text, dt_rows(l), l->dt_rank, &l->dt);
    l->norms = l->norms || (l->dt_norm && l->b_norm && l->c_norm);
    layer->mixer_packs = good && linear_packs(&s->in);
    return good;
}

static struct layer_state state(const struct decoder *d, size_t i)
{
    return ssm_state(&d->layers[i].mamba.ssm);
}

static void workspace(struct forward *f, struct layout *lasting, struct layout *passing)
{
    (void)lasting;
    struct mamba_memory *w = &f->mamba;
    size_t inner = 0, params = 0, rank = 0, dt = 0;
    for (size_t i = 0; i < f->d->shape.n_layer; i++) {
        const struct mamba_layer *l = &f->d->layers[i].mamba;
        if (f->d->layers[i].mixer != &layer_mamba)
            continue;
        inner = larger(inner, l->ssm.n_inner);
        params = larger(params, params_of(l));
        rank = larger(rank, l->dt_rank);
        dt = larger(dt, dt_rows(l));
    }
    w->products = layout_floats(passing, f->n, 2 * inner);
    w->x = layout_floats(passing, f->n, inner);
    w->params = layout_floats(passing, f->n, params);
    w->dt_in = layout_floats(passing, f->n, rank);
    w->dt = layout_floats(passing, f->n, dt);
}

/* ---- run ---- */

/* Where dt, b and c begin in a row of the parameters. */
struct places {
    size_t dt, b, c;
};

static struct places places_of(const struct mamba_layer *l)
{
    size_t states = l->ssm.n_state;
    return l->by_heads ? (struct places){2 * states, 0, states}
                       : (struct places){0, l->dt_rank, l->dt_rank + states};
}

/* Copies dt to rows of its own, and norms dt, b and c where the layer has norms. */
static void divide_params(struct worker *m, const struct mamba_layer *l)
{
    const struct mamba_memory *w = &m->f->mamba;
    float epsilon = m->f->d->shape.epsilon;
    struct places at = places_of(l);
    struct work_range rows = forward_work_range(m, m->f->n);
    for (size_t t = rows.first; t < rows.end; t++) {
        float *row = w->params + t * params_of(l), *dt = w->dt_in + t * l->dt_rank;
        if (!l->norms) {
            memcpy(dt, row + at.dt, l->dt_rank * sizeof(float));
            continue;
        }
        vector_rms_norm(dt, row + at.dt, l->dt_norm, epsilon, l->dt_rank);
        vector_rms_norm(row + at.b, row + at.b, l->b_norm, epsilon, l->ssm.n_state);
        vector_rms_norm(row + at.c, row + at.c, l->c_norm, epsilon, l->ssm.n_state);
    }
    forward_barrier(m);
}

static void compute_dt(struct worker *m, const struct mamba_layer *l)
{
    const struct mamba_memory *w = &m->f->mamba;
    struct ssm_rows dt = {w->dt, dt_rows(l)};
    linear_input(m, w->x, l->ssm.n_inner, linear_packs(&l->params));
    linear_multiply(m, (struct product[]){{&l->params, w->params}}, 1);
    divide_params(m, l);
    linear_input(m, w->dt_in, l->dt_rank, linear_packs(&l->dt));
    linear_multiply(m, (struct product[]){{&l->dt, w->dt}}, 1);
    ssm_softplus(m, dt, NULL, dt, dt_rows(l));
    forward_barrier(m);
}

static void run(struct worker *m, size_t i)
{
    struct mamba_memory *w = &m->f->mamba;
    const struct mamba_layer *l = &m->f->d->layers[i].mamba;
    const struct ssm_layer *s = &l->ssm;
    struct places at = places_of(l);
    size_t in = 2 * (size_t)s->n_inner, head = ssm_head_rows(s), gap = l->by_heads ? head : 0;
    linear_multiply(m, (struct product[]){{&s->in, w->products}}, 1);
    ssm_convolve(m, i, s, (struct ssm_rows){w->products + gap, in}, gap, w->x);
    forward_barrier(m);
    compute_dt(m, l);
    ssm_scan(m, i, s,
        &(struct ssm_scan){.x = {w->x, s->n_inner},
            .z = {w->products + (l->by_heads ? 0 : s->n_inner), in},
            .gap = gap,
            .dt = {w->dt, dt_rows(l)},
            .b = {w->params + at.b, params_of(l)},
            .c = {w->params + at.c, params_of(l)},
            .y = {w->x, s->n_inner}});
    const float *y = forward_keep_wanted(m, i, w->x, s->n_inner, w->products);
    if (!y)
        return;
    linear_input(m, y, s->n_inner, linear_packs(&s->out));
    linear_multiply(m, (struct product[]){{&s->out, m->f->sum}}, 1);
}

const struct layer_kind layer_mamba = {
    .name = "mamba", .bind = bind, .state = state, .workspace = workspace, .run = run};
