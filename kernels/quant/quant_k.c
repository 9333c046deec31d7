/* quant_k.c - blocks of 256 elements whose groups have scales of their own, and the ternary ones.
 *
 * The order of the float operations is that of the formulas in quant.h. A group's
 * scale is multiplied by the block's first, once, and then by each element.
 */
#include "quant_private.h"

#include "berth/base/half.h"

/* The low two bits of element i of q2_k, q3_k and tq2_0; with 64 bytes a half they are q6_k's upper two. */
static int two_bits(const uint8_t qs[64], int i)
{
    return qs[i / 128 * 32 + i % 32] >> (i % 128 / 32 * 2) & 3;
}

/* Element i of groups of `size`, each packed into half as many bytes: the first half low, the second high. */
static int four_bits(const uint8_t *qs, int i, int size)
{
    int half = size / 2;
    return qs[i / size * half + i % half] >> (i % size / half * 4) & 15;
}

void quant_tq1_0(float *out, const void *block)
{
    static const uint8_t power[5] = {1, 3, 9, 27, 81};
    const struct block_tq1_0 *b = block;
    float d = half_to_float(b->d);
    for (int i = 0; i < 256; i++) {
        uint8_t byte;
        if (i < 160)
            byte = (uint8_t)(b->qs[i % 32] * power[i / 32]);
        else if (i < 240)
            byte = (uint8_t)(b->qs[32 + i % 16] * power[(i - 160) / 16]);
        else
            byte = (uint8_t)(b->qh[i % 4] * power[(i - 240) / 4]);
        out[i] = d * (float)((byte * 3 >> 8) - 1);
    }
}

void quant_tq2_0(float *out, const void *block)
{
    const struct block_tq2_0 *b = block;
    float d = half_to_float(b->d);
    for (int i = 0; i < 256; i++)
        out[i] = d * (float)(two_bits(b->qs, i) - 1);
}

void quant_q2_k(float *out, const void *block)
{
    const struct block_q2_k *b = block;
    float d = half_to_float(b->d), dmin = half_to_float(b->dmin);
    for (int i = 0; i < 256; i++) {
        uint8_t scales = b->scales[i / 16];
        float scale = d * (float)(scales & 15), min = dmin * (float)(scales >> 4);
        out[i] = scale * (float)two_bits(b->qs, i) - min;
    }
}

/* Scale k of 16. */
static int scale_q3_k(const uint8_t scales[12], int k)
{
    int low = scales[k % 8] >> (k / 8 * 4) & 15;
    int high = scales[8 + k % 4] >> (k / 4 * 2) & 3;
    return (low | high << 4) - 32;
}

void quant_q3_k(float *out, const void *block)
{
    const struct block_q3_k *b = block;
    float d = half_to_float(b->d);
    for (int i = 0; i < 256; i++) {
        float scale = d * (float)scale_q3_k(b->scales, i / 16);
        bool stays = b->hmask[i % 32] >> (i / 32) & 1;
        out[i] = scale * (float)(two_bits(b->qs, i) - (stays ? 0 : 4));
    }
}

/* Scale and minimum of group g of 8, as q4_k and q5_k have them. */
static void scales_q4_k(const uint8_t scales[12], int g, int *scale, int *min)
{
    if (g < 4) {
        *scale = scales[g] & 63;
        *min = scales[g + 4] & 63;
    } else {
        *scale = (scales[g + 4] & 15) | scales[g - 4] >> 6 << 4;
        *min = scales[g + 4] >> 4 | scales[g] >> 6 << 4;
    }
}

void quant_q4_k(float *out, const void *block)
{
    const struct block_q4_k *b = block;
    float d = half_to_float(b->d), dmin = half_to_float(b->dmin);
    for (int g = 0; g < 8; g++) {
        int scale, min;
        scales_q4_k(b->scales, g, &scale, &min);
        float dg = d * (float)scale, mg = dmin * (float)min;
        for (int i = g * 32; i < g * 32 + 32; i++)
            out[i] = dg * (float)four_bits(b->qs, i, 64) - mg;
    }
}

void quant_q5_k(float *out, const void *block)
{
    const struct block_q5_k *b = block;
    float d = half_to_float(b->d), dmin = half_to_float(b->dmin);
    for (int g = 0; g < 8; g++) {
        int scale, min;
        scales_q4_k(b->scales, g, &scale, &min);
        float dg = d * (float)scale, mg = dmin * (float)min;
        for (int i = g * 32; i < g * 32 + 32; i++) {
            int high = b->qh[i % 32] >> g & 1;
            out[i] = dg * (float)(four_bits(b->qs, i, 64) | high << 4) - mg;
        }
    }
}

void quant_q6_k(float *out, const void *block)
{
    const struct block_q6_k *b = block;
    float d = half_to_float(b->d);
    for (int i = 0; i < 256; i++) {
        float scale = d * (float)b->scales[i / 16];
        int q = four_bits(b->ql, i, 128) | two_bits(b->qh, i) << 4;
        out[i] = scale * (float)(q - 32);
    }
}

void quant_q8_k(float *out, const void *block)
{
    const struct block_q8_k *b = block;
    for (int i = 0; i < 256; i++)
        out[i] = b->d * (float)b->qs[i];
}

void quant_iq4_xs(float *out, const void *block)
{
    const struct block_iq4_xs *b = block;
    float d = half_to_float(b->d);
    for (unsigned g = 0; g < 8; g++) {
        unsigned scale = quant_nibble(b->scales_l, g) | quant_bits(b->scales_h, g * 2, 2) << 4;
        float dg = d * (float)((int)scale - 32);
        for (int i = (int)g * 32; i < (int)g * 32 + 32; i++)
            out[i] = dg * (float)quant_levels_iq4[four_bits(b->qs, i, 32)];
    }
}
