/* matmul_256_small_impl.h - 256-bit kernels of types in blocks of 32 elements. matmul_256_impl.h describes the form. */
#ifndef BERTH_MATMUL_256_SMALL_IMPL_H
#define BERTH_MATMUL_256_SMALL_IMPL_H

#include "matmul_256_add_impl.h"

/* ---- blocks of 32 ---- */

struct small {
    size_t bytes, payload; /* of a block, and where in it nibbles or bytes begin */
    struct kind kind;
};

static const struct small smalls[MATMUL_INT8] = {
    [MATMUL_Q4_0] = {sizeof(struct block_q4_0), offsetof(struct block_q4_0, qs),
        {.bits = 4, .offset = 3, .has_offset = true}},
    [MATMUL_Q4_1] = {sizeof(struct block_q4_1), offsetof(struct block_q4_1, qs),
        {.bits = 4, .has_min = true}},
    [MATMUL_Q5_0] = {sizeof(struct block_q5_0), offsetof(struct block_q5_0, qs),
        {.bits = 5, .offset = 4, .has_offset = true}},
    [MATMUL_Q5_1] = {sizeof(struct block_q5_1), offsetof(struct block_q5_1, qs),
        {.bits = 5, .has_min = true}},
    [MATMUL_Q8_0] = {sizeof(struct block_q8_0), offsetof(struct block_q8_0, qs), {SIGNED_BYTES}},
    [MATMUL_IQ4_NL] = {sizeof(struct block_iq4_nl), offsetof(struct block_iq4_nl, qs), {SIGNED_BYTES}},
    [MATMUL_MXFP4] = {sizeof(struct block_mxfp4), offsetof(struct block_mxfp4, qs),
        {.bits = 5, .offset = 4, .has_offset = true}},
};

/* 2^(e - 128) for the low byte e of each lane: subnormal for 0 and 1. */
INLINE __m256 half_powers(__m256i v)
{
    const __m256i e = _mm256_and_si256(v, _mm256_set1_epi32(255)), two = _mm256_set1_epi32(2);
    const __m256i normal = _mm256_slli_epi32(_mm256_sub_epi32(e, _mm256_set1_epi32(1)), 23);
    const __m256i small = _mm256_sllv_epi32(_mm256_set1_epi32(0x200000), e);
    return _mm256_castsi256_ps(_mm256_blendv_epi8(normal, small, _mm256_cmpgt_epi32(two, e)));
}

/* Lane r of `fifths` has the 32 fifth bits of row r. Returns those that belong to w[i] of a panel, each in bit 4 of its
 * byte. */
INLINE __m256i fifth_bits(__m256i fifths, size_t i, bool few)
{
    __m256i from, bit; /* which byte of its row has a weight's, and where */
    if (few) {
        from = _mm256_broadcastsi128_si256(_mm_setr_epi32(0, 0, 0x01010101, 0x01010101));
        from = _mm256_add_epi8(from, _mm256_set1_epi8((char)(i % 4 * 4 + i / 4 * 2)));
        bit = _mm256_set1_epi64x((long long)0x8040201008040201);
    } else {
        from = _mm256_broadcastsi128_si256(_mm_setr_epi32(0, 0x04040404, 0x08080808, 0x0c0c0c0c));
        from = _mm256_add_epi8(from, _mm256_set1_epi8((char)(i / 2)));
        bit = _mm256_set1_epi32(i % 2 ? (int)0x80402010 : 0x08040201);
    }
    __m256i hit = _mm256_cmpeq_epi8(_mm256_and_si256(_mm256_shuffle_epi8(fifths, from), bit), bit);
    return _mm256_and_si256(hit, _mm256_set1_epi8(16));
}

/* Unpacks the blocks of 32 that begin at `at`. They begin with d and, in some types, m; in MXFP4 with an exponent. */
INLINE void unpack_small(
    struct ymm_panel *p, const uint8_t *at, size_t row_bytes, enum matmul_int8 type, bool few)
{
    const uint8_t *payload = at + smalls[type].payload;
    __m256i head[4], raw[4];
    load_lanes(head, at, row_bytes); /* only the first words are used; this is faster than a gather */
    if (type == MATMUL_MXFP4) {
        p->scale[0] = half_powers(head[0]);
    } else {
        __m256 halves[2];
        both_halves(halves, head[0]);
        p->scale[0] = halves[0];
        p->min[0] = halves[1];
    }
    if (type == MATMUL_Q8_0) {
        load_weights(p->w, payload, row_bytes, few);
        load_weights(p->w + 4, payload + 16, row_bytes, few);
#pragma GCC unroll 8
        for (size_t j = 0; j < 8; j++)
            p->w[j] = signed_bytes(p->w[j]);
        return;
    }
    load_weights(raw, payload, row_bytes, few);
#pragma GCC unroll 4
    for (size_t j = 0; j < 4; j++) {
        p->w[j] = bits_of(raw[j], 0, 15);
        p->w[j + 4] = bits_of(raw[j], 4, 15);
    }
    __m256i fifths = head[1];
    if (type == MATMUL_Q5_0) /* they lie across two words */
        fifths = _mm256_or_si256(_mm256_srli_epi32(head[0], 16), _mm256_slli_epi32(head[1], 16));
#pragma GCC unroll 8
    for (size_t j = 0; j < 8; j++)
        if (type == MATMUL_Q5_0 || type == MATMUL_Q5_1)
            p->w[j] = _mm256_or_si256(p->w[j], fifth_bits(fifths, j, few));
        else if (type == MATMUL_IQ4_NL)
            p->w[j] = signed_bytes(levels_of(p->w[j], quant_levels_iq4, 0));
        else if (type == MATMUL_MXFP4)
            p->w[j] = levels_of(p->w[j], quant_levels_fp4, 16);
}

/* Few tokens wait for memory, so one group of rows follows the other: eight streams to read, not 32. */
INLINE void small_few(enum matmul_int8 type, const uint8_t *weights, size_t row_bytes, size_t blocks,
    const struct matmul_block *a, size_t tokens, float sums[][MATMUL_ROWS])
{
    const struct small s = smalls[type];
    const bool to_l1 = prefetches_to_l1(LANES, row_bytes);
    for (size_t g = 0; g < GROUPS; g++, weights += LANES * row_bytes)
        for (size_t b = 0; b < blocks; b++) {
            struct ymm_panel p;
            prefetch(weights, row_bytes, LANES, b * s.bytes, (b + 1) * s.bytes, to_l1);
            unpack_small(&p, weights + b * s.bytes, row_bytes, type, true);
            for (size_t t = 0; t < tokens; t++) {
                float *at = group(sums + t, g)[0];
                _mm256_store_ps(at, add_few(s.kind, &p, a + b * tokens + t, _mm256_load_ps(at)));
            }
        }
}

INLINE void small_tile(enum matmul_int8 type, const uint8_t *weights, size_t row_bytes, size_t blocks,
    const struct matmul_block *a, size_t tokens, float sums[][MATMUL_ROWS])
{
    const struct small s = smalls[type];
    if (tokens < TILE_TOKENS) {
        small_few(type, weights, row_bytes, blocks, a, tokens, sums);
        return;
    }
    const bool to_l1 = prefetches_to_l1(MATMUL_ROWS, row_bytes);
    for (size_t b = 0; b < blocks; b++) {
        struct ymm_panel p[GROUPS];
        prefetch(weights, row_bytes, MATMUL_ROWS, b * s.bytes, (b + 1) * s.bytes, to_l1);
        for (size_t g = 0; g < GROUPS; g++)
            unpack_small(&p[g], weights + LANES * g * row_bytes + b * s.bytes, row_bytes, type, false);
        many_of(s.kind)(s.kind.offset, p, a + b * tokens, tokens, sums);
    }
}

#define SMALL_TILE(name, type)                                                                               \
    static void tile_##name(const uint8_t *weights, size_t row_bytes, size_t blocks,                         \
        const struct matmul_block *a, size_t tokens, float sums[][MATMUL_ROWS])                              \
    {                                                                                                        \
        small_tile(type, weights, row_bytes, blocks, a, tokens, sums);                                       \
    }
SMALL_TILE(q4_0, MATMUL_Q4_0)
SMALL_TILE(q4_1, MATMUL_Q4_1)
SMALL_TILE(q5_0, MATMUL_Q5_0)
SMALL_TILE(q5_1, MATMUL_Q5_1)
SMALL_TILE(q8_0, MATMUL_Q8_0)
SMALL_TILE(iq4_nl, MATMUL_IQ4_NL)
SMALL_TILE(mxfp4, MATMUL_MXFP4)

#endif
