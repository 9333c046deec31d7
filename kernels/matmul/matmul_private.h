/* matmul_private.h - what the driver of matmul.c and the kernels for each CPU agree upon.
 *
 * The driver cuts a product into tiles: MATMUL_ROWS rows of weights by up to MATMUL_CHUNK tokens. A kernel adds
 * a stretch of k to one tile's sums. It holds the weights of a few k of all the tile's rows in registers, lanes
 * are rows, and lets the tokens stream past: so weights are unpacked once for a chunk, and nothing is repacked.
 * For few tokens, which wait for memory, some sets have a way of their own. Sums lie as [token][row], in L1.
 *
 * All kernels give the bits of matmul_plain.c.
 */
#ifndef BERTH_MATMUL_PRIVATE_H
#define BERTH_MATMUL_PRIVATE_H

#include "berth/kernels/matmul.h"

#define MATMUL_ROWS 32 /* of a tile */
#define MATMUL_CHUNK 128 /* tokens at most: their sums take half of the smallest L1 */
#define MATMUL_STEP 32 /* elements of k that a float kernel takes at a time */
#define MATMUL_BLOCK 32 /* activations under one scale */
#define MATMUL_PACKED 4 /* blocks of a token that are packed at a time */

enum matmul_part {
    MATMUL_FIRST,
    MATMUL_LAST,
    MATMUL_WHOLE,
    MATMUL_PARTS
}; /* halves of a block, and all of it */

/* 32 activations of a token: q times d is about x. The sums let a kernel treat weights as unsigned and take
 * the offset off afterwards; they have the sign in which they are used. */
struct matmul_block {
    int8_t q[MATMUL_BLOCK];
    float d;
    float d_sum; /* d * the sum of q, which a block's minimum is multiplied by */
    int32_t minus_sum; /* -(the sum of q) */
    int32_t minus_half; /* -(the sum of the first 16) */
    /* For kernels that add pairs in 16 bits, and packed by their set: in both halves of a word, minus the sum of those
     * q whose place is 0 or 1 more than a multiple of four, and of those where it is 2 or 3. */
    int32_t minus_pairs[MATMUL_PARTS];
};

/* Adds `blocks` blocks of 32 elements of MATMUL_ROWS rows to the sums. A whole number of the type's own blocks;
 * row r begins at weights + r * row_bytes. `a` is [blocks][tokens]. */
typedef void matmul_int8_tile(const uint8_t *weights, size_t row_bytes, size_t blocks,
    const struct matmul_block *a, size_t tokens, float sums[][MATMUL_ROWS]);

/* The same for `steps` times MATMUL_STEP elements, with x as [steps][tokens][MATMUL_STEP]: what one step reads
 * lies together, wherever the rows of x were. */
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
    MATMUL_INT8
};
enum matmul_float { MATMUL_F32, MATMUL_F16, MATMUL_BF16, MATMUL_FLOAT };

/* What a CPU's file provides. */
struct matmul_kernels {
    /* Packs `blocks` times 32 floats; block b goes to out[b * step]. */
    void (*pack)(struct matmul_block *out, size_t step, const float *x, size_t blocks);
    matmul_int8_tile *int8[MATMUL_INT8]; /* NULL: matmul_plain's, which has all */
    matmul_float_tile *floats[MATMUL_FLOAT];
};

extern const struct matmul_kernels matmul_plain, matmul_avx2, matmul_avxvnni, matmul_avx512, matmul_neon,
    matmul_dotprod, matmul_i8mm;

#endif
