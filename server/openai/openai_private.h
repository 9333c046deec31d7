/* openai_private.h - what the routes of OpenAI's manner share: complaints, the fields of a request, finding the
 * model that is asked for, and the answer that comes later.
 *
 * A request is read whole and checked before anything runs. What cannot be honoured is refused with the field's
 * name; what would change the result is never passed over.
 */
#ifndef BERTH_OPENAI_PRIVATE_H
#define BERTH_OPENAI_PRIVATE_H

#include "berth/engine/scheduler/engine.h"
#include "berth/server/http/reply.h"
#include "berth/server/server.h"
#include "berth/server/http/stream.h"

/* ---- complaints: complaint.c ---- */

/* Why a request is refused, as OpenAI's errors tell it. */
struct complaint {
    unsigned status;
    const char *code; /* a constant, or NULL */
    char param[96]; /* the field, "messages[2].content[0].type"; empty for none */
    struct error message;
    unsigned retry_after; /* seconds; 0 for none */
};

/* Fills in status 400 and the message, and returns false. `param` may be NULL. */
bool complain(struct complaint *c, const char *param, const char *format, ...)
    __attribute__((format(printf, 3, 4)));
/* The same with another status and a code; `code` may be NULL. */
bool complain_status(struct complaint *c, unsigned status, const char *code, const char *param,
    const char *format, ...) __attribute__((format(printf, 5, 6)));
void complaint_reply(const struct complaint *c, struct reply *r);

/* The body as an object, or NULL with the complaint. */
json_t *openai_request(const struct request *q, struct complaint *c);

/* ---- fields: request_fields.c ---- */

enum fields_route { FOR_CHAT = 1, FOR_COMPLETIONS = 2 };

#define WANTED_STOPS_MAX 16
#define WANTED_STOP_BYTES 1024
#define WANTED_BIAS_MAX 4096
#define WANTED_UNLIMITED INT64_MAX

/* What a request wants, but for its prompt. Spans lie in the request. */
struct wanted {
    int64_t n, max_tokens, max_completion_tokens, top_k, seed, n_top, best_of;
    double temperature, top_p, min_p, typical_p;
    double presence_penalty, frequency_penalty, repetition_penalty;
    bool stream, include_usage, logprobs, echo, token_ids, ignore_end, special_text, cache_prompt;
    bool seeded; /* the request has a seed */
    struct span stops[WANTED_STOPS_MAX];
    size_t n_stops;
    int32_t stop_tokens[WANTED_STOPS_MAX];
    size_t n_stop_tokens;
    const json_t *logit_bias; /* an object, or NULL */
    struct sampler_bias *bias; /* [n_bias], made of it by wanted_bias; freed by wanted_release */
    size_t n_bias;
};

/* Reads and checks every field but those of the prompt (`model`, `messages`, `prompt`), by the table. */
bool wanted_read(struct wanted *w, const json_t *request, enum fields_route route, struct complaint *c);
/* What depends on the model's vocabulary. */
bool wanted_for_model(struct wanted *w, size_t vocabulary, struct complaint *c);
void wanted_release(struct wanted *w);

/* The member as a truth, `otherwise` where there is none; a complaint when it is no boolean. */
bool openai_truth(const json_t *request, const char *name, bool otherwise, bool *out, struct complaint *c);

/* ---- the model: openai_model.c ---- */

struct asked_model {
    struct model *model; /* held; NULL for none */
    struct text_model *text;
};

enum model_need { NEEDS_DECODER = 1, NEEDS_TOKENIZER = 2, NEEDS_CHAT = 4 };

/* Finds and holds the model that the request names, or the only one there is; it has what is needed. Give it
 * back with asked_model_release, which may be called after false, too. */
bool asked_model_find(
    struct asked_model *m, struct server *s, const json_t *request, unsigned needs, struct complaint *c);
void asked_model_release(struct asked_model *m, struct server *s);

/* ---- prompts ---- */

struct prompt {
    struct tokenizer_ids ids;
    char *text; /* [text_size], what was asked, for an echo; NULL without */
    size_t text_size;
};
void prompt_release(struct prompt *p);

/* api_completions.c: a complaint about `param` when a text is longer than any prompt can be. */
bool prompt_check_size(const struct text_model *t, size_t bytes, const char *param, struct complaint *c);
/* Appends the ids of a client's text, after that check. */
bool prompt_add_text(struct prompt *p, const struct text_model *t, const struct tokenizer_text *in,
    const char *param, struct complaint *c);
/* Appends the ids of a list of integers, each in the vocabulary. */
bool prompt_add_ids(
    struct prompt *p, size_t vocabulary, const json_t *list, const char *param, struct complaint *c);

/* api_chat.c: the ids of the messages of a chat request, by the model's template. */
bool prompt_of_chat(struct prompt *p, const struct text_model *t, json_t *request, struct complaint *c);

/* ---- the answer: openai_answer.c ---- */

/* Submits a job for each prompt and leaves the answer in r->later. Takes the model's hold and the prompts' memory
 * over, and leaves nothing in their place, but where memory is short. */
bool openai_answer_start(struct server *s, const struct request *q, struct reply *r, enum fields_route route,
    struct wanted *w, struct asked_model *m, struct prompt *prompts, size_t n_prompts, struct complaint *c);

#endif
