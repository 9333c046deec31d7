/* small_vocabulary.h - a vocabulary of a few tokens, for tests of grammars. */
#ifndef BERTH_TESTS_SMALL_VOCABULARY_H
#define BERTH_TESTS_SMALL_VOCABULARY_H

#include "berth/engine/grammar/grammar.h"

struct small_vocabulary {
    char text[64][24];
    enum token_class classes[64];
    size_t n;
};

/* Tokens of all of them, beside 3, "a", which is never generated, and 4, a text without bytes. */
enum { SMALL_END, SMALL_CALL, SMALL_OTHER };

void small_vocabulary_begin(struct small_vocabulary *v);
int32_t small_vocabulary_add(struct small_vocabulary *v, const char *text, enum token_class class);
/* A token for each letter of `all`, and for each of more[n]. */
void small_vocabulary_letters(struct small_vocabulary *v, const char *all, const char *const *more, size_t n);
int32_t small_vocabulary_find(const struct small_vocabulary *v, const char *text);
struct token_trie *small_vocabulary_trie(struct small_vocabulary *v);

#endif
