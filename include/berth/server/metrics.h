/* metrics.h - what /metrics shows: counters that threads bump, and how they are written for Prometheus.
 *
 * Counting is a relaxed atomic add. A metric family is one row in server/metrics.c: its name, kind, help,
 * and a function that writes its samples. Units are seconds and bytes; scraping never loads or touches a
 * model.
 */
#ifndef BERTH_METRICS_H
#define BERTH_METRICS_H

#include "berth/base/text.h"

#include <stdatomic.h>

#define METRICS_ROUTES_MAX 64 /* one more than the route table has rows; the last used one is "other" */
#define METRICS_CODES_MAX 24
#define METRICS_BOUNDS 18 /* upper bounds of the duration histogram, without +Inf */

/* Why a connection was turned away or cut. */
enum connection_end {
    CONNECTION_OVER_LIMIT,
    CONNECTION_OVER_ADDRESS_LIMIT,
    CONNECTION_HEADER_LATE,
    CONNECTION_BODY_LATE,
    CONNECTION_WRITE_LATE,
    CONNECTION_ENDS
};

struct metrics {
    atomic_uint_fast64_t requests[METRICS_ROUTES_MAX][METRICS_CODES_MAX];
    atomic_uint_fast64_t durations[METRICS_ROUTES_MAX][METRICS_BOUNDS + 1]; /* not cumulative */
    atomic_uint_fast64_t duration_ns[METRICS_ROUTES_MAX];
    atomic_uint_fast64_t connections_accepted, connections_ended[CONNECTION_ENDS];
    atomic_uint_fast64_t connections_open;
    atomic_uint_fast64_t requests_running; /* headers read, reply not yet taken */
    atomic_uint_fast64_t
        requests_unread; /* refused by the HTTP parser, or left before their headers were whole */
};

struct route;
struct server;
struct strbuf;

/* Counts one answered request. `route` is NULL where no row matched. */
void metrics_request(struct metrics *m, const struct route *route, unsigned status, double seconds);

/* Writes all families in Prometheus' text format 0.0.4. */
void metrics_write(struct server *s, struct strbuf *out);

#endif
