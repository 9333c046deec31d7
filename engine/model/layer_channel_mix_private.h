/* layer_channel_mix_private.h - the feed-forward "channel mix" of RWKV: value(relu(key(x_k))^2), in version 6 times
 * sigmoid(receptance(x_r)).
 *
 * x_k and x_r are shifts of tokens (token_shift_private.h), so it has a state of its own, behind the mixer's. Its last
 * layer runs for all rows of a batch, because each needs the row before it.
 */
#ifndef LAYER_CHANNEL_MIX_PRIVATE_H
#define LAYER_CHANNEL_MIX_PRIVATE_H

#include "layer_private.h"
#include "linear_private.h"

extern const struct layer_kind layer_channel_mix;

/* Fields and weights of one layer. */
struct channel_mix_layer {
    uint32_t n_ff;
    bool gated; /* has the receptance */
    const float *lerp_k, *lerp_r; /* [n_embd] */
    struct linear key, value, receptance;
};

struct channel_mix_memory {
    float *k, *r; /* [n][n_embd], shifted */
    float *hidden; /* [n][n_ff] */
    float *gate; /* [n][n_embd] */
};

#endif
