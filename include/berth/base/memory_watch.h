/* memory_watch.h - whether memory is so short that caches should free theirs.
 *
 * Memory is short when the process's own memory comes near its limit, or when the machine has almost none available. The
 * pages of mapped files do not count: the kernel can drop them and read them again.
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

/* False also where the figures cannot be read. One thread at a time. */
bool memory_watch_is_short(struct memory_watch *w);

#endif
