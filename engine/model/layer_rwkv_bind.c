/* layer_rwkv_bind.c - finds the weights of the mixer "rwkv". */
#include "layer_rwkv_private.h"

#include "bind_private.h"

#include <stdio.h>

const enum rwkv_input rwkv_inputs_6[RWKV_INPUTS_6] = {RWKV_W, RWKV_K, RWKV_V, RWKV_R, RWKV_G};
static const enum rwkv_input inputs_7[RWKV_INPUTS] = {RWKV_R, RWKV_W, RWKV_K, RWKV_V, RWKV_A, RWKV_G};

/* "blk.LAYER.time_mix_NAME" */
static struct stem stem_of(size_t i, const char *name)
{
    char rest[32];
    snprintf(rest, sizeof(rest), "time_mix_%s", name);
    return bind_stem(i, rest);
}

static bool bind_row(struct binder *b, size_t i, const char *name, const float **out)
{
    return bind_vector(
        b, bind_name(stem_of(i, name).text, "weight").text, 1, binder_decoder(b)->shape.n_embd, out);
}

static bool bind_part(
    struct binder *b, size_t i, const char *name, size_t rows, size_t columns, struct linear *l)
{
    return bind_linear(b, stem_of(i, name).text, rows, columns, l);
}

/* `base` is NULL where nothing is added. */
static bool bind_low_rank(
    struct binder *b, size_t i, const char *down, const char *up, const char *base, struct low_rank *l)
{
    size_t n_embd = binder_decoder(b)->shape.n_embd;
    return bind_part(b, i, down, l->rank, n_embd, &l->down) && bind_part(b, i, up, n_embd, l->rank, &l->up) &&
           (!base || bind_row(b, i, base, &l->base));
}

/* Old files of version 6 have a tensor for each. */
static bool bind_lerps(
    struct binder *b, size_t i, struct rwkv_layer *l, const enum rwkv_input *inputs, size_t n)
{
    size_t n_embd = binder_decoder(b)->shape.n_embd;
    const float *all = NULL;
    struct stem fused = stem_of(i, "lerp_fused");
    bool apart = !l->by_delta && !bind_has(b, fused.text);
    if (!apart && !bind_stack(b, bind_name(fused.text, "weight").text, n, n_embd, &all))
        return false;
    for (size_t j = 0; j < n; j++) {
        char one[] = {'l', 'e', 'r', 'p', '_', "rwkvag"[inputs[j]], '\0'};
        if (!apart)
            l->lerps[inputs[j]] = all + j * n_embd;
        else if (!bind_row(b, i, one, &l->lerps[inputs[j]]))
            return false;
    }
    return true;
}

static bool bind_head_norm(struct binder *b, size_t i, struct rwkv_layer *l)
{
    return bind_row(b, i, "ln", &l->norm) && bind_vector(b, bind_name(stem_of(i, "ln").text, "bias").text, 1,
                                                 binder_decoder(b)->shape.n_embd, &l->norm_bias);
}

/* Products that both versions have. */
static bool bind_products(struct binder *b, size_t i, struct rwkv_layer *l)
{
    size_t n_embd = binder_decoder(b)->shape.n_embd, kv = (size_t)l->n_head_kv * l->head_dim;
    return bind_part(b, i, "receptance", n_embd, n_embd, &l->r) &&
           bind_part(b, i, "key", kv, n_embd, &l->k) && bind_part(b, i, "value", kv, n_embd, &l->v) &&
           bind_part(b, i, "output", n_embd, n_embd, &l->out);
}

static bool bind_6(struct binder *b, size_t i, struct rwkv_layer *l)
{
    size_t n_embd = binder_decoder(b)->shape.n_embd, n = RWKV_INPUTS_6;
    struct name first = bind_name(stem_of(i, "first").text, "weight");
    return bind_lerps(b, i, l, rwkv_inputs_6, n) && bind_row(b, i, "lerp_x", &l->shift_lerp) &&
           bind_part(b, i, "w1", n * l->shift_rank, n_embd, &l->shift_down) &&
           bind_experts(b, stem_of(i, "w2").text, n, n_embd, l->shift_rank, &l->shift_up) &&
           bind_low_rank(b, i, "decay_w1", "decay_w2", "decay", &l->w) &&
           bind_part(b, i, "gate", n_embd, n_embd, &l->gate) &&
           (l->gla ||
               (bind_vector(b, first.text, l->n_head, l->head_dim, &l->bonus) && bind_head_norm(b, i, l)));
}

/* The first layer has no share of the first layer's values; files may have tensors for it, which say nothing. */
static bool bind_value(struct binder *b, size_t i, struct rwkv_layer *l)
{
    if (i > 0)
        return bind_low_rank(b, i, "v1", "v2", "v0", &l->value);
    l->value.rank = 0;
    bind_skip(b, stem_of(i, "v0").text);
    bind_skip(b, stem_of(i, "v1").text);
    bind_skip(b, stem_of(i, "v2").text);
    return true;
}

static bool bind_7(struct binder *b, size_t i, struct rwkv_layer *l)
{
    bool gated = bind_has(b, stem_of(i, "g1").text), normed = bind_has(b, stem_of(i, "ln").text);
    l->g.rank = gated ? l->g.rank : 0;
    return bind_lerps(b, i, l, inputs_7, gated ? RWKV_INPUTS : RWKV_G) &&
           bind_low_rank(b, i, "w1", "w2", "w0", &l->w) && bind_low_rank(b, i, "a1", "a2", "a0", &l->a) &&
           bind_value(b, i, l) && (!gated || bind_low_rank(b, i, "g1", "g2", NULL, &l->g)) &&
           bind_row(b, i, "k_k", &l->k_k) && bind_row(b, i, "k_a", &l->k_a) &&
           bind_row(b, i, "r_k", &l->bonus) && (!normed || bind_head_norm(b, i, l));
}

bool rwkv_bind(struct binder *b, size_t i)
{
    struct rwkv_layer *l = &binder_decoder(b)->layers[i].rwkv;
    return bind_products(b, i, l) && (l->by_delta ? bind_7(b, i, l) : bind_6(b, i, l));
}
