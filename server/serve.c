/* serve.c - the life of the server: options, socket, threads, load, shutdown.
 *
 * The order at boot matters. First the command line is checked, then the port is bound, and only then models are opened,
 * so a probe can connect from the first millisecond. The main thread then waits for signals and cuts late connections. On
 * SIGTERM or SIGINT the server becomes not ready, accepts requests for the drain delay (load balancers need time to
 * notice), closes its socket, lets running requests finish within the grace period, and exits 0. A second signal ends it
 * at once.
 */
#include "berth/base/log.h"
#include "berth/base/pool.h"
#include "berth/engine/scheduler/engine.h"
#include "berth/kernels/isa.h"
#include "berth/loaders/mapping.h"
#include "berth/server/command.h"
#include "berth/server/http/api_keys.h"
#include "berth/server/http/http.h"
#include "berth/server/json/body.h"
#include "berth/server/response_store.h"
#include "berth/server/routes.h"
#include "berth/server/server.h"

#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <time.h>
#include <unistd.h>

#include <jansson.h>

#define LOOK_SECONDS 1.0 /* between two counts of the processors, while there is work */
#define TICK_SECONDS 0.25 /* between two looks for late connections, */
#define BUSY_TICK_SECONDS 0.05 /* and, while requests wait for replies, for clients that left */
#define DRAIN_TICK_SECONDS 0.01
#define LAST_REPLIES_SECONDS 1.5 /* for the replies to requests that the engine's stop has ended */
/* After the grace; the process does not wait longer for a thread that hangs on a disk. */
#define STOP_SECONDS 5
#define STOP_LOADING_SECONDS 0.5 /* the process does not wait longer for a load that hangs on a disk */
#define WORKERS_MOST 8

extern char **environ;

static double now_seconds(clockid_t clock)
{
    struct timespec t;
    clock_gettime(clock, &t);
    return (double)t.tv_sec + (double)t.tv_nsec * 1e-9;
}

static void setup_log(const struct options *o)
{
    bool text = o->log == OPTION_LOG_TEXT || (o->log == OPTION_LOG_AUTO && isatty(STDOUT_FILENO));
    log_setup((enum log_level)o->log_level, text ? LOG_FORMAT_TEXT : LOG_FORMAT_JSON);
}

/* Every connection and every model file takes a descriptor. The soft limit is low for programs that use select. */
static void raise_file_limit(void)
{
    struct rlimit files;
    if (getrlimit(RLIMIT_NOFILE, &files) == 0 && files.rlim_cur < files.rlim_max) {
        files.rlim_cur = files.rlim_max;
        setrlimit(RLIMIT_NOFILE, &files);
    }
}

static void log_start(const struct server *s)
{
    char memory[TEXT_NUMBER];
    log_line(LOG_INFO, "berth starts",
        LOG_FIELDS(log_text("version", BERTH_VERSION), log_text("models", s->options->models),
            log_count("cpus", s->limits.cpus), log_text("cpus_from", s->limits.cpus_from),
            log_count("threads", s->threads), log_text("cpu", isa_name(isa_selected())),
            log_text("memory", text_bytes(memory, s->limits.memory)),
            log_count("memory_bytes", s->limits.memory), log_text("memory_from", s->limits.memory_from)));
}

/* Waits up to `seconds` for a stop signal, then cuts late connections. *busy: a request waits for its reply. */
static bool wait_for_stop(struct server *s, double seconds, bool *busy)
{
    sigset_t stops;
    sigemptyset(&stops);
    sigaddset(&stops, SIGTERM);
    sigaddset(&stops, SIGINT);
    struct timespec tick = {
        .tv_sec = (time_t)seconds, .tv_nsec = (long)((seconds - (double)(time_t)seconds) * 1e9)};
    int got = sigtimedwait(&stops, NULL, &tick);
    *busy = http_tick(s->http);
    return got > 0;
}

enum drain { DRAIN_DELAY, DRAIN_REQUESTS, DRAIN_ANSWERS };

/* Waits for `seconds`, or less when no request is left, or none that waits for its reply. A second signal ends the
 * process here. */
static void drain_for(struct server *s, double seconds, enum drain what)
{
    double end = now_seconds(CLOCK_MONOTONIC) + seconds;
    bool busy = true;
    while (now_seconds(CLOCK_MONOTONIC) < end) {
        if (what == DRAIN_REQUESTS && atomic_load(&http_counters_of(s->http)->requests_running) == 0)
            return;
        if (what == DRAIN_ANSWERS && !busy)
            return;
        if (wait_for_stop(s, DRAIN_TICK_SECONDS, &busy)) {
            log_line(LOG_WARN, "stopped at once by a second signal", NULL);
            _exit(0);
        }
    }
}

static void end_at_once(int signal)
{
    (void)signal;
    _exit(0);
}

static void drain(struct server *s)
{
    const struct options *o = s->options;
    atomic_store(&s->draining, true);
    http_drain(s->http);
    log_line(LOG_INFO, "draining",
        LOG_FIELDS(log_seconds("delay", o->drain_delay), log_seconds("grace", o->grace),
            log_count("running", atomic_load(&http_counters_of(s->http)->requests_running))));
    drain_for(s, o->drain_delay, DRAIN_DELAY);
    http_stop_listening(s->http);
    drain_for(s, o->grace, DRAIN_REQUESTS);
    signal(SIGALRM, end_at_once);
    alarm(STOP_SECONDS);
    /* Requests that are left fail now. Their clients get an error event in a stream, else 503. */
    http_stop_work(s->http);
    engine_stop(s->engine);
    drain_for(s, LAST_REPLIES_SECONDS, DRAIN_ANSWERS);
}

static void close_server(struct server *s)
{
    http_close(s->http);
    if (catalog_stop(s->catalog, STOP_LOADING_SECONDS)) {
        catalog_free(s->catalog);
        engine_free(s->engine);
        limits_watch_free(s->watch);
        memory_watch_free(s->memory);
    }
    api_keys_free(s->keys);
    response_store_free(s->responses);
    log_line(
        LOG_INFO, "stopped", LOG_FIELDS(log_seconds("seconds", now_seconds(CLOCK_REALTIME) - s->started)));
}

static struct engine *start_engine(const struct server *s, struct error *err)
{
    static const enum attention_type kv_types[] = {
        [OPTION_KV_F16] = ATTENTION_F16, [OPTION_KV_F32] = ATTENTION_F32, [OPTION_KV_Q8_0] = ATTENTION_Q8_0};
    const struct options *o = s->options;
    struct engine_options e = {
        .threads = s->threads,
        .processors = s->limits.cpus,
        .processors_now = s->watch ? limits_watch_cpus : NULL,
        .watch = s->watch,
        .look_seconds = LOOK_SECONDS,
        .threads_most = (unsigned)o->threads,
        .kv_memory = o->kv_memory,
        .kv_type = kv_types[o->kv_type],
        .prefix_cache = o->prefix_cache,
        .prefix_age = o->prefix_age,
        .memory_is_short = s->memory ? memory_watch_is_short : NULL,
        .memory_watch = s->memory,
        .chunk = (size_t)o->chunk,
        .slots = (size_t)o->slots,
        .queue = (size_t)o->queue,
        .queue_timeout = o->queue_timeout,
        .job_timeout = o->job_timeout,
    };
    return engine_new(&e, err);
}

/* No call takes long, so one thread is enough until there are processors that it leaves idle: on two, a second one takes
 * time from clients and from the model, and answered a quarter fewer requests. */
static unsigned http_threads(const struct server *s)
{
    unsigned cpus = s->limits.cpus;
    if (s->options->http_threads)
        return (unsigned)s->options->http_threads;
    return cpus >= 8 ? 4 : cpus >= 4 ? 2 : 1;
}

static unsigned request_workers(const struct server *s)
{
    unsigned workers = 2 + s->limits.cpus / 4;
    return workers < WORKERS_MOST ? workers : WORKERS_MOST;
}

static struct http *open_http(struct server *s, struct error *err)
{
    const struct options *o = s->options;
    struct http_config config = {
        .host = o->host,
        .port = (unsigned)o->port,
        .threads = http_threads(s),
        .workers = request_workers(s),
        .connections =
            {
                .most = o->max_connections,
                .most_per_address = o->max_connections_per_address,
                .header_timeout = o->header_timeout,
                .body_timeout = o->body_timeout,
                .write_timeout = o->write_timeout,
                .keep_alive = o->keep_alive,
            },
        .max_body = o->max_body,
        .max_header = o->max_header,
        .max_uri = o->max_uri,
        .memory = &s->request_memory,
        .ping = o->ping,
        .keys = s->keys,
        .origins =
            {
                .allowed = o->cors_origin.at,
                .n_allowed = o->cors_origin.n,
                .hosts = o->allowed_host.at,
                .n_hosts = o->allowed_host.n,
            },
        .tables = route_tables,
        .n_tables = n_route_tables - !o->ui, /* the last is the page's */
    };
    return http_open(&config, s, err);
}

static bool open_server(struct server *s, struct error *err)
{
    json_setup(realloc, free);
    limits_read(&s->limits, "");
    s->request_memory.limit = s->options->request_memory ? (size_t)s->options->request_memory
                                                         : request_memory_default(s->limits.memory);
    s->watch = limits_watch_new("");
    s->memory = memory_watch_new("", s->limits.memory);
    s->threads = s->limits.cpus;
    if (s->options->threads && s->options->threads < s->threads)
        s->threads = (unsigned)s->options->threads;
    if (s->threads > POOL_MAX)
        s->threads = POOL_MAX;
    if (!isa_select(options_cpu(s->options), err))
        return error_prefix(err, "--cpu");
    log_start(s);
    options_warn(environ);
    raise_file_limit();
    json_object_seed(0);
    if (!mapping_guard(err))
        return false;
    if (s->options->api_key_file[0] && !(s->keys = api_keys_read(s->options->api_key_file, err)))
        return false;
    if (s->options->store && !(s->responses = response_store_new((size_t)s->options->store)))
        return error_set(err, "--store: no memory for the table of responses");
    s->catalog = catalog_new(s->options, s->limits.memory, err);
    s->engine = s->catalog ? start_engine(s, err) : NULL;
    if (!s->engine || !catalog_use_engine(s->catalog, s->engine, err))
        return false;
    s->http = open_http(s, err);
    /* Clients can connect from here on. The load begins before HTTP, so that an empty volume is loaded by then. */
    return s->http && catalog_start(s->catalog, err) && http_start(s->http, err);
}

/* A server that listens on all addresses is told by the one that a browser on this machine can open. */
static void log_listening(const struct server *s)
{
    static const char *const any[] = {"0.0.0.0:", "[::]:"};
    char here[32], page[96];
    const char *address = http_address(s->http), *shown = address;
    snprintf(here, sizeof(here), "127.0.0.1:%u", http_port(s->http));
    for (size_t i = 0; i < sizeof(any) / sizeof(any[0]); i++)
        if (strncmp(address, any[i], strlen(any[i])) == 0)
            shown = here;
    snprintf(page, sizeof(page), "http://%s/ui", shown);
    log_line(LOG_INFO, "listening",
        LOG_FIELDS(log_text("address", address), log_count("port", http_port(s->http)),
            s->options->ui ? log_text("page", page) : (struct log_field){.key = NULL}));
}

static int serve(const struct options *o)
{
    static struct server s; /* large, and one in a process */
    struct error err = {0};
    s.options = o;
    s.started = now_seconds(CLOCK_REALTIME);
    setup_log(o);
    if (!open_server(&s, &err)) {
        fprintf(stderr, "berth: %s\n", err.text);
        return 1;
    }
    log_listening(&s);
    for (bool busy = false; !wait_for_stop(&s, busy ? BUSY_TICK_SECONDS : TICK_SECONDS, &busy);) {
    }
    drain(&s);
    close_server(&s);
    return 0;
}

/* A PATH that does not exist is a mistake. The one of --models may be a volume that is mounted later. */
static bool operand_is_there(const struct options *o)
{
    char shown[400];
    if (!o->operand || o->wait_for_volume || access(o->operand, F_OK) == 0)
        return true;
    text_escape(shown, sizeof(shown), span_of(o->operand));
    fprintf(stderr, "berth: %s: there is no such file or directory\n", shown);
    return false;
}

int cmd_serve(int argc, char **argv)
{
    struct options o;
    struct error err = {0};
    switch (options_read(&o, argc - 1, argv + 1, environ, &err)) {
    case OPTIONS_HELP:
        return command_help(&command_serve);
    case OPTIONS_BAD:
        fprintf(stderr, "berth: %s\n", err.text);
        return 2;
    case OPTIONS_READ:
        break;
    }
    return operand_is_there(&o) ? serve(&o) : 2;
}

const struct command command_serve = {
    .name = "serve",
    .run = cmd_serve,
    .usage = "[PATH] [OPTIONS]",
    .summary = "serve models over HTTP; also without a command",
    .about = "Serves the models of a directory, or a single model file, until SIGTERM or SIGINT.\n"
             "PATH is the same as --models PATH.",
    .notes = "Exit status: 0 after a stop signal; 1 when it cannot listen; 2 for wrong usage.",
    .operand = OPERAND_FILE,
    .server_options = true,
    .takes_signals = true,
};
