/* builder_factor.c - turns a choice of many literals into a tree in which a byte decides.
 *
 * Thousands of names would be thousands of stacks at the choice's beginning, and each byte would be compared with all.
 */
#include "builder_private.h"

#include <stdlib.h>
#include <string.h>

#define FACTOR_LEAST 16 /* literals of a choice; fewer are no burden */

static int compare_spans(const void *one, const void *other)
{
    return span_compare(*(const struct span *)one, *(const struct span *)other);
}

/* How many bytes the sorted spans s[n] have in common. */
static size_t common_bytes(const struct span *s, size_t n)
{
    size_t same = 0;
    struct span first = s[0], last = s[n - 1];
    while (same < first.size && same < last.size && first.at[same] == last.at[same])
        same++;
    return same;
}

/* The sorted and different literals s[n] behind their first `from` bytes, which are the same. The recursion goes one level
 * down where a literal begins others: the limit of states leaves room for some hundreds. */
static grammar_node factor(struct grammar_builder *b, const struct span *s, size_t n, size_t from)
{
    size_t i = s[0].size == from;
    grammar_node all = i > 0 ? NODE_EMPTY : NODE_NEVER;
    for (size_t end; i < n; i = end) {
        for (end = i + 1; end < n && s[end].at[from] == s[i].at[from];)
            end++;
        size_t same = common_bytes(s + i, end - i);
        grammar_node rest = end - i > 1 ? factor(b, s + i, end - i, same) : NODE_EMPTY;
        grammar_node head = grammar_literal(b, (struct span){s[i].at + from, same - from});
        all = grammar_either(b, grammar_sequence(b, head, rest), all);
    }
    return all;
}

/* The choice of literals[n], which point into bytes that do not move. */
static grammar_node factored(struct grammar_builder *b, struct span *literals, size_t n)
{
    size_t different = 1;
    qsort(literals, n, sizeof(*literals), compare_spans);
    for (size_t i = 1; i < n; i++)
        if (span_compare(literals[i], literals[different - 1]) != 0)
            literals[different++] = literals[i];
    return factor(b, literals, different, 0);
}

struct factoring {
    struct grammar_builder *b;
    grammar_node *work;
    uint32_t *seen; /* of each node, the last choice in which it was met */
    uint32_t choice;
    size_t visits; /* that are left: shared choices could be visited over and over */
    struct span *literals;
    uint8_t *bytes; /* a copy: the builder's move while nodes are made */
    size_t n, size; /* of the literals, of their bytes */
    grammar_node rest; /* the alternatives that are no literals */
};

/* Visits each alternative of a choice once. Counts the literals, or lists them when there is a list for them. */
static void visit_alternatives(struct factoring *f, grammar_node node)
{
    size_t n_work = 0;
    f->choice++;
    f->n = f->size = 0;
    f->rest = NODE_NEVER;
    for (f->work[n_work++] = node; n_work > 0 && f->visits > 0; f->visits--) {
        node = f->work[--n_work];
        struct expression e = f->b->program.nodes[node];
        if (f->seen[node] == f->choice)
            continue;
        f->seen[node] = f->choice;
        if (e.kind == EXPRESSION_EITHER) {
            f->work[n_work++] = e.b;
            f->work[n_work++] = e.a;
        } else if (e.kind != EXPRESSION_LITERAL) {
            f->rest = f->literals ? grammar_either(f->b, f->rest, node) : node;
        } else {
            if (f->literals) {
                memcpy(f->bytes + f->size, f->b->program.bytes + e.a, e.b);
                f->literals[f->n] = (struct span){f->bytes + f->size, e.b};
            }
            f->n++;
            f->size += e.b;
        }
    }
}

/* False without memory. */
static bool factor_choice(struct factoring *f, grammar_node node)
{
    struct grammar_builder *b = f->b;
    visit_alternatives(f, node);
    if (f->n < FACTOR_LEAST || f->visits == 0)
        return true;
    b->most_states += f->size + 4 * f->n + 64; /* the tree takes the place of as many */
    f->literals = malloc(f->n * sizeof(*f->literals));
    f->bytes = malloc(f->size);
    bool good = f->literals && f->bytes;
    if (good) {
        visit_alternatives(f, node);
        if (f->visits > 0) {
            grammar_node tree = grammar_either(b, factored(b, f->literals, f->n), f->rest);
            if (!b->failed)
                b->program.nodes[node] = b->program.nodes[tree];
        }
    }
    free(f->literals);
    free(f->bytes);
    f->literals = NULL;
    return good && !b->failed;
}

bool builder_factor(struct grammar_builder *b, const grammar_node *list, uint32_t n)
{
    struct factoring f = {.b = b, .visits = 4 * (size_t)b->program.n_nodes};
    size_t nodes = b->program.n_nodes; /* of a choice that is visited: no new ones */
    uint8_t *inner = calloc(nodes, 1); /* part of a larger choice */
    f.work = malloc((2 * nodes + 2) * sizeof(*f.work));
    f.seen = calloc(nodes, sizeof(*f.seen));
    bool good = inner && f.work && f.seen;
    for (uint32_t i = 0; good && i < n; i++) {
        const struct expression *e = &b->program.nodes[list[i]];
        if (e->kind == EXPRESSION_EITHER)
            inner[e->a] = inner[e->b] = 1;
    }
    for (uint32_t i = 0; good && i < n; i++)
        if (b->program.nodes[list[i]].kind == EXPRESSION_EITHER && !inner[list[i]])
            good = factor_choice(&f, list[i]);
    free(inner);
    free(f.work);
    free(f.seen);
    return good;
}
