/* responses_private.h - what the files of OpenAI's Responses API share. */
#ifndef BERTH_RESPONSES_PRIVATE_H
#define BERTH_RESPONSES_PRIVATE_H

#include "berth/server/api/translate.h"

struct stored_response;

/* A request, translated. */
struct responses_request {
    json_t *chat; /* OpenAI's chat request; owned */
    json_t *told; /* for the writer, see responses_answer.c; owned */
    const struct stored_response *previous; /* what it goes on from, held; NULL: nothing */
    size_t held; /* bytes taken of request_memory for the conversation up to that */
};

/* False with the error; release it either way. */
bool responses_request_read(struct responses_request *m, struct server *s, const struct http_request *q,
    json_t *request, struct api_error *c);
void responses_request_release(struct responses_request *m, struct server *s);
/* Describes the members of a request for /openapi.json. */
bool responses_field(size_t i, struct route_field *out);

/* responses_input.c: `instructions`, earlier turns as responses_turns gives them (NULL: none) and `input`, as messages of
 * a chat. */
bool responses_translate(const json_t *request, const json_t *turns, json_t *chat, struct byte_budget *memory,
    struct api_error *c);

/* ---- responses_kept.c ---- */

/* Reads `store` and `previous_response_id`: holds the previous response, adds what the answer repeats to `echo`, and
 * "kept" to what the writer is told where the response is to be kept. False with the error. */
bool responses_read_kept(struct responses_request *m, struct server *s, const struct http_request *q,
    const json_t *request, json_t *echo, struct api_error *c);

/* Puts what is kept in the place of each reference to an item. False with the error, where one is not kept. */
bool responses_resolve(struct responses_request *m, struct server *s, const struct http_request *q,
    json_t *request, struct api_error *c);

/* The turns of the conversation up to a response and with it, the newest first, each [input, output]. What they and the
 * prompt take of `memory` is added to *held, also after a failure. NULL with the error. */
json_t *responses_turns(
    const struct stored_response *last, struct byte_budget *memory, size_t *held, struct api_error *c);

/* Keeps a response that has ended, where its request wants that. `output`, in `body`, is the list of its items. Where
 * there is no room or memory it is not kept, and the log tells so. */
void responses_keep(const struct completion *a, struct span body, struct span output);

/* responses_answer.c */
extern const struct completion_writer responses_writer;

#endif
