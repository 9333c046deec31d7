/* test_prefill.c - the prefill budget on models whose steps cost what a formula gives.
 */
#include "engine/scheduler/scheduler_private.h"

#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <setjmp.h>

#include <cmocka.h>

#define CHUNK 256

/* Seconds of a step: for the weights, for each row. */
static const struct {
    double base, row;
} models[] = {{0.018, 0.0037}, {0.003, 0.0006}, {0.15, 0.03}, {0.02, 0.0005}, {0.0001, 0.00003}};
#define N_MODELS (sizeof(models) / sizeof(models[0]))

static double cost(size_t model, size_t rows)
{
    return models[model].base + models[model].row * (double)rows;
}

static size_t rows_beside(const struct prefill_cost *p, size_t answering, size_t reading)
{
    struct prefill_load l = {
        .decoding = answering, .prefilling = reading, .decode_seconds = prefill_decode_seconds(p, answering)};
    return prefill_budget(p, &l, CHUNK);
}

/* A prompt alone, answers alone, then more prompts, as a server that was just started would see them. */
static void warm_up(struct prefill_cost *p, size_t model, size_t answering)
{
    for (int i = 0; i < 3; i++) {
        size_t rows = prefill_budget(p, &(struct prefill_load){.prefilling = 1}, CHUNK);
        prefill_learn(p, 0, rows, cost(model, rows));
    }
    for (int i = 0; i < 10; i++)
        prefill_learn(p, answering, 0, cost(model, answering));
}

static void go_on(struct prefill_cost *p, size_t model, size_t answering, size_t steps)
{
    for (size_t i = 0; i < steps; i++) {
        size_t rows = rows_beside(p, answering, 1);
        prefill_learn(p, answering, rows, cost(model, answering + rows));
    }
}

static void test_a_step_with_prompts_takes_about_twice_as_long_as_without(void **state)
{
    (void)state;
    for (size_t model = 0; model < N_MODELS; model++)
        for (size_t answering = 4; answering <= 16; answering *= 2) {
            struct prefill_cost p = {0};
            warm_up(&p, model, answering);
            for (int step = 0; step < 50; step++) {
                size_t rows = rows_beside(&p, answering, 2);
                double alone = cost(model, answering), beside = cost(model, answering + rows);
                assert_true(rows >= 8 && rows <= CHUNK);
                assert_true(beside <= 2.3 * alone || beside <= 0.012);
                /* The budget grows to its value in the first steps. */
                assert_true(step < 10 || rows == CHUNK || beside >= 1.7 * alone);
                prefill_learn(&p, answering, rows, beside);
            }
        }
}

static void test_where_more_read_than_answer_they_get_more_but_never_all(void **state)
{
    (void)state;
    struct prefill_cost p = {0};
    warm_up(&p, 0, 4);
    go_on(&p, 0, 4, 20);
    double alone = cost(0, 4), same = cost(0, 4 + rows_beside(&p, 4, 4)),
           most = cost(0, 4 + rows_beside(&p, 4, 8));
    assert_true(same <= 2.2 * alone);
    assert_true(most >= 2.7 * alone && most <= 3.2 * alone);
    assert_int_equal(rows_beside(&p, 4, 100), rows_beside(&p, 4, 8));
}

static void test_what_is_not_known_yet_is_tried_with_few_rows(void **state)
{
    (void)state;
    struct prefill_cost p = {0};
    assert_in_range(rows_beside(&p, 0, 1), 1, 16);
    prefill_learn(&p, 1, 0, 0.5); /* half a second for a single row is the most that a row can cost */
    assert_in_range(rows_beside(&p, 0, 1), 1, 8);
    assert_int_equal(prefill_budget(&p, &(struct prefill_load){.prefilling = 1}, 3), 3);
}

static void test_a_prompt_alone_gets_the_whole_chunk_or_a_second(void **state)
{
    (void)state;
    for (size_t model = 0; model < N_MODELS; model++) {
        struct prefill_cost p = {0};
        warm_up(&p, model, 4);
        size_t rows = rows_beside(&p, 0, 1);
        assert_true(rows == CHUNK || (cost(model, rows) > 0.7 && cost(model, rows) < 1.3));
    }
}

/* One step is slow because another program has used the processors. */
static void test_one_slow_step_is_soon_forgotten(void **state)
{
    (void)state;
    struct prefill_cost p = {0};
    warm_up(&p, 0, 4);
    go_on(&p, 0, 4, 20);
    size_t before = rows_beside(&p, 4, 2);
    prefill_learn(&p, 4, 0, 5 * cost(0, 4));
    assert_true(rows_beside(&p, 4, 2) <= 3 * before);
    for (int i = 0; i < 12; i++)
        prefill_learn(&p, 4, 0, cost(0, 4));
    assert_in_range(rows_beside(&p, 4, 2), before - 1, before + 1);
    prefill_learn(&p, 4, before, 5 * cost(0, 4 + before));
    assert_true(rows_beside(&p, 4, 2) >= 8);
    for (int i = 0; i < 16; i++)
        prefill_learn(&p, 4, before, cost(0, 4 + before));
    assert_in_range(rows_beside(&p, 4, 2), before - 1, before + 1);
}

/* The same where prompts never end, so that no step shows what answers take alone. */
static void test_one_very_slow_step_does_not_make_answers_slow_for_as_long_as_prompts_come(void **state)
{
    (void)state;
    for (size_t model = 0; model < 3; model++) {
        struct prefill_cost p = {0};
        warm_up(&p, model, 4);
        go_on(&p, model, 4, 20);
        prefill_learn(&p, 4, 0, 100 * cost(model, 4));
        go_on(&p, model, 4, 200);
        assert_true(cost(model, 4 + rows_beside(&p, 4, 4)) <= 3 * cost(model, 4));
    }
}

/* When all requests want a score or one token, no step shows what answers take alone. */
static void test_where_prompts_alone_are_read_a_machine_that_becomes_slower_is_noticed(void **state)
{
    (void)state;
    const size_t model = 2, slower = 8;
    const struct prefill_load l = {.prefilling = 2};
    struct prefill_cost p = {0};
    for (int step = 0; step < 40; step++) {
        size_t rows = prefill_budget(&p, &l, CHUNK);
        prefill_learn(&p, 0, rows, cost(model, rows) * (double)(step < 10 ? 1 : slower));
    }
    double seconds = cost(model, prefill_budget(&p, &l, CHUNK)) * (double)slower;
    assert_true(seconds > 0.7 && seconds < 8 * cost(model, 8) * 1.3);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_a_step_with_prompts_takes_about_twice_as_long_as_without),
        cmocka_unit_test(test_where_more_read_than_answer_they_get_more_but_never_all),
        cmocka_unit_test(test_what_is_not_known_yet_is_tried_with_few_rows),
        cmocka_unit_test(test_a_prompt_alone_gets_the_whole_chunk_or_a_second),
        cmocka_unit_test(test_one_slow_step_is_soon_forgotten),
        cmocka_unit_test(test_where_prompts_alone_are_read_a_machine_that_becomes_slower_is_noticed),
        cmocka_unit_test(test_one_very_slow_step_does_not_make_answers_slow_for_as_long_as_prompts_come),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
