/* layer_mamba2_private.h - the mixer "mamba2": a selective scan over heads (arXiv 2405.21060).
 *
 * One product of the input gives z, x, b, c and dt. x, b and c are convolved. Heads of a group have the same b and c. Each
 * head's rows are stepped by the scan and gated by z; the result may be normed by group before the last product.
 */
#ifndef LAYER_MAMBA2_PRIVATE_H
#define LAYER_MAMBA2_PRIVATE_H

#include "ssm_private.h"

extern const struct layer_kind layer_mamba2;

struct mamba2_layer {
    struct ssm_layer ssm; /* in: z, x, b, c, dt; channels: x, b, c */
    const float *dt_bias; /* [n_head] */
    const float *norm; /* [n_group][n_inner / n_group], or NULL */
};

struct mamba2_memory {
    float *products; /* [n][rows of ssm_in] */
    float *channels; /* [n][n_channels], after the convolution */
    float *dt; /* [n][n_head] */
    float *y; /* [n][n_inner] */
};

#endif
