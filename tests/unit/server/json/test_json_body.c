/* test_json_body.c - JSON bodies of requests: how deep, how large, and what is wrong with them. */
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <setjmp.h>

#include "berth/server/json/body.h"

#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

static json_t *parse(const char *text, size_t size, struct error *err)
{
    struct http_request q = {.body = {(const uint8_t *)text, size}};
    *err = (struct error){0};
    return http_request_json(&q, err);
}

static void test_json_nests_sixty_four_deep_and_no_deeper(void **state)
{
    (void)state;
    for (size_t depth = 63; depth <= 66; depth++) {
        char text[200];
        struct error err;
        memset(text, '[', depth);
        memset(text + depth, ']', depth);
        json_t *value = parse(text, 2 * depth, &err);
        assert_int_equal(value != NULL, depth <= 64);
        assert_int_equal(err.text[0] == '\0', depth <= 64);
        json_decref(value);
    }
}

static void test_half_a_million_brackets_are_refused_not_a_crash(void **state)
{
    size_t size = 1 << 19;
    char *text = malloc(size);
    struct error err;
    (void)state;
    assert_non_null(text);
    memset(text, '[', size);
    assert_null(parse(text, size, &err));
    assert_non_null(strstr(err.text, "not valid JSON"));
    free(text);
}

/* Each row 600,000 times. As a tree some would take a hundred times the bytes that came. */
static void test_many_values_are_refused_and_a_long_text_is_taken(void **state)
{
    static const struct {
        const char *row;
        bool good;
    } rows[] = {{"{},", false}, {"[],", false}, {"\"\",{},", false}, {"1,", true}, {"\"\\\"[{\",", true}};
    (void)state;
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        size_t size = strlen(rows[i].row), n = 600000;
        char *text = malloc(n * size + 3);
        struct error err;
        assert_non_null(text);
        text[0] = '[';
        for (size_t k = 0; k < n; k++)
            memcpy(text + 1 + k * size, rows[i].row, size);
        memcpy(text + 1 + n * size, "1]", 2);
        json_t *value = parse(text, n * size + 3, &err);
        if ((value != NULL) != rows[i].good)
            fail_msg("%s: %s", rows[i].row, value ? "taken" : err.text);
        if (!value)
            assert_non_null(strstr(err.text, "more values"));
        json_decref(value);
        free(text);
    }
}

static void test_json_that_is_not_valid_is_refused_with_line_and_column(void **state)
{
    static const char *const bodies[] = {"", "{", "{} x", "{\"a\":1,\"a\":2}", "[NaN]", "[1e999]",
        "\xef\xbb\xbf{", "{}\xef\xbb\xbf", "[\"\xff\"]", "[\"\\ud800\"]", "{\"\\u0000\":1}", "null", "7",
        "[99999999999999999999,]", "{'a':1}"};
    (void)state;
    for (size_t i = 0; i < sizeof(bodies) / sizeof(bodies[0]); i++) {
        struct error err;
        assert_null(parse(bodies[i], strlen(bodies[i]), &err));
        assert_non_null(strstr(err.text, bodies[i][0] ? "line 1" : "the body is empty"));
    }
}

static void test_a_byte_order_mark_and_integers_beyond_64_bits_are_read(void **state)
{
    struct error err;
    const char *text = "\xef\xbb\xbf[7,18446744073709551616,{\"a\":[-3,0.5]}]";
    (void)state;
    json_t *value = parse(text, strlen(text), &err);
    assert_non_null(value);
    assert_true(json_is_integer(json_array_get(value, 0)));
    assert_true(json_real_value(json_array_get(value, 1)) == 18446744073709551616.0);
    const json_t *list = json_object_get(json_array_get(value, 2), "a");
    assert_int_equal(json_integer_value(json_array_get(list, 0)), -3);
    assert_true(json_real_value(json_array_get(list, 1)) == 0.5);
    json_decref(value);
}

static void test_a_message_cut_in_a_character_becomes_a_string(void **state)
{
    char room[64];
    (void)state;
    assert_string_equal(json_message("na\xc3\xafve", room, sizeof(room)), "na\xc3\xafve");
    assert_string_equal(json_message("na\xc3", room, sizeof(room)), "na\\xc3");
}

/* ---- memory is short ---- */

static size_t allocations, first_failure, failures;

static void *scarce_realloc(void *at, size_t size)
{
    size_t n = allocations++;
    return n >= first_failure && n - first_failure < failures ? NULL : realloc(at, size);
}

static json_t *parse_failing(const char *text, size_t first, size_t n, struct error *err)
{
    allocations = 0;
    first_failure = first;
    failures = n;
    return parse(text, strlen(text), err);
}

/* Each allocation fails in turn, it alone and it with all that follow. The client has done nothing wrong, and no text
 * may be missing. */
static void test_lack_of_memory_is_not_blamed_on_the_body(void **state)
{
    static const char text[] =
        "{\"a\":[1,2.5,18446744073709551616,{\"b\":null}],\"c\":\"\\u00e9 and a long text\"}",
                      broken[] = "{\"a\":\"text\"";
    struct error err;
    (void)state;
    json_setup(scarce_realloc, free);
    json_decref(parse_failing(text, 0, 0, &err));
    size_t needed = allocations;
    assert_true(needed > 10);
    for (size_t n = 0; n < 2 * needed; n++) {
        assert_null(parse_failing(text, n / 2, n % 2 ? SIZE_MAX : 1, &err));
        assert_true(err.no_memory);
        assert_string_equal(err.text, "no memory for the request");
    }
    json_t *value = parse_failing(text, needed, SIZE_MAX, &err);
    assert_string_equal(json_string_value(json_object_get(value, "c")), "\xc3\xa9 and a long text");
    json_decref(value);
    assert_null(parse_failing(broken, 1000, 1, &err));
    assert_false(err.no_memory);
    assert_non_null(strstr(err.text, "not valid JSON"));
    json_setup(realloc, free);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_lack_of_memory_is_not_blamed_on_the_body),
        cmocka_unit_test(test_json_nests_sixty_four_deep_and_no_deeper),
        cmocka_unit_test(test_half_a_million_brackets_are_refused_not_a_crash),
        cmocka_unit_test(test_many_values_are_refused_and_a_long_text_is_taken),
        cmocka_unit_test(test_json_that_is_not_valid_is_refused_with_line_and_column),
        cmocka_unit_test(test_a_byte_order_mark_and_integers_beyond_64_bits_are_read),
        cmocka_unit_test(test_a_message_cut_in_a_character_becomes_a_string),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
