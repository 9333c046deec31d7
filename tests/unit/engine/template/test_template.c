/* test_template.c - origins of text, limits, and reasons. */
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <setjmp.h>
#include <pthread.h>

#include "berth/server/api/json_value.h"
#include "berth/engine/template/template.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

struct outcome {
    struct template_text text;
    struct error err;
    bool good;
};

static struct outcome run(const char *source, const char *request, const struct template_limits *limits)
{
    struct outcome o = {0};
    struct value vars = value_undefined;
    struct value_arena *a = value_arena_new((size_t)1 << 20);
    json_t *json = json_loads(request, 0, NULL);
    assert_non_null(json);
    assert_true(json_chat_variables(a, json, value_literal("<s>"), value_literal("</s>"), &vars, &o.err));
    struct template *t = template_parse(span_of(source), &o.err);
    o.good = t && template_render(t, vars, 0, limits, &o.text, &o.err);
    template_free(t);
    json_decref(json);
    value_arena_free(a);
    return o;
}

/* Compares a rendering of one message by "user" with the text "MESSAGE", and its origins: 't' for a byte of the template,
 * 'm' for one of the message. */
static void check_marks(const char *source, const char *text, const char *marks)
{
    static const char request[] =
        "{\"messages\":[{\"role\":\"user\",\"content\":\"MESSAGE\",\"odd\":\"<|x|>\"}]}";
    char got[200] = {0};
    struct outcome o = run(source, request, NULL);
    if (!o.good)
        fail_msg("%s: %s", source, o.err.text);
    for (size_t i = 0; i < o.text.size && i + 1 < sizeof(got); i++)
        got[i] = o.text.marks[i] == VALUE_FROM_TEMPLATE ? 't' : 'm';
    assert_string_equal(o.text.text, text);
    assert_string_equal(got, marks);
    template_text_release(&o.text);
}

static void test_each_byte_knows_whether_a_message_said_it(void **state)
{
    (void)state;
    check_marks("<|{{ messages[0].content }}|>", "<|MESSAGE|>", "ttmmmmmmmtt");
    check_marks("{{ '<' + messages[0]['content'] + '>' }}", "<MESSAGE>", "tmmmmmmmt");
    check_marks("{{ '<' ~ messages[0].content[2:4] ~ '>' }}", "<SS>", "tmmt");
    check_marks("{% set x %}a{{ messages[0].content }}{% endset %}{{ x|lower }}", "amessage", "tmmmmmmm");
    check_marks("{{ messages[0].content.replace('SS', '--') }}", "ME--AGE", "mmttmmm");
    check_marks("{{ [messages[0].content, 'x']|join('+') }}", "MESSAGE+x", "mmmmmmmtt");
    check_marks("{{ messages[0].content.split('A')[1] }}b", "GEb", "mmt");
    check_marks("{% macro m(a) %}[{{ a }}]{% endmacro %}{{ m(messages[0].content)|trim(']') }}", "[MESSAGE",
        "tmmmmmmm");
    check_marks("{% for c in messages[0].content[:2] %}{{ c }}.{% endfor %}", "M.E.", "mtmt");
    check_marks("{{ bos_token }}{{ messages[0].content|indent(2, true) }}", "<s>  MESSAGE", "tttttmmmmmmm");
    check_marks("{{ ('a' ~ messages[0].content)[::-1] }}", "EGASSEMa", "mmmmmmmt");
}

static void test_json_of_a_message_is_the_messages_quotes_and_all(void **state)
{
    (void)state;
    check_marks("{{ {'a': messages[0].content}|tojson }}", "{\"a\": \"MESSAGE\"}", "mmmmmmmmmmmmmmmm");
    check_marks("{{ ['a', 1]|tojson }}", "[\"a\", 1]", "tttttttt");
}

static void test_a_known_role_makes_delimiters_and_any_other_does_not(void **state)
{
    (void)state;
    check_marks("{{ '<|' + messages[0].role + '|>' }}", "<|user|>", "tttttttt");
    check_marks("{{ messages[0].odd }}", "<|x|>", "mmmmm");
    struct outcome o = run("{{ messages[0].role }}", "{\"messages\":[{\"role\":\"<|x|>\"}]}", NULL);
    assert_int_equal(o.text.size, 5);
    assert_int_equal(o.text.marks[0], VALUE_FROM_MESSAGE);
    template_text_release(&o.text);
}

static void test_what_is_not_known_is_refused_with_its_line_and_name(void **state)
{
    (void)state;
    static const char *const bad[][2] = {{"a\n{% include 'x' %}", "line 2: this needs another template"},
        {"\n{% from 'x' import y as z, w with context %}", "line 2: this needs another template"},
        {"\n\n{{ 1|weird }}", "line 3: the filter 'weird' is not known"},
        {"{{ 1 is\nweird }}", "line 2: the test 'weird' is not known"},
        {"\n{% do 1 %}", "line 2: the tag 'do' is not known"},
        {"\n{{ 'a'.encode('utf-8') }}", "line 2: the method 'encode' of 'str' is not supported"},
        {"\n{{ [1]|random }}", "line 2: random is not supported"},
        {"\n{{ lipsum() }}", "line 2: lipsum is not supported"},
        {"\n{% for a in [[]] %}{{ loop(a) }}{% endfor %}", "line 2: the loop must be marked 'recursive'"},
        {"\n{{ range(*1) }}", "line 2: 'int' is not iterable"},
        {"{{ messages.append(1) }}", "line 1: 'append' is undefined"},
        {"{{ ([1]|map('upper')).x }}{{ [1]|map('upper') }}", "printing a 'generator' is not supported"},
        {"{{ [1]|map('upper')|length }}", "'generator' has no length"},
        {"\n{{ 9223372036854775807 + 1 }}", "line 2: integers beyond 64 bits are not supported"},
        {"\n{{ 99999999999999999999 }}", "line 2: integers beyond 64 bits are not supported"},
        {"\n{{ '%d' % 'a' }}", "line 2: '%d' wants a number, not 'str'"},
        {"\n{{ '{0} {}'.format(1, 2) }}", "line 2: a format numbers its fields"},
        {"\n{{ nothing.at_all }}", "line 2: 'nothing' is undefined"},
        {"{% if true %}\n\n{% endfor %}", "line 3: the tag 'endfor' closes nothing"},
        {"{% if true %}", "expected the tag 'elif'"},
        {"a\n{{ 1 ", "line 2: a tag that begins here has no end"},
        {"{{ raise_exception('no\nway') }}", "line 1: the template raises: no\\x0away"},
        {"\xff", "not UTF-8"}};
    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
        struct outcome o = run(bad[i][0], "{\"messages\":[]}", NULL);
        assert_false(o.good);
        if (!strstr(o.err.text, bad[i][1]))
            fail_msg("wanted '%s', got '%s'", bad[i][1], o.err.text);
        assert_null(o.text.text);
    }
}

static void renders(const char *source, const char *text)
{
    struct outcome o = run(source, "{\"messages\":[]}", NULL);
    if (!o.good)
        fail_msg("%s: %s", source, o.err.text);
    assert_string_equal(o.text.text, text);
    template_text_release(&o.text);
}

static void test_what_cannot_be_done_fails_only_where_it_is_reached(void **state)
{
    (void)state;
    renders("{% if false %}{% include 'x' %}{% extends y %}{% import 'a' as b %}{{ 99999999999999999999 }}"
            "{{ 1|weird }}{{ 1 is weird }}{{ ''.encode() }}{{ [1]|random }}{{ x[1:2, 3] }}{% endif %}good",
        "good");
    renders("{% set x = [1]|map('weird') %}{% macro m() %}{{ lipsum() }}{% endmacro %}good", "good");
}

static void refused(const char *source, const struct template_limits *limits, const char *reason)
{
    struct outcome o = run(source, "{\"messages\":[]}", limits);
    assert_false(o.good);
    if (!strstr(o.err.text, reason))
        fail_msg("wanted '%s', got '%s'", reason, o.err.text);
}

static void test_a_template_that_wants_too_much_meets_a_limit(void **state)
{
    (void)state;
    const struct template_limits small = {.steps = 10000, .memory = 100000, .output = 1000};
    const struct template_limits few = {.steps = 10000};
    refused("{% for a in range(1000) %}{% for b in range(1000) %}{% endfor %}{% endfor %}", &few, "steps");
    refused("{% for a in range(1000) %}{% for b in range(1000) %}{% for c in range(1000) %}"
            "{% endfor %}{% endfor %}{% endfor %}",
        NULL, "");
    refused("{% set n = namespace(s='ab') %}{% for i in range(100) %}{% set n.s = n.s + n.s %}{% endfor %}",
        NULL, "writes more than");
    refused(
        "{% set n = namespace(g=[1]) %}{% for i in range(9999) %}{% set n.g = n.g|map('string') %}{% endfor %}"
        "{{ n.g|list }}",
        NULL, "levels");
    refused("{% for x in [1] recursive %}{{ loop([1]) }}{% endfor %}", NULL, "levels");
    refused("{% macro f(g) %}{{ g|map('string')|list|join|trim|title ~ f(g) }}{% endmacro %}{{ f([1]) }}",
        NULL, "levels");
    refused("{{ [1]|batch(99999999999, 'x')|list }}", &small, "memory");
    refused("{{ [1]|slice(99999999999)|list }}", &small, "");
    refused("{{ range(99999999999) }}", NULL, "more than 100000");
    refused("{{ 'x'.center(99999999999) }}", NULL, "writes more than");
    refused("{{ '%99999999999d' % 1 }}", NULL, "too wide");
    refused("{{ '{:99999999999}'.format(1) }}", NULL, "wider than");
    refused("{{ '{:.99999}'.format(1.5) }}", NULL, "precision");
    refused("{{ '\\t'.expandtabs(99999999999) }}", NULL, "writes more than");
    refused("{{ ('ab ' * 300000)|wordwrap(1)|length }}", &few, "steps");
    refused("{{ ('\xce\xa3\xc2\xb7' * 100000)|lower|length }}", NULL, "");
    refused("{{ 'x' * 2000 }}", &small, "writes more than 1000 bytes");
    refused("{% for i in range(300) %}{{ 'abcdef' }}{% endfor %}", &small, "writes more than 1000 bytes");
    refused("{% set n = namespace(l=[1]) %}{% for i in range(100) %}{% set n.l = n.l + n.l %}{% endfor %}",
        &small, "memory");
    refused("{% macro f(n) %}{{ f(n) }}{% endmacro %}{{ f(1) }}", NULL, "levels");
    refused("{% set n = namespace(l=[]) %}{% for i in range(90) %}{% set n.l = [n.l] %}{% endfor %}{{ n.l }}",
        NULL, "nested deeper");
    refused("{% set n = namespace(l=[]) %}{% for i in range(90) %}{% set n.l = [n.l] %}"
            "{% endfor %}{{ n.l == [n.l] }}{{ n.l|tojson }}",
        NULL, "nested deeper");
    refused("{% set n = namespace(l=[1]) %}{% for i in range(60) %}{% set n.l = [n.l, n.l] %}"
            "{% endfor %}{{ n.l|tojson }}",
        NULL, "");
    refused("{% set n = namespace(l=[1]) %}{% for i in range(60) %}{% set n.l = [n.l, n.l] %}"
            "{% endfor %}{{ n.l == [n.l[0], n.l[1]] }}{{ n.l|string }}",
        NULL, "");
}

static void test_a_chain_of_operators_is_as_deep_as_it_is_long(void **state)
{
    (void)state;
    char source[4000] = "{{ 1";
    for (int i = 0; i < 150; i++)
        strcat(source, " + 1");
    char *end = source + strlen(source);
    strcpy(end, " }}");
    struct outcome o = run(source, "{\"messages\":[]}", NULL);
    assert_true(o.good);
    assert_string_equal(o.text.text, "151");
    template_text_release(&o.text);
    for (int i = 0; i < 100; i++, end += 4)
        strcpy(end, " + 1");
    strcpy(end, " }}");
    refused(source, NULL, "levels of evaluation");
}

static void test_deep_sources_are_refused_and_long_ones_are_not(void **state)
{
    (void)state;
    static const char *const openers[] = {"{{ (", "{{ [", "{{ {1:", "{% if 1 %}", "{{ not ", "{{ -", "{{ a[",
        "{{ f(", "{{ 1 if 1 else ", "{% macro f() %}", "{% set x %}", "{% for a in b %}",
        "{% filter upper %}", "{% with %}"};
    for (size_t i = 0; i < sizeof(openers) / sizeof(openers[0]); i++) {
        const char *again = strncmp(openers[i], "{{ ", 3) == 0 ? openers[i] + 3 : openers[i];
        char *source = malloc(strlen(openers[i]) * 10001 + 4);
        strcpy(source, openers[i]);
        char *end = source + strlen(source);
        for (size_t k = 0; k < 10000; k++, end += strlen(again))
            strcpy(end, again);
        strcpy(end, " }}");
        struct error err = {0};
        assert_null(template_parse(span_of(source), &err));
        free(source);
        if (!strstr(err.text, "nested"))
            fail_msg("%s: %s", openers[i], err.text);
    }
    char *source = calloc(1, 200001);
    for (size_t k = 0; k < 20000; k++)
        memcpy(source + 10 * k, "{{ 'abc'}}", 10);
    struct outcome o = run(source, "{\"messages\":[]}", NULL);
    assert_true(o.good);
    assert_int_equal(o.text.size, 60000);
    template_text_release(&o.text);
    free(source);
}

static void *parse_it(void *source)
{
    struct error err = {0};
    struct template *t = template_parse(span_of(source), &err);
    bool good = t || strncmp(err.text, "line ", 5) == 0;
    template_free(t);
    return good ? source : NULL;
}

/* On a stack as small as that of a worker. */
static void test_a_chain_as_long_as_a_source_takes_no_stack(void **state)
{
    (void)state;
    static const char *const links[] = {"+a", "~a", "**a", "==a", ".a", "[a]", "(a)", "|e", "|e(a)", " if a",
        " or a", " and a", " is e(a)", ",a"};
    static char source[TEMPLATE_SOURCE_MAX];
    pthread_attr_t small;
    assert_int_equal(pthread_attr_init(&small), 0);
    assert_int_equal(pthread_attr_setstacksize(&small, (size_t)512 << 10), 0);
    for (size_t i = 0; i < sizeof(links) / sizeof(links[0]); i++) {
        pthread_t thread;
        void *parsed = NULL;
        size_t size = strlen(links[i]);
        char *end = source + sprintf(source, "{{ a");
        for (; end < source + sizeof(source) - 16; end += size)
            memcpy(end, links[i], size);
        strcpy(end, " }}");
        assert_int_equal(pthread_create(&thread, &small, parse_it, source), 0);
        assert_int_equal(pthread_join(thread, &parsed), 0);
        assert_non_null(parsed);
    }
    pthread_attr_destroy(&small);
}

static void test_a_source_cut_anywhere_renders_or_has_a_reason(void **state)
{
    (void)state;
    static const char whole[] =
        "{%- set ns = namespace(a=[1, 'x\\n'], b={'k': 1.5e3}) -%}\n  "
        "{% for m in messages if m.role is not none %}"
        "{{ m['role'][1:] ~ (m.content or 'none')|trim|tojson(indent=2) }}{# note -#} "
        "{% raw %}{{ {% endraw %}"
        "{% if loop.first and not loop.last %}a{% elif m is defined %}b{% else %}c{% endif %}{% endfor %}"
        "{% macro f(a, b=2) %}{{ a + b }}{% endmacro %}{{ f(1, b=-3) }}{% set x %}y{% endset %}";
    for (size_t cut = 0; cut < sizeof(whole); cut++) {
        struct error err = {0};
        uint8_t *bytes = malloc(cut + (cut == 0));
        memcpy(bytes, whole, cut);
        struct template *t = template_parse((struct span){bytes, cut}, &err);
        free(bytes);
        assert_true(t != NULL || strncmp(err.text, "line ", 5) == 0);
        template_free(t);
    }
}

/* A small generator of random numbers, so that a failure can be repeated. */
static uint32_t next(uint32_t *seed)
{
    *seed = *seed * 1664525u + 1013904223u;
    return *seed >> 8;
}

static void test_words_in_any_order_never_break_anything(void **state)
{
    (void)state;
    static const char *const words[] = {"{{", "}}", "{%", "%}", "{%-", "-%}", "{#", "#}", "if", "else",
        "endif", "for", "x", "in", "endfor", "set", "=", "endset", "macro", "(", ")", "endmacro", "[", "]",
        "{", "}", ":", ",", ".", "|", "trim", "tojson", "is", "not", "none", "'a'", "1", "2.5", "+", "-", "*",
        "//", "%", "~", "==", "<", "and", "or", "messages", "content", "raw", "endraw", "loop", "namespace",
        "range", "map", "upper", "\n", "call", "endcall", "with", "recursive", "block", "endblock",
        "autoescape", "endautoescape", "**{'a': 1}", "*[1]", "format", "groupby", "batch(2)", "wordwrap",
        "'%s'", "'{}'", "cycler", "varargs", "kwargs", "self", "filter", "break", "join", "sort", "\xc3\xa9",
        "split", "get", "replace", "-1", "99999999", "**", "caller", "first", "indent"};
    const struct template_limits small = {.steps = 50000, .memory = 1000000, .output = 100000};
    uint32_t seed = 7;
    for (int i = 0; i < 20000; i++) {
        char source[600] = "";
        size_t n = 1 + next(&seed) % 40;
        for (size_t k = 0; k < n; k++) {
            strcat(source, words[next(&seed) % (sizeof(words) / sizeof(words[0]))]);
            strcat(source, next(&seed) % 4 ? " " : "");
        }
        struct outcome o =
            run(source, "{\"messages\":[{\"role\":\"user\",\"content\":\"h\\u00e9 \"}]}", &small);
        assert_true(o.good || o.err.text[0]);
        template_text_release(&o.text);
    }
}

static void test_the_date_is_that_of_the_request(void **state)
{
    (void)state;
    setenv("TZ", "UTC", 1);
    struct error err = {0};
    struct template_text text;
    struct template *t = template_parse(span_of("{{ strftime_now('%d %b %Y') }}"), &err);
    assert_true(template_render(t, value_undefined, 86400 * 365, NULL, &text, &err));
    assert_string_equal(text.text, "01 Jan 1971");
    template_text_release(&text);
    template_free(t);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_each_byte_knows_whether_a_message_said_it),
        cmocka_unit_test(test_json_of_a_message_is_the_messages_quotes_and_all),
        cmocka_unit_test(test_a_known_role_makes_delimiters_and_any_other_does_not),
        cmocka_unit_test(test_what_is_not_known_is_refused_with_its_line_and_name),
        cmocka_unit_test(test_what_cannot_be_done_fails_only_where_it_is_reached),
        cmocka_unit_test(test_a_template_that_wants_too_much_meets_a_limit),
        cmocka_unit_test(test_a_chain_of_operators_is_as_deep_as_it_is_long),
        cmocka_unit_test(test_deep_sources_are_refused_and_long_ones_are_not),
        cmocka_unit_test(test_a_chain_as_long_as_a_source_takes_no_stack),
        cmocka_unit_test(test_a_source_cut_anywhere_renders_or_has_a_reason),
        cmocka_unit_test(test_words_in_any_order_never_break_anything),
        cmocka_unit_test(test_the_date_is_that_of_the_request),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
