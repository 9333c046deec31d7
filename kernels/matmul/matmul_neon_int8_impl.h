/* matmul_neon_int8_impl.h - kernels of quantized weights: four rows in four lanes, two such quads at a time.
 *
 * Compiled three times: by matmul_neon.c for base NEON, by matmul_dotprod.c for SDOT and by matmul_i8mm.c for SMMLA.
 * matmul_neon_dot_impl.h has everything that differs. Shifts and masks turn sixteen or more bytes of each of four rows
 * into eight vectors of signed bytes that cover 32 elements of k; they do not depend on where in a vector a row lies.
 * Scales have one row in each lane, as sums have. The types are described once for all sets: in unpack_small, and in
 * load_super and of_super.
 */
#ifndef BERTH_MATMUL_NEON_INT8_IMPL_H
#define BERTH_MATMUL_NEON_INT8_IMPL_H

#include "matmul_neon_dot_impl.h"

INLINE uint8x16_t bits_of(uint8x16_t v, unsigned from, uint8_t mask)
{
    return vandq_u8(vshlq_u8(v, vdupq_n_s8((int8_t)(-(int)from))), vdupq_n_u8(mask));
}

/* Bytes minus the offset that they are too large by. */
INLINE int8x16_t less(uint8x16_t v, int8_t offset)
{
    return vsubq_s8(vreinterpretq_s8_u8(v), vdupq_n_s8(offset));
}

/* The same, but the offset is subtracted only where `bit` is 0. The bytes are smaller than the offset. */
INLINE int8x16_t less_unless(uint8x16_t v, uint8x16_t bit, uint8_t offset)
{
    return vreinterpretq_s8_u8(vorrq_u8(v, vbicq_u8(vdupq_n_u8((uint8_t)-offset), bit)));
}

INLINE enum step step_of(enum matmul_int8 type)
{
    switch (type) {
    case MATMUL_Q4_1:
    case MATMUL_Q5_1:
    case MATMUL_Q4_K:
    case MATMUL_Q5_K:
        return WITH_MIN;
    case MATMUL_Q3_K:
    case MATMUL_Q6_K:
        return HALVES;
    case MATMUL_Q2_K:
        return HALVES_WITH_MIN;
    default:
        return ONE_SCALE;
    }
}

/* ---- blocks of 32 ---- */

/* 2^(e - 128), where e is the lowest byte of each lane. Subnormal results are exact, too. */
INLINE float32x4_t half_power(uint32x4_t lanes)
{
    uint32x4_t e = vandq_u32(lanes, vdupq_n_u32(255)), small = vdupq_n_u32(0x200000);
    uint32x4_t normal = vshlq_n_u32(vsubq_u32(e, vdupq_n_u32(1)), 23);
    small = vshlq_u32(small, vreinterpretq_s32_u32(e));
    return vreinterpretq_f32_u32(vbslq_u32(vcltq_u32(e, vdupq_n_u32(2)), small, normal));
}

/* Offset of the nibbles or bytes, which follow d, m and the fifth bits. */
INLINE size_t head_of(enum matmul_int8 type)
{
    return type == MATMUL_MXFP4  ? 1
           : type == MATMUL_Q4_1 ? 4
           : type == MATMUL_Q5_0 ? 6
           : type == MATMUL_Q5_1 ? 8
                                 : 2;
}

/* Turns the nibbles of w[j] into the weights of the type; `high` has the fifth bits of Q5_0 and Q5_1. */
INLINE int8x16_t of_nibble(uint8x16_t nibble, uint32x4_t high, size_t j, enum matmul_int8 type)
{
    switch (type) {
    case MATMUL_Q4_0:
        return less(nibble, 8);
    case MATMUL_Q5_0:
        return less_unless(nibble, bit_of(high, j), 16);
    case MATMUL_Q5_1:
        nibble = vorrq_u8(nibble, vandq_u8(bit_of(high, j), vdupq_n_u8(16)));
        break;
    case MATMUL_IQ4_NL:
    case MATMUL_IQ4_XS:
        return vqtbl1q_s8(vld1q_s8(quant_levels_iq4), nibble);
    case MATMUL_MXFP4:
        return vqtbl1q_s8(vld1q_s8(quant_levels_fp4), nibble);
    default:
        break;
    }
    return vreinterpretq_s8_u8(nibble);
}

/* Sixteen bytes of each row: halves of nibbles. */
INLINE void unpack_nibbles(struct quad *p, const uint8x16_t raw[4], uint32x4_t high, enum matmul_int8 type)
{
#pragma GCC unroll 4
    for (size_t i = 0; i < 4; i++) {
        p->w[i] = of_nibble(vandq_u8(raw[i], vdupq_n_u8(15)), high, i, type);
        p->w[i + 4] = of_nibble(vshrq_n_u8(raw[i], 4), high, i + 4, type);
    }
}

INLINE void unpack_small(struct quad *p, const uint8_t *at, size_t row_bytes, enum matmul_int8 type)
{
    const size_t head = head_of(type);
    const uint32x4_t first = load_words(at, row_bytes);
    uint32x4_t high = vdupq_n_u32(0);
    uint8x16_t raw[8];
    float32x4_t halves[2];
    both_halves(halves, first);
    p->scale[0] = type == MATMUL_MXFP4 ? half_power(first) : halves[0];
    p->min[0] = halves[1];
    if (type == MATMUL_Q5_0 || type == MATMUL_Q5_1)
        high = load_words(at + head - 4, row_bytes);
    load_payload(raw, at + head, row_bytes);
    if (type != MATMUL_Q8_0) {
        unpack_nibbles(p, raw, high, type);
        return;
    }
    load_payload(raw + 4, at + head + 16, row_bytes);
#pragma GCC unroll 8
    for (size_t i = 0; i < 8; i++)
        p->w[i] = vreinterpretq_s8_u8(raw[i]);
}

INLINE void small_tile(enum matmul_int8 type, size_t bytes, const uint8_t *weights, size_t row_bytes,
    size_t blocks, const struct matmul_block *a, size_t tokens, float sums[][MATMUL_ROWS])
{
    for (size_t b = 0; b < blocks; b++) {
        prefetch(weights, row_bytes, b * bytes, (b + 1) * bytes, tokens);
        for (size_t q = 0; q < TILE_QUADS; q += QUADS) {
            struct quad p[QUADS];
#pragma GCC unroll 2
            for (size_t i = 0; i < QUADS; i++)
                unpack_small(&p[i], weights + 4 * (q + i) * row_bytes + b * bytes, row_bytes, type);
            add_block(p, a + b * tokens, tokens, quad_sums(sums, q), step_of(type));
        }
    }
}

/* ---- blocks of 256: their scales ---- */

/* What is kept of a quad's block while its eight parts of 32 are multiplied: all scales, and the bytes that several
 * parts read. */
struct super {
    float32x4_t scale[16], min[16];
    uint8x16_t low[16], high[8];
};

/* Byte `i` of each lane. */
INLINE float32x4_t byte_of(uint8x16_t v, int i)
{
    uint32x4_t shifted = vshlq_u32(vreinterpretq_u32_u8(v), vdupq_n_s32(-8 * i));
    return vcvtq_f32_u32(vandq_u32(shifted, vdupq_n_u32(255)));
}

/* The same, signed. */
INLINE float32x4_t signed_byte_of(int8x16_t v, int i)
{
    return vcvtq_f32_s32(vshrq_n_s32(vshlq_s32(vreinterpretq_s32_s8(v), vdupq_n_s32(24 - 8 * i)), 24));
}

INLINE uint8x16_t load_word_bytes(const uint8_t *at, size_t row_bytes)
{
    return vreinterpretq_u8_u32(load_words(at, row_bytes));
}

/* Of q4_k and q5_k. */
INLINE void k_scales(struct super *s, const uint8_t *at, size_t row_bytes)
{
    uint8x16_t h[4];
    float32x4_t d[2];
    load_lanes(h, at, row_bytes);
    both_halves(d, vreinterpretq_u32_u8(h[0]));
    const uint8x16_t scales[2] = {bits_of(h[1], 0, 63), vorrq_u8(bits_of(h[3], 0, 15), bits_of(h[1], 2, 48))};
    const uint8x16_t mins[2] = {bits_of(h[2], 0, 63), vorrq_u8(bits_of(h[3], 4, 15), bits_of(h[2], 2, 48))};
    for (int i = 0; i < 8; i++) {
        s->scale[i] = vmulq_f32(d[0], byte_of(scales[i / 4], i % 4));
        s->min[i] = vnegq_f32(vmulq_f32(d[1], byte_of(mins[i / 4], i % 4)));
    }
}

INLINE void q2_scales(struct super *s, const uint8_t *at, size_t row_bytes)
{
    uint8x16_t h[4];
    float32x4_t d[2];
    load_lanes(h, at, row_bytes);
    both_halves(d, load_words(at + 80, row_bytes));
    for (int i = 0; i < 16; i++) {
        s->scale[i] = vmulq_f32(d[0], byte_of(bits_of(h[i / 4], 0, 15), i % 4));
        s->min[i] = vnegq_f32(vmulq_f32(d[1], byte_of(bits_of(h[i / 4], 4, 15), i % 4)));
    }
}

/* Returns d, the last field of a q3_k or q6_k. */
INLINE float32x4_t last_half(const uint8_t *end, size_t row_bytes)
{
    float32x4_t halves[2];
    both_halves(halves, load_words(end - 4, row_bytes));
    return halves[1];
}

INLINE void q3_scales(struct super *s, const uint8_t *at, size_t row_bytes)
{
    const uint8x16_t low[2] = {load_word_bytes(at + 96, row_bytes), load_word_bytes(at + 100, row_bytes)};
    const uint8x16_t high = load_word_bytes(at + 104, row_bytes);
    const float32x4_t d = last_half(at + sizeof(struct block_q3_k), row_bytes);
    for (unsigned i = 0; i < 16; i++) {
        uint8x16_t four = bits_of(low[i / 4 % 2], i / 8 * 4, 15);
        int8x16_t six = less(vorrq_u8(four, vshlq_n_u8(bits_of(high, i / 4 * 2, 3), 4)), 32);
        s->scale[i] = vmulq_f32(d, signed_byte_of(six, (int)i % 4));
    }
}

INLINE void q6_scales(struct super *s, const uint8_t *at, size_t row_bytes)
{
    uint8x16_t h[4];
    load_lanes(h, at + 192, row_bytes);
    const float32x4_t d = last_half(at + sizeof(struct block_q6_k), row_bytes);
    for (int i = 0; i < 16; i++)
        s->scale[i] = vmulq_f32(d, signed_byte_of(vreinterpretq_s8_u8(h[i / 4]), i % 4));
}

INLINE void iq4_scales(struct super *s, const uint8_t *at, size_t row_bytes)
{
    const uint32x4_t first = load_words(at, row_bytes), nibbles = load_words(at + 4, row_bytes);
    float32x4_t halves[2];
    both_halves(halves, first);
    for (int g = 0; g < 8; g++) {
        uint32x4_t low = vandq_u32(vshlq_u32(nibbles, vdupq_n_s32(-4 * g)), vdupq_n_u32(15));
        uint32x4_t high = vandq_u32(vshlq_u32(first, vdupq_n_s32(-16 - 2 * g)), vdupq_n_u32(3));
        int32x4_t six = vreinterpretq_s32_u32(vorrq_u32(low, vshlq_n_u32(high, 4)));
        s->scale[g] = vmulq_f32(halves[0], vcvtq_f32_s32(vsubq_s32(six, vdupq_n_s32(32))));
    }
}

/* ---- blocks of 256 ---- */

INLINE void load_payloads(uint8x16_t *out, const uint8_t *at, size_t row_bytes, size_t count)
{
    for (size_t i = 0; i < count; i++)
        load_payload(out + 4 * i, at + 16 * i, row_bytes);
}

/* Loads what this part is the first to need. */
INLINE void load_super(
    struct super *s, const uint8_t *at, size_t row_bytes, unsigned part, enum matmul_int8 type)
{
    switch (type) {
    case MATMUL_Q4_K:
    case MATMUL_Q5_K:
        if (part == 0)
            k_scales(s, at, row_bytes);
        if (part == 0 && type == MATMUL_Q5_K)
            load_payloads(s->high, at + 16, row_bytes, 2);
        if (part % 2 == 0)
            load_payloads(s->low, at + (type == MATMUL_Q5_K ? 48 : 16) + part / 2 * 32, row_bytes, 2);
        break;
    case MATMUL_Q2_K:
        if (part == 0)
            q2_scales(s, at, row_bytes);
        if (part % 4 == 0)
            load_payloads(s->low, at + 16 + part / 4 * 32, row_bytes, 2);
        break;
    case MATMUL_Q3_K:
        if (part == 0) {
            q3_scales(s, at, row_bytes);
            load_payloads(s->high, at, row_bytes, 2);
        }
        if (part % 4 == 0)
            load_payloads(s->low, at + 32 + part / 4 * 32, row_bytes, 2);
        break;
    case MATMUL_Q6_K:
        if (part == 0)
            q6_scales(s, at, row_bytes);
        if (part % 4 == 0) {
            load_payloads(s->low, at + part / 4 * 64, row_bytes, 4);
            load_payloads(s->high, at + 128 + part / 4 * 32, row_bytes, 2);
        }
        break;
    default: /* IQ4_XS */
        if (part == 0)
            iq4_scales(s, at, row_bytes);
        load_payloads(s->low, at + 8 + part * 16, row_bytes, 1);
    }
}

/* Returns w[j] of a part. */
INLINE int8x16_t of_super(const struct super *s, size_t j, unsigned part, enum matmul_int8 type)
{
    uint8x16_t w;
    switch (type) {
    case MATMUL_Q2_K:
        return vreinterpretq_s8_u8(bits_of(s->low[j], part % 4 * 2, 3));
    case MATMUL_Q3_K:
        w = vtstq_u8(s->high[j], vdupq_n_u8((uint8_t)(1u << part)));
        return less_unless(bits_of(s->low[j], part % 4 * 2, 3), w, 4);
    case MATMUL_Q6_K:
        w = bits_of(s->low[part % 2 * 8 + j], part % 4 / 2 * 4, 15);
        return less(vorrq_u8(w, vshlq_n_u8(bits_of(s->high[j], part % 4 * 2, 3), 4)), 32);
    case MATMUL_Q5_K:
        w = bits_of(s->low[j], part % 2 * 4, 15);
        return vreinterpretq_s8_u8(vorrq_u8(w, vshlq_n_u8(bits_of(s->high[j], part, 1), 4)));
    default:
        return vreinterpretq_s8_u8(bits_of(s->low[j], part % 2 * 4, 15)); /* Q4_K */
    }
}

INLINE void unpack_super(struct quad *p, const struct super *s, unsigned part, enum matmul_int8 type)
{
    const unsigned groups = has_halves(step_of(type)) ? 2 : 1;
    for (unsigned i = 0; i < groups; i++) {
        p->scale[i] = s->scale[groups * part + i];
        p->min[i] = s->min[groups * part + i];
    }
    if (type == MATMUL_IQ4_XS) {
        unpack_nibbles(p, s->low, vdupq_n_u32(0), type);
        return;
    }
#pragma GCC unroll 8
    for (size_t j = 0; j < 8; j++)
        p->w[j] = of_super(s, j, part, type);
}

INLINE void super_tile(enum matmul_int8 type, size_t bytes, const uint8_t *weights, size_t row_bytes,
    size_t blocks, const struct matmul_block *a, size_t tokens, float sums[][MATMUL_ROWS])
{
    struct super s[TILE_QUADS];
    for (size_t b = 0; b < blocks; b++) {
        const uint8_t *at = weights + b / 8 * bytes;
        const unsigned part = b % 8;
        prefetch(weights, row_bytes, b * bytes / 8, (b + 1) * bytes / 8, tokens);
        for (size_t q = 0; q < TILE_QUADS; q++)
            load_super(&s[q], at + 4 * q * row_bytes, row_bytes, part, type);
        for (size_t q = 0; q < TILE_QUADS; q += QUADS) {
            struct quad p[QUADS];
#pragma GCC unroll 2
            for (size_t i = 0; i < QUADS; i++)
                unpack_super(&p[i], &s[q + i], part, type);
            add_block(p, a + b * tokens, tokens, quad_sums(sums, q), step_of(type));
        }
    }
}

/* ---- a function a type ---- */

#define INT8_TILE(name, run, type)                                                                           \
    static void tile_##name(const uint8_t *weights, size_t row_bytes, size_t blocks,                         \
        const struct matmul_block *a, size_t tokens, float sums[][MATMUL_ROWS])                              \
    {                                                                                                        \
        if (leaves_to_sdot(tokens))                                                                          \
            matmul_dotprod.int8[type](weights, row_bytes, blocks, a, tokens, sums);                          \
        else                                                                                                 \
            run(type, sizeof(struct block_##name), weights, row_bytes, blocks, a, tokens, sums);             \
    }
INT8_TILE(q4_0, small_tile, MATMUL_Q4_0)
INT8_TILE(q4_1, small_tile, MATMUL_Q4_1)
INT8_TILE(q8_0, small_tile, MATMUL_Q8_0)
INT8_TILE(q4_k, super_tile, MATMUL_Q4_K)
INT8_TILE(q5_k, super_tile, MATMUL_Q5_K)
INT8_TILE(q6_k, super_tile, MATMUL_Q6_K)
INT8_TILE(q5_0, small_tile, MATMUL_Q5_0)
INT8_TILE(q5_1, small_tile, MATMUL_Q5_1)
INT8_TILE(q2_k, super_tile, MATMUL_Q2_K)
INT8_TILE(q3_k, super_tile, MATMUL_Q3_K)
INT8_TILE(iq4_nl, small_tile, MATMUL_IQ4_NL)
INT8_TILE(iq4_xs, super_tile, MATMUL_IQ4_XS)
INT8_TILE(mxfp4, small_tile, MATMUL_MXFP4)

#endif
