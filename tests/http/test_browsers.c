/* test_browsers.c - pages of other origins: what they may do by default, with --cors-origin, and with API keys; and
 * under which names the server answers.
 */
#include "events.h"
#include "reciting_model.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define COMPLETIONS "/v1/completions"
#define APP "https://app.example"
#define FOREIGN "https://evil.example"

static const char good[] = "{\"model\":\"tiny\",\"prompt\":\"a\",\"max_tokens\":2}";

static const char *volume(void)
{
    const char *dir = temp_dir();
    write_tiny_model(dir, "tiny.gguf", &(struct tiny_model){0});
    return dir;
}

static struct answer ask(const struct server *s, const char *method, const char *target, const char *host,
    const char *headers, const char *body)
{
    struct wire w;
    struct answer a = {0};
    wire_open(&w, s);
    wire_say(&w, text_of("%s %s HTTP/1.1\r\nHost: %s\r\nConnection: close\r\n%sContent-Length: %zu\r\n\r\n%s",
                     method, target, host, headers, strlen(body), body));
    if (!wire_answer(&w, &a, strcmp(method, "HEAD") == 0, WAIT_MS))
        fail_msg("no answer to %s %s", method, target);
    wire_close(&w);
    return a;
}

static const char *of_origin(const char *origin)
{
    return text_of("Origin: %s\r\n", origin);
}

static struct answer post_from(const struct server *s, const char *origin)
{
    return ask(s, "POST", COMPLETIONS, "berth:8000", of_origin(origin), good);
}

static struct answer preflight(const struct server *s, const char *target, const char *origin)
{
    const char *headers = text_of("%sAccess-Control-Request-Method: POST\r\nAccess-Control-Request-Headers: "
                                  "authorization,content-type,x-stainless-os, X-Stainless-Lang ,x-evil\r\n",
        of_origin(origin));
    return ask(s, "OPTIONS", target, "berth:8000", headers, "");
}

static void expect_header(const struct answer *a, const char *name, const char *value)
{
    const char *got = answer_header(a, name);
    if ((got != NULL) != (value != NULL) || (got && strcmp(got, value) != 0))
        fail_msg("%s is %s in: %s", name, got ? got : "absent", a->head);
}

/* `allowed`: the value of access-control-allow-origin, or NULL. */
static void expect(struct answer a, int status, const char *allowed)
{
    if (a.status != status)
        fail_msg("%d, not %d: %s", a.status, status, a.body);
    expect_header(&a, "access-control-allow-origin", allowed);
    expect_header(&a, "vary", allowed && strcmp(allowed, "*") != 0 ? "origin" : NULL);
    if (allowed)
        assert_non_null(strstr(answer_header(&a, "access-control-expose-headers"), "x-request-id"));
    answer_release(&a);
}

static void test_by_default_a_foreign_page_can_neither_run_nor_read(void **state)
{
    static const char *const foreign[] = {FOREIGN, "http://berth", "http://berth:8001", "null",
        "app://berth:8000", "chrome-extension://abc", ""};
    static const char *const own[] = {"http://berth:8000", "https://berth:8000", "HTTP://BERTH:8000"};
    (void)state;
    struct server *s = server_start(&(struct setup){.models = volume()});
    for (size_t i = 0; i < sizeof(foreign) / sizeof(foreign[0]); i++) {
        struct answer a = post_from(s, foreign[i]);
        json_t *body = answer_json(&a);
        assert_string_equal(text_at(body, "error.type"), "invalid_request_error");
        assert_non_null(strstr(text_at(body, "error.message"), "--cors-origin"));
        json_decref(body);
        expect(a, 403, NULL);
    }
    assert_true(metric(s, "berth_prompt_tokens_total{model=\"tiny\"}") <= 0); /* nothing has run */
    for (size_t i = 0; i < sizeof(own) / sizeof(own[0]); i++)
        expect(post_from(s, own[i]), 200, NULL);
    expect(ask(s, "POST", "/nope", "berth", of_origin(FOREIGN), ""), 403, NULL);
    expect(ask(s, "GET", "/v1/models", "berth", of_origin(FOREIGN), ""), 200, NULL);
    expect(ask(s, "GET", "/health", "berth", of_origin(FOREIGN), ""), 200, NULL);
    expect(preflight(s, COMPLETIONS, FOREIGN), 405, NULL);
    server_stop(s);
}

static void test_a_page_of_an_allowed_origin_can_do_all(void **state)
{
    static const char *const targets[] = {
        COMPLETIONS, "/v1/models/tiny", "/v2/models", "/", "/health", "/nope"};
    (void)state;
    struct server *s = server_start(&(struct setup){
        .models = volume(), .args = {"--cors-origin", APP "/", "--cors-origin", "null,app://obsidian.md"}});
    for (size_t i = 0; i < sizeof(targets) / sizeof(targets[0]); i++) {
        struct answer a = preflight(s, targets[i], APP);
        assert_non_null(strstr(answer_header(&a, "access-control-allow-methods"), "POST"));
        const char *headers = answer_header(&a, "access-control-allow-headers");
        static const char *const wanted[] = {"authorization", "content-type", "x-api-key",
            "anthropic-version", "x-stainless-os", "X-Stainless-Lang"};
        for (size_t k = 0; k < sizeof(wanted) / sizeof(wanted[0]); k++)
            if (!strstr(headers, wanted[k]))
                fail_msg("%s is not in %s", wanted[k], headers);
        assert_null(strstr(headers, "x-evil"));
        expect(a, 204, APP);
    }
    expect(post_from(s, APP), 200, APP);
    expect(post_from(s, "null"), 200, "null");
    expect(post_from(s, "app://obsidian.md"), 200, "app://obsidian.md");
    expect(ask(s, "GET", "/v1/models/none", "berth", of_origin(APP), ""), 404, APP);
    expect(ask(s, "GET", "/health/", "berth", of_origin(APP), ""), 307, APP);
    expect(ask(s, "GET", "/health", "berth", of_origin(APP), ""), 200, APP);
    expect(ask(s, "GET", "/health", "berth", "", ""), 200, NULL);
    expect(post_from(s, FOREIGN), 403, NULL);
    expect(preflight(s, COMPLETIONS, FOREIGN), 405, NULL);
    expect(ask(s, "OPTIONS", COMPLETIONS, "berth", of_origin(APP), ""), 405, APP); /* no preflight */
    server_stop(s);
}

/* A connection keeps its last constant reply: it must not be sent to another origin. */
static void test_origins_on_one_connection_do_not_mix(void **state)
{
    static const char *const origins[] = {APP, "https://b.example", NULL, APP};
    struct wire w;
    (void)state;
    struct server *s = server_start(&(struct setup){.args = {"--cors-origin=" APP ",https://b.example"}});
    wire_open(&w, s);
    for (size_t i = 0; i < 4; i++) {
        struct answer a;
        wire_say(&w, text_of("GET /health HTTP/1.1\r\nHost: berth\r\n%s\r\n",
                         origins[i] ? of_origin(origins[i]) : ""));
        assert_true(wire_answer(&w, &a, false, WAIT_MS));
        expect(a, 200, origins[i]);
    }
    wire_close(&w);
    server_stop(s);
}

static void test_a_stream_can_be_read_by_the_page_that_asked(void **state)
{
    struct wire w;
    struct answer a;
    static const char body[] = "{\"model\":\"tiny\",\"prompt\":\"a\",\"max_tokens\":2,\"stream\":true}";
    (void)state;
    struct server *s = server_start(&(struct setup){.models = volume(), .args = {"--cors-origin", "*"}});
    wire_open(&w, s);
    wire_say(&w, text_of("POST " COMPLETIONS
                         " HTTP/1.1\r\nHost: berth\r\nOrigin: null\r\nContent-Length: %zu\r\n\r\n%s",
                     strlen(body), body));
    assert_true(wire_head(&w, &a, WAIT_MS));
    expect(a, 200, "*");
    wire_close(&w);
    expect(preflight(s, COMPLETIONS, FOREIGN), 204, "*");
    expect(post_from(s, FOREIGN), 200, "*");
    server_stop(s);
}

static void test_with_keys_the_key_is_what_counts(void **state)
{
    (void)state;
    const char *dir = temp_dir();
    write_file(dir, "keys", "secret\n", 7);
    struct server *s = server_start(&(struct setup){
        .models = volume(), .args = {"--cors-origin", APP, "--api-key-file", path_in(dir, "keys")}});
    expect(preflight(s, COMPLETIONS, APP), 204, APP);
    expect(post_from(s, APP), 401, APP);
    expect(post_from(s, FOREIGN), 401, NULL);
    const char *key = "Authorization: Bearer secret\r\n";
    expect(ask(s, "POST", COMPLETIONS, "evil.example", text_of("%s%s", key, of_origin(FOREIGN)), good), 200,
        NULL);
    expect(ask(s, "POST", COMPLETIONS, "evil.example", text_of("%s%s", key, of_origin(APP)), good), 200, APP);
    server_stop(s);
}

static void test_the_server_answers_under_names_that_nobody_can_register(void **state)
{
    static const char *const known[] = {"127.0.0.1:8000", "[::1]:8000", "localhost", "berth",
        "berth.ai.svc:8000", "berth.ai.svc.cluster.local", "mac.local", "api.mine.example"};
    static const char *const unknown[] = {
        "evil.example", "evil.example:8000", "127.0.0.1.nip.io", "mine.example"};
    static const char *const probes[] = {
        "/", "/health", "/livez", "/readyz", "/v2/health/live", "/v2/health/ready", "/metrics"};
    (void)state;
    struct server *s =
        server_start(&(struct setup){.models = volume(), .args = {"--allowed-host", "api.mine.example"}});
    for (size_t i = 0; i < sizeof(known) / sizeof(known[0]); i++)
        expect(ask(s, "POST", COMPLETIONS, known[i], "", good), 200, NULL);
    for (size_t i = 0; i < sizeof(unknown) / sizeof(unknown[0]); i++) {
        struct answer a = ask(s, "POST", COMPLETIONS, unknown[i], "", good);
        assert_non_null(strstr(a.body, "--allowed-host"));
        expect(a, 403, NULL);
        expect(ask(s, "GET", "/v1/models", unknown[i], "", ""), 403, NULL);
        expect(ask(s, "GET", "/nope", unknown[i], "", ""), 403, NULL);
        /* The page's own origin, after its name was made to resolve to this machine. */
        expect(ask(s, "POST", COMPLETIONS, unknown[i], of_origin(text_of("http://%s", unknown[i])), good),
            403, NULL);
    }
    for (size_t i = 0; i < sizeof(probes) / sizeof(probes[0]); i++)
        expect(ask(s, "GET", probes[i], "evil.example", "", ""), 200, NULL);
    expect(ask(s, "POST", "/health", "evil.example", "", ""), 403, NULL);
    server_stop(s);
}

static void test_flags_replace_the_lists_of_the_environment(void **state)
{
    (void)state;
    struct setup setup = {.models = volume(),
        .env = {"BERTH_CORS_ORIGIN=https://a.example,https://b.example",
            "BERTH_ALLOWED_HOST=c.example,d.example"}};
    struct server *s = server_start(&setup);
    expect(post_from(s, "https://a.example"), 200, "https://a.example");
    expect(post_from(s, "https://b.example"), 200, "https://b.example");
    expect(ask(s, "GET", "/v1/models", "d.example", "", ""), 200, NULL);
    server_stop(s);
    setup.args[0] = "--cors-origin=" APP;
    setup.args[1] = "--allowed-host=*";
    s = server_start(&setup);
    expect(post_from(s, "https://a.example"), 403, NULL);
    expect(post_from(s, APP), 200, APP);
    expect(ask(s, "GET", "/v1/models", "any.example", "", ""), 200, NULL);
    server_stop(s);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_by_default_a_foreign_page_can_neither_run_nor_read),
        cmocka_unit_test(test_a_page_of_an_allowed_origin_can_do_all),
        cmocka_unit_test(test_origins_on_one_connection_do_not_mix),
        cmocka_unit_test(test_a_stream_can_be_read_by_the_page_that_asked),
        cmocka_unit_test(test_with_keys_the_key_is_what_counts),
        cmocka_unit_test(test_the_server_answers_under_names_that_nobody_can_register),
        cmocka_unit_test(test_flags_replace_the_lists_of_the_environment),
    };
    return cmocka_run_group_tests(tests, NULL, harness_end);
}
