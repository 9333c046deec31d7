/* limits.h - how many processors and how much memory this process may use.
 *
 * Inside a container the machine's own figures are wrong: the scheduler's affinity, the cgroup's quota (v1
 * and v2) and the cgroup's memory limit decide, the parents' as well as the leaf's. A quota is rounded
 * down: one thread too many stalls every barrier each time the quota runs out.
 */
#ifndef BERTH_LIMITS_H
#define BERTH_LIMITS_H

#include <stdint.h>

struct limits {
    unsigned cpus; /* at least 1 */
    char cpus_from[96]; /* "affinity of 8", "cgroup quota of 2.50 (/sys/fs/cgroup/cpu.max)" */
    uint64_t memory; /* bytes */
    char memory_from[96]; /* "the machine", "cgroup limit (/sys/fs/cgroup/memory.max)" */
};

/* Reads the limits in force. `root` is put before /proc and /sys ("" for the real ones). What cannot be read
 * does not limit; nothing here fails. */
void limits_read(struct limits *out, const char *root);

#endif
