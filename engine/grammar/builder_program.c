/* builder_program.c - the arrays of a grammar as a whole: what is reached in them, which bytes they tell apart. */
#include "builder_private.h"

#include <stdlib.h>
#include <string.h>

void program_release(struct program *p)
{
    for (uint32_t i = 0; i < p->n_dfas; i++) {
        free(p->dfas[i].next);
        free(p->dfas[i].accepts);
    }
    for (uint32_t i = 0; i < p->n_untils; i++) {
        free(p->untils[i].next);
        free(p->untils[i].depth);
        free(p->untils[i].found);
        free(p->untils[i].markers);
    }
    free(p->nodes);
    free(p->sets);
    free(p->bytes);
    free(p->rules);
    free(p->dfas);
    free(p->untils);
    *p = (struct program){.nodes = NULL};
}

size_t program_bytes(const struct program *p)
{
    size_t bytes = p->room_nodes * sizeof(*p->nodes) + p->room_sets * sizeof(*p->sets) + p->room_bytes +
                   p->room_rules * sizeof(*p->rules) + p->room_dfas * sizeof(*p->dfas) +
                   p->room_untils * sizeof(*p->untils);
    for (uint32_t i = 0; i < p->n_dfas; i++)
        bytes += (size_t)p->dfas[i].n_states * (p->dfas[i].n_classes * sizeof(uint32_t) + 1);
    for (uint32_t i = 0; i < p->n_untils; i++)
        bytes += (size_t)p->untils[i].n_states * (p->untils[i].n_classes * sizeof(uint32_t) + 6) +
                 p->untils[i].n_markers * sizeof(*p->untils[i].markers);
    return bytes;
}

void program_each_child(const struct program *p, grammar_node node, program_visit *visit, void *context)
{
    const struct expression *e = &p->nodes[node];
    switch (e->kind) {
    case EXPRESSION_SEQUENCE:
    case EXPRESSION_EITHER:
        visit(context, node, e->a);
        visit(context, node, e->b);
        break;
    case EXPRESSION_REPEAT:
    case EXPRESSION_TAG:
        visit(context, node, e->a);
        break;
    case EXPRESSION_CALL:
        visit(context, node, p->rules[e->a]);
        break;
    case EXPRESSION_UNTIL:
        for (uint32_t i = 0; i < p->untils[e->a].n_markers; i++)
            visit(context, node, p->untils[e->a].markers[i].then);
        break;
    default:
        break;
    }
}

struct reached {
    uint8_t *marks;
    grammar_node *list;
    uint32_t n;
};

static void reach(void *context, grammar_node node, grammar_node child)
{
    struct reached *r = context;
    (void)node;
    if (r->marks[child])
        return;
    r->marks[child] = 1;
    r->list[r->n++] = child;
}

uint32_t program_reach(const struct program *p, const grammar_node *roots, uint32_t n, grammar_node **list)
{
    struct reached r = {calloc(p->n_nodes, 1), malloc(p->n_nodes * sizeof(*r.list)), 0};
    *list = r.list;
    for (uint32_t i = 0; r.marks && r.list && i < n; i++)
        reach(&r, NODE_NEVER, roots[i]);
    for (uint32_t i = 0; i < r.n; i++)
        program_each_child(p, r.list[i], reach, &r);
    free(r.marks);
    return r.n;
}

/* ---- classes of bytes ---- */

/* Splits the classes by another number of each byte, and numbers them again in the order of bytes. */
static uint32_t refine(uint8_t classes[256], uint32_t n_classes, const uint8_t other[256])
{
    uint32_t n = 0;
    uint8_t first[256]; /* of each new class, a byte */
    uint16_t last[256],
        before[256]; /* the new class + 1 that was made last of an old one; and the one before it */
    uint8_t out[256];
    if (n_classes == 256)
        return n_classes;
    memset(last, 0, sizeof(last));
    for (unsigned i = 0; i < 256; i++) {
        uint32_t k = last[classes[i]];
        while (k > 0 && other[first[k - 1]] != other[i])
            k = before[k - 1];
        if (k == 0) {
            before[n] = last[classes[i]];
            first[n] = (uint8_t)i;
            last[classes[i]] = (uint16_t)(k = ++n);
        }
        out[i] = (uint8_t)(k - 1);
    }
    memcpy(classes, out, 256);
    return n;
}

uint32_t program_classes(const struct program *p, const grammar_node *list, uint32_t n, uint8_t classes[256])
{
    uint32_t n_classes = 1;
    uint8_t alone[256] = {0}, other[256];
    memset(classes, 0, 256);
    for (uint32_t i = 0; i < n; i++) {
        const struct expression *e = &p->nodes[list[i]];
        if (e->kind == EXPRESSION_LITERAL) {
            for (uint32_t k = 0; k < e->b; k++)
                alone[p->bytes[e->a + k]] = 1;
        } else if (e->kind == EXPRESSION_SET) {
            for (unsigned k = 0; k < 256; k++)
                other[k] = byte_in_set(&p->sets[e->a], (uint8_t)k);
            n_classes = refine(classes, n_classes, other);
        } else if (e->kind == EXPRESSION_DFA) {
            n_classes = refine(classes, n_classes, p->dfas[e->a].classes);
        } else if (e->kind == EXPRESSION_UNTIL) {
            n_classes = refine(classes, n_classes, p->untils[e->a].classes);
        }
    }
    for (unsigned k = 0, number = 0; k < 256; k++)
        other[k] =
            alone[k] ? (uint8_t)++number : 0; /* 256 of them: the last one is 0, where no other is left */
    return refine(classes, n_classes, other);
}
