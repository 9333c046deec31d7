/* character.c - looks classes and cases up in the tables of runs and ranges. */
#include "character_private.h"

/* Flags of the run that a code point is in, and its place in that run. */
static unsigned find_run(const uint8_t *bytes, size_t size, const uint8_t *kinds,
    const struct character_place *index, size_t n, uint32_t code, uint32_t *offset)
{
    size_t low = 0, high = n;
    while (high - low > 1) {
        size_t middle = (low + high) / 2;
        *(index[middle].first <= code ? &low : &high) = middle;
    }
    uint32_t first = index[low].first;
    for (size_t at = index[low].at; at < size;) {
        uint8_t run = bytes[at++];
        uint32_t length = run & 0x0f;
        for (unsigned shift = 0, more = length == 0; more; shift += 7) {
            length |= (uint32_t)(bytes[at] & 0x7f) << shift;
            more = bytes[at++] >= 0x80;
        }
        if (code - first < length) {
            *offset = code - first;
            return kinds[run >> 4];
        }
        first += length;
    }
    *offset = 0;
    return 0;
}

unsigned character_class(uint32_t code)
{
    uint32_t offset;
    return find_run(character_classes, n_character_classes, character_classes_kinds, character_classes_index,
        n_character_classes_index, code, &offset);
}

unsigned character_case(uint32_t code)
{
    uint32_t offset;
    unsigned flags = find_run(character_cases, n_character_cases, character_cases_kinds,
        character_cases_index, n_character_cases_index, code, &offset);
    if (!(flags & CHARACTER_CASE_ALTERNATES))
        return flags;
    flags &= ~(unsigned)CHARACTER_CASE_ALTERNATES;
    return offset % 2 ? flags ^ (CHARACTER_IS_LOWER | CHARACTER_IS_UPPER) : flags;
}

/* The difference that a table has for a code point. Rows are in the order of their first code points, and one of step 2
 * may reach over later ones. */
static bool find_range(const struct character_range *rows, size_t n, uint32_t code, uint32_t *out)
{
    for (size_t i = 0; i < n && rows[i].first <= code; i++) {
        uint32_t away = code - rows[i].first;
        if (away % rows[i].step == 0 && away / rows[i].step < rows[i].count) {
            *out = (uint32_t)((int32_t)code + rows[i].difference);
            return true;
        }
    }
    return false;
}

/* The other way: the first code point that the table maps to this one. */
static bool find_source(const struct character_range *rows, size_t n, uint32_t code, uint32_t *out)
{
    for (size_t i = 0; i < n; i++) {
        uint32_t away = (uint32_t)((int32_t)code - rows[i].difference) - rows[i].first;
        if (away % rows[i].step == 0 && away / rows[i].step < rows[i].count) {
            *out = rows[i].first + away;
            return true;
        }
    }
    return false;
}

/* Greek letters with iota beneath: upper case is the letter without it and a large iota, title case the letter eight
 * further. */
static size_t find_greek(uint32_t code, enum character_to to, uint32_t out[CHARACTER_MAPPED_MAX])
{
    static const uint16_t plain[] = {0x1f08, 0x1f28, 0x1f68};
    if (code < 0x1f80 || code >= 0x1fb0 || (to != CHARACTER_UPPER && to != CHARACTER_TITLE))
        return 0;
    out[0] = to == CHARACTER_UPPER ? plain[(code - 0x1f80) / 16] + code % 8 : code | 8;
    out[1] = 0x399;
    return to == CHARACTER_UPPER ? 2 : 1;
}

/* The longer text that a character becomes; 0 when it becomes one character. */
static size_t find_text(uint32_t code, enum character_to to, uint32_t out[CHARACTER_MAPPED_MAX])
{
    size_t n = find_greek(code, to, out);
    for (size_t i = 0; n == 0 && i < n_character_texts && character_texts[i].code <= code; i++) {
        const struct character_text *t = &character_texts[i];
        for (; t->code == code && t->to == to && n < CHARACTER_MAPPED_MAX && t->out[n]; n++)
            out[n] = t->out[n];
    }
    return n;
}

static size_t fold(uint32_t code, uint32_t out[CHARACTER_MAPPED_MAX])
{
    if (find_range(character_fold, n_character_fold, code, out))
        return 1;
    size_t n = find_text(code, CHARACTER_UPPER, out);
    for (size_t i = 0; i < n; i++)
        find_range(character_lower, n_character_lower, out[i], &out[i]);
    return n > 1 ? n : character_map(code, CHARACTER_LOWER, out);
}

size_t character_map(uint32_t code, enum character_to to, uint32_t out[CHARACTER_MAPPED_MAX])
{
    out[0] = code;
    if (code < 0x80) {
        bool letter = (code | 0x20) >= 'a' && (code | 0x20) <= 'z';
        bool low = to == CHARACTER_LOWER || to == CHARACTER_FOLD;
        out[0] = !letter ? code : low ? code | 0x20 : code & ~0x20u;
        return 1;
    }
    size_t n = find_text(code, to, out);
    if (n > 0)
        return n;
    if (to == CHARACTER_FOLD)
        return fold(code, out);
    if (to == CHARACTER_LOWER)
        find_range(character_lower, n_character_lower, code, out);
    else if ((to == CHARACTER_UPPER || !find_range(character_title, n_character_title, code, out)) &&
             !find_range(character_upper, n_character_upper, code, out))
        find_source(character_lower, n_character_lower, code, out);
    return 1;
}
