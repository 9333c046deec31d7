/* matmul_256_codes_impl.h - multiplies the panels of matmul_codes_impl.h, which matmul_codes_avx2.c unpacks, with
 * 256-bit registers.
 */
#ifndef BERTH_MATMUL_256_CODES_IMPL_H
#define BERTH_MATMUL_256_CODES_IMPL_H

#include "matmul_256_add_impl.h"

#define NOINLINE __attribute__((noinline))
#define panel ymm_panel
#define CODES_TABLE matmul_256_codes

#include "matmul_codes_private.h"

/* ---- products ---- */

/* The activations of a block in an order. */
INLINE __m256i arranged_as(enum order order, const struct matmul_block *a)
{
    const __m256i at = _mm256_broadcastsi128_si256(_mm_loadu_si128((const __m128i *)orders[order]));
    const __m256i q = _mm256_shuffle_epi8(_mm256_loadu_si256((const __m256i *)a->q), at);
    if (order != BY_EIGHTS)
        return q;
    const __m128i low = _mm256_castsi256_si128(q), high = _mm256_extracti128_si256(q, 1);
    return _mm256_set_m128i(_mm_unpackhi_epi16(low, high), _mm_unpacklo_epi16(low, high));
}

static NOINLINE void arrange(
    struct matmul_block *out, const struct matmul_block *a, size_t tokens, enum order order)
{
    for (size_t t = 0; t < tokens; t++) {
        const __m256i q = arranged_as(order, a + t);
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

/* A call, for size. */
static NOINLINE void prefetch_part(
    const uint8_t *weights, size_t row_bytes, size_t from, size_t to, size_t tokens)
{
    (void)tokens;
    prefetch(weights, row_bytes, MATMUL_ROWS, from, to, prefetches_to_l1(MATMUL_ROWS, row_bytes));
}

/* The products of half a block, from w[first] on, for n groups of rows; n is constant. In 16 bits fit four pairs of small
 * weights, and one of large ones. */
INLINE void half_of_panels(
    __m256i *sum, const struct panel *p, size_t n, size_t first, const int8_t *q, bool large)
{
#pragma GCC unroll 2
    for (size_t g = 0; g < n; g++)
        sum[g] = _mm256_setzero_si256();
#pragma GCC unroll 4
    for (size_t i = first; i < first + 4; i++) {
        const __m256i four = broadcast(q + 4 * i);
#pragma GCC unroll 2
        for (size_t g = 0; g < n; g++) {
#if defined(__AVXVNNI__)
            (void)large;
            sum[g] = _mm256_dpbusd_avx_epi32(sum[g], p[g].w[i], four);
#else
            const __m256i pairs = _mm256_maddubs_epi16(p[g].w[i], four);
            sum[g] = large ? add_32(sum[g], widen(pairs)) : add_16(sum[g], pairs);
            if (!large && i == first + 3)
                sum[g] = widen(sum[g]);
#endif
        }
    }
}

INLINE void add_parts(unsigned weights, size_t parts, const struct panel (*p)[GROUPS],
    const struct matmul_block *a, enum order order, float sums[MATMUL_ROWS], struct next_rows next,
    bool large)
{
    const __m128i offset = _mm_cvtsi32_si128(offsets[weights]);
    const bool to_l1 = prefetches_to_l1(MATMUL_ROWS, next.row_bytes);
    const struct kind kind = {.has_halves = by_halves(weights)};
    const size_t n = large ? 1 : TILE_GROUPS; /* large ones are rare: for size */
    for (const struct matmul_block *end = a + parts; a < end; a++, p++, next.at += next.step) {
        prefetch_bytes(next.at, next.step, to_l1);
        _Alignas(32) int8_t q[MATMUL_BLOCK];
        _mm256_store_si256((__m256i *)q, arranged_as(order, a));
        __asm__ volatile("" ::: "memory"); /* or the compiler broadcasts by shuffles */
        const __m256i minus_first = _mm256_sll_epi32(minus_sum(a, MATMUL_FIRST), offset);
        const __m256i minus_last = _mm256_sll_epi32(minus_sum(a, MATMUL_LAST), offset);
#pragma GCC unroll 1
        for (size_t g = 0; g < GROUPS; g += n) {
            __m256i first[TILE_GROUPS], last[TILE_GROUPS];
            half_of_panels(first, *p + g, n, 0, q, large);
            half_of_panels(last, *p + g, n, 4, q, large);
#pragma GCC unroll 2
            for (size_t i = 0; i < n; i++) {
                float *to = sums + LANES * (g + i);
                first[i] = add_32(first[i], minus_first);
                last[i] = add_32(last[i], minus_last);
                if (!kind.has_halves)
                    first[i] = add_32(first[i], last[i]);
                _mm256_store_ps(to, add_to(kind, _mm256_load_ps(to), &(*p)[g + i], a, first[i], last[i]));
            }
        }
    }
}

/* One token: adds all parts of a block. */
static NOINLINE void add_one(unsigned weights, size_t parts, const struct panel (*p)[GROUPS],
    const struct matmul_block *a, enum order order, float sums[MATMUL_ROWS], struct next_rows next)
{
#if !defined(__AVXVNNI__)
    if (weights >= LARGE) {
        add_parts(weights, parts, p, a, order, sums, next, true);
        return;
    }
#endif
    add_parts(weights, parts, p, a, order, sums, next, false);
}

/* `weights` is an enum weights. */
INLINE void add_codes(unsigned weights, const struct panel p[GROUPS], const struct matmul_block *a,
    size_t tokens, float (*sums)[MATMUL_ROWS])
{
#if !defined(__AVXVNNI__)
    if (weights >= LARGE) {
        for (size_t t = 0; t < tokens; t++)
            add_one(weights, 1, (const struct panel(*)[GROUPS])p, a + t, IN_ORDER, sums[t],
                (struct next_rows){0});
        return;
    }
#endif
    (by_halves(weights) ? add_halves : add_offset)(offsets[weights], p, a, tokens, sums);
}

INLINE bool adds_one(void)
{
    return true;
}

INLINE bool left_to_other(enum matmul_int8 type, const uint8_t *weights, size_t row_bytes, size_t blocks,
    const struct matmul_block *a, size_t tokens, float sums[][MATMUL_ROWS])
{
    (void)type, (void)weights, (void)row_bytes, (void)blocks, (void)a, (void)tokens, (void)sums;
    return false;
}

#define CODES_LINKAGE(name) static void tile_##name
#include "matmul_codes_tile_impl.h"

#endif
