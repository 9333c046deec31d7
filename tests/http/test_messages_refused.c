/* test_messages_refused.c - Anthropic's API over HTTP: what it refuses and in which shape, keys, and its list of models.
 */
#include "events.h"
#include "reciting_model.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "tool_models.h"

#define MESSAGES "/v1/messages"
#define COUNT "/v1/messages/count_tokens"
#define HELLO "\"messages\":[{\"role\":\"user\",\"content\":\"Hello\"}]"
#define TOOLS "\"tools\":[{\"name\":\"weather\",\"input_schema\":{\"type\":\"object\"}}]"

static struct server *server;

static void assert_text(const json_t *value, const char *path, const char *wanted)
{
    const char *got = text_at(value, path);
    if (strcmp(got, wanted) != 0)
        fail_msg("%s is \"%s\", not \"%s\"", path, got, wanted);
}

static void test_what_cannot_be_honoured_is_refused_by_name(void **state)
{
    static const struct {
        int status;
        const char *body, *type, *said;
    } rows[] = {
        {400, "{\"model\":\"letters\"," HELLO "}", "invalid_request_error", "'max_tokens'"},
        {400, "{\"model\":\"letters\",\"max_tokens\":0," HELLO "}", "invalid_request_error",
            "'max_tokens' is 0"},
        {400, "{\"model\":\"letters\",\"max_tokens\":5}", "invalid_request_error", "'messages'"},
        {400, "{\"model\":\"letters\",\"max_tokens\":5,\"messages\":[]}", "invalid_request_error",
            "'messages'"},
        {404, "{\"model\":\"unheard\",\"max_tokens\":5," HELLO "}", "not_found_error", "'unheard'"},
        {400, "{\"max_tokens\":5,\"messages\":[{\"role\":\"robot\",\"content\":\"a\"}]}",
            "invalid_request_error", "messages[0].role"},
        {400,
            "{\"model\":\"letters\",\"max_tokens\":5,\"messages\":[{\"role\":\"user\",\"content\":[{\"type\":\"image\","
            "\"source\":{}}]}]}",
            "invalid_request_error", "'messages[0].content[0]' is a block of type 'image'"},
        {400,
            "{\"model\":\"letters\",\"max_tokens\":5,\"messages\":[{\"role\":\"user\",\"content\":[{\"type\":"
            "\"document\",\"source\":{\"type\":\"base64\"}}]}]}",
            "invalid_request_error", "document"},
        {400,
            "{\"model\":\"letters\",\"max_tokens\":5,\"messages\":[{\"role\":\"user\",\"content\":[{\"type\":"
            "\"tool_result\"}]}]}",
            "invalid_request_error", "tool_use_id"},
        {400, "{\"model\":\"letters\",\"max_tokens\":5,\"container\":\"c\"," HELLO "}",
            "invalid_request_error", "'container'"},
        {400, "{\"model\":\"letters\",\"max_tokens\":5,\"stop\":[\"a\"]," HELLO "}", "invalid_request_error",
            "'stop_sequences'"},
        {400, "{\"model\":\"letters\",\"max_tokens\":5,\"stop_sequence\":[\"a\"]," HELLO "}",
            "invalid_request_error", "did you mean 'stop_sequences'"},
        {400, "{\"model\":\"letters\",\"max_tokens\":5,\"stop_sequences\":[\"\"]," HELLO "}",
            "invalid_request_error", "'stop_sequences'"},
        {400, "{\"model\":\"letters\",\"max_tokens\":5,\"temperature\":9," HELLO "}", "invalid_request_error",
            "'temperature'"},
        {400, "{\"model\":\"letters\",\"max_tokens\":5,\"thinking\":{\"type\":\"deep\"}," HELLO "}",
            "invalid_request_error", "'thinking.type'"},
        {400, "{\"model\":\"letters\",\"max_tokens\":5,\"tools\":[{\"name\":\"a\"}]," HELLO "}",
            "invalid_request_error", "'tools[0].input_schema'"},
        {400, "{\"model\":\"letters\",\"max_tokens\":5,\"tool_choice\":{\"type\":\"any\"}," HELLO "}",
            "invalid_request_error", "'tool_choice' needs a tool"},
        {400,
            "{\"model\":\"letters\",\"max_tokens\":5,\"tool_choice\":{\"type\":\"tool\",\"name\":\"x\"}," TOOLS
            "," HELLO "}",
            "invalid_request_error", "'tool_choice'"},
        {400,
            "{\"model\":\"letters\",\"max_tokens\":5,\"output_config\":{\"format\":{\"type\":\"json_schema\",\"schema\":"
            "{\"type\":\"string\",\"pattern\":\"(?=a)\"}}}," HELLO "}",
            "invalid_request_error", "'output_config.format.schema'"},
    };
    (void)state;
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        json_t *a = server_post_json(server, MESSAGES, rows[i].status, rows[i].body);
        assert_text(a, "type", "error");
        assert_text(a, "error.type", rows[i].type);
        assert_true(strlen(text_at(a, "request_id")) > 0);
        if (!strstr(text_at(a, "error.message"), rows[i].said))
            fail_msg("%s: %s", rows[i].body, text_at(a, "error.message"));
        json_decref(a);
    }
}

/* Claude Code makes a conversation shorter when it reads these words. */
static void test_a_prompt_that_is_too_long_is_refused_in_the_words_that_clients_know(void **state)
{
    (void)state;
    char *text = calloc(1, 20001);
    memset(text, 'x', 20000);
    json_t *a = server_post_json(server, MESSAGES, 400,
        text_of(
            "{\"model\":\"letters\",\"max_tokens\":5,\"messages\":[{\"role\":\"user\",\"content\":\"%s\"}]}",
            text));
    assert_int_equal(strncmp(text_at(a, "error.message"), "prompt is too long", 18), 0);
    json_decref(a);
    free(text);
}

static void test_errors_of_paths_and_methods_are_in_the_same_shape(void **state)
{
    (void)state;
    struct answer a = server_get(server, MESSAGES);
    json_t *said = answer_json(&a);
    assert_int_equal(a.status, 405);
    assert_text(said, "error.type", "invalid_request_error");
    json_decref(said);
    answer_release(&a);
    a = server_get(server, MESSAGES "/batches");
    said = answer_json(&a);
    assert_int_equal(a.status, 404);
    assert_text(said, "error.type", "not_found_error");
    json_decref(said);
    answer_release(&a);
}

static void assert_status(const struct server *s, const char *headers, int status)
{
    struct answer a = server_post(s, COUNT, headers, "{" HELLO "}");
    assert_int_equal(a.status, status);
    if (status == 401) {
        json_t *said = answer_json(&a);
        assert_text(said, "error.type", "authentication_error");
        json_decref(said);
    }
    answer_release(&a);
}

static void test_a_key_comes_in_either_header(void **state)
{
    (void)state;
    const char *dir = temp_dir(), *keys = temp_dir();
    write_tiny_model(dir, "tiny.gguf", &(struct tiny_model){0});
    write_file(keys, "keys", "secret\n", 7);
    struct server *s =
        server_start(&(struct setup){.models = dir, .args = {"--api-key-file", path_in(keys, "keys")}});
    server_wait_status(s, "/readyz", 200);
    assert_status(s, NULL, 401);
    assert_status(s, "x-api-key: wrong\r\n", 401);
    assert_status(s, "x-api-key: \r\n", 401);
    assert_status(s, "x-api-key: secret\r\n", 200);
    assert_status(s, "Authorization: Bearer secret\r\n", 200);
    assert_status(s, "Authorization: Bearer wrong\r\nx-api-key: secret\r\n", 200);
    assert_status(s, "Authorization: Basic secret\r\n", 401);
    struct answer a = server_request(s, "GET", "/v1/models", "x-api-key: secret\r\n");
    assert_int_equal(a.status, 200);
    answer_release(&a);
    server_stop(s);
}

static void test_models_are_listed_as_anthropic_does_for_clients_that_name_its_version(void **state)
{
    (void)state;
    const char *headers = "anthropic-version: 2023-06-01\r\n";
    struct answer a = server_request(server, "GET", "/v1/models?limit=1000", headers);
    json_t *list = answer_json(&a);
    assert_int_equal(json_array_size(json_at(list, "data")), 3);
    assert_true(json_is_false(json_at(list, "has_more")));
    assert_text(list, "first_id", text_at(list, "data.0.id"));
    assert_text(list, "last_id", text_at(list, "data.2.id"));
    assert_text(list, "data.0.type", "model");
    assert_int_equal(strlen(text_at(list, "data.0.created_at")), strlen("2026-01-01T00:00:00Z"));
    json_decref(list);
    answer_release(&a);
    a = server_request(server, "GET", "/v1/models/letters", headers);
    json_t *one = answer_json(&a);
    assert_text(one, "display_name", "letters");
    json_decref(one);
    answer_release(&a);
    a = server_request(server, "GET", "/v1/models/none", headers);
    one = answer_json(&a);
    assert_int_equal(a.status, 404);
    assert_text(one, "error.type", "not_found_error");
    json_decref(one);
    answer_release(&a);
}

static int begin(void **state)
{
    (void)state;
    server = server_start(&(struct setup){.models = tool_models_volume()});
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
        cmocka_unit_test(test_what_cannot_be_honoured_is_refused_by_name),
        cmocka_unit_test(test_a_prompt_that_is_too_long_is_refused_in_the_words_that_clients_know),
        cmocka_unit_test(test_errors_of_paths_and_methods_are_in_the_same_shape),
        cmocka_unit_test(test_a_key_comes_in_either_header),
        cmocka_unit_test(test_models_are_listed_as_anthropic_does_for_clients_that_name_its_version),
    };
    return cmocka_run_group_tests(tests, begin, end);
}
