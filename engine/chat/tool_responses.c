/* tool_responses.c - results of tools as members of the message with their calls, for templates that look for them there.
 *
 * Gemma 4's template writes `tool_responses`, a list of {"name", "response"}, behind the calls of the same message, and
 * then that message's text: one turn of the model, as it was generated. Its first version knows results by that name
 * alone; a later one also reads messages of tools, and writes the same text for both. In OpenAI's form calls, results and
 * the text behind them are messages of their own.
 */
#include "format_private.h"

#define TEXT_MAX ((size_t)1 << 26)

static const struct value *calls_of(struct value message)
{
    const struct value *calls = value_find(message, span_of("tool_calls"));
    return calls && calls->kind == VALUE_LIST && calls->list->n > 0 ? calls : NULL;
}

static bool has_content(struct value message)
{
    const struct value *content = value_find(message, span_of("content"));
    return content && ((content->kind == VALUE_STRING && content->text.size > 0) ||
                          (content->kind == VALUE_LIST && content->list->n > 0));
}

/* A copy of the message without one of its members, and with room for two more. */
static struct value copy_without(struct value_arena *a, struct value message, const char *name)
{
    struct value copy = value_map(a, message.map->n + 2);
    for (size_t i = 0; i < message.map->n; i++)
        if (!value_is(message.map->pairs[i].key, name))
            value_set(a, copy, message.map->pairs[i].key, message.map->pairs[i].value);
    return copy;
}

/* ---- one result ---- */

static struct value name_of_call(struct value call)
{
    const struct value *function = value_find(call, span_of("function"));
    const struct value *name = value_find(function ? *function : call, span_of("name"));
    return name ? *name : value_undefined;
}

/* The function's name: of the call with the result's id, else the result's own, else of the call at the same place. */
static struct value name_of_result(const struct value *calls, struct value result, size_t place)
{
    const struct value *id = value_find(result, span_of("tool_call_id"));
    const struct value *own = value_find(result, span_of("name"));
    for (size_t i = 0; id && id->kind == VALUE_STRING && i < calls->list->n; i++) {
        const struct value *known = value_find(calls->list->items[i], span_of("id"));
        if (known && known->kind == VALUE_STRING && span_compare(value_span(*known), value_span(*id)) == 0)
            return name_of_call(calls->list->items[i]);
    }
    if (own && own->kind == VALUE_STRING)
        return *own;
    return place < calls->list->n ? name_of_call(calls->list->items[place]) : value_undefined;
}

static struct value response_of(
    struct value_arena *a, const struct value *calls, struct value result, size_t place, struct strbuf *room)
{
    struct value response = value_map(a, 2), name = name_of_result(calls, result, place);
    const struct value *content = value_find(result, span_of("content"));
    if (name.kind == VALUE_STRING)
        value_set(a, response, value_literal("name"), name);
    if (content && content->kind == VALUE_LIST) {
        strbuf_cut(room, 0);
        chat_add_content(room, result);
        value_set(
            a, response, value_literal("response"), value_string(a, strbuf_span(room), VALUE_FROM_MESSAGE));
    } else {
        value_set(a, response, value_literal("response"), content ? *content : value_literal(""));
    }
    return response;
}

/* ---- the messages ---- */

/* Message `*i`, which has calls, with the results behind it and the text behind these. `*i` is the last message that was
 * taken. Text before the calls becomes a message of its own: the template would write it behind the results. */
static void add_with_results(struct value_arena *a, const struct value_list *messages, size_t *i,
    struct value list, struct strbuf *room)
{
    struct value message = messages->items[*i], results = value_list(a, 4);
    const struct value *calls = calls_of(message), *text = NULL;
    size_t place = 0;
    for (; *i + 1 < messages->n && chat_is_result(messages->items[*i + 1]); ++*i)
        value_append(a, results, response_of(a, calls, messages->items[*i + 1], place++, room));
    if (has_content(message))
        value_append(a, list, copy_without(a, message, "tool_calls"));
    if (*i + 1 < messages->n && chat_has_role(messages->items[*i + 1], "assistant") &&
        !calls_of(messages->items[*i + 1]) && has_content(messages->items[*i + 1]))
        text = value_find(messages->items[++*i], span_of("content"));
    message = copy_without(a, message, "content");
    value_set(a, message, value_literal("tool_responses"), results);
    value_set(a, message, value_literal("content"), text ? *text : value_literal(""));
    value_append(a, list, message);
}

struct value chat_history_with_responses(struct value_arena *a, struct value messages)
{
    struct strbuf room;
    if (messages.kind != VALUE_LIST)
        return messages;
    struct value list = value_list(a, messages.list->n);
    strbuf_init(&room, TEXT_MAX);
    for (size_t i = 0; i < messages.list->n && !value_arena_failed(a); i++) {
        struct value message = messages.list->items[i];
        bool answered = i + 1 < messages.list->n && chat_is_result(messages.list->items[i + 1]);
        if (answered && calls_of(message) && !value_find(message, span_of("tool_responses")))
            add_with_results(a, messages.list, &i, list, &room);
        else
            value_append(a, list, message);
    }
    if (room.failed)
        value_arena_fail(a);
    strbuf_release(&room);
    return value_arena_failed(a) ? value_undefined : list;
}
