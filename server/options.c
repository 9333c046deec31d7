/* options.c - the table of options, and the one parser that reads flags and environment by it. */
#include "berth/server/options.h"

#include "berth/base/log.h"
#include "berth/base/near.h"
#include "berth/server/http/listener.h"
#include "berth/server/http/origins.h"

#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#define MIB (1024 * 1024)
#define GIB (1024.0 * MIB)

enum option_kind {
    OPTION_TEXT,
    OPTION_COUNT,
    OPTION_BYTES,
    OPTION_SECONDS,
    OPTION_CHOICE,
    OPTION_ADDRESS,
    OPTION_ORIGINS,
    OPTION_HOSTS,
};

struct option {
    const char *flag, *variable, *variable_too;
    const char *value; /* how help shows the value */
    enum option_kind kind;
    size_t field; /* offset in struct options */
    const char *initial;
    double least, most; /* of counts, bytes and seconds */
    const char *const *choices; /* NULL at the end; the index is the value */
    const char *help;
};

#define FIELD(name) offsetof(struct options, name)

static const char *const init_modes[] = {"sync", "async", NULL};
static const char *const cpus[] = {
    "auto", "plain", "avx2", "avxvnni", "avx512", "neon", "dotprod", "i8mm", NULL};
static const char *const kv_types[] = {"f16", "f32", "q8_0", NULL};
static const char *const switches[] = {"off", "on", NULL};
static const char *const log_formats[] = {"auto", "text", "json", NULL};
static const char *const log_levels[] = {"debug", "info", "warn", "error", NULL};

/* clang-format off */
static const struct option table[] = {
    {.flag = "--models", .variable = "BERTH_MODELS", .value = "PATH", .kind = OPTION_TEXT,
     .field = FIELD(models), .initial = "/app/models", .help = "directory of models, or a single model file"},
    {.flag = "--init-mode", .variable = "BERTH_INIT_MODE", .variable_too = "MODEL_INIT_MODE",
     .value = "sync|async", .kind = OPTION_CHOICE, .field = FIELD(wait_for_volume), .initial = "sync",
     .choices = init_modes, .help = "async: wait for a models directory that is not there yet"},
    {.flag = "--require", .variable = "BERTH_REQUIRE", .value = "ID,…", .kind = OPTION_TEXT,
     .field = FIELD(require), .initial = "", .help = "models that must be able to answer before /readyz is 200"},
    {.flag = "--prefault", .variable = "BERTH_PREFAULT", .value = "on|off", .kind = OPTION_CHOICE,
     .field = FIELD(prefault), .initial = "off", .choices = switches,
     .help = "read every model into memory before the server is ready"},
    {.flag = "--alias", .variable = "BERTH_ALIAS", .value = "NAME=ID,…", .kind = OPTION_TEXT,
     .field = FIELD(alias), .initial = "", .help = "more names that clients may use for models"},
    {.flag = "--default-model", .variable = "BERTH_DEFAULT_MODEL", .value = "ID", .kind = OPTION_TEXT,
     .field = FIELD(default_model), .initial = "",
     .help = "the model that answers requests for names that nobody knows"},
    {.flag = "--chat-template", .variable = "BERTH_CHAT_TEMPLATE", .value = "FILE", .kind = OPTION_TEXT,
     .field = FIELD(chat_template), .initial = "",
     .help = "a template that all models use instead of their own"},
    {.flag = "--chat-format", .variable = "BERTH_CHAT_FORMAT", .value = "NAME", .kind = OPTION_TEXT,
     .field = FIELD(chat_format), .initial = "",
     .help = "how all models write reasoning and calls of tools, instead of what their templates tell"},
    {.flag = "--pooling", .variable = "BERTH_POOLING", .value = "ID=KIND,…", .kind = OPTION_TEXT,
     .field = FIELD(pooling), .initial = "",
     .help = "how models make one vector of a text: mean, cls, last, weighted-mean or max"},
    {.flag = "--host", .variable = "BERTH_HOST", .value = "ADDRESS", .kind = OPTION_ADDRESS,
     .field = FIELD(host), .initial = "0.0.0.0",
     .help = "IPv4 or IPv6 address to listen on, or localhost; :: is both families"},
    {.flag = "--port", .variable = "BERTH_PORT", .value = "PORT", .kind = OPTION_COUNT, .field = FIELD(port),
     .initial = "8000", .most = 65535, .help = "port to listen on; 0 takes a free one and prints it"},
    {.flag = "--api-key-file", .variable = "BERTH_API_KEY_FILE", .value = "FILE", .kind = OPTION_TEXT,
     .field = FIELD(api_key_file), .initial = "",
     .help = "file of API keys, one a line; clients must send one to ask models"},
    {.flag = "--ui", .variable = "BERTH_UI", .value = "on|off", .kind = OPTION_CHOICE, .field = FIELD(ui),
     .initial = "on", .choices = switches, .help = "whether /ui is a page for people"},
    {.flag = "--cors-origin", .variable = "BERTH_CORS_ORIGIN", .value = "ORIGIN|*", .kind = OPTION_ORIGINS,
     .field = FIELD(cors_origin), .initial = "",
     .help = "web pages of this origin may use the server; may be given several times; *: all pages"},
    {.flag = "--allowed-host", .variable = "BERTH_ALLOWED_HOST", .value = "NAME|*", .kind = OPTION_HOSTS,
     .field = FIELD(allowed_host), .initial = "",
     .help = "a name that clients reach the server by, needed without API keys where it has a dot and is not "
             "under .svc, .local, .localhost or .internal; may be given several times; *: any name"},
    {.flag = "--threads", .variable = "BERTH_THREADS", .value = "N", .kind = OPTION_COUNT,
     .field = FIELD(threads), .initial = "0", .most = 1024,
     .help = "compute threads; 0: as many as affinity and cgroup quota allow"},
    {.flag = "--http-threads", .variable = "BERTH_HTTP_THREADS", .value = "N", .kind = OPTION_COUNT,
     .field = FIELD(http_threads), .initial = "0", .most = 16,
     .help = "threads for HTTP; 0: one to four, by the number of processors"},
    {.flag = "--cpu", .variable = "BERTH_CPU", .value = "auto|plain|avx2|avxvnni|avx512|neon|dotprod|i8mm", .kind = OPTION_CHOICE,
     .field = FIELD(cpu), .initial = "auto", .choices = cpus,
     .help = "instructions to compute with; all give the same answers"},
    {.flag = "--context", .variable = "BERTH_CONTEXT", .value = "TOKENS", .kind = OPTION_COUNT,
     .field = FIELD(context), .initial = "0", .most = 16777216,
     .help = "most tokens of prompt and answer together; 0, and at most: the model's own context"},
    {.flag = "--max-tokens-default", .variable = "BERTH_MAX_TOKENS_DEFAULT", .value = "TOKENS",
     .kind = OPTION_COUNT, .field = FIELD(max_tokens_default), .initial = "0", .most = 16777216,
     .help = "longest answer to a request that does not set max_tokens; 0: as many as fit the context"},
    {.flag = "--kv-memory", .variable = "BERTH_KV_MEMORY", .value = "BYTES", .kind = OPTION_BYTES,
     .field = FIELD(kv_memory), .initial = "0", .most = 512 * GIB,
     .help = "limit of the KV cache of all models; 0: half of the memory that the models leave"},
    {.flag = "--request-memory", .variable = "BERTH_REQUEST_MEMORY", .value = "BYTES", .kind = OPTION_BYTES,
     .field = FIELD(request_memory), .initial = "0", .most = 512 * GIB,
     .help = "memory for requests being read and answers being formed; 0: three eighths of the limit, at most 1G"},
    {.flag = "--store", .variable = "BERTH_STORE", .value = "BYTES", .kind = OPTION_BYTES, .field = FIELD(store),
     .initial = "0", .most = 512 * GIB,
     .help = "memory for answers of /v1/responses that later requests may go on from; 0: none is kept"},
    {.flag = "--kv-type", .variable = "BERTH_KV_TYPE", .value = "f16|f32|q8_0",
     .kind = OPTION_CHOICE, .field = FIELD(kv_type), .initial = "f16", .choices = kv_types,
     .help = "type of cached keys and values; q8_0 takes about half the memory of f16 and is a little less exact"},
    {.flag = "--prefix-cache", .variable = "BERTH_PREFIX_CACHE", .value = "on|off", .kind = OPTION_CHOICE,
     .field = FIELD(prefix_cache), .initial = "on", .choices = switches,
     .help = "keep what was read for prompts that begin alike, while memory has room; answers are the same"},
    {.flag = "--prefix-age", .variable = "BERTH_PREFIX_AGE", .value = "SECONDS", .kind = OPTION_SECONDS,
     .field = FIELD(prefix_age), .initial = "300", .most = 86400,
     .help = "how long a cached prefix is kept without use; 0: no limit"},
    {.flag = "--slots", .variable = "BERTH_SLOTS", .value = "N", .kind = OPTION_COUNT, .field = FIELD(slots),
     .initial = "16", .least = 1, .most = 1024,
     .help = "answers of one model that are worked on at the same time; more wait"},
    {.flag = "--chunk", .variable = "BERTH_CHUNK", .value = "TOKENS", .kind = OPTION_COUNT,
     .field = FIELD(chunk), .initial = "256", .least = 1, .most = 65536,
     .help = "tokens of prompts that are read in one step; answers go on between steps"},
    {.flag = "--queue", .variable = "BERTH_QUEUE", .value = "N", .kind = OPTION_COUNT, .field = FIELD(queue),
     .initial = "256", .least = 1, .most = 65536, .help = "prompts that may wait; more are answered 429"},
    {.flag = "--queue-timeout", .variable = "BERTH_QUEUE_TIMEOUT", .value = "SECONDS", .kind = OPTION_SECONDS,
     .field = FIELD(queue_timeout), .initial = "60", .most = 86400,
     .help = "longest time that a prompt may wait, then 503; 0: no limit"},
    {.flag = "--job-timeout", .variable = "BERTH_JOB_TIMEOUT", .value = "SECONDS", .kind = OPTION_SECONDS,
     .field = FIELD(job_timeout), .initial = "3600", .most = 86400,
     .help = "longest time for a prompt and its answers, then 504; 0: no limit"},
    {.flag = "--ping", .variable = "BERTH_PING", .value = "SECONDS", .kind = OPTION_SECONDS,
     .field = FIELD(ping), .initial = "10", .most = 3600,
     .help = "silence after which a stream sends a keep-alive comment; 0: never"},
    {.flag = "--log", .variable = "BERTH_LOG", .value = "text|json|auto", .kind = OPTION_CHOICE,
     .field = FIELD(log), .initial = "auto", .choices = log_formats,
     .help = "format of log lines; auto: text on a terminal, else JSON"},
    {.flag = "--log-level", .variable = "BERTH_LOG_LEVEL", .value = "debug|info|warn|error",
     .kind = OPTION_CHOICE, .field = FIELD(log_level), .initial = "info", .choices = log_levels,
     .help = "lowest level that is logged"},
    {.flag = "--drain-delay", .variable = "BERTH_DRAIN_DELAY", .value = "SECONDS", .kind = OPTION_SECONDS,
     .field = FIELD(drain_delay), .initial = "0", .most = 3600,
     .help = "after SIGTERM, how long requests are still accepted while /readyz is 503"},
    {.flag = "--grace", .variable = "BERTH_GRACE", .value = "SECONDS", .kind = OPTION_SECONDS,
     .field = FIELD(grace), .initial = "8", .most = 3600,
     .help = "how long running requests may then finish"},
    {.flag = "--max-connections", .variable = "BERTH_MAX_CONNECTIONS", .value = "N", .kind = OPTION_COUNT,
     .field = FIELD(max_connections), .initial = "1024", .least = 1, .most = 65536,
     .help = "open connections; more are answered 503"},
    {.flag = "--max-connections-per-address", .variable = "BERTH_MAX_CONNECTIONS_PER_ADDRESS", .value = "N",
     .kind = OPTION_COUNT, .field = FIELD(max_connections_per_address), .initial = "512", .most = 65536,
     .help = "of one client address, more are answered 429; 0: no such limit"},
    {.flag = "--max-body", .variable = "BERTH_MAX_BODY", .value = "BYTES", .kind = OPTION_BYTES,
     .field = FIELD(max_body), .initial = "32M", .least = 1024, .most = 64 * GIB,
     .help = "largest request body; larger ones are answered 413"},
    {.flag = "--max-header", .variable = "BERTH_MAX_HEADER", .value = "BYTES", .kind = OPTION_BYTES,
     .field = FIELD(max_header), .initial = "16K", .least = 4096, .most = MIB,
     .help = "room for a request's first line and headers; more is answered 431"},
    {.flag = "--max-uri", .variable = "BERTH_MAX_URI", .value = "BYTES", .kind = OPTION_BYTES,
     .field = FIELD(max_uri), .initial = "8K", .least = 64, .most = MIB,
     .help = "longest request target; longer ones are answered 414"},
    {.flag = "--header-timeout", .variable = "BERTH_HEADER_TIMEOUT", .value = "SECONDS",
     .kind = OPTION_SECONDS, .field = FIELD(header_timeout), .initial = "10", .least = 0.1, .most = 3600,
     .help = "longest time for a request's headers to arrive, then 408"},
    {.flag = "--body-timeout", .variable = "BERTH_BODY_TIMEOUT", .value = "SECONDS", .kind = OPTION_SECONDS,
     .field = FIELD(body_timeout), .initial = "60", .least = 0.1, .most = 3600,
     .help = "longest time for a request's body to arrive, then 408"},
    {.flag = "--write-timeout", .variable = "BERTH_WRITE_TIMEOUT", .value = "SECONDS", .kind = OPTION_SECONDS,
     .field = FIELD(write_timeout), .initial = "60", .least = 0.1, .most = 3600,
     .help = "longest time for a client to take a reply, then it is disconnected"},
    {.flag = "--keep-alive", .variable = "BERTH_KEEP_ALIVE", .value = "SECONDS", .kind = OPTION_SECONDS,
     .field = FIELD(keep_alive), .initial = "75", .least = 0.1, .most = 3600,
     .help = "how long a connection may wait for its next request"},
};
/* clang-format on */

#define N_OPTIONS (sizeof(table) / sizeof(table[0]))

/* Writes that `name`, a flag or variable, does not take `value`, and what it takes. Returns false. */
static bool bad_value(const struct option *o, const char *name, const char *value, struct error *err)
{
    char shown[200];
    text_escape(shown, sizeof(shown), span_of(value));
    if (o->kind == OPTION_CHOICE)
        return error_set(err, "%s: \"%s\" is not allowed: one of %s", name, shown, o->value);
    if (o->kind == OPTION_TEXT)
        return error_set(err, "%s: \"%s\" is not allowed: a %s that is not empty", name, shown, o->value);
    if (o->kind == OPTION_ADDRESS)
        return error_set(
            err, "%s: \"%s\" is not allowed: a numeric IPv4 or IPv6 address, or localhost", name, shown);
    if (o->kind == OPTION_ORIGINS)
        return error_set(err,
            "%s: \"%s\" is not allowed: an origin (https://app.example, with a port if it has one), null, or *",
            name, shown);
    if (o->kind == OPTION_HOSTS)
        return error_set(err, "%s: \"%s\" is not allowed: a host name without port, or *", name, shown);
    const char *what = o->kind == OPTION_COUNT   ? "a whole number"
                       : o->kind == OPTION_BYTES ? "a number of bytes (also 64K, 32M, 1G)"
                                                 : "a number of seconds";
    return error_set(
        err, "%s: \"%s\" is not allowed: %s from %.12g to %.12g", name, shown, what, o->least, o->most);
}

/* Reads a number without sign, exponent or space. *end is the first byte after it. */
static bool read_number(const char *text, bool fraction, double *out, const char **end)
{
    size_t digits = strspn(text, "0123456789"), size = digits;
    if (fraction && text[size] == '.')
        size += 1 + strspn(text + size + 1, "0123456789");
    if (digits == 0 || size > 20)
        return false;
    *out = strtod(text, NULL);
    *end = text + size;
    return true;
}

static bool read_amount(const struct option *o, const char *value, double *out)
{
    const char *end;
    if (!read_number(value, o->kind == OPTION_SECONDS, out, &end))
        return false;
    if (o->kind == OPTION_BYTES && *end) {
        const char *unit = strchr("KMG", *end);
        if (!unit || end[1])
            return false;
        *out *= *unit == 'K' ? 1024.0 : *unit == 'M' ? MIB : GIB;
    } else if (*end) {
        return false;
    }
    return *out >= o->least && *out <= o->most;
}

static bool read_choice(const struct option *o, const char *value, unsigned *out)
{
    for (unsigned i = 0; o->choices[i]; i++) {
        if (strcasecmp(o->choices[i], value) == 0) {
            *out = i;
            return true;
        }
    }
    return false;
}

/* Adds the values of a list with commas. */
static bool add_to_list(
    const struct option *o, struct option_list *list, const char *name, const char *value, struct error *err)
{
    while (*value) {
        size_t size = strcspn(value, ",");
        struct span one = {(const uint8_t *)value, size};
        if (!(o->kind == OPTION_ORIGINS ? origin_is_valid(one) : origin_host_is_valid(one)))
            return bad_value(o, name, value, err);
        if (list->n == OPTION_LIST_MAX)
            return error_set(err, "%s: there may be %d values", name, OPTION_LIST_MAX);
        list->at[list->n++] = one;
        value += size + (value[size] == ',');
    }
    return true;
}

static bool set_option(
    struct options *out, const struct option *o, const char *name, const char *value, struct error *err)
{
    char *field = (char *)out + o->field;
    double amount;
    switch (o->kind) {
    case OPTION_TEXT:
        if (!value[0] && o->initial[0])
            return bad_value(o, name, value, err);
        *(const char **)(void *)field = value;
        return true;
    case OPTION_ADDRESS:
        *(const char **)(void *)field = value;
        return listener_takes(value) || bad_value(o, name, value, err);
    case OPTION_ORIGINS:
    case OPTION_HOSTS:
        return value[0] || o->initial == value
                   ? add_to_list(o, (struct option_list *)(void *)field, name, value, err)
                   : bad_value(o, name, value, err);
    case OPTION_CHOICE:
        return read_choice(o, value, (unsigned *)(void *)field) || bad_value(o, name, value, err);
    case OPTION_COUNT:
    case OPTION_BYTES:
        if (!read_amount(o, value, &amount))
            return bad_value(o, name, value, err);
        *(uint64_t *)(void *)field = (uint64_t)amount;
        return true;
    case OPTION_SECONDS:
        if (!read_amount(o, value, &amount))
            return bad_value(o, name, value, err);
        *(double *)(void *)field = amount;
        return true;
    }
    return true;
}

static void clear_list(struct options *out, const struct option *o)
{
    if (o->kind == OPTION_ORIGINS || o->kind == OPTION_HOSTS)
        *(struct option_list *)(void *)((char *)out + o->field) = (struct option_list){0};
}

/* The value of `name` in the environment, or NULL. */
static const char *variable(char *const *environment, const char *name)
{
    size_t size = strlen(name);
    for (; environment && *environment; environment++)
        if (strncmp(*environment, name, size) == 0 && (*environment)[size] == '=')
            return *environment + size + 1;
    return NULL;
}

/* Kubernetes sets BERTH_PORT=tcp://10.0.0.1:8000 in all pods of a namespace that has a Service called "berth". */
static bool is_service_link(const char *value)
{
    return strncmp(value, "tcp://", 6) == 0 || strncmp(value, "udp://", 6) == 0 ||
           strncmp(value, "sctp://", 7) == 0;
}

static bool read_environment(struct options *out, char *const *environment, struct error *err)
{
    for (size_t i = 0; i < N_OPTIONS; i++) {
        const char *names[] = {table[i].variable_too, table[i].variable};
        for (size_t k = 0; k < 2; k++) {
            const char *value = names[k] ? variable(environment, names[k]) : NULL;
            /* Compose files set a variable to an empty text to leave it unset. */
            if (!value || !value[0] || is_service_link(value))
                continue;
            if (!set_option(out, &table[i], names[k], value, err))
                return false;
        }
    }
    return true;
}

static const struct option *find_flag(const char *argument, size_t size)
{
    for (size_t i = 0; i < N_OPTIONS; i++)
        if (strlen(table[i].flag) == size && memcmp(table[i].flag, argument, size) == 0)
            return &table[i];
    return NULL;
}

static void unknown_option(const char *argument, size_t size, struct error *err)
{
    char shown[200];
    struct span given = {(const uint8_t *)argument, size};
    struct near near = near_begin(given);
    for (size_t i = 0; i < N_OPTIONS; i++)
        near_try(&near, table[i].flag);
    near_try(&near, "--help");
    near_try(&near, "--version");
    text_escape(shown, sizeof(shown), given);
    if (near.name)
        error_set(err, "unknown option %s; did you mean %s?", shown, near.name);
    else
        error_set(err, "unknown option %s; see berth help", shown);
}

/* An argument that is no flag is the PATH of --models. */
static bool set_operand(struct options *out, const char *argument, struct error *err)
{
    char shown[200];
    text_escape(shown, sizeof(shown), span_of(argument));
    if (out->operand)
        return error_set(err, "one PATH at a time, not also \"%s\"", shown);
    if (!argument[0])
        return error_set(err, "a PATH that is not empty is needed");
    out->operand = out->models = argument;
    return true;
}

/* Reads the flag argv[*at] and its value; *at is then the index of the last argument that was read. */
static bool read_flag(
    struct options *out, int argc, char *const *argv, int *at, bool given[N_OPTIONS], struct error *err)
{
    const char *argument = argv[*at], *value = NULL;
    size_t size = strcspn(argument, "=");
    const struct option *o = find_flag(argument, size);
    if (!o) {
        unknown_option(argument, size, err);
        return false;
    }
    if (argument[size] == '=')
        value = argument + size + 1;
    else if (*at + 1 < argc)
        value = argv[++*at];
    else
        return error_set(err, "%s needs a value: %s", o->flag, o->value);
    /* The first flag of a list replaces the values from the environment; the others add to it. */
    if (!given[o - table])
        clear_list(out, o);
    given[o - table] = true;
    return set_option(out, o, o->flag, value, err);
}

static enum options_result read_flags(struct options *out, int argc, char *const *argv, struct error *err)
{
    bool given[N_OPTIONS] = {false};
    for (int i = 0; i < argc; i++) {
        if (strcmp(argv[i], "--help") == 0 || strcmp(argv[i], "-h") == 0)
            return OPTIONS_HELP;
        bool flag = argv[i][0] == '-';
        if (!(flag ? read_flag(out, argc, argv, &i, given, err) : set_operand(out, argv[i], err)))
            return OPTIONS_BAD;
    }
    return OPTIONS_READ;
}

enum options_result options_read(
    struct options *o, int argc, char *const *argv, char *const *environment, struct error *err)
{
    *o = (struct options){0};
    for (size_t i = 0; i < N_OPTIONS; i++)
        if (!set_option(o, &table[i], table[i].flag, table[i].initial, err))
            return OPTIONS_BAD;
    /* Flags are read first by themselves: --help, or a wrong flag, comes before a wrong variable. */
    struct options flags_alone = *o;
    enum options_result result = read_flags(&flags_alone, argc, argv, err);
    if (result != OPTIONS_READ)
        return result;
    if (!read_environment(o, environment, err))
        return OPTIONS_BAD;
    return read_flags(o, argc, argv, err);
}

void options_print(FILE *out)
{
    for (size_t i = 0; i < N_OPTIONS; i++) {
        const struct option *o = &table[i];
        fprintf(out, "  %s %s\n      %s\n      default %s, environment %s", o->flag, o->value, o->help,
            o->initial[0] ? o->initial : "none", o->variable);
        if (o->variable_too)
            fprintf(out, " or %s", o->variable_too);
        fputc('\n', out);
    }
}

bool options_name(size_t i, struct option_name *out)
{
    if (i >= N_OPTIONS)
        return false;
    const struct option *o = &table[i];
    *out = (struct option_name){.flag = o->flag, .value = o->value, .help = o->help, .choices = o->choices};
    return true;
}

const char *options_cpu(const struct options *o)
{
    return cpus[o->cpu];
}

static bool is_known(const char *entry, size_t size)
{
    for (size_t i = 0; i < N_OPTIONS; i++)
        if (strlen(table[i].variable) == size && memcmp(table[i].variable, entry, size) == 0)
            return true;
    return false;
}

void options_warn(char *const *environment)
{
    for (; environment && *environment; environment++) {
        const char *entry = *environment, *value = strchr(entry, '=');
        if (strncmp(entry, "BERTH_", 6) != 0 || !value)
            continue;
        struct span name = {(const uint8_t *)entry, (size_t)(value - entry)};
        bool known = is_known(entry, name.size);
        if (known && is_service_link(value + 1))
            log_line(LOG_WARN, "a variable holds the address of a Kubernetes Service, not an option; ignored",
                LOG_FIELDS(log_span("variable", name), log_text("value", value + 1)));
        /* The other variables that Kubernetes sets for a Service called "berth". */
        bool link = strncmp(entry, "BERTH_PORT_", 11) == 0 || strncmp(entry, "BERTH_SERVICE_", 14) == 0;
        if (!known && !link)
            log_line(LOG_WARN, "a variable is not one of berth's options; ignored",
                LOG_FIELDS(log_span("variable", name)));
    }
}
