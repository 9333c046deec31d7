/* tensor.h - the types that numbers are stored in, and where a tensor's bytes lie.
 *
 * Both the loaders (sizes) and the kernels (layouts) need the table of types, and must not know each other. A
 * type packs `block_elems` consecutive elements of a row into `block_bytes` bytes. Ids, names and sizes are
 * those of the GGUF format (ggml's table of types).
 */
#ifndef BERTH_TENSOR_H
#define BERTH_TENSOR_H

#include "berth/base/text.h"

#define TENSOR_MAX_RANK 4

struct tensor_type {
    uint32_t id; /* as GGUF files have it */
    const char *name; /* "F32", "Q4_K" */
    uint32_t block_elems;
    uint32_t block_bytes;
};

struct tensor {
    struct span name; /* bytes of the file */
    uint32_t rank; /* 0 to TENSOR_MAX_RANK */
    uint64_t dim[TENSOR_MAX_RANK]; /* dim[0] is the row, contiguous; unused ones are 1 */
    const struct tensor_type *type;
    uint64_t elems; /* product of the dimensions */
    uint64_t offset; /* from the start of its file */
    uint64_t size; /* bytes */
    const uint8_t *data; /* in the mapping, read-only */
};

/* The type with this id, or NULL. */
const struct tensor_type *tensor_type_find(uint32_t id);

#endif
