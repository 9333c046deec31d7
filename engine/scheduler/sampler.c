/* sampler.c - biases and penalties by an answer's history, and the choice of its next token.
 *
 * The tokens that were seen are in a hash table that grows with their number and not with the vocabulary, because there
 * may be a hundred answers at a time over 150,000 tokens. It is filled only when a penalty needs it.
 *
 * Random numbers are SplitMix64 (Steele, Lea and Flood 2014) of a counter. Number i of a seed is the same whatever was
 * computed before, so an answer that was preempted goes on as it would have without that.
 */
#include "sampler_private.h"

#include "berth/engine/grammar/grammar.h"
#include "berth/kernels/vector.h"

#include <math.h>
#include <stdlib.h>

#define NEVER_BIAS (-100.0f)
#define TABLE_LEAST 64
#define NO_TOKEN (-1)
#define SECOND_CHOICE 0x5851f42d4c957f2du /* makes another seed */

struct penalty_seen {
    int32_t token; /* NO_TOKEN: a free place */
    uint32_t generated; /* times; 0 for tokens of the prompt alone */
};

struct sampler {
    struct sampler_options options;
    size_t vocabulary;
    uint64_t sampled;
    struct penalty_seen *seen; /* [room], a power of two; open addressing */
    size_t n_seen, room;
    bool failed; /* memory ran out: the table misses tokens */
    struct grammar_matcher *grammar; /* NULL: every token is allowed */
    struct candidates candidates;
};

const struct sampler_options sampler_defaults = {.temperature = 0.8f,
    .top_k = 40,
    .top_p = 0.95f,
    .min_p = 0.05f,
    .typical_p = 1,
    .repetition_penalty = 1};

struct sampler *sampler_new(const struct sampler_options *o, size_t vocabulary)
{
    struct sampler *s = calloc(1, sizeof(*s));
    if (!s)
        return NULL;
    s->options = *o;
    s->vocabulary = vocabulary;
    return s;
}

void sampler_free(struct sampler *s)
{
    if (!s)
        return;
    free(s->seen);
    free(s->candidates.at);
    free(s);
}

void sampler_set_grammar(struct sampler *s, struct grammar_matcher *m)
{
    s->grammar = m;
}

/* ---- what was seen ---- */

/* The token's entry, or the free entry where it belongs. */
static struct penalty_seen *place_of(struct penalty_seen *table, size_t room, int32_t token)
{
    size_t at = ((uint32_t)token * 2654435761u) & (room - 1);
    while (table[at].token != NO_TOKEN && table[at].token != token)
        at = (at + 1) & (room - 1);
    return &table[at];
}

static bool grow_table(struct sampler *s)
{
    size_t room = s->room ? s->room * 2 : TABLE_LEAST;
    struct penalty_seen *table = malloc(room * sizeof(*table));
    if (!table)
        return false;
    for (size_t i = 0; i < room; i++)
        table[i] = (struct penalty_seen){.token = NO_TOKEN};
    for (size_t i = 0; i < s->room; i++)
        if (s->seen[i].token != NO_TOKEN)
            *place_of(table, room, s->seen[i].token) = s->seen[i];
    free(s->seen);
    s->seen = table;
    s->room = room;
    return true;
}

static void see(struct sampler *s, int32_t token, uint32_t generated)
{
    if (token < 0 || (size_t)token >= s->vocabulary || s->failed)
        return;
    if (s->n_seen * 2 >= s->room && !grow_table(s)) {
        s->failed = true;
        return;
    }
    struct penalty_seen *place = place_of(s->seen, s->room, token);
    s->n_seen += place->token == NO_TOKEN;
    place->token = token;
    place->generated += generated;
}

void sampler_see_prompt(struct sampler *s, const int32_t *ids, size_t n)
{
    for (size_t i = 0; i < n && s->options.repetition_penalty != 1; i++)
        see(s, ids[i], 0);
}

/* ---- what changes logits ---- */

static void apply_bias(const struct sampler *s, float *logits)
{
    for (size_t i = 0; i < s->options.n_bias; i++) {
        const struct sampler_bias *b = &s->options.bias[i];
        if (b->token >= 0 && (size_t)b->token < s->vocabulary)
            logits[b->token] = b->bias <= NEVER_BIAS ? -INFINITY : logits[b->token] + b->bias;
    }
}

/* The repetition penalty is that of CTRL (Keskar et al. 2019): it moves a logit towards less likely on either side of
 * zero. The other two are OpenAI's: logit - count * frequency - (count > 0) * presence. */
static void apply_penalties(const struct sampler *s, float *logits)
{
    const struct sampler_options *o = &s->options;
    for (size_t i = 0; i < s->room; i++) {
        const struct penalty_seen *seen = &s->seen[i];
        if (seen->token == NO_TOKEN)
            continue;
        float *logit = &logits[seen->token];
        *logit = *logit > 0 ? *logit / o->repetition_penalty : *logit * o->repetition_penalty;
        if (seen->generated)
            *logit -= (float)seen->generated * o->frequency_penalty + o->presence_penalty;
    }
}

static bool has_penalties(const struct sampler_options *o)
{
    return o->repetition_penalty != 1 || o->frequency_penalty != 0 || o->presence_penalty != 0;
}

/* ---- the choice ---- */

static uint64_t mix(uint64_t z)
{
    z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9u;
    z = (z ^ (z >> 27)) * 0x94d049bb133111ebu;
    return z ^ (z >> 31);
}

/* A number from [0, 1). The seed is mixed first, so that neighbouring seeds, which the choices of a request have, do not
 * give neighbouring counters. */
static double uniform(uint64_t seed, uint64_t index)
{
    uint64_t bits = mix(mix(seed) + (index + 1) * 0x9e3779b97f4a7c15u);
    return (double)(bits >> 11) * 0x1p-53;
}

static int32_t first_equal(const float *logits, size_t n, float value)
{
    for (size_t i = 0; i < n; i++)
        if (logits[i] == value)
            return (int32_t)i;
    return SAMPLER_NONE;
}

/* `temperature` divides the logits, which are changed. */
static int32_t choose(struct sampler *s, float *logits, float temperature, double random)
{
    float most = vector_max(logits, s->vocabulary);
    if (!(most > -INFINITY))
        return SAMPLER_NONE;
    if (!(temperature > 0) || most == INFINITY)
        return first_equal(logits, s->vocabulary, most);
    for (size_t i = 0; i < s->vocabulary; i++) {
        float x = (logits[i] - most) / temperature;
        logits[i] = x <= 0 ? x : -INFINITY; /* a NaN is no candidate */
    }
    if (s->grammar)
        return sampler_draw_kept(&s->candidates, &s->options, logits, s->vocabulary, random);
    return sampler_draw(&s->candidates, &s->options, logits, s->vocabulary, random);
}

/* The first choice is among all tokens. When it is forbidden, the second is among the allowed ones, with another random
 * number; the logits are then divided by the temperature already. */
static int32_t choose_allowed(struct sampler *s, float *logits, uint64_t index)
{
    float temperature = s->options.temperature;
    bool divided = temperature > 0 && vector_max(logits, s->vocabulary) < INFINITY;
    int32_t token = choose(s, logits, temperature, uniform(s->options.seed, index));
    if (token == SAMPLER_NONE || grammar_matcher_allows(s->grammar, token))
        return token;
    grammar_matcher_mask(s->grammar, logits, s->vocabulary);
    return choose(s, logits, divided ? 1 : temperature, uniform(s->options.seed ^ SECOND_CHOICE, index));
}

int32_t sampler_next(struct sampler *s, float *logits)
{
    if (s->failed)
        return SAMPLER_NONE;
    apply_bias(s, logits);
    if (has_penalties(&s->options))
        apply_penalties(s, logits);
    uint64_t index = s->sampled++;
    int32_t token = s->grammar ? choose_allowed(s, logits, index)
                               : choose(s, logits, s->options.temperature, uniform(s->options.seed, index));
    if (has_penalties(&s->options))
        see(s, token, 1);
    return token;
}

/* ---- log probabilities ---- */

/* Inserts a token into the sorted list of the most probable ones. The last one drops out. */
static void insert_top(struct sampler_logprob *top, size_t n_top, int32_t token, float logit)
{
    size_t at = n_top - 1;
    for (; at > 0 && logit > top[at - 1].logprob; at--)
        top[at] = top[at - 1];
    top[at] = (struct sampler_logprob){token, logit};
}

float sampler_logprobs(
    const float *logits, size_t vocabulary, int32_t token, struct sampler_logprob *top, size_t n_top)
{
    float most = vector_max(logits, vocabulary);
    float log_sum = vector_log(vector_exp_sum(logits, most, vocabulary));
    for (size_t i = 0; i < n_top; i++)
        top[i] = (struct sampler_logprob){SAMPLER_NONE, -INFINITY};
    for (size_t i = 0; n_top > 0 && i < vocabulary; i++)
        if (logits[i] > top[n_top - 1].logprob)
            insert_top(top, n_top, (int32_t)i, logits[i]);
    for (size_t i = 0; i < n_top; i++)
        top[i].logprob = top[i].logprob - most - log_sum;
    if (token < 0 || (size_t)token >= vocabulary)
        return NAN;
    return logits[token] - most - log_sum;
}
