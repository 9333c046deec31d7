/* test_budget.c - users of a budget never take more than its limit together. */
#include "berth/base/budget.h"

#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>

#include <cmocka.h>

static void test_what_does_not_fit_is_not_taken(void **state)
{
    (void)state;
    struct byte_budget b = {.limit = 100};
    assert_true(byte_budget_take(&b, 60));
    assert_false(byte_budget_take(&b, 41));
    assert_false(byte_budget_take(&b, SIZE_MAX));
    assert_true(byte_budget_take(&b, 40));
    assert_false(byte_budget_take(&b, 1));
    assert_true(byte_budget_take(&b, 0));
    byte_budget_give(&b, 60);
    assert_true(byte_budget_take(&b, 60));
    assert_int_equal(atomic_load(&b.used), 100);
}

static struct byte_budget shared = {.limit = 1000};
static atomic_bool exceeded;

static void *take_and_give(void *context)
{
    (void)context;
    for (size_t i = 0; i < 20000; i++) {
        size_t bytes = 100 + i % 300;
        if (!byte_budget_take(&shared, bytes))
            continue;
        if (atomic_load(&shared.used) > shared.limit)
            atomic_store(&exceeded, true);
        byte_budget_give(&shared, bytes);
    }
    return NULL;
}

static void test_threads_together_stay_below_the_limit(void **state)
{
    (void)state;
    pthread_t threads[8];
    for (size_t i = 0; i < 8; i++)
        assert_int_equal(pthread_create(&threads[i], NULL, take_and_give, NULL), 0);
    for (size_t i = 0; i < 8; i++)
        pthread_join(threads[i], NULL);
    assert_false(atomic_load(&exceeded));
    assert_int_equal(atomic_load(&shared.used), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_what_does_not_fit_is_not_taken),
        cmocka_unit_test(test_threads_together_stay_below_the_limit),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
