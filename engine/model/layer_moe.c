/* layer_moe.c - the feed-forward "mixture of experts".
 *
 * The rows of a batch are gathered by expert, so that each chosen expert's weights are read once for all of its rows,
 * by the same kernels as any other product. Weights of experts that no row chose are not touched. A row's results are
 * added in the order of rank, so that they depend neither on the other rows nor on the number of workers. moe_route.c
 * chooses the experts.
 */
#include "layer_moe_private.h"

#include "bind_private.h"
#include "forward_private.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

#define PACKED_ALIGNMENT 64

/* ---- weights ---- */

static struct stem beside_stem(size_t i, const struct moe_layer *l, const char *part)
{
    char rest[32];
    snprintf(rest, sizeof(rest), "ffn_%s%s", part, l->beside_suffix);
    return bind_stem(i, rest);
}

/* What is beside the experts. Its size is that of its tensors. A size in the keys that contradicts them is an error, and
 * so is a missing one that the file must have. */
static bool bind_beside(struct binder *b, size_t i, struct moe_layer *l)
{
    size_t n_embd = binder_decoder(b)->shape.n_embd;
    struct dense_layer *e = &l->beside;
    if (!l->beside_suffix)
        return true;
    struct stem up = beside_stem(i, l, "up");
    e->n_ff = l->beside_told;
    if (e->n_ff == 0 && bind_rows(b, up.text) <= DECODER_SIZE_MAX)
        e->n_ff = (uint32_t)bind_rows(b, up.text);
    if (e->n_ff == 0 && !l->beside_needed)
        return true;
    return bind_linear(b, up.text, e->n_ff, n_embd, &e->up) &&
           (e->ungated || bind_linear(b, beside_stem(i, l, "gate").text, e->n_ff, n_embd, &e->gate)) &&
           bind_linear(b, beside_stem(i, l, "down").text, n_embd, e->n_ff, &e->down) &&
           bind_optional(b, bind_stem(i, "ffn_gate_inp_shexp.weight").text, 1, n_embd, &l->beside_gate);
}

static bool bind_up(struct binder *b, size_t i, struct moe_layer *l, size_t width)
{
    size_t n_ff = l->experts.n_ff;
    struct stem fused = bind_stem(i, "ffn_gate_up_exps");
    if (l->experts.ungated || !bind_has(b, fused.text))
        return (l->experts.ungated ||
                   bind_experts(b, bind_stem(i, "ffn_gate_exps").text, l->n_expert, n_ff, width, &l->gate)) &&
               bind_experts(b, bind_stem(i, "ffn_up_exps").text, l->n_expert, n_ff, width, &l->up);
    if (!bind_experts(b, fused.text, l->n_expert, 2 * n_ff, width, &l->up))
        return false;
    l->gate = l->up;
    l->gate.first = linear_part(&l->up.first, 0, n_ff);
    l->up.first = linear_part(&l->up.first, n_ff, n_ff);
    return true;
}

/* The fields of `experts` with the weights of one expert. */
static struct dense_layer expert_of(const struct moe_layer *l, size_t expert)
{
    struct dense_layer e = l->experts;
    if (!e.ungated)
        e.gate = expert_linear(&l->gate, expert);
    e.up = expert_linear(&l->up, expert);
    e.down = expert_linear(&l->down, expert);
    return e;
}

/* The factor of the router's product is one for each column. */
static bool bind_own_norms(struct binder *b, size_t i, struct moe_layer *l)
{
    static const char *const names[] = {
        "ffn_gate_inp.scale", "pre_ffw_norm_2.weight", "post_ffw_norm_2.weight", "post_ffw_norm_1.weight"};
    struct norm *const norms[] = {&l->router_norm, &l->input_norm, &l->sum_norm, &l->beside_norm};
    size_t n_embd = binder_decoder(b)->shape.n_embd;
    for (size_t n = 0; n < 4; n++)
        if (!bind_vector(b, bind_stem(i, names[n]).text, 1, n_embd, &norms[n]->weight))
            return false;
    return true;
}

static bool bind_choice(struct binder *b, size_t i, struct moe_layer *l)
{
    size_t n_embd = binder_decoder(b)->shape.n_embd;
    struct stem bias = bind_stem(i, "exp_probs_b"), router = bind_stem(i, "ffn_gate_inp");
    return (l->own_norms
                   ? bind_product(b, router.text, l->n_expert, n_embd, &l->router) && bind_own_norms(b, i, l)
                   : bind_linear(b, router.text, l->n_expert, n_embd, &l->router)) &&
           bind_optional(b, bias.text, 1, l->n_expert, &l->selection_bias) &&
           (l->selection_bias ||
               bind_optional(b, bind_name(bias.text, "bias").text, 1, l->n_expert, &l->selection_bias)) &&
           (l->early != MOE_EXPERTS_EARLY ||
               bind_vector(b, bind_stem(i, "ffn_norm_exps.weight").text, 1, n_embd, &l->early_norm));
}

static bool bind_latent(struct binder *b, size_t i, struct moe_layer *l)
{
    size_t n_embd = binder_decoder(b)->shape.n_embd;
    return l->n_latent == 0 ||
           (bind_linear(b, bind_stem(i, "ffn_latent_down").text, l->n_latent, n_embd, &l->latent_down) &&
               bind_linear(b, bind_stem(i, "ffn_latent_up").text, n_embd, l->n_latent, &l->latent_up));
}

/* Tensors of a dense feed-forward that the layer has and does not use. */
static void skip_dense(struct binder *b, size_t i)
{
    bind_skip(b, bind_stem(i, "ffn_gate").text);
    bind_skip(b, bind_stem(i, "ffn_up").text);
    bind_skip(b, bind_stem(i, "ffn_down").text);
}

/* Their size is that of their tensors. */
static bool bind_chunks(struct binder *b, size_t i, struct moe_layer *l)
{
    size_t n_embd = binder_decoder(b)->shape.n_embd;
    struct stem up = bind_stem(i, "ffn_up_chexps");
    if (l->per_chunk == 0)
        return true;
    if (bind_rows(b, up.text) <= DECODER_SIZE_MAX)
        l->chunk_n_ff = (uint32_t)bind_rows(b, up.text);
    size_t n = l->n_expert / l->per_chunk, n_ff = l->chunk_n_ff;
    return bind_experts(b, up.text, n, n_ff, n_embd, &l->chunk_up) &&
           bind_experts(b, bind_stem(i, "ffn_gate_chexps").text, n, n_ff, n_embd, &l->chunk_gate) &&
           bind_experts(b, bind_stem(i, "ffn_down_chexps").text, n, n_embd, n_ff, &l->chunk_down);
}

/* The experts of chunks as a layer of their own. */
static struct moe_layer chunks_of(const struct moe_layer *l)
{
    struct moe_layer c = *l;
    c.n_expert = l->n_expert / l->per_chunk;
    c.gate = l->chunk_gate;
    c.up = l->chunk_up;
    c.down = l->chunk_down;
    c.experts.n_ff = l->chunk_n_ff;
    c.experts = expert_of(&c, 0);
    return c;
}

static size_t width_of(const struct decoder *d, const struct moe_layer *l)
{
    return l->n_latent > 0 ? l->n_latent : d->shape.n_embd;
}

static bool bind(struct binder *b, size_t i)
{
    struct decoder *d = binder_decoder(b);
    struct layer *layer = &d->layers[i];
    struct moe_layer *l = &layer->moe;
    size_t width = width_of(d, l);
    bool good =
        bind_choice(b, i, l) && bind_latent(b, i, l) && bind_up(b, i, l, width) &&
        bind_experts(b, bind_stem(i, "ffn_down_exps").text, l->n_expert, width, l->experts.n_ff, &l->down) &&
        bind_beside(b, i, l) && bind_chunks(b, i, l);
    if (!good)
        return false;
    if (l->by_tensor)
        skip_dense(b, i);
    l->experts = expert_of(l, 0);
    layer->ffn_packs = linear_packs(&l->router) || (l->beside.n_ff > 0 && dense_packs(&l->beside)) ||
                       (l->n_latent > 0 && linear_packs(&l->latent_down));
    return true;
}

/* ---- memory ---- */

/* The largest of all layers. */
struct moe_widths {
    size_t n_expert, n_used, n_ff, beside, latent, width;
    bool early, chunks;
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
        w.n_ff = larger(w.n_ff, larger(l->experts.n_ff, l->chunk_n_ff));
        w.beside = larger(w.beside, l->beside.n_ff);
        w.latent = larger(w.latent, l->n_latent);
        w.width = larger(w.width, width_of(d, l));
        w.early |= l->own_norms || l->early != MOE_NOTHING_EARLY;
        w.chunks |= l->per_chunk > 0;
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
    struct moe_memory *w = &f->moe;
    struct moe_widths widths = widths_of(f->d);
    size_t n_embd = f->d->shape.n_embd, workers = pool_size(f->pool), pairs = f->n * widths.n_used;
    w->early = layout_floats(lasting, widths.early ? f->n : 0, n_embd);
    w->early_kept = layout_floats(passing, widths.early ? f->n : 0, n_embd);
    w->router = layout_floats(passing, f->n, widths.n_expert);
    w->chosen = layout_take(passing, pairs * sizeof(*w->chosen));
    w->weights = layout_floats(passing, pairs, 1);
    w->beside_weights = layout_floats(passing, f->n, 1);
    w->latent = layout_floats(passing, f->n, widths.latent);
    w->mixed = layout_floats(passing, widths.latent > 0 ? f->n : 0, n_embd);
    w->rows = layout_floats(passing, pairs, widths.width);
    w->up = layout_floats(passing, pairs, widths.n_ff);
    w->packed = layout_take(passing, packed_at(widths.n_expert, pairs, larger(widths.width, widths.n_ff)));
    w->gate_columns = dense_gate_columns(f, widths.n_ff);
    w->gate_rows = widths.chunks ? pairs : f->n;
    w->gates = layout_floats(passing, workers * w->gate_rows, w->gate_columns);
    w->groups = layout_take(passing, workers * widths.n_expert * sizeof(*w->groups));
    w->places = layout_take(passing, workers * pairs * sizeof(*w->places));
    w->pairs = layout_take(passing, workers * pairs * sizeof(*w->pairs));
    w->choices = layout_take(passing, workers * widths.n_expert * sizeof(*w->choices));
    if (widths.beside > 0)
        dense_workspace(f, passing, widths.beside, &w->beside);
}

/* ---- the layer's input ---- */

/* Each worker keeps its share, for all of them. */
static void early(struct worker *m, size_t i)
{
    const struct decoder_shape *s = &m->f->d->shape;
    const struct moe_layer *l = &m->f->d->layers[i].moe;
    struct work_range rows = forward_work_range(m, m->n);
    if (l->early == MOE_NOTHING_EARLY)
        return;
    for (size_t t = rows.first; t < rows.end; t++) {
        const float *x = m->x + t * s->n_embd;
        float *kept = m->f->moe.early + t * s->n_embd;
        if (l->early_norm)
            forward_norm(s, kept, x, (struct norm){.weight = l->early_norm}, s->n_embd);
        else
            memcpy(kept, x, s->n_embd * sizeof(*kept));
    }
}

/* Makes it the next input. In the last layer some of its rows may not be computed any more. */
static void use_early(struct worker *m, const struct moe_layer *l)
{
    const struct forward *f = m->f;
    size_t n_embd = f->d->shape.n_embd;
    struct work_range rows = forward_work_range(m, m->n);
    for (size_t t = rows.first; t < rows.end && m->kept_wanted; t++)
        memcpy(f->moe.early_kept + t * n_embd, f->moe.early + f->wanted[t] * n_embd, n_embd * sizeof(float));
    if (m->kept_wanted)
        forward_barrier(m);
    linear_input(m, m->kept_wanted ? f->moe.early_kept : f->moe.early, n_embd, linear_packs(&l->router));
}

/* Makes the router's input the next one. The experts' is early_kept. */
static void norm_inputs(struct worker *m, const struct moe_layer *l)
{
    const struct decoder_shape *s = &m->f->d->shape;
    const struct moe_memory *w = &m->f->moe;
    struct work_range rows = forward_work_range(m, m->n);
    for (size_t at = rows.first * s->n_embd; at < rows.end * s->n_embd; at += s->n_embd) {
        forward_norm(s, w->early + at, m->x + at, l->router_norm, s->n_embd);
        vector_scale(w->early + at, w->early + at, 1 / sqrtf((float)s->n_embd), s->n_embd);
        forward_norm(s, w->early_kept + at, m->x + at, l->input_norm, s->n_embd);
    }
    forward_barrier(m);
    linear_input(m, w->early, s->n_embd, linear_packs(&l->router));
}

/* ---- routing ---- */

static void route(struct worker *m, const struct moe_layer *l)
{
    const struct moe_memory *w = &m->f->moe;
    struct moe_choice *choices = w->choices + m->index * l->n_expert;
    linear_multiply(m, (struct product[]){{&l->router, w->router}}, 1);
    struct work_range rows = forward_work_range(m, m->n);
    for (size_t t = rows.first; t < rows.end; t++)
        moe_route(
            l, choices, w->router + t * l->n_expert, w->chosen + t * l->n_used, w->weights + t * l->n_used);
    forward_barrier(m);
}

/* The groups of the batch, as one worker lists them. */
struct moe_work {
    const struct moe_layer *l;
    size_t width; /* of the experts' inputs and results */
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
        .width = width_of(f->d, l),
        .n_pairs = m->n * l->n_used,
        .groups = w->groups + m->index * l->n_expert,
        .places = w->places + m->index * room,
        .pairs = w->pairs + m->index * room,
        .gate = w->gates + m->index * w->gate_rows * w->gate_columns};
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

/* Copies the rows of x to their places. */
static void gather(struct worker *m, const struct moe_work *work, const float *x)
{
    const struct moe_memory *w = &m->f->moe;
    size_t width = work->width;
    struct work_range share = forward_work_range(m, work->n_pairs);
    for (size_t place = share.first; place < share.end; place++) {
        uint32_t pair = work->pairs[place];
        const float *row = x + pair / work->l->n_used * width;
        if (work->l->weighs_input)
            vector_scale(w->rows + place * width, row, w->weights[pair], width);
        else
            memcpy(w->rows + place * width, row, width * sizeof(float));
    }
    if (experts_pack(work->l))
        pack(m, work, w->rows, width);
    forward_barrier(m);
}

static void gate_and_up(struct worker *m, const struct moe_work *work)
{
    const struct moe_memory *w = &m->f->moe;
    size_t n_ff = work->l->experts.n_ff;
    size_t piece = linear_piece_rows(m, n_ff), pieces = linear_pieces(n_ff, piece);
    struct weight_walk walk = weight_walk_begin(m, work->n_groups * pieces);
    for (size_t at; weight_walk_next(&walk, m, &at);) {
        const struct expert_group *g = &work->groups[at / pieces];
        struct dense_layer e = expert_of(work->l, g->expert);
        struct matmul_input in = group_input(m, g, w->rows, work->width, experts_pack(work->l));
        dense_gate_rows(&e, &in, linear_piece(at % pieces, n_ff, piece), w->up + g->first * n_ff, work->gate,
            w->gate_columns);
    }
    forward_barrier(m);
}

static void down(struct worker *m, const struct moe_work *work)
{
    const struct moe_memory *w = &m->f->moe;
    size_t n_ff = work->l->experts.n_ff, width = work->width;
    bool packs = linear_packs(&work->l->experts.down);
    if (packs) {
        pack(m, work, w->up, n_ff);
        forward_barrier(m);
    }
    size_t piece = linear_piece_rows(m, width), pieces = linear_pieces(width, piece);
    struct weight_walk walk = weight_walk_begin(m, work->n_groups * pieces);
    for (size_t at; weight_walk_next(&walk, m, &at);) {
        const struct expert_group *g = &work->groups[at / pieces];
        struct linear expert = expert_linear(&work->l->down, g->expert);
        struct matmul_input in = group_input(m, g, w->up, n_ff, packs);
        struct work_range rows = linear_piece(at % pieces, width, piece);
        linear_rows(&expert, &in, rows.first, rows.end - rows.first, w->rows + g->first * width, width);
    }
    forward_barrier(m);
}

/* ---- the sum ---- */

/* Returns the sum of a row's results, in the order of rank, in the place of the first. */
static float *sum_of_experts(const struct moe_memory *w, const struct moe_work *work, size_t t)
{
    size_t n_used = work->l->n_used, width = work->width;
    const size_t *places = work->places + t * n_used;
    const float *weights = w->weights + t * n_used;
    float *first = w->rows + places[0] * width;
    bool weighs = !work->l->weighs_input;
    if (weighs)
        vector_scale(first, first, weights[0], width);
    for (size_t rank = 1; rank < n_used; rank++)
        vector_add_scaled(first, w->rows + places[rank] * width, weighs ? weights[rank] : 1.0f, width);
    return first;
}

/* Adds a row of the experts' sum to what is beside them, which f->sum holds. */
static void add_beside(const struct worker *m, const struct moe_layer *l, size_t t, float *experts)
{
    const struct decoder_shape *s = &m->f->d->shape;
    size_t n_embd = s->n_embd;
    float *sum = m->f->sum + t * n_embd;
    if (l->own_norms) {
        forward_norm(s, experts, experts, l->sum_norm, n_embd);
        forward_norm(s, sum, sum, l->beside_norm, n_embd);
    }
    if (l->beside.n_ff == 0) {
        memcpy(sum, experts, n_embd * sizeof(*sum));
        return;
    }
    if (l->beside_gate)
        vector_scale(sum, sum, m->f->moe.beside_weights[t], n_embd);
    vector_add(sum, experts, sum, n_embd);
    if (l->sum_scale != 1)
        vector_scale(sum, sum, l->sum_scale, n_embd);
}

static void add(struct worker *m, const struct moe_work *work)
{
    const struct moe_memory *w = &m->f->moe;
    struct work_range rows = forward_work_range(m, m->n);
    for (size_t t = rows.first; t < rows.end; t++)
        add_beside(m, work->l, t, sum_of_experts(w, work, t));
    forward_barrier(m);
}

/* The same for experts in a space of their own: their sum comes back from it. */
static void add_latent(struct worker *m, const struct moe_work *work)
{
    const struct moe_memory *w = &m->f->moe;
    const struct moe_layer *l = work->l;
    size_t n_embd = m->f->d->shape.n_embd;
    struct work_range rows = forward_work_range(m, m->n);
    for (size_t t = rows.first; t < rows.end; t++)
        memcpy(w->latent + t * work->width, sum_of_experts(w, work, t), work->width * sizeof(float));
    forward_barrier(m);
    linear_input(m, w->latent, work->width, linear_packs(&l->latent_up));
    linear_multiply(m, (struct product[]){{&l->latent_up, w->mixed}}, 1);
    for (size_t t = rows.first; t < rows.end; t++)
        add_beside(m, l, t, w->mixed + t * n_embd);
    forward_barrier(m);
}

/* A row's chunks are those of its experts. The weight of a chunk is the score of the expert that has its number. */
static void run_chunks(struct worker *m, const struct moe_layer *l)
{
    const struct moe_memory *w = &m->f->moe;
    struct moe_layer chunks = chunks_of(l);
    size_t n_embd = m->f->d->shape.n_embd;
    struct work_range rows = forward_work_range(m, m->n);
    for (size_t t = rows.first; t < rows.end; t++) {
        uint32_t *chosen = w->chosen + t * l->n_used;
        float *weights = w->weights + t * l->n_used;
        for (size_t rank = 0; rank < l->n_used; rank++) {
            chosen[rank] /= l->per_chunk;
            weights[rank] = w->router[t * l->n_expert + chosen[rank]];
        }
        moe_weigh(l, weights);
    }
    forward_barrier(m);
    struct moe_work work = group(m, &chunks);
    gather(m, &work, m->f->sum);
    gate_and_up(m, &work);
    down(m, &work);
    for (size_t t = rows.first; t < rows.end; t++)
        vector_add_scaled(m->f->sum + t * n_embd, sum_of_experts(w, &work, t), l->chunk_scale, n_embd);
    forward_barrier(m);
}

/* What is beside the experts works on m->in. Its weight is computed first, because m->in changes. */
static void run_beside(struct worker *m, const struct moe_layer *l)
{
    struct work_range rows = forward_work_range(m, m->n);
    size_t n_embd = m->f->d->shape.n_embd;
    for (size_t t = rows.first; t < rows.end && l->beside_gate; t++) {
        float logit = vector_dot(m->in.x + t * m->in.stride, l->beside_gate, n_embd);
        m->f->moe.beside_weights[t] = 1.0f / (1.0f + vector_exp(-logit));
    }
    dense_run(m, &l->beside, &m->f->moe.beside);
}

static void run(struct worker *m, size_t i)
{
    const struct moe_layer *l = &m->f->d->layers[i].moe;
    const float *input = m->in.x, *x = input;
    if (l->early != MOE_NOTHING_EARLY)
        use_early(m, l);
    if (l->early == MOE_EXPERTS_EARLY)
        x = m->in.x;
    if (l->own_norms) {
        norm_inputs(m, l);
        x = m->f->moe.early_kept;
    }
    if (l->n_latent > 0) {
        linear_multiply(m, (struct product[]){{&l->latent_down, m->f->moe.latent}}, 1);
        x = m->f->moe.latent;
    }
    route(m, l);
    struct moe_work work = group(m, l);
    gather(m, &work, x);
    gate_and_up(m, &work);
    down(m, &work);
    if ((l->own_norms || l->early != MOE_NOTHING_EARLY) && l->beside.n_ff > 0)
        linear_input(m, input, m->f->d->shape.n_embd, dense_packs(&l->beside));
    if (l->beside.n_ff > 0)
        run_beside(m, l);
    if (l->n_latent > 0)
        add_latent(m, &work);
    else
        add(m, &work);
    if (l->per_chunk > 0)
        run_chunks(m, l);
}

const struct layer_kind layer_moe = {
    .name = "mixture of experts", .bind = bind, .workspace = workspace, .early = early, .run = run};
