/* regex.c - from the tree of an expression to its automaton. */
#include "regex.h"

#include "parse.h"

#include <string.h>

#define PLACES 8192
#define STATES 4096

/* A place in the expression. */
struct place {
    enum { TRY, READ, AHEAD, DONE } kind; /* TRY: go on at `to`, or else at `other` */
    const bool *set; /* of READ and AHEAD */
    int to, other;
};

/* A list of places, the preferred one first. */
struct state {
    int n, *places;
};

struct compiler {
    struct alphabet alphabet;
    struct place places[PLACES];
    int n_places, *class_of, *first_of; /* of each member of the alphabet; of each class a member */
    struct state states[STATES];
    size_t n_states, n_classes;
    bool *seen; /* [PLACES] */
};

/* --- Places --- */

static int add_place(struct compiler *c, struct place place)
{
    if (c->n_places == PLACES)
        fail("an expression that is too long", "");
    c->places[c->n_places] = place;
    return c->n_places++;
}

/* Makes the places of a tree, after which the match goes on at `next`. Returns the first one. */
static int place_tree(struct compiler *c, const struct tree *t, int next)
{
    switch (t->kind) {
    case EMPTY:
        return next;
    case SET:
        return add_place(c, (struct place){READ, t->set, next, 0});
    case LOOK:
        return add_place(c, (struct place){AHEAD, t->set, next, 0});
    case JOINED:
        return place_tree(c, t->left, place_tree(c, t->right, next));
    case EITHER: {
        int right = place_tree(c, t->right, next);
        return add_place(c, (struct place){TRY, NULL, place_tree(c, t->left, next), right});
    }
    case REPEATED:
        break;
    }
    int at = next;
    if (t->most < 0) {
        at = add_place(c, (struct place){TRY, NULL, 0, next});
        c->places[at].to = place_tree(c, t->left, at);
    }
    for (int i = t->least; i < t->most; i++)
        at = add_place(c, (struct place){TRY, NULL, place_tree(c, t->left, at), next});
    for (int i = 0; i < t->least; i++)
        at = place_tree(c, t->left, at);
    return at;
}

/* --- Classes --- */

static bool is_told_apart(const struct compiler *c, size_t a, size_t b)
{
    if (a == c->alphabet.size - 1 || b == c->alphabet.size - 1)
        return a != b;
    for (int i = 0; i < c->n_places; i++)
        if (c->places[i].set && c->places[i].set[a] != c->places[i].set[b])
            return true;
    return false;
}

static void find_classes(struct compiler *c)
{
    c->class_of = need(c->alphabet.size, sizeof(int));
    c->first_of = need(c->alphabet.size, sizeof(int));
    for (size_t i = 0; i < c->alphabet.size; i++) {
        size_t class = 0;
        while (class < c->n_classes && is_told_apart(c, (size_t)c->first_of[class], i))
            class++;
        if (class == c->n_classes)
            c->first_of[c->n_classes++] = (int)i;
        c->class_of[i] = (int)class;
    }
    if (c->n_classes > 255)
        fail("an expression with too many classes", "");
}

/* --- States --- */

static size_t find_state(struct compiler *c, const int *places, int n)
{
    for (size_t i = 0; i < c->n_states; i++)
        if (c->states[i].n == n && memcmp(c->states[i].places, places, (size_t)n * sizeof(int)) == 0)
            return i;
    if (c->n_states == STATES)
        fail("an expression with too many states", "");
    struct state *s = &c->states[c->n_states];
    s->n = n;
    s->places = need((size_t)n, sizeof(int));
    memcpy(s->places, places, (size_t)n * sizeof(int));
    return c->n_states++;
}

/* Goes on from a place, reading `member`: appends the places after it to `found`, in order of preference. True when the
 * expression has matched: what comes after that is of no account. */
static bool go_on(struct compiler *c, int at, int member, bool *entered, int *found, int *n)
{
    const struct place *p = &c->places[at];
    if (entered[at])
        return false;
    entered[at] = true;
    switch (p->kind) {
    case DONE:
        return true;
    case TRY:
        return go_on(c, p->to, member, entered, found, n) || go_on(c, p->other, member, entered, found, n);
    case AHEAD:
        return p->set[member] && go_on(c, p->to, member, entered, found, n);
    case READ:
        break;
    }
    if (p->set[member] && !c->seen[p->to]) {
        c->seen[p->to] = true;
        found[(*n)++] = p->to;
    }
    return false;
}

/* The step of a state for a class. */
static size_t step(struct compiler *c, const struct state *s, size_t class, bool *matched)
{
    static bool entered[PLACES];
    static int found[PLACES];
    int n = 0;
    memset(c->seen, 0, PLACES);
    memset(entered, 0, sizeof(entered));
    *matched = false;
    for (int i = 0; i < s->n && !*matched; i++)
        *matched = go_on(c, s->places[i], c->first_of[class], entered, found, &n);
    return find_state(c, found, n);
}

/* --- The smallest automaton --- */

static bool is_same(const struct automaton *a, const size_t *group, size_t x, size_t y)
{
    for (size_t i = 0; i < a->n_classes; i++) {
        size_t at = x * a->n_classes + i, other = y * a->n_classes + i;
        if (a->matched[at] != a->matched[other] || group[a->next[at]] != group[a->next[other]])
            return false;
    }
    return true;
}

/* Splits groups of states until the states of a group do the same, and leaves one state of each. State 0 and the first
 * state come first. */
static void merge_states(struct automaton *a)
{
    size_t *group = need(a->n_states, sizeof(size_t)), *finer = need(a->n_states, sizeof(size_t));
    size_t *first = need(a->n_states, sizeof(size_t)), n = 1, before = 0;
    while (n != before) {
        before = n;
        n = 0;
        for (size_t s = 0; s < a->n_states; s++) {
            size_t g = 0;
            while (g < n && !(group[first[g]] == group[s] && is_same(a, group, first[g], s)))
                g++;
            if (g == n)
                first[n++] = s;
            finer[s] = g;
        }
        memcpy(group, finer, a->n_states * sizeof(size_t));
    }
    for (size_t g = 0; g < n; g++)
        for (size_t i = 0; i < a->n_classes; i++) {
            size_t from = first[g] * a->n_classes + i;
            a->next[g * a->n_classes + i] = (int)group[a->next[from]];
            a->matched[g * a->n_classes + i] = a->matched[from];
        }
    a->n_states = n;
}

/* --- The whole --- */

static bool is_equal_row(const struct compiler *c, size_t a, size_t b)
{
    return memcmp(c->class_of + ASCII + a * CATEGORIES, c->class_of + ASCII + b * CATEGORIES,
               CATEGORIES * sizeof(int)) == 0;
}

/* The classes of code points, without the cuts that tell none apart. */
static void name_classes(struct automaton *a, const struct compiler *c)
{
    memcpy(a->ascii, c->class_of, sizeof(a->ascii));
    a->cuts = need(c->alphabet.n_cuts, sizeof(uint32_t));
    a->classes = need((c->alphabet.n_cuts + 1) * CATEGORIES, sizeof(int));
    for (size_t i = 0; i <= c->alphabet.n_cuts; i++) {
        if (i && is_equal_row(c, i, i - 1))
            continue;
        if (i)
            a->cuts[a->n_cuts++] = c->alphabet.cuts[i - 1];
        memcpy(a->classes + a->n_cuts * CATEGORIES, c->class_of + ASCII + i * CATEGORIES,
            CATEGORIES * sizeof(int));
    }
}

struct automaton *regex_compile(const char *text)
{
    struct compiler *c = need(1, sizeof(*c));
    struct automaton *a = need(1, sizeof(*a));
    const struct tree *tree = parse(text, &c->alphabet);
    int done = add_place(c, (struct place){DONE, NULL, 0, 0}), start = place_tree(c, tree, done);
    c->seen = need(PLACES, 1);
    find_classes(c);
    a->n_classes = c->n_classes;
    a->next = need(STATES * c->n_classes, sizeof(int));
    a->matched = need(STATES * c->n_classes, 1);
    find_state(c, &start, 0);
    find_state(c, &start, 1);
    for (size_t s = 0; s < c->n_states; s++)
        for (size_t i = 0; i < c->n_classes; i++)
            a->next[s * c->n_classes + i] = (int)step(c, &c->states[s], i, &a->matched[s * c->n_classes + i]);
    a->n_states = c->n_states;
    merge_states(a);
    name_classes(a, c);
    return a;
}
