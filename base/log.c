/* log.c - builds a line in a buffer and writes it with one call.
 *
 * The settings are global, because any code may log. Writing never blocks. A line is at most PIPE_BUF bytes long, so a
 * pipe takes it whole or not at all. When the reader is too slow, the line is dropped and counted, and the number is
 * logged before the next line that can be written.
 */
#include "berth/base/log.h"

#include "berth/base/strbuf.h"

#include <inttypes.h>
#include <poll.h>
#include <pthread.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#define LINE_BYTES 4096 /* PIPE_BUF on Linux */
#define MESSAGE_BYTES 1536
#define VALUE_BYTES 1024

static enum log_level log_least = LOG_INFO;
static enum log_format log_form = LOG_FORMAT_TEXT;
static pthread_mutex_t log_writing = PTHREAD_MUTEX_INITIALIZER;
static uint64_t log_dropped; /* guarded by log_writing */
static const char *const level_names[] = {"debug", "info", "warn", "error"};

void log_setup(enum log_level level, enum log_format format)
{
    log_least = level;
    log_form = format;
}

bool log_enabled(enum log_level level)
{
    return level >= log_least;
}

struct log_field log_text(const char *key, const char *text)
{
    return log_span(key, span_of(text ? text : ""));
}

struct log_field log_span(const char *key, struct span text)
{
    return (struct log_field){.key = key, .kind = LOG_KIND_TEXT, .value.text = text};
}

struct log_field log_count(const char *key, uint64_t count)
{
    return (struct log_field){.key = key, .kind = LOG_KIND_COUNT, .value.count = count};
}

struct log_field log_seconds(const char *key, double seconds)
{
    return (struct log_field){.key = key, .kind = LOG_KIND_SECONDS, .value.seconds = seconds};
}

/* True when a text value needs no quotes. */
static bool is_bare_word(struct span text)
{
    bool bare = text.size > 0;
    for (size_t i = 0; i < text.size; i++)
        bare = bare && text.at[i] > ' ' && text.at[i] < 0x7f && !strchr("\"\\=", text.at[i]);
    return bare;
}

static void add_value(struct strbuf *b, const struct log_field *f)
{
    if (f->kind == LOG_KIND_COUNT) {
        strbuf_format(b, "%" PRIu64, f->value.count);
        return;
    }
    if (f->kind == LOG_KIND_SECONDS) {
        strbuf_format(b, "%.6f", f->value.seconds);
        return;
    }
    struct span text = f->value.text;
    char cut[VALUE_BYTES];
    if (text.size >= sizeof(cut))
        text = (struct span){(const uint8_t *)cut, text_escape(cut, sizeof(cut), text)};
    if (log_form == LOG_FORMAT_TEXT && is_bare_word(text))
        strbuf_add(b, text);
    else
        strbuf_json(b, text);
}

static void add_json(struct strbuf *b, enum log_level level, const struct timespec *now, const char *message,
    const struct log_field *fields)
{
    struct tm t;
    char stamp[32];
    gmtime_r(&now->tv_sec, &t);
    strftime(stamp, sizeof(stamp), "%Y-%m-%dT%H:%M:%S", &t);
    strbuf_format(b, "{\"time\":\"%s.%03dZ\"", stamp, (int)(now->tv_nsec / 1000000));
    strbuf_format(b, ",\"level\":\"%s\",\"message\":", level_names[level]);
    strbuf_json(b, span_of(message));
    for (; fields && fields->key; fields++) {
        strbuf_format(b, ",\"%s\":", fields->key);
        add_value(b, fields);
    }
    strbuf_text(b, "}\n");
}

static void add_plain(struct strbuf *b, enum log_level level, const struct timespec *now, const char *message,
    const struct log_field *fields)
{
    struct tm t;
    char stamp[32];
    localtime_r(&now->tv_sec, &t);
    strftime(stamp, sizeof(stamp), "%H:%M:%S", &t);
    strbuf_format(b, "%s.%03d %-5s %s", stamp, (int)(now->tv_nsec / 1000000), level_names[level], message);
    for (; fields && fields->key; fields++) {
        strbuf_format(b, " %s=", fields->key);
        add_value(b, fields);
    }
    strbuf_text(b, "\n");
}

/* False when the line with these fields is longer than a line may be. */
static bool build(struct strbuf *b, enum log_level level, const char *message, const struct log_field *fields)
{
    char text[MESSAGE_BYTES];
    struct timespec now;
    text_escape(text, sizeof(text), span_of(message));
    clock_gettime(CLOCK_REALTIME, &now);
    strbuf_init(b, LINE_BYTES);
    if (log_form == LOG_FORMAT_JSON)
        add_json(b, level, &now, text, fields);
    else
        add_plain(b, level, &now, text, fields);
    return !b->failed;
}

/* Caller holds log_writing. */
static bool write_now(const char *line, size_t size)
{
    struct pollfd out = {.fd = STDOUT_FILENO, .events = POLLOUT};
    return poll(&out, 1, 0) == 1 && (out.revents & POLLOUT) &&
           write(STDOUT_FILENO, line, size) == (ssize_t)size;
}

static void write_dropped(void)
{
    struct strbuf b;
    uint64_t dropped = log_dropped;
    if (build(&b, LOG_WARN, "log lines were dropped: the reader is too slow",
            LOG_FIELDS(log_count("lines", dropped))) &&
        write_now(b.text, b.size))
        log_dropped = 0;
    strbuf_release(&b);
}

void log_line(enum log_level level, const char *message, const struct log_field *fields)
{
    if (!log_enabled(level))
        return;
    struct strbuf b;
    if (!build(&b, level, message, fields)) {
        strbuf_release(&b);
        build(&b, level, message, LOG_FIELDS(log_text("fields", "left out, too long")));
    }
    pthread_mutex_lock(&log_writing);
    if (log_dropped > 0)
        write_dropped();
    if (b.failed || !write_now(b.text, b.size))
        log_dropped++;
    pthread_mutex_unlock(&log_writing);
    strbuf_release(&b);
}
