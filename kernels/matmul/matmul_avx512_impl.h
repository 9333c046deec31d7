/* matmul_avx512_impl.h - what the AVX-512 kernels share: loading rows into lanes, and the float steps.
 *
 * A kernel for many tokens has two steps. First, sixteen bytes of each of sixteen rows are loaded and transposed, so
 * that lane r of a vector holds four successive bytes of row r. Shifts and masks turn them into a panel: eight vectors
 * of unsigned bytes that cover 32 elements of k. Second, for each token, four bytes at a time are broadcast to vpdpbusd
 * for both groups of rows, and one float step adds the block to the token's sums.
 *
 * For one or two tokens the weights come from memory, and the hardware prefetcher does not follow 32 streams. So one
 * group of rows follows the other, and the next group is prefetched in the order of the file. The weights are used
 * once, so they are not transposed: a vector holds four rows or, where 32 bytes of each are read, two. The sums are
 * transposed instead, while they are added up. Integer sums are exact in any order, and the float step is the same.
 */
#ifndef BERTH_MATMUL_AVX512_IMPL_H
#define BERTH_MATMUL_AVX512_IMPL_H

#include "matmul_prefetch_impl.h"
#include "matmul_private.h"

#include <immintrin.h>
#include <string.h>

#define INLINE static inline __attribute__((always_inline))
#define GROUPS 2 /* of sixteen rows: MATMUL_ROWS */
#define NO_OFFSET (-1)
#define FEW_TOKENS 2 /* so many or fewer take the weights as rows; one for types with halves, and for q8_0 */

/* 32 elements of k of one group of rows. */
struct zmm_panel {
    __m512i w[8];
    __m512i fifth; /* fifth bits of blocks of 32: bit i of lane r belongs to element i of row r */
    __m512 scale[2], min[2]; /* of each half, in types with halves; otherwise the first is that of all */
};

/* The addresses of sixteen rows: of every fourth row, and the distances to the next and to the third next. These fit
 * registers and the addressing modes of loads. The compiler would compute all sixteen addresses before the loop and
 * keep them on the stack; the empty assembly hides from it how they were computed. */
struct zmm_rows {
    const uint8_t *quad[4];
    size_t one, three;
};

INLINE struct zmm_rows rows_at(const uint8_t *at, size_t row_bytes)
{
    struct zmm_rows r = {.one = row_bytes, .three = 3 * row_bytes};
    __asm__("" : "+r"(at), "+r"(r.three));
#pragma GCC unroll 4
    for (size_t i = 0; i < 4; i++) {
        r.quad[i] = at + 4 * i * row_bytes;
        __asm__("" : "+r"(r.quad[i]));
    }
    return r;
}

INLINE const uint8_t *row_at(const struct zmm_rows *r, size_t row, size_t byte)
{
    return r->quad[row / 4] + (row % 4 == 3 ? r->three : row % 4 * r->one) + byte;
}

/* Loads 16 bytes of each of 16 rows; v[j] has those of the rows j, 4 + j, 8 + j and 12 + j. */
INLINE void load_rows(__m512i v[4], const struct zmm_rows *r, size_t byte)
{
#pragma GCC unroll 4
    for (size_t i = 0; i < 4; i++) {
        __m256i low = _mm256_castsi128_si256(_mm_loadu_si128((const __m128i *)row_at(r, i, byte)));
        __m256i high = _mm256_castsi128_si256(_mm_loadu_si128((const __m128i *)row_at(r, 8 + i, byte)));
        low = _mm256_inserti128_si256(low, _mm_loadu_si128((const __m128i *)row_at(r, 4 + i, byte)), 1);
        high = _mm256_inserti128_si256(high, _mm_loadu_si128((const __m128i *)row_at(r, 12 + i, byte)), 1);
        v[i] = _mm512_inserti64x4(_mm512_castsi256_si512(low), high, 1);
    }
}

/* Transposes what load_rows loaded: v[j] gets bytes 4j to 4j + 3 of row r in lane r. */
INLINE void transpose(__m512i v[4])
{
    __m512i a = _mm512_unpacklo_epi32(v[0], v[1]), b = _mm512_unpackhi_epi32(v[0], v[1]);
    __m512i c = _mm512_unpacklo_epi32(v[2], v[3]), d = _mm512_unpackhi_epi32(v[2], v[3]);
    v[0] = _mm512_unpacklo_epi64(a, c);
    v[1] = _mm512_unpackhi_epi64(a, c);
    v[2] = _mm512_unpacklo_epi64(b, d);
    v[3] = _mm512_unpackhi_epi64(b, d);
}

INLINE void load_lanes(__m512i v[4], const struct zmm_rows *r, size_t byte)
{
    load_rows(v, r, byte);
    transpose(v);
}

/* Loads weights: as rows for few tokens, transposed for many. */
INLINE void load_weights(__m512i v[4], const struct zmm_rows *r, size_t byte, bool few)
{
    load_rows(v, r, byte);
    if (!few)
        transpose(v);
}

INLINE int word_at(const uint8_t *at)
{
    int word;
    memcpy(&word, at, sizeof(word));
    return word;
}

/* Four bytes of each of 16 rows. Faster than a gather, and than load_lanes, most of which would not be used. */
INLINE __m512i load_words(const struct zmm_rows *r, size_t byte)
{
    __m256i low = _mm256_setzero_si256(), high = low;
#pragma GCC unroll 8
    for (size_t i = 0; i < 8; i++) {
        low = _mm256_mask_set1_epi32(low, (__mmask8)(1 << i), word_at(row_at(r, i, byte)));
        high = _mm256_mask_set1_epi32(high, (__mmask8)(1 << i), word_at(row_at(r, 8 + i, byte)));
    }
    return _mm512_inserti64x4(_mm512_castsi256_si512(low), high, 1);
}

/* Each lane holds two float16: out[0] gets the low ones, out[1] the high ones. */
INLINE void both_halves(__m512 out[2], __m512i v)
{
    const __m512i order = _mm512_set_epi16(31, 29, 27, 25, 23, 21, 19, 17, 15, 13, 11, 9, 7, 5, 3, 1, 30, 28,
        26, 24, 22, 20, 18, 16, 14, 12, 10, 8, 6, 4, 2, 0);
    __m512i sorted = _mm512_permutexvar_epi16(order, v);
    out[0] = _mm512_cvtph_ps(_mm512_castsi512_si256(sorted));
    out[1] = _mm512_cvtph_ps(_mm512_extracti64x4_epi64(sorted, 1));
}

INLINE __m512i broadcast(const void *at)
{
    return _mm512_set1_epi32(word_at(at));
}

/* Byte `i` of each lane. */
INLINE __m512i byte_of(__m512i v, unsigned i)
{
    return _mm512_and_si512(_mm512_srl_epi32(v, _mm_cvtsi32_si128((int)(8 * i))), _mm512_set1_epi32(255));
}

INLINE __m512i bits_of(__m512i v, unsigned from, int mask)
{
    return _mm512_and_si512(_mm512_srl_epi32(v, _mm_cvtsi32_si128((int)from)), _mm512_set1_epi8((char)mask));
}

/* v times 2^offset. */
INLINE __m512i times_power(__m512i v, int offset)
{
    return _mm512_sll_epi32(v, _mm_cvtsi32_si128(offset));
}

/* ---- one block of 32, many tokens ---- */

/* The unsigned weights are too large by 2^offset, or by nothing when `offset` is NO_OFFSET. */
INLINE void add_block(const struct zmm_panel p[GROUPS], const struct matmul_block *a, size_t tokens,
    float sums[][MATMUL_ROWS], int offset, bool has_min)
{
    for (size_t t = 0; t < tokens; t++) {
        __m512i s = offset >= 0 ? times_power(broadcast(&a[t].minus_sum), offset) : _mm512_setzero_si512();
        __m512i dot[GROUPS] = {s, s};
#pragma GCC unroll 8
        for (size_t i = 0; i < 8; i++) {
            __m512i q = broadcast(a[t].q + 4 * i);
            dot[0] = _mm512_dpbusd_epi32(dot[0], p[0].w[i], q);
            dot[1] = _mm512_dpbusd_epi32(dot[1], p[1].w[i], q);
        }
        __m512 d = _mm512_set1_ps(a[t].d), d_sum = _mm512_set1_ps(a[t].d_sum);
#pragma GCC unroll 2
        for (size_t g = 0; g < GROUPS; g++) {
            __m512 y = _mm512_load_ps(sums[t] + 16 * g);
            y = _mm512_fmadd_ps(_mm512_cvtepi32_ps(dot[g]), _mm512_mul_ps(p[g].scale[0], d), y);
            if (has_min)
                y = _mm512_fmadd_ps(p[g].min[0], d_sum, y);
            _mm512_store_ps(sums[t] + 16 * g, y);
        }
    }
}

/* ---- one block, one token and one group of rows; the weights are rows ---- */

/* Each of v[0..3] has four words, partial sums, of each of four rows. Returns the sum of each row in its lane. */
INLINE __m512i add_words(const __m512i v[4])
{
    __m512i low = _mm512_add_epi32(_mm512_unpacklo_epi32(v[0], v[1]), _mm512_unpackhi_epi32(v[0], v[1]));
    __m512i high = _mm512_add_epi32(_mm512_unpacklo_epi32(v[2], v[3]), _mm512_unpackhi_epi32(v[2], v[3]));
    return _mm512_add_epi32(_mm512_unpacklo_epi64(low, high), _mm512_unpackhi_epi64(low, high));
}

INLINE __m512i half_of_block(const struct matmul_block *a, size_t half)
{
    return _mm512_broadcast_i32x4(_mm_loadu_si128((const __m128i *)(a->q + 16 * half)));
}

/* The sums of few tokens stay in registers: loading a sum that was just stored takes longer than the addition. */
INLINE void load_sums(__m512 y[FEW_TOKENS], float sums[][MATMUL_ROWS], size_t row, size_t tokens)
{
#pragma GCC unroll 2
    for (size_t t = 0; t < FEW_TOKENS; t++)
        y[t] = t < tokens ? _mm512_load_ps(sums[t] + row) : _mm512_setzero_ps();
}

INLINE void store_sums(const __m512 y[FEW_TOKENS], float sums[][MATMUL_ROWS], size_t row, size_t tokens)
{
#pragma GCC unroll 2
    for (size_t t = 0; t < FEW_TOKENS; t++)
        if (t < tokens)
            _mm512_store_ps(sums[t] + row, y[t]);
}

/* p->w[j] has the first 16 elements of the rows j, 4 + j, 8 + j and 12 + j, and p->w[4 + j] their last 16. Returns y
 * plus the products of the block. */
INLINE __m512 add_rows(
    const struct zmm_panel *p, const struct matmul_block *a, __m512 y, int offset, bool has_min)
{
    const __m512i first = half_of_block(a, 0), last = half_of_block(a, 1);
    __m512i v[4];
#pragma GCC unroll 4
    for (size_t i = 0; i < 4; i++)
        v[i] = _mm512_dpbusd_epi32(
            _mm512_dpbusd_epi32(_mm512_setzero_si512(), p->w[i], first), p->w[4 + i], last);
    __m512i dot = add_words(v);
    if (offset >= 0)
        dot = _mm512_add_epi32(dot, times_power(broadcast(&a->minus_sum), offset));
    y = _mm512_fmadd_ps(_mm512_cvtepi32_ps(dot), _mm512_mul_ps(p->scale[0], _mm512_set1_ps(a->d)), y);
    return has_min ? _mm512_fmadd_ps(p->min[0], _mm512_set1_ps(a->d_sum), y) : y;
}

/* Minus the sums of a block's halves. */
INLINE void minus_halves(__m512i out[2], const struct matmul_block *a)
{
    out[0] = broadcast(&a->minus_half);
    out[1] = _mm512_sub_epi32(broadcast(&a->minus_sum), out[0]);
}

/* Returns y plus the products of both halves. */
INLINE __m512 join_halves(const struct zmm_panel *p, const struct matmul_block *a, __m512i first,
    __m512i last, __m512 y, bool has_min)
{
    __m512 joined = _mm512_mul_ps(_mm512_cvtepi32_ps(first), p->scale[0]);
    joined = _mm512_fmadd_ps(_mm512_cvtepi32_ps(last), p->scale[1], joined);
    if (has_min) {
        __m512i minus[2];
        minus_halves(minus, a);
        joined = _mm512_fnmadd_ps(p->min[0], _mm512_cvtepi32_ps(minus[0]), joined);
        joined = _mm512_fnmadd_ps(p->min[1], _mm512_cvtepi32_ps(minus[1]), joined);
    }
    return _mm512_fmadd_ps(joined, _mm512_set1_ps(a->d), y);
}

/* 32 bytes of one row, followed by 32 of another. */
INLINE __m512i two_rows(const uint8_t *low, const uint8_t *high)
{
    __m512i v = _mm512_castsi256_si512(_mm256_loadu_si256((const __m256i *)low));
    return _mm512_inserti64x4(v, _mm256_loadu_si256((const __m256i *)high), 1);
}

/* Loads 32 bytes of each of 16 rows: v[j] has those of the rows j and 4 + j, v[4 + j] of 8 + j and 12 + j. */
INLINE void load_pairs(__m512i v[8], const struct zmm_rows *r, size_t byte)
{
#pragma GCC unroll 8
    for (size_t i = 0; i < 8; i++) {
        const size_t row = i / 4 * 8 + i % 4;
        v[i] = two_rows(row_at(r, row, byte), row_at(r, row + 4, byte));
    }
}

/* As add_rows, with a scale and, with `has_min`, a minimum for each half. The weights are pairs of rows, so add_words
 * leaves in each 128 bits the sums of four rows: first halves and last halves alternate. */
INLINE __m512 add_row_halves(
    const struct zmm_panel *p, const struct matmul_block *a, __m512 y, int offset, bool has_min)
{
    const __m512i q = _mm512_broadcast_i64x4(_mm256_loadu_si256((const __m256i *)a->q));
    __m512i v[8], dot[2];
#pragma GCC unroll 8
    for (size_t i = 0; i < 8; i++)
        v[i] = _mm512_dpbusd_epi32(_mm512_setzero_si512(), p->w[i], q);
    const __m512i upper = add_words(v), lower = add_words(v + 4);
    dot[0] = _mm512_shuffle_i32x4(upper, lower, 0x88);
    dot[1] = _mm512_shuffle_i32x4(upper, lower, 0xdd);
    if (offset >= 0) {
        __m512i minus[2];
        minus_halves(minus, a);
        dot[0] = _mm512_add_epi32(dot[0], times_power(minus[0], offset));
        dot[1] = _mm512_add_epi32(dot[1], times_power(minus[1], offset));
    }
    return join_halves(p, a, dot[0], dot[1], y, has_min);
}

/* ---- one block, many tokens, with a scale for each half ---- */

INLINE void add_halves(const struct zmm_panel p[GROUPS], const struct matmul_block *a, size_t tokens,
    float sums[][MATMUL_ROWS], int offset, bool has_min)
{
    for (size_t t = 0; t < tokens; t++) {
        __m512i minus[2], dot[GROUPS][2];
        minus_halves(minus, a + t);
#pragma GCC unroll 2
        for (size_t half = 0; half < 2; half++)
            dot[0][half] = dot[1][half] =
                offset >= 0 ? times_power(minus[half], offset) : _mm512_setzero_si512();
#pragma GCC unroll 8
        for (size_t i = 0; i < 8; i++) {
            __m512i q = broadcast(a[t].q + 4 * i);
            dot[0][i / 4] = _mm512_dpbusd_epi32(dot[0][i / 4], p[0].w[i], q);
            dot[1][i / 4] = _mm512_dpbusd_epi32(dot[1][i / 4], p[1].w[i], q);
        }
#pragma GCC unroll 2
        for (size_t g = 0; g < GROUPS; g++) {
            float *at = sums[t] + 16 * g;
            __m512 y = join_halves(&p[g], a + t, dot[g][0], dot[g][1], _mm512_load_ps(at), has_min);
            _mm512_store_ps(at, y);
        }
    }
}

/* ---- levels ---- */

/* The sixteen signed levels plus 2^offset, in each 128 bits, which is what a byte shuffle looks them up in. */
INLINE __m512i levels_of(const int8_t levels[16], int offset)
{
    __m512i four = _mm512_broadcast_i32x4(_mm_loadu_si128((const __m128i *)levels));
    return _mm512_add_epi8(four, _mm512_set1_epi8((char)(1 << offset)));
}

/* ---- in other files: blocks of 256 in matmul_k_avx512.c, codes in matmul_codes_avx512.c ---- */

matmul_int8_tile matmul_avx512_q2_k, matmul_avx512_q3_k, matmul_avx512_q4_k, matmul_avx512_q5_k,
    matmul_avx512_q6_k, matmul_avx512_iq4_xs;
matmul_int8_tile matmul_avx512_tq1_0, matmul_avx512_tq2_0, matmul_avx512_q1_0, matmul_avx512_q2_0,
    matmul_avx512_nvfp4, matmul_avx512_iq2_xxs, matmul_avx512_iq2_xs, matmul_avx512_iq2_s,
    matmul_avx512_iq3_xxs, matmul_avx512_iq3_s, matmul_avx512_iq1_s, matmul_avx512_iq1_m;

#endif
