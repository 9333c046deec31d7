/* schema_objects.c - objects: members in the order of the schema, then those that it only allows.
 *
 * An object is written from its end. After member n there is a node for each number of members so far, up to the
 * largest that matters: 1, because a comma stands between members, or minProperties or maxProperties.
 *
 * Keys that the schema does not name have no escapes and equal none that it names, so no member comes twice with two
 * meanings.
 */
#include "schema_private.h"

#include <string.h>

#define NAMES_MOST 20000
#define PATTERNS_MOST 4
#define NODES_MOST 100000 /* members times counts */

/* ---- names ---- */

static uint32_t hash_name(struct span name)
{
    uint32_t hash = 2166136261u;
    for (size_t i = 0; i < name.size; i++)
        hash = (hash ^ name.at[i]) * 16777619u;
    return hash ^ hash >> 15;
}

static bool grow_index(struct schema_compiler *c, struct schema_members *m)
{
    size_t slots = m->slots ? m->slots * 4 : 16;
    uint32_t *index = schema_alloc(c, slots * sizeof(*index));
    if (!index)
        return false;
    for (size_t i = 0; i < m->n; i++) {
        size_t at = m->names[i].hash & (slots - 1);
        while (index[at])
            at = (at + 1) & (slots - 1);
        index[at] = (uint32_t)i + 1;
    }
    m->index = index;
    m->slots = slots;
    return true;
}

/* The name, which is added when it is new. NULL when the compiler has failed. */
static struct schema_name *name_of(struct schema_compiler *c, struct schema_members *m, struct span name)
{
    uint32_t hash = hash_name(name);
    if (!schema_step(c, 1) || (m->n * 2 >= m->slots && !grow_index(c, m)))
        return NULL;
    size_t at = hash & (m->slots - 1);
    for (; m->index[at]; at = (at + 1) & (m->slots - 1)) {
        struct schema_name *known = &m->names[m->index[at] - 1];
        if (known->hash == hash && span_compare(known->name, name) == 0)
            return known;
    }
    if (m->n == NAMES_MOST) {
        grammar_builder_fail(c->b, "an object has more than %d properties", NAMES_MOST);
        return NULL;
    }
    struct schema_name *names = schema_grow(c, m->names, m->n, &m->room, sizeof(*names));
    if (!names)
        return NULL;
    m->names = names;
    names[m->n] = (struct schema_name){.name = name, .hash = hash, .stamp = NO_PART};
    m->index[at] = (uint32_t)++m->n;
    return &names[m->n - 1];
}

static void add_required(struct schema_compiler *c, const struct schema_part *part, struct schema_members *m)
{
    const struct value *required = schema_keyword(part->map, "required");
    if (!required || required->kind == VALUE_BOOL)
        return;
    if (required->kind != VALUE_LIST)
        schema_wrong(c, part->path, "required", "must be a list of names");
    for (size_t i = 0; !schema_failed(c) && i < required->list->n; i++) {
        struct value v = required->list->items[i];
        struct schema_name *name = v.kind == VALUE_STRING ? name_of(c, m, value_span(v)) : NULL;
        if (name)
            name->required = true;
        else
            schema_wrong(c, part->path, "required", "must be a list of names");
    }
}

static const struct value_map *map_of(
    struct schema_compiler *c, const struct schema_part *part, const char *keyword)
{
    const struct value *v = schema_keyword(part->map, keyword);
    if (v && v->kind != VALUE_MAP)
        schema_wrong(c, part->path, keyword, "must be an object");
    return v && v->kind == VALUE_MAP ? v->map : NULL;
}

/* ---- what a part says about a name ---- */

static void say(struct schema_compiler *c, struct schema_set *member, const struct schema_set *set,
    uint32_t i, const char *keyword, struct span name, struct value schema)
{
    size_t before = member->n;
    schema_add(
        c, member, schema, schema_path(c, set->parts[i].path, keyword, name), NO_PART, set->parts[i].silent);
    if (member->n > before)
        member->parts[before].source = i;
}

/* True when a pattern of part i matches the name. */
static bool say_patterns(struct schema_compiler *c, struct schema_set *member, const struct schema_set *set,
    uint32_t i, struct span name)
{
    const struct value_map *patterns = map_of(c, &set->parts[i], "patternProperties");
    bool matched = false;
    for (size_t k = 0; patterns && k < patterns->n && schema_step(c, 16); k++)
        if (schema_name_matches(c, name, set->parts[i].path, value_span(patterns->pairs[k].key))) {
            say(c, member, set, i, "patternProperties", value_span(patterns->pairs[k].key),
                patterns->pairs[k].value);
            matched = true;
        }
    return matched;
}

/* True when part i has the keyword, which then speaks of the name. */
static bool say_others(struct schema_compiler *c, struct schema_set *member, const struct schema_set *set,
    uint32_t i, const char *keyword)
{
    const struct value *v = schema_keyword(set->parts[i].map, keyword);
    if (v)
        say(c, member, set, i, keyword, (struct span){0}, *v);
    return v;
}

/* Adds unevaluatedProperties of parts below which nothing speaks of the name. spoken[i]: part i does. */
static void say_unevaluated(
    struct schema_compiler *c, struct schema_set *member, const struct schema_set *set, bool *spoken)
{
    for (uint32_t i = (uint32_t)set->n; i-- > 0;) {
        bool evaluated = false;
        if (!schema_keyword(set->parts[i].map, "unevaluatedProperties"))
            continue;
        for (uint32_t k = i; k < set->n; k++)
            evaluated = evaluated || (spoken[k] && schema_below(set, k, i));
        if (!evaluated)
            spoken[i] = say_others(c, member, set, i, "unevaluatedProperties");
    }
}

static bool has_unevaluated(const struct schema_set *set)
{
    for (size_t i = 0; i < set->n; i++)
        if (schema_keyword(set->parts[i].map, "unevaluatedProperties"))
            return true;
    return false;
}

struct schema_set schema_member(struct schema_compiler *c, const struct schema_set *set, struct span name)
{
    struct schema_set member = {0};
    bool *spoken = schema_alloc(c, set->n + 1);
    for (uint32_t i = 0; spoken && i < set->n && !schema_failed(c); i++) {
        const struct value_map *properties = map_of(c, &set->parts[i], "properties");
        struct value all = {.kind = VALUE_MAP, .map = (struct value_map *)(uintptr_t)properties};
        bool go_on = schema_step(c, 1 + (properties ? properties->n / 64 : 0));
        const struct value *own = properties && go_on ? value_find(all, name) : NULL;
        if (own)
            say(c, &member, set, i, "properties", name, *own);
        spoken[i] = say_patterns(c, &member, set, i, name) || own;
        if (!spoken[i])
            spoken[i] = say_others(c, &member, set, i, "additionalProperties");
    }
    if (spoken && has_unevaluated(set))
        say_unevaluated(c, &member, set, spoken);
    return member;
}

bool schema_requires(const struct schema_set *set, struct span name)
{
    for (size_t i = 0; i < set->n; i++) {
        const struct value *v = schema_keyword(set->parts[i].map, "required");
        for (size_t k = 0; v && v->kind == VALUE_LIST && k < v->list->n; k++)
            if (v->list->items[k].kind == VALUE_STRING &&
                span_compare(value_span(v->list->items[k]), name) == 0)
                return true;
    }
    return false;
}

/* The same for all names at once: each map of properties is gone through once. */
static void gather_members(struct schema_compiler *c, const struct schema_set *set, struct schema_members *m)
{
    bool slow = has_unevaluated(set);
    for (uint32_t i = 0; i < set->n && !schema_failed(c) && !slow; i++) {
        const struct value_map *properties = map_of(c, &set->parts[i], "properties");
        for (size_t k = 0; properties && k < properties->n && !schema_failed(c); k++) {
            struct schema_name *name = name_of(c, m, value_span(properties->pairs[k].key));
            if (!name)
                return;
            say(c, &name->set, set, i, "properties", name->name, properties->pairs[k].value);
            name->stamp = i;
        }
        for (size_t k = 0; k < m->n && schema_step(c, 1); k++) {
            bool own = m->names[k].stamp == i;
            if (!say_patterns(c, &m->names[k].set, set, i, m->names[k].name) && !own)
                say_others(c, &m->names[k].set, set, i, "additionalProperties");
        }
    }
    for (size_t k = 0; slow && k < m->n && schema_step(c, set->n); k++)
        m->names[k].set = schema_member(c, set, m->names[k].name);
}

/* Whether a part says by its keywords what members come beside the named ones. */
static bool allows_others(struct schema_compiler *c, const struct schema_set *set)
{
    bool named = false, spoken = false;
    for (size_t i = 0; i < set->n; i++) {
        const struct schema_part *part = &set->parts[i];
        const struct value_map *properties = map_of(c, part, "properties");
        const struct value_map *patterns = map_of(c, part, "patternProperties");
        const struct value *others = schema_keyword(part->map, "additionalProperties");
        const struct value *rest = schema_keyword(part->map, "unevaluatedProperties");
        for (size_t k = 0; properties && !part->silent && k < properties->n && !named; k++)
            named = properties->pairs[k].value.kind != VALUE_BOOL || properties->pairs[k].value.boolean;
        named = named || (patterns && patterns->n) || (properties && !properties->n);
        spoken = spoken || (others && (others->kind != VALUE_BOOL || others->boolean)) ||
                 (rest && (rest->kind != VALUE_BOOL || rest->boolean)) || (patterns && patterns->n);
    }
    return spoken || !named;
}

static void read_members(struct schema_compiler *c, const struct schema_set *set, struct schema_members *m)
{
    *m = (struct schema_members){.most = GRAMMAR_UNBOUNDED};
    for (size_t i = 0; i < set->n && !schema_failed(c); i++) {
        const struct schema_part *part = &set->parts[i];
        const struct value_map *properties = map_of(c, part, "properties");
        for (size_t k = 0; properties && k < properties->n; k++)
            name_of(c, m, value_span(properties->pairs[k].key));
    }
    for (size_t i = 0; i < set->n && !schema_failed(c); i++) {
        const struct schema_part *part = &set->parts[i];
        size_t least = schema_count(c, part, "minProperties", 0);
        size_t most = schema_count(c, part, "maxProperties", GRAMMAR_UNBOUNDED);
        m->least = least > m->least ? least : m->least;
        m->most = most < m->most ? most : m->most;
        add_required(c, part, m);
    }
    gather_members(c, set, m);
    m->others = m->least > m->n || allows_others(c, set);
}

/* ---- keys that the schema does not name ---- */

struct objects {
    struct schema_compiler *c;
    const struct schema_set *set;
    struct schema_members members;
    grammar_node names; /* what propertyNames allows */
    bool has_names;
    struct key_pattern {
        uint32_t part;
        struct span pattern;
        struct value schema;
        grammar_node sure, widest;
    } patterns[PATTERNS_MOST];
    size_t n_patterns;
    bool refused; /* a count that cannot be told */
};

static void read_names(struct objects *o)
{
    struct schema_compiler *c = o->c;
    struct schema_set names = {0};
    const struct schema_part *part = NULL;
    bool typed, exact;
    for (size_t i = 0; i < o->set->n; i++) {
        const struct value *v = schema_keyword(o->set->parts[i].map, "propertyNames");
        if (!v)
            continue;
        part = &o->set->parts[i];
        schema_add(
            c, &names, *v, schema_path(c, part->path, "propertyNames", (struct span){0}), NO_PART, false);
    }
    if (!part || schema_failed(c))
        return;
    schema_flatten(c, &names);
    const struct value_list *values = schema_enum(c, &names);
    unsigned types = schema_types(c, &names, &typed);
    if (names.n_choices) {
        schema_refuse(c, part->path, "propertyNames", "anyOf and oneOf cannot be enforced here");
        return;
    }
    o->has_names = true;
    o->names = NODE_NEVER;
    if (names.never || !(types & SCHEMA_STRING))
        return;
    for (size_t i = 0; values && i < values->n; i++)
        if (values->items[i].kind == VALUE_STRING &&
            schema_allows(c, &names, types, values->items[i], values))
            o->names =
                grammar_either(c->b, o->names, char_text(c->b, value_span(values->items[i]), CHAR_JSON));
    if (!values)
        o->has_names = schema_contents(c, &names, REGEX_SURE, &o->names, &exact);
}

static bool name_allowed(struct objects *o, struct span name)
{
    return !o->has_names || (o->names != NODE_NEVER &&
                                !grammar_disjoint(o->c->b, char_text(o->c->b, name, CHAR_JSON), o->names));
}

/* Nothing is valid for a member whose name is not allowed. */
static void forbid_names(struct objects *o)
{
    read_names(o);
    for (size_t i = 0; i < o->members.n; i++)
        o->members.names[i].set.never |= !name_allowed(o, o->members.names[i].name);
}

void schema_members(struct schema_compiler *c, const struct schema_set *set, struct schema_members *m)
{
    struct objects o = {.c = c, .set = set};
    read_members(c, set, &o.members);
    forbid_names(&o);
    *m = o.members;
}

static void read_patterns(struct objects *o)
{
    struct schema_compiler *c = o->c;
    for (uint32_t i = 0; i < o->set->n; i++) {
        const struct value_map *patterns = map_of(c, &o->set->parts[i], "patternProperties");
        for (size_t k = 0; patterns && k < patterns->n && !schema_failed(c); k++) {
            if (o->n_patterns == PATTERNS_MOST) {
                schema_refuse(c, o->set->parts[i].path, "patternProperties", "has too many patterns");
                return;
            }
            struct span pattern = value_span(patterns->pairs[k].key);
            if (!schema_check_pattern(c, o->set->parts[i].path, pattern))
                continue;
            o->patterns[o->n_patterns++] = (struct key_pattern){.part = i,
                .pattern = pattern,
                .schema = patterns->pairs[k].value,
                .sure = regex_node(c->b, pattern, true, CHAR_JSON, REGEX_SURE),
                .widest = regex_node(c->b, pattern, true, CHAR_JSON, REGEX_WIDEST)};
        }
    }
}

/* Keys without escapes, other than the named ones; empty only where a pattern matches it. */
static grammar_node other_keys(struct objects *o, bool by_pattern)
{
    static const struct grammar_range plain[] = {{0x20, 0x21}, {0x23, 0x5b}, {0x5d, CHAR_LAST}};
    struct grammar_builder *b = o->c->b;
    grammar_node named = NODE_NEVER;
    grammar_node keys =
        grammar_repeat(b, grammar_chars(b, plain, 3, false), by_pattern ? 0 : 1, GRAMMAR_UNBOUNDED);
    for (size_t i = 0; i < o->members.n; i++)
        named = grammar_either(b, named, char_text(b, o->members.names[i].name, CHAR_JSON));
    if (o->has_names)
        keys = grammar_intersection(b, keys, o->names);
    return named == NODE_NEVER ? keys : grammar_difference(b, keys, named);
}

/* Members whose keys match exactly the patterns in `mask`. */
static grammar_node keyed_member(struct objects *o, unsigned mask, grammar_node keys)
{
    struct schema_compiler *c = o->c;
    struct schema_set member = {0};
    bool *spoken = schema_alloc(c, o->set->n + 1);
    for (size_t i = 0; spoken && i < o->n_patterns; i++) {
        const struct key_pattern *p = &o->patterns[i];
        keys = mask >> i & 1 ? grammar_intersection(c->b, keys, p->sure)
                             : grammar_difference(c->b, keys, p->widest);
        if (mask >> i & 1) {
            say(c, &member, o->set, p->part, "patternProperties", p->pattern, p->schema);
            spoken[p->part] = true;
        }
    }
    for (uint32_t i = 0; spoken && i < o->set->n; i++)
        if (!spoken[i])
            spoken[i] = say_others(c, &member, o->set, i, "additionalProperties");
    if (!spoken)
        return NODE_NEVER;
    say_unevaluated(c, &member, o->set, spoken);
    if (member.never || grammar_matches_nothing(c->b, keys))
        return NODE_NEVER;
    grammar_node quote = json_text(&c->json, "\"");
    grammar_node key = grammar_sequence(c->b, quote, grammar_sequence(c->b, keys, quote));
    return grammar_sequence(c->b, key, grammar_sequence(c->b, json_colon(&c->json), schema_node(c, &member)));
}

/* Any member beside the named ones; NODE_NEVER when there is none. */
static grammar_node other_member(struct objects *o)
{
    grammar_node all = NODE_NEVER;
    bool plain = false;
    read_patterns(o);
    if (schema_failed(o->c) || !o->members.others || (o->has_names && o->names == NODE_NEVER))
        return NODE_NEVER;
    plain = o->members.least > o->members.n;
    for (size_t i = 0; i < o->set->n; i++)
        plain = plain || schema_keyword(o->set->parts[i].map, "additionalProperties") ||
                schema_keyword(o->set->parts[i].map, "unevaluatedProperties");
    grammar_node keys = other_keys(o, o->n_patterns > 0), some = other_keys(o, false);
    for (unsigned mask = 0; mask < 1u << o->n_patterns && !schema_failed(o->c); mask++)
        if (mask || plain || !o->n_patterns)
            all = grammar_either(o->c->b, all, keyed_member(o, mask, mask ? keys : some));
    return all;
}

/* ---- the object ---- */

static grammar_node after_line(struct objects *o, grammar_node rest)
{
    return grammar_sequence(o->c->b, json_line(&o->c->json), rest);
}

static grammar_node after_comma(struct objects *o, grammar_node rest)
{
    return grammar_sequence(o->c->b, json_comma(&o->c->json), rest);
}

/* What follows `count` members when all named ones are done. */
static grammar_node end_of(struct objects *o, size_t count, grammar_node other)
{
    struct grammar_builder *b = o->c->b;
    const struct schema_members *m = &o->members;
    grammar_node brace = json_text(&o->c->json, "}"), close = after_line(o, brace);
    if (count > m->most)
        return NODE_NEVER;
    size_t least = m->least > count ? m->least - count : 0;
    size_t most = m->most == GRAMMAR_UNBOUNDED ? m->most : m->most - count;
    if (other == NODE_NEVER || !most)
        return least ? NODE_NEVER : count ? close : brace;
    if (least > 1) { /* keys that come twice count once */
        o->refused = true;
        return NODE_NEVER;
    }
    if (count)
        return grammar_sequence(b, grammar_repeat(b, after_comma(o, other), least, most), close);
    grammar_node more =
        grammar_repeat(b, after_comma(o, other), 0, most == GRAMMAR_UNBOUNDED ? most : most - 1);
    grammar_node some = after_line(o, grammar_sequence(b, other, grammar_sequence(b, more, close)));
    return least ? some : grammar_either(b, some, brace);
}

/* Goes from the last member to the first. rest[k]: what may follow k members, or `counts` - 1 and more. */
static grammar_node by_count(struct objects *o, grammar_node other, size_t counts)
{
    struct schema_compiler *c = o->c;
    const struct schema_members *m = &o->members;
    grammar_node *rest = schema_alloc(c, counts * sizeof(*rest));
    if (!rest || !schema_step(c, m->n * counts))
        return NODE_NEVER;
    for (size_t k = 0; k < counts; k++)
        rest[k] = end_of(o, k, other);
    for (size_t i = m->n; i-- > 0 && !schema_failed(c);) {
        struct schema_name *name = &m->names[i];
        grammar_node member = grammar_sequence(c->b, json_key(&c->json, name->name), schema_node(c, &name->set));
        for (size_t k = 0; k < counts; k++) {
            size_t next = k + 1 < counts ? k + 1 : k;
            grammar_node taken = k + 1 > m->most ? NODE_NEVER : grammar_sequence(c->b, member, rest[next]);
            taken = k ? after_comma(o, taken) : after_line(o, taken);
            rest[k] = name->required ? taken : grammar_either(c->b, taken, rest[k]);
        }
    }
    return grammar_sequence(c->b, json_text(&c->json, "{"), rest[0]);
}

/* As many counts as make a difference. */
static grammar_node counted(struct objects *o, grammar_node other)
{
    const struct schema_members *m = &o->members;
    size_t need = m->most == GRAMMAR_UNBOUNDED ? m->least : m->most;
    size_t counts = (need < m->n ? need : m->n) + 1;
    if (counts > NODES_MOST / (m->n + 1)) {
        schema_refuse(o->c, o->set->parts[0].path, "minProperties", "is too large to be counted");
        return NODE_NEVER;
    }
    return by_count(o, other, counts < 2 ? 2 : counts);
}

static bool is_anything(struct schema_compiler *c, const struct objects *o)
{
    const struct schema_members *m = &o->members;
    if (m->n || m->least || m->most != GRAMMAR_UNBOUNDED || o->has_names)
        return false;
    for (size_t i = 0; i < o->set->n; i++)
        if (schema_keyword(o->set->parts[i].map, "additionalProperties") ||
            schema_keyword(o->set->parts[i].map, "unevaluatedProperties") ||
            map_of(c, &o->set->parts[i], "patternProperties") || map_of(c, &o->set->parts[i], "properties"))
            return false;
    return true;
}

grammar_node schema_objects(struct schema_compiler *c, struct schema_set *set)
{
    struct objects o = {.c = c, .set = set};
    read_members(c, set, &o.members);
    struct schema_members *m = &o.members;
    if (schema_failed(c) || m->least > m->most)
        return NODE_NEVER;
    forbid_names(&o);
    if (is_anything(c, &o))
        return json_any_object(&c->json);
    grammar_node other = other_member(&o);
    size_t required = 0;
    for (size_t i = 0; i < m->n; i++)
        required += m->names[i].required;
    if (required > m->most)
        return NODE_NEVER;
    if (m->least <= required)
        m->least = 0;
    if (m->most >= m->n && other == NODE_NEVER)
        m->most = GRAMMAR_UNBOUNDED;
    grammar_node node = counted(&o, other);
    if (o.refused && node == NODE_NEVER && !schema_failed(c)) {
        schema_refuse(
            c, set->parts[0].path, "minProperties", "cannot be enforced for keys that are not named");
        m->least = 0;
        node = counted(&o, other);
    }
    return node;
}
