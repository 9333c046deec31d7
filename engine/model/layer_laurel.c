/* layer_laurel.c - the mixer "laurel". */
#include "layer_laurel_private.h"

#include "bind_private.h"
#include "forward_private.h"

static bool bind(struct binder *b, size_t i)
{
    struct layer *layer = &binder_decoder(b)->layers[i];
    struct laurel_layer *l = &layer->laurel;
    size_t n_embd = binder_decoder(b)->shape.n_embd;
    struct stem left = bind_stem(i, "laurel_l");
    uint64_t rank = bind_rows(b, left.text);
    if (rank > n_embd)
        return bind_refuse(b, "tensors laurel_l have more rows than columns");
    bool good = bind_linear(b, left.text, rank, n_embd, &l->left) &&
                bind_linear(b, bind_stem(i, "laurel_r").text, n_embd, rank, &l->right) &&
                bind_vector(b, bind_name(bind_stem(i, "laurel_post_norm").text, "weight").text, 1, n_embd,
                    &l->norm.weight);
    layer->second_packs = good && linear_packs(&l->left);
    return good;
}

static struct layer_state state(const struct decoder *d, size_t i)
{
    (void)d;
    (void)i;
    return (struct layer_state){0};
}

static void workspace(struct forward *f, struct layout *lasting, struct layout *passing)
{
    (void)lasting;
    size_t rank = 0;
    for (size_t i = 0; i < f->d->shape.n_layer; i++)
        rank = larger(rank, f->d->layers[i].laurel.left.weight.rows);
    f->laurel.low = layout_floats(passing, f->n, rank);
}

static void run(struct worker *m, size_t i)
{
    struct forward *f = m->f;
    const struct laurel_layer *l = &f->d->layers[i].laurel;
    const float *x = m->in.x;
    size_t width = f->d->shape.n_embd;
    linear_multiply(m, (struct product[]){{&l->left, f->laurel.low}}, 1);
    linear_input(m, f->laurel.low, l->left.weight.rows, linear_packs(&l->right));
    linear_multiply(m, (struct product[]){{&l->right, f->sum}}, 1);
    struct work_range rows = forward_work_range(m, m->n);
    for (size_t t = rows.first; t < rows.end; t++) {
        float *sum = f->sum + t * width;
        forward_norm(&f->d->shape, sum, sum, l->norm, width);
        vector_add(sum, sum, x + t * width, width);
    }
    forward_barrier(m);
}

const struct layer_kind layer_laurel = {
    .name = "laurel", .bind = bind, .state = state, .workspace = workspace, .run = run};
