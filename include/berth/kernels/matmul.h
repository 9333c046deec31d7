/* matmul.h - products of weights, as they lie in the file, by activations.
 *
 * out[t][r] = sum over k of weight[r][k] * x[t][k], for one token t or many. The bits of an output depend only on its
 * row of weights and its token. They do not depend on other tokens or rows, on the number of threads or on the CPU:
 *
 *  - Types with an int8 path (all of a model's weights that are quantized; Q8_1 and Q8_K are not): matmul_pack turns a
 *    token's activations into signed bytes with one float scale for each 32. The products of a block's integers
 *    are summed exactly. A row's blocks are added in the order of k, with one fused multiply-add a block and a second
 *    one for a block's minimum.
 *  - Every other type, and any type with `as_float`: the weights have the float32 values that quant.h gives them. A
 *    row's elements are added in the order of k, with one fused multiply-add an element, starting from 0.
 *
 * In the first form an infinite or NaN activation makes all outputs of its token NaN, with any payload. Other tokens
 * do not change.
 *
 * matmul_plain.c is the reference and has the formulas.
 */
#ifndef BERTH_MATMUL_H
#define BERTH_MATMUL_H

#include "berth/kernels/quant.h"

#define MATMUL_TILE 64 /* rows that one call should have at least, where the matrix has so many */

/* A matrix of weights in the mapped file. */
struct matmul_weight {
    const struct quant *type;
    const uint8_t *data; /* [rows][row_bytes], at any address; no byte after it is read */
    size_t rows, columns;
    size_t row_bytes;
    bool as_float; /* multiply in float32 even where the type has an int8 path */
};

/* Fills in `w`, which borrows `data`. Returns false when the type (enum tensor_type_id) is unknown, or a row is empty
 * or no whole number of blocks. */
bool matmul_weight_init(
    struct matmul_weight *w, uint32_t type, const void *data, size_t rows, size_t columns, bool as_float);

/* True when products by `w` read the packed form of the activations, false when they read the floats. */
bool matmul_takes_packed(const struct matmul_weight *w);

/* Activations: float32 rows, and their packed form where some weight takes it. */
struct matmul_input {
    const float *x; /* row t begins at x + t * stride */
    size_t stride;
    size_t tokens, columns;
    uint8_t *packed; /* matmul_packed_bytes of memory, aligned to 64; NULL when no weight takes it */
};

/* Size of the packed form. `columns` is a multiple of 32. */
size_t matmul_packed_bytes(size_t tokens, size_t columns);

/* Packs the units first ... first + count - 1 of the input, of matmul_pack_units(tokens) in all. Threads divide the
 * units among themselves. All units must be packed before matmul_rows is called. */
size_t matmul_pack_units(size_t tokens);
void matmul_pack(const struct matmul_input *in, size_t first, size_t count);

/* Writes out[t * stride + r] for all tokens of the input and the rows first ... first + count - 1. `first` is a
 * multiple of 16, and so is `count` except at the end of the matrix. Multiples of 32 are faster, because rows are
 * computed by 32. Other rows of the matrix may be read. Uses at most 256 KiB of stack. */
void matmul_rows(const struct matmul_weight *w, const struct matmul_input *in, size_t first, size_t count,
    float *out, size_t stride);

#endif
