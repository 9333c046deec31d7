/* test_sequence.c - the recurrent part of a sequence: states and checkpoints, which are shared, counted in the budget and
 * never changed once they are written.
 *
 * `read_to` stands for a forward call. It writes each wanted state as numbers that show its position and its writer.
 */
#include "berth/engine/model/kv_cache.h"

#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <stdlib.h>

#include <cmocka.h>

enum { FLOATS = 3, EVERY = 64 };

static const struct layer_state layers[] = {
    {2, 64, 64, 0, false, 0, false}, {0, 0, 0, FLOATS, false, 0, false}, {0, 0, 0, 5, false, 0, false}};

struct fixture {
    struct kv_budget budget;
    struct kv_cache *cache;
};

static int setup(void **state)
{
    struct fixture *f = calloc(1, sizeof(*f));
    assert_non_null(f);
    kv_budget_set_limit(&f->budget, UINT64_MAX);
    f->cache = kv_cache_new(&f->budget, ATTENTION_F16, layers, 3);
    assert_non_null(f->cache);
    assert_int_equal(kv_cache_checkpoint_every(f->cache), EVERY);
    assert_int_equal(kv_cache_state_at(f->cache, 1), 0);
    assert_int_equal(kv_cache_state_at(f->cache, 2), FLOATS);
    *state = f;
    return 0;
}

static int teardown(void **state)
{
    struct fixture *f = *state;
    assert_int_equal(kv_budget_used(&f->budget), 0);
    assert_int_equal(kv_cache_bytes(f->cache), 0);
    kv_cache_free(f->cache);
    free(f);
    return 0;
}

static void write_state(float *state, size_t position, int writer)
{
    for (size_t i = 0; i < FLOATS + 5; i++)
        state[i] = (float)(position * 10 + (size_t)writer) + (float)i / 16;
}

static void assert_state(const float *state, size_t position, int writer)
{
    assert_non_null(state);
    for (size_t i = 0; i < FLOATS + 5; i++)
        assert_true(state[i] == (float)(position * 10 + (size_t)writer) + (float)i / 16);
}

static void write_states(struct sequence *s, size_t n, int writer)
{
    size_t position;
    float *checkpoint;
    write_state(sequence_next_state(s), n, writer);
    for (size_t i = 0; (checkpoint = sequence_next_checkpoint(s, i, &position)) && position <= n; i++)
        write_state(checkpoint, position, writer);
}

static void read_to(struct sequence *s, size_t n, int writer)
{
    assert_true(sequence_reserve(s, n));
    write_states(s, n, writer);
    sequence_advance(s, n);
    assert_state(sequence_state(s), n, writer);
}

static size_t states_in_use(const struct fixture *f, size_t pages)
{
    return (size_t)((kv_cache_bytes(f->cache) - pages * kv_cache_page_bytes(f->cache)) /
                    kv_cache_state_bytes(f->cache));
}

static void test_a_sequence_is_cut_to_the_nearest_checkpoint(void **state)
{
    struct fixture *f = *state;
    struct sequence *s = sequence_new(f->cache);
    assert_null(sequence_state(s));
    read_to(s, 10, 1);
    read_to(s, 200, 1);
    read_to(s, 201, 1);
    assert_int_equal(sequence_cut(s, 201), 201);
    assert_state(sequence_state(s), 201, 1);
    assert_int_equal(sequence_cut(s, 200), 192);
    assert_state(sequence_state(s), 192, 1);
    read_to(s, 300, 2);
    assert_int_equal(sequence_cut(s, 192), 192);
    assert_state(sequence_state(s), 192, 1);
    assert_int_equal(sequence_cut(s, 127), 64);
    assert_int_equal(sequence_length(s), 64);
    assert_int_equal(sequence_cut(s, 63), 0);
    assert_null(sequence_state(s));
    read_to(s, 64, 3);
    assert_int_equal(sequence_cut(s, 64), 64);
    sequence_free(s);
}

static void test_a_checkpoint_is_kept_where_it_was_asked_for(void **state)
{
    struct fixture *f = *state;
    struct sequence *s = sequence_new(f->cache);
    sequence_mark(s, 70);
    read_to(s, 69, 1);
    read_to(s, 150, 1);
    struct sequence *fork = sequence_fork(s, 100);
    assert_int_equal(sequence_length(fork), 70);
    assert_state(sequence_state(fork), 70, 1);
    assert_int_equal(sequence_cut(s, 129), 128);
    assert_int_equal(sequence_cut(s, 127), 70);
    assert_int_equal(sequence_cut(s, 69), 64);
    sequence_free(s);
    sequence_free(fork);
}

static void test_a_call_that_failed_leaves_the_state_as_it_was(void **state)
{
    struct fixture *f = *state;
    struct sequence *s = sequence_new(f->cache);
    read_to(s, 60, 1);
    assert_true(sequence_reserve(s, 140));
    write_states(s, 140, 2); /* but the length stays */
    assert_state(sequence_state(s), 60, 1);
    struct sequence *fork = sequence_fork(s, 60);
    assert_state(sequence_state(fork), 60, 1);
    assert_null(sequence_hold_state(s, 64));
    read_to(s, 70, 3);
    assert_state(sequence_state(fork), 60, 1);
    assert_int_equal(sequence_cut(s, 69), 64);
    assert_state(sequence_state(s), 64, 3);
    sequence_free(s);
    read_to(fork, 61, 4);
    sequence_free(fork);
}

static void test_states_are_shared_and_counted_once(void **state)
{
    struct fixture *f = *state;
    struct sequence *s = sequence_new(f->cache);
    read_to(s, 128, 1);
    assert_int_equal(
        states_in_use(f, 2), 2); /* a checkpoint, and the state itself, which is the second one */
    assert_int_equal(sequence_bytes(s), kv_cache_bytes(f->cache));
    read_to(s, 129, 1);
    assert_int_equal(states_in_use(f, 3), 3);
    read_to(s, 130, 1);
    assert_int_equal(states_in_use(f, 3), 4); /* and one to write the next to */
    assert_int_equal(sequence_bytes(s), kv_cache_bytes(f->cache));
    struct sequence *fork = sequence_fork(s, 130);
    assert_int_equal(states_in_use(f, 3), 4);
    read_to(fork, 131, 2);
    read_to(s, 131, 1);
    assert_state(sequence_state(fork), 131, 2);
    assert_state(sequence_state(s), 131, 1);
    sequence_free(s);
    assert_int_equal(sequence_cut(fork, 130), 128);
    assert_state(sequence_state(fork), 128, 1);
    sequence_free(fork);
}

static void test_a_state_that_is_held_goes_on_in_another_sequence(void **state)
{
    struct fixture *f = *state;
    struct sequence *s = sequence_new(f->cache), *t = sequence_new(f->cache);
    read_to(s, 100, 1);
    struct kv_state *middle = sequence_hold_state(s, 64), *end = sequence_hold_state(s, 100);
    assert_null(sequence_hold_state(s, 65));
    uint8_t *pages[] = {sequence_hold_page(s, KV_GLOBAL, 0), sequence_hold_page(s, KV_GLOBAL, 1)};
    sequence_free(s);
    assert_true(sequence_reserve(t, 90)); /* the call that it is reserved for is not made */
    assert_true(sequence_share_page(t, KV_GLOBAL, 0, pages[0]));
    sequence_resume(t, 64, middle);
    assert_state(sequence_state(t), 64, 1);
    assert_true(sequence_share_page(t, KV_GLOBAL, 1, pages[1]));
    sequence_resume(t, 100, end);
    assert_int_equal(sequence_length(t), 100);
    read_to(t, 140, 2);
    assert_int_equal(sequence_cut(t, 120), 100);
    assert_state(sequence_state(t), 100, 1);
    assert_int_equal(sequence_cut(t, 99), 64);
    assert_state(sequence_state(t), 64, 1);
    for (size_t i = 0; i < 2; i++)
        kv_cache_drop_page(f->cache, pages[i]);
    kv_cache_drop_state(f->cache, middle);
    kv_cache_drop_state(f->cache, end);
    kv_cache_drop_state(f->cache, NULL);
    sequence_free(t);
}

static void test_beyond_the_budget_nothing_changes(void **state)
{
    struct fixture *f = *state;
    uint64_t page = kv_cache_page_bytes(f->cache), one = kv_cache_state_bytes(f->cache);
    struct sequence *s = sequence_new(f->cache);
    read_to(s, 64, 1);
    uint64_t used = kv_budget_used(&f->budget);
    assert_int_equal(used, page + one);
    kv_budget_set_limit(
        &f->budget, used + 2 * page + one); /* for the state, but not for the checkpoint at 128 */
    assert_false(sequence_reserve(s, 129));
    assert_int_equal(kv_budget_used(&f->budget), used);
    assert_state(sequence_state(s), 64, 1);
    assert_true(sequence_reserve(s, 128));
    sequence_cut(s, 64);
    kv_budget_set_limit(&f->budget, 3 * page + 2 * one);
    assert_false(sequence_reserve(s, 150));
    assert_true(sequence_reserve_least(s, 150)); /* without any checkpoint */
    write_states(s, 150, 2);
    sequence_advance(s, 150);
    assert_state(sequence_state(s), 150, 2);
    assert_false(sequence_reserve_least(s, 193)); /* needs a fourth page */
    assert_int_equal(sequence_length(s), 150);
    assert_int_equal(sequence_cut(s, 149), 0);
    sequence_free(s);
}

static void test_memory_for_a_sequence_is_what_one_takes(void **state)
{
    struct fixture *f = *state;
    for (size_t n = 1; n < 400; n += 7) {
        struct sequence *s = sequence_new(f->cache);
        for (size_t at = 20; at < n; at += 20)
            read_to(s, at, 1);
        read_to(s, n, 1);
        assert_true(sequence_reserve(s, n));
        assert_in_range(kv_cache_bytes_for(f->cache, n, n), sequence_bytes(s),
            sequence_bytes(s) + kv_cache_state_bytes(f->cache));
        sequence_free(s);
    }
}

/* ---- large states ---- */

enum { LARGE = 20000, FAR = 256 };

static size_t count_kept(const struct kv_cache *c, size_t end)
{
    size_t kept = 0;
    for (size_t at = FAR; at <= end; at += FAR)
        kept += kv_cache_keeps_checkpoint(c, at, end);
    return kept;
}

/* One checkpoint for each power of two, at distances that grow with the distance from the end. */
static void test_checkpoints_of_large_states_are_thinned(void **state)
{
    struct fixture *f = *state;
    const struct layer_state large[] = {{2, 64, 64, 0, false, 0, false}, {0, 0, 0, LARGE, false, 0, false}};
    struct kv_cache *c = kv_cache_new(&f->budget, ATTENTION_F16, large, 2);
    assert_non_null(c);
    assert_int_equal(kv_cache_checkpoint_every(c), FAR);
    struct sequence *s = sequence_new(c);
    for (size_t at = 0, step = 1; at < 40 * FAR; at += step, step = step % 700 + 99) {
        assert_true(sequence_reserve(s, at + step));
        sequence_advance(s, at + step);
        size_t states = (size_t)((sequence_bytes(s) - (at + step + 63) / 64 * kv_cache_page_bytes(c)) /
                                 kv_cache_state_bytes(c));
        assert_true(states <= count_kept(c, at + step) + 5); /* those of the last step, now and next */
    }
    size_t end = sequence_length(s), powers = 0;
    for (size_t n = end / FAR; n > 0; n /= 2)
        powers++;
    assert_int_equal(count_kept(c, end), powers);
    uint64_t pages = (end + 63) / 64 * kv_cache_page_bytes(c);
    assert_int_equal(kv_cache_bytes_for(c, end, end), pages + (powers + 2) * kv_cache_state_bytes(c));
    for (size_t back = 1; back < end; back += 97) {
        struct sequence *fork = sequence_fork(s, end - back);
        assert_true(end - sequence_length(fork) <= 2 * back + 2 * FAR);
        sequence_free(fork);
    }
    sequence_free(s);
    kv_cache_free(c);
}

/* What a longer sequence keeps, a shorter one kept, too. */
static void test_what_was_thinned_out_is_never_wanted_again(void **state)
{
    struct fixture *f = *state;
    const struct layer_state large[] = {{0, 0, 0, LARGE, false, 0, false}};
    struct kv_cache *c = kv_cache_new(&f->budget, ATTENTION_F16, large, 1);
    for (size_t at = FAR; at < 70 * FAR; at += FAR)
        for (size_t end = at; end < 70 * FAR; end += 77)
            assert_true(!kv_cache_keeps_checkpoint(c, at, end + 77) || kv_cache_keeps_checkpoint(c, at, end));
    assert_true(kv_cache_keeps_checkpoint(c, 100, 70 * FAR)); /* one that was asked for */
    kv_cache_free(c);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_a_sequence_is_cut_to_the_nearest_checkpoint, setup, teardown),
        cmocka_unit_test_setup_teardown(test_a_checkpoint_is_kept_where_it_was_asked_for, setup, teardown),
        cmocka_unit_test_setup_teardown(test_a_call_that_failed_leaves_the_state_as_it_was, setup, teardown),
        cmocka_unit_test_setup_teardown(test_states_are_shared_and_counted_once, setup, teardown),
        cmocka_unit_test_setup_teardown(
            test_a_state_that_is_held_goes_on_in_another_sequence, setup, teardown),
        cmocka_unit_test_setup_teardown(test_beyond_the_budget_nothing_changes, setup, teardown),
        cmocka_unit_test_setup_teardown(test_memory_for_a_sequence_is_what_one_takes, setup, teardown),
        cmocka_unit_test_setup_teardown(test_checkpoints_of_large_states_are_thinned, setup, teardown),
        cmocka_unit_test_setup_teardown(test_what_was_thinned_out_is_never_wanted_again, setup, teardown),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
