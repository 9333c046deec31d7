/* quant_private.h - one function for each type of block, for the table in quant.c.
 *
 * Each function writes the values of one block, which is aligned as its struct is.
 */
#ifndef BERTH_QUANT_PRIVATE_H
#define BERTH_QUANT_PRIVATE_H

#include "berth/kernels/quant.h"

/* The `count` bits of x from bit `from` up. */
static inline unsigned quant_bits(uint32_t x, unsigned from, unsigned count)
{
    return x >> from & ((1u << count) - 1);
}

/* Nibble k of a row of bytes, the low one of each byte first. */
static inline unsigned quant_nibble(const uint8_t *bytes, unsigned k)
{
    return quant_bits(bytes[k / 2], k % 2 * 4, 4);
}

/* quant_small.c: up to 128 elements, one kind of scale */
void quant_q4_0(float *out, const void *block);
void quant_q4_1(float *out, const void *block);
void quant_q5_0(float *out, const void *block);
void quant_q5_1(float *out, const void *block);
void quant_q8_0(float *out, const void *block);
void quant_q8_1(float *out, const void *block);
void quant_iq4_nl(float *out, const void *block);
void quant_mxfp4(float *out, const void *block);
void quant_nvfp4(float *out, const void *block);
void quant_q1_0(float *out, const void *block);
void quant_q2_0(float *out, const void *block);

/* quant_k.c: 256 elements */
void quant_tq1_0(float *out, const void *block);
void quant_tq2_0(float *out, const void *block);
void quant_q2_k(float *out, const void *block);
void quant_q3_k(float *out, const void *block);
void quant_q4_k(float *out, const void *block);
void quant_q5_k(float *out, const void *block);
void quant_q6_k(float *out, const void *block);
void quant_q8_k(float *out, const void *block);
void quant_iq4_xs(float *out, const void *block);

/* quant_iq.c: 256 elements by codebook */
void quant_iq2_xxs(float *out, const void *block);
void quant_iq2_xs(float *out, const void *block);
void quant_iq2_s(float *out, const void *block);
void quant_iq3_xxs(float *out, const void *block);
void quant_iq3_s(float *out, const void *block);
void quant_iq1_s(float *out, const void *block);
void quant_iq1_m(float *out, const void *block);

#endif
