/* metrics.c - the families of the server, and the walk through all families. */
#include "metrics_private.h"

#include "berth/server/metrics.h"

#include "berth/base/strbuf.h"
#include "berth/engine/scheduler/engine.h"
#include "berth/server/http/http.h"
#include "berth/server/response_store.h"
#include "berth/server/server.h"

#include <dirent.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#define PIECE_BYTES 32768
#define COUNT_OF(array) (sizeof(array) / sizeof((array)[0]))

/* ---- samples ---- */

/* A label's value: backslash, quote and newline are escaped, as the format asks. */
void metrics_label(struct strbuf *out, const char *name, const char *value)
{
    strbuf_format(out, "%s=\"", name);
    for (const char *c = value; *c; c++) {
        if (*c == '\\' || *c == '"')
            strbuf_text(out, "\\");
        if (*c == '\n')
            strbuf_text(out, "\\n");
        else
            strbuf_add(out, (struct span){(const uint8_t *)c, 1});
    }
    strbuf_text(out, "\"");
}

void metrics_head(struct strbuf *out, const char *name, const char *kind, const char *help)
{
    strbuf_format(out, "# HELP %s %s\n# TYPE %s %s\n", name, help, name, kind);
}

/* The last row counts requests that no route matched. */
static void add_route_labels(struct strbuf *out, const struct router *routes, size_t row)
{
    const struct route *route = row < router_size(routes) ? router_row(routes, row) : NULL;
    metrics_label(out, "method", route ? route->method : "other");
    strbuf_text(out, ",");
    metrics_label(out, "route", route ? route->path : "other");
}

static void write_requests(struct server *s, struct strbuf *out, const char *name)
{
    const struct http_counters *counters = http_counters_of(s->http);
    for (size_t row = 0; row <= counters->n_routes; row++)
        for (size_t i = 0; i == 0 || http_codes[i - 1]; i++) {
            uint64_t n = atomic_load_explicit(&counters->routes[row].requests[i], memory_order_relaxed);
            if (n == 0)
                continue;
            strbuf_format(out, "%s{", name);
            add_route_labels(out, http_router(s->http), row);
            if (http_codes[i])
                strbuf_format(out, ",code=\"%u\"} %" PRIu64 "\n", http_codes[i], n);
            else
                strbuf_format(out, ",code=\"other\"} %" PRIu64 "\n", n);
        }
}

static void write_route_durations(
    struct server *s, struct strbuf *out, const char *name, const struct http_route_counters *c, size_t row)
{
    const struct router *routes = http_router(s->http);
    uint64_t counts[HTTP_BOUNDS + 1], all = 0, below = 0;
    for (size_t i = 0; i <= HTTP_BOUNDS; i++)
        all += counts[i] = atomic_load_explicit(&c->durations[i], memory_order_relaxed);
    if (!all)
        return;
    for (size_t i = 0; i <= HTTP_BOUNDS; i++) {
        below += counts[i];
        strbuf_format(out, "%s_bucket{", name);
        add_route_labels(out, routes, row);
        if (i < HTTP_BOUNDS)
            strbuf_format(out, ",le=\"%g\"} %" PRIu64 "\n", http_bounds[i], below);
        else
            strbuf_format(out, ",le=\"+Inf\"} %" PRIu64 "\n", below);
    }
    uint64_t ns = atomic_load_explicit(&c->duration_ns, memory_order_relaxed);
    strbuf_format(out, "%s_sum{", name);
    add_route_labels(out, routes, row);
    strbuf_format(out, "} %.9f\n%s_count{", (double)ns * 1e-9, name);
    add_route_labels(out, routes, row);
    strbuf_format(out, "} %" PRIu64 "\n", all);
}

static void write_durations(struct server *s, struct strbuf *out, const char *name)
{
    const struct http_counters *counters = http_counters_of(s->http);
    for (size_t row = 0; row <= counters->n_routes; row++)
        write_route_durations(s, out, name, &counters->routes[row], row);
}

static void write_running(struct server *s, struct strbuf *out, const char *name)
{
    strbuf_format(
        out, "%s %" PRIu64 "\n", name, (uint64_t)atomic_load(&http_counters_of(s->http)->requests_running));
}

static void write_unread(struct server *s, struct strbuf *out, const char *name)
{
    strbuf_format(
        out, "%s %" PRIu64 "\n", name, (uint64_t)atomic_load(&http_counters_of(s->http)->requests_unread));
}

static void write_open(struct server *s, struct strbuf *out, const char *name)
{
    strbuf_format(
        out, "%s %" PRIu64 "\n", name, (uint64_t)atomic_load(&http_counters_of(s->http)->connections_open));
}

static void write_accepted(struct server *s, struct strbuf *out, const char *name)
{
    strbuf_format(out, "%s %" PRIu64 "\n", name,
        (uint64_t)atomic_load(&http_counters_of(s->http)->connections_accepted));
}

static void write_ended(struct server *s, struct strbuf *out, const char *name)
{
    static const char *const reasons[CONNECTION_ENDS] = {
        [CONNECTION_OVER_LIMIT] = "limit",
        [CONNECTION_OVER_ADDRESS_LIMIT] = "address_limit",
        [CONNECTION_HEADER_LATE] = "header_timeout",
        [CONNECTION_BODY_LATE] = "body_timeout",
        [CONNECTION_WRITE_LATE] = "write_timeout",
    };
    for (size_t i = 0; i < CONNECTION_ENDS; i++)
        strbuf_format(out, "%s{reason=\"%s\"} %" PRIu64 "\n", name, reasons[i],
            (uint64_t)atomic_load(&http_counters_of(s->http)->connections_ended[i]));
}

static void write_models(struct server *s, struct strbuf *out, const char *name)
{
    struct catalog_progress p = catalog_progress(s->catalog);
    size_t counts[MODEL_STATES] = {
        [MODEL_LOADING] = p.total - p.mapped - p.failed,
        [MODEL_MAPPED] = p.mapped,
        [MODEL_FAILED] = p.failed,
    };
    for (int i = 0; i < MODEL_STATES; i++)
        strbuf_format(out, "%s{state=\"%s\"} %zu\n", name, model_state_name((enum model_state)i), counts[i]);
}

static void write_kv_limit(struct server *s, struct strbuf *out, const char *name)
{
    strbuf_format(out, "%s %" PRIu64 "\n", name, kv_budget_limit(engine_budget(s->engine)));
}

static void write_kept(struct server *s, struct strbuf *out, const char *name)
{
    struct response_store_usage u =
        s->responses ? response_store_usage(s->responses) : (struct response_store_usage){0};
    strbuf_format(out, "%s %zu\n", name, strstr(name, "_bytes") ? u.bytes : u.responses);
}

static void write_build(struct server *s, struct strbuf *out, const char *name)
{
    (void)s;
    strbuf_format(out, "%s{version=\"%s\"} 1\n", name, BERTH_VERSION);
}

static void write_threads(struct server *s, struct strbuf *out, const char *name)
{
    strbuf_format(out, "%s %u\n", name, engine_threads(s->engine));
}

static void write_cpus(struct server *s, struct strbuf *out, const char *name)
{
    strbuf_format(out, "%s %u\n", name, engine_processors(s->engine));
}

static void write_memory_limit(struct server *s, struct strbuf *out, const char *name)
{
    strbuf_format(out, "%s %" PRIu64 "\n", name, s->limits.memory);
}

static void write_start(struct server *s, struct strbuf *out, const char *name)
{
    strbuf_format(out, "%s %.3f\n", name, s->started);
}

static void write_cpu_seconds(struct server *s, struct strbuf *out, const char *name)
{
    struct timespec t;
    (void)s;
    if (clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &t) == 0)
        strbuf_format(out, "%s %.6f\n", name, (double)t.tv_sec + (double)t.tv_nsec * 1e-9);
}

/* /proc/self/statm: size, resident, shared (file) pages. */
static void write_memory(struct server *s, struct strbuf *out, const char *name)
{
    unsigned long long size, resident, shared;
    FILE *f = fopen("/proc/self/statm", "re");
    (void)s;
    if (!f)
        return;
    unsigned long long page = (unsigned long long)sysconf(_SC_PAGESIZE);
    if (fscanf(f, "%llu %llu %llu", &size, &resident, &shared) == 3) {
        bool all = strcmp(name, "process_resident_memory_bytes") == 0;
        strbuf_format(out, "%s %llu\n", name, page * (all ? resident : resident - shared));
    }
    fclose(f);
}

static void write_open_files(struct server *s, struct strbuf *out, const char *name)
{
    uint64_t n = 0;
    DIR *d = opendir("/proc/self/fd");
    (void)s;
    if (!d)
        return;
    while (readdir(d))
        n++;
    closedir(d);
    strbuf_format(
        out, "%s %" PRIu64 "\n", name, n > 3 ? n - 3 : 0); /* less ".", ".." and the directory's own */
}

struct family {
    const char *name, *kind, *help;
    void (*write)(struct server *s, struct strbuf *out, const char *name);
};

/* clang-format off */
static const struct family families[] = {
    {"berth_http_requests_total", "counter", "Requests answered, by route and status code.", write_requests},
    {"berth_http_request_duration_seconds", "histogram",
     "From a request's first line to its reply being taken.", write_durations},
    {"berth_http_requests_running", "gauge", "Requests that are being read or answered.", write_running},
    {"berth_http_requests_unread_total", "counter",
     "Requests that were malformed or abandoned in their headers.", write_unread},
    {"berth_http_connections_open", "gauge", "Open client connections.", write_open},
    {"berth_http_connections_accepted_total", "counter", "Client connections accepted.", write_accepted},
    {"berth_http_connections_refused_total", "counter", "Connections turned away or cut, by reason.",
     write_ended},
    {"berth_models", "gauge", "Models on the volume, by state.", write_models},
    {"berth_kv_limit_bytes", "gauge", "KV cache limit, of all models together.",
     write_kv_limit},
    {"berth_responses_kept", "gauge", "Responses that are kept for later requests.", write_kept},
    {"berth_responses_kept_bytes", "gauge", "Memory that kept responses take, at most --store.", write_kept},
    {"berth_compute_threads", "gauge", "Compute threads in force.", write_threads},
    {"berth_cpu_limit", "gauge", "Processors that affinity and cgroup quota allow, rounded down.",
     write_cpus},
    {"berth_memory_limit_bytes", "gauge", "Memory that the machine or the cgroup allows.",
     write_memory_limit},
    {"berth_build_info", "gauge", "The version that runs.", write_build},
    {"process_cpu_seconds_total", "counter", "User and system CPU time spent.", write_cpu_seconds},
    {"process_resident_memory_bytes", "gauge", "Resident memory, mapped model pages included.", write_memory},
    {"berth_process_private_memory_bytes", "gauge", "Resident memory that is no file's page.", write_memory},
    {"process_open_fds", "gauge", "Open file descriptors.", write_open_files},
    {"process_start_time_seconds", "gauge", "Unix time of the start.", write_start},
};
/* clang-format on */

/* ---- the walk ---- */

/* Writes one family of the server, or one model's sample of a family of models. False when nothing is left. */
static bool step(struct metrics_walk *w, struct strbuf *out)
{
    if (w->family < COUNT_OF(families)) {
        const struct family *f = &families[w->family++];
        metrics_head(out, f->name, f->kind, f->help);
        f->write(w->server, out, f->name);
        return true;
    }
    size_t family = w->family - COUNT_OF(families);
    if (family == metrics_n_model_families())
        return false;
    if (w->model == 0)
        metrics_model_head(out, family);
    if (w->model < w->n_models)
        metrics_model_sample(out, family, w, w->models[w->model++]);
    if (w->model == w->n_models) {
        w->family++;
        w->model = 0;
    }
    return true;
}

struct metrics_walk *metrics_begin(struct server *s)
{
    struct metrics_walk *w = calloc(1, sizeof(*w));
    if (!w)
        return NULL;
    w->server = s;
    w->models = catalog_hold_all(s->catalog, &w->n_models);
    w->kv_usage = metrics_kv_usage(s, w->models, w->n_models);
    return w;
}

bool metrics_more(struct metrics_walk *w, struct strbuf *out)
{
    size_t enough = out->size + PIECE_BYTES;
    while (out->size < enough && !out->failed)
        if (!step(w, out))
            return false;
    return true;
}

void metrics_end(struct metrics_walk *w)
{
    if (!w)
        return;
    catalog_drop_all(w->server->catalog, w->models, w->n_models);
    free(w);
}
