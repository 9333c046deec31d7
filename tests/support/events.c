/* events.c - reads streams of events; see events.h. */
#include "events.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

static const char *request_of(const char *target, const char *headers, const char *body)
{
    return text_of("POST %s HTTP/1.1\r\nHost: berth\r\nContent-Type: application/json\r\n"
                   "Content-Length: %zu\r\n%s\r\n%s",
        target, strlen(body), headers ? headers : "", body);
}

struct answer server_post(const struct server *s, const char *target, const char *headers, const char *body)
{
    struct wire w;
    struct answer a = {0};
    wire_open(&w, s);
    if (!wire_say(&w, request_of(target, headers, body)) || !wire_answer(&w, &a, false, 4 * WAIT_MS))
        fail_msg("no answer to POST %s %.300s", target, body);
    wire_close(&w);
    return a;
}

json_t *server_post_json(const struct server *s, const char *target, int status, const char *body)
{
    struct answer a = server_post(s, target, NULL, body);
    if (a.status != status)
        fail_msg("POST %s %.300s: %d, not %d: %.600s", target, body, a.status, status, a.body);
    json_t *value = answer_json(&a);
    answer_release(&a);
    return value;
}

void events_ask(struct events *e, const struct server *s, const char *target, const char *body)
{
    *e = (struct events){0};
    wire_open(&e->wire, s);
    if (!wire_say(&e->wire, request_of(target, NULL, body)))
        fail_msg("cannot ask POST %s", target);
}

void events_open(struct events *e, const struct server *s, const char *target, const char *body)
{
    events_ask(e, s, target, body);
    if (!wire_head(&e->wire, &e->head, WAIT_MS))
        fail_msg("no answer to POST %s %.300s", target, body);
    const char *coding = answer_header(&e->head, "transfer-encoding");
    e->chunked = coding && strcasecmp(coding, "chunked") == 0;
    if (e->head.status != 200)
        fail_msg("POST %s %.300s: %d", target, body, e->head.status);
    assert_string_equal(answer_header(&e->head, "content-type"), "text/event-stream; charset=utf-8");
}

static void keep(struct events *e, const char *bytes, size_t size)
{
    e->text = realloc(e->text, e->size + size + 1);
    assert_non_null(e->text);
    memcpy(e->text + e->size, bytes, size);
    e->size += size;
    e->text[e->size] = '\0';
}

/* Receives until `size` bytes are there. */
static bool have(struct events *e, size_t size)
{
    int64_t deadline = now_ms() + WAIT_MS;
    while (e->wire.size < size)
        if (!wire_more(&e->wire, deadline)) {
            if (!e->wire.ended)
                fail_msg("a stream goes silent after: %.300s", e->text ? e->text : "");
            return false;
        }
    return true;
}

static void drop(struct wire *w, size_t size)
{
    memmove(w->data, w->data + size, w->size - size + 1);
    w->size -= size;
}

/* Takes one chunk, or without chunks what there is. False at the end. */
static bool take_more(struct events *e)
{
    if (e->ended)
        return false;
    if (!e->chunked) {
        e->ended = !have(e, 1);
        if (!e->ended) {
            keep(e, e->wire.data, e->wire.size);
            drop(&e->wire, e->wire.size);
        }
        return !e->ended;
    }
    char *line = NULL;
    for (size_t size = 3; !line; size = e->wire.size + 1) {
        if (!have(e, size)) {
            e->broken = e->ended = true;
            return false;
        }
        line = memmem(e->wire.data, e->wire.size, "\r\n", 2);
    }
    size_t head = (size_t)(line - e->wire.data) + 2, size = strtoul(e->wire.data, NULL, 16);
    if (!have(e, head + size + 2)) {
        e->broken = e->ended = true;
        return false;
    }
    if (memcmp(e->wire.data + head + size, "\r\n", 2) != 0)
        fail_msg("a chunk does not end where it should");
    keep(e, e->wire.data + head, size);
    drop(&e->wire, head + size + 2);
    e->ended = size == 0;
    return !e->ended;
}

char *events_next(struct events *e)
{
    char *end = NULL;
    while (!(end = e->text ? strstr(e->text, "\n\n") : NULL))
        if (!take_more(e)) {
            if (e->size > 0 && !e->broken)
                fail_msg("a stream ends within an event: %s", e->text);
            return NULL;
        }
    size_t size = (size_t)(end - e->text);
    char *event = strndup(e->text, size);
    memmove(e->text, e->text + size + 2, e->size - size - 1);
    e->size -= size + 2;
    if (strncmp(event, "data: ", 6) != 0 && strncmp(event, "event: ", 7) != 0 && event[0] != ':')
        fail_msg("no event: %s", event);
    return event;
}

json_t *events_json(struct events *e)
{
    json_error_t err;
    char *event = events_next(e);
    while (event && event[0] == ':') {
        free(event);
        event = events_next(e);
    }
    if (!event)
        fail_msg("a stream ends without [DONE]");
    if (strcmp(event, "data: [DONE]") == 0) {
        free(event);
        event = events_next(e);
        if (event || e->broken)
            fail_msg("a stream goes on after [DONE], or breaks: %s", event ? event : "");
        return NULL;
    }
    json_t *value = json_loads(event + 6, JSON_REJECT_DUPLICATES, &err);
    if (!value)
        fail_msg("no JSON (%s): %s", err.text, event);
    free(event);
    return value;
}

json_t *events_named(struct events *e)
{
    json_error_t err;
    char *event = events_next(e);
    while (event && event[0] == ':') {
        free(event);
        event = events_next(e);
    }
    if (!event) {
        assert_false(e->broken);
        return NULL;
    }
    char *data = strstr(event, "\ndata: ");
    if (strncmp(event, "event: ", 7) != 0 || !data || strchr(data + 7, '\n'))
        fail_msg("no event with a name: %s", event);
    json_t *value = json_loads(data + 7, JSON_REJECT_DUPLICATES, &err);
    if (!value)
        fail_msg("no JSON (%s): %s", err.text, event);
    *data = '\0';
    assert_string_equal(event + 7, text_at(value, "type"));
    free(event);
    return value;
}

void events_close(struct events *e)
{
    wire_close(&e->wire);
    answer_release(&e->head);
    free(e->text);
    *e = (struct events){.wire.fd = -1};
}

/* ---- looking at JSON ---- */

const json_t *json_at(const json_t *value, const char *path)
{
    const json_t *at = value;
    for (const char *part = path; at && *part;) {
        char name[64];
        size_t size = strcspn(part, ".");
        snprintf(name, sizeof(name), "%.*s", (int)size, part);
        at = json_is_array(at) ? json_array_get(at, strtoul(name, NULL, 10)) : json_object_get(at, name);
        part += size + (part[size] == '.');
    }
    if (!at)
        fail_msg("there is no %s in %.900s", path, json_dumps(value, 0));
    return at;
}

const char *text_at(const json_t *value, const char *path)
{
    const json_t *at = json_at(value, path);
    if (!json_is_string(at))
        fail_msg("%s is no string in %.900s", path, json_dumps(value, 0));
    return json_string_value(at);
}

long long number_at(const json_t *value, const char *path)
{
    const json_t *at = json_at(value, path);
    if (!json_is_integer(at))
        fail_msg("%s is no integer in %.900s", path, json_dumps(value, 0));
    return json_integer_value(at);
}

/* ---- metrics ---- */

double metric(const struct server *s, const char *sample)
{
    struct answer a = server_get(s, "/metrics");
    const char *line = text_of("\n%s ", sample), *at = strstr(a.body, line);
    double value = at ? strtod(at + strlen(line), NULL) : -1;
    answer_release(&a);
    return value;
}

void metric_wait(const struct server *s, const char *sample, double value)
{
    int64_t deadline = now_ms() + WAIT_MS;
    double now;
    while ((now = metric(s, sample)) < value || now > value) {
        if (now_ms() > deadline)
            fail_msg("%s is %g, not %g", sample, now, value);
        pause_ms(5);
    }
}
