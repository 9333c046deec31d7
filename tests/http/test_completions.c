/* test_completions.c - completions of text and token ids, scoring, and the two routes about tokens.
 *
 * The model recites (tiny_model.h): after '0' comes '1', after '9' a euro sign of three tokens.
 */
#include "events.h"
#include "reciting_model.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define COMPLETIONS "/v1/completions"

static struct server *server;

static void assert_text(const json_t *value, const char *path, const char *wanted)
{
    const char *got = text_at(value, path);
    if (strcmp(got, wanted) != 0)
        fail_msg("%s is \"%s\", not \"%s\"", path, got, wanted);
}

static json_t *complete(const char *fields)
{
    return server_post_json(server, COMPLETIONS, 200, text_of("{\"model\":\"tiny\",%s}", fields));
}

static void test_a_completion_has_openai_s_shape(void **state)
{
    (void)state;
    json_t *a = complete("\"prompt\":\"a\"");
    assert_int_equal(strncmp(text_at(a, "id"), "cmpl-", 5), 0);
    assert_text(a, "object", "text_completion");
    assert_text(a, "model", "tiny");
    assert_text(a, "choices.0.text", "bcdefghijklmnopq"); /* 16 tokens, as OpenAI has it */
    assert_text(a, "choices.0.finish_reason", "length");
    assert_true(json_is_null(json_at(a, "choices.0.logprobs")));
    assert_int_equal(number_at(a, "usage.prompt_tokens"), 1);
    assert_int_equal(number_at(a, "usage.completion_tokens"), 16);
    json_decref(a);
}

static void test_a_prompt_may_be_text_ids_or_a_list_of_either(void **state)
{
    static const struct {
        const char *prompt;
        size_t n;
    } rows[] = {{"\"x\"", 1}, {"[120]", 1}, {"[\"x\"]", 1}, {"[[120]]", 1}, {"[\"x\",\"x\"]", 2},
        {"[[120],[119,120],\"x\"]", 3}};
    (void)state;
    for (size_t i = 0; i < sizeof(rows) / sizeof(*rows); i++) {
        json_t *a = complete(text_of("\"prompt\":%s,\"max_tokens\":2,\"n\":2", rows[i].prompt));
        assert_int_equal(json_array_size(json_at(a, "choices")), 2 * rows[i].n);
        for (size_t k = 0; k < 2 * rows[i].n; k++) {
            assert_int_equal(number_at(a, text_of("choices.%zu.index", k)), k);
            assert_text(a, text_of("choices.%zu.text", k), "yz");
        }
        assert_int_equal(number_at(a, "usage.completion_tokens"), 4 * rows[i].n);
        json_decref(a);
    }
}

static void test_choices_stand_in_the_order_of_their_prompts(void **state)
{
    (void)state;
    json_t *a = complete("\"prompt\":[\"a\",\"m\",\"5\"],\"max_tokens\":1,\"n\":2");
    static const char *const wanted[] = {"b", "b", "n", "n", "6", "6"};
    for (int i = 0; i < 6; i++)
        assert_text(a, text_of("choices.%d.text", i), wanted[i]);
    json_decref(a);
}

static void test_special_tokens_in_a_prompt_count(void **state)
{
    (void)state;
    json_t *a = complete("\"prompt\":\"<|im_start|>u\\n\",\"max_tokens\":1");
    assert_int_equal(number_at(a, "usage.prompt_tokens"), 3);
    json_decref(a);
}

static void test_an_echo_comes_before_the_answer(void **state)
{
    static const char *const prompts[] = {"\"wx\"", "[119,120]"};
    (void)state;
    for (int i = 0; i < 2; i++) {
        json_t *a = complete(text_of("\"prompt\":%s,\"max_tokens\":2,\"echo\":true", prompts[i]));
        assert_text(a, "choices.0.text", "wxyz");
        assert_int_equal(number_at(a, "usage.completion_tokens"), 2);
        json_decref(a);
        a = complete(text_of("\"prompt\":%s,\"max_tokens\":0,\"echo\":true", prompts[i]));
        assert_text(a, "choices.0.text", "wx");
        assert_text(a, "choices.0.finish_reason", "length");
        assert_int_equal(number_at(a, "usage.completion_tokens"), 0);
        json_decref(a);
    }
}

static void assert_real(const json_t *a, const char *path, double least, double most)
{
    double got = json_number_value(json_at(a, path));
    if (!(got >= least && got <= most))
        fail_msg("%s is %g, not from %g to %g", path, got, least, most);
}

static void test_probabilities_have_the_four_lists(void **state)
{
    (void)state;
    json_t *a = complete("\"prompt\":\"9\",\"max_tokens\":4,\"logprobs\":2");
    assert_text(a, "choices.0.text", TINY_EURO "0");
    assert_text(a, "choices.0.logprobs.tokens.0", "bytes:\\xe2");
    assert_text(a, "choices.0.logprobs.tokens.3", "0");
    assert_real(a, "choices.0.logprobs.token_logprobs.3", -0.01, 0);
    assert_real(a, "choices.0.logprobs.top_logprobs.3.0", -0.01, 0);
    assert_int_equal(json_object_size(json_at(a, "choices.0.logprobs.top_logprobs.3")), 2);
    assert_int_equal(number_at(a, "choices.0.logprobs.text_offset.0"), 0);
    assert_int_equal(number_at(a, "choices.0.logprobs.text_offset.3"), 1); /* characters, not bytes */
    json_decref(a);
    a = complete("\"prompt\":\"9\",\"max_tokens\":1,\"logprobs\":0");
    assert_int_equal(json_array_size(json_at(a, "choices.0.logprobs.token_logprobs")), 1);
    assert_true(json_is_object(json_at(a, "choices.0.logprobs.top_logprobs.0")));
    assert_int_equal(json_object_size(json_at(a, "choices.0.logprobs.top_logprobs.0")), 0);
    json_decref(a);
}

/* Clients slice the lists by the usage, so each generated token must be in them, also the one that ends the answer. */
static void assert_an_end_is_listed(unsigned n_top, size_t answer)
{
    json_t *a = complete(text_of("\"prompt\":\"%s\",\"max_tokens\":8,\"echo\":true,\"logprobs\":%u,"
                                 "\"return_token_ids\":true",
        answer == 1 ? "y." : "yz", n_top));
    size_t all = 2 + answer, last = all - 1;
    assert_text(a, "choices.0.finish_reason", "stop");
    assert_text(a, "choices.0.text", answer == 1 ? "y." : "yz.");
    assert_int_equal(number_at(a, "usage.completion_tokens"), answer);
    static const char *const lists[] = {"tokens", "token_logprobs", "top_logprobs", "text_offset"};
    for (size_t i = 0; i < 4; i++)
        assert_int_equal(json_array_size(json_at(a, text_of("choices.0.logprobs.%s", lists[i]))), all);
    assert_text(a, text_of("choices.0.logprobs.tokens.%zu", last), "<|im_end|>");
    assert_real(a, text_of("choices.0.logprobs.token_logprobs.%zu", last), -0.01, 0);
    assert_int_equal(
        json_object_size(json_at(a, text_of("choices.0.logprobs.top_logprobs.%zu", last))), n_top);
    assert_int_equal(number_at(a, text_of("choices.0.logprobs.text_offset.%zu", last)), last);
    json_decref(a);
}

static void test_the_token_that_ends_an_answer_is_in_all_four_lists(void **state)
{
    (void)state;
    assert_an_end_is_listed(1, 1);
    assert_an_end_is_listed(0, 1);
    assert_an_end_is_listed(2, 2);
}

static void test_a_prompt_is_scored_token_by_token(void **state)
{
    (void)state;
    json_t *a = complete("\"prompt\":\"abq\",\"max_tokens\":0,\"logprobs\":1,\"echo\":true,\"n\":2");
    for (int i = 0; i < 2; i++) {
        const char *list = text_of("choices.%d.logprobs", i);
        assert_text(a, text_of("choices.%d.text", i), "abq");
        assert_int_equal(json_array_size(json_at(a, text_of("%s.tokens", list))), 3);
        assert_true(json_is_null(json_at(a, text_of("%s.token_logprobs.0", list))));
        assert_true(json_is_null(json_at(a, text_of("%s.top_logprobs.0", list))));
        assert_real(a, text_of("%s.token_logprobs.1", list), -0.01, 0);
        assert_real(a, text_of("%s.token_logprobs.2", list), -200, -5); /* 'q' does not follow 'b' */
        assert_real(a, text_of("%s.top_logprobs.2.c", list), -0.01, 0);
        assert_int_equal(number_at(a, text_of("%s.text_offset.2", list)), 2);
    }
    assert_int_equal(number_at(a, "usage.completion_tokens"), 0);
    json_decref(a);
}

static void test_a_scored_prompt_and_its_answer_are_one_list(void **state)
{
    (void)state;
    json_t *a = complete("\"prompt\":\"ab\",\"max_tokens\":2,\"logprobs\":1,\"echo\":true");
    static const char *const tokens[] = {"a", "b", "c", "d"};
    assert_text(a, "choices.0.text", "abcd");
    for (int i = 0; i < 4; i++) {
        assert_text(a, text_of("choices.0.logprobs.tokens.%d", i), tokens[i]);
        assert_int_equal(number_at(a, text_of("choices.0.logprobs.text_offset.%d", i)), i);
        if (i == 0)
            continue;
        assert_real(a, text_of("choices.0.logprobs.top_logprobs.%d.%s", i, tokens[i]), -0.01, 0);
        assert_int_equal(json_object_size(json_at(a, text_of("choices.0.logprobs.top_logprobs.%d", i))), 1);
    }
    json_decref(a);
}

/* Eight prompts of 500 tokens with 128 choices each, every token with the twenty best: 160 MB, of 20 kB. */
static void test_an_answer_larger_than_may_be_is_refused_and_the_next_is_given(void **state)
{
    (void)state;
    char ids[4096] = "48", prompts[8 * 4096] = "";
    for (size_t i = 1; i < 500; i++)
        strcat(ids, ",57");
    for (size_t i = 0; i < 8; i++)
        strcat(strcat(strcat(prompts, i ? ",[" : "["), ids), "]");
    json_t *a = server_post_json(server, COMPLETIONS, 400,
        text_of(
            "{\"model\":\"tiny\",\"prompt\":[%s],\"n\":128,\"echo\":true,\"logprobs\":20,\"max_tokens\":0}",
            prompts));
    assert_non_null(strstr(text_at(a, "error.message"), "too large"));
    json_decref(a);
    a = complete("\"prompt\":\"a\",\"max_tokens\":1,\"logprobs\":20");
    assert_text(a, "choices.0.text", "b");
    json_decref(a);
}

static void test_a_stream_never_cuts_a_character(void **state)
{
    (void)state;
    struct events e;
    char text[256] = "";
    events_open(&e, server, COMPLETIONS,
        "{\"model\":\"tiny\",\"prompt\":\"7\",\"max_tokens\":26,\"stream\":true,\"logprobs\":1}");
    size_t n_tokens = 0, ends = 0;
    for (json_t *chunk = events_json(&e); chunk;
         chunk = events_json(&e)) { /* jansson takes only whole characters */
        assert_int_equal(strncmp(text_at(chunk, "id"), "cmpl-", 5), 0);
        assert_text(chunk, "object", "text_completion");
        const json_t *lists = json_at(chunk, "choices.0.logprobs");
        n_tokens += json_array_size(json_object_get(lists, "tokens"));
        ends += !json_is_null(json_at(chunk, "choices.0.finish_reason"));
        strcat(text, text_at(chunk, "choices.0.text"));
        json_decref(chunk);
    }
    assert_string_equal(text, "89" TINY_EURO "0123456789" TINY_EURO "01234567");
    assert_int_equal(n_tokens, 26);
    assert_int_equal(ends, 1);
    events_close(&e);
}

static void test_an_answer_cut_inside_a_character_is_still_text(void **state)
{
    (void)state;
    json_t *a = complete("\"prompt\":\"8\",\"max_tokens\":2"); /* '9' and a third of a euro sign */
    assert_int_equal(strncmp(text_at(a, "choices.0.text"), "9", 1), 0);
    json_decref(a);
}

static void test_a_stream_echoes_first_and_ends_each_choice(void **state)
{
    (void)state;
    struct events e;
    char text[2][32] = {"", ""};
    size_t ends = 0;
    events_open(&e, server, COMPLETIONS,
        "{\"model\":\"tiny\",\"prompt\":[\"a\",\"m\"],\"max_tokens\":2,\"stream\":true,\"echo\":true,"
        "\"stream_options\":{\"include_usage\":true}}");
    for (json_t *chunk = events_json(&e); chunk; chunk = events_json(&e)) {
        if (json_array_size(json_at(chunk, "choices")) == 0) {
            assert_int_equal(number_at(chunk, "usage.total_tokens"), 6);
        } else {
            strcat(text[number_at(chunk, "choices.0.index")], text_at(chunk, "choices.0.text"));
            ends += !json_is_null(json_at(chunk, "choices.0.finish_reason"));
        }
        json_decref(chunk);
    }
    assert_string_equal(text[0], "abc");
    assert_string_equal(text[1], "mno");
    assert_int_equal(ends, 2);
    events_close(&e);
}

static void test_token_ids_come_where_they_are_asked_for(void **state)
{
    (void)state;
    json_t *a = complete("\"prompt\":[\"ab\",\"x\"],\"max_tokens\":2,\"return_token_ids\":true");
    assert_int_equal(number_at(a, "choices.0.prompt_token_ids.1"), 'b');
    assert_int_equal(number_at(a, "choices.1.prompt_token_ids.0"), 'x');
    assert_int_equal(number_at(a, "choices.1.token_ids.1"), 'z');
    json_decref(a);
}

static void test_a_model_without_a_tokenizer_takes_ids_alone(void **state)
{
    (void)state;
    json_t *a = server_post_json(server, COMPLETIONS, 200,
        "{\"model\":\"wordless\",\"prompt\":[97],\"max_tokens\":2,\"return_token_ids\":true}");
    assert_text(a, "choices.0.text", "");
    assert_int_equal(number_at(a, "choices.0.token_ids.1"), 'c');
    json_decref(a);
    a = server_post_json(server, COMPLETIONS, 400, "{\"model\":\"wordless\",\"prompt\":\"a\"}");
    assert_text(a, "error.code", "model_not_supported");
    json_decref(a);
}

/* ---- the text between a prompt and a suffix ---- */

/* The newline is the model's mark of the middle, so it recites the letters from there. */
static void test_a_suffix_asks_for_what_is_before_it(void **state)
{
    (void)state;
    json_t *a = server_post_json(server, COMPLETIONS, 200,
        "{\"model\":\"middle\",\"prompt\":[\"be\",\"\"],\"suffix\":\"af\",\"max_tokens\":2,\"logprobs\":0,"
        "\"return_token_ids\":true}");
    json_t *ids = json_pack("[i,i,i,i,i,i,i]", 1, 'b', 'e', 2, 'a', 'f', '\n'),
           *bare = json_pack("[i,i,i,i,i]", 1, 2, 'a', 'f', '\n');
    assert_text(a, "choices.0.text", "ab");
    assert_text(a, "choices.1.text", "ab");
    assert_text(a, "choices.1.logprobs.tokens.1", "b");
    assert_true(json_equal(json_at(a, "choices.0.prompt_token_ids"), ids));
    assert_true(json_equal(json_at(a, "choices.1.prompt_token_ids"), bare));
    json_decref(a);
    a = server_post_json(
        server, COMPLETIONS "/render", 200, "{\"model\":\"middle\",\"prompt\":\"be\",\"suffix\":\"af\"}");
    assert_true(json_equal(json_at(a, "0.token_ids"), ids));
    json_decref(ids);
    json_decref(bare);
    json_decref(a);
}

static void test_a_suffix_that_cannot_be_honoured_is_refused_by_name(void **state)
{
    static const struct {
        const char *fields, *param, *code, *told;
    } rows[] = {
        {"\"model\":\"tiny\",\"prompt\":\"a\",\"suffix\":\"z\"", "suffix", "model_not_supported",
            "no tokens for filling in the middle"},
        {"\"model\":\"wordless\",\"prompt\":[97],\"suffix\":\"z\"", "suffix", "unsupported_parameter",
            "token ids"},
        {"\"model\":\"middle\",\"prompt\":[97],\"suffix\":\"z\"", "suffix", "unsupported_parameter",
            "token ids"},
        {"\"model\":\"middle\",\"prompt\":\"a\",\"suffix\":\"z\",\"echo\":true", "echo",
            "unsupported_parameter", "'suffix'"},
        {"\"model\":\"middle\",\"prompt\":\"a\",\"suffix\":[\"z\"]", "suffix", NULL, "must be a string"},
        {"\"model\":\"middle\",\"prompt\":\"a\",\"suffix\":\"z\",\"max_tokens\":600", "max_tokens",
            "context_length_exceeded", "512"},
    };
    (void)state;
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        json_t *a = server_post_json(server, COMPLETIONS, 400, text_of("{%s}", rows[i].fields));
        const char *code = json_string_value(json_at(a, "error.code"));
        assert_text(a, "error.param", rows[i].param);
        if (rows[i].code ? !code || strcmp(code, rows[i].code) != 0 : code != NULL)
            fail_msg("%s: the code is %s", rows[i].fields, code);
        if (!strstr(text_at(a, "error.message"), rows[i].told))
            fail_msg("%s: %s", rows[i].fields, text_at(a, "error.message"));
        json_decref(a);
    }
}

static void test_what_cannot_be_honoured_is_refused_by_name(void **state)
{
    static const struct {
        const char *fields, *param;
    } rows[] = {
        {"\"max_tokens\":1", "prompt"},
        {"\"prompt\":[]", "prompt"},
        {"\"prompt\":7", "prompt"},
        {"\"prompt\":[258]", "prompt"},
        {"\"prompt\":[-1]", "prompt"},
        {"\"prompt\":[97,\"a\"]", "prompt"},
        {"\"prompt\":[\"a\",97]", "prompt[1]"},
        {"\"prompt\":\"a\",\"max_tokens\":512", "max_tokens"},
        {"\"prompt\":\"a\",\"logprobs\":21", "logprobs"},
        {"\"prompt\":\"a\",\"logprobs\":true", "logprobs"},
        {"\"prompt\":\"a\",\"echo\":1", "echo"},
        {"\"prompt\":\"a\",\"stop_token_ids\":[258]", "stop_token_ids"},
    };
    (void)state;
    for (size_t i = 0; i < sizeof(rows) / sizeof(*rows); i++) {
        json_t *a =
            server_post_json(server, COMPLETIONS, 400, text_of("{\"model\":\"tiny\",%s}", rows[i].fields));
        if (strcmp(text_at(a, "error.param"), rows[i].param) != 0)
            fail_msg("%s: param is %s", rows[i].fields, text_at(a, "error.param"));
        json_decref(a);
    }
    json_t *a = complete("\"prompt\":\"a\",\"best_of\":2,\"n\":2,\"max_tokens\":511");
    json_decref(a);
}

/* ---- tokens ---- */

static void test_text_becomes_ids_and_ids_become_text(void **state)
{
    (void)state;
    json_t *a = server_post_json(server, "/v1/tokenize", 200,
        "{\"model\":\"tiny\",\"text\":\"a" TINY_EURO "<|im_end|>\",\"with_pieces\":true}");
    static const int ids[] = {'a', 0xe2, 0x82, 0xac, TINY_END};
    assert_int_equal(number_at(a, "count"), 5);
    assert_int_equal(number_at(a, "max_model_len"), 512);
    for (int i = 0; i < 5; i++)
        assert_int_equal(number_at(a, text_of("tokens.%d", i)), ids[i]);
    assert_text(a, "pieces.4", "<|im_end|>");
    json_decref(a);
    a = server_post_json(server, "/v1/tokenize", 200,
        "{\"model\":\"tiny\",\"prompt\":\"<|im_end|>\",\"parse_special\":false}");
    assert_int_equal(number_at(a, "count"), 10);
    json_decref(a);
    a = server_post_json(
        server, "/v1/detokenize", 200, "{\"model\":\"tiny\",\"tokens\":[97,226,130,172,257]}");
    assert_text(a, "text", "a" TINY_EURO "<|im_end|>");
    json_decref(a);
    a = server_post_json(
        server, "/v1/detokenize", 200, "{\"model\":\"tiny\",\"tokens\":[97,257],\"special\":false}");
    assert_text(a, "text", "a");
    json_decref(a);
    a = server_post_json(server, "/v1/detokenize", 400, "{\"model\":\"tiny\",\"tokens\":[258]}");
    assert_text(a, "error.param", "tokens");
    json_decref(a);
    a = server_post_json(server, "/v1/tokenize", 400, "{\"model\":\"tiny\"}");
    assert_text(a, "error.param", "text");
    json_decref(a);
}

static int start(void **state)
{
    const char *dir = temp_dir();
    (void)state;
    write_tiny_model(dir, "tiny.gguf", &(struct tiny_model){0});
    write_tiny_model(dir, "middle.gguf", &(struct tiny_model){.fills = true});
    write_tiny_model(dir, "wordless.gguf", &(struct tiny_model){.no_tokenizer = true});
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
        cmocka_unit_test(test_a_completion_has_openai_s_shape),
        cmocka_unit_test(test_a_prompt_may_be_text_ids_or_a_list_of_either),
        cmocka_unit_test(test_choices_stand_in_the_order_of_their_prompts),
        cmocka_unit_test(test_special_tokens_in_a_prompt_count),
        cmocka_unit_test(test_an_echo_comes_before_the_answer),
        cmocka_unit_test(test_probabilities_have_the_four_lists),
        cmocka_unit_test(test_the_token_that_ends_an_answer_is_in_all_four_lists),
        cmocka_unit_test(test_a_prompt_is_scored_token_by_token),
        cmocka_unit_test(test_a_scored_prompt_and_its_answer_are_one_list),
        cmocka_unit_test(test_an_answer_larger_than_may_be_is_refused_and_the_next_is_given),
        cmocka_unit_test(test_a_stream_never_cuts_a_character),
        cmocka_unit_test(test_an_answer_cut_inside_a_character_is_still_text),
        cmocka_unit_test(test_a_stream_echoes_first_and_ends_each_choice),
        cmocka_unit_test(test_token_ids_come_where_they_are_asked_for),
        cmocka_unit_test(test_a_model_without_a_tokenizer_takes_ids_alone),
        cmocka_unit_test(test_a_suffix_asks_for_what_is_before_it),
        cmocka_unit_test(test_a_suffix_that_cannot_be_honoured_is_refused_by_name),
        cmocka_unit_test(test_what_cannot_be_honoured_is_refused_by_name),
        cmocka_unit_test(test_text_becomes_ids_and_ids_become_text),
    };
    return cmocka_run_group_tests(tests, start, stop);
}
