/* route.h - the routes: one row each, in the table of their API. The router joins the tables and finds rows.
 *
 * To add a route, add a row to the table of its API and write the function that answers. To add an API, write a
 * table and name it where the server joins them.
 *
 * A pattern is a path in which "{name}" stands for text. At the end of a pattern a name takes all that is left of
 * the path, with slashes; elsewhere it takes one segment or part of one, in which an encoded slash (%2F) does not
 * end the segment. A name never stands for an empty text. When several patterns match, the one with the most literal
 * characters wins, then the one that comes first.
 */
#ifndef BERTH_ROUTE_H
#define BERTH_ROUTE_H

#include "berth/base/text.h"

struct server; /* the handlers' context: HTTP passes it on and knows nothing about it */
struct http_request;
struct reply;
struct body_sink;
struct dialect;

/* One answer that a route documents. */
struct route_answer {
    unsigned status;
    const char *what;
    const char *media; /* content type */
    const char *schema; /* name of a component in /openapi.json, NULL for none */
};

enum route_field_use {
    ROUTE_FIELD_TAKEN,
    ROUTE_FIELD_IGNORED, /* any value; it changes nothing */
    ROUTE_FIELD_REFUSED, /* values that change nothing pass, null always */
};

#define ROUTE_SCHEMA_MAX 2048

/* A member of the JSON object that a route takes. */
struct route_field {
    const char *name;
    enum route_field_use use;
    /* Taken: JSON Schema of its value. Refused: what of it passes and what there is instead; may be empty. */
    char schema[ROUTE_SCHEMA_MAX];
    bool required;
    bool one_of; /* one of the fields that are so is required */
};

#define ROUTE_ANSWERS_MAX 3
#define ROUTE_PARAMS_MAX 4 /* names in a pattern */

/* A GET route answers HEAD, too. */
struct route {
    const char *method;
    const char *path; /* the pattern */
    const char *also; /* a second pattern, which /openapi.json leaves out; NULL for none */

    /* Checks the whole request and fills the reply. Runs on an HTTP thread and must not wait; on a slow route it
     * runs on a request worker and may leave a reply that comes later (stream.h). */
    void (*run)(struct server *s, const struct http_request *q, struct reply *r);

    /* For a body that is not kept in memory: called when the headers are there. Returns the sink for the body, which
     * `run` finds in the request, or NULL after filling the reply with a refusal. NULL: the body comes in memory. */
    struct body_sink *(*receive)(struct server *s, const struct http_request *q, struct reply *r);

    /* Describes member number i of the object that the body is; false when there are not so many. A name that comes again
     * is described by its first. NULL: the body is not looked at. */
    bool (*field)(size_t i, struct route_field *out);

    size_t body_max; /* bytes; 0: the route takes no body, and a small one is read and dropped */
    bool slow; /* run takes noticeable time, or the answer comes later */
    bool probe; /* asked by machines all the time: answered at any load, logged at debug level only */
    bool any_host; /* answered whatever the Host header says; a probe is, too */
    const char *stream; /* content type of its answer as a stream; NULL for none */
    bool no_head; /* HEAD is answered 405 */
    const char *tag, *summary, *description;
    struct route_answer answers[ROUTE_ANSWERS_MAX]; /* those with a status */
};

/* The routes of one API. */
struct route_table {
    const struct dialect *dialect; /* of their errors */
    const struct route *rows; /* [n] */
    size_t n;
};

struct router;

/* Joins tables, which must live as long. The errors of a path that no row matches are in the dialect whose prefix
 * the path has, else in that of the first table. NULL without memory. */
struct router *router_new(const struct route_table *const *tables, size_t n);
void router_free(struct router *r); /* NULL is fine */

/* All rows, by number, table after table. */
size_t router_size(const struct router *r);
const struct route *router_row(const struct router *r, size_t number);
const struct dialect *router_dialect(const struct router *r, size_t number); /* of the row's errors */

#define ROUTE_ALLOW_MAX 64

/* What a request's path leads to. */
struct route_match {
    const struct route *route; /* NULL when no row has this method and path */
    size_t number; /* of the row; router_size() without a row */
    const struct dialect *dialect; /* never NULL */
    struct span params[ROUTE_PARAMS_MAX]; /* what the names stand for, in their order, still encoded */
    char allow
        [ROUTE_ALLOW_MAX]; /* without a row: the path's methods, "GET, HEAD"; empty for an unknown path */
};

/* Finds the row for a path as it came, percent-encoded, NUL-terminated and without query. */
struct route_match router_find(const struct router *r, const char *method, const char *path);

/* Decodes percent escapes; an escape that is none stays as it is. `out` has room for text.size bytes. Returns the
 * number of bytes written; no NUL is added. */
size_t route_decode(struct span text, char *out);

/* Whether HTTP has the method. Others are answered 501. */
bool route_knows_method(const char *method);

#endif
