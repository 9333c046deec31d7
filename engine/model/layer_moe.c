/* layer_moe.c - the feed-forward "mixture of experts".
 *
 * The rows of a batch are gathered by expert, so that each chosen expert's weights are read once for all of its rows,
 * by the same kernels as any other product. Weights of experts that no row chose are not touched. A row's results are
 * added in the order of rank, so that they depend neither on the other rows nor on the number of workers.
 */
#include "layer_moe_private.h"

#include "bind_private.h"
#include "forward_private.h"

#include <string.h>

#define PACKED_ALIGNMENT 64

/* ---- weights ---- */

static bool bind_shared(struct binder *b, size_t i, struct dense_layer *l)
{
    size_t n_embd = binder_decoder(b)->shape.n_embd;
    return l->n_ff == 0 ||
           (bind_linear(b, bind_stem(i, "ffn_gate_shexp").text, l->n_ff, n_embd, &l->gate) &&
               bind_linear(b, bind_stem(i, "ffn_up_shexp").text, l->n_ff, n_embd, &l->up) &&
               bind_linear(b, bind_stem(i, "ffn_down_shexp").text, n_embd, l->n_ff, &l->down));
}

static bool bind(struct binder *b, size_t i)
{
    struct decoder *d = binder_decoder(b);
    struct layer *layer = &d->layers[i];
    struct moe_layer *l = &layer->moe;
    struct dense_layer *e = &l->experts;
    size_t n_embd = d->shape.n_embd, n = l->n_expert;
    bool good =
        bind_linear(b, bind_stem(i, "ffn_gate_inp").text, n, n_embd, &l->router) &&
        bind_experts(b, bind_stem(i, "ffn_gate_exps").text, n, e->n_ff, n_embd, &e->gate, &l->gate_scales) &&
        bind_experts(b, bind_stem(i, "ffn_up_exps").text, n, e->n_ff, n_embd, &e->up, &l->up_scales) &&
        bind_experts(b, bind_stem(i, "ffn_down_exps").text, n, n_embd, e->n_ff, &e->down, &l->down_scales) &&
        bind_shared(b, i, &l->shared);
    layer->ffn_packs = good && (linear_packs(&l->router) || (l->shared.n_ff > 0 && dense_packs(&l->shared)));
    return good;
}

static struct linear expert_linear(const struct linear *first, const float *scales, size_t expert)
{
    struct linear l = *first;
    l.weight.data += expert * first->weight.rows * first->weight.row_bytes;
    l.scale = scales ? scales + expert : NULL;
    return l;
}

static struct dense_layer expert_of(const struct moe_layer *l, size_t expert)
{
    struct dense_layer e = l->experts;
    e.gate = expert_linear(&l->experts.gate, l->gate_scales, expert);
    e.up = expert_linear(&l->experts.up, l->up_scales, expert);
    e.down = expert_linear(&l->experts.down, l->down_scales, expert);
    return e;
}

/* ---- memory ---- */

/* The largest of all layers. */
struct moe_widths {
    size_t n_expert, n_used, n_ff, shared;
};

static struct moe_widths widths_of(const struct decoder *d)
{
    struct moe_widths w = {0};
    for (size_t i = 0; i < d->shape.n_layer; i++) {
        const struct moe_layer *l = &d->layers[i].moe;
        if (d->layers[i].ffn != &layer_moe)
            continue;
        w.n_expert = larger(w.n_expert, l->n_expert);
        w.n_used = larger(w.n_used, l->n_used);
        w.n_ff = larger(w.n_ff, l->experts.n_ff);
        w.shared = larger(w.shared, l->shared.n_ff);
    }
    return w;
}

static size_t packed_at(size_t expert, size_t first, size_t columns)
{
    size_t at = matmul_packed_bytes(first, (columns + 31) / 32 * 32) + PACKED_ALIGNMENT * (expert + 1);
    return at / PACKED_ALIGNMENT * PACKED_ALIGNMENT;
}

static void workspace(struct forward *f, struct layout *lasting, struct layout *passing)
{
    (void)lasting;
    struct moe_memory *w = &f->moe;
    struct moe_widths widths = widths_of(f->d);
    size_t n_embd = f->d->shape.n_embd, workers = pool_size(f->pool), pairs = f->n * widths.n_used;
    w->router = layout_floats(passing, f->n, widths.n_expert);
    w->chosen = layout_take(passing, pairs * sizeof(*w->chosen));
    w->weights = layout_floats(passing, pairs, 1);
    w->rows = layout_floats(passing, pairs, n_embd);
    w->up = layout_floats(passing, pairs, widths.n_ff);
    w->packed = layout_take(passing, packed_at(widths.n_expert, pairs, larger(n_embd, widths.n_ff)));
    w->gate_columns = dense_gate_columns(f, widths.n_ff);
    w->gates = layout_floats(passing, workers * f->n, w->gate_columns);
    w->groups = layout_take(passing, workers * widths.n_expert * sizeof(*w->groups));
    w->places = layout_take(passing, workers * pairs * sizeof(*w->places));
    w->pairs = layout_take(passing, workers * pairs * sizeof(*w->pairs));
    if (widths.shared > 0)
        dense_workspace(f, passing, widths.shared);
}

/* ---- routing ---- */

#define CHOSEN (-1.0f) /* in place of the probability of an expert that was chosen */

/* The most probable expert that was not chosen before; the first of several that are equal, or when all are NaN. */
static uint32_t most_probable(const float *probabilities, size_t n)
{
    size_t best = n;
    for (size_t i = 0; i < n; i++)
        if (probabilities[i] != CHOSEN && (best == n || probabilities[i] > probabilities[best]))
            best = i;
    return (uint32_t)best;
}

/* Computes the softmax over all experts, and writes the chosen ones, most probable first, with their weights. */
static void route_row(const struct moe_layer *l, float *router, uint32_t *chosen, float *weights)
{
    float sum = 0;
    vector_softmax(router, router, l->n_expert);
    for (size_t rank = 0; rank < l->n_used; rank++) {
        chosen[rank] = most_probable(router, l->n_expert);
        weights[rank] = router[chosen[rank]];
        router[chosen[rank]] = CHOSEN;
        sum += weights[rank];
    }
    for (size_t rank = 0; rank < l->n_used && l->normalized; rank++)
        weights[rank] /= sum;
}

static void route(struct worker *m, const struct moe_layer *l)
{
    const struct moe_memory *w = &m->f->moe;
    linear_multiply(m, (struct product[]){{&l->router, w->router}}, 1);
    struct work_range rows = forward_work_range(m, m->n);
    for (size_t t = rows.first; t < rows.end; t++)
        route_row(l, w->router + t * l->n_expert, w->chosen + t * l->n_used, w->weights + t * l->n_used);
    forward_barrier(m);
}

/* The groups of the batch, as one worker lists them. */
struct moe_work {
    const struct moe_layer *l;
    struct expert_group *groups; /* [n_groups] of the experts that some row chose, in order */
    size_t n_groups, n_pairs;
    size_t *places;
    uint32_t *pairs;
    float *gate;
};

/* Every worker lists the groups for itself, which takes less time than a barrier. */
static struct moe_work group(const struct worker *m, const struct moe_layer *l)
{
    const struct forward *f = m->f;
    const struct moe_memory *w = &f->moe;
    size_t room = f->n * l->n_used;
    struct moe_work work = {.l = l,
        .n_pairs = m->n * l->n_used,
        .groups = w->groups + m->index * l->n_expert,
        .places = w->places + m->index * room,
        .pairs = w->pairs + m->index * room,
        .gate = w->gates + m->index * f->n * w->gate_columns};
    struct expert_group *all = work.groups;
    for (size_t e = 0; e < l->n_expert; e++)
        all[e] = (struct expert_group){.expert = e};
    for (size_t p = 0; p < work.n_pairs; p++)
        all[w->chosen[p]].n++;
    for (size_t e = 1; e < l->n_expert; e++)
        all[e].first = all[e - 1].first + all[e - 1].n;
    for (size_t e = 0; e < l->n_expert; e++)
        all[e].n = 0;
    for (size_t p = 0; p < work.n_pairs; p++) {
        struct expert_group *g = &all[w->chosen[p]];
        work.places[p] = g->first + g->n++;
        work.pairs[work.places[p]] = (uint32_t)p;
    }
    for (size_t e = 0; e < l->n_expert; e++)
        if (all[e].n > 0)
            work.groups[work.n_groups++] = all[e];
    return work;
}

/* ---- the experts ---- */

/* The rows of a group as an input of products. */
static struct matmul_input group_input(
    const struct worker *m, const struct expert_group *g, const float *x, size_t columns, bool packs)
{
    return (struct matmul_input){.x = x + g->first * columns,
        .stride = columns,
        .tokens = g->n,
        .columns = columns,
        .packed = packs ? m->f->moe.packed + packed_at(g->expert, g->first, columns) : NULL};
}

/* Packs the rows at the worker's share of places. */
static void pack(struct worker *m, const struct moe_work *work, const float *x, size_t columns)
{
    struct work_range share = forward_work_range(m, work->n_pairs);
    for (size_t i = 0; i < work->n_groups; i++) {
        const struct expert_group *g = &work->groups[i];
        size_t first = larger(g->first, share.first);
        size_t end = g->first + g->n < share.end ? g->first + g->n : share.end;
        struct matmul_input in = group_input(m, g, x, columns, true);
        if (first < end)
            matmul_pack(&in, first - g->first, end - first);
    }
}

static bool experts_pack(const struct moe_layer *l)
{
    return dense_packs(&l->experts);
}

static void gather(struct worker *m, const struct moe_work *work)
{
    const struct moe_memory *w = &m->f->moe;
    size_t n_embd = m->in.columns;
    struct work_range share = forward_work_range(m, work->n_pairs);
    for (size_t place = share.first; place < share.end; place++)
        memcpy(w->rows + place * n_embd, m->in.x + work->pairs[place] / work->l->n_used * m->in.stride,
            n_embd * sizeof(float));
    if (experts_pack(work->l))
        pack(m, work, w->rows, n_embd);
    forward_barrier(m);
}

static void gate_and_up(struct worker *m, const struct moe_work *work)
{
    const struct moe_memory *w = &m->f->moe;
    size_t n_ff = work->l->experts.n_ff, n_embd = m->f->d->shape.n_embd;
    size_t piece = linear_piece_rows(m, n_ff), pieces = linear_pieces(n_ff, piece);
    struct weight_walk walk = weight_walk_begin(m, work->n_groups * pieces);
    for (size_t at; weight_walk_next(&walk, m, &at);) {
        const struct expert_group *g = &work->groups[at / pieces];
        struct dense_layer e = expert_of(work->l, g->expert);
        struct matmul_input in = group_input(m, g, w->rows, n_embd, experts_pack(work->l));
        dense_gate_rows(&e, &in, linear_piece(at % pieces, n_ff, piece), w->up + g->first * n_ff, work->gate,
            w->gate_columns);
    }
    forward_barrier(m);
}

static void down(struct worker *m, const struct moe_work *work)
{
    const struct moe_memory *w = &m->f->moe;
    size_t n_ff = work->l->experts.n_ff, n_embd = m->f->d->shape.n_embd;
    bool packs = linear_packs(&work->l->experts.down);
    if (packs) {
        pack(m, work, w->up, n_ff);
        forward_barrier(m);
    }
    size_t piece = linear_piece_rows(m, n_embd), pieces = linear_pieces(n_embd, piece);
    struct weight_walk walk = weight_walk_begin(m, work->n_groups * pieces);
    for (size_t at; weight_walk_next(&walk, m, &at);) {
        const struct expert_group *g = &work->groups[at / pieces];
        struct dense_layer e = expert_of(work->l, g->expert);
        struct matmul_input in = group_input(m, g, w->up, n_ff, packs);
        struct work_range rows = linear_piece(at % pieces, n_embd, piece);
        linear_rows(&e.down, &in, rows.first, rows.end - rows.first, w->rows + g->first * n_embd, n_embd);
    }
    forward_barrier(m);
}

/* Adds each row's results, in the order of rank, and the shared expert's, which f->sum holds. */
static void add(struct worker *m, const struct moe_work *work)
{
    const struct moe_memory *w = &m->f->moe;
    size_t n_embd = m->f->d->shape.n_embd, n_used = work->l->n_used;
    struct work_range rows = forward_work_range(m, m->n);
    for (size_t t = rows.first; t < rows.end; t++) {
        const size_t *places = work->places + t * n_used;
        const float *weights = w->weights + t * n_used;
        float *first = w->rows + places[0] * n_embd, *sum = m->f->sum + t * n_embd;
        vector_scale(first, first, weights[0], n_embd);
        for (size_t rank = 1; rank < n_used; rank++)
            vector_add_scaled(first, w->rows + places[rank] * n_embd, weights[rank], n_embd);
        if (work->l->shared.n_ff > 0)
            vector_add(sum, first, sum, n_embd);
        else
            memcpy(sum, first, n_embd * sizeof(*sum));
    }
    forward_barrier(m);
}

static void run(struct worker *m, size_t i)
{
    const struct moe_layer *l = &m->f->d->layers[i].moe;
    route(m, l);
    struct moe_work work = group(m, l);
    gather(m, &work);
    gate_and_up(m, &work);
    down(m, &work);
    if (l->shared.n_ff > 0)
        dense_run(m, &l->shared);
    add(m, &work);
}

const struct layer_kind layer_moe = {
    .name = "mixture of experts", .bind = bind, .workspace = workspace, .run = run};
