/* test_chat_formats.c - templates get their family's row; instructions, ids and history for those that know no tools. */
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <setjmp.h>

#include <cmocka.h>

#include "berth/engine/template/template.h"
#include "chat_answer.h"

/* What a template must contain to be of a family, in sentences of our own. */
static const struct {
    const char *format, *source;
    bool tools;
} sources[] = {
    {"gpt-oss", "<|channel|>analysis<|message|>x<|end|> commentary {{ tools }}", true},
    {"command-r7b", "{{ tools }}<|START_ACTION|>[<|END_ACTION|><|START_THINKING|>", true},
    {"deepseek-v3.2", "{{ tools }}<｜DSML｜invoke><think>", true},
    {"deepseek-r1", "{{ tools }}<think><｜tool▁calls▁begin｜>\n```json\n", true},
    {"deepseek-v3", "{{ tools }}<｜tool▁calls▁begin｜>\n```json\n", true},
    {"deepseek-v3.1", "{{ tools }}<think><｜tool▁calls▁begin｜><｜tool▁sep｜>", true},
    {"kimi-k2-thinking", "{{ tools }}<|im_user|>user<|im_middle|><think></think>", true},
    {"kimi-k2", "{{ tools }}<|im_user|>user<|im_middle|>", true},
    {"minimax-m2", "{{ tools }}<minimax:tool_call><think>", true},
    {"seed-oss", "{{ tools }}<seed:tool_call>\n<function=f><seed:think>", true},
    {"gemma-4", "{{ tools }}<|tool_call>call:", true},
    {"functiongemma", "{{ tools }}<start_of_turn><start_function_call>call:", true},
    {"lfm2", "{{ tools }}<|tool_call_start|>[", true},
    {"mistral-think", "{{ tools }}[TOOL_CALLS][ARGS][THINK]", true},
    {"mistral-call-id", "{{ tools }}[TOOL_CALLS]f[CALL_ID]x[ARGS]", true},
    {"mistral", "{{ tools }}[TOOL_CALLS]f[ARGS]", true},
    {"mistral-list", "{{ tools }}[TOOL_CALLS] [", true},
    {"granite-4", "{{ tools }}<|start_of_role|><tool_call>", true},
    {"granite-3.3", "{{ tools }}<|start_of_role|><|tool_call|><think></think><response>", true},
    {"granite-3.2", "{{ tools }}<|start_of_role|><|tool_call|>'Here is my thought process:'", true},
    {"granite-3", "{{ tools }}<|start_of_role|><|tool_call|>", true},
    {"functools", "{{ tools }}<|tool|>functools[", true},
    {"phi-4-mini", "{{ tools }}<|tool|><|tool_call|>", true},
    {"phi-4-mini-list", "{{ tools }}<|tool|>", true},
    {"glm-4.7", "{{ tools }}<think><tool_call>{name}<arg_key>", true},
    {"glm-4.5", "{{ tools }}<think><tool_call>{name}\n<arg_key>", true},
    {"qwen3-coder-think", "{{ tools }}<think><tool_call>\n<function=f>", true},
    {"qwen3-coder", "{{ tools }}<tool_call>\n<function=f>", true},
    {"nemotron-think", "{{ tools }}<think><TOOLCALL>[", true},
    {"nemotron", "{{ tools }}<TOOLCALL>[", true},
    {"hunyuan-a13b", "{{ tools }}<think><tool_calls>[", true},
    {"ernie-4.5-think", "{{ tools }}<think><tool_call><response>", true},
    {"llama-pythonic", "{{ tools }}[func_name1(params=1)]", true},
    {"llama3-json", "{{ tools }}{\"name\": function name, \"parameters\": dictionary of argument name}",
        true},
    {"hermes-think", "{{ tools }}<think><tool_call>", true},
    {"hermes", "{{ tools }}<tool_call>", true},
    {"generic-think", "{{ tools }}<think>", true},
    {"generic-think", "<think><｜tool▁calls▁begin｜>\n```json\n", false},
    {"generic-mistral-think", "[TOOL_CALLS][THINK]", false},
    {"gemma", "<start_of_turn>model", false},
    {"generic", "<|im_start|>assistant", false},
};

static void test_a_template_gets_the_row_of_its_family(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof(sources) / sizeof(sources[0]); i++) {
        struct error err = {0};
        char source[1024];
        snprintf(source, sizeof(source), "%s", sources[i].source);
        struct template *t = template_parse(span_of(source), &err);
        if (!t)
            fail_msg("%s: %s", source, err.text);
        const struct chat_format *f = chat_format_of(t);
        assert_string_equal(chat_format_name(f), sources[i].format);
        assert_int_equal(chat_format_has_tools(f, t), sources[i].tools);
        assert_int_equal(chat_format_reasons(f), chat_format_reasoning_end(f).size > 0);
        template_free(t);
    }
    assert_string_equal(chat_format_name(chat_format_of(NULL)), "generic");
}

static void test_a_prompt_opens_reasoning_when_it_ends_with_the_mark(void **state)
{
    (void)state;
    const struct chat_format *f = chat_format_find(span_of("hermes-think"));
    assert_true(chat_format_opens_reasoning(f, span_of("assistant\n<think>\n")));
    assert_true(chat_format_opens_reasoning(f, span_of("<think>")));
    assert_false(chat_format_opens_reasoning(f, span_of("<think>\n\n</think>\n\n")));
    assert_false(chat_format_opens_reasoning(f, span_of("user\nWhat is <think>?\nassistant\n")));
    assert_false(chat_format_opens_reasoning(f, span_of("")));
    f = chat_format_find(span_of("hermes"));
    assert_false(chat_format_opens_reasoning(f, span_of("<think>\n")));
    f = chat_format_find(span_of("gemma-4"));
    assert_true(chat_format_opens_reasoning(f, span_of("<|turn>model\n<|channel>thought\n")));
}

static void test_templates_that_join_arguments_want_text(void **state)
{
    (void)state;
    static const struct {
        const char *source;
        bool text;
    } joins[] = {{"{{ '<a>' + tool['function']['arguments'] + '<b>' }}", true},
        {"{{ tool.function.arguments | tojson }}", false},
        {"{% if c.arguments is string %}{{ c.arguments + '' }}{% endif %}", false}};
    struct error err = {0};
    for (size_t i = 0; i < 3; i++) {
        struct template *t = template_parse(span_of(joins[i].source), &err);
        assert_non_null(t);
        assert_int_equal(chat_format_wants_text_arguments(t), joins[i].text);
        template_free(t);
    }
    assert_false(chat_format_wants_text_arguments(NULL));
}

static void test_earlier_reasoning_has_the_name_that_the_template_knows(void **state)
{
    (void)state;
    struct error err = {0};
    const struct chat_format *f = chat_format_find(span_of("gpt-oss"));
    struct template *t = template_parse(span_of("{{ message.thinking }}"), &err);
    assert_string_equal(chat_format_reasoning_member(f, t), "thinking");
    template_free(t);
    t = template_parse(span_of("{{ message.reasoning_content }}"), &err);
    assert_string_equal(chat_format_reasoning_member(f, t), "reasoning_content");
    template_free(t);
    assert_string_equal(chat_format_reasoning_member(f, NULL), "reasoning_content");
}

static void test_ids_are_what_the_family_takes(void **state)
{
    (void)state;
    static const struct {
        const char *format, *written, *id;
        size_t size;
    } ids[] = {{"kimi-k2", "3", "functions.f:3", 13}, {"kimi-k2", "", NULL, 25}, {"mistral", "", NULL, 9},
        {"mistral-call-id", "abcDEF123", "abcDEF123", 9}, {"hermes", "", NULL, 25},
        {"command-r7b", "0", NULL, 25}};
    for (size_t i = 0; i < sizeof(ids) / sizeof(ids[0]); i++) {
        struct strbuf one, other;
        const struct chat_format *f = chat_format_find(span_of(ids[i].format));
        strbuf_init(&one, 100);
        strbuf_init(&other, 100);
        chat_format_call_id(f, span_of("f"), span_of(ids[i].written), 0x123456789abcdef0u, &one);
        chat_format_call_id(f, span_of("f"), span_of(ids[i].written), 0x923456789abcdef1u, &other);
        assert_int_equal(one.size, ids[i].size);
        if (ids[i].id)
            assert_string_equal(one.text, ids[i].id);
        else
            assert_string_not_equal(one.text, other.text);
        strbuf_release(&one);
        strbuf_release(&other);
    }
}

/* ---- templates without tools ---- */

static void test_instructions_list_the_tools_that_are_offered(void **state)
{
    (void)state;
    struct strbuf out;
    struct value_arena *a = value_arena_new((size_t)1 << 20);
    struct value tools = parsed_value(a,
        "[{\"type\": \"function\", \"function\": {\"name\": \"f\", \"description\": \"x\\ny\", \"parameters\": "
        "{\"a\": [1.5, 2, true, null, {}]}}}, {\"type\": \"function\", \"function\": {\"name\": \"g\"}}]");
    struct chat_tool offered = {.name = span_of("f")};
    strbuf_init(&out, (size_t)1 << 16);
    assert_true(chat_format_instructions(&offered, 1, tools, &out));
    assert_non_null(
        strstr(out.text, "\n{\"name\": \"f\", \"description\": \"x\\ny\", \"parameters\": {\"a\": [1.5, 2, "
                         "true, null, {}]}}\n"));
    assert_null(strstr(out.text, "\"g\""));
    assert_non_null(strstr(out.text, "<tool_call>\n{\"name\": "));
    strbuf_release(&out);
    strbuf_init(&out, 100);
    assert_false(chat_format_instructions(&offered, 1, tools, &out));
    strbuf_release(&out);
    value_arena_free(a);
}

static void check_history(const char *messages, const char *expected)
{
    struct strbuf out;
    struct value_arena *a = value_arena_new((size_t)1 << 20);
    struct value text = chat_history_as_text(a, parsed_value(a, messages));
    assert_int_equal(text.kind, VALUE_LIST);
    strbuf_init(&out, (size_t)1 << 16);
    for (size_t i = 0; i < text.list->n; i++) {
        struct value message = text.list->items[i];
        for (size_t k = 0; k < message.map->n; k++) {
            struct span key = value_span(message.map->pairs[k].key);
            struct span value = value_span(message.map->pairs[k].value);
            strbuf_format(&out, "%.*s=%.*s|", (int)key.size, (const char *)key.at, (int)value.size,
                (const char *)value.at);
        }
        strbuf_text(&out, "/");
    }
    assert_string_equal(out.text, expected);
    strbuf_release(&out);
    value_arena_free(a);
}

static void test_history_becomes_text_in_turns(void **state)
{
    (void)state;
    check_history(
        "[{\"role\": \"user\", \"content\": \"Hi\"}, {\"role\": \"assistant\", \"content\": \"Yes\"}]",
        "role=user|content=Hi|/role=assistant|content=Yes|/");
    check_history(
        "[{\"role\": \"assistant\", \"content\": \"I look.\", \"tool_calls\": [{\"id\": \"1\", \"function\": {\"name\": "
        "\"f\", \"arguments\": {\"a\": 1}}}, {\"id\": \"2\", \"function\": {\"name\": \"g\", \"arguments\": \"{}\"}}]}, "
        "{\"role\": \"tool\", \"tool_call_id\": \"1\", \"content\": \"one\"}, "
        "{\"role\": \"tool\", \"tool_call_id\": \"2\", \"content\": [{\"type\": \"text\", \"text\": \"two\"}]}, "
        "{\"role\": \"user\", \"content\": \"And?\"}]",
        "role=assistant|content=I look.\n<tool_call>\n{\"name\": \"f\", \"arguments\": {\"a\": 1}}\n</tool_call>\n"
        "<tool_call>\n{\"name\": \"g\", \"arguments\": {}}\n</tool_call>|/"
        "role=user|content=<tool_response>\none\n</tool_response>\n<tool_response>\ntwo\n</tool_response>\nAnd?|/");
    check_history(
        "[{\"role\": \"assistant\", \"content\": null, \"function_call\": {\"name\": \"f\", \"arguments\": \"\"}}, "
        "{\"role\": \"function\", \"name\": \"f\", \"content\": \"x\"}, {\"role\": \"assistant\", \"content\": "
        "\"y\"}]",
        "role=assistant|content=<tool_call>\n{\"name\": \"f\", \"arguments\": {}}\n</tool_call>|/"
        "role=user|content=<tool_response>\nx\n</tool_response>|/role=assistant|content=y|/");
    check_history("[]", "");
}

static void test_history_beyond_memory_is_undefined(void **state)
{
    (void)state;
    struct value_arena *a = value_arena_new((size_t)1 << 20), *small = value_arena_new(400);
    struct value messages =
        parsed_value(a, "[{\"role\": \"tool\", \"content\": \"0123456789012345678901234567890123456789"
                        "0123456789012345678901234567890123456789012345678901234567890123456789"
                        "0123456789012345678901234567890123456789012345678901234567890123456789"
                        "0123456789012345678901234567890123456789012345678901234567890123456789\"}]");
    assert_int_equal(chat_history_as_text(small, messages).kind, VALUE_UNDEFINED);
    value_arena_free(a);
    value_arena_free(small);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_a_template_gets_the_row_of_its_family),
        cmocka_unit_test(test_a_prompt_opens_reasoning_when_it_ends_with_the_mark),
        cmocka_unit_test(test_templates_that_join_arguments_want_text),
        cmocka_unit_test(test_earlier_reasoning_has_the_name_that_the_template_knows),
        cmocka_unit_test(test_ids_are_what_the_family_takes),
        cmocka_unit_test(test_instructions_list_the_tools_that_are_offered),
        cmocka_unit_test(test_history_becomes_text_in_turns),
        cmocka_unit_test(test_history_beyond_memory_is_undefined),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
