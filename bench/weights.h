/* weights.h - bytes that stand for weights of the size that real models have, for programs that measure kernels.
 *
 * A processor can take many times as long for a subnormal number as for a normal one, so random bytes would measure
 * something that no model contains.
 */
#ifndef BERTH_BENCH_WEIGHTS_H
#define BERTH_BENCH_WEIGHTS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* The types that can be filled, one after the other: those that have kernels. Returns false when `i` is too large. */
bool weights_type(size_t i, uint32_t *type);

/* Fills out[bytes] with whole blocks of the type, as many as fit; the rest becomes zeros. Weights lie between -1
 * and 1. No weight, and no scale or minimum of a block, is subnormal. The same call writes the same bytes. Returns
 * false when weights_type does not list the type. */
bool weights_fill(uint8_t *out, size_t bytes, uint32_t type);

#endif
