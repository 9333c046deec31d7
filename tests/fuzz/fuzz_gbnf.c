/* fuzz_gbnf.c - changes grammars in GBNF in thousands of ways, reads each of them, and follows an answer.
 *
 * A grammar is made from one of the seeds by some changes: pieces cut, doubled, or copied from another one, bytes set. It is
 * read from a block that ends where it ends, so that a sanitizer detects an access outside. A grammar that is refused must
 * have a reason. In one that is read, random tokens are taken: what is allowed and what the mask says must agree.
 *
 * The grammars depend on their number alone: `fuzz_gbnf 1 4711` runs number 4711 again. FUZZ_FILES, or the first argument,
 * is how many there are.
 */
#include "berth/engine/grammar/grammar.h"
#include "berth/engine/grammar/sources.h"
#include "small_vocabulary.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define SIZE_MOST 4096
#define CHANGES_MOST 6
#define TOKENS_MOST 12

static uint64_t chance_state;

static size_t below(size_t n)
{
    uint64_t z = (chance_state += 0x9e3779b97f4a7c15);
    z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9;
    z = (z ^ (z >> 27)) * 0x94d049bb133111eb;
    return n ? (size_t)((z ^ (z >> 31)) % n) : 0;
}

static const char json_seed[] =
    "root ::= object\nvalue ::= object | array | string | number | (\"true\" | \"false\" | \"null\") ws\n"
    "object ::= \"{\" ws (string \":\" ws value (\",\" ws string \":\" ws value)*)? \"}\" ws\n"
    "array ::= \"[\" ws (value (\",\" ws value)*)? \"]\" ws\n"
    "string ::= \"\\\"\" ([^\"\\\\\\x7F\\x00-\\x1F] | \"\\\\\" ([\"\\\\bfnrt] | \"u\" [0-9a-fA-F]{4}))* \"\\\"\" ws\n"
    "number ::= (\"-\"? ([0-9] | [1-9] [0-9]{0,15})) (\".\" [0-9]+)? ([eE] [-+]? [0-9]{1,15})? ws\n"
    "ws ::= | \" \" | \"\\n\" [ \\t]{0,20}\n";
static const char sums_seed[] =
    "# sums\nroot ::= (expr \"=\" ws term \"\\n\")+\nexpr ::= term ([-+*/] term)*\nterm ::= ident | num | \"(\" ws expr \")\" ws\n"
    "ident ::= [a-z] [a-z0-9_]* ws\nnum ::= [0-9]+ ws\nws ::= [ \\t\\n]*\n";
static const char list_seed[] =
    "root ::= item+\nitem ::= \"- \" [^\\r\\n\\x0b\\x0c\\x85\\u2028\\u2029]+ \"\\n\"\n";
static const char mixed_seed[] =
    "root ::= [\xe3\x81\x81-\xe3\x82\x9f\\U0001F600-\\U0001F64F]{2,5} | . a? | a{3} | (b\n | a)*\na ::= \"a\" b | \"\"\nb ::= \"b\" a\n";
static const char *const seeds[] = {json_seed, sums_seed, list_seed, mixed_seed};

static struct span seed_at(size_t i)
{
    return span_of(seeds[i]);
}

/* Puts bytes of `other` at `at`, in place of `out` bytes there. */
static size_t splice(uint8_t *text, size_t size, size_t at, size_t out, struct span other)
{
    out = out > size - at ? size - at : out;
    if (size - out + other.size > SIZE_MOST)
        return size;
    memmove(text + at + other.size, text + at + out, size - at - out);
    if (other.size > 0)
        memcpy(text + at, other.at, other.size);
    return size - out + other.size;
}

static size_t change(uint8_t *text, size_t size)
{
    static const char *const pieces[] = {"(", ")", "[", "]", "\"", "|", "::=", "{0,9}", "{99}", "*", "+", "?",
        "\\", "root", "\n", "#", "^", "-", ".", "ws ", "value", "{1000,}", "\xe2\x82\xac", "\xff", "\\x00",
        "!<[1]>"};
    uint8_t copy[64];
    struct span seed = seed_at(below(sizeof(seeds) / sizeof(seeds[0])));
    size_t at = below(size + 1), from = below(seed.size), n = below(sizeof(copy));
    switch (below(5)) {
    case 0:
        return splice(text, size, at, below(20), (struct span){NULL, 0});
    case 1:
        return splice(text, size, at, below(4), span_of(pieces[below(sizeof(pieces) / sizeof(pieces[0]))]));
    case 2:
        if (at < size)
            text[at] = (uint8_t)below(256);
        return size;
    case 3:
        n = n > size - at ? size - at : n;
        memcpy(copy, text + at, n);
        return splice(text, size, below(size), 0, (struct span){copy, n});
    default:
        n = n > seed.size - from ? seed.size - from : n;
        return splice(text, size, at, below(20), (struct span){seed.at + from, n});
    }
}

/* Takes random tokens. False when a promise is broken. */
static bool follow(struct grammar *g, const struct small_vocabulary *v, const struct token_trie *t)
{
    struct grammar_run runs[GRAMMAR_RUNS_MAX];
    struct grammar_matcher *m = grammar_matcher_new(g, t);
    bool kept = m;
    int32_t token = 0;
    for (size_t step = 0; kept && token >= 0 && step < TOKENS_MOST; step++) {
        float logits[64] = {0};
        size_t left = grammar_matcher_mask(m, logits, v->n), seen = 0, back;
        token = -1;
        for (int32_t i = 0; i < (int32_t)v->n; i++) {
            bool allowed = grammar_matcher_allows(m, i);
            kept = kept && allowed == (logits[i] == 0);
            left -= allowed;
            if (allowed && v->classes[i] == TOKEN_TEXT && below(++seen) == 0)
                token = i;
        }
        kept = kept && left == 0 && grammar_matcher_may_end(m) == grammar_matcher_allows(m, SMALL_END);
        if (token >= 0)
            grammar_matcher_accept(m, token, runs, &back);
    }
    grammar_matcher_free(m);
    return kept;
}

/* False when a promise is broken. */
static bool try_one(
    uint64_t number, const struct small_vocabulary *v, const struct token_trie *t, size_t *built)
{
    static uint8_t text[SIZE_MOST];
    struct error err = {0};
    chance_state = number;
    struct span seed = seed_at(below(sizeof(seeds) / sizeof(seeds[0])));
    size_t size = seed.size;
    memcpy(text, seed.at, size);
    for (size_t i = below(CHANGES_MOST); i > 0; i--)
        size = change(text, size);
    uint8_t *exact = malloc(size + (size == 0));
    memcpy(exact, text, size);
    struct grammar_builder *b = grammar_builder_new(20000);
    grammar_node root = grammar_gbnf(b, (struct span){exact, size});
    free(exact);
    struct grammar *g = grammar_build(b, root, &err);
    bool kept = g ? follow(g, v, t) : err.text[0] != '\0';
    kept = kept && grammar_builder_failed(b) == (grammar_builder_error(b)->text[0] != '\0');
    grammar_builder_free(b);
    *built += g != NULL;
    grammar_drop(g);
    return kept;
}

int main(int argc, char **argv)
{
    static const char *const more[] = {"{\"", "\": ", "\", \"", "true", "}\n", "[[", "]]", "\\u00", "- ",
        "\xe3\x81", "\x82", "\xc2\x85", "\n\n", "=1", "ab", "bab", "10"};
    const char *asked = argc > 1 ? argv[1] : getenv("FUZZ_FILES");
    uint64_t n = asked ? strtoull(asked, NULL, 10) : 20000,
             first = argc > 2 ? strtoull(argv[2], NULL, 10) : 1;
    struct small_vocabulary v;
    size_t built = 0, failed = 0;
    small_vocabulary_letters(&v, "{}[]\":,-+0 ab=(\n\\u", more, sizeof(more) / sizeof(more[0]));
    struct token_trie *t = small_vocabulary_trie(&v);
    for (uint64_t number = first; number < first + n; number++)
        if (!try_one(number, &v, t, &built)) {
            printf("FAILED: number %llu\n", (unsigned long long)number);
            failed++;
        }
    token_trie_free(t);
    printf("%zu of %llu grammars were built\n", built, (unsigned long long)n);
    if (n >= 1000 && (built < n / 10 || built == n)) {
        puts("FAILED: too many, or none, were refused");
        failed++;
    }
    /* All grammars count as one test, so that the other suites still matter in the sum. */
    printf("%d passed, %d failed, 0 skipped\n", failed == 0, failed > 0);
    return failed > 0;
}
