/* test_scheduler.c - many requests at a time on real, tiny models: an answer does not depend on the others, and
 * every request makes progress.
 */
#include "berth/kernels/isa.h"
#include "berth/base/log.h"

#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <setjmp.h>

#include <unistd.h>

#include <cmocka.h>

#include "asked.h"

/* ---- batches ---- */

static void test_eight_requests_together_take_the_calls_of_one(void **state)
{
    (void)state;
    struct rig r;
    struct engine_options o = usual;
    o.chunk = 80;
    rig_start(&r, &o);
    warm_up(&r);
    struct job_request q = request(&r, 15, 1, 1);
    plug(&plugged, &q);
    uint64_t before = calls(&r, 0);
    for (size_t i = 0; i < 8; i++) {
        q = request(&r, i, 10, 10);
        ask(&others[i], &q);
    }
    unplug(&plugged);
    for (size_t i = 0; i < 8; i++)
        finish(&others[i]);
    assert_int_equal(calls(&r, 0) - before, 10); /* all prompts and the first token in one, then nine more */
    finish(&plugged);
    rig_stop(&r);
}

static void test_an_answer_is_the_same_alone_and_among_others(void **state)
{
    (void)state;
    struct rig r;
    rig_start(&r, &usual);
    for (size_t i = 0; i < 8; i++) {
        struct job_request q = request(&r, i, 5 + 40 * i, 60);
        ask_alone(&alone[i], &q);
        assert_int_equal(alone[i].said[0].n, 60);
        assert_int_equal(alone[i].said[0].finish, JOB_LENGTH);
    }
    for (size_t i = 0; i < 8; i++) {
        struct job_request q = request(&r, i, 5 + 40 * i, 60);
        ask(&others[i], &q);
    }
    for (size_t i = 0; i < 8; i++) {
        finish(&others[i]);
        assert_same(&others[i].said[0], &alone[i].said[0]);
    }
    rig_stop(&r);
}

static void test_an_answer_does_not_depend_on_chunk_or_threads(void **state)
{
    (void)state;
    static const size_t chunks[] = {1, 7, 64, 1000};
    static const enum attention_type types[] = {ATTENTION_F16, ATTENTION_Q8_0};
    struct rig r;
    for (size_t i = 0; i < 8; i++) {
        struct engine_options o = usual;
        o.kv_type = types[i / 4];
        o.chunk = chunks[i % 4];
        o.threads = 1 + (unsigned)i % 4;
        rig_start(&r, &o);
        assert_int_equal(kv_cache_type(r.m[0]->cache), o.kv_type);
        struct job_request q = request(&r, 0, 333, 20);
        ask_alone(&others[i], &q);
        assert_same(&others[i].said[0], &others[i / 4 * 4].said[0]);
        rig_stop(&r);
    }
}

/* ---- processors that come and go ---- */

struct processors {
    atomic_uint n, asked;
};

static unsigned processors_now(struct limits_watch *context, char from[LIMITS_FROM])
{
    struct processors *p = (struct processors *)(void *)context;
    snprintf(from, LIMITS_FROM, "the test");
    atomic_fetch_add(&p->asked, 1);
    return atomic_load(&p->n);
}

/* Another number at each look; the engine looks after each step. */
static unsigned processors_in_turn(struct limits_watch *context, char from[LIMITS_FROM])
{
    static const unsigned turns[] = {1, 3, 4, 2, 0, 4};
    struct processors *p = (struct processors *)(void *)context;
    snprintf(from, LIMITS_FROM, "the test");
    return turns[atomic_fetch_add(&p->asked, 1) % 6];
}

static void test_an_answer_is_the_same_while_threads_come_and_go(void **state)
{
    (void)state;
    struct rig r;
    struct processors p = {0};
    struct engine_options o = usual;
    rig_start(&r, &o);
    for (size_t i = 0; i < 4; i++) {
        struct job_request q = request(&r, i, 300 - 70 * i, 80);
        q.logprobs = true;
        ask_alone(&alone[i], &q);
    }
    rig_stop(&r);
    o.processors_now = processors_in_turn;
    o.watch = (struct limits_watch *)(void *)&p;
    rig_start(&r, &o);
    for (size_t i = 0; i < 4; i++) {
        struct job_request q = request(&r, i, 300 - 70 * i, 80);
        q.logprobs = true;
        ask(&others[i], &q);
    }
    for (size_t i = 0; i < 4; i++) {
        finish(&others[i]);
        assert_same(&others[i].said[0], &alone[i].said[0]);
        assert_memory_equal(others[i].said[0].logprobs, alone[i].said[0].logprobs, 80 * sizeof(float));
    }
    assert_true(p.asked >= 80);
    rig_stop(&r);
}

static void test_threads_follow_the_processors_up_to_the_most_there_may_be(void **state)
{
    (void)state;
    static const struct {
        unsigned processors, threads;
    } rows[] = {{1, 1}, {3, 3}, {3, 3}, {0, 1}, {4, 3}, {5, 3}, {2, 2}};
    struct rig r;
    struct processors p = {0};
    struct engine_options o = usual;
    o.threads_most = 3;
    o.processors_now = processors_now;
    o.watch = (struct limits_watch *)(void *)&p;
    rig_start(&r, &o);
    assert_int_equal(engine_threads(r.e), 2);
    for (size_t i = 0; i < sizeof(rows) / sizeof(*rows); i++) {
        atomic_store(&p.n, rows[i].processors);
        struct job_request q = request(&r, 0, 5, 3);
        ask_alone(&others[0], &q);
        assert_int_equal(engine_threads(r.e), rows[i].threads);
        assert_int_equal(engine_processors(r.e), rows[i].processors);
        assert_int_equal(others[0].said[0].n, 3);
    }
    rig_stop(&r);
}

static void test_processors_are_not_looked_at_more_often_than_asked_nor_at_rest(void **state)
{
    (void)state;
    struct rig r;
    struct processors p = {.n = 2};
    struct engine_options o = usual;
    o.processors_now = processors_now;
    o.watch = (struct limits_watch *)(void *)&p;
    o.look_seconds = 1000;
    rig_start(&r, &o);
    assert_int_equal(p.asked, 0);
    struct job_request q = request(&r, 0, 5, 50);
    ask_alone(&others[0], &q);
    ask_alone(&others[0], &q);
    assert_int_equal(p.asked, 1);
    rig_stop(&r);
}

static void test_usage_counts_what_was_read_and_written(void **state)
{
    (void)state;
    struct rig r;
    rig_start(&r, &usual);
    struct job_request q = request(&r, 0, 130, 7);
    ask_alone(&alone[0], &q);
    assert_int_equal(alone[0].usage.prompt_tokens, 130);
    assert_int_equal(alone[0].usage.prompt_done, 130);
    assert_int_equal(alone[0].usage.generated_tokens, 7);
    assert_true(alone[0].usage.prompt_seconds > 0);
    assert_int_equal(atomic_load(&r.m[0]->served.metrics.prompt_tokens), 130);
    assert_int_equal(atomic_load(&r.m[0]->served.metrics.generated_tokens), 7);
    assert_int_equal(atomic_load(&r.m[0]->served.metrics.forward_rows), 130 + 6);
    assert_int_equal(atomic_load(&r.m[0]->served.metrics.jobs_ended[JOB_LENGTH]), 1);
    rig_stop(&r);
}

/* ---- memory ---- */

static void test_an_answer_is_the_same_when_its_pages_were_taken_away(void **state)
{
    (void)state;
    struct rig r;
    rig_start(&r, &usual);
    for (size_t i = 0; i < 6; i++) {
        struct job_request q = request(&r, i, 40 + i, 120);
        ask_alone(&alone[i], &q);
    }
    engine_budget(r.e)->limit = pages(&r, 7); /* each slot needs three pages at its end */
    uint64_t before = calls(&r, 0);
    for (size_t i = 0; i < 6; i++) {
        struct job_request q = request(&r, i, 40 + i, 120);
        ask(&others[i], &q);
    }
    for (size_t i = 0; i < 6; i++) {
        finish(&others[i]);
        assert_same(&others[i].said[0], &alone[i].said[0]);
    }
    assert_true(atomic_load(&r.m[0]->served.metrics.preemptions) > 0);
    /* The oldest slot is never preempted: at most two calls for its prompt, and one for each token. */
    assert_true(others[0].calls_at_wake - before <= 122);
    rig_stop(&r);
}

static void test_choices_are_the_same_when_their_pages_were_taken_away(void **state)
{
    (void)state;
    struct rig r;
    rig_start(&r, &usual);
    struct job_request q = request(&r, 0, 100, 100);
    q.n_choices = 6;
    ask_alone(&alone[0], &q);
    engine_budget(r.e)->limit = pages(&r, 6);
    ask_alone(&others[0], &q);
    for (size_t i = 0; i < 6; i++)
        assert_same(&others[0].said[i], &alone[0].said[i]);
    assert_true(atomic_load(&r.m[0]->served.metrics.preemptions) > 0);
    rig_stop(&r);
}

static void test_an_answer_that_fills_the_memory_ends_there(void **state)
{
    (void)state;
    struct rig r;
    rig_start(&r, &usual);
    engine_budget(r.e)->limit = pages(&r, 2);
    struct job_request q = request(&r, 0, 28, 1000);
    ask_alone(&alone[0], &q);
    assert_int_equal(alone[0].said[0].finish, JOB_LENGTH);
    /* 128 positions: the prompt and 100 tokens are read, and one more was sampled from the last. */
    assert_int_equal(alone[0].said[0].n, 101);
    rig_stop(&r);
}

static void test_two_models_share_the_memory(void **state)
{
    (void)state;
    struct rig r;
    rig_start(&r, &usual);
    for (size_t i = 0; i < 4; i++) {
        struct job_request q = request(&r, i, 30, 100);
        q.model = &r.m[i % 2]->served;
        ask_alone(&alone[i], &q);
    }
    engine_budget(r.e)->limit = kv_cache_page_bytes(r.m[1]->cache) * 4; /* the larger one */
    for (size_t i = 0; i < 4; i++) {
        struct job_request q = request(&r, i, 30, 100);
        q.model = &r.m[i % 2]->served;
        ask(&others[i], &q);
    }
    for (size_t i = 0; i < 4; i++) {
        finish(&others[i]);
        assert_same(&others[i].said[0], &alone[i].said[0]);
    }
    rig_stop(&r);
}

/* ---- turns ---- */

/* When one model is done, the other is at most a step behind. */
static void test_two_models_take_turns(void **state)
{
    (void)state;
    struct rig r;
    rig_start(&r, &usual);
    for (int looked_at = 0; looked_at < 2; looked_at++) {
        struct job_request q = request(&r, 15, 1, 1);
        plug(&plugged, &q);
        uint64_t before = calls(&r, 1 - looked_at);
        for (size_t i = 0; i < 2; i++) {
            q = request(&r, i, 3, 200);
            q.model = &r.m[i]->served;
            ask(&others[i], &q);
        }
        unplug(&plugged);
        finish(&plugged);
        finish(&others[looked_at]);
        assert_true(calls(&r, 1 - looked_at) - before >= 199);
        finish(&others[1 - looked_at]);
    }
    rig_stop(&r);
}

static void test_a_stream_goes_on_in_every_step_beside_a_long_prompt(void **state)
{
    (void)state;
    struct rig r;
    struct engine_options o = usual;
    o.chunk = 16;
    rig_start(&r, &o);
    struct job_request q = request(&r, 0, 4, 3000);
    plug(&plugged, &q);
    q = request(&r, 1, 1600, 1);
    ask(&others[1], &q);
    uint64_t before = calls(&r, 0);
    unplug(&plugged);
    finish(&others[1]);
    uint64_t taken = calls(&r, 0) - before;
    assert_true(taken >= 100);
    take(&plugged);
    assert_true(plugged.said[0].n >= 100);
    job_cancel(plugged.j);
    finish(&plugged);
    rig_stop(&r);
}

static void test_a_short_prompt_does_not_wait_for_a_long_one(void **state)
{
    (void)state;
    struct rig r;
    struct engine_options o = usual;
    o.chunk = 16;
    rig_start(&r, &o);
    warm_up(&r);
    struct job_request q = request(&r, 15, 1, 1);
    plug(&plugged, &q);
    q = request(&r, 0, 2000, 1);
    ask(&others[0], &q);
    q = request(&r, 1, 32, 1);
    ask(&others[1], &q);
    uint64_t before = calls(&r, 0);
    unplug(&plugged);
    finish(&others[1]);
    assert_int_equal(others[1].calls_at_wake - before, 4); /* the longer prompt gets half of the rows */
    finish(&others[0]);
    assert_true(others[0].calls_at_wake - before <= 2000 / 16 + 2);
    finish(&plugged);
    rig_stop(&r);
}

int main(int argc, char **argv)
{
    struct error err = {0};
    if (!isa_select("auto", &err))
        return 1;
    log_setup(LOG_ERROR, LOG_FORMAT_TEXT);
    alarm(PATIENCE);
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_eight_requests_together_take_the_calls_of_one),
        cmocka_unit_test(test_an_answer_is_the_same_alone_and_among_others),
        cmocka_unit_test(test_an_answer_does_not_depend_on_chunk_or_threads),
        cmocka_unit_test(test_an_answer_is_the_same_while_threads_come_and_go),
        cmocka_unit_test(test_threads_follow_the_processors_up_to_the_most_there_may_be),
        cmocka_unit_test(test_processors_are_not_looked_at_more_often_than_asked_nor_at_rest),
        cmocka_unit_test(test_usage_counts_what_was_read_and_written),
        cmocka_unit_test(test_an_answer_is_the_same_when_its_pages_were_taken_away),
        cmocka_unit_test(test_choices_are_the_same_when_their_pages_were_taken_away),
        cmocka_unit_test(test_an_answer_that_fills_the_memory_ends_there),
        cmocka_unit_test(test_two_models_share_the_memory),
        cmocka_unit_test(test_two_models_take_turns),
        cmocka_unit_test(test_a_stream_goes_on_in_every_step_beside_a_long_prompt),
        cmocka_unit_test(test_a_short_prompt_does_not_wait_for_a_long_one),
    };
    cmocka_set_test_filter(argc > 1 ? argv[1] : NULL);
    return cmocka_run_group_tests(tests, NULL, NULL);
}
