/* sampler.h - from logits to the next token of one answer.
 *
 * The order is that of OpenAI's documentation and of the common servers. Biases and penalties change logits. At
 * temperature 0 the largest logit wins, and the lower id of two that are equal. Otherwise logits are divided by the
 * temperature, top_k, typical_p, top_p and min_p each remove candidates, and one of the rest is sampled. The random
 * number depends on the seed and on how many tokens were sampled before, and on nothing else, so the same request gives
 * the same answer at any load.
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

/* Counts tokens of the prompt, for the repetition penalty. */
void sampler_see_prompt(struct sampler *s, const int32_t *ids, size_t n);

/* What forbids tokens: a grammar. The sampler samples from all tokens first. Only when that token is forbidden it
 * removes all that are, and samples once more: to check one token is cheap, and most are allowed. With top_k, top_p and
 * the others this keeps more of the model's own choice than to remove forbidden tokens first. Both members are called by
 * sampler_next, on its thread. */
struct grammar_matcher;
void sampler_set_grammar(struct sampler *s, struct grammar_matcher *m); /* borrowed; NULL for none */

#define SAMPLER_NONE (-1)

/* Samples the next token and counts it. Changes `logits` [vocabulary]. SAMPLER_NONE when there is no candidate: biases or
 * the grammar forbid all tokens, the logits are not numbers, or memory is short. */
int32_t sampler_next(struct sampler *s, float *logits);

/* Returns the log probability of `token` in the model's own distribution (before biases, penalties and temperature),
 * and writes the `n_top` most probable tokens, best first, the lower id first of two that are equal; SAMPLER_NONE fills
 * the rest where the vocabulary is smaller. NAN for a token out of range. Does not change the logits. */
struct sampler_logprob {
    int32_t token;
    float logprob;
};
float sampler_logprobs(
    const float *logits, size_t vocabulary, int32_t token, struct sampler_logprob *top, size_t n_top);

#endif
