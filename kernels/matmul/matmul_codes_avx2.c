/* matmul_codes_avx2.c - the 256-bit operations of matmul_codes_impl.h, and its functions that unpack, compiled over
 * them for AVX2 and AVX-VNNI.
 *
 * Codebooks are looked up by gathers.
 */
#include "matmul_256_impl.h"

#define SMALL_OFFSET 16
#define LARGE_OFFSET 64
#define panel ymm_panel
#define source ymm_source
#define CODES_TABLE matmul_256_codes

typedef __m256i words;
typedef __m256 floats;

struct ymm_source {
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

/* A call, for size: a block has few of them. Loads that broadcast and blends, whose masks are constants of the
 * language, take fewer instructions than insertions. */
static __attribute__((noinline)) words one_word(const struct source *s, size_t byte)
{
    words v = broadcast(s->at + byte);
#define PUT(i) v = _mm256_blend_epi32(v, broadcast(s->at + i * s->row_bytes + byte), 1 << i)
    PUT(1), PUT(2), PUT(3), PUT(4), PUT(5), PUT(6), PUT(7);
#undef PUT
    return v;
}

INLINE words with_mask(words v, uint32_t mask)
{
    return _mm256_and_si256(v, _mm256_set1_epi32((int)mask));
}

INLINE words either(words a, words b)
{
    return _mm256_or_si256(a, b);
}

INLINE words differ(words a, words b)
{
    return _mm256_xor_si256(a, b);
}

INLINE words left(words v, unsigned n)
{
    return _mm256_sll_epi32(v, _mm_cvtsi32_si128((int)n));
}

INLINE words right(words v, unsigned n)
{
    return _mm256_srl_epi32(v, _mm_cvtsi32_si128((int)n));
}

INLINE words every_word(uint32_t word)
{
    return _mm256_set1_epi32((int)word);
}

INLINE floats every_float(float value)
{
    return _mm256_set1_ps(value);
}

INLINE floats floats_of(words v)
{
    return _mm256_cvtepi32_ps(v);
}

INLINE floats product_of(floats a, floats b)
{
    return _mm256_mul_ps(a, b);
}

INLINE void halves_of(floats out[2], words v)
{
    both_halves(out, v);
}

INLINE words table_of(const int8_t table[16], int offset)
{
    const __m256i both = _mm256_broadcastsi128_si256(_mm_loadu_si128((const __m128i *)table));
    return _mm256_add_epi8(both, _mm256_set1_epi8((char)offset));
}

INLINE words shuffled(words table, words at)
{
    return _mm256_shuffle_epi8(table, at);
}

/* Each word gets those of its bytes that the bytes of `from` name; 0x80 is a zero. */
INLINE words pick(words v, uint32_t from)
{
    const __m256i base = _mm256_broadcastsi128_si256(_mm_setr_epi32(0, 0x04040404, 0x08080808, 0x0c0c0c0c));
    return _mm256_shuffle_epi8(v, _mm256_or_si256(base, _mm256_set1_epi32((int)from)));
}

/* Minus each half of a word. */
INLINE words minus_halves_of(words v)
{
    return _mm256_sub_epi16(_mm256_setzero_si256(), v);
}

INLINE words triple(words v)
{
    return _mm256_add_epi8(_mm256_add_epi8(v, v), v);
}

/* byte * 3 / 256 */
INLINE words digit_of(words v)
{
    const __m256i less = _mm256_subs_epu8(v, _mm256_set1_epi8(1));
    return bits_of(_mm256_avg_epu8(less, _mm256_avg_epu8(less, _mm256_setzero_si256())), 6, 3);
}

INLINE floats half_ue4m3(words byte)
{
    const __m256i x = with_mask(byte, 127), is_none = _mm256_cmpeq_epi32(byte, _mm256_set1_epi32(127));
    const __m256i small = _mm256_castps_si256(_mm256_mul_ps(floats_of(x), _mm256_set1_ps(0x1p-10f)));
    const __m256i normal = _mm256_add_epi32(_mm256_slli_epi32(x, 20), _mm256_set1_epi32(119 << 23));
    const __m256i is_small = _mm256_cmpgt_epi32(_mm256_set1_epi32(8), x);
    return _mm256_castsi256_ps(_mm256_andnot_si256(is_none, _mm256_blendv_epi8(normal, small, is_small)));
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

/* The entry of each of two numbers in a word. 32 bits are read at each. */
INLINE words entries(const uint16_t *book, size_t size, words at)
{
    (void)size;
    const __m256i low = _mm256_i32gather_epi32((const int *)(const void *)book, with_mask(at, 0xffff), 2);
    const __m256i high =
        _mm256_i32gather_epi32((const int *)(const void *)book, _mm256_srli_epi32(at, 16), 2);
    return _mm256_blend_epi16(low, _mm256_slli_epi32(high, 16), 0xaa);
}

#include "matmul_codes_impl.h"
