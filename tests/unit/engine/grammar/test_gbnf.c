/* test_gbnf.c - grammars in GBNF: what they match, and what is refused with its line. */
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

#define COUNT_OF(array) (sizeof(array) / sizeof((array)[0]))

static struct grammar *read_source(struct span source, struct error *err)
{
    struct grammar_builder *b = grammar_builder_new(0);
    struct grammar *g = grammar_build(b, grammar_gbnf(b, source), err);
    grammar_builder_free(b);
    return g;
}

/* "a\nb\n" are the texts "a" and "b". */
static void assert_matches(struct grammar *g, const char *source, bool matches, const char *texts)
{
    for (const char *end; *texts; texts = end + 1) {
        end = strchr(texts, '\n');
        struct span s = {(const uint8_t *)texts, (size_t)(end - texts)};
        if (grammar_matches(g, s) != matches)
            fail_msg("%s\n\"%.*s\" %s", source, (int)s.size, texts, matches ? "does not match" : "matches");
    }
}

struct example {
    const char *source, *matching, *others;
};

static void assert_examples(const struct example *x, size_t n)
{
    for (size_t i = 0; i < n; i++) {
        struct error err = {{0}, false};
        struct grammar *g = read_source(span_of(x[i].source), &err);
        if (!g)
            fail_msg("%s\n%s", x[i].source, err.text);
        assert_matches(g, x[i].source, true, x[i].matching);
        assert_matches(g, x[i].source, false, x[i].others);
        grammar_drop(g);
    }
}

static void test_literals_choices_groups_and_repetitions(void **state)
{
    static const struct example examples[] = {
        {"root ::= \"yes\" | \"no\"", "yes\nno\n", "\nyesno\nye\n"},
        {"root ::= (\"a\" | \"b\" \"c\")+ \"!\"?", "a\nbc\nabca!\n", "\n!\nb\nac\na!!\n"},
        {"root ::= \"a\"* \"b\"{2} \"c\"{1,} \"d\"{0,2}", "bbc\naabbccdd\n", "bc\nbbb\nbb\nbbcddd\n"},
        {"root ::= \"ab\" {2} | \"ab\"{ 3 , 4 }", "abab\nababab\nabababab\n", "ab\nababababab\nabb\n"},
        {"root ::= [a-c] [^a-c\\n] [x-] [-y] \".\" .", "azx-.q\nbd-y.\xc3\xa4\n", "aax-.q\nad--.\nazz-.q\n"},
        {"root ::= \"\"", "\n", "a\n"},
        {"root ::= | \"a\"", "\na\n", "aa\n"},
        {"root ::= (((\"a\")))  \"b\"*?", "a\nabb\n", "b\n"},
        {"root ::= \"a\" [] | [^] \"b\"",
            "ab\n\xe2\x82\xac"
            "b\n",
            "a\nb\n"},
    };
    (void)state;
    assert_examples(examples, COUNT_OF(examples));
}

static void test_escapes_name_characters(void **state)
{
    static const struct example examples[] = {
        {"root ::= \"\\t\\r\\\\\\\"\\[\\]\" \"\\x41\\u00e4\\U0001F600\"",
            "\t\r\\\"[]A\xc3\xa4\xf0\x9f\x98\x80\n", "\n"},
        {"root ::= \"\\xe4\"", "\xc3\xa4\n", "\xe4\n"},
        {"root ::= [\\x41-\\x43\\u00e4\\]\\\\]+", "ABC\xc3\xa4]\\\n", "D\n[\n"},
        {"root ::= \"\xe3\x81\x82\" [\xe3\x81\x82-\xe3\x82\x93]", "\xe3\x81\x82\xe3\x81\x84\n",
            "\xe3\x81\x82\n"},
    };
    (void)state;
    assert_examples(examples, COUNT_OF(examples));
    struct error err = {{0}, false};
    struct grammar *g = read_source(span_of("root ::= \"a\\nb\" \"\n\""), &err);
    assert_true(grammar_matches(g, span_of("a\nb\n")));
    grammar_drop(g);
}

static void test_lines_go_on_in_groups_and_behind_bars(void **state)
{
    static const struct example examples[] = {
        {"# words\nroot ::= a |\n  b # the second\n\na ::=\n  \"a\"\nb ::= (\n \"b\"\n\n # more\n \"c\" )\n# end",
            "a\nbc\n", "ab\n"},
        {"root ::= \"a\" b\r\n# a comment\r\nb ::= \"b\" |\r\n\"c\"\r\n", "ab\nac\n", "a\n"},
        {"\n\n  \troot::=x-1\nx-1::=\"x\"#", "x\n", "\n"},
        {"root ::= (\"a\"\n+\n{2})", "aa\naaaa\n", "a\n\n"},
    };
    (void)state;
    assert_examples(examples, COUNT_OF(examples));
}

static void test_rules_are_recursive_and_defined_in_any_order(void **state)
{
    static const struct example examples[] = {
        {"root ::= list\nlist ::= \"[\" (item (\",\" item)*)? \"]\"\nitem ::= list | [0-9]+",
            "[]\n[1,[22,[]],3]\n", "\n[\n[,]\n[1,]\n[[]\n"},
        {"root ::= one\none ::= \"1\"\none ::= \"2\"", "2\n", "1\n"},
        {"root ::= \"(\" root \")\" | \"\"", "\n(())\n", "(\n())\n"},
    };
    (void)state;
    assert_examples(examples, COUNT_OF(examples));
}

/* Sums and products, as people would write them. */
static void test_arithmetic(void **state)
{
    static const struct example examples[] = {{"root   ::= (sum \"=\" ws term \"\\n\"?)+\n"
                                               "sum    ::= term ([-+*/] ws term)*\n"
                                               "term   ::= name | number | \"(\" ws sum \")\" ws\n"
                                               "name   ::= [a-z] [a-z0-9_]* ws\n"
                                               "number ::= [0-9]+ ws\n"
                                               "ws     ::= [ \\t]*\n",
        "1+2=3\nx = y1\n( a + 12 ) * (b)= c3 d=4\n", "1+2\n=1\n1+=2\n(1=2\n1 2=3\n"}};
    (void)state;
    assert_examples(examples, COUNT_OF(examples));
}

static void test_moves_of_a_game(void **state)
{
    static const struct example examples[] = {
        {"root   ::= \"1. \" move \" \" move \"\\x3b\" ([1-9] [0-9]? \". \" move \" \" move \";\")*\n"
         "move   ::= (pawn | piece | castle) [+#]?\n"
         "piece  ::= [NBKQR] [a-h]? [1-8]? \"x\"? [a-h] [1-8]\n"
         "pawn   ::= ([a-h] \"x\")? [a-h] [1-8] (\"=\" [NBKQR])?\n"
         "castle ::= \"O-O\" \"-O\"?\n",
            "1. e4 e5;\n1. e4 exd8=Q+;2. Nf3 Nbd7;10. O-O O-O-O#;\n1. Raxb3 Kb1;\n",
            "1. e4;\n2. e4 e5;\n1. e9 e5;\n1. O-O-O-O a1;\n1. e4 e5;00. e4 e5;\n"}};
    (void)state;
    assert_examples(examples, COUNT_OF(examples));
}

static const char json[] =
    "root   ::= value\n"
    "value  ::= (object | array | string | number | \"true\" | \"false\" | \"null\") ws\n"
    "object ::= \"{\" ws (member (\",\" ws member)*)? \"}\"\n"
    "member ::= string ws \":\" ws value\n"
    "array  ::= \"[\" ws (value (\",\" ws value)*)? \"]\"\n"
    "string ::= \"\\\"\" ([^\"\\\\\\x7F\\x00-\\x1F] | \"\\\\\" ([\"\\\\/bfnrt] | \"u\" [0-9a-fA-F]{4}))* \"\\\"\"\n"
    "number ::= \"-\"? (\"0\" | [1-9] [0-9]{0,15}) (\".\" [0-9]+)? ([eE] [-+]? [0-9]+)?\n"
    "ws     ::= | \" \" | \"\\n\" [ \\t]{0,20}\n";

static void test_json(void **state)
{
    static const struct example examples[] = {{json,
        "{}\n[]\n{\"a\": [1, -2.5e+7, \"\\u00e4\\\"\"], \"b\": {\"c\": null}}\n\"\xc3\xa4\"\ntrue\n[[[[]]]] \n",
        "\n{\n{\"a\"}\n[1,]\n01\n\"\\x\"\n\"\t\"\n\"\xc3\"\n{a: 1}\ntrue false\n"}};
    (void)state;
    assert_examples(examples, COUNT_OF(examples));
}

static void test_a_list_and_japanese(void **state)
{
    static const struct example examples[] = {
        {"root ::= item+\nitem ::= \"- \" [^\\r\\n\\x0b\\x0c\\x85\\u2028\\u2029]+ \";\"",
            "- a;\n- one;- two \xe2\x82\xac;\n", "\n- ;\na;\n- a\n- \xc2\x85;\n- \xe2\x80\xa8;\n"},
        {"root ::= text+ ([ \\t] text+)*\ntext ::= hiragana | katakana | mark | kanji\nhiragana ::= [\xe3\x81\x81-\xe3\x82\x9f]\n"
         "katakana ::= [\xe3\x82\xa1-\xe3\x83\xbf]\nmark ::= [\xe3\x80\x81-\xe3\x80\xbe]\nkanji ::= [\xe4\xb8\x80-\xe9\xbf\xbf]\n",
            "\xe3\x81\x93\xe3\x82\x93 \xe4\xb8\x96\xe7\x95\x8c\xe3\x80\x82\n",
            "\na\n\xe3\x81\n \xe3\x81\x93\n"},
    };
    (void)state;
    assert_examples(examples, COUNT_OF(examples));
}

static void test_what_is_not_gbnf_is_refused_with_its_line(void **state)
{
    static const struct {
        const char *source, *reason;
    } cases[] = {
        {"", "the rule \"root\" is not defined"},
        {"start ::= \"a\"", "the rule \"root\" is not defined"},
        {"root ::= \"a\"\n  b\n", "line 2: \"::=\" was expected"},
        {"root ::= a b\na ::= \"a\"\n", "line 1: the rule \"b\" is not defined"},
        {"root = \"a\"", "line 1: \"::=\" was expected, and \"= \"a\"\""},
        {"root ::= \"a\n\nb", "line 3: a character was expected, and the end"},
        {"root ::= [a-", "line 1: a character was expected"},
        {"root ::= [z-a]", "line 1: a range of characters ends before it begins"},
        {"root ::= \"\\q\"", "line 1: an escape"},
        {"root ::= \"\\x4g\"", "line 1: \\x needs 2 hexadecimal digits"},
        {"root ::= \"\\ud800\"", "line 1: \\u needs 4"},
        {"root ::= \"\\U00110000\"", "line 1: \\U needs 8"},
        {"root ::= \"\xff\"", "line 1: a character was expected, and \"\\xff"},
        {"\n\nroot ::= (\"a\"", "line 3: \")\" was expected, and the end"},
        {"root ::= \"a\")", "line 1: an item, \"|\" or the end of the rule was expected"},
        {"root ::= *", "line 1: an item"},
        {"root ::= \"a\"{,3}", "line 1: a number was expected"},
        {"root ::= \"a\"{3", "line 1: \"}\" was expected"},
        {"root ::= \"a\"{3,2}", "line 1: {3,2} counts down"},
        {"root ::= \"a\" <[12]>", "line 1: tokens of the vocabulary"},
        {"root ::=\n\"a\" | !<think>", "line 2: tokens of the vocabulary"},
        {"root ::= \"a\" ; \"b\"", "line 1: an item"},
        {"root ::= a\n\na ::= a \"x\" | \"y\"", "line 3: the rule \"a\" is left-recursive"},
        {"root ::= b? root \"x\" | \"y\"\nb ::= \"\"", "line 1: the rule \"root\" is left-recursive"},
        {"root ::= \"a\" root", "no text can match"},
        {"root ::= []", "no text can match"},
    };
    (void)state;
    for (size_t i = 0; i < COUNT_OF(cases); i++) {
        struct error err = {{0}, false};
        struct grammar *g = read_source(span_of(cases[i].source), &err);
        if (g || strncmp(err.text, cases[i].reason, strlen(cases[i].reason)) != 0)
            fail_msg("%s\n\"%s\" does not begin with \"%s\"", cases[i].source, err.text, cases[i].reason);
    }
}

/* `n` times each piece, with "x" in the middle. */
static struct span nested(
    struct strbuf *out, size_t n, const char *before, const char *middle, const char *after)
{
    strbuf_init(out, (size_t)1 << 24);
    strbuf_text(out, "root ::= ");
    for (size_t i = 0; i < n; i++)
        strbuf_text(out, before);
    strbuf_text(out, middle);
    for (size_t i = 0; i < n; i++)
        strbuf_text(out, after);
    assert_false(out->failed);
    return (struct span){(const uint8_t *)out->text, out->size};
}

static void test_nested_groups_and_long_rules_are_bounded(void **state)
{
    struct strbuf source;
    struct error err = {{0}, false};
    (void)state;
    assert_null(read_source(nested(&source, 60000, "(", "\"x\"", ")"), &err));
    assert_string_equal(err.text, "line 1: groups are nested more than 256 deep");
    strbuf_release(&source);
    assert_null(read_source(nested(&source, 300000, "\"x\" [a-b] | ", "\"y\"", " \"z\""), &err));
    assert_non_null(strstr(err.text, "more than 131072 states"));
    strbuf_release(&source);
    struct grammar *g = read_source(nested(&source, 200, "(\"a\" ", "\"x\"", " \"b\")"), &err);
    assert_non_null(g);
    strbuf_release(&source);
    char text[402];
    memset(text, 'a', 200);
    text[200] = 'x';
    memset(text + 201, 'b', 200);
    assert_true(grammar_matches(g, (struct span){(const uint8_t *)text, 401}));
    assert_false(grammar_matches(g, (struct span){(const uint8_t *)text, 400}));
    grammar_drop(g);
    g = read_source(nested(&source, 20000, "\"a\" ", "\"x\"", "?"), &err);
    assert_non_null(g);
    assert_false(grammar_matches(g, span_of("aax")));
    grammar_drop(g);
    strbuf_release(&source);
}

/* Each rule calls the next one twice, so that there are 2^n ways to begin. */
static void test_an_ambiguous_grammar_is_refused_or_bounded(void **state)
{
    (void)state;
    for (int n = 5; n <= 50; n += 45) {
        struct strbuf source;
        struct error err = {{0}, false};
        strbuf_init(&source, 1 << 16);
        strbuf_text(&source, "root ::= a0\n");
        for (int i = 0; i < n; i++)
            strbuf_format(&source, "a%d ::= a%d \"x\" | a%d \"y\" | a%d?\n", i, i + 1, i + 1, i + 1);
        strbuf_format(&source, "a%d ::= \"z\"\n", n);
        struct grammar *g = read_source((struct span){(const uint8_t *)source.text, source.size}, &err);
        strbuf_release(&source);
        if (n > 20) {
            assert_null(g);
            assert_non_null(strstr(err.text, "too ambiguous"));
            continue;
        }
        assert_non_null(g);
        assert_matches(g, "five rules", true, "\nz\nzxyx\nyy\nzxyxy\n");
        assert_matches(g, "five rules", false, "zxzx\nzxyxyxy\n");
        grammar_drop(g);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_literals_choices_groups_and_repetitions),
        cmocka_unit_test(test_escapes_name_characters),
        cmocka_unit_test(test_lines_go_on_in_groups_and_behind_bars),
        cmocka_unit_test(test_rules_are_recursive_and_defined_in_any_order),
        cmocka_unit_test(test_arithmetic),
        cmocka_unit_test(test_moves_of_a_game),
        cmocka_unit_test(test_json),
        cmocka_unit_test(test_a_list_and_japanese),
        cmocka_unit_test(test_what_is_not_gbnf_is_refused_with_its_line),
        cmocka_unit_test(test_nested_groups_and_long_rules_are_bounded),
        cmocka_unit_test(test_an_ambiguous_grammar_is_refused_or_bounded),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
