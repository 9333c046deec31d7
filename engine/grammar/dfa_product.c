/* dfa_product.c - intersects and subtracts regular expressions, by running both side by side. */
#include "dfa_private.h"

#include <stdlib.h>
#include <string.h>

static const struct automaton_limits limits = {
    .stacks = 1 << 16, .steps = 1 << 19, .bytes = (size_t)64 << 20};

#define EDGES_MOST ((size_t)1 << 23) /* of a result */
#define WORK_MOST ((size_t)1 << 26) /* stacks and steps that are looked at: about a second */

#define TOO_LARGE "a regular expression is too large, or too ambiguous, to be combined with another one"

struct dfa_product {
    struct grammar_builder *b;
    struct automaton a;
    bool subtract, test; /* test: it is enough to know that any text matches */
    struct pair {
        uint32_t one, other; /* configurations */
    } * pairs;
    struct hash_index index;
    uint32_t *next; /* [n][n_classes]: pair + 1, or 0 */
    uint8_t *accepts;
    uint32_t n, room_pairs, room_next, room_accepts;
    bool matches; /* a pair accepts */
    size_t work;
};

static void product_release(struct dfa_product *x)
{
    automaton_release(&x->a);
    free(x->pairs);
    free(x->index.slots);
    free(x->next);
    free(x->accepts);
}

/* The number of the pair + 1; 0 when no text can match behind it, or when the builder has failed. */
static uint32_t pair_number(struct dfa_product *x, struct pair p)
{
    struct grammar_builder *b = x->b;
    uint32_t hash = hash_of(&p, sizeof(p), 0), at = 0, item;
    if (p.one == CONFIGURATION_DEAD || (!x->subtract && p.other == CONFIGURATION_DEAD))
        return 0;
    while ((item = hash_index_next(&x->index, hash, &at)) != NO_INDEX)
        if (memcmp(&x->pairs[item], &p, sizeof(p)) == 0)
            return item + 1;
    if (x->n >= b->most_states - b->states) {
        builder_count(b, b->most_states);
        return 0;
    }
    size_t edges = ((size_t)x->n + 1) * x->a.n_classes;
    if (edges > EDGES_MOST || x->work > WORK_MOST) {
        grammar_builder_fail(b, TOO_LARGE);
        return 0;
    }
    if (!array_grow(&x->pairs, &x->room_pairs, (size_t)x->n + 1, sizeof(*x->pairs)) ||
        !array_grow(&x->accepts, &x->room_accepts, (size_t)x->n + 1, 1) ||
        !array_grow(&x->next, &x->room_next, edges, sizeof(*x->next)) ||
        !hash_index_add(&x->index, hash, x->n)) {
        grammar_builder_no_memory(b);
        return 0;
    }
    x->pairs[x->n] = p;
    x->accepts[x->n] = automaton_accepts(&x->a, p.one) && automaton_accepts(&x->a, p.other) != x->subtract;
    x->matches |= x->accepts[x->n];
    return ++x->n;
}

static bool step_failed(struct dfa_product *x)
{
    x->work += x->a.steps + x->a.n_found + 1;
    if (x->a.full || x->a.cut)
        grammar_builder_fail(x->b, TOO_LARGE);
    else if (x->a.no_memory)
        grammar_builder_no_memory(x->b);
    return x->b->failed;
}

static void explore(struct dfa_product *x, grammar_node one, grammar_node other)
{
    struct pair p;
    p.one = automaton_start(&x->a, one);
    bool failed = step_failed(x);
    p.other = failed ? CONFIGURATION_DEAD : automaton_start(&x->a, other);
    if (step_failed(x) || pair_number(x, p) == 0)
        return;
    for (uint32_t i = 0; i < x->n && !(x->test && x->matches); i++)
        for (uint32_t c = 0; c < x->a.n_classes; c++) {
            struct pair from = x->pairs[i];
            p.one = automaton_next(&x->a, from.one, x->a.sample[c]).to;
            if (step_failed(x))
                return;
            p.other = automaton_next(&x->a, from.other, x->a.sample[c]).to;
            if (step_failed(x))
                return;
            uint32_t to = pair_number(x, p);
            if (x->b->failed)
                return;
            x->next[(size_t)i * x->a.n_classes + c] = to;
        }
}

/* Numbers the states from which a text can match, from 1 in their order; others get 0. Returns how many; 0 without memory
 * too, with the builder failed. */
static uint32_t number_live(struct dfa_product *x, uint32_t *number)
{
    uint32_t k = x->a.n_classes, n = 0, live = 0;
    uint32_t *first = calloc((size_t)x->n + 2, sizeof(*first)); /* of each state, where its sources begin */
    uint32_t *sources = malloc(((size_t)x->n * k + 1) * sizeof(*sources));
    uint32_t *list = malloc(((size_t)x->n + 1) * sizeof(*list));
    if (first && sources && list) {
        for (size_t i = 0; i < (size_t)x->n * k; i++)
            first[x->next[i] + 1] += x->next[i] != 0;
        for (uint32_t i = 1; i <= x->n; i++)
            first[i + 1] += first[i];
        for (size_t i = 0; i < (size_t)x->n * k; i++)
            if (x->next[i])
                sources[first[x->next[i]]++] =
                    (uint32_t)(i / k); /* first[i] becomes the end of i's sources */
        for (uint32_t i = 0; i < x->n; i++)
            if (x->accepts[i])
                number[list[n++] = i] = 1;
        for (uint32_t i = 0; i < n; i++)
            for (uint32_t s = first[list[i]]; s < first[list[i] + 1]; s++)
                if (number[sources[s]] == 0)
                    number[list[n++] = sources[s]] = 1;
        for (uint32_t i = 0; i < x->n; i++)
            number[i] = number[i] ? ++live : 0;
    } else {
        grammar_builder_no_memory(x->b);
    }
    free(first);
    free(sources);
    free(list);
    return live;
}

/* The live states as an automaton of their own. */
static grammar_node finish(struct dfa_product *x)
{
    uint32_t k = x->a.n_classes;
    uint32_t *number = calloc((size_t)x->n + 1, sizeof(*number));
    if (!number)
        return grammar_builder_no_memory(x->b);
    uint32_t n = number_live(x, number);
    struct dfa d = {.n_classes = k, .n_states = n};
    if (n > 0 && number[0] != 0) {
        d.next = malloc((size_t)n * k * sizeof(*d.next));
        d.accepts = malloc(n);
    }
    for (uint32_t i = 0; d.next && d.accepts && i < x->n; i++) {
        if (number[i] == 0)
            continue;
        size_t to = number[i] - 1;
        d.accepts[to] = x->accepts[i] ? DFA_ACCEPTS : 0;
        for (uint32_t c = 0; c < k; c++) {
            uint32_t next = x->next[(size_t)i * k + c];
            d.next[to * k + c] = next ? number[next - 1] : 0;
            d.accepts[to] |= d.next[to * k + c] ? DFA_GOES_ON : 0;
        }
    }
    bool any = n > 0 && number[0] != 0;
    free(number);
    if (!any)
        return NODE_NEVER;
    memcpy(d.classes, x->a.classes, sizeof(d.classes));
    return builder_dfa(x->b, &d);
}

grammar_node builder_dfa(struct grammar_builder *b, struct dfa *d)
{
    struct program *p = &b->program;
    if (d->next && d->accepts && d->n_states == 1 && d->accepts[0] == DFA_ACCEPTS) {
        free(d->next);
        free(d->accepts);
        return b->failed ? NODE_NEVER : NODE_EMPTY;
    }
    if (!d->next || !d->accepts ||
        !array_grow(&p->dfas, &p->room_dfas, (size_t)p->n_dfas + 1, sizeof(*p->dfas))) {
        grammar_builder_no_memory(b);
    } else if (builder_count(b, (size_t)d->n_states * (1 + d->n_classes / 32))) {
        uint8_t flags = EXPRESSION_LIVE | EXPRESSION_REGULAR;
        if (d->accepts[0] & DFA_ACCEPTS)
            flags |= EXPRESSION_NULLABLE;
        p->dfas[p->n_dfas] = *d;
        return builder_node(b, (struct expression){.kind = EXPRESSION_DFA, .flags = flags, .a = p->n_dfas++});
    }
    free(d->next);
    free(d->accepts);
    return NODE_NEVER;
}

/* Runs both. The result is in `x`, which the caller releases, unless the builder has failed. */
static void run(struct dfa_product *x, grammar_node one, grammar_node other)
{
    struct grammar_builder *b = x->b;
    const struct program *p = &b->program;
    if (b->failed)
        return;
    if (!(p->nodes[one].flags & p->nodes[other].flags & EXPRESSION_REGULAR)) {
        grammar_builder_fail(b, "only regular expressions can be combined");
        return;
    }
    grammar_node roots[2] = {one, other}, *list;
    uint32_t n = program_reach(p, roots, 2, &list);
    if (n == 0 || !automaton_init(&x->a, p, list, n, limits))
        grammar_builder_no_memory(b);
    free(list);
    x->a.sorted = true;
    if (!b->failed)
        explore(x, one, other);
}

static grammar_node combine(struct grammar_builder *b, grammar_node one, grammar_node other, bool subtract)
{
    struct dfa_product x = {.b = b, .subtract = subtract};
    if (b->failed)
        return NODE_NEVER;
    uint32_t key[3] = {one, other, subtract}, hash = hash_of(key, sizeof(key), 0), at = 0, item;
    while ((item = hash_index_next(&b->product_index, hash, &at)) != NO_INDEX) {
        const struct product_key *k = &b->products[item];
        if (k->one == one && k->other == other && k->subtract == subtract)
            return k->result;
    }
    run(&x, one, other);
    grammar_node node = b->failed ? NODE_NEVER : finish(&x);
    product_release(&x);
    if (b->failed)
        return NODE_NEVER;
    if (array_grow(&b->products, &b->room_products, (size_t)b->n_products + 1, sizeof(*b->products)) &&
        hash_index_add(&b->product_index, hash, b->n_products))
        b->products[b->n_products++] = (struct product_key){one, other, subtract, node};
    return node;
}

grammar_node grammar_intersection(struct grammar_builder *b, grammar_node one, grammar_node other)
{
    return combine(b, one, other, false);
}

grammar_node grammar_difference(struct grammar_builder *b, grammar_node one, grammar_node without)
{
    return combine(b, one, without, true);
}

bool grammar_disjoint(struct grammar_builder *b, grammar_node one, grammar_node other)
{
    struct dfa_product x = {.b = b, .test = true};
    run(&x, one, other);
    bool disjoint = b->failed || !x.matches;
    product_release(&x);
    return disjoint;
}

bool grammar_matches_nothing(struct grammar_builder *b, grammar_node node)
{
    if (!b->failed && !(b->program.nodes[node].flags & EXPRESSION_REGULAR))
        grammar_builder_fail(b, "only of a regular expression it can be told that nothing matches");
    return b->failed || node == NODE_NEVER; /* every other regular node matches a text */
}
