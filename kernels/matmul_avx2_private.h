/* matmul_avx2_private.h - what all tiles with AVX2 share: eight rows in eight lanes.
 *
 * matmul_avx512.c with half the width, one group of rows at a time, and no vpdpbusd: vpmaddubsw multiplies
 * unsigned weights by signed activations and adds pairs in 16 bits, as many of which are added up as fit before
 * vpmaddwd widens them. Of 127 * 2 * (the largest weight), 32767 has room for 8 with weights of four bits, 4 with
 * five, 2 with six and 1 with eight. So no sum saturates, and the integers are exact.
 *
 * A type is a function that unpacks 32 elements of k of one group of rows into a panel; add_block or add_halves
 * then adds them for all tokens.
 */
#ifndef BERTH_MATMUL_AVX2_PRIVATE_H
#define BERTH_MATMUL_AVX2_PRIVATE_H

#include "matmul_private.h"

#include <immintrin.h>
#include <string.h>

#define INLINE static inline __attribute__((always_inline))
#define LANES 8
#define GROUPS (MATMUL_ROWS / LANES)
#define PREFETCH_TOKENS 16

/* 32 elements of k of one group of rows. */
struct panel {
    __m256i w[8];
    __m256 scale[2], min[2]; /* of each half, where halves differ; otherwise the first is everybody's */
};

/* Loads 16 bytes of each of 8 rows; out[j] has bytes 4j to 4j + 3 of row r in lane r. */
INLINE void load_lanes(__m256i out[4], const uint8_t *at, size_t row_bytes)
{
    __m256i v[4];
#pragma GCC unroll 4
    for (size_t i = 0; i < 4; i++) {
        const uint8_t *row = at + i * row_bytes;
        v[i] = _mm256_castsi128_si256(_mm_loadu_si128((const __m128i *)row));
        v[i] = _mm256_inserti128_si256(v[i], _mm_loadu_si128((const __m128i *)(row + 4 * row_bytes)), 1);
    }
    __m256i a = _mm256_unpacklo_epi32(v[0], v[1]), b = _mm256_unpackhi_epi32(v[0], v[1]);
    __m256i c = _mm256_unpacklo_epi32(v[2], v[3]), d = _mm256_unpackhi_epi32(v[2], v[3]);
    out[0] = _mm256_unpacklo_epi64(a, c);
    out[1] = _mm256_unpackhi_epi64(a, c);
    out[2] = _mm256_unpacklo_epi64(b, d);
    out[3] = _mm256_unpackhi_epi64(b, d);
}

/* Each lane is two float16: out[0] gets the low ones, out[1] the high ones. */
INLINE void both_halves(__m256 out[2], __m256i v)
{
    const __m256i order = _mm256_setr_epi8(0, 1, 4, 5, 8, 9, 12, 13, 2, 3, 6, 7, 10, 11, 14, 15, 0, 1, 4, 5,
        8, 9, 12, 13, 2, 3, 6, 7, 10, 11, 14, 15);
    __m256i sorted = _mm256_permute4x64_epi64(_mm256_shuffle_epi8(v, order), 0xd8);
    out[0] = _mm256_cvtph_ps(_mm256_castsi256_si128(sorted));
    out[1] = _mm256_cvtph_ps(_mm256_extracti128_si256(sorted, 1));
}

INLINE __m256i broadcast(const void *at)
{
    int value;
    memcpy(&value, at, sizeof(value));
    return _mm256_set1_epi32(value);
}

INLINE __m256i bits_of(__m256i v, unsigned from, int mask)
{
    return _mm256_and_si256(_mm256_srl_epi32(v, _mm_cvtsi32_si128((int)from)), _mm256_set1_epi8((char)mask));
}

/* The levels that nibbles stand for, and more by `offset`. */
INLINE __m256i levels_of(__m256i nibbles, const int8_t level[16], int offset)
{
    __m256i levels = _mm256_broadcastsi128_si256(_mm_loadu_si128((const __m128i *)level));
    return _mm256_shuffle_epi8(_mm256_add_epi8(levels, _mm256_set1_epi8((char)offset)), nibbles);
}

/* As in matmul_avx512.c. */
INLINE void prefetch(const uint8_t *weights, size_t row_bytes, size_t from, size_t to, size_t tokens)
{
    const char *next = (const char *)weights + MATMUL_ROWS * row_bytes;
    if (tokens > PREFETCH_TOKENS)
        return;
    for (size_t i = MATMUL_ROWS * from; i < MATMUL_ROWS * to; i += 64)
        _mm_prefetch(next + i, _MM_HINT_T1);
}

/* ---- one block of 32, all tokens ---- */

/* Sums of products with the activations at q, from `begin` to `end` of eight vectors of weights of some bits.
 * Weights of eight bits are signed: sizes go one way, signs the other, for -128 has no opposite. */
INLINE __m256i dot(const __m256i w[8], const int8_t *q, size_t begin, size_t end, unsigned bits)
{
    const size_t fit = bits <= 4 ? 8 : bits == 5 ? 4 : bits == 6 ? 2 : 1;
    __m256i total = _mm256_setzero_si256(), sum = total;
#pragma GCC unroll 8
    for (size_t i = begin; i < end; i++) {
        __m256i a = broadcast(q + 4 * i);
        __m256i pairs = bits == 8 ? _mm256_maddubs_epi16(_mm256_abs_epi8(w[i]), _mm256_sign_epi8(a, w[i]))
                                  : _mm256_maddubs_epi16(w[i], a);
        sum = i == begin || i % fit == 0 ? pairs : _mm256_add_epi16(sum, pairs);
        if (i % fit == fit - 1 || i + 1 == end)
            total = _mm256_add_epi32(total, _mm256_madd_epi16(sum, _mm256_set1_epi16(1)));
    }
    return total;
}

/* `offset`, a power of two given by its exponent, is what the unsigned weights are too large by; 0 for none. */
INLINE void add_block(const struct panel *p, const struct matmul_block *a, size_t tokens,
    float (*sums)[MATMUL_ROWS], unsigned bits, unsigned offset, bool has_min)
{
    for (size_t t = 0; t < tokens; t++) {
        __m256i s = dot(p->w, a[t].q, 0, 8, bits);
        if (offset)
            s = _mm256_add_epi32(s, _mm256_slli_epi32(broadcast(&a[t].minus_sum), (int)offset));
        __m256 y = _mm256_load_ps(sums[t]), scale = _mm256_mul_ps(p->scale[0], _mm256_set1_ps(a[t].d));
        y = _mm256_fmadd_ps(_mm256_cvtepi32_ps(s), scale, y);
        if (has_min)
            y = _mm256_fmadd_ps(p->min[0], _mm256_set1_ps(a[t].d_sum), y);
        _mm256_store_ps(sums[t], y);
    }
}

/* The same with a scale and a minimum for each half. */
INLINE void add_halves(const struct panel *p, const struct matmul_block *a, size_t tokens,
    float (*sums)[MATMUL_ROWS], unsigned bits, unsigned offset, bool has_min)
{
    for (size_t t = 0; t < tokens; t++) {
        __m256i low = dot(p->w, a[t].q, 0, 4, bits), high = dot(p->w, a[t].q, 4, 8, bits);
        __m256i minus_low = broadcast(&a[t].minus_half);
        __m256i minus_high = _mm256_sub_epi32(broadcast(&a[t].minus_sum), minus_low);
        if (offset) {
            low = _mm256_add_epi32(low, _mm256_slli_epi32(minus_low, (int)offset));
            high = _mm256_add_epi32(high, _mm256_slli_epi32(minus_high, (int)offset));
        }
        __m256 joined = _mm256_mul_ps(_mm256_cvtepi32_ps(low), p->scale[0]);
        joined = _mm256_fmadd_ps(_mm256_cvtepi32_ps(high), p->scale[1], joined);
        if (has_min) { /* minus the sum, minus the product: but for signs of zeros the same, and y keeps none */
            joined = _mm256_fnmadd_ps(p->min[0], _mm256_cvtepi32_ps(minus_low), joined);
            joined = _mm256_fnmadd_ps(p->min[1], _mm256_cvtepi32_ps(minus_high), joined);
        }
        __m256 y = _mm256_load_ps(sums[t]);
        _mm256_store_ps(sums[t], _mm256_fmadd_ps(joined, _mm256_set1_ps(a[t].d), y));
    }
}

/* The sums of one group of rows. */
INLINE float (*group(float sums[][MATMUL_ROWS], size_t g))[MATMUL_ROWS]
{
    return (float(*)[MATMUL_ROWS])(sums[0] + LANES * g);
}

/* ---- blocks of 256: matmul_k_avx2.c ---- */

extern matmul_int8_tile matmul_avx2_q2_k, matmul_avx2_q3_k, matmul_avx2_q4_k, matmul_avx2_q5_k;
extern matmul_int8_tile matmul_avx2_q6_k, matmul_avx2_iq4_xs;

#endif
