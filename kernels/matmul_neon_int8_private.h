/* matmul_neon_int8_private.h - products by quantized weights, four rows in four lanes, two such groups at a time.
 *
 * Compiled twice: by matmul_neon.c for what every arm64 processor has, by matmul_dotprod.c for those with SDOT.
 * The two differ in DOT_LANE alone, and each names its table at its end.
 *
 * Sixteen bytes of each of four rows are loaded and transposed, so that lane r of a vector holds four successive
 * bytes of row r; shifts and masks make of them eight vectors of signed bytes that cover 32 elements of k. Offsets
 * are taken off there, for both sides of SDOT are signed. Then each token's bytes, four at a time, are multiplied
 * from a lane of the two registers that hold them, and one float step adds the block to the token's sums.
 */
#ifndef BERTH_MATMUL_NEON_INT8_PRIVATE_H
#define BERTH_MATMUL_NEON_INT8_PRIVATE_H

#include "matmul_neon_private.h"

/* 32 elements of k of four rows. */
struct quad {
    int8x16_t w[8];
    float32x4_t scale[2]; /* of each half, where halves differ; otherwise the first is everybody's */
    float32x4_t min;
};

INLINE uint8x16_t bits_of(uint8x16_t v, unsigned from, uint8_t mask)
{
    return vandq_u8(vshlq_u8(v, vdupq_n_s8((int8_t)(-(int)from))), vdupq_n_u8(mask));
}

/* Bytes as numbers, without the offset that they are too large by. */
INLINE int8x16_t less(uint8x16_t v, int8_t offset)
{
    return vsubq_s8(vreinterpretq_s8_u8(v), vdupq_n_s8(offset));
}

/* ---- one block of 32, all tokens ---- */

#if defined(__ARM_FEATURE_DOTPROD)
#define DOT_LANE(sum, w, q, lane) vdotq_laneq_s32(sum, w, q, lane)
#else
/* Products fit 16 bits, and so do two of them: 2 * 127 * 128. */
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

INLINE void add_block(const struct quad p[QUADS], const struct matmul_block *a, size_t tokens,
    float (*sums)[MATMUL_ROWS], bool has_min)
{
    for (size_t t = 0; t < tokens; t++) {
        int8x16_t low = vld1q_s8(a[t].q), high = vld1q_s8(a[t].q + 16);
#pragma GCC unroll 2
        for (size_t i = 0; i < QUADS; i++) {
            int32x4_t s = dot(dot(vdupq_n_s32(0), p[i].w, low), p[i].w + 4, high);
            float32x4_t y = vld1q_f32(sums[t] + 4 * i);
            y = vfmaq_f32(y, vcvtq_f32_s32(s), vmulq_n_f32(p[i].scale[0], a[t].d));
            if (has_min)
                y = vfmaq_n_f32(y, p[i].min, a[t].d_sum);
            vst1q_f32(sums[t] + 4 * i, y);
        }
    }
}

/* The same with a scale for each half. */
INLINE void add_halves(
    const struct quad p[QUADS], const struct matmul_block *a, size_t tokens, float (*sums)[MATMUL_ROWS])
{
    for (size_t t = 0; t < tokens; t++) {
        int8x16_t low = vld1q_s8(a[t].q), high = vld1q_s8(a[t].q + 16);
#pragma GCC unroll 2
        for (size_t i = 0; i < QUADS; i++) {
            int32x4_t first = dot(vdupq_n_s32(0), p[i].w, low),
                      second = dot(vdupq_n_s32(0), p[i].w + 4, high);
            float32x4_t joined = vmulq_f32(vcvtq_f32_s32(first), p[i].scale[0]);
            joined = vfmaq_f32(joined, vcvtq_f32_s32(second), p[i].scale[1]);
            float32x4_t y = vld1q_f32(sums[t] + 4 * i);
            vst1q_f32(sums[t] + 4 * i, vfmaq_n_f32(y, joined, a[t].d));
        }
    }
}

/* ---- blocks of 32 ---- */

/* The blocks of 32 that begin at `at` with d and, in q4_1, m. */
INLINE void unpack_small(struct quad *p, const uint8_t *at, size_t row_bytes, enum matmul_int8 type)
{
    const size_t head = type == MATMUL_Q4_1 ? 4 : 2;
    const int8_t offset = type == MATMUL_Q4_0 ? 8 : 0;
    uint8x16_t raw[8];
    float32x4_t halves[2];
    both_halves(halves, load_words(at, row_bytes));
    p->scale[0] = halves[0];
    p->min = halves[1];
    load_lanes(raw, at + head, row_bytes);
    if (type == MATMUL_Q8_0)
        load_lanes(raw + 4, at + head + 16, row_bytes);
#pragma GCC unroll 4
    for (size_t i = 0; i < 4; i++)
        if (type == MATMUL_Q8_0) {
            p->w[i] = vreinterpretq_s8_u8(raw[i]);
            p->w[i + 4] = vreinterpretq_s8_u8(raw[i + 4]);
        } else {
            p->w[i] = less(vandq_u8(raw[i], vdupq_n_u8(15)), offset);
            p->w[i + 4] = less(vshrq_n_u8(raw[i], 4), offset);
        }
}

INLINE void small_tile(enum matmul_int8 type, size_t bytes, const uint8_t *weights, size_t row_bytes,
    size_t blocks, const struct matmul_block *a, size_t tokens, float sums[][MATMUL_ROWS])
{
    for (size_t b = 0; b < blocks; b++) {
        prefetch(weights, row_bytes, b * bytes, (b + 1) * bytes, tokens);
        for (size_t q = 0; q < TILE_QUADS; q += QUADS) {
            struct quad p[QUADS];
#pragma GCC unroll 2
            for (size_t i = 0; i < QUADS; i++)
                unpack_small(&p[i], weights + 4 * (q + i) * row_bytes + b * bytes, row_bytes, type);
            add_block(p, a + b * tokens, tokens, quad_sums(sums, q), type == MATMUL_Q4_1);
        }
    }
}

/* ---- blocks of 256 ---- */

/* Byte `i` of each lane. */
INLINE float32x4_t byte_of(uint8x16_t v, int i)
{
    uint32x4_t shifted = vshlq_u32(vreinterpretq_u32_u8(v), vdupq_n_s32(-8 * i));
    return vcvtq_f32_u32(vandq_u32(shifted, vdupq_n_u32(255)));
}

/* The same, signed. */
INLINE float32x4_t signed_byte_of(uint8x16_t v, int i)
{
    return vcvtq_f32_s32(vshrq_n_s32(vshlq_s32(vreinterpretq_s32_u8(v), vdupq_n_s32(24 - 8 * i)), 24));
}

/* The scales and minima of a q4_k's or q5_k's eight groups of 32. */
INLINE void unpack_k_scales(float32x4_t scale[8], float32x4_t min[8], const uint8_t *at, size_t row_bytes)
{
    uint8x16_t h[4];
    float32x4_t d[2];
    load_lanes(h, at, row_bytes);
    both_halves(d, vreinterpretq_u32_u8(h[0]));
    const uint8x16_t scales[2] = {bits_of(h[1], 0, 63), vorrq_u8(bits_of(h[3], 0, 15), bits_of(h[1], 2, 48))};
    const uint8x16_t mins[2] = {bits_of(h[2], 0, 63), vorrq_u8(bits_of(h[3], 4, 15), bits_of(h[2], 2, 48))};
    for (int i = 0; i < 8; i++) {
        scale[i] = vmulq_f32(d[0], byte_of(scales[i / 4], i % 4));
        min[i] = vnegq_f32(vmulq_f32(d[1], byte_of(mins[i / 4], i % 4)));
    }
}

/* q4_k and, with a fifth bit, q5_k. */
INLINE void k_tile(bool five, const uint8_t *weights, size_t row_bytes, size_t blocks,
    const struct matmul_block *a, size_t tokens, float sums[][MATMUL_ROWS])
{
    const size_t bytes = five ? sizeof(struct block_q5_k) : sizeof(struct block_q4_k);
    float32x4_t scale[TILE_QUADS][8], min[TILE_QUADS][8];
    uint8x16_t low[TILE_QUADS][8], high[TILE_QUADS][8];
    for (size_t b = 0; b < blocks; b++) {
        const uint8_t *at = weights + b / 8 * bytes;
        const unsigned part = b % 8;
        struct quad p[QUADS];
        prefetch(weights, row_bytes, b * bytes / 8, (b + 1) * bytes / 8, tokens);
        for (size_t q = 0; q < TILE_QUADS; q++, at += 4 * row_bytes) {
            if (part == 0)
                unpack_k_scales(scale[q], min[q], at, row_bytes);
            if (part == 0 && five) {
                load_lanes(high[q], at + 16, row_bytes);
                load_lanes(high[q] + 4, at + 32, row_bytes);
            }
            if (part % 2 == 0) {
                const uint8_t *qs = at + (five ? 48 : 16) + part / 2 * 32;
                load_lanes(low[q], qs, row_bytes);
                load_lanes(low[q] + 4, qs + 16, row_bytes);
            }
        }
        for (size_t q = 0; q < TILE_QUADS; q += QUADS) {
#pragma GCC unroll 2
            for (size_t i = 0; i < QUADS; i++) {
                p[i].scale[0] = scale[q + i][part];
                p[i].min = min[q + i][part];
#pragma GCC unroll 8
                for (size_t j = 0; j < 8; j++) {
                    uint8x16_t w = bits_of(low[q + i][j], part % 2 * 4, 15);
                    if (five)
                        w = vorrq_u8(w, vshlq_n_u8(bits_of(high[q + i][j], part, 1), 4));
                    p[i].w[j] = vreinterpretq_s8_u8(w);
                }
            }
            add_block(p, a + b * tokens, tokens, quad_sums(sums, q), true);
        }
    }
}

/* The scales of a q6_k's sixteen groups. */
INLINE void unpack_q6_scales(float32x4_t scale[16], const uint8_t *at, size_t row_bytes)
{
    uint8x16_t s[4];
    float32x4_t halves[2];
    load_lanes(s, at + 192, row_bytes);
    both_halves(halves, load_words(at + 206, row_bytes)); /* d is the last of the block */
    for (int i = 0; i < 16; i++)
        scale[i] = vmulq_f32(halves[1], signed_byte_of(s[i / 4], i % 4));
}

static void tile_q6_k(const uint8_t *weights, size_t row_bytes, size_t blocks, const struct matmul_block *a,
    size_t tokens, float sums[][MATMUL_ROWS])
{
    const size_t bytes = sizeof(struct block_q6_k);
    float32x4_t scale[TILE_QUADS][16];
    uint8x16_t low[TILE_QUADS][16], high[TILE_QUADS][8];
    for (size_t b = 0; b < blocks; b++) {
        const uint8_t *at = weights + b / 8 * bytes;
        const unsigned part = b % 8;
        struct quad p[QUADS];
        prefetch(weights, row_bytes, b * bytes / 8, (b + 1) * bytes / 8, tokens);
        for (size_t q = 0; q < TILE_QUADS; q++, at += 4 * row_bytes) {
            if (part == 0)
                unpack_q6_scales(scale[q], at, row_bytes);
            if (part % 4 != 0)
                continue;
            for (size_t i = 0; i < 4; i++)
                load_lanes(low[q] + 4 * i, at + part / 4 * 64 + 16 * i, row_bytes);
            for (size_t i = 0; i < 2; i++)
                load_lanes(high[q] + 4 * i, at + 128 + part / 4 * 32 + 16 * i, row_bytes);
        }
        for (size_t q = 0; q < TILE_QUADS; q += QUADS) {
#pragma GCC unroll 2
            for (size_t i = 0; i < QUADS; i++) {
                p[i].scale[0] = scale[q + i][2 * part];
                p[i].scale[1] = scale[q + i][2 * part + 1];
#pragma GCC unroll 8
                for (size_t j = 0; j < 8; j++)
                    p[i].w[j] = less(vorrq_u8(bits_of(low[q + i][part % 2 * 8 + j], part % 4 / 2 * 4, 15),
                                         vshlq_n_u8(bits_of(high[q + i][j], part % 4 * 2, 3), 4)),
                        32);
            }
            add_halves(p, a + b * tokens, tokens, quad_sums(sums, q));
        }
    }
}

/* ---- the table ---- */

#define INT8_TILE(name, run, what)                                                                           \
    static void tile_##name(const uint8_t *weights, size_t row_bytes, size_t blocks,                         \
        const struct matmul_block *a, size_t tokens, float sums[][MATMUL_ROWS])                              \
    {                                                                                                        \
        run(what, weights, row_bytes, blocks, a, tokens, sums);                                              \
    }
#define SMALL(type, block) type, sizeof(struct block)
INT8_TILE(q4_0, small_tile, SMALL(MATMUL_Q4_0, block_q4_0))
INT8_TILE(q4_1, small_tile, SMALL(MATMUL_Q4_1, block_q4_1))
INT8_TILE(q8_0, small_tile, SMALL(MATMUL_Q8_0, block_q8_0))
INT8_TILE(q4_k, k_tile, false)
INT8_TILE(q5_k, k_tile, true)

#define MATMUL_SET_OF_NEON                                                                                   \
    {                                                                                                        \
        .pack = matmul_neon_pack,                                                                            \
        .int8 = {tile_q4_0, tile_q4_1, tile_q8_0, tile_q4_k, tile_q5_k, tile_q6_k},                          \
        .floats = {matmul_neon_f32, matmul_neon_f16, matmul_neon_bf16},                                      \
    }

#endif
