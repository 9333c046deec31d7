/* text.c - checks UTF-8, makes names printable, shortens numbers. */
#include "berth/base/text.h"

#include <stdio.h>
#include <string.h>

struct span span_of(const char *text)
{
    return (struct span){(const uint8_t *)text, strlen(text)};
}

bool span_is(struct span s, const char *text)
{
    size_t size = strlen(text);
    return s.size == size && (size == 0 || memcmp(s.at, text, size) == 0);
}

int span_compare(struct span a, struct span b)
{
    size_t both = a.size < b.size ? a.size : b.size;
    int order = both ? memcmp(a.at, b.at, both) : 0;
    return order ? order : (a.size > b.size) - (a.size < b.size);
}

bool span_ends_with(struct span s, const char *text)
{
    size_t size = strlen(text);
    return s.size >= size && (size == 0 || memcmp(s.at + s.size - size, text, size) == 0);
}

size_t text_character(struct span s)
{
    if (s.size == 0)
        return 0;
    uint8_t lead = s.at[0];
    if (lead < 0x80)
        return 1;
    size_t size = lead >= 0xf0 ? 4 : lead >= 0xe0 ? 3 : 2;
    if (lead < 0xc2 || lead > 0xf4 || s.size < size)
        return 0;
    for (size_t i = 1; i < size; i++)
        if ((s.at[i] & 0xc0) != 0x80)
            return 0;
    /* The second byte decides about overlong forms, surrogates and characters beyond U+10FFFF. */
    bool bad = (lead == 0xe0 && s.at[1] < 0xa0) || (lead == 0xed && s.at[1] > 0x9f) ||
               (lead == 0xf0 && s.at[1] < 0x90) || (lead == 0xf4 && s.at[1] > 0x8f);
    return bad ? 0 : size;
}

/* The controls of ASCII, those of U+0080 to U+009F, which terminals obey, too, and marks of writing direction and line
 * breaks, which make a name look like another one. */
static bool is_control(struct span character)
{
    const uint8_t *b = character.at;
    switch (character.size) {
    case 1:
        return b[0] < 0x20 || b[0] == 0x7f;
    case 2:
        return b[0] == 0xc2 && b[1] < 0xa0;
    case 3: {
        unsigned point =
            (unsigned)(b[0] & 0x0f) << 12 | (unsigned)(b[1] & 0x3f) << 6 | (unsigned)(b[2] & 0x3f);
        return point == 0x200e || point == 0x200f || (point >= 0x2028 && point <= 0x202e) ||
               (point >= 0x2066 && point <= 0x2069);
    }
    default:
        return false;
    }
}

/* Writes the printable form of the character at the start of `s` into out[8]; returns how many bytes of `s`
 * it took, and the form's length in *written. */
static size_t escape_one(char out[8], size_t *written, struct span s)
{
    size_t size = text_character(s);
    struct span character = {s.at, size};
    if (size == 0 || is_control(character)) {
        *written = (size_t)snprintf(out, 8, "\\x%02x", s.at[0]);
        return 1;
    }
    if (s.at[0] == '\\') {
        memcpy(out, "\\\\", 2);
        *written = 2;
        return 1;
    }
    memcpy(out, s.at, size);
    *written = size;
    return size;
}

size_t text_escape(char *out, size_t size, struct span s)
{
    static const char cut[] = "…";
    size_t used = 0, fits = 0; /* fits: length of the longest prefix that leaves room for the cut's mark */
    if (size == 0)
        return 0;
    for (size_t pos = 0; pos < s.size;) {
        char form[8];
        size_t written;
        pos += escape_one(form, &written, (struct span){s.at + pos, s.size - pos});
        if (used + written + 1 > size) {
            used = fits;
            if (used + sizeof(cut) <= size) {
                memcpy(out + used, cut, sizeof(cut) - 1);
                used += sizeof(cut) - 1;
            }
            break;
        }
        memcpy(out + used, form, written);
        used += written;
        if (used + sizeof(cut) <= size)
            fits = used;
    }
    out[used] = '\0';
    return used;
}

const char *text_bytes(char out[TEXT_NUMBER], uint64_t bytes)
{
    static const char *const units[] = {"B", "KiB", "MiB", "GiB", "TiB", "PiB", "EiB"};
    double value = (double)bytes;
    size_t unit = 0;
    while (value >= 1023.95 && unit + 1 < sizeof(units) / sizeof(units[0])) {
        value /= 1024;
        unit++;
    }
    snprintf(out, TEXT_NUMBER, unit == 0 ? "%.0f %s" : "%.1f %s", value, units[unit]);
    return out;
}

const char *text_count(char out[TEXT_NUMBER], uint64_t count)
{
    static const char *const units[] = {"", " K", " M", " B", " T"};
    double value = (double)count;
    size_t unit = 0;
    while (value >= 999.95 && unit + 1 < sizeof(units) / sizeof(units[0])) {
        value /= 1000;
        unit++;
    }
    snprintf(out, TEXT_NUMBER, unit == 0 ? "%.0f%s" : "%.1f%s", value, units[unit]);
    return out;
}
