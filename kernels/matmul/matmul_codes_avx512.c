/* matmul_codes_avx512.c - the AVX-512 operations of matmul_codes_impl.h, and its kernels compiled over them.
 *
 * Codebooks of 256 entries are looked up in registers, by vpermi2w; larger ones by gathers.
 */
#include "matmul_avx512_impl.h"

#define NOINLINE __attribute__((noinline))
#define LANES 16
#define panel zmm_codes
#define source zmm_source
#define CODES_TABLE matmul_avx512_codes
#define SMALL_OFFSET 16
#define LARGE_OFFSET 64

typedef __m512i words;
typedef __m512 floats;

/* As zmm_panel, for types without minima. */
struct zmm_codes {
    __m512i w[8];
    __m512 scale[2];
};

#include "matmul_codes_private.h"

struct zmm_source {
    struct zmm_rows rows;
};

INLINE struct source source_at(const uint8_t *at, size_t row_bytes)
{
    return (struct source){rows_at(at, row_bytes)};
}

INLINE void four_words(words out[4], const struct source *s, size_t byte)
{
    load_lanes(out, &s->rows, byte);
}

/* Four bytes of each of eight rows, by loads that broadcast and blends, whose masks are constants of the language. */
INLINE __m256i eight_words(const struct zmm_rows *r, size_t row, size_t byte)
{
    __m256i v = _mm256_set1_epi32(word_at(row_at(r, row, byte)));
#define PUT(i) v = _mm256_blend_epi32(v, _mm256_set1_epi32(word_at(row_at(r, row + i, byte))), 1 << i)
    PUT(1), PUT(2), PUT(3), PUT(4), PUT(5), PUT(6), PUT(7);
#undef PUT
    return v;
}

/* A call, for size: a block has few of them. load_words would also load its masks in each. */
static __attribute__((noinline)) words one_word(const struct source *s, size_t byte)
{
    const __m512i low = _mm512_castsi256_si512(eight_words(&s->rows, 0, byte));
    return _mm512_inserti64x4(low, eight_words(&s->rows, 8, byte), 1);
}

INLINE words with_mask(words v, uint32_t mask)
{
    return _mm512_and_si512(v, _mm512_set1_epi32((int)mask));
}

INLINE words either(words a, words b)
{
    return _mm512_or_si512(a, b);
}

INLINE words differ(words a, words b)
{
    return _mm512_xor_si512(a, b);
}

INLINE words left(words v, unsigned n)
{
    return _mm512_sll_epi32(v, _mm_cvtsi32_si128((int)n));
}

INLINE words right(words v, unsigned n)
{
    return _mm512_srl_epi32(v, _mm_cvtsi32_si128((int)n));
}

INLINE words every_word(uint32_t word)
{
    return _mm512_set1_epi32((int)word);
}

INLINE floats every_float(float value)
{
    return _mm512_set1_ps(value);
}

INLINE floats floats_of(words v)
{
    return _mm512_cvtepi32_ps(v);
}

INLINE floats product_of(floats a, floats b)
{
    return _mm512_mul_ps(a, b);
}

INLINE void halves_of(floats out[2], words v)
{
    both_halves(out, v);
}

INLINE words table_of(const int8_t table[16], int offset)
{
    const __m512i four = _mm512_broadcast_i32x4(_mm_loadu_si128((const __m128i *)table));
    return _mm512_add_epi8(four, _mm512_set1_epi8((char)offset));
}

INLINE words shuffled(words table, words at)
{
    return _mm512_shuffle_epi8(table, at);
}

/* Each word gets those of its bytes that the bytes of `from` name; 0x80 is a zero. */
INLINE words pick(words v, uint32_t from)
{
    const __m512i base = _mm512_set4_epi32(0x0c0c0c0c, 0x08080808, 0x04040404, 0);
    return _mm512_shuffle_epi8(v, _mm512_or_si512(base, _mm512_set1_epi32((int)from)));
}

/* Minus each half of a word. */
INLINE words minus_halves_of(words v)
{
    return _mm512_sub_epi16(_mm512_setzero_si512(), v);
}

INLINE words triple(words v)
{
    return _mm512_add_epi8(_mm512_add_epi8(v, v), v);
}

/* 1 for bytes from 86 on, 2 from 171 on. */
INLINE words digit_of(words v)
{
    const __m512i one = _mm512_set1_epi8(1);
    const __m512i digit = _mm512_maskz_mov_epi8(_mm512_cmpgt_epu8_mask(v, _mm512_set1_epi8(85)), one);
    return _mm512_mask_add_epi8(digit, _mm512_cmpgt_epu8_mask(v, _mm512_set1_epi8((char)170)), digit, one);
}

INLINE floats half_ue4m3(words byte)
{
    const __m512i x = with_mask(byte, 127);
    const __m512 small = _mm512_mul_ps(floats_of(x), _mm512_set1_ps(0x1p-10f));
    const __m512 normal =
        _mm512_castsi512_ps(_mm512_add_epi32(_mm512_slli_epi32(x, 20), _mm512_set1_epi32(119 << 23)));
    const __m512 value =
        _mm512_mask_blend_ps(_mm512_cmple_epi32_mask(x, _mm512_set1_epi32(7)), normal, small);
    return _mm512_mask_blend_ps(
        _mm512_cmpeq_epi32_mask(byte, _mm512_set1_epi32(127)), value, _mm512_setzero_ps());
}

INLINE void put(struct panel *p, size_t i, words w, int offset)
{
    (void)offset;
    p->w[i] = w;
}

INLINE void put_level(struct panel *p, size_t i, words w)
{
    p->w[i] = w;
}

/* The entry of each of two numbers in a word: from 64 entries by the lower six bits, or from 128. */
INLINE words of_64(const uint16_t *book, words at)
{
    return _mm512_permutex2var_epi16(_mm512_loadu_si512(book), at, _mm512_loadu_si512(book + 32));
}

INLINE words of_128(const uint16_t *book, words at, __mmask32 bit6)
{
    return _mm512_mask_blend_epi16(bit6, of_64(book, at), of_64(book + 64, at));
}

/* The entry of each of two numbers in a word. 32 bits are gathered at each. */
INLINE words entries(const uint16_t *book, size_t size, words at)
{
    if (size == 256) {
        const __mmask32 bit6 = _mm512_test_epi16_mask(at, _mm512_set1_epi16(64));
        const __mmask32 bit7 = _mm512_test_epi16_mask(at, _mm512_set1_epi16(128));
        return _mm512_mask_blend_epi16(bit7, of_128(book, at, bit6), of_128(book + 128, at, bit6));
    }
    const __m512i low = _mm512_i32gather_epi32(with_mask(at, 0xffff), book, 2);
    const __m512i high = _mm512_i32gather_epi32(_mm512_srli_epi32(at, 16), book, 2);
    return _mm512_mask_blend_epi16(0xaaaaaaaa, low, _mm512_slli_epi32(high, 16));
}

/* ---- products ---- */

/* The activations of a block in an order. */
INLINE __m256i arranged_as(enum order order, const struct matmul_block *a)
{
    const __m256i at = _mm256_broadcastsi128_si256(_mm_loadu_si128((const __m128i *)orders[order]));
    const __m256i q = _mm256_shuffle_epi8(_mm256_loadu_si256((const __m256i *)a->q), at);
    if (order != BY_EIGHTS)
        return q;
    const __m128i low = _mm256_castsi256_si128(q), high = _mm256_extracti128_si256(q, 1);
    return _mm256_set_m128i(_mm_unpackhi_epi16(low, high), _mm_unpacklo_epi16(low, high));
}

static NOINLINE void arrange(
    struct matmul_block *out, const struct matmul_block *a, size_t tokens, enum order order)
{
    for (size_t t = 0; t < tokens; t++) {
        _mm256_storeu_si256((__m256i *)out[t].q, arranged_as(order, a + t));
        _mm_storeu_ps(&out[t].d, _mm_loadu_ps(&a[t].d));
    }
}

/* A call, for size. */
static NOINLINE void prefetch_part(
    const uint8_t *weights, size_t row_bytes, size_t from, size_t to, size_t tokens)
{
    (void)tokens;
    prefetch(weights, row_bytes, MATMUL_ROWS, from, to, prefetches_to_l1(MATMUL_ROWS, row_bytes));
}

/* Two groups' panels as add_block and add_halves take them. */
INLINE void panels_of(struct zmm_panel out[GROUPS], const struct panel p[GROUPS])
{
#pragma GCC unroll 2
    for (size_t g = 0; g < GROUPS; g++) {
#pragma GCC unroll 8
        for (size_t i = 0; i < 8; i++)
            out[g].w[i] = p[g].w[i];
        out[g].scale[0] = p[g].scale[0];
        out[g].scale[1] = p[g].scale[1];
    }
}

static NOINLINE void add_whole(int offset, const struct panel p[GROUPS], const struct matmul_block *a,
    size_t tokens, float sums[][MATMUL_ROWS])
{
    struct zmm_panel panels[GROUPS];
    panels_of(panels, p);
    add_block(panels, a, tokens, sums, offset & 7, false);
}

static NOINLINE void add_both_halves(int offset, const struct panel p[GROUPS], const struct matmul_block *a,
    size_t tokens, float sums[][MATMUL_ROWS])
{
    struct zmm_panel panels[GROUPS];
    panels_of(panels, p);
    add_halves(panels, a, tokens, sums, offset & 7, false);
}

/* `weights` is an enum weights. */
INLINE void add_codes(unsigned weights, const struct panel p[GROUPS], const struct matmul_block *a,
    size_t tokens, float sums[][MATMUL_ROWS])
{
    (by_halves(weights) ? add_both_halves : add_whole)(offsets[weights], p, a, tokens, sums);
}

/* One token: adds all parts of a block. The sums stay in registers. */
static NOINLINE void add_one(unsigned weights, size_t parts, const struct panel (*p)[GROUPS],
    const struct matmul_block *a, enum order order, float sums[MATMUL_ROWS], struct next_rows next)
{
    const int offset = offsets[weights];
    const bool to_l1 = prefetches_to_l1(MATMUL_ROWS, next.row_bytes);
    __m512 y[GROUPS] = {_mm512_load_ps(sums), _mm512_load_ps(sums + 16)};
    for (const struct matmul_block *end = a + parts; a < end; a++, p++, next.at += next.step) {
        prefetch_bytes(next.at, next.step, to_l1);
        _Alignas(32) int8_t q[MATMUL_BLOCK];
        __m512i minus[2], dot[GROUPS][2];
        _mm256_store_si256((__m256i *)q, arranged_as(order, a));
        __asm__ volatile("" ::: "memory"); /* or the compiler broadcasts by shuffles */
        minus_halves(minus, a);
#pragma GCC unroll 2
        for (size_t half = 0; half < 2; half++)
            dot[0][half] = dot[1][half] = times_power(minus[half], offset);
#pragma GCC unroll 8
        for (size_t i = 0; i < 8; i++)
#pragma GCC unroll 2
            for (size_t g = 0; g < GROUPS; g++)
                dot[g][i / 4] = _mm512_dpbusd_epi32(dot[g][i / 4], (*p)[g].w[i], broadcast(q + 4 * i));
        const __m512 d = _mm512_set1_ps(a->d);
#pragma GCC unroll 2
        for (size_t g = 0; g < GROUPS; g++) {
            const struct panel *of = &(*p)[g];
            if (by_halves(weights)) {
                __m512 joined = _mm512_mul_ps(_mm512_cvtepi32_ps(dot[g][0]), of->scale[0]);
                joined = _mm512_fmadd_ps(_mm512_cvtepi32_ps(dot[g][1]), of->scale[1], joined);
                y[g] = _mm512_fmadd_ps(joined, d, y[g]);
            } else {
                const __m512 products = _mm512_cvtepi32_ps(_mm512_add_epi32(dot[g][0], dot[g][1]));
                y[g] = _mm512_fmadd_ps(products, _mm512_mul_ps(of->scale[0], d), y[g]);
            }
        }
    }
    _mm512_store_ps(sums, y[0]);
    _mm512_store_ps(sums + 16, y[1]);
}

INLINE bool adds_one(void)
{
    return true;
}

INLINE bool left_to_other(enum matmul_int8 type, const uint8_t *weights, size_t row_bytes, size_t blocks,
    const struct matmul_block *a, size_t tokens, float sums[][MATMUL_ROWS])
{
    (void)type, (void)weights, (void)row_bytes, (void)blocks, (void)a, (void)tokens, (void)sums;
    return false;
}

#define CODES_LINKAGE(name) void matmul_avx512_##name
#include "matmul_codes_impl.h"
#include "matmul_codes_tile_impl.h"
