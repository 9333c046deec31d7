/* responses_private.h - what the files of OpenAI's Responses API share. */
#ifndef BERTH_RESPONSES_PRIVATE_H
#define BERTH_RESPONSES_PRIVATE_H

#include "berth/server/api/translate.h"

/* A request, translated. */
struct responses_request {
    json_t *chat; /* OpenAI's chat request; owned */
    json_t *told; /* for the writer, see responses_answer.c; owned */
};

/* False with the error; release it either way. */
bool responses_request_read(
    struct responses_request *m, const json_t *request, struct byte_budget *memory, struct api_error *c);
void responses_request_release(struct responses_request *m);

/* responses_input.c: `instructions` and `input`, as messages of a chat. */
bool responses_translate(
    const json_t *request, json_t *chat, struct byte_budget *memory, struct api_error *c);

/* responses_answer.c */
extern const struct completion_writer responses_writer;

#endif
