/* reply.c - bodies of replies: constants, JSON, and errors in three dialects. */
#include "berth/server/http/reply.h"

#include <stdlib.h>
#include <string.h>

#define REAL_DIGITS 10 /* small replies hold measured times; large arrays of numbers are not written here */

static const char json_media[] = "application/json";

void reply_constant(struct reply *r, unsigned status, const char *content_type, const char *text)
{
    reply_release(r);
    r->status = status;
    r->content_type = content_type;
    r->body = text;
    r->size = strlen(text);
}

void reply_owned(struct reply *r, unsigned status, const char *content_type, char *text, size_t size)
{
    if (!text) {
        reply_constant(r, 500, "text/plain", "out of memory");
        return;
    }
    reply_release(r);
    r->status = status;
    r->content_type = content_type;
    r->body = text;
    r->size = size;
    r->owned = true;
}

void reply_json(struct reply *r, unsigned status, json_t *body)
{
    char *text = body ? json_dumps(body, JSON_COMPACT | JSON_REAL_PRECISION(REAL_DIGITS)) : NULL;
    json_decref(body);
    reply_owned(r, status, json_media, text, text ? strlen(text) : 0);
}

static const char *openai_type(unsigned status)
{
    return status == 429 ? "rate_limit_error" : status >= 500 ? "server_error" : "invalid_request_error";
}

/* A sentence that was cut in the middle of a character is no JSON string. */
static const char *fit_for_json(const char *message, char *room, size_t size)
{
    json_t *string = json_string(message);
    json_decref(string);
    if (string)
        return message;
    text_escape(room, size, span_of(message));
    return room;
}

static json_t *error_body(
    enum dialect dialect, unsigned status, const char *message, const char *param, const char *code)
{
    char room[1024];
    message = fit_for_json(message, room, sizeof(room));
    switch (dialect) {
    case DIALECT_OPENAI:
        return json_pack("{s:{s:s, s:s, s:s?, s:s?}}", "error", "message", message, "type",
            openai_type(status), "param", param, "code", code);
    case DIALECT_OIP:
        return json_pack("{s:s}", "error", message);
    case DIALECT_FASTAPI:
        break;
    }
    return json_pack("{s:s}", "detail", message);
}

void reply_error(struct reply *r, enum dialect dialect, unsigned status, const char *message,
    const char *param, const char *code)
{
    reply_json(r, status, error_body(dialect, status, message, param, code));
}

void reply_release(struct reply *r)
{
    if (r->owned)
        free((void *)(uintptr_t)r->body);
    free(r->location);
    r->owned = false;
    r->body = NULL;
    r->location = NULL;
}

size_t http_json_bytes(struct span body)
{
    static const uint16_t bytes_of[256] = {['"'] = 32, [','] = 48, ['['] = 144, ['{'] = 304};
    size_t bytes = 0;
    bool quoted = false;
    for (size_t i = 0; i < body.size; i++) {
        uint8_t c = body.at[i];
        if (c == '"')
            quoted = !quoted;
        if (quoted && c == '\\')
            i++;
        if (!quoted || c == '"')
            bytes += bytes_of[c];
    }
    return bytes;
}

json_t *http_request_json(const struct http_request *q, struct error *err)
{
    json_error_t why;
    if (q->body.size == 0) {
        error_set(err, "the body is empty; a JSON object is expected");
        return NULL;
    }
    if (http_json_bytes(q->body) > HTTP_JSON_MAX) {
        error_set(err, "the body has more values in it than a request may have");
        return NULL;
    }
    json_t *value =
        json_loadb((const char *)q->body.at, q->body.size, JSON_REJECT_DUPLICATES | JSON_ALLOW_NUL, &why);
    if (!value) {
        char text[320];
        text_escape(text, sizeof(text), span_of(why.text));
        error_set(err, "the body is not valid JSON: %s (line %d, column %d)", text, why.line, why.column);
    }
    return value;
}
