/* routes.c - the routes of Anthropic's API, how its errors are written, and their handlers. */
#include "anthropic_private.h"

#include "berth/server/routes.h"

#include <stdio.h>
#include <string.h>

/* Bytes, and never more than --max-body. What a body is read into can be twenty times as large. */
#define ANTHROPIC_BODY_MAX ((size_t)8 << 20)

/* ---- errors ---- */

const char *anthropic_error_type(unsigned status)
{
    static const struct {
        unsigned status;
        const char *type;
    } rows[] = {
        {401, "authentication_error"},
        {403, "permission_error"},
        {404, "not_found_error"},
        {413, "request_too_large"},
        {429, "rate_limit_error"},
        {503, "overloaded_error"},
        {504, "timeout_error"},
    };
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++)
        if (rows[i].status == status)
            return rows[i].type;
    return status >= 500 ? "api_error" : "invalid_request_error";
}

static void write_error(
    struct reply *r, unsigned status, const char *message, const char *param, const char *code)
{
    char room[1024];
    (void)param;
    (void)code;
    reply_json(r, status,
        json_pack("{s:s, s:{s:s, s:s}, s:s?}", "type", "error", "error", "type", anthropic_error_type(status),
            "message", json_message(message, room, sizeof(room)), "request_id", r->request_id));
}

/* Clients know by these words that they have to shorten the conversation. */
static void settle_error(struct api_error *c)
{
    static const struct renamed_field names[] = {
        {"stop", "stop_sequences", false},
        {"response_format.json_schema.schema", "output_config.format.schema", false},
        {"response_format", "output_config.format", true},
        {"continue_final_message", "messages", true},
        {"reasoning_budget", "thinking.budget_tokens", true},
        {"enable_thinking", "thinking", true},
        {"messages", "messages", true},
        {"tools", "tools", true},
    };
    translate_error(c, names, sizeof(names) / sizeof(names[0]));
    struct error why = c->message;
    if (c->code && strcmp(c->code, "context_length_exceeded") == 0)
        snprintf(c->message.text, sizeof(c->message.text), "prompt is too long: %.600s", why.text);
}

/* ---- handlers ---- */

typedef bool answer_messages(struct server *s, const struct http_request *q, struct reply *r,
    const struct messages_request *m, struct api_error *c);

static bool answer(struct server *s, const struct http_request *q, struct reply *r,
    const struct messages_request *m, struct api_error *c)
{
    struct translated_request call = {.request = m->chat, .writer = &anthropic_writer, .original = m->told};
    return chat_answer(s, q, r, &call, c);
}

static bool count(struct server *s, const struct http_request *q, struct reply *r,
    const struct messages_request *m, struct api_error *c)
{
    size_t n;
    if (!chat_count(s, q, m->chat, &n, c))
        return false;
    reply_json(r, 200, json_pack("{s:I}", "input_tokens", (json_int_t)n));
    return true;
}

/* The translated request, and what the answer repeats, are trees as large as the request. */
static void run(
    struct server *s, const struct http_request *q, struct reply *r, bool counts, answer_messages *go)
{
    struct api_error c = {0};
    struct messages_request m = {0};
    size_t bytes = 2 * http_json_bytes(q->body);
    bool taken = byte_budget_take(&s->request_memory, bytes) || request_memory_refuse(&c);
    json_t *request = taken ? api_request(q, &c) : NULL;
    bool read = request && messages_request_read(&m, request, counts, &s->request_memory, &c);
    bool good = read && go(s, q, r, &m, &c);
    if (read && !good)
        settle_error(&c);
    if (!good)
        api_error_reply(&c, q, r);
    messages_request_release(&m);
    json_decref(request);
    byte_budget_give(&s->request_memory, taken ? bytes : 0);
}

static void run_messages(struct server *s, const struct http_request *q, struct reply *r)
{
    run(s, q, r, false, answer);
}

static void run_count(struct server *s, const struct http_request *q, struct reply *r)
{
    run(s, q, r, true, count);
}

void anthropic_messages(struct server *s, const struct http_request *q, struct reply *r)
{
    api_run(s, q, r, run_messages);
}

void anthropic_count_tokens(struct server *s, const struct http_request *q, struct reply *r)
{
    api_run(s, q, r, run_count);
}

/* ---- the table ---- */

static const char json[] = "application/json";

/* clang-format off */
static const struct route rows[] = {
    {.method = "POST", .path = "/v1/messages", .run = anthropic_messages,
     .slow = true, .body_max = ANTHROPIC_BODY_MAX, .field = messages_field, .stream = "text/event-stream",
     .tag = "answers", .summary = "Goes on with a chat, as Anthropic's API",
     .description = "Whole or as a stream of events; docs/messages.md tells of every field.",
     .answers = {{200, "The message, or events with its parts", json, "AnthropicMessage"},
                 {400, "Something in the request cannot be honoured", json, "AnthropicError"},
                 {404, "No model has this id", json, "AnthropicError"}}},
    {.method = "POST", .path = "/v1/messages/count_tokens", .run = anthropic_count_tokens,
     .slow = true, .body_max = ANTHROPIC_BODY_MAX, .field = messages_count_field,
     .tag = "tokens", .summary = "How many tokens the prompt of a chat has",
     .description = "Takes the request that /v1/messages would get.",
     .answers = {{200, "The number", json, "InputTokens"},
                 {400, "Something in the request cannot be honoured", json, "AnthropicError"},
                 {404, "No model has this id", json, "AnthropicError"}}},
};
/* clang-format on */

const struct dialect anthropic_dialect = {
    .prefix = "/v1/messages", .error = "AnthropicError", .needs_key = true, .write = write_error};

const struct route_table anthropic_routes = {&anthropic_dialect, rows, sizeof(rows) / sizeof(rows[0])};
