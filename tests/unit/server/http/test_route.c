/* test_route.c - paths and methods against patterns, and what a reply holds. */
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <setjmp.h>

#include "berth/server/http/reply.h"
#include "berth/server/http/route.h"

#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

static const char *const more[] = {"/more/v9", "/more/of/v9", NULL};
static const struct dialect plain, under_v9 = {.prefix = "/v9", .more_prefixes = more},
                                   under_v9_x = {.prefix = "/v9/x"};

static const struct route plain_rows[] = {
    {.method = "GET", .path = "/", .no_head = true},
    {.method = "GET", .path = "/health"},
    {.method = "POST", .path = "/health"},
    {.method = "GET", .path = "/files/{name}"},
};

static const struct route v9_rows[] = {
    {.method = "GET", .path = "/v9/models/{id}"},
    {.method = "POST", .path = "/v9/models/{name}/infer"},
    {.method = "POST", .path = "/v9/models/{name}/versions/{version}/infer"},
    {.method = "GET", .path = "/v9/models/special", .also = "/special"},
    {.method = "POST", .path = "/v9/{model}:generate"},
    {.method = "GET", .path = "/v9/a{one}b{two}c{three}d{four}"},
};

static const struct route x_rows[] = {{.method = "GET", .path = "/v9/x/y"}};

static const struct route_table tables[] = {
    {&plain, plain_rows, 4}, {&under_v9, v9_rows, 6}, {&under_v9_x, x_rows, 1}};
static const struct route_table *const joined[] = {&tables[0], &tables[1], &tables[2]};

static struct router *router;

static int begin(void **state)
{
    (void)state;
    router = router_new(joined, 3);
    return router == NULL;
}

static int end(void **state)
{
    (void)state;
    router_free(router);
    return 0;
}

/* `pattern` NULL: no row. `params` are decoded, each behind the one before and a "|". */
static void expect(const char *method, const char *path, const char *pattern, const char *params)
{
    struct route_match m = router_find(router, method, path);
    char text[512];
    size_t used = 0;
    if ((m.route != NULL) != (pattern != NULL) || (pattern && strcmp(m.route->path, pattern) != 0))
        fail_msg("%s %s leads to %s", method, path, m.route ? m.route->path : "nothing");
    for (size_t i = 0; i < ROUTE_PARAMS_MAX && m.params[i].size > 0; i++) {
        if (i > 0)
            text[used++] = '|';
        used += route_decode(m.params[i], text + used);
    }
    text[used] = '\0';
    assert_string_equal(text, params ? params : "");
}

static void test_names_stand_anywhere_and_the_last_takes_the_rest(void **state)
{
    (void)state;
    expect("GET", "/v9/models/a", "/v9/models/{id}", "a");
    expect("GET", "/v9/models/a/b/c", "/v9/models/{id}", "a/b/c");
    expect("GET", "/v9/models/a%2Fb%2fc", "/v9/models/{id}", "a/b/c");
    expect("GET", "/v9/models/a%252Fb", "/v9/models/{id}", "a%2Fb");
    expect("POST", "/v9/models/a/infer", "/v9/models/{name}/infer", "a");
    expect("POST", "/v9/models/a%2Fb/infer", "/v9/models/{name}/infer", "a/b");
    expect("POST", "/v9/models/a/b/infer", NULL, NULL);
    expect("POST", "/v9/models/a/versions/2/infer", "/v9/models/{name}/versions/{version}/infer", "a|2");
    expect("POST", "/v9/models/versions/versions/versions/infer",
        "/v9/models/{name}/versions/{version}/infer", "versions|versions");
    expect("POST", "/v9/m:generate", "/v9/{model}:generate", "m");
    expect("POST", "/v9/a:b:generate", "/v9/{model}:generate", "a:b");
    expect("POST", "/v9/:generate", NULL, NULL);
    expect("GET", "/v9/a1b2c3d4/5", "/v9/a{one}b{two}c{three}d{four}", "1|2|3|4/5");
    expect("GET", "/v9/models/", NULL, NULL);
    expect("GET", "/files/x", "/files/{name}", "x");
}

static void test_the_most_literal_pattern_wins(void **state)
{
    (void)state;
    expect("GET", "/v9/models/special", "/v9/models/special", "");
    expect("GET", "/v9/models/special2", "/v9/models/{id}", "special2");
    expect("GET", "/v9/models/a/infer", "/v9/models/{id}", "a/infer"); /* infer takes POST only */
}

static void test_an_encoded_character_is_the_character(void **state)
{
    (void)state;
    expect("GET", "/%68ealth", "/health", "");
    expect("GET", "/heal%74H", NULL, NULL);
    expect("GET", "%2Fhealth", "/health", "");
    expect("GET", "/health%2", NULL, NULL);
    expect("GET", "/files/%zz%", "/files/{name}", "%zz%");
}

static void test_under_a_prefix_several_slashes_are_one(void **state)
{
    (void)state;
    expect("GET", "//v9/models/a", "/v9/models/{id}", "a");
    expect("GET", "///v9//models///a//b", "/v9/models/{id}", "a//b");
    expect("POST", "/v9//models//a//infer", "/v9/models/{name}/infer", "a");
    expect("GET", "//health", NULL, NULL);
    expect("GET", "//", NULL, NULL);
}

static void test_head_is_answered_where_get_is(void **state)
{
    (void)state;
    expect("HEAD", "/health", "/health", "");
    expect("HEAD", "/v9/models/a", "/v9/models/{id}", "a");
    expect("HEAD", "/", NULL, NULL);
    assert_string_equal(router_find(router, "HEAD", "/").allow, "GET");
}

static void test_a_known_path_with_another_method_tells_what_is_allowed(void **state)
{
    (void)state;
    assert_string_equal(router_find(router, "PUT", "/health").allow, "GET, HEAD, POST");
    assert_string_equal(router_find(router, "POST", "/v9/models/a").allow, "GET, HEAD");
    assert_ptr_equal(router_find(router, "POST", "/v9/models/a").dialect, &under_v9);
    assert_string_equal(router_find(router, "PUT", "/nope").allow, "");
    /* It is a name of "/v9/models/{id}", too, whose methods are not told. */
    assert_string_equal(router_find(router, "PUT", "/v9/models/a/infer").allow, "POST");
    assert_string_equal(router_find(router, "PUT", "/v9/models/special").allow, "GET, HEAD");
}

static void test_the_longest_prefix_gives_the_dialect(void **state)
{
    (void)state;
    assert_ptr_equal(router_find(router, "GET", "/v9/x").dialect, &under_v9_x);
    assert_ptr_equal(router_find(router, "GET", "/v9/x/z").dialect, &under_v9_x);
    assert_ptr_equal(router_find(router, "GET", "/v9/xz").dialect, &under_v9);
    assert_ptr_equal(router_find(router, "GET", "/nope").dialect, &plain);
}

static void test_rows_are_found_under_more_prefixes_and_a_second_path(void **state)
{
    (void)state;
    expect("GET", "/more/v9/models/a/b", "/v9/models/{id}", "a/b");
    expect("POST", "/more/of/v9/models/a/infer", "/v9/models/{name}/infer", "a");
    expect("GET", "//more//v9//models/a", "/v9/models/{id}", "a");
    expect("GET", "/%6dore/v9/models/a", "/v9/models/{id}", "a");
    expect("GET", "/more/v9models/a", NULL, NULL);
    expect("GET", "/more/models/a", NULL, NULL);
    expect("GET", "/more/v9/v9/models/a", NULL, NULL);
    expect("GET", "/more/v9/x/y", NULL, NULL); /* of another dialect */
    expect("GET", "/special", "/v9/models/special", "");
    expect("GET", "/more/v9/special", NULL, NULL);
    assert_ptr_equal(router_find(router, "GET", "/more/v9/nope").dialect, &under_v9);
    assert_ptr_equal(router_find(router, "GET", "/special").dialect, &under_v9);
    assert_ptr_equal(router_find(router, "GET", "/more/nope").dialect, &plain);
    assert_string_equal(router_find(router, "PUT", "/more/v9/models/a").allow, "GET, HEAD");
}

static void test_methods_are_a_list(void **state)
{
    (void)state;
    assert_true(route_knows_method("GET") && route_knows_method("TRACE"));
    assert_false(route_knows_method("get") || route_knows_method("BREW") || route_knows_method(""));
}

static void test_a_second_answer_replaces_the_first_with_its_headers(void **state)
{
    struct reply r = {0};
    (void)state;
    reply_owned(&r, 404, "text/plain", strdup("first"), 5);
    reply_retry_after(&r, 17);
    assert_int_equal(r.n_headers, 1);
    assert_string_equal(r.headers[0].value, "17");
    reply_constant(&r, 200, "text/plain", "second");
    assert_int_equal(r.status, 200);
    assert_int_equal(r.n_headers, 0);
    assert_false(r.owned);
    assert_string_equal(r.body, "second");
    for (size_t i = 0; i < REPLY_HEADERS_MAX + 2; i++)
        reply_header_owned(&r, "x-a", strdup("b"));
    assert_int_equal(r.n_headers, REPLY_HEADERS_MAX);
    reply_release(&r);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_names_stand_anywhere_and_the_last_takes_the_rest),
        cmocka_unit_test(test_the_most_literal_pattern_wins),
        cmocka_unit_test(test_an_encoded_character_is_the_character),
        cmocka_unit_test(test_under_a_prefix_several_slashes_are_one),
        cmocka_unit_test(test_head_is_answered_where_get_is),
        cmocka_unit_test(test_a_known_path_with_another_method_tells_what_is_allowed),
        cmocka_unit_test(test_the_longest_prefix_gives_the_dialect),
        cmocka_unit_test(test_rows_are_found_under_more_prefixes_and_a_second_path),
        cmocka_unit_test(test_methods_are_a_list),
        cmocka_unit_test(test_a_second_answer_replaces_the_first_with_its_headers),
    };
    return cmocka_run_group_tests(tests, begin, end);
}
