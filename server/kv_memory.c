/* kv_memory.c - half of what the models leave, and a share of the limit where they leave next to nothing.
 *
 * Mapped models may be larger than the limit: their pages are dropped and read again. Sequences still need some memory
 * then, and never so much that a small container is killed for it.
 */
#include "berth/server/kv_memory.h"

#define LEAST_SHARE 8 /* of the limit */
#define LEAST_MOST ((uint64_t)64 << 20) /* bytes */

uint64_t kv_memory_default(uint64_t memory, uint64_t mapped, const char **from)
{
    uint64_t half = mapped < memory ? (memory - mapped) / 2 : 0;
    uint64_t least = memory == 0 || memory / LEAST_SHARE > LEAST_MOST ? LEAST_MOST : memory / LEAST_SHARE;
    *from = half > least ? "half of what the models leave of the limit"
                         : "the least share of the limit; the models leave less";
    return half > least ? half : least;
}
