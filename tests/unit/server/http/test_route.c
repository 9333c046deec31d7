/* test_route.c - paths and methods against the table, and replies in the three dialects. */
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <setjmp.h>

#include "berth/server/http/reply.h"
#include "berth/server/http/route.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

static void test_each_row_is_found_by_its_own_method_and_path(void **state)
{
    (void)state;
    assert_true(n_routes > 0);
    for (size_t i = 0; i < n_routes; i++) {
        char path[256];
        const char *brace = strchr(routes[i].path, '{');
        size_t size = brace ? (size_t)(brace - routes[i].path) : strlen(routes[i].path);
        snprintf(path, sizeof(path), "%.*s%s", (int)size, routes[i].path, brace ? "a/b" : "");
        struct route_match match = route_find(routes[i].method, path);
        assert_ptr_equal(match.route, &routes[i]);
        assert_true(span_is(match.rest, brace ? "a/b" : ""));
    }
}

static void test_each_row_is_documented(void **state)
{
    (void)state;
    for (size_t i = 0; i < n_routes; i++) {
        assert_non_null(routes[i].run);
        assert_true(routes[i].summary && routes[i].description && routes[i].tag);
        assert_int_equal(routes[i].answers[0].status, 200);
        assert_int_equal(routes[i].dialect, route_dialect(routes[i].path));
    }
}

static void test_a_known_path_with_another_method_tells_what_is_allowed(void **state)
{
    (void)state;
    struct route_match match = route_find("POST", "/health");
    assert_null(match.route);
    assert_string_equal(match.allow, "GET");
    match = route_find("HEAD", "/v1/models/x");
    assert_null(match.route);
    assert_string_equal(match.allow, "GET");
}

static void test_an_unknown_path_is_not_found(void **state)
{
    static const char *const paths[] = {
        "/nope", "//", "", "/HEALTH", "/health/", "/v1/models/", "/v1", "/healthy", "*"};
    (void)state;
    for (size_t i = 0; i < sizeof(paths) / sizeof(paths[0]); i++) {
        struct route_match match = route_find("GET", paths[i]);
        assert_null(match.route);
        assert_string_equal(match.allow, "");
    }
}

static void test_methods_are_a_list(void **state)
{
    (void)state;
    assert_true(route_knows_method("GET") && route_knows_method("TRACE"));
    assert_false(route_knows_method("get") || route_knows_method("BREW") || route_knows_method(""));
}

static void expect_error(
    enum dialect dialect, unsigned status, const char *param, const char *code, const char *body)
{
    struct reply r = {0};
    reply_error(&r, dialect, status, "no \"x\"", param, code);
    assert_int_equal(r.status, status);
    assert_string_equal(r.content_type, "application/json");
    assert_int_equal(r.size, strlen(body));
    assert_memory_equal(r.body, body, r.size);
    reply_release(&r);
}

static void test_an_error_speaks_the_dialect_of_its_path(void **state)
{
    (void)state;
    expect_error(DIALECT_FASTAPI, 404, "p", "c", "{\"detail\":\"no \\\"x\\\"\"}");
    expect_error(DIALECT_OIP, 400, "p", "c", "{\"error\":\"no \\\"x\\\"\"}");
    expect_error(DIALECT_OPENAI, 404, "model", "model_not_found",
        "{\"error\":{\"message\":\"no \\\"x\\\"\",\"type\":\"invalid_request_error\",\"param\":\"model\","
        "\"code\":\"model_not_found\"}}");
    expect_error(DIALECT_OPENAI, 503, NULL, NULL,
        "{\"error\":{\"message\":\"no \\\"x\\\"\",\"type\":\"server_error\",\"param\":null,\"code\":null}}");
    assert_int_equal(route_dialect("/v1/x"), DIALECT_OPENAI);
    assert_int_equal(route_dialect("/v10"), DIALECT_FASTAPI);
    assert_int_equal(route_dialect("/v2"), DIALECT_OIP);
    assert_int_equal(route_dialect("/"), DIALECT_FASTAPI);
}

static void test_a_second_answer_replaces_the_first(void **state)
{
    struct reply r = {0};
    (void)state;
    reply_error(&r, DIALECT_FASTAPI, 404, "first", NULL, NULL);
    reply_constant(&r, 200, "text/plain", "second");
    assert_int_equal(r.status, 200);
    assert_false(r.owned);
    assert_string_equal(r.body, "second");
    reply_release(&r);
}

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
        "\xef\xbb\xbf{}", "[\"\xff\"]", "[\"\\ud800\"]", "{\"\\u0000\":1}", "null", "7",
        "[99999999999999999999]", "{'a':1}"};
    (void)state;
    for (size_t i = 0; i < sizeof(bodies) / sizeof(bodies[0]); i++) {
        struct error err;
        assert_null(parse(bodies[i], strlen(bodies[i]), &err));
        assert_non_null(strstr(err.text, bodies[i][0] ? "line 1" : "the body is empty"));
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_each_row_is_found_by_its_own_method_and_path),
        cmocka_unit_test(test_each_row_is_documented),
        cmocka_unit_test(test_a_known_path_with_another_method_tells_what_is_allowed),
        cmocka_unit_test(test_an_unknown_path_is_not_found),
        cmocka_unit_test(test_methods_are_a_list),
        cmocka_unit_test(test_an_error_speaks_the_dialect_of_its_path),
        cmocka_unit_test(test_a_second_answer_replaces_the_first),
        cmocka_unit_test(test_json_nests_sixty_four_deep_and_no_deeper),
        cmocka_unit_test(test_half_a_million_brackets_are_refused_not_a_crash),
        cmocka_unit_test(test_many_values_are_refused_and_a_long_text_is_taken),
        cmocka_unit_test(test_json_that_is_not_valid_is_refused_with_line_and_column),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
