/* width_private.h - how many columns of a terminal characters take. */
#ifndef BERTH_WIDTH_PRIVATE_H
#define BERTH_WIDTH_PRIVATE_H

#include "berth/base/text.h"

struct width_range {
    uint32_t first, last;
};

extern const struct width_range wide_ranges[]; /* sorted */
extern const size_t n_wide_ranges;

/* 0 for marks that combine with the character before them, 2 for wide characters, else 1. */
unsigned character_width(uint32_t code);

/* Columns of printable text; bytes that are no UTF-8 count one each. */
size_t text_width(struct span s);

#endif
