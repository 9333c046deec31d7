/* attention.c - divides queries into tiles and positions into splits, for the selected instruction set.
 *
 * A tile of queries goes through all splits before the next tile begins, so that its running values stay in L1. The
 * splits are merged in the order that attention.h gives, whichever thread computed them.
 */
#include "attention_private.h"

#include "kernels/isa_private.h"

#include "berth/kernels/vector.h"

#include <string.h>

#define TILE 48 /* queries that share the reading of a page */
#define TILE_FLOATS 16384 /* for the parts of a tile; there are two such arrays, together 128 KiB */

/* clang-format off */
static const struct attention_set *const sets[ISA_SETS] = {
    [ISA_PLAIN]  = &attention_plain,
    [ISA_AVX2]   = ISA_X86(attention_avx2),
    [ISA_AVX512] = ISA_X86(attention_avx512),
    [ISA_NEON]   = ISA_ARM64(attention_neon),
};
/* clang-format on */

static const struct attention_set *selected(void)
{
    enum isa set = isa_selected();
    while (!sets[set])
        set = isa_base(set);
    return sets[set];
}

static const char *const type_names[ATTENTION_TYPES] = {
    [ATTENTION_F16] = "f16", [ATTENTION_F32] = "f32", [ATTENTION_Q8_0] = "q8_0"};

const char *attention_type_name(enum attention_type type)
{
    return type_names[type];
}

bool attention_type_find(const char *name, enum attention_type *out)
{
    for (int i = 0; i < ATTENTION_TYPES; i++)
        if (strcmp(name, type_names[i]) == 0) {
            *out = (enum attention_type)i;
            return true;
        }
    return false;
}

size_t attention_bytes(enum attention_type type, size_t size)
{
    if (type == ATTENTION_Q8_0)
        return attention_scales_at(size) + attention_groups(size) * ATTENTION_BLOCK * sizeof(uint16_t);
    return size * ATTENTION_BLOCK * (type == ATTENTION_F16 ? sizeof(uint16_t) : sizeof(float));
}

size_t attention_part_floats(const struct attention *a)
{
    return ATTENTION_PART_VALUES + (a->head_dim_v + 15) / 16 * 16;
}

static void store_half(const struct attention *a, uint8_t *page, size_t at, const float *k, const float *v)
{
    uint16_t key[ATTENTION_HEAD_MAX] ATTENTION_UNINITIALIZED;
    uint16_t *keys = (uint16_t *)(void *)(page + a->k_at), *values = (uint16_t *)(void *)(page + a->v_at);
    selected()->narrow(key, k, a->head_dim_k);
    for (size_t d = 0; d < a->head_dim_k; d++)
        keys[d * ATTENTION_BLOCK + at] = key[d];
    if (!a->values_in_keys)
        selected()->narrow(values + at * a->head_dim_v, v, a->head_dim_v);
}

static void store_quantized(
    const struct attention *a, uint8_t *page, size_t at, const float *k, const float *v)
{
    int8_t key[ATTENTION_HEAD_MAX] ATTENTION_UNINITIALIZED;
    uint16_t scales[ATTENTION_HEAD_MAX / ATTENTION_GROUP] ATTENTION_UNINITIALIZED;
    int8_t *keys = (int8_t *)(page + a->k_at), *values = (int8_t *)(page + a->v_at);
    uint16_t *key_scales = (uint16_t *)(void *)(page + a->k_at + attention_scales_at(a->head_dim_k));
    uint16_t *value_scales = (uint16_t *)(void *)(page + a->v_at + attention_scales_at(a->head_dim_v));
    selected()->quantize(key, scales, k, a->head_dim_k);
    for (size_t d = 0; d < a->head_dim_k; d++)
        keys[d * ATTENTION_BLOCK + at] = key[d];
    for (size_t g = 0; g < attention_groups(a->head_dim_k); g++)
        key_scales[g * ATTENTION_BLOCK + at] = scales[g];
    if (a->values_in_keys)
        return;
    selected()->quantize(
        values + at * a->head_dim_v, value_scales + at * attention_groups(a->head_dim_v), v, a->head_dim_v);
}

static void store_whole(const struct attention *a, uint8_t *page, size_t at, const float *k, const float *v)
{
    float *keys = (float *)(void *)(page + a->k_at), *values = (float *)(void *)(page + a->v_at);
    for (size_t d = 0; d < a->head_dim_k; d++)
        keys[d * ATTENTION_BLOCK + at] = k[d];
    if (!a->values_in_keys)
        memcpy(values + at * a->head_dim_v, v, a->head_dim_v * sizeof(*v));
}

void attention_store(const struct attention *a, uint8_t *page, size_t at, const float *k, const float *v)
{
    static void (*const store[ATTENTION_TYPES])(
        const struct attention *a, uint8_t *page, size_t at, const float *k, const float *v) = {
        [ATTENTION_F16] = store_half, [ATTENTION_F32] = store_whole, [ATTENTION_Q8_0] = store_quantized};
    store[a->type](a, page, at, k, v);
}

void attention_split(
    const struct attention *a, const struct attention_query *queries, size_t n, uint32_t split, float *parts)
{
    selected()->split(a, queries, n, split, parts);
}

static void merge(const struct attention *a, float *running, const float *part)
{
    if (part[ATTENTION_PART_S] == 0)
        return;
    if (running[ATTENTION_PART_S] == 0)
        memcpy(running, part, attention_part_floats(a) * sizeof(*part));
    else
        selected()->merge(a, running, part);
}

static void add_sink(const struct attention *a, float *running, float sink)
{
    float before = running[ATTENTION_PART_M], m = sink > before ? sink : before;
    float *values = running + ATTENTION_PART_VALUES, c = vector_exp(before - m);
    running[ATTENTION_PART_S] = __builtin_fmaf(running[ATTENTION_PART_S], c, vector_exp(sink - m));
    vector_scale(values, values, c, a->head_dim_v);
}

/* A query without keys gets zeros: its part was never written. */
static void finish(const struct attention *a, const struct attention_query *query, float *running)
{
    if (running[ATTENTION_PART_S] == 0) {
        memset(query->out, 0, a->head_dim_v * sizeof(*query->out));
        return;
    }
    if (query->sink)
        add_sink(a, running, *query->sink);
    vector_divide(query->out, running + ATTENTION_PART_VALUES, running[ATTENTION_PART_S], a->head_dim_v);
}

void attention_merge(const struct attention *a, const struct attention_query *query, const float *parts,
    size_t n_splits, size_t stride)
{
    float running[ATTENTION_PART_MAX] ATTENTION_UNINITIALIZED;
    running[ATTENTION_PART_S] = 0;
    for (size_t s = 0; s < n_splits; s++)
        merge(a, running, parts + s * stride);
    finish(a, query, running);
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
    for (uint32_t split = first / ATTENTION_SPLIT; first < end && split <= (end - 1) / ATTENTION_SPLIT;
         split++) {
        selected()->split(a, queries, n, split, parts);
        for (size_t i = 0; i < n; i++)
            merge(a, running + i * stride, parts + i * stride);
    }
    for (size_t i = 0; i < n; i++)
        finish(a, queries + i, running + i * stride);
}

void attention_run(const struct attention *a, const struct attention_query *queries, size_t n)
{
    size_t fit = TILE_FLOATS / attention_part_floats(a);
    size_t tile = fit < TILE ? fit : TILE;
    for (size_t i = 0; i < n; i += tile)
        run_tile(a, queries + i, n - i < tile ? n - i : tile);
}
