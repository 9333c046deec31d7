/* test_llamacpp.c - the routes of llama.cpp's server at the root: completions, infill, properties, slots, templates.
 *
 * The models recite (reciting_model.h), so the tests know each byte.
 */
#include "events.h"
#include "reciting_model.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define ALPHABET "abcdefghijklmnopqrstuvwxyz."

static struct server *server;

static void assert_text(const json_t *value, const char *path, const char *wanted)
{
    const char *got = text_at(value, path);
    if (strcmp(got, wanted) != 0)
        fail_msg("%s is \"%s\", not \"%s\"", path, got, wanted);
}

static json_t *completed(const char *fields)
{
    return server_post_json(server, "/completion", 200, text_of("{\"model\":\"tiny\",%s}", fields));
}

/* ---- completions ---- */

static void test_a_completion_tells_what_it_was_made_with(void **state)
{
    (void)state;
    json_t *a = completed("\"prompt\":\"abc\",\"n_predict\":4,\"seed\":7,\"temperature\":0.5,\"top_k\":3");
    assert_int_equal(number_at(a, "index"), 0);
    assert_text(a, "content", "defg");
    assert_int_equal(json_array_size(json_at(a, "tokens")), 0);
    assert_true(json_is_true(json_at(a, "stop")));
    assert_text(a, "model", "tiny");
    assert_text(a, "prompt", "abc");
    assert_text(a, "stop_type", "limit");
    assert_text(a, "stopping_word", "");
    assert_true(json_is_false(json_at(a, "truncated")));
    assert_int_equal(number_at(a, "tokens_predicted"), 4);
    assert_int_equal(number_at(a, "tokens_evaluated"), 3);
    assert_true(number_at(a, "tokens_cached") >= 0);
    assert_int_equal(number_at(a, "generation_settings.n_predict"), 4);
    assert_int_equal(number_at(a, "generation_settings.seed"), 7);
    assert_int_equal(number_at(a, "generation_settings.top_k"), 3);
    assert_true(json_number_value(json_at(a, "generation_settings.temperature")) == 0.5);
    assert_int_equal(number_at(a, "timings.predicted_n"), 4);
    assert_int_equal(number_at(a, "timings.prompt_n") + number_at(a, "timings.cache_n"), 3);
    assert_null(json_object_get(a, "completion_probabilities"));
    json_decref(a);
}

static void test_an_answer_tells_why_it_ended(void **state)
{
    static const struct {
        const char *fields, *content, *type, *word;
    } rows[] = {
        {"\"prompt\":\"x\"", "yz.", "eos", ""},
        {"\"prompt\":\"a\",\"stop\":[\"zz\",\"fg\"]", "bcde", "word", "fg"},
        {"\"prompt\":\"a\",\"n_predict\":2", "bc", "limit", ""},
        {"\"prompt\":\"a\",\"n_predict\":0", "", "limit", ""},
        {"\"prompt\":\"x\",\"n_predict\":-1", "yz.", "eos", ""},
        {"\"prompt\":\"x\",\"n_predict\":100000", "yz.", "eos", ""},
        {"\"prompt\":\"x\",\"max_tokens\":1", "y", "limit", ""},
        {"\"prompt\":\"x\",\"ignore_eos\":true,\"n_predict\":6", "yz.ab", "limit", ""},
    };
    (void)state;
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        json_t *a = completed(rows[i].fields);
        assert_text(a, "content", rows[i].content);
        assert_text(a, "stop_type", rows[i].type);
        assert_text(a, "stopping_word", rows[i].word);
        json_decref(a);
    }
}

/* Editors send what they will ask for before they ask. */
static void test_a_prompt_that_is_only_read_is_found_again(void **state)
{
    (void)state;
    const char *prompt = text_of("%0200d", 7);
    json_t *a = completed(text_of("\"prompt\":\"%s\",\"n_predict\":0,\"n_probs\":1", prompt));
    assert_text(a, "content", "");
    assert_int_equal(number_at(a, "tokens_predicted"), 0);
    assert_int_equal(number_at(a, "timings.predicted_n"), 0);
    assert_int_equal(number_at(a, "generation_settings.n_predict"), 0);
    assert_int_equal(json_array_size(json_at(a, "completion_probabilities")), 0);
    json_decref(a);
    a = completed(text_of("\"prompt\":\"%s\",\"n_predict\":1", prompt));
    assert_true(number_at(a, "tokens_cached") >= 128);
    json_decref(a);
}

static void test_a_prompt_is_text_or_ids_or_both(void **state)
{
    static const struct {
        const char *prompt, *read, *content;
    } rows[] = {
        {"\"x\"", "x", "yz."},
        {"[119,120]", "wx", "yz."},
        {"[119,\"x\",121]", "wxy", "z."},
        {"[\"v\",119,120]", "vwx", "yz."},
        {"[\"<|im_start|>\",120]", "<|im_start|>x", "yz."},
    };
    (void)state;
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        json_t *a = completed(text_of("\"prompt\":%s", rows[i].prompt));
        assert_text(a, "prompt", rows[i].read);
        assert_text(a, "content", rows[i].content);
        json_decref(a);
    }
}

static void test_several_prompts_are_answered_by_a_list(void **state)
{
    (void)state;
    json_t *a = server_post_json(server, "/completions", 200,
        "{\"model\":\"tiny\",\"prompt\":[\"x\",[119,120],\"y\"],\"n_predict\":2}");
    assert_int_equal(json_array_size(a), 3);
    assert_text(a, "0.content", "yz");
    assert_text(a, "1.content", "yz");
    assert_text(a, "2.content", "z.");
    assert_int_equal(number_at(a, "2.index"), 2);
    json_decref(a);
}

static void test_tokens_and_their_probabilities_come_when_asked_for(void **state)
{
    (void)state;
    json_t *a = completed("\"prompt\":\"a\",\"n_predict\":2,\"return_tokens\":true,\"n_probs\":2");
    assert_int_equal(number_at(a, "tokens.0"), 'b');
    assert_int_equal(number_at(a, "tokens.1"), 'c');
    assert_int_equal(json_array_size(json_at(a, "completion_probabilities")), 2);
    assert_int_equal(number_at(a, "completion_probabilities.0.id"), 'b');
    assert_text(a, "completion_probabilities.0.token", "b");
    assert_int_equal(number_at(a, "completion_probabilities.0.bytes.0"), 'b');
    assert_int_equal(number_at(a, "completion_probabilities.1.top_logprobs.0.id"), 'c');
    assert_int_equal(json_array_size(json_at(a, "completion_probabilities.1.top_logprobs")), 2);
    json_decref(a);
}

static void test_biases_are_pairs_or_a_map_and_false_is_never(void **state)
{
    static const char *const biases[] = {
        "[[98,false],[113,100]]", "{\"98\":false,\"113\":100}", "[[98,-100],[113,100]]"};
    (void)state;
    for (size_t i = 0; i < 3; i++) {
        json_t *a = completed(
            text_of("\"prompt\":\"a\",\"n_predict\":1,\"logit_bias\":%s,\"temperature\":0", biases[i]));
        assert_text(a, "content", "q");
        json_decref(a);
    }
}

/* What is not named is off, so that the most probable token can lose. */
static void test_samplers_are_those_that_are_named(void **state)
{
    (void)state;
    json_t *a =
        completed("\"prompt\":\"a\",\"n_predict\":1,\"top_k\":40,\"min_p\":0.3,\"repeat_penalty\":1.5,"
                  "\"samplers\":[\"top_k\",\"top_p\",\"infill\"]");
    assert_int_equal(number_at(a, "generation_settings.top_k"), 40);
    assert_int_equal(json_number_value(json_at(a, "generation_settings.min_p")), 0);
    assert_int_equal(json_number_value(json_at(a, "generation_settings.repeat_penalty")), 1);
    assert_int_equal(json_number_value(json_at(a, "generation_settings.temperature")), 1);
    json_decref(a);
    a = completed("\"prompt\":\"a\",\"n_predict\":1,\"seed\":-1,\"temperature\":-1,\"samplers\":[]");
    assert_int_equal(json_number_value(json_at(a, "generation_settings.temperature")), 0);
    assert_in_range(number_at(a, "generation_settings.seed"), 0, 4294967295);
    json_decref(a);
}

static void test_a_schema_or_a_grammar_is_what_the_answer_must_be(void **state)
{
    static const char *const rows[][2] = {
        {"\"json_schema\":{\"type\":\"boolean\"}", "true"},
        {"\"grammar\":\"root ::= \\\"tr\\\" [uv] \\\"e\\\"\"", "true"},
    };
    (void)state;
    for (size_t i = 0; i < 2; i++) {
        json_t *a = server_post_json(server, "/completion", 200,
            text_of("{\"model\":\"truth\",\"prompt\":\"\\n\",\"temperature\":0,%s}", rows[i][0]));
        assert_text(a, "content", rows[i][1]);
        json_decref(a);
    }
}

static void test_fields_of_the_answer_can_be_chosen(void **state)
{
    (void)state;
    json_t *a =
        completed("\"prompt\":\"x\",\"n_predict\":2,\"response_fields\":[\"content\",\"timings/prompt_n\","
                  "\"generation_settings/n_predict\",\"none/such\",7]");
    assert_int_equal(json_object_size(a), 3);
    assert_text(a, "content", "yz");
    assert_int_equal(json_integer_value(json_object_get(a, "generation_settings/n_predict")), 2);
    assert_true(json_is_integer(json_object_get(a, "timings/prompt_n")));
    json_decref(a);
}

static void test_a_stream_ends_with_the_figures_and_without_done(void **state)
{
    struct events e;
    char said[100] = "", *event;
    json_t *last = NULL;
    size_t tokens = 0;
    (void)state;
    events_open(
        &e, server, "/completion", "{\"model\":\"tiny\",\"prompt\":\"a\",\"n_predict\":5,\"stream\":true}");
    assert_string_equal(answer_header(&e.head, "content-type"), "text/event-stream; charset=utf-8");
    while ((event = events_next(&e))) {
        json_decref(last);
        last = json_loads(event + 6, JSON_REJECT_DUPLICATES, NULL);
        if (!last)
            fail_msg("%s", event);
        strncat(said, text_at(last, "content"), sizeof(said) - strlen(said) - 1);
        tokens += json_array_size(json_at(last, "tokens"));
        free(event);
    }
    assert_false(e.broken);
    assert_string_equal(said, "bcdef");
    assert_int_equal(tokens, 5);
    assert_true(json_is_true(json_at(last, "stop")));
    assert_text(last, "stop_type", "limit");
    assert_int_equal(number_at(last, "tokens_predicted"), 5);
    assert_int_equal(number_at(last, "timings.predicted_n"), 5);
    json_decref(last);
    events_close(&e);
}

/* ---- the middle of a text ---- */

/* The request of an editor's plug-in, with all of its fields. */
static void test_an_editor_gets_the_middle(void **state)
{
    (void)state;
    json_t *a = server_post_json(server, "/infill", 200,
        "{\"model\":\"middle\",\"id_slot\":0,\"input_prefix\":\"before\",\"input_suffix\":\"after\","
        "\"input_extra\":[{\"filename\":\"f.c\",\"text\":\"x\",\"time\":1}],\"prompt\":\"a\",\"n_predict\":3,"
        "\"stop\":[],\"n_indent\":4,\"top_k\":40,\"top_p\":0.9,\"stream\":false,"
        "\"samplers\":[\"top_k\",\"top_p\",\"infill\"],\"cache_prompt\":true,\"t_max_prompt_ms\":500,"
        "\"t_max_predict_ms\":1000,\"response_fields\":[\"content\",\"prompt\",\"timings/prompt_n\"]}");
    assert_text(a, "content", "bcd");
    assert_text(a, "prompt", "\003repository\n\004f.c\nx\004file\n\001before\002after\na");
    json_decref(a);
}

/* Far ends go first, and extra texts before them. */
static void test_a_middle_of_a_long_text_is_made_to_fit(void **state)
{
    char prefix[1001], suffix[1001];
    memset(prefix, 'p', 1000);
    memset(suffix, 's', 1000);
    prefix[1000] = suffix[1000] = '\0';
    (void)state;
    json_t *a = server_post_json(server, "/infill", 200,
        text_of("{\"model\":\"middle\",\"input_prefix\":\"%sP\",\"input_suffix\":\"S%s\",\"n_predict\":2,"
                "\"input_extra\":[{\"text\":\"much\"}]}",
            prefix, suffix));
    const char *read = text_at(a, "prompt"), *behind = strchr(read, '\002');
    assert_int_equal(read[0], '\001');
    assert_non_null(behind);
    assert_int_equal(behind[-1], 'P');
    assert_int_equal(behind[1], 'S');
    assert_true(strlen(read) < 512);
    assert_true(behind - read > 3 * (long)strlen(behind) - 16);
    assert_text(a, "content", "ab");
    json_decref(a);
}

static void test_a_vocabulary_without_the_marks_is_told_so(void **state)
{
    (void)state;
    json_t *a = server_post_json(
        server, "/infill", 400, "{\"model\":\"tiny\",\"input_prefix\":\"a\",\"input_suffix\":\"b\"}");
    assert_non_null(strstr(text_at(a, "error.message"), "no tokens for filling in the middle"));
    json_decref(a);
}

/* ---- what is asked of a server ---- */

static void test_the_properties_tell_no_path(void **state)
{
    (void)state;
    json_t *a = server_json(server, "/props?model=deep/nest/tiny");
    assert_text(a, "model_path", "tiny.gguf");
    assert_text(a, "model_alias", "deep/nest/tiny");
    assert_int_equal(number_at(a, "total_slots"), 3);
    assert_int_equal(number_at(a, "n_ctx"), 512);
    assert_int_equal(number_at(a, "default_generation_settings.n_ctx"), 512);
    assert_int_equal(number_at(a, "default_generation_settings.params.n_predict"), -1);
    assert_non_null(strstr(text_at(a, "chat_template"), "<|im_start|>"));
    assert_text(a, "eos_token", "<|im_end|>");
    assert_true(json_is_null(json_at(a, "bos_token")));
    assert_true(json_is_false(json_at(a, "modalities.vision")));
    assert_int_equal(strncmp(text_at(a, "build_info"), "berth-", 6), 0);
    json_decref(a);
    struct answer refused = server_post(server, "/props", NULL, "{}");
    assert_int_equal(refused.status, 403);
    answer_release(&refused);
    refused = server_get(server, "/props?model=nope");
    assert_int_equal(refused.status, 404);
    answer_release(&refused);
}

static void test_the_slots_tell_which_are_taken_and_nothing_else(void **state)
{
    struct events e;
    (void)state;
    json_t *a = server_json(server, "/slots?model=slow");
    assert_int_equal(json_array_size(a), 3);
    assert_true(json_is_false(json_at(a, "0.is_processing")));
    assert_int_equal(number_at(a, "2.id"), 2);
    json_decref(a);
    events_open(&e, server, "/completion",
        "{\"model\":\"slow\",\"prompt\":\"0\",\"n_predict\":4000,\"stream\":true}");
    free(events_next(&e));
    a = server_json(server, "/slots?model=slow&fail_on_no_slot=1");
    assert_true(json_is_true(json_at(a, "0.is_processing")));
    assert_true(json_is_false(json_at(a, "1.is_processing")));
    assert_int_equal(json_object_size(json_at(a, "0")), 5);
    json_decref(a);
    events_close(&e);
    metric_wait(server, "berth_jobs_running{model=\"slow\"}", 0);
}

static void test_a_chat_becomes_the_text_of_its_template(void **state)
{
    (void)state;
    json_t *a = server_post_json(server, "/apply-template", 200,
        "{\"model\":\"tiny\",\"messages\":[{\"role\":\"user\",\"content\":\"Hi\"}]}");
    assert_text(a, "prompt", "<|im_start|>user\nHi<|im_end|>\n<|im_start|>assistant\n");
    assert_int_equal(json_object_size(a), 1);
    json_decref(a);
}

/* As Gemma 4's template wants them: a result that is a JSON object is one, other text stays text. */
static void test_results_stand_beside_calls_where_the_template_looks_for_them(void **state)
{
    (void)state;
    json_t *a = server_post_json(server, "/apply-template", 200,
        "{\"model\":\"beside\",\"messages\":[{\"role\":\"user\",\"content\":\"Rome?\"},"
        "{\"role\":\"assistant\",\"content\":null,\"tool_calls\":["
        "{\"id\":\"1\",\"type\":\"function\",\"function\":{\"name\":\"weather\",\"arguments\":\"{}\"}},"
        "{\"id\":\"2\",\"type\":\"function\",\"function\":{\"name\":\"time\",\"arguments\":\"{}\"}}]},"
        "{\"role\":\"tool\",\"tool_call_id\":\"2\",\"content\":\"12\"},"
        "{\"role\":\"tool\",\"tool_call_id\":\"1\",\"content\":\"{\\\"sky\\\":[1,\\\"blue\\\"]}\"},"
        "{\"role\":\"assistant\",\"content\":\"Fine.\"}]}");
    assert_text(a, "prompt", "user: Rome?\nassistant: time=\"12\" weather={\"sky\": [1, \"blue\"]} Fine.\n");
    json_decref(a);
}

static void test_openais_routes_are_at_the_root_too(void **state)
{
    (void)state;
    json_t *a = server_json(server, "/models");
    assert_text(a, "object", "list");
    json_decref(a);
    a = server_post_json(server, "/chat/completions", 200,
        "{\"model\":\"tiny\",\"messages\":[{\"role\":\"user\",\"content\":\"Hi\"}]}");
    assert_text(a, "choices.0.message.content", ALPHABET);
    json_decref(a);
}

/* ---- refusals ---- */

static void test_errors_have_llama_cpps_shape(void **state)
{
    static const struct {
        const char *fields;
        int status;
        const char *type, *told;
    } rows[] = {
        {"\"model\":\"nope\",\"prompt\":\"x\"", 404, "not_found_error", "does not exist"},
        {"\"prompt\":{}", 400, "invalid_request_error", "'prompt' must be"},
        {"\"prompt\":[1,\"x\",9999]", 400, "invalid_request_error", "'prompt[2]'"},
        {"\"prompt\":[1,\"x\",true]", 400, "invalid_request_error", "'prompt[2]'"},
        {"\"prompt\":\"x\",\"n_predict\":\"y\"", 400, "invalid_request_error", "'n_predict'"},
        {"\"prompt\":\"x\",\"n_probs\":21", 400, "invalid_request_error", "'n_probs'"},
        {"\"prompt\":\"x\",\"samplers\":[\"magic\"]", 400, "invalid_request_error", "'samplers[0]'"},
        {"\"prompt\":\"x\",\"samplers\":\"kfypmt\"", 400, "invalid_request_error", "'samplers'"},
        {"\"prompt\":\"x\",\"mirostat\":2", 400, "invalid_request_error", "'mirostat'"},
        {"\"prompt\":\"x\",\"dry_multiplier\":0.8", 400, "invalid_request_error", "'dry_multiplier'"},
        {"\"prompt\":\"x\",\"xtc_probability\":0.5", 400, "invalid_request_error", "'xtc_probability'"},
        {"\"prompt\":\"x\",\"lora\":[{\"id\":0,\"scale\":1}]", 400, "invalid_request_error", "'lora'"},
        {"\"prompt\":\"x\",\"post_sampling_probs\":true", 400, "invalid_request_error",
            "'post_sampling_probs'"},
        {"\"prompt\":\"x\",\"logit_bias\":[[\"Hello\",1]]", 400, "invalid_request_error", "named by its id"},
        {"\"prompt\":\"x\",\"logit_bias\":[[1,2,3]]", 400, "invalid_request_error", "a list of pairs"},
        {"\"prompt\":\"x\",\"return_tokens\":3", 400, "invalid_request_error", "'return_tokens'"},
        {"\"prompt\":\"x\",\"grammar\":\"root ::= (\"", 400, "invalid_request_error", "'grammar'"},
    };
    (void)state;
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        const char *model = strstr(rows[i].fields, "\"model\"") ? "" : "\"model\":\"tiny\",";
        struct answer a = server_post(server, "/completion", NULL, text_of("{%s%s}", model, rows[i].fields));
        json_t *error = answer_json(&a);
        if (a.status != rows[i].status || number_at(error, "error.code") != rows[i].status ||
            strcmp(text_at(error, "error.type"), rows[i].type) != 0 ||
            !strstr(text_at(error, "error.message"), rows[i].told))
            fail_msg("%s: %d %s", rows[i].fields, a.status, a.body);
        json_decref(error);
        answer_release(&a);
    }
}

static void test_a_prompt_that_is_too_long_is_told_by_type(void **state)
{
    (void)state;
    json_t *a = server_post_json(
        server, "/completion", 400, text_of("{\"model\":\"tiny\",\"prompt\":\"%0600d\"}", 7));
    assert_text(a, "error.type", "exceed_context_size_error");
    json_decref(a);
    a = server_post_json(
        server, "/completion", 400, text_of("{\"model\":\"tiny\",\"prompt\":[1,\"%0600d\"]}", 7));
    assert_text(a, "error.type", "exceed_context_size_error");
    json_decref(a);
}

/* ---- the server ---- */

static int begin(void **state)
{
    const char *dir = temp_dir();
    (void)state;
    write_tiny_model(dir, "beside.gguf",
        &(struct tiny_model){.template =
                                 "{% if tools %}{{ tools }}{% endif %}{% for m in messages %}{{ m.role }}:"
                                 "{% for r in m.tool_responses %} {{ r.name }}={{ r.response | tojson }}"
                                 "{% endfor %} {{ m.content }}{{ '\\n' }}{% endfor %}"});
    write_tiny_model(dir, "tiny.gguf", &(struct tiny_model){0});
    write_tiny_model(dir, "deep/nest/tiny.gguf", &(struct tiny_model){0});
    write_tiny_model(dir, "middle.gguf", &(struct tiny_model){.fills = true});
    write_tiny_model(dir, "truth.gguf", &(struct tiny_model){.recites = "true"});
    write_tiny_model(dir, "slow.gguf", &TINY_SLOW);
    server = server_start(&(struct setup){.models = dir, .args = {"--slots", "3"}});
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
        cmocka_unit_test(test_a_completion_tells_what_it_was_made_with),
        cmocka_unit_test(test_an_answer_tells_why_it_ended),
        cmocka_unit_test(test_a_prompt_that_is_only_read_is_found_again),
        cmocka_unit_test(test_a_prompt_is_text_or_ids_or_both),
        cmocka_unit_test(test_several_prompts_are_answered_by_a_list),
        cmocka_unit_test(test_tokens_and_their_probabilities_come_when_asked_for),
        cmocka_unit_test(test_biases_are_pairs_or_a_map_and_false_is_never),
        cmocka_unit_test(test_samplers_are_those_that_are_named),
        cmocka_unit_test(test_a_schema_or_a_grammar_is_what_the_answer_must_be),
        cmocka_unit_test(test_fields_of_the_answer_can_be_chosen),
        cmocka_unit_test(test_a_stream_ends_with_the_figures_and_without_done),
        cmocka_unit_test(test_an_editor_gets_the_middle),
        cmocka_unit_test(test_a_middle_of_a_long_text_is_made_to_fit),
        cmocka_unit_test(test_a_vocabulary_without_the_marks_is_told_so),
        cmocka_unit_test(test_the_properties_tell_no_path),
        cmocka_unit_test(test_the_slots_tell_which_are_taken_and_nothing_else),
        cmocka_unit_test(test_a_chat_becomes_the_text_of_its_template),
        cmocka_unit_test(test_results_stand_beside_calls_where_the_template_looks_for_them),
        cmocka_unit_test(test_openais_routes_are_at_the_root_too),
        cmocka_unit_test(test_errors_have_llama_cpps_shape),
        cmocka_unit_test(test_a_prompt_that_is_too_long_is_told_by_type),
    };
    return cmocka_run_group_tests(tests, begin, end);
}
