/* test_tools.c - calls of tools and reasoning over HTTP, whole and streamed.
 *
 * Each model recites one text (reciting_model.h) in the format that its template tells of.
 */
#include "events.h"
#include "reciting_model.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define CHAT "/v1/chat/completions"
#define HELLO "\"messages\":[{\"role\":\"user\",\"content\":\"Hello\"}]"
#define WEATHER                                                                                                \
    "{\"type\":\"function\",\"function\":{\"name\":\"weather\",\"parameters\":{\"type\":\"object\","           \
    "\"properties\":{\"city\":{\"type\":\"string\"},\"days\":{\"type\":\"integer\"}},\"required\":[\"city\"]," \
    "\"additionalProperties\":false}}}"
#define OTHER "{\"type\":\"function\",\"function\":{\"name\":\"other\"}}"
#define TOOLS "\"tools\":[" WEATHER "," OTHER "]"

#define TEMPLATE(words)                                                                                      \
    "{# " words " #}{{ tools }}{% for m in messages %}{{ m.role }}: {{ m.content }}\n{% endfor %}"           \
    "{% if add_generation_prompt %}assistant:\n{% endif %}"

static const struct {
    const char *name, *template, *recites;
} models[] = {
    {"hermes", TEMPLATE("<tool_call>"),
        "I look. <tool_call>\n{\"name\": \"weather\", \"arguments\": {\"city\": \"Rome\", \"days\": 3}}\n</tool_call>"},
    {"twice", TEMPLATE("<tool_call>"),
        "<tool_call>\n{\"name\": \"weather\", \"arguments\": {\"city\": \"Rome\"}}\n</tool_call>\n"
        "<tool_call>\n{\"name\": \"other\", \"arguments\": {}}\n</tool_call>"},
    {"wrong", TEMPLATE("<tool_call>"),
        "<tool_call>\n{\"name\": \"sunshine\", \"arguments\": {\"town\": 7}}\n</tool_call>"},
    {"thinker", TEMPLATE("<tool_call><think>"),
        "<think>\nHm, Rome.\n</think>\n\nI look.\n"
        "<tool_call>\n{\"name\": \"weather\", \"arguments\": {\"city\": \"Rome\"}}\n</tool_call>"},
    {"mistral", TEMPLATE("[TOOL_CALLS][ARGS]"), "[TOOL_CALLS]weather[ARGS]{\"city\": \"Rome\"}"},
    {"generic", "{% for m in messages %}{{ m.role }}: {{ m.content }}\n{% endfor %}assistant:\n{{ '' }}",
        "<tool_call>\n{\"name\": \"weather\", \"arguments\": {\"city\": \"Oslo\"}}\n</tool_call>"},
    {"plain", TEMPLATE("<think>"), "<think>a</think>text < with <tool and <thinking> marks"},
};

static struct server *server;

static json_t *asked(const char *model, const char *fields)
{
    return server_post_json(
        server, CHAT, 200, text_of("{\"model\":\"%s\"," HELLO ",\"max_tokens\":900%s}", model, fields));
}

static void assert_call(const json_t *a, int index, const char *name, const char *arguments)
{
    char path[64];
    snprintf(path, sizeof(path), "choices.0.message.tool_calls.%d.function.name", index);
    assert_string_equal(text_at(a, path), name);
    snprintf(path, sizeof(path), "choices.0.message.tool_calls.%d.function.arguments", index);
    json_t *got = json_loads(text_at(a, path), 0, NULL), *wanted = json_loads(arguments, 0, NULL);
    if (!got || !json_equal(got, wanted))
        fail_msg("%s is %s", path, text_at(a, path));
    snprintf(path, sizeof(path), "choices.0.message.tool_calls.%d.id", index);
    assert_true(strncmp(text_at(a, path), "call_", 5) == 0 || strlen(text_at(a, path)) == 9);
    json_decref(got);
    json_decref(wanted);
}

static void test_a_call_is_told_with_its_text_before_it(void **state)
{
    (void)state;
    json_t *a = asked("hermes", "," TOOLS);
    assert_call(a, 0, "weather", "{\"city\":\"Rome\",\"days\":3}");
    assert_int_equal(json_array_size(json_at(a, "choices.0.message.tool_calls")), 1);
    assert_int_equal(strncmp(text_at(a, "choices.0.message.content"), "I look.", 7), 0);
    assert_string_equal(text_at(a, "choices.0.finish_reason"), "tool_calls");
    json_decref(a);
}

static void test_several_calls_or_one_as_the_request_says(void **state)
{
    (void)state;
    json_t *a = asked("twice", "," TOOLS);
    assert_call(a, 0, "weather", "{\"city\":\"Rome\"}");
    assert_call(a, 1, "other", "{}");
    assert_true(json_is_null(json_at(a, "choices.0.message.content")));
    json_decref(a);
    a = asked("twice", "," TOOLS ",\"parallel_tool_calls\":false");
    assert_int_equal(json_array_size(json_at(a, "choices.0.message.tool_calls")), 1);
    json_decref(a);
}

/* The grammar holds from the marker on: a tool that is not there cannot be called, nor with other arguments. */
static void test_a_call_has_a_name_and_arguments_of_a_tool_whatever_the_model_wants(void **state)
{
    (void)state;
    for (int seed = 0; seed < 8; seed++) {
        json_t *a = asked("wrong",
            text_of(
                ",\"seed\":%d,\"temperature\":1.5,\"top_k\":-1,\"tools\":["
                "{\"type\":\"function\",\"function\":{\"name\":\"weather\",\"strict\":true,\"parameters\":{\"type\":"
                "\"object\",\"properties\":{\"n\":{\"type\":\"integer\",\"minimum\":1,\"maximum\":99}},"
                "\"required\":[\"n\"],\"additionalProperties\":false}}}]",
                seed));
        json_t *got = json_loads(text_at(a, "choices.0.message.tool_calls.0.function.arguments"), 0, NULL);
        assert_string_equal(text_at(a, "choices.0.message.tool_calls.0.function.name"), "weather");
        assert_in_range(json_integer_value(json_object_get(got, "n")), 1, 99);
        json_decref(got);
        json_decref(a);
    }
}

static void test_choices_of_tools(void **state)
{
    (void)state;
    json_t *a = asked(
        "plain", "," TOOLS ",\"tool_choice\":{\"type\":\"function\",\"function\":{\"name\":\"other\"}}");
    assert_string_equal(text_at(a, "choices.0.message.tool_calls.0.function.name"), "other");
    assert_int_equal(json_array_size(json_at(a, "choices.0.message.tool_calls")), 1);
    json_decref(a);
    a = asked("hermes", "," TOOLS ",\"tool_choice\":\"none\"");
    assert_null(json_object_get(json_at(a, "choices.0.message"), "tool_calls"));
    assert_non_null(strstr(text_at(a, "choices.0.message.content"), "<tool_call>"));
    assert_string_equal(text_at(a, "choices.0.finish_reason"), "stop");
    json_decref(a);
    a = asked("hermes", "");
    assert_non_null(strstr(text_at(a, "choices.0.message.content"), "</tool_call>"));
    json_decref(a);
}

static void test_other_families_write_calls_their_own_way(void **state)
{
    (void)state;
    json_t *a = asked("mistral", "," TOOLS);
    assert_call(a, 0, "weather", "{\"city\":\"Rome\"}");
    json_decref(a);
    a = asked("generic", "," TOOLS);
    assert_call(a, 0, "weather", "{\"city\":\"Oslo\"}");
    json_decref(a);
}

static void test_reasoning_is_split_from_the_text(void **state)
{
    (void)state;
    json_t *a = asked("thinker", "," TOOLS);
    assert_string_equal(text_at(a, "choices.0.message.reasoning_content"), "Hm, Rome.");
    assert_string_equal(text_at(a, "choices.0.message.content"), "I look.");
    assert_call(a, 0, "weather", "{\"city\":\"Rome\"}");
    assert_true(number_at(a, "usage.completion_tokens_details.reasoning_tokens") > 0);
    json_decref(a);
    a = asked("thinker", ",\"include_reasoning\":false");
    assert_null(json_object_get(json_at(a, "choices.0.message"), "reasoning_content"));
    json_decref(a);
    a = asked("thinker", ",\"reasoning_format\":\"none\"");
    assert_int_equal(strncmp(text_at(a, "choices.0.message.content"), "<think>\nHm, Rome.\n</think>", 26), 0);
    json_decref(a);
    a = asked("plain", "");
    assert_string_equal(text_at(a, "choices.0.message.reasoning_content"), "a");
    assert_string_equal(text_at(a, "choices.0.message.content"), "text < with <tool and <thinking> marks");
    json_decref(a);
}

static void test_a_form_begins_where_the_reasoning_ends(void **state)
{
    (void)state;
    json_t *a = asked("thinker", ",\"guided_choice\":[\"yes\",\"no\"]");
    assert_string_equal(text_at(a, "choices.0.message.reasoning_content"), "Hm, Rome.");
    const char *text = text_at(a, "choices.0.message.content");
    assert_true(strcmp(text, "yes") == 0 || strcmp(text, "no") == 0);
    json_decref(a);
}

static void test_a_budget_ends_the_reasoning(void **state)
{
    static const char *const budgets[] = {"\"reasoning_budget\":2", "\"thinking_budget\":2",
        "\"thinking\":{\"type\":\"enabled\",\"budget_tokens\":2}"};
    (void)state;
    for (size_t i = 0; i < sizeof(budgets) / sizeof(budgets[0]); i++) {
        json_t *a = asked("thinker", text_of(",%s,\"guided_choice\":[\"yes\",\"no\"]", budgets[i]));
        const char *text = text_at(a, "choices.0.message.content");
        assert_true(strcmp(text, "yes") == 0 || strcmp(text, "no") == 0);
        assert_true(strlen(text_at(a, "choices.0.message.reasoning_content")) < strlen("Hm, Rome."));
        json_decref(a);
    }
    json_t *a = server_post_json(
        server, CHAT, 400, "{\"model\":\"thinker\"," HELLO ",\"thinking\":{\"type\":\"much\"}}");
    assert_string_equal(text_at(a, "error.param"), "thinking");
    json_decref(a);
}

/* ---- streams ---- */

struct streamed {
    char text[1024], reasoning[256], arguments[2][512], name[2][64], finish[32];
    int calls;
};

static void add(char *to, size_t room, const json_t *text)
{
    if (json_is_string(text))
        strncat(to, json_string_value(text), room - strlen(to) - 1);
}

static void take_call(struct streamed *s, const json_t *call)
{
    json_int_t i = json_integer_value(json_object_get(call, "index"));
    const json_t *function = json_object_get(call, "function"), *name = json_object_get(function, "name");
    assert_in_range(i, 0, 1);
    if (name) {
        s->calls++;
        assert_true(json_string_length(json_object_get(call, "id")) >= 9);
        assert_string_equal(json_string_value(json_object_get(call, "type")), "function");
        add(s->name[i], sizeof(s->name[i]), name);
    }
    add(s->arguments[i], sizeof(s->arguments[i]), json_object_get(function, "arguments"));
}

static struct streamed streamed(const char *model, const char *fields)
{
    struct events e;
    struct streamed s = {0};
    events_open(&e, server, CHAT,
        text_of("{\"model\":\"%s\"," HELLO ",\"max_tokens\":300,\"stream\":true%s}", model, fields));
    for (json_t *event; (event = events_json(&e)); json_decref(event)) {
        const json_t *delta = json_at(event, "choices.0.delta");
        add(s.text, sizeof(s.text), json_object_get(delta, "content"));
        add(s.reasoning, sizeof(s.reasoning), json_object_get(delta, "reasoning_content"));
        add(s.finish, sizeof(s.finish), json_at(event, "choices.0.finish_reason"));
        for (size_t i = 0; i < json_array_size(json_object_get(delta, "tool_calls")); i++)
            take_call(&s, json_array_get(json_object_get(delta, "tool_calls"), i));
    }
    events_close(&e);
    return s;
}

static void test_a_stream_tells_calls_with_indices_and_ids(void **state)
{
    (void)state;
    struct streamed s = streamed("twice", "," TOOLS);
    assert_int_equal(s.calls, 2);
    assert_string_equal(s.name[0], "weather");
    assert_string_equal(s.arguments[0], "{\"city\": \"Rome\"}");
    assert_string_equal(s.name[1], "other");
    assert_string_equal(s.arguments[1], "{}");
    assert_string_equal(s.text, "");
    assert_string_equal(s.finish, "tool_calls");
    s = streamed("thinker", "," TOOLS);
    assert_string_equal(s.reasoning, "Hm, Rome.");
    assert_string_equal(s.text, "I look.");
    assert_string_equal(s.arguments[0], "{\"city\": \"Rome\"}");
}

/* Nothing of the text is lost, nor of a call that max_tokens cuts. */
static void test_an_answer_that_is_cut_keeps_what_came(void **state)
{
    (void)state;
    json_t *a =
        server_post_json(server, CHAT, 200, "{\"model\":\"twice\"," HELLO ",\"max_tokens\":14," TOOLS "}");
    assert_string_equal(text_at(a, "choices.0.finish_reason"), "length");
    const char *arguments = text_at(a, "choices.0.message.tool_calls.0.function.arguments");
    assert_int_equal(strncmp("{\"city\": \"Rome\"}", arguments, strlen(arguments)), 0);
    json_decref(a);
}

/* ---- history ---- */

static void test_an_answer_goes_on_with_the_last_message(void **state)
{
    (void)state;
    json_t *a = server_post_json(server, "/v1/tokenize", 200,
        "{\"model\":\"generic\",\"continue_final_message\":true,\"messages\":[{\"role\":\"user\",\"content\":\"Hi\"},"
        "{\"role\":\"assistant\",\"content\":\" Well, \"}]}");
    json_t *tokens = json_pack("{s:s, s:O}", "model", "generic", "tokens", json_at(a, "tokens"));
    char *body = json_dumps(tokens, 0);
    json_t *text = server_post_json(server, "/v1/detokenize", 200, body);
    assert_string_equal(text_at(text, "text"), "user: Hi\nassistant:  Well,");
    free(body);
    json_decref(text);
    json_decref(tokens);
    json_decref(a);
    a = server_post_json(
        server, CHAT, 400, "{\"model\":\"generic\"," HELLO ",\"continue_final_message\":true}");
    assert_string_equal(text_at(a, "error.param"), "continue_final_message");
    json_decref(a);
}

static int begin(void **state)
{
    (void)state;
    const char *dir = temp_dir();
    for (size_t i = 0; i < sizeof(models) / sizeof(models[0]); i++)
        write_tiny_model(dir, text_of("%s.gguf", models[i].name),
            &(struct tiny_model){
                .context = 4096, .template = models[i].template, .recites = models[i].recites});
    server = server_start(&(struct setup){.models = dir});
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
        cmocka_unit_test(test_a_call_is_told_with_its_text_before_it),
        cmocka_unit_test(test_several_calls_or_one_as_the_request_says),
        cmocka_unit_test(test_a_call_has_a_name_and_arguments_of_a_tool_whatever_the_model_wants),
        cmocka_unit_test(test_choices_of_tools),
        cmocka_unit_test(test_other_families_write_calls_their_own_way),
        cmocka_unit_test(test_reasoning_is_split_from_the_text),
        cmocka_unit_test(test_a_form_begins_where_the_reasoning_ends),
        cmocka_unit_test(test_a_budget_ends_the_reasoning),
        cmocka_unit_test(test_a_stream_tells_calls_with_indices_and_ids),
        cmocka_unit_test(test_an_answer_that_is_cut_keeps_what_came),
        cmocka_unit_test(test_an_answer_goes_on_with_the_last_message),
    };
    return cmocka_run_group_tests(tests, begin, end);
}
