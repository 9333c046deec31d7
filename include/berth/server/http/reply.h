/* reply.h - a request as a handler sees it, and the answer it fills in.
 *
 * A handler never sees a socket: http.c reads the request and sends the reply. Errors are built here, in the
 * dialect of the path, so that no handler spells one out.
 */
#ifndef BERTH_REPLY_H
#define BERTH_REPLY_H

#include "berth/base/error.h"
#include "berth/server/http/route.h"

#include <jansson.h>

#define REQUEST_ID_MAX 128

struct async_reply;
struct suspended;

struct http_request {
    const char *method;
    const char *path; /* decoded, without query; NUL-terminated */
    const char *target; /* as it came, with query */
    const char *host; /* the Host header, or NULL */
    struct span rest; /* the path's last part, where the route's path ends in {name} */
    struct span body;
    const char *id;
    double arrived; /* when the last of it came: seconds of CLOCK_MONOTONIC */
    struct suspended *suspended; /* on routes that are slow: wakes the connection; see stream.h */
};

struct reply {
    unsigned status;
    const char *content_type; /* a constant; NULL for none */
    const void *body;
    size_t size;
    bool owned; /* free() the body when it is sent; otherwise it is constant */
    const char *allow; /* headers that few replies have; NULL or 0 for none */
    char *location; /* malloc'ed */
    unsigned retry_after; /* seconds */
    bool close; /* the connection, after this reply */
    bool authenticate; /* says which way a key is to be sent */
    struct async_reply
        *async; /* with status 0, from a handler of a slow route: the answer is to come; see stream.h */
    bool events; /* a stream of events, not to be kept back on its way by caches and proxies */
};

/* A constant text as the body. */
void reply_constant(struct reply *r, unsigned status, const char *content_type, const char *text);

/* Takes a malloc'ed body over; NULL is answered as 500. */
void reply_owned(struct reply *r, unsigned status, const char *content_type, char *text, size_t size);

/* Compact JSON; takes the reference over. NULL is answered as 500. */
void reply_json(struct reply *r, unsigned status, json_t *body);

/* An error in the path's dialect. `param` and `code` are OpenAI's, may be NULL and are left out elsewhere. */
void reply_error(struct reply *r, enum dialect dialect, unsigned status, const char *message,
    const char *param, const char *code);

void reply_release(struct reply *r);

#define HTTP_JSON_MAX ((size_t)96 << 20) /* bytes that a JSON text may become */

/* The bytes that a JSON text takes as a tree of jansson, or somewhat more: malloc's share of each string, list, object
 * and other value. Four megabytes of "{}," become four hundred. */
size_t http_json_bytes(struct span body);

/* The body as JSON: an object or array at most 64 deep, without duplicate keys, of at most HTTP_JSON_MAX bytes. Strings
 * may hold U+0000, keys may not. NULL with the reason. */
json_t *http_request_json(const struct http_request *q, struct error *err);

#endif
