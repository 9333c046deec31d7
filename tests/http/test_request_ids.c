/* test_request_ids.c - each answer has an id, which the log has, too. */
#include "harness.h"
#include "reciting_model.h"

#include <ctype.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static struct server *server;

static void assert_text(const json_t *object, const char *member, const char *value)
{
    const char *got = json_string_value(json_object_get(object, member));
    if (!got || strcmp(got, value) != 0)
        fail_msg("%s is %s, not %s", member, got ? got : "no string", value);
}

static void assert_id(const char *sent, bool echoed)
{
    const char *header = sent ? text_of("X-Request-Id: %s\r\n", sent) : NULL;
    struct answer a = server_request(server, "GET", "/nope", header);
    const char *got = answer_header(&a, "x-request-id");
    if (!got || strlen(got) == 0 || strlen(got) > 128)
        fail_msg("an id of %s for %s", got ? got : "nothing", sent ? sent : "none");
    if (sent && (strcmp(got, sent) == 0) != echoed)
        fail_msg("sent the id %s, got %s", sent, got);
    for (const char *c = got; *c; c++)
        assert_true(isalnum((unsigned char)*c) || strchr("._:/+=@-", *c));
    answer_release(&a);
}

static void test_a_harmless_request_id_comes_back_and_another_is_replaced(void **state)
{
    (void)state;
    assert_id("abc-123", true);
    assert_id("AZaz09._:/+=@-", true);
    assert_id("x", true);
    char longest[130];
    memset(longest, 'a', sizeof(longest));
    longest[128] = '\0';
    assert_id(longest, true);
    longest[128] = 'a';
    longest[129] = '\0';
    assert_id(longest, false);
    assert_id("two words", false);
    assert_id("quote\"d", false);
    assert_id("<script>", false);
    assert_id("caf\xc3\xa9", false);
    assert_id("", false);
    assert_id(NULL, false);
}

static void test_fresh_request_ids_are_all_different_and_on_every_route(void **state)
{
    static const char *const targets[] = {"/", "/health", "/nope", "/health/", "/v1/models",
        "/v1/models/none", "/metrics", "/docs", "/livez", "/v2/nope", "/openapi.json", "/readyz"};
    enum { N = sizeof(targets) / sizeof(*targets) };
    const char *ids[N];
    (void)state;
    for (size_t i = 0; i < N; i++) {
        struct answer a = server_get(server, targets[i]);
        const char *id = answer_header(&a, "x-request-id");
        if (!id)
            fail_msg("%s answers without an id", targets[i]);
        ids[i] = text_of("%s", id);
        for (size_t j = 0; j < i; j++)
            assert_string_not_equal(ids[i], ids[j]);
        answer_release(&a);
    }
}

static void test_the_log_has_a_requests_id_and_what_came_of_it(void **state)
{
    (void)state;
    struct answer a =
        server_request(server, "GET", "/v1/models/none?secret=1", "X-Request-Id: find-me-123\r\n");
    char *line = server_wait_log(server, "find-me-123");
    json_t *fields = json_loads(line, 0, NULL);
    assert_text(fields, "message", "request");
    assert_text(fields, "method", "GET");
    assert_text(fields, "id", "find-me-123");
    assert_non_null(strstr(json_string_value(json_object_get(fields, "path")), "/v1/models/none"));
    assert_int_equal(json_integer_value(json_object_get(fields, "status")), 404);
    assert_int_equal(json_integer_value(json_object_get(fields, "bytes")), a.body_size);
    assert_true(json_is_number(json_object_get(fields, "seconds")));
    assert_null(strstr(line, "secret"));
    json_decref(fields);
    free(line);
    answer_release(&a);
}

static void test_probes_leave_no_line_in_the_log(void **state)
{
    static const char *const probes[] = {
        "/health", "/livez", "/readyz", "/v2/health/live", "/v2/health/ready", "/metrics"};
    (void)state;
    for (size_t i = 0; i < sizeof(probes) / sizeof(*probes); i++) {
        struct answer a = server_request(server, "GET", probes[i], text_of("X-Request-Id: probe-%zu\r\n", i));
        assert_int_equal(a.status, 200);
        answer_release(&a);
    }
    struct answer a = server_request(server, "GET", "/nope", "X-Request-Id: after-the-probes\r\n");
    free(server_wait_log(server, "after-the-probes"));
    assert_false(server_logged(server, "\"probe-"));
    answer_release(&a);
}

static int begin(void **state)
{
    (void)state;
    const char *dir = temp_dir(); /* with a model that can answer, so that /readyz is 200 */
    write_tiny_model(dir, "tiny.gguf", &(struct tiny_model){0});
    server = server_start(&(struct setup){.models = dir});
    server_wait_status(server, "/readyz", 200);
    return 0;
}

static int end(void **state)
{
    server_stop(server);
    return harness_end(state);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_a_harmless_request_id_comes_back_and_another_is_replaced),
        cmocka_unit_test(test_fresh_request_ids_are_all_different_and_on_every_route),
        cmocka_unit_test(test_the_log_has_a_requests_id_and_what_came_of_it),
        cmocka_unit_test(test_probes_leave_no_line_in_the_log),
    };
    return cmocka_run_group_tests(tests, begin, end);
}
