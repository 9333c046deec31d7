/* quant_iq.c - blocks of 256 elements that name entries of a codebook.
 *
 * The order of the float operations is that of the formulas in quant.h. An entry is
 * eight elements, or four; a sign is a multiplication by 1 or -1, so it is exact wherever it stands.
 */
#include "quant_private.h"

#include "berth/base/half.h"

#include <string.h>

/* Element k of a codebook entry, for codebooks with entries of eight and of four elements. */
static int of_iq2(uint16_t packed, unsigned k)
{
    static const uint8_t worth[4] = {8, 25, 43, 0};
    return worth[quant_bits(packed, 2 * k, 2)];
}

static int of_iq1(uint16_t packed, unsigned k)
{
    return (int)quant_bits(packed, 2 * k, 2) - 1;
}

static int of_iq3_xxs(uint16_t packed, unsigned k)
{
    static const uint8_t worth[8] = {4, 12, 20, 28, 36, 44, 52, 62};
    return worth[quant_bits(packed, 4 * k, 3)];
}

static int of_iq3_s(uint16_t packed, unsigned k)
{
    return (int)quant_bits(packed, 4 * k, 3) * 2 + 1;
}

static float sign(unsigned signs, unsigned k)
{
    return signs >> k & 1 ? -1.0f : 1.0f;
}

/* Eight signs from seven: the number of minuses is even. */
static unsigned even_signs(unsigned seven)
{
    return seven | (unsigned)__builtin_parity(seven) << 7;
}

static uint32_t load_word(const void *at)
{
    uint32_t word;
    memcpy(&word, at, sizeof(word));
    return word;
}

static void eight_iq2(float *out, float scale, uint16_t entry, unsigned signs)
{
    for (unsigned k = 0; k < 8; k++)
        out[k] = scale * (float)of_iq2(entry, k) * sign(signs, k);
}

void quant_iq2_xxs(float *out, const void *block)
{
    const struct block_iq2_xxs *b = block;
    float d = half_to_float(b->d);
    for (unsigned g = 0; g < 8; g++) {
        uint32_t entries = load_word(&b->qs[g * 4]), rest = load_word(&b->qs[g * 4 + 2]);
        float scale = d * (0.5f + (float)(rest >> 28)) * 0.25f;
        for (unsigned k = 0; k < 4; k++) {
            uint16_t entry = quant_book_iq2_xxs[quant_bits(entries, 8 * k, 8)];
            eight_iq2(out + g * 32 + k * 8, scale, entry, even_signs(quant_bits(rest, 7 * k, 7)));
        }
    }
}

void quant_iq2_xs(float *out, const void *block)
{
    const struct block_iq2_xs *b = block;
    float d = half_to_float(b->d);
    for (unsigned e = 0; e < 32; e++) {
        float scale = d * (0.5f + (float)quant_nibble(b->scales, e / 2)) * 0.25f;
        uint16_t entry = quant_book_iq2_xs[b->qs[e] & 511];
        eight_iq2(out + e * 8, scale, entry, even_signs(b->qs[e] >> 9));
    }
}

void quant_iq2_s(float *out, const void *block)
{
    const struct block_iq2_s *b = block;
    float d = half_to_float(b->d);
    for (unsigned e = 0; e < 32; e++) {
        float scale = d * (0.5f + (float)quant_nibble(b->scales, e / 2)) * 0.25f;
        unsigned entry = b->qs[e] | quant_bits(b->qh[e / 4], e % 4 * 2, 2) << 8;
        eight_iq2(out + e * 8, scale, quant_book_iq2_s[entry], b->signs[e]);
    }
}

void quant_iq3_xxs(float *out, const void *block)
{
    const struct block_iq3_xxs *b = block;
    float d = half_to_float(b->d);
    for (unsigned i = 0; i < 256; i++) {
        uint32_t rest = load_word(&b->signs[i / 32 * 4]);
        float scale = d * (0.5f + (float)(rest >> 28)) * 0.5f;
        unsigned signs = even_signs(quant_bits(rest, i % 32 / 8 * 7, 7));
        uint16_t entry = quant_book_iq3_xxs[b->qs[i / 4]];
        out[i] = scale * (float)of_iq3_xxs(entry, i % 4) * sign(signs, i % 8);
    }
}

void quant_iq3_s(float *out, const void *block)
{
    const struct block_iq3_s *b = block;
    float d = half_to_float(b->d);
    for (unsigned i = 0; i < 256; i++) {
        float scale = d * (float)(1 + 2 * quant_nibble(b->scales, i / 32));
        unsigned e = i / 4;
        uint16_t entry = quant_book_iq3_s[b->qs[e] | quant_bits(b->qh[e / 8], e % 8, 1) << 8];
        out[i] = scale * (float)of_iq3_s(entry, i % 4) * sign(b->signs[i / 8], i % 8);
    }
}

static void eight_iq1(float *out, float scale, unsigned entry, bool down)
{
    float shift = down ? -0.125f : 0.125f;
    for (unsigned k = 0; k < 8; k++)
        out[k] = scale * ((float)of_iq1(quant_book_iq1[entry], k) + shift);
}

void quant_iq1_s(float *out, const void *block)
{
    const struct block_iq1_s *b = block;
    float d = half_to_float(b->d);
    for (unsigned e = 0; e < 32; e++) {
        uint16_t qh = b->qh[e / 4];
        float scale = d * (float)(2 * quant_bits(qh, 12, 3) + 1);
        eight_iq1(out + e * 8, scale, b->qs[e] | quant_bits(qh, e % 4 * 3, 3) << 8, qh >> 15);
    }
}

void quant_iq1_m(float *out, const void *block)
{
    const struct block_iq1_m *b = block;
    const uint16_t *s = b->scales;
    float d = half_to_float((uint16_t)(s[0] >> 12 | s[1] >> 12 << 4 | s[2] >> 12 << 8 | s[3] >> 12 << 12));
    for (unsigned e = 0; e < 32; e++) {
        float scale = d * (float)(2 * quant_bits(s[e / 8], e / 2 % 4 * 3, 3) + 1);
        unsigned qh = quant_nibble(b->qh, e);
        eight_iq1(out + e * 8, scale, b->qs[e] | (qh & 7) << 8, qh >> 3);
    }
}
