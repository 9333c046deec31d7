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

/* A file with another pre-tokenizer: the name, which was `old`, is the last thing in it. */
static inline struct opened open_renamed(const char *path, const char *old, const char *pre)
{
    struct span file = read_file(path);
    size_t keep = file.size - 8 - strlen(old);
    struct writer w = {0};
    write_bytes(&w, file.at, keep);
    write_text(&w, pre);
    release(file);
    return open_bytes(writer_done(&w));
}

static inline struct opened open_bpe(const char *pre)
{
    return open_renamed(VECTORS "bpe.gguf", "default", pre);
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

/* The program of the reference has room for 16 ids more than the text has bytes, and prints none when that is not enough. */
static inline void assert_line(
    const struct tokenizer_ids *ids, struct span *rest, size_t line, size_t text_bytes)
{
    char wanted[4096], given[4096] = "";
    const uint8_t *end = memchr(rest->at, '\n', rest->size);
    assert_non_null(end);
    size_t size = (size_t)(end - rest->at), n = 0;
    assert_true(size < sizeof(wanted));
    memcpy(wanted, rest->at, size);
    wanted[size] = '\0';
    for (size_t i = 0; i < ids->n; i++)
        n += (size_t)snprintf(given + n, sizeof(given) - n, i ? " %d" : "%d", ids->at[i]);
    bool no_room = size == 0 && ids->n > text_bytes + 16;
    if (!no_room && strcmp(given, wanted) != 0)
        fail_msg("text %zu gives %s and should give %s", line, given, wanted);
    *rest = (struct span){end + 1, rest->size - size - 1};
}

/* Compares the ids of each of the texts with the reference's. */
static inline void assert_vectors_special(
    const struct tokenizer *t, const char *ids_file, bool special, bool parse)
{
    struct span texts = read_file(VECTORS "texts"), wanted = read_file(ids_file), rest = wanted;
    size_t line = 0;
    for (size_t at = 0, size; at < texts.size; at += size + 1, line++) {
        size = strlen((const char *)texts.at + at);
        struct error err = {0};
        struct tokenizer_ids ids = {0};
        uint8_t *text = malloc(size); /* exactly so large */
        memcpy(text, texts.at + at, size);
        const struct tokenizer_text in = {
            .text = {text, size}, .add_special = special, .parse_special = parse};
        assert_true(tokenizer_encode(t, &in, &ids, &err));
        assert_line(&ids, &rest, line, size);
        tokenizer_ids_release(&ids);
        free(text);
    }
    assert_int_equal(rest.size, 0);
    assert_true(line > 200);
    release(texts);
    release(wanted);
}

static inline void assert_vectors(const struct tokenizer *t, const char *ids_file, bool marks)
{
    assert_vectors_special(t, ids_file, marks, marks);
}

static inline bool is_utf8(struct span s)
{
    for (size_t n; s.size > 0; s.at += n, s.size -= n)
        if ((n = text_character(s)) == 0)
            return false;
    return true;
}

/* Encodes, then decodes token by token; what has come so far must always end where a character does. */
static inline void assert_round_trip(const struct tokenizer *t, struct span text)
{
    struct error err = {0};
    struct tokenizer_ids ids = {0};
    struct strbuf out;
    struct detokenizer d = {.tokenizer = t, .special = true, .strip = true};
    strbuf_init(&out, 1 << 20);
    assert_true(tokenizer_encode(t, &(struct tokenizer_text){.text = text}, &ids, &err));
    for (size_t i = 0; i < ids.n; i++) {
        detokenizer_add(&d, ids.at[i], &out);
        assert_true(is_utf8((struct span){(const uint8_t *)out.text, out.size}));
    }
    assert_int_equal(d.n_held, 0);
    detokenizer_end(&d, &out);
    assert_int_equal(out.size, text.size);
    assert_memory_equal(out.text, text.at, text.size);
    strbuf_release(&out);
    tokenizer_ids_release(&ids);
}

enum { NORMAL = 1, UNKNOWN = 2, CONTROL = 3, USER = 4 };

#endif
