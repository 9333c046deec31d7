/* dfa.c - stacks, configurations, and where a byte leads.
 *
 * A call leaves no frame: what follows it lies on the stack already. So a rule that ends in a call of itself needs no
 * depth. A repetition is one frame with a count, whatever its bounds are.
 */
#include "dfa_private.h"

#include <stdlib.h>
#include <string.h>

bool automaton_init(struct automaton *a, const struct program *p, const grammar_node *list, uint32_t n,
    struct automaton_limits most)
{
    *a = (struct automaton){.program = p, .most = most};
    a->n_classes = program_classes(p, list, n, a->classes);
    for (unsigned i = 256; i-- > 0;)
        a->sample[a->classes[i]] = (uint8_t)i;
    if (!array_grow(&a->frames, &a->room_frames, 2, sizeof(*a->frames)) ||
        !array_grow(&a->configurations, &a->room_configurations, 2, sizeof(*a->configurations)) ||
        !array_grow(&a->stacks, &a->room_stacks, 1, sizeof(*a->stacks)))
        return false;
    memset(a->frames, 0, 2 * sizeof(*a->frames));
    a->n_frames = 2;
    a->stacks[a->n_stacks++] = FRAME_BOTTOM;
    a->configurations[CONFIGURATION_DEAD] = (struct configuration){.n = 0};
    a->configurations[CONFIGURATION_OVER] = (struct configuration){.n = 1, .accepts = true};
    a->n_configurations = 2;
    return hash_index_add(
        &a->configuration_index, hash_of(a->stacks, sizeof(*a->stacks), 0), CONFIGURATION_OVER);
}

void automaton_release(struct automaton *a)
{
    for (uint32_t i = 0; i < a->n_configurations; i++)
        free(a->configurations[i].row);
    free(a->frames);
    free(a->configurations);
    free(a->stacks);
    free(a->frame_index.slots);
    free(a->configuration_index.slots);
    free(a->work);
    free(a->found);
    *a = (struct automaton){.program = NULL};
}

size_t automaton_bytes(const struct automaton *a)
{
    return a->room_frames * sizeof(*a->frames) + a->room_configurations * sizeof(*a->configurations) +
           a->room_stacks * sizeof(*a->stacks) + hash_index_bytes(&a->frame_index) +
           hash_index_bytes(&a->configuration_index) + a->row_bytes + a->room_work * sizeof(*a->work) +
           a->room_found * sizeof(*a->found);
}

/* ---- stacks ---- */

/* The stack `next` with one frame more; 0 when it is too deep or memory is short. */
uint32_t automaton_push(struct automaton *a, uint32_t node, uint32_t count, uint32_t next)
{
    const struct program *p = a->program;
    uint32_t key[3] = {node, count, next}, hash = hash_of(key, sizeof(key), 0), at = 0, item;
    while ((item = hash_index_next(&a->frame_index, hash, &at)) != NO_INDEX) {
        const struct frame *f = &a->frames[item];
        if (f->node == node && f->count == count && f->next == next)
            return item;
    }
    if (a->frames[next].depth >= DEPTH_MAX) {
        a->cut = true;
        return 0;
    }
    if (!array_grow(&a->frames, &a->room_frames, (size_t)a->n_frames + 1, sizeof(*a->frames)) ||
        !hash_index_add(&a->frame_index, hash, a->n_frames)) {
        a->no_memory = true;
        return 0;
    }
    const struct expression *e = &p->nodes[node];
    bool tagged = e->kind == EXPRESSION_TAG && count == 1;
    a->frames[a->n_frames] = (struct frame){.node = node,
        .count = count,
        .next = next,
        .depth = a->frames[next].depth + 1,
        .tag = tagged ? e->tag : a->frames[next].tag};
    return a->n_frames++;
}

void automaton_add(struct automaton *a, uint32_t frame)
{
    if (frame == 0 || a->frames[frame].found == a->step)
        return;
    if (a->n_found >= a->most.stacks) {
        a->cut = true;
    } else if (!array_grow(&a->found, &a->room_found, (size_t)a->n_found + 1, sizeof(*a->found))) {
        a->no_memory = true;
    } else {
        a->frames[frame].found = a->step;
        a->found[a->n_found++] = frame;
    }
}

static void add_work(struct automaton *a, struct automaton_work w)
{
    if (array_grow(&a->work, &a->room_work, (size_t)a->n_work + 1, sizeof(*a->work)))
        a->work[a->n_work++] = w;
    else
        a->no_memory = true;
}

/* Goes on with the frame below. False when there is nothing more to do on this way. */
static bool pop(struct automaton *a, struct automaton_work *w)
{
    for (;;) {
        if (w->next == FRAME_BOTTOM) {
            automaton_add(a, FRAME_BOTTOM);
            return false;
        }
        struct frame *f = &a->frames[w->next];
        const struct expression *e = &a->program->nodes[f->node];
        bool fresh = f->depth > w->base;
        /* A repetition that ends without a byte matches nothing that fewer of them would not. */
        if (f->popped == a->step || (fresh && f->count > 0 && e->kind == EXPRESSION_REPEAT))
            return false;
        f->popped = a->step;
        if (!fresh)
            w->base = f->depth - 1;
        w->node = f->node;
        w->count = f->count;
        w->next = f->next;
        if (e->kind != EXPRESSION_TAG || f->count == 0)
            return true;
    }
}

/* Pushes `then` below what comes next. */
static bool descend(
    struct automaton *a, struct automaton_work *w, uint32_t node, uint32_t then, uint32_t count)
{
    w->next = automaton_push(a, then, count, w->next);
    w->node = node;
    w->count = 0;
    return w->next != 0;
}

static bool repeat(struct automaton *a, struct automaton_work *w, const struct expression *e)
{
    uint32_t count = w->count, self = w->node;
    if (count >= e->least)
        add_work(a, (struct automaton_work){NODE_EMPTY, 0, w->next, w->base});
    if (count >= e->most)
        return false;
    if (e->most != NO_INDEX || count < e->least)
        count++;
    return descend(a, w, e->a, self, count);
}

/* Follows one way down to what consumes something. Other ways that begin on it become work for later. False at its end. */
static bool descend_once(struct automaton *a, struct automaton_work *w)
{
    const struct program *p = a->program;
    const struct expression *e = &p->nodes[w->node];
    if (!(e->flags & EXPRESSION_LIVE))
        return false;
    switch (e->kind) {
    case EXPRESSION_EMPTY:
        return pop(a, w);
    case EXPRESSION_SEQUENCE:
        return descend(a, w, e->a, e->b, 0);
    case EXPRESSION_EITHER:
        add_work(a, (struct automaton_work){e->b, 0, w->next, w->base});
        w->node = e->a;
        return true;
    case EXPRESSION_REPEAT:
        return repeat(a, w, e);
    case EXPRESSION_CALL:
        w->node = p->rules[e->a];
        return true;
    case EXPRESSION_TAG:
        return descend(a, w, e->a, w->node, 1);
    case EXPRESSION_DFA:
        if (p->dfas[e->a].accepts[w->count] & DFA_GOES_ON)
            automaton_add(a, automaton_push(a, w->node, w->count, w->next));
        return p->dfas[e->a].accepts[w->count] & DFA_ACCEPTS && pop(a, w);
    case EXPRESSION_UNTIL:
        automaton_add(a, automaton_push(a, w->node, w->count, w->next));
        return p->untils[e->a].may_end && pop(a, w);
    default: /* a literal, a set, a token */
        automaton_add(a, automaton_push(a, w->node, w->count, w->next));
        return false;
    }
}

void automaton_begin(struct automaton *a)
{
    if (++a->step == 0) { /* numbers of steps begin again */
        for (uint32_t i = 0; i < a->n_frames; i++)
            a->frames[i].popped = a->frames[i].found = 0;
        a->step = 1;
    }
    a->n_found = a->n_work = 0;
    a->steps = 0;
}

/* Finds the stacks to which `w` leads. */
static void close_over(struct automaton *a, struct automaton_work w)
{
    w.base = a->frames[w.next].depth;
    for (add_work(a, w); a->n_work > 0 && !a->no_memory;) {
        w = a->work[--a->n_work];
        do {
            if (a->steps++ >= a->most.steps) {
                a->cut = true;
                a->n_work = 0;
                return;
            }
        } while (descend_once(a, &w));
    }
}

/* ---- configurations ---- */

static int compare_numbers(const void *one, const void *other)
{
    uint32_t a, b;
    memcpy(&a, one, sizeof(a));
    memcpy(&b, other, sizeof(b));
    return (a > b) - (a < b);
}

/* The number of the configuration of the stacks that were found. */
uint32_t automaton_intern(struct automaton *a)
{
    if (a->no_memory || a->n_found == 0)
        return CONFIGURATION_DEAD;
    if (a->sorted && a->n_found > 1)
        qsort(a->found, a->n_found, sizeof(*a->found), compare_numbers);
    size_t size = a->n_found * sizeof(*a->found);
    uint32_t hash = hash_of(a->found, size, 0), at = 0, item;
    while ((item = hash_index_next(&a->configuration_index, hash, &at)) != NO_INDEX) {
        const struct configuration *c = &a->configurations[item];
        if (c->n == a->n_found && memcmp(a->stacks + c->first, a->found, size) == 0)
            return item;
    }
    if (!array_grow(&a->stacks, &a->room_stacks, (size_t)a->n_stacks + a->n_found, sizeof(*a->stacks)) ||
        !array_grow(&a->configurations, &a->room_configurations, (size_t)a->n_configurations + 1,
            sizeof(*a->configurations)) ||
        !hash_index_add(&a->configuration_index, hash, a->n_configurations)) {
        a->no_memory = true;
        return CONFIGURATION_DEAD;
    }
    memcpy(a->stacks + a->n_stacks, a->found, size);
    struct configuration c = {.first = a->n_stacks, .n = a->n_found};
    for (uint32_t i = 0; i < a->n_found; i++)
        c.accepts |= a->found[i] == FRAME_BOTTOM;
    a->configurations[a->n_configurations] = c;
    a->n_stacks += a->n_found;
    return a->n_configurations++;
}

uint32_t automaton_start(struct automaton *a, grammar_node root)
{
    automaton_begin(a);
    close_over(a, (struct automaton_work){root, 0, FRAME_BOTTOM, 0});
    return automaton_intern(a);
}

/* The byte after text up to a marker: more text, or the end of a marker. */
static void consume_until(
    const struct until *u, uint8_t byte, struct automaton_work *w, struct automaton_edge *edge)
{
    uint32_t state = u->next[(size_t)w->count * u->n_classes + u->classes[byte]];
    if (u->found[state] == 0) {
        w->count = state;
        return;
    }
    const struct until_marker *m = &u->markers[u->found[state] - 1];
    edge->tag = GRAMMAR_TAG_MARK;
    edge->back = (uint16_t)(m->length - 1);
    w->node = m->then;
    w->count = 0;
}

/* What comes after the frame has consumed the byte. False when it cannot. */
static bool consume(
    const struct program *p, uint8_t byte, struct automaton_work *w, struct automaton_edge *edge)
{
    const struct expression *e = &p->nodes[w->node];
    const struct dfa *d;
    uint32_t state;
    switch (e->kind) {
    case EXPRESSION_SET:
        w->node = NODE_EMPTY;
        return byte_in_set(&p->sets[e->a], byte);
    case EXPRESSION_LITERAL:
        if (p->bytes[e->a + w->count] != byte)
            return false;
        if (++w->count == e->b)
            w->node = NODE_EMPTY;
        return true;
    case EXPRESSION_DFA:
        d = &p->dfas[e->a];
        state = d->next[(size_t)w->count * d->n_classes + d->classes[byte]];
        w->count = state - 1;
        return state != 0;
    case EXPRESSION_UNTIL:
        consume_until(&p->untils[e->a], byte, w, edge);
        return true;
    default:
        return false;
    }
}

/* The tag of a byte that the frame on top consumes. */
static uint16_t tag_of(const struct automaton *a, const struct frame *f)
{
    const struct expression *e = &a->program->nodes[f->node];
    return e->kind == EXPRESSION_UNTIL && e->tag != GRAMMAR_TAG_NONE ? e->tag : f->tag;
}

static struct automaton_edge make_edge(struct automaton *a, uint32_t configuration, uint8_t byte)
{
    struct automaton_edge edge = {.to = CONFIGURATION_DEAD};
    bool first = true;
    automaton_begin(a);
    for (uint32_t i = 0; i < a->configurations[configuration].n; i++) {
        uint32_t id = a->stacks[a->configurations[configuration].first + i];
        const struct frame *f = &a->frames[id];
        struct automaton_work w = {f->node, f->count, f->next, 0};
        struct automaton_edge one = {.tag = tag_of(a, f)};
        if (id == FRAME_BOTTOM || !consume(a->program, byte, &w, &one))
            continue;
        uint32_t before = a->n_found;
        close_over(a, w);
        if (first && a->n_found > before) {
            edge = one;
            first = false;
        }
    }
    edge.to = automaton_intern(a);
    return edge;
}

static bool make_row(struct automaton *a, uint32_t configuration)
{
    size_t size = a->n_classes * sizeof(uint64_t);
    uint64_t *row = malloc(size);
    if (!row)
        return false;
    memset(row, 0xff, size);
    a->configurations[configuration].row = row;
    a->row_bytes += size;
    return true;
}

struct automaton_edge automaton_make_edge(struct automaton *a, uint32_t configuration, uint8_t byte)
{
    struct automaton_edge edge = {.to = CONFIGURATION_DEAD};
    a->full = automaton_bytes(a) > a->most.bytes;
    a->no_memory = a->full || (!a->configurations[configuration].row && !make_row(a, configuration));
    if (!a->no_memory)
        edge = make_edge(a, configuration, byte);
    if (!a->no_memory)
        a->configurations[configuration].row[a->classes[byte]] =
            (uint64_t)edge.to << 32 | (uint64_t)edge.tag << 16 | edge.back;
    return edge;
}

size_t automaton_in_doubt(const struct automaton *a, uint32_t configuration)
{
    const struct configuration *c = &a->configurations[configuration];
    size_t most = 0;
    for (uint32_t i = 0; i < c->n; i++) {
        const struct frame *f = &a->frames[a->stacks[c->first + i]];
        const struct expression *e = &a->program->nodes[f->node];
        size_t depth = e->kind == EXPRESSION_UNTIL ? a->program->untils[e->a].depth[f->count] : 0;
        most = depth > most ? depth : most;
    }
    return most;
}

/* What comes after the frame has consumed the token. False when it cannot. */
static bool consume_token(const struct program *p, int32_t token, bool any, struct automaton_work *w)
{
    const struct expression *e = &p->nodes[w->node];
    if (e->kind == EXPRESSION_TOKEN) {
        w->node = NODE_EMPTY;
        return e->a == (uint32_t)token;
    }
    if (e->kind != EXPRESSION_UNTIL)
        return false;
    const struct until *u = &p->untils[e->a];
    w->count = 0;
    for (uint32_t i = 0; i < u->n_markers; i++)
        if (u->markers[i].token == token) {
            w->node = u->markers[i].then;
            return true;
        }
    return any;
}

uint32_t automaton_token(struct automaton *a, uint32_t configuration, int32_t token, bool any)
{
    a->full = automaton_bytes(a) > a->most.bytes;
    a->no_memory = a->full;
    automaton_begin(a);
    for (uint32_t i = 0; i < a->configurations[configuration].n; i++) {
        const struct frame *f = &a->frames[a->stacks[a->configurations[configuration].first + i]];
        struct automaton_work w = {f->node, f->count, f->next, 0};
        if (f->next != 0 && consume_token(a->program, token, any, &w))
            close_over(a, w);
    }
    return automaton_intern(a);
}

/* ---- forgetting ---- */

/* Copies the stack `id` of `old`, from its lowest frame that is not copied yet. copied[] has the new number of each. */
static uint32_t copy_stack(struct automaton *a, const struct automaton *old, uint32_t *copied, uint32_t id)
{
    uint32_t n = 0, at = id;
    for (; copied[at] == 0; at = old->frames[at].next) {
        if (!array_grow(&a->found, &a->room_found, (size_t)n + 1, sizeof(*a->found)))
            return 0;
        a->found[n++] = at;
    }
    for (uint32_t next = copied[at]; n > 0;) {
        const struct frame *f = &old->frames[a->found[--n]];
        next = automaton_push(a, f->node, f->count, next);
        if (next == 0)
            return 0;
        copied[a->found[n]] = next;
    }
    return copied[id];
}

static uint32_t copy_configuration(
    struct automaton *a, const struct automaton *old, uint32_t *copied, uint32_t configuration)
{
    const struct configuration *c = &old->configurations[configuration];
    for (uint32_t i = 0; i < c->n; i++)
        if (copy_stack(a, old, copied, old->stacks[c->first + i]) == 0)
            return CONFIGURATION_DEAD;
    automaton_begin(a);
    for (uint32_t i = 0; i < c->n; i++)
        automaton_add(a, copied[old->stacks[c->first + i]]);
    return automaton_intern(a);
}

void automaton_keep(struct automaton *a, uint32_t *const *roots, size_t n)
{
    struct automaton old = *a;
    uint32_t *copied = calloc(old.n_frames, sizeof(*copied));
    if (!automaton_init(a, old.program, NULL, 0, old.most) || !copied) {
        automaton_release(a);
        free(copied);
        *a = old;
        return;
    }
    memcpy(a->classes, old.classes, sizeof(a->classes));
    memcpy(a->sample, old.sample, sizeof(a->sample));
    a->n_classes = old.n_classes;
    a->sorted = old.sorted;
    copied[FRAME_BOTTOM] = FRAME_BOTTOM;
    for (size_t i = 0; i < n; i++)
        *roots[i] = copy_configuration(a, &old, copied, *roots[i]);
    free(copied);
    automaton_release(&old);
}
