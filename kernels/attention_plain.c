/* attention_plain.c - attention.h in plain C: the reference.
 *
 * One query after another and one key after another, each step rounded as attention.h says. The fast sets are
 * held to these bits.
 */
#include "attention_private.h"

#include "berth/half.h"
#include "berth/vector.h"

#include <math.h>
#include <string.h>

/* Element i of a page's keys or values. */
static float element(enum attention_type type, const uint8_t *at, size_t i)
{
    if (type == ATTENTION_F32)
        return ((const float *)(const void *)at)[i];
    return half_to_float(((const uint16_t *)(const void *)at)[i]);
}

static float score(const struct attention *a, const float *q, const uint8_t *keys, size_t j)
{
    float sum = 0;
    for (size_t d = 0; d < a->k_size; d++)
        sum = __builtin_fmaf(q[d], element(a->type, keys, d * ATTENTION_BLOCK + j), sum);
    sum *= a->scale;
    return a->softcap > 0 ? a->softcap * vector_tanh(sum / a->softcap) : sum;
}

/* Step 2 for the keys first ... end - 1 of one page. */
static void block(
    const struct attention *a, const float *q, const uint8_t *page, size_t first, size_t end, float *part)
{
    float p[ATTENTION_BLOCK] = {0};
    for (size_t j = first; j < end; j++)
        p[j] = score(a, q, page + a->k_at, j);

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
    for (size_t d = 0; d < a->v_size; d++) {
        sums[d] *= c;
        for (size_t j = first; j < end; j++)
            sums[d] = __builtin_fmaf(p[j], element(a->type, page + a->v_at, j * a->v_size + d), sums[d]);
    }
}

static void span_of_one(
    const struct attention *a, const struct attention_query *query, uint32_t first, uint32_t end, float *part)
{
    memset(part, 0, attention_part_floats(a) * sizeof(*part));
    part[ATTENTION_PART_M] = -INFINITY;
    attention_clip(query, &first, &end);
    while (first < end) {
        uint32_t page = first / ATTENTION_BLOCK, begin = page * ATTENTION_BLOCK;
        uint32_t stop = end - begin < ATTENTION_BLOCK ? end - begin : ATTENTION_BLOCK;
        block(a, query->q, a->pages[page], first - begin, stop, part);
        first = begin + stop;
    }
}

static void span(
    const struct attention *a, const struct attention_query *queries, size_t n, uint32_t span, float *parts)
{
    uint32_t first = span * ATTENTION_SPAN;
    for (size_t i = 0; i < n; i++)
        span_of_one(a, queries + i, first, first + ATTENTION_SPAN, parts + i * attention_part_floats(a));
}

static void merge(const struct attention *a, float *running, const float *part)
{
    float before = running[ATTENTION_PART_M], other = part[ATTENTION_PART_M];
    float m = other > before ? other : before;
    float scale = vector_exp(before - m), other_scale = vector_exp(other - m);
    running[ATTENTION_PART_M] = m;
    running[ATTENTION_PART_S] =
        __builtin_fmaf(running[ATTENTION_PART_S], scale, part[ATTENTION_PART_S] * other_scale);
    for (size_t d = ATTENTION_PART_VALUES; d < ATTENTION_PART_VALUES + a->v_size; d++)
        running[d] = __builtin_fmaf(running[d], scale, part[d] * other_scale);
}

static void narrow(uint16_t *out, const float *x, size_t n)
{
    half_from_floats(out, x, n);
}

const struct attention_set attention_plain = {.span = span, .merge = merge, .narrow = narrow};
