/* reply.h - the reply that a handler fills in: a status, headers, and a body.
 *
 * A body is bytes, constant or handed over; a writer, which gives it piece by piece; or, from a slow route, a
 * stream of events (stream.h). A constant reply with constant headers costs no allocation.
 */
#ifndef BERTH_REPLY_H
#define BERTH_REPLY_H

#include "berth/base/error.h"
#include "berth/base/strbuf.h"
#include "berth/server/http/request.h"

struct async_reply;

/* Gives a body whose size is not known before it is written. Embedded in the object that has the rest. */
struct reply_writer {
    const struct reply_writer_kind *kind;
};

/* Called on an HTTP thread, one at a time. None may wait, and no call should take more than a millisecond. */
struct reply_writer_kind {
    /* Appends the next piece. False when it was the last. */
    bool (*more)(struct reply_writer *w, struct strbuf *out);
    /* The body was sent, or the client has left. */
    void (*release)(struct reply_writer *w);
};

#define REPLY_HEADERS_MAX 8

struct reply_header {
    const char *name; /* a constant, in lower case */
    const char *value;
    bool owned; /* the reply frees the value; otherwise it is a constant */
};

struct reply {
    unsigned status; /* 0 until something is decided */
    const char *content_type; /* a constant; NULL for none */
    const void *body; /* [size] */
    size_t size;
    bool owned; /* the body is freed when it was sent; otherwise it is a constant */
    struct byte_budget *memory; /* in which the body counts, with `held` bytes, until it was sent; or NULL */
    size_t held;
    struct reply_writer *writer; /* in place of body and size */
    struct reply_header headers[REPLY_HEADERS_MAX]; /* [n_headers] */
    size_t n_headers;
    bool close; /* the connection is closed after this reply */
    struct async_reply *async; /* with status 0, from a slow route: the reply comes later, see stream.h */
    const char *request_id; /* for dialects that tell it; NULL for none */
    bool events; /* the body is a stream of events, which proxies and caches must not hold back */
};

/* ---- errors ---- */

/* How an API words its errors. */
struct dialect {
    /* The paths of the API: "/v1" for /v1 and all below it. Under a prefix several slashes count as one. NULL: the
     * dialect of the paths that no prefix claims. */
    const char *prefix;
    /* Prefixes under which its rows are found, too, in place of that one; /openapi.json leaves them out. NULL at the
     * end; NULL for none. */
    const char *const *more_prefixes;
    const char *error; /* the component of /openapi.json that describes its errors; NULL for none */
    bool needs_key; /* where the server has API keys, requests must show one */
    /* Fills the reply's body. `param` and `code` may be NULL. */
    void (*write)(struct reply *r, unsigned status, const char *message, const char *param, const char *code);
};

/* An error in a dialect. `message` is UTF-8, but may be cut in the middle of a character. `param` names the field at
 * fault, `code` is a machine's word for the error; dialects that do not have them leave them out. */
void reply_error(struct reply *r, const struct dialect *dialect, unsigned status, const char *message,
    const char *param, const char *code);

/* ---- bodies; each replaces what the reply had, headers too ---- */

/* A constant text. */
void reply_constant(struct reply *r, unsigned status, const char *content_type, const char *text);

/* Takes over text[size], from malloc. NULL is answered as 500. */
void reply_owned(struct reply *r, unsigned status, const char *content_type, char *text, size_t size);

/* Takes over the buffer, which has not failed, and what it holds of its budget. */
void reply_buffer(struct reply *r, unsigned status, const char *content_type, struct strbuf *text);

/* Takes over a writer. NULL is answered as 500. */
void reply_written(struct reply *r, unsigned status, const char *content_type, struct reply_writer *writer);

/* ---- headers; add them after the body ---- */

/* A constant value. More than REPLY_HEADERS_MAX headers are a mistake of the program: the last are left out. */
void reply_header(struct reply *r, const char *name, const char *value);

/* Takes over a value from malloc. NULL is left out. It must have no line break in it. */
void reply_header_owned(struct reply *r, const char *name, char *value);

/* retry-after; 0 seconds add nothing. */
void reply_retry_after(struct reply *r, unsigned seconds);

/* Frees what the reply owns, and leaves it without body and headers. */
void reply_release(struct reply *r);

#endif
