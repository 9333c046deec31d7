/* grammars.c - a model's vocabulary as a trie, and the grammars that were made for it lately.
 *
 * Agents send the same tools with each turn. A grammar is kept with what it was made from, whole, since a hash alone could
 * be made to collide. Both are bounded; the one that was not used for longest goes first.
 */
#include "text_model_private.h"

#include <pthread.h>
#include <stdlib.h>
#include <string.h>

#define KEPT_MAX 32
#define KEPT_BYTES ((size_t)16 << 20) /* of sources and grammars together, without the grammars' own caches */
#define SOURCE_MAX ((size_t)1 << 20) /* bytes of a source that is kept */

/* ---- the vocabulary ---- */

static enum token_class read_token(void *context, int32_t id, struct strbuf *out)
{
    const struct tokenizer *t = context;
    size_t before = out->size;
    bool special = tokenizer_is_special(t, id);
    tokenizer_piece(t, id, special || tokenizer_is_end(t, id), out);
    if (tokenizer_is_end(t, id))
        return TOKEN_END;
    if (special)
        return id == tokenizer_special(t, TOKENIZER_UNKNOWN) ? TOKEN_NEVER : TOKEN_CONTROL;
    return out->size > before ? TOKEN_TEXT : TOKEN_NEVER;
}

const struct token_trie *text_model_vocabulary(struct text_model *m, struct error *err)
{
    struct token_trie *known = atomic_load_explicit(&m->trie, memory_order_acquire);
    if (known)
        return known;
    size_t n = decoder_n_vocab(m->decoder), named = tokenizer_size(m->tokenizer);
    struct token_trie *made = token_trie_new(n < named ? n : named, read_token, m->tokenizer, err);
    if (!made)
        return NULL;
    if (atomic_compare_exchange_strong(&m->trie, &known, made))
        return made;
    token_trie_free(made);
    return known;
}

const struct token_trie *text_model_trie(const struct text_model *m)
{
    return atomic_load_explicit(&m->trie, memory_order_acquire);
}

/* ---- kept grammars ---- */

struct kept_grammar {
    struct grammar *grammar; /* NULL: a free place */
    char *source; /* [size], owned */
    size_t size;
    uint64_t used;
    struct json_notes notes;
};

struct kept_grammars {
    pthread_mutex_t lock; /* protects the members below */
    struct kept_grammar at[KEPT_MAX];
    uint64_t clock;
    size_t bytes;
};

struct kept_grammars *kept_grammars_new(void)
{
    struct kept_grammars *k = calloc(1, sizeof(*k));
    if (k)
        pthread_mutex_init(&k->lock, NULL);
    return k;
}

static size_t bytes_of(const struct kept_grammar *one)
{
    return one->size + grammar_bytes(one->grammar);
}

static void drop(struct kept_grammars *k, struct kept_grammar *one)
{
    if (!one->grammar)
        return;
    k->bytes -= bytes_of(one);
    grammar_drop(one->grammar);
    free(one->source);
    *one = (struct kept_grammar){0};
}

void kept_grammars_free(struct kept_grammars *k)
{
    if (!k)
        return;
    for (size_t i = 0; i < KEPT_MAX; i++)
        drop(k, &k->at[i]);
    pthread_mutex_destroy(&k->lock);
    free(k);
}

static struct kept_grammar *find(struct kept_grammars *k, struct span source)
{
    for (size_t i = 0; i < KEPT_MAX; i++)
        if (k->at[i].grammar && k->at[i].size == source.size &&
            memcmp(k->at[i].source, source.at, source.size) == 0)
            return &k->at[i];
    return NULL;
}

struct grammar *text_model_find_grammar(struct text_model *m, struct span source, struct json_notes *notes)
{
    struct kept_grammars *k = m->grammars;
    pthread_mutex_lock(&k->lock);
    struct kept_grammar *one = find(k, source);
    if (one) {
        one->used = ++k->clock;
        *notes = one->notes;
    }
    struct grammar *g = one ? grammar_hold(one->grammar) : NULL;
    pthread_mutex_unlock(&k->lock);
    return g;
}

/* The place that was not used for longest. A free one was never used; with `kept` it is passed over. */
static struct kept_grammar *least_used(struct kept_grammars *k, bool kept)
{
    struct kept_grammar *found = NULL;
    for (size_t i = 0; i < KEPT_MAX; i++)
        if ((!kept || k->at[i].grammar) && (!found || k->at[i].used < found->used))
            found = &k->at[i];
    return found;
}

void text_model_keep_grammar(
    struct text_model *m, struct span source, struct grammar *g, const struct json_notes *notes)
{
    struct kept_grammars *k = m->grammars;
    size_t bytes = source.size + grammar_bytes(g);
    if (source.size == 0 || source.size > SOURCE_MAX || bytes > KEPT_BYTES)
        return;
    char *copy = malloc(source.size);
    if (!copy)
        return;
    memcpy(copy, source.at, source.size);
    pthread_mutex_lock(&k->lock);
    if (find(k, source)) {
        free(copy);
    } else {
        while (k->bytes + bytes > KEPT_BYTES)
            drop(k, least_used(k, true));
        struct kept_grammar *one = least_used(k, false);
        drop(k, one);
        *one = (struct kept_grammar){grammar_hold(g), copy, source.size, ++k->clock, *notes};
        k->bytes += bytes;
    }
    pthread_mutex_unlock(&k->lock);
}
