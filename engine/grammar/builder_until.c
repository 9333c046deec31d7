/* builder_until.c - text up to the first of some markers, by the automaton of Aho and Corasick. */
#include "builder_private.h"

#include <stdlib.h>
#include <string.h>

#define MARKER_LONGEST 255

/* Numbers the bytes of the markers; class 0 are all others. Returns the states that are needed at most, or 0 when the
 * builder has failed. */
static size_t measure(
    struct grammar_builder *b, struct until *u, const struct grammar_marker *markers, size_t n)
{
    size_t states = 1;
    u->n_classes = 1;
    for (size_t i = 0; i < n; i++) {
        struct span s = markers[i].text;
        if (markers[i].token >= 0)
            continue;
        if (s.size == 0 || s.size > MARKER_LONGEST) {
            grammar_builder_fail(
                b, "a marker has %zu bytes; between 1 and %d are possible", s.size, MARKER_LONGEST);
            return 0;
        }
        states += s.size;
        /* 256 different bytes in markers: the last one has class 0, which no other byte is left to have. */
        for (size_t k = 0; k < s.size; k++)
            if (u->classes[s.at[k]] == 0 && u->n_classes < 256)
                u->classes[s.at[k]] = (uint8_t)u->n_classes++;
    }
    return builder_count(b, states + n) ? states : 0;
}

static bool allocate(struct until *u, size_t states, size_t n)
{
    u->next = calloc(states * u->n_classes, sizeof(*u->next));
    u->depth = calloc(states, sizeof(*u->depth));
    u->found = calloc(states, sizeof(*u->found));
    u->markers = calloc(n + 1, sizeof(*u->markers));
    return u->next && u->depth && u->found && u->markers;
}

/* The markers as a trie: a state of 0 in `next` is none yet. */
static void add_markers(
    struct until *u, const struct grammar_marker *markers, const grammar_node *then, size_t n)
{
    u->n_states = 1;
    for (uint32_t i = 0; i < n; i++) {
        struct span s = markers[i].text;
        bool text = markers[i].token < 0;
        u->markers[i] = (struct until_marker){
            .token = markers[i].token, .length = text ? (uint16_t)s.size : 0, .then = then[i]};
        uint32_t state = 0;
        for (size_t k = 0; text && k < s.size; k++) {
            uint32_t *next = &u->next[(size_t)state * u->n_classes + u->classes[s.at[k]]];
            if (*next == 0) {
                u->depth[u->n_states] = (uint16_t)(k + 1);
                *next = u->n_states++;
            }
            state = *next;
        }
        if (text && u->found[state] == 0)
            u->found[state] = i + 1;
    }
    u->n_markers = (uint32_t)n;
}

/* Fills the transitions that the trie does not have with those of the longest end that has them. `fail` and `order` have
 * room for all states. */
static void complete(struct until *u, uint32_t *fail, uint32_t *order)
{
    uint32_t n = 0, k = u->n_classes;
    fail[0] = 0;
    order[n++] = 0;
    for (uint32_t i = 0; i < n; i++) {
        uint32_t state = order[i], *row = &u->next[(size_t)state * k];
        const uint32_t *other = &u->next[(size_t)fail[state] * k];
        if (u->found[state] == 0)
            u->found[state] = u->found[fail[state]];
        for (uint32_t c = 0; c < k; c++) {
            if (row[c] != 0) {
                fail[row[c]] = state == 0 ? 0 : other[c];
                order[n++] = row[c];
            } else if (state != 0) {
                row[c] = other[c];
            }
        }
    }
}

/* Nothing can follow a marker that never comes first, because another one ends inside it. What could follow it does not
 * count, so that the text is not taken for one that can be completed. */
static void drop_unreachable(struct until *u, const struct grammar_marker *markers)
{
    for (uint32_t i = 0; i < u->n_markers; i++) {
        struct span s = markers[i].text;
        uint32_t state = 0, found = 0;
        if (markers[i].token >= 0)
            continue;
        for (size_t k = 0; k < s.size && found == 0; k++) {
            state = u->next[(size_t)state * u->n_classes + u->classes[s.at[k]]];
            found = u->found[state];
        }
        if (found != i + 1)
            u->markers[i].then = NODE_NEVER;
    }
}

static void release(struct until *u)
{
    free(u->next);
    free(u->depth);
    free(u->found);
    free(u->markers);
}

static bool make(struct grammar_builder *b, struct until *u, const struct grammar_marker *markers,
    const grammar_node *then, size_t n)
{
    size_t states = measure(b, u, markers, n);
    if (states == 0)
        return false;
    uint32_t *scratch = malloc(states * 2 * sizeof(*scratch));
    struct program *p = &b->program;
    bool good = scratch && allocate(u, states, n) &&
                array_grow(&p->untils, &p->room_untils, (size_t)p->n_untils + 1, sizeof(*p->untils));
    if (good) {
        add_markers(u, markers, then, n);
        complete(u, scratch, scratch + states);
        drop_unreachable(u, markers);
    } else {
        grammar_builder_no_memory(b);
    }
    free(scratch);
    return good;
}

grammar_node grammar_until(struct grammar_builder *b, const struct grammar_marker *markers,
    const grammar_node *then, size_t n, bool may_end, uint16_t tag)
{
    struct until u = {.may_end = may_end};
    struct program *p = &b->program;
    if (b->failed)
        return NODE_NEVER;
    if (!make(b, &u, markers, then, n)) {
        release(&u);
        return NODE_NEVER;
    }
    p->untils[p->n_untils] = u;
    uint8_t flags = EXPRESSION_LIVE | (may_end || n == 0 ? EXPRESSION_NULLABLE : 0);
    p->untils[p->n_untils].may_end = may_end || n == 0;
    return builder_node(
        b, (struct expression){.kind = EXPRESSION_UNTIL, .flags = flags, .tag = tag, .a = p->n_untils++});
}
