/* bind.c - finds the tensors that a shape asks for, and checks them against it.
 *
 * Every tensor must have the shape that the keys imply; otherwise the model is refused, and the reason names the tensor.
 * A tensor that no layer asks for is a reason to refuse as well: the file is another model than its architecture says, and
 * would answer nonsense.
 *
 * Matrices are views on the file. So are vectors (norms, biases) that are float32 and aligned; other vectors are copied.
 */
#include "bind_private.h"

#include "forward_private.h"

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

bool bind_refuse(struct binder *b, const char *reason)
{
    return error_set(b->err, "%s", reason);
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

/* Tensors of the architecture's files that no result depends on: whole names, or, with a dot first, their ends. */
static bool is_unused(const struct decoder *d, struct span name)
{
    for (const char *const *end = d->shape.unused; end && *end; end++)
        if (**end == '.' ? span_ends_with(name, *end) : span_is(name, *end))
            return true;
    return false;
}

static const struct tensor *find(const struct binder *b, const char *name)
{
    return is_unused(b->d, span_of(name)) ? NULL : checkpoint_tensor(b->model, name);
}

bool bind_has(const struct binder *b, const char *stem)
{
    return find(b, bind_name(stem, "weight").text) != NULL;
}

uint64_t bind_rows(const struct binder *b, const char *stem)
{
    const struct tensor *t = find(b, bind_name(stem, "weight").text);
    return t ? t->dim[1] : 0;
}

/* Finds [depth][rows][columns]; a matrix has a depth of 1, a vector is one row. Trailing dimensions of 1 make no
 * difference, and those between columns and rows make none in a matrix. */
static const struct tensor *find_deep(
    struct binder *b, const char *name, uint64_t depth, uint64_t rows, uint64_t columns)
{
    const struct tensor *t = find(b, name);
    char third[24] = "";
    if (!t) {
        error_set(b->err, "tensor %s is missing", name);
        return NULL;
    }
    bool apart = depth == 1 && t->dim[1] == 1 && t->dim[2] == 1 && t->dim[3] == rows;
    if (t->dim[0] != columns || (!apart && (t->dim[1] != rows || t->dim[2] != depth || t->dim[3] != 1))) {
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

float *bind_memory(struct binder *b, size_t elems, const char *name)
{
    struct copy *c = copy_new(b, elems, name);
    return c ? c->values : NULL;
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

bool bind_blocks(
    struct binder *b, const char *name, uint64_t rows, uint64_t columns, uint64_t block, const float **out)
{
    const float *whole;
    size_t blocks = (size_t)((rows + block - 1) / block), floats = (size_t)(columns * block);
    if (!bind_vector(b, name, rows, columns, &whole))
        return false;
    struct copy *c = copy_new(b, blocks * floats, name);
    if (!c)
        return false;
    memset(c->values, 0, blocks * floats * sizeof(float));
    for (size_t i = 0; i < rows; i++)
        for (size_t j = 0; j < columns; j++)
            c->values[i / block * floats + j * block + i % block] = whole[i * columns + j];
    *out = c->values;
    return true;
}

bool bind_transposed(struct binder *b, const char *name, uint64_t rows, uint64_t columns, const float **out)
{
    return bind_blocks(b, name, rows, columns, rows, out);
}

bool bind_channels(
    struct binder *b, const char *const names[], size_t n, uint64_t rows, uint64_t columns, const float **out)
{
    struct copy *c = copy_new(b, n * rows * columns, names[0]);
    for (size_t part = 0; c && part < n; part++) {
        const struct tensor *t = find(b, names[part]);
        bool flat = t && t->dim[1] == 1 && t->dim[2] == rows;
        if (!(t = find_deep(b, names[part], flat ? rows : 1, flat ? 1 : rows, columns)))
            return false;
        const float *whole = copy_vector(b, t, names[part]);
        if (!whole)
            return false;
        for (size_t i = 0; i < rows * columns; i++)
            c->values[i % columns * n * rows + part * rows + i / columns] = whole[i];
    }
    if (c)
        *out = c->values;
    return c != NULL;
}

bool bind_weight_or_stem(struct binder *b, const char *stem, uint64_t columns, const float **out)
{
    return bind_optional(b, bind_has(b, stem) ? bind_name(stem, "weight").text : stem, 1, columns, out);
}

/* ---- matrices ---- */

bool bind_matrix(
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

bool bind_product(struct binder *b, const char *stem, uint64_t rows, uint64_t columns, struct linear *l)
{
    if (!bind_matrix(b, bind_name(stem, "weight").text, rows, columns, &l->weight))
        return false;
    note_packed(b->d, &l->weight);
    return true;
}

bool bind_linear(struct binder *b, const char *stem, uint64_t rows, uint64_t columns, struct linear *l)
{
    return bind_product(b, stem, rows, columns, l) && bind_companions(b, stem, l);
}

/* Old files have a tensor for each expert: "blk.0.ffn_up.7.weight" in place of number 7 of "blk.0.ffn_up_exps.weight". */
static bool bind_each_expert(struct binder *b, const char *stem, uint64_t experts, uint64_t rows,
    uint64_t columns, struct expert_weights *w)
{
    int length = (int)(strlen(stem) - strlen("_exps"));
    const uint8_t **parts =
        (const uint8_t **)(void *)bind_memory(b, experts * sizeof(*parts) / sizeof(float), stem);
    if (!parts)
        return false;
    for (uint64_t e = 0; e < experts; e++) {
        char part[NAME_ROOM];
        struct matmul_weight weight;
        snprintf(part, sizeof(part), "%.*s.%" PRIu64 ".weight", length, stem, e);
        if (!bind_matrix(b, part, rows, columns, &weight))
            return false;
        if (e > 0 && weight.type != w->first.weight.type)
            return error_set(b->err, "tensor %s has another type than those of the other experts", part);
        w->first.weight = weight;
        parts[e] = weight.data;
    }
    note_packed(b->d, &w->first.weight);
    w->first.weight.data = parts[0];
    w->parts = parts;
    return true;
}

static bool has_each_expert(const struct binder *b, const char *stem)
{
    char part[NAME_ROOM];
    size_t length = strlen(stem), end = strlen("_exps");
    if (bind_has(b, stem) || length < end || strcmp(stem + length - end, "_exps") != 0)
        return false;
    snprintf(part, sizeof(part), "%.*s.0.weight", (int)(length - end), stem);
    return find(b, part) != NULL;
}

/* The usual form: one tensor. */
static bool bind_joint_experts(struct binder *b, const char *stem, uint64_t experts, uint64_t rows,
    uint64_t columns, struct expert_weights *w)
{
    struct name name = bind_name(stem, "weight");
    const struct tensor *t = find_deep(b, name.text, experts, rows, columns);
    struct matmul_weight *first = &w->first.weight;
    if (!t)
        return false;
    if (!matmul_weight_init(first, t->type->id, t->data, rows, columns, b->d->as_float))
        return error_set(
            b->err, "tensor %s has type %s, which weights cannot have", name.text, t->type->name);
    note_packed(b->d, first);
    return true;
}

bool bind_experts(struct binder *b, const char *stem, uint64_t experts, uint64_t rows, uint64_t columns,
    struct expert_weights *w)
{
    const float *ignored;
    if (!(has_each_expert(b, stem) ? bind_each_expert(b, stem, experts, rows, columns, w)
                                   : bind_joint_experts(b, stem, experts, rows, columns, w)))
        return false;
    w->bytes = rows * w->first.weight.row_bytes;
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

/* ---- norms ---- */

/* "STEM.weight", or "STEM" in files of some converters. */
static struct name norm_name(const struct binder *b, const char *stem)
{
    struct name name = bind_name(stem, "weight");
    if (!find(b, name.text) && find(b, stem))
        snprintf(name.text, sizeof(name.text), "%s", stem);
    return name;
}

static bool bind_norm(struct binder *b, const char *stem, struct norm *n)
{
    const struct decoder_shape *s = &b->d->shape;
    n->groups = s->norm_groups;
    n->bare = s->bare_norms;
    return n->bare || (bind_vector(b, norm_name(b, stem).text, 1, s->n_embd, &n->weight) &&
                          bind_optional(b, bind_name(stem, "bias").text, 1, s->n_embd, &n->bias));
}

static bool bind_post_norm(struct binder *b, struct stem stem, struct norm *n)
{
    n->epsilon = b->d->shape.post_epsilon;
    return bind_norm(b, stem.text, n);
}

/* Layers whose halves stand side by side have one norm for both, or one for each. With attn_norm_2 that is the mixer's,
 * and attn_norm the feed-forward's (Falcon 40B). */
static bool bind_parallel_norms(struct binder *b, size_t i, struct layer *l)
{
    struct stem attn = bind_stem(i, "attn_norm"), other = bind_stem(i, "attn_norm_2");
    struct stem ffn = bind_stem(i, "ffn_norm");
    l->parallel_residual = true;
    if (bind_has(b, other.text))
        return bind_norm(b, other.text, &l->mixer_norm) && bind_norm(b, attn.text, &l->ffn_norm);
    if (!bind_norm(b, attn.text, &l->mixer_norm))
        return false;
    l->ffn_norm = l->mixer_norm;
    return !bind_has(b, ffn.text) || bind_norm(b, ffn.text, &l->ffn_norm);
}

static bool bind_pre_norms(struct binder *b, size_t i, struct layer *l)
{
    const struct decoder_shape *s = &b->d->shape;
    struct stem ffn = bind_stem(i, s->ffn_norm ? s->ffn_norm : "ffn_norm");
    if (s->no_pre_norms)
        return true;
    if (s->parallel_residual || (s->ffn_norm_optional && !bind_has(b, ffn.text)))
        return bind_parallel_norms(b, i, l);
    struct stem attn = bind_stem(i, "attn_norm");
    bool without = i == 0 && s->first_norm_optional && !bind_has(b, attn.text);
    return (without || bind_norm(b, attn.text, &l->mixer_norm)) && bind_norm(b, ffn.text, &l->ffn_norm);
}

/* The second one where only that is there. */
static struct stem either_stem(const struct binder *b, size_t i, const char *first, const char *second)
{
    struct stem other = bind_stem(i, second);
    return bind_has(b, bind_stem(i, first).text) || !bind_has(b, other.text) ? bind_stem(i, first) : other;
}

static bool bind_layer_norms(struct binder *b, size_t i, struct layer *l)
{
    struct stem attn = bind_stem(i, "attn_norm"), ffn = bind_stem(i, "ffn_norm");
    if (!l->mixer || !l->ffn) /* one norm, which most files call the mixer's even before a feed-forward */
        return (!l->mixer && !l->ffn) ||
               bind_norm(b,
                   !l->mixer && !bind_has(b, attn.text) && bind_has(b, ffn.text) ? ffn.text : attn.text,
                   l->mixer ? &l->mixer_norm : &l->ffn_norm);
    return bind_pre_norms(b, i, l) &&
           (!b->d->shape.post_norms ||
               (bind_post_norm(
                    b, either_stem(b, i, "post_attention_norm", "attn_output_norm"), &l->mixer_post_norm) &&
                   bind_post_norm(
                       b, either_stem(b, i, "post_ffw_norm", "layer_output_norm"), &l->ffn_post_norm)));
}

/* ---- layers ---- */

static bool bind_layer(struct binder *b, size_t i)
{
    struct layer *l = &b->d->layers[i];
    struct name skip = bind_name(bind_stem(i, "layer_output_scale").text, "weight");
    const struct stream_kind *streams = b->d->shape.streams;
    return inputs_bind_layer(b, i) && (!streams || streams->bind_layer(b, i)) &&
           (!b->d->shape.embedding_skip || bind_vector(b, skip.text, 1, 1, &l->embedding_skip)) &&
           bind_layer_norms(b, i, l) && (!l->mixer || l->mixer->bind(b, i)) &&
           (!l->second || l->second->bind(b, i)) && (!l->ffn || l->ffn->bind(b, i));
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

/* Row 0 of the embeddings of token types: texts of one part are of this type throughout. */
static bool bind_token_type(struct binder *b)
{
    struct matmul_weight types;
    uint64_t rows = bind_rows(b, "token_types");
    size_t width = b->d->shape.n_embd;
    if (!bind_has(b, "token_types"))
        return true;
    float *first = bind_memory(b, width, "token_types.weight");
    if (!first || !bind_matrix(b, "token_types.weight", rows, width, &types))
        return false;
    quant_to_floats(types.type, first, types.data, width / types.type->block_elems);
    b->d->token_type = first;
    return true;
}

/* Learned positions, and the norm of the embedding. */
static bool bind_beginning(struct binder *b)
{
    struct decoder *d = b->d;
    const struct decoder_shape *s = &d->shape;
    const struct attention_layer *first = &d->layers[0].attention;
    bool slopes = d->layers[0].mixer == &layer_attention && first->alibi > 0;
    if (s->positions && !(slopes && !bind_has(b, "position_embd")) &&
        !bind_matrix(b, "position_embd.weight", s->n_ctx_train, s->n_embd, &d->positions))
        return false;
    if (s->low_state && !bind_vector(b, s->low_state, 1, s->n_embd, &d->low_state))
        return false;
    if (!inputs_bind(b) || (s->streams && !s->streams->bind(b)) || (s->encoder && !bind_token_type(b)))
        return false;
    if (!s->embedding_norm)
        return true;
    d->embedding_norm.bare = *s->embedding_norm == '\0';
    return d->embedding_norm.bare || bind_norm(b, s->embedding_norm, &d->embedding_norm);
}

static bool bind_ends(struct binder *b)
{
    struct decoder *d = b->d;
    const struct decoder_shape *s = &d->shape;
    if (!read_vocabulary(b) || !bind_matrix(b, "token_embd.weight", s->n_vocab, s->n_embd, &d->embedding) ||
        !bind_beginning(b) ||
        (!s->sum_norms && !bind_norm(b, s->output_norm ? s->output_norm : "output_norm", &d->output_norm)))
        return false;
    if (s->encoder)
        return true;
    if (bind_has(b, "output"))
        return bind_linear(b, "output", s->n_vocab, s->n_embd, &d->output);
    d->output = (struct linear){.weight = d->embedding};
    note_packed(d, &d->embedding);
    return bind_companions(b, "output", &d->output);
}

static bool bind_rope_factors(struct binder *b)
{
    struct decoder *d = b->d;
    size_t pairs = d->rope.global.n_rot / 2;
    return d->rope.none ||
           (bind_optional(b, "rope_freqs.weight", 1, pairs, &d->rope_factors) &&
               (!d->rope.long_factors ||
                   (bind_optional(b, "rope_factors_long.weight", 1, pairs, &d->rope_factors_long) &&
                       bind_optional(b, "rope_factors_short.weight", 1, pairs, &d->rope_factors_short))));
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
static bool is_unneeded(const struct decoder *d, struct span name)
{
    return is_unused(d, name) || span_ends_with(name, ".attn_rot_embd") ||
           span_ends_with(name, ".rotary_emb.inv_freq") || (name.size > 4 && memcmp(name.at, "cls.", 4) == 0);
}

static bool all_bound(struct binder *b)
{
    for (size_t i = 0; i < b->model->n_tensors; i++) {
        struct span name = b->model->tensors[i].name;
        char shown[NAME_ROOM];
        text_escape(shown, sizeof(shown), name);
        if (!b->bound[i] && !is_unneeded(b->d, name) && !is_further(&b->d->shape, name))
            return error_set(
                b->err, "tensor %s does not belong to architecture %s", shown, b->d->shape.architecture);
    }
    return true;
}

/* Of mixers that stand side by side one has keys and values, and the other is recurrent. What a feed-forward stores lies
 * behind the mixer's. */
static struct layer_state state_of(const struct decoder *d, size_t i)
{
    const struct layer *l = &d->layers[i];
    struct layer_state state = l->mixer ? l->mixer->state(d, i) : (struct layer_state){0};
    if (l->second)
        state.recurrent_floats += l->second->state(d, i).recurrent_floats;
    if (l->ffn && l->ffn->state)
        state.recurrent_floats += l->ffn->state(d, i).recurrent_floats;
    return state;
}

static bool bind_layers(struct binder *b)
{
    struct decoder *d = b->d;
    size_t n_layer = d->shape.n_layer, n_blocks = d->shape.n_blocks > 0 ? d->shape.n_blocks : n_layer;
    for (size_t i = 0; i < n_blocks; i++)
        if (!bind_layer(b, i))
            return false;
    if (n_blocks < n_layer && !bind_shared_blocks(b))
        return false;
    for (size_t i = 0; i < n_layer; i++)
        d->states[i] = state_of(d, i);
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
