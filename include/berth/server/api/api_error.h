/* api_error.h - refusals of requests, which name the field that is at fault, and the frame in which a handler runs.
 */
#ifndef BERTH_API_ERROR_H
#define BERTH_API_ERROR_H

#include "berth/server/http/reply.h"
#include "berth/server/json/body.h"
#include "berth/server/server.h"

/* An error of a request. The dialect of the request's route writes it. */
struct api_error {
    unsigned status;
    const char *code; /* a constant, or NULL */
    char param[96]; /* the field, "messages[2].content[0].type"; empty for none */
    struct error message;
    unsigned retry_after; /* seconds; 0 for none */
};

/* Fills in status 400 and the message, and returns false. `param` may be NULL. */
bool api_error_bad(struct api_error *c, const char *param, const char *format, ...)
    __attribute__((format(printf, 3, 4)));
/* The same with another status and a code; `code` may be NULL. */
bool api_error_status(struct api_error *c, unsigned status, const char *code, const char *param,
    const char *format, ...) __attribute__((format(printf, 5, 6)));
void api_error_reply(const struct api_error *c, const struct http_request *q, struct reply *r);

/* Runs a handler with what its body needs of the server's request_memory, which is given back then. Answers 503 when
 * requests under way leave too little. */
void api_run(struct server *s, const struct http_request *q, struct reply *r,
    void (*run)(struct server *s, const struct http_request *q, struct reply *r));
/* Fills in the error of a request for which too little memory is left, and returns false. */
bool api_error_no_memory(struct api_error *c); /* 503 */

/* An error of a request: 400 and the field `param`, or 503 where memory is short. */
bool api_error_of(struct api_error *c, const char *param, const struct error *err);

bool request_memory_refuse(struct api_error *c);

/* The body as an object, or NULL with the error. */
json_t *api_request(const struct http_request *q, struct api_error *c);

#endif
