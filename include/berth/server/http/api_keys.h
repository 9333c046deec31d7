/* api_keys.h - the API keys that clients must show, where the operator wants any.
 *
 * A file has one key a line; empty lines and those that begin with # are none. Keys are not logged and not
 * told, and comparing takes the same time wherever two differ.
 */
#ifndef BERTH_KEYS_H
#define BERTH_KEYS_H

#include "berth/base/error.h"

struct api_keys;

/* NULL with the reason, which names the file and the line: it cannot be read, has no key, or one that no header
 * can carry. */
struct api_keys *api_keys_read(const char *path, struct error *err);
void api_keys_free(struct api_keys *k); /* NULL is fine */

/* Whether a header Authorization ("Bearer KEY"; NULL where there is none) shows one of them. Without keys (NULL)
 * everybody may. */
bool api_keys_allow(const struct api_keys *k, const char *authorization);

#endif
