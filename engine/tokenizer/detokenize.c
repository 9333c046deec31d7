/* detokenize.c - from token ids to text, without cutting a character.
 *
 * A token of byte-level BPE may end inside a character, which the next token completes. So the output always ends at the
 * end of a character, and up to three bytes are held back until the next token.
 */
#include "tokenizer_private.h"

#include "berth/engine/tokenizer/unicode.h"

#include <string.h>

void tokenizer_piece(const struct tokenizer *t, int32_t id, bool special, struct strbuf *out)
{
    if (id < 0 || (size_t)id >= t->vocabulary.n)
        return;
    if (tokenizer_is_special(t, id)) {
        if (special || t->vocabulary.tokens[id].is_shown)
            strbuf_add(out, vocabulary_text(&t->vocabulary, (size_t)id));
        return;
    }
    switch ((enum vocab_token_kind)t->vocabulary.tokens[id].kind) {
    case TOKEN_USER_DEFINED:
        strbuf_add(out, vocabulary_text(&t->vocabulary, (size_t)id));
        return;
    case TOKEN_NORMAL:
    case TOKEN_BYTE:
        t->kind->piece(t, id, out);
        return;
    default: /* unused and undefined tokens have no text */
        return;
    }
}

/* Removes the space that encoding put in front of the text. */
static void strip(struct detokenizer *d, struct strbuf *out, size_t from)
{
    if (out->size == from || !d->strip)
        return;
    d->strip = false;
    if (!d->tokenizer->space_prefix || out->text[from] != ' ')
        return;
    memmove(out->text + from, out->text + from + 1, out->size - from);
    out->size--;
}

void detokenizer_add(struct detokenizer *d, int32_t id, struct strbuf *out)
{
    size_t from = out->size;
    strbuf_add(out, (struct span){d->held, d->n_held});
    tokenizer_piece(d->tokenizer, id, d->special, out);
    if (out->failed)
        return;
    strip(d, out, from);
    struct span added = {(const uint8_t *)out->text + from, out->size - from};
    d->n_held = unicode_unfinished(added);
    memcpy(d->held, added.at + added.size - d->n_held, d->n_held);
    out->size -= d->n_held;
    out->text[out->size] = '\0';
}

void detokenizer_end(struct detokenizer *d, struct strbuf *out)
{
    strbuf_add(out, (struct span){d->held, d->n_held});
    d->n_held = 0;
}
