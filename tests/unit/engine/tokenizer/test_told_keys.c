/* test_told_keys.c - keys that GGUF does not have, and that loaders of other formats write; see checkpoint.h. */
#include "vocabulary.h"

/* Opens n words with a model and up to two more keys: a flag, and an array of one id. */
static struct opened open_told(
    const char *model, const struct word words[], size_t n, const char *flag, const char *array, uint32_t id)
{
    struct writer w = {0};
    write_header(&w, 3, 0, 4u + (flag != NULL) + (array != NULL));
    write_pair_text(&w, "tokenizer.ggml.model", model);
    write_words(&w, words, n);
    if (flag)
        write_pair_integer(&w, flag, GGUF_BOOL, 1);
    if (array) {
        write_pair_array(&w, array, GGUF_U32, 1);
        write_u32(&w, id);
    }
    return open_bytes(writer_done(&w));
}

static const struct word spm[] = {{"<unk>", UNKNOWN, 0}, {"<s>", CONTROL, 0}, {"</s>", CONTROL, 0},
    {"<mark>", CONTROL, 0}, {"a", NORMAL, -1}, {"b", NORMAL, -2}, {"\xe2\x96\x81", NORMAL, -3},
    {"\xe2\x96\x81"
     "a",
        NORMAL, 0},
    {"<|end|>", NORMAL, -9}};
static const struct word pieces[] = {{"[UNK]", CONTROL, 0}, {"[CLS]", CONTROL, 0}, {"[SEP]", CONTROL, 0},
    {"\xe2\x96\x81"
     "a",
        NORMAL, 0},
    {"a", NORMAL, 0}, {"\xe2\x96\x81\xe1\x84\x80", NORMAL, 0}, {"\xe1\x85\xa1", NORMAL, 0},
    {"\xe1\x86\xa8", NORMAL, 0}};

#define N(words) (sizeof(words) / sizeof((words)[0]))

static void assert_ids_of(const struct tokenizer *t, const char *text, const char *wanted)
{
    char given[512] = "";
    size_t n = 0;
    struct error err = {0};
    struct tokenizer_ids ids = {0};
    assert_true(tokenizer_encode(
        t, &(struct tokenizer_text){.text = span_of(text), .parse_special = true}, &ids, &err));
    for (size_t i = 0; i < ids.n && n < sizeof(given); i++)
        n += (size_t)snprintf(given + n, sizeof(given) - n, i ? " %d" : "%d", ids.at[i]);
    assert_string_equal(given, wanted);
    tokenizer_ids_release(&ids);
}

static void test_a_prefix_of_the_text_is_not_put_behind_a_mark(void **state)
{
    (void)state;
    struct opened each = open_told("llama", spm, N(spm), NULL, NULL, 0);
    struct opened first = open_told("llama", spm, N(spm), "tokenizer.ggml.space_prefix_first", NULL, 0);
    assert_ids_of(each.t, "a<mark>a", "7 3 7");
    assert_ids_of(first.t, "a<mark>a", "7 3 4");
    close_opened(&each);
    close_opened(&first);
}

static void test_listed_tokens_take_white_space_and_end_answers(void **state)
{
    (void)state;
    struct opened right = open_told(
        "llama", spm, N(spm), "tokenizer.ggml.space_prefix_first", "tokenizer.ggml.rstrip_token_ids", 3);
    struct opened left = open_told(
        "llama", spm, N(spm), "tokenizer.ggml.space_prefix_first", "tokenizer.ggml.lstrip_token_ids", 3);
    struct opened end = open_told("llama", spm, N(spm), NULL, "tokenizer.ggml.end_token_ids", 5);
    assert_ids_of(right.t, "a <mark> \n b", "7 6 3 5");
    assert_ids_of(left.t, "a <mark> b", "7 3 6 5");
    assert_true(tokenizer_is_end(end.t, 5));
    assert_false(tokenizer_is_end(right.t, 5));
    /* A word that looks like a mark is one only where nothing tells all marks. */
    assert_true(tokenizer_is_special(right.t, 8));
    assert_false(tokenizer_is_special(left.t, 8));
    close_opened(&right);
    close_opened(&left);
    close_opened(&end);
}

static void test_wordpiece_cleans_a_text_as_its_own_normalizer_does(void **state)
{
    (void)state;
    struct opened as_gguf = open_told("bert", pieces, N(pieces), NULL, NULL, 0);
    struct opened told = open_told("bert", pieces, N(pieces), "tokenizer.ggml.bert_normalizer", NULL, 0);
    assert_ids_of(as_gguf.t, "\xea\xb0\x81 a\fa", "5 3 3");
    assert_ids_of(told.t, "\xea\xb0\x81 a\fa", "5 6 7 3 4");
    close_opened(&as_gguf);
    close_opened(&told);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_a_prefix_of_the_text_is_not_put_behind_a_mark),
        cmocka_unit_test(test_listed_tokens_take_white_space_and_end_answers),
        cmocka_unit_test(test_wordpiece_cleans_a_text_as_its_own_normalizer_does),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
