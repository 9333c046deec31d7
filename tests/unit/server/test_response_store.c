/* test_response_store.c - kept responses: found by their owner alone, bounded, the oldest dropped first, what others go on
 * from kept with them.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "berth/server/response_store.h"

#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* A sanitizer ends the program at an allocation that cannot be had, unless it is told not to. */
const char *__asan_default_options(void);
const char *__tsan_default_options(void);

const char *__asan_default_options(void)
{
    return "allocator_may_return_null=1";
}

const char *__tsan_default_options(void)
{
    return "allocator_may_return_null=1";
}

#define BODY_BYTES 1000
#define SMALL 3500 /* room for three responses of BODY_BYTES, and not for four */
#define LARGE ((size_t)1 << 20)

static bool add_sized(
    struct response_store *s, size_t owner, const char *id, const char *previous, size_t size)
{
    static uint8_t body[4 * BODY_BYTES];
    struct stored_response r = {.id = span_of(id),
        .owner = owner,
        .body = {body, size},
        .output = {body + 10, 20},
        .input = span_of("[]")};
    if (previous) {
        r.previous = response_store_get(s, owner, span_of(previous));
        assert_non_null(r.previous);
    }
    bool added = response_store_add(s, &r);
    response_store_drop(s, r.previous);
    return added;
}

static void add(struct response_store *s, const char *id, const char *previous)
{
    assert_true(add_sized(s, 1, id, previous, BODY_BYTES));
}

static bool has(struct response_store *s, size_t owner, const char *id)
{
    const struct stored_response *r = response_store_get(s, owner, span_of(id));
    response_store_drop(s, r);
    return r != NULL;
}

static void assert_has(struct response_store *s, const char *ids)
{
    for (char id[2] = "a"; id[0] <= 'h'; id[0]++)
        if (has(s, 1, id) != (strchr(ids, id[0]) != NULL))
            fail_msg("%s is %s", id, has(s, 1, id) ? "there" : "not there");
}

static void test_a_response_is_found_as_it_was(void **state)
{
    (void)state;
    struct response_store *s = response_store_new(LARGE);
    struct span body = span_of("{\"output\":[1]}"), output = {body.at + 10, 3};
    struct stored_response r = {
        .id = span_of("resp_1"), .owner = 7, .body = body, .output = output, .input = span_of("\"Hello\"")};
    assert_true(response_store_add(s, &r));
    const struct stored_response *got = response_store_get(s, 7, span_of("resp_1"));
    assert_non_null(got);
    assert_ptr_not_equal(got->body.at, body.at);
    assert_true(span_is(got->body, "{\"output\":[1]}") && span_is(got->output, "[1]"));
    assert_true(span_is(got->id, "resp_1") && span_is(got->input, "\"Hello\""));
    assert_ptr_equal(got->output.at, got->body.at + 10);
    assert_null(got->previous);
    response_store_drop(s, got);
    response_store_free(s);
}

static void test_an_owner_finds_and_deletes_no_other_s(void **state)
{
    (void)state;
    struct response_store *s = response_store_new(LARGE);
    assert_true(add_sized(s, 1, "a", NULL, BODY_BYTES) && add_sized(s, 2, "b", NULL, BODY_BYTES));
    assert_true(has(s, 1, "a") && has(s, 2, "b"));
    assert_false(has(s, 2, "a") || has(s, 1, "b") || has(s, 0, "a"));
    assert_false(response_store_delete(s, 2, span_of("a")));
    assert_true(response_store_delete(s, 1, span_of("a")));
    assert_false(response_store_delete(s, 1, span_of("a")) || has(s, 1, "a"));
    assert_int_equal(response_store_usage(s).responses, 1);
    response_store_free(s);
}

static void test_the_oldest_are_dropped_first(void **state)
{
    (void)state;
    struct response_store *s = response_store_new(SMALL);
    add(s, "a", NULL);
    add(s, "b", NULL);
    add(s, "c", NULL);
    assert_has(s, "abc");
    add(s, "d", NULL);
    assert_has(s, "bcd");
    assert_true(response_store_delete(s, 1, span_of("c")));
    add(s, "e", NULL);
    assert_has(s, "bde");
    assert_true(response_store_usage(s).bytes <= SMALL);
    assert_true(add_sized(s, 1, "f", NULL, 3 * BODY_BYTES));
    assert_has(s, "f");
    response_store_free(s);
}

static void test_what_cannot_fit_drops_nothing(void **state)
{
    (void)state;
    struct response_store *s = response_store_new(SMALL);
    add(s, "a", NULL);
    add(s, "b", NULL);
    assert_false(add_sized(s, 1, "c", NULL, 4 * BODY_BYTES));
    assert_false(add_sized(s, 1, "c", "b", 3 * BODY_BYTES)); /* with what it goes on from */
    assert_has(s, "ab");
    response_store_free(s);
}

/* In the way back to the first response of a conversation nothing is ever missing. */
static void test_a_conversation_stays_whole(void **state)
{
    (void)state;
    struct response_store *s = response_store_new(SMALL);
    add(s, "a", NULL);
    add(s, "b", "a");
    assert_true(response_store_delete(s, 1, span_of("a")));
    size_t bytes = response_store_usage(s).bytes;
    assert_true(bytes > 2 * BODY_BYTES);
    assert_int_equal(response_store_usage(s).responses, 1);
    const struct stored_response *b = response_store_get(s, 1, span_of("b"));
    assert_true(b->previous && span_is(b->previous->id, "a") && b->previous->body.size == BODY_BYTES);
    /* Dropped while it is read: it counts until then, and the next one is not kept. */
    assert_true(response_store_delete(s, 1, span_of("b")));
    assert_int_equal(response_store_usage(s).bytes, bytes);
    assert_false(add_sized(s, 1, "c", NULL, 2 * BODY_BYTES));
    assert_true(span_is(b->previous->id, "a"));
    response_store_drop(s, b);
    assert_int_equal(response_store_usage(s).bytes, 0);
    add(s, "c", NULL);
    add(s, "d", "c");
    add(s, "e", NULL);
    add(s, "f", NULL); /* "c" is dropped first, which frees nothing, then "d", which frees both */
    assert_has(s, "ef");
    assert_true(response_store_usage(s).bytes < bytes + BODY_BYTES);
    response_store_free(s);
}

static void test_without_memory_nothing_is_kept(void **state)
{
    (void)state;
    struct response_store *s = response_store_new(SIZE_MAX);
    add(s, "a", NULL);
    assert_false(add_sized(s, 1, "b", NULL, SIZE_MAX / 4));
    assert_has(s, "a");
    add(s, "c", "a");
    assert_has(s, "ac");
    response_store_free(s);
}

/* ---- many threads ---- */

#define THREADS 4
#define ROUNDS 2000

struct worker {
    pthread_t thread;
    struct response_store *s;
    size_t number;
    bool failed;
};

/* Conversations of four turns, each read to its beginning; some are deleted. */
static void *work(void *context)
{
    struct worker *w = context;
    char id[32], before[32] = "";
    uint8_t body[64];
    for (size_t i = 0; i < ROUNDS; i++) {
        size_t turn = i % 4;
        snprintf(id, sizeof(id), "%zu-%zu", w->number, i);
        memset(body, (int)(w->number + turn), sizeof(body));
        struct stored_response r = {.id = span_of(id),
            .owner = w->number % 2,
            .body = {body, sizeof(body)},
            .output = {body, 2},
            .input = {body, sizeof(body)}};
        if (turn > 0)
            r.previous = response_store_get(w->s, r.owner, span_of(before));
        response_store_add(w->s, &r);
        for (const struct stored_response *p = r.previous; p; p = p->previous)
            w->failed |= p->body.at[0] != (uint8_t)(w->number + --turn);
        response_store_drop(w->s, r.previous);
        if (i % 7 == 0)
            response_store_delete(w->s, r.owner, r.id);
        memcpy(before, id, sizeof(id));
    }
    return NULL;
}

static void test_threads_share_it(void **state)
{
    (void)state;
    struct worker workers[THREADS] = {{.number = 0}};
    struct response_store *s = response_store_new(50 * 1000);
    for (size_t i = 0; i < THREADS; i++) {
        workers[i] = (struct worker){.s = s, .number = i};
        assert_int_equal(pthread_create(&workers[i].thread, NULL, work, &workers[i]), 0);
    }
    for (size_t i = 0; i < THREADS; i++) {
        pthread_join(workers[i].thread, NULL);
        assert_false(workers[i].failed);
    }
    assert_true(response_store_usage(s).bytes <= 50 * 1000);
    assert_true(response_store_usage(s).responses > 100);
    response_store_free(s);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_a_response_is_found_as_it_was),
        cmocka_unit_test(test_an_owner_finds_and_deletes_no_other_s),
        cmocka_unit_test(test_the_oldest_are_dropped_first),
        cmocka_unit_test(test_what_cannot_fit_drops_nothing),
        cmocka_unit_test(test_a_conversation_stays_whole),
        cmocka_unit_test(test_without_memory_nothing_is_kept),
        cmocka_unit_test(test_threads_share_it),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
