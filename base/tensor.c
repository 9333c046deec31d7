/* tensor.c - the table of tensor types.
 *
 * One row a type. Ids are a public format: they never change meaning, and those that were given up (4, 5,
 * 31 to 33, 36 to 38) stay empty for ever. The sizes are written as the sum of a block's parts, in the
 * order in which they lie in it, so that a row can be checked against the format's description by reading.
 */
#include "berth/base/tensor.h"

#define HALF 2 /* a 16-bit float: a block's scale or minimum */
#define BITS(n, elems) ((n) * (elems) / 8)

static const struct tensor_type types[] = {
    {.id = 0, .name = "F32", .block_elems = 1, .block_bytes = 4},
    {.id = 1, .name = "F16", .block_elems = 1, .block_bytes = 2},
    {.id = 2, .name = "Q4_0", .block_elems = 32, .block_bytes = HALF + BITS(4, 32)},
    {.id = 3, .name = "Q4_1", .block_elems = 32, .block_bytes = HALF + HALF + BITS(4, 32)},
    {.id = 6, .name = "Q5_0", .block_elems = 32, .block_bytes = HALF + BITS(1, 32) + BITS(4, 32)},
    {.id = 7, .name = "Q5_1", .block_elems = 32, .block_bytes = HALF + HALF + BITS(1, 32) + BITS(4, 32)},
    {.id = 8, .name = "Q8_0", .block_elems = 32, .block_bytes = HALF + 32},
    {.id = 9, .name = "Q8_1", .block_elems = 32, .block_bytes = HALF + HALF + 32},
    {.id = 10, .name = "Q2_K", .block_elems = 256, .block_bytes = 16 + BITS(2, 256) + HALF + HALF},
    {.id = 11, .name = "Q3_K", .block_elems = 256, .block_bytes = BITS(1, 256) + BITS(2, 256) + 12 + HALF},
    {.id = 12, .name = "Q4_K", .block_elems = 256, .block_bytes = HALF + HALF + 12 + BITS(4, 256)},
    {.id = 13,
        .name = "Q5_K",
        .block_elems = 256,
        .block_bytes = HALF + HALF + 12 + BITS(1, 256) + BITS(4, 256)},
    {.id = 14, .name = "Q6_K", .block_elems = 256, .block_bytes = BITS(4, 256) + BITS(2, 256) + 16 + HALF},
    {.id = 15, .name = "Q8_K", .block_elems = 256, .block_bytes = 4 + 256 + 16 * 2},
    {.id = 16, .name = "IQ2_XXS", .block_elems = 256, .block_bytes = HALF + BITS(2, 256)},
    {.id = 17, .name = "IQ2_XS", .block_elems = 256, .block_bytes = HALF + BITS(2, 256) + 8},
    {.id = 18, .name = "IQ3_XXS", .block_elems = 256, .block_bytes = HALF + BITS(3, 256)},
    {.id = 19, .name = "IQ1_S", .block_elems = 256, .block_bytes = HALF + BITS(1, 256) + 16},
    {.id = 20, .name = "IQ4_NL", .block_elems = 32, .block_bytes = HALF + BITS(4, 32)},
    {.id = 21,
        .name = "IQ3_S",
        .block_elems = 256,
        .block_bytes = HALF + BITS(2, 256) + 8 + BITS(1, 256) + 4},
    {.id = 22, .name = "IQ2_S", .block_elems = 256, .block_bytes = HALF + BITS(2, 256) + 8 + 8},
    {.id = 23, .name = "IQ4_XS", .block_elems = 256, .block_bytes = HALF + 2 + 4 + BITS(4, 256)},
    {.id = 24, .name = "I8", .block_elems = 1, .block_bytes = 1},
    {.id = 25, .name = "I16", .block_elems = 1, .block_bytes = 2},
    {.id = 26, .name = "I32", .block_elems = 1, .block_bytes = 4},
    {.id = 27, .name = "I64", .block_elems = 1, .block_bytes = 8},
    {.id = 28, .name = "F64", .block_elems = 1, .block_bytes = 8},
    {.id = 29, .name = "IQ1_M", .block_elems = 256, .block_bytes = BITS(1, 256) + 16 + 8},
    {.id = 30, .name = "BF16", .block_elems = 1, .block_bytes = 2},
    {.id = 34, .name = "TQ1_0", .block_elems = 256, .block_bytes = 48 + 4 + HALF},
    {.id = 35, .name = "TQ2_0", .block_elems = 256, .block_bytes = BITS(2, 256) + HALF},
    {.id = 39, .name = "MXFP4", .block_elems = 32, .block_bytes = 1 + BITS(4, 32)},
    {.id = 40, .name = "NVFP4", .block_elems = 64, .block_bytes = 4 + BITS(4, 64)},
    {.id = 41, .name = "Q1_0", .block_elems = 128, .block_bytes = HALF + BITS(1, 128)},
    {.id = 42, .name = "Q2_0", .block_elems = 64, .block_bytes = HALF + BITS(2, 64)},
};

const struct tensor_type *tensor_type_find(uint32_t id)
{
    for (size_t i = 0; i < sizeof(types) / sizeof(types[0]); i++)
        if (types[i].id == id)
            return &types[i];
    return NULL;
}
