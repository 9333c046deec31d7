/* matmul_codes_tile_impl.h - multiplies what matmul_codes_impl.h unpacks.
 *
 * Included by each set after its panel; sets whose panels are alike share the functions that unpack.
 */
#ifndef BERTH_MATMUL_CODES_TILE_IMPL_H
#define BERTH_MATMUL_CODES_TILE_IMPL_H

#include "matmul_codes_private.h"

#define PARTS 8 /* of a block at most */

/* Any number of tokens. `type` is the last, so that the functions below pass the others on as they are. */
static NOINLINE void codes_tile(const uint8_t *weights, size_t row_bytes, size_t blocks,
    const struct matmul_block *a, size_t tokens, float sums[][MATMUL_ROWS], enum matmul_int8 type)
{
    if (left_to_other(type, weights, row_bytes, blocks, a, tokens, sums))
        return;
    const struct codes *c = &CODES_TABLE[type];
    struct panel p[PARTS][GROUPS];
    struct matmul_block arranged[MATMUL_CHUNK];
    for (size_t b = 0; b < blocks; b += c->parts) {
        const uint8_t *at = weights + b / c->parts * c->bytes;
        const size_t done = b / c->parts * c->bytes, half = done + c->bytes / 2u;
        /* Prefetches are spread, since the processor drops some of many at once. */
#pragma GCC unroll 1
        for (size_t g = 0; g < GROUPS; g++) {
            prefetch_part(weights, row_bytes, done + c->bytes * g / (2 * GROUPS),
                done + c->bytes * (g + 1) / (2 * GROUPS), tokens);
            c->unpack(&p[0][g], GROUPS, at + g * LANES * row_bytes, row_bytes);
        }
        if (tokens == 1 && adds_one()) {
            const struct next_rows next = {weights + MATMUL_ROWS * (row_bytes + half),
                MATMUL_ROWS * (size_t)(c->bytes - c->bytes / 2u) / c->parts, row_bytes};
            add_one(c->weights, c->parts, (const struct panel(*)[GROUPS])p, a + b, c->order, sums[0], next);
            continue;
        }
        for (size_t i = 0; i < c->parts; i++) {
            const struct matmul_block *from = a + (b + i) * tokens;
            prefetch_part(weights, row_bytes, half + c->bytes * i / (2u * c->parts),
                half + c->bytes * (i + 1) / (2u * c->parts), tokens);
            if (c->order != IN_ORDER) {
                arrange(arranged, from, tokens, c->order);
                from = arranged;
            }
            add_codes(c->weights, p[i], from, tokens, sums);
        }
    }
}

#define CODES_TILE(name, type)                                                                               \
    CODES_LINKAGE(name)                                                                                      \
    (const uint8_t *weights, size_t row_bytes, size_t blocks, const struct matmul_block *a, size_t tokens,   \
        float sums[][MATMUL_ROWS])                                                                           \
    {                                                                                                        \
        codes_tile(weights, row_bytes, blocks, a, tokens, sums, type);                                       \
    }
CODES_TILE(tq1_0, MATMUL_TQ1_0)
CODES_TILE(tq2_0, MATMUL_TQ2_0)
CODES_TILE(q1_0, MATMUL_Q1_0)
CODES_TILE(q2_0, MATMUL_Q2_0)
CODES_TILE(nvfp4, MATMUL_NVFP4)
CODES_TILE(iq2_xxs, MATMUL_IQ2_XXS)
CODES_TILE(iq2_xs, MATMUL_IQ2_XS)
CODES_TILE(iq2_s, MATMUL_IQ2_S)
CODES_TILE(iq3_xxs, MATMUL_IQ3_XXS)
CODES_TILE(iq3_s, MATMUL_IQ3_S)
CODES_TILE(iq1_s, MATMUL_IQ1_S)
CODES_TILE(iq1_m, MATMUL_IQ1_M)

/* For the table of a set. */
#define MATMUL_CODES                                                                                         \
    [MATMUL_TQ1_0] = tile_tq1_0, [MATMUL_TQ2_0] = tile_tq2_0, [MATMUL_Q1_0] = tile_q1_0,                     \
    [MATMUL_Q2_0] = tile_q2_0, [MATMUL_NVFP4] = tile_nvfp4, [MATMUL_IQ2_XXS] = tile_iq2_xxs,                 \
    [MATMUL_IQ2_XS] = tile_iq2_xs, [MATMUL_IQ2_S] = tile_iq2_s, [MATMUL_IQ3_XXS] = tile_iq3_xxs,             \
    [MATMUL_IQ3_S] = tile_iq3_s, [MATMUL_IQ1_S] = tile_iq1_s, [MATMUL_IQ1_M] = tile_iq1_m

#endif
