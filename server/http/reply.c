/* reply.c - fills in replies: bodies, headers, errors. */
#include "berth/server/http/reply.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static const char plain[] = "text/plain; charset=utf-8";

void reply_release(struct reply *r)
{
    if (r->owned)
        free((void *)(uintptr_t)r->body);
    byte_budget_give(r->memory, r->held);
    r->held = 0;
    if (r->writer)
        r->writer->kind->release(r->writer);
    for (size_t i = 0; i < r->n_headers; i++)
        if (r->headers[i].owned)
            free((void *)(uintptr_t)r->headers[i].value);
    r->owned = false;
    r->body = NULL;
    r->size = 0;
    r->writer = NULL;
    r->n_headers = 0;
}

/* ---- bodies ---- */

static void begin(struct reply *r, unsigned status, const char *content_type)
{
    reply_release(r);
    r->status = status;
    r->content_type = content_type;
}

void reply_constant(struct reply *r, unsigned status, const char *content_type, const char *text)
{
    begin(r, status, content_type);
    r->body = text;
    r->size = strlen(text);
}

void reply_owned(struct reply *r, unsigned status, const char *content_type, char *text, size_t size)
{
    if (!text) {
        reply_constant(r, 500, plain, "out of memory");
        return;
    }
    begin(r, status, content_type);
    r->body = text;
    r->size = size;
    r->owned = true;
}

void reply_buffer(struct reply *r, unsigned status, const char *content_type, struct strbuf *text)
{
    size_t held = strbuf_held(text), size;
    struct byte_budget *memory = text->budget;
    text->budget = NULL;
    char *body = strbuf_take(text, &size);
    reply_owned(r, status, content_type, body, size);
    r->memory = memory;
    r->held = held;
}

void reply_written(struct reply *r, unsigned status, const char *content_type, struct reply_writer *writer)
{
    if (!writer) {
        reply_constant(r, 500, plain, "out of memory");
        return;
    }
    begin(r, status, content_type);
    r->writer = writer;
}

void reply_error(struct reply *r, const struct dialect *dialect, unsigned status, const char *message,
    const char *param, const char *code)
{
    dialect->write(r, status, message, param, code);
}

/* ---- headers ---- */

static void add_header(struct reply *r, struct reply_header header)
{
    if (r->n_headers < REPLY_HEADERS_MAX)
        r->headers[r->n_headers++] = header;
    else if (header.owned)
        free((void *)(uintptr_t)header.value);
}

void reply_header(struct reply *r, const char *name, const char *value)
{
    add_header(r, (struct reply_header){.name = name, .value = value});
}

void reply_header_owned(struct reply *r, const char *name, char *value)
{
    if (value)
        add_header(r, (struct reply_header){.name = name, .value = value, .owned = true});
}

void reply_retry_after(struct reply *r, unsigned seconds)
{
    static const char name[] = "retry-after";
    char *text = NULL;
    if (seconds == 1)
        reply_header(r, name, "1");
    else if (seconds > 0 && asprintf(&text, "%u", seconds) > 0)
        reply_header_owned(r, name, text);
}
