/* metrics.h - what /metrics shows.
 *
 * A metric family is one row in server/metrics.c: its name, kind, help, and a function that writes its samples.
 * Units are seconds and bytes. Nothing is computed or loaded for it: figures come from counters.
 */
#ifndef BERTH_METRICS_H
#define BERTH_METRICS_H

struct server;
struct strbuf;

/* Writes all families in Prometheus' text format 0.0.4. */
void metrics_write(struct server *s, struct strbuf *out);

#endif
