/* openai_private.h - what the routes of OpenAI's API share. */
#ifndef BERTH_OPENAI_PRIVATE_H
#define BERTH_OPENAI_PRIVATE_H

#include "berth/engine/scheduler/engine.h"
#include "berth/server/api/chat.h"

extern const struct dialect openai_dialect; /* {"error": {message, type, param, code}} */

/* ---- the handlers of the routes ---- */

void openai_models(struct server *s, const struct http_request *q, struct reply *r); /* models.c */
void openai_model(struct server *s, const struct http_request *q, struct reply *r);
void openai_chat(struct server *s, const struct http_request *q, struct reply *r); /* completions.c */
void openai_completions(struct server *s, const struct http_request *q, struct reply *r);
void openai_responses(struct server *s, const struct http_request *q, struct reply *r); /* responses.c */
void openai_responses_input_tokens(struct server *s, const struct http_request *q, struct reply *r);
void openai_response(struct server *s, const struct http_request *q, struct reply *r); /* responses_items.c */
void openai_response_delete(struct server *s, const struct http_request *q, struct reply *r);
void openai_response_input_items(struct server *s, const struct http_request *q, struct reply *r);
void openai_responses_compact(struct server *s, const struct http_request *q, struct reply *r);
void openai_tokenize(struct server *s, const struct http_request *q, struct reply *r); /* tokenize.c */
void openai_detokenize(struct server *s, const struct http_request *q, struct reply *r);
/* Describe the members of their requests. */
bool openai_tokenize_field(size_t i, struct route_field *out);
bool openai_detokenize_field(size_t i, struct route_field *out);
void openai_embeddings(struct server *s, const struct http_request *q, struct reply *r); /* embeddings.c */
bool openai_embeddings_field(size_t i, struct route_field *out);
void openai_render_chat(struct server *s, const struct http_request *q, struct reply *r); /* render.c */
void openai_render_completions(struct server *s, const struct http_request *q, struct reply *r);

/* ---- json.c ---- */

extern const struct completion_writer openai_writer;

#endif
