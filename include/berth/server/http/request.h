/* request.h - a request as a handler sees it.
 *
 * A handler never sees a socket: the HTTP server reads the request and sends the reply. What a request points to lives
 * until the reply has been sent.
 */
#ifndef BERTH_REQUEST_H
#define BERTH_REQUEST_H

#include "berth/server/http/route.h"

#include <stdatomic.h>

#define REQUEST_ID_MAX 128

struct suspended;
struct MHD_Connection;

/* Takes a request's body piece by piece, in the order in which it comes. Made by a route's `receive`; embedded in
 * the object that knows what to do with the bytes. */
struct body_sink {
    const struct body_sink_kind *kind;
};

/* Called on an HTTP thread, one at a time. None may wait. */
struct body_sink_kind {
    /* Takes a piece. False after filling the reply with a refusal: what follows is read and dropped. */
    bool (*take)(struct body_sink *b, struct span piece, struct reply *r);
    /* The request has ended, answered or not. */
    void (*release)(struct body_sink *b);
};

struct http_request {
    const char *method;
    const char *path; /* decoded, without query */
    const char *target; /* as it came, with query */
    const char *host; /* the Host header, or NULL */
    const char *peer; /* the client's address, "127.0.0.1" or "2001:db8::1" */
    const char *id; /* the request's id: the client's, or one made for it */
    size_t key; /* the number of its API key; 0 where none is asked for */
    double arrived; /* when the last of it came: seconds of CLOCK_MONOTONIC */
    const struct route *route;
    const struct dialect *dialect; /* of the route's errors */
    struct span
        params[ROUTE_PARAMS_MAX]; /* what the names in the pattern stand for, decoded, in their order */
    struct span body; /* of a route that takes it in memory */
    struct body_sink *sink; /* of a route that receives it in pieces; NULL for others */
    struct suspended *suspended; /* on slow routes: wakes the connection, see stream.h */
    const atomic_bool
        *useless; /* on slow routes: becomes true some time after http_request_left does; else NULL */
    struct MHD_Connection *connection; /* for the functions below; NULL for a request without headers */
};

/* What {name} of the route's pattern stands for, decoded; empty for a name that the pattern does not have. */
struct span http_request_param(const struct http_request *q, const char *name);

/* The first header of this name, compared without regard to case, or NULL. */
const char *http_request_header(const struct http_request *q, const char *name);

/* The first query parameter of this name, decoded: NULL when there is none, "" when it has no value. */
const char *http_request_query(const struct http_request *q, const char *name);

/* On a slow route: true when the answer is of no use any more, because the client has left or the server ends. A
 * handler that computes for long asks now and then; when it is true, any reply will do. */
bool http_request_left(const struct http_request *q);

#endif
