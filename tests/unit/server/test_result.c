/* test_result.c - every result of the engine has an HTTP status, and the codes that clients know. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "berth/server/result.h"

static void test_every_result_but_ok_is_an_error(void **state)
{
    (void)state;
    for (int r = RESULT_OK + 1; r < RESULTS; r++) {
        struct result_reply reply = result_reply((enum result)r);
        assert_in_range(reply.status, 400, 599);
        /* A retry makes sense only for results that pass by themselves. */
        if (reply.retry_after)
            assert_true(reply.status == 429 || reply.status == 503);
    }
}

static void test_clients_tell_these_apart_by_code(void **state)
{
    (void)state;
    assert_string_equal(result_reply(RESULT_TOO_LONG).code, "context_length_exceeded");
    assert_string_equal(result_reply(RESULT_BUSY).code, "rate_limit_exceeded");
    assert_int_equal(result_reply(RESULT_BUSY).status, 429);
    assert_int_equal(result_reply(RESULT_TIMEOUT).status, 504);
    assert_null(result_reply(RESULT_BAD_REQUEST).code);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_every_result_but_ok_is_an_error),
        cmocka_unit_test(test_clients_tell_these_apart_by_code),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
