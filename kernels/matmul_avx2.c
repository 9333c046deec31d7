/* matmul_avx2.c - products with AVX2: eight rows in eight lanes.
 *
 * matmul_avx512.c with half the width, one group of rows at a time, and no vpdpbusd: vpmaddubsw multiplies
 * unsigned weights by signed activations and adds pairs in 16 bits, as many of which are added up as fit before
 * vpmaddwd widens them. Of 127 * 2 * (the largest weight), 32767 has room for 8 with weights of four bits, 4 with
 * five, 2 with six and 1 with eight. So no sum saturates, and the integers are exact.
 */
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
    __m256 scale[2]; /* of each half, where halves differ; otherwise the first is everybody's */
    __m256 min;
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
    const size_t fit = bits == 4 ? 8 : bits == 5 ? 4 : bits == 6 ? 2 : 1;
    __m256i total = _mm256_setzero_si256(), sum = total;
#pragma GCC unroll 8
    for (size_t i = begin; i < end; i++) {
        __m256i a = broadcast(q + 4 * i);
        __m256i pairs = bits == 8 ? _mm256_maddubs_epi16(_mm256_abs_epi8(w[i]), _mm256_sign_epi8(a, w[i]))
                                  : _mm256_maddubs_epi16(w[i], a);
        sum = i % fit == 0 ? pairs : _mm256_add_epi16(sum, pairs);
        if (i % fit == fit - 1)
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
            y = _mm256_fmadd_ps(p->min, _mm256_set1_ps(a[t].d_sum), y);
        _mm256_store_ps(sums[t], y);
    }
}

/* The same with a scale for each half, and weights of six bits that are too large by 32. */
INLINE void add_halves(
    const struct panel *p, const struct matmul_block *a, size_t tokens, float (*sums)[MATMUL_ROWS])
{
    for (size_t t = 0; t < tokens; t++) {
        __m256i minus_low = _mm256_slli_epi32(broadcast(&a[t].minus_half), 5);
        __m256i minus_high = _mm256_sub_epi32(_mm256_slli_epi32(broadcast(&a[t].minus_sum), 5), minus_low);
        __m256i low = _mm256_add_epi32(dot(p->w, a[t].q, 0, 4, 6), minus_low);
        __m256i high = _mm256_add_epi32(dot(p->w, a[t].q, 4, 8, 6), minus_high);
        __m256 joined = _mm256_mul_ps(_mm256_cvtepi32_ps(low), p->scale[0]);
        joined = _mm256_fmadd_ps(_mm256_cvtepi32_ps(high), p->scale[1], joined);
        __m256 y = _mm256_load_ps(sums[t]);
        _mm256_store_ps(sums[t], _mm256_fmadd_ps(joined, _mm256_set1_ps(a[t].d), y));
    }
}

/* The sums of one group of rows. */
INLINE float (*group(float sums[][MATMUL_ROWS], size_t g))[MATMUL_ROWS]
{
    return (float(*)[MATMUL_ROWS])(sums[0] + LANES * g);
}

/* ---- blocks of 32 ---- */

/* The blocks of 32 that begin at `at` with d and, in q4_1, m. */
INLINE void unpack_small(struct panel *p, const uint8_t *at, size_t row_bytes, enum matmul_int8 type)
{
    const size_t head = type == MATMUL_Q4_1 ? 4 : 2;
    __m256i raw[4];
    __m256 halves[2];
    load_lanes(raw, at, row_bytes); /* for the first word: quicker than a gather */
    both_halves(halves, raw[0]);
    p->scale[0] = halves[0];
    p->min = halves[1];
    load_lanes(raw, at + head, row_bytes);
    if (type == MATMUL_Q8_0)
        load_lanes(p->w + 4, at + head + 16, row_bytes);
#pragma GCC unroll 4
    for (size_t j = 0; j < 4; j++)
        if (type == MATMUL_Q8_0) {
            p->w[j] = raw[j];
        } else {
            p->w[j] = bits_of(raw[j], 0, 15);
            p->w[j + 4] = bits_of(raw[j], 4, 15);
        }
}

INLINE void small_tile(enum matmul_int8 type, size_t bytes, const uint8_t *weights, size_t row_bytes,
    size_t blocks, const struct matmul_block *a, size_t tokens, float sums[][MATMUL_ROWS])
{
    for (size_t b = 0; b < blocks; b++) {
        prefetch(weights, row_bytes, b * bytes, (b + 1) * bytes, tokens);
        for (size_t g = 0; g < GROUPS; g++) {
            struct panel p;
            unpack_small(&p, weights + LANES * g * row_bytes + b * bytes, row_bytes, type);
            add_block(&p, a + b * tokens, tokens, group(sums, g), type == MATMUL_Q8_0 ? 8 : 4,
                type == MATMUL_Q4_0 ? 3 : 0, type == MATMUL_Q4_1);
        }
    }
}

/* ---- blocks of 256 ---- */

/* The scales and minima of a q4_k's or q5_k's eight groups of 32. */
INLINE void unpack_k_scales(__m256 scale[8], __m256 min[8], const uint8_t *at, size_t row_bytes)
{
    __m256i h[4];
    __m256 d[2];
    load_lanes(h, at, row_bytes);
    both_halves(d, h[0]);
    const __m256i scales[2] = {
        bits_of(h[1], 0, 63), _mm256_or_si256(bits_of(h[3], 0, 15), bits_of(h[1], 2, 48))};
    const __m256i mins[2] = {
        bits_of(h[2], 0, 63), _mm256_or_si256(bits_of(h[3], 4, 15), bits_of(h[2], 2, 48))};
    const __m256i byte = _mm256_set1_epi32(255);
    for (size_t i = 0; i < 8; i++) {
        const __m128i from = _mm_cvtsi32_si128((int)(i % 4 * 8));
        __m256i s = _mm256_and_si256(_mm256_srl_epi32(scales[i / 4], from), byte);
        __m256i m = _mm256_and_si256(_mm256_srl_epi32(mins[i / 4], from), byte);
        scale[i] = _mm256_mul_ps(d[0], _mm256_cvtepi32_ps(s));
        min[i] = _mm256_xor_ps(_mm256_mul_ps(d[1], _mm256_cvtepi32_ps(m)), _mm256_set1_ps(-0.0f));
    }
}

/* q4_k and, with a fifth bit, q5_k. */
INLINE void k_tile(bool five, const uint8_t *weights, size_t row_bytes, size_t blocks,
    const struct matmul_block *a, size_t tokens, float sums[][MATMUL_ROWS])
{
    const size_t bytes = five ? sizeof(struct block_q5_k) : sizeof(struct block_q4_k);
    __m256 scale[GROUPS][8], min[GROUPS][8];
    __m256i low[GROUPS][8], high[GROUPS][8];
    for (size_t b = 0; b < blocks; b++) {
        const uint8_t *at = weights + b / 8 * bytes;
        const unsigned part = b % 8;
        prefetch(weights, row_bytes, b * bytes / 8, (b + 1) * bytes / 8, tokens);
        for (size_t g = 0; g < GROUPS; g++, at += LANES * row_bytes) {
            if (part == 0)
                unpack_k_scales(scale[g], min[g], at, row_bytes);
            if (part == 0 && five) {
                load_lanes(high[g], at + 16, row_bytes);
                load_lanes(high[g] + 4, at + 32, row_bytes);
            }
            if (part % 2 == 0) {
                const uint8_t *qs = at + (five ? 48 : 16) + part / 2 * 32;
                load_lanes(low[g], qs, row_bytes);
                load_lanes(low[g] + 4, qs + 16, row_bytes);
            }
            struct panel p = {.scale = {scale[g][part]}, .min = min[g][part]};
#pragma GCC unroll 8
            for (size_t i = 0; i < 8; i++) {
                p.w[i] = bits_of(low[g][i], part % 2 * 4, 15);
                if (five)
                    p.w[i] = _mm256_or_si256(p.w[i], _mm256_slli_epi32(bits_of(high[g][i], part, 1), 4));
            }
            add_block(&p, a + b * tokens, tokens, group(sums, g), five ? 5 : 4, 0, true);
        }
    }
}

/* The scales of a q6_k's sixteen groups. */
INLINE void unpack_q6_scales(__m256 scale[16], const uint8_t *at, size_t row_bytes)
{
    __m256i s[4], last[4];
    __m256 halves[2];
    load_lanes(s, at + 192, row_bytes);
    load_lanes(last, at + 194, row_bytes);
    both_halves(halves, last[3]);
    for (size_t i = 0; i < 16; i++) {
        __m256i top = _mm256_sll_epi32(s[i / 4], _mm_cvtsi32_si128((int)(24 - i % 4 * 8)));
        scale[i] = _mm256_mul_ps(halves[1], _mm256_cvtepi32_ps(_mm256_srai_epi32(top, 24)));
    }
}

static void tile_q6_k(const uint8_t *weights, size_t row_bytes, size_t blocks, const struct matmul_block *a,
    size_t tokens, float sums[][MATMUL_ROWS])
{
    const size_t bytes = sizeof(struct block_q6_k);
    __m256 scale[GROUPS][16];
    __m256i low[GROUPS][16], high[GROUPS][8];
    for (size_t b = 0; b < blocks; b++) {
        const uint8_t *at = weights + b / 8 * bytes;
        const unsigned part = b % 8;
        prefetch(weights, row_bytes, b * bytes / 8, (b + 1) * bytes / 8, tokens);
        for (size_t g = 0; g < GROUPS; g++, at += LANES * row_bytes) {
            if (part == 0)
                unpack_q6_scales(scale[g], at, row_bytes);
            for (size_t i = 0; i < 4 && part % 4 == 0; i++)
                load_lanes(low[g] + 4 * i, at + part / 4 * 64 + 16 * i, row_bytes);
            for (size_t i = 0; i < 2 && part % 4 == 0; i++)
                load_lanes(high[g] + 4 * i, at + 128 + part / 4 * 32 + 16 * i, row_bytes);
            struct panel p = {.scale = {scale[g][2 * part], scale[g][2 * part + 1]}};
#pragma GCC unroll 8
            for (size_t i = 0; i < 8; i++)
                p.w[i] = _mm256_or_si256(bits_of(low[g][part % 2 * 8 + i], part % 4 / 2 * 4, 15),
                    _mm256_slli_epi32(bits_of(high[g][i], part % 4 * 2, 3), 4));
            add_halves(&p, a + b * tokens, tokens, group(sums, g));
        }
    }
}

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

/* Adds 8 elements to the sums of n tokens, n constant: as many chains as there are registers for. */
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

INLINE void float_tile(enum matmul_float type, const uint8_t *weights, size_t row_bytes, size_t steps,
    const float *x, size_t tokens, float sums[][MATMUL_ROWS])
{
    const size_t bytes = MATMUL_STEP * (type == MATMUL_F32 ? 4 : 2);
    for (size_t s = 0; s < steps; s++, x += tokens * MATMUL_STEP) {
        prefetch(weights, row_bytes, s * bytes, (s + 1) * bytes, tokens);
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

/* The largest or the sum of eight integers. */
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

static void pack(struct matmul_block *out, size_t step, const float *x, size_t blocks)
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
    }
}

/* ---- the table ---- */

#define INT8_TILE(name, run, what)                                                                           \
    static void tile_##name(const uint8_t *weights, size_t row_bytes, size_t blocks,                         \
        const struct matmul_block *a, size_t tokens, float sums[][MATMUL_ROWS])                              \
    {                                                                                                        \
        run(what, weights, row_bytes, blocks, a, tokens, sums);                                              \
    }
#define SMALL(type, block) type, sizeof(struct block)
INT8_TILE(q4_0, small_tile, SMALL(MATMUL_Q4_0, block_q4_0))
INT8_TILE(q4_1, small_tile, SMALL(MATMUL_Q4_1, block_q4_1))
INT8_TILE(q8_0, small_tile, SMALL(MATMUL_Q8_0, block_q8_0))
INT8_TILE(q4_k, k_tile, false)
INT8_TILE(q5_k, k_tile, true)

#define FLOAT_TILE(name, type)                                                                               \
    static void tile_##name(const uint8_t *weights, size_t row_bytes, size_t steps, const float *x,          \
        size_t tokens, float sums[][MATMUL_ROWS])                                                            \
    {                                                                                                        \
        float_tile(type, weights, row_bytes, steps, x, tokens, sums);                                        \
    }
FLOAT_TILE(f32, MATMUL_F32)
FLOAT_TILE(f16, MATMUL_F16)
FLOAT_TILE(bf16, MATMUL_BF16)

const struct matmul_kernels matmul_avx2 = {
    .pack = pack,
    .int8 = {tile_q4_0, tile_q4_1, tile_q8_0, tile_q4_k, tile_q5_k, tile_q6_k},
    .floats = {tile_f32, tile_f16, tile_bf16},
};
