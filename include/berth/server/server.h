/* server.h - what a running server consists of. One of these exists in a process; all of its parts are
 * reached through it, and handlers get it as a parameter.
 */
#ifndef BERTH_SERVER_H
#define BERTH_SERVER_H

#include "berth/server/catalog.h"
#include "berth/base/limits.h"
#include "berth/server/metrics.h"
#include "berth/server/options.h"
#include "berth/server/request_memory.h"

#include <pthread.h>

struct engine;
struct http;
struct api_keys;
struct memory_watch;

struct server {
    const struct options *options;
    struct limits limits;
    struct limits_watch *watch; /* of the same limits, for the engine; NULL: they stay */
    struct memory_watch *memory; /* for the engine; NULL: it does not look */
    unsigned threads; /* compute threads at the start; engine.h tells how many there are */
    struct engine *engine;
    struct catalog *catalog;
    struct api_keys *keys; /* NULL: none are asked for */
    struct metrics metrics;
    double started; /* Unix time, seconds */
    atomic_bool draining; /* not ready any more; set once, at the first signal */
    struct http *http;
    struct byte_budget request_memory; /* of requests under way, see request_memory.h */

    pthread_mutex_t docs_lock; /* of the two below, which are made when first asked for and constant then */
    char *openapi; /* the document */
    char *docs; /* the page */
};

#endif
