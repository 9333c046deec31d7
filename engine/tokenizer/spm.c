/* spm.c - SentencePiece's BPE, "llama" in files: Llama 1 and 2, Mistral 7B, Phi-3, Gemma.
 *
 * A space becomes U+2581, and one is put in front of a text unless the file forbids it. Neighbouring symbols, at first
 * characters, merge where that makes a token, the token with the highest score first. A character that is not a token
 * becomes the tokens of its bytes, "<0x0A>".
 *
 * Nothing merges between two bytes that no token has side by side, so the text is cut there: mostly between words.
 */
#include "tokenizer_private.h"

#include <string.h>

/* --- Reading --- */

static bool spm_read(struct tokenizer *t, const struct checkpoint *c, struct error *err)
{
    t->space_prefix = true;
    if (!read_scores(t, c, err) ||
        !tokenizer_key_bool(c, "tokenizer.ggml.add_space_prefix", &t->space_prefix, err) ||
        !tokenizer_key_bool(c, "tokenizer.ggml.space_prefix_first", &t->prefix_first, err))
        return false;
    find_joints(t);
    for (uint32_t byte = 0; byte < 256; byte++) {
        int32_t id = find_byte_piece(&t->vocabulary, (uint8_t)byte);
        const uint8_t own = (uint8_t)byte;
        int32_t alone = vocabulary_find_word(&t->vocabulary, (struct span){&own, 1});
        t->byte_ids[byte] = id != TOKENIZER_NONE ? id : alone;
        if (byte < 128)
            t->ascii_ids[byte] = alone;
    }
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

static int32_t find_allowed(const struct tokenizer_session *s, struct span text, bool by_others)
{
    int32_t id = vocabulary_find_word(&s->t->vocabulary, text);
    return id != TOKENIZER_NONE && by_others && tokenizer_is_guarded(s->t, s->guard, id) ? TOKENIZER_NONE
                                                                                         : id;
}

static void spm_rank(const struct tokenizer_session *s, const struct merge_text *m, struct symbol *left,
    const struct symbol *right)
{
    if (!has_joint(s->t, m->text.at[right->place - 1], m->text.at[right->place]))
        return;
    struct span both = {m->text.at + left->place, left->size + right->size};
    if (both.size > s->t->vocabulary.longest)
        return;
    int32_t id = find_allowed(s, both, left->by_others || right->by_others);
    if (id == TOKENIZER_NONE)
        return;
    left->rank = rank_of(score_of(s->t, id));
    left->merged = id;
}

static int32_t spm_id(
    const struct tokenizer_session *s, const struct merge_text *m, const struct symbol *symbol)
{
    const uint8_t first = m->text.at[symbol->place];
    if (first < 128 && !symbol->by_others)
        return s->t->ascii_ids[first];
    return find_allowed(s, (struct span){m->text.at + symbol->place, symbol->size}, symbol->by_others);
}

/* A symbol that is no token is its bytes; a byte without a token is the unknown token. */
static bool spm_emit(struct tokenizer_session *s, const struct merge_text *m, const struct symbol *symbol)
{
    if (symbol->id >= 0)
        return session_add(s, symbol->id);
    for (size_t i = symbol->place; i < symbol->place + symbol->size; i++) {
        int32_t id = s->t->byte_ids[m->text.at[i]];
        if (id == TOKENIZER_NONE)
            id = s->t->special[TOKENIZER_UNKNOWN];
        if (id != TOKENIZER_NONE && !session_add(s, id))
            return false;
    }
    return true;
}

/* Where the part that begins at `from` ends: at the next place where nothing merges. */
static size_t part_end(const struct tokenizer *t, struct span text, size_t from)
{
    size_t at = from;
    do
        at += symbol_size(text, at);
    while (at < text.size && has_joint(t, text.at[at - 1], text.at[at]));
    return at;
}

static bool spm_encode(struct tokenizer_session *s, struct span text, const uint8_t *trusted)
{
    struct merge_text m = {.size = symbol_size, .id = spm_id, .rank = spm_rank, .emit = spm_emit};
    const bool prefixes = s->t->space_prefix && (s->is_first || !s->t->prefix_first);
    if (!escape_spaces(s, &text, &trusted, prefixes ? SPACE_PREFIX_TEXT : SPACE_PREFIX_NONE))
        return false;
    for (size_t from = 0, end; from < text.size; from = end) {
        end = part_end(s->t, text, from);
        m.text = (struct span){text.at + from, end - from};
        m.trusted = trusted ? trusted + from : NULL;
        if (!merge_text(s, &m))
            return false;
    }
    return true;
}

const struct tokenizer_kind tokenizer_spm = {
    .name = "llama",
    .adds_bos = true,
    .bos = 1,
    .eos = 2,
    .unknown = 0,
    .separator = TOKENIZER_NONE,
    .padding = TOKENIZER_NONE,
    .mask = TOKENIZER_NONE,
    .read = spm_read,
    .encode = spm_encode,
    .piece = sentencepiece_piece,
};
