/* http.c - between libmicrohttpd and the handlers.
 *
 * libmicrohttpd calls on_target when a request's first line is there, on_request when its headers are, again for
 * each piece of its body and once more at its end, and on_completed when the reply was sent or the client left.
 * A connection carries one `session`, which holds the request being read and lives as long as the connection:
 * nothing is allocated for a request but its reply.
 *
 * A reply can be queued only in the first call, and then the connection is closed, or in the last. So what is
 * wrong with a request is found in the first call; it is told then when the body that follows is too large to be
 * read, and otherwise at the end, when the body is drained and the connection can be kept.
 */
#include "berth/http.h"

#include "berth/connection.h"
#include "berth/listener.h"
#include "berth/log.h"
#include "berth/reply.h"
#include "berth/strbuf.h"

#include <microhttpd.h>

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/random.h>
#include <time.h>

#define FRESH_ID 16
#define STACK_BYTES (1024 * 1024) /* jansson's parser recurses; musl's default of 128 KiB is too small */
#define IN_CHUNKS UINT64_MAX /* a body of a size that only its end tells */
#define STRAY_BODY_MAX 65536 /* drained where no route takes a body */
#define BODY_KEPT_MAX 65536 /* a larger buffer does not wait for the connection's next request */
#define POOL_SPARE 2048 /* of a connection's memory, for libmicrohttpd's own use and the reply's headers */

struct http {
    struct server *server;
    struct MHD_Daemon *daemon;
    struct listener listener;
    struct connections *connections;
    atomic_uint_fast64_t next_id;
    bool listening;
};

struct session {
    struct connection connection;
    struct http *http;
    char *target; /* [target_room], reused from request to request */
    size_t target_room;
    uint8_t *body; /* [body_room] */
    size_t body_size, body_room, body_max;

    bool started; /* the first line of a request has come, and its end has not */
    bool begun; /* its headers too; it counts as running */
    bool closing; /* the reply says Connection: close */
    const struct route *route; /* NULL when none matched */
    struct request request;
    struct reply reply; /* status is 0 until something is decided */
    char id[REQUEST_ID_MAX + 1];
    bool fresh; /* the id is ours, of FRESH_ID characters */
    char allow[ROUTE_ALLOW_MAX];
    unsigned status;
    size_t sent;
    struct timespec start;

    struct MHD_Response *kept; /* see kept_response */
    const void *kept_body;
    const char *kept_type;
    char *kept_id; /* in the response, FRESH_ID characters */
};

static double since(const struct timespec *start)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (double)(now.tv_sec - start->tv_sec) + (double)(now.tv_nsec - start->tv_nsec) * 1e-9;
}

/* ---- one request ---- */

static bool is_good_id(const char *id)
{
    static const char allowed[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789._:/+=@-";
    size_t size = strspn(id, allowed);
    return size > 0 && size <= REQUEST_ID_MAX && id[size] == '\0';
}

/* SplitMix64 (Steele, Lea, Flood 2014) over a counter: ids do not repeat and do not count requests for others. */
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

static void set_id(struct session *s, const char *given)
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

/* Redirects "/health/" to "/health", absolutely and with its query, as the service that berth replaces does. */
static bool redirect_slash(struct session *s)
{
    const struct request *q = &s->request;
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

static void refuse(struct session *s, unsigned status, const char *message)
{
    reply_error(&s->reply, route_dialect(s->request.path), status, message, NULL, NULL);
}

/* What the connection is refused for, whatever the request: probes are answered all the same. */
static bool refuse_connection(struct session *s)
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

/* The path of a target in absolute form ("http://host/path"), which proxies send and every server must take. */
static const char *without_origin(const char *path)
{
    size_t scheme = strncasecmp(path, "http://", 7) == 0 ? 7 : strncasecmp(path, "https://", 8) == 0 ? 8 : 0;
    if (!scheme)
        return path;
    const char *slash = strchr(path + scheme, '/');
    return slash ? slash : "/";
}

static bool takes_body(const struct session *s)
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
static void decide(struct session *s, size_t headers)
{
    struct request *q = &s->request;
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
    } else if (headers > server->options->max_header) {
        refuse(s, 431, "Request Header Fields Too Large");
        s->reply.close = true;
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

static bool collect_body(struct session *s, const char *data, size_t size)
{
    if (size > s->body_max - s->body_size)
        return false;
    if (s->reply.status || !takes_body(s)) {
        /* Nobody will read it: only its size counts. */
        s->body_size += size;
        return true;
    }
    size_t need = s->body_size + size;
    if (need > s->body_room) {
        size_t room = need < 4096 ? 4096 : need + need / 2;
        uint8_t *body = realloc(s->body, room);
        if (!body)
            return false;
        s->body = body;
        s->body_room = room;
    }
    memcpy(s->body + s->body_size, data, size);
    s->body_size = need;
    s->request.body = (struct span){s->body, need};
    return true;
}

/* ---- its reply ---- */

static void add_header(struct MHD_Response *response, const char *name, const char *value)
{
    if (value)
        MHD_add_response_header(response, name, value);
}

static struct MHD_Response *make_response(struct session *s)
{
    struct reply *r = &s->reply;
    void *body = (void *)(uintptr_t)r->body;
    struct MHD_Response *response =
        r->owned ? MHD_create_response_from_buffer_with_free_callback(r->size, body, free)
                 : MHD_create_response_from_buffer_static(r->size, body);
    if (!response)
        return NULL;
    r->owned = false; /* the response has it now */
    add_header(response, "content-type", r->content_type);
    add_header(response, "x-request-id", s->id);
    add_header(response, "allow", r->allow);
    add_header(response, "location", r->location);
    add_header(response, "connection", s->closing ? "close" : NULL);
    if (r->retry_after) {
        char seconds[16];
        snprintf(seconds, sizeof(seconds), "%u", r->retry_after);
        add_header(response, "retry-after", seconds);
    }
    return response;
}

static void forget_kept(struct session *s)
{
    if (s->kept)
        MHD_destroy_response(s->kept);
    s->kept = NULL;
}

/* The response to a constant reply with nothing special about it. Probes and load balancers ask for the same one
 * over one connection all day, so the connection keeps it, and only the id in it changes: it is written over the
 * copy that the response holds, which nothing else reads by now, since the reply before was sent. */
static struct MHD_Response *kept_response(struct session *s)
{
    const struct reply *r = &s->reply;
    if (s->kept && s->kept_body == r->body && s->kept_type == r->content_type) {
        memcpy(s->kept_id, s->id, FRESH_ID);
        return s->kept;
    }
    forget_kept(s);
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

static bool is_plain(const struct session *s)
{
    const struct reply *r = &s->reply;
    return !r->owned && s->fresh && !s->closing && !r->allow && !r->location && !r->retry_after;
}

static enum MHD_Result answer(struct session *s, struct MHD_Connection *c)
{
    struct server *server = s->http->server;
    if (!connection_enter(s->http->connections, &s->connection, PHASE_WORK))
        return MHD_NO;
    if (!s->reply.status)
        s->route->run(server, &s->request, &s->reply);
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

/* ---- what libmicrohttpd calls ---- */

static struct session *session_of(struct MHD_Connection *c)
{
    const union MHD_ConnectionInfo *info = MHD_get_connection_info(c, MHD_CONNECTION_INFO_SOCKET_CONTEXT);
    return info ? info->socket_context : NULL;
}

static void *on_target(void *context, const char *target, struct MHD_Connection *c)
{
    struct http *h = context;
    struct session *s = session_of(c);
    size_t size = strlen(target) + 1;
    if (!s)
        return NULL;
    if (size > s->target_room) {
        char *room = realloc(s->target, size + 64);
        if (!room)
            return NULL;
        s->target = room;
        s->target_room = size + 64;
    }
    memcpy(s->target, target, size);
    s->request = (struct request){.target = s->target};
    s->started = true;
    s->begun = s->closing = false;
    s->status = 0;
    s->sent = s->body_size = 0;
    clock_gettime(CLOCK_MONOTONIC, &s->start);
    /* A client that is late already is told at the next step. */
    connection_enter(h->connections, &s->connection, PHASE_HEADER);
    return s;
}

static enum MHD_Result begin_request(
    struct session *s, struct MHD_Connection *c, const char *path, const char *method)
{
    struct request *q = &s->request;
    s->begun = true;
    s->reply = (struct reply){0};
    atomic_fetch_add_explicit(&s->http->server->metrics.requests_running, 1, memory_order_relaxed);
    q->method = method;
    q->path = without_origin(path);
    q->host = MHD_lookup_connection_value(c, MHD_HEADER_KIND, MHD_HTTP_HEADER_HOST);
    set_id(s, MHD_lookup_connection_value(c, MHD_HEADER_KIND, "x-request-id"));
    decide(s, header_size(c));
    const char *expect = MHD_lookup_connection_value(c, MHD_HEADER_KIND, MHD_HTTP_HEADER_EXPECT);
    uint64_t declared = declared_body(c);
    if (!s->reply.status && expect && strcasecmp(expect, "100-continue") != 0)
        refuse(s, 417, "Expectation Failed");
    bool huge = declared != IN_CHUNKS && declared > s->body_max;
    if (!s->reply.status && huge)
        refuse(s, 413, "Request Entity Too Large");
    if (s->reply.status && (huge || s->reply.close))
        return answer(s, c);
    bool in_time = declared == 0 || connection_enter(s->http->connections, &s->connection, PHASE_BODY);
    return in_time ? MHD_YES : MHD_NO;
}

static enum MHD_Result on_request(void *context, struct MHD_Connection *c, const char *path,
    const char *method, const char *version, const char *data, size_t *size, void **request_context)
{
    struct session *s = *request_context;
    (void)context;
    (void)version;
    if (!s)
        return MHD_NO;
    if (!s->begun)
        return begin_request(s, c, path, method);
    if (*size == 0)
        return answer(s, c);
    if (!collect_body(s, data, *size)) {
        s->status = 413;
        connection_say(&s->connection, "413 Request Entity Too Large", "Request Entity Too Large");
        return MHD_NO;
    }
    *size = 0;
    return MHD_YES;
}

static void log_request(const struct session *s, double seconds, bool cut)
{
    enum log_level level = s->route && s->route->probe && s->status < 400 ? LOG_DEBUG : LOG_INFO;
    if (!log_enabled(level))
        return;
    const struct request *q = &s->request;
    /* The path alone: a query may hold a key. */
    struct span path = {(const uint8_t *)q->target, strcspn(q->target, "?")};
    log_line(level, cut ? "request cut off" : "request",
        LOG_FIELDS(log_text("id", s->id), log_text("method", q->method), log_span("path", path),
            log_count("status", s->status), log_seconds("seconds", seconds), log_count("bytes", s->sent)));
}

static void on_completed(
    void *context, struct MHD_Connection *c, void **request_context, enum MHD_RequestTerminationCode how)
{
    struct http *h = context;
    struct session *s = *request_context;
    (void)c;
    if (!s || !s->started)
        return;
    s->started = false;
    if (!s->begun) {
        /* libmicrohttpd refused it by itself, or the client left before its headers were whole. */
        atomic_fetch_add_explicit(&h->server->metrics.requests_unread, 1, memory_order_relaxed);
        return;
    }
    atomic_fetch_sub_explicit(&h->server->metrics.requests_running, 1, memory_order_relaxed);
    double seconds = since(&s->start);
    if (s->status)
        metrics_request(&h->server->metrics, s->route, s->status, seconds);
    log_request(s, seconds, how != MHD_REQUEST_TERMINATED_COMPLETED_OK);
    reply_release(&s->reply);
    if (s->body_room > BODY_KEPT_MAX) {
        free(s->body);
        s->body = NULL;
        s->body_room = 0;
    }
    connection_enter(h->connections, &s->connection, PHASE_IDLE);
}

static void session_free(struct session *s)
{
    forget_kept(s);
    free(s->target);
    free(s->body);
    free(s);
}

static void on_connection(
    void *context, struct MHD_Connection *c, void **socket_context, enum MHD_ConnectionNotificationCode what)
{
    struct http *h = context;
    struct session *s = *socket_context;
    if (what == MHD_CONNECTION_NOTIFY_CLOSED) {
        if (s) {
            connections_remove(h->connections, &s->connection);
            session_free(s);
        }
        return;
    }
    s = calloc(1, sizeof(*s));
    *socket_context = s; /* NULL: every request on it is dropped */
    if (!s)
        return;
    s->http = h;
    /* One union per connection: the second question overwrites the answer to the first. */
    int fd = MHD_get_connection_info(c, MHD_CONNECTION_INFO_CONNECTION_FD)->connect_fd;
    const union MHD_ConnectionInfo *address = MHD_get_connection_info(c, MHD_CONNECTION_INFO_CLIENT_ADDRESS);
    connections_add(h->connections, &s->connection, fd, address->client_addr);
}

/* ---- the daemon ---- */

struct http *http_open(struct server *server, struct error *err)
{
    struct http *h = calloc(1, sizeof(*h));
    if (!h) {
        error_set(err, "no memory for the HTTP server");
        return NULL;
    }
    uint64_t seed = 0;
    h->server = server;
    h->listener.socket = -1;
    h->connections = connections_new(server->options, &server->metrics);
    if (!h->connections)
        error_set(err, "no memory for the list of connections");
    if (!h->connections ||
        !listener_open(&h->listener, server->options->host, (unsigned)server->options->port, err)) {
        http_close(h);
        return NULL;
    }
    if (getrandom(&seed, sizeof(seed), GRND_NONBLOCK) != (ssize_t)sizeof(seed))
        seed = (uint64_t)time(NULL);
    atomic_store(&h->next_id, seed);
    h->listening = true;
    return h;
}

static unsigned thread_count(const struct server *s)
{
    if (s->options->http_threads)
        return (unsigned)s->options->http_threads;
    return s->limits.cpus >= 4 ? 2 : 1;
}

bool http_start(struct http *h, struct error *err)
{
    const struct options *o = h->server->options;
    unsigned threads = thread_count(h->server);
    struct MHD_OptionItem pool[] = {
        {threads > 1 ? MHD_OPTION_THREAD_POOL_SIZE : MHD_OPTION_END, (intptr_t)threads, NULL},
        {MHD_OPTION_END, 0, NULL},
    };
    h->daemon = MHD_start_daemon(MHD_USE_EPOLL_INTERNAL_THREAD | MHD_ALLOW_SUSPEND_RESUME, 0, NULL, NULL,
        on_request, h, MHD_OPTION_LISTEN_SOCKET, h->listener.socket, MHD_OPTION_URI_LOG_CALLBACK, on_target,
        h, MHD_OPTION_NOTIFY_COMPLETED, on_completed, h, MHD_OPTION_NOTIFY_CONNECTION, on_connection, h,
        MHD_OPTION_CONNECTION_LIMIT, (unsigned)o->max_connections + CONNECTIONS_SPARE,
        MHD_OPTION_CONNECTION_MEMORY_LIMIT, (size_t)o->max_header + POOL_SPARE, MHD_OPTION_CONNECTION_TIMEOUT,
        0u, MHD_OPTION_THREAD_STACK_SIZE, (size_t)STACK_BYTES, MHD_OPTION_CLIENT_DISCIPLINE_LVL, 1,
        MHD_OPTION_ARRAY, pool, MHD_OPTION_END);
    if (!h->daemon)
        return error_set(err, "cannot start the HTTP server on %s", h->listener.address);
    return true;
}

const char *http_address(const struct http *h)
{
    return h->listener.address;
}

unsigned http_port(const struct http *h)
{
    return h->listener.port;
}

const char *http_library_version(void)
{
    return MHD_get_version();
}

void http_tick(struct http *h)
{
    connections_expire(h->connections);
}

void http_stop_listening(struct http *h)
{
    if (!h->listening)
        return;
    h->listening = false;
    MHD_quiesce_daemon(h->daemon);
    /* Without this, clients would still connect into the kernel's queue and hang there. */
    shutdown(h->listener.socket, SHUT_RDWR);
}

void http_close(struct http *h)
{
    if (!h)
        return;
    if (h->daemon) {
        http_stop_listening(h);
        MHD_stop_daemon(h->daemon);
    }
    listener_close(&h->listener);
    connections_free(h->connections);
    free(h);
}
