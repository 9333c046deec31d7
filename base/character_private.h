/* character_private.h - the tables of character_tables.c. */
#ifndef BERTH_CHARACTER_PRIVATE_H
#define BERTH_CHARACTER_PRIVATE_H

#include "berth/base/character.h"

#define CHARACTER_CASE_ALTERNATES 8 /* in a run of cases: every other letter is of the other case */

/* A run of code points is a byte: in the upper half its kind, which is a place in a table of flags, in the lower half its
 * length. Where that is 0 it follows, seven bits a byte. */
extern const uint8_t character_classes[], character_cases[], character_classes_kinds[],
    character_cases_kinds[];
extern const size_t n_character_classes, n_character_cases, n_character_classes_kinds,
    n_character_cases_kinds;

/* Where in the bytes the run is that begins with a code point. */
struct character_place {
    uint32_t first;
    uint32_t at;
};
extern const struct character_place character_classes_index[], character_cases_index[];
extern const size_t n_character_classes_index, n_character_cases_index;

/* `count` code points from `first` on, `step` apart, map to what is `difference` away. */
struct character_range {
    uint32_t first : 21, count : 11;
    int32_t difference : 28;
    uint32_t step : 4;
};
/* What becomes another upper case than the one of which it is the lower case is in character_upper. */
extern const struct character_range character_lower[], character_upper[], character_title[], character_fold[];
extern const size_t n_character_lower, n_character_upper, n_character_title, n_character_fold;

/* A code point whose mapping is longer, or another than its upper case. */
struct character_text {
    uint16_t code;
    uint8_t to; /* enum character_to */
    uint16_t out[CHARACTER_MAPPED_MAX]; /* 0: none */
};
extern const struct character_text character_texts[];
extern const size_t n_character_texts;

#endif
