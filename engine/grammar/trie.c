/* trie.c - a vocabulary as a trie of its tokens' bytes, in preorder, so that a walk over it is a loop. */
#include "grammar_private.h"

#include <stdlib.h>
#include <string.h>

#define TEXT_MOST ((size_t)1 << 30) /* of all tokens together */
#define TOKEN_LONGEST ((size_t)1 << 20) /* longer ones are never generated */

/* ---- reading ---- */

static bool read_tokens(struct token_trie *t, token_trie_read *read, void *context, struct strbuf *out)
{
    for (size_t i = 0; i < t->n_vocab; i++) {
        size_t before = out->size;
        t->offsets[i] = (uint32_t)before;
        t->same[i] = -1;
        enum token_class class = read(context, (int32_t)i, out);
        size_t size = out->size - before;
        if (class == TOKEN_TEXT && (size == 0 || size > TOKEN_LONGEST))
            class = TOKEN_NEVER;
        if (class == TOKEN_NEVER)
            strbuf_cut(out, before);
        if (out->failed)
            return false;
        t->classes[i] = (uint8_t) class;
        t->n_controls += class == TOKEN_CONTROL || class == TOKEN_END;
    }
    t->offsets[t->n_vocab] = (uint32_t)out->size;
    return true;
}

/* ---- sorting ---- */

struct sorted_token {
    uint64_t key; /* the first bytes, the first one highest */
    int32_t id;
};

static uint64_t key_of(struct span s)
{
    uint64_t key = 0;
    for (size_t i = 0; i < 8; i++)
        key = key << 8 | (i < s.size ? s.at[i] : 0);
    return key;
}

static bool is_before(const struct token_trie *t, const struct sorted_token *a, const struct sorted_token *b)
{
    if (a->key != b->key)
        return a->key < b->key;
    return span_compare(token_text(t, a->id), token_text(t, b->id)) < 0;
}

/* Merges runs of doubling length. Returns which of the two arrays holds the result. */
static struct sorted_token *sort_tokens(
    const struct token_trie *t, struct sorted_token *from, struct sorted_token *to, size_t n)
{
    for (size_t run = 1; run < n; run *= 2) {
        for (size_t start = 0; start < n; start += 2 * run) {
            size_t a = start, middle = start + run < n ? start + run : n;
            size_t b = middle, end = middle + run < n ? middle + run : n;
            for (size_t i = start; i < end; i++)
                to[i] = a < middle && (b >= end || !is_before(t, &from[b], &from[a])) ? from[a++] : from[b++];
        }
        struct sorted_token *other = from;
        from = to;
        to = other;
    }
    return from;
}

/* ---- nodes ---- */

static size_t common(struct span a, struct span b)
{
    size_t n = 0;
    while (n < a.size && n < b.size && a.at[n] == b.at[n])
        n++;
    return n;
}

/* Makes the nodes of sorted tokens. */
static bool make_nodes(struct token_trie *t, const struct sorted_token *list, size_t n)
{
    struct span last = {NULL, 0};
    size_t n_nodes = 0, depth = 0, longest = 0;
    for (size_t i = 0; i < n; i++) {
        struct span s = token_text(t, list[i].id);
        n_nodes += s.size - common(last, s);
        longest = s.size > longest ? s.size : longest;
        last = s;
    }
    uint32_t *path = malloc((longest + 1) * sizeof(*path));
    t->nodes = malloc((n_nodes + 1) * sizeof(*t->nodes));
    t->depth = (uint32_t)longest;
    last.size = 0;
    for (size_t i = 0; path && t->nodes && i < n; i++) {
        struct span s = token_text(t, list[i].id);
        for (size_t same = common(last, s); depth > same; depth--)
            t->nodes[path[depth - 1]].end = t->n_nodes;
        for (; depth < s.size; depth++) {
            path[depth] = t->n_nodes;
            t->nodes[t->n_nodes++] =
                (struct trie_node){.token = -1, .byte = s.at[depth], .depth = (depth + 1) & 0x7fffff};
        }
        struct trie_node *node = &t->nodes[path[s.size - 1]];
        t->same[list[i].id] = node->token;
        node->several = node->token >= 0;
        node->token = list[i].id;
        last = s;
    }
    for (; path && t->nodes && depth > 0; depth--)
        t->nodes[path[depth - 1]].end = t->n_nodes;
    bool good = path && t->nodes;
    free(path);
    return good;
}

static bool sort_and_make(struct token_trie *t)
{
    struct sorted_token *list = malloc((t->n_vocab + 1) * 2 * sizeof(*list));
    t->controls = malloc((t->n_controls + 1) * sizeof(*t->controls));
    size_t n = 0, k = 0;
    for (size_t i = 0; list && t->controls && i < t->n_vocab; i++) {
        if (t->classes[i] == TOKEN_TEXT)
            list[n++] = (struct sorted_token){key_of(token_text(t, (int32_t)i)), (int32_t)i};
        else if (t->classes[i] != TOKEN_NEVER)
            t->controls[k++] = (int32_t)i;
    }
    bool good = list && t->controls && make_nodes(t, sort_tokens(t, list, list + t->n_vocab, n), n);
    free(list);
    return good;
}

static bool fill(struct token_trie *t, token_trie_read *read, void *context)
{
    struct strbuf text;
    size_t n = t->n_vocab;
    t->classes = malloc(n + 1);
    t->offsets = malloc((n + 1) * sizeof(*t->offsets));
    t->same = malloc((n + 1) * sizeof(*t->same));
    if (!t->classes || !t->offsets || !t->same)
        return false;
    strbuf_init(&text, TEXT_MOST);
    size_t size;
    bool good = read_tokens(t, read, context, &text);
    t->text = (uint8_t *)strbuf_take(&text, &size);
    if (!good || !t->text || !sort_and_make(t))
        return false;
    uint8_t *exact = realloc(t->text, size + 1);
    t->text = exact ? exact : t->text;
    uint32_t a = hash_of(t->text, size, 0), b = hash_of(t->offsets, (n + 1) * sizeof(*t->offsets), a);
    t->hash = (uint64_t)b << 32 | hash_of(t->classes, n, a);
    return true;
}

struct token_trie *token_trie_new(size_t n_vocab, token_trie_read *read, void *context, struct error *err)
{
    struct token_trie *t = n_vocab < INT32_MAX ? calloc(1, sizeof(*t)) : NULL;
    if (t)
        t->n_vocab = n_vocab;
    if (t && fill(t, read, context))
        return t;
    token_trie_free(t);
    error_no_memory(err, "the tokens as a trie");
    return NULL;
}

void token_trie_free(struct token_trie *t)
{
    if (!t)
        return;
    free(t->classes);
    free(t->text);
    free(t->offsets);
    free(t->same);
    free(t->nodes);
    free(t->controls);
    free(t);
}

size_t token_trie_bytes(const struct token_trie *t)
{
    return sizeof(*t) + t->n_vocab * (1 + sizeof(*t->offsets) + sizeof(*t->same)) + t->offsets[t->n_vocab] +
           t->n_nodes * sizeof(*t->nodes) + t->n_controls * sizeof(*t->controls);
}

int32_t token_trie_control(const struct token_trie *t, struct span text)
{
    for (size_t i = 0; text.size > 0 && i < t->n_controls; i++)
        if (span_compare(token_text(t, t->controls[i]), text) == 0)
            return t->controls[i];
    return -1;
}
