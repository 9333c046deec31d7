/* respond.c - from a handler's reply to libmicrohttpd's response. */
#include "http_private.h"

#include <stdlib.h>
#include <string.h>

#define BLOCK_BYTES 32768
#define PIECE_MAX ((size_t)64 << 20)

/* ---- a body from a writer ---- */

static ssize_t read_written(void *context, uint64_t position, char *to, size_t room)
{
    struct http_session *s = context;
    (void)position;
    while (s->written_taken == s->written.size) {
        if (s->written_ended)
            return MHD_CONTENT_READER_END_OF_STREAM;
        s->written.size = s->written_taken = 0;
        s->written_ended = !s->writer->kind->more(s->writer, &s->written);
        if (s->written.failed)
            return MHD_CONTENT_READER_END_WITH_ERROR;
    }
    size_t size = s->written.size - s->written_taken;
    if (size > room)
        size = room;
    memcpy(to, s->written.text + s->written_taken, size);
    s->written_taken += size;
    s->sent += size;
    return (ssize_t)size;
}

/* The session keeps the writer until the request ends. */
static struct MHD_Response *written_response(struct http_session *s)
{
    s->writer = s->reply.writer;
    s->reply.writer = NULL;
    s->written_taken = 0;
    s->written_ended = false;
    strbuf_init(&s->written, PIECE_MAX);
    return MHD_create_response_from_callback(MHD_SIZE_UNKNOWN, BLOCK_BYTES, read_written, s, NULL);
}

void respond_end(struct http_session *s)
{
    if (!s->writer)
        return;
    s->writer->kind->release(s->writer);
    s->writer = NULL;
    strbuf_release(&s->written);
}

/* ---- any body ---- */

static void add_header(struct MHD_Response *response, const char *name, const char *value)
{
    if (value)
        MHD_add_response_header(response, name, value);
}

static struct MHD_Response *body_response(struct http_session *s)
{
    struct reply *r = &s->reply;
    void *body = (void *)(uintptr_t)r->body;
    if (r->events)
        return stream_response(s);
    if (r->writer)
        return written_response(s);
    if (!r->owned)
        return MHD_create_response_from_buffer_static(r->size, body);
    struct MHD_Response *response = MHD_create_response_from_buffer_with_free_callback(r->size, body, free);
    if (!response)
        return NULL;
    r->owned = false; /* the response owns the body now */
    s->reply_memory = r->memory;
    s->reply_held = r->held;
    r->held = 0;
    return response;
}

static struct MHD_Response *make_response(struct http_session *s)
{
    struct reply *r = &s->reply;
    struct MHD_Response *response = body_response(s);
    if (!response)
        return NULL;
    add_header(response, "content-type", r->content_type);
    add_header(response, "x-request-id", s->id);
    add_header(response, "connection", s->closing ? "close" : NULL);
    add_header(response, "cache-control", r->events ? "no-cache" : NULL);
    add_header(response, "x-accel-buffering", r->events ? "no" : NULL); /* nginx would buffer the events */
    for (size_t i = 0; i < r->n_headers; i++)
        add_header(response, r->headers[i].name, r->headers[i].value);
    browser_add_headers(s, response);
    return response;
}

/* ---- the response that is kept ---- */

void respond_forget(struct http_session *s)
{
    if (s->kept)
        MHD_destroy_response(s->kept);
    s->kept = NULL;
}

/* Whether the reply consists of constants. */
static bool is_constant(const struct http_session *s)
{
    const struct reply *r = &s->reply;
    bool constant = !r->owned && !r->writer && !r->events && s->fresh && !s->closing;
    for (size_t i = 0; i < r->n_headers; i++)
        constant = constant && !r->headers[i].owned;
    return constant && (!s->allow_origin || strcmp(s->allow_origin, "*") == 0);
}

/* Whether the kept response was made of the same constants. */
static bool is_kept(const struct http_session *s)
{
    const struct reply *a = &s->reply, *b = &s->kept_reply;
    if (!s->kept || a->body != b->body || a->content_type != b->content_type ||
        a->n_headers != b->n_headers || s->allow_origin != s->kept_origin)
        return false;
    for (size_t i = 0; i < a->n_headers; i++)
        if (a->headers[i].name != b->headers[i].name || a->headers[i].value != b->headers[i].value)
            return false;
    return true;
}

/* The response for a constant reply. Probes and load balancers repeat the same request on one connection, so the connection
 * keeps the response, and only the request's id in it changes. The id is overwritten in place, which is safe because the
 * reply before was sent. */
static struct MHD_Response *kept_response(struct http_session *s)
{
    if (is_kept(s)) {
        memcpy(s->kept_id, s->id, FRESH_ID);
        return s->kept;
    }
    respond_forget(s);
    struct MHD_Response *response = make_response(s);
    const char *id = response ? MHD_get_response_header(response, "x-request-id") : NULL;
    if (!id) {
        if (response)
            MHD_destroy_response(response);
        return NULL;
    }
    s->kept = response;
    s->kept_reply = s->reply;
    s->kept_origin = s->allow_origin;
    s->kept_id = (char *)(uintptr_t)id;
    return response;
}

/* ---- the reply ---- */

enum MHD_Result respond(struct http_session *s, struct MHD_Connection *c)
{
    const struct route *route = s->request.route;
    if (!connection_enter(s->http->connections, &s->connection, PHASE_WORK))
        return MHD_NO;
    if (!s->reply.status && route->slow) {
        enum stream_answer answer = stream_answer(s, c);
        if (answer != STREAM_THERE)
            return answer == STREAM_SUSPENDED ? MHD_YES : MHD_NO;
    } else if (!s->reply.status) {
        route->run(s->http->context, &s->request, &s->reply);
    }
    s->status = s->reply.status;
    s->sent = strcmp(s->request.method, "HEAD") == 0 ? 0 : s->reply.size;
    s->closing = s->reply.close || atomic_load_explicit(&s->http->draining, memory_order_relaxed);
    bool constant = is_constant(s);
    struct MHD_Response *response = constant ? kept_response(s) : make_response(s);
    enum MHD_Result queued = MHD_NO;
    if (response && connection_enter(s->http->connections, &s->connection, PHASE_WRITE))
        queued = MHD_queue_response(c, s->status, response);
    if (response && !constant)
        MHD_destroy_response(response);
    reply_release(&s->reply);
    return queued;
}
