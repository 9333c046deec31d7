/* readiness.h - whether the server lives and can answer, for all health routes. */
#ifndef BERTH_READINESS_H
#define BERTH_READINESS_H

#include "berth/base/error.h"

#include <stddef.h>

#include <jansson.h>

struct server;

/* After this many seconds a client that was told "not ready" may ask again. */
#define READINESS_RETRY_SECONDS 1

struct readiness {
    const char *status; /* NULL: ready; otherwise "loading", "not ready" or "draining" */
    bool draining;
    size_t done, total; /* models tried, and found; 0 while draining */
    struct error reason; /* of "not ready"; empty otherwise */
};

/* Answers from memory. */
struct readiness server_readiness(const struct server *s);

/* Adds the members that say why the server is not ready: status, models, reason. */
void readiness_describe(const struct readiness *r, json_t *into);

/* False when the engine's thread hangs. */
bool server_lives(const struct server *s);

#endif
