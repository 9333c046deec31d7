/* tiny_encoder.h - small encoders with random float32 weights, in memory, and what their tokens' vectors must be.
 *
 * The reference walks the formulas in double, one token after the other, with nothing of the engine's.
 */
#ifndef BERTH_TESTS_TINY_ENCODER_H
#define BERTH_TESTS_TINY_ENCODER_H

#include "gguf_writer.h"

#include <math.h>
#include <stdarg.h>
#include <stdio.h>

enum { ENC_WIDTH = 64, ENC_FF = 96, ENC_HEADS = 4, ENC_HEAD = 16, ENC_LAYERS = 4, ENC_VOCABULARY = 96 };
enum { ENC_CONTEXT = 640, ENC_TENSORS = 128, ENC_WINDOW = 16, ENC_PERIOD = 3 };

/* What the architectures differ in. */
struct encoder_form {
    const char *arch;
    bool positions, types, rope, slopes, gated, biases, fused_qkv, fused_ff, silu, pre_norms;
};

static const struct encoder_form encoder_forms[] = {
    {"bert", .positions = true, .types = true, .biases = true},
    {"nomic-bert", .types = true, .rope = true, .gated = true, .fused_qkv = true, .silu = true},
    {"jina-bert-v2", .types = true, .slopes = true, .gated = true, .biases = true},
    {"jina-bert-v3", .types = true, .rope = true, .biases = true, .fused_qkv = true},
    {"modern-bert", .rope = true, .gated = true, .fused_qkv = true, .fused_ff = true, .pre_norms = true},
};
#define ENCODER_FORMS (sizeof(encoder_forms) / sizeof(encoder_forms[0]))

struct encoder_tensor {
    char name[48];
    size_t rows, columns;
    float *x;
};

struct encoder {
    const struct encoder_form *form;
    int pooling; /* of the key; -1: there is none */
    struct encoder_tensor tensors[ENC_TENSORS];
    size_t n_tensors, n_pairs;
    uint64_t random;
    struct writer w;
    struct gguf *gguf;
};

/* ---- the file ---- */

static inline float encoder_random(struct encoder *e)
{
    e->random = e->random * 6364136223846793005u + 1442695040888963407u;
    return (float)((double)(e->random >> 40) / (1 << 23) - 1);
}

static inline void encoder_add(struct encoder *e, size_t rows, size_t columns, float mean, float spread,
    const char *format, ...) __attribute__((format(printf, 6, 7)));
static inline void encoder_add(
    struct encoder *e, size_t rows, size_t columns, float mean, float spread, const char *format, ...)
{
    va_list args;
    struct encoder_tensor *t = &e->tensors[e->n_tensors++];
    va_start(args, format);
    vsnprintf(t->name, sizeof(t->name), format, args);
    va_end(args);
    t->rows = rows;
    t->columns = columns;
    t->x = malloc(rows * columns * sizeof(float));
    for (size_t i = 0; i < rows * columns; i++)
        t->x[i] = mean + spread * encoder_random(e);
}

static inline void encoder_add_linear(
    struct encoder *e, size_t rows, size_t columns, bool bias, const char *part, size_t layer)
{
    encoder_add(e, rows, columns, 0, 0.2f, "blk.%zu.%s.weight", layer, part);
    if (bias)
        encoder_add(e, 1, rows, 0, 0.3f, "blk.%zu.%s.bias", layer, part);
}

static inline void encoder_add_norm(struct encoder *e, const char *name)
{
    encoder_add(e, 1, ENC_WIDTH, 1, 0.3f, "%s.weight", name);
    if (!e->form->pre_norms)
        encoder_add(e, 1, ENC_WIDTH, 0, 0.3f, "%s.bias", name);
}

static inline void encoder_add_layer(struct encoder *e, size_t i)
{
    const struct encoder_form *f = e->form;
    char name[48];
    static const char *const after[] = {"attn_output_norm", "layer_output_norm"}, *const before[] = {
                                                                                      "attn_norm",
                                                                                      "ffn_norm"};
    for (int k = f->pre_norms && i == 0; k < 2; k++) {
        snprintf(name, sizeof(name), "blk.%zu.%s", i, (f->pre_norms ? before : after)[k]);
        encoder_add_norm(e, name);
    }
    if (f->fused_qkv)
        encoder_add_linear(e, 3 * ENC_WIDTH, ENC_WIDTH, f->biases, "attn_qkv", i);
    for (int k = 0; !f->fused_qkv && k < 3; k++)
        encoder_add_linear(
            e, ENC_WIDTH, ENC_WIDTH, f->biases, ((const char *[]){"attn_q", "attn_k", "attn_v"})[k], i);
    encoder_add_linear(e, ENC_WIDTH, ENC_WIDTH, f->biases, "attn_output", i);
    encoder_add_linear(e, f->fused_ff ? 2 * ENC_FF : ENC_FF, ENC_WIDTH, f->biases && !f->gated, "ffn_up", i);
    if (f->gated && !f->fused_ff)
        encoder_add_linear(e, ENC_FF, ENC_WIDTH, false, "ffn_gate", i);
    encoder_add_linear(e, ENC_WIDTH, ENC_FF, f->biases, "ffn_down", i);
}

static inline void encoder_number(struct encoder *e, struct writer *w, const char *rest, uint32_t value)
{
    char key[96];
    snprintf(key, sizeof(key), "%s.%s", e->form->arch, rest);
    write_pair_u32(w, key, value);
    e->n_pairs++;
}

static inline void encoder_real(struct encoder *e, struct writer *w, const char *rest, float value)
{
    char key[96];
    snprintf(key, sizeof(key), "%s.%s", e->form->arch, rest);
    write_key(w, key, GGUF_F32);
    write_bytes(w, &value, sizeof(value));
    e->n_pairs++;
}

static inline void encoder_keys(struct encoder *e, struct writer *w)
{
    char key[96];
    e->n_pairs = 2;
    write_pair_text(w, "general.architecture", e->form->arch);
    snprintf(key, sizeof(key), "%s.attention.causal", e->form->arch);
    write_pair_integer(w, key, GGUF_BOOL, 0);
    encoder_number(e, w, "block_count", ENC_LAYERS);
    encoder_number(e, w, "context_length", ENC_CONTEXT);
    encoder_number(e, w, "embedding_length", ENC_WIDTH);
    encoder_number(e, w, "feed_forward_length", ENC_FF);
    encoder_number(e, w, "attention.head_count", ENC_HEADS);
    encoder_real(e, w, "attention.layer_norm_epsilon", 1e-5f);
    if (e->form->rope)
        encoder_real(e, w, "rope.freq_base", 1000);
    if (e->form->pre_norms) {
        encoder_number(e, w, "attention.sliding_window", ENC_WINDOW);
        encoder_number(e, w, "attention.sliding_window_pattern", ENC_PERIOD);
        encoder_real(e, w, "rope.freq_base_swa", 100);
    }
    if (e->pooling >= 0)
        encoder_number(e, w, "pooling_type", (uint32_t)e->pooling);
}

static inline void encoder_make(
    struct encoder *e, const struct encoder_form *form, int pooling, struct error *err)
{
    uint64_t offset = 0;
    struct writer counted = {0};
    *e = (struct encoder){.form = form, .pooling = pooling, .random = 42};
    encoder_add(e, ENC_VOCABULARY, ENC_WIDTH, 0, 1, "token_embd.weight");
    encoder_add_norm(e, "token_embd_norm");
    if (form->types)
        encoder_add(e, 2, ENC_WIDTH, 0, 0.5f, "token_types.weight");
    if (form->positions)
        encoder_add(e, ENC_CONTEXT, ENC_WIDTH, 0, 0.5f, "position_embd.weight");
    if (form->pre_norms)
        encoder_add_norm(e, "output_norm");
    for (size_t i = 0; i < ENC_LAYERS; i++)
        encoder_add_layer(e, i);
    encoder_keys(e, &counted);
    writer_release(&counted);
    write_header(&e->w, 3, e->n_tensors, e->n_pairs);
    encoder_keys(e, &e->w);
    for (size_t i = 0; i < e->n_tensors; i++) {
        const struct encoder_tensor *t = &e->tensors[i];
        write_tensor(
            &e->w, t->name, t->rows == 1 ? DIMS(t->columns) : DIMS(t->columns, t->rows), TENSOR_F32, offset);
        offset += (t->rows * t->columns * sizeof(float) + 31) / 32 * 32;
    }
    for (size_t i = 0; i < e->n_tensors; i++) {
        write_padding(&e->w, 32);
        write_bytes(&e->w, e->tensors[i].x, e->tensors[i].rows * e->tensors[i].columns * sizeof(float));
    }
    write_padding(&e->w, 32);
    e->gguf = gguf_read(writer_done(&e->w), err);
}

static inline void encoder_release(struct encoder *e)
{
    gguf_free(e->gguf);
    writer_release(&e->w);
    for (size_t i = 0; i < e->n_tensors; i++)
        free(e->tensors[i].x);
}

/* ---- the reference ---- */

/* The tensor "blk.LAYER.NAME", or NAME; NULL where there is none. */
static inline const float *encoder_find(const struct encoder *e, const char *name, int layer)
{
    char whole[64];
    if (layer < 0)
        snprintf(whole, sizeof(whole), "%s", name);
    else
        snprintf(whole, sizeof(whole), "blk.%d.%s", layer, name);
    for (size_t i = 0; i < e->n_tensors; i++)
        if (strcmp(e->tensors[i].name, whole) == 0)
            return e->tensors[i].x;
    return NULL;
}

static inline void encoder_norm(const struct encoder *e, double *x, const char *stem, int layer)
{
    char part[48];
    snprintf(part, sizeof(part), "%s.weight", stem);
    const float *weight = encoder_find(e, part, layer);
    snprintf(part, sizeof(part), "%s.bias", stem);
    const float *bias = encoder_find(e, part, layer);
    double mean = 0, variance = 0;
    if (!weight)
        return;
    for (int i = 0; i < ENC_WIDTH; i++)
        mean += x[i] / ENC_WIDTH;
    for (int i = 0; i < ENC_WIDTH; i++)
        variance += (x[i] - mean) * (x[i] - mean) / ENC_WIDTH;
    for (int i = 0; i < ENC_WIDTH; i++)
        x[i] = (x[i] - mean) / sqrt(variance + 1e-5) * (double)weight[i] + (bias ? (double)bias[i] : 0);
}

/* Rows first … first + rows - 1 of a linear. */
static inline void encoder_linear(const struct encoder *e, double *out, const double *x, size_t columns,
    size_t first, size_t rows, const char *stem, int layer)
{
    char part[48];
    snprintf(part, sizeof(part), "%s.weight", stem);
    const float *weight = encoder_find(e, part, layer);
    snprintf(part, sizeof(part), "%s.bias", stem);
    const float *bias = encoder_find(e, part, layer);
    for (size_t r = 0; r < rows; r++) {
        out[r] = bias ? (double)bias[first + r] : 0;
        for (size_t c = 0; c < columns; c++)
            out[r] += (double)weight[(first + r) * columns + c] * x[c];
    }
}

static inline void encoder_rotate(double *x, size_t position, double base)
{
    for (int i = 0; i < ENC_HEAD / 2; i++) {
        double angle = (double)position * pow(base, -2.0 * i / ENC_HEAD);
        double a = x[i], b = x[i + ENC_HEAD / 2];
        x[i] = a * cos(angle) - b * sin(angle);
        x[i + ENC_HEAD / 2] = a * sin(angle) + b * cos(angle);
    }
}

static inline bool encoder_is_local(const struct encoder *e, int layer)
{
    return e->form->pre_norms && layer % ENC_PERIOD != 0;
}

/* q, k, v [n][ENC_WIDTH] each. */
static inline void encoder_attend(const struct encoder *e, int layer, size_t n, const double *q,
    const double *k, const double *v, double *out)
{
    for (size_t t = 0; t < n; t++)
        for (size_t h = 0; h < ENC_HEADS; h++) {
            double sum = 0, *to = out + t * ENC_WIDTH + h * ENC_HEAD,
                   slope = pow(2, -8.0 * (double)(h + 1) / ENC_HEADS);
            memset(to, 0, ENC_HEAD * sizeof(*to));
            for (size_t j = 0; j < n; j++) {
                double score = 0, distance = fabs((double)t - (double)j);
                if (encoder_is_local(e, layer) && distance > ENC_WINDOW / 2)
                    continue;
                for (size_t i = 0; i < ENC_HEAD; i++)
                    score += q[t * ENC_WIDTH + h * ENC_HEAD + i] * k[j * ENC_WIDTH + h * ENC_HEAD + i];
                score = exp(score / sqrt(ENC_HEAD) - (e->form->slopes ? slope * distance : 0));
                sum += score;
                for (size_t i = 0; i < ENC_HEAD; i++)
                    to[i] += score * v[j * ENC_WIDTH + h * ENC_HEAD + i];
            }
            for (size_t i = 0; i < ENC_HEAD; i++)
                to[i] /= sum;
        }
}

static inline void encoder_qkv(
    const struct encoder *e, int layer, size_t position, double *x, double *q, double *k, double *v)
{
    static const char *const names[] = {"attn_q", "attn_k", "attn_v"};
    double *const to[] = {q, k, v}, base = encoder_is_local(e, layer) ? 100 : 1000;
    for (size_t i = 0; i < 3; i++) {
        bool fused = e->form->fused_qkv;
        encoder_linear(e, to[i], x, ENC_WIDTH, fused ? i * ENC_WIDTH : 0, ENC_WIDTH,
            fused ? "attn_qkv" : names[i], layer);
        for (int h = 0; e->form->rope && i < 2 && h < ENC_HEADS; h++)
            encoder_rotate(to[i] + h * ENC_HEAD, position, base);
    }
}

static inline void encoder_feed(const struct encoder *e, int layer, const double *x, double *out)
{
    double up[ENC_FF], gate[ENC_FF];
    const struct encoder_form *f = e->form;
    encoder_linear(e, up, x, ENC_WIDTH, f->fused_ff ? ENC_FF : 0, ENC_FF, "ffn_up", layer);
    if (f->gated)
        encoder_linear(e, gate, x, ENC_WIDTH, 0, ENC_FF, f->fused_ff ? "ffn_up" : "ffn_gate", layer);
    for (int i = 0; i < ENC_FF; i++) {
        double g = f->gated ? gate[i] : up[i];
        g = f->silu ? g / (1 + exp(-g)) : g / 2 * (1 + erf(g / sqrt(2)));
        up[i] = f->gated ? g * up[i] : g;
    }
    encoder_linear(e, out, up, ENC_FF, 0, ENC_WIDTH, "ffn_down", layer);
}

static inline void encoder_sum(
    const struct encoder *e, double *x, const double *more, const char *norm, int layer)
{
    for (int i = 0; i < ENC_WIDTH; i++)
        x[i] += more[i];
    if (!e->form->pre_norms)
        encoder_norm(e, x, norm, layer);
}

static inline void encoder_layer(const struct encoder *e, int layer, size_t n, double *x)
{
    size_t floats = n * ENC_WIDTH;
    double *q = calloc(4 * floats, sizeof(*q)), *k = q + floats, *v = k + floats, *att = v + floats;
    double row[ENC_WIDTH], more[ENC_WIDTH];
    for (size_t t = 0; t < n; t++) {
        size_t at = t * ENC_WIDTH;
        memcpy(row, x + at, sizeof(row));
        if (e->form->pre_norms)
            encoder_norm(e, row, "attn_norm", layer);
        encoder_qkv(e, layer, t, row, q + at, k + at, v + at);
    }
    encoder_attend(e, layer, n, q, k, v, att);
    for (size_t t = 0; t < n; t++) {
        double *own = x + t * ENC_WIDTH;
        encoder_linear(e, more, att + t * ENC_WIDTH, ENC_WIDTH, 0, ENC_WIDTH, "attn_output", layer);
        encoder_sum(e, own, more, "attn_output_norm", layer);
        memcpy(row, own, sizeof(row));
        if (e->form->pre_norms)
            encoder_norm(e, row, "ffn_norm", layer);
        encoder_feed(e, layer, row, more);
        encoder_sum(e, own, more, "layer_output_norm", layer);
    }
    free(q);
}

/* Vectors of the tokens, x[n][ENC_WIDTH]. */
static inline void encoder_run(const struct encoder *e, const int32_t *ids, size_t n, double *x)
{
    const float *words = encoder_find(e, "token_embd.weight", -1),
                *types = encoder_find(e, "token_types.weight", -1);
    const float *positions = encoder_find(e, "position_embd.weight", -1);
    for (size_t t = 0; t < n; t++) {
        for (size_t i = 0; i < ENC_WIDTH; i++)
            x[t * ENC_WIDTH + i] = (double)words[(size_t)ids[t] * ENC_WIDTH + i] +
                                   (types ? (double)types[i] : 0) +
                                   (positions ? (double)positions[t * ENC_WIDTH + i] : 0);
        encoder_norm(e, x + t * ENC_WIDTH, "token_embd_norm", -1);
    }
    for (int layer = 0; layer < ENC_LAYERS; layer++)
        encoder_layer(e, layer, n, x);
    for (size_t t = 0; e->form->pre_norms && t < n; t++)
        encoder_norm(e, x + t * ENC_WIDTH, "output_norm", -1);
}

#endif
