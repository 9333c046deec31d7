/* spm.c - SentencePiece's BPE, "llama" in files: Llama 1 and 2, Mistral 7B, Phi-3, Gemma.
 *
 * A space becomes U+2581, and one is put in front of a text unless the file forbids it. Neighbouring symbols, at first
 * characters, merge where that makes a token, the token with the highest score first. A character that is not a token
 * becomes the tokens of its bytes, "<0x0A>".
 */
#include "tokenizer_private.h"

#include "berth/engine/tokenizer/unicode.h"

#include <inttypes.h>
#include <math.h>
#include <stdio.h>
#include <string.h>

#define SPACE_BYTES 3
static const uint8_t space_mark[SPACE_BYTES] = {0xe2, 0x96, 0x81};

/* --- Reading --- */

static float score_of(const struct tokenizer *t, int32_t id)
{
    float score = 0;
    if (t->scores)
        memcpy(&score, t->scores + (size_t)id * sizeof(score), sizeof(score));
    return score;
}

static bool read_scores(struct tokenizer *t, const struct checkpoint *c, struct error *err)
{
    const struct checkpoint_value *array = checkpoint_find(c, "tokenizer.ggml.scores");
    if (!array)
        return true;
    if (!checkpoint_is_array_of(array, CHECKPOINT_REAL) || array->width != sizeof(float))
        return error_set(err, "key \"tokenizer.ggml.scores\" is not an array of f32");
    if (array->count < t->vocabulary.n)
        return error_set(err, "key \"tokenizer.ggml.scores\" has %" PRIu64 " items for %zu tokens",
            array->count, t->vocabulary.n);
    t->scores = array->bytes.at;
    for (size_t i = 0; i < t->vocabulary.n; i++)
        if (isnan(score_of(t, (int32_t)i)))
            return error_set(err, "the score of token %zu is NaN", i);
    return true;
}

static int32_t find_byte(const struct vocabulary *v, uint8_t byte)
{
    char name[8];
    snprintf(name, sizeof(name), "<0x%02X>", byte);
    int32_t id = vocabulary_find(v, span_of(name));
    return id != TOKENIZER_NONE ? id : vocabulary_find_word(v, (struct span){&byte, 1});
}

static bool spm_read(struct tokenizer *t, const struct checkpoint *c, struct error *err)
{
    t->space_prefix = true;
    if (!read_scores(t, c, err) ||
        !tokenizer_key_bool(c, "tokenizer.ggml.add_space_prefix", &t->space_prefix, err))
        return false;
    for (uint32_t byte = 0; byte < 256; byte++)
        t->byte_ids[byte] = find_byte(&t->vocabulary, (uint8_t)byte);
    return true;
}

/* --- Text to ids --- */

/* The higher the score, the lower the rank. The bits of floats are ordered like their values after the bits of negative
 * ones are inverted. RANK_NONE is larger than the rank of minus infinity. */
static uint32_t rank_of(float score)
{
    uint32_t bits;
    score += 0.0f; /* makes -0 a 0 */
    memcpy(&bits, &score, sizeof(bits));
    return bits >> 31 ? bits : ~bits & 0x7fffffffu;
}

static bool may_be(const struct tokenizer_session *s, int32_t id, bool by_others)
{
    return id != TOKENIZER_NONE && !(by_others && tokenizer_is_guarded(s->t, s->guard, id));
}

static void spm_rank(const struct tokenizer_session *s, const struct merge_window *w, struct symbol *left,
    const struct symbol *right)
{
    struct span both = {w->bytes + left->at, left->size + right->size};
    int32_t id = vocabulary_find_word(&s->t->vocabulary, both);
    if (!may_be(s, id, left->by_others || right->by_others))
        return;
    left->rank = rank_of(score_of(s->t, id));
    left->merged = id;
}

/* The length that the first byte of a character announces. Text that is not UTF-8 is cut by it, too, as in the
 * reference. */
static size_t promised(uint8_t first)
{
    return first < 0xc0 ? 1 : first < 0xe0 ? 2 : first < 0xf0 ? 3 : 4;
}

/* A byte of the text that is merged: with a space in front where the vocabulary wants one, and with three bytes for each
 * space. */
struct spm_cursor {
    size_t source; /* index in the text, with the space in front */
    unsigned within; /* which byte of a space */
};

static size_t front_spaces(const struct tokenizer_session *s)
{
    return s->t->space_prefix;
}

static bool is_space(const struct merge_text *m, size_t front, size_t source)
{
    return source < front || m->text.at[source - front] == ' ';
}

static uint8_t byte_at(const struct merge_text *m, size_t front, struct spm_cursor c)
{
    return is_space(m, front, c.source) ? space_mark[c.within] : m->text.at[c.source - front];
}

static struct spm_cursor step(const struct merge_text *m, size_t front, struct spm_cursor c)
{
    if (is_space(m, front, c.source) && c.within + 1 < SPACE_BYTES)
        return (struct spm_cursor){c.source, c.within + 1};
    return (struct spm_cursor){c.source + 1, 0};
}

/* Copies the character at *c to the window's bytes from `at` on, and makes a symbol of it, without neighbours. */
static struct symbol read_symbol(struct tokenizer_session *s, const struct merge_text *m,
    struct merge_window *w, size_t at, struct spm_cursor *c)
{
    size_t front = front_spaces(s), size = 0, length = promised(byte_at(m, front, *c));
    struct symbol made = {.at = (uint32_t)at, .source = (uint32_t)c->source, .within = (uint8_t)c->within};
    for (; size < length && c->source < front + m->text.size; size++, *c = step(m, front, *c)) {
        w->bytes[at + size] = byte_at(m, front, *c);
        if (m->trusted && c->source >= front && m->trusted[c->source - front] != TOKENIZER_BY_TEMPLATE)
            made.by_others = true;
    }
    int32_t id = vocabulary_find_word(&s->t->vocabulary, (struct span){w->bytes + at, size});
    made.id = may_be(s, id, made.by_others) ? id : TOKENIZER_NONE;
    made.size = (uint32_t)size;
    return made;
}

/* A symbol for each character. */
static bool spm_link(
    struct tokenizer_session *s, const struct merge_text *m, struct merge_window *w, size_t end, size_t *n)
{
    struct spm_cursor c = {w->from.source, w->from.within};
    size_t most = end - w->from.place, at = 0;
    if (!session_room(s, &w->symbols, &w->symbols_room, most, sizeof(*w->symbols)) ||
        !session_room(s, &w->bytes, &w->bytes_room, most + UNICODE_BYTES, 1))
        return false;
    for (*n = 0; at < most; (*n)++) {
        struct symbol made = read_symbol(s, m, w, at, &c);
        made.place = w->from.place + (uint32_t)at;
        made.previous = (uint32_t)*n - 1; /* of the first that is NO_SYMBOL */
        made.next = (uint32_t)*n + 1;
        w->symbols[*n] = made;
        at += made.size;
    }
    w->symbols[*n - 1].next = NO_SYMBOL;
    return true;
}

/* A symbol that is no token is its bytes; a byte without a token is the unknown token. */
static bool spm_emit(struct tokenizer_session *s, const struct merge_window *w, const struct symbol *symbol)
{
    if (symbol->id >= 0)
        return session_add(s, symbol->id);
    for (size_t i = symbol->at; i < symbol->at + symbol->size; i++) {
        int32_t id = s->t->byte_ids[w->bytes[i]];
        if (id == TOKENIZER_NONE)
            id = s->t->special[TOKENIZER_UNKNOWN];
        if (id != TOKENIZER_NONE && !session_add(s, id))
            return false;
    }
    return true;
}

static bool spm_encode(struct tokenizer_session *s, struct span text, const uint8_t *trusted)
{
    size_t spaces = front_spaces(s);
    for (size_t i = 0; i < text.size; i++)
        spaces += text.at[i] == ' ';
    const struct merge_text m = {.text = text,
        .trusted = trusted,
        .places = text.size + front_spaces(s) + (SPACE_BYTES - 1) * spaces,
        .link = spm_link,
        .rank = spm_rank,
        .emit = spm_emit};
    return merge_text(s, &m);
}

/* --- Ids to text --- */

/* The byte of "<0x0A>", or -1. */
static int byte_of(struct span text)
{
    static const char digits[] = "0123456789ABCDEF";
    if (text.size != 6 || memcmp(text.at, "<0x", 3) != 0 || text.at[5] != '>')
        return -1;
    const char *high = memchr(digits, text.at[3], 16), *low = memchr(digits, text.at[4], 16);
    return high && low ? (int)((high - digits) * 16 + (low - digits)) : -1;
}

static void spm_piece(const struct tokenizer *t, int32_t id, struct strbuf *out)
{
    struct span text = vocabulary_text(&t->vocabulary, (size_t)id);
    int byte = t->vocabulary.tokens[id].kind == TOKEN_BYTE ? byte_of(text) : -1;
    if (byte >= 0) {
        strbuf_add(out, (struct span){&(uint8_t){(uint8_t)byte}, 1});
        return;
    }
    for (size_t i = 0, length; i < text.size; i += length) {
        bool space = text.size - i >= SPACE_BYTES && memcmp(text.at + i, space_mark, SPACE_BYTES) == 0;
        length = space ? SPACE_BYTES : 1;
        strbuf_add(out, space ? span_of(" ") : (struct span){text.at + i, 1});
    }
}

const struct tokenizer_kind tokenizer_spm = {
    .name = "llama",
    .adds_bos = true,
    .bos = 1,
    .eos = 2,
    .unknown = 0,
    .read = spm_read,
    .encode = spm_encode,
    .piece = spm_piece,
};
