/* float_text.h - the shortest decimal of a float, for long lists of numbers.
 */
#ifndef BERTH_FLOAT_TEXT_H
#define BERTH_FLOAT_TEXT_H

#include <stddef.h>

#define FLOAT_TEXT 24 /* bytes that a number takes at most */

/* Writes a JSON number with as few digits as give x again to a reader that makes a double of it and rounds that to float;
 * "null" where x is not finite. Returns the number of bytes; no NUL is added. */
size_t float_text(char out[FLOAT_TEXT], float x);

#endif
