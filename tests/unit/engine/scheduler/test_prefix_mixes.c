/* test_prefix_mixes.c - random prompts that begin alike, with and without the prefix cache, with short memory and clients
 * that leave: answers have the same bytes.
 */
#include "berth/kernels/isa.h"

#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <setjmp.h>

#include <cmocka.h>

#include "prefix_request.h"

struct mix {
    uint32_t seed;
    uint64_t memory; /* in pages, and two states; 0: all there is */
    bool cancels;
    int model;
    enum attention_type type;
};

static uint32_t dice(struct mix *m, uint32_t n)
{
    m->seed = m->seed * 1664525u + 1013904223u;
    return (m->seed >> 8) % n;
}

/* A prompt of parts from a small set, so that many prompts begin alike and differ anywhere. */
static size_t write_prompt(struct mix *m, int32_t *ids)
{
    size_t n = 0;
    for (uint32_t i = 0, parts = 1 + dice(m, 4); i < parts; i++) {
        uint32_t part = dice(m, 3);
        size_t size = 20 + 47 * part + 30 * i;
        fill(ids + n, size, 1000 + part + 3 * i);
        n += size;
    }
    return n - dice(m, 5);
}

static void run_mix(struct mix m)
{
    static int32_t prompts[24][MOST];
    struct job_request q[24];
    bool cancelled[24] = {false};
    struct rig r;
    struct engine_options o = usual;
    o.chunk = 48;
    o.slots = 5;
    o.threads = 1;
    o.kv_type = m.type;
    rig_start(&r, &o);
    if (m.memory > 0) /* some answers end when they fill the memory, and always at the same token */
        engine_budget(r.e)->limit = kv_cache_least_bytes_for(r.m[m.model]->cache, m.memory * ATTENTION_BLOCK);
    for (size_t i = 0; i < 24; i++) {
        q[i] = request(&r, prompts[i], write_prompt(&m, prompts[i]), 1 + dice(&m, 80));
        q[i].model = &r.m[m.model]->served;
        q[i].n_choices = 1 + (dice(&m, 4) == 0 ? dice(&m, CHOICES) : 0);
        q[i].sampling.seed = i;
        ask_without(&r, &wanted[i], q[i]);
    }
    uint64_t alone = atomic_load(&r.m[m.model]->served.metrics.forward_rows);
    for (size_t round = 0; round < 2; round++) {
        for (size_t i = 0; i < 24; i++) {
            ask(&got[i], &q[i]);
            cancelled[i] = m.cancels && dice(&m, 4) == 0;
            if (i >= 8 && cancelled[i - 8])
                job_cancel(got[i - 8].j);
        }
        for (size_t i = 0; i < 24; i++) {
            if (cancelled[i])
                job_cancel(got[i].j);
            finish(&got[i]);
            if (got[i].finish[0] != JOB_CANCELLED && !cancelled[i])
                assert_same(&got[i], &wanted[i]);
        }
    }
    assert_true(atomic_load(&r.m[m.model]->served.metrics.cached_tokens) > 0);
    if (m.memory == 0)
        assert_true(atomic_load(&r.m[m.model]->served.metrics.forward_rows) - alone < alone);
    else
        assert_true(atomic_load(&r.m[m.model]->served.metrics.preemptions) > 0);
    rig_stop(&r);
}

static void test_answers_are_the_same_bytes_with_the_cache(void **state)
{
    (void)state;
    run_mix((struct mix){.seed = 1});
    run_mix((struct mix){.seed = 2, .model = 1});
    run_mix((struct mix){.seed = 1, .type = ATTENTION_Q8_0});
    run_mix((struct mix){.seed = 3, .model = 2});
    run_mix((struct mix){.seed = 4, .model = 3});
}

static void test_answers_are_the_same_bytes_where_memory_is_short(void **state)
{
    (void)state;
    for (uint32_t i = 0; i < 4; i++)
        run_mix((struct mix){.seed = 3 + i, .memory = 10 + 2 * i, .model = (int)i % 2});
    run_mix((struct mix){.seed = 7, .memory = 12, .type = ATTENTION_Q8_0});
    for (uint32_t i = 0; i < 4; i++)
        run_mix((struct mix){.seed = 30 + i, .memory = 10 + 2 * i, .model = 2});
}

static void test_answers_are_the_same_bytes_while_others_leave(void **state)
{
    (void)state;
    for (uint32_t i = 0; i < 4; i++)
        run_mix(
            (struct mix){.seed = 20 + i, .memory = i % 2 ? 12 : 0, .cancels = true, .model = i < 2 ? 0 : 2});
}

int main(int argc, char **argv)
{
    struct error err = {0};
    if (!isa_select("auto", &err))
        return 1;
    alarm(PATIENCE);
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_answers_are_the_same_bytes_with_the_cache),
        cmocka_unit_test(test_answers_are_the_same_bytes_where_memory_is_short),
        cmocka_unit_test(test_answers_are_the_same_bytes_while_others_leave),
    };
    cmocka_set_test_filter(argc > 1 ? argv[1] : NULL);
    return cmocka_run_group_tests(tests, NULL, NULL);
}
