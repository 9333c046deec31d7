/* test_tokenizer.c - ids beside the reference's, special tokens, text back from ids, files that are refused.
 *
 * What the reference gives is in tests/vectors/tokenizer; its README says how that was made. Vocabularies of
 * a few tokens are put together here, where a test is about one thing in them.
 */
#include "berth/engine/tokenizer/tokenizer.h"
#include "gguf_writer.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <time.h>

#include <cmocka.h>

#define VECTORS "tests/vectors/tokenizer/"

/* --- The vectors --- */

static struct span read_file(const char *path)
{
    FILE *f = fopen(path, "rb");
    if (!f)
        fail_msg("%s cannot be read; run this from the top of the sources", path);
    uint8_t *bytes = malloc(1 << 20);
    size_t size = fread(bytes, 1, 1 << 20, f);
    fclose(f);
    return (struct span){realloc(bytes, size), size};
}

static void release(struct span s)
{
    free((void *)(uintptr_t)s.at);
}

/* A file's bytes, which gguf and tokenizer lie on. */
struct opened {
    struct span bytes;
    struct gguf *g;
    struct tokenizer *t;
};

static struct opened open_bytes(struct span bytes)
{
    struct error err = {0};
    struct opened o = {.bytes = bytes};
    o.g = gguf_read(bytes, &err);
    if (!o.g)
        fail_msg("%s", err.text);
    o.t = tokenizer_new(o.g, &err);
    if (!o.t)
        fail_msg("%s", err.text);
    return o;
}

static void close_opened(struct opened *o)
{
    tokenizer_free(o->t);
    gguf_free(o->g);
    release(o->bytes);
}

/* bpe.gguf with another pre-tokenizer: the name is the last thing in the file. */
static struct opened open_bpe(const char *pre)
{
    struct span file = read_file(VECTORS "bpe.gguf");
    size_t keep = file.size - 8 - strlen("default");
    struct writer w = {0};
    write_bytes(&w, file.at, keep);
    write_text(&w, pre);
    release(file);
    return open_bytes(writer_done(&w));
}

static void assert_line(const struct tokenizer_ids *ids, struct span *rest, size_t line)
{
    char wanted[4096], given[4096] = "";
    const uint8_t *end = memchr(rest->at, '\n', rest->size);
    assert_non_null(end);
    size_t size = (size_t)(end - rest->at), n = 0;
    assert_true(size < sizeof(wanted));
    memcpy(wanted, rest->at, size);
    wanted[size] = '\0';
    for (size_t i = 0; i < ids->n; i++)
        n += (size_t)snprintf(given + n, sizeof(given) - n, i ? " %d" : "%d", ids->at[i]);
    if (strcmp(given, wanted) != 0)
        fail_msg("text %zu gives %s and should give %s", line, given, wanted);
    *rest = (struct span){end + 1, rest->size - size - 1};
}

static void compare(const struct tokenizer *t, const char *ids_file, bool marks)
{
    struct span texts = read_file(VECTORS "texts"), wanted = read_file(ids_file), rest = wanted;
    size_t line = 0;
    for (size_t at = 0, size; at < texts.size; at += size + 1, line++) {
        size = strlen((const char *)texts.at + at);
        struct error err = {0};
        struct tokenizer_ids ids = {0};
        uint8_t *text = malloc(size); /* exactly so large */
        memcpy(text, texts.at + at, size);
        const struct tokenizer_text in = {.text = {text, size}, .add_special = marks, .parse_special = marks};
        assert_true(tokenizer_encode(t, &in, &ids, &err));
        assert_line(&ids, &rest, line);
        tokenizer_ids_release(&ids);
        free(text);
    }
    assert_int_equal(rest.size, 0);
    assert_true(line > 200);
    release(texts);
    release(wanted);
}

static void test_byte_level_ids_are_the_reference_s_behind_each_pre_tokenizer(void **state)
{
    (void)state;
    static const char *const names[] = {"default", "gpt-2", "smollm", "starcoder", "llama-bpe", "qwen2",
        "qwen35", "seed-coder", "tekken", "gpt-4o"};
    for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
        char file[128];
        struct opened o = open_bpe(names[i]);
        assert_string_equal(tokenizer_pre(o.t), names[i]);
        snprintf(file, sizeof(file), VECTORS "bpe.%s.ids", names[i]);
        compare(o.t, file, false);
        close_opened(&o);
    }
}

static void test_byte_level_ids_with_special_tokens_are_the_reference_s(void **state)
{
    (void)state;
    struct opened o = open_bpe("llama-bpe");
    compare(o.t, VECTORS "bpe.marks.ids", true);
    close_opened(&o);
}

static void test_sentencepiece_ids_are_the_reference_s(void **state)
{
    (void)state;
    struct opened o = open_bytes(read_file(VECTORS "spm.gguf"));
    assert_string_equal(tokenizer_model(o.t), "llama");
    compare(o.t, VECTORS "spm.plain.ids", false);
    compare(o.t, VECTORS "spm.marks.ids", true);
    close_opened(&o);
}

/* --- Text back from ids --- */

static bool is_utf8(struct span s)
{
    for (size_t n; s.size > 0; s.at += n, s.size -= n)
        if ((n = text_character(s)) == 0)
            return false;
    return true;
}

/* Encodes, then decodes token by token; what has come so far must always end where a character does. */
static void assert_round_trip(const struct tokenizer *t, struct span text)
{
    struct error err = {0};
    struct tokenizer_ids ids = {0};
    struct strbuf out;
    struct detokenizer d = {.tokenizer = t, .special = true, .strip = true};
    strbuf_init(&out, 1 << 20);
    assert_true(tokenizer_encode(t, &(struct tokenizer_text){.text = text}, &ids, &err));
    for (size_t i = 0; i < ids.n; i++) {
        detokenizer_add(&d, ids.at[i], &out);
        assert_true(is_utf8((struct span){(const uint8_t *)out.text, out.size}));
    }
    assert_int_equal(d.n_held, 0);
    detokenizer_end(&d, &out);
    assert_int_equal(out.size, text.size);
    assert_memory_equal(out.text, text.at, text.size);
    strbuf_release(&out);
    tokenizer_ids_release(&ids);
}

/* SentencePiece takes its mark of a space for one, and puts one behind a special token. */
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

/* --- Vocabularies made here --- */

struct word {
    const char *text;
    int32_t kind;
    float score;
};

static void write_words(struct writer *w, const struct word words[], uint64_t n)
{
    write_pair_array(w, "tokenizer.ggml.tokens", GGUF_STRING, n);
    for (uint64_t i = 0; i < n; i++)
        write_text(w, words[i].text);
    write_pair_array(w, "tokenizer.ggml.token_type", GGUF_I32, n);
    for (uint64_t i = 0; i < n; i++)
        write_u32(w, (uint32_t)words[i].kind);
    write_pair_array(w, "tokenizer.ggml.scores", GGUF_F32, n);
    for (uint64_t i = 0; i < n; i++)
        write_bytes(w, &words[i].score, sizeof(float));
}

/* A SentencePiece vocabulary of these words and no others, whose model is called `name`. */
static struct opened open_words(const struct word words[], uint64_t n, const char *name)
{
    struct writer w = {0};
    write_header(&w, 3, 0, 6);
    write_pair_text(&w, "general.name", name);
    write_pair_text(&w, "tokenizer.ggml.model", "llama");
    write_pair_integer(&w, "tokenizer.ggml.add_space_prefix", GGUF_BOOL, 0);
    write_words(&w, words, n);
    return open_bytes(writer_done(&w));
}

static void assert_ids(const struct tokenizer *t, const struct tokenizer_text *in, const char *wanted)
{
    struct error err = {0};
    struct tokenizer_ids ids = {0};
    char given[256] = "";
    size_t n = 0;
    assert_true(tokenizer_encode(t, in, &ids, &err));
    for (size_t i = 0; i < ids.n; i++)
        n += (size_t)snprintf(given + n, sizeof(given) - n, i ? " %d" : "%d", ids.at[i]);
    assert_string_equal(given, wanted);
    tokenizer_ids_release(&ids);
}

enum { NORMAL = 1, UNKNOWN = 2, CONTROL = 3, USER = 4 };

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
        open_bytes(read_file(VECTORS "spm.gguf"))};
    for (size_t i = 0; i < sizeof(units) / sizeof(units[0]); i++)
        for (size_t k = 0; k < 4; k++)
            assert_soon(all[k].t, units[i]);
    for (size_t k = 0; k < 4; k++)
        close_opened(&all[k]);
}

/* --- Files that are refused --- */

/* Whether a file of these pairs is refused with a reason that says `reason`. */
static void assert_refused(struct writer *w, const char *reason)
{
    struct error err = {0};
    struct gguf *g = gguf_read(writer_done(w), &err);
    if (!g)
        fail_msg("%s", err.text);
    struct tokenizer *t = tokenizer_new(g, &err);
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

static void test_a_merge_of_what_is_no_token_is_refused(void **state)
{
    (void)state;
    static const char *const merges[] = {"a c", "c a", "b a", "ab", "", " ", "a", "a ", "ab ab"};
    for (size_t i = 0; i < sizeof(merges) / sizeof(merges[0]); i++) {
        struct writer w = {0};
        write_merge(&w, "gpt-2", merges[i]);
        assert_refused(&w, "merge 0");
    }
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
    assert_refused(&w, "no number");

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
        cmocka_unit_test(test_byte_level_ids_are_the_reference_s_behind_each_pre_tokenizer),
        cmocka_unit_test(test_byte_level_ids_with_special_tokens_are_the_reference_s),
        cmocka_unit_test(test_sentencepiece_ids_are_the_reference_s),
        cmocka_unit_test(test_a_text_comes_back_from_its_ids_and_no_character_is_ever_cut),
        cmocka_unit_test(test_bytes_of_no_character_come_out_at_the_end),
        cmocka_unit_test(test_ids_out_of_range_are_nothing),
        cmocka_unit_test(test_special_tokens_are_recognized_only_where_that_is_allowed),
        cmocka_unit_test(test_a_message_cannot_forge_a_mark_not_even_with_the_template_s_help),
        cmocka_unit_test(test_no_words_add_up_to_a_mark),
        cmocka_unit_test(test_the_longest_special_token_wins_wherever_it_stands),
        cmocka_unit_test(test_marks_of_phi_3_take_the_white_space_after_them_along),
        cmocka_unit_test(test_a_text_too_long_is_refused),
        cmocka_unit_test(test_ends_are_known_by_key_and_by_text),
        cmocka_unit_test(test_an_answer_s_part_is_not_its_end_where_answers_have_parts),
        cmocka_unit_test(test_200000_times_the_same_takes_no_time_to_speak_of),
        cmocka_unit_test(test_a_pair_is_forgotten_when_one_of_its_halves_has_merged),
        cmocka_unit_test(test_of_a_merge_that_is_there_twice_the_first_counts),
        cmocka_unit_test(test_the_higher_score_merges_first_and_of_equal_ones_the_left),
        cmocka_unit_test(test_a_tokenizer_that_is_not_known_is_named),
        cmocka_unit_test(test_a_pre_tokenizer_that_is_not_known_is_named),
        cmocka_unit_test(test_a_merge_of_what_is_no_token_is_refused),
        cmocka_unit_test(test_bytes_that_are_no_tokens_are_left_out),
        cmocka_unit_test(test_a_vocabulary_that_contradicts_itself_is_refused),
        cmocka_unit_test(test_tokens_too_long_are_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
