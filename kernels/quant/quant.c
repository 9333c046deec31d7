/* quant.c - the table of types, and the conversion of rows to floats.
 *
 * A block may begin at any address, so it is first copied to an aligned buffer: exactly its bytes, because the page
 * after it may not be mapped. A function of quant_small.c, quant_k.c or quant_iq.c then converts it. This is the
 * reference, not the fast way.
 */
#include "berth/kernels/quant.h"

#include "berth/base/half.h"
#include "berth/base/tensor.h"
#include "quant_private.h"

#include <string.h>

static void f32(float *out, const void *at, size_t n)
{
    memcpy(out, at, n * sizeof(*out));
}

static void f64(float *out, const void *at, size_t n)
{
    for (size_t i = 0; i < n; i++) {
        double value;
        memcpy(&value, (const char *)at + i * sizeof(value), sizeof(value));
        out[i] = (float)value;
    }
}

static void i8(float *out, const void *at, size_t n)
{
    for (size_t i = 0; i < n; i++)
        out[i] = (float)((const int8_t *)at)[i];
}

static void i16(float *out, const void *at, size_t n)
{
    for (size_t i = 0; i < n; i++) {
        int16_t value;
        memcpy(&value, (const char *)at + i * sizeof(value), sizeof(value));
        out[i] = (float)value;
    }
}

static void i32(float *out, const void *at, size_t n)
{
    for (size_t i = 0; i < n; i++) {
        int32_t value;
        memcpy(&value, (const char *)at + i * sizeof(value), sizeof(value));
        out[i] = (float)value;
    }
}

static void i64(float *out, const void *at, size_t n)
{
    for (size_t i = 0; i < n; i++) {
        int64_t value;
        memcpy(&value, (const char *)at + i * sizeof(value), sizeof(value));
        out[i] = (float)value;
    }
}

/* The block's size comes from the struct that the function reads. */
#define BLOCK(type) .block_bytes = sizeof(struct block_##type), .block = quant_##type

/* clang-format off */
static const struct quant quants[] = {
    {.id = TENSOR_F32, .block_elems = 1, .block_bytes = 4, .row = f32},
    {.id = TENSOR_F16, .block_elems = 1, .block_bytes = 2, .row = half_to_floats},
    {.id = TENSOR_Q4_0, .block_elems = 32, BLOCK(q4_0)},
    {.id = TENSOR_Q4_1, .block_elems = 32, BLOCK(q4_1)},
    {.id = TENSOR_Q5_0, .block_elems = 32, BLOCK(q5_0)},
    {.id = TENSOR_Q5_1, .block_elems = 32, BLOCK(q5_1)},
    {.id = TENSOR_Q8_0, .block_elems = 32, BLOCK(q8_0)},
    {.id = TENSOR_Q8_1, .block_elems = 32, BLOCK(q8_1)},
    {.id = TENSOR_Q2_K, .block_elems = 256, BLOCK(q2_k)},
    {.id = TENSOR_Q3_K, .block_elems = 256, BLOCK(q3_k)},
    {.id = TENSOR_Q4_K, .block_elems = 256, BLOCK(q4_k)},
    {.id = TENSOR_Q5_K, .block_elems = 256, BLOCK(q5_k)},
    {.id = TENSOR_Q6_K, .block_elems = 256, BLOCK(q6_k)},
    {.id = TENSOR_Q8_K, .block_elems = 256, BLOCK(q8_k)},
    {.id = TENSOR_IQ2_XXS, .block_elems = 256, BLOCK(iq2_xxs)},
    {.id = TENSOR_IQ2_XS, .block_elems = 256, BLOCK(iq2_xs)},
    {.id = TENSOR_IQ3_XXS, .block_elems = 256, BLOCK(iq3_xxs)},
    {.id = TENSOR_IQ1_S, .block_elems = 256, BLOCK(iq1_s)},
    {.id = TENSOR_IQ4_NL, .block_elems = 32, BLOCK(iq4_nl)},
    {.id = TENSOR_IQ3_S, .block_elems = 256, BLOCK(iq3_s)},
    {.id = TENSOR_IQ2_S, .block_elems = 256, BLOCK(iq2_s)},
    {.id = TENSOR_IQ4_XS, .block_elems = 256, BLOCK(iq4_xs)},
    {.id = TENSOR_I8, .block_elems = 1, .block_bytes = 1, .row = i8},
    {.id = TENSOR_I16, .block_elems = 1, .block_bytes = 2, .row = i16},
    {.id = TENSOR_I32, .block_elems = 1, .block_bytes = 4, .row = i32},
    {.id = TENSOR_I64, .block_elems = 1, .block_bytes = 8, .row = i64},
    {.id = TENSOR_F64, .block_elems = 1, .block_bytes = 8, .row = f64},
    {.id = TENSOR_IQ1_M, .block_elems = 256, BLOCK(iq1_m)},
    {.id = TENSOR_BF16, .block_elems = 1, .block_bytes = 2, .row = bfloat_to_floats},
    {.id = TENSOR_TQ1_0, .block_elems = 256, BLOCK(tq1_0)},
    {.id = TENSOR_TQ2_0, .block_elems = 256, BLOCK(tq2_0)},
    {.id = TENSOR_MXFP4, .block_elems = 32, BLOCK(mxfp4)},
    {.id = TENSOR_NVFP4, .block_elems = 64, BLOCK(nvfp4)},
    {.id = TENSOR_Q1_0, .block_elems = 128, BLOCK(q1_0)},
    {.id = TENSOR_Q2_0, .block_elems = 64, BLOCK(q2_0)},
};
/* clang-format on */

const struct quant *quant_find(uint32_t id)
{
    for (size_t i = 0; i < sizeof(quants) / sizeof(quants[0]); i++)
        if (quants[i].id == id)
            return &quants[i];
    return NULL;
}

void quant_to_floats(const struct quant *q, float *out, const void *blocks, size_t n)
{
    if (q->row) {
        q->row(out, blocks, n);
        return;
    }
    struct block_q8_k block; /* the largest, and it has the strictest alignment */
    for (size_t i = 0; i < n; i++) {
        memcpy(&block, (const char *)blocks + i * q->block_bytes, q->block_bytes);
        q->block(out + i * q->block_elems, &block);
    }
}
