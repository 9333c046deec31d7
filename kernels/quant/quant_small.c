/* quant_small.c - blocks of 32 to 128 elements, with one kind of scale.
 *
 * The order of the float operations is that of the formulas in quant.h.
 */
#include "quant_private.h"

#include "berth/base/half.h"

#include <string.h>

void quant_q4_0(float *out, const void *block)
{
    const struct block_q4_0 *b = block;
    float d = half_to_float(b->d);
    for (int j = 0; j < 16; j++) {
        out[j] = d * (float)((b->qs[j] & 15) - 8);
        out[j + 16] = d * (float)((b->qs[j] >> 4) - 8);
    }
}

void quant_q4_1(float *out, const void *block)
{
    const struct block_q4_1 *b = block;
    float d = half_to_float(b->d), m = half_to_float(b->m);
    for (int j = 0; j < 16; j++) {
        out[j] = d * (float)(b->qs[j] & 15) + m;
        out[j + 16] = d * (float)(b->qs[j] >> 4) + m;
    }
}

/* The 32 five-bit numbers of q5_0 and q5_1. */
static void five_bits(int q[32], const uint8_t qh[4], const uint8_t qs[16])
{
    for (int i = 0; i < 32; i++) {
        int low = qs[i % 16] >> (i / 16 * 4) & 15;
        int high = qh[i / 8] >> (i % 8) & 1;
        q[i] = low | high << 4;
    }
}

void quant_q5_0(float *out, const void *block)
{
    const struct block_q5_0 *b = block;
    float d = half_to_float(b->d);
    int q[32];
    five_bits(q, b->qh, b->qs);
    for (int i = 0; i < 32; i++)
        out[i] = d * (float)(q[i] - 16);
}

void quant_q5_1(float *out, const void *block)
{
    const struct block_q5_1 *b = block;
    float d = half_to_float(b->d), m = half_to_float(b->m);
    int q[32];
    five_bits(q, b->qh, b->qs);
    for (int i = 0; i < 32; i++)
        out[i] = d * (float)q[i] + m;
}

void quant_q8_0(float *out, const void *block)
{
    const struct block_q8_0 *b = block;
    float d = half_to_float(b->d);
    for (int i = 0; i < 32; i++)
        out[i] = d * (float)b->qs[i];
}

void quant_q8_1(float *out, const void *block)
{
    const struct block_q8_1 *b = block;
    float d = half_to_float(b->d);
    for (int i = 0; i < 32; i++)
        out[i] = d * (float)b->qs[i];
}

void quant_iq4_nl(float *out, const void *block)
{
    const struct block_iq4_nl *b = block;
    float d = half_to_float(b->d);
    for (int j = 0; j < 16; j++) {
        out[j] = d * (float)quant_levels_iq4[b->qs[j] & 15];
        out[j + 16] = d * (float)quant_levels_iq4[b->qs[j] >> 4];
    }
}

/* 2^(e - 128). Subnormal results are exact, too. */
static float half_power(uint8_t e)
{
    uint32_t bits = e < 2 ? UINT32_C(0x200000) << e : (uint32_t)(e - 1) << 23;
    float value;
    memcpy(&value, &bits, sizeof(value));
    return value;
}

void quant_mxfp4(float *out, const void *block)
{
    const struct block_mxfp4 *b = block;
    float d = half_power(b->e);
    for (int j = 0; j < 16; j++) {
        out[j] = d * (float)quant_levels_fp4[b->qs[j] & 15];
        out[j + 16] = d * (float)quant_levels_fp4[b->qs[j] >> 4];
    }
}

float quant_half_ue4m3(uint8_t x)
{
    unsigned exponent = quant_bits(x, 3, 4), fraction = quant_bits(x, 0, 3);
    if (x == 0x7f)
        return 0.0f;
    if (exponent == 0)
        return (float)fraction * 0x1p-10f;
    return (float)(8 + fraction) * (float)(1u << exponent) * 0x1p-11f;
}

void quant_nvfp4(float *out, const void *block)
{
    const struct block_nvfp4 *b = block;
    for (int group = 0; group < 4; group++) {
        float d = quant_half_ue4m3(b->d[group]);
        for (int j = 0; j < 8; j++) {
            uint8_t byte = b->qs[group * 8 + j];
            out[group * 16 + j] = d * (float)quant_levels_fp4[byte & 15];
            out[group * 16 + j + 8] = d * (float)quant_levels_fp4[byte >> 4];
        }
    }
}

void quant_q1_0(float *out, const void *block)
{
    const struct block_q1_0 *b = block;
    float d = half_to_float(b->d);
    for (int i = 0; i < 128; i++)
        out[i] = b->qs[i / 8] >> (i % 8) & 1 ? d : -d;
}

void quant_q2_0(float *out, const void *block)
{
    const struct block_q2_0 *b = block;
    float d = half_to_float(b->d);
    for (int i = 0; i < 64; i++)
        out[i] = d * (float)((b->qs[i / 4] >> (i % 4 * 2) & 3) - 1);
}
