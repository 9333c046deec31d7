/* test_output.c - from tokens to pieces: text that was sent is final, and no text is held back for longer than needed.
 *
 * The tokens are words of a small vocabulary. A test gives their texts and sees the pieces as one line: each piece's text
 * in brackets, with the number of its tokens.
 */
#include "engine/scheduler/output_private.h"

#include "berth/engine/grammar/builder.h"
#include "berth/engine/grammar/grammar.h"
#include "gguf_writer.h"

#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <setjmp.h>

#include <math.h>
#include <stdio.h>

#include <cmocka.h>

enum { NORMAL = 1, CONTROL = 3, USER = 4, BYTE = 6 };

static const struct {
    const char *text;
    int32_t kind;
} words[] = {{"<unk>", CONTROL}, {"<s>", CONTROL}, {"</s>", CONTROL}, {"a", USER}, {"b", USER}, {"ab", USER},
    {"c", USER}, {"STOP", USER}, {"ST", USER}, {"OP", USER}, {"S", USER}, {"x", USER}, {"aab", USER},
    {"abcd", USER}, {"<0xC3>", BYTE}, {"<0xA9>", BYTE}, {"\xc3\xa9", USER}, {"<mark>", CONTROL},
    {"xST", USER}, {"OPx", USER}, {"\xe2\x96\x81w", NORMAL}};
#define N_WORDS (sizeof(words) / sizeof(words[0]))

struct word_list {
    struct span bytes;
    struct gguf *g;
    struct tokenizer *t;
};

static int setup(void **state)
{
    static struct word_list v;
    struct writer w = {0};
    struct error err = {0};
    write_header(&w, 3, 0, 5);
    write_pair_text(&w, "tokenizer.ggml.model", "llama");
    write_pair_u32(&w, "tokenizer.ggml.eos_token_id", 2);
    write_pair_array(&w, "tokenizer.ggml.tokens", GGUF_STRING, N_WORDS);
    for (size_t i = 0; i < N_WORDS; i++)
        write_text(&w, words[i].text);
    write_pair_array(&w, "tokenizer.ggml.token_type", GGUF_I32, N_WORDS);
    for (size_t i = 0; i < N_WORDS; i++)
        write_u32(&w, (uint32_t)words[i].kind);
    write_pair_array(&w, "tokenizer.ggml.scores", GGUF_F32, N_WORDS);
    write_zeros(&w, N_WORDS * sizeof(float));
    v.bytes = writer_done(&w);
    v.g = gguf_read(v.bytes, &err);
    v.t = v.g ? tokenizer_new(&v.g->checkpoint, &err) : NULL;
    if (!v.t)
        fail_msg("%s", err.text);
    *state = &v;
    return 0;
}

static int teardown(void **state)
{
    struct word_list *v = *state;
    tokenizer_free(v->t);
    gguf_free(v->g);
    free((void *)v->bytes.at);
    return 0;
}

static int32_t id_of(const char *text)
{
    for (size_t i = 0; i < N_WORDS; i++)
        if (strcmp(words[i].text, text) == 0)
            return (int32_t)i;
    fail_msg("no word %s", text);
    return -1;
}

/* The pieces of an answer: "[text n]" each; the last one has a ! behind its text. */
struct output_log {
    char line[512];
    size_t size;
    enum output_result result;
};

static void tell(struct output_log *told, struct job_piece *p)
{
    if (!p)
        return;
    told->size += (size_t)snprintf(told->line + told->size, sizeof(told->line) - told->size, "[%.*s%s %zu]",
        (int)p->text_size, p->text, p->finish == JOB_RUNNING ? "" : "!", p->n_tokens);
    job_piece_free(p);
}

static struct output_log run(
    const struct word_list *v, const struct job_request *r, bool prompt, const char *const texts[])
{
    struct output_log told = {.result = OUTPUT_GOES_ON};
    struct job_piece *p;
    struct output_stops *stops = output_stops_new(r->stops, r->n_stops);
    assert_non_null(stops);
    struct output *a = output_new(r, r->text ? v->t : NULL, stops, 0, prompt);
    assert_non_null(a);
    for (size_t i = 0; texts[i] && told.result == OUTPUT_GOES_ON; i++) {
        told.result = output_add(a, id_of(texts[i]), NAN, NULL);
        if (told.result == OUTPUT_STOPPED)
            break;
        assert_true(output_take(a, JOB_RUNNING, &p));
        tell(&told, p);
    }
    assert_true(output_take(a, told.result == OUTPUT_STOPPED ? JOB_STOP : JOB_LENGTH, &p));
    tell(&told, p);
    output_free(a);
    output_stops_free(stops);
    return told;
}

#define WORDS(...) ((const char *const[]){__VA_ARGS__, NULL})
#define MOST_STOPS 4

/* The line of an answer of text with these stop strings. */
static struct output_log with_stops(
    const struct word_list *v, const char *const stops[], const char *const texts[])
{
    struct span spans[MOST_STOPS];
    struct job_request r = {.text = true, .stops = spans};
    for (; stops[r.n_stops]; r.n_stops++)
        spans[r.n_stops] = span_of(stops[r.n_stops]);
    return run(v, &r, false, texts);
}

static void test_text_without_stops_is_told_at_once(void **state)
{
    struct output_log t = with_stops(*state, WORDS(NULL), WORDS("a", "ab", "c"));
    assert_string_equal(t.line, "[a 1][ab 1][c 1][! 0]");
    assert_int_equal(t.result, OUTPUT_GOES_ON);
}

static void test_a_stop_string_within_a_token_cuts_it(void **state)
{
    struct output_log t = with_stops(*state, WORDS("bc"), WORDS("a", "abcd", "x"));
    assert_string_equal(t.line, "[a 1][a! 1]");
    assert_int_equal(t.result, OUTPUT_STOPPED);
}

static void test_a_stop_string_over_several_tokens_is_held_back_and_its_tokens_are_not_told(void **state)
{
    assert_string_equal(with_stops(*state, WORDS("STOP"), WORDS("a", "ST", "OP", "x")).line, "[a 1][! 0]");
    assert_string_equal(with_stops(*state, WORDS("STOP"), WORDS("a", "STOP")).line, "[a 1][! 0]");
    /* The token that the cut divides is sent with the text that is left of it. */
    assert_string_equal(with_stops(*state, WORDS("STOP"), WORDS("a", "xST", "OPx")).line, "[a 1][x 1][! 0]");
}

static void test_what_was_held_back_is_told_as_soon_as_it_cannot_become_a_stop(void **state)
{
    assert_string_equal(
        with_stops(*state, WORDS("STOP"), WORDS("ST", "x", "S", "a")).line, "[STx 2][Sa 2][! 0]");
    /* S comes again within the text that is held back: only the new beginning is held back then. */
    assert_string_equal(
        with_stops(*state, WORDS("STSTOP"), WORDS("ST", "ST", "ST", "OP", "x")).line, "[ST 1][! 0]");
    assert_string_equal(
        with_stops(*state, WORDS("STSTOP"), WORDS("ST", "ST", "ST", "x")).line, "[ST 1][STSTx 3][! 0]");
}

static void test_what_is_held_back_at_the_end_belongs_to_the_answer(void **state)
{
    assert_string_equal(with_stops(*state, WORDS("STOP"), WORDS("a", "ST")).line, "[a 1][ST! 1]");
    assert_string_equal(with_stops(*state, WORDS("STOP"), WORDS("a", "ST", "</s>")).line, "[a 1][ST! 1]");
}

static void test_a_stop_string_that_overlaps_itself_is_found(void **state)
{
    assert_string_equal(with_stops(*state, WORDS("aab"), WORDS("a", "a", "ab", "x")).line, "[a! 1]");
    assert_string_equal(with_stops(*state, WORDS("abab"), WORDS("ab", "a", "ab", "ab")).line, "[aba 2][! 0]");
}

static void test_of_several_stop_strings_the_first_that_is_complete_ends_the_answer(void **state)
{
    assert_string_equal(with_stops(*state, WORDS("abcd", "bc"), WORDS("x", "abcd")).line, "[x 1][a! 1]");
    assert_string_equal(with_stops(*state, WORDS("abcd", "bc"), WORDS("x", "ab", "c")).line, "[x 1][a! 1]");
    /* The longer one of two that are complete with the same byte. */
    assert_string_equal(with_stops(*state, WORDS("b", "aab"), WORDS("x", "a", "aab")).line, "[x 1][a! 1]");
    assert_string_equal(
        with_stops(*state, WORDS("OPx", "STx"), WORDS("ST", "OP", "a")).line, "[ST 1][OPa 2][! 0]");
}

static void test_an_empty_stop_string_is_none(void **state)
{
    assert_string_equal(with_stops(*state, WORDS("", "c"), WORDS("a", "b", "c")).line, "[a 1][b 1][! 0]");
}

static void test_a_character_is_told_whole_with_all_its_tokens(void **state)
{
    assert_string_equal(with_stops(*state, WORDS(NULL), WORDS("a", "<0xC3>", "<0xA9>", "b")).line,
        "[a 1][\xc3\xa9 2][b 1][! 0]");
    /* At the end the bytes are sent as they are. */
    assert_string_equal(with_stops(*state, WORDS(NULL), WORDS("a", "<0xC3>")).line, "[a 1][\xc3! 1]");
    assert_string_equal(
        with_stops(*state, WORDS("\xc3\xa9"), WORDS("a", "<0xC3>", "<0xA9>", "b")).line, "[a 1][! 0]");
}

static void test_the_model_s_end_is_not_told(void **state)
{
    struct output_log t = with_stops(*state, WORDS(NULL), WORDS("a", "</s>", "b"));
    assert_string_equal(t.line, "[a 1][! 0]");
    assert_int_equal(t.result, OUTPUT_STOPPED);
}

static void test_the_model_s_end_can_be_ignored(void **state)
{
    struct job_request r = {.text = true, .ignore_end = true};
    assert_string_equal(run(*state, &r, false, WORDS("a", "</s>", "b")).line, "[a 1][ 1][b 1][! 0]");
    r.special_text = true;
    assert_string_equal(run(*state, &r, false, WORDS("a", "</s>", "b")).line, "[a 1][</s> 1][b 1][! 0]");
}

static void test_the_end_token_is_told_last_and_without_text_where_it_is_asked_for(void **state)
{
    struct job_request r = {
        .text = true, .end_token = true, .stops = (struct span[]){span_of("abx")}, .n_stops = 1};
    struct output_log t = run(*state, &r, false, WORDS("c", "</s>", "c"));
    assert_string_equal(t.line, "[c 1][! 1]");
    assert_int_equal(t.result, OUTPUT_STOPPED);
    /* After text that was held back for a stop string, and after bytes that are no whole character. */
    assert_string_equal(run(*state, &r, false, WORDS("c", "a", "</s>")).line, "[c 1][a! 2]");
    assert_string_equal(run(*state, &r, false, WORDS("<0xC3>", "</s>")).line, "[\xc3! 2]");
    r.ignore_end = true;
    assert_string_equal(run(*state, &r, false, WORDS("c", "</s>", "c")).line, "[c 1][ 1][c 1][! 0]");
}

static void test_stop_tokens_end_an_answer_also_where_the_model_s_end_is_ignored(void **state)
{
    struct job_request r = {
        .text = true, .ignore_end = true, .stop_tokens = (int32_t[]){99, id_of("b")}, .n_stop_tokens = 2};
    assert_string_equal(run(*state, &r, false, WORDS("a", "</s>", "b", "c")).line, "[a 1][ 1][! 0]");
}

static void test_special_tokens_have_text_only_where_that_is_asked_for(void **state)
{
    struct job_request r = {.text = true};
    assert_string_equal(run(*state, &r, false, WORDS("a", "<mark>", "b")).line, "[a 1][ 1][b 1][! 0]");
    r.special_text = true;
    assert_string_equal(run(*state, &r, false, WORDS("a", "<mark>", "b")).line, "[a 1][<mark> 1][b 1][! 0]");
}

static void test_without_text_tokens_are_told_one_by_one(void **state)
{
    struct job_request r = {.text = false};
    assert_string_equal(run(*state, &r, false, WORDS("a", "<0xC3>", "b")).line, "[ 1][ 1][ 1][! 0]");
}

static void test_a_prompt_is_told_to_its_end_whatever_is_in_it(void **state)
{
    struct span stop = span_of("a");
    struct job_request r = {.text = true, .stops = &stop, .n_stops = 1};
    assert_string_equal(
        run(*state, &r, true, WORDS("<s>", "\xe2\x96\x81w", "a", "</s>", "\xe2\x96\x81w")).line,
        "[ 1][w 1][a 1][ 1][ w 1]");
}

static void test_an_answer_keeps_the_space_that_it_begins_with(void **state)
{
    struct job_request r = {.text = true};
    assert_string_equal(run(*state, &r, false, WORDS("\xe2\x96\x81w")).line, "[ w 1][! 0]");
}

/* Tokens that are held back come with their own log probabilities. */
static void test_log_probabilities_stay_with_their_tokens(void **state)
{
    const struct word_list *v = *state;
    struct span stop = span_of("STOP");
    struct job_request r = {.text = true, .logprobs = true, .n_top = 2, .stops = &stop, .n_stops = 1};
    struct output_stops *stops = output_stops_new(&stop, 1);
    struct output *a = output_new(&r, v->t, stops, 3, false);
    struct job_piece *p;
    assert_true(stops && a);
    const char *const texts[] = {"a", "S", "ST", "x"};
    for (int i = 0; i < 4; i++) {
        struct sampler_logprob top[2] = {{10 * i, (float)-i}, {10 * i + 1, (float)-i - 1}};
        assert_int_equal(output_add(a, id_of(texts[i]), (float)-i, top), OUTPUT_GOES_ON);
    }
    assert_true(output_take(a, JOB_RUNNING, &p));
    assert_int_equal(p->n_tokens, 4);
    assert_int_equal(p->choice, 3);
    for (int i = 0; i < 4; i++) {
        assert_int_equal(p->tokens[i].id, id_of(texts[i]));
        assert_true(p->tokens[i].logprob == (float)-i);
        assert_int_equal(p->tokens[i].top[0].token, 10 * i);
        assert_int_equal(p->tokens[i].top[1].token, 10 * i + 1);
        assert_true(p->tokens[i].top[1].logprob == (float)-i - 1);
    }
    job_piece_free(p);
    /* A second piece: the first token is sent and the second held back. */
    assert_int_equal(output_add(a, id_of("x"), -8, NULL), OUTPUT_GOES_ON);
    assert_int_equal(
        output_add(a, id_of("S"), -9, (struct sampler_logprob[]){{5, 0}, {6, -1}}), OUTPUT_GOES_ON);
    assert_true(output_take(a, JOB_RUNNING, &p));
    assert_int_equal(p->n_tokens, 1);
    assert_true(p->tokens[0].logprob == -8);
    assert_null(p->tokens[0].top);
    job_piece_free(p);
    assert_true(output_take(a, JOB_LENGTH, &p));
    assert_int_equal(p->n_tokens, 1);
    assert_int_equal(p->tokens[0].top[0].token, 5);
    job_piece_free(p);
    output_free(a);
    output_stops_free(stops);
}

/* Every division of a text into tokens must give the same text. With an alphabet of two letters stop strings overlap
 * often. */
static void test_the_cut_does_not_depend_on_how_tokens_cut_the_text(void **state)
{
    const struct word_list *v = *state;
    static const char *const stops[] = {"abab", "aab", "bbb", NULL};
    for (uint32_t bits = 0; bits < 1u << 12; bits++) {
        char text[13] = "", by_letter[64], by_pair[64];
        const char *letters[13] = {NULL}, *pairs[13] = {NULL};
        size_t n = 0;
        for (size_t i = 0; i < 12; i++) {
            text[i] = bits >> i & 1 ? 'a' : 'b';
            letters[i] = text[i] == 'a' ? "a" : "b";
        }
        for (size_t i = 0; i < 12; i++) {
            bool pair = text[i] == 'a' && text[i + 1] == 'b';
            pairs[n++] = pair ? "ab" : letters[i];
            i += pair;
        }
        const char *const *const cuts[2] = {letters, pairs};
        for (int k = 0; k < 2; k++) {
            struct output_log t = with_stops(v, stops, cuts[k]);
            char *out = k ? by_pair : by_letter;
            for (const char *at = t.line; *at; at++)
                if (*at == 'a' || *at == 'b')
                    *out++ = *at;
            *out = '\0';
        }
        assert_string_equal(by_letter, by_pair);
        const char *end = NULL; /* the first stop that is complete */
        size_t size = 0;
        for (size_t e = 1; e <= 12 && !end; e++)
            for (size_t s = 0; stops[s]; s++)
                if (e >= strlen(stops[s]) &&
                    strncmp(text + e - strlen(stops[s]), stops[s], strlen(stops[s])) == 0 &&
                    strlen(stops[s]) > size) {
                    size = strlen(stops[s]);
                    end = text + e - size;
                }
        if (end)
            text[end - text] = '\0';
        assert_string_equal(by_letter, text);
    }
}

/* ---- memory is short ---- */

static enum token_class read_word(void *context, int32_t id, struct strbuf *out)
{
    (void)context;
    strbuf_text(out, words[id].text);
    return words[id].kind == USER ? TOKEN_TEXT : TOKEN_NEVER;
}

/* A grammar of one token's text, whose letters have three tags: it becomes three pieces. */
static struct grammar *three_tags(void)
{
    struct error err = {0};
    struct grammar_builder *b = grammar_builder_new(0);
    grammar_node first = grammar_tag(b, grammar_literal(b, span_of("a")), 1);
    grammar_node second = grammar_tag(b, grammar_literal(b, span_of("b")), 2);
    grammar_node third = grammar_tag(b, grammar_literal(b, span_of("cd")), 3);
    struct grammar *g =
        grammar_build(b, grammar_sequence(b, grammar_sequence(b, first, second), third), &err);
    grammar_builder_free(b);
    assert_non_null(g);
    return g;
}

/* How many pieces "abcd" becomes with so much memory; 0 where it is too little. All memory is given back. */
static size_t pieces_within(
    const struct word_list *v, struct grammar *g, const struct token_trie *trie, size_t limit, size_t *needed)
{
    struct byte_budget memory = {.limit = limit};
    struct job_request r = {.text = true, .memory = &memory};
    struct output_stops *stops = output_stops_new(NULL, 0);
    struct output *a = output_new(&r, v->t, stops, 0, false);
    struct grammar_matcher *m = grammar_matcher_new(g, trie);
    struct job_piece *p;
    size_t n = 0;
    assert_true(stops && a && m);
    output_set_grammar(a, m);
    assert_int_equal(output_add(a, id_of("abcd"), NAN, NULL), OUTPUT_GOES_ON);
    bool taken = output_take(a, JOB_RUNNING, &p);
    *needed = atomic_load(&memory.used);
    assert_int_equal(taken, p != NULL);
    for (struct job_piece *next; p; p = next, n++) {
        next = p->next;
        job_piece_free(p);
    }
    assert_int_equal(atomic_load(&memory.used), 0);
    grammar_matcher_free(m);
    output_free(a);
    output_stops_free(stops);
    return n;
}

/* Memory ends before the first piece, after it, after the second. Leaks are for the sanitizers to find. */
static void test_pieces_are_freed_where_memory_ends_between_them(void **state)
{
    struct error err = {0};
    const struct word_list *v = *state;
    struct token_trie *trie = token_trie_new(N_WORDS, read_word, NULL, &err);
    struct grammar *g = three_tags();
    size_t needed, held;
    assert_non_null(trie);
    assert_int_equal(pieces_within(v, g, trie, SIZE_MAX, &needed), 3);
    assert_true(needed > 3 * sizeof(struct job_piece));
    for (size_t limit = 0; limit < needed; limit++) {
        assert_int_equal(pieces_within(v, g, trie, limit, &held), 0);
        assert_int_equal(held, 0);
    }
    assert_int_equal(pieces_within(v, g, trie, needed, &held), 3);
    grammar_drop(g);
    token_trie_free(trie);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_text_without_stops_is_told_at_once),
        cmocka_unit_test(test_a_stop_string_within_a_token_cuts_it),
        cmocka_unit_test(test_a_stop_string_over_several_tokens_is_held_back_and_its_tokens_are_not_told),
        cmocka_unit_test(test_what_was_held_back_is_told_as_soon_as_it_cannot_become_a_stop),
        cmocka_unit_test(test_what_is_held_back_at_the_end_belongs_to_the_answer),
        cmocka_unit_test(test_a_stop_string_that_overlaps_itself_is_found),
        cmocka_unit_test(test_of_several_stop_strings_the_first_that_is_complete_ends_the_answer),
        cmocka_unit_test(test_an_empty_stop_string_is_none),
        cmocka_unit_test(test_a_character_is_told_whole_with_all_its_tokens),
        cmocka_unit_test(test_the_model_s_end_is_not_told),
        cmocka_unit_test(test_the_model_s_end_can_be_ignored),
        cmocka_unit_test(test_the_end_token_is_told_last_and_without_text_where_it_is_asked_for),
        cmocka_unit_test(test_stop_tokens_end_an_answer_also_where_the_model_s_end_is_ignored),
        cmocka_unit_test(test_special_tokens_have_text_only_where_that_is_asked_for),
        cmocka_unit_test(test_without_text_tokens_are_told_one_by_one),
        cmocka_unit_test(test_a_prompt_is_told_to_its_end_whatever_is_in_it),
        cmocka_unit_test(test_an_answer_keeps_the_space_that_it_begins_with),
        cmocka_unit_test(test_log_probabilities_stay_with_their_tokens),
        cmocka_unit_test(test_the_cut_does_not_depend_on_how_tokens_cut_the_text),
        cmocka_unit_test(test_pieces_are_freed_where_memory_ends_between_them),
    };
    return cmocka_run_group_tests(tests, setup, teardown);
}
