/* test_budget.c - users of a budget never take more than its limit together. */
#include "berth/base/budget.h"

#include "berth/base/strbuf.h"
#include "berth/base/value.h"

#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

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

/* ---- what counts in one ---- */

static void test_a_buffer_counts_its_room_until_it_is_released_or_taken(void **state)
{
    (void)state;
    struct byte_budget b = {.limit = 4000};
    struct strbuf s;
    strbuf_init(&s, 100000);
    s.budget = &b;
    strbuf_format(&s, "%1000d", 7);
    assert_int_equal(b.used, strbuf_held(&s));
    assert_true(b.used + 256 >= s.room && s.room > 1000);
    strbuf_format(&s, "%3500d", 7); /* would double it beyond the budget */
    assert_true(s.failed);
    assert_int_equal(s.size, 1000);
    strbuf_cut(&s, 999);
    strbuf_text(&s, "x");
    assert_false(s.failed);
    assert_int_equal(strlen(s.text), 1000);
    strbuf_release(&s);
    assert_int_equal(b.used, 0);
    strbuf_init(&s, 100000);
    s.budget = &b;
    strbuf_format(&s, "%1000d", 7);
    free(strbuf_take(&s, NULL));
    assert_int_equal(b.used, 0);
    strbuf_release(&s);
    assert_int_equal(b.used, 0);
}

static void test_an_arena_counts_its_blocks_in_one_budget_with_others(void **state)
{
    struct error err = {0};
    (void)state;
    struct byte_budget b = {.limit = 100000};
    struct value_arena *a = value_arena_new(SIZE_MAX);
    value_arena_count(a, &b);
    assert_non_null(value_alloc(a, 40000));
    struct value_arena *other = value_arena_beside(a, SIZE_MAX);
    assert_non_null(value_alloc(other, 50000));
    assert_true(b.used >= 90000);
    assert_null(value_alloc(other, 50000));
    assert_true(value_arena_failed(other) && !value_arena_failed(a));
    value_arena_explain(other, "the test", &err);
    assert_true(err.no_memory);
    value_arena_free(other);
    assert_non_null(value_alloc(a, 50000));
    value_arena_free(a);
    assert_int_equal(b.used, 0);
    a = value_arena_new(1000); /* to reach its own limit is no lack of memory */
    value_arena_count(a, &b);
    assert_null(value_alloc(a, 50000));
    value_arena_explain(a, "the test", &err);
    assert_false(err.no_memory);
    value_arena_free(a);
    assert_int_equal(b.used, 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_what_does_not_fit_is_not_taken),
        cmocka_unit_test(test_threads_together_stay_below_the_limit),
        cmocka_unit_test(test_a_buffer_counts_its_room_until_it_is_released_or_taken),
        cmocka_unit_test(test_an_arena_counts_its_blocks_in_one_budget_with_others),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
