/* tiny_tensor.h - a tensor of a small model's file: its name, shape and size. */
#ifndef BERTH_TESTS_TINY_TENSOR_H
#define BERTH_TESTS_TINY_TENSOR_H

#include "gguf_writer.h"

struct tiny_tensor {
    char name[64];
    uint64_t columns, rows;
    uint32_t type;
    uint64_t depth; /* experts; 0 for one matrix */
};

static inline uint64_t tiny_elems(const struct tiny_tensor *x)
{
    return x->columns * x->rows * (x->depth ? x->depth : 1);
}

static inline uint64_t tiny_bytes(const struct tiny_tensor *x)
{
    uint64_t elems = tiny_elems(x);
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

#endif
