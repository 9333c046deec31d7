/* http_private.h - what http.c, session.c and respond.c share: the server's state and a connection's.
 *
 * A connection carries one session, which holds the request being read and lives as long as the
 * connection: nothing is allocated for a request but its reply. These three files are all of berth that
 * knows libmicrohttpd.
 */
#ifndef BERTH_HTTP_PRIVATE_H
#define BERTH_HTTP_PRIVATE_H

#include "berth/connection.h"
#include "berth/http.h"
#include "berth/listener.h"
#include "berth/reply.h"

#include <microhttpd.h>

#define FRESH_ID 16 /* characters of an id of ours */

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

/* session.c. A request's first line is here; `target` as it came. False when memory ran out. */
bool session_target(struct session *s, const char *target);

/* Its headers are here: finds the route or the refusal, and answers at once where the body is not to be
 * read. */
enum MHD_Result session_begin(
    struct session *s, struct MHD_Connection *c, const char *path, const char *method);

/* A piece of its body. False when the body is larger than it may be, or memory ran out. */
bool session_collect(struct session *s, const char *data, size_t size);

/* Its reply was taken (`whole`), or the client left: counts and logs it. */
void session_end(struct session *s, bool whole);
void session_free(struct session *s);

/* respond.c. Runs the handler, where nothing was decided before, and queues the reply. */
enum MHD_Result respond(struct session *s, struct MHD_Connection *c);

/* Gives up what respond keeps for the next reply. */
void respond_forget(struct session *s);

#endif
