/* matmul_private.h - the interface between matmul.c and the kernels of each instruction set.
 *
 * matmul.c divides a product into tiles: MATMUL_ROWS rows of weights by up to MATMUL_CHUNK tokens. A kernel adds some
 * blocks of k to the sums of one tile, which lie as [token][row] in L1. It unpacks the weights of one block for all
 * rows of the tile, one row in each SIMD lane, and then multiplies them by every token: so weights are unpacked once
 * for a chunk, and no packed copy of them is stored in memory. For few tokens, where memory is the limit, some sets
 * have other functions.
 *
 * All kernels give the bits of matmul_plain.c.
 */
#ifndef BERTH_MATMUL_PRIVATE_H
#define BERTH_MATMUL_PRIVATE_H

#include "berth/kernels/matmul.h"

#define MATMUL_ROWS 32 /* of a tile */
#define MATMUL_CHUNK 128 /* tokens of a tile at most: their sums take half of the smallest L1 */
#define MATMUL_STEP 32 /* elements of k that a float kernel takes at a time */
#define MATMUL_BLOCK 32 /* activations under one scale */
#define MATMUL_PACKED 4 /* blocks of a token that are packed at a time */

enum matmul_part {
    MATMUL_FIRST,
    MATMUL_LAST,
    MATMUL_WHOLE,
    MATMUL_PARTS
}; /* halves of a block, and all of it */

/* 32 packed activations of a token: q * d is about x. A kernel may treat weights as unsigned, by adding an offset to
 * them; with the sums it subtracts the offset's products afterwards. Their signs are those that kernels need. */
struct matmul_block {
    int8_t q[MATMUL_BLOCK];
    float d;
    float d_sum; /* d * the sum of q, which a block's minimum is multiplied by */
    int32_t minus_sum; /* -(the sum of q) */
    int32_t minus_half; /* -(the sum of the first 16) */
    /* For kernels that add pairs in 16 bits; only the sets of these kernels fill them in. The low half of a word is
     * minus the sum of the q[i] with i % 4 of 0 or 1, the high half of those with i % 4 of 2 or 3. */
    int32_t minus_pairs[MATMUL_PARTS];
};

/* Adds the products of `blocks` blocks of 32 elements, in MATMUL_ROWS rows, to the sums. They are a whole number of the
 * type's own blocks. Row r begins at weights + r * row_bytes. `a` is [blocks][tokens]. */
typedef void matmul_int8_tile(const uint8_t *weights, size_t row_bytes, size_t blocks,
    const struct matmul_block *a, size_t tokens, float sums[][MATMUL_ROWS]);

/* The same for `steps` times MATMUL_STEP elements of float weights. x is [steps][tokens][MATMUL_STEP], so that what one
 * step reads lies together. */
typedef void matmul_float_tile(const uint8_t *weights, size_t row_bytes, size_t steps, const float *x,
    size_t tokens, float sums[][MATMUL_ROWS]);

enum matmul_int8 {
    MATMUL_Q4_0,
    MATMUL_Q4_1,
    MATMUL_Q8_0,
    MATMUL_Q4_K,
    MATMUL_Q5_K,
    MATMUL_Q6_K,
    MATMUL_Q5_0,
    MATMUL_Q5_1,
    MATMUL_Q2_K,
    MATMUL_Q3_K,
    MATMUL_IQ4_NL,
    MATMUL_IQ4_XS,
    MATMUL_MXFP4,
    MATMUL_TQ1_0,
    MATMUL_TQ2_0,
    MATMUL_Q1_0,
    MATMUL_Q2_0,
    MATMUL_NVFP4,
    MATMUL_IQ2_XXS,
    MATMUL_IQ2_XS,
    MATMUL_IQ2_S,
    MATMUL_IQ3_XXS,
    MATMUL_IQ3_S,
    MATMUL_IQ1_S,
    MATMUL_IQ1_M,
    MATMUL_INT8
};
enum matmul_float { MATMUL_F32, MATMUL_F16, MATMUL_BF16, MATMUL_FLOAT };

/* The functions of one instruction set. */
struct matmul_kernels {
    /* Packs `blocks` times 32 floats; block b goes to out[b * step]. */
    void (*pack)(struct matmul_block *out, size_t step, const float *x, size_t blocks);
    matmul_int8_tile *int8[MATMUL_INT8]; /* NULL: matmul_plain's, which has every type */
    matmul_float_tile *floats[MATMUL_FLOAT];
};

extern const struct matmul_kernels matmul_plain, matmul_avx2, matmul_avxvnni, matmul_avx512, matmul_neon,
    matmul_dotprod, matmul_i8mm;

#endif
