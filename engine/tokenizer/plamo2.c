/* plamo2.c - the tokenizer of PLaMo 2, "plamo2" in files: the tokens with the highest sum of scores.
 *
 * The best way to go on is found for each character, from the last one to the first: a token, the longest of equals, or
 * at a high price the bytes of the character. Scores are integers, ten thousand times those of the file, so sums are exact.
 * No score is remembered for longer than a token reaches; of a character only the choice is kept.
 */
#include "tokenizer_private.h"

#include <math.h>
#include <string.h>

#define SCALE 1e4
#define UNKNOWN_PRICE 10000000
#define TOO_LOW (-20000000) /* a token with this score or less is never chosen */
#define WINDOW 8192 /* scores that are remembered: more than characters of a token; a power of two */

static bool plamo2_read(struct tokenizer *t, const struct checkpoint *c, struct error *err)
{
    if (!read_scores(t, c, err))
        return false;
    for (size_t i = 0; i < 256; i++)
        t->byte_ids[i] = TOKENIZER_NONE;
    for (size_t id = 0; id < t->vocabulary.n; id++) {
        int byte = t->vocabulary.tokens[id].kind == TOKEN_BYTE
                       ? byte_of_piece(vocabulary_text(&t->vocabulary, id))
                       : -1;
        if (byte >= 0)
            t->byte_ids[byte] = (int32_t)id;
    }
    for (unsigned i = 0; i < 256; i++)
        if (t->byte_ids[i] == TOKENIZER_NONE)
            return error_set(err, "the vocabulary has no token for the byte <0x%02X>", i);
    return prefixes_init(&t->prefixes, &t->vocabulary, PREFIX_ALL & ~(1u << TOKEN_BYTE), err);
}

static size_t characters_of(struct span text)
{
    size_t n = 0;
    for (size_t i = 0; i < text.size; i++)
        n += (text.at[i] & 0xc0) != 0x80;
    return n;
}

/* A token's score as an integer. False when it is never chosen. */
static bool whole_score(const struct tokenizer *t, int32_t id, int64_t *out)
{
    const double score = round((double)score_of(t, id) * SCALE);
    if (!isfinite(score) || score <= TOO_LOW || score > INT32_MAX)
        return false;
    *out = (int64_t)score;
    return true;
}

/* Chooses how to go on at the character number `index`, which begins at `at`: a token, or TOKENIZER_NONE for bytes.
 * sums[i % WINDOW] is the best sum from character i on. False when memory is short. */
static bool choose(
    struct tokenizer_session *s, struct span text, size_t at, size_t index, int64_t *sums, int32_t *chosen)
{
    const int64_t unknown = sums[(index + 1) % WINDOW] - UNKNOWN_PRICE;
    int64_t best = unknown, score;
    size_t n, counted = 0, length = 0;
    *chosen = TOKENIZER_NONE;
    if (!prefixes_at(s, text, at, &n))
        return false;
    for (size_t i = 0; i < n; i++) {
        const int32_t id = s->found[i].id;
        const size_t size = s->found[i].size;
        length += characters_of((struct span){text.at + at + counted, size - counted});
        counted = size;
        bool whole = at + size == text.size || (text.at[at + size] & 0xc0) != 0x80;
        if (!whole || !whole_score(s->t, id, &score) || (s->by_others && is_forbidden(s, id)))
            continue;
        int64_t sum = sums[(index + length) % WINDOW] + score;
        if (sum >= best) { /* of equals the longest */
            best = sum;
            *chosen = id;
        }
    }
    sums[index % WINDOW] = best;
    return true;
}

/* The choices of all n characters, in s->choices. */
static bool choose_all(struct tokenizer_session *s, struct span text, size_t n)
{
    int64_t sums[WINDOW];
    if (!session_room(s, &s->choices, &s->choices_room, n, sizeof(*s->choices)))
        return false;
    sums[n % WINDOW] = 0;
    s->found_bytes = 0;
    for (size_t at = text.size, i = n; i > 0;)
        if ((text.at[--at] & 0xc0) != 0x80) {
            int32_t chosen;
            i--;
            if (!choose(s, text, at, i, sums, &chosen))
                return false;
            s->choices[i] = chosen;
        }
    return true;
}

static bool plamo2_encode(struct tokenizer_session *s, struct span text, const uint8_t *trusted)
{
    s->by_others = is_by_others(trusted, text.size);
    if (!repair_text(s, &text, &trusted))
        return false;
    if (text.size >= 3 && memcmp(text.at, "\xef\xbb\xbf", 3) == 0) /* a byte order mark */
        text = (struct span){text.at + 3, text.size - 3};
    if (!choose_all(s, text, characters_of(text)))
        return false;
    for (size_t at = 0, i = 0; at < text.size;) {
        int32_t id = s->choices[i];
        size_t size = id != TOKENIZER_NONE ? s->t->vocabulary.tokens[id].size : symbol_size(text, at);
        if (id != TOKENIZER_NONE && !session_add(s, id))
            return false;
        for (size_t k = at; id == TOKENIZER_NONE && k < at + size; k++)
            if (!session_add(s, s->t->byte_ids[text.at[k]]))
                return false;
        i += characters_of((struct span){text.at + at, size});
        at += size;
    }
    return true;
}

static void plamo2_piece(const struct tokenizer *t, int32_t id, struct strbuf *out)
{
    struct span text = vocabulary_text(&t->vocabulary, (size_t)id);
    int byte = t->vocabulary.tokens[id].kind == TOKEN_BYTE ? byte_of_piece(text) : -1;
    strbuf_add(out, byte >= 0 ? (struct span){&(uint8_t){(uint8_t)byte}, 1} : text);
}

const struct tokenizer_kind tokenizer_plamo2 = {
    .name = "plamo2",
    .bos = 1,
    .eos = 2,
    .unknown = 0,
    .separator = TOKENIZER_NONE,
    .padding = 3,
    .mask = TOKENIZER_NONE,
    .ends = KIND_ADDS_NOTHING,
    .read = plamo2_read,
    .encode = plamo2_encode,
    .piece = plamo2_piece,
};
