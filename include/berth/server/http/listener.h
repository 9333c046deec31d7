/* listener.h - the socket that clients connect to.
 *
 * It is bound before anything slow begins, so that a port in use is told at once and early clients wait in
 * the kernel's queue instead of being refused.
 */
#ifndef BERTH_LISTENER_H
#define BERTH_LISTENER_H

#include "berth/base/error.h"

#define LISTENER_ADDRESS 64

struct listener {
    int socket;
    unsigned port; /* the real one, where 0 was asked for */
    char address[LISTENER_ADDRESS]; /* "0.0.0.0:8000", "[::1]:8000" */
};

/* Whether `host` is something to listen on: a numeric IPv4 or IPv6 address, or localhost. Names are not
 * resolved: a server must not wait for a resolver to listen. */
bool listener_takes(const char *host);

/* Binds and listens on `host` (a numeric IPv4 or IPv6 address, or localhost; "::" takes IPv4 as well).
 * False with the reason, which names address and port. */
bool listener_open(struct listener *l, const char *host, unsigned port, struct error *err);
void listener_close(struct listener *l);

/* Where a client on this machine reaches a server that listens on `host`: "0.0.0.0" becomes "127.0.0.1".
 * Connects within `seconds` and returns the socket, or -1 with the reason. */
int listener_connect(const char *host, unsigned port, double seconds, struct error *err);

#endif
