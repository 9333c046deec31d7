/* matmul_neon_dot_impl.h - multiplies a block of 32 of four rows: the part in which the arm64 sets differ.
 *
 * The multiplying instruction decides how the bytes of four rows lie in vectors. Only load_payload and bit_of depend on
 * it:
 *  - SDOT, and the widening products that replace it in base NEON, take four successive bytes of a row in each lane. A
 *    token's bytes lie in two registers and are multiplied from there, four at a time.
 *  - SMMLA takes eight successive bytes of two rows and of two tokens, and adds eight products to each of four sums.
 * With
 *    one token half of them would be unused, so one token is computed by SDOT.
 *
 * Both operands are signed, so offsets are subtracted from the weights first. The integer sums are exact. The float
 * steps that add a block to a token's sums are the same for all sets, by the formulas of matmul_plain.c.
 */
#ifndef BERTH_MATMUL_NEON_DOT_IMPL_H
#define BERTH_MATMUL_NEON_DOT_IMPL_H

#include "matmul_neon_impl.h"

/* 32 elements of k of four rows. */
struct quad {
    int8x16_t w[8]; /* the first 16 elements in four, the others in four */
    float32x4_t scale[2], min[2]; /* of each half, in types with halves; otherwise the first is that of all */
};

/* Whether a block has a minimum, and whether each half has its own scale and minimum. */
enum step { ONE_SCALE, WITH_MIN, HALVES, HALVES_WITH_MIN };

INLINE bool has_halves(enum step step)
{
    return step == HALVES || step == HALVES_WITH_MIN;
}

/* Adds the block's sums, s0 or in types with halves s0 and s1, to four outputs. */
INLINE void add_sums(float out[4], const struct quad *p, int32x4_t s0, int32x4_t s1,
    const struct matmul_block *a, enum step step)
{
    float32x4_t y = vld1q_f32(out);
    if (has_halves(step)) {
        float32x4_t joined = vmulq_f32(vcvtq_f32_s32(s0), p->scale[0]);
        joined = vfmaq_f32(joined, vcvtq_f32_s32(s1), p->scale[1]);
        if (step == HALVES_WITH_MIN) {
            joined = vfmaq_n_f32(joined, p->min[0], (float)-a->minus_half);
            joined = vfmaq_n_f32(joined, p->min[1], (float)(a->minus_half - a->minus_sum));
        }
        y = vfmaq_n_f32(y, joined, a->d);
    } else {
        y = vfmaq_f32(y, vcvtq_f32_s32(s0), vmulq_n_f32(p->scale[0], a->d));
        if (step == WITH_MIN)
            y = vfmaq_n_f32(y, p->min[0], a->d_sum);
    }
    vst1q_f32(out, y);
}

#if defined(__ARM_FEATURE_MATMUL_INT8)

INLINE bool leaves_to_sdot(size_t tokens)
{
    return tokens == 1;
}

/* Loads 16 bytes of each of 4 rows: eight of two rows in each vector, rows 0 and 1 before rows 2 and 3. */
INLINE void load_payload(uint8x16_t out[4], const uint8_t *at, size_t row_bytes)
{
#pragma GCC unroll 2
    for (size_t i = 0; i < 2; i++, at += 2 * row_bytes) {
        uint64x2_t a = vreinterpretq_u64_u8(vld1q_u8(at)), b = vreinterpretq_u64_u8(vld1q_u8(at + row_bytes));
        out[2 * i] = vreinterpretq_u8_u64(vzip1q_u64(a, b));
        out[2 * i + 1] = vreinterpretq_u8_u64(vzip2q_u64(a, b));
    }
}

/* Lane r of `words` has a bit for each element of row r. Returns 255 in the bytes of w[j] whose bit is set. */
INLINE uint8x16_t bit_of(uint32x4_t words, size_t j)
{
    static const uint8_t from[16] = {0, 0, 0, 0, 0, 0, 0, 0, 4, 4, 4, 4, 4, 4, 4, 4};
    static const uint8_t mask[16] = {1, 2, 4, 8, 16, 32, 64, 128, 1, 2, 4, 8, 16, 32, 64, 128};
    uint8x16_t at = vaddq_u8(vld1q_u8(from), vdupq_n_u8((uint8_t)(j % 4 / 2 * 8 + j / 4 * 2 + j % 2)));
    return vtstq_u8(vqtbl1q_u8(vreinterpretq_u8_u32(words), at), vld1q_u8(mask));
}

/* Adds the products of 16 elements. q[0] has the first eight of two tokens, q[1] the last. sums[0] is for rows 0 and 1
 * with both tokens, sums[1] for rows 2 and 3. */
INLINE void dot_pair(int32x4_t sums[2], const int8x16_t w[4], const int8x16_t q[2])
{
#pragma GCC unroll 2
    for (size_t i = 0; i < 2; i++) {
        sums[i] = vmmlaq_s32(sums[i], q[0], w[2 * i]);
        sums[i] = vmmlaq_s32(sums[i], q[1], w[2 * i + 1]);
    }
}

/* Regroups the sums: from two rows with both tokens to four rows with one token. */
INLINE void by_token(int32x4_t sums[2])
{
    int64x2_t low = vreinterpretq_s64_s32(sums[0]), high = vreinterpretq_s64_s32(sums[1]);
    sums[0] = vreinterpretq_s32_s64(vzip1q_s64(low, high));
    sums[1] = vreinterpretq_s32_s64(vzip2q_s64(low, high));
}

INLINE void load_pair(int8x16_t q[4], const struct matmul_block *a, const struct matmul_block *b)
{
#pragma GCC unroll 2
    for (size_t i = 0; i < 2; i++) {
        int64x2_t first = vreinterpretq_s64_s8(vld1q_s8(a->q + 16 * i));
        int64x2_t second = vreinterpretq_s64_s8(vld1q_s8(b->q + 16 * i));
        q[2 * i] = vreinterpretq_s8_s64(vzip1q_s64(first, second));
        q[2 * i + 1] = vreinterpretq_s8_s64(vzip2q_s64(first, second));
    }
}

/* One block of 32, all tokens, in pairs. The last of an odd number is paired with itself, and the second sums are
 * dropped. */
INLINE void add_block(const struct quad p[QUADS], const struct matmul_block *a, size_t tokens,
    float (*sums)[MATMUL_ROWS], enum step step)
{
    float dropped[4 * QUADS] = {0};
    for (size_t t = 0; t < tokens; t += 2) {
        const bool both = t + 1 < tokens;
        const struct matmul_block *other = both ? &a[t + 1] : &a[t];
        float *to = both ? sums[t + 1] : dropped;
        int8x16_t q[4];
        load_pair(q, &a[t], other);
#pragma GCC unroll 2
        for (size_t i = 0; i < QUADS; i++) {
            int32x4_t low[2] = {vdupq_n_s32(0), vdupq_n_s32(0)}, high[2] = {low[0], low[1]};
            dot_pair(low, p[i].w, q);
            dot_pair(has_halves(step) ? high : low, p[i].w + 4, q + 2);
            by_token(low);
            by_token(high);
            add_sums(sums[t] + 4 * i, &p[i], low[0], high[0], &a[t], step);
            add_sums(to + 4 * i, &p[i], low[1], high[1], other, step);
        }
    }
}

#else

INLINE bool leaves_to_sdot(size_t tokens)
{
    (void)tokens;
    return false;
}

INLINE void load_payload(uint8x16_t out[4], const uint8_t *at, size_t row_bytes)
{
    load_lanes(out, at, row_bytes);
}

/* Lane r of `words` has a bit for each element of row r. Returns 255 in the bytes of w[j] whose bit is set. */
INLINE uint8x16_t bit_of(uint32x4_t words, size_t j)
{
    static const uint8_t from[16] = {0, 0, 0, 0, 4, 4, 4, 4, 8, 8, 8, 8, 12, 12, 12, 12};
    static const uint8_t mask[2][16] = {{1, 2, 4, 8, 1, 2, 4, 8, 1, 2, 4, 8, 1, 2, 4, 8},
        {16, 32, 64, 128, 16, 32, 64, 128, 16, 32, 64, 128, 16, 32, 64, 128}};
    uint8x16_t at = vaddq_u8(vld1q_u8(from), vdupq_n_u8((uint8_t)(j / 2)));
    return vtstq_u8(vqtbl1q_u8(vreinterpretq_u8_u32(words), at), vld1q_u8(mask[j % 2]));
}

#if defined(__ARM_FEATURE_DOTPROD)
#define DOT_LANE(sum, w, q, lane) vdotq_laneq_s32(sum, w, q, lane)
#else
/* The sum of two products fits 16 bits: 2 * 127 * 128. */
INLINE int32x4_t dot_bytes(int32x4_t sum, int8x16_t w, int8x16_t q)
{
    int16x8_t low = vmull_s8(vget_low_s8(w), vget_low_s8(q)), high = vmull_high_s8(w, q);
    return vpadalq_s16(sum, vpaddq_s16(low, high));
}
#define DOT_LANE(sum, w, q, lane)                                                                            \
    dot_bytes(sum, w, vreinterpretq_s8_s32(vdupq_laneq_s32(vreinterpretq_s32_s8(q), lane)))
#endif

/* Adds the products of 16 elements of four rows. */
INLINE int32x4_t dot(int32x4_t sum, const int8x16_t w[4], int8x16_t q)
{
    sum = DOT_LANE(sum, w[0], q, 0);
    sum = DOT_LANE(sum, w[1], q, 1);
    sum = DOT_LANE(sum, w[2], q, 2);
    return DOT_LANE(sum, w[3], q, 3);
}

/* One block of 32, all tokens. */
INLINE void add_block(const struct quad p[QUADS], const struct matmul_block *a, size_t tokens,
    float (*sums)[MATMUL_ROWS], enum step step)
{
    const int32x4_t zero = vdupq_n_s32(0);
    for (size_t t = 0; t < tokens; t++) {
        int8x16_t low = vld1q_s8(a[t].q), high = vld1q_s8(a[t].q + 16);
#pragma GCC unroll 2
        for (size_t i = 0; i < QUADS; i++) {
            int32x4_t first = dot(zero, p[i].w, low);
            int32x4_t second = dot(has_halves(step) ? zero : first, p[i].w + 4, high);
            add_sums(sums[t] + 4 * i, &p[i], has_halves(step) ? first : second, second, &a[t], step);
        }
    }
}

#endif
#endif
