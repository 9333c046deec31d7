/* immintrin.h - replaces the compiler's own: AVX-512 and AVX-VNNI for a processor that has AVX2 at most.
 *
 * Most of it is SIMDe's. Instructions that SIMDe 0.7.4 lacks are here, as the Intel SDM (volume 2) defines them. Where AVX2
 * or F16C have the same instruction for 256 bits, two of those do the work of one, because each lane depends only on its
 * own inputs.
 */
#ifndef BERTH_TESTS_EMULATE_IMMINTRIN_H
#define BERTH_TESTS_EMULATE_IMMINTRIN_H

#pragma GCC system_header /* #include_next is no C17 */
#include_next <immintrin.h>

#define SIMDE_ENABLE_NATIVE_ALIASES
#include <simde/x86/avx512.h>

#include <stdint.h>
#include <string.h>

#if defined(SIMDE_X86_AVX512F_NATIVE)
#error "to be compiled for a processor without AVX-512"
#endif

#define EMULATED static __attribute__((noinline, unused)) /* quick to compile */

union emulated {
    __m512 ps;
    __m512i si;
    __m256 ps256[2];
    __m256i si256[2];
    float f32[16];
    int32_t i32[16];
    int8_t i8[64];
};

/* ---- halves that AVX2 has ---- */

EMULATED __m512 emulated_cvtepi32_ps(__m512i a)
{
    union emulated x = {.si = a};
    return (union emulated){.ps256 = {_mm256_cvtepi32_ps(x.si256[0]), _mm256_cvtepi32_ps(x.si256[1])}}.ps;
}
#undef _mm512_cvtepi32_ps
#define _mm512_cvtepi32_ps(a) emulated_cvtepi32_ps(a)

EMULATED __m512i emulated_cvtps_epi32(__m512 a)
{
    union emulated x = {.ps = a};
    return (union emulated){.si256 = {_mm256_cvtps_epi32(x.ps256[0]), _mm256_cvtps_epi32(x.ps256[1])}}.si;
}
#undef _mm512_cvtps_epi32
#define _mm512_cvtps_epi32(a) emulated_cvtps_epi32(a)

EMULATED __m512 emulated_cvtph_ps(__m256i a)
{
    return (union emulated){.ps256 = {_mm256_cvtph_ps(_mm256_castsi256_si128(a)),
                                _mm256_cvtph_ps(_mm256_extracti128_si256(a, 1))}}
        .ps;
}
#undef _mm512_cvtph_ps
#define _mm512_cvtph_ps(a) emulated_cvtph_ps(a)

/* To the nearest, whatever the control word says: the only rounding that is asked for. */
EMULATED __m256i emulated_cvtps_ph(__m512 a)
{
    union emulated x = {.ps = a};
    return _mm256_set_m128i(_mm256_cvtps_ph(x.ps256[1], _MM_FROUND_TO_NEAREST_INT),
        _mm256_cvtps_ph(x.ps256[0], _MM_FROUND_TO_NEAREST_INT));
}
#undef _mm512_cvtps_ph
#define _mm512_cvtps_ph(a, rounding)                                                                         \
    ((void)sizeof(char[(rounding) == _MM_FROUND_TO_NEAREST_INT ? 1 : -1]), emulated_cvtps_ph(a))

/* ---- lane by lane ---- */

EMULATED __m512i emulated_srai_epi32(__m512i a, unsigned count)
{
    union emulated x = {.si = a};
    for (int i = 0; i < 16; i++)
        x.i32[i] = x.i32[i] >> (count > 31 ? 31 : count);
    return x.si;
}
#undef _mm512_srai_epi32
#define _mm512_srai_epi32(a, count) emulated_srai_epi32(a, count)

EMULATED __m512i emulated_cvtepi8_epi32(__m128i a)
{
    return (union emulated){.si256 = {_mm256_cvtepi8_epi32(a), _mm256_cvtepi8_epi32(_mm_srli_si128(a, 8))}}
        .si;
}
#undef _mm512_cvtepi8_epi32
#define _mm512_cvtepi8_epi32(a) emulated_cvtepi8_epi32(a)

EMULATED __m128i emulated_cvtepi32_epi8(__m512i a)
{
    union emulated x = {.si = a};
    union {
        int8_t i8[16];
        __m128i si;
    } r;
    for (int i = 0; i < 16; i++)
        r.i8[i] = x.i8[4 * i];
    return r.si;
}
#undef _mm512_cvtepi32_epi8
#define _mm512_cvtepi32_epi8(a) emulated_cvtepi32_epi8(a)

EMULATED __m256 emulated_extractf32x8_ps(__m512 a, unsigned half)
{
    return (union emulated){.ps = a}.ps256[half & 1];
}
#undef _mm512_extractf32x8_ps
#define _mm512_extractf32x8_ps(a, half) emulated_extractf32x8_ps(a, half)

/* Lane i of every four takes the one that bits 2i and 2i + 1 name. */
EMULATED __m512 emulated_permute_ps(__m512 a, unsigned order)
{
    union emulated x = {.ps = a}, r;
    for (unsigned i = 0; i < 16; i++)
        r.f32[i] = x.f32[i / 4 * 4 + (order >> (i % 4 * 2) & 3)];
    return r.ps;
}
#undef _mm512_permute_ps
#define _mm512_permute_ps(a, order) emulated_permute_ps(a, order)
#undef _mm512_moveldup_ps
#define _mm512_moveldup_ps(a) emulated_permute_ps(a, 0xa0)
#undef _mm512_movehdup_ps
#define _mm512_movehdup_ps(a) emulated_permute_ps(a, 0xf5)

EMULATED int emulated_reduce_add_epi32(__m512i a)
{
    union emulated x = {.si = a};
    uint32_t sum = 0;
    for (int i = 0; i < 16; i++)
        sum += (uint32_t)x.i32[i];
    return (int)sum;
}
#undef _mm512_reduce_add_epi32
#define _mm512_reduce_add_epi32(a) emulated_reduce_add_epi32(a)

EMULATED int emulated_reduce_max_epi32(__m512i a)
{
    union emulated x = {.si = a};
    for (int i = 1; i < 16; i++)
        x.i32[0] = x.i32[i] > x.i32[0] ? x.i32[i] : x.i32[0];
    return x.i32[0];
}
#undef _mm512_reduce_max_epi32
#define _mm512_reduce_max_epi32(a) emulated_reduce_max_epi32(a)

/* ---- under a mask ---- */

EMULATED __m256i emulated_mask_set1_epi32(__m256i other, unsigned mask, int value)
{
    union emulated x = {.si256 = {other, other}};
    for (int i = 0; i < 8; i++)
        if (mask >> i & 1)
            x.i32[i] = value;
    return x.si256[0];
}
#undef _mm256_mask_set1_epi32
#define _mm256_mask_set1_epi32(other, mask, value) emulated_mask_set1_epi32(other, mask, value)

/* What the mask leaves out is not touched: it may lie where there is no memory. */
EMULATED __m512 emulated_maskz_loadu_ps(unsigned mask, const void *at)
{
    union emulated x = {.f32 = {0}};
    for (int i = 0; i < 16; i++)
        if (mask >> i & 1)
            memcpy(&x.f32[i], (const char *)at + 4 * i, 4);
    return x.ps;
}
#undef _mm512_maskz_loadu_ps
#define _mm512_maskz_loadu_ps(mask, at) emulated_maskz_loadu_ps(mask, at)

EMULATED void emulated_mask_storeu_ps(void *at, unsigned mask, __m512 a)
{
    union emulated x = {.ps = a};
    for (int i = 0; i < 16; i++)
        if (mask >> i & 1)
            memcpy((char *)at + 4 * i, &x.f32[i], 4);
}
#undef _mm512_mask_storeu_ps
#define _mm512_mask_storeu_ps(at, mask, a) emulated_mask_storeu_ps(at, mask, a)

/* ---- AVX-VNNI: the same as of AVX-512, by another name ---- */

#undef _mm256_dpbusd_avx_epi32
#define _mm256_dpbusd_avx_epi32(sum, a, b) simde_mm256_dpbusd_epi32(sum, a, b)
#undef _mm_dpbusd_avx_epi32
#define _mm_dpbusd_avx_epi32(sum, a, b) simde_mm_dpbusd_epi32(sum, a, b)

/* Headers ask by these which lanes there are: from here on, sixteen in one register. */
#if defined(EMULATE_AVX512)
#define __AVX512F__ 1
#endif

/* ---- words from memory ---- */

EMULATED __m512i emulated_i32gather_epi32(__m512i at, const void *base, int scale)
{
    union emulated x = {.si = at}, y = {.si = at};
    for (int i = 0; i < 16; i++)
        memcpy(&y.i32[i], (const char *)base + (long)x.i32[i] * scale, sizeof(y.i32[i]));
    return y.si;
}
#undef _mm512_i32gather_epi32
#define _mm512_i32gather_epi32(at, base, scale) emulated_i32gather_epi32(at, base, scale)

#endif
