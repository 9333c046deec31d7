/* api_error.c - refusals, which name the field that is at fault. */
#include "berth/server/api/api_error.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

static bool fill(struct api_error *c, unsigned status, const char *code, const char *param,
    const char *format, va_list args)
{
    c->status = status;
    c->code = code;
    snprintf(c->param, sizeof(c->param), "%s", param ? param : "");
    vsnprintf(c->message.text, sizeof(c->message.text), format, args);
    return false;
}

bool api_error_bad(struct api_error *c, const char *param, const char *format, ...)
{
    va_list args;
    va_start(args, format);
    fill(c, 400, NULL, param, format, args);
    va_end(args);
    return false;
}

bool api_error_status(
    struct api_error *c, unsigned status, const char *code, const char *param, const char *format, ...)
{
    va_list args;
    va_start(args, format);
    fill(c, status, code, param, format, args);
    va_end(args);
    return false;
}

void api_error_reply(const struct api_error *c, const struct http_request *q, struct reply *r)
{
    reply_error(r, q->dialect, c->status, c->message.text, c->param[0] ? c->param : NULL, c->code);
    reply_retry_after(r, c->retry_after);
}

bool api_error_no_memory(struct api_error *c)
{
    c->retry_after = 1;
    return api_error_status(c, 503, NULL, NULL, "no memory for the request");
}

bool api_error_of(struct api_error *c, const char *param, const struct error *err)
{
    c->retry_after = err->no_memory ? 1 : 0;
    return api_error_status(
        c, err->no_memory ? 503 : 400, NULL, err->no_memory ? NULL : param, "%s", err->text);
}

bool request_memory_refuse(struct api_error *c)
{
    c->retry_after = 1;
    return api_error_status(c, 503, NULL, NULL, "requests under way leave too little memory for this one");
}

void api_run(struct server *s, const struct http_request *q, struct reply *r,
    void (*run)(struct server *s, const struct http_request *q, struct reply *r))
{
    struct api_error c = {0};
    size_t bytes = request_memory_of_body(q->body);
    if (!byte_budget_take(&s->request_memory, bytes)) {
        request_memory_refuse(&c);
        api_error_reply(&c, q, r);
        return;
    }
    run(s, q, r);
    byte_budget_give(&s->request_memory, bytes);
}

json_t *api_request(const struct http_request *q, struct api_error *c)
{
    struct error err = {0};
    json_t *request = http_request_json(q, &err);
    if (request && json_is_object(request))
        return request;
    if (request)
        error_set(&err, "the body must be a JSON object");
    api_error_of(c, NULL, &err);
    json_decref(request);
    return NULL;
}
