/* family_kimi.c - Kimi Linear: most layers have Kimi Delta Attention, the others latent attention without rotation.
 * Facts: arXiv 2510.26692, the model's config on the hub, and llama.cpp's loader, which reads no factor of
 * queries.
 */
#include "arch_private.h"

static bool read_kimi(struct decoder *d, const struct arch_keys *k)
{
    arch_set_no_rope(d);
    return arch_read_kimi_delta(d, k) && arch_read_latent(d, k);
}

static const char *const unused[] = {".attn_q.scale", NULL};

/* clang-format off */
const struct arch family_kimi[] = {
    {.name = "kimi-linear", .shape = {.unused = unused}, .headless = &layer_delta, .dense = {.activation = VECTOR_SILU},
     .experts = true,
     .moe = {.normalized = true, .beside_suffix = "_shexp", .beside_needed = true, .experts = {.activation = VECTOR_SILU}},
     .read = read_kimi},
    {.name = NULL},
};
/* clang-format on */
