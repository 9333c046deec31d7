/* http.h - HTTP over TCP: reads requests, finds their route, runs its handler, sends the reply.
 *
 * libmicrohttpd does the protocol, on one or more threads. This module adds limits and deadlines, an id for each
 * request, the router, API keys and the rules for browsers. It knows no API and no model: handlers get the
 * struct server that http_open was given.
 */
#ifndef BERTH_HTTP_H
#define BERTH_HTTP_H

#include "berth/base/budget.h"
#include "berth/base/error.h"
#include "berth/server/http/connection.h"
#include "berth/server/http/origins.h"
#include "berth/server/http/route.h"

struct api_keys;
struct http;
struct server;

/* How a server is set up. What it points to must live longer than the server. */
struct http_config {
    const char *host; /* a numeric address, or localhost */
    unsigned port; /* 0: any free one */
    unsigned threads; /* that speak HTTP; at least 1 */
    unsigned workers; /* that run slow handlers; at least 2 */
    struct connection_limits connections;
    uint64_t max_body, max_header, max_uri; /* bytes */
    struct byte_budget *memory; /* in which bodies and replies count; NULL: in none */
    double ping; /* seconds of silence after which a stream sends a comment; 0: never */
    const struct api_keys *keys; /* NULL: none are asked for */
    struct origins origins;
    const struct route_table *const *tables; /* [n_tables] */
    size_t n_tables;
};

/* Binds the socket: clients can connect from then on, and wait until http_start. NULL with the reason. */
struct http *http_open(const struct http_config *config, struct server *context, struct error *err);

/* Begins to answer, on threads of its own. */
bool http_start(struct http *h, struct error *err);

const char *http_address(const struct http *h); /* "127.0.0.1:8000" */
unsigned http_port(const struct http *h);
struct http_counters *http_counters_of(struct http *h);
const struct router *http_router(const struct http *h);

const char *http_library_version(void); /* of libmicrohttpd, as linked */

/* Cuts connections that are late, and ends the requests of clients that have left. Call it some times a second; more
 * often after it returned true: then a request waits for its reply. */
bool http_tick(struct http *h);

/* ---- the end, in this order; each step may be left out ---- */

/* From now on every reply closes its connection. */
void http_drain(struct http *h);

/* Refuses new connections; those that are open go on. A body that is still to come must come within two seconds, or
 * is answered 503. */
void http_stop_listening(struct http *h);

/* Answers 503 to requests that wait for a request worker, and tells the handlers that run to return. */
void http_stop_work(struct http *h);

/* Ends the threads, closes all connections and frees. A request whose handler still runs is answered 503 before
 * the call waits for the handler. NULL is fine. */
void http_close(struct http *h);

#endif
