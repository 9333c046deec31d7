/* sampler.h - from logits to the next token of one answer.
 *
 * The order is that of OpenAI's documentation and of the common servers: bias and penalties change logits; at
 * temperature 0 the largest wins (the lower id, where two are equal); otherwise logits are divided by the
 * temperature, then top_k, typical_p, top_p and min_p each take candidates away, and one of those that are left is
 * sampled. The sample number depends on the seed and on how many tokens were sampled before, nothing else, so that the
 * same request gives the same answer at any load.
 */
#ifndef BERTH_SAMPLER_H
#define BERTH_SAMPLER_H

#include "berth/base/error.h"

#include <stddef.h>
#include <stdint.h>

struct sampler_bias {
    int32_t token;
    float bias; /* added to the logit; -100 and below: never */
};

struct sampler_options {
    float temperature; /* 0: greedy */
    uint32_t top_k; /* 0: off */
    float top_p; /* 1: off */
    float min_p; /* 0: off */
    float typical_p; /* 1: off */
    float presence_penalty, frequency_penalty; /* 0: off; on generated tokens, as OpenAI has it */
    float repetition_penalty; /* 1: off; on prompt and generated tokens */
    uint64_t seed;
    const struct sampler_bias *bias; /* [n_bias], borrowed */
    size_t n_bias;
};

extern const struct sampler_options sampler_defaults;

struct sampler;

/* The options are copied, but for the biases. NULL without memory. */
struct sampler *sampler_new(const struct sampler_options *o, size_t vocabulary);
void sampler_free(struct sampler *s);

/* Tells it a token of the prompt (for the repetition penalty). */
void sampler_see_prompt(struct sampler *s, const int32_t *ids, size_t n);

/* Called with the logits, after bias and penalties, before anything is chosen: a grammar's place. */
typedef void (*sampler_hook)(void *context, float *logits, size_t vocabulary);
void sampler_set_hook(struct sampler *s, sampler_hook hook, void *context);

#define SAMPLER_NONE (-1)

/* Draws the next token and remembers it. `logits` [vocabulary] is changed. SAMPLER_NONE when there is none to be
 * sampled: biases or the hook forbid all, the logits are no numbers, or memory is short. */
int32_t sampler_next(struct sampler *s, float *logits);

/* Log probabilities, of the model's own distribution (before bias, penalties and temperature): the token's own,
 * and the `n_top` most probable ones, best first, lower id first where equal (SAMPLER_NONE behind the last, where the
 * vocabulary is smaller). NAN for a token out of range. Does not change the logits. */
struct sampler_logprob {
    int32_t token;
    float logprob;
};
float sampler_logprobs(
    const float *logits, size_t vocabulary, int32_t token, struct sampler_logprob *top, size_t n_top);

#endif
