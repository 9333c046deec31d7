/* matmul_add_avx2.c - adds a block of 32 elements of all rows to the sums of many tokens, with AVX2.
 *
 * One function for each way to compute it, which the types share; matmul_avx2_private.h has what they do.
 */
#include "matmul_avx2_private.h"

INLINE void add_all(const struct kind kind, const struct panel p[GROUPS], const struct matmul_block *a,
    size_t tokens, float (*sums)[MATMUL_ROWS])
{
    for (size_t g = 0; g < GROUPS; g += TILE_GROUPS) {
        size_t t = 0;
        for (; t + TILE_TOKENS <= tokens; t += TILE_TOKENS)
            add_tile(kind, p + g, a + t, TILE_TOKENS, group(sums + t, g));
        for (; t < tokens; t++)
            add_tile(kind, p + g, a + t, 1, group(sums + t, g));
    }
}

#define ADD_MANY(name, ...)                                                                                  \
    void SET(name)(unsigned offset, const struct panel p[GROUPS], const struct matmul_block *a,              \
        size_t tokens, float(*sums)[MATMUL_ROWS])                                                            \
    {                                                                                                        \
        (void)offset;                                                                                        \
        add_all((struct kind){__VA_ARGS__}, p, a, tokens, sums);                                             \
    }
ADD_MANY(_add_offset, .bits = 5, .offset = offset, .has_offset = true)
ADD_MANY(_add_min, .bits = 4, .has_min = true)
ADD_MANY(_add_min_5, .bits = 5, .has_min = true)
ADD_MANY(_add_bytes, .bits = 8)
ADD_MANY(_add_halves, .bits = 6, .offset = offset, .has_offset = true, .has_halves = true)
ADD_MANY(_add_halves_min, .bits = 2, .has_min = true, .has_halves = true)
