/* matmul.h - products of weights, as they lie in the file, by activations.
 *
 * out[t][r] = sum over k of weight[r][k] * x[t][k], for many tokens t or for one. The bits of an output
 * depend on its row of weights and its token alone: not on the tokens or rows beside it, not on threads, not
 * on the CPU. What they are:
 *
 *  - Types with an int8 path (Q4_0, Q4_1, Q5_0, Q5_1, Q8_0, Q2_K to Q6_K, IQ4_NL, IQ4_XS, MXFP4): a token's
 *    activations become signed bytes with one float scale for each 32 (matmul_pack tells how), the products of
 *    a block's integers are summed exactly, and a row's blocks are added in the order of k, one fused
 *    multiply-add a block (a second one for a block's minimum).
 *  - Every other type, and any type with `as_float`: the weight's values as quant.h gives them, in float32;
 *    one fused multiply-add an element, in the order of k, starting from 0.
 *
 * An infinite or NaN activation makes all outputs of its token NaN in the first form (whose payload is not
 * promised); no other token is touched.
 *
 * Kernels: lanes are rows. matmul_plain.c is the reference and says the formulas.
 */
#ifndef BERTH_MATMUL_H
#define BERTH_MATMUL_H

#include "berth/kernels/quant.h"

#define MATMUL_TILE 64 /* rows that one call should have at least, where there are that many */

/* A matrix of weights: a view on the mapped file. */
struct matmul_weight {
    const struct quant *type;
    const uint8_t *data; /* [rows][row_bytes], at any address; nothing behind it is read */
    size_t rows, columns;
    size_t row_bytes;
    bool as_float; /* float32 activations, also where the type has an int8 path */
};

/* Fills in `w`. False when the type is not known, or a row is empty or no whole number of blocks. */
bool matmul_weight_init(
    struct matmul_weight *w, uint32_t type, const void *data, size_t rows, size_t columns, bool as_float);

/* Whether products by `w` read the packed form of the activations (otherwise they read the floats). */
bool matmul_takes_packed(const struct matmul_weight *w);

/* Activations: float32 rows, and their packed form where some weight takes it. */
struct matmul_input {
    const float *x; /* row t begins at x + t * stride */
    size_t stride;
    size_t tokens, columns;
    void *packed; /* matmul_packed_bytes of memory, aligned to 64; NULL when no weight takes it */
};

/* Size of the packed form. `columns` is a multiple of 32. */
size_t matmul_packed_bytes(size_t tokens, size_t columns);

/* Packs the units first ... first + count - 1 of the input. A unit is one token, so there are as many as
 * matmul_pack_units(tokens) says; threads divide them, and all must be packed before matmul_rows is called. */
size_t matmul_pack_units(size_t tokens);
void matmul_pack(const struct matmul_input *in, size_t first, size_t count);

/* Writes out[t * stride + r] for all tokens of the input and the rows first ... first + count - 1. `first` is a
 * multiple of 16; count is one too, but at the end of the matrix. Multiples of 32 spare work: rows are computed
 * by 32. Other rows of the matrix may be read. Needs at most 256 KiB of stack. */
void matmul_rows(const struct matmul_weight *w, const struct matmul_input *in, size_t first, size_t count,
    float *out, size_t stride);

#endif
