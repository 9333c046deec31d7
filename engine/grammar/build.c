/* build.c - from a builder's expressions to a grammar: copies what the root reaches, and checks the rules. */
#include "grammar_private.h"

#include <stdlib.h>
#include <string.h>

/* ---- a copy of what is reached ---- */

struct program_copy {
    struct program *to;
    const struct program *from;
    const grammar_node *list;
    uint32_t n;
    uint32_t *node; /* of each node of `from` its number in `to` */
    uint32_t *rule; /* of each rule */
    bool failed;
};

static void *duplicate(struct program_copy *x, const void *bytes, size_t n, size_t size)
{
    void *p = malloc(n * size + (n == 0));
    if (p && n > 0)
        memcpy(p, bytes, n * size);
    x->failed |= !p;
    return p;
}

static void copy_dfa(struct program_copy *x, struct expression *e)
{
    const struct dfa *d = &x->from->dfas[e->a];
    struct program *to = x->to;
    if (!array_grow(&to->dfas, &to->room_dfas, (size_t)to->n_dfas + 1, sizeof(*to->dfas))) {
        x->failed = true;
        return;
    }
    struct dfa *new = &to->dfas[to->n_dfas];
    *new = *d;
    new->next = duplicate(x, d->next, (size_t)d->n_states * d->n_classes, sizeof(*d->next));
    new->accepts = duplicate(x, d->accepts, d->n_states, 1);
    e->a = to->n_dfas++;
}

static void copy_until(struct program_copy *x, struct expression *e)
{
    const struct until *u = &x->from->untils[e->a];
    struct program *to = x->to;
    if (!array_grow(&to->untils, &to->room_untils, (size_t)to->n_untils + 1, sizeof(*to->untils))) {
        x->failed = true;
        return;
    }
    struct until *new = &to->untils[to->n_untils];
    *new = *u;
    new->next = duplicate(x, u->next, (size_t)u->n_states * u->n_classes, sizeof(*u->next));
    new->depth = duplicate(x, u->depth, u->n_states, sizeof(*u->depth));
    new->found = duplicate(x, u->found, u->n_states, sizeof(*u->found));
    new->markers = duplicate(x, u->markers, u->n_markers, sizeof(*u->markers));
    for (uint32_t i = 0; new->markers &&i < u->n_markers; i++)
        new->markers[i].then = x->node[u->markers[i].then];
    e->a = to->n_untils++;
}

static void copy_bytes(struct program_copy *x, struct expression *e)
{
    struct program *to = x->to;
    bool set = e->kind == EXPRESSION_SET;
    if (set ? !array_grow(&to->sets, &to->room_sets, (size_t)to->n_sets + 1, sizeof(*to->sets))
            : !array_grow(&to->bytes, &to->room_bytes, (size_t)to->n_bytes + e->b, 1)) {
        x->failed = true;
    } else if (set) {
        to->sets[to->n_sets] = x->from->sets[e->a];
        e->a = to->n_sets++;
    } else {
        memcpy(to->bytes + to->n_bytes, x->from->bytes + e->a, e->b);
        e->a = to->n_bytes;
        to->n_bytes += e->b;
    }
}

static void copy_call(struct program_copy *x, struct expression *e)
{
    struct program *to = x->to;
    if (x->rule[e->a] == NO_INDEX) {
        if (!array_grow(&to->rules, &to->room_rules, (size_t)to->n_rules + 1, sizeof(*to->rules))) {
            x->failed = true;
            return;
        }
        to->rules[to->n_rules] = x->node[x->from->rules[e->a]];
        x->rule[e->a] = to->n_rules++;
    }
    e->a = x->rule[e->a];
}

static void copy_node(struct program_copy *x, struct expression *e)
{
    switch (e->kind) {
    case EXPRESSION_SEQUENCE:
    case EXPRESSION_EITHER:
        e->b = x->node[e->b];
        e->a = x->node[e->a];
        break;
    case EXPRESSION_REPEAT:
    case EXPRESSION_TAG:
        e->a = x->node[e->a];
        break;
    case EXPRESSION_SET:
    case EXPRESSION_LITERAL:
        copy_bytes(x, e);
        break;
    case EXPRESSION_CALL:
        copy_call(x, e);
        break;
    case EXPRESSION_DFA:
        copy_dfa(x, e);
        break;
    case EXPRESSION_UNTIL:
        copy_until(x, e);
        break;
    default:
        break;
    }
}

/* The first node of the list is the root. Returns its number in `to`; NODE_NEVER without memory too. */
static grammar_node copy_program(
    struct program *to, const struct program *from, const grammar_node *list, uint32_t n)
{
    struct program_copy x = {.to = to, .from = from, .list = list, .n = n};
    x.node = calloc(from->n_nodes, sizeof(*x.node));
    x.rule = malloc(from->n_rules * sizeof(*x.rule) + 1);
    to->nodes = malloc(((size_t)n + 2) * sizeof(*to->nodes));
    if (x.node && x.rule && to->nodes) {
        memset(x.rule, 0xff, from->n_rules * sizeof(*x.rule));
        to->room_nodes = n + 2;
        for (to->n_nodes = 0; to->n_nodes < 2; to->n_nodes++)
            to->nodes[to->n_nodes] = from->nodes[to->n_nodes];
        x.node[NODE_EMPTY] = NODE_EMPTY;
        for (uint32_t i = 0; i < n; i++)
            if (list[i] > NODE_EMPTY) {
                x.node[list[i]] = to->n_nodes;
                to->nodes[to->n_nodes++] = from->nodes[list[i]];
            }
        for (uint32_t i = 2; i < to->n_nodes; i++)
            copy_node(&x, &to->nodes[i]);
    } else {
        x.failed = true;
    }
    grammar_node root = x.failed ? NODE_NEVER : x.node[list[0]];
    free(x.node);
    free(x.rule);
    return root;
}

/* ---- which nodes match the empty text, and which match any at all, once all rules are known ---- */

/* The nodes above a node: those at list[first[node]], up to first[node + 1]. */
struct parents {
    uint32_t *first;
    grammar_node *list;
};

static void count_parent(void *context, grammar_node node, grammar_node child)
{
    struct parents *x = context;
    (void)node;
    x->first[child + 2]++;
}

static void add_parent(void *context, grammar_node node, grammar_node child)
{
    struct parents *x = context;
    x->list[x->first[child + 1]++] = node;
}

static bool find_parents(const struct program *p, struct parents *x)
{
    x->first = calloc((size_t)p->n_nodes + 2, sizeof(*x->first));
    if (!x->first)
        return false;
    for (uint32_t i = 0; i < p->n_nodes; i++)
        program_each_child(p, i, count_parent, x);
    for (uint32_t i = 1; i < p->n_nodes + 2; i++)
        x->first[i] += x->first[i - 1];
    x->list = malloc(((size_t)x->first[p->n_nodes + 1] + 1) * sizeof(*x->list));
    if (!x->list)
        return false;
    for (uint32_t i = 0; i < p->n_nodes; i++)
        program_each_child(p, i, add_parent, x);
    return true;
}

static uint8_t settled_flags(const struct program *p, const struct expression *e)
{
    const uint8_t nullable = EXPRESSION_NULLABLE | EXPRESSION_LIVE;
    uint8_t a = 0, flags;
    switch (e->kind) {
    case EXPRESSION_SEQUENCE:
        return p->nodes[e->a].flags & p->nodes[e->b].flags & nullable;
    case EXPRESSION_EITHER:
        return (p->nodes[e->a].flags | p->nodes[e->b].flags) & nullable;
    case EXPRESSION_REPEAT:
        return (p->nodes[e->a].flags & nullable) | (e->least == 0 ? nullable : 0);
    case EXPRESSION_TAG:
        return p->nodes[e->a].flags & nullable;
    case EXPRESSION_CALL:
        return p->nodes[p->rules[e->a]].flags & nullable;
    case EXPRESSION_UNTIL:
        flags = p->untils[e->a].may_end ? nullable : 0;
        for (uint32_t i = 0; i < p->untils[e->a].n_markers; i++)
            a |= p->nodes[p->untils[e->a].markers[i].then].flags;
        return flags | (a & EXPRESSION_LIVE);
    default:
        return e->flags & nullable;
    }
}

/* Finds the least flags that agree with each other. */
static bool settle(struct program *p)
{
    struct parents up = {NULL, NULL};
    grammar_node *work = malloc(p->n_nodes * sizeof(*work) * 3); /* each node changes at most twice */
    bool good = work && find_parents(p, &up);
    uint32_t n = 0;
    for (uint32_t i = 0; good && i < p->n_nodes; i++) {
        struct expression *e = &p->nodes[i];
        bool leaf = e->kind <= EXPRESSION_LITERAL || e->kind == EXPRESSION_TOKEN || e->kind == EXPRESSION_DFA;
        if (!leaf)
            e->flags &= EXPRESSION_REGULAR;
    }
    for (uint32_t i = 0; good && i < p->n_nodes; i++) {
        p->nodes[i].flags |= settled_flags(p, &p->nodes[i]);
        work[n++] = i;
    }
    while (good && n > 0) {
        grammar_node node = work[--n];
        for (uint32_t i = up.first[node]; i < up.first[node + 1]; i++) {
            struct expression *e = &p->nodes[up.list[i]];
            uint8_t flags = e->flags | settled_flags(p, e);
            if (flags != e->flags) {
                e->flags = flags;
                work[n++] = up.list[i];
            }
        }
    }
    /* What is repeated and may be empty can be left out; see pop in dfa.c. */
    for (uint32_t i = 0; good && i < p->n_nodes; i++)
        if (p->nodes[i].kind == EXPRESSION_REPEAT && p->nodes[p->nodes[i].a].flags & EXPRESSION_NULLABLE)
            p->nodes[i].least = 0;
    free(up.first);
    free(up.list);
    free(work);
    return good;
}

/* ---- left recursion ---- */

/* The child `i` of a node at which the node's text may begin; NO_INDEX: there is none, NODE_NEVER: not at this one. */
static grammar_node leftmost(const struct program *p, grammar_node node, uint32_t i)
{
    const struct expression *e = &p->nodes[node];
    switch (i < 2 && e->flags & EXPRESSION_LIVE ? e->kind : EXPRESSION_NEVER) {
    case EXPRESSION_SEQUENCE:
        return i == 0 ? e->a : p->nodes[e->a].flags & EXPRESSION_NULLABLE ? e->b : NODE_NEVER;
    case EXPRESSION_EITHER:
        return i == 0 ? e->a : e->b;
    case EXPRESSION_REPEAT:
    case EXPRESSION_TAG:
        return i == 0 ? e->a : NO_INDEX;
    case EXPRESSION_CALL:
        return i == 0 ? p->rules[e->a] : NO_INDEX;
    default:
        return NO_INDEX;
    }
}

/* Writes a rule's call on a circle of such children, or NO_INDEX. False without memory. */
static bool find_left_recursion(const struct program *p, grammar_node *call)
{
    struct walk {
        grammar_node node;
        uint32_t child;
    } *path = malloc(p->n_nodes * sizeof(*path));
    uint8_t *seen = calloc(p->n_nodes, 1); /* 1: on the path, 2: done */
    *call = NO_INDEX;
    for (uint32_t i = 0; path && seen && i < p->n_nodes && *call == NO_INDEX; i++) {
        uint32_t n = 0;
        if (seen[i] == 0)
            path[n++] = (struct walk){i, 0};
        while (n > 0 && *call == NO_INDEX) {
            struct walk *w = &path[n - 1];
            seen[w->node] = 1;
            grammar_node child = leftmost(p, w->node, w->child++);
            if (child == NO_INDEX) {
                seen[w->node] = 2;
                n--;
            } else if (seen[child] == 0) {
                path[n++] = (struct walk){child, 0};
            } else if (seen[child] == 1) {
                while (p->nodes[path[n - 1].node].kind != EXPRESSION_CALL)
                    n--;
                *call = path[n - 1].node;
            }
        }
    }
    bool good = path && seen;
    free(path);
    free(seen);
    return good;
}

static bool check_recursion(
    const struct grammar_builder *b, const struct program *p, struct error *err, const grammar_node *list)
{
    grammar_node call;
    if (!find_left_recursion(p, &call))
        return error_no_memory(err, "a grammar");
    if (call == NO_INDEX)
        return true;
    grammar_rule rule = NO_INDEX;
    for (uint32_t i = 0, n = 2; rule == NO_INDEX; i++)
        if (list[i] > NODE_EMPTY && n++ == call)
            rule = b->program.nodes[list[i]].a;
    for (uint32_t i = 0; i < b->n_names; i++)
        if (b->names[i].rule == rule)
            return error_set(err,
                "line %zu: the rule \"%.*s\" is left-recursive: it calls itself before it has matched anything",
                b->names[i].line, (int)b->names[i].size, (const char *)b->program.bytes + b->names[i].at);
    return error_set(err, "a rule of the grammar calls itself before it has matched anything");
}

/* ---- the grammar ---- */

static const struct automaton_limits limits = {.stacks = 4096, .steps = 1 << 16, .bytes = (size_t)64 << 20};

static bool fill(struct grammar *g, struct grammar_builder *b, grammar_node root, struct error *err)
{
    grammar_node *list;
    uint32_t n = program_reach(&b->program, &root, 1, &list);
    if (n > 0 && builder_factor(b, list, n)) {
        free(list);
        n = program_reach(&b->program, &root, 1, &list);
    }
    if (n > 0)
        g->root = copy_program(&g->program, &b->program, list, n);
    bool good = n > 0 && (g->root != NODE_NEVER || root == NODE_NEVER) && settle(&g->program);
    good = good ? check_recursion(b, &g->program, err, list) : error_no_memory(err, "a grammar");
    free(list);
    if (!good)
        return false;
    if (!(g->program.nodes[g->root].flags & EXPRESSION_LIVE))
        return error_set(err, "no text can match the grammar");
    /* The nodes are all of the list, numbered anew. */
    list = malloc(g->program.n_nodes * sizeof(*list));
    for (uint32_t i = 0; list && i < g->program.n_nodes; i++)
        list[i] = i;
    good = list && automaton_init(&g->automaton, &g->program, list, g->program.n_nodes, limits);
    free(list);
    if (good)
        g->start = automaton_start(&g->automaton, g->root);
    if (!good || g->automaton.no_memory)
        return error_no_memory(err, "a grammar");
    return !g->automaton.cut ||
           error_set(err, "the grammar is too ambiguous: it has more than %u ways to begin", limits.stacks);
}

struct grammar *grammar_build(struct grammar_builder *b, grammar_node root, struct error *err)
{
    if (b->failed) {
        *err = b->err;
        return NULL;
    }
    struct grammar *g = calloc(1, sizeof(*g));
    if (!g || pthread_mutex_init(&g->lock, NULL) != 0) {
        free(g);
        error_no_memory(err, "a grammar");
        return NULL;
    }
    atomic_init(&g->references, 1);
    g->most_bytes = GRAMMAR_CONFIGURATION_BYTES;
    if (fill(g, b, root, err))
        return g;
    grammar_drop(g);
    return NULL;
}

struct grammar *grammar_hold(struct grammar *g)
{
    if (g)
        atomic_fetch_add_explicit(&g->references, 1, memory_order_relaxed);
    return g;
}

void grammar_drop(struct grammar *g)
{
    if (!g || atomic_fetch_sub_explicit(&g->references, 1, memory_order_acq_rel) != 1)
        return;
    grammar_forget_masks(g);
    free(g->masks);
    automaton_release(&g->automaton);
    program_release(&g->program);
    pthread_mutex_destroy(&g->lock);
    free(g);
}

size_t grammar_bytes(const struct grammar *g)
{
    return sizeof(*g) + program_bytes(&g->program);
}

bool grammar_matches(struct grammar *g, struct span text)
{
    pthread_mutex_lock(&g->lock);
    uint32_t at = g->start;
    for (size_t i = 0; i < text.size && at != CONFIGURATION_DEAD; i++) {
        at = automaton_next(&g->automaton, at, text.at[i]).to;
        grammar_limit(g, &at, 1);
    }
    bool matches = automaton_accepts(&g->automaton, at);
    pthread_mutex_unlock(&g->lock);
    return matches;
}
