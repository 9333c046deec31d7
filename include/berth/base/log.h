/* log.h - one line for each thing that happened, on standard output.
 *
 * A line is a message and named fields, as text for a person or as JSON for a machine. Each line is written by a single
 * write, so that lines of several threads never mix. Values are escaped here, so names from files are passed as they
 * are. Bodies of requests and API keys are never logged.
 */
#ifndef BERTH_LOG_H
#define BERTH_LOG_H

#include "berth/base/text.h"

enum log_level { LOG_DEBUG, LOG_INFO, LOG_WARN, LOG_ERROR };
enum log_format { LOG_FORMAT_TEXT, LOG_FORMAT_JSON };

struct log_field {
    const char *key; /* NULL ends a list */
    enum { LOG_KIND_TEXT, LOG_KIND_COUNT, LOG_KIND_SECONDS } kind;
    union {
        struct span text;
        uint64_t count;
        double seconds;
    } value;
};

/* Lines below `level` are dropped. Call once, before threads; until then text from LOG_INFO up. */
void log_setup(enum log_level level, enum log_format format);
bool log_enabled(enum log_level level);

/* A list of fields for log_line: LOG_FIELDS(log_text("file", name), log_count("bytes", n)). */
#define LOG_FIELDS(...) ((const struct log_field[]){__VA_ARGS__, {.key = NULL}})
struct log_field log_text(const char *key, const char *text); /* NULL is written as an empty string */
struct log_field log_span(const char *key, struct span text);
struct log_field log_count(const char *key, uint64_t count);
struct log_field log_seconds(const char *key, double seconds);

/* Writes one line. `fields` may be NULL. */
void log_line(enum log_level level, const char *message, const struct log_field *fields);

#endif
