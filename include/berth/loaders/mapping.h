/* mapping.h - a model file in memory, where it lies, and what happens when it changes there.
 *
 * A mapping is the file's pages themselves, read-only: nothing is copied, a second process that maps the
 * same file shares them, and the kernel may take pages back when memory is short. The price is that the file
 * can change under the map:
 *
 *  - It is cut short (or its disk fails): touching a lost page raises SIGBUS. The handler puts zero pages
 *    over the whole mapping with one system call, marks it lost and lets the thread go on; whoever computed
 *    with it asks mapping_intact before an answer leaves. A SIGBUS anywhere else is a bug and kills.
 *  - It is rewritten in place, or cut inside its last page: no signal at all. mapping_intact compares device,
 *    inode, size and modification time with those at opening; a changed file is lost too. The change time
 *    (ctime) is not compared: it moves when a file is replaced by rename or linked, which harms no map. What
 *    is rewritten within the very tick of the file system's clock in which it was opened cannot be told.
 *  - It is replaced by rename, or deleted: the map keeps the old file until it is closed. This is the way to
 *    replace a model.
 *
 * Pages are mapped at a 2 MiB boundary with huge pages advised, and left out of core dumps.
 */
#ifndef BERTH_MAPPING_H
#define BERTH_MAPPING_H

#include "berth/base/error.h"
#include "berth/base/text.h"

#include <stdatomic.h>

#define MAPPING_MAX 8192 /* mappings alive at one time, at most; one more is refused */

struct mapping;

/* Installs the SIGBUS handler. Call once from main, before threads; SIGBUS must stay unblocked in all of
 * them. */
bool mapping_guard(struct error *err);

/* Allows fewer mappings at one time than MAPPING_MAX. `why` is copied: the reason that one more is refused with. Call
 * it before threads map files. */
void mapping_limit(size_t most, const char *why);

/* Maps the regular file behind `fd` and takes the descriptor over: it stays open as long as the mapping, and
 * is closed on failure. `name` is copied, and escaped where it is told.
 * NULL with the reason: empty file, too many mappings, no address space, a file system that cannot map. */
struct mapping *mapping_open(int fd, const char *name, struct error *err);

/* Unmaps and closes. Nobody may hold its bytes any more. NULL is fine. */
void mapping_close(struct mapping *m);

struct span mapping_bytes(const struct mapping *m);
const char *mapping_name(const struct mapping *m);

/* True while the file is the one that was opened. False, from then on for ever, with the reason, once it was
 * cut, rewritten or unreadable. About 0.2 µs; any thread. */
bool mapping_intact(struct mapping *m, struct error *err);

/* True for file systems where faulting pages one by one is slow: NFS, SMB, 9p, FUSE, Ceph, Lustre. */
bool mapping_is_remote(const struct mapping *m);

/* Called now and then while reading; `done` of `total` bytes. Return false to stop. */
typedef bool (*mapping_progress)(void *context, uint64_t done, uint64_t total);

/* Reads the file front to back into the page cache, so that later faults find it there.
 * False when stopped (err stays empty) or when the file cannot be read. */
bool mapping_read_ahead(struct mapping *m, mapping_progress progress, void *context, struct error *err);

/* Maps all pages now, slice by slice. False as above. Kernels before 5.14 cannot: read_ahead does instead. */
bool mapping_prefault(struct mapping *m, mapping_progress progress, void *context, struct error *err);

/* Measures the resident bytes of all live mappings, from /proc/self/smaps: call it in the background, not
 * from a request. mapping_resident returns what was last measured. */
void mapping_measure(void);
uint64_t mapping_resident(const struct mapping *m);

#endif
