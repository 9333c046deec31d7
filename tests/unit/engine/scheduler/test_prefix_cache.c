/* test_prefix_cache.c - the tree of pages, compared with a plain list of all texts that were kept: the longest common
 * beginning is found, pages in use stay, and each page is freed once.
 */
#include "engine/scheduler/prefix_private.h"

#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#define PAGE ATTENTION_BLOCK
#define PAGES 4 /* of a text, at the most */

static const struct layer_state layers[] = {{1, 8, 8, 0, false, 0, false}};

struct cache_fixture {
    struct kv_budget budget;
    struct kv_cache *kv;
    struct prefix_cache *p;
    struct prefix_clock clock;
    uint32_t seed;
};

static int setup(void **state)
{
    struct cache_fixture *f = calloc(1, sizeof(*f));
    assert_non_null(f);
    f->budget.limit = UINT64_MAX;
    f->kv = kv_cache_new(&f->budget, ATTENTION_F16, layers, 1);
    f->p = prefix_new(f->kv, &f->clock);
    assert_non_null(f->p);
    *state = f;
    return 0;
}

static int teardown(void **state)
{
    struct cache_fixture *f = *state;
    prefix_free(f->p);
    assert_int_equal(atomic_load(&f->budget.used), 0);
    assert_int_equal(kv_cache_bytes(f->kv), 0);
    kv_cache_free(f->kv);
    free(f);
    return 0;
}

static uint32_t dice(struct cache_fixture *f, uint32_t n)
{
    f->seed = f->seed * 1664525u + 1013904223u;
    return (f->seed >> 8) % n;
}

static struct sequence *read_text(struct cache_fixture *f, size_t n)
{
    struct sequence *s = sequence_new(f->kv);
    assert_true(sequence_reserve(s, n));
    sequence_advance(s, n);
    return s;
}

/* Keeps a text like a slot that has computed all of it. Returns the node of its last full page. */
static struct prefix_node *keep(struct cache_fixture *f, const int32_t *ids, size_t n, struct sequence *s)
{
    struct prefix_node *at = NULL;
    size_t i = 0;
    for (; (i + 1) * PAGE <= n; i++)
        assert_non_null(at = prefix_keep(f->p, at, ids + i * PAGE, s, i));
    if (n % PAGE > 0)
        prefix_keep_part(f->p, at, ids + i * PAGE, n % PAGE, s, i);
    return at;
}

static void keep_and_leave(struct cache_fixture *f, const int32_t *ids, size_t n)
{
    struct sequence *s = read_text(f, n);
    prefix_leave(f->p, keep(f, ids, n, s));
    sequence_free(s);
}

/* Tokens of the text that are found. */
static size_t found(const struct cache_fixture *f, const int32_t *ids, size_t n)
{
    struct prefix_node *at = NULL;
    for (size_t done = 0;; done += PAGE) {
        size_t same, these = n - done < PAGE ? n - done : PAGE;
        at = prefix_find(f->p, at, ids + done, these, &same);
        if (!at || same < PAGE)
            return done + same;
        assert_int_equal(prefix_depth(at), done / PAGE + 1);
    }
}

/* Two tokens, one of them frequent, so that texts share beginnings of all lengths. */
static size_t write_text(struct cache_fixture *f, int32_t *ids)
{
    size_t n = PREFIX_LEAST + dice(f, PAGES * PAGE - PREFIX_LEAST + 1);
    for (size_t i = 0; i < n; i++)
        ids[i] = dice(f, 40) == 0 ? -1 : 300;
    if (n % PAGE < PREFIX_LEAST)
        n -= n % PAGE; /* no part that would be too short to be kept */
    return n;
}

static size_t in_common(const int32_t *a, size_t n_a, const int32_t *b, size_t n_b)
{
    size_t n = 0;
    while (n < n_a && n < n_b && a[n] == b[n])
        n++;
    return n;
}

static void test_the_longest_beginning_of_all_that_was_kept_is_found(void **state)
{
    struct cache_fixture *f = *state;
    static int32_t texts[300][PAGES * PAGE];
    static size_t sizes[300];
    for (size_t i = 0; i < 300; i++) {
        sizes[i] = write_text(f, texts[i]);
        size_t longest = 0;
        for (size_t k = 0; k < i; k++) {
            size_t n = in_common(texts[k], sizes[k], texts[i], sizes[i]);
            longest = n > longest ? n : longest;
        }
        assert_int_equal(found(f, texts[i], sizes[i]), longest);
        keep_and_leave(f, texts[i], sizes[i]);
        assert_int_equal(found(f, texts[i], sizes[i]), sizes[i]);
    }
    assert_int_equal(prefix_idle_bytes(f->p), atomic_load(&f->budget.used));
}

static void test_a_text_that_was_longer_before_takes_no_page_of_its_own(void **state)
{
    struct cache_fixture *f = *state;
    int32_t ids[3 * PAGE];
    for (int32_t i = 0; i < 3 * PAGE; i++)
        ids[i] = i;
    keep_and_leave(f, ids, 100);
    assert_int_equal(kv_cache_bytes(f->kv), 2 * kv_cache_page_bytes(f->kv));
    keep_and_leave(f, ids, 110); /* replaces the shorter part */
    assert_int_equal(kv_cache_bytes(f->kv), 2 * kv_cache_page_bytes(f->kv));
    keep_and_leave(f, ids, 192);
    assert_int_equal(kv_cache_bytes(f->kv), 3 * kv_cache_page_bytes(f->kv));
    keep_and_leave(f, ids, 100);
    assert_int_equal(kv_cache_bytes(f->kv), 3 * kv_cache_page_bytes(f->kv));
    assert_int_equal(found(f, ids, 192), 192);
}

static void test_a_second_reader_of_the_same_takes_the_page_that_is_there(void **state)
{
    struct cache_fixture *f = *state;
    int32_t ids[PAGE] = {1, 2, 3};
    struct sequence *a = read_text(f, PAGE), *b = read_text(f, PAGE);
    struct prefix_node *at = keep(f, ids, PAGE, a);
    assert_int_equal(kv_cache_bytes(f->kv), 2 * kv_cache_page_bytes(f->kv));
    assert_ptr_equal(keep(f, ids, PAGE, b), at);
    assert_int_equal(kv_cache_bytes(f->kv), kv_cache_page_bytes(f->kv));
    prefix_leave(f->p, at);
    assert_false(prefix_give_back(f->p)); /* the other reader is still there */
    prefix_leave(f->p, at);
    assert_true(prefix_give_back(f->p));
    assert_int_equal(kv_cache_bytes(f->kv), kv_cache_page_bytes(f->kv)); /* both hold it */
    sequence_free(a);
    sequence_free(b);
}

/* Readers come and go and pages are freed at any time; the path of a reader is found at all times. */
static void test_what_is_in_use_stays_and_the_rest_goes_oldest_first(void **state)
{
    struct cache_fixture *f = *state;
    enum { READERS = 6 };
    static int32_t texts[READERS][PAGES * PAGE];
    size_t sizes[READERS];
    struct prefix_node *at[READERS];
    struct sequence *s[READERS] = {NULL};
    for (size_t round = 0; round < 5000; round++) {
        size_t i = dice(f, READERS);
        if (!s[i]) {
            sizes[i] = write_text(f, texts[i]) / PAGE * PAGE;
            s[i] = read_text(f, sizes[i]);
            at[i] = keep(f, texts[i], sizes[i], s[i]);
        } else if (dice(f, 2) == 0) {
            prefix_leave(f->p, at[i]);
            sequence_free(s[i]);
            s[i] = NULL;
        } else {
            uint64_t age = prefix_oldest(f->p), bytes = prefix_idle_bytes(f->p);
            assert_int_equal(prefix_give_back(f->p), bytes > 0);
            assert_true(prefix_oldest(f->p) >= age || bytes == 0);
            assert_true(bytes == 0 || prefix_idle_bytes(f->p) == bytes - kv_cache_page_bytes(f->kv));
        }
        for (size_t k = 0; k < READERS; k++)
            if (s[k] && found(f, texts[k], sizes[k]) != sizes[k])
                fail_msg("round %zu: a page is gone that is in use", round);
    }
    for (size_t i = 0; i < READERS; i++) {
        if (s[i])
            prefix_leave(f->p, at[i]);
        sequence_free(s[i]);
    }
}

static void test_what_was_taken_last_goes_last(void **state)
{
    struct cache_fixture *f = *state;
    int32_t ids[3][PAGE];
    size_t same;
    for (int32_t i = 0; i < 3; i++) {
        for (size_t k = 0; k < PAGE; k++)
            ids[i][k] = i;
        keep_and_leave(f, ids[i], PAGE);
    }
    struct sequence *s = sequence_new(f->kv);
    assert_true(prefix_take(f->p, prefix_find(f->p, NULL, ids[0], PAGE, &same), s, 0));
    sequence_free(s);
    assert_true(prefix_give_back(f->p));
    assert_int_equal(found(f, ids[1], PAGE), 0);
    assert_true(prefix_give_back(f->p));
    assert_int_equal(found(f, ids[2], PAGE), 0);
    assert_int_equal(found(f, ids[0], PAGE), PAGE);
    assert_true(prefix_give_back(f->p));
    assert_false(prefix_give_back(f->p));
    assert_int_equal(prefix_oldest(f->p), UINT64_MAX);
}

/* ---- states ---- */

#define FAR 256 /* from one state to the next */
#define LONG (24 * FAR)

/* True when the text's node that ends at n has a state. */
static bool has_state(const struct cache_fixture *f, const int32_t *ids, size_t n)
{
    struct prefix_node *at = NULL;
    for (size_t done = 0, same; done < n; done += PAGE) {
        at = prefix_find(f->p, at, ids + done, PAGE, &same);
        assert_non_null(at);
        assert_int_equal(same, PAGE);
    }
    return prefix_state(at) != NULL;
}

static size_t count_states(const struct cache_fixture *f, const int32_t *ids)
{
    size_t count = 0;
    for (size_t n = PAGE; n <= LONG; n += PAGE)
        count += has_state(f, ids, n);
    return count;
}

/* Reads and keeps a text as a slot does: in steps, each of which thins what the steps before have kept. */
static void keep_in_steps(struct cache_fixture *f, const int32_t *ids)
{
    struct sequence *s = sequence_new(f->kv);
    struct prefix_node *at = NULL;
    for (size_t n = 192; n <= LONG; n += 192) {
        assert_true(sequence_reserve(s, n));
        sequence_advance(s, n);
        prefix_thin(f->p, at, 0);
        for (size_t i = prefix_depth(at); (i + 1) * PAGE <= n; i++)
            assert_non_null(at = prefix_keep(f->p, at, ids + i * PAGE, s, i));
    }
    prefix_leave(f->p, at);
    sequence_free(s);
}

static void test_states_are_thinned_but_where_texts_part(void **state)
{
    (void)state;
    static int32_t one[LONG], other[LONG];
    const struct layer_state large[] = {{1, 8, 8, 0, false, 0, false}, {0, 0, 0, 20000, false, 0, false}};
    struct cache_fixture f = {.budget = {.limit = UINT64_MAX}};
    f.kv = kv_cache_new(&f.budget, ATTENTION_F16, large, 2);
    f.p = prefix_new(f.kv, &f.clock);
    assert_int_equal(kv_cache_checkpoint_every(f.kv), FAR);
    keep_in_steps(&f, one);
    assert_true(
        count_states(&f, one) <= 5 + 1); /* powers of two up to 24, and what the last step has added */
    assert_false(has_state(&f, one, 9 * FAR));
    for (size_t i = 9 * FAR + 100; i < LONG; i++)
        other[i] = 1;
    keep_in_steps(&f, other);
    assert_true(has_state(&f, other, 9 * FAR));
    assert_false(has_state(&f, other, 10 * FAR));
    assert_false(has_state(&f, other, 7 * FAR));
    assert_int_equal(prefix_idle_bytes(f.p), atomic_load(&f.budget.used));
    prefix_free(f.p);
    assert_int_equal(atomic_load(&f.budget.used), 0);
    kv_cache_free(f.kv);
}

/* Of the beginnings of a text that are kept with a state the longest is found, whatever else begins like it. */
static void test_a_part_of_a_page_is_found_by_its_state(void **state)
{
    (void)state;
    int32_t ids[PAGE] = {0};
    const struct layer_state both[] = {{1, 8, 8, 0, false, 0, false}, {0, 0, 0, 100, false, 0, false}};
    struct cache_fixture f = {.budget = {.limit = UINT64_MAX}};
    f.kv = kv_cache_new(&f.budget, ATTENTION_F16, both, 2);
    f.p = prefix_new(f.kv, &f.clock);
    struct sequence *s = sequence_new(f.kv);
    for (size_t n = 3; n < 60; n += 20) { /* at 3, 23 and 43, the last of which has no state */
        sequence_mark(s, n);
        assert_true(sequence_reserve(s, n));
        sequence_advance(s, n);
        if (n == 43)
            assert_true(sequence_reserve_least(s, 63)), sequence_advance(s, 63);
        prefix_keep_part(f.p, NULL, ids, n, s, 0);
        assert_int_equal(prefix_tokens(prefix_find_state(f.p, NULL, ids, PAGE)), n < 43 ? n : 23);
    }
    for (size_t n = 1; n <= PAGE; n++) {
        struct prefix_node *found = prefix_find_state(f.p, NULL, ids, n);
        assert_int_equal(found ? prefix_tokens(found) : 0, n < 3 ? 0 : n < 23 ? 3 : 23);
    }
    ids[10] = 7;
    assert_int_equal(prefix_tokens(prefix_find_state(f.p, NULL, ids, PAGE)), 3);
    sequence_free(s);
    prefix_free(f.p);
    assert_int_equal(atomic_load(&f.budget.used), 0);
    kv_cache_free(f.kv);
}

static void test_no_cache_has_nothing(void **state)
{
    (void)state;
    assert_false(prefix_give_back(NULL));
    assert_int_equal(prefix_oldest(NULL), UINT64_MAX);
    assert_int_equal(prefix_idle_bytes(NULL), 0);
    prefix_free(NULL);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(
            test_the_longest_beginning_of_all_that_was_kept_is_found, setup, teardown),
        cmocka_unit_test_setup_teardown(
            test_a_text_that_was_longer_before_takes_no_page_of_its_own, setup, teardown),
        cmocka_unit_test_setup_teardown(
            test_a_second_reader_of_the_same_takes_the_page_that_is_there, setup, teardown),
        cmocka_unit_test_setup_teardown(
            test_what_is_in_use_stays_and_the_rest_goes_oldest_first, setup, teardown),
        cmocka_unit_test_setup_teardown(test_what_was_taken_last_goes_last, setup, teardown),
        cmocka_unit_test(test_states_are_thinned_but_where_texts_part),
        cmocka_unit_test(test_a_part_of_a_page_is_found_by_its_state),
        cmocka_unit_test(test_no_cache_has_nothing),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
