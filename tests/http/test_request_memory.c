/* test_request_memory.c - requests under way share a budget, and what exceeds it is answered 503. */
#include "events.h"
#include "reciting_model.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define BUDGET "1M"
#define LARGE 200000 /* bytes of a text that needs twice the budget */
#define HELLO "\"messages\":[{\"role\":\"user\",\"content\":\"Hello\"}]"

static struct server *server;

static void assert_small_is_answered(void)
{
    json_t *a = server_post_json(server, "/v1/chat/completions", 200, "{" HELLO ",\"max_tokens\":2}");
    assert_string_equal(text_at(a, "choices.0.message.content"), "ab");
    json_decref(a);
}

static void assert_too_large(const char *target, const char *body)
{
    struct answer a = server_post(server, target, NULL, body);
    if (a.status != 503)
        fail_msg("%s: %d %s", target, a.status, a.body);
    assert_non_null(answer_header(&a, "retry-after"));
    answer_release(&a);
}

static void test_a_body_that_takes_more_than_is_left_is_answered_503(void **state)
{
    (void)state;
    char *text = calloc(1, LARGE + 1), *ids = calloc(1, 2 * LARGE);
    assert_non_null(text);
    assert_non_null(ids);
    memset(text, 'x', LARGE);
    for (size_t i = 0; i + 1 < LARGE; i += 2)
        memcpy(ids + i, "7,", 2);
    for (int i = 0; i < 20; i++) { /* what was taken is given back each time */
        assert_too_large("/v1/completions", text_of("{\"prompt\":\"%s\"}", text));
        assert_too_large("/v1/completions", text_of("{\"prompt\":[%s7]}", ids));
        assert_too_large(
            "/v1/chat/completions", text_of("{\"messages\":[{\"role\":\"user\",\"content\":\"%s\"}]}", text));
        assert_too_large("/v1/tokenize", text_of("{\"text\":\"%s\"}", text));
        assert_too_large("/v1/detokenize", text_of("{\"tokens\":[%s7]}", ids));
        assert_small_is_answered();
    }
    free(text);
    free(ids);
}

static void test_an_answer_that_grows_beyond_the_budget_is_answered_503(void **state)
{
    (void)state;
    static const char body[] =
        "{" HELLO ",\"n\":100,\"logprobs\":true,\"top_logprobs\":20,\"max_tokens\":26}";
    for (int i = 0; i < 3; i++) {
        assert_too_large("/v1/chat/completions", body);
        assert_small_is_answered();
    }
}

static void test_a_reply_of_many_ids_counts(void **state)
{
    (void)state;
    char *text = calloc(1, 70001);
    assert_non_null(text);
    memset(text, 'x', 70000);
    json_t *a = server_post_json(server, "/v1/tokenize", 200, text_of("{\"text\":\"%.50000s\"}", text));
    assert_int_equal(number_at(a, "count"), 50000);
    json_decref(a);
    assert_too_large("/v1/tokenize", text_of("{\"text\":\"%.50000s\",\"with_pieces\":true}", text));
    assert_small_is_answered();
    free(text);
}

static int start(void **state)
{
    const char *dir = temp_dir();
    (void)state;
    write_tiny_model(dir, "tiny.gguf", &(struct tiny_model){.context = 4096});
    server = server_start(&(struct setup){.models = dir, .args = {"--request-memory", BUDGET}});
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
        cmocka_unit_test(test_a_body_that_takes_more_than_is_left_is_answered_503),
        cmocka_unit_test(test_an_answer_that_grows_beyond_the_budget_is_answered_503),
        cmocka_unit_test(test_a_reply_of_many_ids_counts),
    };
    return cmocka_run_group_tests(tests, start, stop);
}
