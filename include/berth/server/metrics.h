/* metrics.h - what /metrics shows.
 *
 * A metric family is one row in server/metrics.c or server/metrics_models.c: its name, kind, help, and a function that
 * writes its samples. Units are seconds and bytes. Nothing is computed or loaded for it: figures come from counters.
 */
#ifndef BERTH_METRICS_H
#define BERTH_METRICS_H

#include <stdbool.h>

struct server;
struct strbuf;

/* A walk through all families, which holds the models of its beginning. */
struct metrics_walk;

/* NULL when memory is short. The caller ends the walk with metrics_end. */
struct metrics_walk *metrics_begin(struct server *s);

/* Appends the next lines, some 32 KiB, in Prometheus' text format 0.0.4. False when they were the last. */
bool metrics_more(struct metrics_walk *w, struct strbuf *out);

void metrics_end(struct metrics_walk *w); /* NULL is nothing */

/* Whether an Accept header (NULL: none) prefers OpenMetrics to plain text. */
bool metrics_wants_openmetrics(const char *accept);

/* Appends `text`, whole lines in the text format 0.0.4, in the format OpenMetrics 1.0.0. */
void metrics_add_openmetrics(const char *text, struct strbuf *out);

#define METRICS_TEXT "text/plain; version=0.0.4; charset=utf-8"
#define METRICS_OPENMETRICS "application/openmetrics-text; version=1.0.0; charset=utf-8"
#define METRICS_OPENMETRICS_END "# EOF\n" /* the last line of an exposition in OpenMetrics */

#endif
