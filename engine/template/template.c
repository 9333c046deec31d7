/* template.c - a rendering: its limits, its output, its scopes.
 *
 * Each resource of a rendering is counted in one place: steps in run_step, values in the arena, text in run_add, depth in
 * eval and exec_body. Text that becomes a value (of a block, a macro, a filter) is written at the end of the output and
 * removed from there, so one buffer is enough.
 */
#include "template_private.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define DEFAULT_STEPS 20000000
#define DEFAULT_MEMORY ((size_t)256 << 20)
#define DEFAULT_OUTPUT ((size_t)16 << 20)
#define BYTES_PER_STEP 32 /* of text copied */

bool run_fail(struct template_run *r, const char *format, ...)
{
    char text[500];
    va_list args;
    va_start(args, format);
    vsnprintf(text, sizeof(text), format, args);
    va_end(args);
    if (r->err->text[0])
        return false;
    return error_set(r->err, "line %u: %s", r->line, text);
}

static bool no_memory(struct template_run *r)
{
    return !r->err->text[0] && error_no_memory(r->err, "the prompt");
}

static bool arena_failed(struct template_run *r)
{
    return !r->err->text[0] && (value_arena_explain(r->arena, "the template", r->err) ||
                                   error_prefix(r->err, "line %u", r->line));
}

bool run_step(struct template_run *r, uint64_t steps)
{
    if (value_arena_failed(r->arena))
        return arena_failed(r);
    if (r->steps < steps)
        return run_fail(r, "the template exceeds its limit of steps");
    r->steps -= steps;
    return true;
}

static bool make_room(struct template_run *r, size_t size)
{
    if (size > r->limit || r->size > r->limit - size)
        return run_fail(r, "the template writes more than %zu bytes", r->limit);
    size_t need = r->size + size + 1, room = r->room ? r->room : 1024;
    if (need <= r->room)
        return true;
    while (room < need)
        room *= 2;
    char *text = realloc(r->text, room);
    r->text = text ? text : r->text;
    uint16_t *marks = text ? realloc(r->marks, room * sizeof(*marks)) : NULL;
    r->marks = marks ? marks : r->marks;
    if (!marks)
        return no_memory(r);
    r->room = room;
    return true;
}

bool run_add(struct template_run *r, struct span s, unsigned origin)
{
    if (s.size == 0)
        return true;
    if (!run_step(r, s.size / BYTES_PER_STEP) || !make_room(r, s.size))
        return false;
    memcpy(r->text + r->size, s.at, s.size);
    for (size_t i = 0; i < s.size; i++)
        r->marks[r->size + i] = (uint16_t)origin;
    r->size += s.size;
    return true;
}

bool run_add_text(struct template_run *r, const struct value *s)
{
    size_t start = r->size;
    if (!run_add(r, value_span(*s), s->text.origin))
        return false;
    if (s->text.marks)
        memcpy(r->marks + start, s->text.marks, s->text.size * sizeof(*r->marks));
    return true;
}

bool run_add_part(struct template_run *r, const struct value *s, size_t start, size_t end)
{
    const struct value part = value_part(*s, start, end);
    return run_add_text(r, &part);
}

bool list_put(struct template_run *r, const struct value *list, const struct value *item)
{
    return value_append(r->arena, *list, *item) || run_step(r, 1);
}

bool list_put_part(
    struct template_run *r, const struct value *list, const struct value *s, size_t start, size_t end)
{
    const struct value part = value_part(*s, start, end);
    return list_put(r, list, &part);
}

bool run_take(struct template_run *r, size_t start, struct value *out)
{
    size_t size = r->size - start;
    r->size = start;
    if (size == 0) {
        *out = value_literal("");
        return true;
    }
    const uint16_t *marks = r->marks + start;
    size_t same = 1;
    while (same < size && marks[same] == marks[0])
        same++;
    *out = value_string(r->arena, (struct span){(const uint8_t *)r->text + start, size}, marks[0]);
    if (same < size) {
        uint16_t *copy = value_alloc(r->arena, size * sizeof(*copy));
        if (copy)
            memcpy(copy, marks, size * sizeof(*copy));
        out->text.marks = copy;
    }
    return run_step(r, 1 + size / BYTES_PER_STEP);
}

/* ---- names ---- */

static bool same(struct span a, struct span b)
{
    return a.size == b.size && (a.size == 0 || memcmp(a.at, b.at, a.size) == 0);
}

const struct binding *scope_find(const struct template_run *r, struct span name)
{
    bool in_block = false;
    for (const struct scope *s = r->scope; s; s = s->outer) {
        for (const struct binding *b = s->bindings; b; b = b->next)
            if (same(b->name, name) && !(b->hidden && in_block))
                return b;
        in_block = in_block || s->block;
    }
    return NULL;
}

static bool add_binding(struct template_run *r, const struct binding *new)
{
    struct binding *b = value_alloc(r->arena, sizeof(*b));
    if (!b)
        return run_step(r, 1);
    *b = *new;
    b->next = r->scope->bindings;
    r->scope->bindings = b;
    return true;
}

bool scope_set(struct template_run *r, struct span name, const struct value *v)
{
    for (struct binding *b = r->scope->bindings; b; b = b->next)
        if (same(b->name, name)) {
            b->value = *v;
            b->hidden = false;
            return true;
        }
    return add_binding(r, &(struct binding){.name = name, .value = *v});
}

/* The value of a name that is not set. */
static struct value unset(struct span name)
{
    struct value v = value_borrow(name, VALUE_FROM_TEMPLATE);
    v.kind = VALUE_UNDEFINED;
    return v;
}

bool scope_begin(struct template_run *r, const struct node *n)
{
    r->scope->bindings = NULL;
    for (const struct hidden *h = n->hidden; h; h = h->next)
        if (!add_binding(r, &(struct binding){.name = h->name, .value = unset(h->name), .hidden = true}))
            return false;
    return true;
}

bool scope_open(struct template_run *r, const struct node *n)
{
    struct scope *s = value_alloc(r->arena, sizeof(*s));
    if (!s)
        return run_step(r, 1);
    *s = (struct scope){.outer = r->scope, .block = n->kind == NODE_BLOCK};
    r->scope = s;
    return scope_begin(r, n);
}

void scope_close(struct template_run *r, struct scope *outer)
{
    if (r->scope != outer)
        for (struct binding *b = r->scope->bindings; b; b = b->next)
            b->value = unset(b->name);
    r->scope = outer;
}

/* ---- the whole ---- */

/* Moves the text to `out`, with one byte of origin for each of its bytes, and a bit for each part that it shows. */
static bool finish(struct template_run *r, struct template_text *out)
{
    uint8_t *marks = malloc(r->size + 1), *shown = calloc(VALUE_NUMBERS / 8 + 1, 1);
    if (!marks || !shown) {
        free(marks);
        free(shown);
        return no_memory(r);
    }
    for (size_t i = 0; i < r->size; i++) {
        unsigned origin = r->marks[i];
        marks[i] = (uint8_t)(origin < VALUE_FROM_NUMBERED ? origin : VALUE_FROM_MESSAGE);
        if (origin >= VALUE_FROM_NUMBERED)
            shown[(origin - VALUE_FROM_NUMBERED) / 8] |= (uint8_t)(1u << (origin - VALUE_FROM_NUMBERED) % 8);
    }
    r->text[r->size] = '\0';
    *out = (struct template_text){.text = r->text, .marks = marks, .shown = shown, .size = r->size};
    return true;
}

bool template_render(const struct template *t, struct value vars, int64_t now,
    const struct template_limits *limits, struct template_text *out, struct error *err)
{
    static const struct template_limits defaults = {0};
    const struct template_limits *most = limits ? limits : &defaults;
    *out = (struct template_text){0};
    *err = (struct error){0};
    struct template_run r = {.err = err,
        .template = t,
        .vars = vars,
        .now = now,
        .line = 1,
        .steps = most->steps ? most->steps : DEFAULT_STEPS,
        .limit = most->output ? most->output : DEFAULT_OUTPUT};
    size_t memory = most->memory ? most->memory : DEFAULT_MEMORY;
    r.arena = most->beside ? value_arena_beside(most->beside, memory) : value_arena_new(memory);
    if (!r.arena)
        return error_no_memory(err, "the prompt");
    bool good = make_room(&r, 0) && scope_open(&r, t->root);
    r.root = r.scope;
    good = good && exec_body(&r, t->root->d) == FLOW_ON && run_step(&r, 0);
    value_arena_free(r.arena);
    good = good && finish(&r, out);
    free(r.marks);
    if (!good)
        free(r.text);
    return good;
}

bool template_text_shows(const struct template_text *t, size_t number)
{
    return number < VALUE_NUMBERS && (t->shown[number / 8] >> number % 8 & 1) != 0;
}

bool template_names(const struct template *t, const char *word)
{
    return find_bytes(t->source, span_of(word), 0) != SIZE_MAX;
}

void template_text_release(struct template_text *t)
{
    free(t->text);
    free(t->marks);
    free(t->shown);
    *t = (struct template_text){0};
}
