/* matmul_prefetch_impl.h - asks for the weights that come next, on x86-64, before they are needed.
 *
 * Rows are asked for while as many before them are multiplied, with many tokens, too, for weights would be waited for.
 * Whether both fit the cache nearest to the processor, or the next rows should wait in the one behind it, cpu.h tells.
 */
#ifndef BERTH_MATMUL_PREFETCH_IMPL_H
#define BERTH_MATMUL_PREFETCH_IMPL_H

#include "berth/kernels/isa.h"

#include <immintrin.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

static inline __attribute__((always_inline)) void prefetch_line(const void *at, bool nearest)
{
    if (nearest)
        _mm_prefetch(at, _MM_HINT_T0);
    else
        _mm_prefetch(at, _MM_HINT_T1);
}

static inline __attribute__((always_inline)) void prefetch_bytes(
    const uint8_t *at, size_t bytes, bool nearest)
{
    if (nearest) /* a loop for each hint: the compiler leaves the choice inside the loop otherwise */
        for (size_t i = 0; i < bytes; i += 64)
            prefetch_line(at + i, true);
    else
        for (size_t i = 0; i < bytes; i += 64)
            prefetch_line(at + i, false);
}

/* Whether so many next rows should go there. Of sixteen rows at a time the next push each other out as thirty-two would
 * (Zen 4). */
static inline __attribute__((always_inline)) bool prefetches_nearest(size_t rows, size_t row_bytes)
{
    return rows * row_bytes <= isa_l1_prefetch_bytes();
}

/* Asks for the part of the next `rows` rows that is as long, and as far from their beginning, as the bytes from `from`
 * to `to` of all of these: so they are read in the order of the file. */
static inline __attribute__((always_inline)) void prefetch(
    const uint8_t *weights, size_t row_bytes, size_t rows, size_t from, size_t to, bool nearest)
{
    prefetch_bytes(weights + rows * row_bytes + rows * from, rows * (to - from), nearest);
}

#endif
