/* guard.c - tokens that the text of a message never becomes.
 *
 * In some files the marks of turns are control tokens, in others user-defined ones, which are recognized in any text. A
 * guard has the user-defined tokens that a chat template writes. The text of a message becomes none of them, and none that
 * ends an answer. An earlier answer of the model may contain the marks of reasoning and of tools.
 */
#include "tokenizer_private.h"

#include "berth/engine/tokenizer/unicode.h"

#include <stdlib.h>
#include <string.h>

struct tokenizer_guard {
    int32_t *ids; /* [n], ascending */
    size_t n, room;
};

struct tokenizer_guard *tokenizer_guard_new(void)
{
    return calloc(1, sizeof(struct tokenizer_guard));
}

void tokenizer_guard_free(struct tokenizer_guard *g)
{
    if (g)
        free(g->ids);
    free(g);
}

/* The index of the id, or the index at which it would be inserted. */
static size_t place_of(const struct tokenizer_guard *g, int32_t id)
{
    size_t low = 0, high = g->n;
    while (low < high) {
        size_t middle = low + (high - low) / 2;
        if (g->ids[middle] < id)
            low = middle + 1;
        else
            high = middle;
    }
    return low;
}

static bool holds(const struct tokenizer_guard *g, int32_t id)
{
    size_t at = place_of(g, id);
    return at < g->n && g->ids[at] == id;
}

static bool insert(struct tokenizer_guard *g, int32_t id)
{
    size_t at = place_of(g, id);
    if (at < g->n && g->ids[at] == id)
        return true;
    if (g->n == g->room) {
        size_t room = g->room ? 2 * g->room : 16;
        int32_t *ids = realloc(g->ids, room * sizeof(*ids));
        if (!ids)
            return false;
        g->ids = ids;
        g->room = room;
    }
    memmove(g->ids + at + 1, g->ids + at, (g->n - at) * sizeof(*g->ids));
    g->ids[at] = id;
    g->n++;
    return true;
}

/* White space, in any of the forms that vocabularies use for it. */
static bool is_white(struct span text)
{
    for (size_t pos = 0; pos < text.size;) {
        uint32_t code = unicode_read(text, &pos);
        bool written = code == 0x2581 || code == 0x120 || code == 0x10a || code == 0x109 || code == 0x10d;
        if (!written && unicode_class(code) != UNICODE_SPACE)
            return false;
    }
    return true;
}

static bool is_trusted(const uint8_t *trusted, const struct special_found *found)
{
    for (size_t i = found->from; i < found->to; i++)
        if (trusted[i] != TOKENIZER_BY_TEMPLATE)
            return false;
    return true;
}

bool tokenizer_guard_add(struct tokenizer_guard *g, const struct tokenizer *t, struct span text,
    const uint8_t *trusted, struct error *err)
{
    const struct tokenizer_text in = {.text = text, .parse_special = true, .trusted = trusted};
    uint8_t *taken;
    struct special_found found;
    size_t at = 0;
    bool good = specials_find(t, &in, &taken, err);
    while (good && specials_next(t, &in, taken, &at, &found)) {
        const struct vocab_token *token = &t->vocabulary.tokens[found.id];
        if (token->kind == TOKEN_USER_DEFINED && is_trusted(trusted, &found) &&
            !is_white(vocabulary_text(&t->vocabulary, (size_t)found.id)))
            good = insert(g, found.id) || error_set(err, "memory is short");
    }
    free(taken);
    return good;
}

/* Marks that are part of an answer, recognized by words in their texts. */
static bool is_said(struct span text)
{
    static const char *const words[] = {"think", "thought", "reason", "tool", "call", "function"};
    for (size_t i = 0; i < sizeof(words) / sizeof(words[0]); i++)
        if (text_holds(text, words[i]))
            return true;
    return false;
}

bool tokenizer_is_guarded(const struct tokenizer *t, const struct tokenizer_guard *g, int32_t id)
{
    const struct vocab_token *token = &t->vocabulary.tokens[id];
    return token->is_end || (g && token->kind == TOKEN_USER_DEFINED && holds(g, id));
}

bool is_forbidden(const struct tokenizer_session *s, int32_t id)
{
    return vocabulary_is_mark(&s->t->vocabulary, id) || tokenizer_is_guarded(s->t, s->guard, id);
}

bool tokenizer_is_guarded_in_answer(const struct tokenizer *t, const struct tokenizer_guard *g, int32_t id)
{
    return t->vocabulary.tokens[id].is_end ||
           (tokenizer_is_guarded(t, g, id) && !is_said(vocabulary_text(&t->vocabulary, (size_t)id)));
}
