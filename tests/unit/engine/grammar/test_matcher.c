/* test_matcher.c - tags of bytes, control tokens, ends of answers, memory. */
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <setjmp.h>

#include "berth/engine/grammar/builder.h"
#include "berth/engine/grammar/grammar.h"
#include "small_vocabulary.h"

#include <math.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#define COUNT_OF(array) (sizeof(array) / sizeof((array)[0]))

/* ---- tags ---- */

/* "text:tag*bytes" of all that was accepted, with `back` applied; "T" is GRAMMAR_TAG_MARK. */
struct told {
    uint16_t tags[256];
    size_t n, doubt;
};

static void tell(struct told *x, struct grammar_matcher *m, int32_t token)
{
    struct grammar_run runs[GRAMMAR_RUNS_MAX];
    size_t back;
    assert_true(grammar_matcher_allows(m, token));
    size_t n = grammar_matcher_accept(m, token, runs, &back);
    assert_true(back <= x->doubt);
    for (size_t i = 0; i < back; i++)
        x->tags[x->n - 1 - i] = GRAMMAR_TAG_MARK;
    for (size_t i = 0; i < n; i++)
        for (size_t k = 0; k < runs[i].bytes; k++)
            x->tags[x->n++] = runs[i].tag;
    x->doubt = grammar_matcher_in_doubt(m);
}

static void assert_told(const struct told *x, const char *tags)
{
    char text[257] = {0};
    for (size_t i = 0; i < x->n; i++)
        text[i] = x->tags[i] == GRAMMAR_TAG_MARK ? 'M' : (char)('0' + x->tags[i]);
    assert_string_equal(text, tags);
}

/* Text up to "</t>" with the tag 1, then "x{2,}" with the tag 2 and, inside, "yz" with the tag 3. */
static struct grammar *tagged(void)
{
    struct error err = {{0}, false};
    struct grammar_builder *b = grammar_builder_new(0);
    struct grammar_marker end = {span_of("</t>"), -1};
    grammar_node yz = grammar_tag(b, grammar_literal(b, span_of("yz")), 3);
    grammar_node x = grammar_repeat(b, grammar_literal(b, span_of("x")), 2, GRAMMAR_UNBOUNDED);
    grammar_node then = grammar_tag(b, grammar_repeat(b, grammar_sequence(b, x, yz), 1, 9), 2);
    struct grammar *g = grammar_build(b, grammar_until(b, &end, &then, 1, false, 1), &err);
    grammar_builder_free(b);
    assert_non_null(g);
    return g;
}

static void test_bytes_have_the_tag_of_the_innermost_part(void **state)
{
    static const char *const more[] = {"</", "t>x", "b</t>xx", "xyzxxy", "/t"};
    (void)state;
    struct small_vocabulary v;
    small_vocabulary_letters(&v, "ab<>/txyz", more, COUNT_OF(more));
    struct token_trie *t = small_vocabulary_trie(&v);
    struct grammar *g = tagged();
    static const struct {
        const char *tokens[8], *tags;
    } cases[] = {
        {{"a", "b</t>xx", "y"}, "11MMMM223"},
        {{"a", "<", "/t", ">", "x"}, "1MMMM2"},
        {{"<", "</", "t>x", "xyzxxy", "z"}, "1MMMM22332233"},
        {{"</", "</", "a", "<", "/t", "/"}, "111111111"},
    };
    for (size_t i = 0; i < COUNT_OF(cases); i++) {
        struct grammar_matcher *m = grammar_matcher_new(g, t);
        struct told told = {.n = 0};
        for (size_t k = 0; k < 8 && cases[i].tokens[k]; k++)
            tell(&told, m, small_vocabulary_find(&v, cases[i].tokens[k]));
        assert_told(&told, cases[i].tags);
        grammar_matcher_free(m);
    }
    grammar_drop(g);
    token_trie_free(t);
}

static void test_bytes_are_in_doubt_while_they_may_begin_a_marker(void **state)
{
    static const struct {
        const char *tokens[8];
        size_t doubt;
    } cases[] = {{{"a"}, 0}, {{"a", "<"}, 1}, {{"<", "<"}, 1}, {{"a", "</"}, 2}, {{"</", "t"}, 3},
        {{"</", "t", "a"}, 0}, {{"</", "<other>"}, 0}, {{"</", "t", "<"}, 1}, {{"</", "t>x"}, 0}};
    static const char *const more[] = {"</", "t>x"};
    (void)state;
    struct small_vocabulary v;
    small_vocabulary_letters(&v, "a<t", more, COUNT_OF(more));
    struct token_trie *t = small_vocabulary_trie(&v);
    struct grammar *g = tagged();
    for (size_t i = 0; i < COUNT_OF(cases); i++) {
        struct grammar_matcher *m = grammar_matcher_new(g, t);
        struct told told = {.n = 0};
        for (size_t k = 0; k < 8 && cases[i].tokens[k]; k++)
            tell(&told, m, small_vocabulary_find(&v, cases[i].tokens[k]));
        assert_int_equal(told.doubt, cases[i].doubt);
        grammar_matcher_free(m);
    }
    grammar_drop(g);
    token_trie_free(t);
}

/* Tags of text with markers anywhere, by looking at all markers at each byte. Returns how many bytes are in doubt. */
static size_t tags_of(const char *text, const char *const *marks, size_t n, char *tags)
{
    size_t begin = 0, size = strlen(text), doubt = 0;
    memset(tags, '1', size);
    for (size_t end = 1; end <= size; end++) {
        size_t longest = 0;
        for (size_t i = 0; i < n; i++) {
            size_t length = strlen(marks[i]);
            if (length <= end - begin && length > longest &&
                memcmp(text + end - length, marks[i], length) == 0)
                longest = length;
        }
        memset(tags + end - longest, 'M', longest);
        begin = longest ? end : begin;
    }
    tags[size] = '\0';
    for (size_t i = 0; i < n; i++)
        for (size_t k = 1; k < strlen(marks[i]) && k <= size - begin; k++)
            if (memcmp(text + size - k, marks[i], k) == 0 && k > doubt)
                doubt = k;
    return doubt;
}

static void test_random_markers_are_found_where_they_end_first(void **state)
{
    static const char *const marks[] = {"aab", "aba", "b", "abb", "cc", "aacb", "bca", "acab"};
    static const char *const more[] = {"aa", "aab", "bc", "caab", "bb", "acabc"};
    (void)state;
    struct small_vocabulary v;
    small_vocabulary_letters(&v, "abc", more, COUNT_OF(more));
    struct token_trie *t = small_vocabulary_trie(&v);
    uint32_t chance = 1;
    for (size_t round = 0; round < 400; round++) {
        struct error err = {{0}, false};
        struct grammar_builder *b = grammar_builder_new(0);
        const char *of[3];
        struct grammar_marker m[3];
        grammar_node then[3];
        grammar_rule again = grammar_rule_new(b);
        for (size_t i = 0; i < COUNT_OF(of); i++) {
            of[i] = marks[(round * 7 + i * (1 + round % 3)) % COUNT_OF(marks)];
            m[i] = (struct grammar_marker){span_of(of[i]), -1};
            then[i] = grammar_call(b, again);
        }
        grammar_rule_define(b, again, grammar_until(b, m, then, COUNT_OF(m), true, 1));
        struct grammar *g = grammar_build(b, grammar_call(b, again), &err);
        grammar_builder_free(b);
        struct grammar_matcher *x = grammar_matcher_new(g, t);
        struct told told = {.n = 0};
        char text[64] = "", tags[64], so_far[64];
        for (size_t i = 0; i < 10; i++) {
            chance = chance * 1664525 + 1013904223;
            int32_t token = small_vocabulary_find(&v, "a") + (int32_t)(chance >> 16) % (int32_t)(v.n - 5);
            strcat(text, v.text[token]);
            tell(&told, x, token);
            size_t doubt = tags_of(text, of, COUNT_OF(of), tags);
            for (size_t k = 0; k < told.n; k++)
                so_far[k] = told.tags[k] == GRAMMAR_TAG_MARK ? 'M' : '1';
            so_far[told.n] = '\0';
            if (strcmp(so_far, tags) != 0 || told.doubt != doubt)
                fail_msg("\"%s\" with %s, %s and %s: %s instead of %s, %zu in doubt", text, of[0], of[1],
                    of[2], so_far, tags, told.doubt);
        }
        grammar_matcher_free(x);
        grammar_drop(g);
    }
    token_trie_free(t);
}

static void test_a_token_has_at_most_sixteen_runs(void **state)
{
    static const char *const more[] = {"abababababababa", "abababababababab", "ababababababababa"};
    struct grammar_run runs[GRAMMAR_RUNS_MAX];
    struct error err = {{0}, false};
    size_t back;
    (void)state;
    struct small_vocabulary v;
    small_vocabulary_letters(&v, "ab", more, COUNT_OF(more));
    struct token_trie *t = small_vocabulary_trie(&v);
    struct grammar_builder *b = grammar_builder_new(0);
    grammar_node one = grammar_tag(b, grammar_literal(b, span_of("a")), 1);
    grammar_node two = grammar_tag(b, grammar_literal(b, span_of("b")), 2);
    grammar_node pairs = grammar_repeat(b, grammar_sequence(b, one, two), 0, GRAMMAR_UNBOUNDED);
    struct grammar *g = grammar_build(b, pairs, &err);
    grammar_builder_free(b);
    for (size_t i = 0; i < COUNT_OF(more); i++) {
        struct grammar_matcher *m = grammar_matcher_new(g, t);
        int32_t token = small_vocabulary_find(&v, more[i]);
        float logits[64] = {0};
        bool fits = strlen(more[i]) <= GRAMMAR_RUNS_MAX;
        assert_int_equal(grammar_matcher_allows(m, token), fits);
        grammar_matcher_mask(m, logits, v.n);
        assert_int_equal(logits[token] == 0, fits);
        if (fits) {
            size_t n = grammar_matcher_accept(m, token, runs, &back);
            assert_int_equal(n, strlen(more[i]));
            for (size_t k = 0; k < n; k++)
                assert_true(runs[k].bytes == 1 && runs[k].tag == 1 + k % 2);
        }
        grammar_matcher_free(m);
    }
    grammar_drop(g);
    token_trie_free(t);
}

/* ---- control tokens and ends ---- */

/* Text up to the control token <call>, then "x"; or up to its end, when it may end. */
static struct grammar *called(bool may_end)
{
    struct error err = {{0}, false};
    struct grammar_builder *b = grammar_builder_new(0);
    struct grammar_marker call = {span_of("<call>"), SMALL_CALL};
    grammar_node then = grammar_literal(b, span_of("x"));
    struct grammar *g = grammar_build(b, grammar_until(b, &call, &then, 1, may_end, 1), &err);
    grammar_builder_free(b);
    assert_non_null(g);
    return g;
}

static void test_a_marker_may_be_a_control_token(void **state)
{
    static const char *const more[] = {"<call>"};
    struct grammar_run runs[GRAMMAR_RUNS_MAX];
    size_t back = 99;
    (void)state;
    struct small_vocabulary v;
    small_vocabulary_letters(&v, "xy<", more, 1); /* a text that is written like the marker is none */
    struct token_trie *t = small_vocabulary_trie(&v);
    for (int may_end = 0; may_end < 2; may_end++) {
        struct grammar *g = called(may_end);
        struct grammar_matcher *m = grammar_matcher_new(g, t);
        int32_t text = (int32_t)v.n - 1, x = small_vocabulary_find(&v, "x");
        assert_int_equal(grammar_matcher_accept(m, text, runs, &back), 1);
        assert_true(runs[0].bytes == 6 && runs[0].tag == 1 && back == 0);
        assert_int_equal(grammar_matcher_in_doubt(m), 0);
        assert_true(grammar_matcher_allows(m, SMALL_OTHER));
        assert_int_equal(grammar_matcher_accept(m, SMALL_OTHER, runs, &back), 0);
        assert_int_equal(grammar_matcher_allows(m, SMALL_END), may_end);
        assert_int_equal(grammar_matcher_may_end(m), may_end);
        struct grammar_matcher *fork = grammar_matcher_fork(m);
        grammar_matcher_accept(m, SMALL_CALL, runs, &back);
        assert_false(grammar_matcher_allows(m, SMALL_OTHER) || grammar_matcher_allows(m, SMALL_END) ||
                     grammar_matcher_may_end(m));
        assert_true(grammar_matcher_allows(m, x) && !grammar_matcher_allows(m, text));
        grammar_matcher_accept(m, x, runs, &back);
        assert_true(
            grammar_matcher_may_end(m) && grammar_matcher_is_over(m) && grammar_matcher_allows(m, SMALL_END));
        assert_true(grammar_matcher_allows(fork, text) && !grammar_matcher_is_over(fork));
        grammar_matcher_free(fork);
        grammar_matcher_free(m);
        grammar_drop(g);
    }
    token_trie_free(t);
}

static void test_after_the_end_nothing_can_follow(void **state)
{
    struct grammar_run runs[GRAMMAR_RUNS_MAX];
    size_t back;
    (void)state;
    struct small_vocabulary v;
    small_vocabulary_letters(&v, "xy", NULL, 0);
    struct token_trie *t = small_vocabulary_trie(&v);
    struct grammar *g = called(true);
    struct grammar_matcher *m = grammar_matcher_new(g, t);
    grammar_matcher_accept(m, SMALL_END, runs, &back);
    assert_true(grammar_matcher_is_over(m) && grammar_matcher_may_end(m));
    float logits[64] = {0};
    assert_int_equal(grammar_matcher_mask(m, logits, 64), 1);
    assert_true(logits[SMALL_END] == 0 && logits[SMALL_CALL] == -INFINITY && logits[63] == -INFINITY);
    grammar_matcher_free(m);
    grammar_drop(g);
    token_trie_free(t);
}

static void test_tokens_beyond_the_vocabulary_are_never_allowed(void **state)
{
    (void)state;
    struct small_vocabulary v;
    small_vocabulary_letters(&v, "xy", NULL, 0);
    struct token_trie *t = small_vocabulary_trie(&v);
    struct grammar *g = called(true);
    struct grammar_matcher *m = grammar_matcher_new(g, t);
    float logits[200] = {0};
    assert_false(grammar_matcher_allows(m, -1) || grammar_matcher_allows(m, (int32_t)v.n) ||
                 grammar_matcher_allows(m, 3) || grammar_matcher_allows(m, INT32_MAX));
    assert_int_equal(grammar_matcher_mask(m, logits, 200), 5); /* end, call, other, x, y */
    for (size_t i = v.n; i < 200; i++)
        assert_true(logits[i] == -INFINITY);
    assert_int_equal(grammar_matcher_mask(m, logits, 2), 2);
    grammar_matcher_free(m);
    grammar_drop(g);
    token_trie_free(t);
}

/* ---- memory ---- */

static void test_what_is_forgotten_changes_no_answer(void **state)
{
    static const char *const more[] = {"((", ")))", "()"};
    struct grammar_run runs[GRAMMAR_RUNS_MAX];
    struct error err = {{0}, false};
    size_t back;
    (void)state;
    struct small_vocabulary v;
    small_vocabulary_letters(&v, "()x", more, COUNT_OF(more));
    struct token_trie *t = small_vocabulary_trie(&v);
    struct grammar_builder *b = grammar_builder_new(0);
    grammar_rule list = grammar_rule_new(b);
    grammar_node inner = grammar_repeat(b, grammar_call(b, list), 0, 3);
    inner = grammar_sequence(b, inner, grammar_literal(b, span_of(")")));
    grammar_rule_define(b, list, grammar_sequence(b, grammar_literal(b, span_of("(")), inner));
    struct grammar *g = grammar_build(b, grammar_call(b, list), &err);
    grammar_builder_free(b);
    struct grammar_matcher *m[2] = {grammar_matcher_new(g, t), grammar_matcher_new(g, t)};
    /* Two matchers go down thousands of levels, so that the grammar forgets several times, and come up again. */
    for (size_t i = 0; i < 60000; i++) {
        assert_true(grammar_matcher_allows(m[i % 2], small_vocabulary_find(&v, "(")));
        grammar_matcher_accept(m[i % 2], small_vocabulary_find(&v, "("), runs, &back);
        if (i % 1000 == 0)
            assert_true(grammar_matcher_allows(m[0], small_vocabulary_find(&v, ")")) &&
                        !grammar_matcher_allows(m[0], SMALL_END));
    }
    for (size_t i = 0; i < 60000; i++) {
        assert_false(grammar_matcher_may_end(m[i % 2]));
        grammar_matcher_accept(m[i % 2], small_vocabulary_find(&v, ")"), runs, &back);
    }
    for (size_t i = 0; i < 2; i++) {
        assert_true(grammar_matcher_is_over(m[i]));
        grammar_matcher_free(m[i]);
    }
    grammar_drop(g);
    token_trie_free(t);
}

struct follower {
    struct grammar *g;
    const struct small_vocabulary *v;
    const struct token_trie *t;
    uint64_t sum; /* of all that was told */
};

/* Takes tokens in turn, and asks for masks. */
static void *follow(void *context)
{
    struct follower *f = context;
    struct grammar_run runs[GRAMMAR_RUNS_MAX];
    struct grammar_matcher *m = grammar_matcher_new(f->g, f->t);
    size_t back;
    for (uint64_t i = 0; m && i < 400; i++) {
        float logits[64] = {0};
        int32_t token = (int32_t)(i * i % f->v->n);
        f->sum = f->sum * 31 + grammar_matcher_mask(m, logits, f->v->n);
        f->sum = f->sum * 31 + grammar_matcher_in_doubt(m);
        if (f->v->classes[token] == TOKEN_TEXT && grammar_matcher_allows(m, token))
            f->sum = f->sum * 31 + grammar_matcher_accept(m, token, runs, &back) + back;
    }
    grammar_matcher_free(m);
    return NULL;
}

static void test_threads_share_a_grammar(void **state)
{
    static const char *const more[] = {"</", "t>x", "b</t>xx", "xyzxxy", "/t", "xyzxxyzxx"};
    (void)state;
    struct small_vocabulary v;
    small_vocabulary_letters(&v, "ab<>/txyz", more, COUNT_OF(more));
    struct token_trie *t = small_vocabulary_trie(&v);
    struct grammar *g = tagged();
    struct follower f[4];
    pthread_t threads[COUNT_OF(f)];
    for (size_t i = 0; i < COUNT_OF(f); i++) {
        f[i] = (struct follower){.g = g, .v = &v, .t = t};
        assert_int_equal(pthread_create(&threads[i], NULL, follow, &f[i]), 0);
    }
    for (size_t i = 0; i < COUNT_OF(f); i++)
        assert_int_equal(pthread_join(threads[i], NULL), 0);
    for (size_t i = 1; i < COUNT_OF(f); i++)
        assert_true(f[i].sum == f[0].sum && f[0].sum != 0);
    grammar_drop(g);
    token_trie_free(t);
}

/* ---- vocabularies as tries ---- */

static void test_a_trie_knows_control_tokens_by_their_text(void **state)
{
    (void)state;
    struct small_vocabulary v;
    small_vocabulary_letters(&v, "xy", NULL, 0);
    small_vocabulary_add(&v, "<more>", TOKEN_CONTROL);
    struct token_trie *t = small_vocabulary_trie(&v);
    assert_int_equal(token_trie_control(t, span_of("<call>")), SMALL_CALL);
    assert_int_equal(token_trie_control(t, span_of("<end>")), SMALL_END);
    assert_int_equal(token_trie_control(t, span_of("<more>")), (int32_t)v.n - 1);
    assert_int_equal(token_trie_control(t, span_of("x")), -1);
    assert_int_equal(token_trie_control(t, span_of("a")), -1);
    assert_int_equal(token_trie_control(t, span_of("")), -1);
    assert_true(token_trie_bytes(t) > 0);
    token_trie_free(t);
    token_trie_free(NULL);
    v.n = 0;
    t = small_vocabulary_trie(&v);
    assert_int_equal(token_trie_control(t, span_of("<end>")), -1);
    token_trie_free(t);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_bytes_have_the_tag_of_the_innermost_part),
        cmocka_unit_test(test_bytes_are_in_doubt_while_they_may_begin_a_marker),
        cmocka_unit_test(test_random_markers_are_found_where_they_end_first),
        cmocka_unit_test(test_a_token_has_at_most_sixteen_runs),
        cmocka_unit_test(test_a_marker_may_be_a_control_token),
        cmocka_unit_test(test_after_the_end_nothing_can_follow),
        cmocka_unit_test(test_tokens_beyond_the_vocabulary_are_never_allowed),
        cmocka_unit_test(test_what_is_forgotten_changes_no_answer),
        cmocka_unit_test(test_threads_share_a_grammar),
        cmocka_unit_test(test_a_trie_knows_control_tokens_by_their_text),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
