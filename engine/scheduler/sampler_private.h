/* sampler_private.h - the interface between sampler.c, which knows an answer's history, and sampler_filter.c, which
 * chooses among logits. */
#ifndef BERTH_SAMPLER_PRIVATE_H
#define BERTH_SAMPLER_PRIVATE_H

#include "berth/engine/scheduler/sampler.h"

struct candidate {
    float key; /* what it is sorted by, largest first */
    float x; /* (logit - largest logit) / temperature: 0 or less */
    float weight; /* exp(x) */
    int32_t id;
};

/* Memory for candidates, which only grows. */
struct candidates {
    struct candidate *at; /* [n] */
    size_t n, room;
};

/* Draws one of x[n], which were shifted and scaled as candidate.x is, with `uniform` from [0, 1). SAMPLER_NONE when
 * memory is short. x is changed. */
int32_t sampler_draw(
    struct candidates *c, const struct sampler_options *o, float *x, size_t n, double uniform);

/* The same, and x stays as it is. */
int32_t sampler_draw_kept(
    struct candidates *c, const struct sampler_options *o, const float *x, size_t n, double uniform);

#endif
