/* layer_delta.c - the mixer "gated delta rule".
 *
 * Columns of a head's state do not depend on each other. So workers divide the blocks of columns, and each goes through all
 * rows of a run by itself, without a barrier for each position. It writes the state at each checkpoint that it passes.
 */
#include "layer_delta_private.h"

#include "bind_private.h"
#include "forward_private.h"

#include "berth/kernels/delta.h"

#include <math.h>
#include <string.h>

/* ---- weights and state ---- */

static size_t blocks_of_head(const struct ssm_layer *s)
{
    return (s->n_state + DELTA_COLUMNS - 1) / DELTA_COLUMNS;
}

static size_t block_floats(const struct ssm_layer *s)
{
    return (size_t)s->n_state * DELTA_COLUMNS;
}

static struct layer_state state(const struct decoder *d, size_t i)
{
    const struct ssm_layer *s = &d->layers[i].delta.ssm;
    return (struct layer_state){
        .recurrent_floats = ssm_held_floats(s) + s->n_head * blocks_of_head(s) * block_floats(s)};
}

static bool bind_part(
    struct binder *b, size_t i, const char *rest, size_t rows, size_t columns, struct linear *l)
{
    return bind_linear(b, bind_stem(i, rest).text, rows, columns, l);
}

/* A product without the factor and the bias that a file may have beside it: llama.cpp's loader does not read them. */
static bool bind_bare(
    struct binder *b, size_t i, const char *rest, size_t rows, size_t columns, struct linear *l)
{
    bool good = bind_part(b, i, rest, rows, columns, l);
    l->scale = l->bias = NULL;
    return good;
}

/* Tensors of Kimi Linear: each of q, k and v has taps of its own, decay and gate go through a narrow product. */
static bool bind_by_key(struct binder *b, size_t i, struct delta_layer *l)
{
    const struct ssm_layer *s = &l->ssm;
    size_t n_embd = binder_decoder(b)->shape.n_embd;
    struct name q = bind_name(bind_stem(i, "ssm_conv1d_q").text, "weight"),
                k = bind_name(bind_stem(i, "ssm_conv1d_k").text, "weight"),
                v = bind_name(bind_stem(i, "ssm_conv1d_v").text, "weight");
    bool low = !bind_has(b, bind_stem(i, "attn_gate").text);
    return bind_bare(b, i, "attn_q", s->n_inner, n_embd, &l->q) &&
           bind_bare(b, i, "attn_k", s->n_inner, n_embd, &l->k) &&
           bind_bare(b, i, "attn_v", s->n_inner, n_embd, &l->v) &&
           bind_channels(
               b, (const char *[]){q.text, k.text, v.text}, 3, s->n_inner, s->n_taps, &l->ssm.taps) &&
           (!low || bind_bare(b, i, "ssm_g_a", s->n_state, n_embd, &l->gate_low)) &&
           bind_bare(b, i, low ? "ssm_g_b" : "attn_gate", s->n_inner, low ? s->n_state : n_embd, &l->gate) &&
           bind_bare(b, i, "ssm_f_a", s->n_state, n_embd, &l->alpha_low) &&
           bind_bare(b, i, "ssm_f_b", s->n_inner, s->n_state, &l->alpha) &&
           bind_bare(b, i, "ssm_beta", s->n_head, n_embd, &l->beta) &&
           bind_bare(b, i, "attn_output", n_embd, s->n_inner, &l->ssm.out);
}

/* Tensors of Qwen. A file may also have ssm_in, the rows of attn_qkv and attn_gate in another order. */
static bool bind_by_head(struct binder *b, size_t i, struct delta_layer *l)
{
    const struct ssm_layer *s = &l->ssm;
    size_t n_embd = binder_decoder(b)->shape.n_embd;
    l->joined = bind_has(b, bind_stem(i, "ssm_ba").text);
    return bind_part(b, i, "attn_qkv", s->n_channels, n_embd, &l->q) &&
           bind_transposed(
               b, bind_stem(i, "ssm_conv1d.weight").text, s->n_channels, s->n_taps, &l->ssm.taps) &&
           bind_part(b, i, "attn_gate", s->n_inner, n_embd, &l->gate) &&
           bind_part(b, i, l->joined ? "ssm_ba" : "ssm_beta", l->joined ? 2 * s->n_head : s->n_head, n_embd,
               &l->beta) &&
           (l->joined || bind_part(b, i, "ssm_alpha", s->n_head, n_embd, &l->alpha)) &&
           bind_part(b, i, "ssm_out", n_embd, s->n_inner, &l->ssm.out);
}

static bool packs(const struct delta_layer *l)
{
    return linear_packs(&l->q) || linear_packs(&l->beta) ||
           linear_packs(l->gate_low.weight.data ? &l->gate_low : &l->gate) ||
           (l->decay_by_key ? linear_packs(&l->k) || linear_packs(&l->v) || linear_packs(&l->alpha_low)
                            : !l->joined && linear_packs(&l->alpha));
}

static bool bind(struct binder *b, size_t i)
{
    struct layer *layer = &binder_decoder(b)->layers[i];
    struct delta_layer *l = &layer->delta;
    const struct ssm_layer *s = &l->ssm;
    bool good = (l->decay_by_key ? bind_by_key(b, i, l) : bind_by_head(b, i, l)) &&
                bind_vector(b, bind_stem(i, "ssm_dt.bias").text, 1, l->decay_by_key ? s->n_inner : s->n_head,
                    &l->dt_bias) &&
                bind_vector(b, bind_stem(i, "ssm_a").text, l->decay_by_key ? s->n_head : 1,
                    l->decay_by_key ? 1 : s->n_head, &l->a) &&
                bind_vector(b, bind_stem(i, "ssm_norm.weight").text, 1, s->n_state, &l->norm);
    layer->mixer_packs = good && packs(l);
    return good;
}

/* ---- memory ---- */

/* The largest of all layers. */
struct delta_widths {
    size_t channels, inner, heads, state, alpha, parts;
};

static struct delta_widths widths_of(const struct decoder *d)
{
    struct delta_widths w = {0};
    for (size_t i = 0; i < d->shape.n_layer; i++) {
        const struct delta_layer *l = &d->layers[i].delta;
        if (d->layers[i].mixer != &layer_delta)
            continue;
        w.channels = larger(w.channels, l->ssm.n_channels);
        w.inner = larger(w.inner, l->ssm.n_inner);
        w.heads = larger(w.heads, l->ssm.n_head);
        w.state = larger(w.state, l->decay_by_key ? l->ssm.n_state : 0);
        w.alpha = larger(w.alpha, l->decay_by_key ? l->ssm.n_inner : l->ssm.n_head);
        w.parts = larger(w.parts, l->decay_by_key ? l->ssm.n_inner : 0);
    }
    return w;
}

static void workspace(struct forward *f, struct layout *lasting, struct layout *passing)
{
    (void)lasting;
    struct delta_memory *w = &f->delta;
    struct delta_widths widths = widths_of(f->d);
    w->products = layout_floats(passing, f->n, widths.channels);
    w->channels = layout_floats(passing, f->n, widths.channels);
    w->q = layout_floats(passing, f->n, widths.parts);
    w->k = layout_floats(passing, f->n, widths.parts);
    w->v = layout_floats(passing, f->n, widths.parts);
    w->gate = layout_floats(passing, f->n, widths.inner);
    w->low = layout_floats(passing, 2 * f->n, widths.state);
    w->beta_alpha = layout_floats(passing, f->n, 2 * widths.heads);
    w->alpha = layout_floats(passing, f->n, widths.alpha);
    w->beta = layout_floats(passing, f->n, widths.heads);
    w->decay = layout_floats(passing, f->n, widths.alpha);
    w->y = layout_floats(passing, f->n, widths.inner);
}

/* ---- the products ---- */

/* Puts q, k and v of each row side by side. */
static void join(struct worker *m, const struct ssm_layer *s)
{
    const struct delta_memory *w = &m->f->delta;
    struct work_range rows = forward_work_range(m, m->f->n);
    size_t n = s->n_inner;
    for (size_t t = rows.first; t < rows.end; t++) {
        memcpy(w->products + t * s->n_channels, w->q + t * n, n * sizeof(float));
        memcpy(w->products + t * s->n_channels + n, w->k + t * n, n * sizeof(float));
        memcpy(w->products + t * s->n_channels + 2 * n, w->v + t * n, n * sizeof(float));
    }
    forward_barrier(m);
}

static void multiply_by_key(struct worker *m, const struct delta_layer *l)
{
    const struct delta_memory *w = &m->f->delta;
    bool low = l->gate_low.weight.data != NULL;
    float *gate_low = w->low + m->f->n * l->ssm.n_state;
    linear_multiply(m,
        (struct product[]){{&l->q, w->q}, {&l->k, w->k}, {&l->v, w->v}, {&l->beta, w->beta_alpha},
            {&l->alpha_low, w->low}, {low ? &l->gate_low : &l->gate, low ? gate_low : w->gate}},
        6);
    join(m, &l->ssm);
    linear_apply(m, &l->alpha, w->low, w->alpha);
    if (low)
        linear_apply(m, &l->gate, gate_low, w->gate);
}

static void multiply(struct worker *m, const struct delta_layer *l)
{
    const struct delta_memory *w = &m->f->delta;
    if (l->decay_by_key)
        multiply_by_key(m, l);
    else
        linear_multiply(m,
            (struct product[]){
                {&l->q, w->products}, {&l->gate, w->gate}, {&l->beta, w->beta_alpha}, {&l->alpha, w->alpha}},
            l->joined ? 3 : 4);
}

/* ---- between the products and the state ---- */

/* Makes a head's query or key have the length 1, times the factor. */
static void unify(const struct forward *f, float *x, float factor, size_t n)
{
    float length = sqrtf(vector_dot(x, x, n)), epsilon = f->d->shape.epsilon;
    vector_scale(x, x, factor / (length > epsilon ? length : epsilon), n);
}

/* The index of a head's beta in a row of joined products: for each key head the betas of its value heads, then their
 * alphas. */
static size_t joined_at(const struct ssm_layer *s, size_t head)
{
    size_t each = s->n_head / s->n_group;
    return head / each * 2 * each + head % each;
}

static float sigmoid(float x)
{
    return 1 / (1 + vector_exp(-x));
}

static void settle_head(const struct forward *f, const struct delta_layer *l, size_t t, size_t head)
{
    const struct delta_memory *w = &f->delta;
    const struct ssm_layer *s = &l->ssm;
    size_t n = l->decay_by_key ? s->n_state : 1, each = s->n_head / s->n_group;
    const float *row = w->beta_alpha + t * (l->joined ? 2 : 1) * s->n_head;
    float *decay = w->decay + (t * s->n_head + head) * n;
    const float *alpha = w->alpha + (t * s->n_head + head) * n;
    if (l->joined)
        alpha = row + joined_at(s, head) + each;
    w->beta[t * s->n_head + head] = sigmoid(row[l->joined ? joined_at(s, head) : head]);
    vector_add(decay, alpha, l->dt_bias + head * n, n);
    vector_softplus(decay, decay, n);
    vector_scale(decay, decay, l->a[head], n);
    vector_gate(decay, decay, NULL, VECTOR_EXP, n);
}

static void settle(struct worker *m, const struct delta_layer *l)
{
    const struct forward *f = m->f;
    const struct ssm_layer *s = &l->ssm;
    float factor = 1 / sqrtf((float)s->n_state);
    struct work_range part = forward_work_range(m, f->n * s->n_group);
    for (size_t i = part.first; i < part.end; i++) {
        float *q = f->delta.channels + i / s->n_group * s->n_channels + i % s->n_group * s->n_state;
        unify(f, q, factor, s->n_state);
        unify(f, q + (size_t)s->n_group * s->n_state, 1, s->n_state);
    }
    part = forward_work_range(m, f->n * s->n_head);
    for (size_t i = part.first; i < part.end; i++)
        settle_head(f, l, i / s->n_head, i % s->n_head);
    forward_barrier(m);
}

/* ---- the state ---- */

/* Block `i` of the layer, at the first row of a run. */
static struct delta_block block_of(const struct forward *f, const struct delta_layer *l, size_t i, size_t row)
{
    const struct delta_memory *w = &f->delta;
    const struct ssm_layer *s = &l->ssm;
    size_t head = i / blocks_of_head(s), column = i % blocks_of_head(s) * DELTA_COLUMNS;
    size_t key_head = l->tiled ? head % s->n_group : head / (s->n_head / s->n_group);
    size_t keys = (size_t)s->n_group * s->n_state, n_decay = l->decay_by_key ? s->n_state : 1;
    const float *channels = w->channels + row * s->n_channels;
    return (struct delta_block){
        .columns = s->n_state - column < DELTA_COLUMNS ? s->n_state - column : DELTA_COLUMNS,
        .keys = s->n_state,
        .q = channels + key_head * s->n_state,
        .k = channels + keys + key_head * s->n_state,
        .v = channels + 2 * keys + head * s->n_state + column,
        .q_stride = s->n_channels,
        .k_stride = s->n_channels,
        .v_stride = s->n_channels,
        .decay = w->decay + (row * s->n_head + head) * n_decay,
        .decay_stride = s->n_head * n_decay,
        .decay_by_key = l->decay_by_key,
        .beta = w->beta + row * s->n_head + head,
        .beta_stride = s->n_head,
        .out = w->y + row * s->n_inner + head * s->n_state + column,
        .out_stride = s->n_inner};
}

static void skip_rows(struct delta_block *b, size_t rows)
{
    b->q += rows * b->q_stride;
    b->k += rows * b->k_stride;
    b->v += rows * b->v_stride;
    b->decay += rows * b->decay_stride;
    b->beta += rows * b->beta_stride;
    b->out += rows * b->out_stride;
}

static void step_run(struct delta_block *b, const struct batch_run *r, size_t at)
{
    struct state_walk w = state_walk_begin(r, at, b->keys * DELTA_COLUMNS);
    for (; state_walk_next(&w); skip_rows(b, w.tokens)) {
        b->before = w.before;
        b->after = w.after;
        b->tokens = w.tokens;
        delta_rule(b);
    }
}

static void step_all(struct worker *m, size_t layer, const struct delta_layer *l)
{
    const struct forward *f = m->f;
    const struct ssm_layer *s = &l->ssm;
    size_t at = kv_cache_state_at(f->cache, layer) + ssm_held_floats(s),
           blocks = s->n_head * blocks_of_head(s);
    for (size_t i; (i = forward_take(m)) < f->n_runs * blocks;) {
        const struct batch_run *r = &f->runs[i / blocks];
        struct delta_block b = block_of(f, l, i % blocks, r->row);
        step_run(&b, r, at + i % blocks * block_floats(s));
    }
    forward_barrier(m);
}

/* ---- the result ---- */

/* Norms the result of each head, and multiplies it by the gate. */
static void gate(struct worker *m, const struct delta_layer *l)
{
    const struct delta_memory *w = &m->f->delta;
    const struct ssm_layer *s = &l->ssm;
    size_t n = s->n_state;
    struct work_range part = forward_work_range(m, m->f->n * s->n_head);
    for (size_t i = part.first; i < part.end; i++) {
        float *y = w->y + i * n;
        vector_rms_norm(y, y, l->norm, m->f->d->shape.epsilon, n);
        vector_gate(y, w->gate + i * n, y, l->decay_by_key ? VECTOR_SIGMOID : VECTOR_SILU, n);
    }
    forward_barrier(m);
}

static void run(struct worker *m, size_t i)
{
    struct delta_memory *w = &m->f->delta;
    const struct delta_layer *l = &m->f->d->layers[i].delta;
    const struct ssm_layer *s = &l->ssm;
    multiply(m, l);
    ssm_convolve(m, i, s, (struct ssm_rows){w->products, s->n_channels}, 0, w->channels);
    forward_barrier(m);
    settle(m, l);
    step_all(m, i, l);
    gate(m, l);
    const float *y = forward_keep_wanted(m, i, w->y, s->n_inner, w->channels);
    if (!y)
        return;
    linear_input(m, y, s->n_inner, linear_packs(&s->out));
    linear_multiply(m, (struct product[]){{&s->out, m->f->sum}}, 1);
}

const struct layer_kind layer_delta = {
    .name = "gated delta rule", .bind = bind, .state = state, .workspace = workspace, .run = run};
