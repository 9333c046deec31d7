/* layer_product_private.h - the mixer "product": attn_output's product by the row itself (some layers of Nemotron 51B). */
#ifndef LAYER_PRODUCT_PRIVATE_H
#define LAYER_PRODUCT_PRIVATE_H

#include "layer_private.h"
#include "linear_private.h"

extern const struct layer_kind layer_product;

struct product_layer {
    struct linear out;
};

#endif
