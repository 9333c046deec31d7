/* value.h - data of JSON's kinds (null, booleans, numbers, strings, lists, maps) in an arena with a limit.
 *
 * Requests, templates, tools and schemas are values, so that no room below the server needs a JSON library. A string
 * stores for each byte whether it comes from the template or from a message: text that a client sent must not become
 * a special token, whatever text stands beside it.
 *
 * A value is small and passed by copy. What it points to lies in its arena (or is constant) and does not change once
 * others can see it. All memory comes from the arena. An allocation beyond the arena's limit fails, and so does every
 * one after it. value_arena_free frees everything at once.
 */
#ifndef BERTH_VALUE_H
#define BERTH_VALUE_H

#include "berth/base/budget.h"
#include "berth/base/error.h"
#include "berth/base/text.h"

#define VALUE_DEPTH 64 /* lists and maps in each other that printing and comparing follow */

enum value_kind {
    VALUE_UNDEFINED, /* a name without a value; `text` is the name, for messages */
    VALUE_NULL,
    VALUE_BOOL,
    VALUE_INTEGER,
    VALUE_FLOAT,
    VALUE_STRING,
    VALUE_LIST,
    VALUE_MAP,
    VALUE_OBJECT /* what a template can call or set; `object` says which kind */
};

/* Where bytes come from. Every origin but VALUE_FROM_TEMPLATE is a client's text, which never becomes a control
 * token. */
enum value_origin {
    VALUE_FROM_MESSAGE, /* sent by a client */
    VALUE_FROM_TEMPLATE, /* written by the template's author, or the model's own: bos_token */
    VALUE_FROM_MODEL, /* sent by a client as an earlier answer of the model */
    VALUE_FROM_NUMBERED /* sent by a client in part number n: the origin is VALUE_FROM_NUMBERED + n */
};

#define VALUE_NUMBERS ((size_t)UINT16_MAX + 1 - VALUE_FROM_NUMBERED) /* parts that can be told apart */

struct value_text {
    const char *at; /* UTF-8, not NUL-terminated */
    const uint16_t *marks; /* [size] of enum value_origin, or NULL: every byte is of `origin` */
    size_t size;
    uint16_t origin; /* enum value_origin */
    bool markup; /* HTML as it is: templates escape other strings beside it */
};

struct value {
    enum value_kind kind;
    union {
        bool boolean;
        int64_t integer;
        double real;
        struct value_text text; /* of VALUE_STRING and VALUE_UNDEFINED */
        struct value_list *list;
        struct value_map *map;
        struct {
            const void *type; /* its address identifies the kind of object */
            void *data;
        } object;
    };
};

struct value_list {
    struct value *items; /* [n] */
    size_t n, room;
    bool tuple; /* Python's other list, which prints in parentheses */
    bool group; /* a tuple whose items have the names `grouper` and `list`, too */
};

struct value_pair {
    struct value key, value;
};

struct value_map {
    struct value_pair *pairs; /* [n], in the order in which keys first came */
    size_t n, room;
};

/* ---- the arena ---- */

struct value_arena;

/* An arena of at most `limit` bytes; NULL without memory. */
struct value_arena *value_arena_new(size_t limit);
void value_arena_free(struct value_arena *a); /* `a` may be NULL */

/* Counts what the arena takes from now on in a budget. Beyond it the arena fails as without memory. */
void value_arena_count(struct value_arena *a, struct byte_budget *budget);

/* An arena that counts in the same budget as `other`. NULL without memory. */
struct value_arena *value_arena_beside(const struct value_arena *other, size_t limit);

/* Returns `size` bytes, aligned for any type and not cleared. Beyond the limit it returns NULL, and the arena has
 * failed from then on. */
void *value_alloc(struct value_arena *a, size_t size);
bool value_arena_failed(const struct value_arena *a);
void value_arena_fail(struct value_arena *a); /* as when memory is short */

/* Why it failed: the limit was reached, or memory is short. `what` is what the arena is for. Returns false. */
bool value_arena_explain(const struct value_arena *a, const char *what, struct error *err);

/* ---- making values; the result is VALUE_UNDEFINED when the arena has failed ---- */

extern const struct value value_undefined, value_null;

static inline struct value value_bool(bool b)
{
    return (struct value){.kind = VALUE_BOOL, .boolean = b};
}

static inline struct value value_integer(int64_t i)
{
    return (struct value){.kind = VALUE_INTEGER, .integer = i};
}

struct value value_float(double d);

/* A string that borrows `s`, which must be UTF-8 and outlive the value. */
struct value value_borrow(struct span s, unsigned origin);
struct value value_literal(const char *text); /* borrows a C string, VALUE_FROM_TEMPLATE */
struct value value_string(struct value_arena *a, struct span s, unsigned origin); /* copies */

/* The bytes from `start` to `end` of a string, without a copy. */
struct value value_part(struct value s, size_t start, size_t end);

struct value value_list(struct value_arena *a, size_t room);
struct value value_map(struct value_arena *a, size_t room);

/* Return false when the arena is full. Only the maker of a list or map may call them, before others see it. */
bool value_append(struct value_arena *a, struct value list, struct value item);
bool value_set(struct value_arena *a, struct value map, struct value key, struct value value);

/* Appends without a search for the key: for keys that are known to differ. */
bool value_set_new(struct value_arena *a, struct value map, struct value key, struct value value);

/* ---- reading them ---- */

/* A string's bytes. */
static inline struct span value_span(struct value s)
{
    return (struct span){(const uint8_t *)s.text.at, s.text.size};
}

static inline bool value_is(struct value v, const char *text) /* a string equal to this one */
{
    return v.kind == VALUE_STRING && span_is(value_span(v), text);
}

unsigned value_origin_at(const struct value_text *t, size_t byte);

/* Returns the value of a string key, or NULL when there is none or `map` is no map. */
const struct value *value_find(struct value map, struct span key);

#endif
