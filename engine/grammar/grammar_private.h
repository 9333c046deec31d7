/* grammar_private.h - a grammar, with its cache of configurations and masks, and the trie of a vocabulary. */
#ifndef BERTH_GRAMMAR_PRIVATE_H
#define BERTH_GRAMMAR_PRIVATE_H

#include "berth/engine/grammar/grammar.h"
#include "dfa_private.h"

#include <pthread.h>
#include <stdatomic.h>

/* What a grammar keeps to be quick. Above these bounds it forgets what no matcher is at, or what was not used for long. */
#define GRAMMAR_CONFIGURATION_BYTES ((size_t)10 << 20)
#define GRAMMAR_MASK_BYTES ((size_t)6 << 20)
#define GRAMMAR_IDLE_BYTES ((size_t)512 << 10) /* of both together, while no matcher uses it: many grammars are kept */

/* ---- a vocabulary ---- */

/* A byte of some tokens that begin alike. Nodes lie in preorder: those behind a node, up to `end`, begin with its bytes. */
struct trie_node {
    uint32_t end;
    int32_t token; /* whose last byte this is, or -1 */
    uint32_t byte : 8, several : 1, depth : 23; /* several: more tokens end here; depth: 1 for a first byte */
};

struct token_trie {
    size_t n_vocab;
    uint8_t *classes; /* [n_vocab] enum token_class */
    uint8_t *text; /* of all tokens, one behind the other */
    uint32_t *offsets; /* [n_vocab + 1] */
    int32_t *same; /* [n_vocab]: another token with the same bytes, or -1 */
    struct trie_node *nodes;
    uint32_t n_nodes, depth; /* depth: of the longest token */
    int32_t *controls; /* ids of the classes TOKEN_CONTROL and TOKEN_END */
    size_t n_controls;
    uint64_t hash; /* of the content: masks of one vocabulary are not another's */
};

static inline struct span token_text(const struct token_trie *t, int32_t token)
{
    return (struct span){t->text + t->offsets[token], t->offsets[token + 1] - t->offsets[token]};
}

/* ---- a grammar ---- */

struct token_mask {
    uint64_t *words; /* bit t: token t can come next */
    size_t n_words, n_tokens; /* n_tokens: how many can */
    uint64_t trie; /* its hash */
    uint64_t used; /* when, for the least recently used one */
    uint32_t configuration;
    /* Of a local configuration (see automaton_local): the nodes of the trie behind which the mask knows nothing. */
    bool local;
    uint32_t *exits;
    uint32_t n_exits;
};

struct grammar {
    struct program program;
    grammar_node root;
    atomic_size_t references;

    pthread_mutex_t lock; /* protects what follows */
    struct automaton automaton;
    uint32_t start; /* configuration */
    size_t most_bytes; /* of configurations, before some are forgotten */
    struct grammar_matcher *matchers;
    struct token_mask *masks;
    uint32_t n_masks, room_masks;
    size_t mask_bytes;
    uint64_t clock;
};

struct grammar_matcher {
    struct grammar *grammar;
    const struct token_trie *trie;
    uint32_t at; /* configuration */
    struct grammar_matcher *before, *next; /* of the grammar's list */
};

/* All of these are called with the lock held. */

/* Forgets configurations when they are too many, but not those of matchers and of others[n], which it numbers anew. */
void grammar_limit(struct grammar *g, uint32_t *others, size_t n);
/* The mask of a configuration that a matcher is at. NULL without memory. */
const struct token_mask *grammar_mask(struct grammar *g, const struct token_trie *t, uint32_t *configuration);
void grammar_forget_masks(struct grammar *g);
bool grammar_allows(struct grammar *g, const struct token_trie *t, uint32_t configuration, int32_t token);

#endif
