/* near.h - finds which of several known names was probably meant by one that is not known.
 *
 * Names are compared without regard to case; '_' equals '-', and leading dashes do not count. The distance is the
 * number of characters that are missing, added, replaced or swapped with their neighbour. A name is near when the
 * distance is at most a third of its length (1 for names of up to five characters), or when the given text is the
 * beginning of it, of three characters or more.
 */
#ifndef BERTH_NEAR_H
#define BERTH_NEAR_H

#include "berth/base/text.h"

struct near {
    struct span given; /* borrowed */
    const char *name; /* the nearest name so far, borrowed; NULL: none was near */
    unsigned distance; /* of `name` */
};

struct near near_begin(struct span given);

/* Compares with one known name. Of two that are equally near the first stays. */
void near_try(struct near *n, const char *name);

#endif
