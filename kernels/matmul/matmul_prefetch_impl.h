/* matmul_prefetch_impl.h - prefetches the weights of the next rows on x86-64.
 *
 * The next rows are prefetched while as many rows before them are multiplied, also with many tokens, since the kernel
 * would wait for the weights otherwise. isa_l1_prefetch_bytes tells whether both fit L1; else the next rows go to L2.
 */
#ifndef BERTH_MATMUL_PREFETCH_IMPL_H
#define BERTH_MATMUL_PREFETCH_IMPL_H

#include "berth/kernels/isa.h"

#include <immintrin.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

static inline __attribute__((always_inline)) void prefetch_line(const void *at, bool to_l1)
{
    if (to_l1)
        _mm_prefetch(at, _MM_HINT_T0);
    else
        _mm_prefetch(at, _MM_HINT_T1);
}

static inline __attribute__((always_inline)) void prefetch_bytes(const uint8_t *at, size_t bytes, bool to_l1)
{
    if (to_l1) /* a loop for each hint: the compiler leaves the choice inside the loop otherwise */
        for (size_t i = 0; i < bytes; i += 64)
            prefetch_line(at + i, true);
    else
        for (size_t i = 0; i < bytes; i += 64)
            prefetch_line(at + i, false);
}

/* True when the next `rows` rows should go to L1. Kernels that take sixteen rows at a time pass 32: on Zen 4 sixteen
 * prefetched rows evict each other as 32 would. */
static inline __attribute__((always_inline)) bool prefetches_to_l1(size_t rows, size_t row_bytes)
{
    return rows * row_bytes <= isa_l1_prefetch_bytes();
}

/* Prefetches a part of the next `rows` rows while the bytes `from` to `to` of each of these rows are multiplied. The
 * part is as long as these bytes together and is contiguous, so the next rows are read in the order of the file. */
static inline __attribute__((always_inline)) void prefetch(
    const uint8_t *weights, size_t row_bytes, size_t rows, size_t from, size_t to, bool to_l1)
{
    prefetch_bytes(weights + rows * row_bytes + rows * from, rows * (to - from), to_l1);
}

#endif
