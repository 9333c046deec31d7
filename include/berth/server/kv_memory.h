/* kv_memory.h - the KV budget where --kv-memory does not set it. */
#ifndef BERTH_KV_MEMORY_H
#define BERTH_KV_MEMORY_H

#include <stdint.h>

/* `memory` is how many bytes the process may use, 0 for an unknown limit; `mapped` is how many of them the models' files
 * take. Returns bytes, and in *from a constant text that names the source of the figure. */
uint64_t kv_memory_default(uint64_t memory, uint64_t mapped, const char **from);

#endif
