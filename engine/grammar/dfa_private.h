/* dfa_private.h - a pushdown automaton over a program's expressions, made deterministic while it runs.
 *
 * A stack says what is still to come: expressions, the next one on top. Stacks are lists that share their ends, so equal
 * ones are the same frame. A configuration is the list of stacks that are possible now, in the order of the alternatives
 * that led to them; each has on top what consumes a byte or a token, or is empty. Equal configurations have one number,
 * and where a byte leads from one is remembered.
 *
 * Bounds make an automaton forget possible stacks: too many, or too deep ones. What remains possible still matches.
 */
#ifndef BERTH_DFA_PRIVATE_H
#define BERTH_DFA_PRIVATE_H

#include "builder_private.h"

#define FRAME_BOTTOM 1u /* the empty stack; 0 is no stack */
#define CONFIGURATION_DEAD 0u /* no stack at all */
#define CONFIGURATION_OVER 1u /* the empty stack alone */

#define DEPTH_MAX ((uint32_t)1 << 16) /* of a stack */

struct automaton_limits {
    uint32_t stacks; /* of a configuration */
    uint32_t steps; /* to find those that a byte leads to */
    size_t bytes; /* of memory; above it a byte leads nowhere, as if memory were short */
};

struct frame {
    uint32_t node, count; /* count: bytes of a literal, repetitions, a state; 1: the end of a tag */
    uint32_t next; /* the frame below */
    uint32_t depth;
    uint32_t popped, found; /* the last step that used it so */
    uint16_t tag; /* of bytes that are consumed on top of it */
};

struct configuration {
    uint32_t first, n; /* of the automaton's list of stacks */
    bool accepts; /* one of them is empty */
    uint64_t *row; /* [n_classes] of edges, or NULL */
    uint32_t mask; /* for the masks of tokens: number of a mask, or 0 */
};

/* Where a byte leads: the configuration, the byte's tag, and how many bytes before it turn into GRAMMAR_TAG_MARK. */
struct automaton_edge {
    uint32_t to;
    uint16_t tag, back;
};

struct automaton {
    const struct program *program;
    struct automaton_limits most;
    uint8_t classes[256], sample[256]; /* sample: of each class a byte */
    uint32_t n_classes;
    bool sorted; /* the order of stacks does not matter */

    struct frame *frames;
    struct configuration *configurations;
    uint32_t *stacks;
    uint32_t n_frames, n_configurations, n_stacks;
    uint32_t room_frames, room_configurations, room_stacks;
    struct hash_index frame_index, configuration_index;
    size_t row_bytes;

    struct automaton_work {
        uint32_t node, count, next;
        uint32_t base; /* frames above this depth were pushed since the last byte */
    } * work;
    uint32_t *found; /* stacks of the configuration that is being made */
    uint32_t n_work, n_found, room_work, room_found;
    uint32_t step;
    uint32_t steps;

    bool no_memory;
    bool cut, full; /* a bound was met: of stacks and steps, of memory */
};

/* The classes are those of `list`, the nodes that can be reached. False without memory; release it in both cases. */
bool automaton_init(struct automaton *a, const struct program *p, const grammar_node *list, uint32_t n,
    struct automaton_limits most);
void automaton_release(struct automaton *a);
size_t automaton_bytes(const struct automaton *a);

/* CONFIGURATION_DEAD when nothing matches, and without memory. */
uint32_t automaton_start(struct automaton *a, grammar_node root);
/* Makes the edge that is not known yet. */
struct automaton_edge automaton_make_edge(struct automaton *a, uint32_t configuration, uint8_t byte);
/* `any`: the token is one that free text may contain. */
uint32_t automaton_token(struct automaton *a, uint32_t configuration, int32_t token, bool any);
static inline bool automaton_accepts(const struct automaton *a, uint32_t configuration)
{
    return a->configurations[configuration].accepts;
}

/* The configuration without what all its stacks have in common below their tops, which ends where that would follow. Many
 * configurations have the same one. Counts that no text of `longest` bytes can tell apart are made equal. Returns the
 * configuration itself where that is not worth it, and without memory. */
uint32_t automaton_local(struct automaton *a, uint32_t configuration, uint32_t longest);

/* For dfa_local.c: the stack `next` with one frame more, or 0; and making a configuration of stacks. */
uint32_t automaton_push(struct automaton *a, uint32_t node, uint32_t count, uint32_t next);
void automaton_begin(struct automaton *a);
void automaton_add(struct automaton *a, uint32_t frame);
uint32_t automaton_intern(struct automaton *a);

/* How many of the last bytes may be the beginning of a marker. */
size_t automaton_in_doubt(const struct automaton *a, uint32_t configuration);

#define EDGE_UNKNOWN UINT64_MAX

static inline struct automaton_edge automaton_next(struct automaton *a, uint32_t configuration, uint8_t byte)
{
    const uint64_t *row = a->configurations[configuration].row;
    uint64_t e = row ? row[a->classes[byte]] : EDGE_UNKNOWN;
    if (e == EDGE_UNKNOWN)
        return automaton_make_edge(a, configuration, byte);
    return (struct automaton_edge){(uint32_t)(e >> 32), (uint16_t)(e >> 16), (uint16_t)e};
}

/* Forgets all configurations but those of roots[n], which it numbers anew. Without memory it forgets
 * nothing, or a root too, which becomes CONFIGURATION_DEAD. */
void automaton_keep(struct automaton *a, uint32_t *const *roots, size_t n);

#endif
