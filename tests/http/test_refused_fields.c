/* test_refused_fields.c - fields that other servers honour: each is refused with a value that would change the answer, and
 * passes with the values by which their clients say that they want nothing of it.
 *
 * The rows are written from the documentation of those servers, not from berth's table.
 */
#include "events.h"
#include "reciting_model.h"

#include <stdlib.h>
#include <string.h>

#define CHAT "/v1/chat/completions"
#define TEXT "/v1/completions"
#define COUNT(rows) (sizeof(rows) / sizeof(*(rows)))

static struct server *server;

static struct answer ask(const char *target, const char *field, const char *value)
{
    bool chat = strcmp(target, CHAT) == 0;
    const char *prompt =
        chat ? "\"messages\":[{\"role\":\"user\",\"content\":\"Hello\"}]" : "\"prompt\":\"\\n\"";
    return server_post(
        server, target, NULL, text_of("{%s,\"max_tokens\":2,\"%s\":%s}", prompt, field, value));
}

static void assert_refused(const char *target, const char *field, const char *value)
{
    struct answer a = ask(target, field, value);
    json_t *body = answer_json(&a);
    if (a.status != 400 || strcmp(text_at(body, "error.param"), field) != 0 ||
        strcmp(text_at(body, "error.code"), "unsupported_parameter") != 0)
        fail_msg("%s \"%s\":%s is not refused: %d %s", target, field, value, a.status, a.body);
    json_decref(body);
    answer_release(&a);
}

static void assert_passes(const char *target, const char *field, const char *value)
{
    struct answer a = ask(target, field, value);
    if (a.status != 200 || !strstr(a.body, "\"ab\""))
        fail_msg("%s \"%s\":%s does not pass: %d %s", target, field, value, a.status, a.body);
    answer_release(&a);
}

struct row {
    const char *field;
    const char *passes[4], *refused[3]; /* JSON values; null always passes */
};

static void assert_row(const char *target, const struct row *r)
{
    assert_passes(target, r->field, "null");
    for (size_t i = 0; i < COUNT(r->passes) && r->passes[i]; i++)
        assert_passes(target, r->field, r->passes[i]);
    for (size_t i = 0; i < COUNT(r->refused) && r->refused[i]; i++)
        assert_refused(target, r->field, r->refused[i]);
}

#define ZERO                                                                                                 \
    {                                                                                                        \
        "0", "0.0"                                                                                           \
    }
#define OFF                                                                                                  \
    {                                                                                                        \
        "0", "-1"                                                                                            \
    }
#define EMPTY                                                                                                \
    {                                                                                                        \
        "\"\"", "[]", "{}", "false"                                                                          \
    }

/* clang-format off */
static const struct row of_both[] = {
    {"min_new_tokens", ZERO, {"1", "20"}},
    {"min_length", ZERO, {"10"}},
    {"num_predict", {"-1"}, {"100", "-2"}},
    {"max_tokens_to_sample", {NULL}, {"256"}},
    {"max_length", {NULL}, {"80"}},
    {"t_max_predict_ms", OFF, {"500"}},
    {"n_indent", ZERO, {"4"}},
    {"stop_sequence", EMPTY, {"[\"b\"]"}},
    {"stop_strings", EMPTY, {"\"b\"", "[\"b\"]"}},
    {"stop_words", EMPTY, {"[\"b\"]"}},
    {"stopping_strings", EMPTY, {"[\"b\"]"}},
    {"custom_stopping_strings", EMPTY, {"\"\\\"b\\\"\""}},
    {"stop_regex", EMPTY, {"\"[bc]\""}},
    {"no_stop_trim", {"false"}, {"true"}},
    {"ban_eos_token", {"false"}, {"true"}},
    {"num_return_sequences", {"1", "1.0"}, {"2", "0"}},
    {"num_generations", {"1"}, {"3"}},
    {"n_cmpl", {"1"}, {"4"}},
    {"n_probs", ZERO, {"5"}},
    {"top_n_tokens", ZERO, {"5"}},
    {"return_full_text", {"false"}, {"true"}},
    {"return_tokens_as_token_ids", {"false"}, {"true"}},
    {"post_sampling_probs", {"false"}, {"true"}},
    {"decoder_input_details", {"false"}, {"true"}},
    {"temp", {NULL}, {"0", "0.7"}},
    {"greedy", {"false"}, {"true"}},
    {"temperature_last", {"false"}, {"true"}},
    {"dynatemp_range", ZERO, {"0.5"}},
    {"dynamic_temperature", {"false"}, {"true"}},
    {"smoothing_factor", ZERO, {"0.3"}},
    {"sampler_order", {"[]"}, {"[6,0,1]"}},
    {"sampler_priority", {"[]", "\"\""}, {"[\"temperature\"]", "\"temperature\\ntop_k\""}},
    {"top_n_sigma", OFF, {"1.0"}},
    {"tfs_z", {"1"}, {"0.95"}},
    {"epsilon_cutoff", ZERO, {"3"}},
    {"eta_cutoff", ZERO, {"3"}},
    {"skew", ZERO, {"0.5"}},
    {"min_keep", {"0", "1"}, {"2"}},
    {"adaptive_target", {"-1"}, {"0.5"}},
    {"penalty_alpha", ZERO, {"0.6"}},
    {"guidance_scale", {"1"}, {"1.5"}},
    {"cfg_scale", {"1"}, {"2", "0"}},
    {"negative_prompt", {"\"\""}, {"\"bad\""}},
    {"watermark", {"false"}, {"true"}},
    {"sampling_seed", {NULL}, {"7"}},
    {"sampler_seed", {NULL}, {"7"}},
    {"lora", {"[]"}, {"[{\"id\":0,\"scale\":0.5}]"}},
    {"lora_path", {"\"\""}, {"\"adapter\""}},
    {"image_data", {"[]"}, {"[{\"data\":\"aGk=\",\"id\":1}]"}},
    {"instructions", {"\"\""}, {"\"Be brief.\""}},
    {"bypass_eos", {"false"}, {"true"}},
    {"nsigma", {"0"}, {"1.5"}},
    {"regex_pattern", {"\"\""}, {"\"a+\""}},
    {"token_healing", {"false"}, {"true"}},
    {"enable_search", {"false"}, {"true"}},
    {"adapter_id", {"\"\""}, {"\"mine\""}},
    {"encoder_repetition_penalty", {"1"}, {"1.1"}},
    {"repetition_penalty_range", {"0", "1024"}, {NULL}},
    {"rep_pen_range", {"0", "320"}, {NULL}},
    {"penalize_nl", {"true", "false"}, {NULL}},
    {"num_beam_groups", {"1"}, {"2"}},
    {"diversity_penalty", ZERO, {"0.5"}},
    {"early_stopping", {"false"}, {"true"}},
    {"grammar_string", {"\"\""}, {"\"root ::= \\\"a\\\"\""}},
    {"format", EMPTY, {"\"json\"", "{\"type\":\"object\"}"}},
    {"structural_tag", EMPTY, {"{\"a\":1}"}},
    {"banned_tokens", EMPTY, {"[97]"}},
    {"banned_strings", EMPTY, {"[\"a\"]"}},
    {"custom_token_bans", EMPTY, {"\"97\""}},
    {"custom_logit_processor", {"\"\""}, {"\"x\""}},
    {"custom_params", {"{}"}, {"{\"a\":1}"}},
    {"vllm_xargs", {"{}"}, {"{\"a\":1}"}},
    {"repetition_detection", {"{}"}, {"{\"max_pattern_size\":3}"}},
    {"inputs", {"\"\""}, {"\"a\""}},
    {"parameters", {"{}"}, {"{\"top_k\":3}"}},
    {"system", {"\"\""}, {"\"Be kind\""}},
    {"images", {"[]"}, {"[\"aGk=\"]"}},
    {"prompt_embeds", {"[]"}, {"\"aGk=\""}},
    {"template", {"\"\""}, {"\"{{ .Prompt }}\""}},
    {"truncate", ZERO, {"100"}},
    {"safe_prompt", {"false"}, {"true"}},
};

static const struct row of_chats[] = {
    {"reasoning", EMPTY, {"{\"effort\":\"low\"}"}},
    {"chat_template", {"\"\""}, {"\"{{ messages }}\""}},
    {"add_special_tokens", {"false"}, {"true"}},
    {"web_search_options", {NULL}, {"{\"search_context_size\":\"low\"}"}},
    {"modalities", {"[\"text\"]"}, {"[]", "[\"text\",\"audio\"]"}},
};

static const struct row of_completions[] = {
    {"add_bos_token", {"true"}, {"false"}},
    {"add_special_tokens", {"true"}, {"false"}},
    {"best_of", {"1"}, {"2"}},
};
/* clang-format on */

static void test_fields_of_other_servers_are_refused_or_pass_by_their_value(void **state)
{
    (void)state;
    for (size_t i = 0; i < COUNT(of_both); i++) {
        assert_row(CHAT, &of_both[i]);
        assert_row(TEXT, &of_both[i]);
    }
    for (size_t i = 0; i < COUNT(of_chats); i++)
        assert_row(CHAT, &of_chats[i]);
    for (size_t i = 0; i < COUNT(of_completions); i++)
        assert_row(TEXT, &of_completions[i]);
}

/* How far a penalty looks back changes nothing without one. */
static void test_the_range_of_a_penalty_is_refused_beside_one(void **state)
{
    static const char *const rows[][2] = {{"repetition_penalty_range", "1024,\"repetition_penalty\":1.1"},
        {"rep_pen_range", "320,\"frequency_penalty\":0.5"}, {"penalize_nl", "false,\"repeat_penalty\":1.2"},
        {"repeat_last_n", "0,\"presence_penalty\":1"}};
    (void)state;
    for (size_t i = 0; i < COUNT(rows); i++) {
        assert_refused(CHAT, rows[i][0], rows[i][1]);
        assert_refused(TEXT, rows[i][0], rows[i][1]);
    }
    assert_passes(CHAT, "penalize_nl", "true,\"repeat_penalty\":1.2");
    assert_passes(CHAT, "repeat_last_n", "-1,\"presence_penalty\":0.1");
}

static void test_near_misses_of_refused_and_ignored_names(void **state)
{
    static const char *const near[][2] = {{"input", "inputs"}, {"numPredict", "num_predict"},
        {"message", "messages"}, {"maxCompletionTokens", "max_completion_tokens"},
        {"stopSequences", "stop_sequences"}, {"topLogprobs", "top_logprobs"}, {"logit-bias", "logit_bias"},
        {"n_predicts", "n_predict"}, {"json-schema", "json_schema"}, {"repeat_penality", "repeat_penalty"},
        {"responseFormat", "response_format"}, {"STREAM", "stream"}, {"min-p", "min_p"},
        {"typicalp", "typical_p"}, {"ignoreEos", "ignore_eos"}, {"minTokens", "min_tokens"}};
    static const char *const others[] = {"stop_reason", "stream_id", "streaming", "top", "topic",
        "model_name", "modelId", "contextLength", "maxRetries", "cache_control", "user_id", "response",
        "tool_ids", "tool_servers", "filter_ids", "parent_id", "use_fallback", "include_usage",
        "promptPrefix", "reverse_proxy", "char_name", "show_thoughts", "model_item", "stored", "seedling",
        "prefix"};
    (void)state;
    for (size_t i = 0; i < COUNT(near); i++) {
        struct answer a = ask(CHAT, near[i][0], "1");
        if (a.status != 400 || !strstr(a.body, text_of("did you mean '%s'?", near[i][1])))
            fail_msg("\"%s\" is not taken for %s: %d %s", near[i][0], near[i][1], a.status, a.body);
        answer_release(&a);
    }
    for (size_t i = 0; i < COUNT(others); i++)
        assert_passes(CHAT, others[i], "{\"a\":[1]}");
}

/* ---- what every client's author expects ---- */

static void test_bodies_and_numbers_are_read_leniently(void **state)
{
    static const char *const rows[] = {"\"top_logprobs\":0.0", "\"seed\":1e3", "\"seed\":-7",
        "\"seed\":9223372036854775808", "\"stop\":null", "\"stop\":[\"zz\",\"yy\"]", "\"n\":1e0",
        "\"logit_bias\":{\"98\":0.0}", "\"stop_token_ids\":[]", "\"stream\":null", "\"stream_options\":null",
        "\"max_completion_tokens\":2.0", "\"user\":12345678901234567890123", "\"top_k\":0",
        "\"verbosity\":null", "\"metadata\":null", "\"store\":null", "\"seed\":0", "\"top_k\":1e2"};
    (void)state;
    for (size_t i = 0; i < COUNT(rows); i++) {
        const char *body = text_of(
            "\xef\xbb\xbf{\"messages\":[{\"role\":\"user\",\"content\":\"Hello\"}],\"max_tokens\":2,%s}",
            rows[i]);
        struct answer a = server_post(server, CHAT, NULL, body);
        if (a.status != 200 || !strstr(a.body, "\"content\":\"ab\""))
            fail_msg("%s: %d %s", rows[i], a.status, a.body);
        answer_release(&a);
    }
}

static void test_encoded_bodies_are_named_and_slashes_count_once(void **state)
{
    static const char body[] = "{\"prompt\":\"a\",\"max_tokens\":1}";
    static const char *const encodings[] = {"gzip", "br", "deflate", "zstd", "gzip, identity"};
    (void)state;
    for (size_t i = 0; i < COUNT(encodings); i++) {
        struct answer a = server_post(server, TEXT, text_of("content-encoding: %s\r\n", encodings[i]), body);
        assert_int_equal(a.status, 415);
        if (!strstr(a.body, encodings[i]))
            fail_msg("%s: %s", encodings[i], a.body);
        answer_release(&a);
    }
    struct answer a = server_post(server, TEXT, "content-encoding: identity\r\n", body);
    assert_int_equal(a.status, 200);
    answer_release(&a);
    a = server_post(server, "//v1///completions", NULL, body);
    assert_int_equal(a.status, 200);
    answer_release(&a);
    json_decref(server_json(server, "//v1//models"));
    a = server_get(
        server, "/v1/models/"); /* a redirect, or the list: never an absolute address of another host */
    const char *location = answer_header(&a, "location");
    if (location)
        assert_true(location[0] == '/' && location[1] != '/');
    answer_release(&a);
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
        cmocka_unit_test(test_fields_of_other_servers_are_refused_or_pass_by_their_value),
        cmocka_unit_test(test_the_range_of_a_penalty_is_refused_beside_one),
        cmocka_unit_test(test_near_misses_of_refused_and_ignored_names),
        cmocka_unit_test(test_bodies_and_numbers_are_read_leniently),
        cmocka_unit_test(test_encoded_bodies_are_named_and_slashes_count_once),
    };
    return cmocka_run_group_tests(tests, start, stop);
}
