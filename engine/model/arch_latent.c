/* arch_latent.c - reads the keys of latent attention.
 *
 * Newer files describe what is stored: one key-value head, whose key is the latent and the rotated elements. The sizes of
 * the heads have keys of their own there (key_length_mla). Older files have the sizes of the heads in the usual keys.
 */
#include "arch_private.h"

#include <inttypes.h>
#include <math.h>

/* YaRN's factor of scores (mscale). The key has a tenth of the model's mscale_all_dim. Where it is there, cosine and sine
 * are not multiplied by YaRN's factor. */
static bool read_scale(struct decoder *d, const struct arch_keys *k, uint32_t head, float *scale)
{
    struct rope_shape *r = &d->rope.global;
    double tenth, factor = r->scale < 1 ? -log(r->scale) : 0;
    if (!arch_key_real(k, "rope.scaling.yarn_log_multiplier", 0, &tenth))
        return false;
    if (tenth != 0 && r->yarn != 0) /* undoes what reading YaRN has multiplied by */
        r->magnitude *= (1 + 0.1 * tenth * factor) / (1 + 0.1 * factor);
    double mscale = r->magnitude * (1 + tenth * factor);
    *scale = (float)(mscale * mscale / sqrt(head));
    return true;
}

static bool read_temperature(struct latent_layer *l, const struct decoder *d, const struct arch_keys *k)
{
    return arch_key_float(k, "attention.temperature_scale", 0, &l->temperature) &&
           arch_key_size(k, "attention.temperature_length", DECODER_CONTEXT_MAX, d->rope.context,
               &l->temperature_length);
}

static bool read_sizes(struct latent_layer *l, struct decoder *d, const struct arch_keys *k, uint32_t *head)
{
    const struct attention_layer *first = arch_first_attention(d);
    uint32_t n_rot = d->rope.global.n_rot;
    if (!arch_key_size(k, "attention.key_length_mla", ATTENTION_HEAD_MAX, first->head_dim_k, head) ||
        !arch_key_size(k, "attention.value_length_mla", ATTENTION_HEAD_MAX, first->head_dim_v, &l->n_value) ||
        !arch_key_size(k, "attention.kv_lora_rank", ATTENTION_HEAD_MAX, 0, &l->n_latent) ||
        !arch_key_number(k, "attention.q_lora_rank", DECODER_SIZE_MAX, 0, &l->n_query))
        return false;
    if (*head < n_rot || l->n_latent + n_rot > ATTENTION_HEAD_MAX)
        return error_set(k->err,
            "keys of %s.attention: a head of %" PRIu32 " and a latent of %" PRIu32
            " elements contradict a rotation of %" PRIu32,
            k->architecture, *head, l->n_latent, n_rot);
    l->n_nope = *head - n_rot;
    return true;
}

bool arch_read_latent(struct decoder *d, const struct arch_keys *k)
{
    struct latent_layer l = {0};
    uint32_t head;
    if (!arch_first_attention(d))
        return true;
    if (!read_sizes(&l, d, k, &head) || !read_temperature(&l, d, k) || !read_scale(d, k, head, &l.scale))
        return false;
    d->rope.local = d->rope.global;
    for (uint32_t i = 0; i < d->shape.n_layer; i++) {
        if (!arch_attention(d, i))
            continue;
        l.rotates = arch_attention(d, i)->rotates;
        l.n_head = d->layers[i].attention.n_head;
        d->layers[i].mixer = &layer_latent;
        d->layers[i].latent = l;
    }
    return true;
}

/* An array says which layers have a window. */
bool arch_mix_latents(struct decoder *d, const struct arch_keys *k, const struct latent_layer *other)
{
    char name[ARCH_KEY_ROOM];
    const struct checkpoint_value *pattern =
        checkpoint_find(k->file, arch_key_name(name, k, "attention.sliding_window_pattern"));
    if (!pattern || !pattern->is_array || pattern->count < d->shape.n_layer)
        return error_set(k->err, "key %s is no array with an item for each layer", name);
    for (uint32_t i = 0; i < d->shape.n_layer; i++) {
        uint32_t n_head = d->layers[i].latent.n_head;
        if (d->layers[i].mixer != &layer_latent || arch_key_item(pattern, i) != 1)
            continue;
        d->layers[i].latent = *other;
        d->layers[i].latent.n_head = n_head;
    }
    return true;
}

bool arch_read_indexer(struct decoder *d, const struct arch_keys *k, uint32_t block)
{
    uint32_t most, heads;
    if (!arch_key_number(k, "attention.indexer.head_count", DECODER_SIZE_MAX, 0, &heads) ||
        !arch_key_size(k, "attention.indexer.top_k", DECODER_CONTEXT_MAX, 0, &most))
        return false;
    if ((uint64_t)most * block < d->shape.n_ctx_train)
        d->shape.n_ctx_train = most * block;
    return true;
}
