/* matmul_neon_impl.h - what the NEON files share: loading rows into lanes, and the declarations of the functions that
 * need only base NEON and are compiled once.
 */
#ifndef BERTH_MATMUL_NEON_IMPL_H
#define BERTH_MATMUL_NEON_IMPL_H

#include "matmul_private.h"

#include <arm_neon.h>
#include <string.h>

#define INLINE static inline __attribute__((always_inline))
#define TILE_QUADS (MATMUL_ROWS / 4) /* a quad is four rows, in the four lanes of a register */
#define QUADS 2 /* that are multiplied by the tokens together: their weights take half of the registers */
#define PREFETCH_TOKENS 16

/* In matmul_neon.c, for the tables of all NEON sets. */
void matmul_neon_pack(struct matmul_block *out, size_t step, const float *x, size_t blocks);
matmul_float_tile matmul_neon_f32, matmul_neon_f16, matmul_neon_bf16;

/* Loads 16 bytes of each of 4 rows; out[j] has bytes 4j to 4j + 3 of row r in lane r. */
INLINE void load_lanes(uint8x16_t out[4], const uint8_t *at, size_t row_bytes)
{
    uint32x4_t a = vreinterpretq_u32_u8(vld1q_u8(at));
    uint32x4_t b = vreinterpretq_u32_u8(vld1q_u8(at + row_bytes));
    uint32x4_t c = vreinterpretq_u32_u8(vld1q_u8(at + 2 * row_bytes));
    uint32x4_t d = vreinterpretq_u32_u8(vld1q_u8(at + 3 * row_bytes));
    uint64x2_t ab_even = vreinterpretq_u64_u32(vtrn1q_u32(a, b));
    uint64x2_t ab_odd = vreinterpretq_u64_u32(vtrn2q_u32(a, b));
    uint64x2_t cd_even = vreinterpretq_u64_u32(vtrn1q_u32(c, d));
    uint64x2_t cd_odd = vreinterpretq_u64_u32(vtrn2q_u32(c, d));
    out[0] = vreinterpretq_u8_u64(vtrn1q_u64(ab_even, cd_even));
    out[1] = vreinterpretq_u8_u64(vtrn1q_u64(ab_odd, cd_odd));
    out[2] = vreinterpretq_u8_u64(vtrn2q_u64(ab_even, cd_even));
    out[3] = vreinterpretq_u8_u64(vtrn2q_u64(ab_odd, cd_odd));
}

INLINE uint32_t word_at(const uint8_t *at)
{
    uint32_t word;
    memcpy(&word, at, sizeof(word));
    return word;
}

/* 4 bytes of each of 4 rows. */
INLINE uint32x4_t load_words(const uint8_t *at, size_t row_bytes)
{
    uint32x4_t v = vdupq_n_u32(word_at(at));
    v = vsetq_lane_u32(word_at(at + row_bytes), v, 1);
    v = vsetq_lane_u32(word_at(at + 2 * row_bytes), v, 2);
    return vsetq_lane_u32(word_at(at + 3 * row_bytes), v, 3);
}

/* Each lane holds two float16: out[0] gets the low ones, out[1] the high ones. */
INLINE void both_halves(float32x4_t out[2], uint32x4_t v)
{
    out[0] = vcvt_f32_f16(vreinterpret_f16_u16(vmovn_u32(v)));
    out[1] = vcvt_f32_f16(vreinterpret_f16_u16(vshrn_n_u32(v, 16)));
}

/* Prefetches a part of the next tile while the bytes `from` to `to` of all rows of this tile are multiplied. The part
 * is as long as these bytes together. With many tokens the kernel does not wait for weights. */
INLINE void prefetch(const uint8_t *weights, size_t row_bytes, size_t from, size_t to, size_t tokens)
{
    const uint8_t *next = weights + MATMUL_ROWS * row_bytes;
    if (tokens > PREFETCH_TOKENS)
        return;
    for (size_t i = MATMUL_ROWS * from; i < MATMUL_ROWS * to; i += 64)
        __builtin_prefetch(next + i, 0, 2);
}

/* The sums of the quads from `q` on. */
INLINE float (*quad_sums(float sums[][MATMUL_ROWS], size_t q))[MATMUL_ROWS]
{
    return (float(*)[MATMUL_ROWS])(sums[0] + 4 * q);
}

#endif
