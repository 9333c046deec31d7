/* respond.c - from a handler's reply to libmicrohttpd's response. */
#include "http_private.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

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
    if (!r->owned)
        return MHD_create_response_from_buffer_static(r->size, body);
    struct MHD_Response *response = MHD_create_response_from_buffer_with_free_callback(r->size, body, free);
    r->owned = response == NULL; /* the response has it now */
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
    add_header(response, "allow", r->allow);
    add_header(response, "location", r->location);
    add_header(response, "connection", s->closing ? "close" : NULL);
    add_header(response, "www-authenticate", r->authenticate ? "Bearer" : NULL);
    add_header(response, "cache-control", r->events ? "no-cache" : NULL);
    add_header(response, "x-accel-buffering", r->events ? "no" : NULL); /* nginx would collect it */
    if (r->retry_after) {
        char seconds[16];
        snprintf(seconds, sizeof(seconds), "%u", r->retry_after);
        add_header(response, "retry-after", seconds);
    }
    return response;
}

void respond_forget(struct http_session *s)
{
    if (s->kept)
        MHD_destroy_response(s->kept);
    s->kept = NULL;
}

/* The response to a constant reply with nothing special about it. Probes and load balancers ask for the
 * same one over one connection all day, so the connection keeps it, and only the id in it changes: it is
 * written over the copy that the response holds, which nothing else reads by now, since the reply before
 * was sent. */
static struct MHD_Response *kept_response(struct http_session *s)
{
    const struct reply *r = &s->reply;
    if (s->kept && s->kept_body == r->body && s->kept_type == r->content_type) {
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
    s->kept_body = r->body;
    s->kept_type = r->content_type;
    s->kept_id = (char *)(uintptr_t)id;
    return response;
}

static bool is_plain(const struct http_session *s)
{
    const struct reply *r = &s->reply;
    return !r->owned && s->fresh && !s->closing && !r->allow && !r->location && !r->retry_after &&
           !r->authenticate && !r->events;
}

enum MHD_Result respond(struct http_session *s, struct MHD_Connection *c)
{
    struct server *server = s->http->server;
    if (!connection_enter(s->http->connections, &s->connection, PHASE_WORK))
        return MHD_NO;
    if (!s->reply.status && s->route->slow) {
        enum stream_answer answer = stream_answer(s, c);
        if (answer != STREAM_THERE)
            return answer == STREAM_SUSPENDED ? MHD_YES : MHD_NO;
    } else if (!s->reply.status) {
        s->route->run(server, &s->request, &s->reply);
    }
    s->status = s->reply.status;
    s->sent = s->reply.size;
    s->closing = s->reply.close || atomic_load_explicit(&server->draining, memory_order_relaxed);
    bool plain = is_plain(s);
    struct MHD_Response *response = plain ? kept_response(s) : make_response(s);
    enum MHD_Result queued = MHD_NO;
    if (response && connection_enter(s->http->connections, &s->connection, PHASE_WRITE))
        queued = MHD_queue_response(c, s->status, response);
    if (response && !plain)
        MHD_destroy_response(response);
    reply_release(&s->reply);
    return queued;
}
