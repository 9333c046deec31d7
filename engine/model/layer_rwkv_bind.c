/* layer_rwkv_bind.c - finds the weights of the mixer "rwkv". */
#include "layer_rwkv_private.h"

#include "bind_private.h"

#include <stddef.h>
#include <stdio.h>

const uint8_t rwkv_inputs_6[RWKV_INPUTS_6] = {RWKV_W, RWKV_K, RWKV_V, RWKV_R, RWKV_A};
static const uint8_t inputs_7[RWKV_INPUTS] = {RWKV_R, RWKV_W, RWKV_K, RWKV_V, RWKV_A, RWKV_G};

/* What a layer has. */
enum { SIX = 1, SEVEN = 2, LATER = 4, GATED = 8, NORMED = 16, OWN = 32 };

/* Numbers of rows and columns; RANK + j is the rank of input j. */
enum { ONE, EMBD, KV, HEADS, HEAD, SHIFT, RANK };

/* A tensor "time_mix_NAME.weight", where the layer has all of `of`: a linear, or a vector of float32. */
struct part {
    char name[12];
    bool vector;
    uint8_t of, rows, columns;
    uint16_t at; /* in struct rwkv_layer */
};

#define AT(field) (uint16_t) offsetof(struct rwkv_layer, field)

static const struct part parts[] = {
    {"receptance", false, 0, EMBD, EMBD, AT(r)},
    {"key", false, 0, KV, EMBD, AT(k)},
    {"value", false, 0, KV, EMBD, AT(v)},
    {"output", false, 0, EMBD, EMBD, AT(out)},
    {"ln", true, NORMED, ONE, EMBD, AT(norm)},
    {"w1", false, SEVEN, RANK + RWKV_W, EMBD, AT(low[RWKV_W].down)},
    {"w2", false, SEVEN, EMBD, RANK + RWKV_W, AT(low[RWKV_W].up)},
    {"w0", true, SEVEN, ONE, EMBD, AT(low[RWKV_W].base)},
    {"a1", false, SEVEN, RANK + RWKV_A, EMBD, AT(low[RWKV_A].down)},
    {"a2", false, SEVEN, EMBD, RANK + RWKV_A, AT(low[RWKV_A].up)},
    {"a0", true, SEVEN, ONE, EMBD, AT(low[RWKV_A].base)},
    {"v1", false, SEVEN | LATER, RANK + RWKV_V, EMBD, AT(low[RWKV_V].down)},
    {"v2", false, SEVEN | LATER, EMBD, RANK + RWKV_V, AT(low[RWKV_V].up)},
    {"v0", true, SEVEN | LATER, ONE, EMBD, AT(low[RWKV_V].base)},
    {"g1", false, SEVEN | GATED, RANK + RWKV_G, EMBD, AT(low[RWKV_G].down)},
    {"g2", false, SEVEN | GATED, EMBD, RANK + RWKV_G, AT(low[RWKV_G].up)},
    {"k_k", true, SEVEN, ONE, EMBD, AT(k_k)},
    {"k_a", true, SEVEN, ONE, EMBD, AT(k_a)},
    {"r_k", true, SEVEN, ONE, EMBD, AT(bonus)},
    {"gate", false, SIX, EMBD, EMBD, AT(gate)},
    {"lerp_x", true, SIX, ONE, EMBD, AT(shift_lerp)},
    {"w1", false, SIX, SHIFT, EMBD, AT(shift_down)},
    {"decay_w1", false, SIX, RANK + RWKV_W, EMBD, AT(low[RWKV_W].down)},
    {"decay_w2", false, SIX, EMBD, RANK + RWKV_W, AT(low[RWKV_W].up)},
    {"decay", true, SIX, ONE, EMBD, AT(low[RWKV_W].base)},
    {"first", true, SIX | OWN, HEADS, HEAD, AT(bonus)},
};

/* "blk.LAYER.time_mix_NAME" */
static struct stem stem_of(size_t i, const char *name)
{
    char rest[32];
    snprintf(rest, sizeof(rest), "time_mix_%.12s", name);
    return bind_stem(i, rest);
}

static bool bind_rows_of(
    struct binder *b, size_t i, const char *name, size_t rows, size_t columns, const float **out)
{
    return bind_vector(b, bind_name(stem_of(i, name).text, "weight").text, rows, columns, out);
}

static size_t size_of(const struct rwkv_layer *l, uint8_t size)
{
    const size_t sizes[] = {[ONE] = 1,
        [EMBD] = (size_t)l->n_head * l->head_dim,
        [KV] = (size_t)l->n_head_kv * l->head_dim,
        [HEADS] = l->n_head,
        [HEAD] = l->head_dim,
        [SHIFT] = (size_t)RWKV_INPUTS_6 * l->shift_rank};
    return size < RANK ? sizes[size] : l->low[size - RANK].rank;
}

static bool bind_part(struct binder *b, size_t i, struct rwkv_layer *l, const struct part *p)
{
    void *out = (char *)l + p->at;
    size_t rows = size_of(l, p->rows), columns = size_of(l, p->columns);
    return p->vector ? bind_rows_of(b, i, p->name, rows, columns, out)
                     : bind_linear(b, stem_of(i, p->name).text, rows, columns, out);
}

/* Old files of version 6 have a tensor for each. */
static bool bind_lerps(struct binder *b, size_t i, struct rwkv_layer *l, const uint8_t *inputs, size_t n)
{
    size_t n_embd = size_of(l, EMBD);
    const float *all = NULL;
    bool fused = l->by_delta || bind_has(b, stem_of(i, "lerp_fused").text);
    if (fused && !bind_rows_of(b, i, "lerp_fused", n, n_embd, &all))
        return false;
    for (size_t j = 0; j < n; j++) {
        char one[] = {'l', 'e', 'r', 'p', '_', "wkvrg"[j % RWKV_INPUTS_6], '\0'};
        if (fused)
            l->lerps[inputs[j]] = all + j * n_embd;
        else if (!bind_rows_of(b, i, one, 1, n_embd, &l->lerps[inputs[j]]))
            return false;
    }
    return true;
}

/* Sets what the layer has. The first layer takes nothing of the first layer's values; files may have tensors for it, which
 * say nothing. */
static uint8_t find_out(struct binder *b, size_t i, struct rwkv_layer *l)
{
    bool gated = bind_has(b, stem_of(i, "g1").text);
    bool normed = l->by_delta ? bind_has(b, stem_of(i, "ln").text) : !l->gla;
    if (l->by_delta && !gated)
        l->low[RWKV_G].rank = 0;
    if (l->by_delta && i == 0) {
        l->low[RWKV_V].rank = 0;
        bind_skip(b, stem_of(i, "v0").text);
        bind_skip(b, stem_of(i, "v1").text);
        bind_skip(b, stem_of(i, "v2").text);
    }
    return (uint8_t)((l->by_delta ? SEVEN : SIX) | (i > 0 ? LATER : 0) | (gated ? GATED : 0) |
                     (normed ? NORMED : 0) | (l->gla ? 0 : OWN));
}

bool rwkv_bind(struct binder *b, size_t i)
{
    struct rwkv_layer *l = &binder_decoder(b)->layers[i].rwkv;
    size_t n_embd = size_of(l, EMBD);
    uint8_t has = find_out(b, i, l);
    for (const struct part *p = parts; p < parts + sizeof(parts) / sizeof(parts[0]); p++)
        if ((p->of & has) == p->of && !bind_part(b, i, l, p))
            return false;
    if ((has & NORMED) &&
        !bind_vector(b, bind_name(stem_of(i, "ln").text, "bias").text, 1, n_embd, &l->norm_bias))
        return false;
    if (l->by_delta)
        return bind_lerps(b, i, l, inputs_7, has & GATED ? RWKV_INPUTS : RWKV_G);
    return bind_lerps(b, i, l, rwkv_inputs_6, RWKV_INPUTS_6) &&
           bind_experts(b, stem_of(i, "w2").text, RWKV_INPUTS_6, n_embd, l->shift_rank, &l->shift_up);
}
