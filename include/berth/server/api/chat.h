/* chat.h - chats and completions, whatever dialect they came in.
 *
 * A dialect translates its request to OpenAI's fields, names the writer of its replies, and calls one of these.
 */
#ifndef BERTH_API_CHAT_H
#define BERTH_API_CHAT_H

#include "berth/server/api/completion.h"

/* What a dialect made of its request, and how it wants the answer. */
struct translated_request {
    json_t *request; /* OpenAI's chat request; changed */
    const struct completion_writer *writer;
    json_t *original; /* what the writer repeats of the client's request; NULL for nothing */
    size_t original_more; /* bytes that it takes beside what a tree of the request's body does */
    const json_t *asked; /* the client's request, for make_prompt */
    /* Makes the only prompt of a completion, once the model is known. NULL: it is the request's `prompt`. */
    bool (*make_prompt)(struct prompt *p, const struct requested_model *m,
        const struct translated_request *call, struct api_error *c);
    bool
        limit_only; /* of a completion: max_tokens is an upper bound, as a chat's, and need not fit the context */
};

/* Answers a chat: r->async is set. False with the error. */
bool chat_answer(struct server *s, const struct http_request *q, struct reply *r,
    const struct translated_request *call, struct api_error *c);

/* The ids of the messages of a chat request, by the model's template. */
bool prompt_of_chat(struct prompt *p, const struct requested_model *m, json_t *request, struct api_error *c);

/* True when the request asks for a form of its answer. */
bool answer_form_is_asked(const json_t *request);
/* True when the form of the answer that the request asks for can be kept to. `prompt` is the chat's; NULL for a completion.
 * Otherwise the error that an answer would have. */
bool answer_form_check(const struct requested_model *m, const json_t *request, const struct prompt *prompt,
    struct byte_budget *memory, struct api_error *c);

/* The prompts of a completion: one or several, of text or ids. */
struct prompts {
    struct prompt *at; /* [n] */
    size_t n;
};
/* `all` is empty before. Release it after false, too. */
bool prompts_of_completion(struct prompts *all, struct server *s, const struct http_request *q,
    const struct text_model *t, const json_t *request, const struct completion_params *w,
    struct api_error *c);
void prompts_release(struct prompts *all);

/* Answers a completion of OpenAI's request: one or several prompts of text or ids. */
bool completion_answer(struct server *s, const struct http_request *q, struct reply *r,
    const struct translated_request *call, struct api_error *c);

#endif
