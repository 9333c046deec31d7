/* events.h - requests with a body, and answers that come as a stream of events.
 *
 * The form of a stream is checked while it is read: in HTTP/1.1 chunks with their sizes, up to the last chunk; events that
 * are a line which begins with "data: " or ":", and an empty line. A line "event: NAME" may come before the data.
 */
#ifndef BERTH_TESTS_EVENTS_H
#define BERTH_TESTS_EVENTS_H

#include "harness.h"

/* POSTs JSON on a connection of its own and returns the whole answer. `headers` are whole lines, or NULL. */
struct answer server_post(const struct server *s, const char *target, const char *headers, const char *body);

/* The same as JSON; fails the test when the status is not `status`. The caller drops it. */
json_t *server_post_json(const struct server *s, const char *target, int status, const char *body);

/* A stream that is being read. */
struct events {
    struct wire wire;
    struct answer head; /* without a body */
    bool chunked;
    char *text; /* taken out of the chunks and not yet taken as an event */
    size_t size;
    bool ended; /* the last chunk, or without chunks the connection's end */
    bool broken; /* the connection ended within */
};

/* Sends the request, and waits for the head of the answer. */
void events_open(struct events *e, const struct server *s, const char *target, const char *body);

/* Only sends the request. */
void events_ask(struct events *e, const struct server *s, const char *target, const char *body);

/* The next event without its empty line ("data: {…}", ": ping"), or NULL at the end. The caller frees it. */
char *events_next(struct events *e);

/* The JSON of the next event that is no comment; NULL after "data: [DONE]", which must be the last one. The caller
 * drops it. */
json_t *events_json(struct events *e);

/* The JSON of the next event of a stream whose events have names; the name is that of its member "type". NULL at the end
 * of the stream, which has no [DONE]. The caller drops it. */
json_t *events_named(struct events *e);

void events_close(struct events *e);

/* A member by its path, "choices.0.delta.content"; fails the test when there is none. */
const json_t *json_at(const json_t *value, const char *path);
const char *text_at(const json_t *value, const char *path);
long long number_at(const json_t *value, const char *path);

/* The value of a sample of /metrics, by the text before it; -1 when there is no such sample. */
double metric(const struct server *s, const char *sample);

/* Waits until the sample has this value. */
void metric_wait(const struct server *s, const char *sample, double value);

#endif
