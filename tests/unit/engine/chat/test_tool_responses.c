/* test_tool_responses.c - results of tools as members of the message with their calls, and what a template of Gemma 4's form
 * writes of them.
 *
 * The two templates are our own. They have what the published ones do with calls, results and turns: the first knows
 * results as `tool_responses` alone; the later one reads messages of tools, too, and goes on with a turn of the model.
 */
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <setjmp.h>

#include <cmocka.h>

#include "berth/engine/template/template.h"
#include "chat_answer.h"

#define CALLS                                                                                                \
    "{%- macro show(v) -%}{%- if v is mapping -%}{%- for k, x in v | dictsort -%}{{ k }}:{{ show(x) }}"      \
    "{%- if not loop.last %},{% endif -%}{%- endfor -%}{%- elif v is string -%}<|\"|>{{ v }}<|\"|>"          \
    "{%- else -%}{{ v }}{%- endif -%}{%- endmacro -%}"                                                       \
    "{%- macro result(name, v) -%}{{ '<|tool_response>response:' + name | default('unknown') + '{' }}"       \
    "{%- if v is mapping -%}{{ show(v) }}{%- else -%}value:{{ show(v) }}{%- endif -%}"                       \
    "{{ '}<tool_response|>' }}{%- endmacro -%}"                                                              \
    "{%- set ns = namespace(last='', before='') -%}{{ tools }}"

#define BODY                                                                                                 \
    "{%- for c in m['tool_calls'] -%}{{ '<|tool_call>call:' + c['function']['name'] + '{' }}"                \
    "{{- show(c['function']['arguments']) }}{{ '}<tool_call|>' }}{%- set ns.last = 'call' -%}"               \
    "{%- endfor -%}"                                                                                         \
    "{%- for r in m['tool_responses'] -%}{{ result(r['name'], r['response']) }}"                             \
    "{%- set ns.last = 'response' -%}{%- endfor -%}"

#define END                                                                                                  \
    "{%- endfor -%}{%- if add_generation_prompt and ns.last != 'response' -%}{{ '<|turn>model\\n' }}"        \
    "{%- endif -%}"

#define FIRST                                                                                                \
    CALLS "{%- for m in messages -%}{%- set ns.last = '' -%}"                                                \
          "{{ '<|turn>' + ('model' if m['role'] == 'assistant' else m['role']) + '\\n' }}" BODY              \
          "{{- m['content'] | trim -}}"                                                                      \
          "{%- if not (m['tool_responses'] and not m['content']) -%}{{ '<turn|>\\n' }}{%- endif -%}" END

#define LATER                                                                                                \
    CALLS "{%- for m in messages -%}{%- if m['role'] != 'tool' -%}{%- set ns.last = '' -%}"                  \
          "{%- if not (m['role'] == 'assistant' and ns.before == 'assistant') -%}"                           \
          "{{ '<|turn>' + ('model' if m['role'] == 'assistant' else m['role']) + '\\n' }}{%- endif -%}" BODY \
          "{%- if m['tool_calls'] and not m['tool_responses'] -%}"                                           \
          "{%- set at = namespace(on=true) -%}{%- for f in messages[loop.index0 + 1:] -%}"                   \
          "{%- if f['role'] != 'tool' -%}{%- set at.on = false -%}{%- elif at.on -%}"                        \
          "{%- set own = namespace(name='unknown') -%}{%- for c in m['tool_calls'] -%}"                      \
          "{%- if c['id'] == f['tool_call_id'] -%}{%- set own.name = c['function']['name'] -%}{%- endif -%}" \
          "{%- endfor -%}{{ result(own.name, f['content']) }}{%- set ns.last = 'response' -%}"               \
          "{%- endif -%}{%- endfor -%}{%- endif -%}"                                                         \
          "{{- m['content'] | trim -}}"                                                                      \
          "{%- if not (ns.last == 'response' and not m['content']) -%}{{ '<turn|>\\n' }}{%- endif -%}"       \
          "{%- set ns.before = m['role'] -%}{%- endif -%}" END

static char *rendered(const char *source, const char *messages, bool moved, bool *wants)
{
    struct error err = {0};
    struct template_text text = {0};
    struct value_arena *a = value_arena_new((size_t)1 << 20);
    struct template *t = template_parse(span_of(source), &err);
    if (!t)
        fail_msg("%s", err.text);
    *wants = chat_format_wants_responses(t);
    struct value vars = value_map(a, 2), list = parsed_value(a, messages);
    if (moved)
        list = chat_history_with_responses(a, list);
    assert_int_equal(list.kind, VALUE_LIST);
    value_set(a, vars, value_literal("messages"), list);
    value_set(a, vars, value_literal("add_generation_prompt"), value_bool(true));
    if (!template_render(t, vars, 0, NULL, &text, &err))
        fail_msg("%s", err.text);
    char *copy = strdup(text.text);
    template_text_release(&text);
    template_free(t);
    value_arena_free(a);
    return copy;
}

static void assert_rendered(const char *source, const char *messages, bool moved, const char *expected)
{
    bool wants;
    char *text = rendered(source, messages, moved, &wants);
    assert_true(wants);
    if (strcmp(text, expected) != 0)
        fail_msg("%s\nis not\n%s", text, expected);
    free(text);
}

#define ASKED "{\"role\": \"user\", \"content\": \"Rome?\"}"
#define CALL(id, name, value)                                                                                \
    "{\"id\": \"" id "\", \"type\": \"function\", \"function\": {\"name\": \"" name                          \
    "\", \"arguments\": {\"city\": \"" value "\"}}}"
#define CALLED                                                                                               \
    "{\"role\": \"assistant\", \"content\": \"\", \"tool_calls\": [" CALL("1", "weather", "Rome") "]}"
#define TOLD "{\"role\": \"tool\", \"tool_call_id\": \"1\", \"content\": \"sunny\"}"
#define WRITTEN_CALL "<|tool_call>call:weather{city:<|\"|>Rome<|\"|>}<tool_call|>"
#define WRITTEN                                                                                              \
    "<|turn>user\nRome?<turn|>\n<|turn>model\n" WRITTEN_CALL                                                 \
    "<|tool_response>response:weather{value:<|\"|>sunny<|\"|>}<tool_response|>"

/* The model goes on in the same turn, so nothing stands behind the result. */
static void test_a_result_stands_behind_its_call(void **state)
{
    (void)state;
    assert_rendered(FIRST, "[" ASKED "," CALLED "," TOLD "]", true, WRITTEN);
    assert_rendered(LATER, "[" ASKED "," CALLED "," TOLD "]", true, WRITTEN);
    assert_rendered(LATER, "[" ASKED "," CALLED "," TOLD "]", false, WRITTEN);
}

/* So a prompt begins with the prompt before it and what the model wrote then. */
static void test_the_answer_stands_behind_the_result(void **state)
{
    static const char messages[] = "[" ASKED "," CALLED "," TOLD ","
                                   "{\"role\": \"assistant\", \"content\": \"Sun.\"},"
                                   "{\"role\": \"user\", \"content\": \"And?\"}]";
    static const char text[] = WRITTEN "Sun.<turn|>\n<|turn>user\nAnd?<turn|>\n<|turn>model\n";
    (void)state;
    assert_rendered(FIRST, messages, true, text);
    assert_rendered(LATER, messages, true, text);
    assert_rendered(LATER, messages, false, text);
}

static void test_results_have_the_names_of_their_calls(void **state)
{
    static const char messages[] =
        "[" ASKED ",{\"role\": \"assistant\", \"content\": null, \"tool_calls\": [" CALL(
            "1", "weather", "Rome") "," CALL("2", "time",
            "Rome") "]},"
                    "{\"role\": \"tool\", \"tool_call_id\": \"2\", \"content\": [{\"type\": \"text\", \"text\": "
                    "\"noon\"}]},"
                    "{\"role\": \"tool\", \"name\": \"own\", \"content\": \"x\"},"
                    "{\"role\": \"tool\", \"tool_call_id\": \"9\", \"content\": \"y\"}]";
    (void)state;
    assert_rendered(FIRST, messages, true,
        "<|turn>user\nRome?<turn|>\n<|turn>model\n" WRITTEN_CALL
        "<|tool_call>call:time{city:<|\"|>Rome<|\"|>}<tool_call|>"
        "<|tool_response>response:time{value:<|\"|>noon<|\"|>}<tool_response|>"
        "<|tool_response>response:own{value:<|\"|>x<|\"|>}<tool_response|>"
        "<|tool_response>response:unknown{value:<|\"|>y<|\"|>}<tool_response|>");
}

/* The template would write it behind the results. */
static void test_text_before_calls_is_a_message_of_its_own(void **state)
{
    (void)state;
    assert_rendered(FIRST,
        "[" ASKED ",{\"role\": \"assistant\", \"content\": \"I look.\", \"tool_calls\": [" CALL(
            "1", "weather", "Rome") "]}," TOLD "]",
        true,
        "<|turn>user\nRome?<turn|>\n<|turn>model\nI look.<turn|>\n<|turn>model\n" WRITTEN_CALL
        "<|tool_response>response:weather{value:<|\"|>sunny<|\"|>}<tool_response|>");
}

static void test_other_messages_stay_as_they_are(void **state)
{
    static const char *const messages[] = {"[]", "[" ASKED "]", "[" ASKED "," CALLED "]",
        "[" ASKED "," TOLD "]",
        "[{\"role\": \"assistant\", \"content\": \"a\"},{\"role\": \"assistant\", \"content\": \"b\"}]",
        "[{\"role\": \"assistant\", \"content\": \"a\", \"tool_calls\": [" CALL(
            "1", "f", "x") "], \"tool_responses\": [{\"name\": \"f\", \"response\": {\"a\": 1}}]}," TOLD "]"};
    (void)state;
    for (size_t i = 0; i < sizeof(messages) / sizeof(messages[0]); i++) {
        bool wants;
        char *before = rendered(FIRST, messages[i], false, &wants);
        assert_rendered(FIRST, messages[i], true, before);
        free(before);
    }
}

static void test_results_beyond_memory_are_undefined(void **state)
{
    (void)state;
    struct value_arena *a = value_arena_new((size_t)1 << 20), *small = value_arena_new(400);
    struct value messages = parsed_value(a, "[" CALLED "," TOLD "," TOLD "," TOLD "," TOLD "," TOLD "]");
    assert_int_equal(chat_history_with_responses(small, messages).kind, VALUE_UNDEFINED);
    value_arena_free(a);
    value_arena_free(small);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_a_result_stands_behind_its_call),
        cmocka_unit_test(test_the_answer_stands_behind_the_result),
        cmocka_unit_test(test_results_have_the_names_of_their_calls),
        cmocka_unit_test(test_text_before_calls_is_a_message_of_its_own),
        cmocka_unit_test(test_other_messages_stay_as_they_are),
        cmocka_unit_test(test_results_beyond_memory_are_undefined),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
