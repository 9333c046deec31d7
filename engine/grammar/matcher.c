/* matcher.c - follows an answer through a grammar, token by token. */
#include "grammar_private.h"

#include <stdlib.h>

/* ---- the grammar's list of matchers, which are at configurations that it must not forget ---- */

void grammar_limit(struct grammar *g, uint32_t *others, size_t n)
{
    size_t count = n + 1;
    if (automaton_bytes(&g->automaton) <= g->most_bytes)
        return;
    for (struct grammar_matcher *m = g->matchers; m; m = m->next)
        count++;
    uint32_t **roots = malloc(count * sizeof(*roots));
    if (!roots)
        return;
    count = 0;
    roots[count++] = &g->start;
    for (size_t i = 0; i < n; i++)
        roots[count++] = &others[i];
    for (struct grammar_matcher *m = g->matchers; m; m = m->next)
        roots[count++] = &m->at;
    grammar_forget_masks(g);
    automaton_keep(&g->automaton, roots, count);
    /* Not again at once when nearly all is in use. */
    size_t twice = 2 * automaton_bytes(&g->automaton);
    g->most_bytes = twice > GRAMMAR_CONFIGURATION_BYTES ? twice : GRAMMAR_CONFIGURATION_BYTES;
    free(roots);
}

/* Leaves the first configuration alone. */
static void forget_all(struct grammar *g)
{
    uint32_t *start = &g->start;
    grammar_forget_masks(g);
    automaton_keep(&g->automaton, &start, 1);
    g->most_bytes = GRAMMAR_CONFIGURATION_BYTES;
}

static void enter(struct grammar_matcher *m)
{
    struct grammar *g = m->grammar;
    m->before = NULL;
    m->next = g->matchers;
    if (m->next)
        m->next->before = m;
    g->matchers = m;
}

struct grammar_matcher *grammar_matcher_new(struct grammar *g, const struct token_trie *t)
{
    struct grammar_matcher *m = malloc(sizeof(*m));
    if (!m)
        return NULL;
    pthread_mutex_lock(&g->lock);
    *m = (struct grammar_matcher){.grammar = grammar_hold(g), .trie = t, .at = g->start};
    enter(m);
    pthread_mutex_unlock(&g->lock);
    return m;
}

struct grammar_matcher *grammar_matcher_fork(const struct grammar_matcher *m)
{
    struct grammar_matcher *new = grammar_matcher_new(m->grammar, m->trie);
    if (!new)
        return NULL;
    pthread_mutex_lock(&m->grammar->lock);
    new->at = m->at;
    pthread_mutex_unlock(&m->grammar->lock);
    return new;
}

void grammar_matcher_free(struct grammar_matcher *m)
{
    if (!m)
        return;
    struct grammar *g = m->grammar;
    pthread_mutex_lock(&g->lock);
    if (m->before)
        m->before->next = m->next;
    else
        g->matchers = m->next;
    if (m->next)
        m->next->before = m->before;
    if (!g->matchers && automaton_bytes(&g->automaton) + g->mask_bytes > GRAMMAR_IDLE_BYTES)
        forget_all(g);
    pthread_mutex_unlock(&g->lock);
    free(m);
    grammar_drop(g);
}

static void lock(struct grammar_matcher *m)
{
    pthread_mutex_lock(&m->grammar->lock);
    grammar_limit(m->grammar, NULL, 0);
}

static void unlock(struct grammar_matcher *m)
{
    pthread_mutex_unlock(&m->grammar->lock);
}

/* ---- tokens ---- */

static bool allows_text(struct grammar *g, uint32_t at, struct span text)
{
    unsigned runs = 0;
    uint16_t tag = 0;
    for (size_t i = 0; i < text.size; i++) {
        struct automaton_edge e = automaton_next(&g->automaton, at, text.at[i]);
        runs += i == 0 || e.tag != tag;
        tag = e.tag;
        at = e.to;
        if (at == CONFIGURATION_DEAD || runs > GRAMMAR_RUNS_MAX)
            return false;
    }
    return true;
}

bool grammar_allows(struct grammar *g, const struct token_trie *t, uint32_t at, int32_t token)
{
    enum token_class class = token >= 0 && (size_t)token < t->n_vocab ? t->classes[token] : TOKEN_NEVER;
    switch (class) {
    case TOKEN_TEXT:
        return allows_text(g, at, token_text(t, token));
    case TOKEN_CONTROL:
        return automaton_token(&g->automaton, at, token, true) != CONFIGURATION_DEAD;
    case TOKEN_END:
        return automaton_accepts(&g->automaton, at) ||
               automaton_token(&g->automaton, at, token, false) != CONFIGURATION_DEAD;
    default:
        return false;
    }
}

bool grammar_matcher_allows(struct grammar_matcher *m, int32_t token)
{
    lock(m);
    bool allowed = grammar_allows(m->grammar, m->trie, m->at, token);
    unlock(m);
    return allowed;
}

struct run_list {
    struct grammar_run *runs; /* [GRAMMAR_RUNS_MAX] */
    size_t n;
};

static void add_run(struct run_list *l, size_t bytes, uint16_t tag)
{
    if (l->n > 0 && l->runs[l->n - 1].tag == tag)
        l->runs[l->n - 1].bytes += bytes;
    else if (l->n < GRAMMAR_RUNS_MAX && bytes > 0)
        l->runs[l->n++] = (struct grammar_run){bytes, tag};
}

/* Takes `bytes` from the end of the list. Returns how many were there. */
static size_t take_back(struct run_list *l, size_t bytes)
{
    size_t taken = 0;
    while (l->n > 0 && taken < bytes) {
        struct grammar_run *last = &l->runs[l->n - 1];
        size_t n = last->bytes < bytes - taken ? last->bytes : bytes - taken;
        taken += n;
        last->bytes -= n;
        l->n -= last->bytes == 0;
    }
    return taken;
}

static size_t accept_text(
    struct grammar_matcher *m, struct span text, struct grammar_run runs[GRAMMAR_RUNS_MAX], size_t *back)
{
    struct run_list l = {.runs = runs};
    for (size_t i = 0; i < text.size; i++) {
        struct automaton_edge e = automaton_next(&m->grammar->automaton, m->at, text.at[i]);
        size_t taken = take_back(&l, e.back);
        *back += e.back - taken;
        add_run(&l, taken + 1, e.tag);
        m->at = e.to;
    }
    return l.n;
}

size_t grammar_matcher_accept(
    struct grammar_matcher *m, int32_t token, struct grammar_run runs[GRAMMAR_RUNS_MAX], size_t *back)
{
    const struct token_trie *t = m->trie;
    enum token_class class = token >= 0 && (size_t)token < t->n_vocab ? t->classes[token] : TOKEN_NEVER;
    size_t n = 0;
    *back = 0;
    lock(m);
    if (class == TOKEN_TEXT) {
        n = accept_text(m, token_text(t, token), runs, back);
    } else {
        bool ends = class == TOKEN_END && automaton_accepts(&m->grammar->automaton, m->at);
        m->at = automaton_token(&m->grammar->automaton, m->at, token, class == TOKEN_CONTROL);
        if (m->at == CONFIGURATION_DEAD && ends)
            m->at = CONFIGURATION_OVER;
    }
    unlock(m);
    return n;
}

bool grammar_matcher_may_end(struct grammar_matcher *m)
{
    pthread_mutex_lock(&m->grammar->lock);
    bool may = automaton_accepts(&m->grammar->automaton, m->at);
    unlock(m);
    return may;
}

bool grammar_matcher_is_over(struct grammar_matcher *m)
{
    pthread_mutex_lock(&m->grammar->lock);
    bool over = m->at == CONFIGURATION_OVER;
    unlock(m);
    return over;
}

size_t grammar_matcher_in_doubt(const struct grammar_matcher *m)
{
    pthread_mutex_lock(&m->grammar->lock);
    size_t bytes = automaton_in_doubt(&m->grammar->automaton, m->at);
    pthread_mutex_unlock(&m->grammar->lock);
    return bytes;
}
