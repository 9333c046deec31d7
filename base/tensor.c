/* tensor.c - the table of tensor types, one row for each.
 *
 * A block's size is written as the sum of its parts, in the order in which they lie in it, so that a row can be
 * compared with the description of the format.
 */
#include "berth/base/tensor.h"

#define HALF 2 /* a 16-bit float: a block's scale or minimum */
#define BITS(n, elems) ((n) * (elems) / 8)

/* clang-format off */
static const struct tensor_type types[] = {
    {.id = TENSOR_F32, .name = "F32", .block_elems = 1, .block_bytes = 4},
    {.id = TENSOR_F16, .name = "F16", .block_elems = 1, .block_bytes = 2},
    {.id = TENSOR_Q4_0, .name = "Q4_0", .block_elems = 32, .block_bytes = HALF + BITS(4, 32)},
    {.id = TENSOR_Q4_1, .name = "Q4_1", .block_elems = 32, .block_bytes = HALF + HALF + BITS(4, 32)},
    {.id = TENSOR_Q5_0, .name = "Q5_0", .block_elems = 32, .block_bytes = HALF + BITS(1, 32) + BITS(4, 32)},
    {.id = TENSOR_Q5_1, .name = "Q5_1", .block_elems = 32, .block_bytes = HALF + HALF + BITS(1, 32) + BITS(4, 32)},
    {.id = TENSOR_Q8_0, .name = "Q8_0", .block_elems = 32, .block_bytes = HALF + 32},
    {.id = TENSOR_Q8_1, .name = "Q8_1", .block_elems = 32, .block_bytes = HALF + HALF + 32},
    {.id = TENSOR_Q2_K, .name = "Q2_K", .block_elems = 256, .block_bytes = 16 + BITS(2, 256) + HALF + HALF},
    {.id = TENSOR_Q3_K, .name = "Q3_K", .block_elems = 256, .block_bytes = BITS(1, 256) + BITS(2, 256) + 12 + HALF},
    {.id = TENSOR_Q4_K, .name = "Q4_K", .block_elems = 256, .block_bytes = HALF + HALF + 12 + BITS(4, 256)},
    {.id = TENSOR_Q5_K, .name = "Q5_K", .block_elems = 256, .block_bytes = HALF + HALF + 12 + BITS(1, 256) + BITS(4, 256)},
    {.id = TENSOR_Q6_K, .name = "Q6_K", .block_elems = 256, .block_bytes = BITS(4, 256) + BITS(2, 256) + 16 + HALF},
    {.id = TENSOR_Q8_K, .name = "Q8_K", .block_elems = 256, .block_bytes = 4 + 256 + 16 * 2},
    {.id = TENSOR_IQ2_XXS, .name = "IQ2_XXS", .block_elems = 256, .block_bytes = HALF + BITS(2, 256)},
    {.id = TENSOR_IQ2_XS, .name = "IQ2_XS", .block_elems = 256, .block_bytes = HALF + BITS(2, 256) + 8},
    {.id = TENSOR_IQ3_XXS, .name = "IQ3_XXS", .block_elems = 256, .block_bytes = HALF + BITS(3, 256)},
    {.id = TENSOR_IQ1_S, .name = "IQ1_S", .block_elems = 256, .block_bytes = HALF + BITS(1, 256) + 16},
    {.id = TENSOR_IQ4_NL, .name = "IQ4_NL", .block_elems = 32, .block_bytes = HALF + BITS(4, 32)},
    {.id = TENSOR_IQ3_S, .name = "IQ3_S", .block_elems = 256, .block_bytes = HALF + BITS(2, 256) + 8 + BITS(1, 256) + 4},
    {.id = TENSOR_IQ2_S, .name = "IQ2_S", .block_elems = 256, .block_bytes = HALF + BITS(2, 256) + 8 + 8},
    {.id = TENSOR_IQ4_XS, .name = "IQ4_XS", .block_elems = 256, .block_bytes = HALF + 2 + 4 + BITS(4, 256)},
    {.id = TENSOR_I8, .name = "I8", .block_elems = 1, .block_bytes = 1},
    {.id = TENSOR_I16, .name = "I16", .block_elems = 1, .block_bytes = 2},
    {.id = TENSOR_I32, .name = "I32", .block_elems = 1, .block_bytes = 4},
    {.id = TENSOR_I64, .name = "I64", .block_elems = 1, .block_bytes = 8},
    {.id = TENSOR_F64, .name = "F64", .block_elems = 1, .block_bytes = 8},
    {.id = TENSOR_IQ1_M, .name = "IQ1_M", .block_elems = 256, .block_bytes = BITS(1, 256) + 16 + 8},
    {.id = TENSOR_BF16, .name = "BF16", .block_elems = 1, .block_bytes = 2},
    {.id = TENSOR_TQ1_0, .name = "TQ1_0", .block_elems = 256, .block_bytes = 48 + 4 + HALF},
    {.id = TENSOR_TQ2_0, .name = "TQ2_0", .block_elems = 256, .block_bytes = BITS(2, 256) + HALF},
    {.id = TENSOR_MXFP4, .name = "MXFP4", .block_elems = 32, .block_bytes = 1 + BITS(4, 32)},
    {.id = TENSOR_NVFP4, .name = "NVFP4", .block_elems = 64, .block_bytes = 4 + BITS(4, 64)},
    {.id = TENSOR_Q1_0, .name = "Q1_0", .block_elems = 128, .block_bytes = HALF + BITS(1, 128)},
    {.id = TENSOR_Q2_0, .name = "Q2_0", .block_elems = 64, .block_bytes = HALF + BITS(2, 64)},
};
/* clang-format on */

const struct tensor_type *tensor_type_find(uint32_t id)
{
    for (size_t i = 0; i < sizeof(types) / sizeof(types[0]); i++)
        if (types[i].id == id)
            return &types[i];
    return NULL;
}
