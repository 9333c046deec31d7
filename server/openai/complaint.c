/* complaint.c - refusals in OpenAI's shape, which name the field that is at fault. */
#include "openai_private.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

static bool fill(struct complaint *c, unsigned status, const char *code, const char *param,
    const char *format, va_list args)
{
    c->status = status;
    c->code = code;
    snprintf(c->param, sizeof(c->param), "%s", param ? param : "");
    vsnprintf(c->message.text, sizeof(c->message.text), format, args);
    return false;
}

bool complain(struct complaint *c, const char *param, const char *format, ...)
{
    va_list args;
    va_start(args, format);
    fill(c, 400, NULL, param, format, args);
    va_end(args);
    return false;
}

bool complain_status(
    struct complaint *c, unsigned status, const char *code, const char *param, const char *format, ...)
{
    va_list args;
    va_start(args, format);
    fill(c, status, code, param, format, args);
    va_end(args);
    return false;
}

void complaint_reply(const struct complaint *c, struct reply *r)
{
    reply_error(r, DIALECT_OPENAI, c->status, c->message.text, c->param[0] ? c->param : NULL, c->code);
    r->retry_after = c->retry_after;
}

json_t *openai_request(const struct request *q, struct complaint *c)
{
    struct error err = {0};
    json_t *request = request_json(q, &err);
    if (request && json_is_object(request))
        return request;
    complain(c, NULL, "%s", request ? "the body must be a JSON object" : err.text);
    json_decref(request);
    return NULL;
}
