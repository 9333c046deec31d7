/* test_kv_cache.c - pages are shared, copied and freed, within the budget.
 *
 * Every position of a sequence is marked by a byte in the keys of one head and by one at the end of its values. So a test
 * detects a page that was not copied, or not completely.
 */
#include "berth/engine/model/kv_cache.h"

#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <stdlib.h>

#include <cmocka.h>

static const struct layer_state layers[] = {{2, 16, 8, 0, false, 0, false}, {1, 24, 40, 0, false, 0, false}};

struct fixture {
    struct kv_budget budget;
    struct kv_cache *cache;
};

static int setup_of(void **state, enum attention_type type)
{
    struct fixture *f = calloc(1, sizeof(*f));
    assert_non_null(f);
    f->budget.limit = UINT64_MAX;
    f->cache = kv_cache_new(&f->budget, type, layers, 2);
    assert_non_null(f->cache);
    *state = f;
    return 0;
}

static int setup_f16(void **state)
{
    return setup_of(state, ATTENTION_F16);
}

static int setup_q8_0(void **state)
{
    return setup_of(state, ATTENTION_Q8_0);
}

static int teardown(void **state)
{
    struct fixture *f = *state;
    assert_int_equal(atomic_load(&f->budget.used), 0);
    kv_cache_free(f->cache);
    free(f);
    return 0;
}

/* Where positions of the page are marked: in the first 64 bytes of the last head's keys, and in the last 64 of its
 * values. */
static void marks_of(const struct sequence *s, size_t position, uint8_t *marks[2])
{
    uint8_t *const *pages = sequence_pages(s, KV_GLOBAL);
    const struct kv_cache *c = sequence_cache(s);
    assert_true(sequence_is_reserved(s, position));
    uint8_t *page = pages[position / ATTENTION_BLOCK];
    size_t end = kv_cache_v_at(c, 1, 0) + attention_bytes(kv_cache_type(c), layers[1].head_dim_v);
    marks[0] = page + kv_cache_k_at(c, 1, 0) + position % ATTENTION_BLOCK;
    marks[1] = page + end - ATTENTION_BLOCK + position % ATTENTION_BLOCK;
}

static void write_to(struct sequence *s, size_t n, uint8_t mark)
{
    size_t from = sequence_length(s);
    uint8_t *marks[2];
    assert_true(sequence_reserve(s, n));
    assert_int_equal(sequence_length(s), from);
    for (size_t i = from; i < n; i++) {
        marks_of(s, i, marks);
        *marks[0] = *marks[1] = mark;
    }
    sequence_advance(s, n);
}

static void assert_marks(const struct sequence *s, size_t first, size_t end, uint8_t mark)
{
    uint8_t *marks[2];
    for (size_t i = first; i < end; i++) {
        marks_of(s, i, marks);
        assert_int_equal(*marks[0], mark);
        assert_int_equal(*marks[1], mark);
    }
}

static size_t pages_in_use(const struct fixture *f)
{
    return (size_t)(atomic_load(&f->budget.used) / kv_cache_page_bytes(f->cache));
}

static size_t bytes_of(enum attention_type type, size_t size)
{
    return type == ATTENTION_F16 ? 64 * 2 * size : 64 * (size + 2 * ((size + 31) / 32));
}

static void test_heads_lie_side_by_side_and_aligned(void **state)
{
    struct fixture *f = *state;
    size_t at = 0;
    enum attention_type type = kv_cache_type(f->cache);
    for (size_t l = 0; l < 2; l++)
        for (size_t h = 0; h < layers[l].n_head_kv; h++) {
            assert_int_equal(kv_cache_k_at(f->cache, l, h), at);
            at += bytes_of(type, layers[l].head_dim_k);
            assert_int_equal(kv_cache_v_at(f->cache, l, h), at);
            at += bytes_of(type, layers[l].head_dim_v);
            assert_int_equal(at % 64, 0);
        }
    assert_in_range(kv_cache_page_bytes(f->cache), at, at + 64);
    struct sequence *s = sequence_new(f->cache);
    assert_true(sequence_reserve(s, 1));
    assert_int_equal((uintptr_t)sequence_pages(s, KV_GLOBAL)[0] % 64, 0);
    assert_false(sequence_is_reserved(s, 64));
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
        cmocka_unit_test_setup_teardown(test_heads_lie_side_by_side_and_aligned, setup_f16, teardown),
        cmocka_unit_test_setup_teardown(test_a_sequence_costs_what_it_holds, setup_f16, teardown),
        cmocka_unit_test_setup_teardown(test_a_fork_shares_pages_until_somebody_writes, setup_f16, teardown),
        cmocka_unit_test_setup_teardown(test_the_one_that_was_forked_copies_too, setup_f16, teardown),
        cmocka_unit_test_setup_teardown(
            test_a_fork_at_the_border_of_a_page_copies_nothing, setup_f16, teardown),
        cmocka_unit_test_setup_teardown(test_beyond_the_budget_nothing_changes, setup_f16, teardown),
        {"test_heads_lie_side_by_side_and_aligned (q8_0)", test_heads_lie_side_by_side_and_aligned,
            setup_q8_0, teardown, NULL},
        {"test_a_sequence_costs_what_it_holds (q8_0)", test_a_sequence_costs_what_it_holds, setup_q8_0,
            teardown, NULL},
        {"test_a_fork_shares_pages_until_somebody_writes (q8_0)",
            test_a_fork_shares_pages_until_somebody_writes, setup_q8_0, teardown, NULL},
        {"test_the_one_that_was_forked_copies_too (q8_0)", test_the_one_that_was_forked_copies_too,
            setup_q8_0, teardown, NULL},
        {"test_a_fork_at_the_border_of_a_page_copies_nothing (q8_0)",
            test_a_fork_at_the_border_of_a_page_copies_nothing, setup_q8_0, teardown, NULL},
        {"test_beyond_the_budget_nothing_changes (q8_0)", test_beyond_the_budget_nothing_changes, setup_q8_0,
            teardown, NULL},
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
