/* norm_private.h - the norm of a row: by root mean square, or with the mean taken away (layer norm). */
#ifndef NORM_PRIVATE_H
#define NORM_PRIVATE_H

#include <stdbool.h>
#include <stdint.h>

struct norm {
    const float *weight, *bias; /* either may be NULL */
    bool bare; /* a norm without weight; where both are missing, the values go through as they are */
    float epsilon; /* 0: the shape's */
    uint32_t groups; /* parts of a row that are normed each alone; 0 for one */
};

static inline bool norm_exists(const struct norm *n)
{
    return n->weight || n->bare;
}

#endif
