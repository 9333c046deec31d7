/* http_private.h - what the files of server/http share: the server's state and a connection's.
 *
 * A connection has one session, which lives as long as the connection and has its current request. So a request allocates
 * only its reply. No other room uses libmicrohttpd.
 */
#ifndef BERTH_HTTP_PRIVATE_H
#define BERTH_HTTP_PRIVATE_H

#include "berth/server/http/http.h"
#include "berth/server/http/listener.h"
#include "berth/server/http/stream.h"

#include <microhttpd.h>
#include <pthread.h>
#include <time.h>

#define FRESH_ID 16 /* characters of an id that the server made */

/* The connections whose replies come later. */
struct streams {
    pthread_mutex_t lock; /* taken before a suspended connection's own */
    struct suspended *first; /* under lock */
    bool closing; /* under lock: no stream may begin any more */
    double ping; /* seconds of silence after which a stream sends a comment; 0: never */
};

/* A session's entry in the list, in use from the first call for a slow route to the end of the request. */
struct suspended {
    struct suspended *next, *previous; /* under the list's lock */
    struct connection *wire;
    bool begun; /* it is in the list */
    struct MHD_Connection *connection;
    const atomic_bool *stopping; /* the server ends: results of handlers are not used any more */
    atomic_bool
        useless; /* set with `left`, and when the server ends: for handlers, which may read it often */

    pthread_mutex_t lock; /* of what follows, down to the blank line */
    bool suspended;
    bool woken; /* since the last look */
    bool answered; /* the handler has returned; before that a request worker may use the session */
    bool left; /* the client has left, or the server ends */
    bool quiet; /* the client has received nothing for long: a stream is to begin, or to send a comment */
    uint64_t heard_ms; /* when the client last received something */
    struct async_reply *async;

    struct strbuf out; /* of a stream: the bytes to send next */
    size_t taken; /* how many of them were sent */
    bool ended; /* they are the last ones */
};

struct http {
    struct http_config config;
    struct server *context; /* of the handlers */
    struct router *router;
    struct http_counters counters;
    struct MHD_Daemon *daemon;
    struct listener listener;
    struct connections *connections;
    struct streams streams;
    struct request_workers *workers;
    atomic_uint_fast64_t next_id;
    atomic_bool draining, stopping;
    bool listening;
};

struct http_session {
    struct connection connection;
    struct http *http;
    char *target; /* [target_room] the target as it came, the decoded path, and the decoded names */
    size_t target_room;
    uint8_t *body; /* [body_room] */
    size_t body_size, body_room, body_max;
    /* Of a reply that is being sent: bytes that it holds until the request ends. */
    struct byte_budget *reply_memory;
    size_t reply_held;

    bool started; /* a request's first line has come, and its end has not */
    bool begun; /* its headers have come, too; it counts as running */
    bool closing; /* the reply says connection: close */
    size_t route_number;
    const struct dialect *dialect; /* of errors */
    const char *allow_origin; /* a header of the reply, for a page of another origin; NULL for none */
    struct http_request request;
    struct reply reply; /* status is 0 until something is decided */
    struct reply_writer *writer; /* of a reply that is being sent */
    struct strbuf written; /* the piece of it that is being sent */
    size_t written_taken; /* how many bytes of that were sent */
    bool written_ended;
    char id[REQUEST_ID_MAX + 1];
    bool fresh; /* the id was made here and has FRESH_ID characters */
    char allow[ROUTE_ALLOW_MAX];
    unsigned status;
    size_t sent;
    struct timespec start;
    struct suspended suspended;
    struct http_session *next_for_workers;

    struct MHD_Response *kept; /* see kept_response */
    struct reply kept_reply; /* the reply that it was made of */
    const char *kept_origin;
    char *kept_id; /* in the response, FRESH_ID characters */
};

/* ---- session.c: a request from its first line to its end ---- */

/* A request's first line has come; `target` is its target as it came. False without memory. */
bool session_target(struct http_session *s, const char *target);

/* Its headers have come: finds the route or the refusal, and replies at once where the body is not read. */
enum MHD_Result session_begin(struct http_session *s, struct MHD_Connection *c, const char *method);

/* A piece of its body. False, with s->status set, when the body is larger than it may be (413). A body for which there is
 * no memory is read and dropped, and answered 503. */
bool session_collect(struct http_session *s, const char *data, size_t size);

/* Frees the memory of its body. */
void session_drop_body(struct http_session *s);

/* Its reply was sent (`whole`), or the client left: counts and logs it. */
void session_end(struct http_session *s, bool whole);
void session_free(struct http_session *s);

/* ---- decide.c: what the first line and the headers decide ---- */

/* Finds the route and fills in the request, or fills the reply with a refusal. */
void decide(struct http_session *s);

/* Fills the reply with an error in the session's dialect. */
void decide_refuse(struct http_session *s, unsigned status, const char *message);

/* ---- browser.c: pages of other origins ---- */

/* Decides on the headers for pages of other origins. Answers preflights, and requests that such a page must not make. True
 * when the reply is filled in. */
bool browser_decide(struct http_session *s);

/* Adds the headers that let a page of another origin read the reply. */
void browser_add_headers(const struct http_session *s, struct MHD_Response *response);

/* ---- respond.c ---- */

/* Runs the handler, unless there is a reply already, and queues the reply. */
enum MHD_Result respond(struct http_session *s, struct MHD_Connection *c);

/* Frees the response that respond keeps for the next reply. */
void respond_forget(struct http_session *s);

/* Releases the writer of the reply that was being sent. */
void respond_end(struct http_session *s);

/* ---- stream.c ---- */

/* The answer of a slow route. STREAM_THERE: s->reply has it, or the beginning of a stream. STREAM_SUSPENDED:
 * libmicrohttpd calls again after a wake. STREAM_GONE: there is nobody to answer. */
enum stream_answer { STREAM_THERE, STREAM_SUSPENDED, STREAM_GONE };
enum stream_answer stream_answer(struct http_session *s, struct MHD_Connection *c);

/* A response that sends the events of s->suspended.async. NULL without memory. */
struct MHD_Response *stream_response(struct http_session *s);

/* The handler has returned; `async` is what it left, or NULL. The caller must not use the session any more. */
void suspended_answer(struct suspended *z, struct async_reply *async);

/* Whether the client has left or the server ends. Looks at the socket. */
bool suspended_left(struct suspended *z);

/* The request has ended: releases the reply that was to come. */
void stream_end(struct http_session *s);

void streams_open(struct streams *all, double ping);
/* Ends those whose clients have left, and wakes streams that sent nothing for long. True when there is any: then call it
 * again soon. */
bool streams_tick(struct streams *all);
/* Tells the handlers that run to return. */
void streams_stop(struct streams *all);
/* Ends all. Afterwards only connections of running handlers are suspended, and their clients have been sent 503. */
void streams_close(struct streams *all);

/* ---- request_workers.c: the threads that run the handlers of slow routes ---- */

struct request_workers *request_workers_open(struct http *h, unsigned threads, struct error *err);
/* Queues the session: a worker runs its handler and then wakes its connection. False when the workers have stopped. */
bool request_workers_put(struct request_workers *w, struct http_session *s);
/* Runs no more handlers: those that wait are answered 503. */
void request_workers_stop(struct request_workers *w);
/* Stops, waits for the handlers that run, and ends the threads. NULL is fine. */
void request_workers_close(struct request_workers *w);

#endif
