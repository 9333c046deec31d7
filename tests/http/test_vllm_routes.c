/* test_vllm_routes.c - what clients of vLLM and of Docker Model Runner ask: tokens, what a request would send to the model,
 * other prefixes, and which of all these routes need a key.
 */
#include "events.h"
#include "reciting_model.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define KEY "sesame"

static struct server *server, *locked;

static void assert_text(const json_t *value, const char *path, const char *wanted)
{
    const char *got = text_at(value, path);
    if (strcmp(got, wanted) != 0)
        fail_msg("%s is \"%s\", not \"%s\"", path, got, wanted);
}

/* The integers of a list as "1 2 3". */
static const char *ids_at(const json_t *value, const char *path)
{
    static char text[1024];
    const json_t *list = json_at(value, path);
    text[0] = '\0';
    for (size_t i = 0; i < json_array_size(list); i++)
        snprintf(text + strlen(text), sizeof(text) - strlen(text), i ? " %lld" : "%lld",
            (long long)json_integer_value(json_array_get(list, i)));
    return text;
}

/* ---- tokens ---- */

static void test_a_text_is_tokenized_in_vllms_words(void **state)
{
    (void)state;
    json_t *a = server_post_json(
        server, "/tokenize", 200, "{\"model\":\"tiny\",\"prompt\":\"a b\",\"return_token_strs\":true}");
    assert_string_equal(ids_at(a, "tokens"), "97 32 98");
    assert_int_equal(number_at(a, "count"), 3);
    assert_int_equal(number_at(a, "max_model_len"), 512);
    assert_text(a, "token_strs.0", "a");
    assert_text(a, "token_strs.1", "\xc4\xa0"); /* a space, as the vocabulary writes it */
    json_decref(a);
    a = server_post_json(server, "/tokenize", 200,
        "{\"model\":\"tiny\",\"messages\":[{\"role\":\"user\",\"content\":\"a\"}],\"add_generation_prompt\":false}");
    assert_string_equal(ids_at(a, "tokens"), "256 117 115 101 114 10 97 257 10");
    json_decref(a);
}

static void test_a_text_is_tokenized_in_llama_cpps_words(void **state)
{
    (void)state;
    json_t *a = server_post_json(server, "/tokenize", 200, "{\"model\":\"tiny\",\"content\":\"<|im_end|>\"}");
    assert_string_equal(ids_at(a, "tokens"), "257");
    json_decref(a);
    a = server_post_json(
        server, "/tokenize", 200, "{\"model\":\"tiny\",\"content\":\"<|i\",\"parse_special\":false}");
    assert_string_equal(ids_at(a, "tokens"), "60 124 105");
    json_decref(a);
    a = server_post_json(
        server, "/tokenize", 200, "{\"model\":\"tiny\",\"content\":\"a\xc3\xa1\",\"with_pieces\":true}");
    assert_int_equal(number_at(a, "tokens.0.id"), 'a');
    assert_text(a, "tokens.0.piece", "a");
    assert_int_equal(number_at(a, "tokens.1.piece.0"), 0xc3);
    assert_int_equal(number_at(a, "tokens.2.piece.0"), 0xa1);
    assert_null(json_object_get(a, "pieces"));
    json_decref(a);
    a = server_post_json(server, "/tokenize", 200, "{\"model\":\"tiny\",\"content\":\"\"}");
    assert_int_equal(number_at(a, "count"), 0);
    json_decref(a);
}

/* What the file wants around a text comes as each client expects. */
static void test_the_token_that_begins_a_text_is_added_where_it_is_by_default(void **state)
{
    static const struct {
        const char *fields, *ids;
    } rows[] = {
        {"\"content\":\"a\"", "97"},
        {"\"content\":\"a\",\"add_special\":true", "256 97"},
        {"\"prompt\":\"a\"", "256 97"},
        {"\"prompt\":\"a\",\"add_special_tokens\":false", "97"},
        {"\"text\":\"a\"", "256 97"},
        {"\"text\":\"a\",\"add_special\":false", "97"},
    };
    (void)state;
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        json_t *a =
            server_post_json(server, "/tokenize", 200, text_of("{\"model\":\"begins\",%s}", rows[i].fields));
        assert_string_equal(ids_at(a, "tokens"), rows[i].ids);
        json_decref(a);
    }
}

static void test_ids_become_text_under_the_name_of_each_client(void **state)
{
    (void)state;
    json_t *a = server_post_json(server, "/detokenize", 200, "{\"model\":\"tiny\",\"tokens\":[97,98,257]}");
    assert_text(a, "prompt", "ab<|im_end|>");
    assert_text(a, "content", "ab<|im_end|>");
    assert_null(json_object_get(a, "text"));
    json_decref(a);
    a = server_post_json(server, "/engines/v1/detokenize", 200, "{\"model\":\"tiny\",\"tokens\":[97]}");
    assert_text(a, "text", "a");
    assert_null(json_object_get(a, "content"));
    json_decref(a);
}

static void test_a_tokenizer_tells_its_special_tokens(void **state)
{
    (void)state;
    json_t *a = server_json(server, "/tokenizer_info?model=begins");
    assert_text(a, "tokenizer_class", "gpt2");
    assert_text(a, "eos_token", "<|im_end|>");
    assert_text(a, "bos_token", "<|im_start|>");
    assert_true(json_is_null(json_at(a, "pad_token")));
    assert_int_equal(number_at(a, "vocab_size"), TINY_VOCABULARY);
    assert_true(json_is_true(json_at(a, "add_bos_token")));
    assert_non_null(strstr(text_at(a, "chat_template"), "{% for m in messages %}"));
    json_decref(a);
    struct answer refused = server_get(server, "/tokenizer_info?model=wordless");
    assert_int_equal(refused.status, 400);
    answer_release(&refused);
}

/* ---- what a request would send ---- */

static void test_a_chat_is_rendered_as_it_would_be_answered(void **state)
{
    (void)state;
    json_t *a = server_post_json(server, "/v1/chat/completions/render", 200,
        "{\"model\":\"tiny\",\"messages\":[{\"role\":\"user\",\"content\":\"a\"}],\"temperature\":0.5,\"stop\":\"x\","
        "\"seed\":7,\"stream\":true,\"max_completion_tokens\":9}");
    assert_string_equal(
        ids_at(a, "token_ids"), "256 117 115 101 114 10 97 257 10 256 97 115 115 105 115 116 97 110 116 10");
    assert_int_equal(strncmp(text_at(a, "request_id"), "chatcmpl-", 9), 0);
    assert_true(json_is_null(json_at(a, "features")));
    assert_text(a, "model", "tiny");
    assert_true(json_is_true(json_at(a, "stream")));
    assert_int_equal(number_at(a, "sampling_params.max_tokens"), 9);
    assert_int_equal(number_at(a, "sampling_params.seed"), 7);
    assert_text(a, "sampling_params.stop.0", "x");
    assert_true(json_real_value(json_at(a, "sampling_params.temperature")) == 0.5);
    json_decref(a);
}

/* Whatever says that the model is to think, says so to every route. */
static void test_thinking_is_rendered_as_it_is_answered(void **state)
{
    static const struct {
        const char *fields, *begins;
    } rows[] = {
        {"\"stream\":false", "ever"},
        {"\"enable_thinking\":false", "off"},
        {"\"think\":false", "off"},
        {"\"think\":true", "on"},
        {"\"thinking\":true", "on"},
        {"\"thinking\":{\"type\":\"disabled\"}", "off"},
        {"\"thinking\":{\"type\":\"enabled\",\"budget_tokens\":5}", "on"},
        {"\"thinking\":{\"type\":\"adaptive\"},\"enable_thinking\":false", "off"},
        {"\"reasoning_effort\":\"none\"", "off"},
        {"\"reasoning_effort\":\"none\",\"think\":true", "on"},
    };
    (void)state;
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        const char *body =
            text_of("{\"model\":\"thinks\",\"messages\":[{\"role\":\"user\",\"content\":\"x\"}],"
                    "\"max_tokens\":1,\"return_token_ids\":true,%s}",
                rows[i].fields);
        json_t *answer = server_post_json(server, "/v1/chat/completions", 200, body),
               *tokens = server_post_json(server, "/v1/tokenize", 200, body),
               *rendered = server_post_json(server, "/v1/chat/completions/render", 200, body),
               *applied = server_post_json(server, "/apply-template", 200, body);
        const json_t *ids = json_at(answer, "prompt_token_ids");
        if (!json_equal(ids, json_at(tokens, "tokens")) || !json_equal(ids, json_at(rendered, "token_ids")))
            fail_msg("%s: another prompt is tokenized or rendered", rows[i].fields);
        assert_text(applied, "prompt", text_of("%s: x\n", rows[i].begins));
        assert_int_equal(json_array_size(ids), strlen(rows[i].begins) + 4);
        json_decref(answer);
        json_decref(tokens);
        json_decref(rendered);
        json_decref(applied);
    }
}

static void test_each_prompt_of_a_completion_is_rendered(void **state)
{
    (void)state;
    json_t *a = server_post_json(server, "/v1/completions/render", 200,
        "{\"model\":\"tiny\",\"prompt\":[\"ab\",\"c\"],\"logprobs\":2}");
    assert_int_equal(json_array_size(a), 2);
    assert_string_equal(ids_at(a, "0.token_ids"), "97 98");
    assert_string_equal(ids_at(a, "1.token_ids"), "99");
    assert_int_equal(number_at(a, "1.sampling_params.logprobs"), 2);
    assert_true(json_is_null(json_at(a, "1.sampling_params.seed")));
    json_decref(a);
    a = server_post_json(server, "/v1/completions/render", 400, "{\"model\":\"tiny\",\"prompt\":7}");
    assert_text(a, "error.param", "prompt");
    json_decref(a);
    a = server_post_json(
        server, "/v1/chat/completions/render", 400, "{\"model\":\"tiny\",\"messages\":[],\"temperature\":9}");
    assert_text(a, "error.param", "temperature");
    json_decref(a);
}

/* ---- other prefixes ---- */

static void test_openais_api_is_found_where_docker_model_runner_has_it(void **state)
{
    static const char *const prefixes[] = {"/engines/v1", "/engines/llama.cpp/v1", "//engines//v1"};
    (void)state;
    for (size_t i = 0; i < sizeof(prefixes) / sizeof(prefixes[0]); i++) {
        json_t *a = server_json(server, text_of("%s/models", prefixes[i]));
        assert_text(a, "object", "list");
        json_decref(a);
        a = server_json(server, text_of("%s/models/deep%%2Ftiny", prefixes[i]));
        assert_text(a, "id", "deep/tiny");
        json_decref(a);
        a = server_post_json(
            server, text_of("%s/completions", prefixes[i]), 200, "{\"model\":\"tiny\",\"prompt\":\"x\"}");
        assert_text(a, "choices.0.text", "yz.");
        json_decref(a);
        struct answer none = server_get(server, text_of("%s/nope", prefixes[i]));
        json_t *error = answer_json(&none);
        assert_int_equal(none.status, 404);
        assert_text(error, "error.message", "Not Found");
        json_decref(error);
        answer_release(&none);
    }
}

/* ---- keys ---- */

static void test_all_of_these_routes_need_the_key(void **state)
{
    static const struct {
        const char *method, *target, *told; /* where the sentence of a refusal is */
    } rows[] = {
        {"GET", "/api/tags", "error"},
        {"GET", "/api/version", "error"},
        {"POST", "/api/chat", "error"},
        {"POST", "/api/pull", "error"},
        {"GET", "/props", "error.message"},
        {"POST", "/props", "error.message"},
        {"GET", "/slots", "error.message"},
        {"POST", "/slots/0", "error.message"},
        {"GET", "/tokenizer_info", "error.message"},
        {"POST", "/completion", "error.message"},
        {"POST", "/completions", "error.message"},
        {"POST", "/infill", "error.message"},
        {"POST", "/apply-template", "error.message"},
        {"POST", "/tokenize", "error.message"},
        {"POST", "/detokenize", "error.message"},
        {"GET", "/models", "error.message"},
        {"POST", "/chat/completions", "error.message"},
        {"GET", "/engines/v1/models", "error.message"},
        {"GET", "/engines/llama.cpp/v1/nope", "error.message"},
        {"POST", "/v1/chat/completions/render", "error.message"},
    };
    (void)state;
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        struct answer a = server_request(locked, rows[i].method, rows[i].target, NULL);
        json_t *error = answer_json(&a);
        if (a.status != 401 || !strstr(text_at(error, rows[i].told), "API key"))
            fail_msg("%s %s: %d %s", rows[i].method, rows[i].target, a.status, a.body);
        json_decref(error);
        answer_release(&a);
        a = server_request(locked, rows[i].method, rows[i].target, "Authorization: Bearer " KEY "\r\n");
        if (a.status == 401)
            fail_msg("%s %s: %s", rows[i].method, rows[i].target, a.body);
        answer_release(&a);
    }
}

/* ---- the servers ---- */

static int begin(void **state)
{
    const char *dir = temp_dir(), *empty = temp_dir();
    (void)state;
    write_tiny_model(dir, "tiny.gguf", &(struct tiny_model){0});
    write_tiny_model(dir, "begins.gguf", &(struct tiny_model){.begins = true});
    write_tiny_model(dir, "thinks.gguf",
        &(struct tiny_model){
            .template = "{{ 'ever' if enable_thinking is undefined else 'on' if enable_thinking else "
                        "'off' }}: {{ messages[0].content }}\n{{ '' }}"});
    write_tiny_model(dir, "wordless.gguf", &(struct tiny_model){.no_tokenizer = true});
    write_tiny_model(dir, "deep/tiny.gguf", &(struct tiny_model){0});
    write_file(empty, "keys", KEY "\n", sizeof(KEY));
    server = server_start(&(struct setup){.models = dir});
    locked = server_start(&(struct setup){.args = {"--api-key-file", path_in(empty, "keys")}});
    server_wait_status(server, "/readyz", 200);
    return 0;
}

static int end(void **state)
{
    server_stop(server);
    server_stop(locked);
    return harness_end(state);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_a_text_is_tokenized_in_vllms_words),
        cmocka_unit_test(test_a_text_is_tokenized_in_llama_cpps_words),
        cmocka_unit_test(test_the_token_that_begins_a_text_is_added_where_it_is_by_default),
        cmocka_unit_test(test_ids_become_text_under_the_name_of_each_client),
        cmocka_unit_test(test_a_tokenizer_tells_its_special_tokens),
        cmocka_unit_test(test_a_chat_is_rendered_as_it_would_be_answered),
        cmocka_unit_test(test_thinking_is_rendered_as_it_is_answered),
        cmocka_unit_test(test_each_prompt_of_a_completion_is_rendered),
        cmocka_unit_test(test_openais_api_is_found_where_docker_model_runner_has_it),
        cmocka_unit_test(test_all_of_these_routes_need_the_key),
    };
    return cmocka_run_group_tests(tests, begin, end);
}
