/* chat_tools.c - brings tools, calls and results into the form that a model's chat template is written for.
 *
 * A template without tools gets them as text: the definitions in the system text, earlier calls and results in messages.
 * Most templates take the arguments of a call as an object; some join them to text, and get them as JSON.
 */
#include "chat_private.h"

#include "berth/server/api/json_value.h"

#include <string.h>

#define TEXT_MAX ((size_t)8 << 20) /* bytes of the definitions as text */

static bool no_memory(const struct value_arena *a, struct error *err)
{
    return value_arena_failed(a) ? value_arena_explain(a, "the request", err)
                                 : error_no_memory(err, "the request");
}

/* ---- arguments as text ---- */

/* The messages were made for this request, and no template has seen them yet. */
static struct value *changeable(const struct value *v)
{
    return (struct value *)(uintptr_t)v;
}

static bool write_arguments(struct value_arena *a, const struct value *call, struct error *err)
{
    const struct value *function = value_find(*call, span_of("function"));
    struct value *arguments = changeable(value_find(function ? *function : *call, span_of("arguments")));
    struct strbuf text;
    if (!arguments || arguments->kind == VALUE_STRING)
        return true;
    strbuf_init(&text, TEXT_MAX);
    chat_write_json(&text, *arguments);
    bool good = !text.failed;
    if (good)
        *arguments = value_string(a, (struct span){(const uint8_t *)text.text, text.size}, VALUE_FROM_MODEL);
    strbuf_release(&text);
    return (good && !value_arena_failed(a)) || no_memory(a, err);
}

static bool write_all_arguments(struct value_arena *a, const struct value *messages, struct error *err)
{
    for (size_t i = 0; i < messages->list->n; i++) {
        const struct value *calls = value_find(messages->list->items[i], span_of("tool_calls"));
        for (size_t k = 0; calls && calls->kind == VALUE_LIST && k < calls->list->n; k++)
            if (!write_arguments(a, &calls->list->items[k], err))
                return false;
    }
    return true;
}

/* ---- results beside their calls ---- */

/* Gives the template results where it looks for them. Those that are JSON objects are told member by member. */
static bool attach_results(struct value_arena *a, struct value *messages, struct error *err)
{
    *messages = chat_history_with_responses(a, *messages);
    for (size_t i = 0; messages->kind == VALUE_LIST && i < messages->list->n; i++) {
        const struct value *all = value_find(messages->list->items[i], span_of("tool_responses"));
        for (size_t k = 0; all && all->kind == VALUE_LIST && k < all->list->n; k++) {
            struct value *response = changeable(value_find(all->list->items[k], span_of("response")));
            if (response)
                json_parse_value(a, response, true);
        }
    }
    return !value_arena_failed(a) || no_memory(a, err);
}

/* ---- earlier reasoning ---- */

/* Clients send back what they got as reasoning_content; some templates look for it under another name. */
static void name_reasoning(const struct value *messages, const char *name)
{
    for (size_t i = 0; i < messages->list->n; i++) {
        struct value message = messages->list->items[i];
        const struct value *known = value_find(message, span_of(name));
        if (message.kind != VALUE_MAP || known)
            continue;
        for (size_t k = 0; k < message.map->n; k++)
            if (value_is(message.map->pairs[k].key, "reasoning_content"))
                message.map->pairs[k].key = value_literal(name);
    }
}

/* ---- definitions as text ---- */

static struct value message_of(struct value_arena *a, struct value content)
{
    struct value message = value_map(a, 2);
    value_set(a, message, value_literal("role"), value_literal("system"));
    value_set(a, message, value_literal("content"), content);
    return message;
}

/* A copy of the list with a system message in front. */
static struct value with_system(struct value_arena *a, struct value messages, struct span text)
{
    struct value list = value_list(a, messages.list->n + 1);
    value_append(a, list, message_of(a, value_string(a, text, VALUE_FROM_MESSAGE)));
    for (size_t i = 0; i < messages.list->n; i++)
        value_append(a, list, messages.list->items[i]);
    return list;
}

static bool is_system(struct value message)
{
    const struct value *role = value_find(message, span_of("role"));
    return role && (value_is(*role, "system") || value_is(*role, "developer"));
}

/* Appends a text to a system message's content: a string, or a list of parts. */
static bool append_text(struct value_arena *a, struct value message, struct span text)
{
    struct value *content = changeable(value_find(message, span_of("content")));
    struct strbuf joined;
    if (!content || (content->kind != VALUE_STRING && content->kind != VALUE_LIST))
        return false;
    if (content->kind == VALUE_LIST) {
        struct value part = value_map(a, 2);
        value_set(a, part, value_literal("type"), value_literal("text"));
        value_set(a, part, value_literal("text"), value_string(a, text, VALUE_FROM_MESSAGE));
        return value_append(a, *content, part);
    }
    strbuf_init(&joined, 2 * TEXT_MAX);
    strbuf_add(&joined, value_span(*content));
    strbuf_text(&joined, "\n\n");
    strbuf_add(&joined, text);
    bool good = !joined.failed;
    if (good)
        *content =
            value_string(a, (struct span){(const uint8_t *)joined.text, joined.size}, VALUE_FROM_MESSAGE);
    strbuf_release(&joined);
    return good;
}

/* Puts the definitions of the tools into the system text. */
static bool tell_tools(struct value_arena *a, struct value tools, struct value *messages, struct error *err)
{
    struct strbuf text;
    size_t n = tools.list->n;
    struct chat_tool *named = value_alloc(a, n * sizeof(*named));
    for (size_t i = 0; named && i < n; i++) {
        const struct value *function = value_find(tools.list->items[i], span_of("function"));
        const struct value *name = function ? value_find(*function, span_of("name")) : NULL;
        named[i] = (struct chat_tool){.name = name ? value_span(*name) : span_of("")};
    }
    strbuf_init(&text, TEXT_MAX);
    bool good = named && chat_format_instructions(named, n, tools, &text);
    struct span said = {(const uint8_t *)text.text, text.size};
    if (good && messages->list->n > 0 && is_system(messages->list->items[0]))
        good = append_text(a, messages->list->items[0], said);
    else if (good)
        *messages = with_system(a, *messages, said);
    strbuf_release(&text);
    return (good && !value_arena_failed(a)) || no_memory(a, err);
}

bool chat_tools_for_template(struct value_arena *a, const struct chat_format *format,
    const struct template *template, struct value *variables, struct error *err)
{
    struct value *messages = changeable(value_find(*variables, span_of("messages")));
    struct value *tools = changeable(value_find(*variables, span_of("tools")));
    if (!messages || messages->kind != VALUE_LIST)
        return true;
    name_reasoning(messages, chat_format_reasoning_member(format, template));
    if (chat_format_has_tools(format, template) && chat_format_wants_responses(template) &&
        !attach_results(a, messages, err))
        return false;
    if (chat_format_has_tools(format, template))
        return !chat_format_wants_text_arguments(template) || write_all_arguments(a, messages, err);
    *messages = chat_history_as_text(a, *messages);
    if (messages->kind != VALUE_LIST)
        return no_memory(a, err);
    if (!tools || tools->kind != VALUE_LIST || tools->list->n == 0)
        return true;
    if (!tell_tools(a, *tools, messages, err))
        return false;
    *tools = value_null;
    return true;
}
