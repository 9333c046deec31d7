/* completions.c - POST /v1/chat/completions and /v1/completions. */
#include "openai_private.h"

static void run(struct server *s, const struct http_request *q, struct reply *r,
    bool (*answer)(struct server *s, const struct http_request *q, struct reply *r,
        const struct translated_request *call, struct api_error *c))
{
    struct api_error c = {0};
    struct translated_request call = {.request = api_request(q, &c), .writer = &openai_writer};
    if (!call.request || !answer(s, q, r, &call, &c))
        api_error_reply(&c, q, r);
    json_decref(call.request);
}

static void run_chat(struct server *s, const struct http_request *q, struct reply *r)
{
    run(s, q, r, chat_answer);
}

static void run_completions(struct server *s, const struct http_request *q, struct reply *r)
{
    run(s, q, r, completion_answer);
}

void openai_chat(struct server *s, const struct http_request *q, struct reply *r)
{
    api_run(s, q, r, run_chat);
}

void openai_completions(struct server *s, const struct http_request *q, struct reply *r)
{
    api_run(s, q, r, run_completions);
}
