/* matmul_256_add_impl.h - adds a block of 32 elements of all rows to the sums of many tokens.
 *
 * There is one function for each way to compute it. Types share them, and pass their offset.
 */
#ifndef BERTH_MATMUL_256_ADD_IMPL_H
#define BERTH_MATMUL_256_ADD_IMPL_H

#include "matmul_256_impl.h"

INLINE void add_all(const struct kind kind, const struct ymm_panel p[GROUPS], const struct matmul_block *a,
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
    static __attribute__((noinline)) void name(unsigned offset, const struct ymm_panel p[GROUPS],            \
        const struct matmul_block *a, size_t tokens, float(*sums)[MATMUL_ROWS])                              \
    {                                                                                                        \
        (void)offset;                                                                                        \
        add_all((struct kind){__VA_ARGS__}, p, a, tokens, sums);                                             \
    }
ADD_MANY(add_offset, .bits = 5, .offset = offset, .has_offset = true)
ADD_MANY(add_min, .bits = 4, .has_min = true)
ADD_MANY(add_min_5, .bits = 5, .has_min = true)
ADD_MANY(add_bytes, .bits = 8)
ADD_MANY(add_halves, .bits = 6, .offset = offset, .has_offset = true, .has_halves = true)
ADD_MANY(add_halves_min, .bits = 2, .has_min = true, .has_halves = true)

typedef void add_many(unsigned offset, const struct ymm_panel p[GROUPS], const struct matmul_block *a,
    size_t tokens, float (*sums)[MATMUL_ROWS]);

INLINE add_many *many_of(const struct kind kind)
{
    if (kind.has_halves)
        return kind.has_min ? add_halves_min : add_halves;
    if (kind.bits == 8 && !kind.has_offset)
        return add_bytes;
    if (kind.has_min)
        return kind.bits == 5 ? add_min_5 : add_min;
    return add_offset;
}

#endif
