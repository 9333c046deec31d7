/* http.c - libmicrohttpd's daemon: its set-up, its callbacks, its end.
 *
 * It calls on_target when a request's first line has come, on_request when its headers have, again for each piece of
 * its body and once more at its end, and on_completed when the reply was sent or the client left. The work is in
 * session.c, decide.c and respond.c; replies that come later are in stream.c and request_workers.c.
 */
#include "http_private.h"

#include <stdlib.h>
#include <sys/random.h>
#include <time.h>

/* Handlers parse and write JSON by recursion; musl's 128 KiB are too little. */
#define STACK_BYTES (1024 * 1024)
#define POOL_SPARE 2048 /* bytes of a connection's memory for libmicrohttpd and the reply's headers */

/* ---- what libmicrohttpd calls ---- */

static struct http_session *session_of(struct MHD_Connection *c)
{
    const union MHD_ConnectionInfo *info = MHD_get_connection_info(c, MHD_CONNECTION_INFO_SOCKET_CONTEXT);
    return info ? info->socket_context : NULL;
}

static void *on_target(void *context, const char *target, struct MHD_Connection *c)
{
    struct http_session *s = session_of(c);
    (void)context;
    return s && session_target(s, target) ? s : NULL;
}

static enum MHD_Result on_request(void *context, struct MHD_Connection *c, const char *path,
    const char *method, const char *version, const char *data, size_t *size, void **request_context)
{
    struct http_session *s = *request_context;
    (void)context;
    (void)path; /* not used: encoded slashes are decoded in it; decide.c decodes the target */
    (void)version;
    if (!s)
        return MHD_NO;
    if (!s->begun)
        return session_begin(s, c, method);
    if (*size == 0)
        return respond(s, c);
    if (!session_collect(s, data, *size)) {
        connection_say(&s->connection, "413 Request Entity Too Large", "Request Entity Too Large");
        return MHD_NO;
    }
    *size = 0;
    return MHD_YES;
}

static void on_completed(
    void *context, struct MHD_Connection *c, void **request_context, enum MHD_RequestTerminationCode how)
{
    struct http_session *s = *request_context;
    (void)context;
    (void)c;
    if (s)
        session_end(s, how == MHD_REQUEST_TERMINATED_COMPLETED_OK);
}

static void on_connection(
    void *context, struct MHD_Connection *c, void **socket_context, enum MHD_ConnectionNotificationCode what)
{
    struct http *h = context;
    struct http_session *s = *socket_context;
    if (what == MHD_CONNECTION_NOTIFY_CLOSED) {
        if (s) {
            connections_remove(h->connections, &s->connection);
            session_free(s);
        }
        return;
    }
    s = calloc(1, sizeof(*s));
    *socket_context = s; /* NULL: every request on the connection is dropped */
    if (!s)
        return;
    s->http = h;
    pthread_mutex_init(&s->suspended.lock, NULL);
    /* libmicrohttpd returns all of these values in one union of the connection: the second call overwrites the first. */
    int fd = MHD_get_connection_info(c, MHD_CONNECTION_INFO_CONNECTION_FD)->connect_fd;
    const union MHD_ConnectionInfo *address = MHD_get_connection_info(c, MHD_CONNECTION_INFO_CLIENT_ADDRESS);
    connections_add(h->connections, &s->connection, fd, address->client_addr);
}

/* ---- the daemon ---- */

static bool open_parts(struct http *h, struct error *err)
{
    const struct http_config *o = &h->config;
    h->router = router_new(o->tables, o->n_tables);
    if (!h->router || !http_counters_init(&h->counters, router_size(h->router)))
        return error_set(err, "no memory for the routes");
    h->connections = connections_new(&o->connections, &h->counters);
    if (!h->connections)
        return error_set(err, "no memory for the list of connections");
    return listener_open(&h->listener, o->host, o->port, err);
}

struct http *http_open(const struct http_config *config, struct server *context, struct error *err)
{
    struct http *h = calloc(1, sizeof(*h));
    if (!h) {
        error_set(err, "no memory for the HTTP server");
        return NULL;
    }
    uint64_t seed = 0;
    h->config = *config;
    h->context = context;
    h->listener.socket = -1;
    streams_open(&h->streams, config->ping);
    if (!open_parts(h, err)) {
        http_close(h);
        return NULL;
    }
    if (getrandom(&seed, sizeof(seed), GRND_NONBLOCK) != (ssize_t)sizeof(seed))
        seed = (uint64_t)time(NULL);
    atomic_store(&h->next_id, seed);
    h->listening = true;
    return h;
}

bool http_start(struct http *h, struct error *err)
{
    const struct http_config *o = &h->config;
    h->workers = request_workers_open(h, o->workers, err);
    if (!h->workers)
        return false;
    struct MHD_OptionItem pool[] = {
        {o->threads > 1 ? MHD_OPTION_THREAD_POOL_SIZE : MHD_OPTION_END, (intptr_t)o->threads, NULL},
        {MHD_OPTION_END, 0, NULL},
    };
    /* libmicrohttpd divides the limit among the threads, so each thread gets spare places. */
    unsigned most = (unsigned)o->connections.most + CONNECTIONS_SPARE * o->threads;
    h->daemon = MHD_start_daemon(MHD_USE_EPOLL_INTERNAL_THREAD | MHD_ALLOW_SUSPEND_RESUME, 0, NULL, NULL,
        on_request, h, MHD_OPTION_LISTEN_SOCKET, h->listener.socket, MHD_OPTION_URI_LOG_CALLBACK, on_target,
        h, MHD_OPTION_NOTIFY_COMPLETED, on_completed, h, MHD_OPTION_NOTIFY_CONNECTION, on_connection, h,
        MHD_OPTION_CONNECTION_LIMIT, most, MHD_OPTION_CONNECTION_MEMORY_LIMIT,
        (size_t)o->max_header + POOL_SPARE, MHD_OPTION_CONNECTION_TIMEOUT, 0u, MHD_OPTION_THREAD_STACK_SIZE,
        (size_t)STACK_BYTES, MHD_OPTION_CLIENT_DISCIPLINE_LVL, 1, MHD_OPTION_ARRAY, pool, MHD_OPTION_END);
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

bool http_tick(struct http *h)
{
    connections_expire(h->connections);
    return streams_tick(&h->streams);
}

struct http_counters *http_counters_of(struct http *h)
{
    return &h->counters;
}

const struct router *http_router(const struct http *h)
{
    return h->router;
}

/* ---- the end ---- */

void http_drain(struct http *h)
{
    atomic_store(&h->draining, true);
}

void http_stop_listening(struct http *h)
{
    if (!h->listening)
        return;
    h->listening = false;
    MHD_quiesce_daemon(h->daemon);
    /* Otherwise clients could still connect, and would wait in the kernel's queue. */
    shutdown(h->listener.socket, SHUT_RDWR);
    connections_hurry(h->connections);
}

void http_stop_work(struct http *h)
{
    atomic_store(&h->stopping, true);
    streams_stop(&h->streams);
    request_workers_stop(h->workers);
}

void http_close(struct http *h)
{
    if (!h)
        return;
    /* The clients of running handlers are answered before the handlers end. A session that a request worker uses must not
     * end before the worker, and no connection may be suspended when the daemon stops. */
    atomic_store(&h->stopping, true);
    streams_close(&h->streams);
    request_workers_close(h->workers);
    if (h->daemon) {
        http_stop_listening(h);
        MHD_stop_daemon(h->daemon);
    }
    listener_close(&h->listener);
    pthread_mutex_destroy(&h->streams.lock);
    connections_free(h->connections);
    http_counters_release(&h->counters);
    router_free(h->router);
    free(h);
}
