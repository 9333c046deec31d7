/* test_kinds.c - the kinds of tokenizers beside byte-level BPE and SentencePiece's: ids, text from ids, what is refused.
 *
 * The reference's ids are in tests/vectors/tokenizer; its README says how they were made.
 */
#include "vocabulary.h"

static void assert_kind(const char *name, const char *model)
{
    char path[128];
    snprintf(path, sizeof(path), VECTORS "%s.gguf", name);
    struct opened o = open_bytes(read_file(path));
    assert_string_equal(tokenizer_model(o.t), model);
    snprintf(path, sizeof(path), VECTORS "%s.plain.ids", name);
    assert_vectors(o.t, path, false);
    snprintf(path, sizeof(path), VECTORS "%s.marks.ids", name);
    assert_vectors(o.t, path, true);
    close_opened(&o);
}

static void test_ids_of_each_kind_are_the_reference_s(void **state)
{
    (void)state;
    assert_kind("gemma4", "gemma4");
    assert_kind("unigram", "t5");
    assert_kind("rwkv", "rwkv");
    assert_kind("plamo2", "plamo2");
    assert_kind("wordpiece", "bert");
}

/* BPE of characters behind pre-tokenizers that leave a token's bytes as they are. */
static void test_ids_behind_raw_pre_tokenizers_are_the_reference_s(void **state)
{
    (void)state;
    static const char *const names[] = {"gemma4", "granite-embed-multi-311m", "mmbert", "sarvam-moe"};
    for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
        char file[128];
        struct opened o = open_renamed(VECTORS "raw.gguf", "gemma4", names[i]);
        snprintf(file, sizeof(file), VECTORS "raw.%s.ids", names[i]);
        assert_vectors_special(o.t, file, true, false);
        close_opened(&o);
    }
}

static void test_a_text_comes_back_from_the_ids_of_kinds_that_keep_it(void **state)
{
    (void)state;
    static const char *const files[] = {VECTORS "gemma4.gguf", VECTORS "rwkv.gguf", VECTORS "plamo2.gguf"};
    static const char *const texts[] = {
        "Hello World, 中文 🙂é\n\n  x\t", "a", " ", "\n", "\xf0\x9f\x91\xa9‍👩"};
    for (size_t k = 0; k < sizeof(files) / sizeof(files[0]); k++) {
        struct opened o = open_bytes(read_file(files[k]));
        for (size_t i = 0; i < sizeof(texts) / sizeof(texts[0]); i++)
            assert_round_trip(o.t, span_of(texts[i]));
        close_opened(&o);
    }
}

/* --- Text by others --- */

/* Text of a message never becomes a mark, where the kind would choose one among tokens. */
static void test_a_message_does_not_become_a_mark_of_rwkv_or_plamo2(void **state)
{
    (void)state;
    static const uint8_t by_others[16] = {0};
    static const struct {
        const char *file, *mark;
    } cases[] = {{VECTORS "rwkv.gguf", "<s>"}, {VECTORS "plamo2.gguf", "<|plamo:bos|>"}};
    for (size_t k = 0; k < 2; k++) {
        struct opened o = open_bytes(read_file(cases[k].file));
        struct error err = {0};
        struct tokenizer_ids ids = {0};
        const struct tokenizer_text in = {
            .text = span_of(cases[k].mark), .parse_special = true, .trusted = by_others};
        assert_true(tokenizer_encode(o.t, &in, &ids, &err));
        assert_true(ids.n > 1);
        for (size_t i = 0; i < ids.n; i++)
            assert_false(tokenizer_is_special(o.t, ids.at[i]));
        tokenizer_ids_release(&ids);
        close_opened(&o);
    }
}

/* --- Files that are refused --- */

static void assert_refused(struct writer *w, const char *reason)
{
    struct error err = {0};
    struct gguf *g = gguf_read(writer_done(w), &err);
    if (!g)
        fail_msg("%s", err.text);
    assert_null(tokenizer_new(&g->checkpoint, &err));
    if (!strstr(err.text, reason))
        fail_msg("the reason is: %s", err.text);
    gguf_free(g);
    writer_release(w);
}

/* A vocabulary of one token of this kind of tokenizer, with a header for `more` pairs besides. */
static void write_one(struct writer *w, const char *model, uint64_t more)
{
    write_header(w, 3, 0, 2 + more);
    write_pair_text(w, "tokenizer.ggml.model", model);
    write_pair_array(w, "tokenizer.ggml.tokens", GGUF_STRING, 1);
    write_text(w, "a");
}

static void test_keys_that_would_change_ids_are_refused_by_name(void **state)
{
    (void)state;
    struct writer w = {0};
    write_one(&w, "bert", 1);
    write_pair_integer(&w, "tokenizer.ggml.normalizer.upside_down", GGUF_BOOL, 1);
    assert_refused(&w, "key \"tokenizer.ggml.normalizer.upside_down\"");
    write_one(&w, "bert", 1);
    write_pair_text(&w, "tokenizer.ggml.normalizer.lowercase", "yes");
    assert_refused(&w, "tokenizer.ggml.normalizer.lowercase");
    write_one(&w, "t5", 1);
    write_pair_text(&w, "tokenizer.ggml.precompiled_charsmap", "map");
    assert_refused(&w, "is not an array of bytes");
    write_one(&w, "plamo2", 0);
    assert_refused(&w, "no token for the byte <0x00>");
}

static void test_suppressed_tokens_are_listed(void **state)
{
    (void)state;
    struct writer w = {0};
    write_one(&w, "bert", 1);
    write_pair_array(&w, "tokenizer.ggml.suppress_tokens", GGUF_I32, 3);
    write_u32(&w, 0);
    write_u32(&w, 1); /* beyond the vocabulary */
    write_u32(&w, UINT32_MAX);
    struct opened o = open_bytes(writer_done(&w));
    size_t n;
    const int32_t *ids = tokenizer_suppressed(o.t, &n);
    assert_int_equal(n, 1);
    assert_int_equal(ids[0], 0);
    close_opened(&o);
    w = (struct writer){0};
    write_one(&w, "bert", 1);
    write_pair_text(&w, "tokenizer.ggml.suppress_tokens", "a");
    assert_refused(&w, "is not an array of integers");
}

static void write_map(struct writer *w, const uint32_t units[], uint32_t n, uint32_t said)
{
    write_one(w, "t5", 1);
    write_pair_array(w, "tokenizer.ggml.precompiled_charsmap", GGUF_U8, 4 + 4 * n + 2);
    write_u32(w, said);
    for (uint32_t i = 0; i < n; i++)
        write_u32(w, units[i]);
    write_bytes(w, "b", 2);
}

/* A file comes from a stranger: a map may point anywhere. */
static void test_a_map_of_characters_is_read_within_its_bounds(void **state)
{
    (void)state;
    static const uint32_t far[] = {0x1fffffu << 10}, good[] = {2u << 10};
    struct writer w = {0};
    write_map(&w, good, 1, 10);
    assert_refused(&w, "is cut short");
    for (int i = 0; i < 2; i++) {
        struct error err = {0};
        struct tokenizer_ids ids = {0};
        write_map(&w, i ? good : far, 1, 4);
        struct opened o = open_bytes(writer_done(&w));
        assert_false(tokenizer_encode(o.t, &(struct tokenizer_text){.text = span_of("a")}, &ids, &err));
        assert_non_null(strstr(err.text, "points outside itself"));
        tokenizer_ids_release(&ids);
        close_opened(&o);
        w = (struct writer){0};
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_ids_of_each_kind_are_the_reference_s),
        cmocka_unit_test(test_ids_behind_raw_pre_tokenizers_are_the_reference_s),
        cmocka_unit_test(test_a_text_comes_back_from_the_ids_of_kinds_that_keep_it),
        cmocka_unit_test(test_a_message_does_not_become_a_mark_of_rwkv_or_plamo2),
        cmocka_unit_test(test_keys_that_would_change_ids_are_refused_by_name),
        cmocka_unit_test(test_suppressed_tokens_are_listed),
        cmocka_unit_test(test_a_map_of_characters_is_read_within_its_bounds),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
