/* test_prefix_windows.c - the prefix cache of a model with windows: its nodes give windowed pages back, and a request goes
 * on where those that it needs are there, or computes them again. Answers are compared with those of requests that do not
 * use the cache.
 */
#include "berth/kernels/isa.h"

#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <setjmp.h>

#include <sched.h>
#include <unistd.h>

#include <cmocka.h>

#include "engine/scheduler/prefix_private.h"

#include "asking.h"

#define PATIENCE 300 /* seconds that the whole program may take */
#define LONG 1500 /* tokens: 24 pages */
#define WINDOWED 1 /* the rig's model with windows of 32 tokens */

static struct asked wanted[8], got[8], first; /* large: not for the stack */
static int32_t text[MOST], another[MOST];

static struct job_request ask_for(const struct rig *r, const int32_t *ids, size_t n, size_t max_tokens)
{
    struct job_request q = request(r, ids, n, max_tokens);
    q.model = &r->m[WINDOWED]->served;
    return q;
}

/* Asks for a text that parts from the long one after `same` tokens. Returns how many of its tokens were cached. */
static size_t cached_of(struct rig *r, size_t same, size_t n, uint32_t seed)
{
    fill(another, LONG, 1);
    fill(another + same, n - same, seed);
    struct job_request q = ask_for(r, another, n, 20);
    ask_alone(r, &got[0], &q);
    ask_without(r, &wanted[0], q);
    assert_same(&got[0], &wanted[0]);
    return got[0].usage.cached_tokens;
}

static uint64_t idle_bytes(const struct rig *r, size_t global, size_t windowed)
{
    const struct kv_cache *c = r->m[WINDOWED]->cache;
    return global * kv_cache_class_bytes(c, KV_GLOBAL) + windowed * kv_cache_class_bytes(c, KV_WINDOWED);
}

static uint64_t kv_bytes(const struct rig *r)
{
    const struct model_metrics *m = &r->m[WINDOWED]->served.metrics;
    while (atomic_load(&m->kv_bytes) != atomic_load(&m->prefix_bytes))
        sched_yield(); /* until the request's own pages are gone */
    return atomic_load(&m->kv_bytes);
}

static void test_a_long_text_leaves_few_windowed_pages(void **state)
{
    (void)state;
    struct rig r;
    rig_start(&r, &usual);
    fill(text, LONG, 1);
    struct job_request q = ask_for(&r, text, LONG, 130);
    ask_alone(&r, &first, &q);
    size_t computed = (LONG + 129 + 63) / 64;
    /* Of a window's 2 pages: before the end, the prompt's end and a checkpoint for each power of two; and the last page. */
    uint64_t bytes = kv_bytes(&r);
    assert_true(bytes >= idle_bytes(&r, computed, 4));
    assert_true(bytes <= idle_bytes(&r, computed, 2 * (2 + 3) + 1));
    rig_stop(&r);
}

static void test_a_request_goes_on_where_the_window_is_there_or_reads_again(void **state)
{
    (void)state;
    struct rig r;
    rig_start(&r, &usual);
    fill(text, LONG, 1);
    struct job_request q = ask_for(&r, text, LONG, 310);
    ask_alone(&r, &first, &q);
    assert_int_equal(first.usage.cached_tokens, 0);
    /* The same prompt goes on at its end, the next turn at the answer's. */
    ask_alone(&r, &got[0], &q);
    assert_int_equal(got[0].usage.cached_tokens, LONG - 1);
    assert_same(&got[0], &first);
    memcpy(text + LONG, first.said[0], 310 * sizeof(*text));
    fill(text + LONG + 310, 50, 9);
    q = ask_for(&r, text, LONG + 360, 5);
    ask_alone(&r, &got[0], &q);
    assert_int_equal(got[0].usage.cached_tokens, LONG + 309);
    ask_without(&r, &wanted[0], q);
    assert_same(&got[0], &wanted[0]);
    /* A text that parts behind pages that were given back begins at a checkpoint before. What it computed again is there
     * for the next one that parts at the same place. */
    static const size_t places[] = {700, 1000, 300, 64, 150};
    size_t again = 0;
    for (uint32_t i = 0; i < sizeof(places) / sizeof(*places); i++) {
        size_t cached = cached_of(&r, places[i], places[i] + 40, 20 + i);
        again += cached < places[i] - PREFIX_LEAST;
        assert_true(cached <= places[i]);
        assert_int_equal(cached_of(&r, places[i], places[i] + 50, 40 + i), places[i]);
    }
    assert_true(again > 0);
    rig_stop(&r);
}

static void test_a_prompt_that_others_are_reading_is_read_once(void **state)
{
    (void)state;
    struct rig r;
    struct engine_options o = usual;
    o.chunk = 128;
    rig_start(&r, &o);
    const struct model_metrics *m = &r.m[WINDOWED]->served.metrics;
    fill(another, 1, 1);
    struct job_request q = ask_for(&r, another, 1, 2);
    ask_held(&first, &q, true);
    uint64_t before = atomic_load(&m->forward_rows);
    for (size_t i = 0; i < 6; i++) { /* then each its own way */
        fill(another, 700, 4);
        fill(another + 640, 60, 50 + (uint32_t)i);
        q = ask_for(&r, another, 700, 3);
        ask(&got[i], &q);
    }
    let_go(&first);
    finish(&first);
    for (size_t i = 0; i < 6; i++)
        finish(&got[i]);
    assert_int_equal(atomic_load(&m->forward_rows) - before, 1 + 640 + 6 * (60 + 2));
    for (size_t i = 0; i < 6; i++) {
        assert_int_equal(got[i].usage.cached_tokens, i == 0 ? 0 : 640);
        fill(another, 700, 4);
        fill(another + 640, 60, 50 + (uint32_t)i);
        ask_without(&r, &wanted[i], ask_for(&r, another, 700, 3));
        assert_same(&got[i], &wanted[i]);
    }
    rig_stop(&r);
}

/* The memory for it suffices where each page counts once in each class, and not when it keeps all. */
static void test_a_long_text_fits_into_what_its_window_needs(void **state)
{
    (void)state;
    struct rig r;
    rig_start(&r, &usual);
    const struct kv_cache *c = r.m[WINDOWED]->cache;
    fill(text, LONG, 2);
    struct job_request q = ask_for(&r, text, LONG, 100);
    ask_without(&r, &wanted[0], q);
    uint64_t limit = kv_cache_bytes_for(c, LONG + 100, usual.chunk);
    assert_true(limit < 25 * kv_cache_page_bytes(c) * 3 / 4);
    engine_budget(r.e)->limit = limit;
    for (int i = 0; i < 3; i++) {
        ask_alone(&r, &got[0], &q);
        assert_int_equal(got[0].result, RESULT_OK);
        assert_same(&got[0], &wanted[0]);
    }
    assert_int_equal(atomic_load(&r.m[WINDOWED]->served.metrics.preemptions), 0);
    rig_stop(&r);
}

/* Where no page is idle, windowed pages of nodes in use are dropped before a slot is preempted. */
static void test_choices_of_a_long_prompt_share_it(void **state)
{
    (void)state;
    struct rig r;
    rig_start(&r, &usual);
    fill(text, 1000, 3);
    struct job_request q = ask_for(&r, text, 1000, 70);
    q.n_choices = CHOICES;
    ask_without(&r, &wanted[0], q);
    for (int i = 0; i < 2; i++) {
        ask_alone(&r, &got[0], &q);
        assert_int_equal(got[0].usage.cached_tokens, i == 0 ? 0 : 999);
        assert_same(&got[0], &wanted[0]);
    }
    const struct kv_cache *c = r.m[WINDOWED]->cache;
    engine_budget(r.e)->limit = kv_cache_bytes_for(c, 1000 + 70, usual.chunk) + 5 * kv_cache_page_bytes(c);
    ask_alone(&r, &got[0], &q);
    assert_same(&got[0], &wanted[0]);
    rig_stop(&r);
}

int main(int argc, char **argv)
{
    struct error err = {0};
    if (!isa_select("auto", &err))
        return 1;
    alarm(PATIENCE);
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_a_long_text_leaves_few_windowed_pages),
        cmocka_unit_test(test_a_request_goes_on_where_the_window_is_there_or_reads_again),
        cmocka_unit_test(test_a_prompt_that_others_are_reading_is_read_once),
        cmocka_unit_test(test_a_long_text_fits_into_what_its_window_needs),
        cmocka_unit_test(test_choices_of_a_long_prompt_share_it),
    };
    cmocka_set_test_filter(argc > 1 ? argv[1] : NULL);
    return cmocka_run_group_tests(tests, NULL, NULL);
}
