/* response_store.h - responses that are kept in memory, so that a later one can go on from them.
 *
 * All that is kept stays below a number of bytes. Where a new response has no room, the oldest are dropped. A response
 * that goes on from an earlier one holds it: what was dropped or deleted is not found any more, but it is freed, and counts
 * no more, only when nothing that is kept goes on from it. Each response belongs to an owner, the number of an API key, and
 * is found for this owner alone. All functions may be called from any thread.
 */
#ifndef BERTH_RESPONSE_STORE_H
#define BERTH_RESPONSE_STORE_H

#include "berth/base/text.h"

struct response_store;

/* Constant while it is held. The texts are JSON. */
struct stored_response {
    struct span id;
    size_t owner;
    struct span body; /* the response */
    struct span output; /* in the body: the list of its output items */
    struct span input; /* the `input` of its request */
    const struct stored_response *previous; /* what it goes on from; NULL: nothing */
};

struct response_store_usage {
    size_t bytes, responses; /* bytes, also of what is only held; responses that can be found */
};

/* `limit` is in bytes. NULL without memory. */
struct response_store *response_store_new(size_t limit);
void response_store_free(struct response_store *s); /* nothing may be held; NULL is fine */

/* Copies a response, whose `output` lies in its `body`; `previous` is held by the caller. False, with nothing dropped,
 * where the response and all that it goes on from are larger than the limit, and without memory. */
bool response_store_add(struct response_store *s, const struct stored_response *response);

/* The response, held until response_store_drop; NULL where the owner has none with this id. */
const struct stored_response *response_store_get(struct response_store *s, size_t owner, struct span id);
void response_store_drop(struct response_store *s, const struct stored_response *held); /* NULL is fine */

/* Nobody finds it any more. False where the owner has none with this id. */
bool response_store_delete(struct response_store *s, size_t owner, struct span id);

struct response_store_usage response_store_usage(struct response_store *s);

#endif
