/* test_attention.c - attention: the plain one against a softmax in double, the others against the plain one,
 * bit by bit.
 *
 * Whatever a query must not see is poison, bytes 0xff, which are NaN in either type: one touch and the answer
 * is NaN, too.
 */
#include "berth/attention.h"

#include "berth/cpu.h"
#include "berth/half.h"

#include <stdarg.h>
#include <setjmp.h>

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#define PAGES 20 /* 1280 positions: two and a half spans */
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

static void empty_cache(enum attention_type type, size_t k_size, size_t v_size, float softcap)
{
    size_t element = attention_type_bytes(type), k_at = 128, v_at = k_at + k_size * ATTENTION_BLOCK * element;
    size_t bytes =
        v_at + v_size * ATTENTION_BLOCK * element; /* ends with the page: reading on is seen by ASan */
    cache.a = (struct attention){.type = type,
        .k_size = k_size,
        .v_size = v_size,
        .scale = 1.0f / sqrtf((float)k_size),
        .softcap = softcap,
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

static void fill(enum attention_type type, size_t k_size, size_t v_size, float softcap)
{
    empty_cache(type, k_size, v_size, softcap);
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

static void use(enum cpu_set set)
{
    struct error err;
    assert_true(cpu_select(cpu_set_name(set), &err));
}

/* ---- the plain one ------------------------------------------------------------------------------------ */

static double kept(float x)
{
    return (double)(cache.a.type == ATTENTION_F16 ? half_to_float(half_from_float(x)) : x);
}

static double true_score(const float *of, size_t position)
{
    double sum = 0;
    for (size_t d = 0; d < cache.a.k_size; d++)
        sum += (double)of[d] * kept(cache.keys[position][d]);
    sum *= (double)cache.a.scale;
    double cap = (double)cache.a.softcap;
    return cap > 0 ? cap * tanh(sum / cap) : sum;
}

static void assert_true_attention(const struct attention_query *of)
{
    static double p[POSITIONS];
    double most = -INFINITY, sum = 0;
    for (uint32_t i = of->first; i < of->end; i++)
        most = fmax(most, p[i] = true_score(of->q, i));
    for (uint32_t i = of->first; i < of->end; i++)
        sum += p[i] = exp(p[i] - most);
    for (size_t d = 0; d < cache.a.v_size; d++) {
        double want = 0;
        for (uint32_t i = of->first; i < of->end; i++)
            want += p[i] / sum * kept(cache.values[i][d]);
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
    use(CPU_PLAIN);
    for (int type = ATTENTION_F16; type <= ATTENTION_F32; type++)
        for (int capped = 0; capped < 2; capped++)
            for (size_t i = 0; i < sizeof(ranges) / sizeof(*ranges); i++) {
                fill((enum attention_type)type, 40, 24, capped ? 2.0f : 0.0f);
                store(ranges[i][0], ranges[i][1]);
                struct attention_query one = query(0, ranges[i][0], ranges[i][1]);
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
            fail_msg("%s, %s, sizes %zu and %zu: element %zu is %a, not %a", cpu_set_name(cpu_selected()),
                what, cache.a.k_size, cache.a.v_size, i, (double)got[i], (double)want[i]);
}

/* Each query by itself in plain C, all that it does not see poison; then all together with every set. */
static void compare(const struct attention_query *queries, size_t n, const char *what)
{
    static float want[QUERIES][SIZE_MAX_HERE];
    use(CPU_PLAIN);
    for (size_t i = 0; i < n; i++) {
        empty_cache(cache.a.type, cache.a.k_size, cache.a.v_size, cache.a.softcap);
        store(queries[i].first, queries[i].end);
        attention_run(&cache.a, queries + i, 1);
        for (size_t d = 0; d < cache.a.v_size; d++)
            assert_true(isfinite(out[i][d]));
        memcpy(want[i], out[i], sizeof(want[i]));
    }
    for (size_t i = 0; i < n; i++)
        store(queries[i].first, queries[i].end);
    for (int set = CPU_PLAIN; set < CPU_SETS; set++) {
        if (!cpu_has((enum cpu_set)set))
            continue;
        use((enum cpu_set)set);
        memset(out, 0, sizeof(out));
        attention_run(&cache.a, queries, n);
        for (size_t i = 0; i < n; i++)
            assert_same(want[i], out[i], cache.a.v_size, what);
        for (size_t i = 0; set != CPU_PLAIN && i < n; i += 7) {
            attention_run(&cache.a, queries + i, 1);
            assert_same(want[i], out[i], cache.a.v_size, "one alone");
        }
    }
    use(CPU_PLAIN);
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
        for (int type = ATTENTION_F16; type <= ATTENTION_F32; type++) {
            fill((enum attention_type)type, sizes[k][0], sizes[k][1], 0.0f);
            for (uint32_t i = 0; i < 24; i++)
                queries[i] = query(i, 0, 61 + i / 3);
            compare(queries, 24, "prompt");
        }
}

/* Queries of every kind side by side: windows, short and long, that begin and end inside blocks and beyond
 * spans. */
static void test_every_set_gives_the_same_bits_for_any_ranges(void **state)
{
    (void)state;
    static const uint32_t ranges[][2] = {{0, 1}, {70, 71}, {0, 64}, {64, 128}, {10, 130}, {63, 65},
        {500, 520}, {511, 513}, {300, 700}, {0, 640}, {100, 110}, {1023, 1100}, {1200, 1280}, {640, 1025},
        {5, 9}};
    struct attention_query queries[QUERIES];
    const size_t n_ranges = sizeof(ranges) / sizeof(*ranges);
    for (size_t k = 0; k < N_SIZES; k += 2)
        for (size_t n = 5; n <= 45; n += 20) {
            fill(n == 25 ? ATTENTION_F32 : ATTENTION_F16, sizes[k][0], sizes[k][1], n == 5 ? 0.0f : 3.0f);
            for (size_t i = 0; i < n; i++)
                queries[i] = query(i, ranges[i % n_ranges][0], ranges[i % n_ranges][1]);
            compare(queries, n, "ranges");
        }
}

static void test_every_set_gives_the_same_bits_for_any_number_of_queries(void **state)
{
    (void)state;
    struct attention_query queries[QUERIES];
    for (size_t n = 1; n <= QUERIES; n += n < 16 ? 1 : 8) {
        fill(n % 2 ? ATTENTION_F16 : ATTENTION_F32, 48, 64, 0.0f);
        for (uint32_t i = 0; i < n; i++)
            queries[i] = query(i, i % 5, 90 + i % 3);
        compare(queries, n, "number");
    }
}

static void test_a_key_that_is_no_number_reaches_only_those_who_see_it(void **state)
{
    (void)state;
    for (int set = CPU_PLAIN; set < CPU_SETS; set++)
        for (size_t n = 2; n <= 32; n += 6) {
            struct attention_query queries[QUERIES];
            if (!cpu_has((enum cpu_set)set))
                continue;
            use((enum cpu_set)set);
            fill(n % 4 ? ATTENTION_F16 : ATTENTION_F32, 64, 64, 0.0f);
            store(10, 100);
            for (uint32_t i = 0; i < n; i++)
                queries[i] = query(i, i == 1 ? 9 : 10 + i, i == 0 ? 101 : 100 - i);
            attention_run(&cache.a, queries, n);
            for (size_t i = 0; i < n; i++)
                for (size_t d = 0; d < 64; d++)
                    assert_int_equal(isnan(out[i][d]), i < 2);
        }
    use(CPU_PLAIN);
}

static void test_heads_of_the_largest_size_fit(void **state)
{
    (void)state;
    static float large[3][3][ATTENTION_HEAD_MAX];
    uint8_t *page = aligned_alloc(64, ATTENTION_BLOCK * ATTENTION_HEAD_MAX * 4);
    const uint8_t *pages[] = {page};
    struct attention a = {.type = ATTENTION_F16,
        .k_size = ATTENTION_HEAD_MAX,
        .v_size = ATTENTION_HEAD_MAX,
        .scale = 0.01f,
        .pages = pages,
        .v_at = ATTENTION_BLOCK * ATTENTION_HEAD_MAX * 2};
    for (size_t d = 0; d < ATTENTION_HEAD_MAX; d++)
        for (size_t i = 0; i < 9; i++)
            large[i / 3][i % 3][d] = dice();
    use(CPU_PLAIN);
    for (size_t j = 0; j < ATTENTION_BLOCK; j++)
        attention_store(&a, page, j, large[0][j % 3], large[1][j % 3]);
    for (int set = CPU_PLAIN; set < CPU_SETS; set++) {
        struct attention_query queries[40];
        static float answers[40][ATTENTION_HEAD_MAX], want[ATTENTION_HEAD_MAX];
        if (!cpu_has((enum cpu_set)set))
            continue;
        use((enum cpu_set)set);
        for (size_t i = 0; i < 40; i++)
            queries[i] = (struct attention_query){.q = large[2][0], .out = answers[i], .end = 64};
        attention_run(&a, queries, 40);
        if (set == CPU_PLAIN)
            memcpy(want, answers[0], sizeof(want));
        for (size_t i = 0; i < 40; i++)
            assert_memory_equal(want, answers[i], sizeof(want));
    }
    use(CPU_PLAIN);
    free(page);
}

static void test_spans_merged_in_order_are_the_whole(void **state)
{
    (void)state;
    static float parts[3][QUERIES * (16 + SIZE_MAX_HERE)], whole[SIZE_MAX_HERE], merged[SIZE_MAX_HERE];
    static const uint32_t ranges[][2] = {{0, 1280}, {600, 601}, {100, 1100}, {511, 512}, {512, 513}};
    for (int set = CPU_PLAIN; set < CPU_SETS; set++) {
        struct attention_query queries[5];
        if (!cpu_has((enum cpu_set)set))
            continue;
        use((enum cpu_set)set);
        seed = 9;
        fill(ATTENTION_F16, 20, 40, 0.0f);
        store(0, POSITIONS);
        for (size_t i = 0; i < 5; i++)
            queries[i] = query(i, ranges[i][0], ranges[i][1]);
        for (uint32_t s = 0; s < 3; s++)
            attention_span(&cache.a, queries, 5, s, parts[s]);
        for (size_t i = 0; i < 5; i++) {
            size_t stride = sizeof(parts[0]) / sizeof(float);
            attention_run(&cache.a, queries + i, 1);
            memcpy(whole, out[i], sizeof(whole));
            attention_merge(&cache.a, parts[0] + i * attention_part_floats(&cache.a), 3, stride, merged);
            assert_same(whole, merged, cache.a.v_size, "merged");
        }
    }
    use(CPU_PLAIN);
}

static void test_every_set_stores_the_same_bytes(void **state)
{
    (void)state;
    static const size_t some[] = {1, 7, 16, 33, 80, 256};
    for (size_t k = 0; k < sizeof(some) / sizeof(*some); k++) {
        uint8_t *want = NULL;
        size_t bytes = 128 + 2 * some[k] * ATTENTION_BLOCK * 2;
        for (int set = CPU_PLAIN; set < CPU_SETS; set++) {
            if (!cpu_has((enum cpu_set)set))
                continue;
            use((enum cpu_set)set);
            seed = 5;
            fill(ATTENTION_F16, some[k], some[k], 0.0f);
            for (size_t d = 0; d < some[k]; d++) {
                cache.keys[3][d] *= 1e-7f; /* subnormal in float16, */
                cache.values[3][d] *= 1e5f; /* and infinite */
            }
            store(1, 63);
            if (!want)
                want = memcpy(malloc(bytes), cache.pages[0], bytes);
            assert_memory_equal(want, cache.pages[0], bytes);
        }
        free(want);
    }
    use(CPU_PLAIN);
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
    };
    return cmocka_run_group_tests(tests, NULL, free_pages);
}
