/* connection.h - the open connections: how many there may be, and how long each may take for what it is
 * doing.
 *
 * libmicrohttpd knows one time-out, of inactivity, which a client that sends a byte now and then never
 * meets. So every connection has a phase and a deadline here, and connections_expire cuts those that are
 * late: a client that is still to send something is told 408. Over the limit, a connection is taken all
 * the same (up to a little more) so that it can be told why, and so that health probes are answered.
 */
#ifndef BERTH_CONNECTION_H
#define BERTH_CONNECTION_H

#include "berth/server/metrics.h"
#include "berth/server/options.h"

#include <sys/socket.h>

#define CONNECTIONS_SPARE 128 /* connections over the limit that are taken to be refused */

enum phase {
    PHASE_HEADER, /* a request's first line and headers are to come */
    PHASE_BODY, /* its body is to come */
    PHASE_WORK, /* it is being answered: no deadline */
    PHASE_WRITE, /* the client is to take the reply */
    PHASE_IDLE, /* kept alive for a next request */
    PHASE_EXPIRED, /* cut; nothing may be started on it any more */
};

struct connections;

/* Part of whoever keeps a connection; the fields are this module's. */
struct connection {
    struct connection *next, *previous;
    int socket;
    unsigned char address[16];
    unsigned refuse; /* 0, or the status that every request on it gets (503, 429), but for probes */
    uint64_t left_at; /* the deadline that it had when the client was first seen to have left */
    _Atomic uint64_t deadline; /* phase in the low 3 bits, milliseconds of the monotonic clock above */
};

struct connections *connections_new(const struct options *o, struct metrics *m);
void connections_free(struct connections *all); /* none may be open */

/* A client has connected. Decides on c->refuse; the phase is PHASE_HEADER. */
void connections_add(
    struct connections *all, struct connection *c, int socket, const struct sockaddr *address);
/* It is about to be closed; `c` is not looked at after this. */
void connections_remove(struct connections *all, struct connection *c);

/* Enters a phase, which sets its deadline. False when the connection has expired: drop it. */
bool connection_enter(struct connections *all, struct connection *c, enum phase phase);

/* Writes a short error reply past libmicrohttpd, which can answer only before and after a body: for a
 * request whose reply has not begun, and whose connection is cut right after. `status` as in "408 Request
 * Timeout"; `detail` needs no escapes in JSON. */
void connection_say(const struct connection *c, const char *status, const char *detail);

/* Cuts every connection that is past its deadline, or whose client was seen to have left, while it was to
 * send something, in this call and the one before. Call it some times a second. */
void connections_expire(struct connections *all);

#endif
