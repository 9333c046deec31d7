/* matmul_avx512.c - products with AVX-512 and VNNI: sixteen rows in sixteen lanes, two such groups at a time.
 *
 * Every kernel here is the same two steps. Sixteen bytes of each of sixteen rows are loaded and transposed, so
 * that lane r of a vector holds four successive bytes of row r; shifts and masks make of them eight vectors of
 * unsigned bytes that cover 32 elements of k. Then each token broadcasts its bytes, four at a time, to vpdpbusd,
 * for both groups of rows, and one float step adds the block to the token's sums.
 *
 * For one token the weights stream from memory, and 32 rows are too many streams for a prefetcher: the next tile
 * is asked for in the order of the file, as far as this one has come in its own. Nor is anything gained by
 * transposing what is used once: the weights stay rows, four to a vector, and it is the products that are
 * transposed, while they are added up. Integers do not mind; the float step is the same.
 */
#include "matmul_private.h"

#include <immintrin.h>
#include <string.h>

#define INLINE static inline __attribute__((always_inline))
#define GROUPS 2 /* of sixteen rows: MATMUL_ROWS */
#define PREFETCH_TOKENS 16

/* 32 elements of k of one group of rows. */
struct panel {
    __m512i w[8];
    __m512 scale[2]; /* of each half, where halves differ; otherwise the first is everybody's */
    __m512 min;
};

/* Sixteen rows at one place of each. Of the compiler's own accord their addresses are sixteen sums worked out
 * before the loop and kept on the stack; a row in four and the distances fit registers and the addresses of
 * loads. The empty assembly is what makes it forget where they come from. */
struct rows {
    const uint8_t *quad[4];
    size_t one, three;
};

INLINE struct rows rows_at(const uint8_t *at, size_t row_bytes)
{
    struct rows r = {.one = row_bytes, .three = 3 * row_bytes};
    __asm__("" : "+r"(at), "+r"(r.three));
#pragma GCC unroll 4
    for (size_t i = 0; i < 4; i++) {
        r.quad[i] = at + 4 * i * row_bytes;
        __asm__("" : "+r"(r.quad[i]));
    }
    return r;
}

INLINE const uint8_t *row_at(const struct rows *r, size_t row, size_t byte)
{
    return r->quad[row / 4] + (row % 4 == 3 ? r->three : row % 4 * r->one) + byte;
}

/* Loads 16 bytes of each of 16 rows; v[j] has those of the rows j, 4 + j, 8 + j and 12 + j. */
INLINE void load_rows(__m512i v[4], const struct rows *r, size_t byte)
{
#pragma GCC unroll 4
    for (size_t i = 0; i < 4; i++) {
        __m256i low = _mm256_castsi128_si256(_mm_loadu_si128((const __m128i *)row_at(r, i, byte)));
        __m256i high = _mm256_castsi128_si256(_mm_loadu_si128((const __m128i *)row_at(r, 8 + i, byte)));
        low = _mm256_inserti128_si256(low, _mm_loadu_si128((const __m128i *)row_at(r, 4 + i, byte)), 1);
        high = _mm256_inserti128_si256(high, _mm_loadu_si128((const __m128i *)row_at(r, 12 + i, byte)), 1);
        v[i] = _mm512_inserti64x4(_mm512_castsi256_si512(low), high, 1);
    }
}

/* Of such rows: v[j] gets bytes 4j to 4j + 3 of row r in lane r. */
INLINE void transpose(__m512i v[4])
{
    __m512i a = _mm512_unpacklo_epi32(v[0], v[1]), b = _mm512_unpackhi_epi32(v[0], v[1]);
    __m512i c = _mm512_unpacklo_epi32(v[2], v[3]), d = _mm512_unpackhi_epi32(v[2], v[3]);
    v[0] = _mm512_unpacklo_epi64(a, c);
    v[1] = _mm512_unpackhi_epi64(a, c);
    v[2] = _mm512_unpacklo_epi64(b, d);
    v[3] = _mm512_unpackhi_epi64(b, d);
}

INLINE void load_lanes(__m512i v[4], const struct rows *r, size_t byte)
{
    load_rows(v, r, byte);
    transpose(v);
}

INLINE int word_at(const uint8_t *at)
{
    int word;
    memcpy(&word, at, sizeof(word));
    return word;
}

/* Four bytes of each of 16 rows. Quicker than a gather, or than lanes of which most is not needed. */
INLINE __m512i load_words(const struct rows *r, size_t byte)
{
    __m256i low = _mm256_setzero_si256(), high = low;
#pragma GCC unroll 8
    for (size_t i = 0; i < 8; i++) {
        low = _mm256_mask_set1_epi32(low, (__mmask8)(1 << i), word_at(row_at(r, i, byte)));
        high = _mm256_mask_set1_epi32(high, (__mmask8)(1 << i), word_at(row_at(r, 8 + i, byte)));
    }
    return _mm512_inserti64x4(_mm512_castsi256_si512(low), high, 1);
}

/* Each lane is two float16: out[0] gets the low ones, out[1] the high ones. */
INLINE void both_halves(__m512 out[2], __m512i v)
{
    const __m512i order = _mm512_set_epi16(31, 29, 27, 25, 23, 21, 19, 17, 15, 13, 11, 9, 7, 5, 3, 1, 30, 28,
        26, 24, 22, 20, 18, 16, 14, 12, 10, 8, 6, 4, 2, 0);
    __m512i sorted = _mm512_permutexvar_epi16(order, v);
    out[0] = _mm512_cvtph_ps(_mm512_castsi512_si256(sorted));
    out[1] = _mm512_cvtph_ps(_mm512_extracti64x4_epi64(sorted, 1));
}

INLINE __m512i broadcast(const void *at)
{
    return _mm512_set1_epi32(word_at(at));
}

/* Byte `i` of each lane. */
INLINE __m512i byte_of(__m512i v, unsigned i)
{
    return _mm512_and_si512(_mm512_srl_epi32(v, _mm_cvtsi32_si128((int)(8 * i))), _mm512_set1_epi32(255));
}

INLINE __m512i bits_of(__m512i v, unsigned from, int mask)
{
    return _mm512_and_si512(_mm512_srl_epi32(v, _mm_cvtsi32_si128((int)from)), _mm512_set1_epi8((char)mask));
}

/* Asks for the part of the next tile that is as long, and as far from its beginning, as the bytes from `from`
 * to `to` of all rows of this one. With many tokens the weights are not what is waited for. */
INLINE void prefetch(const uint8_t *weights, size_t row_bytes, size_t from, size_t to, size_t tokens)
{
    const char *next = (const char *)weights + MATMUL_ROWS * row_bytes;
    if (tokens > PREFETCH_TOKENS)
        return;
    for (size_t i = MATMUL_ROWS * from; i < MATMUL_ROWS * to; i += 64)
        _mm_prefetch(next + i, _MM_HINT_T1);
}

/* ---- one block of 32, all tokens ---- */

/* `offset`, a power of two given by its exponent, is what the unsigned weights are too large by; 0 for none. */
INLINE void add_block(const struct panel p[GROUPS], const struct matmul_block *a, size_t tokens,
    float sums[][MATMUL_ROWS], unsigned offset, bool has_min)
{
    for (size_t t = 0; t < tokens; t++) {
        __m512i s = offset ? _mm512_slli_epi32(broadcast(&a[t].minus_sum), offset) : _mm512_setzero_si512();
        __m512i dot[GROUPS] = {s, s};
#pragma GCC unroll 8
        for (size_t i = 0; i < 8; i++) {
            __m512i q = broadcast(a[t].q + 4 * i);
            dot[0] = _mm512_dpbusd_epi32(dot[0], p[0].w[i], q);
            dot[1] = _mm512_dpbusd_epi32(dot[1], p[1].w[i], q);
        }
        __m512 d = _mm512_set1_ps(a[t].d), d_sum = _mm512_set1_ps(a[t].d_sum);
#pragma GCC unroll 2
        for (size_t g = 0; g < GROUPS; g++) {
            __m512 y = _mm512_load_ps(sums[t] + 16 * g);
            y = _mm512_fmadd_ps(_mm512_cvtepi32_ps(dot[g]), _mm512_mul_ps(p[g].scale[0], d), y);
            if (has_min)
                y = _mm512_fmadd_ps(p[g].min, d_sum, y);
            _mm512_store_ps(sums[t] + 16 * g, y);
        }
    }
}

/* The same for one token and one group, of which p->w are rows: vector j of the first four has the first 16 elements
 * of the rows j, 4 + j, 8 + j and 12 + j, and of the other four the last. Returns y and the block's sums. */
INLINE __m512 add_rows(
    const struct panel *p, const struct matmul_block *a, __m512 y, unsigned offset, bool has_min)
{
    const __m512i first = _mm512_broadcast_i32x4(_mm_loadu_si128((const __m128i *)a->q));
    const __m512i last = _mm512_broadcast_i32x4(_mm_loadu_si128((const __m128i *)(a->q + 16)));
    __m512i v[4];
#pragma GCC unroll 4
    for (size_t i = 0; i < 4; i++)
        v[i] = _mm512_dpbusd_epi32(
            _mm512_dpbusd_epi32(_mm512_setzero_si512(), p->w[i], first), p->w[4 + i], last);
    __m512i low = _mm512_add_epi32(_mm512_unpacklo_epi32(v[0], v[1]), _mm512_unpackhi_epi32(v[0], v[1]));
    __m512i high = _mm512_add_epi32(_mm512_unpacklo_epi32(v[2], v[3]), _mm512_unpackhi_epi32(v[2], v[3]));
    __m512i dot = _mm512_add_epi32(_mm512_unpacklo_epi64(low, high), _mm512_unpackhi_epi64(low, high));
    if (offset)
        dot = _mm512_add_epi32(dot, _mm512_slli_epi32(broadcast(&a->minus_sum), offset));
    y = _mm512_fmadd_ps(_mm512_cvtepi32_ps(dot), _mm512_mul_ps(p->scale[0], _mm512_set1_ps(a->d)), y);
    return has_min ? _mm512_fmadd_ps(p->min, _mm512_set1_ps(a->d_sum), y) : y;
}

/* The same as add_block with a scale for each half, and weights that are too large by 32. */
INLINE void add_halves(
    const struct panel p[GROUPS], const struct matmul_block *a, size_t tokens, float sums[][MATMUL_ROWS])
{
    for (size_t t = 0; t < tokens; t++) {
        __m512i low = _mm512_slli_epi32(broadcast(&a[t].minus_half), 5);
        __m512i high = _mm512_sub_epi32(_mm512_slli_epi32(broadcast(&a[t].minus_sum), 5), low);
        __m512i dot[GROUPS][2] = {{low, high}, {low, high}};
#pragma GCC unroll 8
        for (size_t i = 0; i < 8; i++) {
            __m512i q = broadcast(a[t].q + 4 * i);
            dot[0][i / 4] = _mm512_dpbusd_epi32(dot[0][i / 4], p[0].w[i], q);
            dot[1][i / 4] = _mm512_dpbusd_epi32(dot[1][i / 4], p[1].w[i], q);
        }
        __m512 d = _mm512_set1_ps(a[t].d);
#pragma GCC unroll 2
        for (size_t g = 0; g < GROUPS; g++) {
            __m512 joined = _mm512_mul_ps(_mm512_cvtepi32_ps(dot[g][0]), p[g].scale[0]);
            joined = _mm512_fmadd_ps(_mm512_cvtepi32_ps(dot[g][1]), p[g].scale[1], joined);
            __m512 y = _mm512_load_ps(sums[t] + 16 * g);
            _mm512_store_ps(sums[t] + 16 * g, _mm512_fmadd_ps(joined, d, y));
        }
    }
}

/* ---- blocks of 32 ---- */

INLINE unsigned offset_of(enum matmul_int8 type)
{
    return type == MATMUL_Q4_0 ? 3 : type == MATMUL_Q8_0 ? 7 : 0;
}

/* The rows of blocks that begin with d and, in q4_1, m: four vectors of bytes, in q8_0 eight. */
INLINE void load_small(struct panel *p, const uint8_t *at, size_t row_bytes, enum matmul_int8 type)
{
    const size_t head = type == MATMUL_Q4_1 ? 4 : 2;
    const struct rows r = rows_at(at, row_bytes);
    __m512 halves[2];
    both_halves(halves, load_words(&r, 0));
    p->scale[0] = halves[0];
    p->min = halves[1];
    load_rows(p->w, &r, head);
    if (type == MATMUL_Q8_0)
        load_rows(p->w + 4, &r, head + 16);
}

/* Makes eight vectors of unsigned weights of those bytes, be they rows or transposed. */
INLINE void unpack_small(struct panel *p, enum matmul_int8 type)
{
#pragma GCC unroll 4
    for (size_t j = 0; j < 4; j++)
        if (type == MATMUL_Q8_0) {
            p->w[j] = _mm512_xor_si512(p->w[j], _mm512_set1_epi8(-128));
            p->w[j + 4] = _mm512_xor_si512(p->w[j + 4], _mm512_set1_epi8(-128));
        } else {
            p->w[j + 4] = bits_of(p->w[j], 4, 15);
            p->w[j] = bits_of(p->w[j], 0, 15);
        }
}

/* One token. A block is loaded before the one before it is used: left to itself the processor does not look as
 * far ahead. */
INLINE void small_rows(enum matmul_int8 type, size_t bytes, const uint8_t *weights, size_t row_bytes,
    size_t blocks, const struct matmul_block *a, float *sums)
{
    struct panel next[GROUPS] = {0};
    __m512 y[GROUPS] = {_mm512_load_ps(sums), _mm512_load_ps(sums + 16)};
    for (size_t b = 0; b <= blocks; b++) {
        const uint8_t *at = weights + (b < blocks ? b : 0) * bytes;
        if (b < blocks)
            prefetch(weights, row_bytes, b * bytes, (b + 1) * bytes, 1);
#pragma GCC unroll 2
        for (size_t g = 0; g < GROUPS; g++) {
            struct panel p = next[g];
            load_small(&next[g], at + 16 * g * row_bytes, row_bytes, type);
            if (b == 0)
                continue;
            unpack_small(&p, type);
            y[g] = add_rows(&p, a + b - 1, y[g], offset_of(type), type == MATMUL_Q4_1);
        }
    }
    _mm512_store_ps(sums, y[0]);
    _mm512_store_ps(sums + 16, y[1]);
}

INLINE void small_tile(enum matmul_int8 type, size_t bytes, const uint8_t *weights, size_t row_bytes,
    size_t blocks, const struct matmul_block *a, size_t tokens, float sums[][MATMUL_ROWS])
{
    if (tokens == 1) {
        small_rows(type, bytes, weights, row_bytes, blocks, a, sums[0]);
        return;
    }
    for (size_t b = 0; b < blocks; b++) {
        struct panel p[GROUPS];
        prefetch(weights, row_bytes, b * bytes, (b + 1) * bytes, tokens);
#pragma GCC unroll 2
        for (size_t g = 0; g < GROUPS; g++) {
            load_small(&p[g], weights + 16 * g * row_bytes + b * bytes, row_bytes, type);
            transpose(p[g].w);
            if (type == MATMUL_Q8_0)
                transpose(p[g].w + 4);
            unpack_small(&p[g], type);
        }
        add_block(p, a + b * tokens, tokens, sums, offset_of(type), type == MATMUL_Q4_1);
    }
}

/* ---- blocks of 256 ---- */

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
        prefetch(weights, row_bytes, b * bytes / 8, (b + 2) * bytes / 8, 1);
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
                struct panel p = {.scale = {scale[g][b % 8 + i]}, .min = min[g][b % 8 + i]};
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
        prefetch(weights, row_bytes, b * bytes / 8, (b + 1) * bytes / 8, tokens);
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
            p[g].min = min[g][part];
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

static void tile_q6_k(const uint8_t *weights, size_t row_bytes, size_t blocks, const struct matmul_block *a,
    size_t tokens, float sums[][MATMUL_ROWS])
{
    const size_t bytes = sizeof(struct block_q6_k);
    __m512 scale[GROUPS][16];
    __m512i low[GROUPS][16], high[GROUPS][8];
    for (size_t b = 0; b < blocks; b++) {
        const uint8_t *at = weights + b / 8 * bytes;
        const unsigned part = b % 8;
        struct panel p[GROUPS];
        prefetch(weights, row_bytes, b * bytes / 8, (b + 1) * bytes / 8, tokens);
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
        add_halves(p, a + b * tokens, tokens, sums);
    }
}

/* ---- weights in floats ---- */

/* Loads 64 bytes of each of 16 rows; out[j] has bytes 4j to 4j + 3 of row r in lane r. Rows of floats tend to
 * lie a power of two apart, where they compete for few places in L1: so a line is loaded once and whole. Asks for
 * 16 lines at `next`, of the next tile, one at a time: of many at once some would be dropped. */
INLINE void load_lines(__m512i out[16], const uint8_t *at, size_t row_bytes, const uint8_t *next)
{
    __m512i v[16], quads[16];
#pragma GCC unroll 16
    for (size_t r = 0; r < 16; r++) {
        v[r] = _mm512_loadu_si512(at + r * row_bytes);
        _mm_prefetch((const char *)next + 64 * r, _MM_HINT_T1);
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

/* 16 elements of 16 rows, from 16 words or 8. */
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

/* Adds 16 elements to the sums of n tokens, n constant: as many chains as hide an addition's latency. */
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
                        next + 1024 * (lines * g + half));
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

static void pack(struct matmul_block *out, size_t step, const float *x, size_t blocks)
{
    for (; blocks-- > 0; out += step, x += MATMUL_BLOCK) {
        const __m512i size = _mm512_set1_epi32(0x7fffffff);
        __m512 low = _mm512_loadu_ps(x), high = _mm512_loadu_ps(x + 16);
        int32_t bits =
            _mm512_reduce_max_epi32(_mm512_max_epi32(_mm512_and_si512(_mm512_castps_si512(low), size),
                _mm512_and_si512(_mm512_castps_si512(high), size)));
        float amax;
        memcpy(&amax, &bits, sizeof(amax));
        if (bits >= 0x7f800000 || amax < 0x1p-119f) {
            matmul_plain.pack(out, step, x, 1);
            continue;
        }
        __m512 inverse = _mm512_set1_ps(127.0f / amax);
        __m512i a = _mm512_cvtps_epi32(_mm512_mul_ps(low, inverse));
        __m512i b = _mm512_cvtps_epi32(_mm512_mul_ps(high, inverse));
        int32_t half = _mm512_reduce_add_epi32(a), sum = _mm512_reduce_add_epi32(_mm512_add_epi32(a, b));
        _mm_storeu_si128((__m128i *)out->q, _mm512_cvtepi32_epi8(a));
        _mm_storeu_si128((__m128i *)(out->q + 16), _mm512_cvtepi32_epi8(b));
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

const struct matmul_kernels matmul_avx512 = {
    .pack = pack,
    .int8 = {tile_q4_0, tile_q4_1, tile_q8_0, tile_q4_k, tile_q5_k, tile_q6_k},
    .floats = {tile_f32, tile_f16, tile_bf16},
};
