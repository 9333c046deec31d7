/* dfa_local.c - what a configuration has of its own.
 *
 * In the middle of a string, what follows the string hardly matters for the tokens that can come next. So such
 * configurations share most of their work.
 */
#include "dfa_private.h"

#define FRAMES_MOST 64 /* of a stack above what is common */
#define LOOKED_MOST 4096 /* frames of all stacks together */

/* The highest frame that lies below the tops of all stacks. 0 when they are too many or too deep. */
static uint32_t common_frame(const struct automaton *a, const struct configuration *c)
{
    const uint32_t *stacks = a->stacks + c->first;
    uint32_t common = stacks[0], looked = 0;
    for (uint32_t i = 1; i < c->n; i++)
        for (uint32_t other = stacks[i]; other != common;) {
            uint32_t depth = a->frames[common].depth, other_depth = a->frames[other].depth;
            if (depth >= other_depth)
                common = a->frames[common].next;
            if (other_depth >= depth)
                other = a->frames[other].next;
            if (++looked > LOOKED_MOST)
                return 0;
        }
    for (uint32_t i = 0; i < c->n; i++)
        if (stacks[i] == common && common != FRAME_BOTTOM)
            return a->frames[common].next;
    return common;
}

/* An empty stack on which bytes have the tag that they have on `frame`. */
static uint32_t tagged_bottom(struct automaton *a, uint32_t frame)
{
    if (a->frames[frame].tag == GRAMMAR_TAG_NONE)
        return FRAME_BOTTOM;
    for (unsigned looked = 0; looked < LOOKED_MOST && frame != FRAME_BOTTOM; looked++) {
        const struct frame *f = &a->frames[frame];
        if (a->program->nodes[f->node].kind == EXPRESSION_TAG && f->count == 1)
            return automaton_push(a, f->node, 1, FRAME_BOTTOM);
        frame = f->next;
    }
    return 0;
}

/* The least count behind which a text of `longest` bytes meets the same bounds. A byte adds one at most; what was begun
 * before the text adds one more. */
static uint32_t least_count(const struct expression *e, uint32_t count, uint32_t longest)
{
    uint64_t last = (uint64_t)count + longest + 2;
    if (e->kind != EXPRESSION_REPEAT)
        return count;
    if (last < e->least)
        return 0;
    return count >= e->least && last < e->most ? e->least : count;
}

uint32_t automaton_local(struct automaton *a, uint32_t configuration, uint32_t longest)
{
    struct configuration c = a->configurations[configuration];
    uint32_t common = c.n == 0 ? 0 : common_frame(a, &c), path[FRAMES_MOST];
    a->no_memory = false;
    uint32_t bottom = common == 0 ? 0 : tagged_bottom(a, common);
    if (bottom == 0)
        return configuration;
    automaton_begin(a);
    for (uint32_t i = 0; i < c.n; i++) {
        uint32_t n = 0, next = bottom;
        for (uint32_t at = a->stacks[c.first + i]; at != common; at = a->frames[at].next) {
            if (n == FRAMES_MOST)
                return configuration;
            path[n++] = at;
        }
        while (n > 0 && next != 0) {
            const struct frame *f = &a->frames[path[--n]];
            next =
                automaton_push(a, f->node, least_count(&a->program->nodes[f->node], f->count, longest), next);
        }
        if (next == 0)
            return configuration;
        automaton_add(a, next);
    }
    uint32_t local = automaton_intern(a);
    return local == CONFIGURATION_DEAD ? configuration : local;
}
