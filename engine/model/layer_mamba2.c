/* layer_mamba2.c - the mixer "mamba2". */
#include "layer_mamba2_private.h"

#include "bind_private.h"
#include "forward_private.h"

/* ---- weights and state ---- */

static size_t in_rows(const struct ssm_layer *l)
{
    return (size_t)l->n_inner + l->n_channels + l->n_head;
}

static bool bind(struct binder *b, size_t i)
{
    struct layer *layer = &binder_decoder(b)->layers[i];
    struct mamba2_layer *l = &layer->mamba2;
    struct ssm_layer *s = &l->ssm;
    bool good =
        ssm_bind(b, i, s, in_rows(s)) &&
        bind_vector(b, bind_stem(i, "ssm_dt.bias").text, 1, s->n_head, &l->dt_bias) &&
        bind_vector(b, bind_stem(i, "ssm_a").text, s->n_head, 1, &s->a) &&
        bind_vector(b, bind_stem(i, "ssm_d").text, s->n_head, 1, &s->d) &&
        bind_optional(b, bind_stem(i, "ssm_norm.weight").text, s->n_group, s->n_inner / s->n_group, &l->norm);
    *(layer->mixer == &layer_mamba2 ? &layer->mixer_packs : &layer->second_packs) =
        good && linear_packs(&s->in);
    return good;
}

static struct layer_state state(const struct decoder *d, size_t i)
{
    return ssm_state(&d->layers[i].mamba2.ssm);
}

static void workspace(struct forward *f, struct layout *lasting, struct layout *passing)
{
    (void)lasting;
    size_t in = 0, channels = 0, heads = 0, inner = 0;
    for (size_t i = 0; i < f->d->shape.n_layer; i++) {
        const struct layer *layer = &f->d->layers[i];
        const struct ssm_layer *l = &layer->mamba2.ssm;
        if (layer->mixer != &layer_mamba2 && layer->second != &layer_mamba2)
            continue;
        in = larger(in, in_rows(l));
        channels = larger(channels, l->n_channels);
        heads = larger(heads, l->n_head);
        inner = larger(inner, l->n_inner);
    }
    f->mamba2.products = layout_floats(passing, f->n, in);
    f->mamba2.channels = layout_floats(passing, f->n, channels);
    f->mamba2.dt = layout_floats(passing, f->n, heads);
    f->mamba2.y = layout_floats(passing, f->n, inner);
}

/* ---- run ---- */

/* Norms each group of each row. */
static void norm_groups(struct worker *m, const struct mamba2_layer *l)
{
    size_t groups = l->ssm.n_group, width = l->ssm.n_inner / groups;
    struct work_range part = forward_work_range(m, m->f->n * groups);
    for (size_t i = part.first; i < part.end; i++) {
        float *y = m->f->mamba2.y + i * width;
        vector_rms_norm(y, y, l->norm + i % groups * width, m->f->d->shape.epsilon, width);
    }
    forward_barrier(m);
}

static void run(struct worker *m, size_t i)
{
    struct mamba2_memory *w = &m->f->mamba2;
    const struct mamba2_layer *l = &m->f->d->layers[i].mamba2;
    const struct ssm_layer *s = &l->ssm;
    size_t in = in_rows(s), b_at = s->n_inner, c_at = b_at + (size_t)s->n_group * s->n_state;
    linear_multiply(m, (struct product[]){{&s->in, w->products}}, 1);
    ssm_convolve(m, i, s, (struct ssm_rows){w->products + s->n_inner, in}, 0, w->channels);
    ssm_softplus(m, (struct ssm_rows){w->products + s->n_inner + s->n_channels, in}, l->dt_bias,
        (struct ssm_rows){w->dt, s->n_head}, s->n_head);
    forward_barrier(m);
    ssm_scan(m, i, s,
        &(struct ssm_scan){.x = {w->channels, s->n_channels},
            .b = {w->channels + b_at, s->n_channels},
            .c = {w->channels + c_at, s->n_channels},
            .z = {w->products, in},
            .dt = {w->dt, s->n_head},
            .y = {w->y, s->n_inner}});
    if (l->norm)
        norm_groups(m, l);
    const float *y = forward_keep_wanted(m, i, w->y, s->n_inner, w->channels);
    if (!y)
        return;
    linear_input(m, y, s->n_inner, linear_packs(&s->out));
    linear_multiply(m, (struct product[]){{&s->out, m->f->sum}}, 1);
}

const struct layer_kind layer_mamba2 = {
    .name = "mamba2", .bind = bind, .state = state, .workspace = workspace, .run = run};
