/* test_prefix_age.c - an engine without work frees idle prefixes by age, and all of them when memory is short. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <sched.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "rig.h"

static const struct engine_options usual = {.threads = 1,
    .processors = 1,
    .kv_memory = 1 << 26,
    .prefix_cache = true,
    .chunk = 64,
    .slots = 2,
    .queue = 8};

struct shortage {
    atomic_bool is_short;
    atomic_uint asked;
};

static bool is_short(struct memory_watch *watch)
{
    struct shortage *s = (struct shortage *)(void *)watch;
    atomic_fetch_add(&s->asked, 1);
    return atomic_load(&s->is_short);
}

static double now(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec + (double)t.tv_nsec * 1e-9;
}

/* Runs a prompt of n tokens to its end. Returns how many of them were cached. */
static size_t read_prompt(struct rig *r, size_t model, size_t n)
{
    int32_t ids[400];
    struct error err = {0};
    bool ended = false;
    fill(ids, n, 5);
    const struct job_request q = {.kind = JOB_GENERATE,
        .model = &r->m[model]->served,
        .prompt = ids,
        .n_prompt = n,
        .n_choices = 1,
        .max_tokens = 1,
        .cache_prompt = true,
        .sampling = {.top_p = 1, .typical_p = 1, .repetition_penalty = 1}};
    struct job *j = job_new(&q, NULL, NULL);
    assert_non_null(j);
    if (served_model_submit(j, &err) != RESULT_OK)
        fail_msg("%s", err.text);
    while (!ended) {
        for (struct job_piece *p = job_take(j, &ended), *next; p; p = next) {
            next = p->next;
            job_piece_free(p);
        }
        sched_yield();
    }
    size_t cached = job_usage_of(j).cached_tokens;
    job_release(j);
    return cached;
}

static uint64_t used(struct rig *r)
{
    return kv_budget_used(engine_budget(r->e));
}

/* No request comes while this waits. */
static void wait_until_free(struct rig *r)
{
    for (double end = now() + 60; used(r) > 0; usleep(1000))
        assert_true(now() < end);
    for (int i = 0; i < 2; i++) {
        while (atomic_load(&r->m[i]->served.metrics.kv_bytes) > 0)
            usleep(1000);
        assert_int_equal(atomic_load(&r->m[i]->served.metrics.prefix_bytes), 0);
    }
}

static void test_prefixes_of_all_models_are_freed_by_age_without_any_request(void **state)
{
    (void)state;
    struct rig r;
    struct engine_options o = usual;
    o.prefix_age = 0.05;
    rig_start(&r, &o);
    read_prompt(&r, 0, 300);
    read_prompt(&r, 1, 300);
    wait_until_free(&r);
    assert_int_equal(read_prompt(&r, 0, 300), 0);
    rig_stop(&r);
}

static void test_young_prefixes_stay(void **state)
{
    (void)state;
    struct rig r;
    struct shortage s = {0};
    struct engine_options o = usual;
    o.prefix_age = 3600;
    o.memory_is_short = is_short;
    o.memory_watch = (struct memory_watch *)(void *)&s;
    rig_start(&r, &o);
    read_prompt(&r, 0, 300);
    while (atomic_load(&s.asked) < 2) /* it has looked, and found no reason */
        usleep(1000);
    assert_true(used(&r) > 0);
    assert_true(read_prompt(&r, 0, 300) >= 256);
    rig_stop(&r);
}

static void test_short_memory_frees_all_that_is_idle_however_young(void **state)
{
    (void)state;
    struct rig r;
    struct shortage s = {0};
    struct engine_options o = usual;
    o.memory_is_short = is_short;
    o.memory_watch = (struct memory_watch *)(void *)&s;
    rig_start(&r, &o);
    read_prompt(&r, 0, 300);
    read_prompt(&r, 1, 200);
    assert_true(used(&r) > 0);
    atomic_store(&s.is_short, true);
    wait_until_free(&r);
    rig_stop(&r);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_prefixes_of_all_models_are_freed_by_age_without_any_request),
        cmocka_unit_test(test_young_prefixes_stay),
        cmocka_unit_test(test_short_memory_frees_all_that_is_idle_however_young),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
