/* schema_refs.c - finds what a $ref refers to, in the same document: by JSON pointer, by anchor, by $id. */
#include "schema_private.h"

#include <stdlib.h>
#include <string.h>

#define PLACES_MOST 4096
#define URI_MOST 2048

/* ---- URIs ---- */

static size_t find_byte(struct span s, uint8_t byte)
{
    const uint8_t *found = s.size ? memchr(s.at, byte, s.size) : NULL;
    return found ? (size_t)(found - s.at) : s.size;
}

static struct span after(struct span s, size_t at)
{
    return at >= s.size ? (struct span){s.at + s.size, 0} : (struct span){s.at + at, s.size - at};
}

static bool is_absolute(struct span s)
{
    size_t colon = find_byte(s, ':');
    return colon < s.size && colon < find_byte(s, '/') && colon < find_byte(s, '#');
}

/* Where the path of an absolute URI begins. */
static size_t path_start(struct span s)
{
    size_t colon = find_byte(s, ':') + 1;
    if (colon + 2 > s.size || memcmp(s.at + colon, "//", 2) != 0)
        return colon < s.size ? colon : s.size;
    return colon + 2 + find_byte(after(s, colon + 2), '/');
}

/* `relative` without its fragment, as seen from `base`. */
static struct span join(struct schema_compiler *c, struct span base, struct span relative)
{
    relative.size = find_byte(relative, '#');
    if (!relative.size)
        return base;
    if (is_absolute(relative) || !base.size)
        return relative;
    size_t keep = is_absolute(base) ? path_start(base) : 0;
    if (relative.at[0] != '/')
        for (size_t i = keep; i < base.size; i++)
            if (base.at[i] == '/')
                keep = i + 1;
    if (keep + relative.size > URI_MOST)
        return relative;
    uint8_t *out = schema_alloc(c, keep + relative.size + 1);
    if (!out)
        return relative;
    memcpy(out, base.at, keep);
    memcpy(out + keep, relative.at, relative.size);
    return (struct span){out, keep + relative.size};
}

/* ---- places ---- */

static void add_place(struct schema_compiler *c, struct schema_place place)
{
    if (c->n_places == PLACES_MOST) {
        grammar_builder_fail(c->b, "the schema has more than %d schemas with $id or $anchor", PLACES_MOST);
        return;
    }
    struct schema_place *places = schema_grow(c, c->places, c->n_places, &c->room_places, sizeof(*places));
    if (!places)
        return;
    c->places = places;
    places[c->n_places++] = place;
}

static struct span string_of(const struct value_map *map, const char *name)
{
    const struct value *v = schema_keyword(map, name);
    return v && v->kind == VALUE_STRING ? value_span(*v) : (struct span){0};
}

static void find_places(struct schema_compiler *c, struct value v, struct schema_place in, unsigned depth);

/* Keywords whose value is a schema or a list of them, and keywords whose members are schemas. */
static bool is_among(struct value key, const char *const *names)
{
    for (; *names; names++)
        if (value_is(key, *names))
            return true;
    return false;
}

static void find_places_below(
    struct schema_compiler *c, struct value_pair pair, struct schema_place in, unsigned depth)
{
    static const char *const schemas[] = {"allOf", "anyOf", "oneOf", "not", "if", "then", "else", "items",
        "prefixItems", "additionalItems", "contains", "unevaluatedItems", "additionalProperties",
        "propertyNames", "unevaluatedProperties", "contentSchema", NULL};
    static const char *const named[] = {
        "properties", "patternProperties", "$defs", "definitions", "dependentSchemas", "dependencies", NULL};
    if (is_among(pair.key, schemas))
        find_places(c, pair.value, in, depth + 1);
    if (pair.value.kind == VALUE_MAP && is_among(pair.key, named))
        for (size_t i = 0; i < pair.value.map->n && !schema_failed(c); i++)
            find_places(c, pair.value.map->pairs[i].value, in, depth + 2);
}

static void find_places_in_map(
    struct schema_compiler *c, const struct value_map *map, struct schema_place in, unsigned depth)
{
    struct span id = string_of(map, "$id"), anchor = string_of(map, "$anchor");
    if (c->draft == 7 && schema_keyword(map, "$ref"))
        id.size = anchor.size = 0;
    if (id.size && id.at[0] == '#') {
        anchor = after(id, 1);
        id.size = 0;
    }
    if (id.size && id.at[0] != '#')
        in = (struct schema_place){.resource = map, .id = join(c, in.id, id)};
    struct schema_place here = in;
    here.map = map;
    here.anchor = anchor;
    if (id.size || anchor.size || in.resource != c->root.map)
        add_place(c, here);
    for (size_t i = 0; i < map->n && !schema_failed(c); i++)
        find_places_below(c, map->pairs[i], in, depth);
}

static void find_places(struct schema_compiler *c, struct value v, struct schema_place in, unsigned depth)
{
    if (depth > VALUE_DEPTH + 1)
        grammar_builder_fail(c->b, "the schema is nested deeper than %d levels", VALUE_DEPTH);
    if (!schema_step(c, 1))
        return;
    if (v.kind == VALUE_MAP)
        find_places_in_map(c, v.map, in, depth);
    for (size_t i = 0; v.kind == VALUE_LIST && i < v.list->n; i++)
        find_places(c, v.list->items[i], in, depth + 1);
}

void schema_find_places(struct schema_compiler *c)
{
    if (c->root.kind == VALUE_MAP)
        find_places(c, c->root, (struct schema_place){.resource = c->root.map}, 0);
}

/* ---- references ---- */

/* Takes %XX out of a fragment. False when it is malformed or too long. */
static bool unescape(struct span s, uint8_t out[URI_MOST], size_t *size)
{
    *size = 0;
    for (size_t i = 0; i < s.size; i++) {
        if (*size == URI_MOST)
            return false;
        if (s.at[i] == '%' && s.size - i > 2) {
            char hex[3] = {(char)s.at[i + 1], (char)s.at[i + 2], 0}, *end;
            out[(*size)++] = (uint8_t)strtoul(hex, &end, 16);
            if (*end)
                return false;
            i += 2;
        } else {
            out[(*size)++] = s.at[i];
        }
    }
    return true;
}

/* One step of a JSON pointer, in place: ~1 is a slash and ~0 a tilde. */
static struct span pointer_step(uint8_t *at, size_t size)
{
    size_t n = 0;
    for (size_t i = 0; i < size; i++) {
        uint8_t c = at[i];
        if (c == '~' && i + 1 < size && (at[i + 1] == '0' || at[i + 1] == '1'))
            c = at[++i] == '0' ? '~' : '/';
        at[n++] = c;
    }
    return (struct span){at, n};
}

static const struct value *step_into(struct schema_compiler *c, const struct value *v, struct span name)
{
    if (v->kind == VALUE_MAP)
        return schema_step(c, 1 + v->map->n / 64) ? value_find(*v, name) : NULL;
    size_t at = 0;
    if (v->kind != VALUE_LIST || !name.size || name.size > 6)
        return NULL;
    for (size_t i = 0; i < name.size; i++) {
        if (name.at[i] < '0' || name.at[i] > '9')
            return NULL;
        at = at * 10 + (size_t)(name.at[i] - '0');
    }
    return at < v->list->n ? &v->list->items[at] : NULL;
}

static const struct value *follow_pointer(
    struct schema_compiler *c, const struct value *v, uint8_t *pointer, size_t size)
{
    for (size_t at = 0; v && at < size;) {
        size_t next = at + 1 + find_byte((struct span){pointer + at + 1, size - at - 1}, '/');
        v = step_into(c, v, pointer_step(pointer + at + 1, next - at - 1));
        at = next;
    }
    return v;
}

static const struct schema_place *place_of(const struct schema_compiler *c, const struct value_map *map)
{
    for (size_t i = 0; i < c->n_places; i++)
        if (c->places[i].map == map)
            return &c->places[i];
    return NULL;
}

/* The map as a value that stays. */
static const struct value *value_of(struct schema_compiler *c, const struct value_map *map)
{
    struct value *v = schema_alloc(c, sizeof(*v));
    if (v)
        *v = (struct value){.kind = VALUE_MAP, .map = (struct value_map *)(uintptr_t)map};
    return v;
}

static const struct value_map *find_resource(
    struct schema_compiler *c, const struct value_map *from, struct span ref)
{
    const struct schema_place *here = c->n_places ? place_of(c, from) : NULL;
    const struct schema_place *root = c->n_places ? place_of(c, c->root.map) : NULL;
    const struct value_map *resource = here ? here->resource : c->root.map;
    if (!find_byte(ref, '#'))
        return resource;
    struct span id = join(c, here ? here->id : root ? root->id : (struct span){0}, ref);
    for (size_t i = 0; i < c->n_places; i++)
        if (c->places[i].resource == c->places[i].map && span_compare(c->places[i].id, id) == 0)
            return c->places[i].map;
    return NULL;
}

const struct value *schema_resolve(
    struct schema_compiler *c, const struct value_map *from, const struct schema_path *path, struct value ref)
{
    uint8_t fragment[URI_MOST];
    size_t size;
    if (!schema_step(c, 1 + c->n_places / 16))
        return NULL;
    if (ref.kind != VALUE_STRING) {
        schema_wrong(c, path, "$ref", "must be a string");
        return NULL;
    }
    struct span text = value_span(ref);
    const struct value_map *resource = find_resource(c, from, text);
    if (!resource) {
        schema_refuse(c, path, "$ref", "a reference to another document is not supported");
        return NULL;
    }
    const struct value *found = resource == c->root.map ? &c->root : value_of(c, resource);
    if (!unescape(after(text, find_byte(text, '#') + 1), fragment, &size))
        found = NULL;
    else if (size && fragment[0] == '/')
        found = found ? follow_pointer(c, found, fragment, size) : NULL;
    else if (size) {
        found = NULL;
        for (size_t i = 0; i < c->n_places && !found; i++)
            if (c->places[i].resource == resource &&
                span_compare(c->places[i].anchor, (struct span){fragment, size}) == 0)
                found = value_of(c, c->places[i].map);
    }
    if (!found || (found->kind != VALUE_MAP && found->kind != VALUE_BOOL)) {
        schema_wrong(c, path, "$ref", "there is no schema at this place");
        return NULL;
    }
    return found;
}
