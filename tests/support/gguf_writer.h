/* gguf_writer.h - writes valid and invalid GGUF files in memory, field by field.
 *
 * The writer checks nothing. After writer_done the bytes end exactly at the end of their block of memory, so that a
 * sanitizer detects a read beyond them.
 */
#ifndef BERTH_TESTS_GGUF_WRITER_H
#define BERTH_TESTS_GGUF_WRITER_H

#include "berth/loaders/gguf.h"

#include <stdlib.h>
#include <string.h>

#define WRITER_FIELDS 256

struct writer {
    uint8_t *at;
    size_t size, room;
    size_t n_fields;
    struct {
        size_t at, size;
    } fields[WRITER_FIELDS]; /* where the first integers of the file lie, for tests that change them */
};

static inline void write_bytes(struct writer *w, const void *bytes, size_t size)
{
    if (w->size + size > w->room) {
        w->room = 2 * (w->size + size);
        w->at = realloc(w->at, w->room);
        if (!w->at)
            abort();
    }
    if (size)
        memcpy(w->at + w->size, bytes, size);
    w->size += size;
}

static inline void write_integer(struct writer *w, uint64_t value, size_t size)
{
    uint8_t bytes[8];
    for (size_t i = 0; i < size; i++)
        bytes[i] = (uint8_t)(value >> (8 * i));
    if (w->n_fields < WRITER_FIELDS) {
        w->fields[w->n_fields].at = w->size;
        w->fields[w->n_fields++].size = size;
    }
    write_bytes(w, bytes, size);
}

static inline void write_u32(struct writer *w, uint32_t value)
{
    write_integer(w, value, 4);
}

static inline void write_u64(struct writer *w, uint64_t value)
{
    write_integer(w, value, 8);
}

static inline void write_zeros(struct writer *w, size_t size)
{
    for (size_t i = 0; i < size; i++)
        write_bytes(w, "", 1);
}

static inline void write_text(struct writer *w, const char *text)
{
    write_u64(w, strlen(text));
    write_bytes(w, text, strlen(text));
}

static inline void write_header(struct writer *w, uint32_t version, uint64_t n_tensors, uint64_t n_pairs)
{
    write_bytes(w, "GGUF", 4);
    write_u32(w, version);
    write_u64(w, n_tensors);
    write_u64(w, n_pairs);
}

static inline void write_key(struct writer *w, const char *key, uint32_t type)
{
    write_text(w, key);
    write_u32(w, type);
}

static inline void write_pair_integer(struct writer *w, const char *key, enum gguf_type type, uint64_t value)
{
    static const size_t sizes[GGUF_TYPES] = {1, 1, 2, 2, 4, 4, 4, 1, 0, 0, 8, 8, 8};
    write_key(w, key, type);
    write_integer(w, value, sizes[type]);
}

static inline void write_pair_u32(struct writer *w, const char *key, uint32_t value)
{
    write_pair_integer(w, key, GGUF_U32, value);
}

static inline void write_pair_text(struct writer *w, const char *key, const char *value)
{
    write_key(w, key, GGUF_STRING);
    write_text(w, value);
}

/* The head of an array; its items come after it. */
static inline void write_pair_array(struct writer *w, const char *key, uint32_t item, uint64_t count)
{
    write_key(w, key, GGUF_ARRAY);
    write_u32(w, item);
    write_u64(w, count);
}

/* A row of the tensor table; dimensions end at the first 0. */
static inline void write_tensor(
    struct writer *w, const char *name, const uint64_t dims[], uint32_t type, uint64_t offset)
{
    uint32_t rank = 0;
    while (dims[rank])
        rank++;
    write_text(w, name);
    write_u32(w, rank);
    for (uint32_t i = 0; i < rank; i++)
        write_u64(w, dims[i]);
    write_u32(w, type);
    write_u64(w, offset);
}

#define DIMS(...) ((const uint64_t[]){__VA_ARGS__, 0})

static inline void write_padding(struct writer *w, size_t alignment)
{
    write_zeros(w, (alignment - w->size % alignment) % alignment);
}

/* Cuts the block to the bytes that were written, and returns a view of it. An empty file is a block of one byte and a
 * view of size 0. */
static inline struct span writer_done(struct writer *w)
{
    w->room = w->size ? w->size : 1;
    w->at = realloc(w->at, w->room);
    if (!w->at)
        abort();
    return (struct span){w->at, w->size};
}

static inline void writer_release(struct writer *w)
{
    free(w->at);
    *w = (struct writer){0};
}

#endif
