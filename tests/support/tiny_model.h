/* tiny_model.h - small decoder models with random weights, whole or spoilt in one place, in memory.
 *
 * Enough of each architecture for its own ways to matter: several layers, heads in groups, weights of several
 * types with and without an int8 path. An edit leaves out one key or tensor, gives a key another value, a
 * tensor another shape or adds a tensor.
 */
#ifndef BERTH_TESTS_TINY_MODEL_H
#define BERTH_TESTS_TINY_MODEL_H

#include "gguf_writer.h"

#include "berth/base/half.h"

#include <stdio.h>

#define TINY_WIDTH 64
#define TINY_FF 96
#define TINY_HEADS 4
#define TINY_KV_HEADS 2
#define TINY_HEAD 16
#define TINY_VOCABULARY 96
#define TINY_CONTEXT 4096
#define TINY_TENSORS 128

struct tiny_edit {
    const char *without; /* a key, without the architecture's name, or a tensor */
    const char *key; /* takes `value` instead, or in addition */
    double value;
    const char *tensor; /* gets these dimensions instead, or in addition */
    uint64_t columns, rows;
};

struct tiny_tensor {
    char name[64];
    uint64_t columns, rows;
    uint32_t type;
};

struct tiny {
    const char *arch;
    const struct tiny_edit *edit;
    struct writer w;
    struct tiny_tensor tensors[TINY_TENSORS];
    size_t n_tensors, n_pairs;
    uint64_t random;
    struct gguf *gguf;
    struct gguf *files[1];
    struct gguf_model model;
};

static inline uint32_t tiny_random(struct tiny *t)
{
    t->random ^= t->random << 13;
    t->random ^= t->random >> 7;
    t->random ^= t->random << 17;
    return (uint32_t)(t->random >> 20);
}

/* ---- keys ---- */

static inline void tiny_key(struct tiny *t, struct writer *w, const char *key, double value, bool real)
{
    char name[96];
    const struct tiny_edit *e = t->edit;
    if (e && e->without && strcmp(e->without, key) == 0)
        return;
    if (e && e->key && strcmp(e->key, key) == 0)
        value = e->value;
    snprintf(name, sizeof(name), "%s.%s", t->arch, key);
    if (real) {
        float single = (float)value;
        write_key(w, name, GGUF_F32);
        write_bytes(w, &single, sizeof(single));
    } else {
        write_pair_u32(w, name, (uint32_t)value);
    }
    t->n_pairs++;
}

static inline size_t tiny_layers(const struct tiny *t)
{
    return strcmp(t->arch, "gemma2") == 0 ? 3 : 2;
}

static inline void tiny_keys(struct tiny *t, struct writer *w)
{
    static const char *const usual[] = {"block_count", "embedding_length", "context_length",
        "feed_forward_length", "attention.head_count", "attention.head_count_kv",
        "attention.layer_norm_rms_epsilon", "rope.freq_base", "attention.key_length",
        "attention.value_length", "vocab_size", "attention.sliding_window"};
    const struct tiny_edit *e = t->edit;
    write_pair_text(w, "general.architecture", t->arch);
    t->n_pairs = 1;
    tiny_key(t, w, "block_count", (double)tiny_layers(t), false);
    tiny_key(t, w, "embedding_length", TINY_WIDTH, false);
    tiny_key(t, w, "context_length", TINY_CONTEXT, false);
    tiny_key(t, w, "feed_forward_length", TINY_FF, false);
    tiny_key(t, w, "attention.head_count", TINY_HEADS, false);
    tiny_key(t, w, "attention.head_count_kv", TINY_KV_HEADS, false);
    tiny_key(t, w, "attention.key_length", TINY_HEAD, false);
    tiny_key(t, w, "attention.value_length", TINY_HEAD, false);
    tiny_key(t, w, "vocab_size", TINY_VOCABULARY, false);
    tiny_key(t, w, "attention.layer_norm_rms_epsilon", 1e-5, true);
    tiny_key(t, w, "rope.freq_base", 10000, true);
    if (strcmp(t->arch, "gemma2") == 0)
        tiny_key(t, w, "attention.sliding_window", 32, false);
    bool known = !e || !e->key;
    for (size_t i = 0; i < sizeof(usual) / sizeof(usual[0]) && !known; i++)
        known = strcmp(e->key, usual[i]) == 0;
    if (!known)
        tiny_key(t, w, e->key, e->value, e->value != (double)(uint32_t)e->value);
}

/* ---- tensors ---- */

static inline void tiny_tensor(
    struct tiny *t, const char *name, uint64_t columns, uint64_t rows, uint32_t type)
{
    const struct tiny_edit *e = t->edit;
    struct tiny_tensor *new = &t->tensors[t->n_tensors];
    if (e && e->without && strcmp(e->without, name) == 0)
        return;
    snprintf(new->name, sizeof(new->name), "%.63s", name);
    new->columns = columns;
    new->rows = rows;
    new->type = type;
    if (e && e->tensor && strcmp(e->tensor, name) == 0) {
        new->columns = e->columns;
        new->rows = e->rows;
        new->type = TENSOR_F32;
    }
    t->n_tensors++;
}

static inline void tiny_layer(struct tiny *t, size_t i)
{
    static const struct tiny_tensor tensors[] = {{"attn_norm.weight", TINY_WIDTH, 1, TENSOR_F32},
        {"attn_q.weight", TINY_WIDTH, TINY_HEADS * TINY_HEAD, TENSOR_Q8_0},
        {"attn_k.weight", TINY_WIDTH, TINY_KV_HEADS * TINY_HEAD, TENSOR_Q8_0},
        {"attn_v.weight", TINY_WIDTH, TINY_KV_HEADS * TINY_HEAD, TENSOR_F32},
        {"attn_output.weight", TINY_HEADS * TINY_HEAD, TINY_WIDTH, TENSOR_Q4_0},
        {"ffn_norm.weight", TINY_WIDTH, 1, TENSOR_F32}, {"ffn_gate.weight", TINY_WIDTH, TINY_FF, TENSOR_Q4_0},
        {"ffn_up.weight", TINY_WIDTH, TINY_FF, TENSOR_Q4_0},
        {"ffn_down.weight", TINY_FF, TINY_WIDTH, TENSOR_F16},
        {"post_attention_norm.weight", TINY_WIDTH, 1, TENSOR_F32},
        {"post_ffw_norm.weight", TINY_WIDTH, 1, TENSOR_F32}};
    size_t n = sizeof(tensors) / sizeof(tensors[0]) - (strcmp(t->arch, "gemma2") == 0 ? 0 : 2);
    for (size_t k = 0; k < n; k++) {
        char name[96];
        snprintf(name, sizeof(name), "blk.%zu.%.40s", i, tensors[k].name);
        tiny_tensor(t, name, tensors[k].columns, tensors[k].rows, tensors[k].type);
    }
}

static inline void tiny_list(struct tiny *t)
{
    const struct tiny_edit *e = t->edit;
    tiny_tensor(t, "token_embd.weight", TINY_WIDTH, TINY_VOCABULARY, TENSOR_F16);
    tiny_tensor(t, "output_norm.weight", TINY_WIDTH, 1, TENSOR_F32);
    if (strcmp(t->arch, "llama") == 0)
        tiny_tensor(t, "output.weight", TINY_WIDTH, TINY_VOCABULARY, TENSOR_Q8_0);
    for (size_t i = 0; i < tiny_layers(t); i++)
        tiny_layer(t, i);
    bool known = !e || !e->tensor;
    for (size_t i = 0; i < t->n_tensors && !known; i++)
        known = strcmp(t->tensors[i].name, e->tensor) == 0;
    if (!known)
        tiny_tensor(t, e->tensor, e->columns, e->rows, TENSOR_F32);
}

static inline uint64_t tiny_bytes(const struct tiny_tensor *x)
{
    uint64_t elems = x->columns * x->rows;
    switch (x->type) {
    case TENSOR_F16:
        return elems * 2;
    case TENSOR_Q4_0:
        return elems / 32 * 18;
    case TENSOR_Q8_0:
        return elems / 32 * 34;
    default:
        return elems * 4;
    }
}

/* Blocks of random bytes with a small scale, or random numbers; of a norm, around 1. */
static inline void tiny_data(struct tiny *t, struct writer *w, const struct tiny_tensor *x)
{
    uint64_t elems = x->columns * x->rows;
    if (x->type == TENSOR_F32 || x->type == TENSOR_F16) {
        for (uint64_t i = 0; i < elems; i++) {
            float value = ((float)(tiny_random(t) % 2001) - 1000) / 4000 + (x->rows == 1 ? 1 : 0);
            uint16_t half = half_from_float(value);
            if (x->type == TENSOR_F32)
                write_bytes(w, &value, sizeof(value));
            else
                write_bytes(w, &half, sizeof(half));
        }
        return;
    }
    uint16_t scale = half_from_float(x->type == TENSOR_Q4_0 ? 0.03f : 0.002f);
    for (uint64_t block = 0; block < elems / 32; block++) {
        write_bytes(w, &scale, sizeof(scale));
        for (int i = 0; i < (x->type == TENSOR_Q4_0 ? 16 : 32); i++) {
            uint8_t byte = (uint8_t)tiny_random(t);
            write_bytes(w, &byte, 1);
        }
    }
}

/* Makes the model's file in memory and reads it. `edit` may be NULL. */
static inline void tiny_make(
    struct tiny *t, const char *arch, const struct tiny_edit *edit, struct error *err)
{
    *t = (struct tiny){.arch = arch, .edit = edit, .random = 88172645463325252u};
    struct writer counted = {0};
    tiny_keys(t, &counted);
    writer_release(&counted);
    tiny_list(t);
    write_header(&t->w, 3, t->n_tensors, t->n_pairs);
    tiny_keys(t, &t->w);
    uint64_t offset = 0;
    for (size_t i = 0; i < t->n_tensors; i++) {
        const struct tiny_tensor *x = &t->tensors[i];
        write_tensor(
            &t->w, x->name, x->rows == 1 ? DIMS(x->columns) : DIMS(x->columns, x->rows), x->type, offset);
        offset += (tiny_bytes(x) + 31) / 32 * 32;
    }
    for (size_t i = 0; i < t->n_tensors; i++) {
        write_padding(&t->w, 32);
        tiny_data(t, &t->w, &t->tensors[i]);
    }
    write_padding(&t->w, 32);
    t->gguf = gguf_read(writer_done(&t->w), err);
    t->files[0] = t->gguf;
    t->model = (struct gguf_model){.n_files = 1, .files = t->files};
}

static inline void tiny_release(struct tiny *t)
{
    gguf_free(t->gguf);
    writer_release(&t->w);
}

#endif
