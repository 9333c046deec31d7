/* history.c - tools, calls and results as text, for templates that know none.
 *
 * The generic format writes calls as the Hermes models do, which many models have seen. Results come in a message of the
 * user, since such templates refuse other roles, and many want users and assistants to take turns.
 */
#include "format_private.h"

#include <inttypes.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define TEXT_MAX ((size_t)1 << 26)

/* ---- values as JSON ---- */

static void write_float(struct strbuf *out, double d)
{
    char text[40];
    if (!isfinite(d)) {
        strbuf_text(out, "null");
        return;
    }
    for (int digits = 15; digits <= 17; digits++) {
        snprintf(text, sizeof(text), "%.*g", digits, d);
        if (strtod(text, NULL) == d)
            break;
    }
    strbuf_text(out, text);
    if (!strpbrk(text, ".e"))
        strbuf_text(out, ".0");
}

static void write_json(struct strbuf *out, struct value v, unsigned depth);

static void write_list(struct strbuf *out, const struct value_list *l, unsigned depth)
{
    for (size_t i = 0; i < l->n; i++) {
        strbuf_text(out, i > 0 ? ", " : "");
        write_json(out, l->items[i], depth);
    }
}

static void write_map(struct strbuf *out, const struct value_map *m, unsigned depth)
{
    for (size_t i = 0; i < m->n; i++) {
        strbuf_text(out, i > 0 ? ", " : "");
        strbuf_json(out, value_span(m->pairs[i].key));
        strbuf_text(out, ": ");
        write_json(out, m->pairs[i].value, depth);
    }
}

static void write_json(struct strbuf *out, struct value v, unsigned depth)
{
    bool list = v.kind == VALUE_LIST;
    if (v.kind == VALUE_STRING) {
        strbuf_json(out, value_span(v));
    } else if (v.kind == VALUE_BOOL) {
        strbuf_text(out, v.boolean ? "true" : "false");
    } else if (v.kind == VALUE_INTEGER) {
        strbuf_integer(out, v.integer);
    } else if (v.kind == VALUE_FLOAT) {
        write_float(out, v.real);
    } else if ((list || v.kind == VALUE_MAP) && depth < VALUE_DEPTH) {
        strbuf_text(out, list ? "[" : "{");
        if (list)
            write_list(out, v.list, depth + 1);
        else
            write_map(out, v.map, depth + 1);
        strbuf_text(out, list ? "]" : "}");
    } else {
        strbuf_text(out, "null");
    }
}

void chat_write_json(struct strbuf *out, struct value v)
{
    write_json(out, v, 0);
}

/* ---- instructions ---- */

static bool is_offered(const struct chat_tool *tools, size_t n, struct value function)
{
    const struct value *name = value_find(function, span_of("name"));
    for (size_t i = 0; name && name->kind == VALUE_STRING && i < n; i++)
        if (span_compare(tools[i].name, value_span(*name)) == 0)
            return true;
    return false;
}

bool chat_format_instructions(
    const struct chat_tool *tools, size_t n, struct value definitions, struct strbuf *out)
{
    strbuf_text(out, "You can call functions. They are listed here, each in JSON on a line of its own:\n");
    for (size_t i = 0; definitions.kind == VALUE_LIST && i < definitions.list->n; i++) {
        struct value tool = definitions.list->items[i];
        const struct value *function = value_find(tool, span_of("function"));
        if (!is_offered(tools, n, function ? *function : tool))
            continue;
        chat_write_json(out, function ? *function : tool);
        strbuf_text(out, "\n");
    }
    strbuf_text(out,
        "\nTo call a function, answer with its name and its arguments in this form, and with nothing behind it:\n"
        "<tool_call>\n"
        "{\"name\": \"the name\", \"arguments\": {\"an argument\": \"its value\"}}\n"
        "</tool_call>\n"
        "The result comes in the next message. When no function helps, answer in plain text.");
    return !out->failed;
}

/* ---- earlier calls and results ---- */

bool chat_has_role(struct value message, const char *name)
{
    const struct value *role = value_find(message, span_of("role"));
    return role && value_is(*role, name);
}

bool chat_is_result(struct value message)
{
    return chat_has_role(message, "tool") || chat_has_role(message, "function") ||
           chat_has_role(message, "ipython");
}

void chat_add_content(struct strbuf *out, struct value message)
{
    const struct value *content = value_find(message, span_of("content"));
    if (content && content->kind == VALUE_STRING)
        strbuf_add(out, value_span(*content));
    for (size_t i = 0; content && content->kind == VALUE_LIST && i < content->list->n; i++) {
        struct value part = content->list->items[i];
        const struct value *text = part.kind == VALUE_STRING ? &part : value_find(part, span_of("text"));
        if (!text || text->kind != VALUE_STRING)
            continue;
        strbuf_text(out, i > 0 ? "\n" : "");
        strbuf_add(out, value_span(*text));
    }
}

static void add_call(struct strbuf *out, struct value function)
{
    const struct value *name = value_find(function, span_of("name"));
    const struct value *arguments = value_find(function, span_of("arguments"));
    strbuf_text(out, out->size > 0 ? "\n<tool_call>\n{\"name\": " : "<tool_call>\n{\"name\": ");
    strbuf_json(out, name && name->kind == VALUE_STRING ? value_span(*name) : span_of(""));
    strbuf_text(out, ", \"arguments\": ");
    if (arguments && arguments->kind == VALUE_STRING && arguments->text.size > 0)
        strbuf_add(out, value_span(*arguments)); /* JSON that the client kept as text */
    else if (arguments && arguments->kind == VALUE_MAP)
        chat_write_json(out, *arguments);
    else
        strbuf_text(out, "{}");
    strbuf_text(out, "}\n</tool_call>");
}

static void add_result(struct strbuf *out, struct value message)
{
    strbuf_text(out, out->size > 0 ? "\n<tool_response>\n" : "<tool_response>\n");
    chat_add_content(out, message);
    strbuf_text(out, "\n</tool_response>");
}

/* A copy of the message with this role and content, and without its calls. */
static struct value with_text(
    struct value_arena *a, struct value message, const char *role, const struct strbuf *text, unsigned origin)
{
    static const char *const left_out[] = {
        "role", "content", "tool_calls", "function_call", "tool_call_id", "name"};
    struct value copy = value_map(a, 4);
    value_set(a, copy, value_literal("role"), value_literal(role));
    value_set(a, copy, value_literal("content"),
        value_string(a, (struct span){(const uint8_t *)text->text, text->size}, origin));
    for (size_t i = 0; i < message.map->n; i++) {
        bool keep = true;
        for (size_t k = 0; k < sizeof(left_out) / sizeof(left_out[0]); k++)
            keep = keep && !value_is(message.map->pairs[i].key, left_out[k]);
        if (keep)
            value_set(a, copy, message.map->pairs[i].key, message.map->pairs[i].value);
    }
    return copy;
}

static bool has_calls(struct value message)
{
    const struct value *calls = value_find(message, span_of("tool_calls"));
    const struct value *call = value_find(message, span_of("function_call"));
    return (calls && calls->kind == VALUE_LIST && calls->list->n > 0) || (call && call->kind == VALUE_MAP);
}

static struct value answer_as_text(struct value_arena *a, struct value message, struct strbuf *text)
{
    const struct value *calls = value_find(message, span_of("tool_calls"));
    const struct value *call = value_find(message, span_of("function_call"));
    chat_add_content(text, message);
    for (size_t i = 0; calls && calls->kind == VALUE_LIST && i < calls->list->n; i++) {
        const struct value *function = value_find(calls->list->items[i], span_of("function"));
        add_call(text, function ? *function : calls->list->items[i]);
    }
    if (call && call->kind == VALUE_MAP)
        add_call(text, *call);
    return with_text(a, message, "assistant", text, VALUE_FROM_MODEL);
}

/* Results from message `*i` on, and the user's message behind them. `*i` is the last one that was taken. */
static struct value results_as_text(
    struct value_arena *a, const struct value_list *messages, size_t *i, struct strbuf *text)
{
    struct value last = messages->items[*i];
    add_result(text, last);
    while (*i + 1 < messages->n && chat_is_result(messages->items[*i + 1]))
        add_result(text, last = messages->items[++*i]);
    if (*i + 1 < messages->n && chat_has_role(messages->items[*i + 1], "user")) {
        strbuf_text(text, "\n");
        chat_add_content(text, last = messages->items[++*i]);
    }
    return with_text(a, last, "user", text, VALUE_FROM_MESSAGE);
}

struct value chat_history_as_text(struct value_arena *a, struct value messages)
{
    struct strbuf text;
    if (messages.kind != VALUE_LIST)
        return messages;
    struct value list = value_list(a, messages.list->n);
    strbuf_init(&text, TEXT_MAX);
    for (size_t i = 0; i < messages.list->n; i++) {
        struct value message = messages.list->items[i];
        strbuf_cut(&text, 0);
        if (message.kind == VALUE_MAP && has_calls(message))
            message = answer_as_text(a, message, &text);
        else if (message.kind == VALUE_MAP && chat_is_result(message))
            message = results_as_text(a, messages.list, &i, &text);
        if (text.failed)
            value_arena_fail(a);
        value_append(a, list, message);
    }
    strbuf_release(&text);
    return value_arena_failed(a) ? value_undefined : list;
}
