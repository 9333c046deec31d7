/* character.h - classes and letter cases of characters beyond ASCII, as Unicode 15 has them. */
#ifndef BERTH_CHARACTER_H
#define BERTH_CHARACTER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum character_class {
    CHARACTER_ALPHA = 1, /* a letter: general category L */
    CHARACTER_DECIMAL = 2, /* a digit of a decimal number */
    CHARACTER_DIGIT = 4, /* that, or a digit in another shape */
    CHARACTER_NUMERIC = 8, /* that, or another sign for a number */
    CHARACTER_PRINTABLE = 16, /* has a glyph, or is U+0020 */
    CHARACTER_IGNORABLE = 32 /* a word's case goes on behind it */
};

enum character_case { CHARACTER_IS_LOWER = 1, CHARACTER_IS_UPPER = 2, CHARACTER_IS_TITLE = 4 };

enum character_to { CHARACTER_LOWER, CHARACTER_UPPER, CHARACTER_TITLE, CHARACTER_FOLD };

#define CHARACTER_MAPPED_MAX 3 /* characters that one becomes in another case */

unsigned character_class(uint32_t code); /* of enum character_class */
unsigned character_case(uint32_t code); /* of enum character_case */

/* Writes what a character becomes in another case, without regard to what stands beside it, and returns how many
 * characters that is. */
size_t character_map(uint32_t code, enum character_to to, uint32_t out[CHARACTER_MAPPED_MAX]);

#endif
