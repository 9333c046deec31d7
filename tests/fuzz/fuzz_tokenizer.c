/* fuzz_tokenizer.c - changes small vocabularies, and encodes and decodes texts of any bytes with those that are accepted.
 *
 * A vocabulary of each kind is written, some of its bytes and integers are changed, and a text is made of its pieces. A
 * sanitizer detects accesses outside. A vocabulary that is refused must have a reason. With one that is accepted the ids
 * must lie in the vocabulary, be the same the second time, and give their text, of which at most the beginning of a
 * character is held back.
 *
 * Everything depends on the number alone: `fuzz_tokenizer 1 4711` tries number 4711 again. FUZZ_FILES, or the
 * first argument, is how many are tried.
 */
#include "berth/engine/tokenizer/tokenizer.h"
#include "berth/engine/tokenizer/unicode.h"
#include "gguf_writer.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define CHANGES_MAX 3

static uint64_t chance_state;

static uint64_t chance(void)
{
    uint64_t z = (chance_state += 0x9e3779b97f4a7c15);
    z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9;
    z = (z ^ (z >> 27)) * 0x94d049bb133111eb;
    return z ^ (z >> 31);
}

static size_t below(size_t n)
{
    return n ? (size_t)(chance() % n) : 0;
}

/* --- Vocabularies --- */

static const char *const texts[] = {"<unk>", "<s>", "</s>", "<|im_end|>", "<w>", "a", "b", "ab", "ba", "abab",
    "Ġ", "Ġa", "1", "11", "Ċ", "ĊĊ", "é", "Ã", "©", "Ã©", "▁", "▁a", "<0x0A>", "<0xC3>", "!", "!Ċ"};
static const uint8_t kinds[] = {2, 3, 3, 1, 4, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 6, 6, 1, 1};
static const char *const merges[] = {"a b", "b a", "ab ab", "Ġ a", "1 1", "Ċ Ċ", "Ã ©", "! Ċ"};
static const char *const names[] = {"default", "gpt-2", "smollm", "llama-bpe", "qwen2", "qwen35",
    "seed-coder", "tekken", "gpt-4o", "afmoe", "superbpe", "chameleon", "deepseek-llm", "jais-2", "kimi-k2",
    "exaone-moe", "mmbert", "gemma4", "whitespace"};
static const char *const models[] = {"gpt2", "llama", "gemma4", "bert", "t5", "rwkv", "plamo2"};
/* A map of characters: A becomes "b", as units of a double array and a text. */
static const uint32_t map[] = {2u << 10, 0, 1u << 31, 0};

#define N(table) (sizeof(table) / sizeof((table)[0]))
_Static_assert(N(texts) == N(kinds), "each token has a kind");

static void write_strings(struct writer *w, const char *key, const char *const strings[], size_t n)
{
    write_pair_array(w, key, GGUF_STRING, n);
    for (size_t i = 0; i < n; i++)
        write_text(w, strings[i]);
}

static void write_map(struct writer *w)
{
    write_pair_array(w, "tokenizer.ggml.precompiled_charsmap", GGUF_U8, 4 + 4 * 128 + 2);
    write_u32(w, 4 * 128);
    for (uint32_t i = 0; i < 128; i++) /* 2 ^ 'A' is the child of the root, 64 ^ 67 its replacement */
        write_u32(w, i < N(map)       ? map[i]
                     : i == (2 ^ 'A') ? 'A' | 1u << 8 | 3u << 10
                     : i == 64        ? 1u << 31
                                      : 0);
    write_bytes(w, "b", 2);
}

/* PLaMo 2 needs a token for each byte. */
static void write_tokens(struct writer *w, bool all_bytes)
{
    const size_t n = N(texts) + (all_bytes ? 256 : 0);
    write_pair_array(w, "tokenizer.ggml.tokens", GGUF_STRING, n);
    for (size_t i = 0; i < n; i++) {
        char byte[8];
        snprintf(byte, sizeof(byte), "<0x%02X>", (unsigned)(i - N(texts)) & 0xff);
        write_text(w, i < N(texts) ? texts[i] : byte);
    }
    write_pair_array(w, "tokenizer.ggml.token_type", GGUF_I32, n);
    for (size_t i = 0; i < n; i++)
        write_u32(w, i < N(kinds) ? kinds[i] : 6);
    write_pair_array(w, "tokenizer.ggml.scores", GGUF_F32, n);
    for (size_t i = 0; i < n; i++)
        write_bytes(w, &(float){-(float)below(5)}, sizeof(float));
}

static void write_vocabulary(struct writer *w)
{
    const char *model = models[below(N(models))];
    write_header(w, 3, 0, 10);
    write_pair_text(w, "tokenizer.ggml.model", model);
    write_pair_text(w, "tokenizer.ggml.pre", names[below(N(names))]);
    write_pair_u32(w, "tokenizer.ggml.bos_token_id", 1);
    write_pair_text(w, "general.name", below(2) ? "phi-3" : "model");
    write_pair_integer(w, "tokenizer.ggml.remove_extra_whitespaces", GGUF_BOOL, below(2));
    write_map(w);
    write_tokens(w, strcmp(model, "plamo2") == 0);
    write_strings(w, "tokenizer.ggml.merges", merges, N(merges));
}

static void spoil(struct writer *w)
{
    for (size_t n = below(CHANGES_MAX + 1); n > 0; n--) {
        size_t field = below(w->n_fields);
        if (below(2))
            w->at[below(w->size)] ^= (uint8_t)(1u << below(8));
        else
            w->at[w->fields[field].at] = (uint8_t)below(40);
    }
}

/* --- Texts --- */

static size_t write_any_text(uint8_t *out, size_t room)
{
    static const char *const pieces[] = {"a", "A", "b", "ab", " ", "  ", "\n", "1", "11", "111", "!", "/",
        "'s", "é", "\xc3", "\xa9", "\xff", "▁", "<s>", "</s>", "<|im_end|>", "<w>", "<0x0A>", "\xf0\x9f\x99",
        "\xed\xa0\x80", "\xcc\x81", "中"};
    size_t size = 0;
    for (size_t n = below(12); n > 0; n--) {
        const char *piece = pieces[below(N(pieces))];
        for (size_t times = 1 + (below(8) == 0 ? below(30) : 0); times > 0; times--) {
            if (size + strlen(piece) > room)
                return size;
            memcpy(out + size, piece, strlen(piece));
            size += strlen(piece);
        }
    }
    return size;
}

/* --- Checks --- */

static bool good_ids(const struct tokenizer *t, const struct tokenizer_ids *ids)
{
    for (size_t i = 0; i < ids->n; i++)
        if (ids->at[i] < 0 || (size_t)ids->at[i] >= tokenizer_size(t))
            return false;
    return true;
}

static bool same(const struct tokenizer_ids *a, const struct tokenizer_ids *b)
{
    return a->n == b->n && (a->n == 0 || memcmp(a->at, b->at, a->n * sizeof(*a->at)) == 0);
}

/* Whether the text so far and the bytes that are held back are the text of the tokens, and only the beginning of a character
 * is held back. */
static bool good_so_far(const struct detokenizer *d, const struct strbuf *out, const struct strbuf *all)
{
    const uint8_t *bytes = (const uint8_t *)all->text;
    return out->size + d->n_held == all->size && memcmp(bytes, out->text, out->size) == 0 &&
           memcmp(bytes + out->size, d->held, d->n_held) == 0 &&
           d->n_held == unicode_unfinished((struct span){bytes, all->size});
}

static bool good_text(const struct tokenizer *t, const struct tokenizer_ids *ids)
{
    struct strbuf out, all;
    struct detokenizer d = {.tokenizer = t, .special = below(2)};
    bool good = true;
    strbuf_init(&out, 1 << 16);
    strbuf_init(&all, 1 << 16);
    for (size_t i = 0; i < ids->n && good; i++) {
        detokenizer_add(&d, ids->at[i], &out);
        tokenizer_piece(t, ids->at[i], d.special, &all);
        good = good_so_far(&d, &out, &all);
    }
    strbuf_release(&out);
    strbuf_release(&all);
    return good;
}

static bool check_text(const struct tokenizer *t)
{
    uint8_t room[512], marks[512];
    size_t size = write_any_text(room, sizeof(room));
    uint8_t *text = malloc(size + (size == 0)), *trusted = malloc(size + (size == 0));
    if (!text || !trusted)
        abort();
    for (size_t i = 0; i < size; i++)
        marks[i] = below(8) > 0;
    memcpy(text, room, size);
    memcpy(trusted, marks, size);
    const struct tokenizer_text in = {.text = {text, size},
        .add_special = below(2),
        .parse_special = below(2),
        .trusted = below(2) ? trusted : NULL};
    struct error err = {0};
    struct tokenizer_ids ids = {0}, again = {0};
    bool encoded = tokenizer_encode(t, &in, &ids, &err);
    bool good = !encoded ? err.text[0] != '\0' /* a map of characters that points outside itself */
                         : tokenizer_encode(t, &in, &again, &err) && same(&ids, &again) &&
                               good_ids(t, &ids) && good_text(t, &ids);
    tokenizer_ids_release(&ids);
    tokenizer_ids_release(&again);
    free(text);
    free(trusted);
    return good;
}

struct tally {
    uint64_t tried, accepted, failed;
};

static void try_number(struct tally *tally, uint64_t number)
{
    struct writer w = {0};
    struct error err = {0};
    chance_state = number * 0x2545f4914f6cdd1d;
    write_vocabulary(&w);
    spoil(&w);
    struct gguf *g = gguf_read(writer_done(&w), &err);
    struct tokenizer *t = g ? tokenizer_new(&g->checkpoint, &err) : NULL;
    bool good = t || err.text[0];
    for (int i = 0; t && good && i < 4; i++)
        good = check_text(t);
    if (!good)
        printf("fuzz_tokenizer: number %" PRIu64 ": %s\n", number,
            t ? "accepted, but breaks a promise" : "refused without a reason");
    tally->tried++;
    tally->accepted += t != NULL;
    tally->failed += !good;
    tokenizer_free(t);
    gguf_free(g);
    writer_release(&w);
}

/* False when all vocabularies were refused, or all accepted, because that would test little. */
static bool is_mixed(const struct tally *tally)
{
    uint64_t refused = tally->tried - tally->accepted;
    return tally->tried < 1000 || (tally->accepted > tally->tried / 50 && refused > tally->tried / 50);
}

int main(int argc, char **argv)
{
    const char *count = argc > 1 ? argv[1] : getenv("FUZZ_FILES");
    uint64_t n = count ? strtoull(count, NULL, 10) : 20000;
    uint64_t first = argc > 2 ? strtoull(argv[2], NULL, 10) : 1;
    struct tally tally = {0};
    for (uint64_t number = first; number < first + n; number++)
        try_number(&tally, number);
    bool good = tally.failed == 0 && tally.tried > 0 && is_mixed(&tally);
    printf("fuzz_tokenizer: %" PRIu64 " vocabularies, %" PRIu64 " accepted\n", tally.tried, tally.accepted);
    /* All vocabularies count as one test, so that the other suites still matter in the sum. */
    printf("%d passed, %d failed, 0 skipped\n", good, !good);
    return !good;
}
