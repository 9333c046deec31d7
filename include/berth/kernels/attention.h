/* attention.h - attention of queries to cached keys and values.
 *
 * Keys and values lie in pages of 64 positions: page i of a sequence holds positions 64 i ... 64 i + 63. Within a page
 * the keys of one head lie transposed, [head_dim_k][64], and its values in rows, [64][head_dim_v], both as float16,
 * float32 or q8_0. So neither scores nor weighted sums add across SIMD lanes.
 *
 * In q8_0 an element is a signed byte q. Each ATTENTION_GROUP elements of a key or value share a float16 scale, from
 * the first element on; the last group may be shorter. The scales follow the bytes: a key's as [groups][64], a value's
 * as [64][groups]. The value of an element is scale * q, which is exact in float32. A group is stored like this:
 *  - m is the largest |x|. scale = m / 127, rounded to float32 and then to float16, each time to the nearest, ties to
 *    even.
 *  - q = x / scale with the stored scale, rounded to float32 and then to an integer in the same way, and limited to
 *    -127 ... 127 (only a subnormal scale makes it larger). When the scale is 0 (m is below about 127 * 2^-25), all q
 *    are 0.
 *  - When an x is NaN or infinite, or the scale is too large for float16 (m above 8.3 million), the scale is a NaN and
 *    all q are 0: the whole group is NaN.
 *
 * The bits of a result depend only on the query, its range of positions and the cached pages. For a query with the
 * keys first ... end - 1:
 *  1. score[j] = the sum over d, in order, of q[d] * k[d][j], one fused multiply-add each from 0; times
 *     scale; with softcap c > 0: c * tanh(score / c); with a slope (ALiBi, arXiv 2108.12409) one fused
 *     multiply-add of -slope and the distance between the query's position and j.
 *  2. Blocks of 64 keys, which start at absolute multiples of 64, are visited in order, with a running
 *     maximum m, sum s and weighted values a[]: m' = max(m, the block's scores); c = exp(m - m') (0 at the
 *     first block); p[j] = exp(score[j] - m'); s = fma(s, c, the sum of the p as vector_sum forms it for 64 elements,
 *     where keys out of range count 0); a[d] = a[d] * c, then for each j in order fma(p[j], v[j][d], a[d]). Keys out
 *     of the query's range are not read.
 *  3. Blocks are grouped into splits of ATTENTION_SPLIT positions, which start at absolute multiples of that.
 *     Each split starts step 2 again and ends with a part (m, s, a). The parts are merged in order into (M, S, A), which
 *     starts as the first part: M' = max(M, m), C = exp(M - M'), c = exp(m - M'), S = fma(S, C, s * c),
 *     A[d] = fma(A[d], C, a[d] * c). Parts without a key are skipped. With a sink z, a score without a value:
 *     M' = max(M, z), C = exp(M - M'), S = fma(S, C, exp(z - M')), A[d] = A[d] * C. The result is A[d] / S.
 * exp and tanh are vector.h's. attention_plain.c is the reference.
 */
#ifndef BERTH_ATTENTION_H
#define BERTH_ATTENTION_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define ATTENTION_BLOCK 64 /* positions in a page */
#define ATTENTION_SPLIT 512
#define ATTENTION_HEAD_MAX 1024 /* head_dim_k and head_dim_v */
#define ATTENTION_GROUP 32 /* elements that share a scale in q8_0 */

enum attention_type { ATTENTION_F16, ATTENTION_F32, ATTENTION_Q8_0, ATTENTION_TYPES };

/* "f16", "f32", "q8_0". attention_type_find returns false when no type has the name. */
const char *attention_type_name(enum attention_type type);
bool attention_type_find(const char *name, enum attention_type *out);
/* Bytes of one head's keys, or values, in a page, when each has `size` elements. A multiple of 64. */
size_t attention_bytes(enum attention_type type, size_t size);

/* One key-value head of one layer of one sequence. */
struct attention {
    enum attention_type type;
    size_t head_dim_k,
        head_dim_v; /* elements of a head's key and value; any number up to ATTENTION_HEAD_MAX */
    float scale;
    float softcap; /* 0 for none */
    bool values_in_keys; /* a value is the first head_dim_v elements of its key; v_at is not used */
    const uint8_t *const *pages; /* [pages that the ranges reach], each aligned to 64 */
    /* Byte offsets, in each page, of this head's keys and values: attention_bytes of each, at multiples of 64. */
    size_t k_at, v_at;
};

/* One query head of one token. */
struct attention_query {
    const float *q; /* [head_dim_k] */
    float *out; /* [head_dim_v] */
    uint32_t first, end; /* the positions that it sees; first < end */
    float slope; /* of the distance; 0 for none */
    uint32_t position; /* its own; read with a slope only */
    const float *sink; /* [1], or NULL */
};

/* Writes one key and value, float32 (with values_in_keys the key only), to position `at` (0 to 63) of a page. */
void attention_store(const struct attention *a, uint8_t *page, size_t at, const float *k, const float *v);

/* Computes the results of n queries that share this head. Their ranges may differ; it is fastest when neighbours have
 * nearly the same range, since 48 queries share the reading of a page. A query without keys gets zeros. Uses at most
 * 192 KiB of stack. */
void attention_run(const struct attention *a, const struct attention_query *queries, size_t n);

/* The same in two steps, so that threads can divide a long range. attention_split computes one split for n queries; the
 * part of query i goes to parts + i * attention_part_floats(a), and is empty where the query sees no key of the split.
 * attention_merge merges n_splits parts of one query, part s at parts + s * stride, and writes its result. */
size_t attention_part_floats(const struct attention *a);
void attention_split(
    const struct attention *a, const struct attention_query *queries, size_t n, uint32_t split, float *parts);
void attention_merge(const struct attention *a, const struct attention_query *query, const float *parts,
    size_t n_splits, size_t stride);

#endif
