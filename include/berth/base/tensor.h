/* tensor.h - the types that tensors are stored in, and where a tensor's bytes lie.
 *
 * A type packs `block_elems` consecutive elements of a row into `block_bytes` bytes. Ids, names and sizes are those
 * of the GGUF format (ggml's table of types). The table is in base/ because the loaders need its sizes and the
 * kernels its ids, and these two rooms do not include each other.
 */
#ifndef BERTH_TENSOR_H
#define BERTH_TENSOR_H

#include "berth/base/text.h"

#define TENSOR_MAX_RANK 4

/* Ids as GGUF files have them. They never change their meaning. The numbers that are left out belonged to types
 * that the format has given up. */
enum tensor_type_id {
    TENSOR_F32 = 0,
    TENSOR_F16 = 1,
    TENSOR_Q4_0 = 2,
    TENSOR_Q4_1 = 3,
    TENSOR_Q5_0 = 6,
    TENSOR_Q5_1 = 7,
    TENSOR_Q8_0 = 8,
    TENSOR_Q8_1 = 9,
    TENSOR_Q2_K = 10,
    TENSOR_Q3_K = 11,
    TENSOR_Q4_K = 12,
    TENSOR_Q5_K = 13,
    TENSOR_Q6_K = 14,
    TENSOR_Q8_K = 15,
    TENSOR_IQ2_XXS = 16,
    TENSOR_IQ2_XS = 17,
    TENSOR_IQ3_XXS = 18,
    TENSOR_IQ1_S = 19,
    TENSOR_IQ4_NL = 20,
    TENSOR_IQ3_S = 21,
    TENSOR_IQ2_S = 22,
    TENSOR_IQ4_XS = 23,
    TENSOR_I8 = 24,
    TENSOR_I16 = 25,
    TENSOR_I32 = 26,
    TENSOR_I64 = 27,
    TENSOR_F64 = 28,
    TENSOR_IQ1_M = 29,
    TENSOR_BF16 = 30,
    TENSOR_TQ1_0 = 34,
    TENSOR_TQ2_0 = 35,
    TENSOR_MXFP4 = 39,
    TENSOR_NVFP4 = 40,
    TENSOR_Q1_0 = 41,
    TENSOR_Q2_0 = 42,
    TENSOR_TYPE_IDS /* all are below this */
};

struct tensor_type {
    uint32_t id; /* enum tensor_type_id */
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

/* Returns the type with this id, or NULL. Any number may be asked for. */
const struct tensor_type *tensor_type_find(uint32_t id);

#endif
