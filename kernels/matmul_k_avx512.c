/* matmul_k_avx512.c - products with AVX-512 and VNNI: blocks of 256.
 *
 * What a block says once, of its scales and its upper bits, is unpacked at its first 32 elements and kept on the
 * stack for the others.
 */
#include "matmul_avx512_private.h"

/* The scales and minima of a q4_k's or q5_k's eight groups of 32. */
static void unpack_k_scales(__m512 scale[8], __m512 min[8], const struct rows *r)
{
    __m512i h[4];
    __m512 d[2];
    load_lanes(h, r, 0);
    both_halves(d, h[0]);
    const __m512i scales[2] = {
        bits_of(h[1], 0, 63), _mm512_or_si512(bits_of(h[3], 0, 15), bits_of(h[1], 2, 48))};
    const __m512i mins[2] = {
        bits_of(h[2], 0, 63), _mm512_or_si512(bits_of(h[3], 4, 15), bits_of(h[2], 2, 48))};
#pragma GCC unroll 8
    for (unsigned i = 0; i < 8; i++) {
        scale[i] = _mm512_mul_ps(d[0], _mm512_cvtepi32_ps(byte_of(scales[i / 4], i % 4)));
        __m512 product = _mm512_mul_ps(d[1], _mm512_cvtepi32_ps(byte_of(mins[i / 4], i % 4)));
        min[i] = _mm512_xor_ps(product, _mm512_set1_ps(-0.0f));
    }
}

/* q4_k, one token. */
static void q4_k_rows(const uint8_t *weights, size_t row_bytes, size_t blocks, const struct matmul_block *a,
    float sums[MATMUL_ROWS])
{
    const size_t bytes = sizeof(struct block_q4_k);
    __m512 scale[GROUPS][8], min[GROUPS][8];
    for (size_t b = 0; b < blocks; b += 2) { /* two share their bytes: low halves and high ones */
        prefetch(weights, row_bytes, b * bytes / 8, (b + 2) * bytes / 8);
#pragma GCC unroll 2
        for (size_t g = 0; g < GROUPS; g++) {
            const struct rows r = rows_at(weights + 16 * g * row_bytes + b / 8 * bytes, row_bytes);
            const size_t qs = 16 + b % 8 * 16;
            __m512 y = _mm512_load_ps(sums + 16 * g);
            __m512i both[8];
            if (b % 8 == 0)
                unpack_k_scales(scale[g], min[g], &r);
            load_rows(both, &r, qs);
            load_rows(both + 4, &r, qs + 16);
#pragma GCC unroll 2
            for (unsigned i = 0; i < 2; i++) {
                struct panel p = {.scale = {scale[g][b % 8 + i]}, .min = {min[g][b % 8 + i]}};
#pragma GCC unroll 8
                for (size_t j = 0; j < 8; j++)
                    p.w[j] = bits_of(both[j], 4 * i, 15);
                y = add_rows(&p, a + b + i, y, 0, true);
            }
            _mm512_store_ps(sums + 16 * g, y);
        }
    }
}

/* q4_k and, with a fifth bit, q5_k. */
INLINE void k_tile(bool five, const uint8_t *weights, size_t row_bytes, size_t blocks,
    const struct matmul_block *a, size_t tokens, float sums[][MATMUL_ROWS])
{
    const size_t bytes = five ? sizeof(struct block_q5_k) : sizeof(struct block_q4_k);
    __m512 scale[GROUPS][8], min[GROUPS][8];
    __m512i low[GROUPS][8], high[GROUPS][8];
    if (tokens == 1 && !five) {
        q4_k_rows(weights, row_bytes, blocks, a, sums[0]);
        return;
    }
    for (size_t b = 0; b < blocks; b++) {
        const uint8_t *at = weights + b / 8 * bytes;
        const unsigned part = b % 8;
        struct panel p[GROUPS];
        prefetch(weights, row_bytes, b * bytes / 8, (b + 1) * bytes / 8);
        for (size_t g = 0; g < GROUPS; g++, at += 16 * row_bytes) {
            const struct rows r = rows_at(at, row_bytes);
            if (part == 0)
                unpack_k_scales(scale[g], min[g], &r);
            if (part == 0 && five) {
                load_lanes(high[g], &r, 16);
                load_lanes(high[g] + 4, &r, 32);
            }
            if (part % 2 == 0) {
                const size_t qs = (five ? 48 : 16) + part / 2 * 32;
                load_lanes(low[g], &r, qs);
                load_lanes(low[g] + 4, &r, qs + 16);
            }
        }
#pragma GCC unroll 2
        for (size_t g = 0; g < GROUPS; g++) {
            p[g].scale[0] = scale[g][part];
            p[g].min[0] = min[g][part];
#pragma GCC unroll 8
            for (size_t i = 0; i < 8; i++) {
                p[g].w[i] = bits_of(low[g][i], part % 2 * 4, 15);
                if (five)
                    p[g].w[i] =
                        _mm512_or_si512(p[g].w[i], _mm512_slli_epi32(bits_of(high[g][i], part, 1), 4));
            }
        }
        add_block(p, a + b * tokens, tokens, sums, 0, true);
    }
}

#define K_TILE(name, five)                                                                                   \
    void matmul_avx512_##name(const uint8_t *weights, size_t row_bytes, size_t blocks,                       \
        const struct matmul_block *a, size_t tokens, float sums[][MATMUL_ROWS])                              \
    {                                                                                                        \
        k_tile(five, weights, row_bytes, blocks, a, tokens, sums);                                           \
    }
K_TILE(q4_k, false)
K_TILE(q5_k, true)

/* The scales of a q6_k's sixteen groups. */
INLINE void unpack_q6_scales(__m512 scale[16], const struct rows *r)
{
    __m512 d[2]; /* in the last two bytes */
    __m512i s[4];
    both_halves(d, load_words(r, 206));
    load_lanes(s, r, 192);
#pragma GCC unroll 16
    for (unsigned i = 0; i < 16; i++) {
        __m512i byte = _mm512_srai_epi32(_mm512_slli_epi32(s[i / 4], 24 - 8 * (i % 4)), 24);
        scale[i] = _mm512_mul_ps(d[1], _mm512_cvtepi32_ps(byte));
    }
}

void matmul_avx512_q6_k(const uint8_t *weights, size_t row_bytes, size_t blocks, const struct matmul_block *a,
    size_t tokens, float sums[][MATMUL_ROWS])
{
    const size_t bytes = sizeof(struct block_q6_k);
    __m512 scale[GROUPS][16];
    __m512i low[GROUPS][16], high[GROUPS][8];
    for (size_t b = 0; b < blocks; b++) {
        const uint8_t *at = weights + b / 8 * bytes;
        const unsigned part = b % 8;
        struct panel p[GROUPS];
        prefetch(weights, row_bytes, b * bytes / 8, (b + 1) * bytes / 8);
        for (size_t g = 0; g < GROUPS; g++, at += 16 * row_bytes) {
            const struct rows r = rows_at(at, row_bytes);
            if (part == 0)
                unpack_q6_scales(scale[g], &r);
            if (part % 4 != 0)
                continue;
            for (size_t i = 0; i < 4; i++)
                load_lanes(low[g] + 4 * i, &r, part / 4 * 64 + 16 * i);
            for (size_t i = 0; i < 2; i++)
                load_lanes(high[g] + 4 * i, &r, 128 + part / 4 * 32 + 16 * i);
        }
#pragma GCC unroll 2
        for (size_t g = 0; g < GROUPS; g++) {
            p[g].scale[0] = scale[g][2 * part];
            p[g].scale[1] = scale[g][2 * part + 1];
#pragma GCC unroll 8
            for (size_t i = 0; i < 8; i++)
                p[g].w[i] = _mm512_or_si512(bits_of(low[g][part % 2 * 8 + i], part % 4 / 2 * 4, 15),
                    _mm512_slli_epi32(bits_of(high[g][i], part % 4 * 2, 3), 4));
        }
        add_halves(p, a + b * tokens, tokens, sums, 5, false);
    }
}

/* ---- two bits and three ---- */

/* The scales and minima of a q2_k's sixteen groups. */
INLINE void unpack_q2_scales(__m512 scale[16], __m512 min[16], const struct rows *r)
{
    __m512 d[2];
    __m512i s[4];
    both_halves(d, load_words(r, 80));
    load_lanes(s, r, 0);
#pragma GCC unroll 16
    for (unsigned i = 0; i < 16; i++) {
        const __m512i byte = byte_of(s[i / 4], i % 4);
        scale[i] = _mm512_mul_ps(d[0], _mm512_cvtepi32_ps(_mm512_and_si512(byte, _mm512_set1_epi32(15))));
        __m512 product = _mm512_mul_ps(d[1], _mm512_cvtepi32_ps(_mm512_srli_epi32(byte, 4)));
        min[i] = _mm512_xor_ps(product, _mm512_set1_ps(-0.0f));
    }
}

/* The scales of a q3_k's sixteen groups: twelve bytes, with d behind them and two others before. */
INLINE void unpack_q3_scales(__m512 scale[16], const struct rows *r)
{
    __m512 d[2];
    __m512i s[4];
    load_lanes(s, r, 94);
    both_halves(d, s[3]);
#pragma GCC unroll 3
    for (unsigned i = 0; i < 3; i++)
        s[i] = _mm512_or_si512(_mm512_srli_epi32(s[i], 16), _mm512_slli_epi32(s[i + 1], 16));
#pragma GCC unroll 16
    for (unsigned i = 0; i < 16; i++) {
        const __m512i six = _mm512_or_si512(
            bits_of(s[i / 4 % 2], i / 8 * 4, 15), _mm512_slli_epi32(bits_of(s[2], i / 4 * 2, 3), 4));
        const __m512i less = _mm512_sub_epi32(byte_of(six, i % 4), _mm512_set1_epi32(32));
        scale[i] = _mm512_mul_ps(d[1], _mm512_cvtepi32_ps(less));
    }
}

/* q2_k and, with a third bit but without minima, q3_k. */
INLINE void two_bits_tile(bool three, const uint8_t *weights, size_t row_bytes, size_t blocks,
    const struct matmul_block *a, size_t tokens, float sums[][MATMUL_ROWS])
{
    const size_t bytes = three ? sizeof(struct block_q3_k) : sizeof(struct block_q2_k);
    __m512 scale[GROUPS][16], min[GROUPS][16];
    __m512i low[GROUPS][8], high[GROUPS][8];
    for (size_t b = 0; b < blocks; b++) {
        const uint8_t *at = weights + b / 8 * bytes;
        const unsigned part = b % 8;
        struct panel p[GROUPS];
        prefetch(weights, row_bytes, b * bytes / 8, (b + 1) * bytes / 8);
        for (size_t g = 0; g < GROUPS; g++, at += 16 * row_bytes) {
            const struct rows r = rows_at(at, row_bytes);
            if (part == 0 && three) {
                unpack_q3_scales(scale[g], &r);
                load_lanes(high[g], &r, 0);
                load_lanes(high[g] + 4, &r, 16);
            } else if (part == 0) {
                unpack_q2_scales(scale[g], min[g], &r);
            }
            if (part % 4 == 0) {
                const size_t qs = (three ? 32 : 16) + part / 4 * 32;
                load_lanes(low[g], &r, qs);
                load_lanes(low[g] + 4, &r, qs + 16);
            }
        }
#pragma GCC unroll 2
        for (size_t g = 0; g < GROUPS; g++) {
#pragma GCC unroll 2
            for (size_t i = 0; i < 2; i++) {
                p[g].scale[i] = scale[g][2 * part + i];
                if (!three)
                    p[g].min[i] = min[g][2 * part + i];
            }
#pragma GCC unroll 8
            for (size_t i = 0; i < 8; i++) {
                p[g].w[i] = bits_of(low[g][i], part % 4 * 2, 3);
                if (three)
                    p[g].w[i] =
                        _mm512_or_si512(p[g].w[i], _mm512_slli_epi32(bits_of(high[g][i], part, 1), 2));
            }
        }
        add_halves(p, a + b * tokens, tokens, sums, three ? 2 : 0, !three);
    }
}

/* ---- levels ---- */

/* The scales of an iq4_xs's eight groups. */
INLINE void unpack_xs_scales(__m512 scale[8], const struct rows *r)
{
    __m512 d[2];
    const __m512i words = load_words(r, 0), low = load_words(r, 4);
    both_halves(d, words);
#pragma GCC unroll 8
    for (unsigned i = 0; i < 8; i++) {
        const __m512i four = _mm512_and_si512(_mm512_srli_epi32(low, 4 * i), _mm512_set1_epi32(15));
        const __m512i two = _mm512_and_si512(_mm512_srli_epi32(words, 16 + 2 * i), _mm512_set1_epi32(3));
        const __m512i six = _mm512_or_si512(four, _mm512_slli_epi32(two, 4));
        scale[i] = _mm512_mul_ps(d[0], _mm512_cvtepi32_ps(_mm512_sub_epi32(six, _mm512_set1_epi32(32))));
    }
}

/* Makes weights, too large by 128, of the 16 bytes of each row in w[0] to w[3], be they rows or transposed. */
INLINE void unpack_xs(__m512i w[8])
{
    const __m512i levels = levels_of(quant_levels_iq4, 7);
#pragma GCC unroll 4
    for (size_t i = 0; i < 4; i++) {
        w[i + 4] = _mm512_shuffle_epi8(levels, bits_of(w[i], 4, 15));
        w[i] = _mm512_shuffle_epi8(levels, bits_of(w[i], 0, 15));
    }
}

void matmul_avx512_iq4_xs(const uint8_t *weights, size_t row_bytes, size_t blocks,
    const struct matmul_block *a, size_t tokens, float sums[][MATMUL_ROWS])
{
    const size_t bytes = sizeof(struct block_iq4_xs);
    __m512 scale[GROUPS][8];
    for (size_t b = 0; b < blocks; b++) {
        const uint8_t *at = weights + b / 8 * bytes;
        const unsigned part = b % 8;
        struct panel p[GROUPS];
        prefetch(weights, row_bytes, b * bytes / 8, (b + 1) * bytes / 8);
#pragma GCC unroll 2
        for (size_t g = 0; g < GROUPS; g++, at += 16 * row_bytes) {
            const struct rows r = rows_at(at, row_bytes);
            if (part == 0)
                unpack_xs_scales(scale[g], &r);
            p[g].scale[0] = scale[g][part];
            load_rows(p[g].w, &r, 8 + 16 * part);
            if (tokens > 1)
                transpose(p[g].w);
            unpack_xs(p[g].w);
            if (tokens == 1) {
                __m512 y = _mm512_load_ps(sums[0] + 16 * g);
                _mm512_store_ps(sums[0] + 16 * g, add_rows(&p[g], a + b, y, 7, false));
            }
        }
        if (tokens > 1)
            add_block(p, a + b * tokens, tokens, sums, 7, false);
    }
}

#define TWO_BITS_TILE(name, three)                                                                           \
    void matmul_avx512_##name(const uint8_t *weights, size_t row_bytes, size_t blocks,                       \
        const struct matmul_block *a, size_t tokens, float sums[][MATMUL_ROWS])                              \
    {                                                                                                        \
        two_bits_tile(three, weights, row_bytes, blocks, a, tokens, sums);                                   \
    }
TWO_BITS_TILE(q2_k, false)
TWO_BITS_TILE(q3_k, true)
