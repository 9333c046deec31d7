/* layer_product.c - the mixer "product". */
#include "layer_product_private.h"

#include "bind_private.h"
#include "forward_private.h"

static struct layer_state no_state(const struct decoder *d, size_t i)
{
    (void)d;
    (void)i;
    return (struct layer_state){0};
}

static void no_workspace(struct forward *f, struct layout *lasting, struct layout *passing)
{
    (void)f;
    (void)lasting;
    (void)passing;
}

static bool bind(struct binder *b, size_t i)
{
    struct layer *layer = &binder_decoder(b)->layers[i];
    size_t n_embd = binder_decoder(b)->shape.n_embd;
    if (!bind_linear(b, bind_stem(i, "attn_output").text, n_embd, n_embd, &layer->product.out))
        return false;
    layer->mixer_packs = linear_packs(&layer->product.out);
    return true;
}

/* A worker with a residual of its own may still read the sum of the layer before. */
static void run(struct worker *m, size_t i)
{
    if (m->f->alone)
        forward_barrier(m);
    linear_multiply(m, (struct product[]){{&m->f->d->layers[i].product.out, m->f->sum}}, 1);
}

const struct layer_kind layer_product = {
    .name = "product", .bind = bind, .state = no_state, .workspace = no_workspace, .run = run};
