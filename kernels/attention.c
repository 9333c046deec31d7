/* attention.c - divides queries into tiles and positions into spans, and hands them to the instruction set
 * that is in force.
 *
 * A tile of queries goes through all spans before the next one begins, so that what it has gathered stays in
 * the cache nearest to the processor. The order of spans is that of attention.h, whoever computed them.
 */
#include "attention_private.h"

#include "berth/cpu.h"

#include <string.h>

#define TILE 48 /* queries that share the reading of a page */
#define TILE_FLOATS 16384 /* for the parts of a tile, of which there are two sets: 128 KiB together */

static const struct attention_set *in_force(void)
{
#if defined(__x86_64__)
    static const struct attention_set *const sets[CPU_SETS] = {
        [CPU_PLAIN] = &attention_plain, [CPU_AVX2] = &attention_avx2, [CPU_AVXVNNI] = &attention_avx2, [CPU_AVX512] = &attention_avx512};
    return sets[cpu_selected()];
#elif defined(__aarch64__)
    return cpu_selected() == CPU_PLAIN ? &attention_plain : &attention_neon;
#else
    return &attention_plain;
#endif
}

size_t attention_type_bytes(enum attention_type type)
{
    return type == ATTENTION_F16 ? 2 : 4;
}

size_t attention_part_floats(const struct attention *a)
{
    return ATTENTION_PART_VALUES + (a->v_size + 15) / 16 * 16;
}

static void store_half(const struct attention *a, uint8_t *page, size_t at, const float *k, const float *v)
{
    uint16_t key[ATTENTION_HEAD_MAX] ATTENTION_UNINITIALIZED;
    uint16_t *keys = (uint16_t *)(void *)(page + a->k_at), *values = (uint16_t *)(void *)(page + a->v_at);
    in_force()->narrow(key, k, a->k_size);
    for (size_t d = 0; d < a->k_size; d++)
        keys[d * ATTENTION_BLOCK + at] = key[d];
    in_force()->narrow(values + at * a->v_size, v, a->v_size);
}

void attention_store(const struct attention *a, uint8_t *page, size_t at, const float *k, const float *v)
{
    if (a->type == ATTENTION_F16) {
        store_half(a, page, at, k, v);
        return;
    }
    float *keys = (float *)(void *)(page + a->k_at), *values = (float *)(void *)(page + a->v_at);
    for (size_t d = 0; d < a->k_size; d++)
        keys[d * ATTENTION_BLOCK + at] = k[d];
    memcpy(values + at * a->v_size, v, a->v_size * sizeof(*v));
}

void attention_span(
    const struct attention *a, const struct attention_query *queries, size_t n, uint32_t span, float *parts)
{
    in_force()->span(a, queries, n, span, parts);
}

static void merge(const struct attention *a, float *running, const float *part)
{
    if (part[ATTENTION_PART_S] == 0)
        return;
    if (running[ATTENTION_PART_S] == 0)
        memcpy(running, part, attention_part_floats(a) * sizeof(*part));
    else
        in_force()->merge(a, running, part);
}

/* A query that sees no key gets zeros rather than what lay on the stack. */
static void finish(const struct attention *a, const float *running, float *out)
{
    if (running[ATTENTION_PART_S] == 0) {
        memset(out, 0, a->v_size * sizeof(*out));
        return;
    }
    for (size_t d = 0; d < a->v_size; d++)
        out[d] = running[ATTENTION_PART_VALUES + d] / running[ATTENTION_PART_S];
}

void attention_merge(const struct attention *a, const float *parts, size_t n_spans, size_t stride, float *out)
{
    float running[ATTENTION_PART_MAX] ATTENTION_UNINITIALIZED;
    running[ATTENTION_PART_S] = 0;
    for (size_t s = 0; s < n_spans; s++)
        merge(a, running, parts + s * stride);
    finish(a, running, out);
}

static void run_tile(const struct attention *a, const struct attention_query *queries, size_t n)
{
    _Alignas(64) float running[TILE_FLOATS] ATTENTION_UNINITIALIZED;
    _Alignas(64) float parts[TILE_FLOATS] ATTENTION_UNINITIALIZED;
    size_t stride = attention_part_floats(a);
    uint32_t first = UINT32_MAX, end = 0;
    for (size_t i = 0; i < n; i++) {
        first = queries[i].first < first ? queries[i].first : first;
        end = queries[i].end > end ? queries[i].end : end;
        running[i * stride + ATTENTION_PART_S] = 0;
    }
    for (uint32_t span = first / ATTENTION_SPAN; first < end && span <= (end - 1) / ATTENTION_SPAN; span++) {
        in_force()->span(a, queries, n, span, parts);
        for (size_t i = 0; i < n; i++)
            merge(a, running + i * stride, parts + i * stride);
    }
    for (size_t i = 0; i < n; i++)
        finish(a, running + i * stride, queries[i].out);
}

void attention_run(const struct attention *a, const struct attention_query *queries, size_t n)
{
    size_t fit = TILE_FLOATS / attention_part_floats(a);
    size_t tile = fit < TILE ? fit : TILE;
    for (size_t i = 0; i < n; i += tile)
        run_tile(a, queries + i, n - i < tile ? n - i : tile);
}
