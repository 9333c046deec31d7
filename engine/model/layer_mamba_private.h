/* layer_mamba_private.h - the mixer "mamba": a selective scan over channels (arXiv 2312.00752), or over heads (PLaMo 2).
 *
 * One product of the input gives x and z. x is convolved; a product of it gives b, c and, by a second one, dt. Norms may
 * stand between the two. The rows of x are stepped by the scan and gated by z.
 */
#ifndef LAYER_MAMBA_PRIVATE_H
#define LAYER_MAMBA_PRIVATE_H

#include "ssm_private.h"

extern const struct layer_kind layer_mamba;

struct mamba_layer {
    struct ssm_layer ssm; /* in: x, z; channels: x */
    bool
        by_heads; /* in: z and x of each head by turns; the product of x gives b, c, dt instead of dt, b, c */
    bool norms; /* of dt, b and c, with or without weights */
    uint32_t dt_rank; /* columns of the second product */
    struct linear params, dt;
    const float *dt_norm, *b_norm, *c_norm; /* [dt_rank], [n_state], [n_state], or NULL */
};

struct mamba_memory {
    float *products; /* [n][2 * n_inner] */
    float *x; /* [n][n_inner], after the convolution; then y */
    float *params; /* [n][dt_rank + 2 * n_state] */
    float *dt_in; /* [n][dt_rank] */
    float *dt; /* [n][n_inner], or [n][n_head] */
};

#endif
