/* test_vocabularies.c - special tokens, roles, merges, and files that are refused, on vocabularies made here. */
#include "vocabulary.h"

static const struct word words[] = {{"<unk>", UNKNOWN, 0}, {"<s>", CONTROL, 0}, {"</s>", CONTROL, 0},
    {"a", NORMAL, 0}, {"b", NORMAL, 0}, {"<x>", CONTROL, 0}, {"<x>a", CONTROL, 0}, {"<w>", USER, 0},
    {"b<x>", CONTROL, 0}, {"<", NORMAL, 0}, {"x", NORMAL, 0}, {">", NORMAL, 0}, {"▁", NORMAL, 0},
    {"\n", NORMAL, 0}, {"a<", CONTROL, 0}};
#define N_WORDS (sizeof(words) / sizeof(words[0]))

static void test_special_tokens_are_recognized_only_where_that_is_allowed(void **state)
{
    (void)state;
    struct opened o = open_words(words, N_WORDS, "model");
    struct tokenizer_text in = {.text = span_of("a<x><w>")};
    assert_ids(o.t, &in, "3 9 10 11 7");
    in.parse_special = true;
    assert_ids(o.t, &in, "3 5 7");
    in.add_special = true;
    assert_ids(o.t, &in, "1 3 5 7");
    close_opened(&o);
}

static void test_a_message_cannot_forge_a_mark_not_even_with_the_template_s_help(void **state)
{
    (void)state;
    struct opened o = open_words(words, N_WORDS, "model");
    uint8_t trusted[] = {1, 1, 1, 0, 0, 0};
    struct tokenizer_text in = {.text = span_of("<x><x>"), .parse_special = true, .trusted = trusted};
    assert_ids(o.t, &in, "5 9 10 11");
    trusted[3] = trusted[4] = 1; /* the last byte is the message's */
    assert_ids(o.t, &in, "5 9 10 11");
    trusted[5] = 1;
    assert_ids(o.t, &in, "5 5");
    close_opened(&o);
}

static void test_no_words_add_up_to_a_mark(void **state)
{
    (void)state;
    static const struct word forging[] = {
        {"<unk>", UNKNOWN, 0}, {"<", NORMAL, 0}, {"x", NORMAL, 0}, {"<x", CONTROL, 9}, {"!", CONTROL, 0}};
    struct opened o = open_words(forging, 5, "model");
    assert_ids(o.t, &(struct tokenizer_text){.text = span_of("<x!")}, "1 2 0");
    assert_ids(o.t, &(struct tokenizer_text){.text = span_of("<x!"), .parse_special = true}, "3 4");
    close_opened(&o);
}

static void test_the_longest_special_token_wins_wherever_it_stands(void **state)
{
    (void)state;
    struct opened o = open_words(words, N_WORDS, "model");
    struct tokenizer_text in = {.text = span_of("a<x>a<x>b"), .parse_special = true};
    assert_ids(o.t, &in, "3 6 5 4");
    in.text = span_of("b<x>ab<x>");
    assert_ids(o.t, &in, "8 3 8");
    in.text = span_of("a<x>a"); /* the shorter one comes first and ends inside the longer one */
    assert_ids(o.t, &in, "3 6");
    close_opened(&o);
}

static void test_marks_of_phi_3_take_the_white_space_after_them_along(void **state)
{
    (void)state;
    struct opened o = open_words(words, N_WORDS, "model"), phi = open_words(words, N_WORDS, "Phi-3 mini");
    struct tokenizer_text in = {.text = span_of("a <x>\n <x> b"), .parse_special = true};
    assert_ids(o.t, &in, "3 12 5 13 12 5 12 4");
    assert_ids(phi.t, &in, "3 12 5 5 4");
    close_opened(&o);
    close_opened(&phi);
}

static void test_a_text_too_long_is_refused(void **state)
{
    (void)state;
    struct opened o = open_words(words, N_WORDS, "model");
    struct error err = {0};
    struct tokenizer_ids ids = {0};
    struct tokenizer_text in = {.text = {words[0].text ? (const uint8_t *)"" : NULL, TOKENIZER_TEXT_MAX + 1}};
    assert_false(tokenizer_encode(o.t, &in, &ids, &err));
    assert_non_null(strstr(err.text, "is the most"));
    assert_ids(o.t, &(struct tokenizer_text){.text = {NULL, 0}}, "");
    tokenizer_ids_release(&ids);
    close_opened(&o);
}

static void test_ends_are_known_by_key_and_by_text(void **state)
{
    (void)state;
    struct opened o = open_bpe("gpt-2");
    int32_t end = tokenizer_find(o.t, span_of("<|im_end|>"));
    int32_t start = tokenizer_find(o.t, span_of("<|im_start|>"));
    assert_true(end >= 0);
    assert_true(tokenizer_is_end(o.t, end)); /* a text that the file types as an ordinary word */
    assert_true(tokenizer_is_special(o.t, end));
    assert_int_equal(tokenizer_special(o.t, TOKENIZER_EOT), end);
    assert_false(tokenizer_is_end(o.t, start));
    assert_int_equal(tokenizer_special(o.t, TOKENIZER_BOS), tokenizer_find(o.t, span_of("<|begin|>")));
    assert_int_equal(tokenizer_special(o.t, TOKENIZER_UNKNOWN), TOKENIZER_NONE);
    assert_true(tokenizer_is_end(o.t, tokenizer_special(o.t, TOKENIZER_EOS)));
    close_opened(&o);
}

static void test_an_answer_s_part_is_not_its_end_where_answers_have_parts(void **state)
{
    (void)state;
    static const struct word harmony[] = {
        {"<unk>", UNKNOWN, 0}, {"<|return|>", CONTROL, 0}, {"<|call|>", CONTROL, 0}, {"<|end|>", CONTROL, 0}};
    struct opened o = open_words(harmony, 4, "model"), plain = open_words(harmony + 3, 1, "model");
    assert_true(tokenizer_is_end(o.t, 1));
    assert_true(tokenizer_is_end(o.t, 2));
    assert_false(tokenizer_is_end(o.t, 3));
    assert_true(tokenizer_is_end(plain.t, 0));
    struct strbuf out;
    strbuf_init(&out, 100);
    tokenizer_piece(o.t, 3, false, &out);
    tokenizer_piece(o.t, 1, false, &out);
    assert_string_equal(out.text, "<|end|>"); /* shown, since it is part of the answer */
    strbuf_release(&out);
    assert_ids(o.t, &(struct tokenizer_text){.text = span_of("<|end|>")}, "0 0 0 0 0 0 0");
    close_opened(&o);
    close_opened(&plain);
}

/* --- Files that are refused --- */

/* Whether a file of these pairs is refused with a reason that says `reason`. */
static void assert_refused(struct writer *w, const char *reason)
{
    struct error err = {0};
    struct gguf *g = gguf_read(writer_done(w), &err);
    if (!g)
        fail_msg("%s", err.text);
    struct tokenizer *t = tokenizer_new(&g->checkpoint, &err);
    assert_null(t);
    if (!strstr(err.text, reason))
        fail_msg("the reason is: %s", err.text);
    gguf_free(g);
    writer_release(w);
}

static void test_a_tokenizer_that_is_not_known_is_named(void **state)
{
    (void)state;
    struct writer w = {0};
    write_header(&w, 3, 0, 1);
    write_pair_text(&w, "tokenizer.ggml.model", "ber\nt");
    assert_refused(&w, "tokenizer \"ber\\x0at\"");
    write_header(&w, 3, 0, 0);
    assert_refused(&w, "has no tokenizer");
    write_header(&w, 3, 0, 1);
    write_pair_u32(&w, "tokenizer.ggml.model", 1);
    assert_refused(&w, "string is needed");
}

static void write_strings(struct writer *w, const char *key, const char *const strings[], uint64_t n)
{
    write_pair_array(w, key, GGUF_STRING, n);
    for (uint64_t i = 0; i < n; i++)
        write_text(w, strings[i]);
}

/* The ids that a byte-level vocabulary of these tokens and merges gives for a text. */
static void assert_merged(const char *const merges[], uint64_t n, const char *text, const char *wanted)
{
    static const char *const tokens[] = {"a", "b", "c", "d", "e", "ab", "bc", "de", "cde"};
    struct writer w = {0};
    write_header(&w, 3, 0, 4);
    write_pair_text(&w, "tokenizer.ggml.model", "gpt2");
    write_pair_text(&w, "tokenizer.ggml.pre", "gpt-2");
    write_strings(&w, "tokenizer.ggml.tokens", tokens, 9);
    write_strings(&w, "tokenizer.ggml.merges", merges, n);
    struct opened o = open_bytes(writer_done(&w));
    assert_ids(o.t, &(struct tokenizer_text){.text = span_of(text)}, wanted);
    close_opened(&o);
}

static void test_a_pair_is_forgotten_when_one_of_its_halves_has_merged(void **state)
{
    (void)state;
    static const char *const merges[] = {"a b", "b c", "d e", "c de"};
    assert_merged(merges, 4, "abcde", "5 8");
    assert_merged(merges, 4, "bcde", "6 7");
}

static void test_of_a_merge_that_is_there_twice_the_first_counts(void **state)
{
    (void)state;
    static const char *const merges[] = {"a b", "b c", "a b"};
    assert_merged(merges, 3, "abc", "5 2");
}

static void test_the_higher_score_merges_first_and_of_equal_ones_the_left(void **state)
{
    (void)state;
    static const struct word scored[] = {{"a", NORMAL, 0}, {"b", NORMAL, 0}, {"c", NORMAL, 0},
        {"ab", NORMAL, 1}, {"bc", NORMAL, 2}, {"ca", NORMAL, -1}, {"cb", NORMAL, -2}, {"bb", NORMAL, 1}};
    struct opened o = open_words(scored, 8, "model");
    assert_ids(o.t, &(struct tokenizer_text){.text = span_of("abc")}, "0 4");
    assert_ids(o.t, &(struct tokenizer_text){.text = span_of("cab")}, "2 3");
    assert_ids(o.t, &(struct tokenizer_text){.text = span_of("acb")}, "0 6");
    assert_ids(o.t, &(struct tokenizer_text){.text = span_of("abb")}, "3 1");
    close_opened(&o);
}

/* A byte-level vocabulary of "a", "b" and "ab" with this merge. */
static void write_merge(struct writer *w, const char *pre, const char *merge)
{
    write_header(w, 3, 0, 4);
    write_pair_text(w, "tokenizer.ggml.model", "gpt2");
    write_pair_text(w, "tokenizer.ggml.pre", pre);
    write_pair_array(w, "tokenizer.ggml.tokens", GGUF_STRING, 3);
    write_text(w, "a");
    write_text(w, "b");
    write_text(w, "ab");
    write_pair_array(w, "tokenizer.ggml.merges", GGUF_STRING, 1);
    write_text(w, merge);
}

static void test_a_pre_tokenizer_that_is_not_known_is_named(void **state)
{
    (void)state;
    struct writer w = {0};
    write_merge(&w, "no-such", "a b");
    assert_refused(&w, "pre-tokenizer \"no-such\"");
}

static void test_a_merge_without_two_sides_is_refused(void **state)
{
    (void)state;
    static const char *const merges[] = {"ab", "", " ", "a", "a "};
    for (size_t i = 0; i < sizeof(merges) / sizeof(merges[0]); i++) {
        struct writer w = {0};
        write_merge(&w, "gpt-2", merges[i]);
        assert_refused(&w, "merge 0");
    }
}

static void test_merges_may_go_through_texts_that_are_no_tokens(void **state)
{
    (void)state;
    static const char *const through[] = {"c d", "cd e"}, *const ends[] = {"a b", "ab c"};
    static const char *const sides[] = {"x c", "xc d"}, *const joins[] = {"a b", "c x", "ab cx"};
    assert_merged(through, 2, "cde", "8");
    assert_merged(through, 2, "cd", "2 3");
    assert_merged(ends, 2, "abcd", "0 1 2 3");
    assert_merged(sides, 2, "xcde", "2 3 4");
    assert_merged(joins, 3, "abcxab", "0 1 2 5");
}

static void test_bytes_that_are_no_tokens_are_left_out(void **state)
{
    (void)state;
    struct writer w = {0};
    write_merge(&w, "gpt-2", "a b");
    struct opened o = open_bytes(writer_done(&w));
    assert_ids(o.t, &(struct tokenizer_text){.text = span_of("abcab!a b")}, "2 2 0 1");
    assert_int_equal(tokenizer_special(o.t, TOKENIZER_BOS), TOKENIZER_NONE);
    close_opened(&o);
}

static void test_a_vocabulary_that_contradicts_itself_is_refused(void **state)
{
    (void)state;
    struct writer w = {0};
    write_header(&w, 3, 0, 1);
    write_pair_text(&w, "tokenizer.ggml.model", "gpt2");
    assert_refused(&w, "no vocabulary");

    write_header(&w, 3, 0, 3);
    write_pair_text(&w, "tokenizer.ggml.model", "llama");
    write_pair_array(&w, "tokenizer.ggml.tokens", GGUF_STRING, 2);
    write_text(&w, "a");
    write_text(&w, "b");
    write_pair_array(&w, "tokenizer.ggml.scores", GGUF_F32, 1);
    write_u32(&w, 0);
    assert_refused(&w, "1 items for 2 tokens");

    write_header(&w, 3, 0, 3);
    write_pair_text(&w, "tokenizer.ggml.model", "llama");
    write_pair_array(&w, "tokenizer.ggml.tokens", GGUF_STRING, 1);
    write_text(&w, "a");
    write_pair_array(&w, "tokenizer.ggml.scores", GGUF_F32, 1);
    write_u32(&w, 0x7fc00000);
    assert_refused(&w, "the score of token 0 is NaN");

    write_header(&w, 3, 0, 3);
    write_pair_text(&w, "tokenizer.ggml.model", "llama");
    write_pair_array(&w, "tokenizer.ggml.tokens", GGUF_STRING, 2);
    write_text(&w, "a");
    write_text(&w, "b");
    write_pair_array(&w, "tokenizer.ggml.token_type", GGUF_I32, 1);
    write_u32(&w, 1);
    assert_refused(&w, "1 items for 2 tokens");
}

/* A vocabulary of one token, of this size and kind. */
static void write_long(struct writer *w, size_t size, uint32_t kind)
{
    write_header(w, 3, 0, 3);
    write_pair_text(w, "tokenizer.ggml.model", "llama");
    write_pair_array(w, "tokenizer.ggml.tokens", GGUF_STRING, 1);
    write_u64(w, size);
    write_zeros(w, size);
    write_pair_array(w, "tokenizer.ggml.token_type", GGUF_I32, 1);
    write_u32(w, kind);
}

static void test_tokens_too_long_are_refused(void **state)
{
    (void)state;
    struct writer w = {0};
    write_long(&w, 4097, NORMAL);
    assert_refused(&w, "4097 bytes");
    write_long(&w, 257, CONTROL);
    assert_refused(&w, "257 bytes");
    write_long(&w, 257, NORMAL);
    struct opened o = open_bytes(writer_done(&w));
    assert_int_equal(tokenizer_text_of(o.t, 0).size, 257);
    close_opened(&o);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_special_tokens_are_recognized_only_where_that_is_allowed),
        cmocka_unit_test(test_a_message_cannot_forge_a_mark_not_even_with_the_template_s_help),
        cmocka_unit_test(test_no_words_add_up_to_a_mark),
        cmocka_unit_test(test_the_longest_special_token_wins_wherever_it_stands),
        cmocka_unit_test(test_marks_of_phi_3_take_the_white_space_after_them_along),
        cmocka_unit_test(test_a_text_too_long_is_refused),
        cmocka_unit_test(test_ends_are_known_by_key_and_by_text),
        cmocka_unit_test(test_an_answer_s_part_is_not_its_end_where_answers_have_parts),
        cmocka_unit_test(test_a_pair_is_forgotten_when_one_of_its_halves_has_merged),
        cmocka_unit_test(test_of_a_merge_that_is_there_twice_the_first_counts),
        cmocka_unit_test(test_the_higher_score_merges_first_and_of_equal_ones_the_left),
        cmocka_unit_test(test_a_tokenizer_that_is_not_known_is_named),
        cmocka_unit_test(test_a_pre_tokenizer_that_is_not_known_is_named),
        cmocka_unit_test(test_a_merge_without_two_sides_is_refused),
        cmocka_unit_test(test_merges_may_go_through_texts_that_are_no_tokens),
        cmocka_unit_test(test_bytes_that_are_no_tokens_are_left_out),
        cmocka_unit_test(test_a_vocabulary_that_contradicts_itself_is_refused),
        cmocka_unit_test(test_tokens_too_long_are_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
