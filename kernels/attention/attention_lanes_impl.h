/* attention_lanes_impl.h - attention over sixteen lanes, a template for each instruction set.
 *
 * One file of each set includes it, after it has defined the size of a tile that fits the set's registers, and ends
 * with the set's table.
 *
 * Scores and weighted values are the same product. Rows of numbers are each multiplied by one number and added up in
 * order, for several queries at once:
 *     out[x] += left[y] * rows[y][x]
 * For scores a row is one element of the keys of 64 positions, left is q and out the scores. For values a row is the
 * value of one position, left is p and out the weighted values. product_tile does it for a few queries and a few
 * registers of columns.
 *
 * When few queries share a page, as when a token is generated, memory is the limit, and rows of float16 or bytes are
 * converted where they are used. When many queries share it, they are converted once, 64 by 64 numbers at a time, into
 * a panel that stays in L1. The scales of bytes are converted to float32 once for each page.
 */
#ifndef BERTH_ATTENTION_LANES_IMPL_H
#define BERTH_ATTENTION_LANES_IMPL_H

#include "attention_private.h"
#include "kernels/vector/lanes_math_impl.h"

#include <math.h>

#if !defined(TILE_QUERIES) || !defined(TILE_LANES)
#error "the file that includes this one defines the shape of a tile"
#endif

#define BLOCK ATTENTION_BLOCK
#define BLOCK_LANES (BLOCK / LANES)
#define GROUP 48 /* queries that go through a page together; their scores take 12 KiB */
#define FEW (2 * TILE_QUERIES) /* up to so many queries convert rows where they use them */
#define GROUPS_MAX (ATTENTION_HEAD_MAX / ATTENTION_GROUP)

/* Form of the numbers. A scale of bytes belongs to 32 rows of one column, or to 32 columns of one row. */
enum form { FLOATS, HALVES, BYTES_SCALED_DOWN, BYTES_SCALED_ALONG };

/* Rows in a page or in a panel. */
struct kv_rows {
    const uint8_t *at;
    size_t stride; /* from one row to the next, in numbers */
    enum form form;
    const float *scales; /* of bytes: [rows / 32][stride], or [rows][scale_stride] */
    size_t scale_stride;
};

/* What a query sees of the page: keys first ... end - 1. */
struct visible_keys {
    const struct attention_query *query;
    float *part;
    float own; /* attention_own */
    uint32_t first, end;
};

struct group {
    const struct attention *a;
    const uint8_t *page;
    struct visible_keys seen[GROUP];
    size_t n;
    _Alignas(64) float scores[GROUP][BLOCK];
    _Alignas(64) float panel[BLOCK * BLOCK];
    _Alignas(64) float scales[BLOCK * GROUPS_MAX]; /* of the keys, then of the values */
};

/* ---- the product -------------------------------------------------------------------------------------- */

/* Loads sixteen numbers from number i on, without their scales. */
LANES_INLINE struct lanes load_numbers(enum form form, const uint8_t *at, size_t i)
{
    if (form == FLOATS)
        return lanes_load((const float *)(const void *)at + i);
    if (form == HALVES)
        return lanes_load_half((const uint16_t *)(const void *)at + i);
    return lanes_load_int8((const int8_t *)at + i);
}

/* Multiplies numbers by their scales: those of row y and the columns from x on. */
LANES_INLINE struct lanes scaled(
    struct lanes numbers, struct kv_rows rows, enum form form, size_t y, size_t x)
{
    if (form == BYTES_SCALED_DOWN)
        return lanes_mul(numbers, lanes_load(rows.scales + y / ATTENTION_GROUP * rows.stride + x));
    if (form == BYTES_SCALED_ALONG)
        return lanes_mul(numbers, lanes_set(rows.scales[y * rows.scale_stride + x / ATTENTION_GROUP]));
    return numbers;
}

/* Loads sixteen numbers of row y from column x on, a multiple of sixteen. */
LANES_INLINE struct lanes load_row(struct kv_rows rows, enum form form, size_t y, size_t x)
{
    return scaled(load_numbers(form, rows.at, y * rows.stride + x), rows, form, y, x);
}

/* Adds left[q][y] * rows[y] to out[q], for y = first ... end - 1 in order, in 16 * `lanes` columns from `column` on.
 * When `queries` and `lanes` are constant the sums stay in registers. */
LANES_INLINE void product_tile(struct kv_rows rows, enum form form, size_t first, size_t end, size_t column,
    const float *const *left, float *const *out, size_t queries, size_t lanes)
{
    struct lanes sum[TILE_QUERIES][TILE_LANES];
#pragma GCC unroll 8
    for (size_t q = 0; q < queries; q++)
#pragma GCC unroll 8
        for (size_t x = 0; x < lanes; x++)
            sum[q][x] = lanes_load(out[q] + column + x * LANES);
    for (size_t y = first; y < end; y++) {
        struct lanes factor[TILE_QUERIES];
#pragma GCC unroll 8
        for (size_t q = 0; q < queries; q++)
            factor[q] = lanes_set(left[q][y]);
#pragma GCC unroll 8
        for (size_t x = 0; x < lanes; x++) {
            struct lanes row = load_row(rows, form, y, column + x * LANES);
#pragma GCC unroll 8
            for (size_t q = 0; q < queries; q++)
                sum[q][x] = lanes_fma(factor[q], row, sum[q][x]);
        }
    }
#pragma GCC unroll 8
    for (size_t q = 0; q < queries; q++)
#pragma GCC unroll 8
        for (size_t x = 0; x < lanes; x++)
            lanes_store(out[q] + column + x * LANES, sum[q][x]);
}

LANES_INLINE void product_columns(struct kv_rows rows, enum form form, size_t first, size_t end,
    size_t column, const float *const *left, float *const *out, size_t queries, size_t lanes)
{
    switch (queries) {
#if TILE_QUERIES >= 6
    case 6:
        product_tile(rows, form, first, end, column, left, out, 6, lanes);
        break;
#endif
#if TILE_QUERIES >= 5
    case 5:
        product_tile(rows, form, first, end, column, left, out, 5, lanes);
        break;
    case 4:
        product_tile(rows, form, first, end, column, left, out, 4, lanes);
        break;
#endif
    case 3:
        product_tile(rows, form, first, end, column, left, out, 3, lanes);
        break;
    case 2:
        product_tile(rows, form, first, end, column, left, out, 2, lanes);
        break;
    default:
        product_tile(rows, form, first, end, column, left, out, 1, lanes);
        break;
    }
}

LANES_INLINE void product_of_form(struct kv_rows rows, enum form form, size_t first, size_t end,
    const float *const *left, float *const *out, size_t queries, size_t width)
{
    size_t x = 0;
    for (; x + TILE_LANES * LANES <= width; x += TILE_LANES * LANES)
        product_columns(rows, form, first, end, x, left, out, queries, TILE_LANES);
    for (; x < width; x += LANES)
        product_columns(rows, form, first, end, x, left, out, queries, 1);
}

/* For 1 to TILE_QUERIES queries and `width` columns, a multiple of sixteen. */
static __attribute__((noinline)) void product(struct kv_rows rows, size_t first, size_t end,
    const float *const *left, float *const *out, size_t queries, size_t width)
{
    switch (rows.form) {
    case FLOATS:
        product_of_form(rows, FLOATS, first, end, left, out, queries, width);
        break;
    case HALVES:
        product_of_form(rows, HALVES, first, end, left, out, queries, width);
        break;
    case BYTES_SCALED_DOWN:
        product_of_form(rows, BYTES_SCALED_DOWN, first, end, left, out, queries, width);
        break;
    case BYTES_SCALED_ALONG:
        product_of_form(rows, BYTES_SCALED_ALONG, first, end, left, out, queries, width);
        break;
    }
}

/* The keys or values of a page. `bytes` is their form when they are bytes. */
static struct kv_rows rows_of_page(struct group *g, size_t at, size_t size, size_t stride, enum form bytes)
{
    static const enum form forms[ATTENTION_TYPES] = {[ATTENTION_F32] = FLOATS, [ATTENTION_F16] = HALVES};
    struct kv_rows rows = {.at = g->page + at, .stride = stride, .form = forms[g->a->type]};
    if (g->a->type != ATTENTION_Q8_0)
        return rows;
    const uint16_t *scales = (const uint16_t *)(const void *)(rows.at + attention_scales_at(size));
    rows.form = bytes;
    rows.scales = g->scales;
    rows.scale_stride = attention_groups(size);
    for (size_t i = 0; i < rows.scale_stride * BLOCK; i += LANES)
        lanes_store(g->scales + i, lanes_load_half(scales + i));
    return rows;
}

/* ---- panels ------------------------------------------------------------------------------------------- */

/* Loads n < 16 numbers as load_row does, followed by zeros, and reads no byte after them. */
static struct lanes load_row_end(struct kv_rows rows, size_t y, size_t x, size_t n)
{
    size_t size = rows.form == FLOATS ? sizeof(float) : rows.form == HALVES ? sizeof(uint16_t) : 1;
    _Alignas(64) uint8_t whole[LANES * sizeof(float)] = {0};
    memcpy(whole, rows.at + (y * rows.stride + x) * size, n * size);
    return scaled(load_numbers(rows.form, whole, 0), rows, rows.form, y, x);
}

/* Converts columns x ... x + width - 1 of the rows first ... end - 1 to float32, padded with zeros to whole vectors. */
static struct kv_rows fill_panel(
    float *panel, struct kv_rows from, size_t first, size_t end, size_t x, size_t width)
{
    for (size_t y = first; y < end; y++)
        for (size_t i = 0; i < width; i += LANES) {
            size_t left = width - i;
            struct lanes row =
                left < LANES ? load_row_end(from, y, x + i, left) : load_row(from, from.form, y, x + i);
            lanes_store(panel + (y - first) * BLOCK + i, row);
        }
    return (struct kv_rows){.at = (const uint8_t *)panel, .stride = BLOCK, .form = FLOATS};
}

/* The same with rows and columns exchanged: row y of the panel is column y of the rows x ... x + width - 1. */
static struct kv_rows fill_turned_panel(
    float *panel, struct kv_rows from, size_t first, size_t end, size_t x, size_t width)
{
    _Alignas(64) float row[LANES];
    for (size_t i = 0; i < width; i++)
        for (size_t y = first / LANES * LANES; y < end; y += LANES) {
            lanes_store(row, load_row(from, from.form, x + i, y));
            for (size_t j = 0; j < LANES; j++)
                panel[(y + j) * BLOCK + i] = row[j];
        }
    for (size_t y = first; y < end; y++)
        for (size_t i = width; i % LANES != 0; i++)
            panel[y * BLOCK + i] = 0.0f;
    return (struct kv_rows){.at = (const uint8_t *)panel, .stride = BLOCK, .form = FLOATS};
}

/* ---- keys --------------------------------------------------------------------------------------------- */

/* Adds q[d] * k[d] for d = from ... from + count - 1 to the scores of all queries. `keys` begins at
 * `from`. */
static void add_scores(struct group *g, struct kv_rows keys, size_t from, size_t count, size_t width)
{
    const float *left[TILE_QUERIES];
    float *out[TILE_QUERIES];
    for (size_t i = 0; i < g->n; i += TILE_QUERIES) {
        size_t queries = g->n - i < TILE_QUERIES ? g->n - i : TILE_QUERIES;
        for (size_t q = 0; q < queries; q++) {
            left[q] = g->seen[i + q].query->q + from;
            out[q] = g->scores[i + q];
        }
        product(keys, 0, count, left, out, queries, width);
    }
}

static void score(struct group *g)
{
    const struct attention *a = g->a;
    struct kv_rows keys = rows_of_page(g, a->k_at, a->head_dim_k, BLOCK, BYTES_SCALED_DOWN);
    uint32_t end = 0;
    for (size_t i = 0; i < g->n; i++)
        end = g->seen[i].end > end ? g->seen[i].end : end;
    size_t width = (end + LANES - 1) / LANES * LANES;
    memset(g->scores, 0, g->n * sizeof(g->scores[0]));
    if (a->type == ATTENTION_F32 || g->n <= FEW) {
        add_scores(g, keys, 0, a->head_dim_k, width);
        return;
    }
    for (size_t d = 0; d < a->head_dim_k; d += BLOCK) {
        size_t count = a->head_dim_k - d < BLOCK ? a->head_dim_k - d : BLOCK;
        add_scores(g, fill_panel(g->panel, keys, d, d + count, 0, width), d, count, width);
    }
}

/* ---- softmax ------------------------------------------------------------------------------------------ */

/* Keeps x in the lanes of the keys that the query sees, and sets `outside` in the others. Vector `i` begins at key
 * 16 i. */
LANES_INLINE struct lanes only_seen(struct lanes x, float outside, size_t i, const struct visible_keys *s)
{
    size_t begin = i * LANES;
    if (s->first > begin)
        x = lanes_first(lanes_set(outside), x, s->first - begin);
    if (s->end < begin + LANES)
        x = lanes_first(x, lanes_set(outside), s->end > begin ? s->end - begin : 0);
    return x;
}

/* Adds the slope times the distance to the scores of vector `i`. */
static struct lanes with_distance(struct lanes scores, size_t i, const struct visible_keys *s)
{
    static const float numbers[LANES] = {0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15};
    struct lanes key = lanes_add(lanes_load(numbers), lanes_set((float)(i * LANES)));
    struct lanes distance = lanes_without_sign(lanes_sub(lanes_set(s->own), key));
    return lanes_fma(lanes_set(-s->query->slope), distance, scores);
}

/* Turns one query's scores into weights p, and scales its part to the new maximum. */
static void weigh(const struct attention *a, const struct visible_keys *s, float *scores)
{
    struct lanes p[BLOCK_LANES], most = lanes_set(-INFINITY), sum = lanes_set(0.0f);
#pragma GCC unroll 4
    for (size_t i = 0; i < BLOCK_LANES; i++) {
        p[i] = lanes_mul(lanes_load(scores + i * LANES), lanes_set(a->scale));
        if (a->softcap > 0)
            p[i] = lanes_mul(lanes_set(a->softcap), lanes_tanh(lanes_div(p[i], lanes_set(a->softcap))));
        if (s->query->slope != 0)
            p[i] = with_distance(p[i], i, s);
        most = lanes_max(only_seen(p[i], -INFINITY, i, s), most);
    }
    float before = s->part[ATTENTION_PART_M], m = lanes_most(most);
    m = m > before ? m : before;
#pragma GCC unroll 4
    for (size_t i = 0; i < BLOCK_LANES; i++) {
        p[i] = only_seen(lanes_exp(lanes_sub(p[i], lanes_set(m))), 0.0f, i, s);
        sum = lanes_add(sum, p[i]);
        lanes_store(scores + i * LANES, p[i]);
    }
    float *part = s->part, c = 0.0f;
    if (part[ATTENTION_PART_S] != 0)
        c = lanes_lowest(lanes_exp(lanes_set(before - m)));
    part[ATTENTION_PART_M] = m;
    part[ATTENTION_PART_S] = __builtin_fmaf(part[ATTENTION_PART_S], c, lanes_sum(sum));
    if (c == 1.0f) /* usual: the maximum did not change */
        return;
    for (size_t d = ATTENTION_PART_VALUES; d < ATTENTION_PART_VALUES + a->head_dim_v; d += LANES)
        lanes_store(part + d, lanes_mul(lanes_load(part + d), lanes_set(c)));
}

/* ---- values ------------------------------------------------------------------------------------------- */

/* Adds p[j] * v[j] for the keys first ... end - 1 to columns x ... x + width - 1 of some queries. Row 0 of
 * `values` belongs to key 0. */
static void add_range(struct group *g, struct kv_rows values, size_t from, size_t queries, size_t x,
    size_t width, uint32_t first, uint32_t end)
{
    const float *left[TILE_QUERIES];
    float *out[TILE_QUERIES];
    if (first >= end)
        return;
    for (size_t q = 0; q < queries; q++) {
        left[q] = g->scores[from + q];
        out[q] = g->seen[from + q].part + ATTENTION_PART_VALUES + x;
    }
    product(values, first, end, left, out, queries, width);
}

/* Queries may see different keys of a page. The keys that all queries see are added for all of them together; the keys
 * before and after these are added for each query alone. */
static void add_values(struct group *g, struct kv_rows values, size_t x, size_t width)
{
    for (size_t i = 0; i < g->n; i += TILE_QUERIES) {
        size_t queries = g->n - i < TILE_QUERIES ? g->n - i : TILE_QUERIES;
        const struct visible_keys *seen = g->seen + i;
        uint32_t first = 0, end = BLOCK;
        for (size_t q = 0; q < queries; q++) {
            first = seen[q].first > first ? seen[q].first : first;
            end = seen[q].end < end ? seen[q].end : end;
        }
        end = end > first ? end : first;
        for (size_t q = 0; q < queries; q++)
            add_range(
                g, values, i + q, 1, x, width, seen[q].first, first < seen[q].end ? first : seen[q].end);
        add_range(g, values, i, queries, x, width, first, end);
        for (size_t q = 0; q < queries; q++)
            add_range(g, values, i + q, 1, x, width, end > seen[q].first ? end : seen[q].first, seen[q].end);
    }
}

static void sum_values(struct group *g)
{
    const struct attention *a = g->a;
    bool turned = a->values_in_keys;
    struct kv_rows values = turned
                                ? rows_of_page(g, a->k_at, a->head_dim_k, BLOCK, BYTES_SCALED_DOWN)
                                : rows_of_page(g, a->v_at, a->head_dim_v, a->head_dim_v, BYTES_SCALED_ALONG);
    if (!turned && a->head_dim_v % LANES == 0 && (a->type == ATTENTION_F32 || g->n <= FEW)) {
        add_values(g, values, 0, a->head_dim_v);
        return;
    }
    uint32_t first = BLOCK, end = 0;
    for (size_t i = 0; i < g->n; i++) {
        first = g->seen[i].first < first ? g->seen[i].first : first;
        end = g->seen[i].end > end ? g->seen[i].end : end;
    }
    for (size_t x = 0; x < a->head_dim_v; x += BLOCK) {
        size_t width = a->head_dim_v - x < BLOCK ? a->head_dim_v - x : BLOCK;
        struct kv_rows panel = turned ? fill_turned_panel(g->panel, values, first, end, x, width)
                                      : fill_panel(g->panel + first * BLOCK, values, first, end, x, width);
        panel.at = (const uint8_t *)g->panel; /* so that row 0 of the panel is key 0, too */
        add_values(g, panel, x, (width + LANES - 1) / LANES * LANES);
    }
}

/* ---- splits -------------------------------------------------------------------------------------------- */

static void one_page(
    struct group *g, const struct attention_query *queries, size_t n, uint32_t page, float *parts)
{
    uint32_t begin = page * BLOCK;
    g->n = 0;
    for (size_t i = 0; i < n; i++) {
        uint32_t first = begin, end = begin + BLOCK;
        attention_clip(queries + i, &first, &end);
        if (first < end)
            g->seen[g->n++] = (struct visible_keys){.query = queries + i,
                .part = parts + i * attention_part_floats(g->a),
                .own = attention_own(queries + i, page),
                .first = first - begin,
                .end = end - begin};
    }
    if (g->n == 0)
        return;
    g->page = g->a->pages[page];
    score(g);
    for (size_t i = 0; i < g->n; i++)
        weigh(g->a, g->seen + i, g->scores[i]);
    sum_values(g);
}

static void split_of_group(
    struct group *g, const struct attention_query *queries, size_t n, uint32_t split, float *parts)
{
    size_t size = attention_part_floats(g->a);
    uint32_t first = UINT32_MAX, end = 0;
    for (size_t i = 0; i < n; i++) {
        uint32_t begin = split * ATTENTION_SPLIT, stop = begin + ATTENTION_SPLIT;
        attention_clip(queries + i, &begin, &stop);
        memset(parts + i * size, 0, size * sizeof(*parts));
        parts[i * size + ATTENTION_PART_M] = -INFINITY;
        if (begin >= stop)
            continue;
        first = begin < first ? begin : first;
        end = stop > end ? stop : end;
    }
    for (uint32_t page = first / BLOCK; page * BLOCK < end; page++)
        one_page(g, queries, n, page, parts);
}

static void split(
    const struct attention *a, const struct attention_query *queries, size_t n, uint32_t number, float *parts)
{
    struct group g ATTENTION_UNINITIALIZED;
    g.a = a;
    for (size_t i = 0; i < n; i += GROUP)
        split_of_group(
            &g, queries + i, n - i < GROUP ? n - i : GROUP, number, parts + i * attention_part_floats(a));
}

static void merge(const struct attention *a, float *running, const float *part)
{
    float before = running[ATTENTION_PART_M], other = part[ATTENTION_PART_M];
    float m = other > before ? other : before;
    struct lanes scale = lanes_exp(lanes_set(before - m)), other_scale = lanes_exp(lanes_set(other - m));
    running[ATTENTION_PART_M] = m;
    running[ATTENTION_PART_S] = __builtin_fmaf(
        running[ATTENTION_PART_S], lanes_lowest(scale), part[ATTENTION_PART_S] * lanes_lowest(other_scale));
    for (size_t d = ATTENTION_PART_VALUES; d < ATTENTION_PART_VALUES + a->head_dim_v; d += LANES) {
        struct lanes more = lanes_mul(lanes_load(part + d), other_scale);
        lanes_store(running + d, lanes_fma(lanes_load(running + d), scale, more));
    }
}

static void narrow(uint16_t *out, const float *x, size_t n)
{
    for (size_t i = 0; i < n; i += LANES) {
        uint16_t whole[LANES];
        size_t left = n - i < LANES ? n - i : LANES;
        lanes_store_half(whole, lanes_load_part(x + i, left));
        memcpy(out + i, whole, left * sizeof(*whole));
    }
}

/* Quantizes one group of n numbers, as attention.h says. */
static void quantize_group(int8_t *out, uint16_t *scale, const float *x, size_t n)
{
    const struct lanes infinite = lanes_set(INFINITY), least = lanes_set(-127.0f), most = lanes_set(127.0f);
    struct lanes part[ATTENTION_GROUP / LANES], largest = lanes_set(0.0f);
    int8_t whole[ATTENTION_GROUP] = {0};
    float step;
    for (size_t i = 0; i < ATTENTION_GROUP / LANES; i++) {
        part[i] = n > i * LANES ? lanes_load_part(x + i * LANES, n - i * LANES) : lanes_set(0.0f);
        struct lanes size = lanes_without_sign(part[i]);
        largest =
            lanes_max(lanes_less(size, infinite, size, infinite), largest); /* a NaN counts as infinite */
    }
    *scale = attention_scale(lanes_most(largest), &step);
    for (size_t i = 0; step > 0 && i < ATTENTION_GROUP / LANES; i++) {
        struct lanes q = lanes_div(part[i], lanes_set(step));
        lanes_store_int8(whole + i * LANES, lanes_max(least, lanes_less(q, most, q, most)));
    }
    memcpy(out, whole, n);
}

static void quantize(int8_t *out, uint16_t *scales, const float *x, size_t n)
{
    for (size_t i = 0; i < n; i += ATTENTION_GROUP)
        quantize_group(out + i, scales++, x + i, n - i < ATTENTION_GROUP ? n - i : ATTENTION_GROUP);
}

#endif
