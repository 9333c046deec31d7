/* test_chat_reader.c - from tagged text to text, reasoning and calls, in any pieces. */
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <setjmp.h>

#include <cmocka.h>

#include "chat_answer.h"

#define MARK GRAMMAR_TAG_MARK

/* A stretch of an answer with one tag. An empty text with the tag of marks is a control token. */
struct run {
    uint16_t tag;
    const char *text;
};

struct expected {
    const char *text, *reasoning;
    const char *calls[8]; /* names and arguments in turn */
};

static struct chat_form form_of(const char *name)
{
    const struct chat_format *f = chat_format_find(span_of(name));
    assert_non_null(f);
    return (struct chat_form){.format = f, .split_reasoning = true};
}

static void read_runs(const struct chat_form *form, const struct run *runs, size_t n, size_t piece,
    bool whole, struct told *told)
{
    struct chat_reader r;
    chat_reader_init(&r, form, NULL);
    told_init(told);
    for (size_t i = 0; i < n; i++) {
        struct span s = span_of(runs[i].text);
        if (s.size == 0)
            chat_reader_add(&r, runs[i].tag, s, tell_told, told);
        for (size_t at = 0; at < s.size; at += piece) {
            size_t size = s.size - at < piece ? s.size - at : piece;
            chat_reader_add(&r, runs[i].tag, (struct span){s.at + at, size}, tell_told, told);
        }
    }
    chat_reader_end(&r, whole, tell_told, told);
    assert_false(r.failed);
    assert_false(told->cut_characters);
    chat_reader_release(&r);
}

static void check(
    const struct chat_form *form, const struct run *runs, size_t n, bool whole, struct expected e)
{
    for (size_t piece = 1; piece <= 16; piece += 3) {
        struct told t;
        read_runs(form, runs, n, piece, whole, &t);
        assert_string_equal(t.text.text, e.text ? e.text : "");
        assert_string_equal(t.reasoning.text, e.reasoning ? e.reasoning : "");
        size_t calls = 0;
        for (; calls < 4 && e.calls[2 * calls]; calls++) {
            assert_string_equal(t.calls[calls].name, e.calls[2 * calls]);
            assert_string_equal(t.calls[calls].arguments.text, e.calls[2 * calls + 1]);
            assert_true(t.calls[calls].ended);
        }
        assert_int_equal(t.n_calls, calls);
        told_release(&t);
    }
}

#define CHECK(form, runs, whole, ...)                                                                        \
    check(form, runs, sizeof(runs) / sizeof(runs[0]), whole, (struct expected){__VA_ARGS__})

static void test_newlines_beside_marks_are_left_out_and_others_stay(void **state)
{
    (void)state;
    struct chat_form form = form_of("hermes-think");
    const struct run runs[] = {{CHAT_TAG_TEXT, "<think"}, {MARK, ">"},
        {CHAT_TAG_REASONING, "\nOne\n\ntwo.\n</think"}, {MARK, ">"},
        {CHAT_TAG_TEXT, "\n\nText\n\nmore\n<tool_call"}, {MARK, ">\n{\"name\": \""},
        {CHAT_TAG_CALL_NAME, "f"}, {MARK, "\", \"arguments\": "},
        {CHAT_TAG_ARGUMENTS, "{\"a\": [1, \"}\\\"\"]}"}, {MARK, "}\n</tool_call>"},
        {CHAT_TAG_TEXT, "\nEnd\n"}};
    CHECK(&form, runs, true, .text = "Text\n\nmoreEnd\n", .reasoning = "One\n\ntwo.",
        .calls = {"f", "{\"a\": [1, \"}\\\"\"]}"});
}

static void test_a_marker_that_is_not_finished_is_text(void **state)
{
    (void)state;
    struct chat_form form = form_of("hermes-think");
    const struct run runs[] = {{CHAT_TAG_TEXT, "a <tool_cal <<think and </thin\n\n\n<tool_call"}};
    CHECK(&form, runs, true, .text = "a <tool_cal <<think and </thin\n\n\n<tool_call");
    const struct run token[] = {{CHAT_TAG_TEXT, "a <tool_"}, {MARK, ""}, {CHAT_TAG_CALL_NAME, "f"},
        {MARK, "("}, {CHAT_TAG_ARGUMENTS, "{}"}};
    CHECK(&form, token, true, .text = "a <tool_", .calls = {"f", "{}"});
}

static void test_reasoning_that_is_not_split_keeps_its_markers(void **state)
{
    (void)state;
    struct chat_form form = form_of("hermes-think");
    form.split_reasoning = false;
    const struct run runs[] = {{CHAT_TAG_TEXT, "<think"}, {MARK, ">"}, {CHAT_TAG_REASONING, "\nHm\n</think"},
        {MARK, ">"}, {CHAT_TAG_TEXT, "\n\nText"}};
    CHECK(&form, runs, true, .text = "<think>\nHm\n</think>Text");
    form.prompt_end = span_of("<|im_start|>assistant\n<think>\n");
    const struct run opened[] = {{CHAT_TAG_REASONING, "Hm"}, {MARK, ""}, {CHAT_TAG_TEXT, "Text"}};
    CHECK(&form, opened, true, .text = "Hm</think>Text");
}

static void test_bare_values_become_json(void **state)
{
    (void)state;
    struct chat_form form = form_of("qwen3-coder");
    const struct run runs[] = {{MARK, "<tool_call>\n<function="}, {CHAT_TAG_CALL_NAME, "write"},
        {MARK, ">\n<parameter="}, {CHAT_TAG_KEY, "a \"key\""}, {MARK, ">\n"},
        {CHAT_TAG_RAW, "\t\"quoted\" \\ \xc3\xa4\xf0\x9f\x98\x80\n</parameter\n\n</parameter"},
        {MARK, ">\n<parameter="}, {CHAT_TAG_KEY, "empty"}, {MARK, ">\n\n</parameter>\n<parameter="},
        {CHAT_TAG_KEY, "n"}, {MARK, ">\n"}, {CHAT_TAG_VALUE, "[1, 2]"}, {MARK, "\n</parameter>"},
        {CHAT_TAG_CALL_END, "\n"}, {MARK, "</function>\n</tool_call>"}};
    CHECK(&form, runs, true,
        .calls = {"write",
            "{\"a \\\"key\\\"\": \"\\u0009\\\"quoted\\\" \\\\ \xc3\xa4\xf0\x9f\x98\x80\\n</parameter\\n\", "
            "\"empty\": \"\", \"n\": [1, 2]}"});
}

static void test_bytes_that_are_no_character_become_the_replacement_character_in_json(void **state)
{
    (void)state;
    struct chat_form form = form_of("seed-oss");
    const struct run runs[] = {{MARK, "<"}, {CHAT_TAG_CALL_NAME, "f"}, {MARK, ">"}, {CHAT_TAG_KEY, "k"},
        {MARK, ">"}, {CHAT_TAG_RAW, "a\xff\xc3z\xe2\x82"}, {MARK, "</parameter>"}, {CHAT_TAG_CALL_END, "\n"}};
    CHECK(
        &form, runs, true, .calls = {"f", "{\"k\": \"a\xef\xbf\xbd\xef\xbf\xbdz\xef\xbf\xbd\xef\xbf\xbd\"}"});
}

static void test_literals_of_python_become_those_of_json(void **state)
{
    (void)state;
    struct chat_form form = form_of("lfm2");
    const struct run runs[] = {{MARK, "["}, {CHAT_TAG_CALL_NAME, "f"}, {MARK, "("}, {CHAT_TAG_KEY, "a"},
        {MARK, "="}, {JSON_TAG_TRUE, "True"}, {MARK, ", "}, {CHAT_TAG_KEY, "b"}, {MARK, "="},
        {CHAT_TAG_VALUE, "["}, {JSON_TAG_NULL, "None"}, {CHAT_TAG_VALUE, ", "}, {JSON_TAG_FALSE, "False"},
        {CHAT_TAG_VALUE, ", \"True\"]"}, {CHAT_TAG_CALL_END, ")"}, {MARK, ", "}, {CHAT_TAG_CALL_NAME, "g"},
        {MARK, "("}, {CHAT_TAG_CALL_END, ")"}, {MARK, "]"}};
    CHECK(&form, runs, true, .calls = {"f", "{\"a\": true, \"b\": [null, false, \"True\"]}", "g", "{}"});
}

static void test_calls_between_control_tokens_end_where_the_next_thing_begins(void **state)
{
    (void)state;
    struct chat_form form = form_of("glm-4.7");
    const struct run runs[] = {{MARK, ""}, {CHAT_TAG_CALL_NAME, "f"}, {MARK, ""}, {CHAT_TAG_KEY, "a"},
        {MARK, ""}, {CHAT_TAG_RAW, "x</arg"}, {MARK, ""}, {MARK, ""}, {CHAT_TAG_KEY, "b"}, {MARK, ""},
        {MARK, ""}, {MARK, ""}, {MARK, ""}, {CHAT_TAG_CALL_NAME, "g"}, {MARK, ""}};
    CHECK(&form, runs, true, .calls = {"f", "{\"a\": \"x\", \"b\": \"\"}", "g", "{}"});
}

static void test_a_call_that_is_cut_does_not_end(void **state)
{
    (void)state;
    struct told t;
    struct chat_form form = form_of("seed-oss"), json = form_of("hermes");
    const struct run runs[] = {{MARK, "<"}, {CHAT_TAG_CALL_NAME, "f"}, {MARK, ">"}, {CHAT_TAG_KEY, "k"},
        {MARK, ">"}, {CHAT_TAG_RAW, "abc</para"}};
    read_runs(&form, runs, 6, 1, false, &t);
    assert_int_equal(t.n_calls, 1);
    assert_string_equal(t.calls[0].arguments.text, "{\"k\": \"abc</para");
    assert_false(t.calls[0].ended);
    told_release(&t);
    const struct run half[] = {
        {MARK, "<"}, {CHAT_TAG_CALL_NAME, "f"}, {MARK, ">"}, {CHAT_TAG_ARGUMENTS, "{\"a\": {}"}};
    read_runs(&json, half, 4, 3, false, &t);
    assert_int_equal(t.n_calls, 1);
    assert_false(t.calls[0].ended);
    told_release(&t);
}

static void test_ids_that_the_model_writes_are_told_before_the_call(void **state)
{
    (void)state;
    struct told t;
    struct chat_form kimi = form_of("kimi-k2"), command = form_of("command-r7b"),
                     mistral = form_of("mistral-list");
    const struct run after[] = {{MARK, "functions."}, {CHAT_TAG_CALL_NAME, "f"}, {MARK, ":"},
        {CHAT_TAG_CALL_ID, "12"}, {MARK, "<>"}, {CHAT_TAG_ARGUMENTS, "{}"}, {MARK, "x"},
        {CHAT_TAG_CALL_NAME, "g"}, {MARK, ":"}, {CHAT_TAG_CALL_ID, "3"}, {MARK, "<>"},
        {CHAT_TAG_ARGUMENTS, "{}"}};
    read_runs(&kimi, after, 12, 1, true, &t);
    assert_int_equal(t.n_calls, 2);
    assert_string_equal(t.calls[0].id, "12");
    assert_string_equal(t.calls[1].id, "3");
    told_release(&t);
    const struct run before[] = {{MARK, "["}, {CHAT_TAG_CALL_ID, "07"}, {MARK, ", "},
        {CHAT_TAG_CALL_NAME, "f"}, {MARK, "\""}, {CHAT_TAG_ARGUMENTS, "{}"}};
    read_runs(&command, before, 6, 1, true, &t);
    assert_string_equal(t.calls[0].id, "07");
    told_release(&t);
    const struct run late[] = {{MARK, "["}, {CHAT_TAG_CALL_NAME, "f"}, {MARK, "\""},
        {CHAT_TAG_ARGUMENTS, "{}"}, {MARK, "\""}, {CHAT_TAG_CALL_ID, "abcdefghi"}, {MARK, "}, "},
        {CHAT_TAG_CALL_NAME, "g"}, {MARK, "\""}, {CHAT_TAG_ARGUMENTS, "{}"}};
    read_runs(&mistral, late, 10, 1, true, &t);
    assert_int_equal(t.n_calls, 2);
    assert_string_equal(t.calls[1].id, "");
    told_release(&t);
}

static void test_a_name_that_decides_is_read_from_what_was_held(void **state)
{
    (void)state;
    struct chat_form form = form_of("llama-pythonic");
    const struct run runs[] = {{CHAT_TAG_TEXT, "[get_it"}, {MARK, "("}, {CHAT_TAG_KEY, "a"}, {MARK, "="},
        {CHAT_TAG_VALUE, "1"}, {CHAT_TAG_CALL_END, ")"}, {MARK, "]"}};
    CHECK(&form, runs, true, .calls = {"get_it", "{\"a\": 1}"});
    const struct run text[] = {{CHAT_TAG_TEXT, "[get_it] is [a"}};
    CHECK(&form, text, true, .text = "[get_it] is [a");
}

static void test_text_without_a_format_is_passed_on(void **state)
{
    (void)state;
    struct chat_form form = {.format = NULL};
    const struct run runs[] = {{CHAT_TAG_TEXT, "<think>\n\xc3\xa4"}};
    CHECK(&form, runs, true, .text = "<think>\n\xc3\xa4");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_newlines_beside_marks_are_left_out_and_others_stay),
        cmocka_unit_test(test_a_marker_that_is_not_finished_is_text),
        cmocka_unit_test(test_reasoning_that_is_not_split_keeps_its_markers),
        cmocka_unit_test(test_bare_values_become_json),
        cmocka_unit_test(test_bytes_that_are_no_character_become_the_replacement_character_in_json),
        cmocka_unit_test(test_literals_of_python_become_those_of_json),
        cmocka_unit_test(test_calls_between_control_tokens_end_where_the_next_thing_begins),
        cmocka_unit_test(test_a_call_that_is_cut_does_not_end),
        cmocka_unit_test(test_ids_that_the_model_writes_are_told_before_the_call),
        cmocka_unit_test(test_a_name_that_decides_is_read_from_what_was_held),
        cmocka_unit_test(test_text_without_a_format_is_passed_on),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
