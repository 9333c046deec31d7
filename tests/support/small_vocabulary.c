/* small_vocabulary.c - a vocabulary of a few tokens. A test that asks for what it cannot have ends at once. */
#include "small_vocabulary.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static void check(bool holds, const char *what, const char *text)
{
    if (holds)
        return;
    fprintf(stderr, "small vocabulary: %s: \"%s\"\n", what, text);
    exit(1);
}

int32_t small_vocabulary_add(struct small_vocabulary *v, const char *text, enum token_class class)
{
    check(v->n < 64 && strlen(text) < sizeof(v->text[0]), "no room", text);
    strcpy(v->text[v->n], text);
    v->classes[v->n] = class;
    return (int32_t)v->n++;
}

void small_vocabulary_begin(struct small_vocabulary *v)
{
    v->n = 0;
    small_vocabulary_add(v, "<end>", TOKEN_END);
    small_vocabulary_add(v, "<call>", TOKEN_CONTROL);
    small_vocabulary_add(v, "<other>", TOKEN_CONTROL);
    small_vocabulary_add(v, "a", TOKEN_NEVER);
    small_vocabulary_add(v, "", TOKEN_TEXT);
}

void small_vocabulary_letters(struct small_vocabulary *v, const char *all, const char *const *more, size_t n)
{
    small_vocabulary_begin(v);
    for (; *all; all++)
        small_vocabulary_add(v, (char[]){*all, '\0'}, TOKEN_TEXT);
    for (size_t i = 0; i < n; i++)
        small_vocabulary_add(v, more[i], TOKEN_TEXT);
}

int32_t small_vocabulary_find(const struct small_vocabulary *v, const char *text)
{
    for (size_t i = 0; i < v->n; i++)
        if (v->classes[i] != TOKEN_NEVER && strcmp(v->text[i], text) == 0)
            return (int32_t)i;
    check(false, "no such token", text);
    return -1;
}

static enum token_class read_token(void *context, int32_t id, struct strbuf *out)
{
    const struct small_vocabulary *v = context;
    strbuf_text(out, v->text[id]);
    return v->classes[id];
}

struct token_trie *small_vocabulary_trie(struct small_vocabulary *v)
{
    struct error err = {{0}, false};
    struct token_trie *t = token_trie_new(v->n, read_token, v, &err);
    check(t, "no trie", err.text);
    return t;
}
