/* width.c - columns of characters: East Asian and emoji characters take two, combining marks none. */
#include "width_private.h"

#include "berth/engine/tokenizer/unicode.h"

#define FIRST_WIDE_OR_MARK 0x300

/* Characters without a glyph: zero width spaces and joiners, marks of direction, the byte order mark. */
static bool is_invisible(uint32_t code)
{
    return (code >= 0x200b && code <= 0x200f) || (code >= 0x202a && code <= 0x202e) ||
           (code >= 0x2060 && code <= 0x2064) || code == 0xfeff;
}

static bool is_wide(uint32_t code)
{
    size_t low = 0, high = n_wide_ranges;
    while (low < high) {
        size_t middle = low + (high - low) / 2;
        if (code > wide_ranges[middle].last)
            low = middle + 1;
        else
            high = middle;
    }
    return low < n_wide_ranges && code >= wide_ranges[low].first;
}

unsigned character_width(uint32_t code)
{
    if (code < FIRST_WIDE_OR_MARK)
        return 1;
    if (is_invisible(code) || unicode_class(code) == UNICODE_MARK)
        return 0;
    return is_wide(code) ? 2 : 1;
}

size_t text_width(struct span s)
{
    size_t width = 0;
    for (size_t at = 0; at < s.size;)
        width += character_width(unicode_read(s, &at));
    return width;
}
