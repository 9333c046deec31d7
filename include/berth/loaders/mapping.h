/* mapping.h - a model file mapped into memory, and what happens when the file changes.
 *
 * A mapping is the file's pages in the page cache, read-only. Nothing is copied, other processes that map the same file
 * share the pages, and the kernel may drop them when memory is short. In return, the file can change while it is mapped:
 *
 *  - It is cut short, or its disk fails: reading a lost page raises SIGBUS. The handler maps zero pages over the whole
 *    mapping with one system call, marks it lost, and the thread goes on. Whoever computed with the mapping calls
 *    mapping_intact before an answer is sent. A SIGBUS at any other address is a bug and ends the process.
 *  - It is rewritten in place, or cut inside its last page: there is no signal. mapping_intact compares device, inode,
 *    size and modification time with those at opening; a file that differs is lost, too. The change time (ctime) is not
 *    compared: it also changes when the file is linked, or replaced by rename, which does not change the mapped bytes.
 *    A file that is rewritten within the same tick of the file system's clock in which it was opened looks unchanged.
 *  - It is replaced by rename, or deleted: the mapping keeps the old file until it is closed. This is the way to
 *    replace a model.
 *
 * Files are mapped at a 2 MiB boundary with huge pages advised, and left out of core dumps.
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

/* Allows fewer mappings at one time than MAPPING_MAX. `why` is copied; it is the reason with which further ones are
 * refused. Call it before threads map files. */
void mapping_limit(size_t most, const char *why);

/* Maps the regular file behind `fd` and takes the descriptor over: it stays open as long as the mapping, and
 * is closed on failure. `name` is copied, and escaped in messages.
 * NULL with the reason: empty file, too many mappings, no address space, a file system that cannot map. */
struct mapping *mapping_open(int fd, const char *name, struct error *err);

/* Unmaps and closes. Pointers into its bytes become invalid. NULL is fine. */
void mapping_close(struct mapping *m);

struct span mapping_bytes(const struct mapping *m);
const char *mapping_name(const struct mapping *m);
int64_t mapping_modified(const struct mapping *m); /* modification time of the file when it was opened: Unix seconds */

/* True while the file is the one that was opened. Once it was cut, rewritten or unreadable, every call returns false
 * with the reason. Takes about 0.2 µs; any thread. */
bool mapping_intact(struct mapping *m, struct error *err);

/* True for file systems where faulting pages one by one is slow: NFS, SMB, 9p, FUSE, Ceph, Lustre. */
bool mapping_is_remote(const struct mapping *m);

/* Called from time to time while a file is read; `done` of `total` bytes. Return false to stop. */
typedef bool (*mapping_progress)(void *context, uint64_t done, uint64_t total);

/* Reads the file front to back into the page cache, so that later faults find it there.
 * False when stopped (err stays empty) or when the file cannot be read. */
bool mapping_read_ahead(struct mapping *m, mapping_progress progress, void *context, struct error *err);

/* Maps all pages now, slice by slice. False as above. On kernels before 5.14 it does what mapping_read_ahead does. */
bool mapping_prefault(struct mapping *m, mapping_progress progress, void *context, struct error *err);

/* Measures the resident bytes of all live mappings, from /proc/self/smaps: call it in the background, not
 * from a request. mapping_resident returns what was last measured. */
void mapping_measure(void);
uint64_t mapping_resident(const struct mapping *m);

#endif
