/* responses.c - POST /v1/responses and /v1/responses/input_tokens. */
#include "openai_private.h"
#include "responses_private.h"

#include "berth/server/json/body.h"

/* Errors that come from below name the fields of a chat. */
static void settle_error(struct api_error *c)
{
    static const struct renamed_field names[] = {
        {"max_tokens", "max_output_tokens", false},
        {"response_format.json_schema.schema", "text.format.schema", false},
        {"response_format", "text.format", true},
        {"reasoning_effort", "reasoning.effort", true},
        {"messages", "input", true},
        {"tools", "tools", true},
    };
    translate_error(c, names, sizeof(names) / sizeof(names[0]));
}

typedef bool answer_request(struct server *s, const struct http_request *q, struct reply *r,
    const struct responses_request *m, struct api_error *c);

static bool answer(struct server *s, const struct http_request *q, struct reply *r,
    const struct responses_request *m, struct api_error *c)
{
    const json_t *kept = json_object_get(m->told, "kept");
    struct translated_request call = {.request = m->chat,
        .writer = &responses_writer,
        .original = m->told,
        .original_more = api_text(json_object_get(kept, "input")).size};
    return chat_answer(s, q, r, &call, c);
}

static bool count(struct server *s, const struct http_request *q, struct reply *r,
    const struct responses_request *m, struct api_error *c)
{
    size_t n;
    if (!chat_count(s, q, m->chat, &n, c))
        return false;
    reply_json(
        r, 200, json_pack("{s:s, s:I}", "object", "response.input_tokens", "input_tokens", (json_int_t)n));
    return true;
}

/* The translated request, and what the answer repeats, are trees as large as the request. */
static void run(struct server *s, const struct http_request *q, struct reply *r, answer_request *go)
{
    struct api_error c = {0};
    struct responses_request m = {0};
    size_t bytes = 2 * http_json_bytes(q->body);
    bool taken = byte_budget_take(&s->request_memory, bytes) || request_memory_refuse(&c);
    json_t *request = taken ? api_request(q, &c) : NULL;
    bool read = request && responses_request_read(&m, s, q, request, &c);
    bool good = read && go(s, q, r, &m, &c);
    if (read && !good)
        settle_error(&c);
    if (!good)
        api_error_reply(&c, q, r);
    responses_request_release(&m, s);
    json_decref(request);
    byte_budget_give(&s->request_memory, taken ? bytes : 0);
}

static void run_responses(struct server *s, const struct http_request *q, struct reply *r)
{
    run(s, q, r, answer);
}

static void run_count(struct server *s, const struct http_request *q, struct reply *r)
{
    run(s, q, r, count);
}

void openai_responses(struct server *s, const struct http_request *q, struct reply *r)
{
    api_run(s, q, r, run_responses);
}

void openai_responses_input_tokens(struct server *s, const struct http_request *q, struct reply *r)
{
    api_run(s, q, r, run_count);
}
