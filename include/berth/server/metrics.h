/* metrics.h - what /metrics shows.
 *
 * A metric family is one row in server/metrics.c: its name, kind, help, and a function that writes its samples.
 * Units are seconds and bytes. Nothing is computed or loaded for it: figures come from counters.
 */
#ifndef BERTH_METRICS_H
#define BERTH_METRICS_H

#include <stdbool.h>

struct server;
struct strbuf;

/* Writes all families in Prometheus' text format 0.0.4. */
void metrics_write(struct server *s, struct strbuf *out);

/* Whether an Accept header (NULL: none) prefers OpenMetrics to plain text. */
bool metrics_wants_openmetrics(const char *accept);

/* Appends `text`, whole lines in the text format 0.0.4, in the format OpenMetrics 1.0.0. */
void metrics_add_openmetrics(const char *text, struct strbuf *out);

#define METRICS_TEXT "text/plain; version=0.0.4; charset=utf-8"
#define METRICS_OPENMETRICS "application/openmetrics-text; version=1.0.0; charset=utf-8"
#define METRICS_OPENMETRICS_END "# EOF\n" /* the last line of an exposition in OpenMetrics */

#endif
