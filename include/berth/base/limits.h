/* limits.h - how many processors and how much memory this process may use.
 *
 * Inside a container the numbers of the whole machine are wrong. The scheduler's affinity, the cgroup's quota (v1
 * and v2) and the cgroup's memory limit apply, those of parent groups too. A quota is rounded down: with one thread
 * too many, every barrier stalls each time the quota runs out.
 */
#ifndef BERTH_LIMITS_H
#define BERTH_LIMITS_H

#include <stdint.h>

#define LIMITS_FROM 96 /* bytes of a text that names the source of a limit */

struct limits {
    unsigned cpus; /* at least 1 */
    char cpus_from[LIMITS_FROM]; /* "affinity of 8", "cgroup quota of 2.50 (/sys/fs/cgroup/cpu.max)" */
    uint64_t memory; /* bytes */
    char memory_from[LIMITS_FROM]; /* "the machine", "cgroup limit (/sys/fs/cgroup/memory.max)" */
};

/* Reads the limits in force. `root` is put before /proc and /sys ("" for the real ones). A limit that cannot be read
 * counts as none. */
void limits_read(struct limits *out, const char *root);

/* Quota and affinity may change while the process runs. The files of the quota are opened once, so that they can be read
 * later, when a sandbox forbids opening files. A file that is missing is looked for again. */
struct limits_watch;
struct limits_watch *limits_watch_new(const char *root); /* NULL without memory */
void limits_watch_free(struct limits_watch *w); /* NULL is fine */
/* Returns how many processors may be used now, at least 1, and writes the source of the number. One thread at a time. */
unsigned limits_watch_cpus(struct limits_watch *w, char from[LIMITS_FROM]);

#endif
