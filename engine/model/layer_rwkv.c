/* layer_rwkv.c - the mixer "rwkv".
 *
 * Each product has an input of its own. What lies between products and recurrence works on a head of a row by itself, and
 * the recurrence on a block of columns of a head's state, through all rows of a run.
 */
#include "layer_rwkv_private.h"

#include "forward_private.h"
#include "ssm_private.h"
#include "token_shift_private.h"

#include "berth/kernels/wkv.h"

#include <math.h>
#include <string.h>

#define NORM_EPSILON 64e-5f
#define LEAST_LENGTH 1e-12f
#define DECAY_RATE (-0.606531f) /* -exp(-1/2): a decay of version 7 is at least exp of it */

/* ---- state and memory ---- */

static size_t blocks_of_head(const struct rwkv_layer *l)
{
    return (l->head_dim + DELTA_COLUMNS - 1) / DELTA_COLUMNS;
}

static size_t block_floats(const struct rwkv_layer *l)
{
    return (size_t)l->head_dim * DELTA_COLUMNS;
}

static struct layer_state state(const struct decoder *d, size_t i)
{
    const struct rwkv_layer *l = &d->layers[i].rwkv;
    return (struct layer_state){
        .recurrent_floats = token_shift_floats(d) + l->n_head * blocks_of_head(l) * block_floats(l)};
}

static void workspace(struct forward *f, struct layout *lasting, struct layout *passing)
{
    struct rwkv_memory *w = &f->rwkv;
    const struct rwkv_layer *first = &f->d->layers[0].rwkv; /* all layers have the same sizes */
    size_t n_embd = f->d->shape.n_embd, rank = first->most_rank, heads = first->n_head;
    w->first_v = layout_floats(lasting, f->n, n_embd);
    for (size_t j = 0; j < RWKV_INPUTS; j++) {
        w->in[j] = layout_floats(passing, f->n, n_embd);
        w->low[j] = layout_floats(passing, f->n, rank);
    }
    w->r = layout_floats(passing, f->n, n_embd);
    w->y = layout_floats(passing, f->n, n_embd);
    w->bonus = layout_floats(passing, f->n, heads);
    w->w = w->in[RWKV_W];
    w->k = w->in[RWKV_R];
    w->v = w->in[RWKV_K];
    w->kk = w->in[RWKV_V];
    w->b = w->in[RWKV_A];
    w->g = w->in[RWKV_G];
}

/* Where a head's part of a row lies among the keys or values of a product, which heads may have in common. */
static size_t kv_at(const struct rwkv_layer *l, size_t row, size_t head)
{
    return (row * l->n_head_kv + head / (l->n_head / l->n_head_kv)) * l->head_dim;
}

/* ---- the products ---- */

static void activate(struct worker *m, float *x, size_t columns, bool by_sigmoid)
{
    struct work_range part = forward_work_range(m, m->f->n * columns);
    x += part.first;
    if (by_sigmoid)
        vector_gate(x, x, NULL, VECTOR_SIGMOID, part.end - part.first);
    else
        vector_softcap(x, x, 1, part.end - part.first); /* tanh */
}

static void shift(struct worker *m, const struct rwkv_layer *l, struct token_shift *s)
{
    for (size_t j = 0; j < RWKV_INPUTS; j++)
        if (l->lerps[j]) {
            s->lerps[s->n_lerps] = l->lerps[j];
            s->out[s->n_lerps++] = m->f->rwkv.in[j];
        }
    token_shift_mix(m, s);
    token_shift_store(m, s->x, s->state_at);
    forward_barrier(m);
}

/* What version 6 adds to the lerps: products of parts of a narrow product. */
static void multiply_shift(struct worker *m, const struct rwkv_layer *l, struct token_shift s)
{
    const struct rwkv_memory *w = &m->f->rwkv;
    struct linear parts[RWKV_INPUTS_6];
    struct product products[RWKV_INPUTS_6];
    s.own = false;
    s.n_lerps = 1;
    s.lerps[0] = l->shift_lerp;
    s.out[0] = w->y;
    token_shift_mix(m, &s);
    forward_barrier(m);
    for (size_t j = 0; j < RWKV_INPUTS_6; j++) {
        parts[j] = linear_part(&l->shift_down, j * l->shift_rank, l->shift_rank);
        products[j] = (struct product){&parts[j], w->low[rwkv_inputs_6[j]]};
    }
    linear_input(m, w->y, m->f->d->shape.n_embd, linear_packs(&l->shift_down));
    linear_multiply(m, products, RWKV_INPUTS_6);
    for (size_t j = 0; j < RWKV_INPUTS_6; j++)
        activate(m, w->low[rwkv_inputs_6[j]], l->shift_rank, false);
    forward_barrier(m);
    for (size_t j = 0; j < RWKV_INPUTS_6; j++) {
        struct linear up = expert_linear(&l->shift_up, j);
        linear_apply(m, &up, w->low[rwkv_inputs_6[j]], w->in[rwkv_inputs_6[j]]);
    }
}

/* The order matters: a result takes the place of an input that has been multiplied. Keys of version 6 are completed
 * later, from w->y. */
static void multiply(struct worker *m, const struct rwkv_layer *l)
{
    const struct rwkv_memory *w = &m->f->rwkv;
    const struct low_rank *low = l->low;
    for (size_t j = 0; j < RWKV_INPUTS; j++)
        if (low[j].rank > 0)
            linear_apply(m, &low[j].down, w->in[j], w->low[j]);
    linear_apply(m, &l->r, w->in[RWKV_R], w->r);
    linear_apply(m, &l->k, w->in[RWKV_K], l->by_delta ? w->k : w->y);
    linear_apply(m, &l->v, w->in[RWKV_V], w->v);
    if (!l->by_delta)
        linear_apply(m, &l->gate, w->in[RWKV_A], w->g);
    activate(m, w->low[RWKV_W], low[RWKV_W].rank, false);
    activate(m, w->low[RWKV_G], low[RWKV_G].rank, true);
    forward_barrier(m);
    for (size_t j = 0; j < RWKV_INPUTS; j++)
        if (low[j].rank > 0)
            linear_apply(m, &low[j].up, w->low[j], w->in[j]);
}

/* ---- between the products and the recurrence, for one head of a row ---- */

/* Gated linear attention multiplies keys by 1 - w, and scales the receptance. */
static void settle_6(const struct rwkv_memory *m, const struct rwkv_layer *l, size_t at, const float *key)
{
    size_t n = l->head_dim;
    float *k = m->k + at;
    memcpy(k, key, n * sizeof(*k));
    if (!l->gla)
        return;
    vector_multiply(k, key, m->w + at, n);
    vector_scale(k, k, -1, n);
    vector_add(k, k, key, n);
    vector_scale(m->r + at, m->r + at, 1 / sqrtf((float)n), n);
}

/* v goes as far to the first layer's as `share` says, before its sigmoid. `free` is memory. */
static void mix_values(float *v, const float *first, float *share, const float *base, float *free, size_t n)
{
    vector_add(share, share, base, n);
    vector_gate(share, share, NULL, VECTOR_SIGMOID, n);
    memcpy(free, first, n * sizeof(*free));
    vector_add_scaled(free, v, -1, n);
    vector_multiply(free, free, share, n);
    vector_add(v, v, free, n);
}

/* a = sigmoid(a); kk = k * k_k, of length 1; k = k - k * k_a + k * k_a * a; b = kk * a, in a's place */
static void settle_7(const struct rwkv_memory *m, const struct rwkv_layer *l, size_t at, size_t from)
{
    size_t n = l->head_dim;
    float *a = m->b + at, *k = m->k + at, *kk = m->kk + at, *free = m->y + at;
    vector_add(a, a, l->low[RWKV_A].base + from, n);
    vector_gate(a, a, NULL, VECTOR_SIGMOID, n);
    if (l->low[RWKV_V].rank > 0) /* the place of kk has the share until here */
        mix_values(m->v + at, m->first_v + at, kk, l->low[RWKV_V].base + from, free, n);
    else
        memcpy(m->first_v + at, m->v + at, n * sizeof(*a));
    vector_multiply(kk, k, l->k_k + from, n);
    float length = sqrtf(vector_dot(kk, kk, n));
    vector_scale(kk, kk, 1 / (length > LEAST_LENGTH ? length : LEAST_LENGTH), n);
    vector_multiply(free, k, l->k_a + from, n);
    vector_add_scaled(k, free, -1, n);
    vector_multiply(free, free, a, n);
    vector_add(k, k, free, n);
    vector_multiply(a, a, kk, n);
}

/* w = exp(-exp(w)) in version 6. What is read of w->y is read before this head's part of it is written. */
static void settle(struct worker *m, const struct rwkv_layer *l)
{
    const struct rwkv_memory *of = &m->f->rwkv;
    size_t n = l->head_dim;
    struct work_range part = forward_work_range(m, m->f->n * l->n_head);
    for (size_t i = part.first; i < part.end; i++) {
        size_t head = i % l->n_head, from = head * n, at = i * n;
        float *w = of->w + at;
        vector_add(w, w, l->low[RWKV_W].base + from, n);
        vector_gate(w, w, NULL, l->by_delta ? VECTOR_SIGMOID : VECTOR_EXP, n);
        vector_scale(w, w, l->by_delta ? DECAY_RATE : -1, n);
        vector_gate(w, w, NULL, VECTOR_EXP, n);
        if (l->by_delta)
            settle_7(of, l, at, from);
        else
            settle_6(of, l, at, of->y + kv_at(l, i / l->n_head, head));
        if (l->bonus) {
            vector_multiply(of->y + at, of->k + at, l->bonus + from, n);
            of->bonus[i] = vector_dot(of->y + at, of->r + at, n);
        }
    }
    forward_barrier(m);
}

/* ---- the recurrence ---- */

/* Block `i` of the layer, at a row of the batch. */
static struct wkv_block block_of(const struct forward *f, const struct rwkv_layer *l, size_t i, size_t row)
{
    const struct rwkv_memory *m = &f->rwkv;
    size_t n = l->head_dim, head = i / blocks_of_head(l), column = i % blocks_of_head(l) * DELTA_COLUMNS;
    size_t stride = f->d->shape.n_embd, at = row * stride + head * n;
    return (struct wkv_block){.columns = n - column < DELTA_COLUMNS ? n - column : DELTA_COLUMNS,
        .keys = n,
        .r = m->r + at,
        .w = m->w + at,
        .k = m->k + at,
        .kk = l->by_delta ? m->kk + at : NULL,
        .b = m->b + at,
        .early = !l->by_delta && !l->gla,
        .v = m->v + kv_at(l, row, head) + column,
        .out = m->y + at + column,
        .stride = stride,
        .v_stride = (size_t)l->n_head_kv * n};
}

static void step_all(struct worker *m, size_t layer, const struct rwkv_layer *l)
{
    const struct forward *f = m->f;
    size_t blocks = l->n_head * blocks_of_head(l);
    size_t at = kv_cache_state_at(f->cache, layer) + token_shift_floats(f->d);
    for (size_t i; (i = forward_take(m)) < f->n_runs * blocks;) {
        const struct batch_run *r = &f->runs[i / blocks];
        struct state_walk walk = state_walk_begin(r, at + i % blocks * block_floats(l), block_floats(l));
        for (size_t row = r->row; state_walk_next(&walk); row += walk.tokens) {
            struct wkv_block b = block_of(f, l, i % blocks, row);
            b.before = walk.before;
            b.after = walk.after;
            b.tokens = walk.tokens;
            wkv(&b);
        }
    }
    forward_barrier(m);
}

/* ---- the result ---- */

/* The token's own share is normed with the rest in version 6, and added after the norm in version 7. */
static void finish(struct worker *m, const struct rwkv_layer *l)
{
    const struct rwkv_memory *w = &m->f->rwkv;
    size_t n = l->head_dim;
    struct work_range part = forward_work_range(m, m->f->n * l->n_head);
    for (size_t i = part.first; i < part.end; i++) {
        size_t head = i % l->n_head;
        float *y = w->y + i * n;
        const float *v = w->v + kv_at(l, i / l->n_head, head), *g = w->g + i * n;
        if (l->bonus && !l->by_delta)
            vector_add_scaled(y, v, w->bonus[i], n);
        if (l->norm)
            vector_layer_norm(y, y, l->norm + head * n, l->norm_bias + head * n, NORM_EPSILON, n);
        if (l->by_delta)
            vector_add_scaled(y, v, w->bonus[i], n);
        if (!l->by_delta)
            vector_gate(y, g, y, l->gla ? VECTOR_SIGMOID : VECTOR_SILU, n);
        else if (l->low[RWKV_G].rank > 0)
            vector_multiply(y, y, g, n);
    }
    forward_barrier(m);
}

static void run(struct worker *m, size_t i)
{
    const struct rwkv_layer *l = &m->f->d->layers[i].rwkv;
    const struct rwkv_memory *w = &m->f->rwkv;
    struct token_shift s = {.x = m->in.x, .state_at = kv_cache_state_at(m->f->cache, i), .own = !l->by_delta};
    if (!l->by_delta)
        multiply_shift(m, l, s);
    shift(m, l, &s);
    multiply(m, l);
    settle(m, l);
    step_all(m, i, l);
    finish(m, l);
    const float *y = forward_keep_wanted(m, i, w->y, m->f->d->shape.n_embd, w->r);
    if (y)
        linear_apply(m, &l->out, y, m->f->sum);
}

const struct layer_kind layer_rwkv = {
    .name = "rwkv", .bind = rwkv_bind, .state = state, .workspace = workspace, .run = run};
