/* layer_attention_values.c - values by experts (mixture of value attention).
 *
 * There are few of them, and a matrix of values is small, so the products of all experts are computed, as one matrix, and
 * those of the chosen ones are used. A row's values depend on the row alone.
 */
#include "layer_attention_private.h"

#include "bind_private.h"
#include "forward_private.h"

bool attention_bind_values(struct binder *b, size_t i, struct attention_layer *l, size_t rows)
{
    struct value_experts *e = &l->values;
    struct expert_weights experts = {0};
    size_t n_embd = binder_decoder(b)->shape.n_embd;
    if (!bind_linear(b, bind_stem(i, "attn_v_gate").text, e->n, n_embd, &e->router) ||
        !bind_experts(b, bind_stem(i, "attn_v_exps").text, e->n, rows, n_embd, &experts))
        return false;
    e->bias = e->router.bias;
    e->router.bias = NULL;
    l->v.weight = experts.first.weight;
    l->v.weight.rows = e->n * rows;
    return true;
}

/* The row's share of its experts' values, in the order of rank. */
static void mix_row(const struct moe_layer *choice, float *router, float *values, float *out, size_t width)
{
    struct moe_choice choices[VALUE_EXPERTS_MAX];
    uint32_t chosen[VALUE_EXPERTS_MAX];
    float weights[VALUE_EXPERTS_MAX];
    moe_route(choice, choices, router, chosen, weights);
    for (size_t rank = 0; rank < choice->n_used; rank++) {
        float *value = values + chosen[rank] * width;
        vector_gate(value, value, NULL, VECTOR_SILU, width);
        if (rank == 0)
            vector_scale(out, value, weights[rank], width);
        else
            vector_add_scaled(out, value, weights[rank], width);
    }
}

void attention_mix_values(struct worker *m, const struct attention_layer *l)
{
    const struct attention_memory *w = &m->f->attention;
    const struct value_experts *e = &l->values;
    const struct moe_layer choice = {.n_expert = e->n,
        .n_used = e->n_used,
        .n_groups = 1,
        .gating = e->sigmoid ? MOE_SIGMOID : MOE_SOFTMAX,
        .normalized = e->normalized,
        .weights_scale = e->scale,
        .selection_bias = e->bias};
    size_t width = (size_t)l->n_head_kv * l->head_dim_v;
    struct work_range rows = forward_work_range(m, m->f->n);
    for (size_t t = rows.first; t < rows.end; t++)
        mix_row(&choice, w->value_router + t * e->n, w->expert_values + t * e->n * width, w->v + t * width,
            width);
    forward_barrier(m);
}
