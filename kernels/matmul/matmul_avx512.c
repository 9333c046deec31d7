/* matmul_avx512.c - products with AVX-512 and VNNI: blocks of 32, floats, activations, and the table.
 */
#include "matmul_avx512_impl.h"

/* ---- blocks of 32 ---- */

INLINE int offset_of(enum matmul_int8 type)
{
    switch (type) {
    case MATMUL_Q4_0:
        return 3;
    case MATMUL_Q5_0:
    case MATMUL_MXFP4:
        return 4;
    case MATMUL_Q8_0:
    case MATMUL_IQ4_NL:
        return 7;
    default:
        return NO_OFFSET;
    }
}

INLINE bool has_min(enum matmul_int8 type)
{
    return type == MATMUL_Q4_1 || type == MATMUL_Q5_1;
}

INLINE bool has_fifth(enum matmul_int8 type)
{
    return type == MATMUL_Q5_0 || type == MATMUL_Q5_1;
}

/* 2^(e - 128), where e is the lowest byte of each lane: the scale of an mxfp4. */
INLINE __m512 power_of(__m512i words)
{
    const __m512i e = _mm512_and_si512(words, _mm512_set1_epi32(255)), one = _mm512_set1_epi32(1);
    const __m512i normal = _mm512_slli_epi32(_mm512_sub_epi32(e, one), 23);
    const __m512i subnormal = _mm512_sllv_epi32(_mm512_set1_epi32(0x200000), e);
    return _mm512_castsi512_ps(_mm512_mask_blend_epi32(_mm512_cmple_epi32_mask(e, one), normal, subnormal));
}

/* Loads the blocks of sixteen rows: the scale, then in some types a minimum, then in some the fifth bits, then four
 * vectors of weights, eight in q8_0. */
INLINE void load_small(struct zmm_panel *p, const uint8_t *at, size_t row_bytes, enum matmul_int8 type)
{
    const size_t head = type == MATMUL_MXFP4 ? 1 : has_min(type) ? 4 : 2;
    const struct zmm_rows r = rows_at(at, row_bytes);
    const __m512i words = load_words(&r, 0);
    __m512 halves[2];
    both_halves(halves, words);
    p->scale[0] = type == MATMUL_MXFP4 ? power_of(words) : halves[0];
    p->min[0] = halves[1];
    if (has_fifth(type))
        p->fifth = load_words(&r, head);
    load_rows(p->w, &r, head + (has_fifth(type) ? 4 : 0));
    if (type == MATMUL_Q8_0)
        load_rows(p->w + 4, &r, head + 16);
}

/* Adds the fifth bits to w[j]. Lane r of `fifth` has the bits of row r. w[j] has four elements of each row or, with
 * `rows`, sixteen elements of each of four rows. A shuffle moves to each byte the byte that holds its bit, and a test
 * finds the bit. */
INLINE __m512i with_fifth(__m512i w, __m512i fifth, unsigned j, bool rows)
{
    const __m512i from = rows ? _mm512_set4_epi32(0x01010101, 0x01010101, 0, 0)
                              : _mm512_set4_epi32(0x0c0c0c0c, 0x08080808, 0x04040404, 0);
    const unsigned first = rows ? j % 4 * 4 + j / 4 * 2 : j / 2;
    const __m512i bits = rows    ? _mm512_set1_epi64((long long)0x8040201008040201)
                         : j % 2 ? _mm512_set1_epi32((int)0x80402010)
                                 : _mm512_set1_epi32(0x08040201);
    const __m512i bytes = _mm512_shuffle_epi8(fifth, _mm512_add_epi8(from, _mm512_set1_epi8((char)first)));
    return _mm512_mask_add_epi8(w, _mm512_test_epi8_mask(bytes, bits), w, _mm512_set1_epi8(16));
}

/* Turns the loaded bytes, rows or transposed, into eight vectors of unsigned weights. */
INLINE void unpack_small(struct zmm_panel *p, enum matmul_int8 type, bool rows)
{
#pragma GCC unroll 4
    for (unsigned j = 0; j < 4; j++)
        if (type == MATMUL_Q8_0) {
            p->w[j] = _mm512_xor_si512(p->w[j], _mm512_set1_epi8(-128));
            p->w[j + 4] = _mm512_xor_si512(p->w[j + 4], _mm512_set1_epi8(-128));
        } else {
            p->w[j + 4] = bits_of(p->w[j], 4, 15);
            p->w[j] = bits_of(p->w[j], 0, 15);
        }
#pragma GCC unroll 8
    for (unsigned j = 0; j < 8; j++)
        if (has_fifth(type))
            p->w[j] = with_fifth(p->w[j], p->fifth, j, rows);
        else if (type == MATMUL_IQ4_NL)
            p->w[j] = _mm512_shuffle_epi8(levels_of(quant_levels_iq4, offset_of(type)), p->w[j]);
        else if (type == MATMUL_MXFP4)
            p->w[j] = _mm512_shuffle_epi8(levels_of(quant_levels_fp4, offset_of(type)), p->w[j]);
}

/* Few tokens, one group of rows after the other. A block is loaded before the previous one is multiplied, because the
 * processor does not look that far ahead by itself. After the last block the first one is loaded again, since no byte
 * after the weights may be read. */
INLINE void small_rows(enum matmul_int8 type, size_t bytes, const uint8_t *weights, size_t row_bytes,
    size_t blocks, const struct matmul_block *a, size_t tokens, float sums[][MATMUL_ROWS])
{
    const bool to_l1 = prefetches_to_l1(MATMUL_ROWS, row_bytes);
    for (size_t g = 0; g < GROUPS; g++, weights += 16 * row_bytes) {
        struct zmm_panel next = {0};
        __m512 y[FEW_TOKENS];
        load_sums(y, sums, 16 * g, tokens);
        load_small(&next, weights, row_bytes, type);
        for (size_t b = 0; b < blocks; b++) {
            struct zmm_panel p = next;
            prefetch(weights, row_bytes, 16, b * bytes, (b + 1) * bytes, to_l1);
            load_small(&next, weights + (b + 1 < blocks ? b + 1 : 0) * bytes, row_bytes, type);
            unpack_small(&p, type, true);
#pragma GCC unroll 2
            for (size_t t = 0; t < FEW_TOKENS; t++)
                if (t < tokens)
                    y[t] = add_rows(&p, a + b * tokens + t, y[t], offset_of(type), has_min(type));
        }
        store_sums(y, sums, 16 * g, tokens);
    }
}

/* The unsigned weights of eight rows' blocks of q8_0: vector j has all 32 of the rows j and 4 + j. */
INLINE void load_bytes(__m512i w[4], __m256 *scale, const uint8_t *at, size_t row_bytes)
{
    uint16_t d[8];
#pragma GCC unroll 8
    for (size_t r = 0; r < 8; r++)
        memcpy(&d[r], at + r * row_bytes, sizeof(d[r]));
    *scale = _mm256_cvtph_ps(_mm_loadu_si128((const __m128i *)d));
#pragma GCC unroll 4
    for (size_t j = 0; j < 4; j++)
        w[j] = _mm512_xor_si512(
            two_rows(at + j * row_bytes + 2, at + (4 + j) * row_bytes + 2), _mm512_set1_epi8(-128));
}

/* Adds their products to a token's sums y. add_words leaves in each 128 bits the sums of four rows, first and last
 * halves alternating. Both are added, and the results of four rows each are joined. */
INLINE __m256 add_bytes(const __m512i w[4], __m256 scale, const struct matmul_block *a, __m256 y)
{
    const __m512i fours = _mm512_set_epi64(0, 0, 0, 0, 5, 4, 1, 0);
    const __m512i q = _mm512_broadcast_i64x4(_mm256_loadu_si256((const __m256i *)a->q));
    __m512i v[4];
#pragma GCC unroll 4
    for (size_t j = 0; j < 4; j++)
        v[j] = _mm512_dpbusd_epi32(_mm512_setzero_si512(), w[j], q);
    __m512i halves = add_words(v);
    halves = _mm512_add_epi32(halves, _mm512_shuffle_i32x4(halves, halves, 0xb1));
    __m256i dot = _mm512_castsi512_si256(_mm512_permutexvar_epi64(fours, halves));
    dot = _mm256_add_epi32(dot, _mm256_slli_epi32(_mm256_set1_epi32(a->minus_sum), 7));
    return _mm256_fmadd_ps(_mm256_cvtepi32_ps(dot), _mm256_mul_ps(scale, _mm256_set1_ps(a->d)), y);
}

/* q8_0, one token, eight rows at a time: the next sixteen rows would not stay in L1. */
static void bytes_rows(const uint8_t *weights, size_t row_bytes, size_t blocks, const struct matmul_block *a,
    float sums[MATMUL_ROWS])
{
    const size_t bytes = sizeof(struct block_q8_0);
    const bool to_l1 = prefetches_to_l1(8, row_bytes);
    for (size_t g = 0; g < MATMUL_ROWS; g += 8, weights += 8 * row_bytes) {
        __m256 y = _mm256_load_ps(sums + g);
        for (size_t b = 0; b < blocks; b++) {
            __m512i w[4];
            __m256 scale;
            prefetch(weights, row_bytes, 8, b * bytes, (b + 1) * bytes, to_l1);
            load_bytes(w, &scale, weights + b * bytes, row_bytes);
            y = add_bytes(w, scale, a + b, y);
        }
        _mm256_store_ps(sums + g, y);
    }
}

INLINE void small_tile(enum matmul_int8 type, size_t bytes, const uint8_t *weights, size_t row_bytes,
    size_t blocks, const struct matmul_block *a, size_t tokens, float sums[][MATMUL_ROWS])
{
    if (type == MATMUL_Q8_0 && tokens == 1) {
        bytes_rows(weights, row_bytes, blocks, a, sums[0]);
        return;
    }
    if (type != MATMUL_Q8_0 && tokens <= FEW_TOKENS) {
        small_rows(type, bytes, weights, row_bytes, blocks, a, tokens, sums);
        return;
    }
    const bool to_l1 = prefetches_to_l1(MATMUL_ROWS, row_bytes);
    for (size_t b = 0; b < blocks; b++) {
        struct zmm_panel p[GROUPS];
        prefetch(weights, row_bytes, MATMUL_ROWS, b * bytes, (b + 1) * bytes, to_l1);
#pragma GCC unroll 2
        for (size_t g = 0; g < GROUPS; g++) {
            load_small(&p[g], weights + 16 * g * row_bytes + b * bytes, row_bytes, type);
            transpose(p[g].w);
            if (type == MATMUL_Q8_0)
                transpose(p[g].w + 4);
            unpack_small(&p[g], type, false);
        }
        add_block(p, a + b * tokens, tokens, sums, offset_of(type), has_min(type));
    }
}

/* ---- weights in floats ---- */

/* Loads 64 bytes of each of 16 rows; out[j] has bytes 4j to 4j + 3 of row r in lane r. Rows of floats often lie a power
 * of two apart and share few sets of L1, so each line is loaded whole, once. Also prefetches 16 lines of the next tile
 * at `next`, one with each row: the processor drops some of many prefetches at once. */
INLINE void load_lines(__m512i out[16], const uint8_t *at, size_t row_bytes, const uint8_t *next, bool to_l1)
{
    __m512i v[16], quads[16];
#pragma GCC unroll 16
    for (size_t r = 0; r < 16; r++) {
        v[r] = _mm512_loadu_si512(at + r * row_bytes);
        prefetch_line(next + 64 * r, to_l1);
    }
    /* quads[r + j]: lane L of 128 bits has word 4L + j of the rows r to r + 3. */
#pragma GCC unroll 4
    for (size_t r = 0; r < 16; r += 4) {
        __m512i a = _mm512_unpacklo_epi32(v[r], v[r + 1]), b = _mm512_unpackhi_epi32(v[r], v[r + 1]);
        __m512i c = _mm512_unpacklo_epi32(v[r + 2], v[r + 3]), d = _mm512_unpackhi_epi32(v[r + 2], v[r + 3]);
        quads[r] = _mm512_unpacklo_epi64(a, c);
        quads[r + 1] = _mm512_unpackhi_epi64(a, c);
        quads[r + 2] = _mm512_unpacklo_epi64(b, d);
        quads[r + 3] = _mm512_unpackhi_epi64(b, d);
    }
#pragma GCC unroll 4
    for (size_t j = 0; j < 4; j++) {
        __m512i even = _mm512_shuffle_i32x4(quads[j], quads[j + 4], 0x88);
        __m512i odd = _mm512_shuffle_i32x4(quads[j], quads[j + 4], 0xdd);
        __m512i even2 = _mm512_shuffle_i32x4(quads[j + 8], quads[j + 12], 0x88);
        __m512i odd2 = _mm512_shuffle_i32x4(quads[j + 8], quads[j + 12], 0xdd);
        out[j] = _mm512_shuffle_i32x4(even, even2, 0x88);
        out[j + 4] = _mm512_shuffle_i32x4(odd, odd2, 0x88);
        out[j + 8] = _mm512_shuffle_i32x4(even, even2, 0xdd);
        out[j + 12] = _mm512_shuffle_i32x4(odd, odd2, 0xdd);
    }
}

/* Converts 16 elements of 16 rows, which are 16 words of each row in F32 and 8 in the others. */
INLINE void widen(__m512 w[16], const __m512i *raw, enum matmul_float type)
{
    const __m512i upper = _mm512_set1_epi32((int)0xffff0000);
#pragma GCC unroll 16
    for (size_t i = 0; i < 16; i += 2)
        if (type == MATMUL_F32) {
            w[i] = _mm512_castsi512_ps(raw[i]);
            w[i + 1] = _mm512_castsi512_ps(raw[i + 1]);
        } else if (type == MATMUL_F16) {
            both_halves(w + i, raw[i / 2]);
        } else {
            w[i] = _mm512_castsi512_ps(_mm512_slli_epi32(raw[i / 2], 16));
            w[i + 1] = _mm512_castsi512_ps(_mm512_and_si512(raw[i / 2], upper));
        }
}

/* Adds 16 elements to the sums of n tokens, n constant. Eight chains of additions hide their latency. */
INLINE void add_floats(
    const __m512 w[16], const float (*x)[MATMUL_STEP], size_t n, float (*sums)[MATMUL_ROWS])
{
    __m512 y[8];
#pragma GCC unroll 8
    for (size_t t = 0; t < n; t++)
        y[t] = _mm512_load_ps(sums[t]);
#pragma GCC unroll 16
    for (size_t i = 0; i < 16; i++)
#pragma GCC unroll 8
        for (size_t t = 0; t < n; t++)
            y[t] = _mm512_fmadd_ps(w[i], _mm512_set1_ps(x[t][i]), y[t]);
#pragma GCC unroll 8
    for (size_t t = 0; t < n; t++)
        _mm512_store_ps(sums[t], y[t]);
}

INLINE void float_tile(enum matmul_float type, const uint8_t *weights, size_t row_bytes, size_t steps,
    const float *x, size_t tokens, float sums[][MATMUL_ROWS])
{
    /* The activations of many tokens need L1. */
    const bool to_l1 = tokens < 8 && prefetches_to_l1(MATMUL_ROWS, row_bytes);
    const size_t lines = type == MATMUL_F32 ? 2 : 1, bytes = 64 * lines;
    for (size_t s = 0; s < steps; s++, x += tokens * MATMUL_STEP) {
        const uint8_t *next = weights + MATMUL_ROWS * (row_bytes + s * bytes);
        for (size_t g = 0; g < GROUPS; g++) {
            __m512i raw[16];
            for (size_t half = 0; half < 2; half++) {
                const float(*from)[MATMUL_STEP] = (const float(*)[MATMUL_STEP])(x + 16 * half);
                float(*to)[MATMUL_ROWS] = (float(*)[MATMUL_ROWS])(sums[0] + 16 * g);
                __m512 w[16];
                size_t t = 0;
                if (half < lines)
                    load_lines(raw, weights + 16 * g * row_bytes + s * bytes + half * 64, row_bytes,
                        next + 1024 * (lines * g + half), to_l1);
                widen(w, raw + (type == MATMUL_F32 ? 0 : 8 * half), type);
                for (; t + 8 <= tokens; t += 8)
                    add_floats(w, from + t, 8, to + t);
                for (; t < tokens; t++)
                    add_floats(w, from + t, 1, to + t);
            }
        }
    }
}

/* ---- activations ---- */

/* The largest lane of each of four vectors. */
INLINE __m128i largest(const __m512i v[MATMUL_PACKED])
{
    __m512i a = _mm512_max_epi32(_mm512_unpacklo_epi32(v[0], v[1]), _mm512_unpackhi_epi32(v[0], v[1]));
    __m512i b = _mm512_max_epi32(_mm512_unpacklo_epi32(v[2], v[3]), _mm512_unpackhi_epi32(v[2], v[3]));
    a = _mm512_max_epi32(_mm512_unpacklo_epi64(a, b), _mm512_unpackhi_epi64(a, b));
    a = _mm512_max_epi32(a, _mm512_shuffle_i32x4(a, a, 0x4e));
    return _mm512_castsi512_si128(_mm512_max_epi32(a, _mm512_shuffle_i32x4(a, a, 0xb1)));
}

_Static_assert(
    offsetof(struct matmul_block, minus_half) == offsetof(struct matmul_block, d) + 12, "four in a row");

/* Stores the four fields that follow each block's bytes: d, d_sum, minus_sum and minus_half. */
INLINE void pack_sums(struct matmul_block *const out[MATMUL_PACKED], const __m256i q[MATMUL_PACKED], __m128 d)
{
    __m256i s[MATMUL_PACKED];
#pragma GCC unroll 4
    for (size_t i = 0; i < MATMUL_PACKED; i++)
        s[i] = _mm256_dpbusd_epi32(_mm256_setzero_si256(), _mm256_set1_epi8(1), q[i]);
    __m256i halves = _mm256_hadd_epi32(_mm256_hadd_epi32(s[0], s[1]), _mm256_hadd_epi32(s[2], s[3]));
    __m128i first = _mm256_castsi256_si128(halves), zero = _mm_setzero_si128();
    __m128i sum = _mm_add_epi32(first, _mm256_extracti128_si256(halves, 1));
    __m128 rows[MATMUL_PACKED] = {d, _mm_mul_ps(d, _mm_cvtepi32_ps(sum)),
        _mm_castsi128_ps(_mm_sub_epi32(zero, sum)), _mm_castsi128_ps(_mm_sub_epi32(zero, first))};
    _MM_TRANSPOSE4_PS(rows[0], rows[1], rows[2], rows[3]);
#pragma GCC unroll 4
    for (size_t i = 0; i < MATMUL_PACKED; i++)
        _mm_storeu_ps(&out[i]->d, rows[i]);
}

/* Packs n blocks, 1 to 4. When n is below 4, the first block is packed again in place of the missing ones. */
INLINE void pack_some(struct matmul_block *out, size_t step, const float *x, size_t n)
{
    const __m512i size = _mm512_set1_epi32(0x7fffffff);
    struct matmul_block *to[MATMUL_PACKED];
    __m512 low[MATMUL_PACKED], high[MATMUL_PACKED];
    __m512i most[MATMUL_PACKED];
    __m256i q[MATMUL_PACKED];
#pragma GCC unroll 4
    for (size_t i = 0; i < MATMUL_PACKED; i++) {
        size_t block = i < n ? i : 0;
        to[i] = out + block * step;
        low[i] = _mm512_loadu_ps(x + block * MATMUL_BLOCK);
        high[i] = _mm512_loadu_ps(x + block * MATMUL_BLOCK + 16);
        most[i] = _mm512_max_epi32(_mm512_and_si512(_mm512_castps_si512(low[i]), size),
            _mm512_and_si512(_mm512_castps_si512(high[i]), size));
    }
    __m128i bits = largest(most);
    const __m128i least = _mm_castps_si128(_mm_set1_ps(0x1p-119f)), finite = _mm_set1_epi32(0x7f7fffff);
    if (_mm_movemask_epi8(_mm_or_si128(_mm_cmplt_epi32(bits, least), _mm_cmpgt_epi32(bits, finite)))) {
        matmul_plain.pack(out, step, x, n);
        return;
    }
    const __m128 range = _mm_set1_ps(127.0f), amax = _mm_castsi128_ps(bits);
    _Alignas(16) float inverse[MATMUL_PACKED];
    _mm_store_ps(inverse, _mm_div_ps(range, amax));
#pragma GCC unroll 4
    for (size_t i = 0; i < MATMUL_PACKED; i++) {
        __m512 by = _mm512_set1_ps(inverse[i]);
        __m128i a = _mm512_cvtepi32_epi8(_mm512_cvtps_epi32(_mm512_mul_ps(low[i], by)));
        __m128i b = _mm512_cvtepi32_epi8(_mm512_cvtps_epi32(_mm512_mul_ps(high[i], by)));
        q[i] = _mm256_set_m128i(b, a);
        _mm256_storeu_si256((__m256i *)to[i]->q, q[i]);
    }
    pack_sums(to, q, _mm_div_ps(amax, range));
}

static void pack(struct matmul_block *out, size_t step, const float *x, size_t blocks)
{
    size_t b = 0;
    for (; b + MATMUL_PACKED <= blocks; b += MATMUL_PACKED)
        pack_some(out + b * step, step, x + b * MATMUL_BLOCK, MATMUL_PACKED);
    if (b < blocks)
        pack_some(out + b * step, step, x + b * MATMUL_BLOCK, blocks - b);
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
INT8_TILE(q5_0, small_tile, SMALL(MATMUL_Q5_0, block_q5_0))
INT8_TILE(q5_1, small_tile, SMALL(MATMUL_Q5_1, block_q5_1))
INT8_TILE(iq4_nl, small_tile, SMALL(MATMUL_IQ4_NL, block_iq4_nl))
INT8_TILE(mxfp4, small_tile, SMALL(MATMUL_MXFP4, block_mxfp4))

#define FLOAT_TILE(name, type)                                                                               \
    static void tile_##name(const uint8_t *weights, size_t row_bytes, size_t steps, const float *x,          \
        size_t tokens, float sums[][MATMUL_ROWS])                                                            \
    {                                                                                                        \
        float_tile(type, weights, row_bytes, steps, x, tokens, sums);                                        \
    }
FLOAT_TILE(f32, MATMUL_F32)
FLOAT_TILE(f16, MATMUL_F16)
FLOAT_TILE(bf16, MATMUL_BF16)

const struct matmul_kernels matmul_avx512 = {
    .pack = pack,
    .int8 = {tile_q4_0, tile_q4_1, tile_q8_0, matmul_avx512_q4_k, matmul_avx512_q5_k, matmul_avx512_q6_k,
        tile_q5_0, tile_q5_1, matmul_avx512_q2_k, matmul_avx512_q3_k, tile_iq4_nl, matmul_avx512_iq4_xs,
        tile_mxfp4, matmul_avx512_tq1_0, matmul_avx512_tq2_0, matmul_avx512_q1_0, matmul_avx512_q2_0,
        matmul_avx512_nvfp4, matmul_avx512_iq2_xxs, matmul_avx512_iq2_xs, matmul_avx512_iq2_s,
        matmul_avx512_iq3_xxs, matmul_avx512_iq3_s, matmul_avx512_iq1_s, matmul_avx512_iq1_m},
    .floats = {tile_f32, tile_f16, tile_bf16},
};
