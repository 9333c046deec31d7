/* pooling.h - how the vectors of a text's tokens become the vector of the text.
 *
 * The same tokens give unrelated vectors under another pooling, so it is never guessed: the model's file tells it, or whoever
 * starts the server does.
 */
#ifndef BERTH_POOLING_H
#define BERTH_POOLING_H

#include "berth/base/text.h"

#include <stdbool.h>

enum pooling {
    POOLING_UNKNOWN,
    POOLING_NONE, /* a vector for each token */
    POOLING_MEAN,
    POOLING_CLS, /* the first token's */
    POOLING_LAST, /* the last token's */
    POOLING_RANK, /* a score: the model is a reranker */
    POOLING_WEIGHTED_MEAN, /* the mean with the weights 1, 2, 3, … */
    POOLING_MAX, /* of each element the largest */
    POOLINGS
};

const char *pooling_name(enum pooling p); /* "mean", "cls", "last", "weighted-mean", "max", … */
/* Finds one that makes one vector of a text. False for other names. */
bool pooling_find(struct span name, enum pooling *out);

#endif
