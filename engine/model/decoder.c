/* decoder.c - makes and frees a decoder, and returns figures of its shape.
 *
 * Reading and binding take milliseconds, because they read keys, tables and small vectors only. Weights are not read
 * before a forward call.
 */
#include "decoder_private.h"

#include <stdlib.h>

/* Ropes that some attention layer uses. */
static size_t count_ropes(const struct decoder *d)
{
    size_t n = 0;
    for (uint32_t i = 0; i < d->shape.n_layer; i++)
        if (d->layers[i].mixer == &layer_attention && d->layers[i].attention.rope >= n)
            n = d->layers[i].attention.rope + 1;
    return n;
}

static bool uses_kind(const struct decoder *d, const struct layer_kind *kind)
{
    for (uint32_t i = 0; i < d->shape.n_layer; i++)
        if (d->layers[i].mixer == kind || d->layers[i].second == kind || d->layers[i].ffn == kind)
            return true;
    return false;
}

static void list_kinds(struct decoder *d)
{
    size_t n = 0;
    for (size_t i = 0; layer_kinds[i]; i++)
        if (uses_kind(d, layer_kinds[i]))
            d->kinds[n++] = layer_kinds[i];
}

static bool read(struct decoder *d, const struct checkpoint *c, struct error *err)
{
    if (!arch_read(d, c, err))
        return false;
    d->states = calloc(d->shape.n_layer, sizeof(*d->states));
    if (!d->states)
        return error_set(err, "no memory for the layers");
    d->n_ropes = count_ropes(d);
    list_kinds(d);
    return decoder_bind(d, c, err) && rope_prepare(d, d->shape.n_ctx_train, err);
}

struct decoder *decoder_new(const struct checkpoint *c, bool as_float, struct error *err)
{
    struct decoder *d = calloc(1, sizeof(*d));
    if (!d) {
        error_set(err, "no memory for a decoder");
        return NULL;
    }
    d->as_float = as_float;
    if (read(d, c, err))
        return d;
    decoder_free(d);
    return NULL;
}

void decoder_free(struct decoder *d)
{
    if (!d)
        return;
    decoder_free_copies(d);
    for (size_t i = 0; i < sizeof(d->ropes) / sizeof(d->ropes[0]); i++)
        free(d->ropes[i].inv_freq);
    free(d->layers);
    free(d->states);
    free(d);
}

bool decoder_limit_context(struct decoder *d, size_t context, struct error *err)
{
    return rope_prepare(d, context, err);
}

const char *decoder_architecture(size_t i)
{
    return arch_name(i);
}

bool decoder_supports(struct span architecture)
{
    for (size_t i = 0; arch_name(i); i++)
        if (span_is(architecture, arch_name(i)))
            return true;
    return false;
}

bool decoder_is_causal(const struct decoder *d)
{
    return !d->shape.not_causal;
}

bool decoder_is_encoder(const struct decoder *d)
{
    return d->shape.encoder;
}

size_t decoder_n_vocab(const struct decoder *d)
{
    return d->shape.n_vocab;
}

size_t decoder_n_embd(const struct decoder *d)
{
    return d->shape.n_embd;
}

size_t decoder_n_ctx(const struct decoder *d)
{
    return d->shape.n_ctx_train;
}

const struct layer_state *decoder_layer_states(const struct decoder *d, size_t *n)
{
    *n = d->shape.n_layer;
    return d->states;
}
