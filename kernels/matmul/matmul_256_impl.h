/* matmul_256_impl.h - what all tiles of 256-bit registers share: eight rows in eight lanes.
 *
 * matmul_avx512.c with half the width. A type is a function that unpacks 32 elements of k of one group of rows into a
 * panel. Few tokens then take the weights from registers, one token and group at a time (add_few). For many, the panels
 * of all groups wait in L1, and tiles of two groups by four tokens share what they load (add_many).
 *
 * Without vpdpbusd, vpmaddubsw multiplies unsigned weights by signed activations and adds pairs in 16 bits, and these
 * are added up before vpmaddwd widens them. Of 127 * 2 * (the largest weight), 32767 has room for 8 with weights of
 * four bits, 4 with five and 1 with eight. Weights that are too large by an offset have room for twice as many: sums
 * begin with what the offset comes to, wrap around on the way, and fit at the end. So all integers are exact.
 *
 * The files whose names begin so are compiled twice: for AVX2 alone, and with vpdpbusd for 256-bit registers
 * (AVX-VNNI), which wants all weights unsigned.
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

/* 32 elements of k of one group of rows. For many tokens w[i] has elements 4i to 4i + 3 of row r in lane r; for few,
 * w[j] has the first 16 elements of the rows j and 4 + j, w[4 + j] the last. Where halves differ, it has for few tokens
 * all 32 of row j: the sums of its two lanes are those of the halves. */
struct ymm_panel {
    __m256i w[8];
    __m256 scale[2], min[2]; /* of each half, where halves differ; otherwise the first is everybody's */
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

/* The same transposed: v[j] has bytes 4j to 4j + 3 of row r in lane r. */
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

/* Weights, which stay rows for few tokens. */
INLINE void load_weights(__m256i v[4], const uint8_t *at, size_t row_bytes, bool few)
{
    if (few)
        load_rows(v, at, row_bytes);
    else
        load_lanes(v, at, row_bytes);
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

/* The sums of one group of rows. */
INLINE float (*group(float sums[][MATMUL_ROWS], size_t g))[MATMUL_ROWS]
{
    return (float(*)[MATMUL_ROWS])(sums[0] + LANES * g);
}

/* What is known of a type's weights where its kernel is compiled. */
struct kind {
    unsigned bits; /* of a weight, unsigned below eight; eight are what signed_bytes makes of a signed byte */
    unsigned offset; /* where has_offset: it is too large by 2^offset */
    bool has_offset;
    bool has_min, has_halves; /* a scale and a minimum for each half */
};

/* Weights that are signed bytes, as products want them. */
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

/* Minus the sum of a block's part, of which the offset of weights takes a multiple. */
INLINE __m256i minus_sum(const struct matmul_block *a, enum matmul_part part)
{
    if (part == MATMUL_FIRST)
        return broadcast(&a->minus_half);
    if (part == MATMUL_WHOLE)
        return broadcast(&a->minus_sum);
    return _mm256_sub_epi32(broadcast(&a->minus_sum), broadcast(&a->minus_half));
}

/* Sums of the words of each row, which lies in four of them. */
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

/* Sums of both halves of four rows each become those of one half of all eight. */
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

/* Products with signed bytes, in pairs: sizes go one way, signs the other, for -128 has no opposite. */
INLINE __m256i byte_pairs(__m256i w, __m256i q)
{
    return _mm256_maddubs_epi16(_mm256_abs_epi8(w), _mm256_sign_epi8(q, w));
}

/* By how much sums of pairs begin too small, so that they fit. */
INLINE unsigned shift_of(const struct kind kind)
{
    return kind.has_offset ? kind.offset : kind.bits == 5 ? 4 : 0;
}

/* Takes that back where it is none of the weights' business. */
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

/* Weights from a panel. They must not be taken out of the loop over tokens, to where there are no registers for them;
 * the compiler would. */
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
/* Adds the four elements at `q` by those of both groups of rows to their sums of pairs. In assembly, for the compiler
 * would make trees of chains and spill them. */
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
    tile_sums out, const struct ymm_panel *p, const struct matmul_block *a, size_t n)
{
#pragma GCC unroll 4
    for (size_t t = 0; t < n; t++)
#pragma GCC unroll 2
        for (size_t g = 0; g < TILE_GROUPS; g++)
            out[t][g] = _mm256_setzero_si256();
#pragma GCC unroll 8
    for (size_t i = 0; i < 8; i++)
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
        tile_byte_products(out, p, a, n);
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

/* Adds a block to eight rows' sums y of a token. `first` has the products of all of it or, with halves, of the first,
 * `last` those of the last. */
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
