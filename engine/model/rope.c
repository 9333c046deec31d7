/* rope.c - the angles by which pairs of a head's elements rotate at a position.
 *
 * Rotary embedding (arXiv 2104.09864): pair i of n rotates by position * base^(-i / n) radians. Files change these
 * frequencies in three ways, which may be combined: by a divisor for each pair (Llama 3.1, longrope), by one factor for
 * all (linear), or by YaRN (arXiv 2309.00071): pairs that make more than yarn_fast turns within the original context keep
 * their frequency, those that make fewer than yarn_slow are multiplied by the factor, with a ramp between. Everything
 * is computed in double, once. The limit of the context chooses between two sets of divisors, not the length of a
 * sequence, so an answer does not depend on how long it grows.
 */
#include "decoder_private.h"

#include <math.h>
#include <stdlib.h>

#define WHOLE_TURN 6.283185307179586

/* The index of the pair, as a real number, that makes so many turns within the original context. */
static double pair_turning(const struct rope_fields *f, const struct rope_shape *r, double turns)
{
    return r->n_rot / 2 * log(f->context / (turns * WHOLE_TURN)) / log(r->base);
}

/* The weight of a pair's own frequency: 1 up to pair `low`, 0 from `high` on, a ramp between. */
static double yarn_share(const struct rope_fields *f, const struct rope_shape *r, size_t pair)
{
    double low = fmax(0, floor(pair_turning(f, r, r->yarn_fast)));
    double high = fmin(r->n_rot - 1, ceil(pair_turning(f, r, r->yarn_slow)));
    double along = ((double)pair - low) / fmax(0.001, high - low);
    return 1 - fmin(1, fmax(0, along));
}

static double rate_of(
    const struct rope_fields *f, const struct rope_shape *r, size_t pair, const float *factors)
{
    double rate = vector_power(r->base, -2.0 * (double)pair / r->n_rot);
    if (factors)
        rate /= factors[pair];
    if (r->yarn == 0)
        return rate * r->scale;
    double share = r->yarn * yarn_share(f, r, pair);
    return rate * r->scale * (1 - share) + rate * share;
}

static bool prepare(struct decoder *d, struct rope *out, const struct rope_shape *r, const float *factors)
{
    size_t pairs = r->n_rot / 2;
    out->pairs = pairs;
    if (!out->inv_freq)
        out->inv_freq = malloc((pairs + 1) * sizeof(*out->inv_freq));
    if (!out->inv_freq)
        return false;
    out->magnitude = (float)r->magnitude;
    for (size_t i = 0; i < pairs; i++)
        out->inv_freq[i] = rate_of(&d->rope, r, i, factors);
    return true;
}

bool rope_prepare(struct decoder *d, size_t context, struct error *err)
{
    const float *factors = d->rope_factors;
    if (!factors)
        factors = context > d->rope.context ? d->rope_factors_long : d->rope_factors_short;
    for (size_t i = 0; factors && i < d->rope.global.n_rot / 2; i++)
        if (!isfinite(factors[i]) || factors[i] == 0)
            return error_set(err, "factor %zu of the rotation is 0, or no number", i);
    return (prepare(d, &d->ropes[0], &d->rope.global, factors) &&
               prepare(d, &d->ropes[1], &d->rope.local, NULL)) ||
           error_set(err, "no memory for the inv_freq of %zu pairs", (size_t)d->rope.global.n_rot / 2);
}

void rope_cos_sin(const struct rope *r, uint32_t position, size_t first, size_t count, float *cos_sin)
{
    for (size_t i = first; i < first + count; i++) {
        float sine, cosine;
        vector_sin_cos(position * r->inv_freq[i], &sine, &cosine);
        cos_sin[2 * i] = cosine * r->magnitude;
        cos_sin[2 * i + 1] = sine * r->magnitude;
    }
}
