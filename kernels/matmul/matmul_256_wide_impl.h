/* matmul_256_wide_impl.h - 256-bit kernels of types in blocks of 256 elements with scales for each 16 or 32.
 *
 * matmul_256_impl.h describes the form. A block has eight parts of 32 elements, which are unpacked one after the other.
 * Bytes that hold bits of several parts are read at the first of these and kept; for few tokens they are read again
 * where that is cheaper.
 */
#ifndef BERTH_MATMUL_256_WIDE_IMPL_H
#define BERTH_MATMUL_256_WIDE_IMPL_H

#include "matmul_256_add_impl.h"

/* What is kept of a block of one group of rows, for several parts. */
struct ymm_kept {
    __m256 d, minus_dmin;
    __m256i scale[4], min[2]; /* in bytes: those of each 32 or 16 elements, four to a lane */
    __m256i low[16], high[8]; /* bytes that hold the lower and the upper bits of several parts */
};

/* d times byte i of each lane, a signed byte. */
INLINE __m256 times_byte(__m256 d, const __m256i *bytes, unsigned i)
{
    const __m256i top = _mm256_sll_epi32(bytes[i / 4], _mm_cvtsi32_si128((int)(24 - i % 4 * 8)));
    return _mm256_mul_ps(d, _mm256_cvtepi32_ps(_mm256_srai_epi32(top, 24)));
}

INLINE __m256 negative(__m256 v)
{
    return _mm256_xor_ps(v, _mm256_set1_ps(-0.0f));
}

/* Words that lie across two: the upper half of `low`, then the lower half of `high`. */
INLINE __m256i across(__m256i low, __m256i high)
{
    return _mm256_or_si256(_mm256_srli_epi32(low, 16), _mm256_slli_epi32(high, 16));
}

INLINE void load_32(__m256i out[8], const uint8_t *at, size_t row_bytes, bool few)
{
    load_weights(out, at, row_bytes, few);
    load_weights(out + 4, at + 16, row_bytes, few);
}

/* The same for types with halves: for few tokens a vector has 32 bytes of one row. */
INLINE void load_32_halves(__m256i out[8], const uint8_t *at, size_t row_bytes, bool few)
{
    if (!few) {
        load_32(out, at, row_bytes, false);
        return;
    }
#pragma GCC unroll 8
    for (size_t i = 0; i < 8; i++)
        out[i] = _mm256_loadu_si256((const __m256i *)(at + i * row_bytes));
}

/* The same for bytes that several parts share, where `first` marks the first of these parts. For few tokens they are
 * read again for each part, which is cheaper than keeping them. For many tokens they are transposed once and kept. */
INLINE void take_32(
    __m256i out[8], __m256i kept[8], const uint8_t *at, size_t row_bytes, bool first, bool few)
{
    if (few) {
        load_32_halves(out, at, row_bytes, true);
        return;
    }
    if (first)
        load_32(kept, at, row_bytes, false);
#pragma GCC unroll 8
    for (size_t i = 0; i < 8; i++)
        out[i] = kept[i];
}

/* From bytes with a bit for each part, keeps the bits of the four parts that begin with `part`. */
INLINE void keep_nibbles(__m256i v[8], unsigned part)
{
#pragma GCC unroll 8
    for (size_t i = 0; i < 8; i++)
        v[i] = bits_of(v[i], part, 15);
}

/* Each byte gets `bits` bits of `low`, from bit `from` up, and above them the bit of `nibbles` that belongs to the
 * part: a byte shuffle looks up that bit of each nibble, in its place. */
INLINE void join_bit(struct ymm_panel *p, const __m256i low[8], unsigned from, unsigned bits,
    const __m256i nibbles[8], unsigned part)
{
    const __m256i all =
        _mm256_broadcastsi128_si256(_mm_setr_epi8(0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15));
    const __m256i bit = _mm256_set1_epi8((char)(1 << part % 4));
    const __m256i is_set = _mm256_cmpeq_epi8(_mm256_and_si256(all, bit), bit);
    const __m256i moved = _mm256_and_si256(is_set, _mm256_set1_epi8((char)(1 << bits)));
#pragma GCC unroll 8
    for (size_t i = 0; i < 8; i++)
        p->w[i] =
            _mm256_or_si256(bits_of(low[i], from, (1 << bits) - 1), _mm256_shuffle_epi8(moved, nibbles[i]));
}

/* ---- a function a type: part `part` of the blocks that begin at `at` ---- */

/* The scales of a part of a type with halves. */
INLINE void both_scales(struct ymm_panel *p, const struct ymm_kept *k, unsigned part)
{
#pragma GCC unroll 2
    for (unsigned i = 0; i < 2; i++)
        p->scale[i] = times_byte(k->d, k->scale, 2 * part + i);
}

INLINE void unpack_q2_k(
    struct ymm_panel *p, struct ymm_kept *k, const uint8_t *at, size_t row_bytes, unsigned part, bool few)
{
    if (part == 0) {
        __m256i last[4];
        __m256 d[2];
        load_lanes(k->scale, at, row_bytes);
        load_lanes(last, at + 68, row_bytes);
        both_halves(d, last[3]);
        k->d = d[0];
        k->minus_dmin = negative(d[1]);
    }
    __m256i low[8];
    take_32(low, k->low, at + 16 + part / 4 * 32, row_bytes, part % 4 == 0, few);
    const __m256i scales = bits_of(k->scale[part / 2], 0, 15), mins = bits_of(k->scale[part / 2], 4, 15);
#pragma GCC unroll 2
    for (unsigned i = 0; i < 2; i++) {
        p->scale[i] = times_byte(k->d, &scales, part % 2 * 2 + i);
        p->min[i] = times_byte(k->minus_dmin, &mins, part % 2 * 2 + i);
    }
#pragma GCC unroll 8
    for (size_t i = 0; i < 8; i++)
        p->w[i] = bits_of(low[i], part % 4 * 2, 3);
}

INLINE void unpack_q3_k(
    struct ymm_panel *p, struct ymm_kept *k, const uint8_t *at, size_t row_bytes, unsigned part, bool few)
{
    if (part == 0) {
        __m256i s[4];
        __m256 d[2];
        load_lanes(s, at + 94, row_bytes); /* two bytes before the scales: d ends the block */
        both_halves(d, s[3]);
        k->d = d[1];
        const __m256i lower[2] = {across(s[0], s[1]), across(s[1], s[2])}, upper = across(s[2], s[3]);
#pragma GCC unroll 4
        for (unsigned i = 0; i < 4; i++) {
            __m256i six = _mm256_or_si256(
                bits_of(lower[i % 2], i / 2 * 4, 15), _mm256_slli_epi32(bits_of(upper, i * 2, 3), 4));
            k->scale[i] = _mm256_sub_epi8(six, _mm256_set1_epi8(32));
        }
    }
    __m256i low[8];
    take_32(low, k->low, at + 32 + part / 4 * 32, row_bytes, part % 4 == 0, few);
    if (part % 4 == 0) {
        load_32_halves(k->high, at, row_bytes, few);
        keep_nibbles(k->high, part);
    }
    both_scales(p, k, part);
    join_bit(p, low, part % 4 * 2, 2, k->high, part);
}

/* Of q4_k and q5_k. */
INLINE void unpack_k_scales(struct ymm_kept *k, const uint8_t *at, size_t row_bytes)
{
    __m256i h[4];
    __m256 d[2];
    load_lanes(h, at, row_bytes);
    both_halves(d, h[0]);
    k->d = d[0];
    k->minus_dmin = negative(d[1]);
    k->scale[0] = bits_of(h[1], 0, 63);
    k->scale[1] = _mm256_or_si256(bits_of(h[3], 0, 15), bits_of(h[1], 2, 48));
    k->min[0] = bits_of(h[2], 0, 63);
    k->min[1] = _mm256_or_si256(bits_of(h[3], 4, 15), bits_of(h[2], 2, 48));
}

INLINE void unpack_q4_k(
    struct ymm_panel *p, struct ymm_kept *k, const uint8_t *at, size_t row_bytes, unsigned part, bool few)
{
    if (part == 0)
        unpack_k_scales(k, at, row_bytes);
    if (part % 2 == 0)
        load_32(k->low, at + 16 + part / 2 * 32, row_bytes, few);
    p->scale[0] = times_byte(k->d, k->scale, part);
    p->min[0] = times_byte(k->minus_dmin, k->min, part);
#pragma GCC unroll 8
    for (size_t i = 0; i < 8; i++)
        p->w[i] = bits_of(k->low[i], part % 2 * 4, 15);
}

INLINE void unpack_q5_k(
    struct ymm_panel *p, struct ymm_kept *k, const uint8_t *at, size_t row_bytes, unsigned part, bool few)
{
    if (part == 0)
        unpack_k_scales(k, at, row_bytes);
    if (part % 4 == 0) {
        load_32(k->high, at + 16, row_bytes, few);
        keep_nibbles(k->high, part);
    }
    if (part % 2 == 0)
        load_32(k->low, at + 48 + part / 2 * 32, row_bytes, few);
    p->scale[0] = times_byte(k->d, k->scale, part);
    p->min[0] = times_byte(k->minus_dmin, k->min, part);
    join_bit(p, k->low, part % 2 * 4, 4, k->high, part);
}

/* Moves two bits of each byte, from bit `from` up, to bits 4 and 5. It is one shift when `from` is constant. */
INLINE __m256i upper_two(__m256i v, unsigned from)
{
    if (!__builtin_constant_p(from))
        return _mm256_slli_epi32(bits_of(v, from, 3), 4);
    v = from < 4 ? _mm256_slli_epi32(v, (int)(4 - from)) : _mm256_srli_epi32(v, (int)(from - 4));
    return _mm256_and_si256(v, _mm256_set1_epi8(48));
}

INLINE void unpack_q6_k(
    struct ymm_panel *p, struct ymm_kept *k, const uint8_t *at, size_t row_bytes, unsigned part, bool few)
{
    if (part == 0) {
        __m256i last[4];
        __m256 d[2];
        load_lanes(k->scale, at + 192, row_bytes);
        load_lanes(last, at + 194, row_bytes);
        both_halves(d, last[3]);
        k->d = d[1];
    }
    __m256i low[8], high[8];
    const unsigned odd = part % 2;
    take_32(low, k->low + 8 * odd, at + part / 4 * 64 + 32 * odd, row_bytes, part % 4 < 2, few);
    take_32(high, k->high, at + 128 + part / 4 * 32, row_bytes, part % 4 == 0, few);
    both_scales(p, k, part);
#pragma GCC unroll 8
    for (size_t i = 0; i < 8; i++)
        p->w[i] = _mm256_or_si256(bits_of(low[i], part % 4 / 2 * 4, 15), upper_two(high[i], part % 4 * 2));
}

INLINE void unpack_iq4_xs(
    struct ymm_panel *p, struct ymm_kept *k, const uint8_t *at, size_t row_bytes, unsigned part, bool few)
{
    if (part == 0) {
        __m256i h[4];
        __m256 d[2];
        load_lanes(h, at, row_bytes);
        both_halves(d, h[0]);
        k->d = d[0];
        /* The upper two bits of scales 2j and 2j + 1, in byte j. */
        __m256i upper = _mm256_srli_epi32(h[0], 16);
        upper = _mm256_or_si256(upper, _mm256_slli_epi32(upper, 8));
        upper = _mm256_and_si256(upper, _mm256_set1_epi32(0xff00ff));
        upper = _mm256_or_si256(upper, _mm256_slli_epi32(upper, 4));
#pragma GCC unroll 2
        for (unsigned i = 0; i < 2; i++) {
            const __m256i two = _mm256_slli_epi32(bits_of(upper, i * 2, 3), 4);
            const __m256i six = _mm256_or_si256(bits_of(h[1], i * 4, 15), two);
            k->scale[i] = _mm256_sub_epi8(six, _mm256_set1_epi8(32));
        }
    }
    __m256i raw[4];
    load_weights(raw, at + 8 + part * 16, row_bytes, few);
    p->scale[0] = times_byte(k->d, &k->scale[part % 2], part / 2);
#pragma GCC unroll 4
    for (size_t i = 0; i < 4; i++) {
        p->w[i] = signed_bytes(levels_of(bits_of(raw[i], 0, 15), quant_levels_iq4, 0));
        p->w[i + 4] = signed_bytes(levels_of(bits_of(raw[i], 4, 15), quant_levels_iq4, 0));
    }
}

/* ---- tiles ---- */

struct ymm_wide {
    size_t bytes; /* of a block */
    unsigned
        period; /* parts that a turn for one token takes, so that shifts are constants: as many as make it faster */
    struct kind kind;
};

static const struct ymm_wide wides[MATMUL_INT8] = {
    [MATMUL_Q2_K] = {sizeof(struct block_q2_k), 4, {.bits = 2, .has_min = true, .has_halves = true}},
    [MATMUL_Q3_K] = {sizeof(struct block_q3_k), 4,
        {.bits = 3, .offset = 2, .has_offset = true, .has_halves = true}},
    [MATMUL_Q4_K] = {sizeof(struct block_q4_k), 2, {.bits = 4, .has_min = true}},
    [MATMUL_Q5_K] = {sizeof(struct block_q5_k), 2, {.bits = 5, .has_min = true}},
    [MATMUL_Q6_K] = {sizeof(struct block_q6_k), 4,
        {.bits = 6, .offset = 5, .has_offset = true, .has_halves = true}},
    [MATMUL_IQ4_XS] = {sizeof(struct block_iq4_xs), 2, {SIGNED_BYTES}},
};

/* `type` is known where this is inlined: one case of it is left. */
INLINE void unpack(enum matmul_int8 type, struct ymm_panel *p, struct ymm_kept *k, const uint8_t *at,
    size_t row_bytes, unsigned part, bool few)
{
    if (type == MATMUL_Q2_K)
        unpack_q2_k(p, k, at, row_bytes, part, few);
    else if (type == MATMUL_Q3_K)
        unpack_q3_k(p, k, at, row_bytes, part, few);
    else if (type == MATMUL_Q4_K)
        unpack_q4_k(p, k, at, row_bytes, part, few);
    else if (type == MATMUL_Q5_K)
        unpack_q5_k(p, k, at, row_bytes, part, few);
    else if (type == MATMUL_Q6_K)
        unpack_q6_k(p, k, at, row_bytes, part, few);
    else
        unpack_iq4_xs(p, k, at, row_bytes, part, few);
}

/* Few tokens wait for memory: one group of rows, so eight streams to read, not 32. A turn takes `period` parts, so that
 * the compiler knows the position of each part's bits in a byte. */
INLINE void wide_few(enum matmul_int8 type, unsigned period, const uint8_t *weights, size_t row_bytes,
    size_t blocks, const struct matmul_block *a, size_t tokens, float (*sums)[MATMUL_ROWS])
{
    const struct ymm_wide w = wides[type];
    const size_t bytes = period * w.bytes; /* a turn's, of eight rows */
    const bool to_l1 = prefetches_to_l1(LANES, row_bytes);
    struct ymm_kept kept;
    kept.d = kept.minus_dmin =
        _mm256_setzero_ps(); /* the compiler does not see that part 0 sets them first */
    __m256 y[TILE_TOKENS - 1];
    for (size_t t = 0; t < tokens; t++)
        y[t] = _mm256_load_ps(sums[t]);
    for (size_t b = 0; b < blocks; b += period) {
        prefetch_bytes(weights + LANES * row_bytes + b * w.bytes, bytes, to_l1);
#pragma GCC unroll 4
        for (unsigned i = 0; i < period; i++) {
            const unsigned part = (unsigned)b % 8 / period * period + i;
            struct ymm_panel p;
            unpack(type, &p, &kept, weights + b / 8 * w.bytes, row_bytes, part, true);
            for (size_t t = 0; t < tokens; t++)
                y[t] = add_few(w.kind, &p, a + (b + i) * tokens + t, y[t]);
        }
    }
    for (size_t t = 0; t < tokens; t++)
        _mm256_store_ps(sums[t], y[t]);
}

INLINE void wide_tile(enum matmul_int8 type, const uint8_t *weights, size_t row_bytes, size_t blocks,
    const struct matmul_block *a, size_t tokens, float sums[][MATMUL_ROWS])
{
    const struct ymm_wide w = wides[type];
    struct ymm_kept kept[GROUPS];
    if (tokens < TILE_TOKENS) {
        for (size_t g = 0; g < GROUPS; g++, weights += LANES * row_bytes)
            if (tokens == 1 && w.period > 1)
                wide_few(type, w.period, weights, row_bytes, blocks, a, 1, group(sums, g));
            else
                wide_few(type, 1, weights, row_bytes, blocks, a, tokens, group(sums, g));
        return;
    }
    const bool to_l1 = prefetches_to_l1(MATMUL_ROWS, row_bytes);
    for (size_t b = 0; b < blocks; b++) {
        const uint8_t *at = weights + b / 8 * w.bytes;
        struct ymm_panel p[GROUPS];
        prefetch(weights, row_bytes, MATMUL_ROWS, b * w.bytes / 8, (b + 1) * w.bytes / 8, to_l1);
        for (size_t g = 0; g < GROUPS; g++)
            unpack(type, &p[g], &kept[g], at + LANES * g * row_bytes, row_bytes, b % 8, false);
        many_of(w.kind)(w.kind.offset, p, a + b * tokens, tokens, sums);
    }
}

#define WIDE_TILE(name, type)                                                                                \
    static void tile_##name(const uint8_t *weights, size_t row_bytes, size_t blocks,                         \
        const struct matmul_block *a, size_t tokens, float sums[][MATMUL_ROWS])                              \
    {                                                                                                        \
        wide_tile(type, weights, row_bytes, blocks, a, tokens, sums);                                        \
    }
WIDE_TILE(q2_k, MATMUL_Q2_K)
WIDE_TILE(q3_k, MATMUL_Q3_K)
WIDE_TILE(q4_k, MATMUL_Q4_K)
WIDE_TILE(q5_k, MATMUL_Q5_K)
WIDE_TILE(q6_k, MATMUL_Q6_K)
WIDE_TILE(iq4_xs, MATMUL_IQ4_XS)

#endif
