/* kv_memory.h - how much memory sequences may take where --kv-memory does not say it. */
#ifndef BERTH_KV_MEMORY_H
#define BERTH_KV_MEMORY_H

#include <stdint.h>

/* `memory` is what the process may use and `mapped` what the models' files take of it, in bytes; 0 for an unknown limit.
 * Returns bytes, and a constant text that tells where the figure is from. */
uint64_t kv_memory_default(uint64_t memory, uint64_t mapped, const char **from);

#endif
