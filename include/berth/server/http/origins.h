/* origins.h - which web pages and which host names may use the server.
 *
 * A browser sends the requests of any page to any server that it can reach, so a server on a private machine is
 * open to every page that is visited there. Two rules close it. A request that changes or computes something is
 * refused when a page of another origin made it, unless the origin is allowed (CORS). And without API keys the Host
 * header must be a name that no stranger can register: otherwise a page could point its own name at this machine and
 * become the server's own origin (DNS rebinding).
 */
#ifndef BERTH_ORIGINS_H
#define BERTH_ORIGINS_H

#include "berth/base/text.h"

#define ORIGIN_MAX 256 /* bytes of an origin or a host name that is compared */

/* Lists that the operator sets, NULL where they are empty. */
struct origins {
    const struct span *allowed; /* [n_allowed] origins, "https://app.example:8443", "null", "*" */
    size_t n_allowed;
    const struct span *hosts; /* [n_hosts] names, or "*" */
    size_t n_hosts;
};

/* Whether `origin` can be one that is allowed: "*", "null", or SCHEME://HOST with a port or without. */
bool origin_is_valid(struct span origin);

/* Whether `host` can be a name that is allowed: "*", or a host name without port. */
bool origin_host_is_valid(struct span host);

/* The value of access-control-allow-origin for a request with this Origin header: "*", or `origin` itself; NULL when
 * it is not allowed. */
const char *origin_allowed(const struct origins *o, const char *origin);

/* Whether a page of this origin is foreign to the server that it reached as `host` (NULL: no Host header): host and
 * port differ. "null" and schemes other than http and https are always foreign. */
bool origin_is_foreign(const char *origin, const char *host);

/* Whether a Host header names a host that no stranger can register: an address, localhost, a name without dots, one
 * under .svc, .local, .localhost or .internal, or one that is allowed. */
bool origin_host_is_known(const struct origins *o, const char *host);

/* Whether a page may send this header: the ones that clients of the APIs send. `name` is compared without regard to
 * case. */
bool origin_header_is_allowed(struct span name);

#endif
