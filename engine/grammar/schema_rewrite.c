/* schema_rewrite.c - says not, if and the dependent keywords by others: by anyOf, allOf, and the negation of keywords.
 *
 * A negation is an anyOf with an alternative for each keyword that may fail. An alternative that cannot be said is left
 * out: the rest is still valid. Where nothing would remain there is no negation. Each schema is rewritten once, so that
 * equal sets stay equal.
 */
#include "schema_private.h"

#include <string.h>

#define MADE_MOST 4096
#define NEGATIONS_MOST 16 /* in each other */
#define EXCLUSIVE_MOST 8 /* branches of a oneOf that are negated */

static struct value word(const char *text)
{
    return value_literal(text);
}

static struct value list_of(struct schema_compiler *c, struct value one, struct value other)
{
    struct value list = value_list(c->arena, 2);
    if (list.kind == VALUE_LIST && one.kind != VALUE_UNDEFINED)
        value_append(c->arena, list, one);
    if (list.kind == VALUE_LIST && other.kind != VALUE_UNDEFINED)
        value_append(c->arena, list, other);
    return list;
}

static void put(struct schema_compiler *c, struct value map, const char *keyword, struct value v)
{
    if (map.kind == VALUE_MAP && v.kind != VALUE_UNDEFINED)
        value_set(c->arena, map, word(keyword), v);
}

static struct value map_of(struct schema_compiler *c, const char *keyword, struct value v)
{
    struct value map = value_map(c->arena, 2);
    put(c, map, keyword, v);
    return map;
}

/* {"type": type, keyword: v} */
static struct value typed(struct schema_compiler *c, const char *type, const char *keyword, struct value v)
{
    struct value map = map_of(c, "type", word(type));
    put(c, map, keyword, v);
    return map;
}

static struct value not_of(struct schema_compiler *c, struct value v)
{
    return map_of(c, "not", v);
}

/* ---- what was made ---- */

static struct schema_made *find_made(struct schema_compiler *c, const void *of, const char *how)
{
    schema_step(c, 1 + c->n_made / 64);
    for (size_t i = 0; i < c->n_made; i++)
        if (c->made[i].of == of && strcmp(c->made[i].how, how) == 0)
            return &c->made[i];
    return NULL;
}

static struct value keep_made(
    struct schema_compiler *c, const void *of, const char *how, struct value value, bool narrow)
{
    if (c->n_made == MADE_MOST)
        grammar_builder_fail(c->b, "the schema has too many conditions and negations");
    struct schema_made *made = schema_grow(c, c->made, c->n_made, &c->room_made, sizeof(*made));
    if (!made || schema_failed(c))
        return value_bool(false);
    c->made = made;
    made[c->n_made++] = (struct schema_made){of, how, value, narrow};
    return value;
}

/* ---- negation, keyword by keyword ---- */

struct negation {
    struct schema_compiler *c;
    const struct value_map *map; /* what is negated */
    const struct schema_path *path;
    struct value any; /* the alternatives so far */
    bool lacks; /* a keyword that cannot be negated */
};

static void may_be(struct negation *n, struct value schema)
{
    if (n->any.kind == VALUE_LIST && schema.kind != VALUE_UNDEFINED)
        value_append(n->c->arena, n->any, schema);
}

/* {"not": v}, or VALUE_UNDEFINED where v has no negation. */
static struct value negated(struct negation *n, struct value v)
{
    struct schema_compiler *c = n->c;
    if (c->negating == NEGATIONS_MOST || (v.kind != VALUE_MAP && v.kind != VALUE_BOOL)) {
        n->lacks = true;
        return value_undefined;
    }
    c->negating++;
    struct value negation = schema_negation(c, v, n->path);
    c->negating--;
    struct schema_made *made = v.kind == VALUE_MAP ? find_made(c, v.map, "not") : NULL;
    n->lacks = n->lacks || negation.kind == VALUE_UNDEFINED || (made && made->narrow);
    return negation.kind == VALUE_UNDEFINED ? negation : not_of(c, v);
}

static bool names_type(struct value type, const char *name)
{
    if (type.kind != VALUE_LIST)
        return value_is(type, name);
    for (size_t i = 0; i < type.list->n; i++)
        if (value_is(type.list->items[i], name))
            return true;
    return false;
}

static void negate_type(struct negation *n, struct value v)
{
    static const char *const names[] = {"null", "boolean", "string", "array", "object"};
    struct value types = value_list(n->c->arena, 6);
    if (types.kind != VALUE_LIST)
        return;
    for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++)
        if (!names_type(v, names[i]))
            value_append(n->c->arena, types, word(names[i]));
    if (!names_type(v, "number"))
        value_append(n->c->arena, types, word(names_type(v, "integer") ? "berth:fraction" : "number"));
    const struct value *nullable = schema_keyword(n->map, "nullable");
    n->lacks = n->lacks || (nullable && nullable->kind == VALUE_BOOL && nullable->boolean);
    if (!n->lacks)
        may_be(n, map_of(n->c, "type", types));
}

static void negate_enum(struct negation *n, struct value v)
{
    if (v.kind == VALUE_LIST)
        may_be(n, map_of(n->c, "berth:except", v));
}

static void negate_const(struct negation *n, struct value v)
{
    may_be(n, map_of(n->c, "berth:except", list_of(n->c, v, value_undefined)));
}

/* Limits turn into each other. `step` is what is added to a count. */
static const struct limit_pair {
    const char *keyword, *type, *opposite;
    int step;
} limit_pairs[] = {
    {"minimum", "number", "exclusiveMaximum", 0},
    {"maximum", "number", "exclusiveMinimum", 0},
    {"exclusiveMinimum", "number", "maximum", 0},
    {"exclusiveMaximum", "number", "minimum", 0},
    {"minLength", "string", "maxLength", -1},
    {"maxLength", "string", "minLength", 1},
    {"minItems", "array", "maxItems", -1},
    {"maxItems", "array", "minItems", 1},
    {"minProperties", "object", "maxProperties", -1},
    {"maxProperties", "object", "minProperties", 1},
};

static bool negate_limit(struct negation *n, struct value keyword, struct value v)
{
    for (size_t i = 0; i < sizeof(limit_pairs) / sizeof(limit_pairs[0]); i++) {
        const struct limit_pair *p = &limit_pairs[i];
        if (!value_is(keyword, p->keyword))
            continue;
        if (v.kind == VALUE_FLOAT && p->step)
            v = value_integer((int64_t)(v.real < 1e15 ? v.real : 1e15));
        if (v.kind == VALUE_INTEGER && v.integer + p->step >= (p->step ? 0 : INT64_MIN))
            may_be(n, typed(n->c, p->type, p->opposite, value_integer(v.integer + p->step)));
        else if (v.kind == VALUE_FLOAT)
            may_be(n, typed(n->c, p->type, p->opposite, v));
        n->lacks = n->lacks || v.kind == VALUE_BOOL;
        return true;
    }
    return false;
}

static void negate_pattern(struct negation *n, struct value v)
{
    may_be(n, typed(n->c, "string", "berth:without", v));
}

static void negate_required(struct negation *n, struct value v)
{
    for (size_t i = 0; v.kind == VALUE_LIST && i < v.list->n; i++) {
        struct value absent = value_map(n->c->arena, 1);
        if (absent.kind == VALUE_MAP)
            value_set(n->c->arena, absent, v.list->items[i], value_bool(false));
        may_be(n, typed(n->c, "object", "properties", absent));
    }
}

static void negate_properties(struct negation *n, struct value v)
{
    for (size_t i = 0; v.kind == VALUE_MAP && i < v.map->n; i++) {
        struct value there = value_map(n->c->arena, 1), name = v.map->pairs[i].key;
        struct value inner = negated(n, v.map->pairs[i].value);
        if (there.kind != VALUE_MAP || inner.kind == VALUE_UNDEFINED)
            continue;
        value_set(n->c->arena, there, name, inner);
        struct value schema = typed(n->c, "object", "properties", there);
        put(n->c, schema, "required", list_of(n->c, name, value_undefined));
        may_be(n, schema);
    }
}

static void negate_all(struct negation *n, struct value v)
{
    for (size_t i = 0; v.kind == VALUE_LIST && i < v.list->n; i++)
        may_be(n, negated(n, v.list->items[i]));
}

static void negate_any(struct negation *n, struct value v)
{
    struct value all = value_list(n->c->arena, 4);
    if (v.kind != VALUE_LIST || all.kind != VALUE_LIST)
        return;
    for (size_t i = 0; i < v.list->n; i++) {
        struct value inner = negated(n, v.list->items[i]);
        if (inner.kind == VALUE_UNDEFINED)
            return;
        value_append(n->c->arena, all, inner);
    }
    may_be(n, map_of(n->c, "allOf", all));
}

static void negate_not(struct negation *n, struct value v)
{
    may_be(n, v);
}

static void negate_reference(struct negation *n, struct value v)
{
    const struct value *target = schema_resolve(n->c, n->map, n->path, v);
    if (target)
        may_be(n, negated(n, *target));
}

static const struct {
    const char *keyword;
    void (*negate)(struct negation *n, struct value v); /* NULL: cannot be said */
} negations[] = {
    {"type", negate_type},
    {"enum", negate_enum},
    {"const", negate_const},
    {"pattern", negate_pattern},
    {"required", negate_required},
    {"properties", negate_properties},
    {"allOf", negate_all},
    {"anyOf", negate_any},
    {"not", negate_not},
    {"$ref", negate_reference},
    {"$dynamicRef", NULL},
    {"$recursiveRef", NULL},
    {"oneOf", NULL},
    {"if", NULL},
    {"multipleOf", NULL},
    {"format", NULL},
    {"items", NULL},
    {"prefixItems", NULL},
    {"additionalItems", NULL},
    {"contains", NULL},
    {"uniqueItems", NULL},
    {"additionalProperties", NULL},
    {"patternProperties", NULL},
    {"propertyNames", NULL},
    {"dependencies", NULL},
    {"dependentRequired", NULL},
    {"dependentSchemas", NULL},
    {"unevaluatedItems", NULL},
    {"unevaluatedProperties", NULL},
    {"berth:except", NULL},
    {"berth:without", NULL},
};

static void negate_keyword(struct negation *n, struct value keyword, struct value v)
{
    for (size_t i = 0; i < sizeof(negations) / sizeof(negations[0]); i++) {
        if (!value_is(keyword, negations[i].keyword))
            continue;
        if (negations[i].negate)
            negations[i].negate(n, v);
        else
            n->lacks = true;
        return;
    }
    negate_limit(n, keyword, v);
}

struct value schema_negation(struct schema_compiler *c, struct value schema, const struct schema_path *path)
{
    if (schema.kind == VALUE_BOOL)
        return value_bool(!schema.boolean);
    if (schema.kind != VALUE_MAP) {
        schema_wrong(c, path, "not", "must be an object or a boolean");
        return value_bool(false);
    }
    struct schema_made *made = find_made(c, schema.map, "not");
    if (made)
        return made->value;
    struct negation n = {.c = c, .map = schema.map, .path = path, .any = value_list(c->arena, 4)};
    for (size_t i = 0; i < schema.map->n && schema_step(c, 1); i++)
        negate_keyword(&n, schema.map->pairs[i].key, schema.map->pairs[i].value);
    if (schema_failed(c))
        return value_bool(false);
    struct value result = map_of(c, "anyOf", n.any);
    if (n.any.list->n == 1)
        result = n.any.list->items[0];
    else if (n.any.list->n == 0)
        result = n.lacks ? value_undefined : value_bool(false);
    return keep_made(c, schema.map, "not", result, n.lacks);
}

struct value schema_exclusive(
    struct schema_compiler *c, const struct value_list *branches, const struct schema_path *path)
{
    struct schema_made *made = find_made(c, branches, "oneOf");
    if (made)
        return made->value;
    struct value list = value_list(c->arena, branches->n);
    if (branches->n > EXCLUSIVE_MOST)
        return value_undefined;
    for (size_t i = 0; i < branches->n; i++) {
        struct value all = list_of(c, branches->items[i], value_undefined);
        struct value branch = branches->items[i];
        bool good = schema_negation(c, branch, path).kind != VALUE_UNDEFINED;
        struct schema_made *negation = branch.kind == VALUE_MAP ? find_made(c, branch.map, "not") : NULL;
        if (!good || (negation && negation->narrow))
            return value_undefined;
        for (size_t k = 0; k < branches->n && !schema_failed(c); k++)
            if (k != i)
                value_append(c->arena, all, not_of(c, branches->items[k]));
        if (!schema_failed(c))
            value_append(c->arena, list, map_of(c, "allOf", all));
    }
    return keep_made(c, branches, "oneOf", list, false);
}

/* ---- conditions ---- */

struct value schema_condition(struct schema_compiler *c, const struct value_map *map)
{
    struct schema_made *made = find_made(c, map, "if");
    if (made)
        return made->value;
    const struct value *test = schema_keyword(map, "if");
    const struct value *then = schema_keyword(map, "then"), *otherwise = schema_keyword(map, "else");
    struct value yes = map_of(c, "allOf", list_of(c, *test, then ? *then : value_undefined));
    struct value no =
        map_of(c, "allOf", list_of(c, not_of(c, *test), otherwise ? *otherwise : value_undefined));
    return keep_made(c, map, "if", map_of(c, "anyOf", list_of(c, yes, no)), false);
}

/* Without the member `name`, or with it and what it brings. */
static struct value dependency(struct schema_compiler *c, struct value name, struct value brings)
{
    struct value absent = value_map(c->arena, 1), there, required = list_of(c, name, value_undefined);
    if (absent.kind != VALUE_MAP || required.kind != VALUE_LIST)
        return value_bool(false);
    value_set(c->arena, absent, name, value_bool(false));
    if (brings.kind == VALUE_LIST) {
        for (size_t i = 0; i < brings.list->n; i++)
            value_append(c->arena, required, brings.list->items[i]);
        there = map_of(c, "required", required);
    } else {
        there = map_of(c, "required", required);
        put(c, there, "allOf", list_of(c, brings, value_undefined));
    }
    return map_of(c, "anyOf", list_of(c, map_of(c, "properties", absent), there));
}

struct value schema_dependencies(
    struct schema_compiler *c, const struct value_map *map, const char *name, const struct schema_path *path)
{
    struct schema_made *made = find_made(c, map, name);
    if (made)
        return made->value;
    const struct value *all = schema_keyword(map, name);
    struct value list = value_list(c->arena, 4);
    if (all->kind != VALUE_MAP)
        schema_wrong(c, path, name, "must be an object");
    if (schema_failed(c))
        return value_bool(false);
    for (size_t i = 0; i < all->map->n && schema_step(c, 1); i++)
        value_append(c->arena, list, dependency(c, all->map->pairs[i].key, all->map->pairs[i].value));
    return keep_made(c, map, name, map_of(c, "allOf", list), false);
}
