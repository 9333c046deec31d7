/* schema_set.c - sets of schemas: what brings more schemas into a set, and the choices that remain. */
#include "schema_private.h"
#include "builder_private.h"

#include <stdio.h>
#include <string.h>

#define STEPS_MOST ((size_t)1 << 19)
#define PARTS_MOST 512
#define CHOICES_MOST 64
#define PATH_SIZE 128

/* ---- failing ---- */

bool schema_failed(struct schema_compiler *c)
{
    struct error err = {0};
    if (value_arena_failed(c->arena) && !grammar_builder_failed(c->b)) {
        value_arena_explain(c->arena, "the schema", &err);
        if (err.no_memory)
            builder_no_memory(c->b);
        else
            grammar_builder_fail(c->b, "%s", err.text);
    }
    return grammar_builder_failed(c->b);
}

bool schema_step(struct schema_compiler *c, size_t n)
{
    c->steps += n;
    if (c->steps > STEPS_MOST)
        grammar_builder_fail(c->b, "the schema is too complex");
    return !schema_failed(c);
}

void *schema_alloc(struct schema_compiler *c, size_t size)
{
    void *bytes = value_alloc(c->arena, size);
    if (bytes)
        memset(bytes, 0, size);
    schema_failed(c);
    return bytes;
}

void *schema_grow(struct schema_compiler *c, void *array, size_t n, size_t *room, size_t size)
{
    if (n < *room)
        return array;
    size_t more = *room ? *room * 2 : 4;
    void *bigger = schema_alloc(c, more * size);
    if (!bigger)
        return NULL;
    if (n)
        memcpy(bigger, array, n * size);
    *room = more;
    return bigger;
}

const struct schema_path *schema_path(
    struct schema_compiler *c, const struct schema_path *parent, const char *keyword, struct span name)
{
    if (keyword)
        parent = schema_path(c, parent, NULL, span_of(keyword));
    if (!name.at)
        return parent;
    struct schema_path *path = schema_alloc(c, sizeof(*path));
    if (path)
        *path = (struct schema_path){.parent = parent, .name = name};
    return path;
}

static void write_path(char out[PATH_SIZE], const struct schema_path *path)
{
    const struct schema_path *steps[VALUE_DEPTH * 2];
    size_t n = 0, used = 0;
    for (; path && n < sizeof(steps) / sizeof(steps[0]); path = path->parent)
        steps[n++] = path;
    out[0] = 0;
    while (n > 0 && used + 2 < PATH_SIZE) {
        if (used)
            out[used++] = '.';
        used += text_escape(out + used, PATH_SIZE - used, steps[--n]->name);
    }
    if (!used)
        snprintf(out, PATH_SIZE, "the root");
}

void schema_wrong(
    struct schema_compiler *c, const struct schema_path *path, const char *keyword, const char *why)
{
    char at[PATH_SIZE];
    write_path(at, path);
    grammar_builder_fail(c->b, "%s at %s: %s", keyword, at, why);
}

void schema_refuse(
    struct schema_compiler *c, const struct schema_path *path, const char *keyword, const char *why)
{
    char at[PATH_SIZE];
    struct json_notes *notes = c->notes;
    if (c->o->strict) {
        schema_wrong(c, path, keyword, why);
        return;
    }
    if (!notes)
        return;
    write_path(at, path);
    char note[PATH_SIZE * 2];
    snprintf(note, sizeof(note), path ? "%s.%s" : "%.0s%s", at, keyword);
    note[sizeof(notes->at[0]) - 1] = 0;
    for (size_t i = 0; i < notes->n; i++)
        if (strcmp(notes->at[i], note) == 0)
            return;
    if (notes->n == JSON_NOTES_MAX)
        notes->more++;
    else
        memcpy(notes->at[notes->n++], note, strlen(note) + 1);
}

/* ---- keywords ---- */

const struct value *schema_keyword(const struct value_map *map, const char *name)
{
    struct value v = {.kind = VALUE_MAP, .map = (struct value_map *)(uintptr_t)map};
    return value_find(v, span_of(name));
}

size_t schema_count(
    struct schema_compiler *c, const struct schema_part *part, const char *keyword, size_t otherwise)
{
    const struct value *v = schema_keyword(part->map, keyword);
    if (!v)
        return otherwise;
    if (v->kind == VALUE_INTEGER && v->integer >= 0)
        return (size_t)v->integer;
    if (v->kind == VALUE_FLOAT && v->real >= 0 && v->real < 1e15 && v->real <= (double)(size_t)v->real)
        return (size_t)v->real;
    if (v->kind == VALUE_FLOAT && v->real >= 1e15)
        return (size_t)1 << 50;
    schema_wrong(c, part->path, keyword, "must be a whole number, not below 0");
    return otherwise;
}

static bool equal_at(struct value a, struct value b, unsigned depth);

static bool equal_maps(const struct value_map *a, struct value b, unsigned depth)
{
    if (a->n != b.map->n)
        return false;
    for (size_t i = 0; i < a->n; i++) {
        const struct value *other = value_find(b, value_span(a->pairs[i].key));
        if (!other || !equal_at(a->pairs[i].value, *other, depth + 1))
            return false;
    }
    return true;
}

static bool equal_at(struct value a, struct value b, unsigned depth)
{
    bool number = a.kind == VALUE_INTEGER || a.kind == VALUE_FLOAT;
    if (number && (b.kind == VALUE_INTEGER || b.kind == VALUE_FLOAT))
        return json_compare_numbers(a, b) == 0;
    if (a.kind != b.kind || depth > VALUE_DEPTH)
        return false;
    switch (a.kind) {
    case VALUE_BOOL:
        return a.boolean == b.boolean;
    case VALUE_STRING:
        return span_compare(value_span(a), value_span(b)) == 0;
    case VALUE_LIST:
        for (size_t i = 0; i < a.list->n && a.list->n == b.list->n; i++)
            if (!equal_at(a.list->items[i], b.list->items[i], depth + 1))
                return false;
        return a.list->n == b.list->n;
    case VALUE_MAP:
        return equal_maps(a.map, b, depth);
    default:
        return a.kind == VALUE_NULL;
    }
}

bool schema_equal(struct value a, struct value b)
{
    return equal_at(a, b, 0);
}

/* ---- sets ---- */

void schema_add(struct schema_compiler *c, struct schema_set *set, struct value schema,
    const struct schema_path *path, uint32_t parent, bool silent)
{
    if (schema_failed(c))
        return;
    if (schema.kind == VALUE_BOOL) {
        set->never = set->never || !schema.boolean;
        return;
    }
    if (schema.kind != VALUE_MAP) {
        schema_wrong(c, path, "schema", "must be an object or a boolean");
        return;
    }
    for (uint32_t i = parent; i != NO_PART; i = set->parts[i].parent)
        if (set->parts[i].map == schema.map) {
            schema_wrong(c, path, "$ref", "refers to itself without an end");
            return;
        }
    for (size_t i = 0; i < set->n; i++)
        if (set->parts[i].map == schema.map)
            return;
    if (!schema_step(c, 1 + set->n / 16))
        return;
    if (set->n == PARTS_MOST) {
        schema_wrong(c, path, "schema", "too many schemas hold together");
        return;
    }
    struct schema_part *parts = schema_grow(c, set->parts, set->n, &set->room, sizeof(*parts));
    if (!parts)
        return;
    set->parts = parts;
    parts[set->n++] =
        (struct schema_part){.map = schema.map, .path = path, .parent = parent, .silent = silent};
}

struct schema_set schema_copy(struct schema_compiler *c, const struct schema_set *set)
{
    struct schema_set copy = *set;
    copy.room = set->n + 4;
    copy.room_choices = set->n_choices + 2;
    copy.parts = schema_alloc(c, copy.room * sizeof(*copy.parts));
    copy.choices = schema_alloc(c, copy.room_choices * sizeof(*copy.choices));
    if (!copy.parts || !copy.choices)
        return (struct schema_set){.never = true};
    if (set->n)
        memcpy(copy.parts, set->parts, set->n * sizeof(*copy.parts));
    if (set->n_choices)
        memcpy(copy.choices, set->choices, set->n_choices * sizeof(*copy.choices));
    return copy;
}

/* ---- what a part brings ---- */

static void add_choice(struct schema_compiler *c, struct schema_set *set, uint32_t at, const char *keyword)
{
    const struct schema_part *part = &set->parts[at];
    const struct value *branches = schema_keyword(part->map, keyword);
    if (!branches)
        return;
    if (branches->kind != VALUE_LIST || !branches->list->n) {
        schema_wrong(c, part->path, keyword, "must be a list that is not empty");
        return;
    }
    if (set->n_choices == CHOICES_MOST) {
        schema_wrong(c, part->path, keyword, "too many choices hold together");
        return;
    }
    struct schema_choice *choices =
        schema_grow(c, set->choices, set->n_choices, &set->room_choices, sizeof(*choices));
    if (!choices)
        return;
    set->choices = choices;
    choices[set->n_choices++] = (struct schema_choice){
        .branches = branches->list, .path = part->path, .part = at, .one = keyword[0] == 'o'};
}

static void add_all(struct schema_compiler *c, struct schema_set *set, uint32_t at)
{
    struct schema_part part = set->parts[at];
    const struct value *all = schema_keyword(part.map, "allOf");
    if (!all)
        return;
    if (all->kind != VALUE_LIST)
        schema_wrong(c, part.path, "allOf", "must be a list");
    for (size_t i = 0; !schema_failed(c) && i < all->list->n; i++)
        schema_add(
            c, set, all->list->items[i], schema_path(c, part.path, NULL, span_of("allOf")), at, part.silent);
}

static void add_reference(struct schema_compiler *c, struct schema_set *set, uint32_t at)
{
    struct schema_part part = set->parts[at];
    const struct value *ref = schema_keyword(part.map, "$ref");
    const struct value *target = ref ? schema_resolve(c, part.map, part.path, *ref) : NULL;
    if (target)
        schema_add(c, set, *target, schema_path(c, NULL, NULL, value_span(*ref)), at, part.silent);
    if (schema_keyword(part.map, "$dynamicRef"))
        schema_refuse(c, part.path, "$dynamicRef", "is not supported");
    if (schema_keyword(part.map, "$recursiveRef"))
        schema_refuse(c, part.path, "$recursiveRef", "is not supported");
}

static void add_negation(struct schema_compiler *c, struct schema_set *set, uint32_t at)
{
    struct schema_part part = set->parts[at];
    const struct value *inner = schema_keyword(part.map, "not");
    if (!inner)
        return;
    struct value negation = schema_negation(c, *inner, part.path);
    if (negation.kind == VALUE_UNDEFINED)
        schema_refuse(c, part.path, "not", "this schema cannot be negated");
    else
        schema_add(c, set, negation, part.path, at, true);
}

static void add_conditions(struct schema_compiler *c, struct schema_set *set, uint32_t at)
{
    static const char *const names[] = {"dependentRequired", "dependentSchemas", "dependencies"};
    struct schema_part part = set->parts[at];
    if (schema_keyword(part.map, "if") &&
        (schema_keyword(part.map, "then") || schema_keyword(part.map, "else")))
        schema_add(c, set, schema_condition(c, part.map), part.path, at, part.silent);
    for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++)
        if (schema_keyword(part.map, names[i]))
            schema_add(
                c, set, schema_dependencies(c, part.map, names[i], part.path), part.path, at, part.silent);
}

void schema_flatten(struct schema_compiler *c, struct schema_set *set)
{
    for (; set->flat < set->n && !set->never && !schema_failed(c); set->flat++) {
        uint32_t at = (uint32_t)set->flat;
        add_reference(c, set, at);
        add_all(c, set, at);
        add_negation(c, set, at);
        add_conditions(c, set, at);
        add_choice(c, set, at, "anyOf");
        add_choice(c, set, at, "oneOf");
    }
}

bool schema_below(const struct schema_set *set, uint32_t of, uint32_t part)
{
    for (uint32_t i = of; i != NO_PART; i = set->parts[i].parent) {
        if (i == part)
            return true;
        if (set->parts[i].silent)
            return false;
    }
    return false;
}
