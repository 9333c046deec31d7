/* wordpiece.c - WordPiece, "bert" in files: BERT and the encoders that followed it.
 *
 * A text is cut at white space, at punctuation and around each Chinese character. Upper-case letters become lower-case and
 * accents are dropped, unless the file forbids either. A word becomes the longest tokens that make it up, from the left;
 * a word that cannot be made up is the unknown token. The token that begins a word has U+2581 in front of its text.
 */
#include "tokenizer_private.h"

#include <string.h>

static bool wordpiece_read(struct tokenizer *t, const struct checkpoint *c, struct error *err)
{
    t->lowercase = true;
    if (!tokenizer_key_bool(c, "tokenizer.ggml.normalizer.lowercase", &t->lowercase, err))
        return false;
    t->strips_accents = t->lowercase;
    if (checkpoint_get_u64(c, "tokenizer.ggml.max_word_characters", &t->max_word, err) == CHECKPOINT_WRONG)
        return false;
    return tokenizer_key_bool(c, "tokenizer.ggml.normalizer.strip_accents", &t->strips_accents, err) &&
           tokenizer_key_bool(c, "tokenizer.ggml.bert_normalizer", &t->as_bert, err) &&
           prefixes_init(&t->prefixes, &t->vocabulary, PREFIX_WORDS, err);
}

/* The blocks of Chinese characters. The sixth begins where the one before ends plus 0x100, as in the implementation that
 * the models were trained with. */
static bool is_chinese(uint32_t code)
{
    static const uint32_t blocks[][2] = {{0x3400, 0x4dbf}, {0x4e00, 0x9fff}, {0xf900, 0xfaff},
        {0x20000, 0x2a6df}, {0x2a700, 0x2b73f}, {0x2b740, 0x2b81f}, {0x2b920, 0x2ceaf}, {0x2f800, 0x2fa1f}};
    for (size_t i = 0; code >= 0x3400 && i < sizeof(blocks) / sizeof(blocks[0]); i++)
        if (code >= blocks[i][0] && code <= blocks[i][1])
            return true;
    return false;
}

/* A U+2581 inside a word is a character, not the mark of a word's begin. */
static bool begins_word(const struct tokenizer *t, int32_t id)
{
    const struct span text = vocabulary_text(&t->vocabulary, (size_t)id);
    return text.size >= SPACE_MARK_BYTES && memcmp(text.at, space_mark, SPACE_MARK_BYTES) == 0;
}

/* Finds the longest token with which the word goes on at *at, and moves past it; TOKENIZER_NONE when there is none. */
static bool longest(struct tokenizer_session *s, struct span word, size_t *at, int32_t *id)
{
    size_t n;
    *id = TOKENIZER_NONE;
    if (!prefixes_at(s, word, *at, &n))
        return false;
    while (n > 0 && ((s->by_others && tokenizer_is_guarded(s->t, s->guard, s->found[n - 1].id)) ||
                        (*at > 0 && s->t->as_bert && begins_word(s->t, s->found[n - 1].id))))
        n--;
    if (n > 0) {
        *id = s->found[n - 1].id;
        *at += s->found[n - 1].size;
    }
    return true;
}

/* Whether the word has more than `most` characters behind its U+2581. */
static bool is_longer(struct span word, uint64_t most)
{
    uint64_t n = 0;
    for (size_t i = SPACE_MARK_BYTES; i < word.size && n <= most; i++)
        n += (word.at[i] & 0xc0) != 0x80;
    return n > most;
}

/* Adds the ids of the word in the session's buffer, which begins with U+2581 and is empty afterwards. */
static bool end_word(struct tokenizer_session *s, size_t *size)
{
    const struct span word = {s->escaped, *size};
    const size_t before = s->ids->n;
    int32_t unknown = s->t->special[TOKENIZER_UNKNOWN];
    if (*size <= SPACE_MARK_BYTES)
        return true;
    *size = SPACE_MARK_BYTES;
    s->found_bytes = 0;
    const bool long_word = s->t->max_word > 0 && is_longer(word, s->t->max_word);
    for (size_t at = 0; at < word.size && !long_word;) {
        int32_t id;
        if (!longest(s, word, &at, &id))
            return false;
        if (id == TOKENIZER_NONE) {
            s->ids->n = before;
            break;
        }
        if (!session_add(s, id))
            return false;
    }
    return s->ids->n > before || unknown == TOKENIZER_NONE || session_add(s, unknown);
}

static bool add_character(struct tokenizer_session *s, size_t *size, uint32_t code)
{
    if (!session_room(s, &s->escaped, &s->escaped_room, *size + UNICODE_BYTES, 1))
        return false;
    *size += unicode_write(s->escaped + *size, code);
    return true;
}

#define HANGUL 0xac00u
#define HANGUL_END 0xd7a4u
#define TAILS 28u /* a syllable without a tail included */
#define VOWELS 21u

/* Adds the letters of a Hangul syllable. */
static bool add_letters(struct tokenizer_session *s, size_t *size, uint32_t code)
{
    const uint32_t index = code - HANGUL, tail = index % TAILS;
    return add_character(s, size, 0x1100u + index / (TAILS * VOWELS)) &&
           add_character(s, size, 0x1161u + index / TAILS % VOWELS) &&
           (tail == 0 || add_character(s, size, 0x11a7u + tail));
}

/* What BertNormalizer leaves out beside what is left out anyway: control characters that are white space. */
static bool is_cleaned(uint32_t code)
{
    if (code == '\t' || code == '\n' || code == '\r')
        return false;
    return code < 0x20 || (code >= 0x7f && code < 0xa0);
}

/* Adds a code point to the word, or ends the word, or both. */
static bool take(struct tokenizer_session *s, size_t *size, uint32_t code)
{
    const struct tokenizer *t = s->t;
    if (t->as_bert && is_cleaned(code))
        return true;
    if (t->strips_accents && t->as_bert && code >= HANGUL && code < HANGUL_END)
        return add_letters(s, size, code);
    if (t->strips_accents)
        code = unicode_decomposed(code);
    const enum unicode_class class = unicode_class(code);
    if (class == UNICODE_SPACE)
        return end_word(s, size);
    if (code == 0 || code == UNICODE_REPLACEMENT || class == UNICODE_CONTROL ||
        (t->strips_accents && class == UNICODE_MARK))
        return true;
    bool alone = class == UNICODE_PUNCTUATION || (code < 0x7f && class == UNICODE_SYMBOL) || is_chinese(code);
    if (alone && !end_word(s, size))
        return false;
    return add_character(s, size, t->lowercase ? unicode_lower(code) : code) && (!alone || end_word(s, size));
}

static bool wordpiece_encode(struct tokenizer_session *s, struct span text, const uint8_t *trusted)
{
    size_t size = SPACE_MARK_BYTES;
    s->by_others = is_by_others(trusted, text.size);
    if (!session_room(s, &s->escaped, &s->escaped_room, SPACE_MARK_BYTES, 1))
        return false;
    memcpy(s->escaped, space_mark, SPACE_MARK_BYTES);
    for (size_t pos = 0; pos < text.size;)
        if (!take(s, &size, unicode_read(text, &pos)))
            return false;
    return end_word(s, &size);
}

const struct tokenizer_kind tokenizer_wordpiece = {
    .name = "bert",
    .adds_bos = true,
    .bos = 101,
    .eos = TOKENIZER_NONE,
    .unknown = 100,
    .separator = 102,
    .padding = 0,
    .mask = 103,
    .ends = KIND_WRAPS,
    .read = wordpiece_read,
    .encode = wordpiece_encode,
    .piece = sentencepiece_piece,
};
