/* test_attention.c - attention: plain C compared with a softmax in double, the other sets compared with plain C, bit by
 * bit.
 *
 * Memory that a query must not read has bytes 0xff, which are NaN in every type (in q8_0 the scales are). So one read of it
 * makes the result NaN.
 */
#include "berth/kernels/attention.h"

#include "berth/kernels/isa.h"
#include "berth/base/half.h"
#include "every.h"

#include <stdarg.h>
#include <setjmp.h>

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#define PAGES 20 /* 1280 positions: two and a half splits */
#define POSITIONS (PAGES * ATTENTION_BLOCK)
#define QUERIES 64
#define SIZE_MAX_HERE 256

static uint32_t seed = 1;

static float dice(void)
{
    seed = seed * 1664525u + 1013904223u;
    return (float)(seed >> 8) / 8388608.0f - 1.0f;
}

/* A cache of one head, filled in positions from ... to - 1. */
struct cache {
    struct attention a;
    uint8_t *pages[PAGES];
    float keys[POSITIONS][SIZE_MAX_HERE], values[POSITIONS][SIZE_MAX_HERE];
};

static struct cache cache;
static float q[QUERIES][SIZE_MAX_HERE], out[QUERIES][SIZE_MAX_HERE];

static bool values_in_keys; /* of the next cache */

static void empty_cache(enum attention_type type, size_t head_dim_k, size_t head_dim_v, float softcap)
{
    size_t k_at = 128, v_at = k_at + attention_bytes(type, head_dim_k);
    size_t bytes = v_at; /* ends with the page: reading on is seen by ASan */
    if (!values_in_keys)
        bytes += attention_bytes(type, head_dim_v);
    cache.a = (struct attention){.type = type,
        .head_dim_k = head_dim_k,
        .head_dim_v = head_dim_v,
        .scale = 1.0f / sqrtf((float)head_dim_k),
        .softcap = softcap,
        .values_in_keys = values_in_keys,
        .pages = (const uint8_t *const *)cache.pages,
        .k_at = k_at,
        .v_at = v_at};
    for (size_t i = 0; i < PAGES; i++) {
        free(cache.pages[i]);
        cache.pages[i] = aligned_alloc(64, (bytes + 63) / 64 * 64);
        memset(cache.pages[i], 0xff, bytes);
    }
}

static void store(size_t from, size_t to)
{
    for (size_t i = from; i < to; i++)
        attention_store(
            &cache.a, cache.pages[i / ATTENTION_BLOCK], i % ATTENTION_BLOCK, cache.keys[i], cache.values[i]);
}

static void fill(enum attention_type type, size_t head_dim_k, size_t head_dim_v, float softcap)
{
    empty_cache(type, head_dim_k, head_dim_v, softcap);
    for (size_t i = 0; i < POSITIONS; i++)
        for (size_t d = 0; d < SIZE_MAX_HERE; d++) {
            cache.keys[i][d] = 2 * dice();
            cache.values[i][d] = dice();
        }
    for (size_t i = 0; i < QUERIES; i++)
        for (size_t d = 0; d < SIZE_MAX_HERE; d++)
            q[i][d] = 3 * dice();
}

static struct attention_query query(size_t i, uint32_t first, uint32_t end)
{
    return (struct attention_query){.q = q[i], .out = out[i], .first = first, .end = end};
}

/* A query with a slope (way 2, and 3 in the middle of its keys) or with a sink (3, and 4 above all scores). */
static struct attention_query special(struct attention_query of, size_t way)
{
    static const float sinks[] = {0.5f, 30.0f};
    of.slope = way == 2 ? 0.125f : way == 3 ? 0.0078f : 0.0f;
    of.position = way == 2 ? of.end - 1 : (of.first + of.end) / 2;
    of.sink = way >= 3 ? sinks + way - 3 : NULL;
    return of;
}

static void use(enum isa set)
{
    struct error err;
    assert_true(isa_select(isa_name(set), &err));
}

/* ---- the plain one ------------------------------------------------------------------------------------ */

/* Element d of a key or value as the cache keeps it. */
static double kept(const float *row, size_t size, size_t d)
{
    if (cache.a.type == ATTENTION_F32)
        return (double)row[d];
    if (cache.a.type == ATTENTION_F16)
        return (double)half_to_float(half_from_float(row[d]));
    float most = 0;
    for (size_t i = d / ATTENTION_GROUP * ATTENTION_GROUP; i < size && i / 32 == d / 32; i++)
        most = fmaxf(most, fabsf(row[i]));
    float scale = half_to_float(half_from_float(most / 127));
    return (double)scale * nearbyint((double)(row[d] / scale));
}

static double true_score(const struct attention_query *of, size_t position)
{
    double sum = 0, away = fabs((double)of->position - (double)position);
    for (size_t d = 0; d < cache.a.head_dim_k; d++)
        sum += (double)of->q[d] * kept(cache.keys[position], cache.a.head_dim_k, d);
    sum *= (double)cache.a.scale;
    double cap = (double)cache.a.softcap;
    return (cap > 0 ? cap * tanh(sum / cap) : sum) - (double)of->slope * away;
}

static void assert_true_attention(const struct attention_query *of)
{
    static double p[POSITIONS];
    double most = -INFINITY, sum = 0;
    for (uint32_t i = of->first; i < of->end; i++)
        most = fmax(most, p[i] = true_score(of, i));
    for (uint32_t i = of->first; i < of->end; i++)
        sum += p[i] = exp(p[i] - most);
    if (of->sink)
        sum += exp((double)*of->sink - most);
    for (size_t d = 0; d < cache.a.head_dim_v; d++) {
        double want = 0;
        for (uint32_t i = of->first; i < of->end; i++)
            want += p[i] / sum * kept(cache.values[i], cache.a.head_dim_v, d);
        if (!(fabs(want - (double)of->out[d]) < 2e-6))
            fail_msg("element %zu of keys %u to %u is %g, not %g", d, of->first, of->end, (double)of->out[d],
                want);
    }
}

static void test_plain_attention_is_a_softmax_over_the_keys_in_range(void **state)
{
    (void)state;
    static const uint32_t ranges[][2] = {
        {0, 1}, {0, 63}, {0, 64}, {0, 65}, {5, 6}, {63, 65}, {100, 300}, {500, 530}, {0, 1280}, {511, 1025}};
    use(ISA_PLAIN);
    for (int type = 0; type < ATTENTION_TYPES; type++)
        for (size_t way = 0; way < 5; way++)
            for (size_t i = 0; i < sizeof(ranges) / sizeof(*ranges); i++) {
                fill((enum attention_type)type, 40, 24, way == 1 ? 2.0f : 0.0f);
                store(ranges[i][0], ranges[i][1]);
                struct attention_query one = special(query(0, ranges[i][0], ranges[i][1]), way);
                attention_run(&cache.a, &one, 1);
                assert_true_attention(&one);
            }
}

/* ---- the others --------------------------------------------------------------------------------------- */

static void assert_same(const float *want, const float *got, size_t n, const char *what)
{
    if (memcmp(want, got, n * sizeof(*want)) == 0)
        return;
    for (size_t i = 0; i < n; i++)
        if (memcmp(want + i, got + i, sizeof(*want)) != 0)
            fail_msg("%s, %s, sizes %zu and %zu: element %zu is %a, not %a", isa_name(isa_selected()), what,
                cache.a.head_dim_k, cache.a.head_dim_v, i, (double)got[i], (double)want[i]);
}

/* Computes each query alone in plain C, with 0xff in all positions that it does not see, then all together with every
 * set. */
static void compare(const struct attention_query *queries, size_t n, const char *what)
{
    static float want[QUERIES][SIZE_MAX_HERE];
    use(ISA_PLAIN);
    for (size_t i = 0; i < n; i++) {
        empty_cache(cache.a.type, cache.a.head_dim_k, cache.a.head_dim_v, cache.a.softcap);
        store(queries[i].first, queries[i].end);
        attention_run(&cache.a, queries + i, 1);
        for (size_t d = 0; d < cache.a.head_dim_v; d++)
            assert_true(isfinite(out[i][d]));
        memcpy(want[i], out[i], sizeof(want[i]));
    }
    for (size_t i = 0; i < n; i++)
        store(queries[i].first, queries[i].end);
    for (int set = ISA_PLAIN; set < ISA_SETS; set++) {
        if (!isa_has((enum isa)set))
            continue;
        use((enum isa)set);
        memset(out, 0, sizeof(out));
        attention_run(&cache.a, queries, n);
        for (size_t i = 0; i < n; i++)
            assert_same(want[i], out[i], cache.a.head_dim_v, what);
        for (size_t i = 0; set != ISA_PLAIN && i < n; i += 7) {
            attention_run(&cache.a, queries + i, 1);
            assert_same(want[i], out[i], cache.a.head_dim_v, "one alone");
        }
    }
    use(ISA_PLAIN);
}

static const size_t sizes[][2] = {{1, 1}, {7, 7}, {16, 16}, {32, 32}, {64, 64}, {64, 80}, {80, 80}, {96, 96},
    {100, 33}, {128, 128}, {192, 128}, {256, 256}};
#define N_SIZES (sizeof(sizes) / sizeof(*sizes))

/* A chunk of a prompt: eight heads a token, each token one key more. */
static void test_every_set_gives_the_same_bits_for_a_prompt(void **state)
{
    (void)state;
    struct attention_query queries[QUERIES];
    for (size_t k = 0; k < N_SIZES; k++)
        for (unsigned type = 0; type < ATTENTION_TYPES; type++) {
            if ((k * ATTENTION_TYPES + type) % every() != 0)
                continue;
            fill((enum attention_type)type, sizes[k][0], sizes[k][1], 0.0f);
            for (uint32_t i = 0; i < 24; i++)
                queries[i] = query(i, 0, 61 + i / 3);
            compare(queries, 24, "prompt");
        }
}

/* Queries of every kind side by side: windows, short and long, that begin and end inside blocks and beyond
 * splits. */
static void test_every_set_gives_the_same_bits_for_any_ranges(void **state)
{
    (void)state;
    static const uint32_t ranges[][2] = {{0, 1}, {70, 71}, {0, 64}, {64, 128}, {10, 130}, {63, 65},
        {500, 520}, {511, 513}, {300, 700}, {0, 640}, {100, 110}, {1023, 1100}, {1200, 1280}, {640, 1025},
        {5, 9}};
    struct attention_query queries[QUERIES];
    const size_t n_ranges = sizeof(ranges) / sizeof(*ranges);
    for (size_t k = 0; k < N_SIZES; k += 2)
        for (size_t i = 0; i < 2 * ATTENTION_TYPES; i++) {
            size_t n = i % 2 ? 45 : 5;
            if ((k * ATTENTION_TYPES + i) % every() != 0)
                continue;
            fill((enum attention_type)(i / 2), sizes[k][0], sizes[k][1], n == 5 ? 0.0f : 3.0f);
            for (size_t j = 0; j < n; j++)
                queries[j] = special(query(j, ranges[j % n_ranges][0], ranges[j % n_ranges][1]), j % 5);
            compare(queries, n, "ranges");
        }
}

static void test_every_set_gives_the_same_bits_for_any_number_of_queries(void **state)
{
    (void)state;
    struct attention_query queries[QUERIES];
    for (size_t n = 1; n <= QUERIES; n += n < 16 ? 1 : 8) {
        for (unsigned type = 0; type < ATTENTION_TYPES; type++) {
            if ((n * ATTENTION_TYPES + type) % every() != 0)
                continue;
            fill((enum attention_type)type, 48, 64, 0.0f);
            for (uint32_t i = 0; i < n; i++)
                queries[i] = query(i, i % 5, 90 + i % 3);
            compare(queries, n, "number");
        }
    }
}

static void test_a_key_that_is_no_number_reaches_only_those_who_see_it(void **state)
{
    (void)state;
    for (int set = ISA_PLAIN; set < ISA_SETS; set++)
        for (size_t n = 2; n <= 38; n += 6) { /* each type with few and with many */
            struct attention_query queries[QUERIES];
            if (!isa_has((enum isa)set))
                continue;
            use((enum isa)set);
            fill((enum attention_type)(n / 6 % ATTENTION_TYPES), 64, 64, 0.0f);
            store(10, 100);
            for (uint32_t i = 0; i < n; i++)
                queries[i] = query(i, i == 1 ? 9 : 10 + i, i == 0 ? 101 : 100 - i);
            attention_run(&cache.a, queries, n);
            for (size_t i = 0; i < n; i++)
                for (size_t d = 0; d < 64; d++)
                    assert_int_equal(isnan(out[i][d]), i < 2);
        }
    use(ISA_PLAIN);
}

static void compare_largest(const struct attention *a)
{
    static float large[3][3][ATTENTION_HEAD_MAX], answers[40][ATTENTION_HEAD_MAX], want[ATTENTION_HEAD_MAX];
    for (size_t d = 0; d < ATTENTION_HEAD_MAX; d++)
        for (size_t i = 0; i < 9; i++)
            large[i / 3][i % 3][d] = dice();
    use(ISA_PLAIN);
    for (size_t j = 0; j < ATTENTION_BLOCK; j++)
        attention_store(a, (uint8_t *)(uintptr_t)a->pages[0], j, large[0][j % 3], large[1][j % 3]);
    for (int set = ISA_PLAIN; set < ISA_SETS; set++) {
        struct attention_query queries[40];
        if (!isa_has((enum isa)set))
            continue;
        use((enum isa)set);
        for (size_t i = 0; i < 40; i++)
            queries[i] = (struct attention_query){.q = large[2][0], .out = answers[i], .end = 64};
        attention_run(a, queries, 40);
        if (set == ISA_PLAIN)
            memcpy(want, answers[0], sizeof(want));
        for (size_t i = 0; i < 40; i++)
            assert_memory_equal(want, answers[i], sizeof(want));
        attention_run(a, queries, 1);
        assert_memory_equal(want, answers[0], sizeof(want));
    }
    use(ISA_PLAIN);
}

static void test_heads_of_the_largest_size_fit(void **state)
{
    (void)state;
    for (int type = 0; type < ATTENTION_TYPES; type++) {
        size_t bytes = attention_bytes((enum attention_type)type, ATTENTION_HEAD_MAX);
        uint8_t *page = aligned_alloc(64, 2 * bytes);
        const uint8_t *pages[] = {page};
        compare_largest(&(struct attention){.type = (enum attention_type)type,
            .head_dim_k = ATTENTION_HEAD_MAX,
            .head_dim_v = ATTENTION_HEAD_MAX,
            .scale = 0.01f,
            .pages = pages,
            .v_at = bytes});
        free(page);
    }
}

static void test_spans_merged_in_order_are_the_whole(void **state)
{
    (void)state;
    static float parts[3][QUERIES * (16 + SIZE_MAX_HERE)], whole[SIZE_MAX_HERE];
    static const uint32_t ranges[][2] = {{0, 1280}, {600, 601}, {100, 1100}, {511, 512}, {512, 513}};
    for (int i = 0; i < (int)ISA_SETS * (int)ATTENTION_TYPES; i++) {
        struct attention_query queries[5];
        enum isa set = (enum isa)(i / ATTENTION_TYPES);
        if (!isa_has(set))
            continue;
        use(set);
        seed = 9;
        fill((enum attention_type)(i % ATTENTION_TYPES), 20, 40, 0.0f);
        store(0, POSITIONS);
        for (size_t k = 0; k < 5; k++)
            queries[k] = special(query(k, ranges[k][0], ranges[k][1]), k);
        for (uint32_t s = 0; s < 3; s++)
            attention_split(&cache.a, queries, 5, s, parts[s]);
        for (size_t k = 0; k < 5; k++) {
            size_t stride = sizeof(parts[0]) / sizeof(float);
            attention_run(&cache.a, queries + k, 1);
            memcpy(whole, out[k], sizeof(whole));
            attention_merge(&cache.a, queries + k, parts[0] + k * attention_part_floats(&cache.a), 3, stride);
            assert_same(whole, out[k], cache.a.head_dim_v, "merged");
        }
    }
    use(ISA_PLAIN);
}

/* Groups of every kind: what is subnormal in float16, infinite, no number, nothing but zeros, too large for a scale;
 * and quotients that lie between two integers. */
static void make_odd(float *x, size_t n, size_t position)
{
    for (size_t d = 0; d < n; d++) {
        static const float factors[] = {1, 1e-7f, 1e-5f, 1e5f, 3e6f, 1e7f, 0, -0.0f};
        x[d] *= factors[(position + d / 32) % 8];
        if (position % 8 == 5 && d % 40 == 7)
            x[d] = d % 80 < 40 ? NAN : -INFINITY;
        if (position % 8 == 6)
            x[d] = d % 32 == 3 ? -127 : (float)(d % 251) - 125.5f;
    }
}

static void test_every_set_stores_the_same_bytes(void **state)
{
    (void)state;
    static const size_t some[] = {1, 7, 16, 17, 33, 80, 256};
    for (size_t k = 0; k < sizeof(some) / sizeof(*some) * ATTENTION_TYPES; k++) {
        enum attention_type type = (enum attention_type)(k % ATTENTION_TYPES);
        size_t size = some[k / ATTENTION_TYPES], bytes = 128 + 2 * attention_bytes(type, size);
        uint8_t *want = NULL;
        for (int set = ISA_PLAIN; set < ISA_SETS; set++) {
            if (!isa_has((enum isa)set))
                continue;
            use((enum isa)set);
            seed = 5;
            fill(type, size, size, 0.0f);
            for (size_t i = 0; i < ATTENTION_BLOCK; i++) {
                make_odd(cache.keys[i], size, i);
                make_odd(cache.values[i], size, i + 3);
            }
            store(1, 63);
            if (!want)
                want = memcpy(malloc(bytes), cache.pages[0], bytes);
            assert_memory_equal(want, cache.pages[0], bytes);
        }
        free(want);
    }
    use(ISA_PLAIN);
}

/* ---- q8_0 --------------------------------------------------------------------------------------------- */

/* Stores `x` as the key and value of position 5, and reads element d back from where attention.h says it lies: its
 * byte in *byte, the bits of its scale returned. The key and the value must be the same. */
static uint16_t stored(const float *x, size_t size, size_t d, int *byte)
{
    enum { AT = 5 };
    size_t groups = (size + 31) / 32;
    empty_cache(ATTENTION_Q8_0, size, size, 0.0f);
    attention_store(&cache.a, cache.pages[0], AT, x, x);
    const uint8_t *k = cache.pages[0] + cache.a.k_at, *v = cache.pages[0] + cache.a.v_at;
    uint16_t key_scale, value_scale;
    memcpy(&key_scale, k + 64 * size + 2 * (d / 32 * 64 + AT), sizeof(key_scale));
    memcpy(&value_scale, v + 64 * size + 2 * (AT * groups + d / 32), sizeof(value_scale));
    *byte = (int8_t)k[d * 64 + AT];
    assert_int_equal(*byte, (int8_t)v[AT * size + d]);
    assert_int_equal(key_scale, value_scale);
    return key_scale;
}

static void test_a_group_is_kept_as_bytes_and_their_scale(void **state)
{
    (void)state;
    /* A group of 32 that holds `most` and, at its end, x; 32 ones before it and a group of eight behind. */
    static const struct {
        float most, x;
        uint16_t scale; /* float16: 1 is 0x3c00 */
        int byte;
    } rows[] = {
        {127, 3, 0x3c00, 3},
        {-127, -127, 0x3c00, -127},
        {127, 2.5f, 0x3c00, 2}, /* ties to even */
        {127, -3.5f, 0x3c00, -4},
        {254, 2.5f, 0x4000, 1},
        {1, 1, 0x2008, 127}, /* 1 / 127 becomes 0x1.02p-7 */
        {1, 0.49999f, 0x2008, 64}, /* 63.503 of the rounded scale; 63.499 of the one before */
        {0, 0, 0, 0},
        {127 * 0x1p-26f, 127 * 0x1p-26f, 0, 0}, /* the scale becomes 0 */
        {180 * 0x1p-24f, -180 * 0x1p-24f, 1, -127}, /* 2^-24: no more than 127 of it */
        {127 * 65504.0f, 65504, 0x7bff, 1},
        {127 * 65520.0f, 1, 0x7e00, 0},
        {INFINITY, 1, 0x7e00, 0},
        {NAN, 1, 0x7e00, 0},
        {-NAN, 1e9f, 0x7e00, 0},
    };
    for (size_t i = 0; i < sizeof(rows) / sizeof(*rows); i++)
        for (int set = ISA_PLAIN; set < ISA_SETS; set++) {
            float x[72] = {0};
            int byte, other;
            if (!isa_has((enum isa)set))
                continue;
            use((enum isa)set);
            for (size_t d = 0; d < 32; d++)
                x[d] = 1;
            x[40] = rows[i].most;
            x[63] = rows[i].x;
            x[64] = x[71] = 127;
            uint16_t scale = stored(x, 72, 63, &byte);
            if (scale != rows[i].scale || byte != rows[i].byte)
                fail_msg("%s: %g beside %g is %d times %x, not %d times %x", isa_name((enum isa)set),
                    (double)rows[i].x, (double)rows[i].most, byte, scale, rows[i].byte, rows[i].scale);
            assert_int_equal(stored(x, 72, 31, &other), 0x2008);
            assert_int_equal(other, 127);
            assert_int_equal(stored(x, 72, 71, &other), 0x3c00);
            assert_int_equal(other, 127);
        }
    use(ISA_PLAIN);
}

static void test_types_have_names_and_sizes(void **state)
{
    (void)state;
    enum attention_type type = ATTENTION_F32;
    assert_true(attention_type_find("q8_0", &type));
    assert_int_equal(type, ATTENTION_Q8_0);
    assert_false(attention_type_find("q8", &type));
    assert_int_equal(type, ATTENTION_Q8_0);
    for (int i = 0; i < ATTENTION_TYPES; i++) {
        assert_true(attention_type_find(attention_type_name((enum attention_type)i), &type));
        assert_int_equal((int)type, i);
        for (size_t size = 1; size <= ATTENTION_HEAD_MAX; size++)
            assert_int_equal(attention_bytes(type, size) % 64, 0);
    }
    assert_int_equal(attention_bytes(ATTENTION_F16, 64), 64 * 64 * 2);
    assert_int_equal(attention_bytes(ATTENTION_F32, 64), 64 * 64 * 4);
    assert_int_equal(attention_bytes(ATTENTION_Q8_0, 64), 64 * (64 + 2 * 2));
    assert_int_equal(attention_bytes(ATTENTION_Q8_0, 65), 64 * (65 + 3 * 2));
}

/* Where values are the first elements of keys, the results are those of a cache that has them twice. */
static void test_values_in_keys_need_no_place_of_their_own(void **state)
{
    (void)state;
    static const size_t parts[][2] = {{64, 64}, {96, 64}, {100, 32}, {192, 128}, {40, 17}};
    static const size_t counts[] = {1, 5, 31};
    static float want[QUERIES][SIZE_MAX_HERE];
    for (int type = 0; type < ATTENTION_TYPES; type++)
        for (size_t i = 0; i < 5 - (type == ATTENTION_Q8_0); i++) /* whose groups of 32 must be the same */
            for (size_t n = 0; n < 3; n++) {
                struct attention_query queries[QUERIES];
                for (size_t j = 0; j < counts[n]; j++)
                    queries[j] = query(j, (uint32_t)j * 3, 700 + (uint32_t)j * 5);
                fill((enum attention_type)type, parts[i][0], parts[i][1], 0.0f);
                memcpy(cache.values, cache.keys, sizeof(cache.values));
                use(ISA_PLAIN);
                store(0, POSITIONS);
                attention_run(&cache.a, queries, counts[n]);
                memcpy(want, out, sizeof(want));
                values_in_keys = true;
                compare(queries, counts[n], "values in keys");
                values_in_keys = false;
                for (size_t j = 0; j < counts[n]; j++)
                    assert_same(want[j], out[j], parts[i][1], "as with values of their own");
            }
}

static int free_pages(void **state)
{
    (void)state;
    for (size_t i = 0; i < PAGES; i++)
        free(cache.pages[i]);
    return 0;
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_plain_attention_is_a_softmax_over_the_keys_in_range),
        cmocka_unit_test(test_every_set_gives_the_same_bits_for_a_prompt),
        cmocka_unit_test(test_every_set_gives_the_same_bits_for_any_ranges),
        cmocka_unit_test(test_every_set_gives_the_same_bits_for_any_number_of_queries),
        cmocka_unit_test(test_a_key_that_is_no_number_reaches_only_those_who_see_it),
        cmocka_unit_test(test_heads_of_the_largest_size_fit),
        cmocka_unit_test(test_spans_merged_in_order_are_the_whole),
        cmocka_unit_test(test_every_set_stores_the_same_bytes),
        cmocka_unit_test(test_a_group_is_kept_as_bytes_and_their_scale),
        cmocka_unit_test(test_values_in_keys_need_no_place_of_their_own),
        cmocka_unit_test(test_types_have_names_and_sizes),
    };
    return cmocka_run_group_tests(tests, NULL, free_pages);
}
