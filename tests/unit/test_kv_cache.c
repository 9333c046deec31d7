/* test_kv_cache.c - pages that are shared, copied, given back, and never more than the budget has.
 *
 * Every position of a sequence is marked by a byte in the keys of one head, so that a page that should have
 * been copied and was not shows at once.
 */
#include "berth/kv_cache.h"

#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <stdlib.h>

#include <cmocka.h>

static const struct kv_layer layers[] = {{2, 16, 8}, {1, 24, 40}};

struct fixture {
    struct kv_budget budget;
    struct kv_cache *cache;
};

static int setup(void **state)
{
    struct fixture *f = calloc(1, sizeof(*f));
    assert_non_null(f);
    f->budget.limit = UINT64_MAX;
    f->cache = kv_cache_new(&f->budget, ATTENTION_F16, layers, 2);
    assert_non_null(f->cache);
    *state = f;
    return 0;
}

static int teardown(void **state)
{
    struct fixture *f = *state;
    assert_int_equal(atomic_load(&f->budget.used), 0);
    kv_cache_free(f->cache);
    free(f);
    return 0;
}

static uint8_t *mark_of(const struct sequence *s, size_t position)
{
    size_t n;
    uint8_t *const *pages = sequence_pages(s, &n);
    assert_true(position / ATTENTION_BLOCK < n);
    return pages[position / ATTENTION_BLOCK] + kv_cache_k_at(sequence_cache(s), 1, 0) +
           position % ATTENTION_BLOCK;
}

static void write_to(struct sequence *s, size_t n, uint8_t mark)
{
    size_t from = sequence_length(s);
    assert_true(sequence_reserve(s, n));
    assert_int_equal(sequence_length(s), from);
    for (size_t i = from; i < n; i++)
        *mark_of(s, i) = mark;
    sequence_advance(s, n);
}

static void assert_marks(const struct sequence *s, size_t first, size_t end, uint8_t mark)
{
    for (size_t i = first; i < end; i++)
        assert_int_equal(*mark_of(s, i), mark);
}

static size_t pages_in_use(const struct fixture *f)
{
    return (size_t)(atomic_load(&f->budget.used) / kv_cache_page_bytes(f->cache));
}

static void test_heads_lie_side_by_side_and_aligned(void **state)
{
    struct fixture *f = *state;
    size_t at = 0;
    for (size_t l = 0; l < 2; l++)
        for (size_t h = 0; h < layers[l].heads; h++) {
            assert_int_equal(kv_cache_k_at(f->cache, l, h), at);
            at += layers[l].k_size * ATTENTION_BLOCK * 2;
            assert_int_equal(kv_cache_v_at(f->cache, l, h), at);
            at += layers[l].v_size * ATTENTION_BLOCK * 2;
            assert_int_equal(at % 64, 0);
        }
    assert_true(kv_cache_page_bytes(f->cache) >= at);
    assert_int_equal(kv_cache_type(f->cache), ATTENTION_F16);
    struct sequence *s = sequence_new(f->cache);
    assert_true(sequence_reserve(s, 1));
    size_t n;
    assert_int_equal((uintptr_t)sequence_pages(s, &n)[0] % 64, 0);
    assert_int_equal(n, 1);
    sequence_free(s);
}

static void test_a_sequence_costs_what_it_holds(void **state)
{
    struct fixture *f = *state;
    struct sequence *s = sequence_new(f->cache);
    static const size_t lengths[] = {1, 64, 65, 128, 1000};
    for (size_t i = 0; i < sizeof(lengths) / sizeof(lengths[0]); i++) {
        write_to(s, lengths[i], 7);
        assert_int_equal(pages_in_use(f), (lengths[i] + 63) / 64);
    }
    assert_marks(s, 0, 1000, 7);
    sequence_cut(s, 65);
    assert_int_equal(pages_in_use(f), 2);
    assert_int_equal(sequence_length(s), 65);
    sequence_cut(s, 0);
    assert_int_equal(pages_in_use(f), 0);
    sequence_free(s);
    sequence_free(NULL);
}

static void test_a_fork_shares_pages_until_somebody_writes(void **state)
{
    struct fixture *f = *state;
    struct sequence *s = sequence_new(f->cache);
    write_to(s, 100, 1);
    struct sequence *fork = sequence_fork(s, 90);
    assert_int_equal(sequence_length(fork), 90);
    assert_int_equal(pages_in_use(f), 2);
    write_to(fork, 130, 2);
    assert_int_equal(pages_in_use(f), 4); /* the second page was copied, a third taken */
    write_to(s, 128, 3);
    assert_int_equal(pages_in_use(f), 4); /* nobody else holds it any more */
    assert_marks(fork, 0, 90, 1);
    assert_marks(fork, 90, 130, 2);
    assert_marks(s, 0, 100, 1);
    assert_marks(s, 100, 128, 3);
    sequence_free(s);
    assert_marks(fork, 0, 90, 1);
    sequence_free(fork);
}

static void test_the_one_that_was_forked_copies_too(void **state)
{
    struct fixture *f = *state;
    struct sequence *s = sequence_new(f->cache);
    write_to(s, 70, 1);
    struct sequence *snapshot = sequence_fork(s, 70);
    write_to(s, 80, 2);
    sequence_cut(s, 10);
    write_to(s, 64, 3);
    assert_marks(snapshot, 0, 70, 1);
    assert_marks(s, 0, 10, 1);
    assert_marks(s, 10, 64, 3);
    sequence_free(snapshot);
    sequence_free(s);
}

static void test_a_fork_at_the_border_of_a_page_copies_nothing(void **state)
{
    struct fixture *f = *state;
    struct sequence *s = sequence_new(f->cache);
    write_to(s, 128, 1);
    struct sequence *fork = sequence_fork(s, 64);
    write_to(fork, 65, 2);
    assert_int_equal(pages_in_use(f), 3);
    assert_marks(s, 64, 128, 1);
    sequence_free(s);
    sequence_free(fork);
}

static void test_beyond_the_budget_nothing_changes(void **state)
{
    struct fixture *f = *state;
    f->budget.limit = 3 * kv_cache_page_bytes(f->cache);
    struct sequence *s = sequence_new(f->cache);
    write_to(s, 100, 1);
    assert_false(sequence_reserve(s, 64 * 3 + 1));
    assert_int_equal(pages_in_use(f), 2);
    assert_int_equal(sequence_length(s), 100);
    struct sequence *fork = sequence_fork(s, 100);
    assert_true(sequence_reserve(fork, 128)); /* the copy is the third page */
    struct sequence *third = sequence_fork(s, 100);
    assert_int_equal(pages_in_use(f), 3);
    assert_true(sequence_reserve(third, 100)); /* nothing to write */
    assert_false(sequence_reserve(third, 101)); /* no room for a copy, */
    sequence_free(fork);
    assert_false(sequence_reserve(third, 129)); /* nor for a copy and one more: neither is kept */
    assert_int_equal(pages_in_use(f), 2);
    assert_true(sequence_reserve(third, 101));
    sequence_free(s);
    sequence_free(third);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_heads_lie_side_by_side_and_aligned, setup, teardown),
        cmocka_unit_test_setup_teardown(test_a_sequence_costs_what_it_holds, setup, teardown),
        cmocka_unit_test_setup_teardown(test_a_fork_shares_pages_until_somebody_writes, setup, teardown),
        cmocka_unit_test_setup_teardown(test_the_one_that_was_forked_copies_too, setup, teardown),
        cmocka_unit_test_setup_teardown(test_a_fork_at_the_border_of_a_page_copies_nothing, setup, teardown),
        cmocka_unit_test_setup_teardown(test_beyond_the_budget_nothing_changes, setup, teardown),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
