/* test_regex.c - which texts a regular expression matches, and which expressions are refused. */
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <setjmp.h>

#include "berth/engine/grammar/grammar.h"
#include "berth/engine/grammar/sources.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#define TEXTS_MOST 8

static struct grammar *compile(const char *pattern, bool anywhere, struct error *err)
{
    struct grammar_builder *b = grammar_builder_new(0);
    assert_non_null(b);
    struct grammar *g = grammar_build(b, grammar_regex(b, span_of(pattern), anywhere), err);
    grammar_builder_free(b);
    return g;
}

struct row {
    const char *pattern;
    const char *yes[TEXTS_MOST], *no[TEXTS_MOST];
};

static void check_rows(const struct row *rows, size_t n, bool anywhere)
{
    for (size_t i = 0; i < n; i++) {
        struct error err = {0};
        struct grammar *g = compile(rows[i].pattern, anywhere, &err);
        if (!g)
            fail_msg("%s: %s", rows[i].pattern, err.text);
        for (size_t k = 0; k < TEXTS_MOST && rows[i].yes[k]; k++)
            if (!grammar_matches(g, span_of(rows[i].yes[k])))
                fail_msg("%s does not match \"%s\"", rows[i].pattern, rows[i].yes[k]);
        for (size_t k = 0; k < TEXTS_MOST && rows[i].no[k]; k++)
            if (grammar_matches(g, span_of(rows[i].no[k])))
                fail_msg("%s matches \"%s\"", rows[i].pattern, rows[i].no[k]);
        grammar_drop(g);
    }
}

#define CHECK(rows, anywhere) check_rows(rows, sizeof(rows) / sizeof((rows)[0]), anywhere)

static void test_the_whole_text_matches(void **state)
{
    static const struct row rows[] = {
        {"", {""}, {"a"}},
        {"abc", {"abc"}, {"", "ab", "abcd", "xabc"}},
        {"a|bc|", {"a", "bc", ""}, {"b", "abc"}},
        {"a*b+c?", {"b", "aab", "bbc", "abc"}, {"", "a", "ac", "bcc"}},
        {"a*?b+?c??", {"b", "aab", "bbc"}, {"a"}},
        {"(ab|c){2}", {"abab", "abc", "cc"}, {"ab", "ccc"}},
        {"x{2,}", {"xx", "xxxxx"}, {"x", ""}},
        {"x{1,3}y", {"xy", "xxxy"}, {"y", "xxxxy"}},
        {"x{,2}", {"", "x", "xx"}, {"xxx"}},
        {"x{0}", {""}, {"x"}},
        {"a{b}", {"a{b}"}, {"ab"}},
        {"(?:a|b)(?P<name>c)(?<other>d)", {"acd", "bcd"}, {"cd"}},
        {"^abc$", {"abc"}, {"^abc$"}},
        {"\\Aabc\\Z", {"abc"}, {"ab"}},
        {"(^a|b)c", {"ac", "bc"}, {"c"}},
        {"a(b$|c)", {"ab", "ac"}, {"a"}},
        {"(a|b$)(c)?", {"a", "b", "ac"}, {"bc"}},
        {"a$$", {"a"}, {"aa"}},
        {"^(^a)?b", {"ab", "b"}, {"aab"}},
    };
    (void)state;
    CHECK(rows, false);
}

static void test_characters_and_classes(void **state)
{
    static const struct row rows[] = {
        {".", {"a", "é", "😀", "\t"}, {"\n", "\r", "\xe2\x80\xa8", "", "ab"}},
        {"[a-cx]", {"a", "c", "x"}, {"d", "-", ""}},
        {"[^a-cx]", {"d", "\n", "é"}, {"a", "x"}},
        {"[a\\]b]", {"]", "a"}, {"\\"}},
        {"[a-]", {"-", "a"}, {"b"}},
        {"[-a]", {"-", "a"}, {"b"}},
        {"[\\d-x]", {"5", "-", "x"}, {"a"}},
        {"[é-ü]", {"é", "ñ", "ü"}, {"a", "ÿ"}},
        {"[😀-😎]", {"😃"}, {"😐"}},
        {"[^é]", {"è", "a"}, {"é"}},
        {"\\d+", {"0123456789"}, {"٣", "a"}},
        {"\\D", {"a", "é"}, {"5", "٣"}},
        {"\\w+", {"aZ_9"}, {"é", "-"}},
        {"\\W", {"-", " "}, {"a", "é"}},
        {"[^\\w]", {"-"}, {"a", "é"}},
        {"[^\\W]", {"a"}, {"-"}},
        {"\\s", {" ", "\t", "\n", "\xc2\xa0", "\xe3\x80\x80"}, {"a", "\xef\xbb\xbf", "\x1c"}},
        {"\\S", {"a", "é"}, {" ", "\xef\xbb\xbf", "\x1c", "\xc2\x85"}},
        {"\\x41\\u0042\\u{43}\\u{1F600}", {"ABC😀"}, {"ABC"}},
        {"\\uD83D\\uDE00", {"😀"}, {"\xed\xa0\xbd"}},
        {"\\t\\n\\r\\f\\v\\cJ", {"\t\n\r\f\v\n"}, {"tnrfvJ"}},
        {"\\^\\$\\.\\*\\+\\?\\(\\)\\[\\]\\{\\}\\|\\/\\-", {"^$.*+?()[]{}|/-"}, {""}},
        {"[\\b]", {"\b"}, {"b"}},
    };
    (void)state;
    CHECK(rows, false);
}

static void test_a_part_of_the_text_is_enough(void **state)
{
    static const struct row rows[] = {
        {"b", {"b", "abc", "\nb\n"}, {"", "ac"}},
        {"^b", {"b", "bc"}, {"ab", ""}},
        {"b$", {"b", "ab"}, {"bc", "b\n"}},
        {"^b$", {"b"}, {"ab", "bc", "bb"}},
        {"^a|b$", {"a", "ax", "xb", "b"}, {"xa", "bx"}},
        {"(^|,)x(,|$)", {"x", "a,x", "x,b", "a,x,b"}, {"ax", "xb"}},
        {"", {"", "anything"}, {NULL}},
        {"^$", {""}, {"a"}},
        {"^a?", {"", "b", "ab"}, {NULL}},
        {"x{2}", {"xx", "axxb"}, {"x", "xax"}},
    };
    (void)state;
    CHECK(rows, true);
}

static void test_what_is_not_regular_is_refused_by_name(void **state)
{
    static const struct {
        const char *pattern, *reason;
    } rows[] = {
        {"a(?=b)", "look-ahead is not supported"},
        {"a(?!b)", "look-ahead is not supported"},
        {"(?<=a)b", "look-behind is not supported"},
        {"(?<!a)b", "look-behind is not supported"},
        {"(a)\\1", "back reference"},
        {"(?P<n>a)(?P=n)", "back reference"},
        {"(?<n>a)\\k<n>", "back reference"},
        {"\\bword", "word border"},
        {"a\\B", "word border"},
        {"\\p{L}", "Unicode property"},
        {"(?i)a", "flags"},
        {"(?>a)", "atomic groups"},
        {"a++", "possessive"},
        {"(^a)*", "an anchor in a repetition"},
        {"(a", "a group without its end at byte 0"},
        {"a)", "closing bracket without its group at byte 1"},
        {"[a", "a set without its end at byte 0"},
        {"[z-a]", "ends before it begins"},
        {"[a-\\d]", "a class as the end of a range"},
        {"*a", "nothing to repeat at byte 0"},
        {"a**", "nothing to repeat at byte 2"},
        {"a{3,2}", "wrong order"},
        {"a{1000000}", "more than 100000"},
        {"\\q", "unknown escape"},
        {"a\\", "unknown escape"},
        {"\\xg1", "hexadecimal"},
        {"\\u{110000}", "code point"},
        {"\xff", "not UTF-8"},
        {"a^b", "no text"},
    };
    (void)state;
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        struct error err = {0};
        struct grammar *g = compile(rows[i].pattern, false, &err);
        if (g)
            fail_msg("%s is not refused", rows[i].pattern);
        if (!strstr(err.text, rows[i].reason))
            fail_msg("%s: \"%s\" does not say \"%s\"", rows[i].pattern, err.text, rows[i].reason);
    }
}

/* A pattern that repeats a piece. */
static char *repeated(const char *piece, size_t n)
{
    size_t size = strlen(piece);
    char *text = malloc(size * n + 1);
    assert_non_null(text);
    for (size_t i = 0; i < n; i++)
        memcpy(text + i * size, piece, size + 1);
    return text;
}

static void test_a_set_may_name_many_classes(void **state)
{
    struct error err = {0};
    char *many = repeated("\\W\\s\\D", 10000), *pattern = malloc(strlen(many) + 4);
    (void)state;
    assert_non_null(pattern);
    sprintf(pattern, "[%s]", many);
    struct grammar *g = compile(pattern, false, &err);
    assert_non_null(g);
    assert_true(grammar_matches(g, span_of("-")));
    assert_false(grammar_matches(g, span_of("5")));
    grammar_drop(g);
    free(pattern);
    free(many);
}

static void test_hostile_patterns_end_soon(void **state)
{
    static const struct {
        const char *piece;
        size_t n;
    } rows[] = {{"(", 60000}, {"(a|", 20000}, {"[", 60000}, {"(a*)*", 10000}, {"a{9999}", 5000}, {"|", 60000},
        {"(a{999}){999}", 3}, {"[a-z]", 12000}, {"x", 200000}, {"(?:^|$)", 8000}};
    (void)state;
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        struct error err = {0};
        char *pattern = repeated(rows[i].piece, rows[i].n);
        struct grammar *g = compile(pattern, true, &err);
        assert_true(g || err.text[0]);
        grammar_drop(g);
        free(pattern);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_the_whole_text_matches),
        cmocka_unit_test(test_characters_and_classes),
        cmocka_unit_test(test_a_part_of_the_text_is_enough),
        cmocka_unit_test(test_what_is_not_regular_is_refused_by_name),
        cmocka_unit_test(test_a_set_may_name_many_classes),
        cmocka_unit_test(test_hostile_patterns_end_soon),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
