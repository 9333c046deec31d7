/* test_routes_joined.c - the server's own tables: every row is found, documented, and has errors of its dialect. */
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <setjmp.h>

#include "berth/server/http/reply.h"
#include "berth/server/routes.h"

#include <stdio.h>
#include <string.h>

#include <cmocka.h>

static struct router *all(void)
{
    struct router *r = router_new(route_tables, n_route_tables);
    assert_non_null(r);
    return r;
}

/* A path that the pattern matches: each name is "xN". */
static void fill_pattern(const char *pattern, char *out, size_t room)
{
    size_t used = 0;
    for (unsigned n = 0; *pattern; pattern++) {
        if (*pattern == '{') {
            used += (size_t)snprintf(out + used, room - used, "x%u", n++);
            pattern = strchr(pattern, '}');
        } else {
            used += (size_t)snprintf(out + used, room - used, "%c", *pattern);
        }
    }
}

static void test_each_row_is_found_by_its_own_method_and_path(void **state)
{
    struct router *r = all();
    (void)state;
    assert_true(router_size(r) > 10);
    for (size_t i = 0; i < router_size(r); i++) {
        char path[256];
        const struct route *row = router_row(r, i);
        fill_pattern(row->path, path, sizeof(path));
        struct route_match match = router_find(r, row->method, path);
        if (match.route != row)
            fail_msg("%s %s leads to %s", row->method, path, match.route ? match.route->path : "nothing");
        assert_int_equal(match.number, i);
        assert_int_equal(match.params[0].size > 0, strchr(row->path, '{') != NULL);
    }
    router_free(r);
}

static void test_each_row_is_documented(void **state)
{
    struct router *r = all();
    (void)state;
    for (size_t i = 0; i < router_size(r); i++) {
        const struct route *row = router_row(r, i);
        assert_non_null(row->run);
        assert_true(row->summary && row->description && row->tag);
        unsigned first = row->answers[0].status; /* of a route that only refuses: 403 or 404 */
        assert_true(first == 200 || first == 403 || first == 404);
    }
    router_free(r);
}

static void test_a_path_of_no_row_has_its_prefixs_dialect(void **state)
{
    static const struct {
        const char *path;
        const struct route_table *table;
    } rows[] = {
        {"/v1/x", &openai_routes},
        {"/v1", &openai_routes},
        {"//v1//x", &openai_routes},
        {"/v10", &fastapi_routes},
        {"/v2", &oip_routes},
        {"/v2/x/y", &oip_routes},
        {"/engines/v1/x", &openai_routes},
        {"/engines/llama.cpp/v1", &openai_routes},
        {"/engines", &fastapi_routes},
        {"/api/x", &ollama_routes},
        {"/slots/x", &llamacpp_routes},
        {"/", &fastapi_routes},
        {"/nope", &fastapi_routes},
        {"", &fastapi_routes},
        {"*", &fastapi_routes},
    };
    struct router *r = all();
    (void)state;
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++)
        assert_ptr_equal(router_find(r, "GET", rows[i].path).dialect, rows[i].table->dialect);
    router_free(r);
}

static void expect_error(
    const struct route_table *table, unsigned status, const char *param, const char *code, const char *body)
{
    struct reply r = {0};
    reply_error(&r, table->dialect, status, "no \"x\"", param, code);
    assert_int_equal(r.status, status);
    assert_string_equal(r.content_type, "application/json");
    assert_int_equal(r.size, strlen(body));
    assert_memory_equal(r.body, body, r.size);
    reply_release(&r);
}

static void test_an_error_speaks_the_dialect_of_its_path(void **state)
{
    (void)state;
    expect_error(&fastapi_routes, 404, "p", "c", "{\"detail\":\"no \\\"x\\\"\"}");
    expect_error(&oip_routes, 400, "p", "c", "{\"error\":\"no \\\"x\\\"\"}");
    expect_error(&ollama_routes, 400, "p", "c", "{\"error\":\"no \\\"x\\\"\"}");
    expect_error(&llamacpp_routes, 503, NULL, NULL,
        "{\"error\":{\"code\":503,\"message\":\"no \\\"x\\\"\",\"type\":\"unavailable_error\",\"param\":null}}");
    expect_error(&openai_routes, 404, "model", "model_not_found",
        "{\"error\":{\"message\":\"no \\\"x\\\"\",\"type\":\"invalid_request_error\",\"param\":\"model\","
        "\"code\":\"model_not_found\"}}");
    expect_error(&openai_routes, 503, NULL, NULL,
        "{\"error\":{\"message\":\"no \\\"x\\\"\",\"type\":\"server_error\",\"param\":null,\"code\":null}}");
    expect_error(&openai_routes, 429, NULL, NULL,
        "{\"error\":{\"message\":\"no \\\"x\\\"\",\"type\":\"rate_limit_error\",\"param\":null,"
        "\"code\":\"rate_limit_exceeded\"}}");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_each_row_is_found_by_its_own_method_and_path),
        cmocka_unit_test(test_each_row_is_documented),
        cmocka_unit_test(test_a_path_of_no_row_has_its_prefixs_dialect),
        cmocka_unit_test(test_an_error_speaks_the_dialect_of_its_path),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
