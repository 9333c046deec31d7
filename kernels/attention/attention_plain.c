/* attention_plain.c - attention in plain C: the reference.
 *
 * It takes one query after another and one key after another, and rounds each step as attention.h says. All other sets
 * give these bits.
 */
#include "attention_private.h"

#include "berth/kernels/vector.h"

#include <math.h>
#include <string.h>

/* Element i of a page's keys or values of `size` elements, to which scale s belongs. */
static float element(enum attention_type type, const uint8_t *at, size_t size, size_t i, size_t s)
{
    if (type == ATTENTION_F32)
        return ((const float *)(const void *)at)[i];
    if (type == ATTENTION_F16)
        return half_to_float(((const uint16_t *)(const void *)at)[i]);
    const uint16_t *scales = (const uint16_t *)(const void *)(at + attention_scales_at(size));
    return half_to_float(scales[s]) * (float)((const int8_t *)at)[i];
}

static float key(const struct attention *a, const uint8_t *page, size_t j, size_t d)
{
    return element(a->type, page + a->k_at, a->head_dim_k, d * ATTENTION_BLOCK + j,
        d / ATTENTION_GROUP * ATTENTION_BLOCK + j);
}

static float value(const struct attention *a, const uint8_t *page, size_t j, size_t d)
{
    if (a->values_in_keys)
        return key(a, page, j, d);
    return element(a->type, page + a->v_at, a->head_dim_v, j * a->head_dim_v + d,
        j * attention_groups(a->head_dim_v) + d / ATTENTION_GROUP);
}

static float score(const struct attention *a, const float *q, const uint8_t *page, size_t j)
{
    float sum = 0;
    for (size_t d = 0; d < a->head_dim_k; d++)
        sum = __builtin_fmaf(q[d], key(a, page, j, d), sum);
    sum *= a->scale;
    return a->softcap > 0 ? a->softcap * vector_tanh(sum / a->softcap) : sum;
}

/* Step 2 for the keys first ... end - 1 of page `number`. */
static void block(const struct attention *a, const struct attention_query *query, uint32_t number,
    size_t first, size_t end, float *part)
{
    float p[ATTENTION_BLOCK] = {0};
    const uint8_t *page = a->pages[number];
    for (size_t j = first; j < end; j++) {
        p[j] = score(a, query->q, page, j);
        if (query->slope != 0)
            p[j] = __builtin_fmaf(-query->slope, fabsf(attention_own(query, number) - (float)j), p[j]);
    }

    float before = part[ATTENTION_PART_M];
    float m = vector_max(p + first, end - first);
    if (!(m > before))
        m = before;
    float c = part[ATTENTION_PART_S] == 0 ? 0.0f : vector_exp(before - m);
    for (size_t j = first; j < end; j++)
        p[j] = vector_exp(p[j] - m);
    part[ATTENTION_PART_M] = m;
    part[ATTENTION_PART_S] = __builtin_fmaf(part[ATTENTION_PART_S], c, vector_sum(p, ATTENTION_BLOCK));

    float *sums = part + ATTENTION_PART_VALUES;
    for (size_t d = 0; d < a->head_dim_v; d++) {
        sums[d] *= c;
        for (size_t j = first; j < end; j++)
            sums[d] = __builtin_fmaf(p[j], value(a, page, j, d), sums[d]);
    }
}

static void split_of_one(
    const struct attention *a, const struct attention_query *query, uint32_t first, uint32_t end, float *part)
{
    memset(part, 0, attention_part_floats(a) * sizeof(*part));
    part[ATTENTION_PART_M] = -INFINITY;
    attention_clip(query, &first, &end);
    while (first < end) {
        uint32_t page = first / ATTENTION_BLOCK, begin = page * ATTENTION_BLOCK;
        uint32_t stop = end - begin < ATTENTION_BLOCK ? end - begin : ATTENTION_BLOCK;
        block(a, query, page, first - begin, stop, part);
        first = begin + stop;
    }
}

static void split(
    const struct attention *a, const struct attention_query *queries, size_t n, uint32_t split, float *parts)
{
    uint32_t first = split * ATTENTION_SPLIT;
    for (size_t i = 0; i < n; i++)
        split_of_one(a, queries + i, first, first + ATTENTION_SPLIT, parts + i * attention_part_floats(a));
}

static void merge(const struct attention *a, float *running, const float *part)
{
    float before = running[ATTENTION_PART_M], other = part[ATTENTION_PART_M];
    float m = other > before ? other : before;
    float scale = vector_exp(before - m), other_scale = vector_exp(other - m);
    running[ATTENTION_PART_M] = m;
    running[ATTENTION_PART_S] =
        __builtin_fmaf(running[ATTENTION_PART_S], scale, part[ATTENTION_PART_S] * other_scale);
    for (size_t d = ATTENTION_PART_VALUES; d < ATTENTION_PART_VALUES + a->head_dim_v; d++)
        running[d] = __builtin_fmaf(running[d], scale, part[d] * other_scale);
}

static void narrow(uint16_t *out, const float *x, size_t n)
{
    half_from_floats(out, x, n);
}

static void quantize_group(int8_t *out, uint16_t *scale, const float *x, size_t n)
{
    float most = 0, step;
    for (size_t i = 0; i < n; i++) {
        float size = isfinite(x[i]) ? fabsf(x[i]) : INFINITY;
        most = size > most ? size : most;
    }
    *scale = attention_scale(most, &step);
    for (size_t i = 0; i < n; i++) {
        float q = step > 0 ? rintf(x[i] / step) : 0.0f;
        out[i] = (int8_t)(q > 127 ? 127 : q < -127 ? -127 : q);
    }
}

static void quantize(int8_t *out, uint16_t *scales, const float *x, size_t n)
{
    for (size_t i = 0; i < n; i += ATTENTION_GROUP)
        quantize_group(out + i, scales++, x + i, n - i < ATTENTION_GROUP ? n - i : ATTENTION_GROUP);
}

const struct attention_set attention_plain = {
    .split = split, .merge = merge, .narrow = narrow, .quantize = quantize};
