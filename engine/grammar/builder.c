/* builder.c - expressions of a grammar: equal ones are one node, and what is trivial is simplified. */
#include "builder_private.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

struct grammar_builder *grammar_builder_new(size_t states)
{
    struct grammar_builder *b = calloc(1, sizeof(*b));
    if (!b)
        return NULL;
    b->most_states = states ? states : GRAMMAR_STATES_MAX;
    struct program *p = &b->program;
    if (!array_grow(&p->nodes, &p->room_nodes, 2, sizeof(*p->nodes))) {
        free(b);
        return NULL;
    }
    p->nodes[NODE_NEVER] = (struct expression){.kind = EXPRESSION_NEVER, .flags = EXPRESSION_REGULAR};
    p->nodes[NODE_EMPTY] = (struct expression){
        .kind = EXPRESSION_EMPTY, .flags = EXPRESSION_REGULAR | EXPRESSION_LIVE | EXPRESSION_NULLABLE};
    p->n_nodes = 2;
    return b;
}

void grammar_builder_free(struct grammar_builder *b)
{
    if (!b)
        return;
    program_release(&b->program);
    free(b->index.slots);
    free(b->products);
    free(b->product_index.slots);
    free(b->names);
    free(b);
}

bool grammar_builder_failed(const struct grammar_builder *b)
{
    return b->failed;
}

const struct error *grammar_builder_error(const struct grammar_builder *b)
{
    return &b->err;
}

grammar_node grammar_builder_fail(struct grammar_builder *b, const char *format, ...)
{
    va_list list;
    if (b->failed)
        return NODE_NEVER;
    b->failed = true;
    va_start(list, format);
    vsnprintf(b->err.text, sizeof(b->err.text), format, list);
    va_end(list);
    return NODE_NEVER;
}

grammar_node grammar_builder_no_memory(struct grammar_builder *b)
{
    if (!b->failed)
        error_no_memory(&b->err, "a grammar");
    b->failed = true;
    return NODE_NEVER;
}

bool builder_count(struct grammar_builder *b, size_t n)
{
    if (b->failed)
        return false;
    if (n > b->most_states - b->states) {
        grammar_builder_fail(b, "the grammar is too large: it has more than %zu states", b->most_states);
        return false;
    }
    b->states += n;
    return true;
}

/* ---- nodes ---- */

static const uint8_t *node_bytes(const struct program *p, const struct expression *e, size_t *size)
{
    if (e->kind == EXPRESSION_LITERAL) {
        *size = e->b;
        return p->bytes + e->a;
    }
    *size = sizeof(*p->sets);
    return (const uint8_t *)&p->sets[e->a];
}

/* A literal or a set: a node whose content is bytes. */
static grammar_node node_of_bytes(
    struct grammar_builder *b, enum expression_kind kind, const void *bytes, size_t size)
{
    struct program *p = &b->program;
    uint32_t hash = hash_of(bytes, size, kind), at = 0, item;
    while ((item = hash_index_next(&b->index, hash, &at)) != NO_INDEX) {
        size_t other;
        const uint8_t *content;
        const struct expression *e = &p->nodes[item];
        if (e->kind == kind && (content = node_bytes(p, e, &other), size == other) &&
            memcmp(content, bytes, size) == 0)
            return item;
    }
    if (!builder_count(b, kind == EXPRESSION_LITERAL ? size : 1))
        return NODE_NEVER;
    bool set = kind == EXPRESSION_SET;
    if (!array_grow(&p->nodes, &p->room_nodes, (size_t)p->n_nodes + 1, sizeof(*p->nodes)) ||
        (set ? !array_grow(&p->sets, &p->room_sets, (size_t)p->n_sets + 1, sizeof(*p->sets))
             : !array_grow(&p->bytes, &p->room_bytes, p->n_bytes + size, 1)) ||
        !hash_index_add(&b->index, hash, p->n_nodes))
        return grammar_builder_no_memory(b);
    struct expression e = {.kind = (uint8_t)kind, .flags = EXPRESSION_LIVE | EXPRESSION_REGULAR};
    if (set) {
        memcpy(&p->sets[p->n_sets], bytes, size);
        e.a = p->n_sets++;
    } else {
        memcpy(p->bytes + p->n_bytes, bytes, size);
        e.a = p->n_bytes;
        e.b = (uint32_t)size;
        p->n_bytes += (uint32_t)size;
    }
    p->nodes[p->n_nodes] = e;
    return p->n_nodes++;
}

grammar_node builder_node(struct grammar_builder *b, struct expression e)
{
    struct program *p = &b->program;
    uint32_t hash = hash_of(&e, sizeof(e), e.kind), at = 0, item;
    if (b->failed)
        return NODE_NEVER;
    while ((item = hash_index_next(&b->index, hash, &at)) != NO_INDEX)
        if (memcmp(&p->nodes[item], &e, sizeof(e)) == 0)
            return item;
    if (!builder_count(b, 1))
        return NODE_NEVER;
    if (!array_grow(&p->nodes, &p->room_nodes, (size_t)p->n_nodes + 1, sizeof(*p->nodes)) ||
        !hash_index_add(&b->index, hash, p->n_nodes))
        return grammar_builder_no_memory(b);
    p->nodes[p->n_nodes] = e;
    return p->n_nodes++;
}

static uint8_t flags_of(const struct grammar_builder *b, grammar_node node)
{
    return b->program.nodes[node].flags;
}

grammar_node grammar_literal(struct grammar_builder *b, struct span bytes)
{
    if (b->failed)
        return NODE_NEVER;
    return bytes.size == 0 ? NODE_EMPTY : node_of_bytes(b, EXPRESSION_LITERAL, bytes.at, bytes.size);
}

grammar_node grammar_byte_set(struct grammar_builder *b, const uint64_t set[4])
{
    unsigned bits = 0;
    uint8_t byte = 0;
    if (b->failed)
        return NODE_NEVER;
    for (unsigned i = 0; i < 4; i++)
        if (set[i]) {
            bits += (unsigned)__builtin_popcountll(set[i]);
            byte = (uint8_t)(64 * i + (unsigned)__builtin_ctzll(set[i]));
        }
    if (bits == 0)
        return NODE_NEVER;
    return bits == 1 ? grammar_literal(b, (struct span){&byte, 1})
                     : node_of_bytes(b, EXPRESSION_SET, set, sizeof(struct byte_set));
}

grammar_node grammar_sequence(struct grammar_builder *b, grammar_node first, grammar_node then)
{
    if (b->failed || first == NODE_NEVER || then == NODE_NEVER)
        return NODE_NEVER;
    if (first == NODE_EMPTY || then == NODE_EMPTY)
        return first == NODE_EMPTY ? then : first;
    return builder_node(b, (struct expression){.kind = EXPRESSION_SEQUENCE,
                               .flags = flags_of(b, first) & flags_of(b, then),
                               .a = first,
                               .b = then});
}

grammar_node grammar_either(struct grammar_builder *b, grammar_node one, grammar_node other)
{
    if (b->failed)
        return NODE_NEVER;
    if (one == other || one == NODE_NEVER || other == NODE_NEVER)
        return one == NODE_NEVER ? other : one;
    uint8_t f = flags_of(b, one), g = flags_of(b, other);
    uint8_t flags = (uint8_t)(((f | g) & ~EXPRESSION_REGULAR) | (f & g));
    return builder_node(
        b, (struct expression){.kind = EXPRESSION_EITHER, .flags = flags, .a = one, .b = other});
}

grammar_node grammar_repeat(struct grammar_builder *b, grammar_node node, size_t least, size_t most)
{
    if (b->failed || most < least)
        return NODE_NEVER;
    if (node == NODE_NEVER)
        return least == 0 ? NODE_EMPTY : NODE_NEVER;
    if (most == 0 || node == NODE_EMPTY)
        return NODE_EMPTY;
    if (most == 1)
        return least == 1 ? node : grammar_either(b, node, NODE_EMPTY);
    const struct expression *e = &b->program.nodes[node];
    if (least >= NO_INDEX - 1 || (most != GRAMMAR_UNBOUNDED && most >= NO_INDEX - 1))
        return grammar_builder_fail(b, "a piece of the grammar repeats too often");
    if (e->flags & EXPRESSION_NULLABLE)
        least = 0;
    if (e->kind == EXPRESSION_REPEAT && e->least == 0 && e->most == NO_INDEX)
        return node;
    return builder_node(b, (struct expression){.kind = EXPRESSION_REPEAT,
                               .flags = (uint8_t)(e->flags | (least == 0 ? EXPRESSION_NULLABLE : 0)),
                               .a = node,
                               .least = (uint32_t)least,
                               .most = most == GRAMMAR_UNBOUNDED ? NO_INDEX : (uint32_t)most});
}

grammar_node grammar_optional(struct grammar_builder *b, grammar_node node)
{
    return grammar_either(b, node, NODE_EMPTY);
}

/* ---- rules ---- */

grammar_rule grammar_rule_new(struct grammar_builder *b)
{
    struct program *p = &b->program;
    if (!builder_count(b, 1))
        return 0;
    if (!array_grow(&p->rules, &p->room_rules, (size_t)p->n_rules + 1, sizeof(*p->rules))) {
        grammar_builder_no_memory(b);
        return 0;
    }
    p->rules[p->n_rules] = NODE_NEVER;
    return p->n_rules++;
}

void grammar_rule_define(struct grammar_builder *b, grammar_rule rule, grammar_node node)
{
    if (!b->failed && rule < b->program.n_rules)
        b->program.rules[rule] = node;
}

void builder_name_rule(struct grammar_builder *b, grammar_rule rule, struct span name, size_t line)
{
    struct program *p = &b->program;
    if (b->failed)
        return;
    if (!array_grow(&b->names, &b->room_names, (size_t)b->n_names + 1, sizeof(*b->names)) ||
        !array_grow(&p->bytes, &p->room_bytes, p->n_bytes + name.size, 1)) {
        grammar_builder_no_memory(b);
        return;
    }
    memcpy(p->bytes + p->n_bytes, name.at, name.size);
    b->names[b->n_names++] = (struct rule_name){rule, p->n_bytes, (uint32_t)name.size, line};
    p->n_bytes += (uint32_t)name.size;
}

grammar_node grammar_call(struct grammar_builder *b, grammar_rule rule)
{
    if (b->failed || rule >= b->program.n_rules)
        return NODE_NEVER;
    return builder_node(b, (struct expression){.kind = EXPRESSION_CALL, .flags = EXPRESSION_LIVE, .a = rule});
}

/* ---- tokens and tags ---- */

grammar_node grammar_token(struct grammar_builder *b, int32_t token)
{
    if (token < 0)
        return NODE_NEVER;
    return builder_node(
        b, (struct expression){.kind = EXPRESSION_TOKEN, .flags = EXPRESSION_LIVE, .a = (uint32_t)token});
}

grammar_node grammar_tag(struct grammar_builder *b, grammar_node node, uint16_t tag)
{
    if (b->failed || node <= NODE_EMPTY)
        return b->failed ? NODE_NEVER : node;
    return builder_node(b, (struct expression){.kind = EXPRESSION_TAG,
                               .flags = (uint8_t)(flags_of(b, node) & ~EXPRESSION_REGULAR),
                               .tag = tag,
                               .a = node});
}

grammar_node grammar_mark(struct grammar_builder *b, const struct grammar_marker *marker)
{
    grammar_node node =
        marker->token >= 0 ? grammar_token(b, marker->token) : grammar_literal(b, marker->text);
    return grammar_tag(b, node, GRAMMAR_TAG_MARK);
}
