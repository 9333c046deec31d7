/* matmul_float_avx2.c - AVX2 kernels of float weights, and the packing of activations. */
#include "matmul_256_impl.h"

/* ---- weights in floats ---- */

/* 8 elements of 8 rows. */
INLINE void load_floats(__m256 w[8], const uint8_t *at, size_t row_bytes, enum matmul_float type)
{
    const __m256i upper = _mm256_set1_epi32((int)0xffff0000);
    __m256i raw[8];
    load_lanes(raw, at, row_bytes);
    if (type == MATMUL_F32)
        load_lanes(raw + 4, at + 16, row_bytes);
#pragma GCC unroll 4
    for (size_t i = 0; i < 8; i += 2)
        if (type == MATMUL_F32) {
            w[i] = _mm256_castsi256_ps(raw[i]);
            w[i + 1] = _mm256_castsi256_ps(raw[i + 1]);
        } else if (type == MATMUL_F16) {
            both_halves(w + i, raw[i / 2]);
        } else {
            w[i] = _mm256_castsi256_ps(_mm256_slli_epi32(raw[i / 2], 16));
            w[i + 1] = _mm256_castsi256_ps(_mm256_and_si256(raw[i / 2], upper));
        }
}

/* Adds 8 elements to the sums of n tokens, n constant. Four tokens are four chains of additions: more need too many
 * registers. */
INLINE void add_floats(const __m256 w[8], const float (*x)[MATMUL_STEP], size_t n, float (*sums)[MATMUL_ROWS])
{
    __m256 y[4];
#pragma GCC unroll 4
    for (size_t t = 0; t < n; t++)
        y[t] = _mm256_load_ps(sums[t]);
#pragma GCC unroll 8
    for (size_t i = 0; i < 8; i++)
#pragma GCC unroll 4
        for (size_t t = 0; t < n; t++)
            y[t] = _mm256_fmadd_ps(w[i], _mm256_set1_ps(x[t][i]), y[t]);
#pragma GCC unroll 4
    for (size_t t = 0; t < n; t++)
        _mm256_store_ps(sums[t], y[t]);
}

/* One token. The elements of a row are added in order, so a group of rows is one chain of additions, each of which
 * waits for the one before. To have four chains side by side, the weights of a step are unpacked for all groups first.
 * That goes group by group, because lines of more rows would evict each other from L1. */
INLINE void float_rows(enum matmul_float type, const uint8_t *weights, size_t row_bytes, size_t steps,
    const float *x, float sums[MATMUL_ROWS])
{
    const bool to_l1 = prefetches_to_l1(MATMUL_ROWS, row_bytes);
    const size_t size = type == MATMUL_F32 ? 4 : 2, bytes = MATMUL_STEP * size;
    __m256 y[GROUPS], w[GROUPS][MATMUL_STEP];
#pragma GCC unroll 4
    for (size_t g = 0; g < GROUPS; g++)
        y[g] = _mm256_load_ps(sums + LANES * g);
    for (size_t s = 0; s < steps; s++, x += MATMUL_STEP) {
        prefetch(weights, row_bytes, MATMUL_ROWS, s * bytes, (s + 1) * bytes, to_l1);
        for (size_t g = 0; g < GROUPS; g++)
            for (size_t i = 0; i < MATMUL_STEP; i += 8)
                load_floats(
                    w[g] + i, weights + LANES * g * row_bytes + s * bytes + i * size, row_bytes, type);
#pragma GCC unroll 8
        for (size_t i = 0; i < MATMUL_STEP; i++)
#pragma GCC unroll 4
            for (size_t g = 0; g < GROUPS; g++)
                y[g] = _mm256_fmadd_ps(w[g][i], _mm256_set1_ps(x[i]), y[g]);
    }
#pragma GCC unroll 4
    for (size_t g = 0; g < GROUPS; g++)
        _mm256_store_ps(sums + LANES * g, y[g]);
}

INLINE void float_tile(enum matmul_float type, const uint8_t *weights, size_t row_bytes, size_t steps,
    const float *x, size_t tokens, float sums[][MATMUL_ROWS])
{
    if (tokens == 1 && type != MATMUL_F32) { /* F32 is limited by memory */
        float_rows(type, weights, row_bytes, steps, x, sums[0]);
        return;
    }
    const bool to_l1 = prefetches_to_l1(MATMUL_ROWS, row_bytes);
    const size_t bytes = MATMUL_STEP * (type == MATMUL_F32 ? 4 : 2);
    for (size_t s = 0; s < steps; s++, x += tokens * MATMUL_STEP) {
        prefetch(weights, row_bytes, MATMUL_ROWS, s * bytes, (s + 1) * bytes, to_l1);
        for (size_t g = 0; g < GROUPS; g++)
            for (size_t i = 0; i < MATMUL_STEP; i += 8) {
                const float(*from)[MATMUL_STEP] = (const float(*)[MATMUL_STEP])(x + i);
                float(*to)[MATMUL_ROWS] = group(sums, g);
                __m256 w[8];
                size_t t = 0;
                load_floats(w, weights + LANES * g * row_bytes + s * bytes + i * (bytes / MATMUL_STEP),
                    row_bytes, type);
                for (; t + 4 <= tokens; t += 4)
                    add_floats(w, from + t, 4, to + t);
                for (; t < tokens; t++)
                    add_floats(w, from + t, 1, to + t);
            }
    }
}

/* ---- activations ---- */

/* The largest of eight integers. */
INLINE int32_t largest(__m256i v)
{
    __m128i x = _mm_max_epi32(_mm256_castsi256_si128(v), _mm256_extracti128_si256(v, 1));
    x = _mm_max_epi32(x, _mm_shuffle_epi32(x, 0x4e));
    return _mm_cvtsi128_si32(_mm_max_epi32(x, _mm_shuffle_epi32(x, 0xb1)));
}

INLINE int32_t sum_of(__m256i v)
{
    __m128i x = _mm_add_epi32(_mm256_castsi256_si128(v), _mm256_extracti128_si256(v, 1));
    x = _mm_add_epi32(x, _mm_shuffle_epi32(x, 0x4e));
    return _mm_cvtsi128_si32(_mm_add_epi32(x, _mm_shuffle_epi32(x, 0xb1)));
}

INLINE void pack_pairs(struct matmul_block *out, __m256i q)
{
    __m256i sums = _mm256_maddubs_epi16(_mm256_set1_epi8(1), q);
    sums = _mm256_add_epi16(sums, _mm256_shuffle_epi32(sums, 0x4e));
    sums = _mm256_add_epi16(sums, _mm256_shuffle_epi32(sums, 0xb1));
    sums = _mm256_sub_epi16(_mm256_setzero_si256(), sums);
    __m128i first = _mm256_castsi256_si128(sums), last = _mm256_extracti128_si256(sums, 1);
    out->minus_pairs[MATMUL_FIRST] = _mm_cvtsi128_si32(first);
    out->minus_pairs[MATMUL_LAST] = _mm_cvtsi128_si32(last);
    out->minus_pairs[MATMUL_WHOLE] = _mm_cvtsi128_si32(_mm_add_epi16(first, last));
}

void matmul_avx2_pack(struct matmul_block *out, size_t step, const float *x, size_t blocks)
{
    for (; blocks-- > 0; out += step, x += MATMUL_BLOCK) {
        __m256 v[4];
        __m256i q[4], size = _mm256_setzero_si256();
#pragma GCC unroll 4
        for (size_t i = 0; i < 4; i++) {
            v[i] = _mm256_loadu_ps(x + 8 * i);
            size = _mm256_max_epi32(
                size, _mm256_and_si256(_mm256_castps_si256(v[i]), _mm256_set1_epi32(0x7fffffff)));
        }
        int32_t bits = largest(size);
        float amax;
        memcpy(&amax, &bits, sizeof(amax));
        if (bits >= 0x7f800000 || amax < 0x1p-119f) {
            matmul_plain.pack(out, step, x, 1);
            continue;
        }
        __m256 inverse = _mm256_set1_ps(127.0f / amax);
#pragma GCC unroll 4
        for (size_t i = 0; i < 4; i++)
            q[i] = _mm256_cvtps_epi32(_mm256_mul_ps(v[i], inverse));
        int32_t half = sum_of(_mm256_add_epi32(q[0], q[1]));
        int32_t sum = half + sum_of(_mm256_add_epi32(q[2], q[3]));
        __m256i bytes = _mm256_packs_epi16(_mm256_packs_epi32(q[0], q[1]), _mm256_packs_epi32(q[2], q[3]));
        bytes = _mm256_permutevar8x32_epi32(bytes, _mm256_setr_epi32(0, 4, 1, 5, 2, 6, 3, 7));
        _mm256_storeu_si256((__m256i *)out->q, bytes);
        out->d = amax / 127.0f;
        out->d_sum = out->d * (float)sum;
        out->minus_sum = -sum;
        out->minus_half = -half;
        pack_pairs(out, bytes);
    }
}

#define FLOAT_TILE(name, type)                                                                               \
    void matmul_avx2_##name(const uint8_t *weights, size_t row_bytes, size_t steps, const float *x,          \
        size_t tokens, float sums[][MATMUL_ROWS])                                                            \
    {                                                                                                        \
        float_tile(type, weights, row_bytes, steps, x, tokens, sums);                                        \
    }
FLOAT_TILE(f32, MATMUL_F32)
FLOAT_TILE(f16, MATMUL_F16)
FLOAT_TILE(bf16, MATMUL_BF16)
