/* layer_channel_mix.c - the feed-forward "channel mix". */
#include "layer_channel_mix_private.h"

#include "bind_private.h"
#include "forward_private.h"
#include "token_shift_private.h"

static bool bind_part(
    struct binder *b, size_t i, const char *rest, size_t rows, size_t columns, struct linear *l)
{
    return bind_linear(b, bind_stem(i, rest).text, rows, columns, l);
}

static bool bind_lerp(struct binder *b, size_t i, const char *rest, const float **lerp)
{
    return bind_vector(b, bind_stem(i, rest).text, 1, binder_decoder(b)->shape.n_embd, lerp);
}

static bool bind(struct binder *b, size_t i)
{
    struct decoder *d = binder_decoder(b);
    struct channel_mix_layer *l = &d->layers[i].channel_mix;
    size_t n_embd = d->shape.n_embd;
    return bind_part(b, i, "channel_mix_key", l->n_ff, n_embd, &l->key) &&
           bind_part(b, i, "channel_mix_value", n_embd, l->n_ff, &l->value) &&
           bind_lerp(b, i, "channel_mix_lerp_k.weight", &l->lerp_k) &&
           (!l->gated || (bind_part(b, i, "channel_mix_receptance", n_embd, n_embd, &l->receptance) &&
                             bind_lerp(b, i, "channel_mix_lerp_r.weight", &l->lerp_r)));
}

static struct layer_state state(const struct decoder *d, size_t i)
{
    (void)i;
    return (struct layer_state){.recurrent_floats = token_shift_floats(d)};
}

static void workspace(struct forward *f, struct layout *lasting, struct layout *passing)
{
    (void)lasting;
    struct channel_mix_memory *w = &f->channel_mix;
    size_t n_embd = f->d->shape.n_embd, n_ff = 0, gates = 0;
    for (const struct layer *l = f->d->layers; l < f->d->layers + f->d->shape.n_layer; l++)
        if (l->ffn == &layer_channel_mix) {
            n_ff = larger(n_ff, l->channel_mix.n_ff);
            gates = larger(gates, l->channel_mix.gated ? n_embd : 0);
        }
    w->k = layout_floats(passing, f->n, n_embd);
    w->r = layout_floats(passing, f->n, gates);
    w->hidden = layout_floats(passing, f->n, n_ff);
    w->gate = layout_floats(passing, f->n, gates);
}

static void run(struct worker *m, size_t i)
{
    struct forward *f = m->f;
    const struct channel_mix_memory *w = &f->channel_mix;
    const struct layer *layer = &f->d->layers[i];
    const struct channel_mix_layer *l = &layer->channel_mix;
    struct token_shift shift = {.x = m->in.x,
        .state_at = kv_cache_state_at(f->cache, i) + layer->mixer->state(f->d, i).recurrent_floats,
        .n_lerps = l->gated ? 2 : 1,
        .lerps = {l->lerp_k, l->lerp_r},
        .out = {w->k, w->r}};
    token_shift_mix(m, &shift);
    token_shift_store(m, shift.x, shift.state_at);
    forward_barrier(m);
    if (i + 1 == f->d->shape.n_layer && f->n_out == 0)
        return;
    linear_apply(m, &l->key, w->k, w->hidden);
    struct work_range part = forward_work_range(m, f->n * l->n_ff);
    float *hidden = w->hidden + part.first;
    vector_gate(hidden, hidden, NULL, VECTOR_RELU_SQUARED, part.end - part.first);
    forward_barrier(m);
    linear_apply(m, &l->value, w->hidden, f->sum);
    if (!l->gated)
        return;
    linear_apply(m, &l->receptance, w->r, w->gate);
    part = forward_work_range(m, f->n * f->d->shape.n_embd);
    vector_gate(f->sum + part.first, w->gate + part.first, f->sum + part.first, VECTOR_SIGMOID,
        part.end - part.first);
    forward_barrier(m);
}

const struct layer_kind layer_channel_mix = {
    .name = "channel mix", .bind = bind, .state = state, .workspace = workspace, .run = run};
