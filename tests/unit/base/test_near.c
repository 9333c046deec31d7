/* test_near.c - which known name is near to one that is not known, and which is not. */
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <setjmp.h>

#include "berth/base/near.h"

#include <cmocka.h>

static const char *nearest(const char *given)
{
    static const char *const names[] = {"--port", "--host", "--max-tokens", "--max-connections",
        "--temperature", "--top-k", "--top-p", "--log", "-m", "generate", "serve", "max_completion_tokens"};
    struct near n = near_begin(span_of(given));
    for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++)
        near_try(&n, names[i]);
    return n.name;
}

static void test_a_misspelt_name_finds_the_known_one(void **state)
{
    static const struct {
        const char *given, *meant;
    } cases[] = {{"--prot", "--port"}, {"--hosts", "--host"}, {"-port", "--port"},
        {"--max_tokens", "--max-tokens"}, {"--Temperature", "--temperature"},
        {"--temprature", "--temperature"}, {"--temp", "--temperature"}, {"--topk", "--top-k"},
        {"--max-token", "--max-tokens"}, {"genrate", "generate"}, {"srve", "serve"},
        {"maxcompletiontokens", "max_completion_tokens"}, {"--top-l", "--top-k"},
        {"--max-c", "--max-connections"}};
    (void)state;
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        const char *found = nearest(cases[i].given);
        if (!found)
            fail_msg("%s finds nothing", cases[i].given);
        assert_string_equal(found, cases[i].meant);
    }
}

static void test_a_name_that_is_like_none_finds_nothing(void **state)
{
    static const char *const given[] = {"", "-", "--", "-x", "--frequency", "metadata", "q", "model.gguf",
        "--a-flag-that-is-longer-than-any-flag-that-a-table-of-options-has"};
    (void)state;
    for (size_t i = 0; i < sizeof(given) / sizeof(given[0]); i++)
        if (nearest(given[i]))
            fail_msg("\"%s\" finds %s", given[i], nearest(given[i]));
}

static void test_the_nearest_wins_and_of_equals_the_first(void **state)
{
    (void)state;
    struct near n = near_begin(span_of("stopp"));
    near_try(&n, "stops");
    near_try(&n, "stop");
    assert_string_equal(n.name, "stops");
    near_try(&n, "stopp");
    assert_string_equal(n.name, "stopp");
    assert_int_equal(n.distance, 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_a_misspelt_name_finds_the_known_one),
        cmocka_unit_test(test_a_name_that_is_like_none_finds_nothing),
        cmocka_unit_test(test_the_nearest_wins_and_of_equals_the_first),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
