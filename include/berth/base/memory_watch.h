/* memory_watch.h - whether memory is so short that caches should give theirs back.
 *
 * Memory is short when the process's own memory (what is no file's page) comes near its limit, or when the machine has
 * next to nothing left for anybody. Mapped models do not count: their pages can be dropped and read again.
 */
#ifndef BERTH_MEMORY_WATCH_H
#define BERTH_MEMORY_WATCH_H

#include <stdbool.h>
#include <stdint.h>

struct memory_watch;

/* Opens what it reads later under `root` ("" for the system's own), so that a sandbox may forbid opening files after this.
 * `limit` is what the process may use, in bytes; 0 for no limit. NULL without memory. */
struct memory_watch *memory_watch_new(const char *root, uint64_t limit);
void memory_watch_free(struct memory_watch *w); /* NULL is fine */

/* False also where the system does not tell. One thread at a time. */
bool memory_watch_is_short(struct memory_watch *w);

#endif
