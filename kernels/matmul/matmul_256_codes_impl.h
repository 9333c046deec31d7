/* matmul_256_codes_impl.h - multiplies the panels of matmul_codes_impl.h, which matmul_codes_avx2.c unpacks, with
 * 256-bit registers.
 */
#ifndef BERTH_MATMUL_256_CODES_IMPL_H
#define BERTH_MATMUL_256_CODES_IMPL_H

#include "matmul_256_add_impl.h"

#define NOINLINE __attribute__((noinline))
#if defined(__AVXVNNI__)
#define LARGE_OFFSET (-128)
#else
#define LARGE_OFFSET 0
#endif
#define panel ymm_panel

/* ---- products ---- */

static NOINLINE void arrange(
    struct matmul_block *out, const struct matmul_block *a, size_t tokens, const uint8_t order[16])
{
    const __m256i at = _mm256_broadcastsi128_si256(_mm_loadu_si128((const __m128i *)order));
    for (size_t t = 0; t < tokens; t++) {
        const __m256i q = _mm256_shuffle_epi8(_mm256_loadu_si256((const __m256i *)a[t].q), at);
        out[t] = a[t];
        _mm256_storeu_si256((__m256i *)out[t].q, q);
#if !defined(__AVXVNNI__)
        __m256i pairs = _mm256_maddubs_epi16(_mm256_set1_epi8(1), q);
        pairs = add_16(pairs, _mm256_shuffle_epi32(pairs, 0x4e));
        pairs = _mm256_sub_epi16(_mm256_setzero_si256(), add_16(pairs, _mm256_shuffle_epi32(pairs, 0xb1)));
        const __m128i first = _mm256_castsi256_si128(pairs), last = _mm256_extracti128_si256(pairs, 1);
        out[t].minus_pairs[MATMUL_FIRST] = _mm_cvtsi128_si32(first);
        out[t].minus_pairs[MATMUL_LAST] = _mm_cvtsi128_si32(last);
        out[t].minus_pairs[MATMUL_WHOLE] = _mm_cvtsi128_si32(_mm_add_epi16(first, last));
#endif
    }
}

INLINE void prefetch_part(const uint8_t *weights, size_t row_bytes, size_t from, size_t to, size_t tokens)
{
    (void)tokens;
    prefetch(weights, row_bytes, MATMUL_ROWS, from, to, prefetches_to_l1(MATMUL_ROWS, row_bytes));
}

/* `weights` is an enum weights. */
INLINE void add_codes(unsigned weights, const struct panel p[GROUPS], const struct matmul_block *a,
    size_t tokens, float (*sums)[MATMUL_ROWS])
{
    static const struct {
        add_many *add;
        unsigned offset;
    } how[] = { /* in the order of enum weights */
        {add_offset, 0},
        {add_offset, 4},
        {add_halves, 4},
#if defined(__AVXVNNI__)
        {add_offset, 7},
        {add_halves, 7},
#else
        {add_bytes, 0},
        {add_byte_halves, 0},
#endif
    };
    how[weights].add(how[weights].offset, p, a, tokens, sums);
}

INLINE bool left_to_other(enum matmul_int8 type, const uint8_t *weights, size_t row_bytes, size_t blocks,
    const struct matmul_block *a, size_t tokens, float sums[][MATMUL_ROWS])
{
    (void)type, (void)weights, (void)row_bytes, (void)blocks, (void)a, (void)tokens, (void)sums;
    return false;
}

#define CODES_TABLE matmul_256_codes
#define CODES_LINKAGE(name) static void tile_##name
#include "matmul_codes_tile_impl.h"

#endif
