/* test_float_text.c - the shortest decimals of floats, against what printf and strtod say. */
#include "berth/base/float_text.h"

#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

static uint64_t random_bits(void)
{
    static uint64_t state = 88172645463325252u;
    state ^= state << 13;
    state ^= state >> 7;
    state ^= state << 17;
    return state;
}

static size_t digits_of(const char *text)
{
    size_t n = 0, zeros = 0;
    for (; *text && *text != 'e'; text++) {
        if (*text < '0' || *text > '9')
            continue;
        zeros = *text == '0' ? zeros + (n > 0) : 0;
        n += n > 0 || *text != '0';
    }
    return n - zeros;
}

/* The digits that printf needs for a number that is read back as x. */
static size_t least_digits(float x)
{
    char text[64];
    for (int n = 1; n < 9; n++) {
        snprintf(text, sizeof(text), "%.*e", n - 1, (double)x);
        if ((float)strtod(text, NULL) == x)
            return (size_t)n;
    }
    return 9;
}

static void check(float x, int shortest)
{
    char text[FLOAT_TEXT + 1] = "";
    size_t size = float_text(text, x);
    assert_true(size <= FLOAT_TEXT);
    text[size] = '\0';
    if ((float)strtod(text, NULL) != x || (float)strtod(text, NULL) != strtof(text, NULL))
        fail_msg("%.9g is written as %s", (double)x, text);
    if (shortest && digits_of(text) > least_digits(x))
        fail_msg("%.9g is written as %s, with more than %zu digits", (double)x, text, least_digits(x));
    if (text[0] == '.' || text[size - 1] == '.' || strspn(text, "-0123456789.e+") != size)
        fail_msg("%.9g is written as %s, which is no JSON", (double)x, text);
}

static void test_numbers_are_read_back_and_have_no_digit_too_many(void **state)
{
    (void)state;
    for (int i = 0; i < 300000; i++) {
        double unit = (double)(random_bits() >> 11) / 9007199254740992.0;
        float x = (float)((unit * 2 - 1) * pow(10, (double)(random_bits() % 13) - 5));
        if (fabsf(x) >= 1e-5f && fabsf(x) < 1e9f)
            check(x, 1);
    }
}

static void test_any_float_is_read_back(void **state)
{
    (void)state;
    for (int i = 0; i < 300000; i++) {
        uint32_t bits = (uint32_t)random_bits();
        float x;
        memcpy(&x, &bits, sizeof(x));
        if (isfinite(x))
            check(x, 0);
    }
}

static void test_some_numbers(void **state)
{
    static const struct {
        float x;
        const char *text;
    } rows[] = {{0, "0"}, {1, "1"}, {-1, "-1"}, {0.5f, "0.5"}, {0.1f, "0.1"}, {-0.25f, "-0.25"}, {100, "100"},
        {1e8f, "100000000"}, {0.00012f, "0.00012"}, {16777216, "16777216"}, {123456.7f, "123456.7"},
        {NAN, "null"}, {INFINITY, "null"}, {-INFINITY, "null"}};
    (void)state;
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        char text[FLOAT_TEXT + 1] = "";
        text[float_text(text, rows[i].x)] = '\0';
        assert_string_equal(text, rows[i].text);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_numbers_are_read_back_and_have_no_digit_too_many),
        cmocka_unit_test(test_any_float_is_read_back),
        cmocka_unit_test(test_some_numbers),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
