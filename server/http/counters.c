/* counters.c - adds answered requests to the counters of their route. */
#include "berth/server/http/counters.h"

#include <stdlib.h>

const unsigned http_codes[HTTP_CODES_MAX] = {200, 204, 307, 400, 401, 403, 404, 405, 408, 413, 414, 415, 417,
    422, 429, 431, 499, 500, 501, 503, 504, 0};

/* Replies about health and metadata take far less than a millisecond, generation takes seconds. */
const double http_bounds[HTTP_BOUNDS] = {
    0.0001, 0.00025, 0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60};

bool http_counters_init(struct http_counters *c, size_t n_routes)
{
    c->routes = calloc(n_routes + 1, sizeof(*c->routes));
    c->n_routes = n_routes;
    return c->routes != NULL;
}

void http_counters_release(struct http_counters *c)
{
    free(c->routes);
    c->routes = NULL;
}

static size_t code_index(unsigned status)
{
    size_t i = 0;
    while (http_codes[i] && http_codes[i] != status)
        i++;
    return i;
}

void http_counters_request(struct http_counters *c, size_t route, unsigned status, double seconds)
{
    struct http_route_counters *r = &c->routes[route];
    size_t bucket = 0;
    while (bucket < HTTP_BOUNDS && seconds > http_bounds[bucket])
        bucket++;
    atomic_fetch_add_explicit(&r->requests[code_index(status)], 1, memory_order_relaxed);
    atomic_fetch_add_explicit(&r->durations[bucket], 1, memory_order_relaxed);
    atomic_fetch_add_explicit(&r->duration_ns, (uint64_t)(seconds * 1e9), memory_order_relaxed);
}
