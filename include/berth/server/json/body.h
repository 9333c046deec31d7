/* body.h - JSON bodies of requests and replies, by jansson, for the APIs. */
#ifndef BERTH_JSON_BODY_H
#define BERTH_JSON_BODY_H

#include "berth/server/http/reply.h"

#include <jansson.h>

#define HTTP_JSON_MAX ((size_t)96 << 20) /* bytes that a JSON text may take as a tree */

/* The bytes that a JSON text takes as a tree of jansson, or somewhat more: malloc's share of each string, list, object
 * and other value. Four megabytes of "{}," take four hundred. */
size_t http_json_bytes(struct span body);

/* Gives jansson its memory: `reallocate` and `release` work as realloc and free do. Once, before the first parse.
 * jansson goes on after some allocations that failed, with text missing; so json_parse looks for itself. */
void json_setup(void *(*reallocate)(void *at, size_t size), void (*release)(void *at));

/* As json_loadb; NULL, too, when an allocation failed on the way. *no_memory tells that one did. */
json_t *json_parse(struct span text, size_t flags, json_error_t *why, bool *no_memory);

/* The request's body: an object or array at most 64 deep, without duplicate keys, of at most HTTP_JSON_MAX bytes.
 * Strings may hold U+0000, keys may not. NULL with the reason. The caller drops it. */
json_t *http_request_json(const struct http_request *q, struct error *err);

/* Replies with compact JSON; takes the reference over. NULL is answered as 500. */
void reply_json(struct reply *r, unsigned status, json_t *body);

/* A string for json_pack: `message` itself, or, where it is no UTF-8, an escaped copy in room[size]. A sentence that
 * was cut in the middle of a character is no JSON string. */
const char *json_message(const char *message, char *room, size_t size);

#endif
