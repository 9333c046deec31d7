/* test_tokenizer.c - ids compared with the reference's, and text from ids.
 *
 * The reference's ids are in tests/vectors/tokenizer; its README says how they were made.
 */
#include "vocabulary.h"

#include <time.h>

static void test_byte_level_ids_are_the_reference_s_behind_each_pre_tokenizer(void **state)
{
    (void)state;
    static const char *const names[] = {"afmoe", "bailingmoe", "bloom", "chameleon", "deepseek-coder",
        "deepseek-llm", "deepseek-v3", "default", "exaone-moe", "falcon", "gpt-2", "gpt-4o",
        "granite-embed-multi-97m", "jais-2", "k2-horizon", "kimi-k2", "laguna", "llama-bpe", "minicpm5",
        "qwen2", "qwen35", "seed-coder", "smollm", "spark2_5", "superbpe", "tekken", "tiny_aya", "ufakzeka",
        "viking", "youtu"};
    for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
        char file[128];
        struct opened o = open_bpe(names[i]);
        assert_string_equal(tokenizer_pre(o.t), names[i]);
        snprintf(file, sizeof(file), VECTORS "bpe.%s.ids", names[i]);
        assert_vectors(o.t, file, false);
        close_opened(&o);
    }
}

static void test_byte_level_ids_with_special_tokens_are_the_reference_s(void **state)
{
    (void)state;
    struct opened o = open_bpe("llama-bpe");
    assert_vectors(o.t, VECTORS "bpe.marks.ids", true);
    close_opened(&o);
}

static void test_sentencepiece_ids_are_the_reference_s(void **state)
{
    (void)state;
    struct opened o = open_bytes(read_file(VECTORS "spm.gguf"));
    assert_string_equal(tokenizer_model(o.t), "llama");
    assert_vectors(o.t, VECTORS "spm.plain.ids", false);
    assert_vectors(o.t, VECTORS "spm.marks.ids", true);
    close_opened(&o);
}

/* --- Text back from ids --- */

/* SentencePiece decodes its mark of a space as a space, and adds a space after a special token. */
static bool comes_back(const char *text)
{
    return is_utf8(span_of(text)) && !strstr(text, "▁") && !strstr(text, "<word>");
}

static void all_round_trips(const struct tokenizer *t)
{
    struct span texts = read_file(VECTORS "texts");
    size_t n = 0;
    for (size_t at = 0; at < texts.size; at += strlen((const char *)texts.at + at) + 1)
        if (comes_back((const char *)texts.at + at)) {
            assert_round_trip(t, span_of((const char *)texts.at + at));
            n++;
        }
    assert_true(n > 100);
    release(texts);
}

static void test_a_text_comes_back_from_its_ids_and_no_character_is_ever_cut(void **state)
{
    (void)state;
    struct opened bpe = open_bpe("gpt-2"), spm = open_bytes(read_file(VECTORS "spm.gguf"));
    all_round_trips(bpe.t);
    all_round_trips(spm.t);
    close_opened(&bpe);
    close_opened(&spm);
}

static void test_bytes_of_no_character_come_out_at_the_end(void **state)
{
    (void)state;
    struct opened o = open_bytes(read_file(VECTORS "spm.gguf"));
    struct strbuf out;
    struct detokenizer d = {.tokenizer = o.t};
    strbuf_init(&out, 100);
    detokenizer_add(&d, tokenizer_find(o.t, span_of("<0xE4>")), &out);
    detokenizer_add(&d, tokenizer_find(o.t, span_of("<0xB8>")), &out);
    assert_string_equal(out.text, "");
    detokenizer_end(&d, &out);
    assert_string_equal(out.text, "\xe4\xb8");
    strbuf_release(&out);
    close_opened(&o);
}

static void test_ids_out_of_range_are_nothing(void **state)
{
    (void)state;
    struct opened o = open_bpe("gpt-2");
    static const int32_t ids[] = {-1, INT32_MIN, INT32_MAX, 763};
    struct strbuf out;
    strbuf_init(&out, 100);
    assert_int_equal(tokenizer_size(o.t), 763);
    for (size_t i = 0; i < 4; i++) {
        tokenizer_piece(o.t, ids[i], true, &out);
        assert_false(tokenizer_is_end(o.t, ids[i]));
        assert_false(tokenizer_is_special(o.t, ids[i]));
        assert_int_equal(tokenizer_text_of(o.t, ids[i]).size, 0);
    }
    assert_int_equal(out.size, 0);
    strbuf_release(&out);
    close_opened(&o);
}

/* --- Time --- */

static double seconds(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec + (double)t.tv_nsec / 1e9;
}

static void assert_soon(const struct tokenizer *t, const char *unit)
{
    size_t n = 200000, size = strlen(unit);
    uint8_t *text = malloc(n * size);
    struct error err = {0};
    struct tokenizer_ids ids = {0};
    for (size_t i = 0; i < n; i++)
        memcpy(text + i * size, unit, size);
    const struct tokenizer_text in = {.text = {text, n * size}, .parse_special = true};
    double start = seconds();
    assert_true(tokenizer_encode(t, &in, &ids, &err));
    assert_true(seconds() - start < 5); /* a tenth of a second, but for a sanitizer on a busy machine */
    tokenizer_ids_release(&ids);
    free(text);
}

static void test_200000_times_the_same_takes_no_time_to_speak_of(void **state)
{
    (void)state;
    static const char *const units[] = {
        "a", " ", "1", "!", "\n", "é", "\xff", "<", "<|im_start|>", "a ", "A"};
    struct opened all[] = {open_bpe("gpt-2"), open_bpe("tekken"), open_bpe("default"),
        open_bytes(read_file(VECTORS "spm.gguf")), open_bpe("deepseek-llm"), open_bpe("jais-2"),
        open_bytes(read_file(VECTORS "gemma4.gguf")), open_bytes(read_file(VECTORS "unigram.gguf")),
        open_bytes(read_file(VECTORS "wordpiece.gguf")), open_bytes(read_file(VECTORS "rwkv.gguf")),
        open_bytes(read_file(VECTORS "plamo2.gguf"))};
    const size_t n = sizeof(all) / sizeof(all[0]);
    for (size_t i = 0; i < sizeof(units) / sizeof(units[0]); i++)
        for (size_t k = 0; k < n; k++)
            assert_soon(all[k].t, units[i]);
    for (size_t k = 0; k < n; k++)
        close_opened(&all[k]);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_byte_level_ids_are_the_reference_s_behind_each_pre_tokenizer),
        cmocka_unit_test(test_byte_level_ids_with_special_tokens_are_the_reference_s),
        cmocka_unit_test(test_sentencepiece_ids_are_the_reference_s),
        cmocka_unit_test(test_a_text_comes_back_from_its_ids_and_no_character_is_ever_cut),
        cmocka_unit_test(test_bytes_of_no_character_come_out_at_the_end),
        cmocka_unit_test(test_ids_out_of_range_are_nothing),
        cmocka_unit_test(test_200000_times_the_same_takes_no_time_to_speak_of),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
