/* test_prefix.c - tokens in the prefix cache are not computed again, and answers do not change: forward rows are counted,
 * and answers are compared with those of requests that do not use the cache. test_prefix_mixes.c does the same with random
 * mixes.
 */
#include "berth/kernels/isa.h"

#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <setjmp.h>

#include <fcntl.h>
#include <sched.h>
#include <sys/stat.h>
#include <unistd.h>

#include "scratch.h"

#include <cmocka.h>

#include "asking.h"

#define PATIENCE 120 /* seconds that the whole program may take */

static struct asked wanted[24], got[24], first, other; /* large: not for the stack */
static int32_t text[MOST], another[MOST];

/* ---- what is computed ---- */

static void test_a_shared_beginning_is_read_once_to_the_token(void **state)
{
    (void)state;
    struct rig r;
    rig_start(&r, &usual);
    fill(text, 1040, 1);
    struct job_request q = request(&r, text, 1040, 1);
    assert_int_equal(ask_alone(&r, &first, &q), 1040);
    assert_int_equal(first.usage.cached_tokens, 0);
    fill(text + 1000, 20, 2); /* the texts differ from the middle of a page on */
    q = request(&r, text, 1020, 5);
    assert_int_equal(ask_alone(&r, &got[0], &q), 20 + 4);
    assert_int_equal(got[0].usage.cached_tokens, 1000);
    assert_int_equal(got[0].usage.prompt_tokens, 1020);
    assert_int_equal(got[0].usage.prompt_done, 1020);
    assert_int_equal(atomic_load(&r.m[0]->served.metrics.cached_tokens), 1000);
    assert_int_equal(atomic_load(&r.m[0]->served.metrics.prompt_tokens), 1040 + 20);
    ask_without(&r, &wanted[0], q);
    assert_same(&got[0], &wanted[0]);
    rig_stop(&r);
}

static void test_of_a_prompt_that_is_kept_whole_the_last_token_is_read(void **state)
{
    (void)state;
    static const size_t lengths[] = {1, 9, 63, 64, 65, 127, 128, 129, 200, 256};
    struct rig r;
    rig_start(&r, &usual);
    for (uint32_t i = 0; i < sizeof(lengths) / sizeof(*lengths); i++) {
        size_t n = lengths[i];
        fill(text, n, 10 + i);
        struct job_request q = request(&r, text, n, 12);
        assert_int_equal(ask_alone(&r, &first, &q), n + 11);
        /* 12 tokens were sampled and 11 of them computed, so the cache has more than the prompt. */
        size_t cached = n > 1 + (n - 1) % 64 && (n - 1) % 64 < 8 ? n - 1 - (n - 1) % 64 : n > 8 ? n - 1 : 0;
        assert_int_equal(ask_alone(&r, &got[0], &q), n - cached + 11);
        assert_int_equal(got[0].usage.cached_tokens, cached);
        assert_same(&got[0], &first);
    }
    rig_stop(&r);
}

static void test_the_next_turn_of_a_chat_reads_what_is_new(void **state)
{
    (void)state;
    struct rig r;
    size_t n = 100;
    rig_start(&r, &usual);
    fill(text, n, 3);
    struct job_request q = request(&r, text, n, 90);
    ask_alone(&r, &first, &q);
    for (size_t turn = 0; turn < 4; turn++) {
        /* The last sampled token was not computed. */
        size_t known = n + 89;
        memcpy(text + n, first.said[0], 90 * sizeof(*text));
        n += 90;
        fill(text + n, 30, 20 + (uint32_t)turn);
        n += 30;
        q = request(&r, text, n, 90);
        assert_int_equal(ask_alone(&r, &first, &q), n - known + 89);
        assert_int_equal(first.usage.cached_tokens, known);
        ask_without(&r, &wanted[0], q);
        assert_same(&first, &wanted[0]);
    }
    /* The pages of all of that, and no second copy of any. */
    while (atomic_load(&r.m[0]->served.metrics.kv_bytes) != pages(&r, (n + 89 + 63) / 64))
        sched_yield();
    rig_stop(&r);
}

static void test_a_prompt_that_others_are_reading_is_read_once(void **state)
{
    (void)state;
    struct rig r;
    struct engine_options o = usual;
    o.chunk = 128;
    rig_start(&r, &o);
    fill(another, 1, 1);
    struct job_request q = request(&r, another, 1, 2);
    ask_held(&first, &q, true);
    uint64_t before = rows(&r);
    fill(text, 700, 4);
    for (size_t i = 0; i < 6; i++) { /* then each its own way */
        fill(another, 700, 4);
        fill(another + 640, 60, 50 + (uint32_t)i);
        q = request(&r, another, 700, 3);
        ask(&got[i], &q);
    }
    let_go(&first);
    finish(&first);
    for (size_t i = 0; i < 6; i++)
        finish(&got[i]);
    assert_int_equal(rows(&r) - before, 1 + 640 + 6 * (60 + 2));
    for (size_t i = 0; i < 6; i++) {
        assert_int_equal(got[i].usage.cached_tokens, i == 0 ? 0 : 640);
        fill(another, 700, 4);
        fill(another + 640, 60, 50 + (uint32_t)i);
        ask_without(&r, &wanted[i], request(&r, another, 700, 3));
        assert_same(&got[i], &wanted[i]);
    }
    rig_stop(&r);
}

static void test_choices_share_what_is_kept(void **state)
{
    (void)state;
    struct rig r;
    rig_start(&r, &usual);
    fill(text, 300, 5);
    struct job_request q = request(&r, text, 300, 20);
    q.n_choices = CHOICES;
    assert_int_equal(ask_alone(&r, &first, &q), 300 + 3 + 4 * 19);
    assert_int_equal(first.usage.cached_tokens, 0);
    assert_int_equal(ask_alone(&r, &got[0], &q), 1 + 3 + 4 * 19);
    assert_int_equal(got[0].usage.cached_tokens, 299);
    ask_without(&r, &wanted[0], q);
    assert_same(&first, &wanted[0]);
    assert_same(&got[0], &wanted[0]);
    rig_stop(&r);
}

/* ---- requests that do not use the cache ---- */

static void test_without_cache_prompt_nothing_is_taken_and_nothing_kept(void **state)
{
    (void)state;
    struct rig r;
    rig_start(&r, &usual);
    fill(text, 220, 6);
    struct job_request q = request(&r, text, 220, 1), without = q;
    without.cache_prompt = false;
    assert_int_equal(ask_alone(&r, &got[0], &without), 220);
    assert_int_equal(ask_alone(&r, &got[1], &q), 220);
    assert_int_equal(ask_alone(&r, &got[2], &without), 220);
    assert_int_equal(ask_alone(&r, &got[3], &q), 1);
    rig_stop(&r);
    struct engine_options o = usual;
    o.prefix_cache = false;
    rig_start(&r, &o);
    q.model = &r.m[0]->served;
    assert_int_equal(ask_alone(&r, &got[0], &q), 220);
    assert_int_equal(ask_alone(&r, &got[0], &q), 220);
    while (atomic_load(&r.m[0]->served.metrics.kv_bytes) > 0)
        sched_yield();
    rig_stop(&r);
}

static void test_a_prompt_that_is_scored_is_read_whole(void **state)
{
    (void)state;
    struct rig r;
    rig_start(&r, &usual);
    fill(text, 200, 7);
    struct job_request q = request(&r, text, 200, 1);
    ask_alone(&r, &got[0], &q);
    q.echo_logprobs = true;
    assert_int_equal(ask_alone(&r, &got[0], &q), 200);
    q.kind = JOB_SCORE;
    assert_int_equal(ask_alone(&r, &got[0], &q), 199);
    q.kind = JOB_GENERATE;
    q.echo_logprobs = false;
    q.max_tokens = 0;
    assert_int_equal(ask_alone(&r, &got[0], &q), 0);
    assert_int_equal(got[0].finish[0], JOB_LENGTH);
    rig_stop(&r);
}

static void test_models_do_not_share(void **state)
{
    (void)state;
    struct rig r;
    rig_start(&r, &usual);
    fill(text, 220, 8);
    struct job_request q = request(&r, text, 220, 4);
    ask_alone(&r, &got[0], &q);
    q.model = &r.m[1]->served;
    ask_alone(&r, &got[0], &q);
    assert_int_equal(got[0].usage.cached_tokens, 0);
    ask_alone(&r, &got[1], &q);
    assert_int_equal(got[1].usage.cached_tokens, 219);
    assert_same(&got[0], &got[1]);
    rig_stop(&r);
}

/* ---- memory ---- */

static void test_the_oldest_is_dropped_first_and_nobody_is_preempted_for_what_is_kept(void **state)
{
    (void)state;
    struct rig r;
    rig_start(&r, &usual);
    engine_budget(r.e)->limit = pages(&r, 7);
    /* Prompts of 2 pages; one that is there needs a third, for a copy to write its last token in. */
    static const struct {
        uint32_t prompt;
        size_t cached;
    } steps[] = {{0, 0}, {1, 0}, {2, 0}, {0, 127}, {3, 0}, {0, 127}, {2, 127}, {1, 0}, {1, 127}, {3, 0}};
    for (size_t i = 0; i < sizeof(steps) / sizeof(*steps); i++) {
        fill(text, 128, 30 + steps[i].prompt);
        struct job_request q = request(&r, text, 128, 1);
        ask_alone(&r, &got[0], &q);
        if (got[0].usage.cached_tokens != steps[i].cached)
            fail_msg("step %zu: %zu tokens were cached", i, got[0].usage.cached_tokens);
        assert_true(atomic_load(&engine_budget(r.e)->used) <= pages(&r, 7));
    }
    assert_int_equal(atomic_load(&r.m[0]->served.metrics.preemptions), 0);
    /* A request that needs all of the memory gets it. */
    fill(text, 384, 40);
    struct job_request q = request(&r, text, 384, 65);
    ask_alone(&r, &got[0], &q);
    assert_int_equal(got[0].n[0], 65);
    rig_stop(&r);
}

static void test_one_model_gives_its_pages_to_another(void **state)
{
    (void)state;
    struct rig r;
    rig_start(&r, &usual);
    uint64_t limit = 4 * kv_cache_page_bytes(r.m[1]->cache);
    engine_budget(r.e)->limit = limit;
    for (uint32_t i = 0; i < 8; i++) {
        fill(text, 200, 60 + i);
        struct job_request q = request(&r, text, 200, 30);
        q.model = &r.m[i % 2]->served;
        ask_alone(&r, &got[0], &q);
        assert_int_equal(got[0].result, RESULT_OK);
        assert_int_equal(got[0].n[0], 30);
        assert_true(atomic_load(&engine_budget(r.e)->used) <= limit);
    }
    assert_int_equal(atomic_load(&r.m[0]->served.metrics.preemptions), 0);
    rig_stop(&r);
}

static void test_what_is_kept_and_what_is_in_use_are_told_apart(void **state)
{
    (void)state;
    struct rig r;
    rig_start(&r, &usual);
    struct model_metrics *m = &r.m[0]->served.metrics;
    fill(text, 128, 9);
    struct job_request q = request(&r, text, 128, 1);
    ask_alone(&r, &got[0], &q);
    while (atomic_load(&m->kv_bytes) != pages(&r, 2) || atomic_load(&m->prefix_bytes) != pages(&r, 2))
        sched_yield();
    q = request(&r, text, 129, 300);
    ask_held(&got[0], &q, true);
    for (size_t i = 1; i < 3; i++)
        ask(&got[i], &q);
    ask(&other, &q);
    other.held = true; /* before it can be woken: until all have come nobody goes on, and none ends */
    let_go(&got[0]);
    sem_wait(&other.woken);
    /* Two pages for all of them together, and those of each beyond. */
    assert_true(atomic_load(&m->kv_bytes) <= pages(&r, 2 + 3 * 5));
    assert_int_equal(atomic_load(&m->prefix_bytes), 0);
    let_go(&other);
    for (size_t i = 0; i < 3; i++)
        finish(&got[i]);
    finish(&other);
    rig_stop(&r);
}

static void test_pages_that_are_shared_are_asked_for_once(void **state)
{
    (void)state;
    struct rig r;
    rig_start(&r, &usual);
    engine_budget(r.e)->limit = pages(&r, 10); /* eight for both, and one for each */
    fill(text, 516, 90);
    struct job_request q = request(&r, text, 516, 60);
    ask_held(&other, &q, true);
    uint64_t before = atomic_load(&r.m[0]->served.metrics.forward_calls);
    fill(another, 516, 90);
    fill(another + 512, 20, 91);
    q = request(&r, another, 532, 10);
    ask(&got[0], &q);
    let_go(&other);
    finish(&other);
    finish(&got[0]);
    assert_int_equal(got[0].usage.cached_tokens, 512);
    /* The second had no calls of its own: it need not wait for the first one's end. */
    assert_int_equal(atomic_load(&r.m[0]->served.metrics.forward_calls) - before, 59);
    assert_int_equal(atomic_load(&r.m[0]->served.metrics.preemptions), 0);
    rig_stop(&r);
}

/* ---- a model that is lost ---- */

static void test_a_lost_model_gives_back_what_it_kept(void **state)
{
    (void)state;
    struct rig r;
    struct volume v;
    struct error err = {0};
    void *scratch;
    scratch_setup(&scratch);
    rig_start(&r, &usual);
    scratch_bytes("m.gguf", r.tiny[0].w.at, r.tiny[0].w.size);
    assert_int_equal(volume_open(&v, "m.gguf", &err), VOLUME_OPEN);
    struct loaded file;
    assert_true(loaded_open(&file, &v, v.single, &err));
    struct served_model *m =
        served_model_open(r.e, &file, &(struct served_model_options){.no_tokenizer = true}, &err);
    assert_non_null(m);
    fill(text, 128, 70);
    struct job_request q = request(&r, text, 128, 100);
    q.model = m;
    ask_alone(&r, &got[0], &q);
    assert_true(atomic_load(&engine_budget(r.e)->used) > 0);
    ask_held(&other, &q, true);
    assert_return_code(
        utimensat(AT_FDCWD, "m.gguf", (struct timespec[2]){{.tv_sec = 1}, {.tv_sec = 1}}, 0), 0);
    let_go(&other);
    finish(&other);
    assert_int_equal(other.result, RESULT_LOST);
    q.model = &r.m[0]->served; /* its turn comes when the other's step has ended */
    q.cache_prompt = false;
    ask_alone(&r, &got[1], &q);
    while (atomic_load(&engine_budget(r.e)->used) > 0)
        sched_yield();
    served_model_close(m);
    loaded_close(&file);
    volume_close(&v);
    rig_stop(&r);
    scratch_teardown(&scratch);
}

static void test_an_engine_that_stops_leaves_nothing(void **state)
{
    (void)state;
    struct rig r;
    rig_start(&r, &usual);
    fill(text, 500, 80);
    struct job_request q = request(&r, text, 500, 1);
    ask_alone(&r, &got[0], &q);
    q = request(&r, text, 400, 1500);
    ask(&got[0], &q);
    sem_wait(&got[0].woken);
    engine_stop(r.e);
    finish(&got[0]);
    assert_int_equal(got[0].result, RESULT_STOPPING);
    rig_stop(&r);
}

int main(int argc, char **argv)
{
    struct error err = {0};
    if (!isa_select("auto", &err))
        return 1;
    alarm(PATIENCE);
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_a_shared_beginning_is_read_once_to_the_token),
        cmocka_unit_test(test_of_a_prompt_that_is_kept_whole_the_last_token_is_read),
        cmocka_unit_test(test_the_next_turn_of_a_chat_reads_what_is_new),
        cmocka_unit_test(test_a_prompt_that_others_are_reading_is_read_once),
        cmocka_unit_test(test_choices_share_what_is_kept),
        cmocka_unit_test(test_without_cache_prompt_nothing_is_taken_and_nothing_kept),
        cmocka_unit_test(test_a_prompt_that_is_scored_is_read_whole),
        cmocka_unit_test(test_models_do_not_share),
        cmocka_unit_test(test_the_oldest_is_dropped_first_and_nobody_is_preempted_for_what_is_kept),
        cmocka_unit_test(test_one_model_gives_its_pages_to_another),
        cmocka_unit_test(test_what_is_kept_and_what_is_in_use_are_told_apart),
        cmocka_unit_test(test_pages_that_are_shared_are_asked_for_once),
        cmocka_unit_test(test_a_lost_model_gives_back_what_it_kept),
        cmocka_unit_test(test_an_engine_that_stops_leaves_nothing),
    };
    cmocka_set_test_filter(argc > 1 ? argv[1] : NULL);
    return cmocka_run_group_tests(tests, NULL, NULL);
}
