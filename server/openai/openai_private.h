/* openai_private.h - what the routes of OpenAI's API share: errors, fields, the requested model, prompts, and the reply
 * that comes later.
 *
 * A request is read and checked whole before anything runs. A field that would change the answer and is not supported
 * is refused by name.
 */
#ifndef BERTH_OPENAI_PRIVATE_H
#define BERTH_OPENAI_PRIVATE_H

#include "berth/engine/scheduler/engine.h"
#include "berth/server/http/stream.h"
#include "berth/server/json/body.h"
#include "berth/server/server.h"

extern const struct dialect openai_dialect; /* {"error": {message, type, param, code}} */

/* ---- the handlers of the routes ---- */

void openai_models(struct server *s, const struct http_request *q, struct reply *r); /* models.c */
void openai_model(struct server *s, const struct http_request *q, struct reply *r);
void openai_chat(struct server *s, const struct http_request *q, struct reply *r); /* chat.c */
void openai_completions(struct server *s, const struct http_request *q, struct reply *r); /* completions.c */
void openai_tokenize(struct server *s, const struct http_request *q, struct reply *r); /* tokenize.c */
void openai_detokenize(struct server *s, const struct http_request *q, struct reply *r);

/* ---- errors: api_error.c ---- */

/* An error in OpenAI's form. */
struct api_error {
    unsigned status;
    const char *code; /* a constant, or NULL */
    char param[96]; /* the field, "messages[2].content[0].type"; empty for none */
    struct error message;
    unsigned retry_after; /* seconds; 0 for none */
};

/* Fills in status 400 and the message, and returns false. `param` may be NULL. */
bool api_error_bad(struct api_error *c, const char *param, const char *format, ...)
    __attribute__((format(printf, 3, 4)));
/* The same with another status and a code; `code` may be NULL. */
bool api_error_status(struct api_error *c, unsigned status, const char *code, const char *param,
    const char *format, ...) __attribute__((format(printf, 5, 6)));
void api_error_reply(const struct api_error *c, struct reply *r);

/* Runs a handler with what its body needs of the server's request_memory, which is given back then. Answers 503 when
 * requests under way leave too little. */
void openai_run(struct server *s, const struct http_request *q, struct reply *r,
    void (*run)(struct server *s, const struct http_request *q, struct reply *r));
/* Fills in the error of a request for which too little memory is left, and returns false. */
bool api_error_no_memory(struct api_error *c); /* 503 */

/* An error of a request: 400 and the field `param`, or 503 where memory is short. */
bool api_error_of(struct api_error *c, const char *param, const struct error *err);

bool request_memory_refuse(struct api_error *c);

/* The body as an object, or NULL with the error. */
json_t *openai_request(const struct http_request *q, struct api_error *c);

/* ---- fields: fields.c, values.c ---- */

enum fields_route { FOR_CHAT = 1, FOR_COMPLETIONS = 2 };

#define COMPLETION_STOPS_MAX 16
#define COMPLETION_STOP_BYTES 1024
#define COMPLETION_BIAS_MAX 4096
#define COMPLETION_UNLIMITED INT64_MAX

#define COMPLETION_UNSET INT64_MIN /* an integer that the request does not have; NAN stands for a number */

/* What a request asks for, without its prompt. Spans and texts lie in the request. */
struct completion_params {
    int64_t n, top_k, seed, n_top;
    int64_t max_tokens, max_completion_tokens; /* COMPLETION_UNLIMITED: as many as fit */
    double temperature, top_p, min_p, typical_p;
    double presence_penalty, frequency_penalty, repetition_penalty;
    bool stream, logprobs, echo, token_ids, ignore_end, special_text, cache_prompt;
    bool include_usage, continuous_usage; /* usage in the last event of a stream, in every one */
    bool seeded; /* the request has a seed */
    bool salted; /* it has a cache salt */
    struct span stops[COMPLETION_STOPS_MAX];
    size_t n_stops;
    int32_t stop_tokens[COMPLETION_STOPS_MAX];
    size_t n_stop_tokens;
    const json_t *logit_bias; /* an object, or NULL */
    struct sampler_bias *bias; /* [n_bias], owned; made by completion_params_for_model */
    size_t n_bias;
    const char *unknown_stream_option; /* a member of stream_options that means nothing here, or NULL */
};

/* Reads and checks all fields but `model` and those of the prompt. */
bool completion_params_read(
    struct completion_params *w, const json_t *request, enum fields_route route, struct api_error *c);
/* Checks token ids against the model's vocabulary and makes the biases. */
bool completion_params_for_model(struct completion_params *w, size_t vocabulary, struct api_error *c);
/* Gives the sampling fields that the request does not have the model's defaults. */
void completion_params_set_sampling(struct completion_params *w, const struct sampler_options *defaults);
void completion_params_release(struct completion_params *w);

/* The value as a token id below `vocabulary`. False for anything else. */
bool openai_token_id(const json_t *value, size_t vocabulary, int32_t *out);

/* The member as true or false; `otherwise` where it is missing or null. */
bool openai_truth(const json_t *request, const char *name, bool otherwise, bool *out, struct api_error *c);

/* ---- the model: model.c ---- */

struct requested_model {
    struct model *model; /* held; NULL for none */
    struct served_model *served;
    struct text_model *text; /* the same model */
};

enum model_need {
    NEEDS_DECODER = 1 << TEXT_DECODER,
    NEEDS_TOKENIZER = 1 << TEXT_TOKENIZER,
    NEEDS_CHAT = 1 << TEXT_CHAT
};

/* Finds and holds the model that the request names, or the only one that can answer, and checks that it has the parts
 * of `needs` (enum model_need). Give it back with requested_model_release, after false too. */
bool requested_model_find(
    struct requested_model *m, struct server *s, const json_t *request, unsigned needs, struct api_error *c);
void requested_model_release(struct requested_model *m, struct server *s);

/* ---- prompts: prompts.c, chat.c ---- */

struct prompt {
    struct tokenizer_ids ids;
    char *text; /* [text_size], for an echo; NULL without */
    size_t text_size;
    struct byte_budget *memory; /* in which what is made on the way counts */
};
/* The error of a prompt that was not made: 503 where it is of no use any more, else 400 about `param`. */
bool prompt_failed(const struct prompt *p, const char *param, const struct error *err, struct api_error *c);
/* An empty prompt for a request: its tokenizer stops when the answer is of no use any more. */
struct prompt prompt_for(struct server *s, const struct http_request *q);
void prompt_release(struct prompt *p);

/* An error about `param` when a text has more bytes than the model's context can hold. */
bool prompt_check_size(const struct text_model *t, size_t bytes, const char *param, struct api_error *c);
/* Appends the ids of a client's text, after that check. */
bool prompt_add_text(struct prompt *p, const struct text_model *t, const struct tokenizer_text *in,
    const char *param, struct api_error *c);
/* Appends the ids of a list of integers, each in the vocabulary. */
bool prompt_add_ids(
    struct prompt *p, size_t vocabulary, const json_t *list, const char *param, struct api_error *c);

/* chat.c: the ids of the messages of a chat request, by the model's template. */
bool prompt_of_chat(struct prompt *p, const struct requested_model *m, json_t *request, struct api_error *c);

/* ---- the reply: completion_start.c ---- */

/* Submits a job for each prompt and puts the reply that comes later into r->async. Takes over the hold on the model
 * and the memory of the prompts, and clears both, unless memory is short. False with the error. */
bool completion_start(struct server *s, const struct http_request *q, struct reply *r,
    enum fields_route route, struct completion_params *w, struct requested_model *m, struct prompt *prompts,
    size_t n_prompts, struct api_error *c);

#endif
