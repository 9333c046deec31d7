/* test_queue.c - what is refused, what waits too long, and what happens to jobs whose client or model has gone. */
#include "berth/kernels/isa.h"
#include "berth/base/log.h"

#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <setjmp.h>

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include "scratch.h"

#include <cmocka.h>

#include "asked.h"

/* ---- refusals ---- */

static void assert_refused(const struct job_request *q, enum result wanted, const char *reason)
{
    enum result result;
    struct error err = {0};
    if (try_ask(&others[15], q, false, &result, &err))
        fail_msg("not refused: %s", reason);
    assert_int_equal(result, wanted);
    if (!strstr(err.text, reason))
        fail_msg("\"%s\" does not say \"%s\"", err.text, reason);
}

static void test_what_can_never_be_done_is_refused_at_once(void **state)
{
    (void)state;
    struct rig r;
    rig_start(&r, &usual);
    struct job_request q = request(&r, 0, 0, 1);
    assert_refused(&q, RESULT_BAD_REQUEST, "the prompt is empty");
    q = request(&r, 0, TINY_CONTEXT, 1);
    assert_refused(&q, RESULT_TOO_LONG, "4096 tokens");
    q = request(&r, 0, 3, 1);
    prompts[0][1] = TINY_VOCABULARY;
    assert_refused(&q, RESULT_BAD_REQUEST, "token 96 of the prompt");
    q = request(&r, 0, 3, 1);
    q.n_choices = 0;
    assert_refused(&q, RESULT_BAD_REQUEST, "choices");
    q = request(&r, 0, 3, 1);
    q.text = true;
    assert_refused(&q, RESULT_UNSUPPORTED, "tokenizer");
    engine_budget(r.e)->limit = pages(&r, 1);
    q = request(&r, 0, 64, 1);
    assert_refused(&q, RESULT_TOO_LONG, "the KV cache limit is");
    q = request(&r, 0, 63, 1);
    ask_alone(&alone[0], &q);
    assert_int_equal(alone[0].said[0].n, 1);
    rig_stop(&r);
}

static void test_a_full_queue_refuses_and_free_slots_are_no_queue(void **state)
{
    (void)state;
    struct rig r;
    struct engine_options o = usual;
    o.slots = 3;
    o.queue = 2;
    rig_start(&r, &o);
    struct job_request q = request(&r, 15, 5, 50);
    plug(&plugged, &q); /* one slot of three */
    for (size_t i = 0; i < 4; i++) {
        q = request(&r, i, 5, 5);
        ask(&others[i], &q);
    }
    assert_refused(&q, RESULT_BUSY, "queue is full");
    assert_int_equal(atomic_load(&r.m[0]->served.metrics.jobs_refused), 1);
    assert_int_equal(atomic_load(&r.m[0]->served.metrics.queued), 4);
    unplug(&plugged);
    for (size_t i = 0; i < 4; i++) {
        finish(&others[i]);
        assert_int_equal(others[i].said[0].n, 5);
    }
    finish(&plugged);
    rig_stop(&r);
}

static void test_a_slot_is_free_when_its_job_is_heard_to_have_ended(void **state)
{
    (void)state;
    struct rig r;
    struct engine_options o = usual;
    o.slots = 2;
    o.queue = 0;
    rig_start(&r, &o);
    for (size_t i = 0; i < 100; i++) {
        struct job_request q = request(&r, 0, 5, 1 + i % 3);
        for (size_t k = 0; k < 2; k++)
            ask(&others[k], &q); /* fails where it is refused */
        if (i % 4 == 0)
            job_cancel(others[1].j);
        finish(&others[0]);
        finish(&others[1]);
    }
    while (atomic_load(&r.m[0]->served.metrics.kv_bytes) > 0)
        sched_yield();
    rig_stop(&r);
}

static void test_who_waits_too_long_for_a_slot_fails_as_a_queue_timeout(void **state)
{
    (void)state;
    struct rig r;
    struct engine_options o = usual;
    o.slots = 1;
    o.queue_timeout = 0.02;
    rig_start(&r, &o);
    struct job_request q = request(&r, 15, 5, 50);
    plug(&plugged, &q);
    q = request(&r, 0, 5, 5);
    ask(&others[0], &q);
    wait_until(now() + 0.02);
    unplug(&plugged);
    finish(&others[0]);
    assert_int_equal(others[0].result, RESULT_QUEUE_TIMEOUT);
    assert_int_equal(others[0].said[0].finish, JOB_FAILED);
    assert_non_null(strstr(others[0].why.text, "waited"));
    finish(&plugged);
    assert_int_equal(plugged.said[0].n, 50);
    rig_stop(&r);
}

static void test_a_job_that_takes_too_long_fails_as_a_timeout(void **state)
{
    (void)state;
    struct rig r;
    rig_start(&r, &usual);
    struct job_request q = request(&r, 0, 5, 50);
    q.deadline = 2; /* the first token comes before that on any machine */
    plug(&plugged, &q);
    wait_until(now() + 2);
    unplug(&plugged);
    finish(&plugged);
    assert_int_equal(plugged.result, RESULT_TIMEOUT);
    assert_int_equal(plugged.said[0].finish, JOB_FAILED);
    assert_int_equal(plugged.said[0].n, 1);
    rig_stop(&r);
}

/* Time that passed before the job was submitted counts, too, also when a slot is free. */
static void test_timeouts_count_from_the_request_s_arrival(void **state)
{
    (void)state;
    struct rig r;
    struct engine_options o = usual;
    o.queue_timeout = 1;
    o.job_timeout = 5;
    rig_start(&r, &o);
    struct job_request q = request(&r, 0, 5, 3);
    q.arrived = now() - 1.1;
    ask_alone(&others[0], &q);
    assert_int_equal(others[0].result, RESULT_QUEUE_TIMEOUT);
    assert_true(others[0].usage.queued_seconds >= 1.1);
    q.arrived = now() - 5.1;
    ask_alone(&others[0], &q);
    assert_int_equal(others[0].result, RESULT_TIMEOUT);
    q.arrived = now() - 0.1;
    ask_alone(&others[0], &q);
    assert_int_equal(others[0].result, RESULT_OK);
    assert_int_equal(others[0].said[0].n, 3);
    q.arrived = now() + 100; /* in the future: taken as now */
    ask_alone(&others[0], &q);
    assert_int_equal(others[0].result, RESULT_OK);
    rig_stop(&r);
}

/* The pieces of an answer that nobody takes count until they are freed. */
static void test_an_answer_that_grows_beyond_its_memory_fails(void **state)
{
    (void)state;
    struct rig r;
    struct byte_budget memory = {.limit = 2000};
    rig_start(&r, &usual);
    for (int fits = 0; fits < 2; fits++) {
        struct job_request q = request(&r, 0, 5, fits ? 3 : 50);
        q.memory = &memory;
        ask(&others[0], &q);
        while (atomic_load(&r.m[0]->served.metrics.jobs_ended[fits ? JOB_LENGTH : JOB_FAILED]) == 0)
            sched_yield();
        assert_true(atomic_load(&memory.used) > 0);
        finish(&others[0]);
        assert_int_equal(others[0].result, fits ? RESULT_OK : RESULT_NO_MEMORY);
        assert_true(others[0].said[0].n < 50);
        assert_int_equal(atomic_load(&memory.used), 0);
    }
    rig_stop(&r);
}

/* ---- clients that leave ---- */

static void test_a_job_cancelled_in_the_queue_is_never_begun(void **state)
{
    (void)state;
    struct rig r;
    struct engine_options o = usual;
    o.slots = 1;
    rig_start(&r, &o);
    struct job_request q = request(&r, 15, 5, 20);
    plug(&plugged, &q);
    for (size_t i = 0; i < 3; i++) {
        q = request(&r, i, 5, 5);
        ask(&others[i], &q);
    }
    job_cancel(others[1].j);
    unplug(&plugged);
    finish(&others[1]);
    assert_int_equal(others[1].said[0].finish, JOB_CANCELLED);
    assert_int_equal(others[1].usage.prompt_done, 0);
    assert_int_equal(others[1].result, RESULT_CANCELLED);
    finish(&others[0]);
    finish(&others[2]);
    assert_int_equal(others[2].said[0].n, 5);
    finish(&plugged);
    rig_stop(&r);
}

static void test_a_job_cancelled_while_its_prompt_is_read_ends_within_a_step(void **state)
{
    (void)state;
    struct rig r;
    struct engine_options o = usual;
    o.chunk = 8;
    rig_start(&r, &o);
    struct job_request q = request(&r, 0, 3000, 5);
    ask(&others[0], &q);
    while (job_usage_of(others[0].j).prompt_done == 0)
        sched_yield();
    job_cancel(others[0].j);
    uint64_t at_cancel = calls(&r, 0);
    finish(&others[0]);
    assert_int_equal(others[0].said[0].finish, JOB_CANCELLED);
    assert_true(calls(&r, 0) - at_cancel <= 1);
    assert_true(others[0].usage.prompt_done < 3000);
    rig_stop(&r);
}

static void test_a_job_cancelled_while_it_answers_says_no_more_and_frees_its_slot(void **state)
{
    (void)state;
    struct rig r;
    struct engine_options o = usual;
    o.slots = 1;
    rig_start(&r, &o);
    struct job_request q = request(&r, 0, 5, 2000);
    plug(&plugged, &q);
    q = request(&r, 1, 5, 5);
    ask(&others[1], &q);
    job_cancel(plugged.j);
    uint64_t at_cancel = calls(&r, 0);
    unplug(&plugged);
    finish(&others[1]);
    assert_int_equal(calls(&r, 0) - at_cancel, 5);
    finish(&plugged);
    assert_int_equal(plugged.said[0].finish, JOB_CANCELLED);
    assert_int_equal(plugged.said[0].n, 1);
    rig_stop(&r);
}

/* Jobs are released at all stages. A wake after that would use freed memory. */
static void test_a_released_job_wakes_nobody(void **state)
{
    (void)state;
    struct rig r;
    struct engine_options o = usual;
    o.slots = 3;
    rig_start(&r, &o);
    for (size_t i = 0; i < 200; i++) {
        struct asked *a = calloc(1, sizeof(*a));
        assert_non_null(a);
        struct job_request q = request(&r, i % 8, 3 + i, 1 + i % 30);
        q.n_choices = 1 + (uint32_t)i % 3;
        ask(a, &q);
        bool ended = false;
        for (size_t k = 0; k < i % 7 && !ended; k++) {
            sem_wait(&a->woken);
            ended = take(a);
        }
        job_release(a->j);
        memset(a, 0xff, sizeof(*a));
        free(a);
    }
    while (atomic_load(&r.m[0]->served.metrics.running) + atomic_load(&r.m[0]->served.metrics.queued) > 0)
        sched_yield();
    rig_stop(&r);
}

/* ---- models that are lost, engines that stop ---- */

static void test_a_file_that_changes_fails_its_model_and_no_other(void **state)
{
    (void)state;
    struct rig r;
    struct volume v;
    struct error err = {0};
    enum result result;
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

    struct job_request q = request(&r, 0, 5, 1000);
    q.model = m;
    plug(&plugged, &q);
    ask(&others[1], &q);
    q = request(&r, 1, 5, 20);
    ask(&others[0], &q);
    assert_return_code(
        utimensat(AT_FDCWD, "m.gguf", (struct timespec[2]){{.tv_sec = 1}, {.tv_sec = 1}}, 0), 0);
    unplug(&plugged);
    finish(&plugged);
    finish(&others[0]);
    finish(&others[1]);
    assert_int_equal(plugged.result, RESULT_LOST);
    assert_int_equal(plugged.said[0].n, 1);
    assert_int_equal(plugged.said[0].finish, JOB_FAILED);
    assert_int_equal(others[1].result, RESULT_LOST);
    assert_non_null(strstr(plugged.why.text, "m.gguf"));
    assert_int_equal(others[0].said[0].n, 20);
    q = request(&r, 1, 5, 20);
    q.model = m;
    assert_false(try_ask(&others[2], &q, false, &result, &err));
    assert_int_equal(result, RESULT_LOST);
    served_model_close(m);
    loaded_close(&file);
    volume_close(&v);
    rig_stop(&r);
    scratch_teardown(&scratch);
}

static void test_an_engine_that_stops_fails_what_is_left(void **state)
{
    (void)state;
    struct rig r;
    struct engine_options o = usual;
    o.slots = 1;
    rig_start(&r, &o);
    struct job_request q = request(&r, 0, 5, 4000);
    ask(&others[0], &q);
    ask(&others[1], &q);
    sem_wait(&others[0].woken);
    engine_stop(r.e);
    for (size_t i = 0; i < 2; i++) {
        finish(&others[i]);
        assert_int_equal(others[i].result, RESULT_STOPPING);
        assert_int_equal(others[i].said[0].finish, JOB_FAILED);
    }
    assert_refused(&q, RESULT_STOPPING, "stopping");
    rig_stop(&r);
}

static void test_an_idle_engine_sleeps_and_a_busy_one_has_a_heartbeat(void **state)
{
    (void)state;
    struct rig r;
    rig_start(&r, &usual);
    struct job_request q = request(&r, 0, 5, 10);
    plug(&plugged, &q);
    wait_until(now() + 0.01);
    assert_true(engine_heartbeat_age(r.e) >= 0.01);
    unplug(&plugged);
    finish(&plugged);
    while (engine_heartbeat_age(r.e) > 0)
        sched_yield();
    struct timespec before, after;
    wait_until(now() + 0.01); /* the pool's threads spin for a moment */
    clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &before);
    nanosleep(&(struct timespec){.tv_nsec = 200000000}, NULL);
    clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &after);
    double used = (double)(after.tv_sec - before.tv_sec) + (double)(after.tv_nsec - before.tv_nsec) * 1e-9;
    assert_true(used < 0.005);
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
        cmocka_unit_test(test_what_can_never_be_done_is_refused_at_once),
        cmocka_unit_test(test_a_full_queue_refuses_and_free_slots_are_no_queue),
        cmocka_unit_test(test_a_slot_is_free_when_its_job_is_heard_to_have_ended),
        cmocka_unit_test(test_who_waits_too_long_for_a_slot_fails_as_a_queue_timeout),
        cmocka_unit_test(test_a_job_that_takes_too_long_fails_as_a_timeout),
        cmocka_unit_test(test_timeouts_count_from_the_request_s_arrival),
        cmocka_unit_test(test_an_answer_that_grows_beyond_its_memory_fails),
        cmocka_unit_test(test_a_job_cancelled_in_the_queue_is_never_begun),
        cmocka_unit_test(test_a_job_cancelled_while_its_prompt_is_read_ends_within_a_step),
        cmocka_unit_test(test_a_job_cancelled_while_it_answers_says_no_more_and_frees_its_slot),
        cmocka_unit_test(test_a_released_job_wakes_nobody),
        cmocka_unit_test(test_a_file_that_changes_fails_its_model_and_no_other),
        cmocka_unit_test(test_an_engine_that_stops_fails_what_is_left),
        cmocka_unit_test(test_an_idle_engine_sleeps_and_a_busy_one_has_a_heartbeat),
    };
    cmocka_set_test_filter(argc > 1 ? argv[1] : NULL);
    return cmocka_run_group_tests(tests, NULL, NULL);
}
