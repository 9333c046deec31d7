/* test_windows.c - pages behind a window are given back, and no byte of a result changes by that.
 *
 * The reference for logits is a sequence of a cache that does not know of the windows and keeps every page. Attention would
 * crash on a page that was given back, because its place in the list is NULL.
 */
#include "decoder_bench.h"

#include <stdlib.h>

#define PAGE ATTENTION_BLOCK

static const struct window {
    uint32_t size;
    bool chunked;
} windows[] = {{1, false}, {32, false}, {64, false}, {65, false}, {200, false}, {512, false}, {64, true},
    {100, true}, {256, true}};
#define WINDOWS (sizeof(windows) / sizeof(*windows))

struct fixture {
    struct kv_budget budget;
    struct kv_cache *cache;
};

static void open_cache(struct fixture *f, struct window w)
{
    const struct layer_state layers[] = {{.n_head_kv = 1, .head_dim_k = 8, .head_dim_v = 8},
        {.n_head_kv = 2, .head_dim_k = 16, .head_dim_v = 8, .window = w.size, .chunked = w.chunked},
        {.n_head_kv = 1, .head_dim_k = 8, .head_dim_v = 8, .window = w.size, .chunked = w.chunked}};
    *f = (struct fixture){.budget = {.limit = UINT64_MAX}};
    f->cache = kv_cache_new(&f->budget, ATTENTION_F16, layers, 3);
    assert_non_null(f->cache);
}

static void close_cache(struct fixture *f)
{
    assert_int_equal(kv_budget_used(&f->budget), 0);
    assert_int_equal(kv_cache_bytes(f->cache), 0);
    kv_cache_free(f->cache);
}

/* ---- pages ---- */

static size_t first_key(struct window w, size_t position)
{
    size_t first = w.chunked ? position / w.size * w.size : position < w.size ? 0 : position - w.size + 1;
    assert_int_equal(kv_first_key(w.size, w.chunked, position), first);
    return first;
}

/* Each page that queries of the positions from the length to before n see is there. */
static void assert_sees(const struct sequence *s, struct window w, size_t n)
{
    uint8_t *const *global = sequence_pages(s, KV_GLOBAL), *const *windowed = sequence_pages(s, KV_WINDOWED);
    for (size_t i = 0; i < n; i += PAGE)
        assert_non_null(global[i / PAGE]);
    for (size_t i = first_key(w, sequence_length(s)) / PAGE; i * PAGE < n; i++)
        assert_non_null(windowed[i]);
}

static void test_a_sequence_holds_what_its_window_reaches(void **state)
{
    (void)state;
    static const size_t steps[] = {1, 7, 64, 100, 300};
    for (size_t i = 0; i < WINDOWS; i++)
        for (size_t k = 0; k < sizeof(steps) / sizeof(*steps); k++) {
            struct fixture f;
            size_t most = 0, global = 0, end = 4000, step = steps[k];
            open_cache(&f, windows[i]);
            struct sequence *s = sequence_new(f.cache);
            for (size_t n = 0; n < end; sequence_advance(s, n)) {
                n = n + step < end ? n + step : end;
                assert_true(sequence_reserve(s, n));
                assert_sees(s, windows[i], n);
                assert_int_equal(sequence_bytes(s), kv_cache_bytes(f.cache));
                assert_true(sequence_bytes(s) <= kv_cache_bytes_for(f.cache, n, step));
                global = (n + PAGE - 1) / PAGE;
                size_t windowed =
                    (size_t)((sequence_bytes(s) - global * kv_cache_class_bytes(f.cache, KV_GLOBAL)) /
                             kv_cache_class_bytes(f.cache, KV_WINDOWED));
                most = windowed > most ? windowed : most;
            }
            assert_true(most <= windows[i].size / PAGE + 2 + (step + PAGE - 1) / PAGE);
            assert_true(most < global);
            sequence_free(s);
            close_cache(&f);
        }
}

static void test_without_windows_there_is_one_class(void **state)
{
    (void)state;
    struct fixture f;
    open_cache(&f, (struct window){0});
    assert_int_equal(kv_cache_class_bytes(f.cache, KV_WINDOWED), 0);
    assert_int_equal(kv_cache_class_bytes(f.cache, KV_GLOBAL), kv_cache_page_bytes(f.cache));
    assert_int_equal(kv_cache_bytes_for(f.cache, 1000, 1), 16 * kv_cache_page_bytes(f.cache));
    assert_int_equal(kv_cache_checkpoint_every(f.cache), 0);
    assert_int_equal(kv_cache_kept_page(f.cache, 100000), 0);
    close_cache(&f);
}

static void read_to(struct sequence *s, size_t n, size_t step)
{
    for (size_t at = sequence_length(s); at < n; sequence_advance(s, at)) {
        at = at + step < n ? at + step : n;
        assert_true(sequence_reserve(s, at));
    }
}

/* A page of the fork stays when the sequence gives it back. */
static void test_forks_and_cuts_reach_as_far_as_the_window(void **state)
{
    (void)state;
    struct fixture f;
    open_cache(&f, windows[4]);
    struct sequence *s = sequence_new(f.cache);
    read_to(s, 1000, 50);
    struct sequence *fork = sequence_fork(s, 999), *behind = sequence_fork(s, 700);
    assert_int_equal(sequence_length(fork), 999);
    assert_int_equal(sequence_length(behind), 0); /* its window is gone */
    sequence_free(behind);
    assert_true(sequence_reserve(fork, 1000));
    assert_sees(fork, windows[4], 1000);
    read_to(s, 2000, 50);
    assert_sees(fork, windows[4], 1000);
    assert_int_equal(sequence_cut(s, 1985), 1985);
    read_to(s, 2100, 50);
    assert_int_equal(sequence_cut(s, 1500), 0);
    assert_int_equal(sequence_bytes(s), 0);
    read_to(s, 10, 1);
    sequence_free(s);
    sequence_free(fork);
    close_cache(&f);
}

static void test_a_sequence_goes_on_with_the_windows_pages_of_another(void **state)
{
    (void)state;
    struct fixture f;
    open_cache(&f, windows[4]);
    struct sequence *s = sequence_new(f.cache), *t = sequence_new(f.cache);
    read_to(s, 1000, 40);
    size_t first = sequence_first_page(s);
    assert_in_range(first, 1, kv_cache_kept_page(f.cache, 1000));
    for (size_t i = 0; i < 16; i++)
        for (int k = 0; k < KV_CLASSES; k++) {
            uint8_t *page = sequence_hold_page(s, (enum kv_class)k, i);
            assert_true((page == NULL) == (k == KV_WINDOWED && i < first));
            assert_true(sequence_share_page(t, (enum kv_class)k, i, page));
            kv_cache_drop_page(f.cache, page);
        }
    sequence_resume(t, 1000, NULL);
    assert_int_equal(sequence_first_page(t), kv_cache_kept_page(f.cache, 1000));
    sequence_free(s);
    assert_true(sequence_reserve(t, 1100));
    assert_sees(t, windows[4], 1100);
    assert_int_equal(sequence_bytes(t), kv_cache_bytes(f.cache));
    sequence_free(t);
    close_cache(&f);
}

/* ---- logits ---- */

#define LONG 700

/* The same model with a cache that keeps everything. */
static float *read_keeping_all(struct bench *b, enum attention_type type)
{
    size_t n;
    const struct layer_state *layers = decoder_layer_states(b->decoder, &n);
    struct layer_state *all = calloc(n, sizeof(*all));
    assert_non_null(all);
    for (size_t i = 0; i < n; i++) {
        all[i] = layers[i];
        all[i].window = 0;
    }
    struct kv_cache *windowed = b->cache;
    b->cache = kv_cache_new(&b->budget, type, all, n);
    assert_int_equal(kv_cache_class_bytes(b->cache, KV_WINDOWED), 0);
    float *out = read_plainly(b, LONG, 512);
    kv_cache_free(b->cache);
    b->cache = windowed;
    free(all);
    return out;
}

static void check_chunks(struct bench *b, const float *expected, const char *what)
{
    static const size_t chunks[] = {1, 33, 64, 150, LONG};
    struct error err = {0};
    assert_true(isa_select("auto", &err));
    use_threads(b, 2);
    float *out = logits_for(LONG);
    for (size_t i = 0; i < sizeof(chunks) / sizeof(*chunks); i++) {
        struct sequence *s = sequence_new(b->cache);
        read_chunks(b, s, LONG, chunks[i], NULL, out);
        assert_same(out, expected, LONG, what);
        assert_true(sequence_bytes(s) <= kv_cache_bytes_for(b->cache, LONG, chunks[i]));
        struct sequence *fork = sequence_fork(s, LONG - 1); /* what the window reaches is there, */
        size_t from = sequence_length(fork);
        if (kv_cache_state_bytes(b->cache) == 0)
            assert_int_equal(from, LONG - 1);
        read_chunks(b, fork, LONG, 90, NULL, out); /* or all is computed again */
        assert_same(out, expected + from * TINY_VOCABULARY, LONG - from, what);
        sequence_free(fork);
        sequence_free(s);
    }
    free(out);
}

static void test_logits_are_those_of_a_sequence_that_keeps_everything(void **state)
{
    (void)state;
    static const struct tiny_edit windowed = {.key = "attention.sliding_window", .value = 40};
    static const struct {
        const char *arch;
        enum attention_type type;
        const struct tiny_edit *edit;
    } kinds[] = {{"gemma2", ATTENTION_F16, NULL}, {"gemma4", ATTENTION_F16, NULL},
        {"granite_swa", ATTENTION_Q8_0, NULL}, {"smallthinker", ATTENTION_F32, NULL},
        {"lfm2", ATTENTION_F16, &windowed}};
    for (size_t i = 0; i < sizeof(kinds) / sizeof(*kinds); i++) {
        struct bench b;
        bench_open_edited(&b, kinds[i].arch, kinds[i].type, kinds[i].edit);
        assert_true(kv_cache_class_bytes(b.cache, KV_WINDOWED) > 0);
        float *expected = read_keeping_all(&b, kinds[i].type);
        assert_lively(expected, LONG);
        check_chunks(&b, expected, kinds[i].arch);
        free(expected);
        bench_close(&b);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_a_sequence_holds_what_its_window_reaches),
        cmocka_unit_test(test_without_windows_there_is_one_class),
        cmocka_unit_test(test_forks_and_cuts_reach_as_far_as_the_window),
        cmocka_unit_test(test_a_sequence_goes_on_with_the_windows_pages_of_another),
        cmocka_unit_test(test_logits_are_those_of_a_sequence_that_keeps_everything),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
