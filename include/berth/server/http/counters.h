/* counters.h - what the HTTP server counts. Threads add with relaxed atomics; /metrics reads.
 *
 * The counters of a route have the route's number in the router; the last row counts requests that no route matched.
 */
#ifndef BERTH_HTTP_COUNTERS_H
#define BERTH_HTTP_COUNTERS_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define HTTP_CODES_MAX 24
#define HTTP_BOUNDS 18 /* upper bounds of the duration histogram, without +Inf */

/* Why a connection was refused or cut. */
enum connection_end {
    CONNECTION_OVER_LIMIT,
    CONNECTION_OVER_ADDRESS_LIMIT,
    CONNECTION_HEADER_LATE,
    CONNECTION_BODY_LATE,
    CONNECTION_WRITE_LATE,
    CONNECTION_ENDS
};

struct http_route_counters {
    atomic_uint_fast64_t requests[HTTP_CODES_MAX]; /* by http_codes */
    atomic_uint_fast64_t durations[HTTP_BOUNDS + 1]; /* not cumulative */
    atomic_uint_fast64_t duration_ns;
};

struct http_counters {
    struct http_route_counters *routes; /* [n_routes + 1] */
    size_t n_routes;
    atomic_uint_fast64_t connections_accepted, connections_ended[CONNECTION_ENDS];
    atomic_uint_fast64_t connections_open;
    atomic_uint_fast64_t requests_running; /* headers read, reply not yet taken */
    atomic_uint_fast64_t
        requests_unread; /* refused by the HTTP parser, or left before their headers were whole */
};

/* The statuses that are counted one by one; the entry 0 ends the list and counts all others. */
extern const unsigned http_codes[HTTP_CODES_MAX];

/* The bounds of the histogram, in seconds. */
extern const double http_bounds[HTTP_BOUNDS];

/* False without memory. */
bool http_counters_init(struct http_counters *c, size_t n_routes);
void http_counters_release(struct http_counters *c);

/* Counts one request that was answered. `route` is a route's number, or n_routes. */
void http_counters_request(struct http_counters *c, size_t route, unsigned status, double seconds);

#endif
