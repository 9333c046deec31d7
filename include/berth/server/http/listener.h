/* listener.h - the socket that clients connect to.
 *
 * It is bound before anything slow begins: a port in use is reported at once, and early clients wait in the kernel's
 * queue and are not refused.
 */
#ifndef BERTH_LISTENER_H
#define BERTH_LISTENER_H

#include "berth/base/error.h"

#define LISTENER_ADDRESS 64

struct listener {
    int socket;
    unsigned port; /* in use; where 0 was asked for, the one that the kernel chose */
    char address[LISTENER_ADDRESS]; /* "0.0.0.0:8000", "[::1]:8000" */
};

/* Whether `host` can be listened on: a numeric IPv4 or IPv6 address, or localhost. Names are not resolved: a server
 * must not wait for a resolver. */
bool listener_takes(const char *host);

/* Binds and listens on `host` (a numeric IPv4 or IPv6 address, or localhost; "::" accepts IPv4 as well). False with
 * the reason, which names address and port. */
bool listener_open(struct listener *l, const char *host, unsigned port, struct error *err);
void listener_close(struct listener *l);

/* Connects to a server that listens on `host` on this machine; "0.0.0.0" and "::" are reached by the loopback address.
 * Returns the socket, which the caller closes, or -1 with the reason after `seconds` at most. */
int listener_connect(const char *host, unsigned port, double seconds, struct error *err);

#endif
