/* token_shift_private.h - the shift of tokens: mixes each row of a layer's input with the row before it (RWKV).
 *
 *     out = x + (before - x) * lerp
 *
 * The state of a sequence is its last row, [n_embd]; before the first row there are zeros. The workers divide the elements
 * of a row, and others may read what is written after a barrier.
 */
#ifndef TOKEN_SHIFT_PRIVATE_H
#define TOKEN_SHIFT_PRIVATE_H

#include "layer_private.h"

#define TOKEN_SHIFT_LERPS 6

struct token_shift {
    const float *x; /* [n][n_embd] */
    size_t state_at; /* index of the first float in every state */
    size_t n_lerps;
    const float *lerps[TOKEN_SHIFT_LERPS]; /* [n_embd] each */
    float *out[TOKEN_SHIFT_LERPS]; /* [n][n_embd] each */
    bool own; /* a row of `out` has what is added to the lerps for this row */
};

/* Floats that a sequence stores. */
size_t token_shift_floats(const struct decoder *d);

void token_shift_mix(struct worker *m, const struct token_shift *s);

/* Writes the states of all runs. */
void token_shift_store(struct worker *m, const float *x, size_t state_at);

#endif
