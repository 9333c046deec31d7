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
    for (uint32_t i = 0; i < g->n_masks; i++) {
        free(g->masks[i].words);
        free(g->masks[i].exits);
    }
    g->n_masks = 0;
    g->mask_bytes = 0;
}

/* ---- the walk ---- */

/* A place on the way down the trie, behind a byte. */
struct walk_step {
    uint16_t tag, runs;
};

struct trie_walk {
    struct grammar *g;
    const struct token_trie *t;
    uint32_t *at; /* [depth + 1]: configurations */
    struct walk_step *steps; /* [depth + 1] */
    size_t looked;
    uint64_t *words; /* bits of the tokens that can come next */
    bool local; /* stop where the configuration's stacks are empty, and list these nodes: */
    uint32_t *exits;
    uint32_t n_exits, room_exits;
};

static bool walk_init(struct trie_walk *w, uint32_t configuration)
{
    size_t n = (size_t)w->t->depth + 1;
    w->at = malloc(n * sizeof(*w->at));
    w->steps = malloc(n * sizeof(*w->steps));
    w->words = calloc((w->t->n_vocab + 63) / 64 + 1, sizeof(*w->words));
    if (!w->at || !w->steps || !w->words)
        return false;
    w->at[0] = configuration;
    w->steps[0] = (struct walk_step){0, 0};
    return true;
}

static void walk_release(struct trie_walk *w)
{
    free(w->at);
    free(w->steps);
    free(w->words);
    free(w->exits);
}

/* Goes one byte down to `depth`. False when nothing can follow there. */
static inline bool walk_down(struct trie_walk *w, uint32_t depth, uint8_t byte)
{
    struct automaton *a = &w->g->automaton;
    uint32_t from = w->at[depth - 1];
    const uint64_t *row = a->configurations[from].row;
    bool known = row && row[a->classes[byte]] != EDGE_UNKNOWN;
    struct automaton_edge e = automaton_next(a, from, byte);
    struct walk_step last = w->steps[depth - 1], step = {e.tag, last.runs};
    step.runs = (uint16_t)(last.runs + (depth == 1 || last.tag != e.tag));
    w->looked += a->configurations[from].n + 8 * (size_t)a->configurations[e.to].n;
    if (e.to == CONFIGURATION_DEAD || step.runs > GRAMMAR_RUNS_MAX)
        return false;
    w->at[depth] = e.to;
    w->steps[depth] = step;
    if (!known)
        grammar_limit(w->g, w->at, depth + 1);
    return true;
}

static inline void set_token(int32_t token, uint64_t *words)
{
    words[(uint32_t)token / 64] |= (uint64_t)1 << ((uint32_t)token % 64);
}

static inline void set_tokens(const struct token_trie *t, const struct trie_node *node, uint64_t *words)
{
    if (node->token >= 0)
        set_token(node->token, words);
    for (int32_t token = node->several ? t->same[node->token] : -1; token >= 0; token = t->same[token])
        set_token(token, words);
}

/* Walks nodes [i, end). False without memory. */
static bool walk_nodes(struct trie_walk *w, uint32_t i, uint32_t end)
{
    while (i < end && w->looked < WALK_MOST) {
        const struct trie_node *node = &w->t->nodes[i];
        if (!walk_down(w, node->depth, (uint8_t)node->byte)) {
            i = node->end;
            continue;
        }
        set_tokens(w->t, node, w->words);
        if (w->local && node->end > i + 1 && automaton_accepts(&w->g->automaton, w->at[node->depth])) {
            if (!array_grow(&w->exits, &w->room_exits, (size_t)w->n_exits + 1, sizeof(*w->exits)))
                return false;
            w->exits[w->n_exits++] = i;
            i = node->end;
            continue;
        }
        i++;
    }
    return true;
}

/* Walks what is behind a node, from the root on. */
static void walk_behind(struct trie_walk *w, uint32_t i)
{
    uint32_t some = i, depth = w->t->nodes[i].depth;
    while (w->t->nodes[some].token < 0)
        some++;
    struct span text = token_text(w->t, w->t->nodes[some].token);
    for (uint32_t k = 0; k < depth; k++)
        if (!walk_down(w, k + 1, text.at[k]))
            return;
    walk_nodes(w, i + 1, w->t->nodes[i].end);
}

/* ---- what is kept ---- */

static void release_mask(struct grammar *g, struct token_mask *m)
{
    g->mask_bytes -= m->n_words * sizeof(*m->words) + m->n_exits * sizeof(*m->exits);
    free(m->words);
    free(m->exits);
    *m = (struct token_mask){.words = NULL};
}

/* A place for one more mask: that of the least recently used one when there is no room. NULL without memory. */
static struct token_mask *place_for(struct grammar *g)
{
    if (g->n_masks == 0 || g->mask_bytes <= GRAMMAR_MASK_BYTES) {
        if (!array_grow(&g->masks, &g->room_masks, (size_t)g->n_masks + 1, sizeof(*g->masks)))
            return NULL;
        g->masks[g->n_masks] = (struct token_mask){.words = NULL};
        return &g->masks[g->n_masks++];
    }
    struct token_mask *oldest = &g->masks[0];
    for (uint32_t i = 1; i < g->n_masks; i++)
        if (g->masks[i].used < oldest->used)
            oldest = &g->masks[i];
    release_mask(g, oldest);
    return oldest;
}

static struct token_mask *find_mask(
    struct grammar *g, const struct token_trie *t, uint32_t configuration, bool local)
{
    uint32_t number = g->automaton.configurations[configuration].mask;
    struct token_mask *m = number < g->n_masks ? &g->masks[number] : NULL;
    if (!m || !m->words || m->configuration != configuration || m->trie != t->hash || m->local != local)
        return NULL;
    m->used = ++g->clock;
    return m;
}

/* Keeps the walk's words and exits as a mask. NULL without memory. */
static struct token_mask *keep_mask(struct trie_walk *w, uint32_t configuration)
{
    struct grammar *g = w->g;
    struct token_mask *m = place_for(g);
    if (!m)
        return NULL;
    *m = (struct token_mask){.words = w->words,
        .n_words = (w->t->n_vocab + 63) / 64,
        .trie = w->t->hash,
        .used = ++g->clock,
        .configuration = configuration,
        .local = w->local,
        .exits = w->exits,
        .n_exits = w->n_exits};
    w->words = NULL;
    w->exits = NULL;
    for (size_t i = 0; i < m->n_words; i++)
        m->n_tokens += (size_t)__builtin_popcountll(m->words[i]);
    g->mask_bytes += m->n_words * sizeof(*m->words) + m->n_exits * sizeof(*m->exits);
    g->automaton.configurations[configuration].mask = (uint32_t)(m - g->masks);
    return m;
}

/* The mask of a local configuration. NULL without memory. */
static const struct token_mask *local_mask(struct grammar *g, const struct token_trie *t, uint32_t local)
{
    const struct token_mask *m = find_mask(g, t, local, true);
    struct trie_walk w = {.g = g, .t = t, .local = true};
    if (!m && walk_init(&w, local) && walk_nodes(&w, 0, t->n_nodes))
        m = keep_mask(&w, w.at[0]);
    walk_release(&w);
    return m;
}

/* Finds which texts can come next. False without memory. */
static bool walk_text(struct trie_walk *w, uint32_t *configuration)
{
    struct grammar *g = w->g;
    uint32_t local = automaton_local(&g->automaton, *configuration, w->t->depth);
    const struct token_mask *m = local == *configuration ? NULL : local_mask(g, w->t, local);
    /* A copy, because masks can be forgotten on the way. */
    uint32_t n = m ? m->n_exits : 0, *exits = m ? malloc((n + (size_t)1) * sizeof(*exits)) : NULL;
    if (!walk_init(w, *configuration) || (m && !exits)) {
        free(exits);
        return false;
    }
    if (!m)
        return walk_nodes(w, 0, w->t->n_nodes);
    memcpy(w->words, m->words, m->n_words * sizeof(*m->words));
    if (n > 0)
        memcpy(exits, m->exits, n * sizeof(*exits));
    for (uint32_t i = 0; i < n; i++)
        walk_behind(w, exits[i]);
    free(exits);
    return true;
}

const struct token_mask *grammar_mask(struct grammar *g, const struct token_trie *t, uint32_t *configuration)
{
    const struct token_mask *m = find_mask(g, t, *configuration, false);
    struct trie_walk w = {.g = g, .t = t};
    if (!m && walk_text(&w, configuration)) {
        *configuration = w.at[0];
        for (size_t i = 0; i < t->n_controls; i++)
            if (grammar_allows(g, t, *configuration, t->controls[i]))
                set_token(t->controls[i], w.words);
        m = keep_mask(&w, *configuration);
    }
    walk_release(&w);
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
