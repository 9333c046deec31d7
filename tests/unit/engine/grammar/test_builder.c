/* test_builder.c - expressions, what they match, and what a builder refuses. */
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <setjmp.h>

#include "berth/engine/grammar/builder.h"
#include "berth/engine/grammar/grammar.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#define COUNT_OF(array) (sizeof(array) / sizeof((array)[0]))

static grammar_node text(struct grammar_builder *b, const char *s)
{
    return grammar_literal(b, span_of(s));
}

static grammar_node sequence(
    struct grammar_builder *b, grammar_node one, grammar_node two, grammar_node three)
{
    return grammar_sequence(b, one, grammar_sequence(b, two, three));
}

static grammar_node chars(struct grammar_builder *b, uint32_t first, uint32_t last)
{
    return grammar_chars(b, &(struct grammar_range){first, last}, 1, false);
}

/* Builds the root, frees the builder and tells the reason when it fails. */
static struct grammar *built(struct grammar_builder *b, grammar_node root)
{
    struct error err = {{0}, false};
    struct grammar *g = grammar_build(b, root, &err);
    if (!g)
        fail_msg("%s", err.text);
    grammar_builder_free(b);
    return g;
}

static void assert_refused(struct grammar_builder *b, grammar_node root, const char *reason)
{
    struct error err = {{0}, false};
    assert_null(grammar_build(b, root, &err));
    if (!strstr(err.text, reason))
        fail_msg("\"%s\" does not say \"%s\"", err.text, reason);
    grammar_builder_free(b);
}

/* "a\nb\n" are the texts "a" and "b". */
static void assert_matches(struct grammar *g, bool matches, const char *texts)
{
    for (const char *end; *texts; texts = end + 1) {
        end = strchr(texts, '\n');
        struct span s = {(const uint8_t *)texts, (size_t)(end - texts)};
        if (grammar_matches(g, s) != matches)
            fail_msg("\"%.*s\" %s", (int)s.size, texts, matches ? "does not match" : "matches");
    }
}

static void assert_texts(struct grammar *g, const char *matching, const char *others)
{
    assert_matches(g, true, matching);
    assert_matches(g, false, others);
    grammar_drop(g);
}

static void test_sequences_choices_and_repetitions_match_what_they_say(void **state)
{
    (void)state;
    struct grammar_builder *b = grammar_builder_new(0);
    grammar_node ab = grammar_either(b, text(b, "a"), text(b, "bc"));
    assert_texts(built(b, sequence(b, text(b, "<"), grammar_repeat(b, ab, 2, 3), text(b, ">"))),
        "<aa>\n<abca>\n<bcbcbc>\n", "\n<>\n<a>\n<aaaa>\n<bcb>\naa\n<aa\n<aa>>\n");
    b = grammar_builder_new(0);
    ab = grammar_either(b, text(b, "a"), text(b, "bc"));
    assert_texts(
        built(b, grammar_repeat(b, ab, 2, GRAMMAR_UNBOUNDED)), "aa\nbcbc\naaaaaaaaabc\n", "\na\nbc\nab\n");
    b = grammar_builder_new(0);
    assert_texts(built(b, grammar_optional(b, text(b, "yes"))), "\nyes\n", "y\nyesyes\n");
}

static void test_repetitions_of_what_may_be_empty_end(void **state)
{
    (void)state;
    struct grammar_builder *b = grammar_builder_new(0);
    grammar_node stars = grammar_repeat(b, text(b, "a"), 0, GRAMMAR_UNBOUNDED);
    grammar_node pair = grammar_sequence(b, stars, grammar_optional(b, text(b, "b")));
    assert_texts(built(b, grammar_repeat(b, pair, 3, 5)), "\na\nbb\nabab\naabaaabbaab\n", "bbbbbb\nabc\n");
    b = grammar_builder_new(0);
    grammar_rule rule = grammar_rule_new(b);
    grammar_rule_define(b, rule, grammar_optional(b, text(b, "a")));
    assert_texts(built(b, grammar_repeat(b, grammar_repeat(b, grammar_call(b, rule), 2, 3), 2, 100000)),
        "\na\naaaaaaaaa\n", "b\n");
}

static void test_a_count_of_a_hundred_thousand_costs_no_states(void **state)
{
    (void)state;
    struct grammar_builder *b = grammar_builder_new(64);
    struct grammar *g = built(b, grammar_repeat(b, chars(b, 'a', 'z'), 99998, 100000));
    char *s = malloc(100001);
    memset(s, 'x', 100001);
    for (size_t n = 99996; n <= 100001; n++)
        assert_int_equal(grammar_matches(g, (struct span){(const uint8_t *)s, n}), n >= 99998 && n <= 100000);
    free(s);
    grammar_drop(g);
}

static void test_characters_are_utf8_and_nothing_else(void **state)
{
    static const struct grammar_range ranges[] = {
        {0x1f600, 0x1f64f}, {'0', '9'}, {0x7f, 0x7ff}, {'5', 'A'}, {0xd700, 0xe000}, {0xffff, 0x10001}};
    (void)state;
    for (int negated = 0; negated < 2; negated++) {
        struct grammar_builder *b = grammar_builder_new(0);
        struct grammar *g = built(b, grammar_chars(b, ranges, COUNT_OF(ranges), negated));
        for (uint32_t c = 0; c < 0x110100; c += c < 0x3000 || c % 0x800 < 3 || c % 0x800 > 0x7fd ? 1 : 17) {
            uint8_t utf8[4] = {(uint8_t)c};
            size_t n = c < 0x80 ? 1 : c < 0x800 ? 2 : c < 0x10000 ? 3 : 4;
            if (n > 1)
                utf8[0] = (uint8_t)(0xf00 >> n | c >> (6 * (n - 1)));
            for (size_t i = 1; i < n; i++)
                utf8[i] = (uint8_t)(0x80 | (c >> (6 * (n - 1 - i)) & 0x3f));
            bool in = false, valid = c <= 0x10ffff && (c < 0xd800 || c > 0xdfff);
            for (size_t i = 0; i < COUNT_OF(ranges); i++)
                in |= c >= ranges[i].first && c <= ranges[i].last;
            if (grammar_matches(g, (struct span){utf8, n}) != (valid && in != negated))
                fail_msg("U+%04X, negated: %d", (unsigned)c, negated);
        }
        assert_matches(
            g, false, "\xc0\x80\n\xc1\xbf\n\xe0\x80\x80\n\xe0\x9f\xbf\n\xf0\x8f\xbf\xbf\n\xff\n\xc3\n");
        grammar_drop(g);
    }
}

static void test_all_and_no_characters(void **state)
{
    (void)state;
    struct grammar_builder *b = grammar_builder_new(0);
    assert_true(grammar_chars(b, NULL, 0, false) == NODE_NEVER);
    grammar_node any = grammar_chars(b, NULL, 0, true);
    assert_true(any == grammar_chars(b, &(struct grammar_range){0, UINT32_MAX}, 1, false));
    assert_texts(
        built(b, any), "a\n\xc3\xa4\n\xf4\x8f\xbf\xbf\n", "\naa\n\xf4\x90\x80\x80\n\x80\n\xed\xa0\x80\n");
}

static void test_rules_call_each_other_to_any_depth(void **state)
{
    (void)state;
    struct grammar_builder *b = grammar_builder_new(0);
    grammar_rule list = grammar_rule_new(b), item = grammar_rule_new(b);
    grammar_node items = grammar_repeat(b, grammar_call(b, item), 0, GRAMMAR_UNBOUNDED);
    grammar_rule_define(b, list, sequence(b, text(b, "("), items, text(b, ")")));
    grammar_rule_define(b, item, grammar_either(b, grammar_call(b, list), text(b, "x")));
    struct grammar *g = built(b, grammar_call(b, list));
    char s[20001];
    memset(s, '(', 10000);
    memset(s + 10000, ')', 10000);
    assert_true(grammar_matches(g, (struct span){(const uint8_t *)s, 20000}));
    assert_false(grammar_matches(g, (struct span){(const uint8_t *)s, 19999}));
    assert_texts(g, "()\n(x)\n((x)x(()))\n", "\n(\n)\n(()\n())\nx\n");
}

static void test_a_rule_that_ends_in_itself_needs_no_depth(void **state)
{
    (void)state;
    struct grammar_builder *b = grammar_builder_new(0);
    grammar_rule rule = grammar_rule_new(b);
    grammar_rule_define(
        b, rule, grammar_optional(b, grammar_sequence(b, text(b, "ab"), grammar_call(b, rule))));
    struct grammar *g = built(b, grammar_call(b, rule));
    size_t n = 400000;
    uint8_t *s = malloc(n);
    for (size_t i = 0; i < n; i++)
        s[i] = i % 2 ? 'b' : 'a';
    assert_true(grammar_matches(g, (struct span){s, n}));
    assert_false(grammar_matches(g, (struct span){s, n - 1}));
    free(s);
    grammar_drop(g);
}

static void test_left_recursion_is_refused_also_behind_what_may_be_empty(void **state)
{
    (void)state;
    struct grammar_builder *b = grammar_builder_new(0);
    grammar_rule one = grammar_rule_new(b), two = grammar_rule_new(b), empty = grammar_rule_new(b);
    grammar_rule_define(b, empty, grammar_optional(b, text(b, " ")));
    grammar_rule_define(b, one, grammar_either(b, text(b, "1"), grammar_call(b, two)));
    grammar_rule_define(b, two, sequence(b, grammar_call(b, empty), grammar_call(b, one), text(b, "+")));
    assert_refused(b, grammar_call(b, one), "calls itself before");
}

static void test_what_cannot_be_completed_is_left_out(void **state)
{
    (void)state;
    struct grammar_builder *b = grammar_builder_new(0);
    grammar_rule endless = grammar_rule_new(b), missing = grammar_rule_new(b);
    grammar_rule_define(b, endless, sequence(b, text(b, "a"), grammar_call(b, endless), text(b, "b")));
    grammar_node dead = grammar_either(b, grammar_call(b, endless), grammar_call(b, missing));
    grammar_node maybe = grammar_repeat(b, grammar_sequence(b, text(b, "q"), dead), 0, 9);
    grammar_node root =
        grammar_either(b, grammar_sequence(b, text(b, "z"), dead), sequence(b, maybe, text(b, "c"), maybe));
    assert_texts(built(b, root), "c\n", "\na\nab\nz\nqc\n");
    b = grammar_builder_new(0);
    endless = grammar_rule_new(b);
    grammar_rule_define(b, endless, grammar_sequence(b, text(b, "a"), grammar_call(b, endless)));
    assert_refused(b, grammar_call(b, endless), "no text can match");
    b = grammar_builder_new(0);
    assert_refused(b, NODE_NEVER, "no text can match");
    /* A marker behind which nothing can come, and one that never comes because the first one is inside it. */
    for (int i = 0; i < 2; i++) {
        b = grammar_builder_new(0);
        struct grammar_marker markers[] = {{span_of("b"), -1}, {span_of(i ? "abc" : "ac"), -1}};
        grammar_node then[] = {NODE_NEVER, text(b, "!")};
        grammar_node until = grammar_until(b, markers, then, 2, false, 0);
        if (i)
            assert_refused(b, until, "no text can match");
        else
            assert_texts(built(b, until), "ac!\nxac!\n", "b\nbac!\nb!\n");
    }
}

static void test_regular_expressions_are_intersected_and_subtracted(void **state)
{
    (void)state;
    struct grammar_builder *b = grammar_builder_new(0);
    grammar_node word = grammar_repeat(b, chars(b, 'a', 'z'), 1, 5);
    grammar_node names =
        grammar_either(b, text(b, "if"), grammar_either(b, text(b, "for"), text(b, "other")));
    grammar_node with_o = sequence(b, grammar_repeat(b, chars(b, 'a', 'z'), 0, 9), text(b, "o"),
        grammar_repeat(b, chars(b, 0, 0x10ffff), 0, GRAMMAR_UNBOUNDED));
    grammar_node rest = grammar_difference(b, word, names);
    assert_false(grammar_disjoint(b, word, names));
    assert_true(grammar_disjoint(b, rest, names));
    assert_true(grammar_matches_nothing(b, grammar_difference(b, names, word)));
    assert_true(grammar_matches_nothing(b, grammar_intersection(b, rest, names)));
    assert_true(grammar_difference(b, word, names) == rest);
    grammar_node both = grammar_intersection(b, rest, with_o);
    assert_true(grammar_difference(b, grammar_optional(b, names), names) == NODE_EMPTY);
    assert_texts(built(b, sequence(b, rest, text(b, "-"), both)), "fo-o\nabcde-yo\nothe-forth\n",
        "if-o\ni-for\n-o\ni-\nabcdef-o\nI-o\ni-x\n");
}

static void test_a_difference_of_long_texts_stays_in_the_limit(void **state)
{
    (void)state;
    struct grammar_builder *b = grammar_builder_new(5000);
    grammar_node some = grammar_repeat(b, chars(b, 'a', 'b'), 0, 10000);
    grammar_node root = grammar_difference(b, some, text(b, "a"));
    assert_true(grammar_builder_failed(b));
    assert_non_null(strstr(grammar_builder_error(b)->text, "5000 states"));
    assert_refused(b, root, "5000 states");
}

static void test_calls_tokens_and_tags_are_not_regular(void **state)
{
    (void)state;
    for (int i = 0; i < 4; i++) {
        struct grammar_builder *b = grammar_builder_new(0);
        grammar_node nodes[] = {grammar_token(b, 3), grammar_tag(b, text(b, "x"), 2),
            grammar_call(b, grammar_rule_new(b)), grammar_until(b, NULL, NULL, 0, true, 0)};
        grammar_node node = grammar_sequence(b, text(b, "a"), nodes[i]);
        if (i % 2)
            assert_true(grammar_disjoint(b, node, text(b, "a")));
        else
            assert_true(grammar_matches_nothing(b, node));
        assert_true(grammar_builder_failed(b));
        assert_refused(b, node, "regular");
    }
}

static void test_the_first_reason_to_fail_stays(void **state)
{
    (void)state;
    struct grammar_builder *b = grammar_builder_new(0);
    assert_false(grammar_builder_failed(b));
    assert_string_equal(grammar_builder_error(b)->text, "");
    assert_true(grammar_builder_fail(b, "no %s", "way") == NODE_NEVER);
    grammar_builder_fail(b, "another");
    assert_true(text(b, "a") == NODE_NEVER && chars(b, 'a', 'b') == NODE_NEVER);
    assert_true(grammar_repeat(b, NODE_EMPTY, 0, 3) == NODE_NEVER);
    assert_true(grammar_call(b, grammar_rule_new(b)) == NODE_NEVER);
    assert_refused(b, NODE_EMPTY, "no way");
}

static void test_too_many_states_make_the_builder_fail(void **state)
{
    (void)state;
    struct grammar_builder *b = grammar_builder_new(1000);
    grammar_node node = NODE_EMPTY;
    char s[16];
    for (unsigned i = 0; i < 1000; i++) {
        snprintf(s, sizeof(s), "%u", i);
        node = grammar_sequence(b, text(b, s), node);
    }
    assert_refused(b, node, "more than 1000 states");
}

static void test_equal_expressions_are_one(void **state)
{
    (void)state;
    struct grammar_builder *b = grammar_builder_new(100);
    grammar_node one = NODE_NEVER;
    for (int i = 0; i < 1000; i++) {
        grammar_node s =
            sequence(b, text(b, "abc"), grammar_repeat(b, chars(b, 'a', 0x800), 2, 3), text(b, "d"));
        assert_true(i == 0 || s == one);
        one = s;
    }
    assert_false(grammar_builder_failed(b));
    grammar_builder_free(b);
}

static void test_long_chains_in_both_directions(void **state)
{
    (void)state;
    struct grammar_builder *b = grammar_builder_new(0);
    grammar_node left = NODE_EMPTY, right = NODE_EMPTY, options = NODE_EMPTY, choice = NODE_NEVER;
    char s[40020];
    for (unsigned i = 0; i < 20000; i++) {
        left = grammar_sequence(b, left, text(b, "l"));
        right = grammar_sequence(b, text(b, "r"), right);
        if (i < 2000)
            options = grammar_sequence(b, grammar_optional(b, text(b, "o")), options);
        if (i < 9000) {
            snprintf(s, sizeof(s), "%u;", i);
            choice = grammar_either(b, choice, text(b, s));
        }
    }
    struct grammar *g = built(b, sequence(b, choice, options, grammar_sequence(b, right, left)));
    memcpy(s, "8999;ooo", 8);
    memset(s + 8, 'r', 20000);
    memset(s + 20008, 'l', 20000);
    assert_true(grammar_matches(g, (struct span){(const uint8_t *)s, 40008}));
    assert_false(grammar_matches(g, (struct span){(const uint8_t *)s, 40007}));
    assert_texts(g, "", "9000;\n17\n1;lr\n");
}

static void test_a_choice_of_thousands_of_literals_matches_each_of_them_and_no_other(void **state)
{
    (void)state;
    struct grammar_builder *b = grammar_builder_new(0);
    grammar_node choice = grammar_repeat(b, text(b, "z"), 2, 3);
    char s[16];
    for (unsigned i = 0; i < 10000; i += 3) {
        snprintf(s, sizeof(s), "%x", i);
        choice = i % 2 ? grammar_either(b, text(b, s), choice) : grammar_either(b, choice, text(b, s));
    }
    /* Choices that share choices would be visited 2^40 times. */
    grammar_node shared = choice;
    for (unsigned i = 0; i < 40; i++) {
        snprintf(s, sizeof(s), "s%u", i);
        shared = grammar_either(
            b, grammar_either(b, shared, text(b, s)), grammar_either(b, text(b, s + 1), shared));
    }
    struct grammar *g = built(b, sequence(b, choice, text(b, "."), shared));
    for (unsigned i = 0; i < 10000; i++) {
        snprintf(s, sizeof(s), "%x.%x", i, i / 7 * 3);
        assert_int_equal(grammar_matches(g, span_of(s)), i % 3 == 0);
    }
    assert_texts(g, "zz.s39\nzzz.38\n0.0\n", "z.0\n.0\n0\nzzzz.0\n");
}

static void test_text_goes_up_to_the_first_marker(void **state)
{
    (void)state;
    struct grammar_builder *b = grammar_builder_new(0);
    struct grammar_marker markers[] = {{span_of("</a>"), -1}, {span_of("<<b"), -1}, {span_of("a>c"), -1}};
    grammar_node then[] = {text(b, "1"), text(b, "2"), text(b, "3")};
    assert_texts(built(b, grammar_until(b, markers, then, 3, false, 1)),
        "</a>1\nxx</a>1\n<</a>1\n<<<<b2\na>a>c3\n</b</a</a>1\n\xff</a>1\n",
        "\nxx\n</a>\n</a>2\n</a>1x\n</a>x</a>1\n<b2\n");
    b = grammar_builder_new(0);
    grammar_node x = text(b, "x");
    struct grammar_marker end = {span_of("END"), -1};
    assert_texts(
        built(b, grammar_until(b, &end, &x, 1, true, 0)), "\nE\nEN.D\nabc\nENDx\nEENDx\n", "END\nENDxx\n");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_sequences_choices_and_repetitions_match_what_they_say),
        cmocka_unit_test(test_repetitions_of_what_may_be_empty_end),
        cmocka_unit_test(test_a_count_of_a_hundred_thousand_costs_no_states),
        cmocka_unit_test(test_characters_are_utf8_and_nothing_else),
        cmocka_unit_test(test_all_and_no_characters),
        cmocka_unit_test(test_rules_call_each_other_to_any_depth),
        cmocka_unit_test(test_a_rule_that_ends_in_itself_needs_no_depth),
        cmocka_unit_test(test_left_recursion_is_refused_also_behind_what_may_be_empty),
        cmocka_unit_test(test_what_cannot_be_completed_is_left_out),
        cmocka_unit_test(test_regular_expressions_are_intersected_and_subtracted),
        cmocka_unit_test(test_a_difference_of_long_texts_stays_in_the_limit),
        cmocka_unit_test(test_calls_tokens_and_tags_are_not_regular),
        cmocka_unit_test(test_the_first_reason_to_fail_stays),
        cmocka_unit_test(test_too_many_states_make_the_builder_fail),
        cmocka_unit_test(test_equal_expressions_are_one),
        cmocka_unit_test(test_long_chains_in_both_directions),
        cmocka_unit_test(test_a_choice_of_thousands_of_literals_matches_each_of_them_and_no_other),
        cmocka_unit_test(test_text_goes_up_to_the_first_marker),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
