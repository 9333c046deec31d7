/* metrics_private.h - what the files that write metrics share. */
#ifndef BERTH_METRICS_PRIVATE_H
#define BERTH_METRICS_PRIVATE_H

#include "berth/base/strbuf.h"

#include <stddef.h>

struct model;
struct server;

struct metrics_walk {
    struct server *server;
    struct model **models; /* [n_models], held */
    size_t n_models;
    double kv_usage; /* of all models: see metrics_kv_usage */
    size_t family, model; /* the sample that comes next; families of models follow those of the server */
};

/* name="value", with backslash, quote and newline escaped as the format asks. */
void metrics_label(struct strbuf *out, const char *name, const char *value);

/* The lines HELP and TYPE of a family; `kind` is "counter", "gauge" or "histogram". */
void metrics_head(struct strbuf *out, const char *name, const char *kind, const char *help);

/* ---- metrics_models.c: families with a sample for each model ---- */

size_t metrics_n_model_families(void);
void metrics_model_head(struct strbuf *out, size_t family);

/* Nothing for a model of which the family has no figure: not loaded, or without an engine. */
void metrics_model_sample(
    struct strbuf *out, size_t family, const struct metrics_walk *w, const struct model *m);

/* Of the memory for sequences, which all models share, the part in use, from 0 to 1. Prefixes that nobody uses are
 * given back as soon as somebody wants their room, so they count as free. */
double metrics_kv_usage(struct server *s, struct model *const models[], size_t n);

#endif
