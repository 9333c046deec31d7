/* test_chat_form.c - answers as each family writes them are allowed and read, broken ones are not. */
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <setjmp.h>

#include <cmocka.h>

#include "chat_answer.h"
#include "chat_examples.h"

struct world {
    struct value_arena *a;
    struct chat_tool tools[2];
};

static int set_up(void **state)
{
    struct world *w = calloc(1, sizeof(*w));
    assert_non_null(w);
    w->a = value_arena_new((size_t)1 << 20);
    w->tools[0] = new_tool(w->a, "weather", WEATHER_PARAMETERS);
    w->tools[1] = new_tool(w->a, "add", ADD_PARAMETERS);
    *state = w;
    return 0;
}

static int tear_down(void **state)
{
    struct world *w = *state;
    value_arena_free(w->a);
    free(w);
    return 0;
}

static struct chat_form form_of(const struct world *w, const char *name, enum chat_tool_choice choice)
{
    const struct chat_format *f = chat_format_find(span_of(name));
    if (!f)
        fail_msg("no format %s", name);
    return (struct chat_form){.format = f,
        .tools = w->tools,
        .n_tools = 2,
        .choice = choice,
        .parallel = true,
        .split_reasoning = true};
}

static const char *join(char out[4096], const char *a, const char *b, const char *c)
{
    snprintf(out, 4096, "%s%s%s", a ? a : "", b ? b : "", c ? c : "");
    return out;
}

/* ---- each row ---- */

static void check_example(const struct world *w, const struct chat_example *e, enum chat_tool_choice choice,
    const char *const *controls)
{
    char answer[4096];
    struct following f;
    struct chat_form form = form_of(w, e->format, choice);
    const char *text = choice == CHAT_TOOLS_AUTO ? e->text : "";
    join(answer, e->reasoning, text, e->calls);
    follow(&f, &form, controls);
    size_t taken = take_text(&f, answer);
    if (answer[taken])
        fail_msg("%s refuses at %zu: %s", e->format, taken, answer);
    if (!take_end(&f))
        fail_msg("%s does not end: %s", e->format, answer);
    assert_string_equal(f.told.reasoning.text, e->reasoning ? "Hm." : "");
    assert_string_equal(f.told.text.text, text[0] ? "I look." : "");
    assert_int_equal(f.told.n_calls, e->single ? 1 : 2);
    assert_string_equal(f.told.calls[0].name, "weather");
    assert_string_equal(f.told.calls[0].arguments.text, WEATHER);
    assert_true(f.told.calls[0].ended);
    if (!e->single) {
        assert_string_equal(f.told.calls[1].name, "add");
        assert_string_equal(f.told.calls[1].arguments.text, ADD);
        assert_true(f.told.calls[1].ended);
    }
    assert_false(f.told.cut_characters);
    unfollow(&f);
}

static void test_each_format_takes_and_reads_an_answer_of_its_family(void **state)
{
    const struct world *w = *state;
    for (size_t i = 0; i < N_CHAT_EXAMPLES; i++) {
        check_example(w, &chat_examples[i], CHAT_TOOLS_AUTO, NULL);
        check_example(w, &chat_examples[i], CHAT_TOOLS_REQUIRED, NULL);
        check_example(w, &chat_examples[i], CHAT_TOOLS_AUTO, chat_controls);
        check_example(w, &chat_examples[i], CHAT_TOOLS_REQUIRED, chat_controls);
    }
}

/* The answer in tokens of random lengths, which a vocabulary of bytes and these has. */
static void check_pieces(const struct world *w, const struct chat_example *e, uint32_t *random)
{
    char answer[4096], pieces[512][PIECE_LONGEST + 1];
    size_t at[512], n = 0;
    struct following f;
    struct chat_form form = form_of(w, e->format, CHAT_TOOLS_AUTO);
    join(answer, e->reasoning, e->text, e->calls);
    for (size_t i = 0, size = strlen(answer); i < size; n++) {
        *random = *random * 1664525u + 1013904223u;
        size_t length = 2 + (*random >> 16) % (PIECE_LONGEST - 2);
        snprintf(pieces[n], length + 1, "%s", answer + i);
        at[n] = i;
        i += strlen(pieces[n]);
    }
    follow_with(&f, &form, (struct token_list){.pieces = pieces, .n_pieces = n});
    for (size_t i = 0; i < n; i++)
        if (!take(&f, (int32_t)(TOKEN_OF_END + 1 + i)))
            fail_msg("%s refuses '%s' at %zu: %s", e->format, pieces[i], at[i], answer);
    assert_true(take_end(&f));
    assert_string_equal(f.told.reasoning.text, e->reasoning ? "Hm." : "");
    assert_string_equal(f.told.text.text, e->text[0] ? "I look." : "");
    assert_int_equal(f.told.n_calls, e->single ? 1 : 2);
    assert_string_equal(f.told.calls[0].arguments.text, WEATHER);
    assert_string_equal(f.told.calls[1].arguments.text, e->single ? "" : ADD);
    unfollow(&f);
}

static void test_tokens_of_any_length_say_the_same(void **state)
{
    uint32_t random = 7;
    for (size_t i = 0; i < N_CHAT_EXAMPLES; i++)
        for (size_t k = 0; k < 10; k++)
            check_pieces(*state, &chat_examples[i], &random);
}

static void test_every_row_has_an_example(void **state)
{
    (void)state;
    for (size_t i = 0; chat_format_at(i); i++) {
        size_t found = 0;
        for (size_t k = 0; k < N_CHAT_EXAMPLES; k++)
            found += strcmp(chat_examples[k].format, chat_format_name(chat_format_at(i))) == 0;
        if (found == 0)
            fail_msg("no example of %s", chat_format_name(chat_format_at(i)));
    }
}

/* Puts `other` in place of the first `word`. */
static void replace(char out[4096], const char *text, const char *word, const char *other)
{
    const char *at = strstr(text, word);
    assert_non_null(at);
    snprintf(out, 4096, "%.*s%s%s", (int)(at - text), text, other, at + strlen(word));
}

static void check_refused(const struct world *w, const struct chat_example *e, const char *answer)
{
    struct following f;
    struct chat_form form = form_of(w, e->format, CHAT_TOOLS_REQUIRED);
    follow(&f, &form, NULL);
    size_t taken = take_text(&f, answer);
    if (!answer[taken] && take_end(&f))
        fail_msg("%s takes %s", e->format, answer);
    unfollow(&f);
}

static void test_calls_that_break_are_refused(void **state)
{
    const struct world *w = *state;
    char broken[4096];
    for (size_t i = 0; i < N_CHAT_EXAMPLES; i++) {
        const struct chat_example *e = &chat_examples[i];
        replace(broken, e->calls, "weather", "whether");
        check_refused(w, e, broken);
        replace(broken, e->calls, "weather", "weather2");
        check_refused(w, e, broken);
        replace(broken, e->calls, "city", "town");
        check_refused(w, e, broken);
        replace(broken, e->calls, "celsius", "celsium");
        check_refused(w, e, broken);
        replace(broken, e->calls, "weather", "");
        check_refused(w, e, broken);
        if (!e->single) {
            replace(broken, e->calls, "-2", "\"x\"");
            check_refused(w, e, broken);
        }
    }
}

static void test_an_answer_ends_only_behind_a_whole_call(void **state)
{
    const struct world *w = *state;
    for (size_t i = 0; i < N_CHAT_EXAMPLES; i++) {
        const struct chat_example *e = &chat_examples[i];
        struct following f;
        struct chat_form form = form_of(w, e->format, CHAT_TOOLS_REQUIRED);
        follow(&f, &form, NULL);
        for (const char *at = e->calls; *at; at++) {
            if (f.told.n_calls == 0 || !f.told.calls[f.told.n_calls - 1].ended)
                assert_false(grammar_matcher_may_end(f.m));
            assert_true(take(&f, (uint8_t)*at));
        }
        assert_true(take_end(&f));
        unfollow(&f);
    }
}

static void test_a_named_tool_is_the_only_one_and_called_once(void **state)
{
    const struct world *w = *state;
    for (size_t i = 0; i < N_CHAT_EXAMPLES; i++) {
        const struct chat_example *e = &chat_examples[i];
        struct following f;
        struct chat_form form = form_of(w, e->format, CHAT_TOOLS_NAMED);
        form.parallel = false;
        follow(&f, &form, NULL);
        size_t taken = take_text(&f, e->calls);
        assert_true(e->single ? !e->calls[taken] : e->calls[taken] != 0);
        assert_int_equal(f.told.n_calls, 1);
        unfollow(&f);
        form.named = 1;
        follow(&f, &form, NULL);
        take_text(&f, e->calls);
        assert_int_equal(f.told.n_calls, 0);
        unfollow(&f);
    }
}

static void test_text_of_any_kind_passes_unchanged(void **state)
{
    const struct world *w = *state;
    static const char *const texts[] = {"", "Plain.", "a < b && [c] {\"name\": 1}", "[1, 2]",
        "[not_a_tool(x)]", "{\"name\" is", "\n\n\nThree", "<", "<thin", "<tool_", "[TOOL",
        "\xf0\x9f\x98\x80 \xc3", "<<<|||>>>", "[wea", "[weather", "text\n\n\n", "Here is my though",
        "func[tools"};
    for (size_t i = 0; chat_format_at(i); i++) {
        const struct chat_format *format = chat_format_at(i);
        struct chat_form form = form_of(w, chat_format_name(format), CHAT_TOOLS_AUTO);
        for (size_t k = 0; k < sizeof(texts) / sizeof(texts[0]); k++) {
            struct following f;
            follow(&f, &form, NULL);
            const char *before =
                form.format == chat_format_find(span_of("gpt-oss")) ? "<|channel|>final<|message|>" : "";
            assert_int_equal(take_text(&f, before), strlen(before));
            size_t taken = take_text(&f, texts[k]);
            if (texts[k][taken] || !take_end(&f))
                fail_msg("%s refuses at %zu: %s", chat_format_name(format), taken, texts[k]);
            const char *told = before[0] && texts[k][0] == '\n' ? texts[k] + 2 : texts[k];
            assert_string_equal(f.told.text.text, told);
            assert_int_equal(f.told.n_calls, 0);
            unfollow(&f);
        }
    }
}

/* ---- forms and reasoning ---- */

static void check_form(
    const struct chat_form *form, const char *answer, const char *text, const char *reasoning)
{
    for (int controls = 0; controls < 2; controls++) {
        struct following f;
        follow(&f, form, controls ? chat_controls : NULL);
        size_t taken = take_text(&f, answer);
        bool whole = !answer[taken] && take_end(&f);
        if (whole != (text != NULL))
            fail_msg("%s: %zu of %s", chat_format_name(form->format), taken, answer);
        if (text) {
            assert_string_equal(f.told.text.text, text);
            assert_string_equal(f.told.reasoning.text, reasoning);
        }
        unfollow(&f);
    }
}

static void test_a_form_begins_where_the_reasoning_ends(void **state)
{
    const struct world *w = *state;
    static const struct span choices[] = {{(const uint8_t *)"yes", 3}, {(const uint8_t *)"no", 2}};
    struct chat_form form = form_of(w, "hermes-think", CHAT_TOOLS_NONE);
    form.answer = (struct chat_answer_form){.kind = CHAT_ANSWER_CHOICE, .choices = choices, .n_choices = 2};
    check_form(&form, "yes", "yes", "");
    check_form(&form, "<think>\nno or yes\n</think>\n\nno", "no", "no or yes");
    check_form(&form, "\n<think>Hm</think>no", "no", "Hm");
    check_form(&form, "<think>Hm</think>", NULL, NULL);
    check_form(&form, "<think>yes", NULL, NULL);
    check_form(&form, "<think>Hm</think>maybe", NULL, NULL);
    check_form(&form, "maybe", NULL, NULL);
    form.prompt_end = span_of("<|im_start|>assistant\n<think>\n");
    check_form(&form, "yes", NULL, NULL);
    check_form(&form, "Hm</think>\n\nyes", "yes", "Hm");
    form.prompt_end = span_of("<|im_start|>assistant\n<think>\n\n</think>\n\n");
    check_form(&form, "yes", "yes", "");
    check_form(&form, "<think>Hm</think>yes", NULL, NULL);
    form.split_reasoning = false;
    form.prompt_end = span_of("assistant\n");
    check_form(&form, "<think>Hm</think>\n\nyes", "<think>Hm</think>yes", "");
    form = form_of(w, "command-r7b", CHAT_TOOLS_NONE);
    form.answer = (struct chat_answer_form){.kind = CHAT_ANSWER_CHOICE, .choices = choices, .n_choices = 2};
    check_form(&form, "<|START_THINKING|>Hm<|END_THINKING|><|START_RESPONSE|>no<|END_RESPONSE|>", "no", "Hm");
    form.format = chat_format_find(span_of("gpt-oss"));
    check_form(&form,
        "<|channel|>analysis<|message|>Hm<|end|><|start|>assistant<|channel|>final<|message|>no", "no", "Hm");
    check_form(&form, "<|channel|>final<|message|>maybe", NULL, NULL);
}

static void test_an_answer_in_a_form_may_be_calls_instead(void **state)
{
    const struct world *w = *state;
    for (size_t i = 0; i < N_CHAT_EXAMPLES; i++) {
        const struct chat_example *e = &chat_examples[i];
        struct following f;
        struct chat_form form = form_of(w, e->format, CHAT_TOOLS_AUTO);
        form.answer = (struct chat_answer_form){.kind = CHAT_ANSWER_REGEX, .source = span_of("[0-9]{3}")};
        follow(&f, &form, NULL);
        assert_int_equal(take_text(&f, e->calls), strlen(e->calls));
        assert_true(take_end(&f));
        assert_int_equal(f.told.n_calls, e->single ? 1 : 2);
        unfollow(&f);
        follow(&f, &form, NULL);
        if (strcmp(e->format, "gpt-oss") == 0)
            take_text(&f, "<|channel|>final<|message|>");
        assert_int_equal(take_text(&f, "123"), 3);
        assert_true(take_end(&f));
        assert_string_equal(f.told.text.text, "123");
        unfollow(&f);
    }
}

static void test_reasoning_by_bytes_opens_at_the_beginning_alone(void **state)
{
    const struct world *w = *state;
    struct chat_form form = form_of(w, "hermes-think", CHAT_TOOLS_AUTO);
    struct following f;
    follow(&f, &form, NULL);
    take_text(&f, "The tag <think> opens it.");
    assert_true(take_end(&f));
    assert_string_equal(f.told.text.text, "The tag <think> opens it.");
    unfollow(&f);
    form.prompt_end = span_of("<think>\n");
    follow(&f, &form, NULL);
    take_text(&f, "I must write <tool_call> and\n</think>\n\nText");
    assert_true(take_end(&f));
    assert_string_equal(f.told.reasoning.text, "I must write <tool_call> and");
    assert_string_equal(f.told.text.text, "Text");
    unfollow(&f);
    follow(&f, &form, chat_controls);
    take_text(&f, "So\n" HERMES_CALLS);
    assert_true(take_end(&f));
    assert_string_equal(f.told.reasoning.text, "So");
    assert_int_equal(f.told.n_calls, 2);
    unfollow(&f);
}

static void check_open(
    const struct chat_form *form, const char *answer, const char *text, const char *arguments)
{
    for (int controls = 0; controls < 2; controls++) {
        struct following f;
        follow(&f, form, controls ? chat_controls : NULL);
        size_t taken = take_text(&f, answer);
        if (answer[taken] || !take_end(&f))
            fail_msg("%s refuses at %zu: %s", chat_format_name(form->format), taken, answer);
        assert_string_equal(f.told.text.text, text);
        assert_int_equal(f.told.n_calls, arguments ? 1 : 0);
        if (arguments) {
            assert_string_equal(f.told.calls[0].name, "weather");
            assert_string_equal(f.told.calls[0].arguments.text, arguments);
            assert_true(f.told.calls[0].ended);
        }
        unfollow(&f);
    }
}

static void test_json_that_names_a_function_is_a_call_without_the_mark(void **state)
{
    const struct world *w = *state;
    struct chat_form form = form_of(w, "hermes", CHAT_TOOLS_AUTO);
    check_open(&form, JSON_CALL("weather", "arguments", WEATHER) "}", "", WEATHER);
    check_open(&form,
        "```json\n{\n  \"name\": \"weather\",\n  \"arguments\": {\n    \"city\": \"x\"\n  }\n}\n```\n", "",
        "{\n    \"city\": \"x\"\n  }");
    check_open(
        &form, "\n```\n{\"name\":\"weather\",\"parameters\":{\"city\":\"x\"}}```", "", "{\"city\":\"x\"}");
    check_open(&form, JSON_CALL("weather", "arguments", WEATHER) "}\nAnd?", "And?", WEATHER);
    static const char *const texts[] = {"```json\n{\"name\": \"weather2\"}\n```",
        "{\"name\": \"Bob\", \"age\": 3}", "{\"name\": \"weather", "{\"name\": \"weather \"}",
        "```json\n{\n\"name\": \"weather\"}", "```\n{", "```json\n",
        "A {\"name\": \"weather\", \"arguments\": {}}"};
    for (size_t i = 0; i < sizeof(texts) / sizeof(texts[0]); i++)
        check_open(&form, texts[i], texts[i], NULL);
    check_open(&form, "```\n<tool_call>\n" JSON_CALL("weather", "arguments", WEATHER) "}\n</tool_call>\n```",
        "```"
        "```",
        WEATHER);
    check_open(
        &form, "<<tool_call>\n" JSON_CALL("weather", "arguments", WEATHER) "}\n</tool_call>", "<", WEATHER);
    form.format = chat_format_find(span_of("hermes-think"));
    check_open(
        &form, "<think>\nHm\n</think>\n\n" JSON_CALL("weather", "arguments", WEATHER) "}", "", WEATHER);
    check_open(&form, "<th<tool_call>\n" JSON_CALL("weather", "arguments", WEATHER) "}\n</tool_call>", "<th",
        WEATHER);
    form.prompt_end = span_of("<think>\n");
    check_open(&form, "Hm</think>" JSON_CALL("weather", "arguments", WEATHER) "}", "", WEATHER);
    form.prompt_end = span_of("");
    struct following two;
    follow(&two, &form, NULL);
    take_text(&two, JSON_CALL("weather", "arguments", WEATHER) "}\n```json\n" JSON_CALL(
                        "add", "arguments", ADD) "}\n```\n");
    assert_true(take_end(&two));
    assert_int_equal(two.told.n_calls, 2);
    assert_string_equal(two.told.calls[1].arguments.text, ADD);
    assert_string_equal(two.told.text.text, "");
    unfollow(&two);
    form.parallel = false;
    check_open(&form, JSON_CALL("weather", "arguments", WEATHER) "}", "", WEATHER);
}

static void test_what_is_free_needs_no_grammar(void **state)
{
    const struct world *w = *state;
    struct chat_form form = form_of(w, "hermes", CHAT_TOOLS_NONE);
    assert_true(chat_form_is_free(&form));
    form.choice = CHAT_TOOLS_AUTO;
    assert_false(chat_form_is_free(&form));
    form.n_tools = 0;
    assert_true(chat_form_is_free(&form));
    form.format = chat_format_find(span_of("hermes-think"));
    assert_false(chat_form_is_free(&form));
    form.split_reasoning = false;
    assert_true(chat_form_is_free(&form));
    form.answer.kind = CHAT_ANSWER_JSON;
    assert_false(chat_form_is_free(&form));
    form = (struct chat_form){.answer = {.kind = CHAT_ANSWER_FREE}};
    assert_true(chat_form_is_free(&form));
}

/* ---- schemas ---- */

static void test_parameters_without_properties_take_any_members(void **state)
{
    struct world *w = *state;
    static const char *const examples[][2] = {
        {"hermes",
            "<tool_call>\n{\"name\": \"any\", \"arguments\": {\"k\": [null, {\"x\": 1}]}}\n</tool_call>"},
        {"hermes", "<tool_call>\n{\"name\": \"any\", \"arguments\": {}}\n</tool_call>"},
        {"qwen3-coder",
            "<tool_call>\n<function=any>\n<parameter=k>\n[null, {\"x\": 1}]\n</parameter>\n</function>\n"
            "</tool_call>"},
        {"qwen3-coder", "<tool_call>\n<function=any>\n</function>\n</tool_call>"},
        {"lfm2", "<|tool_call_start|>[any(k=[None, {\"x\": 1}])]<|tool_call_end|>"},
        {"functiongemma", "<start_function_call>call:any{}<end_function_call>"},
    };
    const char *const schemas[] = {NULL, "{}", "{\"type\": \"object\"}"};
    for (size_t i = 0; i < sizeof(examples) / sizeof(examples[0]); i++) {
        for (size_t k = 0; k < 3; k++) {
            struct following f;
            struct chat_tool tool = new_tool(w->a, "any", schemas[k]);
            struct chat_form form = form_of(w, examples[i][0], CHAT_TOOLS_REQUIRED);
            form.tools = &tool;
            form.n_tools = 1;
            follow(&f, &form, NULL);
            assert_int_equal(take_text(&f, examples[i][1]), strlen(examples[i][1]));
            assert_true(take_end(&f));
            assert_string_equal(f.told.calls[0].arguments.text,
                strchr(examples[i][1], 'k') ? "{\"k\": [null, {\"x\": 1}]}" : "{}");
            unfollow(&f);
        }
    }
}

static void test_strict_parameters_that_cannot_be_enforced_are_refused(void **state)
{
    struct world *w = *state;
    struct error err = {0};
    struct json_notes notes = {0};
    struct chat_tool tool = new_tool(
        w->a, "odd", "{\"anyOf\": [{\"type\": \"object\", \"properties\": {\"a\": {\"type\": \"null\"}}}]}");
    struct chat_form form = form_of(w, "qwen3-coder", CHAT_TOOLS_AUTO);
    form.tools = &tool;
    form.n_tools = 1;
    struct grammar *g = chat_form_build(&form, &notes, &err);
    assert_non_null(g);
    assert_int_equal(notes.n, 1);
    assert_string_equal(notes.at[0], "odd.parameters");
    grammar_drop(g);
    tool.strict = true;
    assert_null(chat_form_build(&form, &notes, &err));
    assert_non_null(strstr(err.text, "'odd'"));
    form = form_of(w, "hermes", CHAT_TOOLS_AUTO);
    tool = new_tool(w->a, "look",
        "{\"type\": \"object\", \"properties\": {\"a\": {\"type\": \"string\", "
        "\"pattern\": \"(?=x)y\"}}}");
    form.tools = &tool;
    form.n_tools = 1;
    notes = (struct json_notes){0};
    g = chat_form_build(&form, &notes, &err);
    assert_non_null(g);
    assert_int_equal(notes.n, 1);
    assert_memory_equal(notes.at[0], "look.", 5);
    assert_non_null(strstr(notes.at[0], "pattern"));
    grammar_drop(g);
    tool.strict = true;
    assert_null(chat_form_build(&form, &notes, &err));
    assert_non_null(strstr(err.text, "'look'"));
    assert_non_null(strstr(err.text, "pattern"));
}

static void test_names_that_would_break_a_syntax_are_refused(void **state)
{
    struct world *w = *state;
    static const char *const names[] = {"", "a b", "a\"b", "a(", "\xc3\xa4",
        "a2345678901234567890123456789012345678901234567890123456789012345"};
    struct chat_form form = form_of(w, "hermes", CHAT_TOOLS_AUTO);
    form.n_tools = 1;
    for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
        struct error err = {0};
        struct chat_tool tool = {.name = span_of(names[i])};
        form.tools = &tool;
        assert_null(chat_form_build(&form, NULL, &err));
        assert_non_null(strstr(err.text, "name of a function"));
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_each_format_takes_and_reads_an_answer_of_its_family),
        cmocka_unit_test(test_tokens_of_any_length_say_the_same),
        cmocka_unit_test(test_every_row_has_an_example),
        cmocka_unit_test(test_calls_that_break_are_refused),
        cmocka_unit_test(test_an_answer_ends_only_behind_a_whole_call),
        cmocka_unit_test(test_a_named_tool_is_the_only_one_and_called_once),
        cmocka_unit_test(test_text_of_any_kind_passes_unchanged),
        cmocka_unit_test(test_a_form_begins_where_the_reasoning_ends),
        cmocka_unit_test(test_an_answer_in_a_form_may_be_calls_instead),
        cmocka_unit_test(test_reasoning_by_bytes_opens_at_the_beginning_alone),
        cmocka_unit_test(test_json_that_names_a_function_is_a_call_without_the_mark),
        cmocka_unit_test(test_what_is_free_needs_no_grammar),
        cmocka_unit_test(test_parameters_without_properties_take_any_members),
        cmocka_unit_test(test_strict_parameters_that_cannot_be_enforced_are_refused),
        cmocka_unit_test(test_names_that_would_break_a_syntax_are_refused),
    };
    return cmocka_run_group_tests(tests, set_up, tear_down);
}
