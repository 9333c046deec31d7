/* schema_lists.c - arrays: items by place, counts, contains, and items that differ.
 *
 * An array is written from its end: what may come after item n is a node that all arrays with more items share.
 */
#include "schema_private.h"

#include <string.h>

#define COUNT_MOST ((size_t)1 << 20)
#define PREFIX_MOST 1024
#define CONTAINS_MOST 16
#define CONTAINING_MOST 256 /* items of a list whose good ones are counted place by place */
#define ANY_ORDER_MOST 6 /* distinct items of which every order is allowed */

/* The list of schemas by place, and the schema of the items after it, of one part. */
static void items_of(const struct schema_compiler *c, const struct value_map *map,
    const struct value_list **prefix, const struct value **rest)
{
    const struct value *items = schema_keyword(map, "items"), *places = schema_keyword(map, "prefixItems");
    *prefix = c->draft >= 2020 && places && places->kind == VALUE_LIST ? places->list : NULL;
    *rest = items;
    if (items && items->kind == VALUE_LIST) {
        *prefix = items->list;
        *rest = schema_keyword(map, "additionalItems");
    }
}

size_t schema_prefix(const struct schema_compiler *c, const struct schema_set *set)
{
    size_t most = 0;
    for (size_t i = 0; i < set->n; i++) {
        const struct value_list *prefix;
        const struct value *rest;
        items_of(c, set->parts[i].map, &prefix, &rest);
        if (prefix && prefix->n > most)
            most = prefix->n;
    }
    return most;
}

/* True when part i says something about item `at`. */
static bool part_item(
    struct schema_compiler *c, const struct schema_set *set, uint32_t i, size_t at, struct schema_set *item)
{
    const struct value_list *prefix;
    const struct value *rest;
    const struct schema_part *part = &set->parts[i];
    items_of(c, part->map, &prefix, &rest);
    bool by_place = prefix && at < prefix->n;
    if (!by_place && !rest)
        return false;
    schema_add(c, item, by_place ? prefix->items[at] : *rest,
        schema_path(c, part->path, NULL, span_of("items")), NO_PART, part->silent);
    return true;
}

struct schema_set schema_item(struct schema_compiler *c, const struct schema_set *set, size_t at)
{
    struct schema_set item = {0};
    for (uint32_t i = 0; i < set->n && !schema_failed(c); i++)
        part_item(c, set, i, at, &item);
    for (uint32_t i = 0; i < set->n && !schema_failed(c); i++) {
        const struct value *v = schema_keyword(set->parts[i].map, "unevaluatedItems");
        bool evaluated = false;
        for (uint32_t k = i; v && k < set->n; k++) {
            struct schema_set ignored = {0};
            const struct value *inner = schema_keyword(set->parts[k].map, "unevaluatedItems");
            if (schema_below(set, k, i))
                evaluated = evaluated || part_item(c, set, k, at, &ignored) || (inner && k > i);
        }
        if (v && !evaluated)
            schema_add(c, &item, *v, schema_path(c, set->parts[i].path, "unevaluatedItems", (struct span){0}),
                NO_PART, set->parts[i].silent);
    }
    return item;
}

struct lists {
    struct schema_compiler *c;
    struct schema_set *set;
    size_t least, most, prefix;
    grammar_node last; /* the closing bracket behind an item */
    const struct schema_part *unique, *contains;
};

static grammar_node closing(struct lists *l)
{
    return grammar_sequence(l->c->b, json_line(&l->c->json), json_text(&l->c->json, "]"));
}

/* An item with what stands before it. */
static grammar_node placed(struct lists *l, grammar_node item, bool first)
{
    struct json_parts *p = &l->c->json;
    return grammar_sequence(l->c->b, first ? json_line(p) : json_comma(p), item);
}

static grammar_node open(struct lists *l, grammar_node rest)
{
    return grammar_sequence(l->c->b, json_text(&l->c->json, "["), rest);
}

static void gather(struct lists *l)
{
    for (size_t i = 0; i < l->set->n; i++) {
        const struct schema_part *part = &l->set->parts[i];
        const struct value *unique = schema_keyword(part->map, "uniqueItems");
        size_t least = schema_count(l->c, part, "minItems", 0);
        size_t most = schema_count(l->c, part, "maxItems", GRAMMAR_UNBOUNDED);
        l->least = least > l->least ? least : l->least;
        l->most = most < l->most ? most : l->most;
        if (unique && unique->kind == VALUE_BOOL && unique->boolean)
            l->unique = part;
        if (schema_keyword(part->map, "contains")) {
            if (l->contains)
                schema_refuse(l->c, part->path, "contains", "two of them cannot be enforced together");
            l->contains = part;
        }
    }
    if (l->most != GRAMMAR_UNBOUNDED && l->most > COUNT_MOST)
        l->most = COUNT_MOST;
}

/* ---- items that differ ---- */

/* The values of an item that has few: of an enum, booleans and null. False when it has others. */
static bool few_values(struct lists *l, struct value_list **values)
{
    struct schema_set item = schema_item(l->c, l->set, 0);
    struct value list = value_list(l->c->arena, 4);
    bool typed;
    schema_flatten(l->c, &item);
    if (schema_failed(l->c) || item.never || item.n_choices || list.kind != VALUE_LIST)
        return false;
    unsigned types = schema_types(l->c, &item, &typed);
    const struct value_list *from = schema_enum(l->c, &item);
    if (!from && types & ~(unsigned)(SCHEMA_NULL | SCHEMA_BOOL))
        return false;
    struct value simple[] = {value_null, value_bool(true), value_bool(false)};
    for (size_t i = 0; i < (from ? from->n : 3) && schema_step(l->c, 1); i++) {
        struct value v = from ? from->items[i] : simple[i];
        bool known = !schema_allows(l->c, &item, types, v, from);
        for (size_t k = 0; !known && k < list.list->n && schema_step(l->c, 1); k++)
            known = schema_equal(list.list->items[k], v);
        if (!known)
            value_append(l->c->arena, list, v);
    }
    *values = list.list;
    return !schema_failed(l->c);
}

/* After the items in `used`; each set of them is one node. */
static grammar_node in_any_order(
    struct lists *l, const grammar_node *items, size_t n, grammar_node *known, unsigned used)
{
    size_t count = (size_t)__builtin_popcount(used);
    if (known[used] != NODE_NEVER)
        return known[used];
    grammar_node all = count >= l->least ? (count ? closing(l) : json_text(&l->c->json, "]")) : NODE_NEVER;
    for (size_t i = 0; i < n && count < l->most; i++)
        if (!(used >> i & 1)) {
            grammar_node rest = in_any_order(l, items, n, known, used | 1u << i);
            all = grammar_either(
                l->c->b, all, grammar_sequence(l->c->b, placed(l, items[i], count == 0), rest));
        }
    return known[used] = all;
}

/* Items in the order of the enum, each at most once: a node for each place and, up to a bound, count. */
static grammar_node in_order(struct lists *l, const grammar_node *items, size_t n)
{
    struct grammar_builder *b = l->c->b;
    size_t most = l->most < n ? l->most : n, counts = most + 1;
    if (!schema_step(l->c, n * counts))
        return NODE_NEVER;
    grammar_node *rest = schema_alloc(l->c, counts * sizeof(*rest));
    for (size_t k = 0; rest && k < counts; k++)
        if (k >= l->least)
            rest[k] = k ? closing(l) : json_text(&l->c->json, "]");
    for (size_t i = n; rest && i-- > 0;)
        for (size_t k = 0; k < most; k++)
            rest[k] =
                grammar_either(b, rest[k], grammar_sequence(b, placed(l, items[i], k == 0), rest[k + 1]));
    return rest ? rest[0] : NODE_NEVER;
}

static bool distinct_items(struct lists *l, grammar_node *node)
{
    struct value_list *values;
    if (l->prefix || l->contains || !few_values(l, &values))
        return false;
    grammar_node *items = schema_alloc(l->c, (values->n + 1) * sizeof(*items));
    grammar_node known[1u << ANY_ORDER_MOST] = {NODE_NEVER};
    for (size_t i = 0; items && i < values->n; i++)
        items[i] = json_constant(&l->c->json, values->items[i]);
    if (!items)
        return false;
    *node = open(l, values->n <= ANY_ORDER_MOST ? in_any_order(l, items, values->n, known, 0)
                                                : in_order(l, items, values->n));
    return true;
}

/* ---- contains ---- */

static size_t least_contained(struct schema_compiler *c, const struct schema_part *part)
{
    return c->draft > 7 ? schema_count(c, part, "minContains", 1) : 1;
}

static grammar_node or_without(struct lists *l, grammar_node item, grammar_node with)
{
    struct grammar_builder *b = l->c->b;
    grammar_node others = grammar_repeat(b, placed(l, item, false), 0, GRAMMAR_UNBOUNDED);
    grammar_node some = grammar_sequence(b, placed(l, item, true), grammar_sequence(b, others, closing(l)));
    return grammar_either(b, with, open(l, grammar_either(b, some, json_text(&l->c->json, "]"))));
}

/* `most` times an item that `contains` allows, at least `least` times, between others. */
static grammar_node containing(
    struct lists *l, grammar_node item, grammar_node good, size_t least, size_t most)
{
    struct grammar_builder *b = l->c->b;
    grammar_node others = grammar_repeat(b, placed(l, item, false), 0, GRAMMAR_UNBOUNDED);
    grammar_node more = grammar_sequence(b, placed(l, good, false), others);
    grammar_node rest = grammar_sequence(
        b, others, grammar_repeat(b, more, least - 1, most == GRAMMAR_UNBOUNDED ? most : most - 1));
    grammar_node first = grammar_sequence(b, placed(l, good, true), rest);
    grammar_node late = grammar_sequence(
        b, grammar_sequence(b, placed(l, item, true), others), grammar_repeat(b, more, least, most));
    return open(l, grammar_sequence(b, grammar_either(b, first, late), closing(l)));
}

/* The same for a bounded list, from its end: a node for each number of items and of good ones among them. */
static grammar_node counting(
    struct lists *l, const struct value *schema, struct value others, size_t least, size_t most)
{
    struct schema_compiler *c = l->c;
    size_t top = most == GRAMMAR_UNBOUNDED ? least : most, counts = top + 1;
    grammar_node *rest = schema_alloc(c, counts * sizeof(*rest));
    for (size_t i = l->most + 1; i-- > 0 && schema_step(c, counts);) {
        struct schema_set item = schema_item(c, l->set, i), good = schema_copy(c, &item);
        schema_add(c, &good, *schema, l->contains->path, NO_PART, false);
        schema_add(c, &item, others, l->contains->path, NO_PART, true);
        grammar_node bad = i < l->most ? schema_node(c, &item) : NODE_NEVER;
        grammar_node fit = i < l->most ? schema_node(c, &good) : NODE_NEVER;
        for (size_t k = 0; k < counts && !schema_failed(c); k++) {
            size_t next = k < top ? k + 1 : k;
            grammar_node more = grammar_sequence(c->b, placed(l, bad, i == 0), rest[k]);
            if (k < top || most == GRAMMAR_UNBOUNDED)
                more = grammar_either(c->b, more, grammar_sequence(c->b, placed(l, fit, i == 0), rest[next]));
            if (i >= l->least && k >= least)
                more = grammar_either(c->b, more, i ? closing(l) : json_text(&c->json, "]"));
            rest[k] = more;
        }
    }
    return schema_failed(c) ? NODE_NEVER : open(l, rest[0]);
}

static grammar_node with_contains(struct lists *l)
{
    struct schema_compiler *c = l->c;
    const struct schema_part *part = l->contains;
    const struct value *schema = schema_keyword(part->map, "contains");
    size_t least = least_contained(c, part), most = schema_count(c, part, "maxContains", GRAMMAR_UNBOUNDED);
    bool bounded = most != GRAMMAR_UNBOUNDED, short_list = l->most <= CONTAINING_MOST;
    if (l->unique || least > CONTAINS_MOST || (bounded && most > CONTAINS_MOST) ||
        (!short_list && (l->prefix || l->most != GRAMMAR_UNBOUNDED || l->least > least))) {
        schema_refuse(c, part->path, "contains", "cannot be enforced beside the counts and places of items");
        return NODE_NEVER;
    }
    struct value others = bounded ? schema_negation(c, *schema, part->path) : value_bool(true);
    if (others.kind == VALUE_UNDEFINED) {
        schema_refuse(c, part->path, "maxContains", "the schema of contains cannot be negated");
        others = value_bool(true);
    }
    if (most < least || schema_failed(c))
        return NODE_NEVER;
    if (short_list)
        return counting(l, schema, others, least, most);
    struct schema_set item = schema_item(c, l->set, 0), good = schema_copy(c, &item);
    schema_add(c, &good, *schema, part->path, NO_PART, false);
    schema_add(c, &item, others, part->path, NO_PART, true);
    grammar_node other = schema_node(c, &item), node = NODE_NEVER;
    if (most)
        node = containing(l, other, schema_node(c, &good), least ? least : 1, most);
    return least ? node : or_without(l, other, node);
}

/* ---- all others ---- */

/* What follows `prefix` items. */
static grammar_node after_prefix(struct lists *l)
{
    struct grammar_builder *b = l->c->b;
    struct schema_set item = schema_item(l->c, l->set, l->prefix);
    grammar_node rest = l->most > l->prefix ? schema_node(l->c, &item) : NODE_NEVER;
    grammar_node empty = json_text(&l->c->json, "]");
    size_t done = l->prefix, least = l->least > done ? l->least - done : 0;
    size_t most = l->most == GRAMMAR_UNBOUNDED ? l->most : l->most > done ? l->most - done : 0;
    if (rest == NODE_NEVER || !most)
        return least ? NODE_NEVER : done ? closing(l) : empty;
    grammar_node more = placed(l, rest, false);
    if (done)
        return grammar_sequence(b, grammar_repeat(b, more, least, most), closing(l));
    grammar_node some =
        grammar_repeat(b, more, least ? least - 1 : 0, most == GRAMMAR_UNBOUNDED ? most : most - 1);
    some = grammar_sequence(b, placed(l, rest, true), grammar_sequence(b, some, closing(l)));
    return least ? some : grammar_either(b, some, empty);
}

static grammar_node by_place(struct lists *l)
{
    struct grammar_builder *b = l->c->b;
    grammar_node rest = after_prefix(l);
    for (size_t i = l->prefix; i-- > 0 && !schema_failed(l->c);) {
        struct schema_set item = schema_item(l->c, l->set, i);
        grammar_node node = i < l->most ? schema_node(l->c, &item) : NODE_NEVER, close = NODE_NEVER;
        if (i >= l->least)
            close = i ? closing(l) : json_text(&l->c->json, "]");
        rest = grammar_either(b, grammar_sequence(b, placed(l, node, i == 0), rest), close);
    }
    return open(l, rest);
}

grammar_node schema_lists(struct schema_compiler *c, struct schema_set *set)
{
    struct lists l = {.c = c, .set = set, .most = GRAMMAR_UNBOUNDED, .prefix = schema_prefix(c, set)};
    grammar_node node;
    gather(&l);
    if (l.contains && least_contained(c, l.contains) == 0 && !schema_keyword(l.contains->map, "maxContains"))
        l.contains = NULL;
    if (l.prefix > PREFIX_MOST)
        schema_wrong(c, set->parts[0].path, "prefixItems", "has too many schemas");
    if (schema_failed(c) || l.least > l.most)
        return NODE_NEVER;
    if (l.unique && l.most > 1) {
        if (distinct_items(&l, &node))
            return node;
        schema_refuse(c, l.unique->path, "uniqueItems",
            "can be enforced for at most one item, and for items of an enum");
        l.unique = NULL;
    }
    if (l.contains) {
        node = with_contains(&l);
        if (node != NODE_NEVER || c->o->strict)
            return node;
    }
    return by_place(&l);
}
