/* lanes_impl.h - operations on sixteen floats at once: one register of AVX-512, two of AVX2 or four of NEON.
 *
 * The templates of vector and attention are written with these operations and compiled for each set, so the sets only
 * differ here. Every operation rounds each lane as C does. `n` is a number of lanes from the first; above 16 it means
 * all. The comments on the operations stand with AVX-512.
 */
#ifndef BERTH_LANES_IMPL_H
#define BERTH_LANES_IMPL_H

#include <stddef.h>
#include <stdint.h>
#include <string.h>

#define LANES 16
#define LANES_INLINE static inline __attribute__((always_inline))

#if defined(__aarch64__)
#include "lanes_neon_impl.h"
#else
#include <immintrin.h>
#endif

#if defined(__AVX512F__)

struct lanes {
    __m512 v;
};

LANES_INLINE __mmask16 lanes_mask(size_t n)
{
    return (__mmask16)((1u << (n < LANES ? n : LANES)) - 1);
}

LANES_INLINE struct lanes lanes_set(float x)
{
    return (struct lanes){_mm512_set1_ps(x)};
}

LANES_INLINE struct lanes lanes_load(const float *p)
{
    return (struct lanes){_mm512_loadu_ps(p)};
}

LANES_INLINE void lanes_store(float *p, struct lanes x)
{
    _mm512_storeu_ps(p, x.v);
}

/* Reads n floats; the other lanes are 0. */
LANES_INLINE struct lanes lanes_load_part(const float *p, size_t n)
{
    return (struct lanes){_mm512_maskz_loadu_ps(lanes_mask(n), p)};
}

LANES_INLINE void lanes_store_part(float *p, struct lanes x, size_t n)
{
    _mm512_mask_storeu_ps(p, lanes_mask(n), x.v);
}

LANES_INLINE struct lanes lanes_load_half(const uint16_t *p)
{
    return (struct lanes){_mm512_cvtph_ps(_mm256_loadu_si256((const void *)p))};
}

LANES_INLINE void lanes_store_half(uint16_t *p, struct lanes x)
{
    _mm256_storeu_si256((void *)p, _mm512_cvtps_ph(x.v, _MM_FROUND_TO_NEAREST_INT));
}

LANES_INLINE struct lanes lanes_load_int8(const int8_t *p)
{
    return (struct lanes){_mm512_cvtepi32_ps(_mm512_cvtepi8_epi32(_mm_loadu_si128((const void *)p)))};
}

/* Rounds to whole numbers, ties to the even one. For numbers from -127 to 127. */
LANES_INLINE void lanes_store_int8(int8_t *p, struct lanes x)
{
    _mm_storeu_si128((void *)p, _mm512_cvtepi32_epi8(_mm512_cvtps_epi32(x.v)));
}

LANES_INLINE struct lanes lanes_add(struct lanes a, struct lanes b)
{
    return (struct lanes){_mm512_add_ps(a.v, b.v)};
}

LANES_INLINE struct lanes lanes_sub(struct lanes a, struct lanes b)
{
    return (struct lanes){_mm512_sub_ps(a.v, b.v)};
}

LANES_INLINE struct lanes lanes_mul(struct lanes a, struct lanes b)
{
    return (struct lanes){_mm512_mul_ps(a.v, b.v)};
}

LANES_INLINE struct lanes lanes_div(struct lanes a, struct lanes b)
{
    return (struct lanes){_mm512_div_ps(a.v, b.v)};
}

/* a * b + c */
LANES_INLINE struct lanes lanes_fma(struct lanes a, struct lanes b, struct lanes c)
{
    return (struct lanes){_mm512_fmadd_ps(a.v, b.v, c.v)};
}

/* a > b ? a : b, so a NaN in `a` is ignored. */
LANES_INLINE struct lanes lanes_max(struct lanes a, struct lanes b)
{
    return (struct lanes){_mm512_max_ps(a.v, b.v)};
}

/* a < b ? yes : no */
LANES_INLINE struct lanes lanes_less(struct lanes a, struct lanes b, struct lanes yes, struct lanes no)
{
    return (struct lanes){_mm512_mask_blend_ps(_mm512_cmp_ps_mask(a.v, b.v, _CMP_LT_OQ), no.v, yes.v)};
}

/* a <= b ? yes : no */
LANES_INLINE struct lanes lanes_at_most(struct lanes a, struct lanes b, struct lanes yes, struct lanes no)
{
    return (struct lanes){_mm512_mask_blend_ps(_mm512_cmp_ps_mask(a.v, b.v, _CMP_LE_OQ), no.v, yes.v)};
}

/* The first n lanes of x, the others of `other`. */
LANES_INLINE struct lanes lanes_first(struct lanes x, struct lanes other, size_t n)
{
    return (struct lanes){_mm512_mask_blend_ps(lanes_mask(n), other.v, x.v)};
}

LANES_INLINE struct lanes lanes_xor(struct lanes a, struct lanes b)
{
    return (struct lanes){_mm512_xor_ps(a.v, b.v)};
}

LANES_INLINE struct lanes lanes_and(struct lanes a, struct lanes b)
{
    return (struct lanes){_mm512_and_ps(a.v, b.v)};
}

/* Adds the lowest bits of `rounded`, an integer, to the exponent. */
LANES_INLINE struct lanes lanes_raise(struct lanes x, struct lanes rounded)
{
    __m512i exponent = _mm512_slli_epi32(_mm512_castps_si512(rounded.v), 23);
    return (struct lanes){_mm512_castsi512_ps(_mm512_add_epi32(_mm512_castps_si512(x.v), exponent))};
}

LANES_INLINE __m256 lanes_low_half(struct lanes x)
{
    return _mm512_castps512_ps256(x.v);
}

LANES_INLINE __m256 lanes_high_half(struct lanes x)
{
    return _mm512_extractf32x8_ps(x.v, 1);
}

/* Of pairs (a, b): (a, a), (b, b) and (b, a). */
LANES_INLINE struct lanes lanes_even_twice(struct lanes x)
{
    return (struct lanes){_mm512_moveldup_ps(x.v)};
}

LANES_INLINE struct lanes lanes_odd_twice(struct lanes x)
{
    return (struct lanes){_mm512_movehdup_ps(x.v)};
}

LANES_INLINE struct lanes lanes_swapped(struct lanes x)
{
    return (struct lanes){_mm512_permute_ps(x.v, 0xb1)};
}

/* a - b in even lanes, a + b in odd ones. */
LANES_INLINE struct lanes lanes_sub_add(struct lanes a, struct lanes b)
{
    return (struct lanes){_mm512_mask_sub_ps(_mm512_add_ps(a.v, b.v), 0x5555, a.v, b.v)};
}

/* Of the sixteen pairs in a and b, in order, the first of each and the second of each. */
LANES_INLINE void lanes_split(struct lanes a, struct lanes b, struct lanes *even, struct lanes *odd)
{
    const __m512i step = _mm512_setr_epi32(0, 2, 4, 6, 8, 10, 12, 14, 16, 18, 20, 22, 24, 26, 28, 30);
    even->v = _mm512_permutex2var_ps(a.v, step, b.v);
    odd->v = _mm512_permutex2var_ps(a.v, _mm512_add_epi32(step, _mm512_set1_epi32(1)), b.v);
}

#elif defined(__AVX2__)

struct lanes {
    __m256 low, high;
};

LANES_INLINE struct lanes lanes_set(float x)
{
    __m256 v = _mm256_set1_ps(x);
    return (struct lanes){v, v};
}

LANES_INLINE struct lanes lanes_load(const float *p)
{
    return (struct lanes){_mm256_loadu_ps(p), _mm256_loadu_ps(p + 8)};
}

LANES_INLINE void lanes_store(float *p, struct lanes x)
{
    _mm256_storeu_ps(p, x.low);
    _mm256_storeu_ps(p + 8, x.high);
}

LANES_INLINE struct lanes lanes_load_half(const uint16_t *p)
{
    return (struct lanes){_mm256_cvtph_ps(_mm_loadu_si128((const void *)p)),
        _mm256_cvtph_ps(_mm_loadu_si128((const void *)(p + 8)))};
}

LANES_INLINE void lanes_store_half(uint16_t *p, struct lanes x)
{
    _mm_storeu_si128((void *)p, _mm256_cvtps_ph(x.low, _MM_FROUND_TO_NEAREST_INT));
    _mm_storeu_si128((void *)(p + 8), _mm256_cvtps_ph(x.high, _MM_FROUND_TO_NEAREST_INT));
}

LANES_INLINE struct lanes lanes_load_int8(const int8_t *p)
{
    return (struct lanes){_mm256_cvtepi32_ps(_mm256_cvtepi8_epi32(_mm_loadl_epi64((const void *)p))),
        _mm256_cvtepi32_ps(_mm256_cvtepi8_epi32(_mm_loadl_epi64((const void *)(p + 8))))};
}

LANES_INLINE __m128i lanes_int16_of_half(__m256 x)
{
    __m256i whole = _mm256_cvtps_epi32(x);
    return _mm_packs_epi32(_mm256_castsi256_si128(whole), _mm256_extracti128_si256(whole, 1));
}

LANES_INLINE void lanes_store_int8(int8_t *p, struct lanes x)
{
    _mm_storeu_si128((void *)p, _mm_packs_epi16(lanes_int16_of_half(x.low), lanes_int16_of_half(x.high)));
}

LANES_INLINE struct lanes lanes_add(struct lanes a, struct lanes b)
{
    return (struct lanes){_mm256_add_ps(a.low, b.low), _mm256_add_ps(a.high, b.high)};
}

LANES_INLINE struct lanes lanes_sub(struct lanes a, struct lanes b)
{
    return (struct lanes){_mm256_sub_ps(a.low, b.low), _mm256_sub_ps(a.high, b.high)};
}

LANES_INLINE struct lanes lanes_mul(struct lanes a, struct lanes b)
{
    return (struct lanes){_mm256_mul_ps(a.low, b.low), _mm256_mul_ps(a.high, b.high)};
}

LANES_INLINE struct lanes lanes_div(struct lanes a, struct lanes b)
{
    return (struct lanes){_mm256_div_ps(a.low, b.low), _mm256_div_ps(a.high, b.high)};
}

LANES_INLINE struct lanes lanes_fma(struct lanes a, struct lanes b, struct lanes c)
{
    return (struct lanes){_mm256_fmadd_ps(a.low, b.low, c.low), _mm256_fmadd_ps(a.high, b.high, c.high)};
}

LANES_INLINE struct lanes lanes_max(struct lanes a, struct lanes b)
{
    return (struct lanes){_mm256_max_ps(a.low, b.low), _mm256_max_ps(a.high, b.high)};
}

LANES_INLINE struct lanes lanes_less(struct lanes a, struct lanes b, struct lanes yes, struct lanes no)
{
    return (struct lanes){_mm256_blendv_ps(no.low, yes.low, _mm256_cmp_ps(a.low, b.low, _CMP_LT_OQ)),
        _mm256_blendv_ps(no.high, yes.high, _mm256_cmp_ps(a.high, b.high, _CMP_LT_OQ))};
}

LANES_INLINE struct lanes lanes_at_most(struct lanes a, struct lanes b, struct lanes yes, struct lanes no)
{
    return (struct lanes){_mm256_blendv_ps(no.low, yes.low, _mm256_cmp_ps(a.low, b.low, _CMP_LE_OQ)),
        _mm256_blendv_ps(no.high, yes.high, _mm256_cmp_ps(a.high, b.high, _CMP_LE_OQ))};
}

LANES_INLINE struct lanes lanes_xor(struct lanes a, struct lanes b)
{
    return (struct lanes){_mm256_xor_ps(a.low, b.low), _mm256_xor_ps(a.high, b.high)};
}

LANES_INLINE struct lanes lanes_and(struct lanes a, struct lanes b)
{
    return (struct lanes){_mm256_and_ps(a.low, b.low), _mm256_and_ps(a.high, b.high)};
}

LANES_INLINE __m256 lanes_raise_half(__m256 x, __m256 rounded)
{
    __m256i exponent = _mm256_slli_epi32(_mm256_castps_si256(rounded), 23);
    return _mm256_castsi256_ps(_mm256_add_epi32(_mm256_castps_si256(x), exponent));
}

LANES_INLINE struct lanes lanes_raise(struct lanes x, struct lanes rounded)
{
    return (struct lanes){lanes_raise_half(x.low, rounded.low), lanes_raise_half(x.high, rounded.high)};
}

LANES_INLINE __m256 lanes_low_half(struct lanes x)
{
    return x.low;
}

LANES_INLINE __m256 lanes_high_half(struct lanes x)
{
    return x.high;
}

LANES_INLINE struct lanes lanes_even_twice(struct lanes x)
{
    return (struct lanes){_mm256_moveldup_ps(x.low), _mm256_moveldup_ps(x.high)};
}

LANES_INLINE struct lanes lanes_odd_twice(struct lanes x)
{
    return (struct lanes){_mm256_movehdup_ps(x.low), _mm256_movehdup_ps(x.high)};
}

LANES_INLINE struct lanes lanes_swapped(struct lanes x)
{
    return (struct lanes){_mm256_permute_ps(x.low, 0xb1), _mm256_permute_ps(x.high, 0xb1)};
}

LANES_INLINE struct lanes lanes_sub_add(struct lanes a, struct lanes b)
{
    return (struct lanes){_mm256_addsub_ps(a.low, b.low), _mm256_addsub_ps(a.high, b.high)};
}

/* A shuffle of two registers takes numbers of both lower halves, then of both upper halves. Restores their order. */
LANES_INLINE __m256 lanes_in_order(__m256 picked)
{
    return _mm256_castpd_ps(_mm256_permute4x64_pd(_mm256_castps_pd(picked), 0xd8));
}

LANES_INLINE void lanes_split(struct lanes a, struct lanes b, struct lanes *even, struct lanes *odd)
{
    even->low = lanes_in_order(_mm256_shuffle_ps(a.low, a.high, 0x88));
    even->high = lanes_in_order(_mm256_shuffle_ps(b.low, b.high, 0x88));
    odd->low = lanes_in_order(_mm256_shuffle_ps(a.low, a.high, 0xdd));
    odd->high = lanes_in_order(_mm256_shuffle_ps(b.low, b.high, 0xdd));
}

#endif

/* ---- sets without masks ------------------------------------------------------------------------------- */

#if !defined(__AVX512F__)

/* The ends of rows: rare, and kept out of line. */
static __attribute__((noinline, unused)) struct lanes lanes_load_end(const float *p, size_t n)
{
    float whole[LANES] = {0};
    memcpy(whole, p, n * sizeof(*p));
    return lanes_load(whole);
}

static __attribute__((noinline, unused)) void lanes_store_end(float *p, struct lanes x, size_t n)
{
    float whole[LANES];
    lanes_store(whole, x);
    memcpy(p, whole, n * sizeof(*p));
}

LANES_INLINE struct lanes lanes_load_part(const float *p, size_t n)
{
    return n < LANES ? lanes_load_end(p, n) : lanes_load(p);
}

LANES_INLINE void lanes_store_part(float *p, struct lanes x, size_t n)
{
    if (n < LANES)
        lanes_store_end(p, x, n);
    else
        lanes_store(p, x);
}

LANES_INLINE struct lanes lanes_first(struct lanes x, struct lanes other, size_t n)
{
    static const float index[LANES] = {0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15};
    return n < LANES ? lanes_less(lanes_load(index), lanes_set((float)(int)n), x, other) : x;
}

#endif

/* ---- sets of x86 -------------------------------------------------------------------------------------- */

#if defined(__AVX2__)

/* Lane i takes lane i + 8, then i + 4, i + 2, i + 1. */
LANES_INLINE float lanes_sum(struct lanes x)
{
    __m256 eight = _mm256_add_ps(lanes_low_half(x), lanes_high_half(x));
    __m128 four = _mm_add_ps(_mm256_castps256_ps128(eight), _mm256_extractf128_ps(eight, 1));
    __m128 two = _mm_add_ps(four, _mm_movehl_ps(four, four));
    return _mm_cvtss_f32(_mm_add_ss(two, _mm_movehdup_ps(two)));
}

LANES_INLINE float lanes_most(struct lanes x)
{
    __m256 eight = _mm256_max_ps(lanes_high_half(x), lanes_low_half(x));
    __m128 four = _mm_max_ps(_mm256_extractf128_ps(eight, 1), _mm256_castps256_ps128(eight));
    __m128 two = _mm_max_ps(_mm_movehl_ps(four, four), four);
    return _mm_cvtss_f32(_mm_max_ss(_mm_movehdup_ps(two), two));
}

LANES_INLINE float lanes_lowest(struct lanes x)
{
    return _mm_cvtss_f32(_mm256_castps256_ps128(lanes_low_half(x)));
}

#endif

/* ---- all sets ---------------------------------------------------------------------------------------- */

LANES_INLINE struct lanes lanes_without_sign(struct lanes x)
{
    return lanes_xor(x, lanes_and(x, lanes_set(-0.0f)));
}

/* `size`, which has no sign, with the sign of x. */
LANES_INLINE struct lanes lanes_with_sign(struct lanes size, struct lanes x)
{
    return lanes_xor(size, lanes_and(x, lanes_set(-0.0f)));
}

#endif
