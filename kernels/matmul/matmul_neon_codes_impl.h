/* matmul_neon_codes_impl.h - the NEON operations of matmul_codes_impl.h, and its kernels compiled over them.
 *
 * Weights are signed here, so no offset is added to levels. Codebooks are looked up one entry after the other.
 */
#ifndef BERTH_MATMUL_NEON_CODES_IMPL_H
#define BERTH_MATMUL_NEON_CODES_IMPL_H

#include "matmul_neon_int8_impl.h"

#define NOINLINE __attribute__((noinline))
#define LANES 4
#define GROUPS TILE_QUADS
#define SMALL_OFFSET 0
#define LARGE_OFFSET 0
#define panel quad
#define CODES_TABLE matmul_neon_codes /* in matmul_neon.c */
#define source neon_source

#include "matmul_codes_private.h"

typedef uint8x16_t words;
typedef float32x4_t floats;

struct neon_source {
    const uint8_t *at;
    size_t row_bytes;
};

INLINE struct source source_at(const uint8_t *at, size_t row_bytes)
{
    return (struct source){at, row_bytes};
}

INLINE void four_words(words out[4], const struct source *s, size_t byte)
{
    load_lanes(out, s->at + byte, s->row_bytes);
}

INLINE words one_word(const struct source *s, size_t byte)
{
    return load_word_bytes(s->at + byte, s->row_bytes);
}

INLINE words every_word(uint32_t word)
{
    return vreinterpretq_u8_u32(vdupq_n_u32(word));
}

INLINE words with_mask(words v, uint32_t mask)
{
    return vandq_u8(v, every_word(mask));
}

INLINE words either(words a, words b)
{
    return vorrq_u8(a, b);
}

INLINE words differ(words a, words b)
{
    return veorq_u8(a, b);
}

INLINE words left(words v, unsigned n)
{
    return vreinterpretq_u8_u32(vshlq_u32(vreinterpretq_u32_u8(v), vdupq_n_s32((int)n)));
}

INLINE words right(words v, unsigned n)
{
    return vreinterpretq_u8_u32(vshlq_u32(vreinterpretq_u32_u8(v), vdupq_n_s32(-(int)n)));
}

INLINE floats every_float(float value)
{
    return vdupq_n_f32(value);
}

INLINE floats floats_of(words v)
{
    return vcvtq_f32_u32(vreinterpretq_u32_u8(v));
}

INLINE floats product_of(floats a, floats b)
{
    return vmulq_f32(a, b);
}

INLINE void halves_of(floats out[2], words v)
{
    both_halves(out, vreinterpretq_u32_u8(v));
}

INLINE words table_of(const int8_t table[16], int offset)
{
    (void)offset;
    return vreinterpretq_u8_s8(vld1q_s8(table));
}

INLINE words shuffled(words table, words at)
{
    return vqtbl1q_u8(table, vandq_u8(at, vdupq_n_u8(15)));
}

/* Each word gets those of its bytes that the bytes of `from` name; 0x80 is a zero. */
INLINE words pick(words v, uint32_t from)
{
    static const uint8_t base[16] = {0, 0, 0, 0, 4, 4, 4, 4, 8, 8, 8, 8, 12, 12, 12, 12};
    return vqtbl1q_u8(v, vorrq_u8(vld1q_u8(base), every_word(from)));
}

/* Minus each half of a word. */
INLINE words minus_halves_of(words v)
{
    return vreinterpretq_u8_s16(vnegq_s16(vreinterpretq_s16_u8(v)));
}

INLINE words triple(words v)
{
    return vaddq_u8(vaddq_u8(v, v), v);
}

/* byte * 3 / 256 */
INLINE words digit_of(words v)
{
    return vshrq_n_u8(vhaddq_u8(v, vshrq_n_u8(v, 1)), 6);
}

INLINE floats half_ue4m3(words byte)
{
    const uint32x4_t all = vreinterpretq_u32_u8(byte), x = vandq_u32(all, vdupq_n_u32(127));
    const floats small = vmulq_f32(vcvtq_f32_u32(x), vdupq_n_f32(0x1p-10f));
    const uint32x4_t normal = vaddq_u32(vshlq_n_u32(x, 20), vdupq_n_u32(119u << 23));
    const uint32x4_t value = vbslq_u32(vcltq_u32(x, vdupq_n_u32(8)), vreinterpretq_u32_f32(small), normal);
    return vreinterpretq_f32_u32(vbicq_u32(value, vceqq_u32(all, vdupq_n_u32(127))));
}

INLINE void put(struct panel *p, size_t i, words w, int8_t offset)
{
    p->w[i] = less(w, offset);
}

INLINE void put_level(struct panel *p, size_t i, words w)
{
    p->w[i] = vreinterpretq_s8_u8(w);
}

/* The entry of each of two numbers in a word. */
INLINE words entries(const uint16_t *book, size_t size, words at)
{
    (void)size;
    uint16_t each[8];
    vst1q_u16(each, vreinterpretq_u16_u8(at));
#pragma GCC unroll 8
    for (size_t i = 0; i < 8; i++)
        each[i] = book[each[i]];
    return vreinterpretq_u8_u16(vld1q_u16(each));
}

/* ---- products ---- */

static NOINLINE void arrange(
    struct matmul_block *out, const struct matmul_block *a, size_t tokens, enum order order)
{
    const uint8x16_t at = vld1q_u8(orders[order]);
    for (size_t t = 0; t < tokens; t++) {
        out[t] = a[t];
        int8x16_t first = vqtbl1q_s8(vld1q_s8(a[t].q), at), last = vqtbl1q_s8(vld1q_s8(a[t].q + 16), at);
        if (order == BY_EIGHTS) {
            const int16x8_t low = vreinterpretq_s16_s8(first), high = vreinterpretq_s16_s8(last);
            first = vreinterpretq_s8_s16(vzip1q_s16(low, high));
            last = vreinterpretq_s8_s16(vzip2q_s16(low, high));
        }
        vst1q_s8(out[t].q, first);
        vst1q_s8(out[t].q + 16, last);
    }
}

INLINE void prefetch_part(const uint8_t *weights, size_t row_bytes, size_t from, size_t to, size_t tokens)
{
    prefetch(weights, row_bytes, from, to, tokens);
}

/* From four elements of each row in a lane to what add_block takes. */
INLINE void as_payload(struct panel *p)
{
#if defined(__ARM_FEATURE_MATMUL_INT8)
#pragma GCC unroll 2
    for (size_t i = 0; i < 8; i += 4) {
        const int32x4_t a = vreinterpretq_s32_s8(p->w[i]), b = vreinterpretq_s32_s8(p->w[i + 1]);
        const int32x4_t c = vreinterpretq_s32_s8(p->w[i + 2]), d = vreinterpretq_s32_s8(p->w[i + 3]);
        p->w[i] = vreinterpretq_s8_s32(vzip1q_s32(a, b));
        p->w[i + 1] = vreinterpretq_s8_s32(vzip1q_s32(c, d));
        p->w[i + 2] = vreinterpretq_s8_s32(vzip2q_s32(a, b));
        p->w[i + 3] = vreinterpretq_s8_s32(vzip2q_s32(c, d));
    }
#else
    (void)p;
#endif
}

INLINE void add_panels(struct panel p[GROUPS], const struct matmul_block *a, size_t tokens,
    float (*sums)[MATMUL_ROWS], enum step step)
{
    for (size_t q = 0; q < GROUPS; q += QUADS) {
#pragma GCC unroll 2
        for (size_t i = 0; i < QUADS; i++)
            as_payload(&p[q + i]);
        add_block(p + q, a, tokens, quad_sums(sums, q), step);
    }
}

static NOINLINE void add_whole(
    struct panel p[GROUPS], const struct matmul_block *a, size_t tokens, float (*sums)[MATMUL_ROWS])
{
    add_panels(p, a, tokens, sums, ONE_SCALE);
}

static NOINLINE void add_both_halves(
    struct panel p[GROUPS], const struct matmul_block *a, size_t tokens, float (*sums)[MATMUL_ROWS])
{
    add_panels(p, a, tokens, sums, HALVES);
}

/* `weights` is an enum weights. */
INLINE void add_codes(unsigned weights, struct panel p[GROUPS], const struct matmul_block *a, size_t tokens,
    float (*sums)[MATMUL_ROWS])
{
    if (by_halves(weights))
        add_both_halves(p, a, tokens, sums);
    else
        add_whole(p, a, tokens, sums);
}

/* One token goes the way of many, without add_one. */
INLINE bool adds_one(void)
{
    return false;
}

INLINE void add_one(unsigned weights, size_t parts, const struct panel (*p)[GROUPS],
    const struct matmul_block *a, enum order order, float *sums, struct next_rows next)
{
    (void)weights, (void)parts, (void)p, (void)a, (void)order, (void)sums, (void)next;
}

/* One token is left to the set whose instruction suits it. */
INLINE bool left_to_other(enum matmul_int8 type, const uint8_t *weights, size_t row_bytes, size_t blocks,
    const struct matmul_block *a, size_t tokens, float sums[][MATMUL_ROWS])
{
    if (!leaves_to_sdot(tokens))
        return false;
    matmul_dotprod.int8[type](weights, row_bytes, blocks, a, tokens, sums);
    return true;
}

#define CODES_LINKAGE(name) static void tile_##name
#include "matmul_codes_tile_impl.h"

/* ---- the table ---- */

#define MATMUL_SET_OF_NEON                                                                                   \
    {                                                                                                        \
        .pack = matmul_neon_pack,                                                                            \
        .int8 = {tile_q4_0, tile_q4_1, tile_q8_0, tile_q4_k, tile_q5_k, tile_q6_k, tile_q5_0, tile_q5_1,     \
            tile_q2_k, tile_q3_k, tile_iq4_nl, tile_iq4_xs, tile_mxfp4, MATMUL_CODES},                       \
        .floats = {matmul_neon_f32, matmul_neon_f16, matmul_neon_bf16},                                      \
    }

#endif
