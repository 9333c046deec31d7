/* bench_grammar.c - measures grammars on the vocabulary of a model's file.
 *
 *     bench_grammar FILE
 *
 * The grammar is that of a JSON object of 50 properties, as a compiler of JSON Schema makes it. An answer of that form is
 * followed by tokens. The rows:
 *   trie      the vocabulary's tokens, made once for a model
 *   build     expressions and the grammar, made once for a schema
 *   allows    whether one token can come next, and taking it
 *   mask      the first one of each step's configuration, and the same one again
 */
#include "berth/engine/grammar/builder.h"
#include "berth/engine/grammar/grammar.h"
#include "berth/engine/tokenizer/tokenizer.h"
#include "berth/loaders/loader.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#define PROPERTIES 50
#define TURNS 20

static double now(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec * 1e3 + (double)t.tv_nsec * 1e-6; /* ms */
}

static enum token_class read_token(void *context, int32_t id, struct strbuf *out)
{
    const struct tokenizer *t = context;
    bool special = tokenizer_is_special(t, id), end = tokenizer_is_end(t, id);
    tokenizer_piece(t, id, special || end, out);
    return end ? TOKEN_END : special ? TOKEN_CONTROL : TOKEN_TEXT;
}

/* ---- the grammar ---- */

static grammar_node text(struct grammar_builder *b, const char *s)
{
    return grammar_literal(b, span_of(s));
}

static grammar_node range(struct grammar_builder *b, uint32_t first, uint32_t last)
{
    return grammar_chars(b, &(struct grammar_range){first, last}, 1, false);
}

static grammar_node json_string(struct grammar_builder *b, size_t most)
{
    static const struct grammar_range not_plain[] = {{0, 0x1f}, {'"', '"'}, {'\\', '\\'}};
    grammar_node hex =
        grammar_either(b, range(b, '0', '9'), grammar_either(b, range(b, 'a', 'f'), range(b, 'A', 'F')));
    grammar_node escape = grammar_sequence(b, text(b, "u"), grammar_repeat(b, hex, 4, 4));
    for (const char *s = "\"\\/bfnrt"; *s; s++)
        escape = grammar_either(b, escape, grammar_literal(b, (struct span){(const uint8_t *)s, 1}));
    escape = grammar_sequence(b, text(b, "\\"), escape);
    grammar_node one = grammar_either(b, grammar_chars(b, not_plain, 3, true), escape);
    return grammar_sequence(
        b, text(b, "\""), grammar_sequence(b, grammar_repeat(b, one, 0, most), text(b, "\"")));
}

static grammar_node json_number(struct grammar_builder *b)
{
    grammar_node digits = grammar_repeat(b, range(b, '0', '9'), 0, GRAMMAR_UNBOUNDED);
    grammar_node whole = grammar_either(b, text(b, "0"), grammar_sequence(b, range(b, '1', '9'), digits));
    grammar_node part = grammar_sequence(b, text(b, "."), grammar_repeat(b, range(b, '0', '9'), 1, 20));
    return grammar_sequence(
        b, grammar_optional(b, text(b, "-")), grammar_sequence(b, whole, grammar_optional(b, part)));
}

static grammar_node value(struct grammar_builder *b, unsigned i)
{
    grammar_node list, choice = NODE_NEVER;
    char s[16];
    switch (i % 5) {
    case 0:
        return json_string(b, GRAMMAR_UNBOUNDED);
    case 1:
        return json_number(b);
    case 2:
        list = grammar_sequence(b, text(b, ", "), json_string(b, GRAMMAR_UNBOUNDED));
        list = grammar_sequence(b, json_string(b, GRAMMAR_UNBOUNDED), grammar_repeat(b, list, 0, 99));
        return grammar_sequence(
            b, text(b, "["), grammar_sequence(b, grammar_optional(b, list), text(b, "]")));
    case 3:
        for (unsigned k = 0; k < 20; k++) {
            snprintf(s, sizeof(s), "\"option%u\"", k);
            choice = grammar_either(b, choice, text(b, s));
        }
        return choice;
    default:
        return json_string(b, 1000);
    }
}

static grammar_node object(struct grammar_builder *b)
{
    grammar_node rest = text(b, "}");
    char s[32];
    for (unsigned i = PROPERTIES; i-- > 0;) {
        snprintf(s, sizeof(s), "%s\"property%u\": ", i ? ", " : "", i);
        grammar_node one = grammar_sequence(b, text(b, s), value(b, i));
        rest = grammar_sequence(b, i % 3 ? one : grammar_optional(b, one), rest);
    }
    return grammar_sequence(b, text(b, "{"), rest);
}

static struct grammar *build(void)
{
    struct error err = {0};
    struct grammar_builder *b = grammar_builder_new(0);
    struct grammar *g = grammar_build(b, object(b), &err);
    if (!g)
        printf("%s\n", err.text);
    grammar_builder_free(b);
    return g;
}

static void answer(struct strbuf *out)
{
    static const char *const values[] = {"\"Some words \\u00e4 and more of them, as people write\"", "-17.25",
        "[\"one\", \"two\", \"and three\"]", "\"option17\"",
        "\"A text whose length is bounded; it has two sentences.\""};
    for (unsigned i = 0; i < PROPERTIES; i++)
        strbuf_format(out, "%s\"property%u\": %s", i ? ", " : "{", i, values[i % 5]);
    strbuf_text(out, "}");
}

/* ---- measuring ---- */

struct times {
    double sum, worst;
    size_t n;
};

static void count(struct times *t, double ms)
{
    t->sum += ms;
    t->worst = ms > t->worst ? ms : t->worst;
    t->n++;
}

static void print(const char *what, const struct times *t)
{
    printf("%-12s %8.1f us on average, %8.1f us at most, %zu times\n", what, t->sum * 1e3 / (double)t->n,
        t->worst * 1e3, t->n);
}

static void follow(
    struct grammar *g, const struct token_trie *trie, const struct tokenizer_ids *ids, size_t n_vocab)
{
    struct times first = {0}, again = {0}, step = {0};
    struct grammar_run runs[GRAMMAR_RUNS_MAX];
    struct grammar_matcher *m = grammar_matcher_new(g, trie);
    float *logits = calloc(n_vocab, sizeof(*logits));
    size_t back, allowed = 0;
    for (size_t i = 0; i < ids->n; i++) {
        memset(logits, 0, n_vocab * sizeof(*logits));
        double start = now();
        allowed += grammar_matcher_mask(m, logits, n_vocab);
        count(&first, now() - start);
        memset(logits, 0, n_vocab * sizeof(*logits));
        start = now();
        grammar_matcher_mask(m, logits, n_vocab);
        count(&again, now() - start);
        start = now();
        bool good = grammar_matcher_allows(m, ids->at[i]);
        grammar_matcher_accept(m, ids->at[i], runs, &back);
        count(&step, now() - start);
        if (!good)
            printf("token %zu is not allowed\n", i);
    }
    print("first mask", &first);
    print("again", &again);
    print("allows", &step);
    printf("may end: %d, %zu tokens in a mask on average\n", grammar_matcher_may_end(m), allowed / ids->n);
    grammar_matcher_free(m);
    free(logits);
}

static void measure(const struct tokenizer *t)
{
    struct error err = {0};
    struct tokenizer_ids ids = {0};
    struct strbuf out;
    double start = now();
    struct token_trie *trie = token_trie_new(tokenizer_size(t), read_token, (void *)t, &err);
    printf("trie: %.1f ms, %.1f MB, %zu tokens\n", now() - start, (double)token_trie_bytes(trie) / 1e6,
        tokenizer_size(t));
    start = now();
    for (int i = 1; i < TURNS; i++)
        grammar_drop(build());
    struct grammar *g = build();
    printf("build: %.2f ms, %zu bytes\n", (now() - start) / TURNS, grammar_bytes(g));
    strbuf_init(&out, 1 << 20);
    answer(&out);
    struct tokenizer_text in = {.text = {(const uint8_t *)out.text, out.size}};
    if (tokenizer_encode(t, &in, &ids, &err))
        follow(g, trie, &ids, tokenizer_size(t));
    tokenizer_ids_release(&ids);
    strbuf_release(&out);
    grammar_drop(g);
    token_trie_free(trie);
}

int main(int argc, char **argv)
{
    struct error err = {0};
    struct volume v;
    struct loaded l;
    if (argc < 2) {
        puts("bench_grammar FILE");
        return 2;
    }
    if (volume_open(&v, argv[1], &err) != VOLUME_OPEN || !v.single || !loaded_open(&l, &v, v.single, &err)) {
        printf("%s\n", err.text);
        return 1;
    }
    struct tokenizer *t = l.checkpoint ? tokenizer_new(l.checkpoint, &err) : NULL;
    if (t)
        measure(t);
    else
        printf("%s\n", err.text);
    tokenizer_free(t);
    loaded_close(&l);
    volume_close(&v);
    return t ? 0 : 1;
}
