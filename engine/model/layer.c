/* layer.c - the list of layer kinds. */
#include "layer_attention_private.h"
#include "layer_channel_mix_private.h"
#include "layer_delta_private.h"
#include "layer_dense_private.h"
#include "layer_latent_private.h"
#include "layer_laurel_private.h"
#include "layer_mamba2_private.h"
#include "layer_mamba_private.h"
#include "layer_moe_private.h"
#include "layer_product_private.h"
#include "layer_rwkv_private.h"
#include "layer_shortconv_private.h"

/* clang-format off */
const struct layer_kind *const layer_kinds[] = {
    &layer_attention,
    &layer_latent,
    &layer_shortconv,
    &layer_product,
    &layer_mamba,
    &layer_mamba2,
    &layer_delta,
    &layer_rwkv,
    &layer_laurel,
    &layer_dense,
    &layer_moe,
    &layer_channel_mix,
    NULL,
};
/* clang-format on */
