/* http_private.h - what http.c, session.c, respond.c, stream.c and request_workers.c share: the server's state and a
 * connection's.
 *
 * A connection carries one session, which holds the request being read and lives as long as the
 * connection: nothing is allocated for a request but its reply. These files are all of berth that knows
 * libmicrohttpd.
 */
#ifndef BERTH_HTTP_PRIVATE_H
#define BERTH_HTTP_PRIVATE_H

#include "berth/server/http/connection.h"
#include "berth/server/http/http.h"
#include "berth/server/http/listener.h"
#include "berth/server/http/reply.h"
#include "berth/server/http/stream.h"

#include <microhttpd.h>
#include <pthread.h>

#define FRESH_ID 16 /* characters of an id of ours */

/* The connections whose answers are to come. */
struct streams {
    pthread_mutex_t lock; /* taken before a suspended connection's own */
    struct suspended *first; /* under lock */
    bool closing; /* under lock: nothing may begin any more */
    double ping; /* seconds of silence after which a stream says that it lives; 0: never */
};

/* A connection's part of it, used from the first look at a slow route to the end of the request. */
struct suspended {
    struct suspended *next, *previous; /* under the list's lock */
    int socket;
    bool begun; /* it is in the list */
    struct MHD_Connection *connection;

    pthread_mutex_t lock; /* of what follows, down to the blank line */
    bool suspended;
    bool woken; /* since it was last looked for something */
    bool answered; /* the handler has returned; before, a thread of the desk may use the session */
    bool left; /* the client has, or the server ends */
    bool quiet; /* for long: a stream is to begin, or to say that it lives */
    uint64_t heard_ms; /* when the client last got something */
    struct async_reply *async;

    struct strbuf out; /* of a stream: what is to be sent next, */
    size_t taken; /* and how much of it was */
    bool ended; /* after that comes nothing more */
};

struct http {
    struct server *server;
    struct MHD_Daemon *daemon;
    struct listener listener;
    struct connections *connections;
    struct streams streams;
    struct request_workers *workers;
    atomic_size_t body_bytes; /* of all sessions' bodies */
    atomic_uint_fast64_t next_id;
    bool listening;
};

struct http_session {
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
    struct http_request request;
    struct reply reply; /* status is 0 until something is decided */
    char id[REQUEST_ID_MAX + 1];
    bool fresh; /* the id is ours, of FRESH_ID characters */
    char allow[ROUTE_ALLOW_MAX];
    unsigned status;
    size_t sent;
    struct timespec start;
    struct suspended suspended;
    struct http_session *next_for_workers;

    struct MHD_Response *kept; /* see kept_response */
    const void *kept_body;
    const char *kept_type;
    char *kept_id; /* in the response, FRESH_ID characters */
};

/* session.c. A request's first line is here; `target` as it came. False when memory ran out. */
bool session_target(struct http_session *s, const char *target);

/* Its headers are here: finds the route or the refusal, and answers at once where the body is not to be
 * read. */
enum MHD_Result session_begin(
    struct http_session *s, struct MHD_Connection *c, const char *path, const char *method);

/* A piece of its body. False, with s->status set, when the body is larger than it may be (413), or there is no
 * memory for it, since it ran out or all bodies together have their share (503). */
bool session_collect(struct http_session *s, const char *data, size_t size);

/* Gives the memory of its body back. */
void session_drop_body(struct http_session *s);

/* Its reply was taken (`whole`), or the client left: counts and logs it. */
void session_end(struct http_session *s, bool whole);
void session_free(struct http_session *s);

/* respond.c. Runs the handler, where nothing was decided before, and queues the reply. */
enum MHD_Result respond(struct http_session *s, struct MHD_Connection *c);

/* stream.c. The answer of a slow route. STREAM_THERE: s->reply has it, or the beginning of a stream.
 * STREAM_SUSPENDED: libmicrohttpd asks again when it was woken. STREAM_GONE: there is nobody to answer. */
enum stream_answer { STREAM_THERE, STREAM_SUSPENDED, STREAM_GONE };
enum stream_answer stream_answer(struct http_session *s, struct MHD_Connection *c);

/* A response that sends the events of s->suspended.async. NULL without memory. */
struct MHD_Response *stream_response(struct http_session *s);

/* The handler has returned; `later` is what it left, or NULL. The caller must not touch the session any more. */
void suspended_answer(struct suspended *z, struct async_reply *async);

/* The request has ended, however: releases what was to come. */
void stream_end(struct http_session *s);

void streams_open(struct streams *all, double ping);
/* Gives up those whose clients have left, and wakes streams that were quiet for long. True when there is any:
 * then call it again soon. */
bool streams_tick(struct streams *all);
/* Gives all up; nothing sleeps any more. */
void streams_close(struct streams *all);

/* request_workers.c. The threads that run the handlers of slow routes. */
struct request_workers *request_workers_open(struct server *server, struct error *err);
/* Has the session's handler run and then its suspended connection woken. False when the desk is closing. */
bool request_workers_put(struct request_workers *d, struct http_session *s);
/* Runs what is there to its end, and ends the threads. NULL is fine. */
void request_workers_close(struct request_workers *d);

/* Gives up what respond keeps for the next reply. */
void respond_forget(struct http_session *s);

#endif
