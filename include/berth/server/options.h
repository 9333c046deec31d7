/* options.h - the settings of the server, by flag or by environment variable.
 *
 * Each option is a row of one table: its flag, its variable, the values it takes, its default and a line of help. The
 * parser of flags, the parser of the environment, `berth help`, `berth health` and the manual read that table. A flag
 * beats the environment. An option that takes a list may be given several times, and each value may be a list with
 * commas.
 */
#ifndef BERTH_OPTIONS_H
#define BERTH_OPTIONS_H

#include "berth/base/error.h"
#include "berth/base/text.h"

#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

enum option_log { OPTION_LOG_AUTO, OPTION_LOG_TEXT, OPTION_LOG_JSON };

#define OPTION_LIST_MAX 32

/* The values of an option that may be given several times. */
struct option_list {
    struct span at[OPTION_LIST_MAX]; /* [n] */
    size_t n;
};

enum option_kv_type { OPTION_KV_F16, OPTION_KV_F32, OPTION_KV_Q8_0 };

struct options {
    /* the volume */
    const char *models;
    const char *operand; /* the argument that is no flag, which `models` then is too; NULL: none */
    unsigned wait_for_volume; /* 1: a volume that is not there yet is waited for */
    const char *require; /* ids, comma between; empty for none */
    unsigned prefault;
    const char *default_model; /* a name that catalog_hold knows; empty for none */
    const char *alias; /* NAME=ID, comma between; empty for none */
    const char *chat_template; /* a file; empty: each model's own */
    const char *chat_format; /* a name; empty: by each model's template */
    const char *pooling; /* ID=KIND, comma between; empty: what each model's file says */
    /* the listener */
    const char *host;
    uint64_t port;
    const char *api_key_file; /* empty: no keys */
    unsigned ui; /* 1: /ui is the page */
    struct option_list cors_origin; /* origins of web pages that may use the server */
    struct option_list allowed_host; /* host names that Host may have beside the usual ones */
    /* the machine */
    uint64_t threads; /* 0: as many as the limits allow */
    uint64_t http_threads; /* 0: by the number of processors */
    unsigned cpu; /* place among the names that --cpu takes */
    /* answering */
    uint64_t context; /* tokens; 0: each model's own */
    uint64_t max_tokens_default; /* of an answer to a request that names none; 0: as many as fit */
    unsigned kv_type; /* enum option_kv_type */
    uint64_t kv_memory; /* bytes; 0: half of what the models leave */
    uint64_t request_memory; /* bytes; 0: a share of the limit */
    uint64_t store; /* bytes; 0: no responses are kept */
    unsigned prefix_cache;
    double prefix_age;
    uint64_t slots, chunk, queue;
    double queue_timeout, job_timeout; /* seconds; 0: none */
    double ping; /* seconds; 0: never */
    /* the log */
    unsigned log; /* enum option_log */
    unsigned log_level; /* enum log_level */
    /* stopping; seconds */
    double drain_delay, grace;
    /* what a client may take */
    uint64_t max_connections, max_connections_per_address; /* per address: 0 for no limit */
    uint64_t max_body, max_header, max_uri; /* bytes */
    double header_timeout, body_timeout, write_timeout, keep_alive; /* seconds */
};

enum options_result { OPTIONS_READ, OPTIONS_HELP, OPTIONS_BAD };

/* Defaults, then the environment, then argv[0..argc) (without the program's and the command's name).
 * OPTIONS_HELP when one is --help or -h; OPTIONS_BAD with the reason, which names the flag or variable, the
 * value and what is allowed. The strings in `o` are argv's, environ's or constants. */
enum options_result options_read(
    struct options *o, int argc, char *const *argv, char *const *environment, struct error *err);

/* What the shell completions need of an option. */
struct option_name {
    const char *flag, *value, *help;
    const char *const *choices; /* NULL at the end; NULL: not a choice */
};

/* The option at index `i` of the table. False behind the last one. */
bool options_name(size_t i, struct option_name *out);

/* Prints the options as `berth help` shows them. */
void options_print(FILE *out);

/* The value of --cpu, as isa_select wants it. */
const char *options_cpu(const struct options *o);

/* Logs the BERTH_… variables that are ignored: unknown ones, and addresses of Kubernetes Services. */
void options_warn(char *const *environment);

#endif
