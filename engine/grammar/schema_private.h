/* schema_private.h - a JSON schema as sets of schemas that hold together.
 *
 * A text must be valid under several schemas at once wherever allOf, $ref and the branch of an anyOf stand beside other
 * keywords. So what is compiled is always a set: its parts are JSON objects of the client's schema, or made from them by
 * schema_rewrite.c. Each part of a set adds its limits. A member of an object has a set too, of what each part says
 * about that member. Sets with the same parts are compiled once; a set that contains itself becomes a rule.
 *
 * Whatever cannot be enforced is refused, or left out and noted, by schema_refuse.
 */
#ifndef BERTH_SCHEMA_PRIVATE_H
#define BERTH_SCHEMA_PRIVATE_H

#include "json_private.h"
#include "regex_private.h"

#define NO_PART UINT32_MAX

/* Where a schema stands, for messages. */
struct schema_path {
    const struct schema_path *parent; /* NULL: at the root */
    struct span name;
};

struct schema_part {
    const struct value_map *map;
    const struct schema_path *path;
    uint32_t parent; /* the part of the same set that brought it, or NO_PART */
    uint32_t source; /* the part of the object's or list's set that said it */
    bool silent; /* made from a negation: evaluates nothing */
};

/* A part's anyOf or oneOf. */
struct schema_choice {
    const struct value_list *branches;
    const struct schema_path *path;
    uint32_t part;
    bool one; /* exactly one branch may hold */
};

struct schema_set {
    struct schema_part *parts;
    struct schema_choice *choices;
    size_t n, room, n_choices, room_choices;
    size_t flat; /* parts whose own parts were added */
    size_t chosen; /* choices that were made */
    bool never; /* false is among the schemas */
};

struct schema_memo {
    uint32_t hash, n;
    const struct value_map **maps; /* [n], sorted */
    grammar_rule rule;
    grammar_node node;
    unsigned nesting; /* lists and objects around it */
    bool done, called;
};

struct schema_made {
    const void *of; /* what it was made from */
    const char *how;
    struct value value;
    bool narrow; /* a negation without some of its alternatives */
};

/* A schema with a name of its own, or that lies in one. */
struct schema_place {
    const struct value_map *map, *resource;
    struct span id, anchor; /* absolute; empty: none */
};

struct schema_compiler {
    struct grammar_builder *b;
    const struct json_schema_options *o;
    struct json_notes *notes;
    struct value root;
    struct json_parts json;
    struct value_arena *arena;
    struct schema_memo *memo;
    size_t n_memo, room_memo;
    uint32_t *memo_index; /* [memo_slots]: memo + 1 */
    size_t memo_slots;
    struct schema_made *made;
    size_t n_made, room_made;
    struct schema_place *places;
    size_t n_places, room_places;
    size_t steps;
    unsigned depth, negating, nesting;
    unsigned draft; /* 7 and older, 2019, 2020 */
};

/* ---- schema_set.c ---- */

bool schema_failed(struct schema_compiler *c);
/* Counts work. False when there was too much, or the compiler has failed. */
bool schema_step(struct schema_compiler *c, size_t n);
void *schema_alloc(struct schema_compiler *c, size_t size); /* NULL: the builder has failed */
/* Doubles an array of `size`-byte items, of which `*room` have room, where n + 1 need more. */
void *schema_grow(struct schema_compiler *c, void *array, size_t n, size_t *room, size_t size);

const struct schema_path *schema_path(
    struct schema_compiler *c, const struct schema_path *parent, const char *keyword, struct span name);
/* "KEYWORD at PATH: why": fails in strict mode, else is noted. */
void schema_refuse(
    struct schema_compiler *c, const struct schema_path *path, const char *keyword, const char *why);
/* The schema is wrong itself: fails in any mode. */
void schema_wrong(
    struct schema_compiler *c, const struct schema_path *path, const char *keyword, const char *why);

const struct value *schema_keyword(const struct value_map *map, const char *name);
/* A keyword's whole number; `otherwise` when it is not there. */
size_t schema_count(
    struct schema_compiler *c, const struct schema_part *part, const char *keyword, size_t otherwise);

/* Adds a schema, a map or a boolean, to the set. `like`: what brought it, which gives path and silence; or NULL. */
void schema_add(struct schema_compiler *c, struct schema_set *set, struct value schema,
    const struct schema_path *path, uint32_t parent, bool silent);
struct schema_set schema_copy(struct schema_compiler *c, const struct schema_set *set);
/* Adds what $ref, allOf, not, if and the dependent keywords of all parts bring, and collects the choices. */
void schema_flatten(struct schema_compiler *c, struct schema_set *set);
bool schema_equal(struct value a, struct value b);

/* ---- schema.c ---- */

enum schema_type {
    SCHEMA_NULL = 1,
    SCHEMA_BOOL = 2,
    SCHEMA_INTEGER = 4,
    SCHEMA_FRACTION = 8, /* numbers that are not whole */
    SCHEMA_STRING = 16,
    SCHEMA_LIST = 32,
    SCHEMA_OBJECT = 64,
    SCHEMA_ALL = 127,
};

/* The types that the parts of a flat set allow. `*typed`: a keyword says so. */
unsigned schema_types(struct schema_compiler *c, const struct schema_set *set, bool *typed);
unsigned schema_type_of(struct value v);
/* The texts that are valid under all of the set; NODE_NEVER when none is. */
grammar_node schema_node(struct schema_compiler *c, struct schema_set *set);
/* The list of an enum or const of a flat set, or NULL. */
const struct value_list *schema_enum(struct schema_compiler *c, const struct schema_set *set);
/* A value is valid under the whole flat set. `from`: the list of an enum of the set that it is from, or NULL. */
bool schema_allows(struct schema_compiler *c, const struct schema_set *set, unsigned types, struct value v,
    const struct value_list *from);

/* ---- one file a type; sets are flat ---- */

grammar_node schema_numbers(struct schema_compiler *c, const struct schema_set *set, unsigned types);
bool schema_number_allowed(struct schema_compiler *c, const struct schema_set *set, struct value v);
struct json_limit schema_limit(struct schema_compiler *c, const struct schema_set *set, bool low);
grammar_node schema_strings(struct schema_compiler *c, const struct schema_set *set);
/* The contents without quotes, each character as CHAR_JSON writes it. False: any string. `*exact`: all valid texts. */
bool schema_contents(struct schema_compiler *c, const struct schema_set *set, enum regex_reading reading,
    grammar_node *contents, bool *exact);
grammar_node schema_lists(struct schema_compiler *c, struct schema_set *set);
grammar_node schema_objects(struct schema_compiler *c, struct schema_set *set);

/* What the set says about the member `name` of an object, or about item `at` of a list. */
struct schema_set schema_member(struct schema_compiler *c, const struct schema_set *set, struct span name);
struct schema_set schema_item(struct schema_compiler *c, const struct schema_set *set, size_t at);
/* Items that have a schema of their own. */
size_t schema_prefix(const struct schema_compiler *c, const struct schema_set *set);
bool schema_requires(const struct schema_set *set, struct span name);
/* Part `of` was brought by `part`, directly or not, or is it, and evaluates. */
bool schema_below(const struct schema_set *set, uint32_t of, uint32_t part);
/* False, refused, when the pattern cannot be read. */
bool schema_check_pattern(struct schema_compiler *c, const struct schema_path *path, struct span pattern);
bool schema_name_matches(
    struct schema_compiler *c, struct span name, const struct schema_path *path, struct span pattern);

/* For grammar_json_properties: the members of an object that has no others and no counts. */
struct schema_members {
    struct schema_name {
        struct span name;
        struct schema_set set;
        uint32_t hash, stamp;
        bool required;
    } * names;
    size_t n, room;
    uint32_t *index; /* [slots]: name + 1 */
    size_t slots;
    size_t least, most;
    bool others; /* members beside these are allowed */
};

void schema_members(struct schema_compiler *c, const struct schema_set *set, struct schema_members *m);

/* True when it is certain that no value is valid under both. Neither set needs to be flat. */
bool schema_disjoint(
    struct schema_compiler *c, const struct schema_set *one, const struct schema_set *other, unsigned depth);

/* The same for each two branches of a choice, beside the rest of the set. */
bool schema_apart(
    struct schema_compiler *c, const struct schema_set *set, const struct schema_choice *choice);

/* ---- schema_rewrite.c ---- */

/* A schema that is valid where `schema` is not, or for fewer values; VALUE_UNDEFINED when there is none. */
struct value schema_negation(struct schema_compiler *c, struct value schema, const struct schema_path *path);
/* The branches of a oneOf, each with the negation of the others; VALUE_UNDEFINED when one has none. */
struct value schema_exclusive(
    struct schema_compiler *c, const struct value_list *branches, const struct schema_path *path);
/* anyOf for if, then and else of the map. */
struct value schema_condition(struct schema_compiler *c, const struct value_map *map);
/* allOf for what the keyword `name` says: dependentRequired, dependentSchemas, dependencies. */
struct value schema_dependencies(
    struct schema_compiler *c, const struct value_map *map, const char *name, const struct schema_path *path);

/* ---- schema_refs.c ---- */

void schema_find_places(struct schema_compiler *c);
/* What a $ref in `from` refers to, or NULL, refused. */
const struct value *schema_resolve(struct schema_compiler *c, const struct value_map *from,
    const struct schema_path *path, struct value ref);

#endif
