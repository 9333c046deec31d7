/* llamacpp_private.h - what the routes of llama.cpp's server share. */
#ifndef BERTH_LLAMACPP_PRIVATE_H
#define BERTH_LLAMACPP_PRIVATE_H

#include "berth/server/api/translate.h"

extern const struct dialect llamacpp_dialect; /* {"error": {code, message, type}} */

/* ---- the handlers of the routes ---- */

void llamacpp_completion(struct server *s, const struct http_request *q, struct reply *r); /* completion.c */
void llamacpp_infill(struct server *s, const struct http_request *q, struct reply *r);
void llamacpp_props(struct server *s, const struct http_request *q, struct reply *r); /* props.c */
void llamacpp_slots(struct server *s, const struct http_request *q, struct reply *r);
void llamacpp_tokenizer_info(struct server *s, const struct http_request *q, struct reply *r);
void llamacpp_apply_template(struct server *s, const struct http_request *q, struct reply *r);
void llamacpp_refused(struct server *s, const struct http_request *q, struct reply *r);

/* ---- request.c ---- */

/* Describe the members of requests. */
bool llamacpp_completion_field(size_t i, struct route_field *out);
bool llamacpp_infill_field(size_t i, struct route_field *out);
/* True when the fields that are not OpenAI's have values that they may have. */
bool llamacpp_check_fields(const json_t *request, bool infill, struct api_error *c);
/* Moves the fields that a completion does not have into an object of their own. */
bool llamacpp_take_infill(json_t *request, json_t *into, struct api_error *c);

/* Brings the fields of a request into OpenAI's, and puts into `kept` what the writer has to know of it. */
bool llamacpp_settle_fields(const struct options *o, json_t *request, json_t *kept, struct api_error *c);

/* True when the prompt is a list of texts and token ids that are one prompt; it is made by llamacpp_mixed_prompt. */
bool llamacpp_is_mixed(const json_t *prompt);
bool llamacpp_mixed_prompt(struct prompt *p, const struct requested_model *m,
    const struct translated_request *call, struct api_error *c);

/* ---- json.c ---- */

/* Its completion's request is an object that may have `response_fields`, and `reads_only`: the answer is not told. */
extern const struct completion_writer llamacpp_writer;

/* What a request's answer is sampled with. */
struct llamacpp_settings {
    const struct sampler_options *sampling;
    bool seeded;
    size_t max_tokens; /* SIZE_MAX: as many as fit */
    const struct span *stops; /* [n_stops] */
    size_t n_stops;
    uint32_t n_probs;
    bool ignore_eos, stream;
};

/* Appends them as an object. */
void llamacpp_add_settings(struct strbuf *out, const struct llamacpp_settings *w);

#endif
