/* api_keys.h - the API keys, one of which clients must send where the operator sets any.
 *
 * A file has one key a line; empty lines and lines that begin with # are no keys. Keys appear in no log line and in no
 * message. A comparison takes the same time wherever the two texts differ.
 */
#ifndef BERTH_API_KEYS_H
#define BERTH_API_KEYS_H

#include "berth/base/error.h"

#include <stddef.h>

struct api_keys;

/* Reads a file. NULL with the reason, which names the file and the line: it cannot be read, it has no key, or a key
 * that a header cannot hold. */
struct api_keys *api_keys_read(const char *path, struct error *err);
void api_keys_free(struct api_keys *k); /* NULL is fine */

/* The number of the key, from 1, that an Authorization header has ("Bearer KEY"; NULL: there is none). 0: none of them. */
size_t api_keys_of_header(const struct api_keys *k, const char *authorization);
/* The number of the key that the text is. `given` may be NULL, which is none. */
size_t api_keys_find(const struct api_keys *k, const char *given);

#endif
