/* session.c - one request after the other on one connection: its id, its route or refusal, its body, its end.
 *
 * A reply can be queued only when the headers are here, and then the connection is closed, or when the
 * body has ended. So what is wrong with a request is found with its headers; it is told then when the body
 * that follows is too large to be read, and otherwise at the end, when the body is drained and the
 * connection can be kept.
 */
#include "http_private.h"

#include "berth/server/http/api_keys.h"
#include "berth/base/log.h"
#include "berth/base/strbuf.h"

#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <time.h>

#define IN_CHUNKS UINT64_MAX /* a body of a size that only its end tells */
#define STRAY_BODY_MAX 65536 /* drained where no route takes a body */
#define BODY_KEPT_MAX 65536 /* a larger buffer does not wait for the connection's next request */
#define BODIES_MAX ((size_t)128 << 20) /* bytes of all that are being received or read */

/* ---- its first line and headers ---- */

static double seconds_of(const struct timespec *t)
{
    return (double)t->tv_sec + (double)t->tv_nsec * 1e-9;
}

bool session_target(struct http_session *s, const char *target)
{
    size_t size = strlen(target) + 1;
    if (size > s->target_room) {
        char *room = realloc(s->target, size + 64);
        if (!room)
            return false;
        s->target = room;
        s->target_room = size + 64;
    }
    memcpy(s->target, target, size);
    s->request = (struct http_request){.target = s->target};
    s->started = true;
    s->begun = s->closing = false;
    s->status = 0;
    s->sent = s->body_size = 0;
    clock_gettime(CLOCK_MONOTONIC, &s->start);
    s->request.arrived = seconds_of(&s->start);
    /* A client that is late already is told at the next step. */
    connection_enter(s->http->connections, &s->connection, PHASE_HEADER);
    return true;
}

static bool is_good_id(const char *id)
{
    static const char allowed[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789._:/+=@-";
    size_t size = strspn(id, allowed);
    return size > 0 && size <= REQUEST_ID_MAX && id[size] == '\0';
}

/* SplitMix64 (Steele, Lea, Flood 2014) over a counter: ids do not repeat and do not count requests for
 * others. */
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

/* The least change that makes a path fit for a Location header. */
static void add_encoded(struct strbuf *b, const char *path, size_t size)
{
    static const char safe[] =
        "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-._~:/@!$&'()*+,;=";
    for (size_t i = 0; i < size; i++) {
        if (path[i] && strchr(safe, path[i]))
            strbuf_add(b, (struct span){(const uint8_t *)path + i, 1});
        else
            strbuf_format(b, "%%%02X", (unsigned char)path[i]);
    }
}

static bool is_plain_host(const char *host)
{
    return host && host[0] &&
           host[strspn(host, "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789.:[]_-")] == '\0';
}

/* Redirects "/health/" to "/health", absolutely and with its query, as the service that berth replaces
 * does. */
static bool redirect_slash(struct http_session *s)
{
    const struct http_request *q = &s->request;
    size_t size = strlen(q->path);
    while (size > 0 && q->path[size - 1] == '/')
        size--;
    char *stripped = size > 0 && q->path[size] ? strndup(q->path, size) : NULL;
    if (!stripped)
        return false;
    struct route_match match = route_find(q->method, stripped);
    free(stripped);
    if (!match.route && !match.allow[0])
        return false;
    struct strbuf b;
    const char *query = strchr(q->target, '?');
    strbuf_init(&b, 8 * s->target_room + 512);
    strbuf_format(&b, "http://%s", is_plain_host(q->host) ? q->host : s->http->listener.address);
    add_encoded(&b, q->path, size);
    if (query)
        strbuf_text(&b, query);
    reply_constant(&s->reply, 307, NULL, "");
    s->reply.location = strbuf_take(&b, NULL);
    return true;
}

static void refuse(struct http_session *s, unsigned status, const char *message)
{
    reply_error(&s->reply, route_dialect(s->request.path), status, message, NULL, NULL);
}

/* What the connection is refused for, whatever the request: probes are answered all the same. */
static bool refuse_connection(struct http_session *s)
{
    if (!s->connection.refuse || (s->route && s->route->probe))
        return false;
    bool address = s->connection.refuse == 429;
    refuse(
        s, s->connection.refuse, address ? "Too many connections from this address" : "Too many connections");
    s->reply.retry_after = 1;
    s->reply.close = true;
    return true;
}

/* Under /v1, where no key of the server's is shown. Before the body is read: a stranger's is not kept. */
static bool refuse_key(struct http_session *s, struct MHD_Connection *c)
{
    if (route_dialect(s->request.path) != DIALECT_OPENAI)
        return false;
    const char *given = MHD_lookup_connection_value(c, MHD_HEADER_KIND, MHD_HTTP_HEADER_AUTHORIZATION);
    if (api_keys_allow(s->http->server->keys, given))
        return false;
    reply_error(&s->reply, DIALECT_OPENAI, 401,
        given ? "The API key is not one of those that this server knows"
              : "An API key is needed, in a header Authorization: Bearer KEY",
        NULL, given ? "invalid_api_key" : NULL);
    return true;
}

/* The path of a target in absolute form ("http://host/path"), which proxies send and every server must
 * take. */
static const char *without_origin(const char *path)
{
    size_t scheme = strncasecmp(path, "http://", 7) == 0 ? 7 : strncasecmp(path, "https://", 8) == 0 ? 8 : 0;
    if (!scheme)
        return path;
    const char *slash = strchr(path + scheme, '/');
    return slash ? slash : "/";
}

static bool takes_body(const struct http_session *s)
{
    return s->route && s->route->body_max > 0;
}

/* The first line and the headers, in bytes. */
static size_t header_size(struct MHD_Connection *c)
{
    const union MHD_ConnectionInfo *info =
        MHD_get_connection_info(c, MHD_CONNECTION_INFO_REQUEST_HEADER_SIZE);
    return info ? info->header_size : 0;
}

/* Finds the route, or decides on the refusal, from the first line and headers alone. */
static void decide(struct http_session *s, struct MHD_Connection *c)
{
    struct http_request *q = &s->request;
    const struct server *server = s->http->server;
    struct route_match match = route_find(q->method, q->path);
    s->route = match.route;
    q->rest = match.rest;
    memcpy(s->allow, match.allow, sizeof(s->allow));
    uint64_t max = server->options->max_body, row = takes_body(s) ? s->route->body_max : STRAY_BODY_MAX;
    s->body_max = row < max ? row : max;
    if (refuse_connection(s))
        return;
    if (strlen(q->target) > server->options->max_uri) {
        refuse(s, 414, "URI Too Long");
        s->reply.close = true;
    } else if (header_size(c) > server->options->max_header) {
        refuse(s, 431, "Request Header Fields Too Large");
        s->reply.close = true;
    } else if (server->keys && refuse_key(s, c)) {
        s->reply.authenticate = true;
    } else if (!route_knows_method(q->method)) {
        refuse(s, 501, "Not Implemented");
    } else if (!match.route && match.allow[0]) {
        refuse(s, 405, "Method Not Allowed");
        s->reply.allow = s->allow;
    } else if (!match.route && !redirect_slash(s)) {
        refuse(s, 404, "Not Found");
    }
}

/* ---- its body ---- */

/* The declared size, or IN_CHUNKS. */
static uint64_t declared_body(struct MHD_Connection *c)
{
    const char *length = MHD_lookup_connection_value(c, MHD_HEADER_KIND, MHD_HTTP_HEADER_CONTENT_LENGTH);
    if (MHD_lookup_connection_value(c, MHD_HEADER_KIND, MHD_HTTP_HEADER_TRANSFER_ENCODING))
        return IN_CHUNKS;
    return length ? strtoull(length, NULL, 10) : 0;
}

/* Makes room for a body of `need` bytes, within what all may take together. */
static bool make_room(struct http_session *s, size_t need)
{
    size_t room = need < 4096 ? 4096 : need + need / 2;
    if (need <= s->body_room)
        return true;
    if (room > s->body_max)
        room = need > s->body_max ? need : s->body_max;
    size_t more = room - s->body_room, before = atomic_fetch_add(&s->http->body_bytes, more);
    uint8_t *body = before + more <= BODIES_MAX ? realloc(s->body, room) : NULL;
    if (!body) {
        atomic_fetch_sub(&s->http->body_bytes, more);
        return false;
    }
    s->body = body;
    s->body_room = room;
    return true;
}

void session_drop_body(struct http_session *s)
{
    atomic_fetch_sub(&s->http->body_bytes, s->body_room);
    free(s->body);
    s->body = NULL;
    s->body_room = 0;
    s->request.body = (struct span){0};
}

bool session_collect(struct http_session *s, const char *data, size_t size)
{
    s->status = 413;
    if (size > s->body_max - s->body_size)
        return false;
    size_t need = s->body_size + size;
    /* What nobody will read only counts. */
    bool kept = !s->reply.status && takes_body(s);
    s->status = 503;
    if (kept && !make_room(s, need))
        return false;
    if (kept) {
        memcpy(s->body + s->body_size, data, size);
        s->request.body = (struct span){s->body, need};
    }
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    s->request.arrived = seconds_of(&now);
    s->body_size = need;
    s->status = 0;
    return true;
}

enum MHD_Result session_begin(
    struct http_session *s, struct MHD_Connection *c, const char *path, const char *method)
{
    struct http_request *q = &s->request;
    s->begun = true;
    s->reply = (struct reply){0};
    atomic_fetch_add_explicit(&s->http->server->metrics.requests_running, 1, memory_order_relaxed);
    q->method = method;
    q->path = without_origin(path);
    q->host = MHD_lookup_connection_value(c, MHD_HEADER_KIND, MHD_HTTP_HEADER_HOST);
    set_id(s, MHD_lookup_connection_value(c, MHD_HEADER_KIND, "x-request-id"));
    decide(s, c);
    const char *expect = MHD_lookup_connection_value(c, MHD_HEADER_KIND, MHD_HTTP_HEADER_EXPECT);
    uint64_t declared = declared_body(c);
    if (!s->reply.status && expect && strcasecmp(expect, "100-continue") != 0)
        refuse(s, 417, "Expectation Failed");
    bool huge = declared != IN_CHUNKS && declared > s->body_max;
    if (!s->reply.status && huge)
        refuse(s, 413, "Request Entity Too Large");
    if (s->reply.status && (huge || s->reply.close))
        return respond(s, c);
    bool in_time = declared == 0 || connection_enter(s->http->connections, &s->connection, PHASE_BODY);
    return in_time ? MHD_YES : MHD_NO;
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
    enum log_level level = s->route && s->route->probe && s->status < 400 ? LOG_DEBUG : LOG_INFO;
    if (!log_enabled(level))
        return;
    const struct http_request *q = &s->request;
    /* The path alone: a query may hold a key. */
    struct span path = {(const uint8_t *)q->target, strcspn(q->target, "?")};
    log_line(level, whole ? "request" : "request cut off",
        LOG_FIELDS(log_text("id", s->id), log_text("method", q->method), log_span("path", path),
            log_count("status", s->status), log_seconds("seconds", seconds), log_count("bytes", s->sent)));
}

void session_end(struct http_session *s, bool whole)
{
    struct metrics *m = &s->http->server->metrics;
    if (!s->started)
        return;
    stream_end(s);
    s->started = false;
    if (!s->begun) {
        /* libmicrohttpd refused it by itself, or the client left before its headers were whole. */
        atomic_fetch_add_explicit(&m->requests_unread, 1, memory_order_relaxed);
        return;
    }
    atomic_fetch_sub_explicit(&m->requests_running, 1, memory_order_relaxed);
    double seconds = since(&s->start);
    if (s->status)
        metrics_request(m, s->route, s->status, seconds);
    log_request(s, seconds, whole);
    reply_release(&s->reply);
    if (s->body_room > BODY_KEPT_MAX)
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
