/* cmocka.h - the part of cmocka that cross-compiled tests need, because there is no cmocka for that processor.
 *
 * The tests are the same files. A failed assertion prints one line and ends the program at once with status 1, so later
 * tests do not run. ONLY=WORD runs the tests with that word in their names.
 */
#ifndef BERTH_TESTS_ACROSS_CMOCKA_H
#define BERTH_TESTS_ACROSS_CMOCKA_H

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

struct CMUnitTest {
    const char *name;
    void (*run)(void **state);
};

#define cmocka_unit_test(function)                                                                           \
    {                                                                                                        \
#function, function                                                                                  \
    }

#define fail_msg(...) (fprintf(stderr, "%s:%d: ", __FILE__, __LINE__), fprintf(stderr, __VA_ARGS__), exit(1))
#define assert_true(x) ((x) ? (void)0 : fail_msg("not so: %s\n", #x))
#define assert_false(x) assert_true(!(x))
#define assert_null(p) assert_true((p) == NULL)
#define assert_non_null(p) assert_true((p) != NULL)
#define assert_int_equal(a, b) assert_true((a) == (b))
#define assert_return_code(code, error) assert_true((code) >= 0)
#define assert_string_equal(a, b) assert_true(strcmp(a, b) == 0)
#define assert_memory_equal(a, b, size) assert_true(memcmp(a, b, size) == 0)
#define assert_memory_not_equal(a, b, size) assert_true(memcmp(a, b, size) != 0)

static inline int cmocka_run_all(
    const struct CMUnitTest *tests, size_t n, int (*before)(void **), int (*after)(void **))
{
    const char *only = getenv("ONLY");
    void *state = NULL;
    if (before && before(&state) != 0)
        return 1;
    for (size_t i = 0; i < n; i++) {
        if (only && !strstr(tests[i].name, only))
            continue;
        tests[i].run(&state);
        printf("[       OK ] %s\n", tests[i].name);
        fflush(stdout);
    }
    return after ? after(&state) : 0;
}
#define cmocka_run_group_tests(tests, before, after)                                                         \
    cmocka_run_all(tests, sizeof(tests) / sizeof((tests)[0]), before, after)

#endif
