/* forward_inputs.c - inputs that each layer has of its own (Gemma 3n and 4).
 *
 * A token has an embedding for each layer. A projection of the ordinary embedding, normed, is added to it. Behind the
 * feed-forward a gate of the residual, by GELU, multiplies the layer's input, and a projection of the product, normed, is
 * added to the residual.
 */
#include "forward_private.h"

#include "bind_private.h"

#include "berth/kernels/quant.h"

#include <math.h>

#define HALF_ROOT 0.707106781f

bool inputs_bind(struct binder *b)
{
    struct decoder *d = binder_decoder(b);
    const struct decoder_shape *s = &d->shape;
    size_t all = (size_t)s->n_input * s->n_layer;
    return s->n_input == 0 ||
           (bind_matrix(b, "per_layer_token_embd.weight", s->n_vocab, all, &d->input_embedding) &&
               (s->n_input % d->input_embedding.type->block_elems == 0 ||
                   bind_refuse(b, "tensor per_layer_token_embd.weight has blocks that reach over layers")) &&
               bind_linear(b, "per_layer_model_proj", all, s->n_embd, &d->input_projection) &&
               bind_vector(b, "per_layer_proj_norm.weight", 1, s->n_input, &d->input_norm));
}

bool inputs_bind_layer(struct binder *b, size_t i)
{
    struct decoder *d = binder_decoder(b);
    struct layer *l = &d->layers[i];
    const struct decoder_shape *s = &d->shape;
    struct name scale = bind_name(bind_stem(i, "layer_output_scale").text, "weight");
    return (!s->result_scales || bind_optional(b, scale.text, 1, 1, &l->result_scale)) &&
           (s->n_input == 0 ||
               (bind_linear(b, bind_stem(i, "inp_gate").text, s->n_input, s->n_embd, &l->input_gate) &&
                   bind_linear(b, bind_stem(i, "proj").text, s->n_embd, s->n_input, &l->input_proj) &&
                   bind_vector(b, bind_name(bind_stem(i, "post_norm").text, "weight").text, 1, s->n_embd,
                       &l->input_norm.weight)));
}

/* `projected` is a row's projection for all layers; it becomes the row's inputs. */
static void make_row(const struct decoder *d, float *projected, const struct decoder_row *row, float *token)
{
    const struct matmul_weight *e = &d->input_embedding;
    size_t n = d->shape.n_input, block = e->type->block_elems;
    const uint8_t *from = e->data + (row->embedding ? 0 : (size_t)row->token) * e->row_bytes;
    for (uint32_t i = 0; i < d->shape.n_layer; i++) {
        float *x = projected + i * n;
        vector_scale(x, x, 1 / sqrtf((float)d->shape.n_embd), n);
        forward_norm(&d->shape, x, x, (struct norm){.weight = d->input_norm}, n);
        quant_to_floats(e->type, token, from + i * (n / block) * e->type->block_bytes, n / block);
        vector_add_scaled(x, token, sqrtf((float)n), n);
        vector_scale(x, x, HALF_ROOT, n);
    }
}

void forward_make_inputs(struct worker *m)
{
    struct forward *f = m->f;
    const struct decoder *d = f->d;
    size_t n = d->shape.n_input, all = n * d->shape.n_layer;
    linear_input(m, m->x, d->shape.n_embd, linear_packs(&d->input_projection));
    linear_multiply(m, (struct product[]){{&d->input_projection, f->inputs}}, 1);
    struct work_range rows = forward_work_range(m, f->n);
    for (size_t t = rows.first; t < rows.end; t++)
        make_row(d, f->inputs + t * all, &f->batch->rows[t], f->input_gates + t * n);
    forward_barrier(m);
}

void forward_run_input(struct worker *m, size_t i)
{
    struct forward *f = m->f;
    const struct layer *l = &f->d->layers[i];
    size_t n = f->d->shape.n_input, all = n * f->d->shape.n_layer;
    linear_input(m, m->x, f->d->shape.n_embd, linear_packs(&l->input_gate));
    linear_multiply(m, (struct product[]){{&l->input_gate, f->input_gates}}, 1);
    struct work_range rows = forward_work_range(m, m->n);
    for (size_t k = rows.first; k < rows.end; k++) {
        float *gate = f->input_gates + k * n;
        size_t t = m->kept_wanted ? f->wanted[k] : k;
        vector_gate(gate, gate, f->inputs + t * all + i * n, VECTOR_GELU, n);
    }
    forward_barrier(m);
    linear_input(m, f->input_gates, n, linear_packs(&l->input_proj));
    linear_multiply(m, (struct product[]){{&l->input_proj, f->sum}}, 1);
}
