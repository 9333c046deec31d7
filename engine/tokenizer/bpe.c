/* bpe.c - byte-level BPE, "gpt2" in files: the tokenizer of GPT-2 and of most families since.
 *
 * Text is cut into words, and a word into bytes. Each byte is a token, and pairs of tokens merge in the order of the
 * file's list of merges. The text of a token has a visible character for each byte: the printable ones of Latin-1 stand
 * for themselves, the others are U+0100 and on.
 *
 * Where the pre-tokenizer says so, token texts are plain bytes instead, with U+2581 for a space, and a word is cut into
 * characters, of which those that are no tokens become "<0x0A>".
 */
#include "tokenizer_private.h"

#include "berth/engine/tokenizer/unicode.h"

#include <stdlib.h>
#include <string.h>

/* --- Bytes and the characters that stand for them --- */

static bool is_plain(uint32_t byte)
{
    return (byte >= 0x21 && byte <= 0x7e) || (byte >= 0xa1 && byte <= 0xac) || (byte >= 0xae && byte <= 0xff);
}

/* The bytes that are not plain are three runs. Their characters are numbered from U+0100 on. */
static uint32_t code_of_byte(uint8_t byte)
{
    if (is_plain(byte))
        return byte;
    return 0x100u + (byte <= 0x20 ? byte : byte <= 0xa0 ? byte - 0x7fu + 0x21u : 0x43u);
}

/* The byte that a character stands for, or -1. */
static int byte_of_code(uint32_t code)
{
    if (code < 0x100)
        return is_plain(code) ? (int)code : -1;
    code -= 0x100;
    return code <= 0x20 ? (int)code : code < 0x43 ? (int)(code - 0x21 + 0x7f) : code == 0x43 ? 0xad : -1;
}

/* --- Reading --- */

#define CODES_KEPT ((size_t)1 << 16) /* code points whose memory is kept for the next fragment */

static bool read_pre(struct tokenizer *t, const struct checkpoint *c, struct error *err)
{
    struct span name = span_of("default");
    if (checkpoint_get_text(c, "tokenizer.ggml.pre", &name, err) == CHECKPOINT_WRONG)
        return false;
    t->pre = pretokenizer_find(name);
    if (t->pre)
        return true;
    char shown[96];
    text_escape(shown, sizeof(shown), name);
    return error_set(err, "pre-tokenizer \"%s\" (key \"tokenizer.ggml.pre\") is not supported", shown);
}

static void find_bytes(struct tokenizer *t)
{
    for (uint32_t byte = 0; byte < 256; byte++) {
        uint8_t text[UNICODE_BYTES];
        size_t size = unicode_write(text, code_of_byte((uint8_t)byte));
        t->byte_ids[byte] = t->pre->raw ? find_byte_piece(&t->vocabulary, (uint8_t)byte)
                                        : merges_find(t, (struct span){text, size});
    }
}

static bool bpe_read(struct tokenizer *t, const struct checkpoint *c, struct error *err)
{
    /* Some files of kimi-k2 list no merges: their words are tokens, or bytes. */
    if (!read_pre(t, c, err) || !merges_read(t, c, strcmp(t->pre->name, "kimi-k2") == 0, err))
        return false;
    t->add_bos = t->pre->adds_bos;
    find_bytes(t);
    return true;
}

static bool gemma4_read(struct tokenizer *t, const struct checkpoint *c, struct error *err)
{
    t->pre = pretokenizer_find(span_of("gemma4"));
    if (!merges_read(t, c, false, err))
        return false;
    find_bytes(t);
    return true;
}

/* --- Text to ids --- */

static bool is_allowed(const struct tokenizer_session *s, int32_t id, bool by_others)
{
    if ((size_t)id >= s->t->vocabulary.n) /* an extra text */
        return true;
    return !vocabulary_is_mark(&s->t->vocabulary, id) &&
           !(by_others && tokenizer_is_guarded(s->t, s->guard, id));
}

static void bpe_rank(const struct tokenizer_session *s, const struct merge_text *m, struct symbol *left,
    const struct symbol *right)
{
    (void)m;
    const struct merge *merge = merges_rank(&s->t->merges, left->id, right->id);
    if (!merge || ((left->by_others || right->by_others) && !is_allowed(s, merge->merged, true)))
        return;
    left->rank = merge->rank;
    left->merged = merge->merged;
}

/* The text that tokens have for these bytes of a text, of which `bytes` has room for TOKEN_BYTES_MAX. Empty when no token
 * is that long. */
static struct span token_text(const struct tokenizer *t, struct span word, uint8_t *bytes)
{
    size_t size = 0;
    if (t->pre->raw)
        return word;
    for (size_t i = 0; i < word.size; i++) {
        if (size + UNICODE_BYTES > TOKEN_BYTES_MAX)
            return (struct span){bytes, 0};
        size += unicode_write(bytes + size, code_of_byte(word.at[i]));
    }
    return (struct span){bytes, size};
}

/* The token that is this whole word, or TOKENIZER_NONE. */
static int32_t whole_word(const struct tokenizer *t, struct span word)
{
    uint8_t bytes[TOKEN_BYTES_MAX];
    if (word.size > t->vocabulary.longest)
        return TOKENIZER_NONE;
    return vocabulary_find_word(&t->vocabulary, token_text(t, word, bytes));
}

static size_t byte_size(struct span text, size_t place)
{
    (void)text;
    (void)place;
    return 1;
}

static int32_t byte_id(
    const struct tokenizer_session *s, const struct merge_text *m, const struct symbol *symbol)
{
    return s->t->byte_ids[m->text.at[symbol->place]];
}

static int32_t character_id(
    const struct tokenizer_session *s, const struct merge_text *m, const struct symbol *symbol)
{
    int32_t id = merges_find(s->t, (struct span){m->text.at + symbol->place, symbol->size});
    return id != TOKENIZER_NONE && is_allowed(s, id, symbol->by_others) ? id : TOKENIZER_NONE;
}

/* A symbol that is no token is its bytes. A byte without a token is left out, and so is, unless tokens have plain bytes,
 * one for which a character outside ASCII stands: the reference does not find those. */
static bool bpe_emit(struct tokenizer_session *s, const struct merge_text *m, const struct symbol *symbol)
{
    const struct tokenizer *t = s->t;
    if (symbol->id >= 0 && (size_t)symbol->id < t->vocabulary.n)
        return session_add(s, symbol->id);
    for (size_t i = symbol->place; i < symbol->place + symbol->size; i++) {
        const uint8_t byte = m->text.at[i];
        int32_t id = t->pre->raw || code_of_byte(byte) < 0x80 ? t->byte_ids[byte] : TOKENIZER_NONE;
        if (id >= 0 && (size_t)id < t->vocabulary.n && !session_add(s, id))
            return false;
    }
    return true;
}

static bool is_line_ends(struct span word)
{
    size_t n = 0;
    while (n < word.size && word.at[n] == '\n')
        n++;
    return n == word.size;
}

static bool encode_word(struct tokenizer_session *s, struct span word, const uint8_t *trusted)
{
    const struct pretokenizer *pre = s->t->pre;
    bool may_be = pre->ignores_merges || (pre->lines && is_line_ends(word));
    int32_t whole = may_be ? whole_word(s->t, word) : TOKENIZER_NONE;
    if (whole != TOKENIZER_NONE && is_allowed(s, whole, is_by_others(trusted, word.size)))
        return session_add(s, whole);
    const struct merge_text m = {.text = word,
        .trusted = trusted,
        .size = pre->raw ? symbol_size : byte_size,
        .id = pre->raw ? character_id : byte_id,
        .rank = bpe_rank,
        .emit = bpe_emit};
    return merge_text(s, &m);
}

/* Decodes the fragment: code points and their classes. False when memory is short. */
static bool decode(struct tokenizer_session *s, struct span text, size_t *n)
{
    if (!session_room(s, &s->codes, &s->codes_room, text.size, sizeof(*s->codes)) ||
        !session_room(s, &s->classes, &s->classes_room, text.size, sizeof(*s->classes)))
        return false;
    *n = 0;
    for (size_t pos = 0; pos < text.size; (*n)++) {
        s->codes[*n] = unicode_read(text, &pos);
        s->classes[*n] = (uint8_t)unicode_class(s->codes[*n]);
    }
    return true;
}

/* Cuts the fragment into words and encodes each. */
static bool encode_words(struct tokenizer_session *s, struct span text, const uint8_t *trusted)
{
    size_t n, from = 0, to = 0;
    if (!decode(s, text, &n))
        return false;
    pretokenize(s->t->pre, s->codes, s->classes, n);
    if (s->codes_room > CODES_KEPT) { /* the ids need the memory now */
        free(s->codes);
        s->codes = NULL;
        s->codes_room = 0;
    }
    for (size_t i = 0; i < n; i++) {
        if (i > 0 && s->classes[i] & WORD_STARTS) {
            if (!encode_word(s, (struct span){text.at + from, to - from}, trusted ? trusted + from : NULL))
                return false;
            from = to;
        }
        unicode_read(text, &to);
    }
    return encode_word(s, (struct span){text.at + from, to - from}, trusted ? trusted + from : NULL);
}

static bool bpe_encode(struct tokenizer_session *s, struct span text, const uint8_t *trusted)
{
    const struct pretokenizer *pre = s->t->pre;
    const enum space_prefix prefix = pre->prefixes ? SPACE_PREFIX_LINES : SPACE_PREFIX_NONE;
    return (!pre->escapes || escape_spaces(s, &text, &trusted, prefix)) && repair_text(s, &text, &trusted) &&
           encode_words(s, text, trusted);
}

/* --- Ids to text --- */

/* A character that stands for no byte is copied. Only vocabularies made by hand have such characters. */
static void bpe_piece(const struct tokenizer *t, int32_t id, struct strbuf *out)
{
    struct span text = vocabulary_text(&t->vocabulary, (size_t)id);
    if (t->pre->escapes || t->vocabulary.tokens[id].kind == TOKEN_BYTE) {
        sentencepiece_piece(t, id, out);
        return;
    }
    for (size_t pos = 0; pos < text.size;) {
        uint8_t bytes[UNICODE_BYTES];
        uint32_t code = unicode_read(text, &pos);
        int byte = byte_of_code(code);
        size_t size = byte < 0 ? unicode_write(bytes, code) : 1;
        if (byte >= 0)
            bytes[0] = (uint8_t)byte;
        strbuf_add(out, (struct span){bytes, size});
    }
}

const struct tokenizer_kind tokenizer_bpe = {
    .name = "gpt2",
    .bos = TOKENIZER_NONE,
    .eos = TOKENIZER_NONE,
    .unknown = TOKENIZER_NONE,
    .separator = TOKENIZER_NONE,
    .padding = TOKENIZER_NONE,
    .mask = TOKENIZER_NONE,
    .read = bpe_read,
    .encode = bpe_encode,
    .piece = bpe_piece,
};

/* The same behind a pre-tokenizer that the file does not name: Gemma 4. */
const struct tokenizer_kind tokenizer_gemma4 = {
    .name = "gemma4",
    .bos = TOKENIZER_NONE,
    .eos = TOKENIZER_NONE,
    .unknown = TOKENIZER_NONE,
    .separator = TOKENIZER_NONE,
    .padding = TOKENIZER_NONE,
    .mask = TOKENIZER_NONE,
    .read = gemma4_read,
    .encode = bpe_encode,
    .piece = bpe_piece,
};
