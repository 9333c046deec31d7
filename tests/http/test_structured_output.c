/* test_structured_output.c - answers that must have a form, over HTTP: what comes back has it, or the request is refused.
 *
 * The model recites letters and digits (reciting_model.h), so a form always works against what it would write.
 */
#include "events.h"
#include "reciting_model.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define CHAT "/v1/chat/completions"
#define TEXT "/v1/completions"
#define HELLO "\"messages\":[{\"role\":\"user\",\"content\":\"Hello\"}]"

static struct server *server;
static const char *volume;

/* An object whose every valid text is short, so that an answer always ends. */
#define SCHEMA                                                                                               \
    "{\"type\":\"object\",\"properties\":{\"a\":{\"type\":\"integer\",\"minimum\":3,\"maximum\":5},"         \
    "\"b\":{\"enum\":[\"x\",\"yy\"]},\"c\":{\"type\":\"boolean\"}},\"required\":[\"a\",\"b\",\"c\"],"        \
    "\"additionalProperties\":false}"

static json_t *content_json(const json_t *a, const char *path)
{
    json_t *value = json_loads(text_at(a, path), JSON_DECODE_ANY, NULL);
    if (!value)
        fail_msg("no JSON: %s", text_at(a, path));
    return value;
}

static void assert_fits(const json_t *value)
{
    json_int_t a = json_integer_value(json_object_get(value, "a"));
    assert_int_equal(json_object_size(value), 3);
    assert_in_range(a, 3, 5);
    assert_true(json_is_boolean(json_object_get(value, "c")));
    const char *b = json_string_value(json_object_get(value, "b"));
    assert_true(strcmp(b, "x") == 0 || strcmp(b, "yy") == 0);
}

static void assert_answer_fits(const char *fields)
{
    json_t *a = server_post_json(server, CHAT, 200, text_of("{" HELLO ",\"max_tokens\":400,%s}", fields));
    json_t *value = content_json(a, "choices.0.message.content");
    assert_fits(value);
    assert_string_equal(text_at(a, "choices.0.finish_reason"), "stop");
    json_decref(value);
    json_decref(a);
}

static void test_an_answer_has_the_form_of_its_schema_by_every_field_that_names_one(void **state)
{
    static const char *const fields[] = {
        "\"response_format\":{\"type\":\"json_schema\",\"json_schema\":{\"name\":\"n\",\"strict\":true,\"schema\":" SCHEMA
        "}}",
        "\"response_format\":{\"type\":\"json_schema\",\"schema\":" SCHEMA "}",
        "\"response_format\":{\"type\":\"json_object\",\"schema\":" SCHEMA "}",
        "\"response_format\":{\"type\":\"json\",\"value\":" SCHEMA "}",
        "\"guided_json\":" SCHEMA,
        "\"json_schema\":" SCHEMA,
        "\"structured_outputs\":{\"json\":" SCHEMA "}",
    };
    (void)state;
    for (size_t i = 0; i < sizeof(fields) / sizeof(fields[0]); i++)
        assert_answer_fits(fields[i]);
}

static void assert_completes(const char *fields, const char *text)
{
    json_t *a = server_post_json(
        server, TEXT, 200, text_of("{\"prompt\":\"a\",\"max_tokens\":100,\"temperature\":0,%s}", fields));
    assert_string_equal(text_at(a, "choices.0.text"), text);
    assert_string_equal(text_at(a, "choices.0.finish_reason"), "stop");
    json_decref(a);
}

/* After "a" the model wants "b", and after each letter the next one. */
static void test_choices_expressions_and_grammars_hold_for_completions_too(void **state)
{
    (void)state;
    assert_completes("\"guided_choice\":[\"xyz\",\"bca\"]", "bca");
    assert_completes("\"structured_outputs\":{\"choice\":[\"bc\"]}", "bc");
    assert_completes("\"guided_regex\":\"b[x-z]{2}c?\"", text_of("%s", "bzy"));
    assert_completes("\"regex\":\"(cd|de)f\"", "cdf");
    assert_completes("\"grammar\":\"root ::= \\\"b\\\" tail\\ntail ::= [q-t] \\\"!\\\"\"", "br!");
    assert_completes("\"guided_grammar\":\"root ::= \\\"b\\\"\"", "b");
}

static void test_a_stream_is_the_whole_answer_in_pieces(void **state)
{
    static const char body[] = "{" HELLO ",\"max_tokens\":400,\"seed\":7,%s\"guided_json\":" SCHEMA "}";
    (void)state;
    json_t *whole = server_post_json(server, CHAT, 200, text_of(body, ""));
    struct events e;
    char text[4096] = "";
    events_open(&e, server, CHAT, text_of(body, "\"stream\":true,"));
    for (json_t *event; (event = events_json(&e)); json_decref(event)) {
        const char *more = json_string_value(json_object_get(json_at(event, "choices.0.delta"), "content"));
        strncat(text, more ? more : "", sizeof(text) - strlen(text) - 1);
    }
    events_close(&e);
    assert_string_equal(text, text_at(whole, "choices.0.message.content"));
    json_decref(whole);
}

static void test_every_choice_has_the_form(void **state)
{
    (void)state;
    json_t *a = server_post_json(server, CHAT, 200,
        "{" HELLO ",\"n\":6,\"max_tokens\":400,\"temperature\":2,\"top_k\":-1,\"top_p\":1,\"min_p\":0,"
        "\"guided_json\":" SCHEMA "}");
    for (int i = 0; i < 6; i++) {
        json_t *value = content_json(a, text_of("choices.%d.message.content", i));
        assert_fits(value);
        json_decref(value);
    }
    json_decref(a);
}

static void test_a_form_that_max_tokens_cuts_is_told_as_cut(void **state)
{
    (void)state;
    json_t *a =
        server_post_json(server, CHAT, 200, "{" HELLO ",\"max_tokens\":4,\"guided_json\":" SCHEMA "}");
    assert_string_equal(text_at(a, "choices.0.finish_reason"), "length");
    json_decref(a);
}

static void assert_refused(const char *fields, const char *param, const char *told)
{
    json_t *a = server_post_json(server, CHAT, 400, text_of("{" HELLO ",\"max_tokens\":9,%s}", fields));
    assert_string_equal(text_at(a, "error.param"), param);
    if (!strstr(text_at(a, "error.message"), told))
        fail_msg("\"%s\" does not tell of \"%s\"", text_at(a, "error.message"), told);
    json_decref(a);
}

static void test_a_form_that_cannot_be_enforced_is_refused_by_name(void **state)
{
#define FORMAT(schema)                                                                                       \
    "\"response_format\":{\"type\":\"json_schema\",\"json_schema\":{\"schema\":" schema "}}"
    static const char at[] = "response_format.json_schema.schema";
    (void)state;
    assert_refused(FORMAT("{\"type\":\"object\",\"properties\":{\"x\":{\"$dynamicRef\":\"#node\"}}}"), at,
        "properties.x");
    assert_refused(FORMAT("{\"$ref\":\"http://example.com/schema\"}"), at, "$ref");
    assert_refused(FORMAT("{\"type\":\"strin\"}"), at, "type");
    assert_refused(FORMAT("7"), at, "JSON Schema");
    assert_refused("\"guided_regex\":\"a(?=b)\"", "guided_regex", "look");
    assert_refused("\"guided_regex\":\"a(\"", "guided_regex", "");
    assert_refused("\"guided_regex\":7", "guided_regex", "string");
    assert_refused("\"guided_choice\":\"a\"", "guided_choice", "list");
    assert_refused("\"guided_choice\":[1]", "guided_choice", "strings");
    assert_refused("\"grammar\":\"root ::= other\"", "grammar", "other");
    assert_refused("\"grammar\":\"root\"", "grammar", "1");
    assert_refused("\"response_format\":{\"type\":\"xml\"}", "response_format.type", "json_schema");
    assert_refused("\"response_format\":7", "response_format", "object");
    assert_refused("\"guided_json\":{},\"guided_regex\":\"a\",\"grammar\":\"root ::= \\\"a\\\"\"", "grammar",
        "guided_regex");
}

static void test_biases_that_leave_no_token_for_a_form_are_told(void **state)
{
    (void)state;
    json_t *a = server_post_json(server, CHAT, 400,
        "{" HELLO ",\"max_tokens\":9,\"logit_bias\":{\"98\":-100},\"guided_choice\":[\"b\"]}");
    assert_non_null(strstr(text_at(a, "error.message"), "form"));
    json_decref(a);
}

/* Alone, beside others, and where memory is so short that slots are preempted and computed again: the same bytes. */
static void test_a_form_does_not_depend_on_load(void **state)
{
    static const char body[] =
        "{\"model\":\"tiny\"," HELLO ",\"max_tokens\":900,\"seed\":3,\"temperature\":2,"
        "\"top_k\":-1,\"n\":%d,\"guided_regex\":\"[a-z]{600}[0-9]{3}\"}";
    (void)state;
    struct server *tight =
        server_start(&(struct setup){.models = volume, .args = {"--kv-memory", "400K", "--slots", "8"}});
    json_t *one = server_post_json(server, CHAT, 200, text_of(body, 1));
    json_t *eight = server_post_json(server, CHAT, 200, text_of(body, 8));
    json_t *again = server_post_json(tight, CHAT, 200, text_of(body, 8));
    assert_true(metric(tight, "berth_preemptions_total{model=\"tiny\"}") > 0);
    assert_string_equal(
        text_at(one, "choices.0.message.content"), text_at(eight, "choices.0.message.content"));
    for (int i = 0; i < 8; i++) {
        const char *path = text_of("choices.%d.message.content", i);
        assert_int_equal(strlen(text_at(eight, path)), 603);
        assert_string_equal(text_at(eight, path), text_at(again, path));
    }
    json_decref(one);
    json_decref(eight);
    json_decref(again);
    server_stop(tight);
}

static int begin(void **state)
{
    (void)state;
    volume = temp_dir();
    write_tiny_model(volume, "tiny.gguf", &(struct tiny_model){.context = 4096});
    server = server_start(&(struct setup){.models = volume});
    return 0;
}

static int end(void **state)
{
    (void)state;
    server_stop(server);
    return 0;
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_an_answer_has_the_form_of_its_schema_by_every_field_that_names_one),
        cmocka_unit_test(test_choices_expressions_and_grammars_hold_for_completions_too),
        cmocka_unit_test(test_a_stream_is_the_whole_answer_in_pieces),
        cmocka_unit_test(test_every_choice_has_the_form),
        cmocka_unit_test(test_a_form_that_max_tokens_cuts_is_told_as_cut),
        cmocka_unit_test(test_a_form_that_cannot_be_enforced_is_refused_by_name),
        cmocka_unit_test(test_biases_that_leave_no_token_for_a_form_are_told),
        cmocka_unit_test(test_a_form_does_not_depend_on_load),
    };
    return cmocka_run_group_tests(tests, begin, end);
}
