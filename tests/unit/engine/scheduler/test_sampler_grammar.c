/* test_sampler_grammar.c - a sampler with a grammar: forbidden tokens never come, allowed ones as often as they should. */
#include "berth/engine/scheduler/sampler.h"

#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <setjmp.h>

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "berth/engine/grammar/builder.h"
#include "small_vocabulary.h"

#define DRAWS 20000

static const struct sampler_options plain = {
    .temperature = 1, .top_p = 1, .typical_p = 1, .repetition_penalty = 1, .seed = 7};

/* A vocabulary of letters, and a grammar that begins with "b" or "d". */
struct setting {
    struct small_vocabulary vocabulary;
    struct token_trie *trie;
    struct grammar *grammar;
    int32_t b, d;
};

static void set(struct setting *s)
{
    struct error err = {0};
    struct grammar_builder *builder = grammar_builder_new(0);
    small_vocabulary_begin(&s->vocabulary);
    small_vocabulary_letters(&s->vocabulary, "abcde", NULL, 0);
    s->trie = small_vocabulary_trie(&s->vocabulary);
    grammar_node root = grammar_either(
        builder, grammar_literal(builder, span_of("b")), grammar_literal(builder, span_of("d")));
    s->grammar = grammar_build(builder, root, &err);
    assert_non_null(s->grammar);
    grammar_builder_free(builder);
    s->b = small_vocabulary_find(&s->vocabulary, "b");
    s->d = small_vocabulary_find(&s->vocabulary, "d");
}

static void unset(struct setting *s)
{
    grammar_drop(s->grammar);
    token_trie_free(s->trie);
}

/* Logits that fall with the id, but for b and d, which get these. */
static void fill(const struct setting *s, float *logits, float b, float d)
{
    for (size_t i = 0; i < s->vocabulary.n; i++)
        logits[i] = 3 - 0.1f * (float)i;
    logits[s->b] = b;
    logits[s->d] = d;
}

/* How often b comes of DRAWS; nothing but b and d may. */
static int count_b(const struct setting *s, const struct sampler_options *o, float b, float d)
{
    float logits[64];
    int n = 0;
    struct sampler *sampler = sampler_new(o, s->vocabulary.n);
    struct grammar_matcher *m = grammar_matcher_new(s->grammar, s->trie);
    sampler_set_grammar(sampler, m);
    for (int i = 0; i < DRAWS; i++) {
        fill(s, logits, b, d);
        int32_t token = sampler_next(sampler, logits);
        assert_true(token == s->b || token == s->d);
        n += token == s->b;
    }
    grammar_matcher_free(m);
    sampler_free(sampler);
    return n;
}

static void assert_near(int got, double share)
{
    double deviation = sqrt(DRAWS * share * (1 - share));
    if (fabs(got - DRAWS * share) > 5 * deviation)
        fail_msg("%d of %d, not a share of %g", got, DRAWS, share);
}

/* Whether the first sample is allowed or not, the share of each allowed token is that among the allowed ones. */
static void test_allowed_tokens_come_as_often_as_among_themselves(void **state)
{
    (void)state;
    struct setting s;
    set(&s);
    assert_near(count_b(&s, &plain, 1, 0), exp(1) / (exp(1) + 1));
    assert_near(count_b(&s, &plain, 6, 6), 0.5);
    struct sampler_options warm = plain;
    warm.temperature = 2;
    assert_near(count_b(&s, &warm, 1, 0), exp(0.5) / (exp(0.5) + 1));
    unset(&s);
}

static void test_the_best_allowed_token_comes_at_temperature_0(void **state)
{
    (void)state;
    struct setting s;
    set(&s);
    struct sampler_options greedy = plain;
    greedy.temperature = 0;
    assert_int_equal(count_b(&s, &greedy, -5, -4), 0);
    assert_int_equal(count_b(&s, &greedy, -4, -5), DRAWS);
    assert_int_equal(count_b(&s, &greedy, 9, 8), DRAWS);
    unset(&s);
}

/* The best tokens of all are forbidden ones here: filters must not leave none. */
static void test_filters_leave_an_allowed_token(void **state)
{
    (void)state;
    struct setting s;
    set(&s);
    struct sampler_options o = plain;
    o.top_k = 1;
    assert_int_equal(count_b(&s, &o, -50, -60), DRAWS);
    o.top_k = 0;
    o.top_p = 0.1f;
    o.min_p = 0.5f;
    assert_int_equal(count_b(&s, &o, -200, -300), DRAWS);
    o = plain;
    o.temperature = 0.01f;
    assert_int_equal(count_b(&s, &o, -200, -300), DRAWS);
    unset(&s);
}

static void test_without_an_allowed_token_there_is_none(void **state)
{
    (void)state;
    struct setting s;
    float logits[64];
    set(&s);
    struct sampler *sampler = sampler_new(&plain, s.vocabulary.n);
    struct grammar_matcher *m = grammar_matcher_new(s.grammar, s.trie);
    sampler_set_grammar(sampler, m);
    fill(&s, logits, -INFINITY, -INFINITY);
    assert_int_equal(sampler_next(sampler, logits), SAMPLER_NONE);
    grammar_matcher_free(m);
    sampler_free(sampler);
    unset(&s);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_allowed_tokens_come_as_often_as_among_themselves),
        cmocka_unit_test(test_the_best_allowed_token_comes_at_temperature_0),
        cmocka_unit_test(test_filters_leave_an_allowed_token),
        cmocka_unit_test(test_without_an_allowed_token_there_is_none),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
