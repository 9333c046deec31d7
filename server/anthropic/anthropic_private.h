/* anthropic_private.h - what the files of Anthropic's API share. */
#ifndef BERTH_ANTHROPIC_PRIVATE_H
#define BERTH_ANTHROPIC_PRIVATE_H

#include "berth/server/api/translate.h"

extern const struct dialect anthropic_dialect; /* {"type":"error","error":{type, message},"request_id"} */

/* Anthropic's word for an error of this status. */
const char *anthropic_error_type(unsigned status);

/* ---- request.c ---- */

/* A request of Anthropic's, translated. */
struct messages_request {
    json_t *chat; /* OpenAI's request; owned */
    json_t *told; /* for the writer: {"warnings": […], "omit": whether thinking is hidden}; owned */
};

/* `counts`: the request only counts tokens, and needs no max_tokens. False with the error; release it either way. */
bool messages_request_read(struct messages_request *m, const json_t *request, bool counts,
    struct byte_budget *memory, struct api_error *c);
void messages_request_release(struct messages_request *m);

/* ---- messages.c: the messages, in OpenAI's words ---- */

bool messages_translate(const json_t *request, json_t *chat, struct byte_budget *memory, struct api_error *c);

/* ---- answer.c ---- */

extern const struct completion_writer anthropic_writer;

/* ---- the handlers of the routes ---- */

void anthropic_messages(struct server *s, const struct http_request *q, struct reply *r);
void anthropic_count_tokens(struct server *s, const struct http_request *q, struct reply *r);

#endif
