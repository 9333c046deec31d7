/* test_request_memory.c - the share of memory that requests may take, and what a body takes of it. */
#include "berth/server/request_memory.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#define MIB ((uint64_t)1 << 20)

static void test_requests_may_take_a_share_of_what_there_is(void **state)
{
    (void)state;
    assert_int_equal(request_memory_default(64 * MIB), 24 * MIB);
    assert_int_equal(request_memory_default(256 * MIB), 96 * MIB);
    assert_int_equal(request_memory_default(1024 * 1024 * MIB), 1024 * MIB);
    assert_int_equal(request_memory_default(0), 1024 * MIB);
}

static void test_8_megabytes_of_text_fit_a_container_of_256_and_not_one_of_64(void **state)
{
    (void)state;
    size_t size = (size_t)8 << 20;
    uint8_t *body = malloc(size);
    assert_non_null(body);
    memset(body, 'a', size);
    body[0] = '"';
    size_t bytes = request_memory_of_body((struct span){body, size});
    assert_true(bytes >= 10 * size);
    assert_true(size + bytes <= request_memory_default(256 * MIB)); /* the body itself counts, too */
    assert_true(bytes > request_memory_default(64 * MIB));
    /* Token ids take more than the text of their digits. */
    for (size_t i = 0; i < size; i++)
        body[i] = i % 2 ? ',' : '7';
    assert_true(request_memory_of_body((struct span){body, size}) > 2 * bytes);
    free(body);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_requests_may_take_a_share_of_what_there_is),
        cmocka_unit_test(test_8_megabytes_of_text_fit_a_container_of_256_and_not_one_of_64),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
