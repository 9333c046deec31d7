/* connection.h - the open connections: how many there may be, and how long each may take for what it does.
 *
 * libmicrohttpd knows one time-out, of inactivity, which never ends a client that sends a byte now and then. So each
 * connection has a phase and a deadline here, and connections_expire cuts those that are late. A client that was to
 * send something is told 408. Some connections over the limit are accepted, so that they can be told why they are
 * refused, and so that health probes are answered.
 */
#ifndef BERTH_CONNECTION_H
#define BERTH_CONNECTION_H

#include "berth/server/http/counters.h"

#include <netinet/in.h>
#include <sys/socket.h>

#define CONNECTIONS_SPARE 128 /* connections over the limit that are accepted to be refused */

struct connection_limits {
    uint64_t most, most_per_address; /* open connections; per address: 0 for no limit */
    double header_timeout, body_timeout, write_timeout, keep_alive; /* seconds */
};

enum phase {
    PHASE_HEADER, /* a request's first line and headers are to come */
    PHASE_BODY, /* its body is to come */
    PHASE_WORK, /* it is being answered: no deadline */
    PHASE_WRITE, /* the client is to take the reply */
    PHASE_IDLE, /* kept alive for the next request */
    PHASE_EXPIRED, /* cut; nothing may be started on it any more */
};

struct connections;

/* Part of the object that keeps a connection; the fields are this module's, but may be read. */
struct connection {
    struct connection *next, *previous;
    int socket;
    unsigned char address[16];
    char peer[INET6_ADDRSTRLEN]; /* the address as text */
    unsigned refuse; /* 0, or the status that every request on it gets (503, 429), except probes */
    uint64_t left_at; /* the deadline that it had when the client was first seen to have left */
    _Atomic uint64_t deadline; /* phase in the low 3 bits, milliseconds of the monotonic clock above */
};

/* `limits` and `counters` must live as long. NULL without memory. */
struct connections *connections_new(const struct connection_limits *limits, struct http_counters *counters);
void connections_free(struct connections *all); /* none may be open */

/* A client has connected. Decides on c->refuse; the phase is PHASE_HEADER. */
void connections_add(
    struct connections *all, struct connection *c, int socket, const struct sockaddr *address);
/* It is about to be closed; `c` is not used after this. */
void connections_remove(struct connections *all, struct connection *c);

/* Enters a phase, which sets its deadline. False when the connection has expired: drop it. */
bool connection_enter(struct connections *all, struct connection *c, enum phase phase);

/* Writes a short error reply past libmicrohttpd, which can reply only before and after a body. Only for a request
 * whose reply has not begun, on a connection that is cut right after. `status` as in "408 Request Timeout"; `detail`
 * needs no escapes in JSON. */
void connection_say(const struct connection *c, const char *status, const char *detail);

/* Cuts every connection that is past its deadline. Cuts those whose clients were to send something and were seen to
 * have left, in this call and the one before. Call it some times a second. */
void connections_expire(struct connections *all);

/* The server ends: bodies that are still to come have two seconds from now, and are then answered 503, not 408. */
void connections_hurry(struct connections *all);

#endif
