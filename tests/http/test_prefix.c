/* test_prefix.c - what a client sees of the cache of prefixes: figures in `usage` and in /metrics, and nothing else.
 *
 * The model has a token for each byte and a context of 512 (tiny_model.h).
 */
#include "events.h"
#include "reciting_model.h"

#include <stdio.h>
#include <string.h>

#define COMPLETIONS "/v1/completions"
#define CACHED "usage.prompt_tokens_details.cached_tokens"

static struct server *server;

/* 300 bytes that no other test's prompt begins with, then `end`. */
static const char *prompt(char first, const char *end)
{
    static char text[400];
    for (int i = 0; i < 300; i++)
        text[i] = (char)(i == 0 ? first : 'a' + i % 26);
    snprintf(text + 300, sizeof(text) - 300, "%s", end);
    return text;
}

static json_t *complete(const struct server *s, const char *text, const char *fields)
{
    return server_post_json(s, COMPLETIONS, 200,
        text_of("{\"model\":\"tiny\",\"max_tokens\":4,\"prompt\":\"%s\"%s}", text, fields));
}

static void test_the_second_request_tells_what_it_shares_with_the_first(void **state)
{
    (void)state;
    json_t *a = complete(server, prompt('1', "x"), "");
    assert_int_equal(number_at(a, CACHED), 0);
    assert_int_equal(number_at(a, "usage.prompt_tokens"), 301);
    json_decref(a);
    a = complete(server, prompt('1', "0w"), "");
    assert_int_equal(number_at(a, CACHED), 300);
    assert_int_equal(number_at(a, "usage.prompt_tokens"), 302);
    assert_string_equal(text_at(a, "choices.0.text"), "xyz.");
    json_decref(a);
}

static void test_a_list_of_prompts_adds_up(void **state)
{
    char both[900];
    (void)state;
    json_decref(complete(server, prompt('2', "x"), ""));
    size_t size = (size_t)snprintf(both, sizeof(both), "%s\",\"", prompt('2', "a"));
    snprintf(both + size, sizeof(both) - size, "%s", prompt('2', "b"));
    json_t *a = server_post_json(server, COMPLETIONS, 200,
        text_of("{\"model\":\"tiny\",\"max_tokens\":4,\"n\":2,\"prompt\":[\"%s\"]}", both));
    assert_int_equal(number_at(a, CACHED), 600);
    assert_int_equal(number_at(a, "usage.prompt_tokens"), 602);
    assert_string_equal(text_at(a, "choices.0.text"), "bcde");
    assert_string_equal(text_at(a, "choices.3.text"), "cdef");
    json_decref(a);
}

static void test_a_request_may_do_without(void **state)
{
    static const char *const fields[] = {",\"cache_prompt\":false", ",\"cache_prompt\":true", ""};
    static const int cached[] = {0, 0, 300};
    (void)state;
    for (int i = 0; i < 3; i++) {
        json_t *a = complete(server, prompt('3', "q"), fields[i]);
        assert_int_equal(number_at(a, CACHED), cached[i]);
        assert_string_equal(text_at(a, "choices.0.text"), "rstu");
        json_decref(a);
    }
    json_t *a = server_post_json(
        server, COMPLETIONS, 400, "{\"model\":\"tiny\",\"prompt\":\"a\",\"cache_prompt\":\"no\"}");
    assert_string_equal(text_at(a, "error.param"), "cache_prompt");
    json_decref(a);
}

static void test_a_chat_goes_on_from_its_last_answer(void **state)
{
    (void)state;
    json_t *a = server_post_json(server, "/v1/chat/completions", 200,
        "{\"model\":\"tiny\",\"messages\":[{\"role\":\"user\",\"content\":\"4444\"}]}");
    int known = (int)number_at(a, "usage.total_tokens") - 1; /* its last token was sampled and not computed */
    const char *body = text_of("{\"model\":\"tiny\",\"messages\":[{\"role\":\"user\",\"content\":\"4444\"},"
                               "{\"role\":\"assistant\",\"content\":\"%s\"},"
                               "{\"role\":\"user\",\"content\":\"x\"}]}",
        text_at(a, "choices.0.message.content"));
    json_t *b = server_post_json(server, "/v1/chat/completions", 200, body);
    assert_int_equal(number_at(b, CACHED), known);
    assert_string_equal(text_at(b, "choices.0.message.content"), text_at(a, "choices.0.message.content"));
    json_decref(a);
    json_decref(b);
}

static void test_metrics_tell_what_was_saved_and_what_is_kept(void **state)
{
    (void)state;
    double cached = metric(server, "berth_cached_tokens_total{model=\"tiny\"}"),
           read = metric(server, "berth_prompt_tokens_total{model=\"tiny\"}");
    json_decref(complete(server, prompt('5', "x"), ""));
    json_decref(complete(server, prompt('5', "y"), ""));
    metric_wait(server, "berth_cached_tokens_total{model=\"tiny\"}", cached + 300);
    metric_wait(server, "berth_prompt_tokens_total{model=\"tiny\"}", read + 302);
    double kept = metric(server, "berth_prefix_bytes{model=\"tiny\"}");
    assert_true(kept > 0);
    metric_wait(server, "berth_kv_bytes{model=\"tiny\"}", kept); /* nobody is at work */
}

static void test_without_the_cache_answers_are_the_same(void **state)
{
    const char *dir = temp_dir();
    (void)state;
    write_tiny_model(dir, "tiny.gguf", &(struct tiny_model){0});
    struct server *off = server_start(&(struct setup){.models = dir, .args = {"--prefix-cache", "off"}});
    for (int i = 0; i < 2; i++) {
        static const char *const fields =
            ",\"seed\":5,\"logprobs\":2,\"n\":2,\"temperature\":2,\"return_token_ids\":true";
        json_t *a = complete(off, prompt('6', "9"), fields), *b = complete(server, prompt('6', "9"), fields);
        assert_int_equal(number_at(a, CACHED), 0);
        assert_int_equal(number_at(b, CACHED), i * 300);
        assert_true(json_equal(json_at(a, "choices"), json_at(b, "choices")));
        json_decref(a);
        json_decref(b);
    }
    assert_true(metric(off, "berth_prefix_bytes{model=\"tiny\"}") == 0);
    server_stop(off);
}

static int start(void **state)
{
    const char *dir = temp_dir();
    (void)state;
    write_tiny_model(dir, "tiny.gguf", &(struct tiny_model){0});
    server = server_start(&(struct setup){.models = dir});
    return 0;
}

static int stop(void **state)
{
    server_stop(server);
    return harness_end(state);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_the_second_request_tells_what_it_shares_with_the_first),
        cmocka_unit_test(test_a_list_of_prompts_adds_up),
        cmocka_unit_test(test_a_request_may_do_without),
        cmocka_unit_test(test_a_chat_goes_on_from_its_last_answer),
        cmocka_unit_test(test_metrics_tell_what_was_saved_and_what_is_kept),
        cmocka_unit_test(test_without_the_cache_answers_are_the_same),
    };
    return cmocka_run_group_tests(tests, start, stop);
}
