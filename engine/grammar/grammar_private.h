/* grammar_private.h - a grammar, with its cache of configurations and masks, and the trie of a vocabulary. */
#ifndef BERTH_GRAMMAR_PRIVATE_H
#define BERTH_GRAMMAR_PRIVATE_H

#include "berth/engine/grammar/grammar.h"
#include "dfa_private.h"

#include <pthread.h>
#include <stdatomic.h>

#define GRAMMAR_CACHE_BYTES                                                                                  \
    ((size_t)16 << 20) /* configurations and masks; above it what is not in use is forgotten */

struct grammar {
    struct program program;
    grammar_node root;
    atomic_size_t references;

    pthread_mutex_t lock; /* protects what follows */
    struct automaton automaton;
    uint32_t start; /* configuration */
};

#endif
