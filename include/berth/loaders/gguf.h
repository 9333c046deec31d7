/* gguf.h - reads the GGUF container, versions 2 and 3.
 *
 * A GGUF file is a table of typed key-value pairs, a table of tensors, and their bytes, aligned. Reading one
 * validates all of it against the file's size and copies none of it: keys, strings and tensors point into the
 * mapped bytes, and live as long as those do.
 *
 * Source of the format: ggml's docs/gguf.md. Little-endian files only; big-endian ones are refused by name.
 */
#ifndef BERTH_GGUF_H
#define BERTH_GGUF_H

#include "berth/loaders/checkpoint.h"
#include "berth/loaders/loader.h"

enum gguf_type {
    GGUF_U8,
    GGUF_I8,
    GGUF_U16,
    GGUF_I16,
    GGUF_U32,
    GGUF_I32,
    GGUF_F32,
    GGUF_BOOL,
    GGUF_STRING,
    GGUF_ARRAY,
    GGUF_U64,
    GGUF_I64,
    GGUF_F64,
    GGUF_TYPES
};

const char *gguf_type_name(enum gguf_type type); /* "u8" … "f64", "string", "array" */

struct gguf_pair {
    struct span key;
    enum gguf_type type;
    enum gguf_type item; /* type of an array's items; of anything else its own type */
    uint64_t count; /* items of an array; 1 otherwise */
    struct span bytes; /* the value as it lies in the file; of a string, its bytes without the length */
    uint64_t offset; /* in the file, of the value; of a string its length comes first, of an array its type */
};

struct gguf {
    uint32_t version;
    uint32_t alignment;
    size_t n_pairs;
    struct gguf_pair *pairs; /* in the file's order */
    uint64_t data_offset; /* where the tensors' bytes start */
    struct checkpoint checkpoint; /* of this file alone */
};

/* Reads and validates the tables of a file, given all of its bytes. NULL with the reason, which names field and offset,
 * when the file is not GGUF, is cut short or contradicts itself, or exceeds a limit: 65,536 keys, 262,144 tensors,
 * 16,777,216 items of an array, 1 GiB of keys and values. */
struct gguf *gguf_read(struct span bytes, struct error *err);
void gguf_free(struct gguf *g);

/* A model of one file, or of several split as NAME-00001-of-00003.gguf: loaded->gguf of a "gguf" model. */
struct gguf_model {
    size_t n_files;
    struct gguf **files; /* [n_files]; the first holds the model's keys */
    struct checkpoint merged; /* of a split model: the first file's keys and all files' tensors */
};

#endif
