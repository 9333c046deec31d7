/* forward_states.c - what goes on beside the residual in a few models.
 *
 * Some layers add the embedding to their result (Talkie). Some models go through their layers several times and norm the
 * residual in between (Nanbeige), or keep two states and go through two stacks of layers in turn (HRM-Text): the sum of
 * both states enters a stack, and its normed result becomes one of them. Each worker works on its rows of the residual.
 */
#include "forward_private.h"

#include <string.h>

bool forward_keeps_high(const struct decoder *d)
{
    return d->shape.embedding_skip || d->low_state;
}

void forward_keep_embedding(struct worker *m)
{
    const struct decoder *d = m->f->d;
    size_t width = d->shape.n_embd;
    struct work_range rows = forward_residual_rows(m);
    for (size_t t = rows.first; t < rows.end; t++) {
        float *x = m->x + t * width;
        memcpy(m->high + t * width, x, width * sizeof(*x));
        if (d->low_state) {
            memcpy(m->low + t * width, d->low_state, width * sizeof(*x));
            vector_add(x, x, d->low_state, width);
        }
    }
}

/* The rows of the embedding are those of the batch, and the rows of the residual may be those that are wanted. */
static void add_embedding(struct worker *m, float factor)
{
    size_t width = m->f->d->shape.n_embd;
    struct work_range rows = forward_residual_rows(m);
    for (size_t i = rows.first; i < rows.end; i++) {
        size_t t = m->kept_wanted ? m->f->wanted[i] : i;
        vector_add_scaled(m->x + i * width, m->high + t * width, factor, width);
    }
}

void forward_after_layer(struct worker *m, const struct layer *l)
{
    const struct decoder *d = m->f->d;
    size_t width = d->shape.n_embd;
    struct work_range rows = forward_residual_rows(m);
    if (l->embedding_skip)
        add_embedding(m, *l->embedding_skip);
    for (size_t t = rows.first; l->turn != TURN_NONE && t < rows.end; t++) {
        float *x = m->x + t * width, *high = m->high + t * width, *low = m->low + t * width;
        forward_norm(&d->shape, x, x, d->output_norm, width);
        if (l->turn == TURN_NORM)
            continue;
        memcpy(l->turn == TURN_LOW ? low : high, x, width * sizeof(*x));
        vector_add(x, high, low, width);
    }
}
