/* calls.c - the grammar of calls: the pieces of a family's syntax around names and arguments.
 *
 * Members come in the order of the schema. A call is made once, as a rule, however often it is used.
 */
#include "format_private.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define ID_DIGITS_MAX 6
#define KEY_MAX 64 /* of an argument whose name the schema does not say */

grammar_node chat_sequence3(const struct chat_build *f, grammar_node a, grammar_node b, grammar_node c)
{
    return grammar_sequence(f->b, a, grammar_sequence(f->b, b, c));
}

static grammar_node letters(const struct chat_build *f, bool words, size_t least, size_t most)
{
    static const struct grammar_range ranges[] = {{'0', '9'}, {'A', 'Z'}, {'a', 'z'}, {'_', '_'}, {'-', '-'}};
    return grammar_repeat(f->b, grammar_chars(f->b, ranges, words ? 5 : 3, false), least, most);
}

/* ---- arguments in JSON ---- */

/* A schema that says what members there are is one of an object, also where it does not say so. */
static bool is_silent_object(struct value schema)
{
    return value_find(schema, span_of("properties")) && !value_find(schema, span_of("type"));
}

static grammar_node silent_object(
    struct chat_build *f, struct value schema, const struct json_schema_options *options)
{
    size_t n = schema.map->n;
    struct value_map map = {.n = n + 1, .room = n + 1};
    map.pairs = malloc((n + 1) * sizeof(*map.pairs));
    if (!map.pairs)
        return grammar_builder_no_memory(f->b);
    memcpy(map.pairs, schema.map->pairs, n * sizeof(*map.pairs));
    map.pairs[n] = (struct value_pair){value_literal("type"), value_literal("object")};
    schema.map = &map;
    grammar_node node = grammar_json_schema(f->b, schema, options, f->notes);
    free(map.pairs);
    return node;
}

grammar_node chat_json_arguments(struct chat_build *f, const struct chat_tool *tool)
{
    const struct json_schema_options options = {.strict = tool->strict};
    struct value schema = tool->parameters;
    grammar_node node;
    if (schema.kind != VALUE_MAP || schema.map->n == 0)
        node = grammar_json_object(f->b, &options);
    else if (is_silent_object(schema))
        node = silent_object(f, schema, &options);
    else
        node = grammar_json_schema(f->b, schema, &options, f->notes);
    return grammar_tag(f->b, node, CHAT_TAG_ARGUMENTS);
}

/* ---- arguments one by one ---- */

struct keyed_item {
    struct json_property property;
    grammar_node node; /* the whole argument */
};

struct keyed_items {
    struct chat_build *f;
    struct keyed_item *at; /* [n] */
    size_t n, room;
    bool failed;
};

/* The schema says no more than these keywords do, and words for people. */
static bool says_only_choices(struct value schema)
{
    static const char *const words[] = {
        "type", "enum", "const", "title", "description", "default", "examples"};
    for (size_t i = 0; schema.kind == VALUE_MAP && i < schema.map->n; i++) {
        size_t k = 0, n = sizeof(words) / sizeof(words[0]);
        while (k < n && !value_is(schema.map->pairs[i].key, words[k]))
            k++;
        if (k == n)
            return false;
    }
    return true;
}

/* Strings of an enumeration, which the family writes without quotes; NODE_NEVER when it has anything else. */
static grammar_node bare_choices(struct chat_build *f, struct value schema)
{
    const struct value *all = value_find(schema, span_of("enum")),
                       *one = value_find(schema, span_of("const"));
    const struct value *type = value_find(schema, span_of("type"));
    const struct value *items = all && all->kind == VALUE_LIST ? all->list->items : one;
    size_t n = all && all->kind == VALUE_LIST ? all->list->n : 1;
    grammar_node node = NODE_NEVER;
    if (!items || (all && one) || (type && !value_is(*type, "string")) || !says_only_choices(schema))
        return NODE_NEVER;
    for (size_t i = 0; i < n; i++) {
        if (items[i].kind != VALUE_STRING)
            return NODE_NEVER;
        node = grammar_either(f->b, node, grammar_literal(f->b, value_span(items[i])));
    }
    return grammar_tag(f->b, node, CHAT_TAG_RAW);
}

static grammar_node raw_text(struct chat_build *f)
{
    grammar_node rest;
    struct grammar_marker close = chat_marker(f, f->calls->raw_close, &rest);
    return grammar_until(f->b, &close, &rest, 1, false, CHAT_TAG_RAW);
}

static grammar_node json_value(struct chat_build *f, grammar_node value)
{
    const struct chat_calls *c = f->calls;
    value = grammar_tag(f->b, value, CHAT_TAG_VALUE);
    return chat_sequence3(f, chat_mark(f, c->value_open), value, chat_mark(f, c->value_close));
}

static grammar_node keyed_value(struct chat_build *f, const struct json_property *p)
{
    const struct chat_calls *c = f->calls;
    if (!c->raw_close)
        return json_value(f, p->value);
    if (p->is_string)
        return grammar_sequence(f->b, chat_mark(f, c->raw_open), raw_text(f));
    grammar_node choices = bare_choices(f, p->schema);
    if (choices != NODE_NEVER)
        return chat_sequence3(f, chat_mark(f, c->raw_open), choices, chat_mark(f, c->raw_close));
    return json_value(f, p->value);
}

static grammar_node keyed_argument(struct chat_build *f, grammar_node key, grammar_node value)
{
    key = grammar_tag(f->b, key, CHAT_TAG_KEY);
    key = chat_sequence3(f, chat_mark(f, f->calls->key_open), key, chat_mark(f, f->calls->key_close));
    return grammar_sequence(f->b, key, value);
}

static void add_item(void *context, const struct json_property *p)
{
    struct keyed_items *items = context;
    if (items->n == items->room) {
        size_t room = items->room ? items->room * 2 : 8;
        struct keyed_item *more = realloc(items->at, room * sizeof(*more));
        items->failed = items->failed || !more;
        if (!more)
            return;
        items->at = more;
        items->room = room;
    }
    grammar_node key = grammar_literal(items->f->b, p->name);
    items->at[items->n++] = (struct keyed_item){*p, keyed_argument(items->f, key, keyed_value(items->f, p))};
}

/* The arguments in order, each optional one with or without. `first` is what may follow while none has been written,
 * `later` when one has: behind that a comma stands in front. */
static grammar_node in_order(struct chat_build *f, const struct keyed_items *items)
{
    grammar_node first = NODE_EMPTY, later = NODE_EMPTY, comma = chat_mark(f, f->calls->comma);
    for (size_t i = items->n; i-- > 0;) {
        const struct keyed_item *item = &items->at[i];
        grammar_node with = grammar_sequence(f->b, item->node, later);
        first = item->property.required ? with : grammar_either(f->b, with, first);
        with = grammar_sequence(f->b, comma, with);
        later = item->property.required ? with : grammar_either(f->b, with, later);
    }
    return first;
}

static grammar_node any_arguments(struct chat_build *f, const struct json_schema_options *options)
{
    grammar_node value = json_value(f, grammar_json(f->b, options));
    grammar_node one = keyed_argument(f, letters(f, true, 1, KEY_MAX), value);
    grammar_node more = grammar_sequence(f->b, chat_mark(f, f->calls->comma), one);
    more = grammar_repeat(f->b, more, 0, GRAMMAR_UNBOUNDED);
    return grammar_optional(f->b, grammar_sequence(f->b, one, more));
}

/* Members that the schema does not list cannot be checked in this syntax. */
static grammar_node unlisted_arguments(
    struct chat_build *f, const struct chat_tool *tool, const struct json_schema_options *options)
{
    struct value schema = tool->parameters;
    const struct value *type = value_find(schema, span_of("type"));
    bool any = schema.kind != VALUE_MAP || schema.map->n == 0 ||
               (type && value_is(*type, "object") && schema.map->n == 1);
    if (tool->strict && !any)
        return grammar_builder_fail(f->b,
            "'strict' needs parameters that are an object with 'properties' in the chat format '%s' of this model",
            f->format->name);
    if (!any && f->notes && f->notes->n < JSON_NOTES_MAX)
        strcpy(f->notes->at[f->notes->n++], "parameters");
    else if (!any && f->notes)
        f->notes->more++;
    return any_arguments(f, options);
}

static grammar_node keyed_arguments(struct chat_build *f, const struct chat_tool *tool)
{
    const struct json_schema_options options = {
        .style = f->calls->python ? JSON_STYLE_PYTHON : JSON_STYLE_JSON, .strict = tool->strict};
    struct keyed_items items = {.f = f};
    bool listed = tool->parameters.kind == VALUE_MAP &&
                  grammar_json_properties(f->b, tool->parameters, &options, f->notes, add_item, &items);
    grammar_node node = items.failed ? grammar_builder_no_memory(f->b)
                        : listed     ? in_order(f, &items)
                                     : unlisted_arguments(f, tool, &options);
    free(items.at);
    return node;
}

/* ---- a call ---- */

static grammar_node id_at(const struct chat_build *f, enum chat_id_place place)
{
    const struct chat_calls *c = f->calls;
    static const struct grammar_range digits[] = {{'0', '9'}};
    if (c->id_place != place)
        return NODE_EMPTY;
    grammar_node id = c->id_is_number
                          ? grammar_repeat(f->b, grammar_chars(f->b, digits, 1, false), 1, ID_DIGITS_MAX)
                          : letters(f, false, 9, 9);
    id = grammar_tag(f->b, id, CHAT_TAG_CALL_ID);
    id = chat_sequence3(f, chat_mark(f, c->id_open), id, chat_mark(f, c->id_close));
    return c->id_is_number ? id : grammar_optional(f->b, id);
}

/* One of the two begins with all of the other one. */
static bool begins_alike(struct span a, struct span b)
{
    size_t n = a.size < b.size ? a.size : b.size;
    return n > 0 && memcmp(a.at, b.at, n) == 0;
}

/* The last byte of what closes a call with arguments one by one says that they are whole. It must be certain by then that
 * this is no further argument. Where it is not, or where there are control tokens alone, the reader sees it later. */
static grammar_node call_close(const struct chat_build *f)
{
    struct span close = chat_piece(f->calls->close), last;
    grammar_node rest;
    struct grammar_marker m = chat_marker(f, f->calls->close, &rest);
    last = (struct span){close.at, m.token < 0 ? close.size : (size_t)(m.text.at - close.at)};
    if (!f->calls->keyed || last.size == 0 || begins_alike(last, chat_piece(f->calls->key_open)))
        return chat_mark(f, f->calls->close);
    grammar_node end = grammar_tag(
        f->b, grammar_literal(f->b, (struct span){last.at + last.size - 1, 1}), CHAT_TAG_CALL_END);
    struct grammar_marker before = {{last.at, last.size - 1}, -1};
    end = grammar_sequence(f->b, before.text.size > 0 ? grammar_mark(f->b, &before) : NODE_EMPTY, end);
    return m.token < 0 ? end : chat_sequence3(f, end, grammar_mark(f->b, &m), rest);
}

/* Notes tell where in which function something is not enforced. */
static void name_notes(struct json_notes *notes, size_t from, struct span name)
{
    for (size_t i = from; notes && i < notes->n; i++) {
        char at[sizeof(notes->at[i])];
        memcpy(at, notes->at[i], sizeof(at));
        at[sizeof(at) - 1] = 0;
        snprintf(notes->at[i], sizeof(at), "%.*s.%.*s", (int)name.size, (const char *)name.at,
            (int)(sizeof(at) - 2 - name.size), at);
    }
}

/* Names stand between quotes and brackets of every family. */
bool chat_tool_is_named(struct span name)
{
    static const char allowed[] = "_-.:/";
    bool good = name.size > 0 && name.size <= CHAT_NAME_MAX;
    for (size_t i = 0; good && i < name.size; i++) {
        uint8_t c = name.at[i];
        good = (c >= '0' && c <= '9') || ((c | 0x20) >= 'a' && (c | 0x20) <= 'z') ||
               (c != 0 && strchr(allowed, c));
    }
    return good;
}

static bool check_name(struct chat_build *f, struct span name)
{
    bool good = chat_tool_is_named(name);
    if (!good)
        grammar_builder_fail(f->b, "the name of a function must have " CHAT_NAME_RULE);
    return good;
}

void chat_calls_prepare(struct chat_build *f)
{
    grammar_node before =
        grammar_sequence(f->b, id_at(f, CHAT_ID_AFTER_NAME), chat_mark(f, f->calls->after_name));
    grammar_node behind = grammar_sequence(f->b, id_at(f, CHAT_ID_AFTER_ARGUMENTS), call_close(f));
    grammar_node any = NODE_NEVER;
    for (size_t i = 0; i < f->n_tools; i++) {
        const struct chat_tool *tool = &f->form->tools[f->first_tool + i];
        size_t noted = f->notes ? f->notes->n : 0;
        if (!check_name(f, tool->name))
            return;
        grammar_node node = f->calls->keyed ? keyed_arguments(f, tool) : chat_json_arguments(f, tool);
        name_notes(f->notes, noted, tool->name);
        if (grammar_builder_failed(f->b)) {
            f->failed = tool;
            return;
        }
        f->values[i] = node;
        f->arguments[i] = grammar_sequence(f->b, node, behind);
        node = grammar_tag(f->b, grammar_literal(f->b, tool->name), CHAT_TAG_CALL_NAME);
        any = grammar_either(f->b, any, chat_sequence3(f, node, before, f->arguments[i]));
    }
    grammar_rule named = grammar_rule_new(f->b);
    grammar_rule_define(f->b, named, any);
    f->named = grammar_call(f->b, named);
}

/* Behind `open`. */
static grammar_node call_inside(const struct chat_build *f)
{
    grammar_node before = chat_mark(f, f->calls->before_name);
    if (f->calls->other_before_name)
        before = grammar_either(f->b, before, chat_mark(f, f->calls->other_before_name));
    return chat_sequence3(f, id_at(f, CHAT_ID_BEFORE_NAME), before, f->named);
}

static grammar_node call(const struct chat_build *f)
{
    return grammar_sequence(f->b, chat_mark(f, f->calls->open), call_inside(f));
}

/* More calls behind one, each with the separator in front, and the end of the list. */
static grammar_node more_calls(const struct chat_build *f)
{
    const struct chat_calls *c = f->calls;
    grammar_node more = NODE_EMPTY, separator = chat_mark(f, c->separator);
    if (!c->trigger)
        separator = grammar_optional(f->b, separator);
    if (f->form->parallel)
        more = grammar_repeat(f->b, grammar_sequence(f->b, separator, call(f)), 0, GRAMMAR_UNBOUNDED);
    return chat_sequence3(f, more, chat_mark(f, c->list_close), chat_mark_optional(f, c->list_end));
}

/* What follows a call that stands for itself. */
static grammar_node after_call(const struct chat_build *f)
{
    bool text = f->calls->repeats && f->form->parallel && f->text != NODE_NEVER;
    return text ? f->text : more_calls(f);
}

grammar_node chat_calls_behind(struct chat_build *f, grammar_node rest)
{
    const struct chat_calls *c = f->calls;
    if (!c->trigger)
        return chat_sequence3(f, rest, call_inside(f), after_call(f));
    grammar_node open = grammar_sequence(f->b, chat_mark_optional(f, c->gap), chat_mark(f, c->list_open));
    return chat_sequence3(f, rest, open, grammar_sequence(f->b, call(f), more_calls(f)));
}

grammar_node chat_calls_whole(struct chat_build *f)
{
    const struct chat_calls *c = f->calls;
    grammar_node trigger = chat_mark(f, c->trigger ? c->trigger : c->open);
    grammar_node node = grammar_sequence(f->b, trigger, chat_calls_behind(f, NODE_EMPTY));
    if (!c->implicit)
        return node;
    grammar_node list = chat_sequence3(f, chat_mark(f, c->list_open), call(f), more_calls(f));
    return grammar_either(f->b, node, list);
}

/* ---- calls without a trigger ---- */

const char *const chat_loose_fences[] = {"", "```json\n", "```\n", NULL};
const char *const chat_loose_names[] = {
    "{\"name\": \"", "{\"name\":\"", "{ \"name\": \"", "{\n  \"name\": \"", "{\n    \"name\": \"", NULL};

const char *chat_trigger(const struct chat_build *f)
{
    return f->calls->trigger ? f->calls->trigger : f->calls->open;
}

bool chat_calls_start(const struct chat_build *f, size_t start, struct strbuf *out)
{
    const struct chat_calls *c = f->calls;
    size_t n = !c->implicit ? 0 : c->name_decides ? f->n_tools : c->other_before_name ? 2 : 1;
    if (start >= n)
        return false;
    strbuf_add(out, chat_piece(c->list_open));
    strbuf_add(out, chat_piece(c->open));
    strbuf_add(out, chat_piece(!c->name_decides && start > 0 ? c->other_before_name : c->before_name));
    if (c->name_decides) {
        strbuf_add(out, f->form->tools[f->first_tool + start].name);
        strbuf_add(out, chat_piece(c->after_name));
    }
    return true;
}

grammar_node chat_calls_from_start(struct chat_build *f, size_t start)
{
    if (!f->calls->name_decides)
        return grammar_sequence(f->b, f->named, more_calls(f));
    return grammar_sequence(f->b, f->arguments[start], more_calls(f));
}
