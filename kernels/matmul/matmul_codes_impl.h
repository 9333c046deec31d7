/* matmul_codes_impl.h - kernels of ternary types, of one and two bits, of NVFP4, and of those with codebooks.
 *
 * Compiled for each instruction set over the few operations that the file before the include defines: on `words`, a
 * vector with a word of 32 bits for each row. A function a type unpacks a whole block of one group of rows into
 * panels, one for each 32 elements; the set's own functions multiply panels by tokens. Panels go through L1, so one
 * copy of the code serves any number of tokens.
 *
 * Most of these types have codes of two or four bits that lie one after the other in a word. A mask and a shift give
 * every fourth or every second code, so a panel has the elements in another order. Integer sums are exact in any
 * order, so the activations of a block are rearranged instead, once for all rows of a tile.
 *
 * A codebook's entry is sixteen bits, codes of four or eight elements. What lies beside them, signs or the direction
 * of a shift, becomes a further bit of each code, and one byte shuffle turns a code into a weight.
 */
#ifndef BERTH_MATMUL_CODES_IMPL_H
#define BERTH_MATMUL_CODES_IMPL_H

#include "matmul_codes_private.h"

/* ---- levels: a code, and above it the bit that lies beside it ---- */

static const int8_t levels_iq2[16] = {8, 25, 43, 0, -8, -25, -43, 0};
static const int8_t levels_iq1[16] = {-7, 1, 9, 0, -9, -1, 7, 0};
static const int8_t levels_iq3_xxs[16] = {
    4, 12, 20, 28, 36, 44, 52, 62, -4, -12, -20, -28, -36, -44, -52, -62};
static const int8_t levels_iq3_s[16] = {1, 3, 5, 7, 9, 11, 13, 15, -1, -3, -5, -7, -9, -11, -13, -15};

/* ---- parts of words ---- */

/* Byte `i` of each word. */
INLINE words byte_at(words v, size_t i)
{
    return with_mask(right(v, (unsigned)(8 * i)), 255);
}

/* Bits 16 * half to 16 * half + 15 become the four nibbles of the word's bytes. */
INLINE words nibbles_of(words v, size_t half)
{
    const words twice = pick(v, half ? 0x03030202 : 0x01010000);
    return either(with_mask(twice, 0x000f000f), with_mask(right(twice, 4), 0x0f000f00));
}

/* Two bytes of each word, each widened to 16 bits. */
INLINE words two_bytes(words v, size_t half)
{
    return pick(v, half ? 0x80038002 : 0x80018000);
}

/* Seven signs in each byte become eight: the number of minuses is even. */
INLINE words even_signs_of(words seven)
{
    static const int8_t odd[16] = {0, -128, -128, 0, -128, 0, 0, -128, -128, 0, 0, -128, 0, -128, -128, 0};
    const words parity = table_of(odd, 0);
    const words low = shuffled(parity, bits_of(seven, 0, 15)), high = shuffled(parity, bits_of(seven, 4, 15));
    return differ(seven, differ(low, high));
}

/* The signs of iq2_xxs and iq3_xxs: four times seven bits. */
INLINE words packed_signs(words v)
{
    const words even = either(with_mask(v, 0x7f), with_mask(left(v, 2), 0x7f0000));
    const words odd = either(with_mask(left(v, 1), 0x7f00), with_mask(left(v, 3), 0x7f000000));
    return even_signs_of(either(even, odd));
}

/* d * (2 * s + 1) */
INLINE floats odd_scale(floats d, words s)
{
    return product_of(d, floats_of(either(left(s, 1), every_word(1))));
}

INLINE floats first_float(const struct source *s, size_t byte)
{
    floats halves[2];
    halves_of(halves, one_word(s, byte));
    return halves[0];
}

INLINE floats second_float(const struct source *s, size_t byte)
{
    floats halves[2];
    halves_of(halves, one_word(s, byte));
    return halves[1];
}

/* ---- panels ---- */

/* The further bits of sixteen codes: those of the codes 0 and 2 of each byte are bits 2 and 6 of `even`, those of the
 * codes 1 and 3 the same bits of `odd`. */
struct further {
    words even, odd;
};

/* From nibbles with a bit for each code. */
INLINE struct further further_of(words nibbles)
{
    static const int8_t even[16] = {0, 4, 0, 4, 64, 68, 64, 68, 0, 4, 0, 4, 64, 68, 64, 68};
    static const int8_t odd[16] = {0, 0, 4, 4, 0, 0, 4, 4, 64, 64, 68, 68, 64, 64, 68, 68};
    return (struct further){shuffled(table_of(even, 0), nibbles), shuffled(table_of(odd, 0), nibbles)};
}

/* Sixteen codes of two bits. Those that lie in the upper nibble are shifted down with what lies above them, which the
 * shuffle ignores: it looks at the lower nibble, and at the uppermost bit, which is zero. */
INLINE void put_fours(struct panel *p, size_t half, words codes, struct further bits, words levels)
{
    const words even = either(with_mask(codes, 0x33333333), bits.even);
    const words odd = either(with_mask(right(codes, 2), 0x33333333), bits.odd);
    put_level(p, 4 * half, shuffled(levels, even));
    put_level(p, 4 * half + 1, shuffled(levels, odd));
    put_level(p, 4 * half + 2, shuffled(levels, right(even, 4)));
    put_level(p, 4 * half + 3, shuffled(levels, right(odd, 4)));
}

/* Eight codes of three bits in nibbles, of which byte `i` of `signs` is the uppermost. */
INLINE void put_twos(struct panel *p, size_t i, words codes, words signs, words levels)
{
    /* Two bits of a byte, moved to its lower nibble, and where they belong in a byte of two codes. */
    static const int8_t places[16] = {0, 8, -128, -120, 8, 0, 0, 0, -128, 0, 0, 0, -120, 0, 0, 0};
    const words both = with_mask(pick(signs, 0x01010101 * (uint32_t)i), 0xc0300c03);
    const words low = bits_of(either(both, right(both, 4)), 0, 15);
    codes = either(codes, shuffled(table_of(places, 0), low));
    put_level(p, 2 * i, shuffled(levels, bits_of(codes, 0, 15)));
    put_level(p, 2 * i + 1, shuffled(levels, bits_of(codes, 4, 15)));
}

/* ---- a function a type ---- */

static void unpack_tq2_0(struct panel *p, size_t step, const uint8_t *at, size_t row_bytes)
{
    const struct source s = source_at(at, row_bytes);
    const floats d = second_float(&s, 62);
    for (size_t half = 0; half < 2; half++) {
        words v[8];
        four_words(v, &s, half * 32);
        four_words(v + 4, &s, half * 32 + 16);
#pragma GCC unroll 4
        for (unsigned k = 0; k < 4; k++, p += step) {
            p->scale[0] = d;
#pragma GCC unroll 8
            for (size_t i = 0; i < 8; i++)
                put(p, i, bits_of(v[i], 2 * k, 3), 1);
        }
    }
}

/* The next digit of each byte, which is byte * 3 / 256, and what is left, byte * 3 % 256. */
INLINE void put_digit(struct panel *p, size_t i, words *v)
{
    put(p, i, digit_of(*v), 1);
    *v = triple(*v);
}

static void unpack_tq1_0(struct panel *p, size_t step, const uint8_t *at, size_t row_bytes)
{
    const struct source s = source_at(at, row_bytes);
    const floats d = second_float(&s, 50);
    words v[12], last = one_word(&s, 48);
    for (size_t i = 0; i < 3; i++)
        four_words(v + 4 * i, &s, 16 * i);
    for (size_t k = 0; k < 8; k++)
        p[k * step].scale[0] = d;
    for (size_t k = 0; k < 5; k++) {
#pragma GCC unroll 8
        for (size_t i = 0; i < 8; i++)
            put_digit(p + k * step, i, &v[i]);
#pragma GCC unroll 4
        for (size_t i = 0; i < 4; i++)
            put_digit(p + (5 + k / 2) * step, k % 2 * 4 + i, &v[8 + i]);
        if (k < 4)
            put_digit(p + 7 * step, 4 + k, &last);
    }
}

static void unpack_q1_0(struct panel *p, size_t step, const uint8_t *at, size_t row_bytes)
{
    const struct source s = source_at(at, row_bytes);
    const floats d = first_float(&s, 0);
    words v[4];
    four_words(v, &s, 2);
    for (size_t k = 0; k < 4; k++, p += step) {
        p->scale[0] = d;
        put(p, 0, with_mask(left(v[k], 1), 0x02020202), 1);
#pragma GCC unroll 8
        for (unsigned i = 1; i < 8; i++)
            put(p, i, bits_of(v[k], i - 1, 2), 1);
    }
}

static void unpack_q2_0(struct panel *p, size_t step, const uint8_t *at, size_t row_bytes)
{
    const struct source s = source_at(at, row_bytes);
    const floats d = first_float(&s, 0);
    words v[4];
    four_words(v, &s, 2);
#pragma GCC unroll 2
    for (size_t k = 0; k < 2; k++, p += step) {
        p->scale[0] = d;
#pragma GCC unroll 8
        for (unsigned i = 0; i < 8; i++)
            put(p, i, bits_of(v[2 * k + i / 4], i % 4 * 2, 3), 1);
    }
}

static void unpack_nvfp4(struct panel *p, size_t step, const uint8_t *at, size_t row_bytes)
{
    const struct source s = source_at(at, row_bytes);
    const words d = one_word(&s, 0), levels = table_of(quant_levels_fp4, SMALL_OFFSET);
    for (size_t k = 0; k < 2; k++, p += step) {
        words v[4];
        four_words(v, &s, 4 + 16 * k);
        for (size_t i = 0; i < 2; i++)
            p->scale[i] = half_ue4m3(byte_at(d, 2 * k + i));
#pragma GCC unroll 8
        for (unsigned i = 0; i < 8; i++)
            put_level(p, i, shuffled(levels, bits_of(v[i / 4 * 2 + i % 2], i / 2 % 2 * 4, 15)));
    }
}

/* As four_words, by a call: for types that wait for lookups, so that size counts more. */
static __attribute__((noinline)) void called_words(words out[4], const struct source *s, size_t byte)
{
    four_words(out, s, byte);
}

static void unpack_iq2_xxs(struct panel *p, size_t step, const uint8_t *at, size_t row_bytes)
{
    const struct source s = source_at(at, row_bytes);
    const words levels = table_of(levels_iq2, LARGE_OFFSET);
    const floats d = product_of(first_float(&s, 0), every_float(0.125f));
    for (size_t k = 0; k < 8; k += 2) {
        words v[4];
        called_words(v, &s, 2 + 8 * k);
        for (size_t j = 0; j < 4; j += 2, p += step) {
            const words signs = packed_signs(v[j + 1]);
            p->scale[0] = odd_scale(d, right(v[j + 1], 28));
            for (size_t half = 0; half < 2; half++)
                put_fours(p, half, entries(quant_book_iq2_xxs, 256, two_bytes(v[j], half)),
                    further_of(nibbles_of(signs, half)), levels);
        }
    }
}

/* The scales of both halves, from a byte of two nibbles. */
INLINE void two_scales(struct panel *p, floats d, words byte)
{
    p->scale[0] = odd_scale(d, with_mask(byte, 15));
    p->scale[1] = odd_scale(d, right(byte, 4));
}

static void unpack_iq2_xs(struct panel *p, size_t step, const uint8_t *at, size_t row_bytes)
{
    const struct source s = source_at(at, row_bytes);
    const words levels = table_of(levels_iq2, LARGE_OFFSET);
    const floats d = product_of(first_float(&s, 0), every_float(0.125f));
    words scales[4];
    called_words(scales, &s, 58); /* the last two are scales */
    for (size_t k = 0; k < 8; k += 2) {
        words v[4];
        called_words(v, &s, 2 + 8 * k);
        for (size_t j = 0; j < 2; j++, p += step) {
            /* Signs of the entries 0, 2, 1 and 3. */
            const words mixed = either(
                with_mask(right(v[2 * j], 9), 0x007f007f), with_mask(right(v[2 * j + 1], 1), 0x7f007f00));
            const words signs = even_signs_of(pick(mixed, 0x03010200));
            two_scales(p, d, byte_at(scales[2 + k / 4], (k + j) % 4));
            for (size_t half = 0; half < 2; half++)
                put_fours(p, half, entries(quant_book_iq2_xs, 512, with_mask(v[2 * j + half], 0x01ff01ff)),
                    further_of(nibbles_of(signs, half)), levels);
        }
    }
}

static void unpack_iq2_s(struct panel *p, size_t step, const uint8_t *at, size_t row_bytes)
{
    const struct source s = source_at(at, row_bytes);
    const words levels = table_of(levels_iq2, LARGE_OFFSET);
    const floats d = product_of(first_float(&s, 0), every_float(0.125f));
    words high[4]; /* the last two are scales */
    called_words(high, &s, 66);
    for (size_t k = 0; k < 8; k += 4) {
        words v[4], signs[4];
        called_words(v, &s, 2 + 4 * k);
        called_words(signs, &s, 34 + 4 * k);
        for (size_t j = 0; j < 4; j++, p += step) {
            const words qh = byte_at(high[k / 4], j);
            two_scales(p, d, byte_at(high[2 + k / 4], j));
            for (unsigned half = 0; half < 2; half++) {
                const words upper = either(with_mask(left(right(qh, 4 * half), 8), 0x300),
                    with_mask(left(right(qh, 4 * half), 22), 0x3000000));
                put_fours(p, half, entries(quant_book_iq2_s, 1024, either(two_bytes(v[j], half), upper)),
                    further_of(nibbles_of(signs[j], half)), levels);
            }
        }
    }
}

static void unpack_iq3_xxs(struct panel *p, size_t step, const uint8_t *at, size_t row_bytes)
{
    const struct source s = source_at(at, row_bytes);
    const words levels = table_of(levels_iq3_xxs, LARGE_OFFSET);
    const floats d = product_of(first_float(&s, 0), every_float(0.25f));
    words rest[8];
    called_words(rest, &s, 66);
    called_words(rest + 4, &s, 82);
    for (size_t k = 0; k < 8; k += 2) {
        words v[4];
        called_words(v, &s, 2 + 8 * k);
        for (size_t j = 0; j < 2; j++, p += step) {
            const words signs = packed_signs(rest[k + j]);
            p->scale[0] = odd_scale(d, right(rest[k + j], 28));
#pragma GCC unroll 4
            for (size_t i = 0; i < 4; i++)
                put_twos(p, i, entries(quant_book_iq3_xxs, 256, two_bytes(v[2 * j + i / 2], i % 2)), signs,
                    levels);
        }
    }
}

static void unpack_iq3_s(struct panel *p, size_t step, const uint8_t *at, size_t row_bytes)
{
    const struct source s = source_at(at, row_bytes);
    const words levels = table_of(levels_iq3_s, SMALL_OFFSET);
    const floats d = first_float(&s, 0);
    words rest[11]; /* two words of ninth bits, eight of signs, one of scales */
    called_words(rest, &s, 66);
    called_words(rest + 4, &s, 82);
    called_words(rest + 7, &s, 94);
    for (size_t k = 0; k < 8; k += 2) {
        words v[4];
        called_words(v, &s, 2 + 8 * k);
        for (size_t j = 0; j < 2; j++, p += step) {
            const words qh = byte_at(rest[k / 4], (k + j) % 4), signs = rest[2 + k + j];
            p->scale[0] = odd_scale(d, with_mask(right(rest[10], (unsigned)(4 * (k + j))), 15));
#pragma GCC unroll 4
            for (unsigned i = 0; i < 4; i++) {
                const words upper = either(with_mask(left(right(qh, 2 * i), 8), 0x100),
                    with_mask(left(right(qh, 2 * i), 23), 0x1000000));
                put_twos(p, i,
                    entries(quant_book_iq3_s, 512, either(two_bytes(v[2 * j + i / 2], i % 2), upper)), signs,
                    levels);
            }
        }
    }
}

static void unpack_iq1_s(struct panel *p, size_t step, const uint8_t *at, size_t row_bytes)
{
    const struct source s = source_at(at, row_bytes);
    const words levels = table_of(levels_iq1, SMALL_OFFSET);
    const floats d = product_of(first_float(&s, 0), every_float(0.125f));
    words high[4];
    called_words(high, &s, 34);
    for (size_t k = 0; k < 8; k += 4) {
        words v[4];
        called_words(v, &s, 2 + 4 * k);
        for (unsigned j = 0; j < 4; j++, p += step) {
            const words h = with_mask(right(high[k / 2 + j / 2], j % 2 * 16), 0xffff), top = right(h, 15);
            const words down = with_mask(minus_halves_of(either(top, left(top, 16))), 0x44444444);
            p->scale[0] = odd_scale(d, with_mask(right(h, 12), 7));
            for (unsigned half = 0; half < 2; half++) {
                const words upper = either(with_mask(left(right(h, 6 * half), 8), 0x700),
                    with_mask(left(right(h, 6 * half), 21), 0x7000000));
                put_fours(p, half, entries(quant_book_iq1, 2048, either(two_bytes(v[j], half), upper)),
                    (struct further){down, down}, levels);
            }
        }
    }
}

static void unpack_iq1_m(struct panel *p, size_t step, const uint8_t *at, size_t row_bytes)
{
    const struct source s = source_at(at, row_bytes);
    const words levels = table_of(levels_iq1, SMALL_OFFSET);
    words high[4], scales[4]; /* the last two are scales, and in their upper bits d */
    called_words(high, &s, 32);
    called_words(scales, &s, 40);
    const words d_low = either(with_mask(right(scales[2], 12), 0xf), with_mask(right(scales[2], 24), 0xf0));
    const words d_high =
        either(with_mask(right(scales[3], 4), 0xf00), with_mask(right(scales[3], 16), 0xf000));
    floats d[2];
    halves_of(d, either(d_low, d_high));
    d[0] = product_of(d[0], every_float(0.125f));
    for (size_t k = 0; k < 8; k += 4) {
        words v[4];
        called_words(v, &s, 4 * k);
        for (unsigned j = 0; j < 4; j++, p += step) {
            const words h = right(high[k / 2 + j / 2], j % 2 * 16);
            const words both = right(scales[2 + k / 4], j / 2 * 16 + j % 2 * 6);
            for (unsigned half = 0; half < 2; half++) {
                const words upper = either(with_mask(left(right(h, 8 * half), 8), 0x700),
                    with_mask(left(right(h, 8 * half), 20), 0x7000000));
                const words down = with_mask(minus_halves_of(either(with_mask(right(h, 8 * half + 3), 1),
                                                 with_mask(left(right(h, 8 * half + 3), 12), 0x10000))),
                    0x44444444);
                p->scale[half] = odd_scale(d[0], with_mask(right(both, 3 * half), 7));
                put_fours(p, half, entries(quant_book_iq1, 2048, either(two_bytes(v[j], half), upper)),
                    (struct further){down, down}, levels);
            }
        }
    }
}

/* ---- the types ---- */

#define CODES(name, n, how, what)                                                                            \
    {                                                                                                        \
        .unpack = unpack_##name, .bytes = sizeof(struct block_##name), .parts = n, .order = how,             \
        .weights = what                                                                                      \
    }

/* clang-format off */
const struct codes CODES_TABLE[MATMUL_INT8] = {
    [MATMUL_TQ1_0]   = CODES(tq1_0, 8, IN_ORDER, TERNARY),
    [MATMUL_TQ2_0]   = CODES(tq2_0, 8, IN_ORDER, TERNARY),
    [MATMUL_Q1_0]    = CODES(q1_0, 4, BY_EIGHTS, TERNARY),
    [MATMUL_Q2_0]    = CODES(q2_0, 2, BY_FOURS, TERNARY),
    [MATMUL_NVFP4]   = CODES(nvfp4, 2, IN_ORDER, SMALL_HALVES),
    [MATMUL_IQ2_XXS] = CODES(iq2_xxs, 8, BY_FOURS, LARGE),
    [MATMUL_IQ2_XS]  = CODES(iq2_xs, 8, BY_FOURS, LARGE_HALVES),
    [MATMUL_IQ2_S]   = CODES(iq2_s, 8, BY_FOURS, LARGE_HALVES),
    [MATMUL_IQ3_XXS] = CODES(iq3_xxs, 8, BY_TWOS, LARGE),
    [MATMUL_IQ3_S]   = CODES(iq3_s, 8, BY_TWOS, SMALL),
    [MATMUL_IQ1_S]   = CODES(iq1_s, 8, BY_FOURS, SMALL),
    [MATMUL_IQ1_M]   = CODES(iq1_m, 8, BY_FOURS, SMALL_HALVES),
};
/* clang-format on */

#endif
