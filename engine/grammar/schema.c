/* schema.c - compiles sets of schemas: choices first, then types.
 *
 * A set that is being compiled, and turns up inside itself, is called as a rule. All others are nodes, which are shared.
 */
#include "schema_private.h"
#include "builder_private.h"

#include <stdlib.h>
#include <string.h>

#define ARENA_BYTES ((size_t)24 << 20)
#define FOLLOWED_MOST 64 /* references to references */
#define DEPTH_MOST 96 /* of sets in each other */

/* ---- types ---- */

static const struct {
    const char *name;
    unsigned types;
} type_names[] = {
    {"null", SCHEMA_NULL},
    {"boolean", SCHEMA_BOOL},
    {"integer", SCHEMA_INTEGER},
    {"number", SCHEMA_INTEGER | SCHEMA_FRACTION},
    {"berth:fraction", SCHEMA_FRACTION},
    {"string", SCHEMA_STRING},
    {"array", SCHEMA_LIST},
    {"object", SCHEMA_OBJECT},
};

/* Keywords that speak of one type. Where no keyword names a type, these do. */
static const struct {
    const char *keyword;
    unsigned types;
} type_hints[] = {
    {"properties", SCHEMA_OBJECT},
    {"required", SCHEMA_OBJECT},
    {"additionalProperties", SCHEMA_OBJECT},
    {"patternProperties", SCHEMA_OBJECT},
    {"propertyNames", SCHEMA_OBJECT},
    {"minProperties", SCHEMA_OBJECT},
    {"maxProperties", SCHEMA_OBJECT},
    {"unevaluatedProperties", SCHEMA_OBJECT},
    {"items", SCHEMA_LIST},
    {"prefixItems", SCHEMA_LIST},
    {"minItems", SCHEMA_LIST},
    {"maxItems", SCHEMA_LIST},
    {"uniqueItems", SCHEMA_LIST},
    {"contains", SCHEMA_LIST},
    {"unevaluatedItems", SCHEMA_LIST},
    {"minLength", SCHEMA_STRING},
    {"maxLength", SCHEMA_STRING},
    {"pattern", SCHEMA_STRING},
    {"format", SCHEMA_STRING},
    {"berth:without", SCHEMA_STRING},
    {"minimum", SCHEMA_INTEGER | SCHEMA_FRACTION},
    {"maximum", SCHEMA_INTEGER | SCHEMA_FRACTION},
    {"exclusiveMinimum", SCHEMA_INTEGER | SCHEMA_FRACTION},
    {"exclusiveMaximum", SCHEMA_INTEGER | SCHEMA_FRACTION},
    {"multipleOf", SCHEMA_INTEGER | SCHEMA_FRACTION},
};

static unsigned named_type(struct schema_compiler *c, const struct schema_part *part, struct value name)
{
    for (size_t i = 0; i < sizeof(type_names) / sizeof(type_names[0]); i++)
        if (value_is(name, type_names[i].name))
            return type_names[i].types;
    schema_wrong(c, part->path, "type", "is not the name of a type");
    return 0;
}

static unsigned part_types(
    struct schema_compiler *c, const struct schema_part *part, const struct value *type)
{
    unsigned types = 0;
    const struct value *nullable = schema_keyword(part->map, "nullable");
    if (type->kind != VALUE_LIST)
        types = named_type(c, part, *type);
    for (size_t i = 0; type->kind == VALUE_LIST && i < type->list->n; i++)
        types |= named_type(c, part, type->list->items[i]);
    return nullable && nullable->kind == VALUE_BOOL && nullable->boolean ? types | SCHEMA_NULL : types;
}

unsigned schema_types(struct schema_compiler *c, const struct schema_set *set, bool *typed)
{
    unsigned types = SCHEMA_ALL;
    *typed = false;
    for (size_t i = 0; i < set->n; i++) {
        const struct value *type = schema_keyword(set->parts[i].map, "type");
        if (type)
            types &= part_types(c, &set->parts[i], type);
        *typed = *typed || type;
    }
    return types;
}

static unsigned hinted_types(const struct schema_set *set)
{
    unsigned types = 0;
    for (size_t i = 0; i < set->n; i++)
        for (size_t k = 0; k < sizeof(type_hints) / sizeof(type_hints[0]); k++)
            if (!(types & type_hints[k].types) && schema_keyword(set->parts[i].map, type_hints[k].keyword))
                types |= type_hints[k].types;
    return types ? types : SCHEMA_ALL;
}

unsigned schema_type_of(struct value v)
{
    switch (v.kind) {
    case VALUE_NULL:
        return SCHEMA_NULL;
    case VALUE_BOOL:
        return SCHEMA_BOOL;
    case VALUE_INTEGER:
        return SCHEMA_INTEGER;
    case VALUE_FLOAT:
        return json_is_multiple(v, value_integer(1)) ? SCHEMA_INTEGER : SCHEMA_FRACTION;
    case VALUE_STRING:
        return SCHEMA_STRING;
    case VALUE_LIST:
        return SCHEMA_LIST;
    case VALUE_MAP:
        return SCHEMA_OBJECT;
    default:
        return 0;
    }
}

/* ---- enum, const, and what `not` takes out ---- */

static bool list_has(struct schema_compiler *c, const struct value_list *list, struct value v)
{
    for (size_t i = 0; i < list->n && schema_step(c, 1); i++)
        if (schema_equal(list->items[i], v))
            return true;
    return false;
}

const struct value_list *schema_enum(struct schema_compiler *c, const struct schema_set *set)
{
    for (size_t i = 0; i < set->n; i++) {
        const struct value *values = schema_keyword(set->parts[i].map, "enum");
        const struct value *only = schema_keyword(set->parts[i].map, "const");
        if (values && values->kind == VALUE_LIST)
            return values->list;
        if (values)
            schema_wrong(c, set->parts[i].path, "enum", "must be a list");
        struct value list = only ? value_list(c->arena, 1) : value_undefined;
        if (only && list.kind == VALUE_LIST && value_append(c->arena, list, *only))
            return list.list;
    }
    return NULL;
}

/* `from`: the list that v is from, or NULL. */
static bool part_allows(
    struct schema_compiler *c, const struct schema_part *part, struct value v, const struct value_list *from)
{
    const struct value *values = schema_keyword(part->map, "enum");
    const struct value *only = schema_keyword(part->map, "const");
    const struct value *except = schema_keyword(part->map, "berth:except");
    if (values && values->kind == VALUE_LIST && values->list != from && !list_has(c, values->list, v))
        return false;
    if (only && !schema_equal(*only, v))
        return false;
    return !except || except->kind != VALUE_LIST || !list_has(c, except->list, v);
}

/* Lists and objects of an enum are not looked into. Whatever else speaks of them is refused. */
static bool refuse_inside(struct schema_compiler *c, const struct schema_set *set, unsigned type)
{
    for (size_t i = 0; i < set->n; i++)
        for (size_t k = 0; k < sizeof(type_hints) / sizeof(type_hints[0]); k++)
            if (type_hints[k].types == type && schema_keyword(set->parts[i].map, type_hints[k].keyword)) {
                schema_refuse(c, set->parts[i].path, type_hints[k].keyword,
                    "cannot be enforced beside an enum or const with lists or objects");
                return true;
            }
    return false;
}

bool schema_allows(struct schema_compiler *c, const struct schema_set *set, unsigned types, struct value v,
    const struct value_list *from)
{
    unsigned type = schema_type_of(v);
    if (!(type & types))
        return false;
    for (size_t i = 0; i < set->n; i++)
        if (!part_allows(c, &set->parts[i], v, from))
            return false;
    if (type & (SCHEMA_INTEGER | SCHEMA_FRACTION))
        return schema_number_allowed(c, set, v);
    if (type & (SCHEMA_LIST | SCHEMA_OBJECT))
        refuse_inside(c, set, type);
    grammar_node contents, text;
    bool exact;
    if (type != SCHEMA_STRING || !schema_contents(c, set, REGEX_SURE, &contents, &exact))
        return true;
    text = json_constant(&c->json, v);
    grammar_node quoted = grammar_sequence(
        c->b, json_text(&c->json, "\""), grammar_sequence(c->b, contents, json_text(&c->json, "\"")));
    return !grammar_disjoint(c->b, text, quoted);
}

static grammar_node compile_enum(
    struct schema_compiler *c, const struct schema_set *set, const struct value_list *values, unsigned types)
{
    grammar_node all = NODE_NEVER;
    for (size_t i = values->n; i-- > 0 && schema_step(c, 1);)
        if (schema_allows(c, set, types, values->items[i], values))
            all = grammar_either(c->b, json_constant(&c->json, values->items[i]), all);
    return all;
}

/* True when `not` takes this value out. */
static bool is_excepted(struct schema_compiler *c, const struct schema_set *set, struct value v)
{
    for (size_t i = 0; i < set->n; i++)
        if (!part_allows(c, &set->parts[i], v, NULL))
            return true;
    return false;
}

/* Values of these types that `not` takes out cannot be left out of all others. */
static void refuse_exceptions(struct schema_compiler *c, const struct schema_set *set, unsigned types)
{
    for (size_t i = 0; i < set->n; i++) {
        const struct value *except = schema_keyword(set->parts[i].map, "berth:except");
        for (size_t k = 0; except && except->kind == VALUE_LIST && k < except->list->n; k++)
            if (schema_type_of(except->list->items[k]) & types) {
                schema_refuse(
                    c, set->parts[i].path, "not", "a list or object cannot be excluded from all others");
                return;
            }
    }
}

/* ---- one set ---- */

static grammar_node compile_types(struct schema_compiler *c, struct schema_set *set, unsigned types)
{
    grammar_node all = NODE_NEVER;
    refuse_exceptions(c, set, types & (SCHEMA_LIST | SCHEMA_OBJECT));
    c->nesting++;
    if (types & SCHEMA_OBJECT)
        all = schema_objects(c, set);
    if (types & SCHEMA_LIST)
        all = grammar_either(c->b, all, schema_lists(c, set));
    c->nesting--;
    if (types & SCHEMA_STRING)
        all = grammar_either(c->b, all, schema_strings(c, set));
    if (types & (SCHEMA_INTEGER | SCHEMA_FRACTION))
        all = grammar_either(c->b, all, schema_numbers(c, set, types));
    for (int truth = 1; truth >= 0; truth--)
        if (types & SCHEMA_BOOL && !is_excepted(c, set, value_bool(truth)))
            all = grammar_either(c->b, all, json_literal_bool(&c->json, truth));
    if (types & SCHEMA_NULL && !is_excepted(c, set, value_null))
        all = grammar_either(c->b, all, json_literal_null(&c->json));
    return all;
}

static grammar_node compile_parts(struct schema_compiler *c, struct schema_set *set)
{
    bool typed;
    unsigned types = schema_types(c, set, &typed);
    const struct value_list *values = schema_enum(c, set);
    if (schema_failed(c) || !types)
        return NODE_NEVER;
    if (values)
        return compile_enum(c, set, values, types);
    return compile_types(c, set, typed ? types : types & hinted_types(set));
}

/* Otherwise each branch excludes the others, where that can be said. */
static void set_apart(struct schema_compiler *c, const struct schema_set *set, struct schema_choice *choice)
{
    if (schema_apart(c, set, choice) || schema_failed(c))
        return;
    struct value apart = schema_exclusive(c, choice->branches, choice->path);
    if (apart.kind == VALUE_LIST)
        choice->branches = apart.list;
    else
        schema_refuse(c, choice->path, "oneOf", "two of its schemas may be valid together");
}

/* Nothing but the keyword, and what says nothing about values. */
static bool is_only(const struct value_map *map, const char *keyword)
{
    static const char *const silent[] = {"title", "description", "default", "examples", "$comment",
        "deprecated", "readOnly", "writeOnly", "$defs", "definitions", "$schema", "$id", "$anchor",
        "discriminator"};
    bool found = false;
    for (size_t i = 0; i < map->n; i++) {
        bool known = value_is(map->pairs[i].key, keyword);
        found = found || known;
        for (size_t k = 0; k < sizeof(silent) / sizeof(silent[0]) && !known; k++)
            known = value_is(map->pairs[i].key, silent[k]);
        if (!known)
            return false;
    }
    return found;
}

/* A schema that only refers to another one is that one, so that it is compiled once. */
static void follow(struct schema_compiler *c, struct schema_set *set)
{
    for (int i = 0; set->n == 1 && set->flat == 0 && !set->never && !schema_failed(c); i++) {
        struct schema_part part = set->parts[0];
        const struct value *ref = schema_keyword(part.map, "$ref"), *all = schema_keyword(part.map, "allOf"),
                           *to;
        if (ref && is_only(part.map, "$ref"))
            to = schema_resolve(c, part.map, part.path, *ref);
        else if (all && all->kind == VALUE_LIST && all->list->n == 1 && is_only(part.map, "allOf"))
            to = &all->list->items[0];
        else
            return;
        if (i == FOLLOWED_MOST)
            schema_wrong(c, part.path, "$ref", "refers to itself without an end");
        if (!to || schema_failed(c))
            return;
        *set = (struct schema_set){0};
        schema_add(c, set, *to, ref ? schema_path(c, NULL, NULL, value_span(*ref)) : part.path, NO_PART,
            part.silent);
    }
}

static grammar_node compile_choices(struct schema_compiler *c, struct schema_set *set);

/* One branch of a choice beside the rest of the set, or alone where there is no rest. */
static grammar_node compile_branch(struct schema_compiler *c, const struct schema_set *set,
    const struct schema_choice *choice, struct value schema)
{
    const char *keyword = choice->one ? "oneOf" : "anyOf";
    const struct schema_path *path = schema_path(c, choice->path, keyword, (struct span){0});
    bool silent = set->parts[choice->part].silent, alone = set->n == 1 && is_only(set->parts[0].map, keyword);
    struct schema_set branch = {0};
    if (!alone)
        branch = schema_copy(c, set);
    schema_add(c, &branch, schema, path, alone ? NO_PART : choice->part, silent);
    return alone ? schema_node(c, &branch) : compile_choices(c, &branch);
}

static grammar_node compile_choices(struct schema_compiler *c, struct schema_set *set)
{
    grammar_node all = NODE_NEVER;
    bool typed;
    schema_flatten(c, set);
    if (set->never || !schema_step(c, 1) || !schema_types(c, set, &typed))
        return NODE_NEVER;
    if (set->chosen == set->n_choices)
        return compile_parts(c, set);
    struct schema_choice choice = set->choices[set->chosen++];
    if (choice.one)
        set_apart(c, set, &choice);
    for (size_t i = 0; i < choice.branches->n && !schema_failed(c); i++) {
        all = grammar_either(c->b, all, compile_branch(c, set, &choice, choice.branches->items[i]));
    }
    return all;
}

/* ---- sets that were compiled ---- */

static int by_address(const void *one, const void *other)
{
    uintptr_t a = (uintptr_t) * (const struct value_map *const *)one;
    uintptr_t b = (uintptr_t) * (const struct value_map *const *)other;
    return a < b ? -1 : a > b;
}

static bool grow_memo(struct schema_compiler *c)
{
    size_t slots = c->memo_slots ? c->memo_slots * 2 : 64;
    uint32_t *index = schema_alloc(c, slots * sizeof(*index));
    if (!index)
        return false;
    for (size_t i = 0; i < c->n_memo; i++) {
        size_t at = c->memo[i].hash & (slots - 1);
        while (index[at])
            at = (at + 1) & (slots - 1);
        index[at] = (uint32_t)i + 1;
    }
    c->memo_index = index;
    c->memo_slots = slots;
    return true;
}

/* The memo of a set; a new one is not done. Its number, because memos move. NO_PART when memory is short. */
static uint32_t find_memo(struct schema_compiler *c, const struct schema_set *set, bool *is_new)
{
    const struct value_map **maps = schema_alloc(c, set->n * sizeof(*maps));
    uint32_t hash = 2166136261u;
    if (!maps || (c->n_memo * 2 >= c->memo_slots && !grow_memo(c)))
        return NO_PART;
    for (size_t i = 0; i < set->n; i++)
        maps[i] = set->parts[i].map;
    qsort(maps, set->n, sizeof(*maps), by_address);
    for (size_t i = 0; i < set->n; i++)
        hash = (hash ^ (uint32_t)((uintptr_t)maps[i] >> 4)) * 16777619u;
    hash ^= hash >> 15;
    size_t at = hash & (c->memo_slots - 1);
    for (; c->memo_index[at]; at = (at + 1) & (c->memo_slots - 1)) {
        const struct schema_memo *m = &c->memo[c->memo_index[at] - 1];
        if (m->hash == hash && m->n == set->n && memcmp(m->maps, maps, set->n * sizeof(*maps)) == 0) {
            *is_new = false;
            return c->memo_index[at] - 1;
        }
    }
    struct schema_memo *memo = schema_grow(c, c->memo, c->n_memo, &c->room_memo, sizeof(*memo));
    if (!memo)
        return NO_PART;
    c->memo = memo;
    memo[c->n_memo] = (struct schema_memo){.hash = hash, .n = (uint32_t)set->n, .maps = maps};
    c->memo_index[at] = (uint32_t)++c->n_memo;
    *is_new = true;
    return (uint32_t)c->n_memo - 1;
}

grammar_node schema_node(struct schema_compiler *c, struct schema_set *set)
{
    bool is_new;
    follow(c, set);
    if (set->never || !schema_step(c, 1))
        return NODE_NEVER;
    if (set->n == 0)
        return json_any(&c->json);
    uint32_t at = find_memo(c, set, &is_new);
    if (at == NO_PART || c->memo[at].done)
        return at == NO_PART ? NODE_NEVER : c->memo[at].node;
    if (!is_new && c->memo[at].nesting == c->nesting) {
        schema_wrong(c, set->parts[0].path, "$ref", "refers to itself without an end");
        return NODE_NEVER;
    }
    if (!is_new) {
        if (!c->memo[at].called)
            c->memo[at].rule = grammar_rule_new(c->b);
        c->memo[at].called = true;
        return grammar_call(c->b, c->memo[at].rule);
    }
    if (c->depth == DEPTH_MOST) {
        schema_wrong(c, set->parts[0].path, "schema", "schemas are nested too deep");
        return NODE_NEVER;
    }
    c->depth++;
    c->memo[at].nesting = c->nesting;
    grammar_node node = compile_choices(c, set);
    c->depth--;
    if (c->memo[at].called) {
        grammar_rule_define(c->b, c->memo[at].rule, node);
        node = node == NODE_NEVER ? node : grammar_call(c->b, c->memo[at].rule);
    }
    c->memo[at].node = node;
    c->memo[at].done = true;
    return node;
}

/* ---- from outside ---- */

/* The draft that $schema names. */
static unsigned draft_of(struct value schema)
{
    const struct value *named = schema.kind == VALUE_MAP ? schema_keyword(schema.map, "$schema") : NULL;
    if (!named || named->kind != VALUE_STRING)
        return 2020;
    struct span text = value_span(*named);
    if (memmem(text.at, text.size, "2019-09", 7))
        return 2019;
    return memmem(text.at, text.size, "draft-0", 7) ? 7 : 2020;
}

static bool begin(struct schema_compiler *c, struct grammar_builder *b, struct value schema,
    const struct json_schema_options *o, struct json_notes *notes)
{
    *c = (struct schema_compiler){
        .b = b, .o = o, .notes = notes, .root = schema, .draft = draft_of(schema), .json = {.b = b, .o = o}};
    if (notes)
        *notes = (struct json_notes){0};
    c->arena = value_arena_new(ARENA_BYTES);
    if (!c->arena) {
        grammar_builder_no_memory(b);
        return false;
    }
    schema_find_places(c);
    return !schema_failed(c);
}

grammar_node grammar_json_schema(struct grammar_builder *b, struct value schema,
    const struct json_schema_options *o, struct json_notes *notes)
{
    struct schema_compiler c;
    struct schema_set set = {0};
    grammar_node node = NODE_NEVER;
    if (begin(&c, b, schema, o, notes)) {
        schema_add(&c, &set, schema, NULL, NO_PART, false);
        node = schema_node(&c, &set);
        if (node == NODE_NEVER && !schema_failed(&c))
            grammar_builder_fail(b, "no value is valid under the schema");
    }
    value_arena_free(c.arena);
    return grammar_builder_failed(b) ? NODE_NEVER : node;
}

/* Any text is valid: the type is "string" and nothing else is said. */
static bool is_free_string(struct schema_compiler *c, struct schema_set *set)
{
    grammar_node contents;
    bool typed, exact;
    schema_flatten(c, set);
    return !set->never && !set->n_choices && schema_types(c, set, &typed) == SCHEMA_STRING &&
           !schema_enum(c, set) && !schema_contents(c, set, REGEX_SURE, &contents, &exact);
}

static bool take_apart(struct schema_compiler *c, struct value schema,
    void (*each)(void *context, const struct json_property *p), void *context)
{
    struct schema_set set = {0};
    struct schema_members m;
    bool typed;
    schema_add(c, &set, schema, NULL, NO_PART, false);
    schema_flatten(c, &set);
    if (schema_failed(c) || set.never || set.n_choices || schema_enum(c, &set))
        return false;
    unsigned types = schema_types(c, &set, &typed);
    if ((typed ? types : types & hinted_types(&set)) != SCHEMA_OBJECT)
        return false;
    schema_members(c, &set, &m);
    if (schema_failed(c) || m.others || m.least > 0 || m.most < m.n)
        return false;
    for (size_t i = 0; i < m.n && !schema_failed(c); i++) {
        struct schema_set flat = schema_copy(c, &m.names[i].set);
        struct json_property p = {
            .name = m.names[i].name, .required = m.names[i].required, .schema = value_bool(true)};
        if (m.names[i].set.n)
            p.schema = (struct value){
                .kind = VALUE_MAP, .map = (struct value_map *)(uintptr_t)m.names[i].set.parts[0].map};
        p.value = schema_node(c, &m.names[i].set);
        p.is_string = is_free_string(c, &flat);
        if (p.value != NODE_NEVER)
            each(context, &p);
        else if (p.required && !schema_failed(c))
            grammar_builder_fail(c->b, "no value is valid under the schema");
    }
    return !schema_failed(c);
}

bool grammar_json_properties(struct grammar_builder *b, struct value schema,
    const struct json_schema_options *o, struct json_notes *notes,
    void (*each)(void *context, const struct json_property *p), void *context)
{
    struct schema_compiler c;
    bool taken = begin(&c, b, schema, o, notes) && take_apart(&c, schema, each, context);
    value_arena_free(c.arena);
    return taken;
}
