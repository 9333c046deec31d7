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
    size_t n_embd = f->d->shape.n_embd, rank = 0, heads = 0;
    for (const struct layer *of = f->d->layers; of < f->d->layers + f->d->shape.n_layer; of++) {
        const struct rwkv_layer *l = &of->rwkv;
        if (of->mixer != &layer_rwkv)
            continue;
        rank = larger(rank, larger(larger(l->w.rank, l->a.rank), larger(l->value.rank, l->g.rank)));
        rank = larger(rank, l->shift_rank);
        heads = larger(heads, l->n_head);
    }
    w->first_v = layout_floats(lasting, f->n, n_embd);
    for (size_t j = 0; j < RWKV_INPUTS; j++) {
        w->in[j] = layout_floats(passing, f->n, n_embd);
        w->low[j] = layout_floats(passing, f->n, rank);
    }
    w->r = layout_floats(passing, f->n, n_embd);
    w->y = layout_floats(passing, f->n, n_embd);
    w->bonus = layout_floats(passing, f->n, heads);
}

/* Where the results of products are: in inputs that have been multiplied before. */
struct rwkv_rows {
    float *r, *w, *k, *v, *kk, *b, *g; /* [n][n_embd] */
    size_t v_stride, each; /* version 6: v is [n][v_stride], and so many heads have the same values */
};

static struct rwkv_rows rows_of(const struct forward *f, const struct rwkv_layer *l)
{
    const struct rwkv_memory *w = &f->rwkv;
    struct rwkv_rows x = {.r = w->r,
        .w = w->in[RWKV_W],
        .k = w->in[l->by_delta ? RWKV_R : RWKV_V],
        .v = w->in[RWKV_K],
        .g = w->in[l->by_delta ? RWKV_G : RWKV_A],
        .v_stride = (size_t)l->n_head_kv * l->head_dim,
        .each = l->n_head / l->n_head_kv};
    if (l->by_delta) {
        x.kk = w->in[RWKV_V];
        x.b = w->in[RWKV_A];
        x.v = l->value.rank > 0 ? x.v : w->first_v;
    }
    return x;
}

/* A head's part of a row's values. */
static float *head_of_v(const struct rwkv_rows *x, const struct rwkv_layer *l, size_t row, size_t head)
{
    return x->v + row * x->v_stride + head / x->each * l->head_dim;
}

/* ---- the products ---- */

static void multiply(struct worker *m, const struct linear *l, const float *in, float *out)
{
    linear_input(m, in, l->weight.columns, linear_packs(l));
    linear_multiply(m, (struct product[]){{l, out}}, 1);
}

static void apply_tanh(struct worker *m, float *x, size_t columns)
{
    struct work_range part = forward_work_range(m, m->f->n * columns);
    vector_softcap(x + part.first, x + part.first, 1, part.end - part.first);
}

static void shift(struct worker *m, size_t i, const struct rwkv_layer *l, const float *x, bool own)
{
    struct token_shift s = {.x = x, .state_at = kv_cache_state_at(m->f->cache, i), .own = own};
    for (size_t j = 0; j < RWKV_INPUTS; j++)
        if (l->lerps[j]) {
            s.lerps[s.n_lerps] = l->lerps[j];
            s.out[s.n_lerps++] = m->f->rwkv.in[j];
        }
    token_shift_mix(m, &s);
    token_shift_store(m, x, s.state_at);
    forward_barrier(m);
}

/* What version 6 adds to the lerps: five products of parts of a narrow product. */
static void multiply_shift(struct worker *m, size_t i, const struct rwkv_layer *l, const float *x)
{
    const struct rwkv_memory *w = &m->f->rwkv;
    struct linear parts[RWKV_INPUTS_6];
    struct product products[RWKV_INPUTS_6];
    struct token_shift s = {.x = x,
        .state_at = kv_cache_state_at(m->f->cache, i),
        .n_lerps = 1,
        .lerps = {l->shift_lerp},
        .out = {w->y}};
    token_shift_mix(m, &s);
    forward_barrier(m);
    for (size_t j = 0; j < RWKV_INPUTS_6; j++) {
        parts[j] = linear_part(&l->shift_down, j * l->shift_rank, l->shift_rank);
        products[j] = (struct product){&parts[j], w->low[rwkv_inputs_6[j]]};
    }
    linear_input(m, w->y, m->f->d->shape.n_embd, linear_packs(&l->shift_down));
    linear_multiply(m, products, RWKV_INPUTS_6);
    for (size_t j = 0; j < RWKV_INPUTS_6; j++)
        apply_tanh(m, w->low[rwkv_inputs_6[j]], l->shift_rank);
    forward_barrier(m);
    for (size_t j = 0; j < RWKV_INPUTS_6; j++) {
        struct linear up = expert_linear(&l->shift_up, j);
        multiply(m, &up, w->low[rwkv_inputs_6[j]], w->in[rwkv_inputs_6[j]]);
    }
}

/* The order matters: a result takes the place of an input that has been multiplied. */
static void multiply_6(struct worker *m, const struct rwkv_layer *l)
{
    const struct rwkv_memory *w = &m->f->rwkv;
    multiply(m, &l->r, w->in[RWKV_R], w->r);
    multiply(m, &l->k, w->in[RWKV_K], w->in[RWKV_R]);
    multiply(m, &l->v, w->in[RWKV_V], w->in[RWKV_K]);
    multiply(m, &l->gate, w->in[RWKV_G], w->in[RWKV_A]);
    multiply(m, &l->w.down, w->in[RWKV_W], w->low[RWKV_W]);
    apply_tanh(m, w->low[RWKV_W], l->w.rank);
    forward_barrier(m);
    multiply(m, &l->w.up, w->low[RWKV_W], w->in[RWKV_W]);
}

static void multiply_7(struct worker *m, const struct rwkv_layer *l)
{
    const struct rwkv_memory *w = &m->f->rwkv;
    struct rwkv_rows x = rows_of(m->f, l);
    multiply(m, &l->r, w->in[RWKV_R], x.r);
    multiply(m, &l->k, w->in[RWKV_K], x.k);
    multiply(m, &l->v, w->in[RWKV_V], x.v);
    multiply(m, &l->w.down, w->in[RWKV_W], w->low[RWKV_W]);
    multiply(m, &l->a.down, w->in[RWKV_A], w->low[RWKV_A]);
    if (l->value.rank > 0)
        multiply(m, &l->value.down, w->in[RWKV_V], w->low[RWKV_V]);
    if (l->g.rank > 0)
        multiply(m, &l->g.down, w->in[RWKV_G], w->low[RWKV_G]);
    apply_tanh(m, w->low[RWKV_W], l->w.rank);
    struct work_range part = forward_work_range(m, m->f->n * l->g.rank);
    float *low = w->low[RWKV_G] + part.first;
    vector_gate(low, low, NULL, VECTOR_SIGMOID, part.end - part.first);
    forward_barrier(m);
    multiply(m, &l->w.up, w->low[RWKV_W], w->in[RWKV_W]);
    multiply(m, &l->a.up, w->low[RWKV_A], w->in[RWKV_A]);
    if (l->value.rank > 0)
        multiply(m, &l->value.up, w->low[RWKV_V], w->in[RWKV_V]);
    if (l->g.rank > 0)
        multiply(m, &l->g.up, w->low[RWKV_G], w->in[RWKV_G]);
}

/* ---- between the products and the recurrence, for one head of a row ---- */

/* Returns the head's share of the token's own value. The memory of the result is free before the recurrence. */
static float share_of_bonus(const struct rwkv_rows *x, const struct rwkv_layer *l, size_t at, size_t head, float *free)
{
    size_t n = l->head_dim;
    vector_multiply(free, x->k + at, l->bonus + head * n, n);
    return vector_dot(free, x->r + at, n);
}

/* w = exp(-exp(w)). Gated linear attention multiplies keys by 1 - w, and scales the receptance. */
static void settle_6(const struct forward *f, const struct rwkv_layer *l, size_t row, size_t head)
{
    struct rwkv_rows x = rows_of(f, l);
    size_t n = l->head_dim, at = row * f->d->shape.n_embd + head * n;
    const float *key = f->rwkv.in[RWKV_R] + row * x.v_stride + head / x.each * n;
    float *w = x.w + at, *k = x.k + at;
    vector_add(w, w, l->w.base + head * n, n);
    vector_gate(w, w, NULL, VECTOR_EXP, n);
    vector_scale(w, w, -1, n);
    vector_gate(w, w, NULL, VECTOR_EXP, n);
    memcpy(k, key, n * sizeof(*k));
    if (l->gla) {
        vector_multiply(k, key, w, n);
        vector_scale(k, k, -1, n);
        vector_add(k, k, key, n);
        vector_scale(x.r + at, x.r + at, 1 / sqrtf((float)n), n);
    } else {
        f->rwkv.bonus[row * l->n_head + head] = share_of_bonus(&x, l, at, head, f->rwkv.y + at);
    }
}

/* v goes from the layer's own to the first layer's. `share` is how far, before the sigmoid; `free` is memory. */
static void mix_values(
    float *v, const float *first, float *share, const float *base, float *free, size_t n)
{
    vector_add(share, share, base, n);
    vector_gate(share, share, NULL, VECTOR_SIGMOID, n);
    memcpy(free, first, n * sizeof(*free));
    vector_add_scaled(free, v, -1, n);
    vector_multiply(free, free, share, n);
    vector_add(v, v, free, n);
}

/* kk = k * k_k, of length 1; k = k - k * k_a + k * k_a * a; b = kk * a */
static void settle_7(const struct forward *f, const struct rwkv_layer *l, size_t row, size_t head)
{
    struct rwkv_rows x = rows_of(f, l);
    size_t n = l->head_dim, from = head * n, at = row * f->d->shape.n_embd + from;
    float *w = x.w + at, *a = x.b + at, *k = x.k + at, *kk = x.kk + at, *free = f->rwkv.y + at;
    vector_add(w, w, l->w.base + from, n);
    vector_gate(w, w, NULL, VECTOR_SIGMOID, n);
    vector_scale(w, w, DECAY_RATE, n);
    vector_gate(w, w, NULL, VECTOR_EXP, n);
    vector_add(a, a, l->a.base + from, n);
    vector_gate(a, a, NULL, VECTOR_SIGMOID, n);
    if (l->value.rank > 0) /* the place of kk has the share until here */
        mix_values(x.v + at, f->rwkv.first_v + at, kk, l->value.base + from, free, n);
    vector_multiply(kk, k, l->k_k + from, n);
    float length = sqrtf(vector_dot(kk, kk, n));
    vector_scale(kk, kk, 1 / (length > LEAST_LENGTH ? length : LEAST_LENGTH), n);
    vector_multiply(free, k, l->k_a + from, n);
    vector_add_scaled(k, free, -1, n);
    vector_multiply(free, free, a, n);
    vector_add(k, k, free, n);
    vector_multiply(a, a, kk, n);
    f->rwkv.bonus[row * l->n_head + head] = share_of_bonus(&x, l, at, head, free);
}

static void settle(struct worker *m, const struct rwkv_layer *l)
{
    struct work_range part = forward_work_range(m, m->f->n * l->n_head);
    for (size_t i = part.first; i < part.end; i++)
        (l->by_delta ? settle_7 : settle_6)(m->f, l, i / l->n_head, i % l->n_head);
    forward_barrier(m);
}

/* ---- the recurrence ---- */

/* Block `i` of the layer, at a row of the batch. */
static struct wkv_block block_of(const struct forward *f, const struct rwkv_layer *l, size_t i, size_t row)
{
    struct rwkv_rows x = rows_of(f, l);
    size_t n = l->head_dim, head = i / blocks_of_head(l), column = i % blocks_of_head(l) * DELTA_COLUMNS;
    size_t stride = f->d->shape.n_embd, at = row * stride + head * n;
    return (struct wkv_block){.columns = n - column < DELTA_COLUMNS ? n - column : DELTA_COLUMNS,
        .keys = n,
        .r = x.r + at,
        .w = x.w + at,
        .k = x.k + at,
        .kk = l->by_delta ? x.kk + at : NULL,
        .b = l->by_delta ? x.b + at : NULL,
        .early = !l->by_delta && !l->gla,
        .v = head_of_v(&x, l, row, head) + column,
        .out = f->rwkv.y + at + column,
        .stride = stride,
        .v_stride = x.v_stride};
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
    const struct forward *f = m->f;
    struct rwkv_rows x = rows_of(f, l);
    size_t n = l->head_dim;
    struct work_range part = forward_work_range(m, f->n * l->n_head);
    for (size_t i = part.first; i < part.end; i++) {
        size_t head = i % l->n_head, row = i / l->n_head;
        float *y = f->rwkv.y + i * n;
        const float *v = head_of_v(&x, l, row, head);
        if (l->bonus && !l->by_delta)
            vector_add_scaled(y, v, f->rwkv.bonus[i], n);
        if (l->norm)
            vector_layer_norm(y, y, l->norm + head * n, l->norm_bias + head * n, NORM_EPSILON, n);
        if (l->by_delta)
            vector_add_scaled(y, v, f->rwkv.bonus[i], n);
        if (!l->by_delta)
            vector_gate(y, x.g + i * n, y, l->gla ? VECTOR_SIGMOID : VECTOR_SILU, n);
        else if (l->g.rank > 0)
            vector_multiply(y, y, x.g + i * n, n);
    }
    forward_barrier(m);
}

static void run(struct worker *m, size_t i)
{
    const struct rwkv_layer *l = &m->f->d->layers[i].rwkv;
    const float *x = m->in.x;
    size_t n_embd = m->f->d->shape.n_embd;
    if (!l->by_delta)
        multiply_shift(m, i, l, x);
    shift(m, i, l, x, !l->by_delta);
    if (l->by_delta)
        multiply_7(m, l);
    else
        multiply_6(m, l);
    settle(m, l);
    step_all(m, i, l);
    finish(m, l);
    const float *y = forward_keep_wanted(m, i, m->f->rwkv.y, n_embd, m->f->rwkv.r);
    if (y)
        multiply(m, &l->out, y, m->f->sum);
}

const struct layer_kind layer_rwkv = {
    .name = "rwkv", .bind = rwkv_bind, .state = state, .workspace = workspace, .run = run};
