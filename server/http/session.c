/* session.c - the requests of one connection, one after the other: id, body, end.
 *
 * libmicrohttpd takes a reply after the headers, and then closes the connection, or at the end of the body. Faults of a
 * request are found with its headers. If the body is too large to be read, the reply is sent then; otherwise the body is
 * read and dropped, the reply follows, and the connection is kept.
 */
#include "http_private.h"

#include "berth/base/log.h"

#include <stdlib.h>
#include <string.h>
#include <strings.h>

#define IN_CHUNKS UINT64_MAX /* a chunked body, without a declared size */
#define RETRY_SECONDS 1
#define TARGET_SPARE 64

/* ---- its first line and headers ---- */

static double seconds_of(const struct timespec *t)
{
    return (double)t->tv_sec + (double)t->tv_nsec * 1e-9;
}

bool session_target(struct http_session *s, const char *target)
{
    /* After the target there is room for its path, the decoded path, and the decoded names. */
    size_t size = strlen(target) + 1, need = 4 * size;
    if (need > s->target_room) {
        char *room = realloc(s->target, need + TARGET_SPARE);
        if (!room)
            return false;
        s->target = room;
        s->target_room = need + TARGET_SPARE;
    }
    memcpy(s->target, target, size);
    s->request = (struct http_request){.target = s->target};
    s->started = true;
    s->begun = s->closing = false;
    s->status = 0;
    s->sent = s->body_size = 0;
    clock_gettime(CLOCK_MONOTONIC, &s->start);
    s->request.arrived = seconds_of(&s->start);
    /* When the connection has expired, the next step finds out. */
    connection_enter(s->http->connections, &s->connection, PHASE_HEADER);
    return true;
}

static bool is_good_id(const char *id)
{
    static const char allowed[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789._:/+=@-";
    size_t size = strspn(id, allowed);
    return size > 0 && size <= REQUEST_ID_MAX && id[size] == '\0';
}

/* SplitMix64 (Steele, Lea, Flood 2014) of a counter: ids do not repeat, and do not show the number of requests. */
static void fresh_id(struct http *h, char out[FRESH_ID + 1])
{
    static const char digits[] = "0123456789abcdef";
    uint64_t x = atomic_fetch_add_explicit(&h->next_id, UINT64_C(0x9e3779b97f4a7c15), memory_order_relaxed);
    x = (x ^ (x >> 30)) * UINT64_C(0xbf58476d1ce4e5b9);
    x = (x ^ (x >> 27)) * UINT64_C(0x94d049bb133111eb);
    x ^= x >> 31;
    for (int i = 0; i < FRESH_ID; i++)
        out[i] = digits[x >> (60 - 4 * i) & 15];
    out[FRESH_ID] = '\0';
}

static void set_id(struct http_session *s, const char *given)
{
    s->fresh = !given || !is_good_id(given);
    if (s->fresh)
        fresh_id(s->http, s->id);
    else
        memcpy(s->id, given, strlen(given) + 1);
    s->request.id = s->id;
}

/* The declared size, or IN_CHUNKS. */
static uint64_t declared_body(const struct http_request *q)
{
    const char *length = http_request_header(q, "content-length");
    if (http_request_header(q, "transfer-encoding"))
        return IN_CHUNKS;
    return length ? strtoull(length, NULL, 10) : 0;
}

/* Gets the sink of a route that receives the body in pieces. */
static void begin_body(struct http_session *s)
{
    struct http_request *q = &s->request;
    if (s->reply.status || !q->route->receive)
        return;
    q->sink = q->route->receive(s->http->context, q, &s->reply);
    if (!q->sink && !s->reply.status)
        decide_refuse(s, 500, "Internal Server Error");
}

enum MHD_Result session_begin(struct http_session *s, struct MHD_Connection *c, const char *method)
{
    struct http_request *q = &s->request;
    s->begun = true;
    s->reply = (struct reply){0};
    atomic_fetch_add_explicit(&s->http->counters.requests_running, 1, memory_order_relaxed);
    q->connection = c;
    q->method = method;
    q->peer = s->connection.peer;
    q->host = http_request_header(q, "host");
    set_id(s, http_request_header(q, "x-request-id"));
    s->reply.request_id = s->id;
    decide(s);
    const char *expect = http_request_header(q, "expect");
    uint64_t declared = declared_body(q);
    if (!s->reply.status && expect && strcasecmp(expect, "100-continue") != 0)
        decide_refuse(s, 417, "Expectation Failed");
    bool huge = declared != IN_CHUNKS && declared > s->body_max;
    if (!s->reply.status && huge)
        decide_refuse(s, 413, "Request Entity Too Large");
    if (s->reply.status && (huge || s->reply.close))
        return respond(s, c);
    if (declared < s->body_max)
        s->body_max = (size_t)declared;
    begin_body(s);
    bool in_time = declared == 0 || connection_enter(s->http->connections, &s->connection, PHASE_BODY);
    return in_time ? MHD_YES : MHD_NO;
}

/* ---- its body ---- */

/* Makes room for a body of `need` bytes, which counts in the requests' memory. */
static bool make_room(struct http_session *s, size_t need)
{
    size_t room = need < 4096 ? 4096 : need + need / 2;
    if (need <= s->body_room)
        return true;
    if (room > s->body_max)
        room = need > s->body_max ? need : s->body_max;
    struct byte_budget *memory = s->http->config.memory;
    size_t more = room - s->body_room;
    if (!byte_budget_take(memory, more))
        return false;
    uint8_t *body = realloc(s->body, room);
    if (!body) {
        byte_budget_give(memory, more);
        return false;
    }
    s->body = body;
    s->body_room = room;
    return true;
}

void session_drop_body(struct http_session *s)
{
    byte_budget_give(s->http->config.memory, s->body_room);
    free(s->body);
    s->body = NULL;
    s->body_room = 0;
    s->request.body = (struct span){0};
}

bool session_collect(struct http_session *s, const char *data, size_t size)
{
    struct http_request *q = &s->request;
    struct span piece = {(const uint8_t *)data, size};
    s->status = 413;
    if (size > s->body_max - s->body_size)
        return false;
    size_t need = s->body_size + size;
    /* A body that is dropped is only counted. */
    bool wanted = !s->reply.status && q->route && q->route->body_max > 0;
    if (wanted && !q->sink && !make_room(s, need)) {
        session_drop_body(s);
        decide_refuse(s, 503, "There is no memory for the body now");
        reply_retry_after(&s->reply, RETRY_SECONDS);
    } else if (wanted && q->sink) {
        if (!q->sink->kind->take(q->sink, piece, &s->reply) && !s->reply.status)
            decide_refuse(s, 500, "Internal Server Error");
    } else if (wanted) {
        memcpy(s->body + s->body_size, data, size);
        q->body = (struct span){s->body, need};
    }
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    s->request.arrived = seconds_of(&now);
    s->body_size = need;
    s->status = 0;
    return true;
}

/* ---- its end ---- */

static double since(const struct timespec *start)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (double)(now.tv_sec - start->tv_sec) + (double)(now.tv_nsec - start->tv_nsec) * 1e-9;
}

static void log_request(const struct http_session *s, double seconds, bool whole)
{
    const struct http_request *q = &s->request;
    enum log_level level = q->route && q->route->probe && s->status < 400 ? LOG_DEBUG : LOG_INFO;
    if (!log_enabled(level))
        return;
    /* Only the path is logged, because a query may have a key in it. */
    struct span path = {(const uint8_t *)q->target, strcspn(q->target, "?")};
    log_line(level, whole ? "request" : "request cut off",
        LOG_FIELDS(log_text("id", s->id), log_text("method", q->method), log_span("path", path),
            log_count("status", s->status), log_seconds("seconds", seconds), log_count("bytes", s->sent)));
}

void session_end(struct http_session *s, bool whole)
{
    struct http_counters *counters = &s->http->counters;
    if (!s->started)
        return;
    stream_end(s);
    respond_end(s);
    if (s->request.sink)
        s->request.sink->kind->release(s->request.sink);
    s->request.sink = NULL;
    s->started = false;
    if (!s->begun) {
        /* libmicrohttpd refused it, or the client left before its headers were complete. */
        atomic_fetch_add_explicit(&counters->requests_unread, 1, memory_order_relaxed);
        return;
    }
    atomic_fetch_sub_explicit(&counters->requests_running, 1, memory_order_relaxed);
    double seconds = since(&s->start);
    if (s->status)
        http_counters_request(counters, s->route_number, s->status, seconds);
    log_request(s, seconds, whole);
    reply_release(&s->reply);
    byte_budget_give(s->reply_memory, s->reply_held);
    s->reply_held = 0;
    session_drop_body(s);
    connection_enter(s->http->connections, &s->connection, PHASE_IDLE);
}

void session_free(struct http_session *s)
{
    respond_forget(s);
    pthread_mutex_destroy(&s->suspended.lock);
    free(s->target);
    session_drop_body(s);
    free(s);
}
