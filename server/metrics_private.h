/* metrics_private.h - what the files that write metrics share. */
#ifndef BERTH_METRICS_PRIVATE_H
#define BERTH_METRICS_PRIVATE_H

#include "berth/base/strbuf.h"

struct server;

/* name="value", with backslash, quote and newline escaped as the format asks. */
void metrics_label(struct strbuf *out, const char *name, const char *value);

/* The lines HELP and TYPE of a family; `kind` is "counter", "gauge" or "histogram". */
void metrics_head(struct strbuf *out, const char *name, const char *kind, const char *help);

/* metrics_models.c: all families with samples for each model that answers. */
void metrics_write_models(struct server *s, struct strbuf *out);

#endif
