/* weights.c - draws the integers of a block, then sets its scales so that the largest weight has the wanted size. */
#include "bench/weights.h"

#include "berth/base/half.h"
#include "berth/base/tensor.h"
#include "berth/kernels/quant.h"

#include <math.h>
#include <string.h>

#define BLOCK_VALUES 256 /* of the largest block */
#define PATTERN_BYTES 65536 /* of blocks that are drawn; copies of them fill the rest */
#define LEAST 0x1p-14f /* the smallest normal float16 */

/* Where a block has its float16 scale and, where it has one, the minimum. Small floats are four bytes of scales; a
 * scale that is spread has four bits on top of each of four words. */
struct fill {
    uint32_t type;
    enum { FILL_FLOATS, FILL_SCALE, FILL_SCALE_AND_MIN, FILL_EXPONENT, FILL_SMALL_FLOATS, FILL_SPREAD } kind;
    size_t scale, min; /* byte offsets */
    float
        middle; /* the minimum, in steps of the scale: it moves the weights about 0. Its sign is the type's */
};

#define AT(type, field) offsetof(struct block_##type, field)

/* clang-format off */
static const struct fill fills[] = {
    {.type = TENSOR_F32, .kind = FILL_FLOATS},
    {.type = TENSOR_F16, .kind = FILL_FLOATS},
    {.type = TENSOR_BF16, .kind = FILL_FLOATS},
    {.type = TENSOR_Q4_0, .kind = FILL_SCALE, .scale = AT(q4_0, d)},
    {.type = TENSOR_Q4_1, .kind = FILL_SCALE_AND_MIN, .scale = AT(q4_1, d), .min = AT(q4_1, m), .middle = -7.5f},
    {.type = TENSOR_Q5_0, .kind = FILL_SCALE, .scale = AT(q5_0, d)},
    {.type = TENSOR_Q5_1, .kind = FILL_SCALE_AND_MIN, .scale = AT(q5_1, d), .min = AT(q5_1, m), .middle = -15.5f},
    {.type = TENSOR_Q8_0, .kind = FILL_SCALE, .scale = AT(q8_0, d)},
    {.type = TENSOR_Q2_K, .kind = FILL_SCALE_AND_MIN, .scale = AT(q2_k, d), .min = AT(q2_k, dmin), .middle = 1.5f},
    {.type = TENSOR_Q3_K, .kind = FILL_SCALE, .scale = AT(q3_k, d)},
    {.type = TENSOR_Q4_K, .kind = FILL_SCALE_AND_MIN, .scale = AT(q4_k, d), .min = AT(q4_k, dmin), .middle = 7.5f},
    {.type = TENSOR_Q5_K, .kind = FILL_SCALE_AND_MIN, .scale = AT(q5_k, d), .min = AT(q5_k, dmin), .middle = 15.5f},
    {.type = TENSOR_Q6_K, .kind = FILL_SCALE, .scale = AT(q6_k, d)},
    {.type = TENSOR_IQ4_NL, .kind = FILL_SCALE, .scale = AT(iq4_nl, d)},
    {.type = TENSOR_IQ4_XS, .kind = FILL_SCALE, .scale = AT(iq4_xs, d)},
    {.type = TENSOR_MXFP4, .kind = FILL_EXPONENT, .scale = AT(mxfp4, e)},
    {.type = TENSOR_TQ1_0, .kind = FILL_SCALE, .scale = AT(tq1_0, d)},
    {.type = TENSOR_TQ2_0, .kind = FILL_SCALE, .scale = AT(tq2_0, d)},
    {.type = TENSOR_Q1_0, .kind = FILL_SCALE, .scale = AT(q1_0, d)},
    {.type = TENSOR_Q2_0, .kind = FILL_SCALE, .scale = AT(q2_0, d)},
    {.type = TENSOR_NVFP4, .kind = FILL_SMALL_FLOATS, .scale = AT(nvfp4, d)},
    {.type = TENSOR_IQ2_XXS, .kind = FILL_SCALE, .scale = AT(iq2_xxs, d)},
    {.type = TENSOR_IQ2_XS, .kind = FILL_SCALE, .scale = AT(iq2_xs, d)},
    {.type = TENSOR_IQ2_S, .kind = FILL_SCALE, .scale = AT(iq2_s, d)},
    {.type = TENSOR_IQ3_XXS, .kind = FILL_SCALE, .scale = AT(iq3_xxs, d)},
    {.type = TENSOR_IQ3_S, .kind = FILL_SCALE, .scale = AT(iq3_s, d)},
    {.type = TENSOR_IQ1_S, .kind = FILL_SCALE, .scale = AT(iq1_s, d)},
    {.type = TENSOR_IQ1_M, .kind = FILL_SPREAD, .scale = AT(iq1_m, scales)},
};
/* clang-format on */

bool weights_type(size_t i, uint32_t *type)
{
    if (i >= sizeof(fills) / sizeof(fills[0]))
        return false;
    *type = fills[i].type;
    return true;
}

static uint32_t draw(uint64_t *random)
{
    *random = *random * UINT64_C(6364136223846793005) + UINT64_C(1442695040888963407);
    return (uint32_t)(*random >> 32);
}

/* Between -0.5 and 0.5, and not smaller than LEAST. */
static float draw_weight(uint64_t *random)
{
    float value;
    do
        value = (float)(int32_t)draw(random) * 0x1p-32f;
    while (fabsf(value) < LEAST);
    return value;
}

static void set_half(uint8_t *at, float value)
{
    uint16_t bits = half_from_float(value);
    memcpy(at, &bits, sizeof(bits));
}

/* Sets the block's float16 scale. */
static void set_scale(const struct fill *f, uint8_t *block, float value)
{
    if (f->kind != FILL_SPREAD) {
        set_half(block + f->scale, value);
        return;
    }
    for (size_t i = 0; i < 4; i++) {
        uint8_t *upper = block + f->scale + 2 * i + 1;
        *upper = (uint8_t)((*upper & 15) | (half_from_float(value) >> (4 * i) & 15) << 4);
    }
}

/* The size of the block's largest weight. */
static float largest(const struct quant *q, const uint8_t *block)
{
    float values[BLOCK_VALUES], most = 0;
    quant_to_floats(q, values, block, 1);
    for (size_t i = 0; i < q->block_elems; i++)
        most = fmaxf(most, fabsf(values[i]));
    return most;
}

static void draw_float(const struct fill *f, uint8_t *at, uint64_t *random)
{
    const float value = draw_weight(random);
    uint16_t bits = f->type == TENSOR_BF16 ? bfloat_from_float(value) : half_from_float(value);
    if (f->type == TENSOR_F32)
        memcpy(at, &value, sizeof(value));
    else
        memcpy(at, &bits, sizeof(bits));
}

/* Draws until the block has a weight: nothing can be scaled that is 0 throughout. */
static void draw_block(const struct fill *f, const struct quant *q, uint8_t *block, uint64_t *random)
{
    float most = 0;
    while (!(most > 0)) {
        for (size_t i = 0; i < q->block_bytes; i++)
            block[i] = (uint8_t)draw(random);
        if (f->kind == FILL_EXPONENT) {
            block[f->scale] = 128;
        } else if (f->kind == FILL_SMALL_FLOATS) {
            for (size_t i = 0; i < 4; i++) /* an exponent of 2 or 3: 12 times the largest is below 1 */
                block[f->scale + i] = 16 | (block[f->scale + i] & 15);
        } else {
            set_scale(f, block, 1.0f);
            if (f->kind == FILL_SCALE_AND_MIN)
                set_half(block + f->min, f->middle);
        }
        most = largest(q, block);
    }
    if (f->kind == FILL_SMALL_FLOATS)
        return;
    /* From 0.375 up, since the float16 scale of a type of six bits would be subnormal below a quarter. */
    const float scale = (0.625f + 0.5f * draw_weight(random)) / most;
    if (f->kind == FILL_EXPONENT) {
        block[f->scale] = (uint8_t)(128 + (int)floorf(log2f(scale)));
        return;
    }
    set_scale(f, block, scale);
    if (f->kind == FILL_SCALE_AND_MIN)
        set_half(block + f->min, scale * f->middle);
}

bool weights_fill(uint8_t *out, size_t bytes, uint32_t type)
{
    const struct fill *f = NULL;
    const struct quant *q = quant_find(type);
    uint64_t random = 1;
    for (size_t i = 0; i < sizeof(fills) / sizeof(fills[0]); i++)
        if (fills[i].type == type)
            f = &fills[i];
    if (!f || !q)
        return false;
    const size_t whole = bytes / q->block_bytes * q->block_bytes;
    const size_t pattern = PATTERN_BYTES / q->block_bytes * q->block_bytes;
    for (size_t at = 0; at < whole && at < pattern; at += q->block_bytes)
        if (f->kind == FILL_FLOATS)
            draw_float(f, out + at, &random);
        else
            draw_block(f, q, out + at, &random);
    for (size_t at = pattern; at < whole; at += pattern)
        memcpy(out + at, out, whole - at < pattern ? whole - at : pattern);
    memset(out + whole, 0, bytes - whole);
    return true;
}
