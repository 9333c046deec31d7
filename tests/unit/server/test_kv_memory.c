/* test_kv_memory.c - the default of the KV budget, for memory limits of all sizes. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "berth/server/kv_memory.h"

#include <string.h>

#define MIB ((uint64_t)1 << 20)

static void test_half_of_what_the_models_leave(void **state)
{
    const char *from;
    (void)state;
    assert_int_equal(kv_memory_default(8192 * MIB, 192 * MIB, &from), 4000 * MIB);
    assert_non_null(strstr(from, "half"));
    assert_int_equal(kv_memory_default(64 * MIB, 2 * MIB, &from), 31 * MIB);
}

static void test_the_least_is_a_share_of_the_limit_and_fits_any_container(void **state)
{
    const char *from;
    (void)state;
    assert_int_equal(kv_memory_default(64 * MIB, 600 * MIB, &from), 8 * MIB);
    assert_non_null(strstr(from, "minimum"));
    assert_int_equal(kv_memory_default(8192 * MIB, 9000 * MIB, &from), 64 * MIB);
    for (uint64_t memory = 4 * MIB; memory < 4096 * MIB; memory = memory * 3 / 2)
        for (uint64_t mapped = 0; mapped < 2 * memory; mapped += memory / 7) {
            uint64_t bytes = kv_memory_default(memory, mapped, &from);
            assert_in_range(bytes, 1, memory / 2);
        }
    assert_int_equal(kv_memory_default(0, 100 * MIB, &from), 64 * MIB);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_half_of_what_the_models_leave),
        cmocka_unit_test(test_the_least_is_a_share_of_the_limit_and_fits_any_container),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
