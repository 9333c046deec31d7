/* route.h - the routes: one row each, which the dispatcher, `allow`, /openapi.json and the metrics read.
 *
 * Adding a route is a row in server/routes.c and a function that answers. A path may end in "{name}",
 * which takes the rest of the path, slashes included: ids of models have them.
 */
#ifndef BERTH_ROUTE_H
#define BERTH_ROUTE_H

#include "berth/base/text.h"

struct server;
struct http_request;
struct reply;

/* Whose manners the errors of a path have. */
enum dialect {
    DIALECT_FASTAPI, /* {"detail": …} */
    DIALECT_OPENAI, /* under /v1: {"error": {message, type, param, code}} */
    DIALECT_OIP, /* under /v2, the Open Inference Protocol: {"error": …} */
};

/* One answer that a route documents. */
struct route_answer {
    unsigned status;
    const char *what;
    const char *media; /* content type */
    const char *schema; /* name of a component in /openapi.json, NULL for none */
};

#define ROUTE_ANSWERS_MAX 3

struct route {
    const char *method;
    const char *path;
    void (*run)(struct server *s, const struct http_request *q, struct reply *r);
    size_t body_max; /* bytes; 0: it takes none, and a small one is drained unread */
    enum dialect dialect;
    bool slow; /* takes noticeable time to understand, or to answer: run beside the HTTP threads */
    bool probe; /* asked by machines all the time: answered at any load, logged at debug level only */
    const char *tag, *summary, *description;
    struct route_answer answers[ROUTE_ANSWERS_MAX]; /* those with a status */
};

extern const struct route routes[];
extern const size_t n_routes;

#define ROUTE_ALLOW_MAX 64

/* What a request's path leads to. */
struct route_match {
    const struct route *route; /* NULL when no row has this method and path */
    struct span rest; /* what "{name}" stands for */
    char allow
        [ROUTE_ALLOW_MAX]; /* with no route: the path's methods, "GET, POST"; empty for an unknown path */
};

/* Finds the row for a decoded path (NUL-terminated, without query). */
struct route_match route_find(const char *method, const char *path);

/* The dialect of a path that no row may have. */
enum dialect route_dialect(const char *path);

/* Methods that HTTP knows; anything else is answered 501. */
bool route_knows_method(const char *method);

#endif
