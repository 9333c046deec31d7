/* matmul_256_wide_private.h - products by types in blocks of 256 elements, which have scales for 16 or 32 of them.
 *
 * matmul_256_private.h tells how. Each of a block's eight parts of 32 is unpacked when its turn comes. What serves
 * several of them is read at the first of these.
 */
#ifndef BERTH_MATMUL_256_WIDE_PRIVATE_H
#define BERTH_MATMUL_256_WIDE_PRIVATE_H

#include "matmul_256_add_private.h"

/* What is kept of a block of one group of rows. */
struct kept {
    __m256 scale[16], min[16]; /* of each 32 or 16 elements */
    __m256i low[16], high[8]; /* bytes that hold the lower and the upper bits of several parts */
};

/* d times each of the four signed bytes of a lane. */
INLINE void times_bytes(__m256 out[4], __m256 d, __m256i bytes)
{
    for (size_t i = 0; i < 4; i++) {
        __m256i top = _mm256_sll_epi32(bytes, _mm_cvtsi32_si128((int)(24 - i * 8)));
        out[i] = _mm256_mul_ps(d, _mm256_cvtepi32_ps(_mm256_srai_epi32(top, 24)));
    }
}

INLINE __m256 negative(__m256 v)
{
    return _mm256_xor_ps(v, _mm256_set1_ps(-0.0f));
}

/* The words that begin in the middle of `low` and end in that of `high`, which follows. */
INLINE __m256i across(__m256i low, __m256i high)
{
    return _mm256_or_si256(_mm256_srli_epi32(low, 16), _mm256_slli_epi32(high, 16));
}

INLINE void load_32(__m256i out[8], const uint8_t *at, size_t row_bytes, bool few)
{
    load_weights(out, at, row_bytes, few);
    load_weights(out + 4, at + 16, row_bytes, few);
}

/* Of each byte `low_bits` of `low`, from bit `low_from` up, and above them `high_bits` of `high`. */
INLINE void join(struct panel *p, const __m256i low[8], unsigned low_from, unsigned low_bits,
    const __m256i high[8], unsigned high_from, unsigned high_bits)
{
#pragma GCC unroll 8
    for (size_t i = 0; i < 8; i++) {
        __m256i upper = bits_of(high[i], high_from, (1 << high_bits) - 1);
        p->w[i] = _mm256_or_si256(
            bits_of(low[i], low_from, (1 << low_bits) - 1), _mm256_slli_epi32(upper, (int)low_bits));
    }
}

/* ---- a function a type: part `part` of the blocks that begin at `at` ---- */

INLINE void unpack_q2_k(
    struct panel *p, struct kept *k, const uint8_t *at, size_t row_bytes, unsigned part, bool few)
{
    if (part == 0) {
        __m256i scales[4], last[4];
        __m256 d[2];
        load_lanes(scales, at, row_bytes);
        load_lanes(last, at + 68, row_bytes);
        both_halves(d, last[3]);
        for (size_t i = 0; i < 4; i++) {
            times_bytes(k->scale + 4 * i, d[0], bits_of(scales[i], 0, 15));
            times_bytes(k->min + 4 * i, negative(d[1]), bits_of(scales[i], 4, 15));
        }
    }
    if (part % 4 == 0)
        load_32(k->low, at + 16 + part / 4 * 32, row_bytes, few);
#pragma GCC unroll 2
    for (size_t i = 0; i < 2; i++) {
        p->scale[i] = k->scale[2 * part + i];
        p->min[i] = k->min[2 * part + i];
    }
#pragma GCC unroll 8
    for (size_t i = 0; i < 8; i++)
        p->w[i] = bits_of(k->low[i], part % 4 * 2, 3);
}

INLINE void unpack_q3_k(
    struct panel *p, struct kept *k, const uint8_t *at, size_t row_bytes, unsigned part, bool few)
{
    if (part == 0) {
        __m256i s[4];
        __m256 d[2];
        load_lanes(s, at + 94, row_bytes); /* two bytes before the scales: d ends the block */
        both_halves(d, s[3]);
        const __m256i lower[2] = {across(s[0], s[1]), across(s[1], s[2])}, upper = across(s[2], s[3]);
        for (unsigned i = 0; i < 4; i++) {
            __m256i six = _mm256_or_si256(
                bits_of(lower[i % 2], i / 2 * 4, 15), _mm256_slli_epi32(bits_of(upper, i * 2, 3), 4));
            times_bytes(k->scale + 4 * i, d[1], _mm256_sub_epi8(six, _mm256_set1_epi8(32)));
        }
        load_32(k->high, at, row_bytes, few);
    }
    if (part % 4 == 0)
        load_32(k->low, at + 32 + part / 4 * 32, row_bytes, few);
    p->scale[0] = k->scale[2 * part];
    p->scale[1] = k->scale[2 * part + 1];
    join(p, k->low, part % 4 * 2, 2, k->high, part, 1);
}

/* Of q4_k and q5_k. */
INLINE void unpack_k_scales(struct kept *k, const uint8_t *at, size_t row_bytes)
{
    __m256i h[4];
    __m256 d[2];
    load_lanes(h, at, row_bytes);
    both_halves(d, h[0]);
    times_bytes(k->scale, d[0], bits_of(h[1], 0, 63));
    times_bytes(k->scale + 4, d[0], _mm256_or_si256(bits_of(h[3], 0, 15), bits_of(h[1], 2, 48)));
    times_bytes(k->min, negative(d[1]), bits_of(h[2], 0, 63));
    times_bytes(k->min + 4, negative(d[1]), _mm256_or_si256(bits_of(h[3], 4, 15), bits_of(h[2], 2, 48)));
}

INLINE void unpack_q4_k(
    struct panel *p, struct kept *k, const uint8_t *at, size_t row_bytes, unsigned part, bool few)
{
    if (part == 0)
        unpack_k_scales(k, at, row_bytes);
    if (part % 2 == 0)
        load_32(k->low, at + 16 + part / 2 * 32, row_bytes, few);
    p->scale[0] = k->scale[part];
    p->min[0] = k->min[part];
#pragma GCC unroll 8
    for (size_t i = 0; i < 8; i++)
        p->w[i] = bits_of(k->low[i], part % 2 * 4, 15);
}

INLINE void unpack_q5_k(
    struct panel *p, struct kept *k, const uint8_t *at, size_t row_bytes, unsigned part, bool few)
{
    if (part == 0) {
        unpack_k_scales(k, at, row_bytes);
        load_32(k->high, at + 16, row_bytes, few);
    }
    if (part % 2 == 0)
        load_32(k->low, at + 48 + part / 2 * 32, row_bytes, few);
    p->scale[0] = k->scale[part];
    p->min[0] = k->min[part];
    join(p, k->low, part % 2 * 4, 4, k->high, part, 1);
}

INLINE void unpack_q6_k(
    struct panel *p, struct kept *k, const uint8_t *at, size_t row_bytes, unsigned part, bool few)
{
    if (part == 0) {
        __m256i s[4], last[4];
        __m256 d[2];
        load_lanes(s, at + 192, row_bytes);
        load_lanes(last, at + 194, row_bytes);
        both_halves(d, last[3]);
        for (size_t i = 0; i < 4; i++)
            times_bytes(k->scale + 4 * i, d[1], s[i]);
    }
    if (part % 4 == 0) {
        load_32(k->low, at + part / 4 * 64, row_bytes, few);
        load_32(k->low + 8, at + part / 4 * 64 + 32, row_bytes, few);
        load_32(k->high, at + 128 + part / 4 * 32, row_bytes, few);
    }
    p->scale[0] = k->scale[2 * part];
    p->scale[1] = k->scale[2 * part + 1];
    join(p, k->low + part % 2 * 8, part % 4 / 2 * 4, 4, k->high, part % 4 * 2, 2);
}

INLINE void unpack_iq4_xs(
    struct panel *p, struct kept *k, const uint8_t *at, size_t row_bytes, unsigned part, bool few)
{
    if (part == 0) {
        __m256i h[4];
        __m256 d[2];
        load_lanes(h, at, row_bytes);
        both_halves(d, h[0]);
        for (unsigned i = 0; i < 8; i++) {
            __m256i six =
                _mm256_or_si256(bits_of(h[1], i * 4, 15), _mm256_slli_epi32(bits_of(h[0], 16 + i * 2, 3), 4));
            __m256i lowest = _mm256_and_si256(six, _mm256_set1_epi32(255)); /* the byte that is this scale */
            k->scale[i] =
                _mm256_mul_ps(d[0], _mm256_cvtepi32_ps(_mm256_sub_epi32(lowest, _mm256_set1_epi32(32))));
        }
    }
    __m256i raw[4];
    load_weights(raw, at + 8 + part * 16, row_bytes, few);
    p->scale[0] = k->scale[part];
#pragma GCC unroll 4
    for (size_t i = 0; i < 4; i++) {
        p->w[i] = signed_bytes(levels_of(bits_of(raw[i], 0, 15), quant_levels_iq4, 0));
        p->w[i + 4] = signed_bytes(levels_of(bits_of(raw[i], 4, 15), quant_levels_iq4, 0));
    }
}

/* ---- tiles ---- */

struct wide {
    size_t bytes; /* of a block */
    struct kind kind;
};

static const struct wide wides[MATMUL_INT8] = {
    [MATMUL_Q2_K] = {sizeof(struct block_q2_k), {.bits = 2, .has_min = true, .has_halves = true}},
    [MATMUL_Q3_K] = {sizeof(struct block_q3_k),
        {.bits = 3, .offset = 2, .has_offset = true, .has_halves = true}},
    [MATMUL_Q4_K] = {sizeof(struct block_q4_k), {.bits = 4, .has_min = true}},
    [MATMUL_Q5_K] = {sizeof(struct block_q5_k), {.bits = 5, .has_min = true}},
    [MATMUL_Q6_K] = {sizeof(struct block_q6_k),
        {.bits = 6, .offset = 5, .has_offset = true, .has_halves = true}},
    [MATMUL_IQ4_XS] = {sizeof(struct block_iq4_xs), {SIGNED_BYTES}},
};

/* `type` is known where this is inlined: one case of it is left. */
INLINE void unpack(enum matmul_int8 type, struct panel *p, struct kept *k, const uint8_t *at,
    size_t row_bytes, unsigned part, bool few)
{
    if (type == MATMUL_Q2_K)
        unpack_q2_k(p, k, at, row_bytes, part, few);
    else if (type == MATMUL_Q3_K)
        unpack_q3_k(p, k, at, row_bytes, part, few);
    else if (type == MATMUL_Q4_K)
        unpack_q4_k(p, k, at, row_bytes, part, few);
    else if (type == MATMUL_Q5_K)
        unpack_q5_k(p, k, at, row_bytes, part, few);
    else if (type == MATMUL_Q6_K)
        unpack_q6_k(p, k, at, row_bytes, part, few);
    else
        unpack_iq4_xs(p, k, at, row_bytes, part, few);
}

/* For few tokens, which wait for memory, one group of rows after the other: eight places to read at, not 32. */
INLINE void wide_few(enum matmul_int8 type, const uint8_t *weights, size_t row_bytes, size_t blocks,
    const struct matmul_block *a, size_t tokens, float sums[][MATMUL_ROWS])
{
    const struct wide w = wides[type];
    struct kept kept;
    for (size_t g = 0; g < GROUPS; g++, weights += LANES * row_bytes)
        for (size_t b = 0; b < blocks; b++) {
            struct panel p;
            prefetch(weights, row_bytes, LANES, b * w.bytes / 8, (b + 1) * w.bytes / 8);
            unpack(type, &p, &kept, weights + b / 8 * w.bytes, row_bytes, b % 8, true);
            add_few(w.kind, &p, a + b * tokens, tokens, group(sums, g));
        }
}

INLINE void wide_tile(enum matmul_int8 type, const uint8_t *weights, size_t row_bytes, size_t blocks,
    const struct matmul_block *a, size_t tokens, float sums[][MATMUL_ROWS])
{
    const struct wide w = wides[type];
    struct kept kept[GROUPS];
    if (tokens < TILE_TOKENS) {
        wide_few(type, weights, row_bytes, blocks, a, tokens, sums);
        return;
    }
    for (size_t b = 0; b < blocks; b++) {
        const uint8_t *at = weights + b / 8 * w.bytes;
        struct panel p[GROUPS];
        prefetch(weights, row_bytes, MATMUL_ROWS, b * w.bytes / 8, (b + 1) * w.bytes / 8);
        for (size_t g = 0; g < GROUPS; g++)
            unpack(type, &p[g], &kept[g], at + LANES * g * row_bytes, row_bytes, b % 8, false);
        many_of(w.kind)(w.kind.offset, p, a + b * tokens, tokens, sums);
    }
}

#define WIDE_TILE(name, type)                                                                                \
    static void tile_##name(const uint8_t *weights, size_t row_bytes, size_t blocks,                         \
        const struct matmul_block *a, size_t tokens, float sums[][MATMUL_ROWS])                              \
    {                                                                                                        \
        wide_tile(type, weights, row_bytes, blocks, a, tokens, sums);                                        \
    }
WIDE_TILE(q2_k, MATMUL_Q2_K)
WIDE_TILE(q3_k, MATMUL_Q3_K)
WIDE_TILE(q4_k, MATMUL_Q4_K)
WIDE_TILE(q5_k, MATMUL_Q5_K)
WIDE_TILE(q6_k, MATMUL_Q6_K)
WIDE_TILE(iq4_xs, MATMUL_IQ4_XS)

#endif
