/* special.c - finds the special tokens inside a text.
 *
 * The longest special tokens are searched first, in all of the text, then shorter ones in what is left, as in the
 * reference. So there is one pass for each length of special tokens: a few dozen passes for most vocabularies, 256 at most.
 * A pass visits the places at which a token can begin, or, where these are many, the whole text with a rolling hash. The
 * result is one byte for each byte of the text.
 */
#include "tokenizer_private.h"

#include <stdlib.h>
#include <string.h>

#define BASE 0x100000001b3u
#define FEW 8 /* places are listed when there is one in so many bytes at most */

enum taken { /* of a byte; 0: free */
    TAKEN_FIRST = 1, /* the first byte that belongs to a token */
    TAKEN_SPACE = 2, /* white space beside the token's text */
    TAKEN_TOKEN = 4, /* the token's own text */
};

/* --- The table --- */

static bool is_listed(const struct vocab_token *t)
{
    return t->kind == TOKEN_CONTROL || t->kind == TOKEN_USER_DEFINED || t->kind == TOKEN_UNKNOWN;
}

static uint64_t hash_of(const uint8_t *at, size_t size)
{
    uint64_t h = 0;
    for (size_t i = 0; i < size; i++)
        h = h * BASE + at[i] + 1;
    return h;
}

static size_t home_of(const struct specials *x, uint64_t hash)
{
    return (size_t)(hash * 0x9e3779b97f4a7c15u >> 32) & x->mask;
}

struct sized {
    size_t size;
    int32_t id;
};

static int compare_sizes(const void *a, const void *b)
{
    const struct sized *x = a, *y = b;
    if (x->size != y->size)
        return x->size < y->size ? 1 : -1;
    return x->id < y->id ? -1 : 1;
}

static bool insert(struct specials *x, const struct vocabulary *v, int32_t id, struct error *err)
{
    struct span text = vocabulary_text(v, (size_t)id);
    uint64_t hash = hash_of(text.at, text.size);
    size_t at = home_of(x, hash), steps = 0;
    while (x->slots[at].id != TOKENIZER_NONE && ++steps < PROBES_MAX)
        at = (at + 1) & x->mask;
    if (steps == PROBES_MAX)
        return error_set(err, "too many of the vocabulary's special tokens collide");
    x->slots[at].hash = hash;
    x->slots[at].id = id;
    for (unsigned next = 0; next < 256; next++)
        if (text.size == 1 || text.at[1] == next)
            bits_set(x->starts, (size_t)text.at[0] << 8 | next);
    return true;
}

/* Lists the special tokens in `sized`. Refuses one that is too long. */
static bool list(struct sized *sized, size_t *n, const struct vocabulary *v, struct error *err)
{
    *n = 0;
    for (size_t i = 0; i < v->n; i++) {
        const struct vocab_token *t = &v->tokens[i];
        if (!is_listed(t) || t->size == 0)
            continue;
        if (t->size > SPECIAL_BYTES_MAX)
            return error_set(err, "special token %zu has a text of %u bytes; %d is the most", i,
                (unsigned)t->size, SPECIAL_BYTES_MAX);
        sized[(*n)++] = (struct sized){t->size, (int32_t)i};
    }
    return true;
}

static bool fill(struct specials *x, const struct vocabulary *v, const struct sized *sized, struct error *err)
{
    x->mask = vocabulary_slots(2 * x->n) - 1;
    x->ids = malloc((x->n + 1) * sizeof(*x->ids));
    x->slots = malloc((x->mask + 1) * sizeof(*x->slots));
    if (!x->ids || !x->slots)
        return error_set(err, "no memory for %zu special tokens", x->n);
    memset(x->slots, 0xff, (x->mask + 1) * sizeof(*x->slots)); /* every id TOKENIZER_NONE */
    for (size_t i = 0; i < x->n; i++) {
        x->ids[i] = sized[i].id;
        if (!insert(x, v, sized[i].id, err))
            return false;
    }
    return true;
}

bool specials_init(struct specials *x, const struct vocabulary *v, struct error *err)
{
    size_t n = 0;
    for (size_t i = 0; i < v->n; i++)
        n += is_listed(&v->tokens[i]);
    struct sized *sized = malloc((n + 1) * sizeof(*sized));
    if (!sized)
        return error_set(err, "no memory for %zu special tokens", n);
    bool good = list(sized, &x->n, v, err);
    if (good) {
        qsort(sized, x->n, sizeof(*sized), compare_sizes);
        good = fill(x, v, sized, err);
    }
    free(sized);
    return good;
}

void specials_release(struct specials *x)
{
    free(x->ids);
    free(x->slots);
}

/* --- The search --- */

struct special_search {
    const struct tokenizer *t;
    const struct specials *x;
    const struct tokenizer_text *in;
    uint8_t *taken; /* [text.size] of enum taken */
    uint32_t *places; /* [n_places] at which a token can begin; NULL: too many to list */
    size_t n_places;
};

/* The special token whose text this is, or TOKENIZER_NONE. */
static int32_t find(const struct tokenizer *t, struct span text, uint64_t hash)
{
    const struct specials *x = &t->specials;
    for (size_t i = home_of(x, hash); x->slots[i].id != TOKENIZER_NONE; i = (i + 1) & x->mask) {
        if (x->slots[i].hash != hash)
            continue;
        struct span own = vocabulary_text(&t->vocabulary, (size_t)x->slots[i].id);
        if (own.size == text.size && memcmp(own.at, text.at, text.size) == 0)
            return x->slots[i].id;
    }
    return TOKENIZER_NONE;
}

/* User-defined tokens are recognized in any text, except that text of messages does not become those of the guard. Marks
 * are recognized where special tokens are parsed, in the template's text. */
static bool is_allowed(const struct special_search *s, int32_t id, size_t at, size_t size)
{
    bool user = s->t->vocabulary.tokens[id].kind == TOKEN_USER_DEFINED, templates = true, answers = true;
    for (size_t i = at; s->in->trusted && i < at + size; i++) {
        templates = templates && s->in->trusted[i] == TOKENIZER_BY_TEMPLATE;
        answers = answers && s->in->trusted[i] != TOKENIZER_BY_OTHERS;
    }
    if (!user)
        return s->in->parse_special && templates;
    if (templates)
        return true;
    return answers ? !tokenizer_is_guarded_in_answer(s->t, s->in->guard, id)
                   : !tokenizer_is_guarded(s->t, s->in->guard, id);
}

/* White space of ASCII. */
static bool is_space(uint8_t byte)
{
    return byte == ' ' || (byte >= '\t' && byte <= '\r');
}

static void take(struct special_search *s, int32_t id, size_t from, size_t to)
{
    const struct vocab_token *t = &s->t->vocabulary.tokens[id];
    const uint8_t *text = s->in->text.at;
    memset(s->taken + from, TAKEN_TOKEN, to - from);
    while (t->strip_left && from > 0 && is_space(text[from - 1]) && !s->taken[from - 1])
        s->taken[--from] = TAKEN_SPACE;
    while (t->strip_right && to < s->in->text.size && is_space(text[to]) && !s->taken[to])
        s->taken[to++] = TAKEN_SPACE;
    s->taken[from] |= TAKEN_FIRST;
}

/* Whether a special token can begin here. */
static bool may_begin(const struct specials *x, struct span text, size_t at)
{
    uint8_t next = at + 1 < text.size ? text.at[at + 1] : 0;
    return bits_hold(x->starts, (size_t)text.at[at] << 8 | next);
}

/* Tokens that were found before are at least as long, so only the first and the last byte have to be free. */
static void look(struct special_search *s, size_t at, size_t size, uint64_t hash)
{
    if (s->taken[at] || s->taken[at + size - 1])
        return;
    int32_t id = find(s->t, (struct span){s->in->text.at + at, size}, hash);
    if (id != TOKENIZER_NONE && is_allowed(s, id, at, size))
        take(s, id, at, at + size);
}

/* One pass over all of the text, for the tokens of this length. */
static void walk(struct special_search *s, size_t size)
{
    const uint8_t *text = s->in->text.at;
    uint64_t leaving = 1, hash = 0; /* `leaving` is the weight of the byte that leaves the window */
    for (size_t i = 0; i < size; i++)
        leaving *= BASE;
    for (size_t end = 0; end < s->in->text.size; end++) {
        hash = hash * BASE + text[end] + 1;
        if (end >= size)
            hash -= leaving * (text[end - size] + 1u);
        if (end + 1 >= size && may_begin(s->x, s->in->text, end + 1 - size))
            look(s, end + 1 - size, size, hash);
    }
}

/* One pass over the few places at which a token can begin. */
static void visit(struct special_search *s, size_t size)
{
    for (size_t i = 0; i < s->n_places && s->places[i] + size <= s->in->text.size; i++)
        look(s, s->places[i], size, hash_of(s->in->text.at + s->places[i], size));
}

/* Lists the places at which a special token can begin, when they are few. False when memory is short. */
static bool list_places(struct special_search *s, size_t n)
{
    if (n > s->in->text.size / FEW)
        return true;
    s->places = malloc(n * sizeof(*s->places));
    for (size_t at = 0; s->places && s->n_places < n; at++)
        if (may_begin(s->x, s->in->text, at))
            s->places[s->n_places++] = (uint32_t)at;
    return s->places != NULL;
}

bool specials_find(
    const struct tokenizer *t, const struct tokenizer_text *in, uint8_t **taken, struct error *err)
{
    const struct specials *x = &t->specials;
    size_t n = 0;
    *taken = NULL;
    for (size_t at = 0; at < in->text.size; at++)
        n += may_begin(x, in->text, at);
    if (n == 0)
        return true;
    struct special_search s = {.t = t, .x = x, .in = in, .taken = calloc(in->text.size, 1)};
    if (!s.taken || !list_places(&s, n)) {
        free(s.taken);
        return error_no_memory(err, "a text of this length");
    }
    for (size_t i = 0, last = 0; i < x->n; i++) {
        size_t size = t->vocabulary.tokens[x->ids[i]].size;
        if (size != last && size <= in->text.size)
            (s.places ? visit : walk)(&s, size);
        last = size;
    }
    free(s.places);
    *taken = s.taken;
    return true;
}

bool specials_next(const struct tokenizer *t, const struct tokenizer_text *in, const uint8_t *taken,
    size_t *at, struct special_found *found)
{
    size_t i = *at, size = in->text.size;
    while (taken && i < size && !taken[i])
        i++;
    if (!taken || i == size)
        return false;
    found->from = i;
    struct span own = {in->text.at + i, 0};
    do {
        if (own.size == 0)
            own.at = in->text.at + i;
        own.size += (taken[i++] & TAKEN_TOKEN) != 0;
    } while (i < size && taken[i] && !(taken[i] & TAKEN_FIRST));
    found->to = *at = i;
    found->id = find(t, own, hash_of(own.at, own.size));
    return true;
}
