/* body.c - reads and writes JSON bodies. */
#include "berth/server/json/body.h"

#include <stdlib.h>
#include <string.h>

#define REAL_DIGITS 10 /* small replies hold measured times; large arrays of numbers are not written here */

const char *json_message(const char *message, char *room, size_t size)
{
    json_t *string = json_string(message);
    json_decref(string);
    if (string)
        return message;
    text_escape(room, size, span_of(message));
    return room;
}

void reply_json(struct reply *r, unsigned status, json_t *body)
{
    char *text = body ? json_dumps(body, JSON_COMPACT | JSON_REAL_PRECISION(REAL_DIGITS)) : NULL;
    json_decref(body);
    reply_owned(r, status, "application/json", text, text ? strlen(text) : 0);
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
    json_t *value = json_loadb((const char *)q->body.at, q->body.size, JSON_REJECT_DUPLICATES | JSON_ALLOW_NUL, &why);
    if (!value) {
        char text[320];
        text_escape(text, sizeof(text), span_of(why.text));
        error_set(err, "the body is not valid JSON: %s (line %d, column %d)", text, why.line, why.column);
    }
    return value;
}
