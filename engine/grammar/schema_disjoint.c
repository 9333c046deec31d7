/* schema_disjoint.c - proofs that two schemas are never valid together, so that oneOf is the same as anyOf.
 *
 * What brings choices into a set is not looked at: a set without them allows more, and a proof for more holds for less.
 */
#include "schema_private.h"

#define DEPTH_MOST 6

/* All values of one's enum are outside of the other. */
static bool enum_outside(struct schema_compiler *c, const struct schema_set *one, unsigned one_types,
    const struct schema_set *other, unsigned other_types)
{
    const struct value_list *values = schema_enum(c, one);
    const struct value_list *others = schema_enum(c, other);
    for (size_t i = 0; values && i < values->n && schema_step(c, 1); i++) {
        struct value v = values->items[i];
        unsigned type = schema_type_of(v);
        bool met = type & one_types & other_types;
        for (size_t k = 0; met && others && k < others->n; k++) {
            schema_step(c, 1);
            if (schema_equal(v, others->items[k]))
                return false;
        }
        if (!met || others)
            continue;
        grammar_node contents;
        bool exact = false;
        if (type & (SCHEMA_INTEGER | SCHEMA_FRACTION) && !schema_number_allowed(c, other, v))
            continue;
        if (type == SCHEMA_STRING && schema_contents(c, other, REGEX_WIDEST, &contents, &exact) && exact &&
            grammar_disjoint(c->b, contents, char_text(c->b, value_span(v), CHAR_JSON)))
            continue;
        return false;
    }
    return values;
}

static bool numbers_apart(struct json_limit low, struct json_limit high)
{
    if (!low.set || !high.set)
        return false;
    int order = json_compare_numbers(high.number, low.number);
    return order < 0 || (order == 0 && (low.exclusive || high.exclusive));
}

/* What one surely allows is outside of what the other may allow. */
static bool strings_outside(
    struct schema_compiler *c, const struct schema_set *one, const struct schema_set *other)
{
    grammar_node a, b;
    bool exact_a, exact_b;
    return schema_contents(c, one, REGEX_SURE, &a, &exact_a) &&
           schema_contents(c, other, REGEX_WIDEST, &b, &exact_b) && exact_a && exact_b &&
           grammar_disjoint(c->b, a, b);
}

static bool strings_apart(
    struct schema_compiler *c, const struct schema_set *one, const struct schema_set *other)
{
    return strings_outside(c, one, other) && strings_outside(c, other, one);
}

static size_t bound(
    struct schema_compiler *c, const struct schema_set *set, const char *keyword, size_t otherwise)
{
    size_t narrowest = otherwise;
    for (size_t i = 0; i < set->n; i++) {
        size_t v = schema_count(c, &set->parts[i], keyword, otherwise);
        narrowest = otherwise ? v < narrowest ? v : narrowest : v > narrowest ? v : narrowest;
    }
    return narrowest;
}

static bool counts_apart(struct schema_compiler *c, const struct schema_set *one,
    const struct schema_set *other, const char *least, const char *most)
{
    return bound(c, one, least, 0) > bound(c, other, most, SIZE_MAX) ||
           bound(c, other, least, 0) > bound(c, one, most, SIZE_MAX);
}

static bool lists_apart(
    struct schema_compiler *c, const struct schema_set *one, const struct schema_set *other, unsigned depth)
{
    if (counts_apart(c, one, other, "minItems", "maxItems"))
        return true;
    size_t a = bound(c, one, "minItems", 0), b = bound(c, other, "minItems", 0), least = a > b ? a : b;
    for (size_t i = 0; i < least && i < 8; i++) {
        struct schema_set x = schema_item(c, one, i), y = schema_item(c, other, i);
        if (schema_disjoint(c, &x, &y, depth + 1))
            return true;
    }
    return false;
}

/* A member that one of them requires has no value for both. */
static bool member_apart(struct schema_compiler *c, const struct schema_set *one,
    const struct schema_set *other, const struct schema_set *requiring, unsigned depth)
{
    for (size_t i = 0; i < requiring->n; i++) {
        const struct value *names = schema_keyword(requiring->parts[i].map, "required");
        for (size_t k = 0; names && names->kind == VALUE_LIST && k < names->list->n; k++) {
            if (names->list->items[k].kind != VALUE_STRING || !schema_step(c, 4))
                continue;
            struct span name = value_span(names->list->items[k]);
            struct schema_set x = schema_member(c, one, name), y = schema_member(c, other, name);
            if (schema_disjoint(c, &x, &y, depth + 1))
                return true;
        }
    }
    return false;
}

static bool objects_apart(
    struct schema_compiler *c, const struct schema_set *one, const struct schema_set *other, unsigned depth)
{
    return counts_apart(c, one, other, "minProperties", "maxProperties") ||
           member_apart(c, one, other, one, depth) || member_apart(c, one, other, other, depth);
}

static bool flat_disjoint(
    struct schema_compiler *c, const struct schema_set *a, const struct schema_set *b, unsigned depth)
{
    bool typed;
    if (a->never || b->never)
        return true;
    unsigned x = schema_types(c, a, &typed), y = schema_types(c, b, &typed), both = x & y;
    if (!both || enum_outside(c, a, x, b, y) || enum_outside(c, b, y, a, x))
        return true;
    if (both & (SCHEMA_NULL | SCHEMA_BOOL))
        return false;
    if (both & (SCHEMA_INTEGER | SCHEMA_FRACTION) &&
        !numbers_apart(schema_limit(c, a, true), schema_limit(c, b, false)) &&
        !numbers_apart(schema_limit(c, b, true), schema_limit(c, a, false)))
        return false;
    if (both & SCHEMA_STRING && !strings_apart(c, a, b))
        return false;
    if (both & SCHEMA_LIST && !lists_apart(c, a, b, depth))
        return false;
    return !(both & SCHEMA_OBJECT) || objects_apart(c, a, b, depth);
}

bool schema_disjoint(
    struct schema_compiler *c, const struct schema_set *one, const struct schema_set *other, unsigned depth)
{
    struct schema_set a = *one, b = *other;
    if (depth > DEPTH_MOST || !schema_step(c, 8))
        return false;
    if (one->flat < one->n) {
        a = schema_copy(c, one);
        schema_flatten(c, &a);
    }
    if (other->flat < other->n) {
        b = schema_copy(c, other);
        schema_flatten(c, &b);
    }
    return !schema_failed(c) && flat_disjoint(c, &a, &b, depth);
}

/* ---- many branches ---- */

/* The values that the branch requires of the member, or NULL. */
static const struct value_list *tags_of(
    struct schema_compiler *c, const struct schema_set *branch, struct span name)
{
    bool typed;
    if (schema_types(c, branch, &typed) != SCHEMA_OBJECT || !schema_requires(branch, name))
        return NULL;
    struct schema_set member = schema_member(c, branch, name);
    schema_flatten(c, &member);
    return schema_failed(c) ? NULL : schema_enum(c, &member);
}

static bool share_a_value(struct schema_compiler *c, const struct value_list *a, const struct value_list *b)
{
    for (size_t i = 0; i < a->n; i++)
        for (size_t k = 0; k < b->n; k++)
            if (!schema_step(c, 1) || schema_equal(a->items[i], b->items[k]))
                return true;
    return false;
}

/* All branches require the member `name`, each with values of its own. */
static bool told_by(struct schema_compiler *c, const struct schema_set *branches, size_t n, struct span name)
{
    const struct value_list **tags = schema_alloc(c, n * sizeof(*tags));
    for (size_t i = 0; tags && i < n; i++) {
        tags[i] = tags_of(c, &branches[i], name);
        for (size_t k = 0; tags[i] && k < i; k++)
            if (share_a_value(c, tags[i], tags[k]))
                return false;
        if (!tags[i])
            return false;
    }
    return tags;
}

static bool told_by_a_member(struct schema_compiler *c, const struct schema_set *branches, size_t n)
{
    for (size_t i = 0; i < branches[0].n; i++) {
        const struct value *names = schema_keyword(branches[0].parts[i].map, "required");
        for (size_t k = 0; names && names->kind == VALUE_LIST && k < names->list->n; k++)
            if (names->list->items[k].kind == VALUE_STRING && schema_step(c, n) &&
                told_by(c, branches, n, value_span(names->list->items[k])))
                return true;
    }
    return false;
}

bool schema_apart(struct schema_compiler *c, const struct schema_set *set, const struct schema_choice *choice)
{
    size_t n = choice->branches->n;
    struct schema_set *branches = schema_alloc(c, n * sizeof(*branches));
    for (size_t i = 0; branches && i < n && !schema_failed(c); i++) {
        branches[i] = schema_copy(c, set);
        schema_add(c, &branches[i], choice->branches->items[i], choice->path, choice->part, false);
        schema_flatten(c, &branches[i]);
    }
    if (schema_failed(c))
        return false;
    if (told_by_a_member(c, branches, n))
        return true;
    for (size_t i = 0; i < n; i++)
        for (size_t k = i + 1; k < n; k++)
            if (!schema_disjoint(c, &branches[i], &branches[k], 0))
                return false;
    return true;
}
