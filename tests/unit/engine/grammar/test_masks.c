/* test_masks.c - which tokens come next: random grammars and vocabularies against derivatives of trees. */
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <setjmp.h>

#include "berth/engine/grammar/builder.h"
#include "berth/engine/grammar/grammar.h"
#include "small_vocabulary.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#define COUNT_OF(array) (sizeof(array) / sizeof((array)[0]))

static uint64_t chance_state;

static size_t below(size_t n)
{
    uint64_t z = (chance_state += 0x9e3779b97f4a7c15);
    z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9;
    z = (z ^ (z >> 27)) * 0x94d049bb133111eb;
    return (size_t)((z ^ (z >> 31)) % n);
}

static void random_vocabulary(struct small_vocabulary *v, unsigned letters)
{
    small_vocabulary_begin(v);
    for (size_t n = 10 + below(40); n > 0; n--) {
        char text[8] = {0};
        for (size_t k = 1 + below(5); k > 0; k--)
            text[k - 1] = (char)('a' + below(letters));
        small_vocabulary_add(v, text, TOKEN_TEXT);
    }
}

/* ---- the same grammars as trees, whose derivative by a byte or token says what can follow it ---- */

enum tree_kind {
    TREE_NEVER,
    TREE_EMPTY,
    TREE_LETTERS,
    TREE_TOKEN,
    TREE_THEN,
    TREE_OR,
    TREE_TIMES,
    TREE_RULE,
    TREE_UNTIL
};

struct tree {
    enum tree_kind kind;
    const struct tree *a, *b;
    size_t least, most; /* letters: bits; a token or rule: its number */
    char text[40]; /* of TREE_UNTIL: what came so far */
};

#define RULES 3
#define MARKERS 2
#define TREES 400000

static struct tree *trees; /* [TREES] */
static size_t n_trees;
static const struct tree *rules[RULES];
static bool rule_live[RULES], rule_empty[RULES];
static const char *markers[MARKERS];
static const struct tree *marker_then[MARKERS];
static bool until_may_end;

static const struct tree never = {.kind = TREE_NEVER}, empty = {.kind = TREE_EMPTY};

static const struct tree *tree(struct tree t)
{
    if (n_trees == TREES)
        return &never; /* the caller looks at n_trees */
    trees[n_trees] = t;
    return &trees[n_trees++];
}

static const struct tree *then(const struct tree *a, const struct tree *b)
{
    if (a->kind == TREE_NEVER || b->kind == TREE_NEVER)
        return &never;
    return a->kind == TREE_EMPTY ? b : tree((struct tree){.kind = TREE_THEN, .a = a, .b = b});
}

static const struct tree * or (const struct tree *a, const struct tree *b)
{
    if (a->kind == TREE_NEVER || b->kind == TREE_NEVER)
        return a->kind == TREE_NEVER ? b : a;
    return tree((struct tree){.kind = TREE_OR, .a = a, .b = b});
}

static bool is_empty(const struct tree *t)
{
    switch (t->kind) {
    case TREE_EMPTY:
        return true;
    case TREE_THEN:
        return is_empty(t->a) && is_empty(t->b);
    case TREE_OR:
        return is_empty(t->a) || is_empty(t->b);
    case TREE_TIMES:
        return t->least == 0 || is_empty(t->a);
    case TREE_RULE:
        return rule_empty[t->least];
    case TREE_UNTIL:
        return until_may_end;
    default:
        return false;
    }
}

static bool is_live(const struct tree *t)
{
    switch (t->kind) {
    case TREE_NEVER:
        return false;
    case TREE_THEN:
        return is_live(t->a) && is_live(t->b);
    case TREE_OR:
        return is_live(t->a) || is_live(t->b);
    case TREE_TIMES:
        return t->least == 0 || is_live(t->a);
    case TREE_RULE:
        return rule_live[t->least];
    case TREE_UNTIL:
        return until_may_end || is_live(marker_then[0]) || is_live(marker_then[1]);
    default:
        return true;
    }
}

static const struct tree *derive_until(const struct tree *t, int symbol)
{
    struct tree next = *t;
    size_t size = strlen(next.text), longest = 0;
    const struct tree *after = NULL;
    if (symbol >= 256) {
        next.text[0] = '\0';
        return symbol - 256 == SMALL_END ? &never : tree(next);
    }
    if (size + 2 > sizeof(next.text))
        memmove(next.text, next.text + 20, size -= 19); /* what is far back matters no more */
    size = strlen(next.text);
    next.text[size++] = (char)symbol;
    next.text[size] = '\0';
    for (size_t i = 0; i < MARKERS; i++) {
        size_t n = strlen(markers[i]);
        if (n <= size && n > longest && memcmp(next.text + size - n, markers[i], n) == 0) {
            longest = n;
            after = marker_then[i];
        }
    }
    return after ? after : tree(next);
}

/* Symbols are bytes, and tokens from 256 on. */
static const struct tree *derive(const struct tree *t, int symbol)
{
    const struct tree *d;
    switch (t->kind) {
    case TREE_LETTERS:
        return symbol < 256 && t->least >> (symbol - 'a') & 1 ? &empty : &never;
    case TREE_TOKEN:
        return symbol == 256 + (int)t->least ? &empty : &never;
    case TREE_THEN:
        if (!is_live(t)) /* it may be left-recursive there, which is no harm */
            return &never;
        d = then(derive(t->a, symbol), t->b);
        return is_empty(t->a) ? or (d, derive(t->b, symbol)) : d;
    case TREE_OR:
        return or (derive(t->a, symbol), derive(t->b, symbol));
    case TREE_TIMES:
        if (t->most == 0)
            return &never;
        d = tree((struct tree){.kind = TREE_TIMES,
            .a = t->a,
            .least = t->least == 0 || is_empty(t->a) ? 0 : t->least - 1,
            .most = t->most == GRAMMAR_UNBOUNDED ? t->most : t->most - 1});
        return then(derive(t->a, symbol), d);
    case TREE_RULE:
        return rule_live[t->least] ? derive(rules[t->least], symbol) : &never;
    case TREE_UNTIL:
        return derive_until(t, symbol);
    default:
        return &never;
    }
}

static void settle_rules(void)
{
    memset(rule_live, 0, sizeof(rule_live));
    memset(rule_empty, 0, sizeof(rule_empty));
    for (size_t round = 0; round <= 2 * RULES; round++)
        for (size_t i = 0; i < RULES; i++) {
            rule_live[i] = is_live(rules[i]);
            rule_empty[i] = is_empty(rules[i]);
        }
}

/* ---- random grammars ---- */

static const struct tree *random_tree(size_t depth, unsigned letters)
{
    static const enum tree_kind kinds[] = {TREE_LETTERS, TREE_LETTERS, TREE_THEN, TREE_THEN, TREE_THEN,
        TREE_OR, TREE_OR, TREE_TIMES, TREE_TIMES, TREE_RULE, TREE_TOKEN, TREE_EMPTY, TREE_UNTIL, TREE_NEVER};
    struct tree t = {.kind = kinds[below(COUNT_OF(kinds))]};
    if (depth == 0 || (t.kind == TREE_UNTIL && below(3)) || (t.kind == TREE_NEVER && below(5)))
        t.kind = TREE_LETTERS;
    switch (t.kind) {
    case TREE_LETTERS:
        t.least = 1 + below(((size_t)1 << letters) - 1);
        break;
    case TREE_THEN:
    case TREE_OR:
        t.a = random_tree(depth - 1, letters);
        t.b = random_tree(depth - 1, letters);
        break;
    case TREE_TIMES:
        t.a = random_tree(depth - 1, letters);
        t.least = below(4);
        t.most = below(3) ? t.least + below(4) : GRAMMAR_UNBOUNDED;
        break;
    case TREE_RULE:
        t.least = below(RULES);
        break;
    case TREE_TOKEN:
        t.least = below(3);
        break;
    default:
        break;
    }
    return tree(t);
}

static grammar_node node_of(struct grammar_builder *b, const struct tree *t, const grammar_rule *numbers)
{
    uint64_t set[4] = {0};
    struct grammar_marker m[MARKERS];
    grammar_node after[MARKERS];
    switch (t->kind) {
    case TREE_EMPTY:
        return NODE_EMPTY;
    case TREE_LETTERS:
        set['a' / 64] = (uint64_t)t->least << ('a' % 64);
        return grammar_byte_set(b, set);
    case TREE_TOKEN:
        return grammar_token(b, (int32_t)t->least);
    case TREE_THEN:
        return grammar_sequence(b, node_of(b, t->a, numbers), node_of(b, t->b, numbers));
    case TREE_OR:
        return grammar_either(b, node_of(b, t->a, numbers), node_of(b, t->b, numbers));
    case TREE_TIMES:
        return grammar_repeat(b, node_of(b, t->a, numbers), t->least, t->most);
    case TREE_RULE:
        return grammar_call(b, numbers[t->least]);
    case TREE_UNTIL:
        for (size_t i = 0; i < MARKERS; i++) {
            m[i] = (struct grammar_marker){span_of(markers[i]), -1};
            after[i] = node_of(b, marker_then[i], numbers);
        }
        return grammar_until(b, m, after, MARKERS, until_may_end, 0);
    default:
        return NODE_NEVER;
    }
}

/* A random grammar, as `*root` too; NULL when it is left-recursive or matches nothing. */
static struct grammar *random_grammar(const struct tree **root, unsigned letters)
{
    static const char *const texts[] = {"ab", "aab", "bba", "b", "aaa", "cab"};
    n_trees = 0;
    markers[0] = texts[below(COUNT_OF(texts))];
    markers[1] = texts[below(COUNT_OF(texts))];
    until_may_end = below(2);
    for (size_t i = 0; i < MARKERS; i++)
        marker_then[i] = i == 1 && markers[0] == markers[1] ? marker_then[0]
                         : below(2)                         ? &empty
                                    : tree((struct tree){.kind = TREE_LETTERS, .least = 3});
    for (size_t i = 0; i < RULES; i++)
        rules[i] = random_tree(3, letters);
    *root = random_tree(4, letters);
    struct grammar_builder *b = grammar_builder_new(0);
    grammar_rule numbers[RULES];
    struct error err = {{0}, false};
    for (size_t i = 0; i < RULES; i++)
        numbers[i] = grammar_rule_new(b);
    for (size_t i = 0; i < RULES; i++)
        grammar_rule_define(b, numbers[i], node_of(b, rules[i], numbers));
    struct grammar *g = grammar_build(b, node_of(b, *root, numbers), &err);
    if (!g && !strstr(err.text, "no text can match") && !strstr(err.text, "calls itself before"))
        fail_msg("%s", err.text);
    grammar_builder_free(b);
    return g;
}

static const struct tree *derive_token(const struct tree *t, const struct small_vocabulary *v, int32_t token)
{
    if (v->classes[token] == TOKEN_NEVER || v->text[token][0] == '\0')
        return &never;
    if (v->classes[token] != TOKEN_TEXT)
        return derive(t, 256 + token);
    for (const char *s = v->text[token]; *s; s++)
        t = derive(t, (uint8_t)*s);
    return t;
}

/* True when all tokens are told alike in three ways. Writes one that can come next into `*token`; -1: there is none. */
static void compare_all(struct grammar_matcher *m, const struct small_vocabulary *v, const struct tree *t,
    int32_t *token, size_t number)
{
    float logits[64] = {0};
    size_t n = 0, left = grammar_matcher_mask(m, logits, v->n);
    *token = -1;
    assert_int_equal(grammar_matcher_may_end(m), is_empty(t));
    for (int32_t i = 0; i < (int32_t)v->n; i++) {
        const struct tree *d = derive_token(t, v, i);
        bool expected = is_live(d) || (v->classes[i] == TOKEN_END && is_empty(t));
        if (n_trees == TREES)
            return;
        if (grammar_matcher_allows(m, i) != expected || (logits[i] == 0) != expected)
            fail_msg("grammar %zu: token \"%s\": expected %d, allowed %d, in the mask %d", number, v->text[i],
                expected, grammar_matcher_allows(m, i), logits[i] == 0);
        if (is_live(d) && below(++n) == 0)
            *token = i;
        left -= expected;
    }
    assert_int_equal(left, 0);
}

static void test_tokens_masks_and_derivatives_agree(void **state)
{
    (void)state;
    struct grammar_run runs[GRAMMAR_RUNS_MAX];
    size_t built = 0, compared = 0, back;
    trees = malloc(TREES * sizeof(*trees));
    for (size_t number = 0; number < 3000; number++) {
        struct small_vocabulary v;
        const struct tree *t;
        chance_state = number;
        unsigned letters = 2 + (unsigned)below(3);
        random_vocabulary(&v, letters);
        struct grammar *g = random_grammar(&t, letters);
        if (!g)
            continue;
        settle_rules();
        struct token_trie *trie = small_vocabulary_trie(&v);
        struct grammar_matcher *m = grammar_matcher_new(g, trie);
        int32_t token = 0;
        for (size_t step = 0; step < 6 && token >= 0 && n_trees < TREES; step++, compared++) {
            compare_all(m, &v, t, &token, number);
            if (token < 0 || n_trees == TREES)
                break;
            grammar_matcher_accept(m, token, runs, &back);
            t = derive_token(t, &v, token);
        }
        grammar_matcher_free(m);
        grammar_drop(g);
        token_trie_free(trie);
        built++;
    }
    free(trees);
    printf("%zu grammars, %zu steps\n", built, compared);
    assert_true(built > 1500 && compared > 4000);
}

/* A mask is computed once for places that differ only in what follows much later, and for counts far from their bounds. */
static void test_masks_are_exact_at_every_count_and_in_front_of_every_end(void **state)
{
    static const char *const more[] = {
        "aa", "aaa", "ab", "abab", "bbbbb", "]", "a]", "b].", "a].a", "a],b", "aa].!", "],[a"};
    struct grammar_run runs[GRAMMAR_RUNS_MAX];
    struct error err = {{0}, false};
    size_t back, compared = 0;
    (void)state;
    struct small_vocabulary v;
    small_vocabulary_letters(&v, "ab],.![", more, COUNT_OF(more));
    struct token_trie *t = small_vocabulary_trie(&v);
    for (size_t number = 0; number < 60; number++) {
        chance_state = number;
        struct grammar_builder *b = grammar_builder_new(0);
        /* Up to three lists of letters, each with its bounds, its tags and its end. */
        grammar_node root = grammar_literal(b, span_of("!"));
        for (size_t n = 1 + below(3); n > 0; n--) {
            grammar_node one = grammar_chars(b, &(struct grammar_range){'a', 'b'}, 1, false);
            size_t least = below(30), most = least + below(30);
            grammar_node list = grammar_repeat(b, grammar_tag(b, one, (uint16_t)below(3)), least, most);
            grammar_node end = grammar_literal(b, span_of(below(2) ? "]." : "],"));
            end = grammar_either(b, end, grammar_literal(b, span_of("],[")));
            root =
                grammar_tag(b, grammar_sequence(b, list, grammar_sequence(b, end, root)), (uint16_t)below(3));
        }
        struct grammar *g = grammar_build(b, root, &err);
        grammar_builder_free(b);
        struct grammar_matcher *m = grammar_matcher_new(g, t);
        for (int32_t token = 0; token >= 0; compared++) {
            float logits[64] = {0};
            size_t seen = 0;
            grammar_matcher_mask(m, logits, v.n);
            token = -1;
            for (int32_t i = 0; i < (int32_t)v.n; i++) {
                if (grammar_matcher_allows(m, i) != (logits[i] == 0))
                    fail_msg("grammar %zu: the mask of \"%s\" is wrong", number, v.text[i]);
                if (logits[i] == 0 && v.classes[i] == TOKEN_TEXT && below(++seen) == 0)
                    token = i;
            }
            if (token >= 0)
                grammar_matcher_accept(m, token, runs, &back);
        }
        assert_true(grammar_matcher_is_over(m));
        grammar_matcher_free(m);
        grammar_drop(g);
    }
    token_trie_free(t);
    assert_true(compared > 1000);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_tokens_masks_and_derivatives_agree),
        cmocka_unit_test(test_masks_are_exact_at_every_count_and_in_front_of_every_end),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
