/* pooling_private.h - pools the hidden states of one text, row after row.
 *
 * Sums are in double and in the order of tokens, so a vector does not depend on how the text was cut into batches.
 */
#ifndef POOLING_PRIVATE_H
#define POOLING_PRIVATE_H

#include "berth/engine/scheduler/pooling.h"

#include <stddef.h>

/* Whether the hidden state of this token of a text of so many is needed. */
bool pooling_wants(enum pooling p, size_t position, size_t size);

/* Adds the hidden state of a token that is wanted to sum[width]; the first one of a text replaces what is there. */
void pooling_add(enum pooling p, double *sum, const float *hidden, size_t position, size_t width);

/* Writes the first n elements of the vector of a text of `size` tokens, with a length of 1 where `normalizes`. A vector of
 * zeros stays one. */
void pooling_end(enum pooling p, const double *sum, size_t size, bool normalizes, float *out, size_t n);

#endif
