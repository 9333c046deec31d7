/* attention_private.h - the interface between attention.c and the functions of each instruction set.
 *
 * A part is the result of a split for one query: the running maximum m, the sum s, and from ATTENTION_PART_VALUES on
 * the weighted values a[head_dim_v]. These are padded to a multiple of sixteen, so that whole vectors can be read and
 * written; the padding has no meaning. A part with s = 0 is empty: a split with a key has s >= 1 or NaN.
 */
#ifndef BERTH_ATTENTION_PRIVATE_H
#define BERTH_ATTENTION_PRIVATE_H

#include "berth/kernels/attention.h"
#include "berth/base/half.h"

#define ATTENTION_PART_M 0
#define ATTENTION_PART_S 1
#define ATTENTION_PART_VALUES 16
#define ATTENTION_PART_MAX (ATTENTION_PART_VALUES + ATTENTION_HEAD_MAX)

/* For arrays that are written before they are read. The flags of the shipped program clear all other local arrays. */
#if defined(__has_attribute)
#if __has_attribute(uninitialized)
#define ATTENTION_UNINITIALIZED __attribute__((uninitialized))
#endif
#endif
#ifndef ATTENTION_UNINITIALIZED
#define ATTENTION_UNINITIALIZED
#endif

struct attention_set {
    /* As attention_split. */
    void (*split)(const struct attention *a, const struct attention_query *queries, size_t n, uint32_t split,
        float *parts);
    /* Merges `part` into `running`, as step 3 says. Neither is empty. */
    void (*merge)(const struct attention *a, float *running, const float *part);
    /* float32 to float16, n numbers. */
    void (*narrow)(uint16_t *out, const float *x, size_t n);
    /* float32 to q8_0, one key or value of n numbers. */
    void (*quantize)(int8_t *out, uint16_t *scales, const float *x, size_t n);
};

extern const struct attention_set attention_plain, attention_avx2, attention_avx512, attention_neon;

/* ---- q8_0 ---- */

static inline size_t attention_groups(size_t size)
{
    return (size + ATTENTION_GROUP - 1) / ATTENTION_GROUP;
}

/* Offset of the scales of a page's keys or values: they follow 64 times `size` bytes. */
static inline size_t attention_scales_at(size_t size)
{
    return size * ATTENTION_BLOCK;
}

/* Returns the scale of a group whose largest |x| is `most`, which is infinite for NaN and infinity. Writes the scale's
 * value to *scale, or 0 when all bytes of the group are 0. */
static inline uint16_t attention_scale(float most, float *scale)
{
    uint16_t bits = half_from_float(most / 127.0f);
    bool finite = bits < 0x7c00;
    *scale = finite ? half_to_float(bits) : 0.0f;
    return finite ? bits : 0x7e00;
}

/* Limits the range *first ... *end - 1 to the positions that the query sees. It is empty when *end <= *first. */
static inline void attention_clip(const struct attention_query *query, uint32_t *first, uint32_t *end)
{
    *first = query->first > *first ? query->first : *first;
    *end = query->end < *end ? query->end : *end;
}

/* The query's position, counted from the first key of a page. */
static inline float attention_own(const struct attention_query *query, uint32_t page)
{
    return (float)((int64_t)query->position - (int64_t)page * ATTENTION_BLOCK);
}

#endif
