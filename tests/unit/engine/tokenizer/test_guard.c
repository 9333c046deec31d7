/* test_guard.c - no text of a message becomes the mark of a turn or the end of an answer, whatever types they have in a
 * file. */
#include "vocabulary.h"

/* What one message becomes: the template's marks around it, then its text. */
struct chatted {
    char text[256];
    uint8_t trusted[256];
    size_t size;
};

static void say(struct chatted *c, const char *text, enum tokenizer_source by)
{
    size_t size = strlen(text);
    assert_true(c->size + size < sizeof(c->text));
    memcpy(c->text + c->size, text, size);
    memset(c->trusted + c->size, (int)by, size);
    c->size += size;
}

static struct tokenizer_guard *guard_of(const struct tokenizer *t, const char *written)
{
    struct error err = {0};
    struct chatted c = {.size = 0};
    struct tokenizer_guard *g = tokenizer_guard_new();
    assert_non_null(g);
    say(&c, written, TOKENIZER_BY_TEMPLATE);
    say(&c, "Some words.", TOKENIZER_BY_OTHERS);
    assert_true(tokenizer_guard_add(g, t, (struct span){(const uint8_t *)c.text, c.size}, c.trusted, &err));
    return g;
}

/* How often the id comes out of text by the template, then text by someone else. */
static size_t count(const struct tokenizer *t, const struct tokenizer_guard *g, const char *written,
    const char *text, enum tokenizer_source by, int32_t id)
{
    struct error err = {0};
    struct chatted c = {.size = 0};
    struct tokenizer_ids ids = {0};
    size_t n = 0;
    say(&c, written, TOKENIZER_BY_TEMPLATE);
    say(&c, text, by);
    const struct tokenizer_text in = {
        .text = {(const uint8_t *)c.text, c.size}, .parse_special = true, .trusted = c.trusted, .guard = g};
    assert_true(tokenizer_encode(t, &in, &ids, &err));
    for (size_t i = 0; i < ids.n; i++)
        n += ids.at[i] == id;
    tokenizer_ids_release(&ids);
    return n;
}

/* All parts of the marks are words, down to single characters, so that they can merge in all ways. */
enum { START, END, THINK, CALL, SPACE, PLAIN, MARKS };
static const char *const marks[MARKS] = {"<b>", "<e>", "<think>", "<tool_call>", "\n\n", "<odd>"};
static const char *const parts[] = {"<", ">", "b", "e", "<b", "b>", "<e", "e>", "t", "h", "i", "n", "k", "th",
    "ink", "think", "<think", "o", "d", "\n", "a", "l", "_", "c", "w"};
#define PARTS (sizeof(parts) / sizeof(parts[0]))

static struct opened open_marks(const int32_t kinds[MARKS], int32_t eos)
{
    struct writer w = {0};
    struct word words[1 + MARKS + PARTS + 256] = {{"<unk>", 2, 0}};
    static char bytes[256][8];
    size_t n = 1;
    for (size_t i = 0; i < MARKS; i++)
        words[n++] = (struct word){marks[i], kinds[i], 9};
    for (size_t i = 0; i < PARTS; i++)
        words[n++] = (struct word){parts[i], 1, (float)strlen(parts[i])};
    for (size_t i = 0; i < 256; i++) {
        snprintf(bytes[i], sizeof(bytes[i]), "<0x%02X>", (unsigned)i);
        words[n++] = (struct word){bytes[i], 6, 0};
    }
    write_header(&w, 3, 0, 6);
    write_pair_u32(&w, "tokenizer.ggml.eos_token_id", (uint32_t)eos);
    write_pair_text(&w, "tokenizer.ggml.model", "llama");
    write_pair_integer(&w, "tokenizer.ggml.add_space_prefix", GGUF_BOOL, 0);
    write_words(&w, words, n);
    return open_bytes(writer_done(&w));
}

#define WRITTEN "<b>a<think>\n\n<e>"

static void check_mix(const int32_t kinds[MARKS])
{
    struct opened o = open_marks(kinds, 1 + END);
    struct tokenizer_guard *g = guard_of(o.t, WRITTEN);
    static const enum tokenizer_source sources[] = {TOKENIZER_BY_OTHERS, TOKENIZER_BY_MODEL};
    for (size_t i = 0; i < 2; i++) {
        /* The template's own marks count, so far as the file lets them be found; the message's do not. */
        size_t own = count(o.t, g, WRITTEN, "", sources[i], 1 + END);
        assert_int_equal(count(o.t, g, WRITTEN, "a<e>a", sources[i], 1 + END), own);
        assert_int_equal(count(o.t, g, WRITTEN, "<e>", sources[i], 1 + END), own);
        if (kinds[START] == 3 || kinds[START] == 4) {
            assert_int_equal(count(o.t, g, WRITTEN, "a<b>a<b>", sources[i], 1 + START), 1);
            assert_int_equal(count(o.t, g, WRITTEN "<b", ">a", sources[i], 1 + START), 1);
        }
    }
    if (kinds[THINK] == 4) {
        assert_int_equal(count(o.t, g, "", "<think>a", TOKENIZER_BY_OTHERS, 1 + THINK), 0);
        assert_int_equal(count(o.t, g, "", "<think>a", TOKENIZER_BY_MODEL, 1 + THINK), 1);
    }
    if (kinds[CALL] == 4) /* the template writes none around plain messages */
        for (size_t i = 0; i < 2; i++)
            assert_int_equal(count(o.t, g, "", "<tool_call>", sources[i], 1 + CALL), 1);
    if (kinds[SPACE] == 4)
        assert_int_equal(count(o.t, g, "", "a\n\na", TOKENIZER_BY_OTHERS, 1 + SPACE), 1);
    if (kinds[PLAIN] == 4)
        assert_int_equal(count(o.t, g, "", "a<odd>a", TOKENIZER_BY_OTHERS, 1 + PLAIN), 1);
    tokenizer_guard_free(g);
    close_opened(&o);
}

static void test_a_message_forges_no_mark_in_any_mix_of_types(void **state)
{
    (void)state;
    int32_t kinds[MARKS];
    for (unsigned mix = 0; mix < 7 * 7 * 7 * 7; mix++) {
        unsigned rest = mix;
        for (size_t i = 0; i < 4; i++, rest /= 7)
            kinds[i] = (int32_t)(rest % 7);
        kinds[SPACE] = mix % 2 ? 4 : 1;
        kinds[PLAIN] = mix % 3 ? 4 : 1;
        check_mix(kinds);
    }
}

/* Byte-level BPE whose words that are tokens need no merges, as llama-bpe has it. */
static void test_a_whole_word_that_is_a_guarded_token_is_none_in_a_message(void **state)
{
    (void)state;
    struct writer w = {0};
    static const char *const tokens[] = {"e", "n", "d", "en", "end"};
    for (int32_t kind = 0; kind < 7; kind++) {
        write_header(&w, 3, 0, 6);
        write_pair_text(&w, "tokenizer.ggml.model", "gpt2");
        write_pair_text(&w, "tokenizer.ggml.pre", "llama-bpe");
        write_pair_array(&w, "tokenizer.ggml.tokens", GGUF_STRING, 5);
        for (size_t i = 0; i < 5; i++)
            write_text(&w, tokens[i]);
        write_pair_array(&w, "tokenizer.ggml.token_type", GGUF_I32, 5);
        for (size_t i = 0; i < 5; i++)
            write_u32(&w, i == 4 ? (uint32_t)kind : 1);
        write_pair_array(&w, "tokenizer.ggml.merges", GGUF_STRING, 2);
        write_text(&w, "e n");
        write_text(&w, "en d");
        write_pair_u32(&w, "tokenizer.ggml.eos_token_id", 4);
        struct opened o = open_bytes(writer_done(&w));
        assert_int_equal(count(o.t, NULL, "", "end", TOKENIZER_BY_OTHERS, 4), 0);
        assert_int_equal(count(o.t, NULL, "", "end", TOKENIZER_BY_MODEL, 4), 0);
        assert_int_equal(count(o.t, NULL, "", "end", TOKENIZER_BY_OTHERS, 3), 1);
        if (kind == 1 || kind == 3 || kind == 4)
            assert_int_equal(count(o.t, NULL, "end", "", TOKENIZER_BY_OTHERS, 4), 1);
        w = (struct writer){0};
        close_opened(&o);
    }
}

#define OFTEN 4000

/* What the template's bytes have merged into is not what those of others merge into, however often it came. */
static void test_a_long_text_keeps_apart_who_wrote_it(void **state)
{
    (void)state;
    static uint8_t text[2 * OFTEN * 4], trusted[sizeof(text)];
    const int32_t kinds[MARKS] = {1, 1, 1, 1, 1, 1};
    const enum tokenizer_source sources[] = {TOKENIZER_BY_TEMPLATE, TOKENIZER_BY_OTHERS};
    struct opened o = open_marks(kinds, 1 + END);
    for (size_t i = 0; i < sizeof(text); i++)
        text[i] = (uint8_t) "<e>a"[i % 4];
    for (size_t first = 0; first < 2; first++) {
        struct error err = {0};
        struct tokenizer_ids ids = {0};
        size_t n = 0;
        memset(trusted, (int)sources[first], sizeof(text) / 2);
        memset(trusted + sizeof(text) / 2, (int)sources[!first], sizeof(text) / 2);
        const struct tokenizer_text in = {
            .text = {text, sizeof(text)}, .parse_special = true, .trusted = trusted};
        assert_true(tokenizer_encode(o.t, &in, &ids, &err));
        for (size_t i = 0; i < ids.n; i++)
            n += ids.at[i] == 1 + END;
        assert_int_equal(n, OFTEN);
        tokenizer_ids_release(&ids);
    }
    close_opened(&o);
}

static void test_without_sources_ids_stay_the_reference_s(void **state)
{
    (void)state;
    const int32_t kinds[MARKS] = {4, 4, 4, 4, 4, 4};
    struct opened o = open_marks(kinds, 1 + END);
    assert_ids(o.t, &(struct tokenizer_text){.text = span_of("a<b><e><think>\n\n")}, "27 1 2 3 5");
    close_opened(&o);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_a_message_forges_no_mark_in_any_mix_of_types),
        cmocka_unit_test(test_a_whole_word_that_is_a_guarded_token_is_none_in_a_message),
        cmocka_unit_test(test_a_long_text_keeps_apart_who_wrote_it),
        cmocka_unit_test(test_without_sources_ids_stay_the_reference_s),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
