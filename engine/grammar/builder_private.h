/* builder_private.h - the expressions of a grammar as arrays, which a builder fills and a grammar keeps. */
#ifndef BERTH_BUILDER_PRIVATE_H
#define BERTH_BUILDER_PRIVATE_H

#include "berth/engine/grammar/builder.h"

#define NO_INDEX UINT32_MAX

/* ---- an index of items by the hash of their content: open addressing, numbers of items only ---- */

struct hash_index {
    struct hash_slot {
        uint32_t hash, item;
    } * slots;
    uint32_t mask, used; /* slots - 1; 0 while there are none */
};

uint32_t hash_of(const void *bytes, size_t size, uint32_t seed);
/* The next item with this hash, or NO_INDEX. `*at` is 0 for the first one. */
uint32_t hash_index_next(const struct hash_index *x, uint32_t hash, uint32_t *at);
bool hash_index_add(struct hash_index *x, uint32_t hash, uint32_t item); /* false without memory */
size_t hash_index_bytes(const struct hash_index *x);

/* Makes room for `need` items of `size` bytes. False without memory, with the array as it was. */
bool array_grow(void *array, uint32_t *room, size_t need, size_t size);

/* ---- expressions ---- */

enum expression_kind {
    EXPRESSION_NEVER,
    EXPRESSION_EMPTY,
    EXPRESSION_SET, /* a: index of the set */
    EXPRESSION_LITERAL, /* a: offset of the bytes, b: how many */
    EXPRESSION_SEQUENCE, /* a, b: nodes */
    EXPRESSION_EITHER, /* a, b: nodes */
    EXPRESSION_REPEAT, /* a: node; least, most (NO_INDEX: unbounded) */
    EXPRESSION_CALL, /* a: rule */
    EXPRESSION_TOKEN, /* a: id */
    EXPRESSION_TAG, /* a: node; tag */
    EXPRESSION_DFA, /* a: index of the automaton */
    EXPRESSION_UNTIL, /* a: index of the markers; tag */
};

enum expression_flag {
    EXPRESSION_NULLABLE = 1, /* matches the empty text */
    EXPRESSION_LIVE = 2, /* matches any text at all */
    EXPRESSION_REGULAR = 4,
};

struct expression {
    uint8_t kind, flags;
    uint16_t tag;
    uint32_t a, b, least, most;
};

/* A deterministic automaton without dead states. State 0 is the first one. */
struct dfa {
    uint8_t classes[256]; /* of bytes */
    uint32_t n_classes, n_states;
    uint32_t *next; /* [n_states][n_classes]: state + 1, or 0 */
    uint8_t *accepts; /* [n_states]: DFA_ACCEPTS, DFA_GOES_ON */
};

enum { DFA_ACCEPTS = 1, DFA_GOES_ON = 2 };

/* Text up to markers: the automaton of Aho and Corasick. A state is the longest end of the text that begins a marker. */
struct until {
    uint8_t classes[256];
    uint32_t n_classes, n_states;
    uint32_t *next; /* [n_states][n_classes]: state */
    uint16_t *depth; /* [n_states]: bytes of that end */
    uint32_t *found; /* [n_states]: the longest marker that ends here, + 1; or 0 */
    uint32_t n_markers;
    struct until_marker {
        int32_t token; /* -1: bytes */
        uint16_t length;
        grammar_node then;
    } * markers;
    bool may_end;
};

struct byte_set {
    uint64_t bits[4];
};

struct program {
    struct expression *nodes;
    struct byte_set *sets;
    uint8_t *bytes;
    grammar_node *rules; /* NODE_NEVER while not defined */
    struct dfa *dfas;
    struct until *untils;
    uint32_t n_nodes, n_sets, n_bytes, n_rules, n_dfas, n_untils;
    uint32_t room_nodes, room_sets, room_bytes, room_rules, room_dfas, room_untils;
};

void program_release(struct program *p);
size_t program_bytes(const struct program *p);
typedef void program_visit(void *context, grammar_node node, grammar_node child);
void program_each_child(const struct program *p, grammar_node node, program_visit *visit, void *context);
/* Lists what can be reached from n roots, these first; the caller frees the list. Returns how many, 0 without memory. */
uint32_t program_reach(const struct program *p, const grammar_node *roots, uint32_t n, grammar_node **list);
/* Puts bytes into classes that no listed node tells apart. Returns how many. */
uint32_t program_classes(const struct program *p, const grammar_node *list, uint32_t n, uint8_t classes[256]);

static inline bool byte_in_set(const struct byte_set *s, uint8_t byte)
{
    return s->bits[byte / 64] >> (byte % 64) & 1;
}

/* ---- the builder ---- */

struct grammar_builder {
    struct program program;
    struct hash_index index; /* of nodes */
    struct product_key { /* what was intersected and subtracted */
        grammar_node one, other;
        bool subtract;
        grammar_node result;
    } * products;
    uint32_t n_products, room_products;
    struct hash_index product_index;
    struct rule_name {
        grammar_rule rule;
        uint32_t at, size; /* of the program's bytes */
        size_t line;
    } * names;
    uint32_t n_names, room_names;
    size_t states, most_states;
    struct error err;
    bool failed;
};

/* Counts `n` more states. False, with the builder failed, when they are too many. */
bool builder_count(struct grammar_builder *b, size_t n);
grammar_node builder_node(struct grammar_builder *b, struct expression e);
/* Takes over the arrays of `d`, also when it fails. */
grammar_node builder_dfa(struct grammar_builder *b, struct dfa *d);

/* Rewrites choices of many literals among the listed nodes. False without memory. */
bool builder_factor(struct grammar_builder *b, const grammar_node *list, uint32_t n);

/* The name of a rule and its line, for messages. The name is copied. */
void builder_name_rule(struct grammar_builder *b, grammar_rule rule, struct span name, size_t line);

#endif
