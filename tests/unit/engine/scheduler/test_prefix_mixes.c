/* test_prefix_mixes.c - models with a recurrent state, and random mixes of requests: every answer is the same bytes with
 * and without the cache of prefixes.
 */
#include "berth/kernels/isa.h"

#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <setjmp.h>

#include <unistd.h>

#include <cmocka.h>

#include "asking.h"

#define PATIENCE 120 /* seconds that the whole program may take */

static struct asked wanted[24], got[24], first; /* large: not for the stack */
static int32_t text[MOST];

/* ---- recurrent states ---- */

/* A sequence of a recurrent model can go on only where there is a state: at the end of another sequence, or at a
 * checkpoint. */
static void test_a_recurrent_model_goes_on_where_a_state_is_kept(void **state)
{
    (void)state;
    struct rig r;
    rig_start(&r, &usual);
    size_t every = kv_cache_checkpoint_every(r.m[2]->cache);
    assert_int_equal(every, ATTENTION_BLOCK);
    static const struct {
        size_t same, n, cached;
    } steps[] = {
        {300, 350, 300}, {280, 330, 256}, {256, 257, 256}, {256, 256, 192}, {63, 200, 0}, {64, 200, 64}};
    for (size_t i = 0; i < sizeof(steps) / sizeof(*steps); i++) {
        fill(text, 300, 100 + (uint32_t)i);
        struct job_request q = request(&r, text, 300, 1);
        q.model = &r.m[2]->served;
        ask_alone(&r, &first, &q);
        assert_int_equal(first.usage.cached_tokens, 0);
        fill(text + steps[i].same, 350 - steps[i].same, 200 + (uint32_t)i);
        q = request(&r, text, steps[i].n, 30);
        q.model = &r.m[2]->served;
        ask_alone(&r, &got[0], &q);
        if (got[0].usage.cached_tokens != steps[i].cached)
            fail_msg("step %zu: %zu tokens were cached", i, got[0].usage.cached_tokens);
        ask_without(&r, &wanted[0], q);
        assert_same(&got[0], &wanted[0]);
    }
    rig_stop(&r);
}

/* The state before a prompt's last token is kept, wherever in a page that is, beside what the answer made of the page. */
static void test_a_recurrent_model_goes_on_at_the_end_of_a_prompt(void **state)
{
    (void)state;
    static const size_t lengths[] = {10, 65, 66, 128, 129, 300, 513};
    struct rig r;
    rig_start(&r, &usual);
    for (int model = 2; model <= 4; model += 2)
        for (size_t i = 0; i < sizeof(lengths) / sizeof(*lengths); i++) {
            size_t n = lengths[i];
            fill(text, n + 40, 300 + (uint32_t)i);
            struct job_request q = request(&r, text, n, 150);
            q.model = &r.m[model]->served;
            ask_alone(&r, &first, &q);
            assert_int_equal(first.usage.cached_tokens, 0);
            ask_alone(&r, &got[0], &q);
            assert_int_equal(got[0].usage.cached_tokens, n - 1);
            assert_same(&got[0], &first);
            q = request(&r, text, n + 40, 5); /* another text behind the prompt */
            q.model = &r.m[model]->served;
            ask_alone(&r, &got[0], &q);
            bool regular = n % kv_cache_checkpoint_every(r.m[model]->cache) == 0;
            assert_int_equal(got[0].usage.cached_tokens, regular ? n : n - 1);
            ask_without(&r, &wanted[0], q);
            assert_same(&got[0], &wanted[0]);
        }
    rig_stop(&r);
}

static void test_choices_of_a_recurrent_model_begin_behind_the_prompt(void **state)
{
    (void)state;
    struct rig r;
    rig_start(&r, &usual);
    atomic_uint_fast64_t *counted = &r.m[2]->served.metrics.forward_rows;
    fill(text, 300, 5);
    struct job_request q = request(&r, text, 300, 20);
    q.model = &r.m[2]->served;
    q.n_choices = CHOICES;
    uint64_t before = atomic_load(counted);
    ask_without(&r, &wanted[0], q);
    assert_int_equal(atomic_load(counted) - before, 300 + 3 + 4 * 19);
    ask_alone(&r, &got[0], &q);
    assert_same(&got[0], &wanted[0]);
    q.n_choices = 1;
    for (size_t i = 0; i < CHOICES; i++, q.sampling.seed++) { /* each is what a request of its own says */
        ask_without(&r, &first, q);
        assert_int_equal(first.n[0], wanted[0].n[i]);
        assert_memory_equal(first.said[0], wanted[0].said[i], first.n[0] * sizeof(int32_t));
    }
    rig_stop(&r);
}

/* ---- all of it together ---- */

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

/* A prompt of pieces from a small stock, so that many prompts have common beginnings of all lengths. */
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
    if (m.memory > 0) /* some end when they fill it, and always at the same token */
        engine_budget(r.e)->limit =
            kv_cache_least_bytes_for(r.m[m.model]->cache, m.memory * ATTENTION_BLOCK, o.chunk);
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
    run_mix((struct mix){.seed = 5, .model = 4});
}

static void test_answers_are_the_same_bytes_where_memory_is_short(void **state)
{
    (void)state;
    for (uint32_t i = 0; i < 4; i++)
        run_mix((struct mix){.seed = 3 + i, .memory = 10 + 2 * i, .model = (int)i % 2});
    run_mix((struct mix){.seed = 7, .memory = 12, .type = ATTENTION_Q8_0});
    for (uint32_t i = 0; i < 4; i++)
        run_mix((struct mix){.seed = 30 + i, .memory = 10 + 2 * i, .model = i % 2 ? 2 : 4});
}

static void test_answers_are_the_same_bytes_while_others_leave(void **state)
{
    (void)state;
    for (uint32_t i = 0; i < 4; i++)
        run_mix((struct mix){.seed = 20 + i,
            .memory = i % 2 ? 12 : 0,
            .cancels = true,
            .model = i < 2   ? 0
                     : i < 3 ? 2
                             : 4});
}

int main(int argc, char **argv)
{
    struct error err = {0};
    if (!isa_select("auto", &err))
        return 1;
    alarm(PATIENCE);
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_a_recurrent_model_goes_on_where_a_state_is_kept),
        cmocka_unit_test(test_a_recurrent_model_goes_on_at_the_end_of_a_prompt),
        cmocka_unit_test(test_choices_of_a_recurrent_model_begin_behind_the_prompt),
        cmocka_unit_test(test_answers_are_the_same_bytes_with_the_cache),
        cmocka_unit_test(test_answers_are_the_same_bytes_where_memory_is_short),
        cmocka_unit_test(test_answers_are_the_same_bytes_while_others_leave),
    };
    cmocka_set_test_filter(argc > 1 ? argv[1] : NULL);
    return cmocka_run_group_tests(tests, NULL, NULL);
}
