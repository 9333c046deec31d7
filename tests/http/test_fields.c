/* test_fields.c - the fields of chats and completions: refused by name, misspelt, ignored, or read leniently.
 *
 * The model recites (reciting_model.h), so the tests know each byte.
 */
#include "events.h"
#include "reciting_model.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define CHAT "/v1/chat/completions"
#define TEXT "/v1/completions"
#define HELLO "\"messages\":[{\"role\":\"user\",\"content\":\"Hello\"}]"
#define COUNT(rows) (sizeof(rows) / sizeof(*(rows)))

static struct server *server;

static void assert_string_at(const json_t *value, const char *path, const char *wanted)
{
    const char *got = text_at(value, path);
    if (strcmp(got, wanted) != 0)
        fail_msg("%s is \"%s\", not \"%s\"", path, got, wanted);
}

static json_t *ask(const char *target, int status, const char *fields)
{
    const char *prompt =
        strcmp(target, CHAT) == 0 ? "\"model\":\"tiny\"," HELLO : "\"model\":\"tiny\",\"prompt\":\"\\n\"";
    return server_post_json(server, target, status, text_of("{%s,%s}", prompt, fields));
}

static void assert_refused(
    const char *target, const char *fields, const char *param, const char *code, const char *told)
{
    json_t *a = ask(target, 400, fields);
    if (strcmp(text_at(a, "error.param"), param) != 0)
        fail_msg("%s: param is %s, not %s", fields, text_at(a, "error.param"), param);
    const char *got = json_string_value(json_at(a, "error.code"));
    if (code ? !got || strcmp(got, code) != 0 : got != NULL)
        fail_msg("%s: code is %s, not %s", fields, got, code);
    if (told && !strstr(text_at(a, "error.message"), told))
        fail_msg("%s: the message has no \"%s\": %s", fields, told, text_at(a, "error.message"));
    json_decref(a);
}

/* The answer to the fields and a limit of two tokens. */
static void assert_accepted(const char *target, const char *fields)
{
    json_t *a = ask(target, 200, text_of("\"max_tokens\":2,%s", fields));
    const char *text = text_at(a, strcmp(target, CHAT) == 0 ? "choices.0.message.content" : "choices.0.text");
    if (strcmp(text, "ab") != 0)
        fail_msg("%s: the answer is \"%s\"", fields, text);
    json_decref(a);
}

/* ---- fields of other servers ---- */

static void test_fields_that_would_change_the_answer_are_refused_with_what_does_the_same(void **state)
{
    static const struct {
        const char *fields, *told;
    } rows[] = {
        {"\"n_predict\":5", "use 'max_tokens'"},
        {"\"num_predict\":5", "use 'max_tokens'"},
        {"\"max_new_tokens\":5", "use 'max_tokens'"},
        {"\"max_output_tokens\":5", "use 'max_tokens'"},
        {"\"length_penalty\":1.2", "value is 1"},
        {"\"length_penalty\":0", "value is 1"},
        {"\"samplers\":[\"top_k\"]", "'top_k'"},
        {"\"top_a\":0.2", "'min_p'"},
        {"\"prompt_logprobs\":1", NULL},
        {"\"prompt_logprobs\":0", NULL},
        {"\"min_tokens\":3", "value is 0"},
        {"\"mirostat\":2", "'temperature'"},
        {"\"mirostat_mode\":1", "'temperature'"},
        {"\"dry_multiplier\":0.8", "'repetition_penalty'"},
        {"\"xtc_probability\":0.5", NULL},
        {"\"typical\":0.5", "'typical_p'"},
        {"\"tfs_z\":0.9", "'typical_p'"},
        {"\"top_n_sigma\":1.5", "'min_p'"},
        {"\"logits_processors\":[\"a\"]", "'logit_bias'"},
        {"\"use_beam_search\":true", "'n'"},
        {"\"num_beams\":4", "'n'"},
        {"\"bad_words\":[\"a\"]", "'logit_bias'"},
        {"\"allowed_token_ids\":[97]", "'logit_bias'"},
        {"\"stop_sequences\":[\"b\"]", "'stop'"},
        {"\"random_seed\":7", "'seed'"},
        {"\"do_sample\":false", "'temperature'"},
        {"\"rep_pen\":1.1", "'repetition_penalty'"},
        {"\"repeat_last_n\":64,\"repeat_penalty\":1.2", "'repetition_penalty'"},
        {"\"repeat_last_n\":64,\"presence_penalty\":0.5", "'repetition_penalty'"},
        {"\"no_repeat_ngram_size\":2", "'repetition_penalty'"},
        {"\"skip_special_tokens\":false", "'special_text'"},
        {"\"include_stop_str_in_output\":true", NULL},
        {"\"truncate_prompt_tokens\":5", NULL},
        {"\"options\":{\"temperature\":0}", NULL},
        {"\"extra_body\":{\"top_k\":5}", NULL},
    };
    (void)state;
    for (size_t i = 0; i < COUNT(rows); i++) {
        char param[64];
        snprintf(param, sizeof(param), "%.*s", (int)strcspn(rows[i].fields + 1, "\""), rows[i].fields + 1);
        assert_refused(CHAT, rows[i].fields, param, "unsupported_parameter", rows[i].told);
        assert_refused(TEXT, rows[i].fields, param, "unsupported_parameter", rows[i].told);
    }
}

static void test_fields_of_the_other_route_are_refused_with_their_own(void **state)
{
    static const char unsupported[] = "unsupported_parameter";
    (void)state;
    assert_refused(CHAT, "\"prompt\":\"a\"", "prompt", unsupported, "'messages'");
    assert_refused(CHAT, "\"echo\":true", "echo", unsupported, NULL);
    assert_refused(TEXT, HELLO, "messages", unsupported, "'prompt'");
    assert_refused(TEXT, "\"top_logprobs\":3", "top_logprobs", unsupported, "'logprobs'");
    assert_refused(TEXT, "\"prompt_logprobs\":3", "prompt_logprobs", unsupported, "'echo' with 'logprobs'");
    assert_refused(TEXT, "\"best_of\":3", "best_of", unsupported, "'n'");
    assert_refused(CHAT, "\"best_of\":3", "best_of", unsupported, "'n'");
    assert_refused(TEXT, "\"add_special_tokens\":false", "add_special_tokens", unsupported, "'add_special'");
}

static void test_refusals_of_openai_s_own_fields_are_plain(void **state)
{
    static const char unsupported[] = "unsupported_parameter";
    static const struct {
        const char *fields, *param, *told;
    } rows[] = {
        {"\"modalities\":[\"audio\"]", "modalities", "value is \"text\""},
        {"\"modalities\":[\"text\",\"audio\"]", "modalities", "value is \"text\""},
        {"\"audio\":{}", "audio", "'audio' is not supported"},
        {"\"web_search_options\":{}", "web_search_options", "'web_search_options' is not supported"},
    };
    (void)state;
    for (size_t i = 0; i < COUNT(rows); i++)
        assert_refused(CHAT, rows[i].fields, rows[i].param, unsupported, rows[i].told);
}

static void test_values_that_change_nothing_pass(void **state)
{
    static const char *const fields[] = {"\"n_predict\":null", "\"n_predict\":-1", "\"max_new_tokens\":null",
        "\"length_penalty\":1", "\"length_penalty\":1.0", "\"min_tokens\":0", "\"min_tokens\":0.0",
        "\"top_a\":0", "\"tfs\":1", "\"typical\":1", "\"mirostat\":0", "\"mirostat_mode\":0",
        "\"dry_multiplier\":0,\"dry_base\":1.75,\"dry_allowed_length\":2", "\"dry_penalty_last_n\":-1",
        "\"dry_sequence_breakers\":[\"\\n\"]", "\"xtc_probability\":0,\"xtc_threshold\":0.1",
        "\"samplers\":[]", "\"use_beam_search\":false", "\"prompt_logprobs\":null", "\"guided_json\":null",
        "\"grammar\":\"\"", "\"json_schema\":{}", "\"response_format\":{\"type\":\"text\"}",
        "\"response_format\":null", "\"num_beams\":1", "\"repeat_last_n\":64",
        "\"repeat_last_n\":64,\"repeat_penalty\":1.0", "\"repeat_last_n\":-1", "\"skip_special_tokens\":true",
        "\"spaces_between_special_tokens\":true", "\"do_sample\":true", "\"repetition_penalty\":1",
        "\"truncate_prompt_tokens\":-1", "\"mirostat_tau\":5", "\"logit_bias\":{}", "\"user\":\"me\"",
        "\"metadata\":{\"a\":\"b\"}", "\"store\":true", "\"service_tier\":\"auto\"", "\"temperature\":null",
        "\"verbosity\":\"low\"", "\"verbosity\":\"high\"", "\"top_k\":-1", "\"cache_salt\":\"a\"",
        "\"keep_alive\":\"5m\"", "\"num_ctx\":4096"};
    static const char *const of_chats[] = {"\"tools\":[]", "\"tool_choice\":\"none\"",
        "\"tool_choice\":\"auto\"", "\"modalities\":[\"text\"]", "\"functions\":[]",
        "\"function_call\":\"none\"", "\"parallel_tool_calls\":true", "\"reasoning_effort\":\"low\"",
        "\"include_reasoning\":true", "\"prompt\":null", "\"audio\":null"};
    (void)state;
    for (size_t i = 0; i < COUNT(fields); i++) {
        assert_accepted(CHAT, fields[i]);
        assert_accepted(TEXT, fields[i]);
    }
    for (size_t i = 0; i < COUNT(of_chats); i++)
        assert_accepted(CHAT, of_chats[i]);
    assert_accepted(TEXT, "\"best_of\":2,\"n\":2");
    assert_accepted(TEXT, "\"best_of\":1");
    assert_accepted(TEXT, "\"suffix\":\"\"");
}

/* ---- names that berth does not know ---- */

static void test_a_misspelt_name_is_refused_with_the_right_one(void **state)
{
    static const struct {
        const char *name, *meant;
    } rows[] = {{"temprature", "temperature"}, {"Temperature", "temperature"}, {"tempreture", "temperature"},
        {"max_token", "max_tokens"}, {"maxTokens", "max_tokens"}, {"max-tokens", "max_tokens"},
        {"maxtokens", "max_tokens"}, {"topp", "top_p"}, {"topP", "top_p"}, {"stpo", "stop"},
        {"stops", "stop"}, {"top_kk", "top_k"}, {"frequency_penality", "frequency_penalty"},
        {"presense_penalty", "presence_penalty"}, {"steam", "stream"}, {"sead", NULL}, {"seeed", "seed"},
        {"logit_biass", "logit_bias"}, {"respones_format", "response_format"},
        {"max_new_token", "max_new_tokens"}, {"stop_token_id", "stop_token_ids"},
        {"max_completion_token", "max_completion_tokens"}, {"repitition_penalty", "repetition_penalty"},
        {"ignore-eos", "ignore_eos"}};
    (void)state;
    for (size_t i = 0; i < COUNT(rows); i++) {
        const char *fields = text_of("\"%s\":1", rows[i].name);
        if (!rows[i].meant) {
            assert_accepted(CHAT, fields);
            continue;
        }
        const char *told = text_of("did you mean '%s'?", rows[i].meant);
        assert_refused(CHAT, fields, rows[i].name, "unknown_parameter", told);
        assert_refused(TEXT, fields, rows[i].name, "unknown_parameter", told);
    }
}

static void test_a_misspelt_name_may_have_any_bytes(void **state)
{
    (void)state;
    assert_refused(
        CHAT, "\"temp\\u00e9rature\":1", "temp\xc3\xa9rature", "unknown_parameter", "'temperature'");
    assert_refused(CHAT, "\"stream\\n\":1", "stream\\x0a", "unknown_parameter", "'stream'");
}

static void test_other_unknown_names_are_ignored(void **state)
{
    static const char *const names[] = {"unheard_of", "x", "", "mode", "models", "model_id", "message_id",
        "document_id", "chat_id", "session_id", "request_id", "trace_id", "conversation_id", "tags",
        "timeout", "num_retries", "max_retries", "max_turns", "max_steps", "max_items", "max_time", "api_key",
        "api_base", "extra_headers", "custom_llm_provider", "drop_params", "fallbacks", "provider", "route",
        "transforms", "plugins", "features", "variables", "files", "params", "title", "name", "type", "id",
        "background_tasks", "stream_interval", "top_n", "step", "send", "usage", "cache", "n_threads",
        "step_size", "sample",
        "a_name_that_is_longer_than_any_field_of_any_server_that_a_client_might_talk_to_one_day"};
    (void)state;
    for (size_t i = 0; i < COUNT(names); i++)
        assert_accepted(CHAT, text_of("\"%s\":[1,{\"a\":2}]", names[i]));
}

/* ---- leniency ---- */

static void test_whole_numbers_may_be_written_as_reals(void **state)
{
    (void)state;
    assert_accepted(CHAT, "\"n\":1.0,\"top_k\":4.0,\"seed\":4.0,\"logprobs\":true,\"top_logprobs\":3.0");
    assert_accepted(TEXT, "\"n\":1.0,\"top_k\":4e0,\"seed\":4.0,\"logprobs\":3.0,\"stop_token_ids\":[7.0]");
    json_t *a = ask(CHAT, 200, "\"max_tokens\":3.0");
    assert_string_at(a, "choices.0.message.content", "abc");
    json_decref(a);
    a = server_post_json(server, TEXT, 200, "{\"model\":\"tiny\",\"prompt\":[97.0,98.0],\"max_tokens\":1.0}");
    assert_string_at(a, "choices.0.text", "c");
    json_decref(a);
    assert_refused(CHAT, "\"n\":1.5", "n", NULL, "integer");
    assert_refused(CHAT, "\"max_tokens\":3.5", "max_tokens", NULL, "integer");
    assert_refused(CHAT, "\"seed\":0.5", "seed", NULL, "integer");
    assert_refused(TEXT, "\"logprobs\":2.5", "logprobs", NULL, "integer");
}

static void test_max_tokens_minus_one_is_as_many_as_fit(void **state)
{
    (void)state;
    json_t *a = ask(CHAT, 200, "\"max_tokens\":-1");
    assert_string_at(a, "choices.0.message.content", "abcdefghijklmnopqrstuvwxyz.");
    json_decref(a);
    a = ask(TEXT, 200, "\"max_tokens\":-1");
    assert_string_at(a, "choices.0.text", "abcdefghijklmnopqrstuvwxyz.");
    json_decref(a);
    a = ask(TEXT, 200, "\"max_tokens\":-1,\"ignore_eos\":true");
    assert_string_at(a, "choices.0.finish_reason", "length");
    assert_in_range(number_at(a, "usage.total_tokens"), 511, 513);
    json_decref(a);
    a = ask(CHAT, 200, "\"max_tokens\":2147483647");
    json_decref(a);
    assert_refused(CHAT, "\"max_tokens\":-2", "max_tokens", NULL, "-1 for as many as fit");
    assert_refused(CHAT, "\"max_tokens\":0", "max_tokens", NULL, "at least 1");
}

static void test_the_newer_name_of_max_tokens_wins(void **state)
{
    static const struct {
        const char *fields, *said;
    } rows[] = {{"\"max_tokens\":5,\"max_completion_tokens\":3", "abc"},
        {"\"max_completion_tokens\":3,\"max_tokens\":1", "abc"},
        {"\"max_tokens\":3,\"max_completion_tokens\":3", "abc"},
        {"\"max_tokens\":3,\"max_completion_tokens\":null", "abc"},
        {"\"max_tokens\":3,\"max_completion_tokens\":-1", "abcdefghijklmnopqrstuvwxyz."}};
    (void)state;
    for (size_t i = 0; i < COUNT(rows); i++) {
        json_t *a = ask(CHAT, 200, rows[i].fields);
        assert_string_at(a, "choices.0.message.content", rows[i].said);
        json_decref(a);
        a = ask(TEXT, 200, rows[i].fields);
        assert_string_at(a, "choices.0.text", rows[i].said);
        json_decref(a);
    }
}

static void test_an_empty_stop_is_none(void **state)
{
    (void)state;
    assert_accepted(CHAT, "\"stop\":\"\"");
    assert_accepted(CHAT, "\"stop\":[]");
    assert_accepted(TEXT, "\"stop\":\"\"");
    assert_refused(CHAT, "\"stop\":[\"\"]", "stop", NULL, "empty");
    assert_refused(CHAT, "\"stop\":7", "stop", NULL, NULL);
}

/* With the probable letters forbidden and a high temperature the seed decides. */
static void test_seeds_beyond_64_bits_decide_as_others_do(void **state)
{
    static const char *const seeds[] = {"18446744073709551616", "1e30", "-99999999999999999999"};
    (void)state;
    for (size_t i = 0; i < COUNT(seeds); i++) {
        const char *fields = text_of("\"max_tokens\":20,\"temperature\":2,\"seed\":%s,"
                                     "\"logit_bias\":{\"97\":-100,\"98\":-100}",
            seeds[i]);
        json_t *first = ask(CHAT, 200, fields), *second = ask(CHAT, 200, fields);
        assert_string_at(second, "choices.0.message.content", text_at(first, "choices.0.message.content"));
        json_decref(first);
        json_decref(second);
    }
}

static void test_values_out_of_range_are_refused(void **state)
{
    static const struct {
        const char *fields, *param, *told;
    } rows[] = {
        {"\"temperature\":2.1", "temperature", "from 0 to 2"},
        {"\"temperature\":\"warm\"", "temperature", "number"},
        {"\"top_p\":-0.1", "top_p", "from 0 to 1"},
        {"\"n\":0", "n", "from 1 to 128"},
        {"\"n\":129", "n", "129"},
        {"\"max_tokens\":18446744073709551617", "max_tokens", NULL},
        {"\"stream\":1", "stream", "true or false"},
        {"\"stream_options\":true", "stream_options", "object"},
        {"\"stream_options\":{\"include_usage\":1}", "include_usage", NULL},
        {"\"top_logprobs\":2", "top_logprobs", "'logprobs'"},
        {"\"logprobs\":true,\"top_logprobs\":21", "top_logprobs", "from 0 to 20"},
        {"\"seed\":\"x\"", "seed", "integer"},
        {"\"logit_bias\":{\"258\":1}", "logit_bias.258", NULL},
        {"\"logit_bias\":{\"5\":101}", "logit_bias.5", NULL},
        {"\"cache_salt\":5", "cache_salt", "string"},
    };
    (void)state;
    for (size_t i = 0; i < COUNT(rows); i++)
        assert_refused(CHAT, rows[i].fields, rows[i].param, NULL, rows[i].told);
}

/* ---- defaults of sampling ---- */

#define DEFAULTS "\"temperature\":0.8,\"top_k\":40,\"top_p\":0.95,\"min_p\":0.05"
#define OPENAI "\"temperature\":1,\"top_k\":0,\"top_p\":1,\"min_p\":0"

/* The answer of a seed. Biases make 26 letters probable, each less than the one before, so that the sampling fields decide.
 */
static const char *sampled(const char *target, int seed, const char *fields)
{
    char bias[1024] = "";
    for (int i = 0; i < 26; i++)
        snprintf(bias + strlen(bias), sizeof(bias) - strlen(bias), "%s\"%d\":%g", i ? "," : "", 'A' + i,
            90 - 0.3 * i);
    json_t *a =
        ask(target, 200, text_of("\"max_tokens\":12,\"seed\":%d,\"logit_bias\":{%s},%s", seed, bias, fields));
    bool chat = strcmp(target, CHAT) == 0;
    const char *text = text_of("%s", text_at(a, chat ? "choices.0.message.content" : "choices.0.text"));
    json_decref(a);
    return text;
}

static void test_sampling_fields_that_are_missing_have_the_documented_defaults(void **state)
{
    static const char *const targets[] = {CHAT, TEXT};
    int others = 0;
    (void)state;
    for (int seed = 0; seed < 8; seed++) {
        for (size_t i = 0; i < 2; i++) {
            const char *plain = sampled(targets[i], seed, "\"n\":1");
            assert_string_equal(plain, sampled(targets[i], seed, DEFAULTS));
            assert_string_equal(plain, sampled(targets[i], seed, "\"temperature\":null,\"top_p\":0.95"));
            others += strcmp(plain, sampled(targets[i], seed, OPENAI)) != 0;
        }
        /* A field of the request wins, and leaves the others as they are. */
        assert_string_equal(sampled(CHAT, seed, "\"temperature\":1.5"),
            sampled(CHAT, seed, "\"temperature\":1.5,\"top_k\":40,\"top_p\":0.95,\"min_p\":0.05"));
        assert_string_equal(sampled(CHAT, seed, "\"top_k\":0"),
            sampled(CHAT, seed, "\"temperature\":0.8,\"top_k\":-1,\"top_p\":0.95,\"min_p\":0.05"));
    }
    assert_true(others > 0);
}

static void test_a_file_s_sampling_settings_are_the_defaults(void **state)
{
    struct server *other = server;
    const char *dir = temp_dir();
    (void)state;
    write_tiny_model(dir, "tiny.gguf", &(struct tiny_model){.sampling = 1});
    write_tiny_model(dir, "bad.gguf", &(struct tiny_model){.sampling = 2});
    server = server_start(&(struct setup){.models = dir});
    for (int seed = 0; seed < 6; seed++) {
        assert_string_equal(sampled(CHAT, seed, "\"n\":1"),
            sampled(CHAT, seed,
                "\"temperature\":1.5,\"top_k\":3,\"top_p\":1,\"min_p\":0,\"repetition_penalty\":1.25"));
        assert_string_equal(sampled(TEXT, seed, "\"top_k\":9,\"repeat_penalty\":1"),
            sampled(TEXT, seed,
                "\"temperature\":1.5,\"top_k\":9,\"top_p\":1,\"min_p\":0,\"repetition_penalty\":1"));
    }
    json_t *m = server_post_json(
        server, TEXT, 200, "{\"model\":\"bad\",\"prompt\":\"a\",\"max_tokens\":1}"); /* opens it */
    json_decref(m);
    m = server_json(server, "/v1/models/bad");
    assert_true(json_number_value(json_at(m, "default_parameters.temperature")) == 0.8);
    assert_true(json_number_value(json_at(m, "default_parameters.top_p")) == 0.95);
    assert_true(json_number_value(json_at(m, "default_parameters.min_p")) == 0.05);
    assert_true(json_number_value(json_at(m, "default_parameters.repetition_penalty")) == 1);
    assert_int_equal(number_at(m, "default_parameters.top_k"), 40);
    json_decref(m);
    m = server_json(server, "/v1/models/tiny");
    assert_true(json_number_value(json_at(m, "default_parameters.temperature")) == 1.5);
    assert_int_equal(number_at(m, "default_parameters.top_k"), 3);
    assert_true(json_number_value(json_at(m, "default_parameters.repetition_penalty")) == 1.25);
    json_decref(m);
    server_stop(server);
    server = other;
    m = server_json(server, "/v1/models/tiny");
    assert_true(json_number_value(json_at(m, "default_parameters.temperature")) == 0.8);
    assert_true(json_number_value(json_at(m, "default_parameters.top_p")) == 0.95);
    assert_true(json_number_value(json_at(m, "default_parameters.min_p")) == 0.05);
    assert_int_equal(number_at(m, "default_parameters.top_k"), 40);
    json_decref(m);
}

/* ---- the limit for requests that name none ---- */

static void test_a_default_limit_bounds_requests_that_name_none(void **state)
{
    static const struct {
        const char *target, *fields, *path, *said;
    } rows[] = {{CHAT, "\"n\":1", "choices.0.message.content", "abcde"},
        {CHAT, "\"max_tokens\":null", "choices.0.message.content", "abcde"},
        {CHAT, "\"max_tokens\":7", "choices.0.message.content", "abcdefg"},
        {CHAT, "\"max_completion_tokens\":6", "choices.0.message.content", "abcdef"},
        {CHAT, "\"max_tokens\":-1", "choices.0.message.content", "abcdefghijklmnopqrstuvwxyz."},
        {TEXT, "\"n\":1", "choices.0.text", "abcde"},
        {TEXT, "\"max_tokens\":7", "choices.0.text", "abcdefg"}};
    struct server *other = server;
    const char *dir = temp_dir();
    (void)state;
    write_tiny_model(dir, "tiny.gguf", &(struct tiny_model){0});
    server = server_start(&(struct setup){.models = dir, .args = {"--max-tokens-default", "5"}});
    for (size_t i = 0; i < COUNT(rows); i++) {
        json_t *a = ask(rows[i].target, 200, rows[i].fields);
        assert_string_at(a, rows[i].path, rows[i].said);
        json_decref(a);
    }
    server_stop(server);
    server = other;
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
        cmocka_unit_test(test_fields_that_would_change_the_answer_are_refused_with_what_does_the_same),
        cmocka_unit_test(test_fields_of_the_other_route_are_refused_with_their_own),
        cmocka_unit_test(test_refusals_of_openai_s_own_fields_are_plain),
        cmocka_unit_test(test_values_that_change_nothing_pass),
        cmocka_unit_test(test_a_misspelt_name_is_refused_with_the_right_one),
        cmocka_unit_test(test_a_misspelt_name_may_have_any_bytes),
        cmocka_unit_test(test_other_unknown_names_are_ignored),
        cmocka_unit_test(test_whole_numbers_may_be_written_as_reals),
        cmocka_unit_test(test_max_tokens_minus_one_is_as_many_as_fit),
        cmocka_unit_test(test_the_newer_name_of_max_tokens_wins),
        cmocka_unit_test(test_an_empty_stop_is_none),
        cmocka_unit_test(test_seeds_beyond_64_bits_decide_as_others_do),
        cmocka_unit_test(test_values_out_of_range_are_refused),
        cmocka_unit_test(test_sampling_fields_that_are_missing_have_the_documented_defaults),
        cmocka_unit_test(test_a_file_s_sampling_settings_are_the_defaults),
        cmocka_unit_test(test_a_default_limit_bounds_requests_that_name_none),
    };
    return cmocka_run_group_tests(tests, start, stop);
}
