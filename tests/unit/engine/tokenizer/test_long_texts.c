/* test_long_texts.c - texts that are merged in windows: the ids are those of one window, and the memory is bounded. */
#include "vocabulary.h"

#include <sys/resource.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

static uint32_t draw(uint32_t *state)
{
    *state = *state * 1664525u + 1013904223u;
    return *state >> 8;
}

/* ---- compared with merges one by one ---- */

#define TEXT_BYTES 20000
#define WORDS_MAX 16

struct merging {
    struct word words[WORDS_MAX];
    size_t n;
    int32_t merged[WORDS_MAX][WORDS_MAX]; /* the word that two make, or -1 */
};

static int32_t word_of(const struct merging *m, const char *text)
{
    for (size_t i = 0; i < m->n; i++)
        if (strcmp(m->words[i].text, text) == 0)
            return (int32_t)i;
    return -1;
}

static void find_merges(struct merging *m)
{
    for (size_t i = 0; i < m->n; i++)
        for (size_t k = 0; k < m->n; k++) {
            char both[64];
            snprintf(both, sizeof(both), "%s%s", m->words[i].text, m->words[k].text);
            m->merged[i][k] = word_of(m, both);
        }
}

/* Merges the best pair, the left one of equals, until none is left. */
static size_t merge_all(const struct merging *m, int32_t *ids, size_t n)
{
    for (;;) {
        size_t best = n;
        for (size_t i = 0; i + 1 < n; i++) {
            int32_t merged = m->merged[ids[i]][ids[i + 1]];
            if (merged >= 0 &&
                (best == n || m->words[merged].score > m->words[m->merged[ids[best]][ids[best + 1]]].score))
                best = i;
        }
        if (best == n)
            return n;
        ids[best] = m->merged[ids[best]][ids[best + 1]];
        memmove(ids + best + 1, ids + best + 2, (n - best - 2) * sizeof(*ids));
        n--;
    }
}

static void assert_merged(struct merging *m, const char *letters, uint32_t seed)
{
    static char text[TEXT_BYTES];
    static int32_t wanted[TEXT_BYTES];
    struct error err = {0};
    struct tokenizer_ids ids = {0};
    uint32_t run = 0, letter = 0;
    find_merges(m);
    for (size_t i = 0; i<TEXT_BYTES; i++, run -= run> 0) {
        if (run == 0) {
            letter = draw(&seed) % (uint32_t)strlen(letters);
            run = draw(&seed) % 50 == 0 ? draw(&seed) % 3000 : 1; /* runs as well as mixtures */
        }
        text[i] = letters[letter];
        wanted[i] = word_of(m, (char[]){text[i], '\0'});
    }
    size_t n = merge_all(m, wanted, TEXT_BYTES);
    struct opened o = open_words(m->words, m->n, "model");
    assert_true(tokenizer_encode(
        o.t, &(struct tokenizer_text){.text = {(const uint8_t *)text, TEXT_BYTES}}, &ids, &err));
    assert_int_equal(ids.n, n);
    assert_memory_equal(ids.at, wanted, n * sizeof(*wanted));
    tokenizer_ids_release(&ids);
    close_opened(&o);
}

static void test_a_long_text_has_the_ids_of_merges_one_by_one(void **state)
{
    (void)state;
    struct merging plain = {
        .words = {{"a", 1, 0}, {"b", 1, 0}, {"c", 1, 0}, {"ab", 1, 5}, {"bc", 1, 6}, {"abc", 1, 4},
            {"aa", 1, 3}, {"aaa", 1, 2}, {"ca", 1, 3}, {"bcab", 1, 7}, {"cc", 1, 3}},
        .n = 11};
    assert_merged(&plain, "abc", 1);
    assert_merged(&plain, "aab", 2);
    struct merging runs = {.words = {{"a", 1, 0}, {"aa", 1, 1}, {"aaa", 1, 3}, {"aaaaa", 1, 2},
                               {"aaaaaaaa", 1, 4}, {"b", 1, 0}, {"ba", 1, 5}},
        .n = 7};
    assert_merged(&runs, "ab", 3);
    assert_merged(&runs, "a", 4);
}

/* ---- a vocabulary in which the end of a text decides how it begins ---- */

#define CHAIN 20000 /* characters, from U+4E00 on */

static void write_character(struct writer *w, uint32_t code)
{
    const uint8_t bytes[] = {
        (uint8_t)(0xe0 | code >> 12), (uint8_t)(0x80 | (code >> 6 & 0x3f)), (uint8_t)(0x80 | (code & 0x3f))};
    write_bytes(w, bytes, 3);
}

static void write_chain(struct writer *w)
{
    write_header(w, 3, 0, 4);
    write_pair_text(w, "tokenizer.ggml.model", "llama");
    write_pair_integer(w, "tokenizer.ggml.add_space_prefix", GGUF_BOOL, 0);
    write_pair_array(w, "tokenizer.ggml.tokens", GGUF_STRING, 2 * CHAIN);
    for (uint32_t i = 0; i < 2 * CHAIN; i++) {
        uint32_t code = 0x4e00 + i % CHAIN;
        write_u64(w, i < CHAIN ? 3 : 6);
        write_character(w, code);
        if (i >= CHAIN)
            write_character(w, code + 1);
    }
    write_pair_array(w, "tokenizer.ggml.scores", GGUF_F32, 2 * CHAIN);
    for (uint32_t i = 0; i < 2 * CHAIN; i++)
        write_bytes(w, &(float){i < CHAIN ? 0 : (float)i}, sizeof(float));
}

/* The pair furthest to the right merges first, so another end of a window gives other pairs. */
static void test_windows_that_have_nothing_in_common_become_one(void **state)
{
    (void)state;
    struct writer w = {0}, text = {0};
    struct error err = {0};
    write_chain(&w);
    struct opened o = open_bytes(writer_done(&w));
    for (uint32_t length = CHAIN - 1; length <= CHAIN; length++) {
        struct tokenizer_ids ids = {0};
        for (uint32_t i = 0; i < length; i++)
            write_character(&text, 0x4e00 + i);
        assert_true(
            tokenizer_encode(o.t, &(struct tokenizer_text){.text = {text.at, text.size}}, &ids, &err));
        assert_int_equal(ids.n, (length + 1) / 2);
        for (uint32_t i = 0; i < ids.n; i++) {
            uint32_t odd = length % 2, first = odd ? (i == 0 ? 0 : 2 * i - 1) : 2 * i;
            assert_int_equal(ids.at[i], odd && i == 0 ? 0 : (int)(CHAIN + first));
        }
        tokenizer_ids_release(&ids);
        writer_release(&text);
        text = (struct writer){0};
    }
    close_opened(&o);
}

/* ---- memory ---- */

#ifdef __SANITIZE_ADDRESS__
#define LARGE ((size_t)1 << 20) /* a sanitizer is slow, */
#define BYTES_A_BYTE 60 /* and takes memory of its own */
#else
#define LARGE ((size_t)8 << 20)
#define BYTES_A_BYTE 16
#endif

static long peak_kilobytes(void)
{
    struct rusage usage;
    getrusage(RUSAGE_SELF, &usage);
    return usage.ru_maxrss;
}

/* In a process of its own, whose peak is not that of the tests before. */
static int encode_large(const struct tokenizer *t, const char *unit)
{
    size_t size = strlen(unit);
    struct error err = {0};
    struct tokenizer_ids ids = {0};
    uint8_t *text = malloc(LARGE);
    for (size_t i = 0; text && i < LARGE; i++)
        text[i] = (uint8_t)unit[i % size];
    long before = peak_kilobytes();
    const struct tokenizer_text in = {.text = {text, LARGE / size * size}, .parse_special = true};
    if (!text || !tokenizer_encode(t, &in, &ids, &err))
        return 2;
    long taken = peak_kilobytes() - before;
    if (taken > (long)(BYTES_A_BYTE * LARGE / 1024) + 2048)
        fprintf(stderr, "\"%s\" takes %ld kB, %.1f bytes a byte\n", unit, taken,
            (double)taken * 1024 / (double)LARGE);
    return taken > (long)(BYTES_A_BYTE * LARGE / 1024) + 2048;
}

static void assert_bounded(const struct tokenizer *t, const char *unit)
{
    int status = 0;
    pid_t child = fork();
    assert_true(child >= 0);
    if (child == 0)
        _exit(encode_large(t, unit));
    assert_int_equal(waitpid(child, &status, 0), child);
    if (!WIFEXITED(status) || WEXITSTATUS(status) != 0)
        fail_msg("8 MB of \"%s\" by %s end with status %d", unit, tokenizer_model(t), status);
}

static void test_8_megabytes_take_16_bytes_a_byte_at_most(void **state)
{
    (void)state;
    static const char *const units[] = {"a", "lorem ipsum ", "<w>"};
    struct opened all[] = {open_bpe("gpt-2"), open_bpe("qwen2"), open_bytes(read_file(VECTORS "spm.gguf"))};
    for (size_t k = 0; k < 3; k++) {
        for (size_t i = 0; i < sizeof(units) / sizeof(units[0]); i++)
            assert_bounded(all[k].t, units[i]);
        close_opened(&all[k]);
    }
    static const char *const kinds[] = {"gemma4", "unigram", "wordpiece", "rwkv", "plamo2"};
    for (size_t k = 0; k < sizeof(kinds) / sizeof(kinds[0]); k++) {
        char path[128];
        snprintf(path, sizeof(path), VECTORS "%s.gguf", kinds[k]);
        struct opened o = open_bytes(read_file(path));
        assert_bounded(o.t, "  aa中🙂");
        close_opened(&o);
    }
}

/* ---- time ---- */

static double cpu_seconds(void)
{
    struct timespec now;
    clock_gettime(CLOCK_THREAD_CPUTIME_ID, &now);
    return (double)now.tv_sec + (double)now.tv_nsec * 1e-9;
}

/* Words of at most 512 spaces, each of which is followed by line ends or not. To look for them anew in each word takes
 * twenty seconds. */
static void test_a_run_of_spaces_is_read_once(void **state)
{
    (void)state;
    static uint8_t text[2 << 20];
    struct opened o = open_bpe("jais-2");
    memset(text, ' ', sizeof(text));
    for (size_t i = 0; i < 2; i++) {
        struct error err = {0};
        struct tokenizer_ids ids = {0};
        double before = cpu_seconds();
        text[sizeof(text) - 1] = i ? '\n' : 'a';
        assert_true(
            tokenizer_encode(o.t, &(struct tokenizer_text){.text = {text, sizeof(text)}}, &ids, &err));
        assert_true(cpu_seconds() - before < 5);
        tokenizer_ids_release(&ids);
    }
    close_opened(&o);
}

/* As when the client that asked has left. */
static void test_a_call_that_is_stopped_ends_without_a_result(void **state)
{
    (void)state;
    static atomic_bool stop;
    struct opened all[] = {open_bpe("gpt-2"), open_bytes(read_file(VECTORS "spm.gguf"))};
    for (size_t k = 0; k < 2; k++) {
        struct error err = {0};
        struct tokenizer_ids ids = {.stop = &stop};
        struct tokenizer_text in = {.text = span_of("one two three")};
        atomic_store(&stop, false);
        assert_true(tokenizer_encode(all[k].t, &in, &ids, &err));
        size_t n = ids.n;
        assert_true(n > 0);
        atomic_store(&stop, true);
        assert_false(tokenizer_encode(all[k].t, &in, &ids, &err));
        assert_int_equal(ids.n, n);
        assert_non_null(strstr(err.text, "cancelled"));
        tokenizer_ids_release(&ids);
        close_opened(&all[k]);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_a_long_text_has_the_ids_of_merges_one_by_one),
        cmocka_unit_test(test_windows_that_have_nothing_in_common_become_one),
        cmocka_unit_test(test_a_call_that_is_stopped_ends_without_a_result),
        cmocka_unit_test(test_a_run_of_spaces_is_read_once),
        cmocka_unit_test(test_8_megabytes_take_16_bytes_a_byte_at_most),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
