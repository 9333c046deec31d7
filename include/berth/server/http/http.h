/* http.h - HTTP over TCP: reads requests, finds their route, has it answered, sends the reply.
 *
 * libmicrohttpd does the protocol, on one or two threads; this module gives it limits and deadlines, an id
 * per request, the route table and the error dialects. Nothing outside it knows microhttpd.h.
 */
#ifndef BERTH_HTTP_H
#define BERTH_HTTP_H

#include "berth/server/server.h"

struct http;

/* Binds the socket: from here on clients can connect, and wait. NULL with the reason. */
struct http *http_open(struct server *s, struct error *err);

/* Begins to answer, on threads of its own. */
bool http_start(struct http *h, struct error *err);

const char *http_address(const struct http *h); /* "127.0.0.1:8000" */
unsigned http_port(const struct http *h);

const char *http_library_version(void); /* of libmicrohttpd, as linked */

/* Cuts connections that are late, and gives up what clients that have left asked for. Call some times a second;
 * more often when it returns true: somebody is waiting for an answer. */
bool http_tick(struct http *h);

/* Refuses new connections; those that are open go on. */
void http_stop_listening(struct http *h);

/* Ends the threads, closes all connections and frees. NULL is fine. */
void http_close(struct http *h);

#endif
