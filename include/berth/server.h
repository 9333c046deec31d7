/* server.h - what a running server consists of. One of these exists in a process; all of its parts are reached
 * through it, and handlers get it as a parameter.
 */
#ifndef BERTH_SERVER_H
#define BERTH_SERVER_H

#include "berth/catalog.h"
#include "berth/limits.h"
#include "berth/metrics.h"
#include "berth/options.h"

struct http;

struct server {
    const struct options *options;
    struct limits limits;
    unsigned threads; /* compute threads in force */
    struct catalog *catalog;
    struct metrics metrics;
    double started; /* Unix time, seconds */
    atomic_bool draining; /* not ready any more; set once, at the first signal */
    struct http *http;
    char *openapi; /* the document, made once at boot from the route table */
    char *docs; /* the page made from it */
};

#endif
