/* chat_message.c - a message in the form that a template takes. */
#include "chat_private.h"

#include <string.h>

static bool has_role(struct value message, const char *name)
{
    const struct value *role = value_find(message, span_of("role"));
    return role && value_is(*role, name);
}

bool chat_is_system(struct value message)
{
    return has_role(message, "system") || has_role(message, "developer");
}

bool chat_is_answer(struct value message)
{
    return has_role(message, "assistant") || has_role(message, "model");
}

struct value chat_copy(struct value_arena *a, struct value map)
{
    struct value copy = value_map(a, map.map->n);
    for (size_t i = 0; i < map.map->n; i++)
        value_set_new(a, copy, map.map->pairs[i].key, map.map->pairs[i].value);
    return copy;
}

static struct value with_origin(struct value text, unsigned origin)
{
    if (text.kind == VALUE_STRING)
        text.text.origin = (uint16_t)origin;
    return text;
}

static struct value text_part(struct value_arena *a, struct value text)
{
    struct value part = value_map(a, 2);
    value_set_new(a, part, value_literal("type"), value_literal("text"));
    value_set_new(a, part, value_literal("text"), text);
    return part;
}

/* The text of a part, or undefined when it is not a text part. */
static struct value part_text(struct value part)
{
    const struct value *text = value_find(part, span_of("text"));
    if (part.kind == VALUE_STRING)
        return part;
    return text && text->kind == VALUE_STRING ? *text : value_undefined;
}

static struct value copy_parts(struct value_arena *a, struct value parts, unsigned origin)
{
    struct value copy = value_list(a, parts.list->n);
    for (size_t i = 0; i < parts.list->n; i++) {
        struct value part = parts.list->items[i], text = with_origin(part_text(part), origin);
        if (part.kind == VALUE_STRING)
            part = text;
        else if (text.kind == VALUE_STRING) {
            part = chat_copy(a, part);
            value_set(a, part, value_literal("text"), text);
        }
        value_append(a, copy, part);
    }
    return copy;
}

/* The texts of parts, joined by newlines, as most servers do. The parts themselves when one of them is not text, because
 * the template may know it. */
static struct value join_parts(struct value_arena *a, struct value parts, unsigned origin)
{
    size_t size = 0, at = 0, n = parts.list->n;
    for (size_t i = 0; i < n; i++) {
        struct value text = part_text(parts.list->items[i]);
        if (text.kind != VALUE_STRING)
            return copy_parts(a, parts, origin);
        size += text.text.size + (i > 0);
    }
    uint8_t *joined = value_alloc(a, size);
    for (size_t i = 0; joined && i < n; i++) {
        struct value text = part_text(parts.list->items[i]);
        if (i > 0)
            joined[at++] = '\n';
        if (text.text.size > 0)
            memcpy(joined + at, text.text.at, text.text.size);
        at += text.text.size;
    }
    return joined ? value_borrow((struct span){joined, size}, origin) : value_undefined;
}

static struct value settle_content(
    struct value_arena *a, struct value content, bool wants_parts, unsigned origin)
{
    if (content.kind == VALUE_LIST)
        return wants_parts ? copy_parts(a, content, origin) : join_parts(a, content, origin);
    if (content.kind != VALUE_STRING)
        return content;
    content = with_origin(content, origin);
    if (!wants_parts)
        return content;
    struct value parts = value_list(a, 1);
    value_append(a, parts, text_part(a, content));
    return parts;
}

struct value chat_message(
    struct value_arena *a, const struct chat_traits *t, struct value message, unsigned origin)
{
    const struct value *content = value_find(message, span_of("content"));
    if (message.kind != VALUE_MAP)
        return message;
    struct value copy = chat_copy(a, message);
    bool parts = chat_is_system(message) ? t->system_parts : t->other_parts;
    if (has_role(message, "developer") && !t->knows_developer)
        value_set(a, copy, value_literal("role"), value_literal("system"));
    /* The reasoning beside the content of an earlier answer is the model's own text, too. */
    for (size_t i = 0; chat_is_answer(message) && i < copy.map->n; i++)
        if (!value_is(copy.map->pairs[i].key, "role"))
            copy.map->pairs[i].value = with_origin(copy.map->pairs[i].value, origin);
    if (content)
        value_set(a, copy, value_literal("content"), settle_content(a, *content, parts, origin));
    return copy;
}

struct value chat_join(struct value_arena *a, struct value first, const char *between, struct value second)
{
    struct span parts[] = {value_span(first), span_of(between), value_span(second)};
    size_t size = parts[0].size + parts[1].size + parts[2].size, at = 0;
    uint8_t *joined = value_alloc(a, size);
    for (size_t i = 0; joined && i < 3; at += parts[i++].size)
        if (parts[i].size > 0)
            memcpy(joined + at, parts[i].at, parts[i].size);
    return joined ? value_borrow((struct span){joined, size}, second.text.origin) : value_undefined;
}

struct value chat_with_messages(struct value_arena *a, struct value vars, struct value messages)
{
    struct value copy = chat_copy(a, vars);
    value_set(a, copy, value_literal("messages"), messages);
    return copy;
}
