/* test_chat.c - no message of a chat is lost, whatever forms a template takes. */
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <setjmp.h>

#include "berth/engine/template/chat.h"
#include "berth/server/api/json_value.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

/* Templates of the kinds that models are published with. */
#define GENERATION "{% if add_generation_prompt %}<a>{% endif %}"
static const char knows_three[] = /* other roles vanish */
    "{% for m in messages %}{% if m.role == 'system' %}<s>{{ m.content }}{% elif m.role == 'user' %}<u>"
    "{{ m.content }}{% elif m.role == 'assistant' %}<a>{{ m.content }}{% endif %}{% endfor %}" GENERATION;
static const char refuses_others[] =
    "{% for m in messages %}{% if m.role == 'system' %}<s>{{ m.content }}{% elif m.role == 'user' %}<u>"
    "{{ m.content }}{% elif m.role == 'assistant' %}<a>{{ m.content }}{% else %}"
    "{{ raise_exception('no role ' + m.role) }}{% endif %}{% endfor %}" GENERATION;
static const char knows_developer[] =
    "{% for m in messages %}{% if m.role in ['system', 'developer'] %}<dev {{ m.role }}>{{ m.content }}{% else %}<u>"
    "{{ m.content }}{% endif %}{% endfor %}" GENERATION;
static const char takes_others_for_answers[] =
    "{% for m in messages %}{% if m.role == 'system' %}<s>{% elif m.role == 'user' %}<u>{% else %}<a>{% endif %}"
    "{{ m.content }}{% endfor %}" GENERATION;
static const char shows_roles[] =
    "{% for m in messages %}<|{{ m.role }}|>{{ m.content }}{% endfor %}" GENERATION;
static const char no_system[] = /* a system message vanishes */
    "{% for m in messages %}{% if m.role == 'user' %}<u>{{ m.content|trim }}{% elif m.role == 'assistant' %}<a>"
    "{{ m.content.split('</think>')[-1] }}{% endif %}{% endfor %}" GENERATION;
static const char first_system_alone[] =
    "{% if messages[0].role == 'system' %}<s>{{ messages[0].content }}{% endif %}{% for m in messages %}"
    "{% if m.role == 'user' %}<u>{{ m.content }}{% elif m.role == 'assistant' %}<a>{{ m.content }}{% endif %}"
    "{% endfor %}" GENERATION;
static const char parts_alone[] =
    "{% for m in messages %}{{ m.role|capitalize }}{% if m['content'][0]['type'] == 'image' %}:{% else %}: {% endif %}"
    "{% for part in m['content'] %}{% if part['type'] == 'text' %}{{ part['text'] }}{% elif part['type'] == 'image' %}"
    "<image>{% endif %}{% endfor %}<end>\n{% endfor %}" GENERATION;
static const char system_string_user_parts[] =
    "{% for m in messages %}{% if m.role == 'system' %}<s>{{ m.content + '.' }}{% else %}<u>{% for p in m.content %}"
    "{{ p.text }}{% endfor %}{% endif %}{% endfor %}";
static const char both_forms[] =
    "{% for m in messages %}<{{ m.role }}>{% if m.content is string %}{{ m.content }}{% else %}{% for p in m.content %}"
    "[{{ p.text }}]{% endfor %}{% endif %}{% endfor %}";

struct chat_outcome {
    struct chat_prompt prompt;
    struct error err;
    bool good;
};

static struct chat_outcome render_with(const struct chat_template *c, const char *request)
{
    struct chat_outcome o = {.prompt.refused = CHAT_NO_MESSAGE};
    struct value vars = value_undefined;
    struct value_arena *a = value_arena_new((size_t)64 << 20);
    json_t *json = json_loads(request, JSON_ALLOW_NUL, NULL);
    if (!json)
        fail_msg("no JSON: %s", request);
    o.good = json_chat_variables(a, json, c->bos, c->eos, &vars, &o.err) &&
             chat_render(c, a, vars, 0, &o.prompt, &o.err);
    json_decref(json);
    value_arena_free(a);
    return o;
}

static struct chat_template template_of(const char *source)
{
    struct error err = {0};
    struct chat_template c = {.bos = value_literal("<s>"), .eos = value_literal("</s>")};
    if (!chat_template_replace(&c, span_of(source), &err))
        fail_msg("%s", err.text);
    return c;
}

static void assert_prompt(const char *source, const char *messages, const char *wanted)
{
    char request[4096];
    struct chat_template c = template_of(source);
    snprintf(request, sizeof(request), "{\"messages\":[%s]}", messages);
    struct chat_outcome o = render_with(&c, request);
    if (!o.good)
        fail_msg("%s: %s", request, o.err.text);
    assert_string_equal(o.prompt.text.text, wanted);
    template_text_release(&o.prompt.text);
    chat_template_release(&c);
}

static void assert_refused(const char *source, const char *messages, size_t index, const char *reason)
{
    char request[4096];
    struct chat_template c = template_of(source);
    snprintf(request, sizeof(request), "{\"messages\":[%s]}", messages);
    struct chat_outcome o = render_with(&c, request);
    assert_false(o.good);
    assert_null(o.prompt.text.text);
    if (o.prompt.refused != index || !strstr(o.err.text, reason))
        fail_msg("%s: message %zu, %s", request, o.prompt.refused, o.err.text);
    chat_template_release(&c);
}

#define DEVELOPER "{\"role\":\"developer\",\"content\":\"Be brief.\"},"
#define SYSTEM "{\"role\":\"system\",\"content\":\"Be brief.\"},"
#define USER "{\"role\":\"user\",\"content\":\"Hello\"}"
#define ANSWER ",{\"role\":\"assistant\",\"content\":\"<think>a</think>Hi\"},"

static void test_a_developer_is_system_where_the_template_does_not_know_the_role(void **state)
{
    (void)state;
    assert_prompt(knows_three, DEVELOPER USER, "<s>Be brief.<u>Hello<a>");
    assert_prompt(refuses_others, DEVELOPER USER, "<s>Be brief.<u>Hello<a>");
    assert_prompt(takes_others_for_answers, DEVELOPER USER, "<s>Be brief.<u>Hello<a>");
    assert_prompt(first_system_alone, DEVELOPER USER, "<s>Be brief.<u>Hello<a>");
    assert_prompt(parts_alone, DEVELOPER USER, "Developer: Be brief.<end>\nUser: Hello<end>\n<a>");
}

static void test_a_developer_stays_one_where_the_template_knows_the_role(void **state)
{
    (void)state;
    assert_prompt(knows_developer, DEVELOPER USER, "<dev developer>Be brief.<u>Hello<a>");
    assert_prompt(shows_roles, DEVELOPER USER, "<|developer|>Be brief.<|user|>Hello<a>");
}

static void test_a_lost_system_text_comes_before_the_first_user_s(void **state)
{
    (void)state;
    assert_prompt(no_system, SYSTEM USER, "<u>Be brief.\n\nHello<a>");
    assert_prompt(no_system, DEVELOPER USER, "<u>Be brief.\n\nHello<a>");
    assert_prompt(no_system,
        SYSTEM "{\"role\":\"system\",\"content\":[{\"type\":\"text\",\"text\":\"a\"},"
               "{\"type\":\"text\",\"text\":\"b\"}]}," USER ANSWER USER,
        "<u>Be brief.\n\na\nb\n\nHello<a>Hi<u>Hello<a>");
    assert_prompt(no_system,
        SYSTEM "{\"role\":\"user\",\"content\":[{\"type\":\"text\",\"text\":\"Hello\"}]}",
        "<u>Be brief.\n\nHello<a>");
    assert_prompt(first_system_alone, SYSTEM USER ANSWER SYSTEM USER,
        "<s>Be brief.<u>Be brief.\n\nHello<a><think>a</think>Hi<u>Hello<a>");
    assert_refused(no_system, "{\"role\":\"system\",\"content\":\"Be brief.\"}", 0, "'messages[0]'");
}

static void test_moving_a_system_text_is_told_once(void **state)
{
    (void)state;
    struct chat_template c = template_of(no_system);
    for (int i = 0; i < 3; i++) {
        struct chat_outcome o = render_with(&c, "{\"messages\":[" SYSTEM USER "]}");
        assert_true(o.good);
        assert_int_equal(o.prompt.moved_first, i == 0);
        template_text_release(&o.prompt.text);
    }
    chat_template_release(&c);
}

static void test_any_other_lost_message_is_refused_by_its_place(void **state)
{
    (void)state;
    static const char tool[] = ",{\"role\":\"tool\",\"tool_call_id\":\"x\",\"content\":\"12 degrees\"}";
    char messages[1024];
    snprintf(messages, sizeof(messages), SYSTEM USER ANSWER USER "%s", tool);
    assert_refused(knows_three, messages, 4, "'messages[4]' has the role 'tool'");
    assert_refused("{{ messages[-1].content }}", USER ANSWER "{\"role\":\"user\",\"content\":\"two\"}", 0,
        "'messages[0]' has the role 'user'");
    assert_refused("nothing", USER, 0, "'messages[0]'");
    /* Two messages of one text: the one that is shown does not stand for the other. */
    assert_refused("{{ messages[1].content }}", USER "," USER, 0, "'messages[0]'");
}

static void test_what_is_blank_or_an_answer_may_be_left_out(void **state)
{
    (void)state;
    assert_prompt(no_system, "{\"role\":\"system\",\"content\":\" \\n\\u00a0\"}," USER, "<u>Hello<a>");
    assert_prompt(no_system, "{\"role\":\"system\",\"content\":\"\"}," USER, "<u>Hello<a>");
    assert_prompt(no_system, USER ",{\"role\":\"tool\",\"content\":\"\"}", "<u>Hello<a>");
    assert_prompt("{% for m in messages %}{% if m.role == 'user' %}{{ m.content }}{% endif %}{% endfor %}",
        USER ANSWER USER, "HelloHello");
}

static void test_a_text_that_changes_the_prompt_without_standing_in_it_is_not_lost(void **state)
{
    (void)state;
    static const char switches[] =
        "{% if messages[0].content == '/no_think' %}<quick>{% else %}<slow>{% endif %}"
        "{{ messages[1].content }}{{ messages[2].content|length }}";
    assert_prompt(
        switches, "{\"role\":\"system\",\"content\":\"/no_think\"}," USER "," USER, "<quick>Hello5");
    assert_prompt("{{ {'a': messages[0].content}|tojson }}", USER, "{\"a\": \"Hello\"}");
    assert_prompt("{% if 'Some other text.' in messages[0].content %}x{% endif %}",
        "{\"role\":\"user\",\"content\":\"Some other text.\"}", "x");
}

static void test_each_of_many_messages_is_checked(void **state)
{
    (void)state;
    enum { MESSAGES = 3000 };
    char *request = malloc((size_t)MESSAGES * 64 + 64);
    assert_non_null(request);
    struct chat_template c = template_of(
        "{% for m in messages %}{% if loop.index0 != 2717 %}{{ m.content }}{% endif %}{% endfor %}");
    size_t n = (size_t)sprintf(request, "{\"messages\":[");
    for (int i = 0; i < MESSAGES; i++)
        n += (size_t)sprintf(request + n, "%s{\"role\":\"user\",\"content\":\"the same\"}", i ? "," : "");
    strcpy(request + n, "]}");
    struct chat_outcome o = render_with(&c, request);
    assert_false(o.good);
    assert_int_equal(o.prompt.refused, 2717);
    chat_template_release(&c);
    free(request);
}

#define TEXT_PARTS                                                                                           \
    "{\"role\":\"user\",\"content\":[{\"type\":\"text\",\"text\":\"a\"},{\"type\":\"text\",\"text\":\"b\"}]}"

static void test_content_has_the_form_that_the_template_takes(void **state)
{
    (void)state;
    assert_prompt(parts_alone, SYSTEM USER, "System: Be brief.<end>\nUser: Hello<end>\n<a>");
    assert_prompt(parts_alone, TEXT_PARTS, "User: ab<end>\n<a>");
    assert_prompt(system_string_user_parts, SYSTEM USER, "<s>Be brief..<u>Hello");
    assert_prompt(both_forms, USER "," TEXT_PARTS, "<user>Hello<user>a\nb");
    assert_prompt(knows_three, TEXT_PARTS, "<u>a\nb<a>");
}

static void test_a_probe_that_fails_fails_no_model(void **state)
{
    (void)state;
    /* Refuses every probe, and takes as many steps as it can for them. */
    assert_prompt(
        "{% if messages[0].content != 'Hello' %}{% for i in range(99999) %}{% for j in range(99999) %}"
        "{% endfor %}{% endfor %}{% endif %}{{ messages[0].content }}",
        USER, "Hello");
    assert_prompt(
        "{% if messages[0].content != 'Hello' %}{{ raise_exception('no') }}{% endif %}{{ messages[0].content }}",
        USER, "Hello");
}

static void test_calls_have_a_text_and_arguments_that_are_values(void **state)
{
    (void)state;
    static const char shows[] =
        "{% for m in messages %}[{{ m.content }}]{% for t in m.tool_calls or [] %}{% for k, v in "
        "t.function.arguments.items() %}{{ k }}={{ v|tojson }};{% endfor %}{% endfor %}"
        "{% if m.function_call %}{{ m.function_call.arguments.a }}{% endif %}"
        "{{ m.tool_calls is defined }}{% endfor %}";
    assert_prompt(shows,
        USER
        ",{\"role\":\"assistant\",\"content\":null,\"tool_calls\":[{\"function\":{\"name\":\"f\",\"arguments\":"
        "\"{\\\"z\\\": [1, 2.5], \\\"a\\\": {\\\"b\\\": null}, \\\"n\\\": \\\"\\\\u0000\\\"}\"}}]}",
        "[Hello]False[]z=[1, 2.5];a={\"b\": null};n=\"\\u0000\";True");
    assert_prompt(shows,
        USER ",{\"role\":\"assistant\",\"function_call\":{\"name\":\"f\",\"arguments\":\"{\\\"a\\\":7}\"}}",
        "[Hello]False[]7False");
    assert_prompt(shows,
        USER ",{\"role\":\"assistant\",\"content\":\"x\",\"tool_calls\":null,\"function_call\":null}",
        "[Hello]False[x]False");
    assert_prompt("{{ messages[0].content }}{{ messages[1].tool_calls[0].function.arguments }}",
        USER ",{\"role\":\"assistant\",\"tool_calls\":[{\"function\":{\"arguments\":\"{no json\"}}]}",
        "Hello{no json");
}

static void test_nul_is_a_character_like_others(void **state)
{
    (void)state;
    struct chat_template c = template_of("{{ messages[0].content|upper }}{{ messages[0].content|length }}"
                                         "{{ messages[0].content|tojson }}{{ [messages[0].content] }}");
    struct chat_outcome o = render_with(&c, "{\"messages\":[{\"role\":\"user\",\"content\":\"a\\u0000b\"}]}");
    static const char wanted[] = "A\0B3\"a\\u0000b\"['a\\x00b']";
    assert_true(o.good);
    assert_int_equal(o.prompt.text.size, sizeof(wanted) - 1);
    assert_memory_equal(o.prompt.text.text, wanted, sizeof(wanted) - 1);
    template_text_release(&o.prompt.text);
    chat_template_release(&c);
}

static void test_what_a_template_writes_around_plain_messages_is_told(void **state)
{
    (void)state;
    struct chat_template c = template_of(knows_three);
    size_t n, marks = 0;
    const struct template_text *written = chat_written(&c, &n);
    assert_true(n >= 4);
    for (size_t i = 0; i < n; i++)
        marks += strstr(written[i].text, "<s>") && strstr(written[i].text, "<u>") &&
                 strstr(written[i].text, "<a>");
    assert_true(marks >= 2);
    assert_ptr_equal(chat_written(&c, &n), written);
    chat_template_release(&c);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_a_developer_is_system_where_the_template_does_not_know_the_role),
        cmocka_unit_test(test_a_developer_stays_one_where_the_template_knows_the_role),
        cmocka_unit_test(test_a_lost_system_text_comes_before_the_first_user_s),
        cmocka_unit_test(test_moving_a_system_text_is_told_once),
        cmocka_unit_test(test_any_other_lost_message_is_refused_by_its_place),
        cmocka_unit_test(test_what_is_blank_or_an_answer_may_be_left_out),
        cmocka_unit_test(test_a_text_that_changes_the_prompt_without_standing_in_it_is_not_lost),
        cmocka_unit_test(test_each_of_many_messages_is_checked),
        cmocka_unit_test(test_content_has_the_form_that_the_template_takes),
        cmocka_unit_test(test_a_probe_that_fails_fails_no_model),
        cmocka_unit_test(test_calls_have_a_text_and_arguments_that_are_values),
        cmocka_unit_test(test_nul_is_a_character_like_others),
        cmocka_unit_test(test_what_a_template_writes_around_plain_messages_is_told),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
