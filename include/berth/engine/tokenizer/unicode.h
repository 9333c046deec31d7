/* unicode.h - code points from bytes, and the class of each, for tokenizers.
 *
 * Source of the classes: the Unicode Character Database 15.0.0, general categories and the property
 * White_Space.
 */
#ifndef BERTH_UNICODE_H
#define BERTH_UNICODE_H

#include "berth/base/text.h"

enum unicode_class {
    UNICODE_OTHER,
    UNICODE_LETTER, /* L */
    UNICODE_NUMBER, /* N */
    UNICODE_MARK, /* M */
    UNICODE_PUNCTUATION, /* P */
    UNICODE_SYMBOL, /* S */
    UNICODE_SPACE, /* White_Space, whatever its category */
    UNICODE_CONTROL, /* Cc, Cf, Co, Cs */
};

#define UNICODE_REPLACEMENT 0xfffdu
#define UNICODE_BYTES 4 /* room for one code point in UTF-8 */

enum unicode_class unicode_class(uint32_t code);
uint32_t unicode_lower(uint32_t code); /* the lower-case letter; the code point itself when it has none */
/* The first code point of the canonical decomposition; the code point itself when it has none. */
uint32_t unicode_decomposed(uint32_t code);

/* The code point at *pos, which moves past it; *pos must lie before the end. A byte that begins no valid
 * character is U+FFFD and counts alone. A surrogate has the value of its bits, as in the reference of the tokenizers. */
uint32_t unicode_read(struct span s, size_t *pos);

/* Writes the code point as UTF-8, and returns how many bytes that took. */
size_t unicode_write(uint8_t out[UNICODE_BYTES], uint32_t code);

/* How many bytes at the end of `s` (0 to 3) begin a character whose rest is missing. A stream of text holds them back. */
size_t unicode_unfinished(struct span s);

#endif
