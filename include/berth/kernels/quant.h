/* quant.h - the blocks of quantized tensors, and the values of their elements.
 *
 * A quantized row is a row of blocks. A block holds a fixed number of elements as small integers, with one float scale
 * for all of them. Most types of 256 elements also have a small integer scale for each group of 16 or 32. The structs
 * below are the blocks as they lie in a GGUF file, little-endian. The formula above each gives the value of element i.
 * Blocks may lie at any address: copy one out before its fields are read.
 *
 * Formulas are computed in float32: inner brackets first, products before sums, from left to right, each result
 * rounded. F16 scales become float32 first. So the values have the same bits on every machine, and those of ggml's own
 * Python package (`gguf`). Tests compare every faster kernel with them.
 *
 * Notation: bits(x, n, k) are the k bits of x from bit n up. "Halves of nibbles": the low four bits of a group's bytes
 * are its first half, in order, and the high four bits are its second half.
 */
#ifndef BERTH_QUANT_H
#define BERTH_QUANT_H

#include <assert.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#if __BYTE_ORDER__ != __ORDER_LITTLE_ENDIAN__
#error "blocks are read as they lie in the file, which is little-endian"
#endif

/* ---- 32 elements and one scale ---- */

/* d * (q - 8); qs: halves of nibbles */
struct block_q4_0 {
    uint16_t d; /* F16 */
    uint8_t qs[16];
};

/* d * q + m; qs as in q4_0 */
struct block_q4_1 {
    uint16_t d, m; /* F16 */
    uint8_t qs[16];
};

/* d * (q - 16); low four bits in qs as in q4_0, the fifth is bit i of qh */
struct block_q5_0 {
    uint16_t d; /* F16 */
    uint8_t qh[4], qs[16];
};

/* d * q + m; q as in q5_0 */
struct block_q5_1 {
    uint16_t d, m; /* F16 */
    uint8_t qh[4], qs[16];
};

/* d * q */
struct block_q8_0 {
    uint16_t d; /* F16 */
    int8_t qs[32];
};

/* d * q; s is d times the sum of the q, for dot products */
struct block_q8_1 {
    uint16_t d, s; /* F16 */
    int8_t qs[32];
};

/* d * level[q]; qs as in q4_0. The levels are 16 fixed integers, denser around zero */
struct block_iq4_nl {
    uint16_t d; /* F16 */
    uint8_t qs[16];
};

/* 2^(e - 128) * level[q]; qs as in q4_0. The levels are twice the numbers of an e2m1 float: 0, 1, 2, 3, 4, 6,
 * 8, 12, then the same with a minus. A zero is never negative. */
struct block_mxfp4 {
    uint8_t e;
    uint8_t qs[16];
};

/* ---- other sizes, one kind of scale ---- */

/* 64 elements in four groups of 16: d / 2 * level[q] with mxfp4's levels, halves of nibbles within a group.
 * d[group] is a ue4m3 float: four bits of exponent (bias 7), three of fraction; the top bit is ignored, and
 * 0x7f is 0. */
struct block_nvfp4 {
    uint8_t d[4];
    uint8_t qs[32];
};

/* 128 elements: bit i set is d, clear is -d */
struct block_q1_0 {
    uint16_t d; /* F16 */
    uint8_t qs[16];
};

/* 64 elements: d * (q - 1), q = bits(qs[i / 4], 2 * (i % 4), 2) */
struct block_q2_0 {
    uint16_t d; /* F16 */
    uint8_t qs[16];
};

/* 256 elements: d * (q - 1). A byte holds five base-3 digits as a fraction: times 3^k it shows digit k in the
 * top: q = (byte * 3^k mod 256) * 3 / 256. Byte j of qs[0..31] has elements j, j + 32, ... j + 128; byte j of
 * qs[32..47] has 160 + j, 176 + j, ... 224 + j; byte j of qh has 240 + j, ... 252 + j. */
struct block_tq1_0 {
    uint8_t qs[48], qh[4];
    uint16_t d; /* F16 */
};

/* 256 elements: d * (q - 1); q as in q2_k */
struct block_tq2_0 {
    uint8_t qs[64];
    uint16_t d; /* F16 */
};

/* ---- 256 elements in groups with a scale each ---- */

/* (d * low nibble of scales[i / 16]) * q - dmin * its high nibble.
 * qs: each half of the block has 32 bytes; byte j has its elements j, j + 32, j + 64 and j + 96, low bits
 * first. */
struct block_q2_k {
    uint8_t scales[16], qs[64];
    uint16_t d, dmin; /* F16 */
};

/* (d * (scale[i / 16] - 32)) * q; two bits as in q2_k, less 4 unless bit i / 32 of hmask[i % 32] is set.
 * Scale k has six bits: bits(scales[k % 8], k / 8 * 4, 4), and above them
 * bits(scales[8 + k % 4], k / 4 * 2, 2). */
struct block_q3_k {
    uint8_t hmask[32], qs[64], scales[12];
    uint16_t d; /* F16 */
};

/* (d * scale[g]) * q - dmin * min[g] with g = i / 32; qs: halves of nibbles in groups of 64.
 * Scales and minima have six bits. In groups 0 to 3 they are the lower six of scales[g] and of scales[g + 4];
 * in groups 4 to 7 the low and the high nibble of scales[g + 4], and above them the upper two bits of
 * scales[g - 4] and of scales[g]. */
struct block_q4_k {
    uint16_t d, dmin; /* F16 */
    uint8_t scales[12], qs[128];
};

/* as q4_k; the fifth bit of q is bit g of qh[i % 32] */
struct block_q5_k {
    uint16_t d, dmin; /* F16 */
    uint8_t scales[12], qh[32], qs[128];
};

/* (d * scales[i / 16]) * (q - 32); ql: the low four bits, halves of nibbles in groups of 128; qh: the upper
 * two, laid as q2_k's */
struct block_q6_k {
    uint8_t ql[128], qh[64];
    int8_t scales[16];
    uint16_t d; /* F16 */
};

/* d * q; bsums are the sums of 16 q each, for dot products */
struct block_q8_k {
    float d;
    int8_t qs[256];
    int16_t bsums[16];
};

/* (d * (scale[g] - 32)) * level[q], g = i / 32, with iq4_nl's levels; qs: halves of nibbles in groups of 32.
 * Scale g has six bits: nibble g of scales_l, above them bits(scales_h, 2 * g, 2). */
struct block_iq4_xs {
    uint16_t d; /* F16 */
    uint16_t scales_h;
    uint8_t scales_l[4], qs[128];
};

/* ---- 256 elements, by codebook ----
 *
 * These types store the number of an entry in a codebook (quant_tables.c) for each four or eight elements, and the
 * signs of the elements. A set sign bit is a minus. Where seven bits give the signs of eight elements, the eighth sign
 * makes the number of minuses even. Entry e belongs to the e-th eight (or four) elements. */

/* Per 32 elements two 32-bit words: four entries, a byte each; then four times seven bits of signs and, in
 * the top four bits, the scale s. ((d * (0.5 + s)) * 0.25) * codebook * sign */
struct block_iq2_xxs {
    uint16_t d; /* F16 */
    uint16_t qs[32];
};

/* qs[e]: nine bits of entry, seven of signs; s = nibble i / 16 of scales; value as iq2_xxs */
struct block_iq2_xs {
    uint16_t d; /* F16 */
    uint16_t qs[32];
    uint8_t scales[8];
};

/* Entry: qs[e], above it bits(qh[e / 4], e % 4 * 2, 2); signs[e]; scales and value as iq2_xs */
struct block_iq2_s {
    uint16_t d; /* F16 */
    uint8_t qs[32], signs[32], qh[8], scales[8];
};

/* Entries of four: qs[e]; signs and scale in a word per 32 elements as in iq2_xxs.
 * ((d * (0.5 + s)) * 0.5) * codebook * sign */
struct block_iq3_xxs {
    uint16_t d; /* F16 */
    uint8_t qs[64], signs[32];
};

/* Entries of four: qs[e], above it bit e % 8 of qh[e / 8]; signs[i / 8]; s = nibble i / 32 of scales.
 * (d * (1 + 2 * s)) * codebook * sign */
struct block_iq3_s {
    uint16_t d; /* F16 */
    uint8_t qs[64], qh[8], signs[32], scales[4];
};

/* Entry: qs[e], above it bits(qh[e / 4], e % 4 * 3, 3). With h = qh[i / 32], s = bits(h, 12, 3), and the
 * shift is 0.125 or, when h's top bit is set, -0.125. (d * (2 * s + 1)) * (codebook + shift) */
struct block_iq1_s {
    uint16_t d; /* F16 */
    uint8_t qs[32];
    uint16_t qh[8];
};

/* Entry: qs[e], above it the low three bits of nibble e of qh, whose fourth makes the shift negative.
 * s = bits(scales[i / 64], i / 16 % 4 * 3, 3). d, an F16, is put together from the top four bits of the four
 * scales, the first one lowest. Value as iq1_s */
struct block_iq1_m {
    uint8_t qs[32], qh[16];
    uint16_t scales[4];
};

static_assert(sizeof(struct block_q4_0) == 18, "q4_0");
static_assert(sizeof(struct block_q4_1) == 20, "q4_1");
static_assert(sizeof(struct block_q5_0) == 22, "q5_0");
static_assert(sizeof(struct block_q5_1) == 24, "q5_1");
static_assert(sizeof(struct block_q8_0) == 34, "q8_0");
static_assert(sizeof(struct block_q8_1) == 36, "q8_1");
static_assert(sizeof(struct block_iq4_nl) == 18, "iq4_nl");
static_assert(sizeof(struct block_mxfp4) == 17, "mxfp4");
static_assert(sizeof(struct block_nvfp4) == 36, "nvfp4");
static_assert(sizeof(struct block_q1_0) == 18, "q1_0");
static_assert(sizeof(struct block_q2_0) == 18, "q2_0");
static_assert(sizeof(struct block_tq1_0) == 54, "tq1_0");
static_assert(sizeof(struct block_tq2_0) == 66, "tq2_0");
static_assert(sizeof(struct block_q2_k) == 84, "q2_k");
static_assert(sizeof(struct block_q3_k) == 110, "q3_k");
static_assert(sizeof(struct block_q4_k) == 144, "q4_k");
static_assert(sizeof(struct block_q5_k) == 176, "q5_k");
static_assert(sizeof(struct block_q6_k) == 210, "q6_k");
static_assert(sizeof(struct block_q8_k) == 292, "q8_k");
static_assert(sizeof(struct block_iq4_xs) == 136, "iq4_xs");
static_assert(sizeof(struct block_iq2_xxs) == 66, "iq2_xxs");
static_assert(sizeof(struct block_iq2_xs) == 74, "iq2_xs");
static_assert(sizeof(struct block_iq2_s) == 82, "iq2_s");
static_assert(sizeof(struct block_iq3_xxs) == 98, "iq3_xxs");
static_assert(sizeof(struct block_iq3_s) == 110, "iq3_s");
static_assert(sizeof(struct block_iq1_s) == 50, "iq1_s");
static_assert(sizeof(struct block_iq1_m) == 56, "iq1_m");

/* ---- values ---- */

/* How plain C reads one type of tensor, quantized or not. */
struct quant {
    uint32_t id; /* enum tensor_type_id, tensor.h */
    uint32_t block_elems, block_bytes;
    /* One of the two is set: `block` reads one block that is aligned as its struct is, `row` reads n numbers at any
     * address. */
    void (*block)(float *out, const void *block);
    void (*row)(float *out, const void *numbers, size_t n);
};

/* Returns the type with this id, or NULL. Every type of tensor.h has one. */
const struct quant *quant_find(uint32_t id);

/* Writes the values of n blocks, which may lie at any address, to out[n * block_elems]. Reads
 * n * block_bytes bytes and no more. */
void quant_to_floats(const struct quant *q, float *out, const void *blocks, size_t n);

/* Entries of the codebooks, for kernels that unpack the types themselves. Element k of entry e is
 *   iq2_*   8, 25 or 43 for bits(book[e], 2 * k, 2), 8 elements
 *   iq1_*   -1, 0 or 1 in the same way
 *   iq3_xxs 4, 12, 20, 28, 36, 44, 52 or 62 for bits(book[e], 4 * k, 4), 4 elements
 *   iq3_s   1, 3, 5, ... 15 in the same way
 * A zero follows the last entry, so that 32 bits may be read at each. */
extern const uint16_t quant_book_iq2_xxs[256 + 1], quant_book_iq2_xs[512 + 1], quant_book_iq2_s[1024 + 1];
extern const uint16_t quant_book_iq3_xxs[256 + 1], quant_book_iq3_s[512 + 1];
extern const uint16_t quant_book_iq1[2048 + 1];

/* Half of a ue4m3 number; every one of them is exact in float32. */
float quant_half_ue4m3(uint8_t x);

/* The levels of iq4_nl and iq4_xs, and those of mxfp4 and nvfp4. */
extern const int8_t quant_levels_iq4[16], quant_levels_fp4[16];

#endif
