/* test_origins.c - origins and host names, as browsers and people write them. */
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <setjmp.h>

#include "berth/server/http/origins.h"

#include <string.h>

#include <cmocka.h>

static void test_what_can_be_listed(void **state)
{
    static const struct {
        const char *origin;
        bool valid;
    } rows[] = {
        {"*", true},
        {"null", true},
        {"http://a", true},
        {"https://app.example:8443", true},
        {"http://localhost:3000/", true},
        {"http://[::1]:80", true},
        {"app://obsidian.md", true},
        {"file://", true},
        {"https://", false},
        {"chrome-extension://abcdef", true},
        {"", false},
        {"app.example", false},
        {"http://", false},
        {"http://a/b", false},
        {"http://a?b", false},
        {"http://*.example", false},
        {"http://a:", true},
        {"http://a:x", false},
        {"http://a:123456", false},
        {"://a", false},
        {"http://a b", false},
        {"http://u@a", false},
    };
    (void)state;
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++)
        if (origin_is_valid(span_of(rows[i].origin)) != rows[i].valid)
            fail_msg("%s", rows[i].origin);
}

static void test_a_listed_origin_is_allowed_however_it_is_written(void **state)
{
    struct span list[] = {span_of("HTTP://App.Example:80/"), span_of("https://b:8443"), span_of("null"),
        span_of("file://"), span_of("app://obsidian.md")};
    struct origins o = {.allowed = list, .n_allowed = 5},
                   any = {.allowed = (struct span[]){span_of("*")}, .n_allowed = 1};
    static const char *const allowed[] = {"http://app.example", "http://app.example:80", "https://b:8443",
        "null", "file://", "app://obsidian.md"};
    static const char *const others[] = {"https://app.example", "http://app.example:81",
        "http://sub.app.example", "http://app.example.evil", "https://b", "app://obsidian.md.evil", "",
        "NULLX"};
    (void)state;
    for (size_t i = 0; i < sizeof(allowed) / sizeof(allowed[0]); i++)
        assert_ptr_equal(origin_allowed(&o, allowed[i]), allowed[i]);
    for (size_t i = 0; i < sizeof(others) / sizeof(others[0]); i++)
        if (origin_allowed(&o, others[i]))
            fail_msg("%s is allowed", others[i]);
    assert_string_equal(origin_allowed(&any, "null"), "*");
    assert_null(origin_allowed(&(struct origins){0}, "http://a"));
}

static void test_foreign_is_another_host_or_port_and_what_is_no_web_page(void **state)
{
    static const struct {
        const char *origin, *host;
        bool foreign;
    } rows[] = {
        {"http://localhost:8000", "localhost:8000", false},
        {"http://LOCALHOST:8000", "localhost:8000", false},
        {"http://a", "a", false},
        {"http://a", "a:80", false},
        {"https://a", "a", false},
        {"https://a", "a:443", false},
        {"http://a.", "a", false},
        {"http://[::1]:8000", "[::1]:8000", false},
        {"http://a:8001", "a:8000", true},
        {"http://a", "a:8000", true},
        {"https://a", "a:80", true},
        {"http://b", "a", true},
        {"null", "null", true},
        {"null", "a", true},
        {"app://a", "a", true},
        {"capacitor://localhost", "localhost", true},
        {"chrome-extension://a", "a", true},
        {"", "", true},
        {"http://a", NULL, true},
        {"http://", "", true},
        {"http://127.0.0.1:8000", "localhost:8000", true},
    };
    (void)state;
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++)
        if (origin_is_foreign(rows[i].origin, rows[i].host) != rows[i].foreign)
            fail_msg("%s at %s", rows[i].origin, rows[i].host ? rows[i].host : "no host");
}

static void test_known_hosts_are_those_that_no_stranger_can_register(void **state)
{
    static const char *const known[] = {"127.0.0.1", "10.0.0.7:8000", "[::1]", "[fd00::1]:8000", "localhost",
        "localhost:8000", "LocalHost", "localhost.", "berth", "berth:8000", "berth.models.svc",
        "berth.models.svc.cluster.local:8000", "my-mac.local", "app.localhost", "host.docker.internal:8000",
        "mine.example", "MINE.example:8000", "mine.example."};
    static const char *const unknown[] = {"evil.example", "evil.example:8000", "127.0.0.1.evil.example",
        "localhost.evil.example", "svc.example", "evil-svc.com", "xlocal.com", "sub.mine.example",
        "mine.example.evil", "", ":8000", "[::1", "a b", "127.0.0.1.nip.io", "evil.example#.local",
        "evil.com/.local"};
    struct origins o = {.hosts = (struct span[]){span_of("mine.example")}, .n_hosts = 1};
    struct origins any = {.hosts = (struct span[]){span_of("*")}, .n_hosts = 1};
    (void)state;
    for (size_t i = 0; i < sizeof(known) / sizeof(known[0]); i++)
        if (!origin_host_is_known(&o, known[i]))
            fail_msg("%s is not known", known[i]);
    for (size_t i = 0; i < sizeof(unknown) / sizeof(unknown[0]); i++) {
        if (origin_host_is_known(&o, unknown[i]))
            fail_msg("%s is known", unknown[i]);
        assert_true(origin_host_is_known(&any, unknown[i]));
    }
}

static void test_hosts_that_can_be_listed_have_no_port(void **state)
{
    (void)state;
    assert_true(origin_host_is_valid(span_of("api.example")) && origin_host_is_valid(span_of("*")));
    assert_false(origin_host_is_valid(span_of("api.example:80")) || origin_host_is_valid(span_of("")) ||
                 origin_host_is_valid(span_of("*.example")) || origin_host_is_valid(span_of("http://a")));
}

static void test_headers_that_clients_send_are_allowed(void **state)
{
    (void)state;
    assert_true(origin_header_is_allowed(span_of("Authorization")));
    assert_true(origin_header_is_allowed(span_of("x-stainless-os")));
    assert_true(origin_header_is_allowed(span_of("anthropic-version")));
    assert_false(origin_header_is_allowed(span_of("x-stainless-")));
    assert_false(origin_header_is_allowed(span_of("authorization2")));
    assert_false(origin_header_is_allowed(span_of("cookie")));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_what_can_be_listed),
        cmocka_unit_test(test_a_listed_origin_is_allowed_however_it_is_written),
        cmocka_unit_test(test_foreign_is_another_host_or_port_and_what_is_no_web_page),
        cmocka_unit_test(test_known_hosts_are_those_that_no_stranger_can_register),
        cmocka_unit_test(test_hosts_that_can_be_listed_have_no_port),
        cmocka_unit_test(test_headers_that_clients_send_are_allowed),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
