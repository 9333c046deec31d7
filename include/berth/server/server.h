/* server.h - what a running server consists of. One exists in a process; handlers get it as a parameter. */
#ifndef BERTH_SERVER_H
#define BERTH_SERVER_H

#include "berth/base/limits.h"
#include "berth/server/catalog.h"
#include "berth/server/options.h"
#include "berth/server/request_memory.h"

#include <stdatomic.h>

struct engine;
struct http;
struct api_keys;
struct memory_watch;
struct response_store;

struct server {
    const struct options *options;
    struct limits limits;
    struct limits_watch *watch; /* of the same limits, for the engine; NULL: they stay */
    struct memory_watch *memory; /* for the engine; NULL: it does not look */
    unsigned threads; /* compute threads at the start; engine.h tells how many there are now */
    struct engine *engine;
    struct catalog *catalog;
    struct api_keys *keys; /* NULL: none are asked for */
    struct response_store *responses; /* NULL: none are kept */
    double started; /* Unix time, seconds */
    atomic_bool draining; /* not ready any more; set once, at the first signal */
    struct http *http;
    struct byte_budget request_memory; /* of requests under way, see request_memory.h */
    atomic_bool told_stream_option; /* an unknown member of stream_options was logged */
};

#endif
