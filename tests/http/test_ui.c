/* test_ui.c - GET /ui: how the page is sent, and that its policy allows its own script and style and nothing else.
 *
 * The page is unpacked by gzip(1), and hashed by sha256sum(1). tests/ui uses it in a browser.
 */
#include "harness.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define PAGE_MOST 60000 /* bytes, compressed */
#define GZIP "Accept-Encoding: gzip\r\n"

static struct server *server;

static int start(void **state)
{
    (void)state;
    server = server_start(&(struct setup){.models = volume_with_a_model()});
    return 0;
}

static int end(void **state)
{
    server_stop(server);
    return harness_end(state);
}

static void expect_header(const struct answer *a, const char *name, const char *value)
{
    const char *got = answer_header(a, name);
    if (!got || strcmp(got, value) != 0)
        fail_msg("%s is %s in: %s", name, got ? got : "absent", a->head);
}

/* What a command writes to its standard output, cut at `room` - 1 bytes. */
static size_t output_of(const char *command, char *out, size_t room)
{
    FILE *pipe = popen(command, "r");
    assert_non_null(pipe);
    size_t size = fread(out, 1, room - 1, pipe);
    out[size] = '\0';
    assert_int_equal(pclose(pipe), 0);
    return size;
}

/* The unpacked page; the caller frees it. */
static char *unpacked(void)
{
    const char *dir = temp_dir();
    size_t room = (size_t)1 << 20;
    char *page = malloc(room);
    assert_non_null(page);
    struct answer a = server_request(server, "GET", "/ui", GZIP);
    assert_int_equal(a.status, 200);
    write_file(dir, "page.gz", a.body, a.body_size);
    answer_release(&a);
    size_t size = output_of(text_of("gzip -dc '%s/page.gz'", dir), page, room);
    assert_true(size > 1000 && size < room - 1);
    assert_int_equal(strlen(page), size);
    return page;
}

/* ---- how it is sent ---- */

static void test_the_page_is_sent_compressed_with_its_headers(void **state)
{
    (void)state;
    struct answer a = server_request(server, "GET", "/ui", GZIP);
    assert_int_equal(a.status, 200);
    expect_header(&a, "content-type", "text/html; charset=utf-8");
    expect_header(&a, "content-encoding", "gzip");
    expect_header(&a, "vary", "accept-encoding");
    expect_header(&a, "cache-control", "no-cache");
    expect_header(&a, "x-content-type-options", "nosniff");
    expect_header(&a, "referrer-policy", "no-referrer");
    assert_true(a.body_size > 1000 && a.body_size <= PAGE_MOST);
    answer_release(&a);
}

static void test_head_has_the_headers_alone(void **state)
{
    (void)state;
    struct answer whole = server_request(server, "GET", "/ui", GZIP);
    struct answer a = server_request(server, "HEAD", "/ui", GZIP);
    assert_int_equal(a.status, 200);
    assert_int_equal(a.body_size, 0);
    expect_header(&a, "content-encoding", "gzip");
    expect_header(&a, "content-length", text_of("%zu", whole.body_size));
    answer_release(&a);
    answer_release(&whole);
}

static void test_a_page_that_the_client_has_is_not_sent_again(void **state)
{
    (void)state;
    struct answer a = server_request(server, "GET", "/ui", GZIP);
    const char *tag = text_of("%s", answer_header(&a, "etag"));
    answer_release(&a);
    assert_true(tag[0] == '"' && strlen(tag) > 10);
    const char *const known[] = {tag, text_of("W/%s", tag), text_of("\"other\", %s", tag), "*"};
    for (size_t i = 0; i < sizeof(known) / sizeof(known[0]); i++) {
        a = server_request(server, "GET", "/ui", text_of(GZIP "If-None-Match: %s\r\n", known[i]));
        assert_int_equal(a.status, 304);
        assert_int_equal(a.body_size, 0);
        expect_header(&a, "etag", tag);
        answer_release(&a);
    }
    a = server_request(server, "GET", "/ui", GZIP "If-None-Match: \"other\"\r\n");
    assert_int_equal(a.status, 200);
    answer_release(&a);
}

static void test_a_client_without_gzip_is_told(void **state)
{
    static const struct {
        const char *accept;
        int status;
    } rows[] = {{"gzip", 200}, {"deflate, gzip;q=0.5, br", 200}, {"br,GZIP", 200}, {"*", 200},
        {"br;q=1, *", 200}, {"gzip ; q=0.1", 200}, {NULL, 406}, {"", 406}, {"identity", 406},
        {"br, deflate", 406}, {"gzip;q=0", 406}, {"gzip; q=0.000, br", 406}, {"*;q=0", 406},
        {"gzip;q=0, *", 406}, {"gzipped", 406}, {",,;,", 406}};
    (void)state;
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        const char *headers = rows[i].accept ? text_of("Accept-Encoding: %s\r\n", rows[i].accept) : NULL;
        struct answer a = server_request(server, "GET", "/ui", headers);
        if (a.status != rows[i].status)
            fail_msg("accept-encoding %s: %d", rows[i].accept ? rows[i].accept : "absent", a.status);
        if (a.status == 406) {
            expect_header(&a, "content-type", "text/plain; charset=utf-8");
            assert_non_null(strstr(a.body, "curl --compressed"));
        }
        answer_release(&a);
    }
}

static void test_another_method_is_refused(void **state)
{
    (void)state;
    struct answer a = server_request(server, "POST", "/ui", NULL);
    assert_int_equal(a.status, 405);
    expect_header(&a, "allow", "GET, HEAD");
    assert_string_equal(a.body, "Method Not Allowed\n");
    answer_release(&a);
}

/* ---- what it may do ---- */

/* Appends the bytes that the base64 text stands for, as hexadecimal digits. */
static void hex_of_base64(const char *text, size_t size, char out[65])
{
    static const char digits[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    unsigned bits = 0, n = 0;
    size_t used = 0;
    for (size_t i = 0; i < size && text[i] != '='; i++) {
        const char *at = strchr(digits, text[i]);
        assert_non_null(at);
        bits = (bits << 6 | (unsigned)(at - digits)) & 0xffff;
        n += 6;
        if (n >= 8 && used < 64) {
            n -= 8;
            used += (size_t)snprintf(out + used, 65 - used, "%02x", bits >> n & 0xff);
        }
    }
    assert_int_equal(used, 64);
}

/* Fails unless the directive of the policy names the element's text by its hash, and nothing else. */
static void assert_hashed(
    const char *policy, const char *directive, const char *page, const char *open, const char *close)
{
    char wanted[65], got[65];
    const char *dir = temp_dir(), *at = strstr(policy, directive), *from = strstr(page, open);
    assert_non_null(at);
    assert_non_null(from);
    at += strlen(directive);
    assert_int_equal(strncmp(at, " 'sha256-", 9), 0);
    assert_int_equal(strcspn(at + 9, ";"), 45);
    hex_of_base64(at + 9, 44, wanted);
    from += strlen(open);
    const char *to = strstr(from, close);
    assert_non_null(to);
    assert_null(strstr(to, open)); /* one such element */
    write_file(dir, "text", from, (size_t)(to - from));
    output_of(text_of("sha256sum <'%s/text'", dir), got, sizeof(got));
    assert_string_equal(got, wanted);
}

static void test_the_policy_allows_its_own_script_and_style_alone(void **state)
{
    static const char *const wanted[] = {"default-src 'none';", "connect-src 'self';",
        "img-src 'self' data:;", "frame-ancestors 'none';", "base-uri 'none';", "form-action 'none';",
        "require-trusted-types-for 'script';", "trusted-types 'none'"};
    (void)state;
    struct answer a = server_request(server, "GET", "/ui", GZIP);
    const char *policy = text_of("%s", answer_header(&a, "content-security-policy"));
    answer_release(&a);
    for (size_t i = 0; i < sizeof(wanted) / sizeof(wanted[0]); i++)
        if (!strstr(policy, wanted[i]))
            fail_msg("%s is not in the policy: %s", wanted[i], policy);
    assert_null(strstr(policy, "unsafe"));
    assert_null(strstr(policy, "http"));
    char *page = unpacked();
    assert_hashed(policy, "script-src", page, "<script type=\"module\">", "</script>");
    assert_hashed(policy, "style-src", page, "<style>", "</style>");
    free(page);
}

static void test_the_page_makes_no_html_of_texts_and_loads_nothing(void **state)
{
    static const char *const never[] = {"innerHTML", "outerHTML", "insertAdjacentHTML", "document.write",
        "DOMParser", "eval(", "new Function", " src=", "url(", "@import", "<iframe", "<link rel=\"stylesheet",
        " onclick=\"", " style=\"", "import("};
    (void)state;
    char *page = unpacked();
    assert_int_equal(strncmp(page, "<!doctype html>", 15), 0);
    for (size_t i = 0; i < sizeof(never) / sizeof(never[0]); i++)
        if (strstr(page, never[i]))
            fail_msg("the page has %s: %.80s", never[i], strstr(page, never[i]));
    free(page);
}

/* ---- who gets it ---- */

static void test_ui_off_takes_it_away(void **state)
{
    const struct setup setups[] = {{.args = {"--ui", "off"}}, {.env = {"BERTH_UI=off"}}};
    (void)state;
    for (size_t i = 0; i < 2; i++) {
        struct server *without = server_start(&setups[i]);
        struct answer a = server_request(without, "GET", "/ui", GZIP);
        assert_int_equal(a.status, 404);
        assert_string_equal(a.body, "{\"detail\":\"Not Found\"}");
        answer_release(&a);
        json_t *api = server_json(without, "/openapi.json");
        assert_null(json_object_get(json_object_get(api, "paths"), "/ui"));
        json_decref(api);
        a = server_get(without, "/docs");
        assert_null(strstr(a.body, "\"ui#reference\""));
        answer_release(&a);
        assert_false(server_logged(without, "\"page\""));
        server_stop(without);
    }
}

static void test_the_log_and_the_docs_lead_to_it(void **state)
{
    (void)state;
    assert_true(server_logged(server, text_of("\"page\":\"http://127.0.0.1:%d/ui\"", server->port)));
    struct answer a = server_get(server, "/docs");
    assert_non_null(strstr(a.body, "href=\"ui#reference\""));
    answer_release(&a);
    struct server *any = server_start(&(struct setup){.host = "0.0.0.0"});
    assert_true(server_logged(any, text_of("\"page\":\"http://127.0.0.1:%d/ui\"", any->port)));
    server_stop(any);
}

static void test_the_page_needs_no_key_and_models_do(void **state)
{
    const char *dir = temp_dir();
    (void)state;
    write_file(dir, "keys", "the-key\n", 8);
    struct server *guarded = server_start(&(struct setup){.args = {"--api-key-file", path_in(dir, "keys")}});
    struct answer a = server_request(guarded, "GET", "/ui", GZIP);
    assert_int_equal(a.status, 200);
    answer_release(&a);
    a = server_get(guarded, "/v1/models");
    assert_int_equal(a.status, 401);
    answer_release(&a);
    server_stop(guarded);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_the_page_is_sent_compressed_with_its_headers),
        cmocka_unit_test(test_head_has_the_headers_alone),
        cmocka_unit_test(test_a_page_that_the_client_has_is_not_sent_again),
        cmocka_unit_test(test_a_client_without_gzip_is_told),
        cmocka_unit_test(test_another_method_is_refused),
        cmocka_unit_test(test_the_policy_allows_its_own_script_and_style_alone),
        cmocka_unit_test(test_the_page_makes_no_html_of_texts_and_loads_nothing),
        cmocka_unit_test(test_ui_off_takes_it_away),
        cmocka_unit_test(test_the_log_and_the_docs_lead_to_it),
        cmocka_unit_test(test_the_page_needs_no_key_and_models_do),
    };
    return cmocka_run_group_tests(tests, start, end);
}
