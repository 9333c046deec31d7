/* value.c - the tree of values and its arena.
 *
 * The arena allocates from a chain of blocks and frees all of them together, so no value has an owner. Lists and maps
 * double their room when they grow; the old room still counts toward the limit, which bounds everything that a request
 * can make the server build.
 */
#include "berth/base/value.h"

#include <stdalign.h>
#include <stdlib.h>
#include <string.h>

#define BLOCK_BYTES ((size_t)1 << 14)

struct value_block {
    struct value_block *before;
    alignas(max_align_t) unsigned char bytes[];
};

struct value_arena {
    struct value_block *last;
    size_t used, room; /* of the last block */
    size_t left; /* bytes that blocks may still take */
    bool failed;
    bool no_memory; /* and not its own limit */
    struct byte_budget *budget; /* or NULL */
    size_t counted; /* bytes taken of it */
};

const struct value value_undefined = {.kind = VALUE_UNDEFINED};
const struct value value_null = {.kind = VALUE_NULL};

struct value_arena *value_arena_new(size_t limit)
{
    struct value_arena *a = malloc(sizeof(*a));
    if (a)
        *a = (struct value_arena){.left = limit};
    return a;
}

void value_arena_count(struct value_arena *a, struct byte_budget *budget)
{
    a->budget = budget;
}

struct value_arena *value_arena_beside(const struct value_arena *other, size_t limit)
{
    struct value_arena *a = value_arena_new(limit);
    if (a)
        a->budget = other->budget;
    return a;
}

void value_arena_free(struct value_arena *a)
{
    if (!a)
        return;
    byte_budget_give(a->budget, a->counted);
    for (struct value_block *b = a->last; b;) {
        struct value_block *before = b->before;
        free(b);
        b = before;
    }
    free(a);
}

static bool add_block(struct value_arena *a, size_t size)
{
    size_t room = size > BLOCK_BYTES ? size : BLOCK_BYTES;
    if (room > a->left)
        room = size;
    bool fits = room <= a->left;
    bool counted = fits && byte_budget_take(a->budget, room);
    struct value_block *b = counted ? malloc(sizeof(*b) + room) : NULL;
    if (!b) {
        byte_budget_give(a->budget, counted ? room : 0);
        a->failed = true;
        a->no_memory = fits;
        return false;
    }
    b->before = a->last;
    a->last = b;
    a->left -= room;
    a->counted += a->budget ? room : 0;
    a->room = room;
    a->used = 0;
    return true;
}

void *value_alloc(struct value_arena *a, size_t size)
{
    size_t align = alignof(max_align_t);
    if (a->failed || size > SIZE_MAX - align - sizeof(struct value_block)) {
        a->failed = true;
        return NULL;
    }
    size = (size + align - 1) / align * align;
    if (size > a->room - a->used && !add_block(a, size))
        return NULL;
    void *at = a->last ? a->last->bytes + a->used : NULL;
    if (!at) /* a request for 0 bytes of an empty arena: the result must still be an address */
        return add_block(a, align) ? a->last->bytes : NULL;
    a->used += size;
    return at;
}

bool value_arena_failed(const struct value_arena *a)
{
    return a->failed;
}

void value_arena_fail(struct value_arena *a)
{
    a->failed = a->no_memory = true;
}

bool value_arena_explain(const struct value_arena *a, const char *what, struct error *err)
{
    return a->no_memory ? error_no_memory(err, what)
                        : error_set(err, "%s needs more memory than it may have", what);
}

struct value value_float(double d)
{
    return (struct value){.kind = VALUE_FLOAT, .real = d};
}

struct value value_borrow(struct span s, unsigned origin)
{
    return (struct value){
        .kind = VALUE_STRING, .text = {.at = (const char *)s.at, .size = s.size, .origin = (uint16_t)origin}};
}

struct value value_literal(const char *text)
{
    return value_borrow(span_of(text), VALUE_FROM_TEMPLATE);
}

struct value value_string(struct value_arena *a, struct span s, unsigned origin)
{
    uint8_t *copy = value_alloc(a, s.size);
    if (!copy)
        return value_undefined;
    if (s.size > 0)
        memcpy(copy, s.at, s.size);
    return value_borrow((struct span){copy, s.size}, origin);
}

struct value value_part(struct value s, size_t start, size_t end)
{
    if (end > s.text.size)
        end = s.text.size;
    if (start > end)
        start = end;
    s.text.at = s.text.at ? s.text.at + start : NULL;
    s.text.marks = s.text.marks ? s.text.marks + start : NULL;
    s.text.size = end - start;
    return s;
}

/* Room for one more of `bytes` each: the old room, or a copy with twice as much. NULL when full. */
static void *grow(struct value_arena *a, void *old, size_t n, size_t *room, size_t bytes)
{
    if (n < *room)
        return old;
    size_t more = *room ? *room * 2 : 4;
    if (more < *room || more > SIZE_MAX / bytes)
        return NULL;
    void *copy = value_alloc(a, more * bytes);
    if (!copy)
        return NULL;
    if (n > 0)
        memcpy(copy, old, n * bytes);
    *room = more;
    return copy;
}

struct value value_list(struct value_arena *a, size_t room)
{
    struct value_list *l = value_alloc(a, sizeof(*l));
    struct value *items =
        l && room <= SIZE_MAX / sizeof(*items) ? value_alloc(a, room * sizeof(*items)) : NULL;
    if (!items)
        return value_undefined;
    *l = (struct value_list){.items = items, .room = room};
    return (struct value){.kind = VALUE_LIST, .list = l};
}

struct value value_map(struct value_arena *a, size_t room)
{
    struct value_map *m = value_alloc(a, sizeof(*m));
    struct value_pair *pairs =
        m && room <= SIZE_MAX / sizeof(*pairs) ? value_alloc(a, room * sizeof(*pairs)) : NULL;
    if (!pairs)
        return value_undefined;
    *m = (struct value_map){.pairs = pairs, .room = room};
    return (struct value){.kind = VALUE_MAP, .map = m};
}

bool value_append(struct value_arena *a, struct value list, struct value item)
{
    if (list.kind != VALUE_LIST)
        return false;
    struct value *items = grow(a, list.list->items, list.list->n, &list.list->room, sizeof(*items));
    if (!items)
        return false;
    list.list->items = items;
    items[list.list->n++] = item;
    return true;
}

bool value_set_new(struct value_arena *a, struct value map, struct value key, struct value value)
{
    if (map.kind != VALUE_MAP)
        return false;
    struct value_pair *pairs = grow(a, map.map->pairs, map.map->n, &map.map->room, sizeof(*pairs));
    if (!pairs)
        return false;
    map.map->pairs = pairs;
    pairs[map.map->n++] = (struct value_pair){key, value};
    return true;
}

bool value_set(struct value_arena *a, struct value map, struct value key, struct value value)
{
    struct value *old = key.kind == VALUE_STRING ? (struct value *)value_find(map, value_span(key)) : NULL;
    if (!old)
        return value_set_new(a, map, key, value);
    *old = value;
    return true;
}

unsigned value_origin_at(const struct value_text *t, size_t byte)
{
    return t->marks ? t->marks[byte] : t->origin;
}

const struct value *value_find(struct value map, struct span key)
{
    if (map.kind != VALUE_MAP)
        return NULL;
    for (size_t i = 0; i < map.map->n; i++) {
        const struct value_pair *p = &map.map->pairs[i];
        if (p->key.kind == VALUE_STRING && p->key.text.size == key.size &&
            (key.size == 0 || memcmp(p->key.text.at, key.at, key.size) == 0))
            return &p->value;
    }
    return NULL;
}
