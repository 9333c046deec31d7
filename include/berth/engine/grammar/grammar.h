/* grammar.h - what an answer may be: an automaton over bytes and tokens, and which tokens it allows next.
 *
 * A grammar is made by builder.h and does not change, but for its cache of states and masks, which is guarded inside.
 * Several matchers on several threads may use one. A matcher follows one answer, token by token. A token that is text is
 * followed byte by byte, so that it may begin in one part of the grammar and end in another. Control tokens are no text:
 * they match where the grammar has that token, or where any text is allowed.
 */
#ifndef BERTH_GRAMMAR_H
#define BERTH_GRAMMAR_H

#include "berth/base/error.h"
#include "berth/base/strbuf.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* ---- the vocabulary as a trie of its tokens' bytes ---- */

struct token_trie;

enum token_class {
    TOKEN_TEXT, /* stands for bytes */
    TOKEN_CONTROL, /* a mark that is no text */
    TOKEN_END, /* ends an answer */
    TOKEN_NEVER, /* is never generated under a grammar: unused, unknown, without bytes */
};

/* Returns the class of a token, and appends its bytes to `out`: of the class TOKEN_TEXT what it stands for, of the
 * classes TOKEN_CONTROL and TOKEN_END the text by which people write it, "<|tool_call|>". */
typedef enum token_class token_trie_read(void *context, int32_t id, struct strbuf *out);

/* NULL with the reason when memory is short. Memory: some 16 bytes for each distinct prefix of tokens. */
struct token_trie *token_trie_new(size_t n_vocab, token_trie_read *read, void *context, struct error *err);
void token_trie_free(struct token_trie *t); /* NULL is fine */
size_t token_trie_bytes(const struct token_trie *t);
/* The control token that is written so (of the class TOKEN_CONTROL or TOKEN_END), or -1. */
int32_t token_trie_control(const struct token_trie *t, struct span text);

/* ---- a grammar ---- */

struct grammar;

struct grammar *grammar_hold(struct grammar *g); /* one more reference; NULL is fine */
void grammar_drop(struct grammar *g); /* gives one back; NULL is fine */
size_t grammar_bytes(const struct grammar *g); /* without its cache */

/* True when the whole text matches. For tests and for GBNF files. */
bool grammar_matches(struct grammar *g, struct span text);

/* ---- a matcher ---- */

struct grammar_matcher;

/* At the beginning of an answer. Holds a reference to `g`; `t` must live longer. NULL without memory. */
struct grammar_matcher *grammar_matcher_new(struct grammar *g, const struct token_trie *t);
void grammar_matcher_free(struct grammar_matcher *m); /* NULL is fine */
struct grammar_matcher *grammar_matcher_fork(const struct grammar_matcher *m); /* NULL without memory */

/* A stretch of a token's bytes with one tag. */
struct grammar_run {
    size_t bytes;
    uint16_t tag;
};

#define GRAMMAR_RUNS_MAX 16 /* of one token; more tags than that in one token are not allowed by any mask */

/* True when the token can come next. Tokens of class TOKEN_END can where the answer may end. Costs the walk of the token's
 * bytes, some microseconds at most; grammar_matcher_mask agrees with it on every token. Without memory none is allowed. */
bool grammar_matcher_allows(struct grammar_matcher *m, int32_t token);

/* Takes the token, which must be allowed, and writes the tags of its bytes, in order (none for a control token, whose own
 * tag is GRAMMAR_TAG_MARK). Returns how many runs.
 *
 * Where text goes up to a marker that is written as bytes, the first bytes of the marker cannot be told from text. They get
 * the text's tag and are in doubt: grammar_matcher_in_doubt. When the marker is complete within this token, `*back` says
 * how many bytes before this token belong to the marker: their tag is GRAMMAR_TAG_MARK after all. Those of this token have
 * that tag in `runs` already. `*back` is at most what was in doubt before, and counts from the end of the bytes that were
 * accepted; otherwise 0. Bytes in doubt that neither turn into a marker nor stay in doubt are text. */
size_t grammar_matcher_accept(
    struct grammar_matcher *m, int32_t token, struct grammar_run runs[GRAMMAR_RUNS_MAX], size_t *back);

/* How many of the last bytes may still become the beginning of a marker. A caller holds these back. 0 where no marker is
 * written as bytes, and after a control token. When the answer ends, they are text. */
size_t grammar_matcher_in_doubt(const struct grammar_matcher *m);

/* Sets the logits of all tokens that cannot come next to -INFINITY, those beyond the vocabulary too. Returns how many tokens
 * remain; 0 when the vocabulary cannot spell what must come, and without memory. Costs milliseconds the first time. */
size_t grammar_matcher_mask(struct grammar_matcher *m, float *logits, size_t n_vocab);

bool grammar_matcher_may_end(struct grammar_matcher *m); /* what was taken is a whole answer */
bool grammar_matcher_is_over(struct grammar_matcher *m); /* and nothing can follow it */

#endif
