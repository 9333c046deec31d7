/* unicode.c - decodes and encodes UTF-8, and finds the class of a code point.
 *
 * The table of classes has a row for each run of equal classes, and a binary search takes about twelve steps.
 */
#include "unicode_private.h"

enum unicode_class unicode_class(uint32_t code)
{
    if (code < 128)
        return (enum unicode_class)unicode_ascii[code];
    size_t low = 0, high = n_unicode_runs;
    while (high - low > 1) {
        size_t middle = low + (high - low) / 2;
        if (unicode_runs[middle].first <= code)
            low = middle;
        else
            high = middle;
    }
    return (enum unicode_class)unicode_runs[low].class;
}

/* What the code point becomes by a table of maps. */
static uint32_t mapped(const struct unicode_map *maps, size_t n, uint32_t code)
{
    size_t low = 0, high = n;
    while (high - low > 1) {
        size_t middle = low + (high - low) / 2;
        if (maps[middle].first <= code)
            low = middle;
        else
            high = middle;
    }
    const struct unicode_map *m = &maps[low];
    uint32_t away = code - m->first, apart = 1 + m->by_two;
    if (code < m->first || away % apart != 0 || away / apart >= m->n)
        return code;
    return m->same ? m->to : m->to + away;
}

uint32_t unicode_lower(uint32_t code)
{
    return mapped(unicode_lower_maps, n_unicode_lower_maps, code);
}

uint32_t unicode_decomposed(uint32_t code)
{
    if (code >= 0xac00 && code < 0xd7a4) /* Hangul: the leading consonant */
        return 0x1100 + (code - 0xac00) / 588;
    return mapped(unicode_first_maps, n_unicode_first_maps, code);
}

/* How many bytes a character with this first byte takes; 0 for a byte that begins none. */
static size_t length_of(uint8_t first)
{
    if (first < 0x80)
        return 1;
    if (first < 0xc0 || first >= 0xf8)
        return 0;
    return first < 0xe0 ? 2 : first < 0xf0 ? 3 : 4;
}

/* Half of a UTF-16 pair, encoded like a character. */
static bool is_surrogate(struct span s)
{
    return s.size >= 3 && s.at[0] == 0xed && s.at[1] >= 0xa0 && s.at[1] <= 0xbf && (s.at[2] & 0xc0) == 0x80;
}

uint32_t unicode_read(struct span s, size_t *pos)
{
    static const uint8_t bits_of_first[] = {0, 0x7f, 0x1f, 0x0f, 0x07};
    size_t at = *pos;
    struct span rest = {s.at + at, s.size - at};
    size_t length = is_surrogate(rest) ? 3 : text_character(rest);
    *pos = at + (length ? length : 1);
    if (length == 0)
        return UNICODE_REPLACEMENT;
    uint32_t code = s.at[at] & bits_of_first[length];
    for (size_t i = 1; i < length; i++)
        code = code << 6 | (s.at[at + i] & 0x3fu);
    return code;
}

size_t unicode_write(uint8_t out[UNICODE_BYTES], uint32_t code)
{
    static const uint8_t marks_of_first[] = {0, 0, 0xc0, 0xe0, 0xf0};
    if (code < 0x80) {
        out[0] = (uint8_t)code;
        return 1;
    }
    size_t length = code < 0x800 ? 2 : code < 0x10000 ? 3 : 4;
    for (size_t i = length - 1; i > 0; i--, code >>= 6)
        out[i] = (uint8_t)(0x80 | (code & 0x3f));
    out[0] = (uint8_t)(marks_of_first[length] | code);
    return length;
}

size_t unicode_unfinished(struct span s)
{
    for (size_t back = 1; back < UNICODE_BYTES && back <= s.size; back++) {
        size_t at = s.size - back, length = length_of(s.at[at]);
        if (length == 0 && (s.at[at] & 0xc0) == 0x80)
            continue;
        return length > back ? back : 0;
    }
    return 0;
}
