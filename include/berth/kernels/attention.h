/* attention.h - queries against cached keys and values.
 *
 * Keys and values lie in pages of 64 positions: page i of a sequence holds positions 64 i ... 64 i + 63.
 * Within a page the keys of one head lie transposed, [head_dim_k][64], and its values in rows, [64][head_dim_v], both
 * as float16, float32 or q8_0. So neither scores nor sums need anything added across lanes.
 *
 * With q8_0 an element is a signed byte q, and the elements of one key or value share a float16 scale by groups
 * of ATTENTION_GROUP, from the first on; the last group may be shorter. The scales follow the bytes: a key's as
 * [groups][64], a value's as [64][groups]. A number is scale * q, which is exact in float32. Storing a group:
 *  - m is its largest |x|; scale = m / 127, rounded to float32, then to float16, each time to the nearest, ties
 *    to the even one.
 *  - q = x / scale, by the scale as it is kept, rounded to float32 and then to an integer in the same way, and at
 *    most 127 to either side (which only a subnormal scale can exceed). Where the scale is 0 (m is below
 *    127 * 2^-25 or so), all q are 0.
 *  - Where a NaN or an infinity is among the x, or the scale is none that float16 has (m beyond 8.3 million), the
 *    scale is a NaN and all q are 0: the whole group is NaN.
 *
 * The bits of an answer depend on the query, its range of positions and the cache alone. For a query with
 * keys first ... end - 1:
 *  1. score[j] = the sum over d, in order, of q[d] * k[d][j], one fused multiply-add each from 0; times
 *     scale; with softcap c > 0: c * tanh(score / c).
 *  2. Blocks of 64 keys, which start at absolute multiples of 64, are visited in order, with a running
 *     maximum m, sum s and weighted values a[]: m' = max(m, the block's scores); c = exp(m - m') (0 at the
 *     first block); p[j] = exp(score[j] - m'); s = fma(s, c, the p summed over sixteen lanes and a tree as in
 *     vector.h, where lane j % 16 takes key j, and keys out of range count 0); a[d] = a[d] * c, then for each
 *     j in order fma(p[j], v[j][d], a[d]). Keys out of the query's range are not touched.
 *  3. Blocks are grouped into splits of ATTENTION_SPLIT positions, which start at absolute multiples of that.
 *     Each split begins anew as 2 says and leaves (m, s, a). Splits are merged in order into a running (M, S,
 *     A), the first taken as it is: M' = max(M, m), C = exp(M - M'), c = exp(m - M'), S = fma(S, C, s * c),
 *     A[d] = fma(A[d], C, a[d] * c). A part without a key is passed over. The result is A[d] / S.
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

/* "f16" and so on, and back; false when no type has the name. */
const char *attention_type_name(enum attention_type type);
bool attention_type_find(const char *name, enum attention_type *out);
/* Bytes in a page of one head's keys, or of its values, of so many elements each: a multiple of 64. */
size_t attention_bytes(enum attention_type type, size_t size);

/* One key-value head of one layer of one sequence. */
struct attention {
    enum attention_type type;
    size_t head_dim_k,
        head_dim_v; /* elements of a head's key and value; any number up to ATTENTION_HEAD_MAX */
    float scale;
    float softcap; /* 0 for none */
    const uint8_t *const *pages; /* [pages that the ranges reach], each aligned to 64 */
    /* Byte offsets, in each page, of this head's keys and values: attention_bytes of each, at multiples of 64. */
    size_t k_at, v_at;
};

/* One query head of one token. */
struct attention_query {
    const float *q; /* [head_dim_k] */
    float *out; /* [head_dim_v] */
    uint32_t first, end; /* the positions that it sees; first < end */
};

/* Writes one key and value, float32, to position `at` (0 to 63) of a page. */
void attention_store(const struct attention *a, uint8_t *page, size_t at, const float *k, const float *v);

/* Answers n queries that share this head, whole. They may see different ranges; neighbours that see nearly
 * the same are answered fastest, 48 of them at a time. A query that sees no key gets zeros. At most 192 KiB
 * of stack. */
void attention_run(const struct attention *a, const struct attention_query *queries, size_t n);

/* The same in two steps, so that threads can divide a long range: the part of every query that lies in one
 * split, parts[i * attention_part_floats(a)] for query i (empty where it sees nothing of it), and then the
 * merge of n_splits parts of one query, part s at parts + s * stride, in the order of splits. */
size_t attention_part_floats(const struct attention *a);
void attention_split(
    const struct attention *a, const struct attention_query *queries, size_t n, uint32_t split, float *parts);
void attention_merge(
    const struct attention *a, const float *parts, size_t n_splits, size_t stride, float *out);

#endif
