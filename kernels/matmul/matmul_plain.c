/* matmul_plain.c - products in plain C: the reference that every other kernel equals to the bit.
 *
 * Activations, by 32 of one token (matmul_pack):
 *     amax = the largest |x|
 *     d    = amax / 127
 *     q    = x * (127 / amax), rounded to the nearest, ties to even
 * When amax is below 2^-119, q and d are 0, because 127 / amax would overflow. When an x is infinite or NaN, q is 0 and
 * d is NaN, so that all outputs of the token become NaN.
 *
 * Weights, 32 of one row at a time: small integers w with a float scale and, in some types, a minimum. S is the sum of
 * w * q, exact in integers. A block changes the row's output y, in the order of k:
 *     Q4_0, Q5_0, Q8_0  y = fma(S, d_w * d, y)                      w = nibble - 8; 5 bits - 16; the byte
 *     IQ4_NL, MXFP4     the same, w = level[nibble]                 as quant.h has levels and d_w
 *     IQ4_XS            the same, with (d_w * (scale - 32)) for d_w
 *     Q4_1, Q5_1        the same, then y = fma(m, d * sum(q), y)    w = nibble; 5 bits
 *     Q4_K, Q5_K        the same, with (d_w * scale) for d_w and -(dmin * min) for m
 *     Q6_K, Q3_K        y = fma(j, d, y), j = fma(S1, c1, S0 * c0)  S0, S1: the two halves of 16
 *                                                                   c0, c1: d_w * scale of each half; of Q3_K
 *                                                                   d_w * (scale - 32)
 *                                                                   w = 6 bits - 32; 3 bits - 4
 *     NVFP4             the same, w = level[nibble], c = quant.h's d[group]
 *     TQ1_0, TQ2_0      as Q4_0, w = digit - 1; two bits - 1
 *     Q2_0, Q1_0        the same, w = two bits - 1; 1 or -1
 *     IQ2_XXS, IQ3_*    as Q4_0, w = codebook * sign                c = d * (2 * s + 1), with d * 0.125 for d in
 *     IQ2_XS, IQ2_S     as Q6_K, the same                           IQ2_*, IQ1_*, and d * 0.25 in IQ3_XXS
 *     IQ1_S, IQ1_M      as Q4_0; as Q6_K                            w = 8 * (codebook + shift), the same c
 *     Q2_K              j = fma(n1, s1, fma(n0, s0, j)) before it   w = 2 bits; n = -(dmin * min) and s = sum(q)
 *                                                                   of each half
 * Every product and sum is rounded to float32; S, s become floats exactly (they have less than 24 bits).
 *
 * All other types, and floats: y = fma(w, x, y) in the order of k, with w as quant.h has it. Zeros follow up to a
 * multiple of 32, which may turn -0 into 0. NaNs may have any payload.
 */
#include "matmul_private.h"

#include "berth/base/half.h"

#include <string.h>

/* ---- activations ---- */

static float float_of(uint32_t bits)
{
    float value;
    memcpy(&value, &bits, sizeof(value));
    return value;
}

static uint32_t bits_of(float value)
{
    uint32_t bits;
    memcpy(&bits, &value, sizeof(bits));
    return bits;
}

static const float smallest = 0x1p-119f;
static const float rounder = 0x1.8p23f; /* numbers of this size have no fraction: adding it rounds */

static void pack_block(struct matmul_block *out, const float *x)
{
    /* Without the sign, floats compared as integers have the order of the floats, and NaN is the largest. */
    uint32_t size = 0;
    for (size_t i = 0; i < MATMUL_BLOCK; i++)
        if ((bits_of(x[i]) & 0x7fffffff) > size)
            size = bits_of(x[i]) & 0x7fffffff;
    memset(out, 0, sizeof(*out));
    if (size >= 0x7f800000) {
        out->d = out->d_sum = float_of(0x7fc00000);
        return;
    }
    float amax = float_of(size);
    if (amax < smallest)
        return;
    float inverse = 127.0f / amax;
    int32_t sum = 0;
    for (size_t i = 0; i < MATMUL_BLOCK; i++) {
        out->q[i] = (int8_t)(int32_t)(bits_of(x[i] * inverse + rounder) - bits_of(rounder));
        sum += out->q[i];
        if (i == 15)
            out->minus_half = -sum;
    }
    out->d = amax / 127.0f;
    out->d_sum = out->d * (float)sum;
    out->minus_sum = -sum;
}

static void pack(struct matmul_block *out, size_t step, const float *x, size_t blocks)
{
    for (size_t b = 0; b < blocks; b++)
        pack_block(out + b * step, x + b * MATMUL_BLOCK);
}

/* ---- weights in integers ---- */

/* 32 weights of a row. */
struct unpacked_block {
    int w[MATMUL_BLOCK];
    float scale[2], min[2]; /* of each half when `halves` is set; otherwise the first is that of all */
    bool has_min, halves;
};

static float half_at(const uint8_t *at)
{
    uint16_t bits;
    memcpy(&bits, at, sizeof(bits));
    return half_to_float(bits);
}

/* 16 bytes, halves of nibbles. */
static void nibbles(struct unpacked_block *out, const uint8_t *qs, int offset)
{
    for (size_t i = 0; i < 16; i++) {
        out->w[i] = (qs[i] & 15) - offset;
        out->w[i + 16] = (qs[i] >> 4) - offset;
    }
}

static void levels(struct unpacked_block *out, const uint8_t *qs, const int8_t level[16])
{
    nibbles(out, qs, 0);
    for (size_t i = 0; i < MATMUL_BLOCK; i++)
        out->w[i] = level[out->w[i]];
}

/* Four bytes of fifth bits, then nibbles. */
static void five_bits(struct unpacked_block *out, const uint8_t *qh, int offset)
{
    nibbles(out, qh + 4, offset);
    for (size_t i = 0; i < MATMUL_BLOCK; i++)
        out->w[i] += (qh[i / 8] >> (i % 8) & 1) << 4;
}

static struct unpacked_block q4_0(const uint8_t *block, size_t part)
{
    (void)part;
    struct unpacked_block b = {.scale = {half_at(block)}};
    nibbles(&b, block + 2, 8);
    return b;
}

static struct unpacked_block q4_1(const uint8_t *block, size_t part)
{
    (void)part;
    struct unpacked_block b = {.scale = {half_at(block)}, .min = {half_at(block + 2)}, .has_min = true};
    nibbles(&b, block + 4, 0);
    return b;
}

static struct unpacked_block q5_0(const uint8_t *block, size_t part)
{
    (void)part;
    struct unpacked_block b = {.scale = {half_at(block)}};
    five_bits(&b, block + 2, 16);
    return b;
}

static struct unpacked_block q5_1(const uint8_t *block, size_t part)
{
    (void)part;
    struct unpacked_block b = {.scale = {half_at(block)}, .min = {half_at(block + 2)}, .has_min = true};
    five_bits(&b, block + 4, 0);
    return b;
}

static struct unpacked_block iq4_nl(const uint8_t *block, size_t part)
{
    (void)part;
    struct unpacked_block b = {.scale = {half_at(block)}};
    levels(&b, block + 2, quant_levels_iq4);
    return b;
}

/* The scale is 2^(e - 128), half of what e stands for, because the levels are doubled. It is subnormal for e of 0 and
 * 1. */
static struct unpacked_block mxfp4(const uint8_t *block, size_t part)
{
    (void)part;
    const uint32_t e = block[0];
    struct unpacked_block b = {.scale = {float_of(e < 2 ? UINT32_C(0x200000) << e : (e - 1) << 23)}};
    levels(&b, block + 1, quant_levels_fp4);
    return b;
}

static struct unpacked_block q8_0(const uint8_t *block, size_t part)
{
    (void)part;
    struct unpacked_block b = {.scale = {half_at(block)}};
    for (size_t i = 0; i < MATMUL_BLOCK; i++)
        b.w[i] = (int8_t)block[2 + i];
    return b;
}

/* Scale and minimum of group `g` of a q4_k or q5_k, from the 16 bytes that both begin with. */
static struct unpacked_block k_scales(const uint8_t *block, size_t g)
{
    const uint8_t *s = block + 4;
    int scale = g < 4 ? s[g] & 63 : (s[g + 4] & 15) | s[g - 4] >> 6 << 4;
    int min = g < 4 ? s[g + 4] & 63 : s[g + 4] >> 4 | s[g] >> 6 << 4;
    return (struct unpacked_block){.scale = {half_at(block) * (float)scale},
        .min = {-(half_at(block + 2) * (float)min)},
        .has_min = true};
}

static struct unpacked_block q4_k(const uint8_t *block, size_t part)
{
    struct unpacked_block b = k_scales(block, part);
    const uint8_t *qs = block + 16 + part / 2 * 32;
    for (size_t i = 0; i < MATMUL_BLOCK; i++)
        b.w[i] = qs[i] >> (part % 2 * 4) & 15;
    return b;
}

static struct unpacked_block q5_k(const uint8_t *block, size_t part)
{
    struct unpacked_block b = k_scales(block, part);
    const uint8_t *qh = block + 16, *qs = block + 48 + part / 2 * 32;
    for (size_t i = 0; i < MATMUL_BLOCK; i++)
        b.w[i] = (qs[i] >> (part % 2 * 4) & 15) | (qh[i] >> part & 1) << 4;
    return b;
}

static struct unpacked_block q6_k(const uint8_t *block, size_t part)
{
    float d = half_at(block + 208);
    const int8_t *scales = (const int8_t *)block + 192 + part * 2;
    struct unpacked_block b = {.scale = {d * (float)scales[0], d * (float)scales[1]}, .halves = true};
    const uint8_t *ql = block + part / 4 * 64 + part % 2 * 32, *qh = block + 128 + part / 4 * 32;
    for (size_t i = 0; i < MATMUL_BLOCK; i++) {
        int low = ql[i] >> (part % 4 / 2 * 4) & 15, high = qh[i] >> (part % 4 * 2) & 3;
        b.w[i] = (low | high << 4) - 32;
    }
    return b;
}

/* Element i of part `part` of a q2_k's or q3_k's two bits. */
static int two_bits(const uint8_t *qs, size_t part, size_t i)
{
    return qs[part / 4 * 32 + i] >> (part % 4 * 2) & 3;
}

static struct unpacked_block q2_k(const uint8_t *block, size_t part)
{
    float d = half_at(block + 80), dmin = half_at(block + 82);
    const uint8_t *s = block + part * 2, *qs = block + 16;
    struct unpacked_block b = {.scale = {d * (float)(s[0] & 15), d * (float)(s[1] & 15)},
        .min = {-(dmin * (float)(s[0] >> 4)), -(dmin * (float)(s[1] >> 4))},
        .has_min = true,
        .halves = true};
    for (size_t i = 0; i < MATMUL_BLOCK; i++)
        b.w[i] = two_bits(qs, part, i);
    return b;
}

static struct unpacked_block q3_k(const uint8_t *block, size_t part)
{
    const uint8_t *hmask = block, *qs = block + 32, *s = block + 96;
    struct unpacked_block b = {.halves = true};
    for (size_t i = 0; i < 2; i++) {
        size_t k = part * 2 + i;
        int scale = (s[k % 8] >> (k / 8 * 4) & 15) | (s[8 + k % 4] >> (k / 4 * 2) & 3) << 4;
        b.scale[i] = half_at(block + 108) * (float)(scale - 32);
    }
    for (size_t i = 0; i < MATMUL_BLOCK; i++)
        b.w[i] = two_bits(qs, part, i) - 4 * !(hmask[i] >> part & 1);
    return b;
}

static struct unpacked_block iq4_xs(const uint8_t *block, size_t part)
{
    int low = block[4 + part / 2] >> (part % 2 * 4) & 15, high = block[2 + part / 4] >> (part % 4 * 2) & 3;
    struct unpacked_block b = {.scale = {half_at(block) * (float)((low | high << 4) - 32)}};
    levels(&b, block + 8 + part * 16, quant_levels_iq4);
    return b;
}

/* ---- weights in integers: ternary, of one and two bits, and by codebook ---- */

static uint32_t word_at(const uint8_t *at)
{
    uint32_t word;
    memcpy(&word, at, sizeof(word));
    return word;
}

static struct unpacked_block tq1_0(const uint8_t *block, size_t part)
{
    static const uint8_t power[5] = {1, 3, 9, 27, 81};
    struct unpacked_block b = {.scale = {half_at(block + 52)}};
    for (size_t i = 0; i < MATMUL_BLOCK; i++) {
        const size_t k = part * MATMUL_BLOCK + i;
        uint8_t byte = k < 160   ? (uint8_t)(block[k % 32] * power[k / 32])
                       : k < 240 ? (uint8_t)(block[32 + k % 16] * power[(k - 160) / 16])
                                 : (uint8_t)(block[48 + k % 4] * power[(k - 240) / 4]);
        b.w[i] = (byte * 3 >> 8) - 1;
    }
    return b;
}

static struct unpacked_block tq2_0(const uint8_t *block, size_t part)
{
    struct unpacked_block b = {.scale = {half_at(block + 64)}};
    for (size_t i = 0; i < MATMUL_BLOCK; i++)
        b.w[i] = two_bits(block, part, i) - 1;
    return b;
}

static struct unpacked_block q1_0(const uint8_t *block, size_t part)
{
    struct unpacked_block b = {.scale = {half_at(block)}};
    for (size_t i = 0; i < MATMUL_BLOCK; i++)
        b.w[i] = (block[2 + part * 4 + i / 8] >> (i % 8) & 1) * 2 - 1;
    return b;
}

static struct unpacked_block q2_0(const uint8_t *block, size_t part)
{
    struct unpacked_block b = {.scale = {half_at(block)}};
    for (size_t i = 0; i < MATMUL_BLOCK; i++)
        b.w[i] = (block[2 + part * 8 + i / 4] >> (i % 4 * 2) & 3) - 1;
    return b;
}

static struct unpacked_block nvfp4(const uint8_t *block, size_t part)
{
    struct unpacked_block b = {.halves = true};
    for (size_t h = 0; h < 2; h++) {
        const size_t group = part * 2 + h;
        const uint8_t *qs = block + 4 + group * 8;
        b.scale[h] = quant_half_ue4m3(block[group]);
        for (size_t i = 0; i < 16; i++)
            b.w[h * 16 + i] = quant_levels_fp4[qs[i % 8] >> (i / 8 * 4) & 15];
    }
    return b;
}

/* The eighth sign makes the number of minuses even. */
static unsigned even_signs(unsigned seven)
{
    return seven | (unsigned)__builtin_parity(seven) << 7;
}

static float odd_scale(float d, unsigned s)
{
    return d * (float)(2 * s + 1);
}

/* An entry of eight elements. */
static void of_iq2(int *w, uint16_t entry, unsigned signs)
{
    static const int worth[4] = {8, 25, 43, 0};
    for (unsigned k = 0; k < 8; k++)
        w[k] = signs >> k & 1 ? -worth[entry >> 2 * k & 3] : worth[entry >> 2 * k & 3];
}

static struct unpacked_block iq2_xxs(const uint8_t *block, size_t part)
{
    const uint32_t entries = word_at(block + 2 + part * 8), rest = word_at(block + 6 + part * 8);
    struct unpacked_block b = {.scale = {odd_scale(half_at(block) * 0.125f, rest >> 28)}};
    for (unsigned k = 0; k < 4; k++)
        of_iq2(b.w + 8 * k, quant_book_iq2_xxs[entries >> 8 * k & 255], even_signs(rest >> 7 * k & 127));
    return b;
}

static struct unpacked_block iq2_xs(const uint8_t *block, size_t part)
{
    const float d = half_at(block) * 0.125f;
    const uint8_t scales = block[66 + part];
    struct unpacked_block b = {
        .scale = {odd_scale(d, scales & 15), odd_scale(d, scales >> 4)}, .halves = true};
    for (unsigned k = 0; k < 4; k++) {
        const unsigned q = word_at(block + 2 + part * 8 + k / 2 * 4) >> (k % 2 * 16) & 0xffff;
        of_iq2(b.w + 8 * k, quant_book_iq2_xs[q & 511], even_signs(q >> 9));
    }
    return b;
}

static struct unpacked_block iq2_s(const uint8_t *block, size_t part)
{
    const float d = half_at(block) * 0.125f;
    const uint8_t *qs = block + 2 + part * 4, *signs = block + 34 + part * 4, scales = block[74 + part];
    struct unpacked_block b = {
        .scale = {odd_scale(d, scales & 15), odd_scale(d, scales >> 4)}, .halves = true};
    for (unsigned k = 0; k < 4; k++)
        of_iq2(b.w + 8 * k, quant_book_iq2_s[qs[k] | (block[66 + part] >> 2 * k & 3) << 8], signs[k]);
    return b;
}

static struct unpacked_block iq3_xxs(const uint8_t *block, size_t part)
{
    static const int worth[8] = {4, 12, 20, 28, 36, 44, 52, 62};
    const uint8_t *qs = block + 2 + part * 8;
    const uint32_t rest = word_at(block + 66 + part * 4);
    struct unpacked_block b = {.scale = {odd_scale(half_at(block) * 0.25f, rest >> 28)}};
    for (unsigned i = 0; i < MATMUL_BLOCK; i++) {
        const int size = worth[quant_book_iq3_xxs[qs[i / 4]] >> (i % 4 * 4) & 7];
        b.w[i] = even_signs(rest >> (i / 8 * 7) & 127) >> (i % 8) & 1 ? -size : size;
    }
    return b;
}

static struct unpacked_block iq3_s(const uint8_t *block, size_t part)
{
    const uint8_t *qs = block + 2 + part * 8, *signs = block + 74 + part * 4, qh = block[66 + part];
    struct unpacked_block b = {
        .scale = {odd_scale(half_at(block), block[106 + part / 2] >> (part % 2 * 4) & 15)}};
    for (unsigned i = 0; i < MATMUL_BLOCK; i++) {
        const int entry = quant_book_iq3_s[qs[i / 4] | (qh >> (i / 4) & 1u) << 8];
        const int size = (entry >> (i % 4 * 4) & 7) * 2 + 1;
        b.w[i] = signs[i / 8] >> (i % 8) & 1 ? -size : size;
    }
    return b;
}

/* An entry of eight elements, in eighths. */
static void of_iq1(int *w, unsigned entry, bool down)
{
    for (unsigned k = 0; k < 8; k++)
        w[k] = ((quant_book_iq1[entry] >> 2 * k & 3) - 1) * 8 + (down ? -1 : 1);
}

static struct unpacked_block iq1_s(const uint8_t *block, size_t part)
{
    const uint8_t *qs = block + 2 + part * 4;
    const unsigned h = (unsigned)block[34 + part * 2] | (unsigned)block[35 + part * 2] << 8;
    struct unpacked_block b = {.scale = {odd_scale(half_at(block) * 0.125f, h >> 12 & 7)}};
    for (unsigned k = 0; k < 4; k++)
        of_iq1(b.w + 8 * k, qs[k] | (h >> 3 * k & 7) << 8, h >> 15);
    return b;
}

static struct unpacked_block iq1_m(const uint8_t *block, size_t part)
{
    const uint8_t *qs = block + part * 4, *qh = block + 32 + part * 2, *s = block + 48;
    const uint16_t bits = (uint16_t)(s[1] >> 4 | s[3] >> 4 << 4 | s[5] >> 4 << 8 | s[7] >> 4 << 12);
    const float d = half_to_float(bits) * 0.125f;
    const unsigned scales =
        ((unsigned)s[part / 2 * 2] | (unsigned)s[part / 2 * 2 + 1] << 8) >> (part % 2 * 6);
    struct unpacked_block b = {
        .scale = {odd_scale(d, scales & 7), odd_scale(d, scales >> 3 & 7)}, .halves = true};
    for (unsigned k = 0; k < 4; k++) {
        const unsigned high = qh[k / 2] >> (k % 2 * 4) & 15;
        of_iq1(b.w + 8 * k, qs[k] | (high & 7) << 8, high >> 3);
    }
    return b;
}

/* ---- products of integers ---- */

static int dot(const int *w, const int8_t *q, size_t n)
{
    int sum = 0;
    for (size_t i = 0; i < n; i++)
        sum += w[i] * q[i];
    return sum;
}

static float add_block(const struct unpacked_block *b, const struct matmul_block *a, float y)
{
    if (b->halves) {
        float low = (float)dot(b->w, a->q, 16), high = (float)dot(b->w + 16, a->q + 16, 16);
        float joined = __builtin_fmaf(high, b->scale[1], low * b->scale[0]);
        if (b->has_min) {
            joined = __builtin_fmaf(b->min[0], (float)-a->minus_half, joined);
            joined = __builtin_fmaf(b->min[1], (float)(a->minus_half - a->minus_sum), joined);
        }
        return __builtin_fmaf(joined, a->d, y);
    }
    y = __builtin_fmaf((float)dot(b->w, a->q, MATMUL_BLOCK), b->scale[0] * a->d, y);
    return b->has_min ? __builtin_fmaf(b->min[0], a->d_sum, y) : y;
}

/* One block of the type has `bytes` bytes and `parts` parts of 32 elements. */
static void int8_tile(struct unpacked_block (*unpack)(const uint8_t *, size_t), size_t bytes, size_t parts,
    const uint8_t *weights, size_t row_bytes, size_t blocks, const struct matmul_block *a, size_t tokens,
    float sums[][MATMUL_ROWS])
{
    for (size_t r = 0; r < MATMUL_ROWS; r++)
        for (size_t b = 0; b < blocks; b++) {
            struct unpacked_block w = unpack(weights + r * row_bytes + b / parts * bytes, b % parts);
            for (size_t t = 0; t < tokens; t++)
                sums[t][r] = add_block(&w, &a[b * tokens + t], sums[t][r]);
        }
}

#define INT8_TILE(type, parts)                                                                               \
    static void tile_##type(const uint8_t *weights, size_t row_bytes, size_t blocks,                         \
        const struct matmul_block *a, size_t tokens, float sums[][MATMUL_ROWS])                              \
    {                                                                                                        \
        int8_tile(type, sizeof(struct block_##type), parts, weights, row_bytes, blocks, a, tokens, sums);    \
    }
INT8_TILE(q4_0, 1)
INT8_TILE(q4_1, 1)
INT8_TILE(q8_0, 1)
INT8_TILE(q4_k, 8)
INT8_TILE(q5_k, 8)
INT8_TILE(q6_k, 8)
INT8_TILE(q5_0, 1)
INT8_TILE(q5_1, 1)
INT8_TILE(q2_k, 8)
INT8_TILE(q3_k, 8)
INT8_TILE(iq4_nl, 1)
INT8_TILE(iq4_xs, 8)
INT8_TILE(mxfp4, 1)

/* One loop for the other types, for size. */
static __attribute__((noinline)) void shared_tile(struct unpacked_block (*unpack)(const uint8_t *, size_t),
    size_t bytes, size_t parts, const uint8_t *weights, size_t row_bytes, size_t blocks,
    const struct matmul_block *a, size_t tokens, float sums[][MATMUL_ROWS])
{
    int8_tile(unpack, bytes, parts, weights, row_bytes, blocks, a, tokens, sums);
}

#undef INT8_TILE
#define INT8_TILE(type, parts)                                                                               \
    static void tile_##type(const uint8_t *weights, size_t row_bytes, size_t blocks,                         \
        const struct matmul_block *a, size_t tokens, float sums[][MATMUL_ROWS])                              \
    {                                                                                                        \
        shared_tile(type, sizeof(struct block_##type), parts, weights, row_bytes, blocks, a, tokens, sums);  \
    }
INT8_TILE(tq1_0, 8)
INT8_TILE(tq2_0, 8)
INT8_TILE(q1_0, 4)
INT8_TILE(q2_0, 2)
INT8_TILE(nvfp4, 2)
INT8_TILE(iq2_xxs, 8)
INT8_TILE(iq2_xs, 8)
INT8_TILE(iq2_s, 8)
INT8_TILE(iq3_xxs, 8)
INT8_TILE(iq3_s, 8)
INT8_TILE(iq1_s, 8)
INT8_TILE(iq1_m, 8)

/* ---- weights in floats ---- */

static void float_tile(void (*to_floats)(float *, const void *, size_t), size_t bytes, const uint8_t *weights,
    size_t row_bytes, size_t steps, const float *x, size_t tokens, float sums[][MATMUL_ROWS])
{
    float w[MATMUL_STEP];
    for (size_t r = 0; r < MATMUL_ROWS; r++)
        for (size_t s = 0; s < steps; s++) {
            to_floats(w, weights + r * row_bytes + s * MATMUL_STEP * bytes, MATMUL_STEP);
            for (size_t t = 0; t < tokens; t++)
                for (size_t i = 0; i < MATMUL_STEP; i++)
                    sums[t][r] = __builtin_fmaf(w[i], x[(s * tokens + t) * MATMUL_STEP + i], sums[t][r]);
        }
}

static void f32(float *out, const void *at, size_t n)
{
    memcpy(out, at, n * sizeof(*out));
}

#define FLOAT_TILE(type, to_floats, bytes)                                                                   \
    static void tile_##type(const uint8_t *weights, size_t row_bytes, size_t steps, const float *x,          \
        size_t tokens, float sums[][MATMUL_ROWS])                                                            \
    {                                                                                                        \
        float_tile(to_floats, bytes, weights, row_bytes, steps, x, tokens, sums);                            \
    }
FLOAT_TILE(f32, f32, 4)
FLOAT_TILE(f16, half_to_floats, 2)
FLOAT_TILE(bf16, bfloat_to_floats, 2)

const struct matmul_kernels matmul_plain = {
    .pack = pack,
    .int8 = {tile_q4_0, tile_q4_1, tile_q8_0, tile_q4_k, tile_q5_k, tile_q6_k, tile_q5_0, tile_q5_1,
        tile_q2_k, tile_q3_k, tile_iq4_nl, tile_iq4_xs, tile_mxfp4, tile_tq1_0, tile_tq2_0, tile_q1_0,
        tile_q2_0, tile_nvfp4, tile_iq2_xxs, tile_iq2_xs, tile_iq2_s, tile_iq3_xxs, tile_iq3_s, tile_iq1_s,
        tile_iq1_m},
    .floats = {tile_f32, tile_f16, tile_bf16},
};
