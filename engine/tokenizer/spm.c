/* spm.c - SentencePiece's BPE, "llama" in files: Llama 1 and 2, Mistral 7B, Phi-3, Gemma.
 *
 * A space is written U+2581, and one is put in front of a text unless the file says no. Characters merge
 * with their neighbours wherever that gives a token, the one with the highest score first. A character that
 * is no token becomes the tokens of its bytes, "<0x0A>".
 */
#include "tokenizer_private.h"

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

static bool read_scores(struct tokenizer *t, const struct gguf *g, struct error *err)
{
    const struct gguf_pair *array = gguf_find(g, "tokenizer.ggml.scores");
    if (!array)
        return true;
    if (array->type != GGUF_ARRAY || array->item != GGUF_F32)
        return error_set(err, "key \"tokenizer.ggml.scores\" is no array of f32");
    if (array->count < t->vocabulary.n)
        return error_set(err, "key \"tokenizer.ggml.scores\" has %" PRIu64 " items for %zu tokens",
            array->count, t->vocabulary.n);
    t->scores = array->bytes.at;
    for (size_t i = 0; i < t->vocabulary.n; i++)
        if (isnan(score_of(t, (int32_t)i)))
            return error_set(err, "token %zu has a score that is no number", i);
    return true;
}

static int32_t find_byte(const struct vocabulary *v, uint8_t byte)
{
    char name[8];
    snprintf(name, sizeof(name), "<0x%02X>", byte);
    int32_t id = vocabulary_find(v, span_of(name));
    return id != TOKENIZER_NONE ? id : vocabulary_find_word(v, (struct span){&byte, 1});
}

static bool spm_read(struct tokenizer *t, const struct gguf *g, struct error *err)
{
    t->space_prefix = true;
    if (!read_scores(t, g, err) ||
        !tokenizer_key_bool(g, "tokenizer.ggml.add_space_prefix", &t->space_prefix, err))
        return false;
    for (uint32_t byte = 0; byte < 256; byte++)
        t->byte_ids[byte] = find_byte(&t->vocabulary, (uint8_t)byte);
    return true;
}

/* --- Text to ids --- */

/* The higher the score, the lower the rank. Floats in the order of their bits, those below zero turned
 * round; RANK_NONE is beyond minus infinity. */
static uint32_t rank_of(float score)
{
    uint32_t bits;
    score += 0.0f; /* of the two zeros one */
    memcpy(&bits, &score, sizeof(bits));
    return bits >> 31 ? bits : ~bits & 0x7fffffffu;
}

static void spm_rank(const struct tokenizer_session *s, struct symbol *left, const struct symbol *right)
{
    struct span both = {s->bytes + left->at, left->size + right->size};
    int32_t id = vocabulary_find_word(&s->t->vocabulary, both);
    if (id == TOKENIZER_NONE)
        return;
    left->rank = rank_of(score_of(s->t, id));
    left->merged = id;
}

static size_t write_space(struct tokenizer_session *s, size_t size)
{
    memcpy(s->bytes + size, space_mark, SPACE_BYTES);
    return SPACE_BYTES;
}

/* The fragment with its spaces marked, in s->bytes. It stands where the text begins or behind a special
 * token, so it gets a space in front. */
static bool mark_spaces(struct tokenizer_session *s, struct span text, size_t *size)
{
    bool prefix = s->t->space_prefix;
    size_t spaces = prefix;
    for (size_t i = 0; i < text.size; i++)
        spaces += text.at[i] == ' ';
    *size = 0;
    if (!session_room(s, &s->bytes, &s->bytes_room, text.size + SPACE_BYTES * spaces, 1))
        return false;
    if (prefix)
        *size += write_space(s, 0);
    for (size_t i = 0; i < text.size; i++) {
        if (text.at[i] == ' ')
            *size += write_space(s, *size);
        else
            s->bytes[(*size)++] = text.at[i];
    }
    return true;
}

/* How many bytes the first one promises, right or wrong: what is no UTF-8 is cut as the reference cuts it. */
static size_t promised(uint8_t first)
{
    return first < 0xc0 ? 1 : first < 0xe0 ? 2 : first < 0xf0 ? 3 : 4;
}

/* Makes the characters of s->bytes symbols, and tells how many there are. */
static size_t link_symbols(struct tokenizer_session *s, size_t size)
{
    size_t n = 0;
    for (size_t at = 0, length; at < size; at += length, n++) {
        length = promised(s->bytes[at]);
        length = length < size - at ? length : size - at;
        struct span text = {s->bytes + at, length};
        s->symbols[n] = (struct symbol){
            .at = (uint32_t)at,
            .size = (uint32_t)length,
            .id = vocabulary_find_word(&s->t->vocabulary, text),
            .next = at + length < size ? (uint32_t)n + 1 : NO_SYMBOL,
            .previous = (uint32_t)n - 1, /* of the first that is NO_SYMBOL */
        };
    }
    return n;
}

/* A symbol that is no token, as its bytes; a byte without a token is the unknown token. */
static bool add_bytes(struct tokenizer_session *s, const struct symbol *symbol)
{
    for (size_t i = symbol->at; i < symbol->at + symbol->size; i++) {
        int32_t id = s->t->byte_ids[s->bytes[i]];
        if (id == TOKENIZER_NONE)
            id = s->t->special[TOKENIZER_UNKNOWN];
        if (id != TOKENIZER_NONE && !session_add(s, id))
            return false;
    }
    return true;
}

static bool spm_encode(struct tokenizer_session *s, struct span text)
{
    size_t size;
    if (!mark_spaces(s, text, &size) ||
        !session_room(s, &s->symbols, &s->symbols_room, size, sizeof(*s->symbols)) ||
        !merge_symbols(s, link_symbols(s, size), spm_rank))
        return false;
    for (uint32_t i = 0; i != NO_SYMBOL; i = s->symbols[i].next) {
        const struct symbol *symbol = &s->symbols[i];
        if (!(symbol->id >= 0 ? session_add(s, symbol->id) : add_bytes(s, symbol)))
            return false;
    }
    return true;
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
