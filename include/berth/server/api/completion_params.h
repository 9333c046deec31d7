/* completion_params.h - the fields of a request for completions, read from OpenAI's names for them.
 *
 * Handlers of other dialects translate their requests to these names first. A field that would change the answer and is
 * not supported is refused by name.
 */
#ifndef BERTH_COMPLETION_PARAMS_H
#define BERTH_COMPLETION_PARAMS_H

#include "berth/engine/scheduler/job.h"
#include "berth/server/api/api_error.h"

enum fields_route { FOR_CHAT = 1, FOR_COMPLETIONS = 2 };

#define COMPLETION_STOPS_MAX 16
#define COMPLETION_STOP_BYTES 1024
#define COMPLETION_BIAS_MAX 4096
#define COMPLETION_UNLIMITED INT64_MAX

#define COMPLETION_UNSET INT64_MIN /* an integer that the request does not have; NAN stands for a number */

/* What a request asks for, without its prompt. Spans and texts lie in the request. */
struct completion_params {
    int64_t n, top_k, seed, n_top;
    int64_t reasoning_budget; /* tokens; -1: no budget */
    int64_t max_tokens, max_completion_tokens; /* COMPLETION_UNLIMITED: as many as fit */
    double temperature, top_p, min_p, typical_p;
    double presence_penalty, frequency_penalty, repetition_penalty;
    bool stream, logprobs, echo, token_ids, ignore_end, special_text, cache_prompt;
    bool include_reasoning; /* the client gets it */
    bool include_usage, continuous_usage; /* usage in the last event of a stream, in every one */
    bool seeded; /* the request has a seed */
    bool salted; /* it has a cache salt */
    bool limit_only; /* of a completion: max_tokens need not fit the context */
    struct span stops[COMPLETION_STOPS_MAX];
    size_t n_stops;
    int32_t stop_tokens[COMPLETION_STOPS_MAX];
    size_t n_stop_tokens;
    const json_t *suffix; /* of a completion: the text behind the answer, a string; NULL for none */
    const json_t *logit_bias; /* an object, or NULL */
    struct sampler_bias *bias; /* [n_bias], owned; made by completion_params_for_model */
    size_t n_bias;
    const char *unknown_stream_option; /* a member of stream_options that means nothing here, or NULL */
};

/* Reads and checks all fields but `model` and those of the prompt. */
bool completion_params_read(
    struct completion_params *w, const json_t *request, enum fields_route route, struct api_error *c);
/* Describe the members of a request, for /openapi.json. */
struct route_field;
bool completion_params_chat_field(size_t i, struct route_field *out);
bool completion_params_text_field(size_t i, struct route_field *out);
/* Those of a chat that its prompt is made of. */
bool completion_params_prompt_field(size_t i, struct route_field *out);
/* The JSON Schema of a completion's field that is honoured. False for other names. */
bool completion_params_schema(const char *name, char *out, size_t size);
/* True for the name of any field, honoured or not, of any route. */
bool completion_params_knows(const char *name);

/* Checks token ids against the model's vocabulary and makes the biases. */
bool completion_params_for_model(struct completion_params *w, size_t vocabulary, struct api_error *c);
/* Gives the sampling fields that the request does not have the model's defaults. */
void completion_params_set_sampling(struct completion_params *w, const struct sampler_options *defaults);
void completion_params_release(struct completion_params *w);

/* The value as a token id below `vocabulary`. False for anything else. */
bool api_token_id(const json_t *value, size_t vocabulary, int32_t *out);

struct span api_text(const json_t *value); /* the bytes of a string; empty for anything else */
bool api_is_absent(const json_t *value); /* NULL or null */

/* The member as true or false; `otherwise` where it is missing or null. */
bool api_truth(const json_t *request, const char *name, bool otherwise, bool *out, struct api_error *c);
/* The same of an integer; 4.0 is one. One beyond 64 bits is the nearest that fits. */
bool api_integer(
    const json_t *request, const char *name, int64_t otherwise, int64_t *out, struct api_error *c);

#endif
