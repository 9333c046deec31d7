/* matmul_avx2.c - products with AVX2: types in blocks of 32, floats, activations, and the table.
 *
 * matmul_avx2_private.h tells how; matmul_k_avx2.c has the types in blocks of 256.
 */
#include "matmul_avx2_private.h"

/* ---- blocks of 32 ---- */

struct small {
    size_t bytes, payload; /* of a block, and where in it nibbles or bytes begin */
    unsigned bits, offset; /* as add_block wants them */
    bool has_min;
};

static const struct small smalls[MATMUL_INT8] = {
    [MATMUL_Q4_0] = {sizeof(struct block_q4_0), offsetof(struct block_q4_0, qs), 4, 3, false},
    [MATMUL_Q4_1] = {sizeof(struct block_q4_1), offsetof(struct block_q4_1, qs), 4, 0, true},
    [MATMUL_Q5_0] = {sizeof(struct block_q5_0), offsetof(struct block_q5_0, qs), 5, 4, false},
    [MATMUL_Q5_1] = {sizeof(struct block_q5_1), offsetof(struct block_q5_1, qs), 5, 0, true},
    [MATMUL_Q8_0] = {sizeof(struct block_q8_0), offsetof(struct block_q8_0, qs), 8, 0, false},
    [MATMUL_IQ4_NL] = {sizeof(struct block_iq4_nl), offsetof(struct block_iq4_nl, qs), 8, 0, false},
    [MATMUL_MXFP4] = {sizeof(struct block_mxfp4), offsetof(struct block_mxfp4, qs), 5, 4, false},
};

/* 2^(e - 128) for the low byte e of each lane: subnormal for 0 and 1. */
INLINE __m256 half_powers(__m256i v)
{
    const __m256i e = _mm256_and_si256(v, _mm256_set1_epi32(255)), two = _mm256_set1_epi32(2);
    const __m256i normal = _mm256_slli_epi32(_mm256_sub_epi32(e, _mm256_set1_epi32(1)), 23);
    const __m256i small = _mm256_sllv_epi32(_mm256_set1_epi32(0x200000), e);
    return _mm256_castsi256_ps(_mm256_blendv_epi8(normal, small, _mm256_cmpgt_epi32(two, e)));
}

/* The bits 4j to 4j + 3 of each lane, each as bit 4 of a byte. */
INLINE __m256i fifth_bits(__m256i lanes, size_t j)
{
    const __m256i lowest =
        _mm256_setr_epi32(0, 0x04040404, 0x08080808, 0x0c0c0c0c, 0, 0x04040404, 0x08080808, 0x0c0c0c0c);
    const __m256i theirs = _mm256_add_epi8(lowest, _mm256_set1_epi8((char)(j / 2)));
    const __m256i bit = _mm256_set1_epi32(j % 2 ? (int)0x80402010 : 0x08040201);
    __m256i hit = _mm256_cmpeq_epi8(_mm256_and_si256(_mm256_shuffle_epi8(lanes, theirs), bit), bit);
    return _mm256_and_si256(hit, _mm256_set1_epi8(16));
}

/* The blocks of 32 that begin at `at`. All begin with d and, where they have one, m; or with an exponent. */
INLINE void unpack_small(struct panel *p, const uint8_t *at, size_t row_bytes, enum matmul_int8 type)
{
    const uint8_t *payload = at + smalls[type].payload;
    __m256i head[4], raw[4];
    load_lanes(head, at, row_bytes); /* for the first words: quicker than a gather */
    if (type == MATMUL_MXFP4) {
        p->scale[0] = half_powers(head[0]);
    } else {
        __m256 halves[2];
        both_halves(halves, head[0]);
        p->scale[0] = halves[0];
        p->min[0] = halves[1];
    }
    if (type == MATMUL_Q8_0) {
        load_lanes(p->w, payload, row_bytes);
        load_lanes(p->w + 4, payload + 16, row_bytes);
        return;
    }
    load_lanes(raw, payload, row_bytes);
#pragma GCC unroll 4
    for (size_t j = 0; j < 4; j++) {
        p->w[j] = bits_of(raw[j], 0, 15);
        p->w[j + 4] = bits_of(raw[j], 4, 15);
    }
    __m256i fifths = head[1];
    if (type == MATMUL_Q5_0) /* they lie across two words */
        fifths = _mm256_or_si256(_mm256_srli_epi32(head[0], 16), _mm256_slli_epi32(head[1], 16));
#pragma GCC unroll 8
    for (size_t j = 0; j < 8; j++)
        if (type == MATMUL_Q5_0 || type == MATMUL_Q5_1)
            p->w[j] = _mm256_or_si256(p->w[j], fifth_bits(fifths, j));
        else if (type == MATMUL_IQ4_NL)
            p->w[j] = levels_of(p->w[j], quant_levels_iq4, 0);
        else if (type == MATMUL_MXFP4)
            p->w[j] = levels_of(p->w[j], quant_levels_fp4, 16);
}

INLINE void small_tile(enum matmul_int8 type, const uint8_t *weights, size_t row_bytes, size_t blocks,
    const struct matmul_block *a, size_t tokens, float sums[][MATMUL_ROWS])
{
    const struct small s = smalls[type];
    for (size_t b = 0; b < blocks; b++) {
        prefetch(weights, row_bytes, b * s.bytes, (b + 1) * s.bytes, tokens);
        for (size_t g = 0; g < GROUPS; g++) {
            struct panel p;
            unpack_small(&p, weights + LANES * g * row_bytes + b * s.bytes, row_bytes, type);
            add_block(&p, a + b * tokens, tokens, group(sums, g), s.bits, s.offset, s.has_min);
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

#define SMALL_TILE(name, type)                                                                               \
    static void tile_##name(const uint8_t *weights, size_t row_bytes, size_t blocks,                         \
        const struct matmul_block *a, size_t tokens, float sums[][MATMUL_ROWS])                              \
    {                                                                                                        \
        small_tile(type, weights, row_bytes, blocks, a, tokens, sums);                                       \
    }
SMALL_TILE(q4_0, MATMUL_Q4_0)
SMALL_TILE(q4_1, MATMUL_Q4_1)
SMALL_TILE(q5_0, MATMUL_Q5_0)
SMALL_TILE(q5_1, MATMUL_Q5_1)
SMALL_TILE(q8_0, MATMUL_Q8_0)
SMALL_TILE(iq4_nl, MATMUL_IQ4_NL)
SMALL_TILE(mxfp4, MATMUL_MXFP4)

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
    .int8 =
        {
            [MATMUL_Q4_0] = tile_q4_0,
            [MATMUL_Q4_1] = tile_q4_1,
            [MATMUL_Q5_0] = tile_q5_0,
            [MATMUL_Q5_1] = tile_q5_1,
            [MATMUL_Q8_0] = tile_q8_0,
            [MATMUL_Q2_K] = matmul_avx2_q2_k,
            [MATMUL_Q3_K] = matmul_avx2_q3_k,
            [MATMUL_Q4_K] = matmul_avx2_q4_k,
            [MATMUL_Q5_K] = matmul_avx2_q5_k,
            [MATMUL_Q6_K] = matmul_avx2_q6_k,
            [MATMUL_IQ4_NL] = tile_iq4_nl,
            [MATMUL_IQ4_XS] = matmul_avx2_iq4_xs,
            [MATMUL_MXFP4] = tile_mxfp4,
        },
    .floats = {tile_f32, tile_f16, tile_bf16},
};
