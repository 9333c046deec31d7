/* bind.c - finds the tensors that a shape asks for, and checks them against it.
 *
 * Every tensor must have the shape that the keys imply; otherwise the model is refused, and the reason names the tensor.
 * A tensor that no layer asks for is a reason to refuse as well: the file is another model than its architecture says, and
 * would answer nonsense.
 *
 * Matrices are views on the file. So are vectors (norms, biases) that are float32 and aligned; other vectors are copied.
 */
#include "bind_private.h"

#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

struct copy {
    struct copy *next;
    float values[];
};

struct binder {
    struct decoder *d;
    const struct checkpoint *model;
    struct error *err;
    bool *bound; /* [model->n_tensors]: asked for and there */
};

struct decoder *binder_decoder(const struct binder *b)
{
    return b->d;
}

struct name bind_name(const char *stem, const char *part)
{
    struct name n;
    snprintf(n.text, sizeof(n.text), "%s.%s", stem, part);
    return n;
}

struct stem bind_stem(size_t layer, const char *rest)
{
    struct stem n;
    snprintf(n.text, sizeof(n.text), "blk.%zu.%s", layer, rest);
    return n;
}

static const struct tensor *find(const struct binder *b, const char *name)
{
    return checkpoint_tensor(b->model, name);
}

bool bind_has(const struct binder *b, const char *stem)
{
    return find(b, bind_name(stem, "weight").text) != NULL;
}

/* Finds [depth][rows][columns]; a matrix has a depth of 1, a vector is one row. Trailing dimensions of 1 make no
 * difference. */
static const struct tensor *find_deep(
    struct binder *b, const char *name, uint64_t depth, uint64_t rows, uint64_t columns)
{
    const struct tensor *t = find(b, name);
    char third[24] = "";
    if (!t) {
        error_set(b->err, "tensor %s is missing", name);
        return NULL;
    }
    if (t->dim[0] != columns || t->dim[1] != rows || t->dim[2] != depth || t->dim[3] != 1) {
        if (depth > 1)
            snprintf(third, sizeof(third), ", %" PRIu64, depth);
        error_set(b->err,
            "tensor %s is [%" PRIu64 ", %" PRIu64 "%s]; the keys make it [%" PRIu64 ", %" PRIu64 "%s]", name,
            t->dim[0], t->dim[1], t->dim[2] == 1 && t->dim[3] == 1 ? "" : ", ...", columns, rows, third);
        return NULL;
    }
    b->bound[t - b->model->tensors] = true;
    return t;
}

static const struct tensor *find_shaped(struct binder *b, const char *name, uint64_t rows, uint64_t columns)
{
    return find_deep(b, name, 1, rows, columns);
}

/* ---- vectors ---- */

/* Memory that lives as long as the decoder. */
static struct copy *copy_new(struct binder *b, size_t elems, const char *name)
{
    struct copy *c = malloc(sizeof(*c) + elems * sizeof(float));
    if (!c) {
        error_set(b->err, "no memory for tensor %s", name);
        return NULL;
    }
    c->next = b->d->copies;
    b->d->copies = c;
    return c;
}

static const float *copy_vector(struct binder *b, const struct tensor *t, const char *name)
{
    const struct quant *q = quant_find(t->type->id);
    if (!q) {
        error_set(b->err, "tensor %s cannot be read: its type is not known", name);
        return NULL;
    }
    struct copy *c = copy_new(b, t->elems, name);
    if (!c)
        return NULL;
    quant_to_floats(q, c->values, t->data, t->elems / q->block_elems);
    return c->values;
}

void decoder_free_copies(struct decoder *d)
{
    while (d->copies) {
        struct copy *next = d->copies->next;
        free(d->copies);
        d->copies = next;
    }
}

bool bind_vector(struct binder *b, const char *name, uint64_t rows, uint64_t columns, const float **out)
{
    const struct tensor *t = find_shaped(b, name, rows, columns);
    if (!t)
        return false;
    const struct quant *q = quant_find(t->type->id);
    bool float32 = q && strcmp(t->type->name, "F32") == 0;
    if (float32 && (uintptr_t)t->data % _Alignof(float) == 0)
        *out = (const float *)(const void *)t->data;
    else
        *out = copy_vector(b, t, name);
    return *out != NULL;
}

bool bind_optional(struct binder *b, const char *name, uint64_t rows, uint64_t columns, const float **out)
{
    *out = NULL;
    return !find(b, name) || bind_vector(b, name, rows, columns, out);
}

bool bind_transposed(struct binder *b, const char *name, uint64_t rows, uint64_t columns, const float **out)
{
    const struct tensor *t = find_shaped(b, name, rows, columns);
    const float *whole = t ? copy_vector(b, t, name) : NULL;
    struct copy *c = whole ? copy_new(b, t->elems, name) : NULL;
    if (!c)
        return false;
    for (size_t i = 0; i < rows; i++)
        for (size_t j = 0; j < columns; j++)
            c->values[j * rows + i] = whole[i * columns + j];
    *out = c->values;
    return true;
}

/* ---- matrices ---- */

static bool bind_matrix(
    struct binder *b, const char *name, uint64_t rows, uint64_t columns, struct matmul_weight *out)
{
    const struct tensor *t = find_shaped(b, name, rows, columns);
    if (!t)
        return false;
    if (!matmul_weight_init(out, t->type->id, t->data, rows, columns, b->d->as_float))
        return error_set(b->err, "tensor %s has type %s, which weights cannot have", name, t->type->name);
    return true;
}

/* The tensors beside a weight: a bias, a factor of all products, and a factor of activations, which is marked as asked for
 * and not used: no type that berth multiplies needs it. */
static bool bind_companions(struct binder *b, const char *stem, struct linear *l)
{
    const float *ignored;
    size_t rows = l->weight.rows;
    l->bias = l->scale = NULL;
    return bind_optional(b, bind_name(stem, "scale").text, 1, 1, &l->scale) &&
           bind_optional(b, bind_name(stem, "input_scale").text, 1, 1, &ignored) &&
           bind_optional(b, bind_name(stem, "bias").text, 1, rows, &l->bias);
}

static void note_packed(struct decoder *d, const struct matmul_weight *w)
{
    if (matmul_takes_packed(w) && w->columns > d->packed_columns)
        d->packed_columns = w->columns;
}

bool bind_linear(struct binder *b, const char *stem, uint64_t rows, uint64_t columns, struct linear *l)
{
    bool good = bind_matrix(b, bind_name(stem, "weight").text, rows, columns, &l->weight) &&
                bind_companions(b, stem, l);
    if (good)
        note_packed(b->d, &l->weight);
    return good;
}

bool bind_experts(struct binder *b, const char *stem, uint64_t experts, uint64_t rows, uint64_t columns,
    struct expert_weights *w)
{
    const float *ignored;
    struct name name = bind_name(stem, "weight");
    const struct tensor *t = find_deep(b, name.text, experts, rows, columns);
    struct matmul_weight *first = &w->first.weight;
    if (!t)
        return false;
    if (!matmul_weight_init(first, t->type->id, t->data, rows, columns, b->d->as_float))
        return error_set(
            b->err, "tensor %s has type %s, which weights cannot have", name.text, t->type->name);
    note_packed(b->d, first);
    w->bytes = rows * first->row_bytes;
    w->rows = rows;
    return bind_optional(b, bind_name(stem, "scale").text, 1, experts, &w->scales) &&
           bind_optional(b, bind_name(stem, "input_scale").text, 1, experts, &ignored) &&
           bind_optional(b, bind_name(stem, "bias").text, experts, rows, &w->first.bias);
}

void bind_skip(struct binder *b, const char *stem)
{
    static const char *const parts[] = {"weight", "bias", "scale", "input_scale"};
    for (size_t i = 0; i < sizeof(parts) / sizeof(parts[0]); i++) {
        const struct tensor *t = find(b, bind_name(stem, parts[i]).text);
        if (t)
            b->bound[t - b->model->tensors] = true;
    }
}

uint32_t bind_rows(const struct binder *b, const char *stem)
{
    const struct tensor *t = find(b, bind_name(stem, "weight").text);
    return t && t->dim[1] <= DECODER_SIZE_MAX ? (uint32_t)t->dim[1] : 0;
}

/* ---- norms ---- */

static bool bind_norm(struct binder *b, const char *stem, struct norm *n)
{
    const struct decoder_shape *s = &b->d->shape;
    return bind_vector(b, bind_name(stem, "weight").text, 1, s->n_embd, &n->weight) &&
           bind_optional(b, bind_name(stem, "bias").text, 1, s->n_embd, &n->bias);
}

static bool bind_layer_norms(struct binder *b, size_t i, struct layer *l)
{
    const struct decoder_shape *s = &b->d->shape;
    struct stem attn = bind_stem(i, "attn_norm"), ffn = bind_stem(i, s->ffn_norm ? s->ffn_norm : "ffn_norm");
    bool ffn_norm = !s->no_pre_norms && (!s->ffn_norm_optional || bind_has(b, ffn.text));
    return (s->no_pre_norms || bind_norm(b, attn.text, &l->mixer_norm)) &&
           (!ffn_norm || bind_norm(b, ffn.text, &l->ffn_norm)) &&
           (!s->post_norms || (bind_norm(b, bind_stem(i, "post_attention_norm").text, &l->mixer_post_norm) &&
                                  bind_norm(b, bind_stem(i, "post_ffw_norm").text, &l->ffn_post_norm)));
}

/* ---- layers ---- */

static bool bind_layer(struct binder *b, size_t i)
{
    struct layer *l = &b->d->layers[i];
    return bind_layer_norms(b, i, l) && l->mixer->bind(b, i) && l->ffn->bind(b, i);
}

/* ---- the whole ---- */

/* The size of the vocabulary is the number of rows of the embedding. The key vocab_size must be equal to it, and there must
 * be no more tokens. */
static bool read_vocabulary(struct binder *b)
{
    struct decoder_shape *s = &b->d->shape;
    const struct tensor *t = find(b, "token_embd.weight");
    if (!t)
        return error_set(b->err, "tensor token_embd.weight is missing");
    if (t->dim[1] > INT32_MAX)
        return error_set(
            b->err, "tensor token_embd.weight has %" PRIu64 " rows, which is too many", t->dim[1]);
    s->n_vocab = (uint32_t)t->dim[1];
    char key[NAME_ROOM];
    snprintf(key, sizeof(key), "%s.vocab_size", s->architecture);
    uint64_t told = s->n_vocab;
    if (checkpoint_get_u64(b->model, key, &told, b->err) == CHECKPOINT_WRONG)
        return false;
    const struct checkpoint_value *tokens = checkpoint_find(b->model, "tokenizer.ggml.tokens");
    if (told != s->n_vocab)
        return error_set(b->err, "key %s is %" PRIu64 ", but tensor token_embd.weight has %" PRIu32 " rows",
            key, told, s->n_vocab);
    if (tokens && tokens->count > s->n_vocab)
        return error_set(b->err,
            "key tokenizer.ggml.tokens has %" PRIu64 " items, but tensor token_embd.weight has %" PRIu32
            " rows",
            tokens->count, s->n_vocab);
    return true;
}

static bool bind_ends(struct binder *b)
{
    struct decoder *d = b->d;
    const struct decoder_shape *s = &d->shape;
    if (!read_vocabulary(b) || !bind_matrix(b, "token_embd.weight", s->n_vocab, s->n_embd, &d->embedding) ||
        !bind_norm(b, s->output_norm ? s->output_norm : "output_norm", &d->output_norm))
        return false;
    if (bind_has(b, "output"))
        return bind_linear(b, "output", s->n_vocab, s->n_embd, &d->output);
    d->output = (struct linear){.weight = d->embedding};
    note_packed(d, &d->embedding);
    return bind_companions(b, "output", &d->output);
}

static bool bind_rope_factors(struct binder *b)
{
    struct decoder *d = b->d;
    size_t pairs = d->rope.n_rot / 2;
    return bind_optional(b, "rope_freqs.weight", 1, pairs, &d->rope_factors) &&
           (!d->rope.long_factors ||
               (bind_optional(b, "rope_factors_long.weight", 1, pairs, &d->rope_factors_long) &&
                   bind_optional(b, "rope_factors_short.weight", 1, pairs, &d->rope_factors_short)));
}

/* A tensor of a layer that is not run. */
static bool is_further(const struct decoder_shape *s, struct span name)
{
    for (uint32_t i = s->n_layer; i < s->n_layer + s->n_further; i++) {
        struct stem stem = bind_stem(i, "");
        if (name.size > strlen(stem.text) && memcmp(name.at, stem.text, strlen(stem.text)) == 0)
            return true;
    }
    return false;
}

/* Tables of inv_freq, which old converters left in files, and the heads of rerankers, which generation does not use. */
static bool is_unneeded(struct span name)
{
    return span_ends_with(name, ".attn_rot_embd") || span_ends_with(name, ".rotary_emb.inv_freq") ||
           (name.size > 4 && memcmp(name.at, "cls.", 4) == 0);
}

static bool all_bound(struct binder *b)
{
    for (size_t i = 0; i < b->model->n_tensors; i++) {
        struct span name = b->model->tensors[i].name;
        char shown[NAME_ROOM];
        text_escape(shown, sizeof(shown), name);
        if (!b->bound[i] && !is_unneeded(name) && !is_further(&b->d->shape, name))
            return error_set(
                b->err, "tensor %s does not belong to architecture %s", shown, b->d->shape.architecture);
    }
    return true;
}

static bool bind_layers(struct binder *b)
{
    struct decoder *d = b->d;
    for (size_t i = 0; i < d->shape.n_layer; i++) {
        if (!bind_layer(b, i))
            return false;
        d->states[i] = d->layers[i].mixer->state(d, i);
    }
    return true;
}

bool decoder_bind(struct decoder *d, const struct checkpoint *c, struct error *err)
{
    struct binder b = {.d = d, .model = c, .err = err, .bound = calloc(c->n_tensors + 1, sizeof(bool))};
    if (!b.bound)
        return error_set(err, "no memory to bind %zu tensors", c->n_tensors);
    bool good = bind_ends(&b) && bind_rope_factors(&b) && bind_layers(&b) && all_bound(&b);
    free(b.bound);
    return good;
}
