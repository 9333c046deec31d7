/* vocabulary.h - for tests of the tokenizer: vocabularies from files and made by hand, and ids compared as text. */
#ifndef BERTH_TESTS_VOCABULARY_H
#define BERTH_TESTS_VOCABULARY_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "berth/engine/tokenizer/tokenizer.h"
#include "gguf_writer.h"

#include <cmocka.h>

#define VECTORS "tests/vectors/tokenizer/"

static inline struct span read_file(const char *path)
{
    FILE *f = fopen(path, "rb");
    if (!f)
        fail_msg("%s cannot be read; run this from the top of the sources", path);
    uint8_t *bytes = malloc(1 << 20);
    size_t size = fread(bytes, 1, 1 << 20, f);
    fclose(f);
    return (struct span){realloc(bytes, size), size};
}

static inline void release(struct span s)
{
    free((void *)(uintptr_t)s.at);
}

/* A file's bytes, and the gguf and tokenizer that point into them. */
struct opened {
    struct span bytes;
    struct gguf *g;
    struct tokenizer *t;
};

static inline struct opened open_bytes(struct span bytes)
{
    struct error err = {0};
    struct opened o = {.bytes = bytes};
    o.g = gguf_read(bytes, &err);
    if (!o.g)
        fail_msg("%s", err.text);
    o.t = tokenizer_new(&o.g->checkpoint, &err);
    if (!o.t)
        fail_msg("%s", err.text);
    return o;
}

static inline void close_opened(struct opened *o)
{
    tokenizer_free(o->t);
    gguf_free(o->g);
    release(o->bytes);
}

/* bpe.gguf with another pre-tokenizer: the name is the last thing in the file. */
static inline struct opened open_bpe(const char *pre)
{
    struct span file = read_file(VECTORS "bpe.gguf");
    size_t keep = file.size - 8 - strlen("default");
    struct writer w = {0};
    write_bytes(&w, file.at, keep);
    write_text(&w, pre);
    release(file);
    return open_bytes(writer_done(&w));
}

struct word {
    const char *text;
    int32_t kind;
    float score;
};

static inline void write_words(struct writer *w, const struct word words[], uint64_t n)
{
    write_pair_array(w, "tokenizer.ggml.tokens", GGUF_STRING, n);
    for (uint64_t i = 0; i < n; i++)
        write_text(w, words[i].text);
    write_pair_array(w, "tokenizer.ggml.token_type", GGUF_I32, n);
    for (uint64_t i = 0; i < n; i++)
        write_u32(w, (uint32_t)words[i].kind);
    write_pair_array(w, "tokenizer.ggml.scores", GGUF_F32, n);
    for (uint64_t i = 0; i < n; i++)
        write_bytes(w, &words[i].score, sizeof(float));
}

/* A SentencePiece vocabulary of these words and no others, whose model is called `name`. */
static inline struct opened open_words(const struct word words[], uint64_t n, const char *name)
{
    struct writer w = {0};
    write_header(&w, 3, 0, 6);
    write_pair_text(&w, "general.name", name);
    write_pair_text(&w, "tokenizer.ggml.model", "llama");
    write_pair_integer(&w, "tokenizer.ggml.add_space_prefix", GGUF_BOOL, 0);
    write_words(&w, words, n);
    return open_bytes(writer_done(&w));
}

static inline void assert_ids(const struct tokenizer *t, const struct tokenizer_text *in, const char *wanted)
{
    struct error err = {0};
    struct tokenizer_ids ids = {0};
    char given[256] = "";
    size_t n = 0;
    assert_true(tokenizer_encode(t, in, &ids, &err));
    for (size_t i = 0; i < ids.n; i++)
        n += (size_t)snprintf(given + n, sizeof(given) - n, i ? " %d" : "%d", ids.at[i]);
    assert_string_equal(given, wanted);
    tokenizer_ids_release(&ids);
}

enum { NORMAL = 1, UNKNOWN = 2, CONTROL = 3, USER = 4 };

#endif
