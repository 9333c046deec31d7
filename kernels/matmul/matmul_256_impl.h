/* matmul_256_impl.h - what the kernels with 256-bit registers share: eight rows in eight lanes.
 *
 * The form is that of matmul_avx512_impl.h with half the width. For each type a function unpacks 32 elements of k of
 * one group of eight rows into a panel. For few tokens the panel stays in registers and is multiplied by one token at
 * a time (add_few). For many tokens the panels of all groups are stored in L1, and register tiles of two groups by
 * four tokens share what they load (add_tile).
 *
 * Without vpdpbusd, vpmaddubsw multiplies unsigned weights by signed activations and adds pairs in 16 bits. These are
 * added up in 16 bits before vpmaddwd widens them. A pair is at most 127 * 2 * (the largest weight), so 16 bits hold 8
 * pairs of weights of four bits, 4 of five bits and 1 of eight bits. Weights with an offset allow twice as many: the
 * sum starts with minus the offset's products, may wrap around on the way, and fits at the end. So all sums are exact.
 *
 * The matmul_256_*_impl.h files are compiled twice: for AVX2, and for AVX-VNNI, whose vpdpbusd needs all weights
 * unsigned.
 */
#ifndef BERTH_MATMUL_256_IMPL_H
#define BERTH_MATMUL_256_IMPL_H

#include "matmul_prefetch_impl.h"
#include "matmul_private.h"

#include <immintrin.h>
#include <string.h>

#define INLINE static inline __attribute__((always_inline))
#define LANES 8
#define GROUPS (MATMUL_ROWS / LANES)
#define TILE_GROUPS 2
#define TILE_TOKENS 4

#if defined(__AVXVNNI__)
#define SIGNED_BYTES .bits = 8, .offset = 7, .has_offset = true
#else
#define SIGNED_BYTES .bits = 8
#endif

/* 32 elements of k of one group of rows. For many tokens w[i] has elements 4i to 4i + 3 of row r in lane r. For few
 * tokens w[j] has the first 16 elements of the rows j and 4 + j, and w[4 + j] their last 16. In types with halves, for
 * few tokens, w[j] has all 32 elements of row j, so that each 128 bits give the sum of one half. */
struct ymm_panel {
    __m256i w[8];
    __m256 scale[2], min[2]; /* of each half, in types with halves; otherwise the first is that of all */
};

/* Loads 16 bytes of each of 8 rows; v[j] has those of the rows j and 4 + j. */
INLINE void load_rows(__m256i v[4], const uint8_t *at, size_t row_bytes)
{
#pragma GCC unroll 4
    for (size_t i = 0; i < 4; i++) {
        const uint8_t *row = at + i * row_bytes;
        v[i] = _mm256_castsi128_si256(_mm_loadu_si128((const __m128i *)row));
        v[i] = _mm256_inserti128_si256(v[i], _mm_loadu_si128((const __m128i *)(row + 4 * row_bytes)), 1);
    }
}

/* Loads and transposes them: v[j] has bytes 4j to 4j + 3 of row r in lane r. */
INLINE void load_lanes(__m256i v[4], const uint8_t *at, size_t row_bytes)
{
    load_rows(v, at, row_bytes);
    __m256i a = _mm256_unpacklo_epi32(v[0], v[1]), b = _mm256_unpackhi_epi32(v[0], v[1]);
    __m256i c = _mm256_unpacklo_epi32(v[2], v[3]), d = _mm256_unpackhi_epi32(v[2], v[3]);
    v[0] = _mm256_unpacklo_epi64(a, c);
    v[1] = _mm256_unpackhi_epi64(a, c);
    v[2] = _mm256_unpacklo_epi64(b, d);
    v[3] = _mm256_unpackhi_epi64(b, d);
}

/* Loads weights: as rows for few tokens, transposed for many. */
INLINE void load_weights(__m256i v[4], const uint8_t *at, size_t row_bytes, bool few)
{
    if (few)
        load_rows(v, at, row_bytes);
    else
        load_lanes(v, at, row_bytes);
}

/* Each lane holds two float16: out[0] gets the low ones, out[1] the high ones. */
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

/* Looks up the levels of nibbles and adds `offset` to them. */
INLINE __m256i levels_of(__m256i nibbles, const int8_t level[16], int offset)
{
    __m256i levels = _mm256_broadcastsi128_si256(_mm_loadu_si128((const __m128i *)level));
    return _mm256_shuffle_epi8(_mm256_add_epi8(levels, _mm256_set1_epi8((char)offset)), nibbles);
}

/* The sums of one group of rows. */
INLINE float (*group(float sums[][MATMUL_ROWS], size_t g))[MATMUL_ROWS]
{
    return (float(*)[MATMUL_ROWS])(sums[0] + LANES * g);
}

/* What is constant of a type's weights when its kernel is compiled. */
struct kind {
    unsigned bits; /* of a weight: below eight it is unsigned, with eight it is as signed_bytes returns it */
    unsigned offset; /* with has_offset, weights are too large by 2^offset */
    bool has_offset;
    bool has_min, has_halves; /* a scale and a minimum for each half */
};

/* Turns signed bytes into the form that the products take: unsigned with an offset for vpdpbusd. */
INLINE __m256i signed_bytes(__m256i w)
{
    const struct kind kind = {SIGNED_BYTES};
    return kind.has_offset ? _mm256_xor_si256(w, _mm256_set1_epi8(-128)) : w;
}

/* ---- products of a block with few tokens: rows ---- */

INLINE __m256i half_of_block(const struct matmul_block *a, size_t half)
{
    return _mm256_broadcastsi128_si256(_mm_loadu_si128((const __m128i *)(a->q + 16 * half)));
}

/* Minus the sum of a part of the block. Times the weights' offset, it corrects their products. */
INLINE __m256i minus_sum(const struct matmul_block *a, enum matmul_part part)
{
    if (part == MATMUL_FIRST)
        return broadcast(&a->minus_half);
    if (part == MATMUL_WHOLE)
        return broadcast(&a->minus_sum);
    return _mm256_sub_epi32(broadcast(&a->minus_sum), broadcast(&a->minus_half));
}

/* Each 128 bits of v[j] hold four words. Word j of the same 128 bits of the result is their sum. */
INLINE __m256i add_words(const __m256i v[4], __m256i (*add)(__m256i, __m256i))
{
    __m256i a = add(_mm256_unpacklo_epi32(v[0], v[1]), _mm256_unpackhi_epi32(v[0], v[1]));
    __m256i b = add(_mm256_unpacklo_epi32(v[2], v[3]), _mm256_unpackhi_epi32(v[2], v[3]));
    return add(_mm256_unpacklo_epi64(a, b), _mm256_unpackhi_epi64(a, b));
}

INLINE __m256i add_32(__m256i a, __m256i b)
{
    return _mm256_add_epi32(a, b);
}

/* From the sums of both halves of four rows each to the first halves, and the last halves, of all eight rows. */
INLINE void part_halves(__m256i out[2], const __m256i of_rows[2])
{
    out[0] = _mm256_permute2x128_si256(of_rows[0], of_rows[1], 0x20);
    out[1] = _mm256_permute2x128_si256(of_rows[0], of_rows[1], 0x31);
}

#if defined(__AVXVNNI__)
INLINE __m256i row_products(const struct kind kind, const struct ymm_panel *p, const struct matmul_block *a)
{
    __m256i v[4];
#pragma GCC unroll 4
    for (size_t j = 0; j < 4; j++) {
        v[j] = _mm256_dpbusd_avx_epi32(_mm256_setzero_si256(), p->w[j], half_of_block(a, 0));
        v[j] = _mm256_dpbusd_avx_epi32(v[j], p->w[4 + j], half_of_block(a, 1));
    }
    __m256i sums = add_words(v, add_32);
    return kind.has_offset ? add_32(sums, _mm256_slli_epi32(minus_sum(a, MATMUL_WHOLE), (int)kind.offset))
                           : sums;
}

/* The products of the first half and of the last. */
INLINE void half_products(
    __m256i out[2], const struct kind kind, const struct ymm_panel *p, const struct matmul_block *a)
{
    const __m256i q = _mm256_loadu_si256((const __m256i *)a->q);
    __m256i of_rows[2];
#pragma GCC unroll 2
    for (size_t i = 0; i < 2; i++) {
        __m256i v[4];
#pragma GCC unroll 4
        for (size_t j = 0; j < 4; j++)
            v[j] = _mm256_dpbusd_avx_epi32(_mm256_setzero_si256(), p->w[4 * i + j], q);
        of_rows[i] = add_words(v, add_32);
    }
    part_halves(out, of_rows);
    if (kind.has_offset) {
        out[0] = add_32(out[0], _mm256_slli_epi32(minus_sum(a, MATMUL_FIRST), (int)kind.offset));
        out[1] = add_32(out[1], _mm256_slli_epi32(minus_sum(a, MATMUL_LAST), (int)kind.offset));
    }
}
#else
INLINE __m256i add_16(__m256i a, __m256i b)
{
    return _mm256_add_epi16(a, b);
}

INLINE __m256i widen(__m256i pairs)
{
    return _mm256_madd_epi16(pairs, _mm256_set1_epi16(1));
}

/* Pairs of products of signed bytes: |w| times q with the sign of w. The activations q are never -128, whose opposite
 * does not fit a byte. */
INLINE __m256i byte_pairs(__m256i w, __m256i q)
{
    return _mm256_maddubs_epi16(_mm256_abs_epi8(w), _mm256_sign_epi8(q, w));
}

/* The exponent of the offset that sums of pairs start with, so that they fit 16 bits. */
INLINE unsigned shift_of(const struct kind kind)
{
    return kind.has_offset ? kind.offset : kind.bits == 5 ? 4 : 0;
}

/* Undoes that offset for weights that have none of their own. */
INLINE __m256i true_sums(
    const struct kind kind, __m256i sums, const struct matmul_block *a, enum matmul_part part)
{
    if (kind.has_offset || kind.bits != 5)
        return sums;
    return _mm256_sub_epi32(sums, _mm256_slli_epi32(minus_sum(a, part), 4));
}

INLINE __m256i row_products(const struct kind kind, const struct ymm_panel *p, const struct matmul_block *a)
{
    const __m256i first = half_of_block(a, 0), last = half_of_block(a, 1);
    __m256i v[4];
#pragma GCC unroll 4
    for (size_t j = 0; j < 4; j++)
        if (kind.bits == 8)
            v[j] = add_32(widen(byte_pairs(p->w[j], first)), widen(byte_pairs(p->w[4 + j], last)));
        else
            v[j] = add_16(_mm256_maddubs_epi16(p->w[j], first), _mm256_maddubs_epi16(p->w[4 + j], last));
    if (kind.bits == 8)
        return add_words(v, add_32);
    __m256i pairs = add_words(v, add_16);
    if (shift_of(kind))
        pairs =
            add_16(pairs, _mm256_slli_epi16(broadcast(&a->minus_pairs[MATMUL_WHOLE]), (int)shift_of(kind)));
    return true_sums(kind, widen(pairs), a, MATMUL_WHOLE);
}

/* The products of the first half and of the last. */
INLINE void half_products(
    __m256i out[2], const struct kind kind, const struct ymm_panel *p, const struct matmul_block *a)
{
    const __m256i q = _mm256_loadu_si256((const __m256i *)a->q);
    const __m256i minus = _mm256_blend_epi32(
        broadcast(&a->minus_pairs[MATMUL_FIRST]), broadcast(&a->minus_pairs[MATMUL_LAST]), 0xf0);
    __m256i of_rows[2];
#pragma GCC unroll 2
    for (size_t i = 0; i < 2; i++) {
        __m256i v[4];
#pragma GCC unroll 4
        for (size_t j = 0; j < 4; j++)
            v[j] = _mm256_maddubs_epi16(p->w[4 * i + j], q);
        of_rows[i] = add_words(v, add_16);
        if (kind.has_offset)
            of_rows[i] = add_16(of_rows[i], _mm256_slli_epi16(minus, (int)kind.offset));
        of_rows[i] = widen(of_rows[i]);
    }
    part_halves(out, of_rows);
}
#endif

/* ---- products of a block with many tokens: lanes, in tiles ---- */

typedef __m256i tile_sums[TILE_TOKENS][TILE_GROUPS];

/* Loads weights of a panel. The assembly keeps the compiler from moving the load out of the loop over tokens, where
 * there are no registers left for it. */
INLINE __m256i weights_at(const struct ymm_panel *p, size_t i)
{
    __m256i w;
    __asm__ volatile("vmovdqa %1, %0" : "=x"(w) : "m"(p->w[i]));
    return w;
}

INLINE size_t first_of(enum matmul_part part)
{
    return part == MATMUL_LAST ? 4 : 0;
}

INLINE size_t end_of(enum matmul_part part)
{
    return part == MATMUL_FIRST ? 4 : 8;
}

#if defined(__AVXVNNI__)
/* Of part of a block, with n tokens; n and `part` are constant. */
INLINE void tile_products(tile_sums out, const struct kind kind, const struct ymm_panel *p,
    const struct matmul_block *a, size_t n, enum matmul_part part)
{
#pragma GCC unroll 4
    for (size_t t = 0; t < n; t++)
#pragma GCC unroll 2
        for (size_t g = 0; g < TILE_GROUPS; g++)
            out[t][g] = kind.has_offset
                            ? _mm256_sll_epi32(minus_sum(a + t, part), _mm_cvtsi32_si128((int)kind.offset))
                            : _mm256_setzero_si256();
#pragma GCC unroll 8
    for (size_t i = first_of(part); i < end_of(part); i++) {
        const __m256i w[TILE_GROUPS] = {weights_at(&p[0], i), weights_at(&p[1], i)};
#pragma GCC unroll 4
        for (size_t t = 0; t < n; t++)
#pragma GCC unroll 2
            for (size_t g = 0; g < TILE_GROUPS; g++)
                out[t][g] = _mm256_dpbusd_avx_epi32(out[t][g], w[g], broadcast(a[t].q + 4 * i));
    }
}
#else
/* Multiplies the four elements at `q` by those of both groups of rows and adds the products to the sums of pairs. In
 * assembly, because the compiler would reorder the additions into trees and spill registers. */
INLINE void add_pairs(__m256i pairs[TILE_GROUPS], const __m256i w[TILE_GROUPS], const int8_t *q)
{
    __m256i product, last;
    __asm__("vpbroadcastd %[q], %[last]\n\t"
            "vpmaddubsw %[last], %[w0], %[product]\n\t"
            "vpmaddubsw %[last], %[w1], %[last]\n\t"
            "vpaddw %[product], %[s0], %[s0]\n\t"
            "vpaddw %[last], %[s1], %[s1]"
            : [s0] "+x"(pairs[0]), [s1] "+x"(pairs[1]), [product] "=&x"(product), [last] "=&x"(last)
            : [w0] "x"(w[0]), [w1] "x"(w[1]), [q] "m"(*(const int8_t(*)[4])q));
}

INLINE void tile_byte_products(
    tile_sums out, const struct ymm_panel *p, const struct matmul_block *a, size_t n, enum matmul_part part)
{
#pragma GCC unroll 4
    for (size_t t = 0; t < n; t++)
#pragma GCC unroll 2
        for (size_t g = 0; g < TILE_GROUPS; g++)
            out[t][g] = _mm256_setzero_si256();
#pragma GCC unroll 8
    for (size_t i = first_of(part); i < end_of(part); i++)
#pragma GCC unroll 4
        for (size_t t = 0; t < n; t++)
#pragma GCC unroll 2
            for (size_t g = 0; g < TILE_GROUPS; g++)
                out[t][g] = add_32(out[t][g], widen(byte_pairs(p[g].w[i], broadcast(a[t].q + 4 * i))));
}

/* Of part of a block, with n tokens; n and `part` are constant. */
INLINE void tile_products(tile_sums out, const struct kind kind, const struct ymm_panel *p,
    const struct matmul_block *a, size_t n, enum matmul_part part)
{
    if (kind.bits == 8) {
        tile_byte_products(out, p, a, n, part);
        return;
    }
    const bool shifts = kind.has_offset || kind.bits == 5;
    const __m128i shift = _mm_cvtsi32_si128((int)shift_of(kind));
    tile_sums pairs;
#pragma GCC unroll 4
    for (size_t t = 0; t < n; t++)
#pragma GCC unroll 2
        for (size_t g = 0; g < TILE_GROUPS; g++)
            pairs[t][g] =
                shifts ? _mm256_sll_epi16(broadcast(&a[t].minus_pairs[part]), shift) : _mm256_setzero_si256();
#pragma GCC unroll 8
    for (size_t i = first_of(part); i < end_of(part); i++) {
        const __m256i w[TILE_GROUPS] = {weights_at(&p[0], i), weights_at(&p[1], i)};
#pragma GCC unroll 4
        for (size_t t = 0; t < n; t++)
            add_pairs(pairs[t], w, a[t].q + 4 * i);
    }
#pragma GCC unroll 4
    for (size_t t = 0; t < n; t++)
#pragma GCC unroll 2
        for (size_t g = 0; g < TILE_GROUPS; g++)
            out[t][g] = true_sums(kind, widen(pairs[t][g]), a + t, part);
}
#endif

/* ---- the float step ---- */

/* Adds a block to the sums y of eight rows and one token. `first` has the products of the whole block or, in types with
 * halves, of the first half, and `last` those of the last half. */
INLINE __m256 add_to(const struct kind kind, __m256 y, const struct ymm_panel *p,
    const struct matmul_block *a, __m256i first, __m256i last)
{
    const __m256 d = _mm256_set1_ps(a->d);
    if (!kind.has_halves) {
        y = _mm256_fmadd_ps(_mm256_cvtepi32_ps(first), _mm256_mul_ps(p->scale[0], d), y);
        return kind.has_min ? _mm256_fmadd_ps(p->min[0], _mm256_set1_ps(a->d_sum), y) : y;
    }
    __m256 joined = _mm256_mul_ps(_mm256_cvtepi32_ps(first), p->scale[0]);
    joined = _mm256_fmadd_ps(_mm256_cvtepi32_ps(last), p->scale[1], joined);
    if (kind.has_min) {
        joined = _mm256_fnmadd_ps(p->min[0], _mm256_cvtepi32_ps(minus_sum(a, MATMUL_FIRST)), joined);
        joined = _mm256_fnmadd_ps(p->min[1], _mm256_cvtepi32_ps(minus_sum(a, MATMUL_LAST)), joined);
    }
    return _mm256_fmadd_ps(joined, d, y);
}

/* ---- one block of 32 ---- */

/* For one group of rows and one token. */
INLINE __m256 add_few(
    const struct kind kind, const struct ymm_panel *p, const struct matmul_block *a, __m256 y)
{
    __m256i products[2];
    if (kind.has_halves)
        half_products(products, kind, p, a);
    else
        products[0] = products[1] = row_products(kind, p, a);
    return add_to(kind, y, p, a, products[0], products[1]);
}

/* For n tokens, constant, and the two groups of rows that begin at sums[0]. */
INLINE void add_tile(const struct kind kind, const struct ymm_panel *p, const struct matmul_block *a,
    size_t n, float (*sums)[MATMUL_ROWS])
{
    tile_sums first, last;
    tile_products(first, kind, p, a, n, kind.has_halves ? MATMUL_FIRST : MATMUL_WHOLE);
    if (kind.has_halves)
        tile_products(last, kind, p, a, n, MATMUL_LAST);
#pragma GCC unroll 4
    for (size_t t = 0; t < n; t++)
#pragma GCC unroll 2
        for (size_t g = 0; g < TILE_GROUPS; g++) {
            float *at = sums[t] + LANES * g;
            __m256i second = kind.has_halves ? last[t][g] : first[t][g];
            _mm256_store_ps(at, add_to(kind, _mm256_load_ps(at), &p[g], a + t, first[t][g], second));
        }
}

/* ---- for both sets: matmul_float_avx2.c ---- */

extern matmul_float_tile matmul_avx2_f32, matmul_avx2_f16, matmul_avx2_bf16;
void matmul_avx2_pack(struct matmul_block *out, size_t step, const float *x, size_t blocks);

#endif
