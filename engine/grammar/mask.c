/* mask.c - which tokens of a vocabulary can come next, as bits that are kept with a configuration. */
#include "grammar_private.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

/* Stacks that one walk over the trie may meet; no token behind is allowed then. So a grammar of very many alternatives
 * cannot hold up others for long. What was remembered does not count less, so that a mask is always the same. */
#define WALK_MOST ((size_t)1 << 27)

void grammar_forget_masks(struct grammar *g)
{
    for (uint32_t i = 0; i < g->n_masks; i++)
        free(g->masks[i].words);
    g->n_masks = 0;
    g->mask_bytes = 0;
}

/* ---- the walk ---- */

/* A place on the way down the trie, behind a byte. */
struct walk_step {
    uint16_t tag, runs;
};

struct trie_walk {
    uint32_t *at; /* [depth + 1]: configurations */
    struct walk_step *steps; /* [depth + 1] */
};

static void set_tokens(const struct token_trie *t, int32_t token, uint64_t *words)
{
    for (; token >= 0; token = t->same[token])
        words[token / 64] |= (uint64_t)1 << (token % 64);
}

static void walk_text(struct grammar *g, const struct token_trie *t, struct trie_walk *w, uint64_t *words)
{
    struct automaton *a = &g->automaton;
    size_t looked = 0;
    for (uint32_t i = 0; i < t->n_nodes && looked < WALK_MOST;) {
        const struct trie_node *node = &t->nodes[i];
        uint32_t depth = node->depth, from = w->at[depth - 1];
        const uint64_t *row = a->configurations[from].row;
        bool known = row && row[a->classes[node->byte]] != EDGE_UNKNOWN;
        struct automaton_edge e = automaton_next(a, from, node->byte);
        struct walk_step last = w->steps[depth - 1], step = {e.tag, last.runs};
        step.runs = (uint16_t)(last.runs + (depth == 1 || last.tag != e.tag));
        looked += a->configurations[from].n + 8 * (size_t)a->configurations[e.to].n;
        if (e.to == CONFIGURATION_DEAD || step.runs > GRAMMAR_RUNS_MAX) {
            i = node->end;
            continue;
        }
        w->at[depth] = e.to;
        w->steps[depth] = step;
        if (!known)
            grammar_limit(g, w->at, depth + 1);
        set_tokens(t, node->token, words);
        i++;
    }
}

static bool fill(struct grammar *g, const struct token_trie *t, uint32_t *configuration, uint64_t *words)
{
    struct trie_walk w = {malloc((t->depth + 1) * sizeof(*w.at)), malloc((t->depth + 1) * sizeof(*w.steps))};
    bool good = w.at && w.steps;
    if (good) {
        w.at[0] = *configuration;
        w.steps[0] = (struct walk_step){0, 0};
        walk_text(g, t, &w, words);
        *configuration = w.at[0];
    }
    for (size_t i = 0; good && i < t->n_controls; i++)
        if (grammar_allows(g, t, *configuration, t->controls[i]))
            words[t->controls[i] / 64] |= (uint64_t)1 << (t->controls[i] % 64);
    free(w.at);
    free(w.steps);
    return good;
}

/* ---- what is kept ---- */

/* A place for one more mask: that of the least recently used one when there is no room. NULL without memory. */
static struct token_mask *place_for(struct grammar *g, size_t bytes)
{
    if (g->n_masks == 0 || g->mask_bytes + bytes <= GRAMMAR_MASK_BYTES) {
        if (!array_grow(&g->masks, &g->room_masks, (size_t)g->n_masks + 1, sizeof(*g->masks)))
            return NULL;
        g->masks[g->n_masks] = (struct token_mask){.words = NULL};
        return &g->masks[g->n_masks++];
    }
    struct token_mask *oldest = &g->masks[0];
    for (uint32_t i = 1; i < g->n_masks; i++)
        if (g->masks[i].used < oldest->used)
            oldest = &g->masks[i];
    g->mask_bytes -= oldest->n_words * sizeof(*oldest->words);
    free(oldest->words);
    *oldest = (struct token_mask){.words = NULL};
    return oldest;
}

const struct token_mask *grammar_mask(struct grammar *g, const struct token_trie *t, uint32_t *configuration)
{
    uint32_t number = g->automaton.configurations[*configuration].mask;
    struct token_mask *m = number < g->n_masks ? &g->masks[number] : NULL;
    size_t n_words = (t->n_vocab + 63) / 64;
    if (!m || !m->words || m->configuration != *configuration || m->trie != t->hash ||
        m->n_words != n_words) {
        uint64_t *words = calloc(n_words + 1, sizeof(*words));
        if (!words || !fill(g, t, configuration, words) || !(m = place_for(g, n_words * sizeof(*words)))) {
            free(words);
            return NULL;
        }
        *m = (struct token_mask){
            .words = words, .n_words = n_words, .trie = t->hash, .configuration = *configuration};
        for (size_t i = 0; i < n_words; i++)
            m->n_tokens += (size_t)__builtin_popcountll(words[i]);
        g->mask_bytes += n_words * sizeof(*words);
        g->automaton.configurations[*configuration].mask = (uint32_t)(m - g->masks);
    }
    m->used = ++g->clock;
    return m;
}

/* Returns how many of the `n` logits remain. */
static size_t apply(uint64_t word, float *logits, size_t n)
{
    if (n < 64)
        word &= ((uint64_t)1 << n) - 1;
    if (word == 0) {
        for (size_t i = 0; i < n; i++)
            logits[i] = -INFINITY;
        return 0;
    }
    uint64_t out = ~word & (n < 64 ? ((uint64_t)1 << n) - 1 : UINT64_MAX);
    for (; out; out &= out - 1)
        logits[__builtin_ctzll(out)] = -INFINITY;
    return (size_t)__builtin_popcountll(word);
}

size_t grammar_matcher_mask(struct grammar_matcher *m, float *logits, size_t n_vocab)
{
    size_t left = 0;
    pthread_mutex_lock(&m->grammar->lock);
    grammar_limit(m->grammar, NULL, 0);
    const struct token_mask *mask = grammar_mask(m->grammar, m->trie, &m->at);
    for (size_t i = 0; i < n_vocab; i += 64)
        left += apply(mask && i / 64 < mask->n_words ? mask->words[i / 64] : 0, logits + i,
            n_vocab - i < 64 ? n_vocab - i : 64);
    pthread_mutex_unlock(&m->grammar->lock);
    return left;
}
