/* kv_memory.c - half of the memory that the models' files leave, and at least a share of the memory limit.
 *
 * Mapped models may be larger than the limit, because their pages can be dropped and read again. Sequences need some memory
 * even then, but not so much that a small container runs out of it.
 */
#include "berth/server/kv_memory.h"

#define LEAST_SHARE 8 /* of the limit */
#define LEAST_MOST ((uint64_t)64 << 20) /* bytes */

uint64_t kv_memory_default(uint64_t memory, uint64_t mapped, const char **from)
{
    uint64_t half = mapped < memory ? (memory - mapped) / 2 : 0;
    uint64_t least = memory == 0 || memory / LEAST_SHARE > LEAST_MOST ? LEAST_MOST : memory / LEAST_SHARE;
    *from = half > least ? "half of what the models leave of the memory limit"
                         : "the minimum; half of what the models leave is less";
    return half > least ? half : least;
}
