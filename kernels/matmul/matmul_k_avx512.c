/* matmul_k_avx512.c - products with AVX-512 and VNNI: blocks of 256.
 *
 * A block has eight parts of 32 elements, which are unpacked one after the other. Scales, and bytes that hold bits of
 * several parts, are read at the first of these parts and kept on the stack.
 */
#include "matmul_avx512_impl.h"

/* What is kept of a block of one group of rows, for several parts. */
struct zmm_kept {
    __m512 scale[16], min[16]; /* of each 32 or 16 elements */
    __m512i low[16], high[8]; /* bytes that hold the lower and the upper bits of several parts */
};

/* Hides from the compiler which object `k` is. Else it would split it into variables and copy them on the stack. */
INLINE struct zmm_kept *kept_at(struct zmm_kept *k)
{
    __asm__("" : "+r"(k) : : "memory");
    return k;
}

INLINE void load_32(__m512i out[8], const struct zmm_rows *r, size_t byte, bool few)
{
    load_weights(out, r, byte, few);
    load_weights(out + 4, r, byte + 16, few);
}

/* The same for types with halves. */
INLINE void load_32_halves(__m512i out[8], const struct zmm_rows *r, size_t byte, bool few)
{
    if (few)
        load_pairs(out, r, byte);
    else
        load_32(out, r, byte, false);
}

/* d times each of the four unsigned bytes of a lane. */
INLINE void times_bytes(__m512 out[4], __m512 d, __m512i bytes)
{
#pragma GCC unroll 4
    for (unsigned i = 0; i < 4; i++)
        out[i] = _mm512_mul_ps(d, _mm512_cvtepi32_ps(byte_of(bytes, i)));
}

INLINE __m512 negative(__m512 v)
{
    return _mm512_xor_ps(v, _mm512_set1_ps(-0.0f));
}

/* Each byte of the result has `low_bits` bits of `low`, from bit `low_from` up, and above them `high_bits` bits of
 * `high`, from bit `high_from` up. The upper bits are rotated into place within 32 bits; the mask then drops what
 * comes from another byte. */
INLINE void join(struct zmm_panel *p, const __m512i low[8], unsigned low_from, unsigned low_bits,
    const __m512i high[8], unsigned high_from, unsigned high_bits)
{
    const __m512i turn = _mm512_set1_epi32((int)(high_from - low_bits));
    const __m512i lower_bits = _mm512_set1_epi8((char)((1 << low_bits) - 1));
    const __m512i upper_bits = _mm512_set1_epi8((char)(((1 << high_bits) - 1) << low_bits));
#pragma GCC unroll 8
    for (size_t i = 0; i < 8; i++) {
        __m512i upper = _mm512_and_si512(_mm512_rorv_epi32(high[i], turn), upper_bits);
        __m512i lower = _mm512_srl_epi32(low[i], _mm_cvtsi32_si128((int)low_from));
        p->w[i] = _mm512_or_si512(_mm512_and_si512(lower, lower_bits), upper);
    }
}

/* Sets the scales and, with `has_min`, the minima of the part's halves. */
INLINE void scales_of_halves(struct zmm_panel *p, const struct zmm_kept *k, unsigned part, bool has_min)
{
#pragma GCC unroll 2
    for (size_t i = 0; i < 2; i++) {
        p->scale[i] = k->scale[2 * part + i];
        if (has_min)
            p->min[i] = k->min[2 * part + i];
    }
}

/* ---- a function a type: part `part` of the blocks that begin at the rows' places ---- */

INLINE void unpack_q2_k(
    struct zmm_panel *p, struct zmm_kept *k, const struct zmm_rows *r, unsigned part, bool few)
{
    if (part == 0) {
        __m512 d[2];
        __m512i s[4];
        both_halves(d, load_words(r, 80));
        load_lanes(s, r, 0);
#pragma GCC unroll 4
        for (size_t i = 0; i < 4; i++) {
            times_bytes(k->scale + 4 * i, d[0], bits_of(s[i], 0, 15));
            times_bytes(k->min + 4 * i, negative(d[1]), bits_of(s[i], 4, 15));
        }
    }
    if (part % 4 == 0)
        load_32_halves(k->low, r, 16 + part / 4 * 32, few);
    scales_of_halves(p, k, part, true);
#pragma GCC unroll 8
    for (size_t i = 0; i < 8; i++)
        p->w[i] = bits_of(k->low[i], part % 4 * 2, 3);
}

INLINE void unpack_q3_k(
    struct zmm_panel *p, struct zmm_kept *k, const struct zmm_rows *r, unsigned part, bool few)
{
    if (part == 0) {
        __m512 d[2];
        __m512i s[4]; /* twelve bytes of scales, with d behind them and two others before */
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
            k->scale[i] = _mm512_mul_ps(d[1], _mm512_cvtepi32_ps(less));
        }
        load_32_halves(k->high, r, 0, few);
    }
    if (part % 4 == 0)
        load_32_halves(k->low, r, 32 + part / 4 * 32, few);
    scales_of_halves(p, k, part, false);
    join(p, k->low, part % 4 * 2, 2, k->high, part, 1);
}

/* Of q4_k and q5_k. */
INLINE void unpack_k_scales(struct zmm_kept *k, const struct zmm_rows *r)
{
    __m512i h[4];
    __m512 d[2];
    load_lanes(h, r, 0);
    both_halves(d, h[0]);
    times_bytes(k->scale, d[0], bits_of(h[1], 0, 63));
    times_bytes(k->scale + 4, d[0], _mm512_or_si512(bits_of(h[3], 0, 15), bits_of(h[1], 2, 48)));
    times_bytes(k->min, negative(d[1]), bits_of(h[2], 0, 63));
    times_bytes(k->min + 4, negative(d[1]), _mm512_or_si512(bits_of(h[3], 4, 15), bits_of(h[2], 2, 48)));
}

INLINE void unpack_q4_k(
    struct zmm_panel *p, struct zmm_kept *k, const struct zmm_rows *r, unsigned part, bool few)
{
    if (part == 0)
        unpack_k_scales(k, r);
    if (part % 2 == 0)
        load_32(k->low, r, 16 + part / 2 * 32, few);
    p->scale[0] = k->scale[part];
    p->min[0] = k->min[part];
#pragma GCC unroll 8
    for (size_t i = 0; i < 8; i++)
        p->w[i] = bits_of(k->low[i], part % 2 * 4, 15);
}

INLINE void unpack_q5_k(
    struct zmm_panel *p, struct zmm_kept *k, const struct zmm_rows *r, unsigned part, bool few)
{
    if (part == 0) {
        unpack_k_scales(k, r);
        load_32(k->high, r, 16, few);
    }
    if (part % 2 == 0)
        load_32(k->low, r, 48 + part / 2 * 32, few);
    p->scale[0] = k->scale[part];
    p->min[0] = k->min[part];
    join(p, k->low, part % 2 * 4, 4, k->high, part, 1);
}

INLINE void unpack_q6_k(
    struct zmm_panel *p, struct zmm_kept *k, const struct zmm_rows *r, unsigned part, bool few)
{
    if (part == 0) {
        __m512 d[2]; /* in the last two bytes */
        __m512i s[4];
        both_halves(d, load_words(r, 206));
        load_lanes(s, r, 192);
#pragma GCC unroll 16
        for (unsigned i = 0; i < 16; i++) {
            __m512i byte = _mm512_srai_epi32(_mm512_slli_epi32(s[i / 4], 24 - 8 * (i % 4)), 24);
            k->scale[i] = _mm512_mul_ps(d[1], _mm512_cvtepi32_ps(byte));
        }
    }
    if (part % 4 == 0) {
        load_32_halves(k->low, r, part / 4 * 64, few);
        load_32_halves(k->low + 8, r, part / 4 * 64 + 32, few);
        load_32_halves(k->high, r, 128 + part / 4 * 32, few);
    }
    scales_of_halves(p, k, part, false);
    join(p, k->low + part % 2 * 8, part % 4 / 2 * 4, 4, k->high, part % 4 * 2, 2);
}

INLINE void unpack_iq4_xs(
    struct zmm_panel *p, struct zmm_kept *k, const struct zmm_rows *r, unsigned part, bool few)
{
    const __m512i levels = levels_of(quant_levels_iq4, 7);
    if (part == 0) {
        __m512 d[2];
        const __m512i words = load_words(r, 0), low = load_words(r, 4);
        both_halves(d, words);
#pragma GCC unroll 8
        for (unsigned i = 0; i < 8; i++) {
            const __m512i four = _mm512_and_si512(_mm512_srli_epi32(low, 4 * i), _mm512_set1_epi32(15));
            const __m512i two = _mm512_and_si512(_mm512_srli_epi32(words, 16 + 2 * i), _mm512_set1_epi32(3));
            const __m512i six = _mm512_or_si512(four, _mm512_slli_epi32(two, 4));
            k->scale[i] =
                _mm512_mul_ps(d[0], _mm512_cvtepi32_ps(_mm512_sub_epi32(six, _mm512_set1_epi32(32))));
        }
    }
    load_weights(p->w, r, 8 + 16 * part, few);
    p->scale[0] = k->scale[part];
#pragma GCC unroll 4
    for (size_t i = 0; i < 4; i++) {
        p->w[i + 4] = _mm512_shuffle_epi8(levels, bits_of(p->w[i], 4, 15));
        p->w[i] = _mm512_shuffle_epi8(levels, bits_of(p->w[i], 0, 15));
    }
}

/* ---- tiles ---- */

struct zmm_wide {
    size_t bytes; /* of a block */
    int offset; /* weights are too large by 2^offset, where it is not NO_OFFSET */
    bool has_min, has_halves;
    unsigned
        parts; /* that a turn for few tokens takes: those whose bits share bytes, so that shifts are constants */
};

static const struct zmm_wide wides[MATMUL_INT8] = {
    [MATMUL_Q2_K] = {.bytes = sizeof(struct block_q2_k),
        .offset = NO_OFFSET,
        .has_min = true,
        .has_halves = true,
        .parts = 4},
    [MATMUL_Q3_K] = {.bytes = sizeof(struct block_q3_k), .offset = 2, .has_halves = true, .parts = 4},
    [MATMUL_Q4_K] = {.bytes = sizeof(struct block_q4_k), .offset = NO_OFFSET, .has_min = true, .parts = 2},
    [MATMUL_Q5_K] = {.bytes = sizeof(struct block_q5_k), .offset = NO_OFFSET, .has_min = true, .parts = 2},
    [MATMUL_Q6_K] = {.bytes = sizeof(struct block_q6_k), .offset = 5, .has_halves = true, .parts = 4},
    [MATMUL_IQ4_XS] = {.bytes = sizeof(struct block_iq4_xs), .offset = 7, .parts = 1},
};

/* `type` is known where this is inlined: one case of it is left. */
INLINE void unpack(enum matmul_int8 type, struct zmm_panel *p, struct zmm_kept *k, const struct zmm_rows *r,
    unsigned part, bool few)
{
    if (type == MATMUL_Q2_K)
        unpack_q2_k(p, k, r, part, few);
    else if (type == MATMUL_Q3_K)
        unpack_q3_k(p, k, r, part, few);
    else if (type == MATMUL_Q4_K)
        unpack_q4_k(p, k, r, part, few);
    else if (type == MATMUL_Q5_K)
        unpack_q5_k(p, k, r, part, few);
    else if (type == MATMUL_Q6_K)
        unpack_q6_k(p, k, r, part, few);
    else
        unpack_iq4_xs(p, k, r, part, few);
}

/* Few tokens, one group of rows after the other. */
INLINE void wide_rows(enum matmul_int8 type, const uint8_t *weights, size_t row_bytes, size_t blocks,
    const struct matmul_block *a, size_t tokens, float sums[][MATMUL_ROWS])
{
    const struct zmm_wide w = wides[type];
    const size_t few = w.has_halves ? 1 : FEW_TOKENS;
    const bool to_l1 = prefetches_to_l1(MATMUL_ROWS, row_bytes);
    struct zmm_kept space, *kept = kept_at(&space);
    for (size_t g = 0; g < GROUPS; g++, weights += 16 * row_bytes) {
        __m512 y[FEW_TOKENS];
        load_sums(y, sums, 16 * g, tokens);
        for (size_t b = 0; b < blocks; b += w.parts) {
            const struct zmm_rows r = rows_at(weights + b / 8 * w.bytes, row_bytes);
            prefetch(weights, row_bytes, 16, b * w.bytes / 8, (b + w.parts) * w.bytes / 8, to_l1);
#pragma GCC unroll 4
            for (unsigned i = 0; i < w.parts; i++) {
                const unsigned part =
                    (unsigned)b % 8 / w.parts * w.parts + i; /* so that part % parts is known */
                struct zmm_panel p;
                unpack(type, &p, kept, &r, part, true);
#pragma GCC unroll 2
                for (size_t t = 0; t < few; t++)
                    if (few == 1 || t < tokens)
                        y[t] = (w.has_halves ? add_row_halves : add_rows)(
                            &p, a + (b + i) * tokens + t, y[t], w.offset, w.has_min);
            }
        }
        store_sums(y, sums, 16 * g, tokens);
    }
}

INLINE void wide_lanes(enum matmul_int8 type, const uint8_t *weights, size_t row_bytes, size_t blocks,
    const struct matmul_block *a, size_t tokens, float sums[][MATMUL_ROWS])
{
    const struct zmm_wide w = wides[type];
    const bool to_l1 = prefetches_to_l1(MATMUL_ROWS, row_bytes);
    struct zmm_kept space[GROUPS], *kept = kept_at(space);
    for (size_t b = 0; b < blocks; b++) {
        const uint8_t *at = weights + b / 8 * w.bytes;
        struct zmm_panel p[GROUPS];
        prefetch(weights, row_bytes, MATMUL_ROWS, b * w.bytes / 8, (b + 1) * w.bytes / 8, to_l1);
#pragma GCC unroll 2
        for (size_t g = 0; g < GROUPS; g++) {
            const struct zmm_rows r = rows_at(at + 16 * g * row_bytes, row_bytes);
            unpack(type, &p[g], &kept[g], &r, b % 8, false);
        }
        if (w.has_halves)
            add_halves(p, a + b * tokens, tokens, sums, w.offset, w.has_min);
        else
            add_block(p, a + b * tokens, tokens, sums, w.offset, w.has_min);
    }
}

/* Two functions for each type: in one function the compiler would spill registers in both loops. */
#define WIDE_TILE(name, type)                                                                                \
    static __attribute__((noinline)) void rows_##name(const uint8_t *weights, size_t row_bytes,              \
        size_t blocks, const struct matmul_block *a, size_t tokens, float sums[][MATMUL_ROWS])               \
    {                                                                                                        \
        wide_rows(type, weights, row_bytes, blocks, a, tokens, sums);                                        \
    }                                                                                                        \
    void matmul_avx512_##name(const uint8_t *weights, size_t row_bytes, size_t blocks,                       \
        const struct matmul_block *a, size_t tokens, float sums[][MATMUL_ROWS])                              \
    {                                                                                                        \
        if (tokens <= (wides[type].has_halves ? 1 : FEW_TOKENS))                                             \
            rows_##name(weights, row_bytes, blocks, a, tokens, sums);                                        \
        else                                                                                                 \
            wide_lanes(type, weights, row_bytes, blocks, a, tokens, sums);                                   \
    }
WIDE_TILE(q2_k, MATMUL_Q2_K)
WIDE_TILE(q3_k, MATMUL_Q3_K)
WIDE_TILE(q4_k, MATMUL_Q4_K)
WIDE_TILE(q5_k, MATMUL_Q5_K)
WIDE_TILE(q6_k, MATMUL_Q6_K)
WIDE_TILE(iq4_xs, MATMUL_IQ4_XS)
