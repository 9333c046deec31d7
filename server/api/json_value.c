/* json_value.c - copies a JSON tree into values, to a bounded depth, and brings messages into the form that templates
 * are written for. */
#include "berth/server/api/json_value.h"

#include "berth/server/json/body.h"

#include <string.h>

static bool convert(
    struct value_arena *a, const json_t *json, unsigned depth, struct value *out, struct error *err);

static struct value text_of(struct value_arena *a, const char *text, size_t size)
{
    return value_string(a, (struct span){(const uint8_t *)text, size}, VALUE_FROM_MESSAGE);
}

static bool convert_list(
    struct value_arena *a, const json_t *json, unsigned depth, struct value *out, struct error *err)
{
    size_t n = json_array_size(json);
    *out = value_list(a, n);
    for (size_t i = 0; i < n; i++) {
        struct value item;
        if (!convert(a, json_array_get(json, i), depth + 1, &item, err))
            return false;
        value_append(a, *out, item);
    }
    return true;
}

static bool convert_map(
    struct value_arena *a, const json_t *json, unsigned depth, struct value *out, struct error *err)
{
    const char *key;
    json_t *member;
    *out = value_map(a, json_object_size(json));
    /* jansson promises not to change an object that is only gone through. */
    json_object_foreach((json_t *)(uintptr_t)json, key, member)
    {
        struct value item;
        if (!convert(a, member, depth + 1, &item, err))
            return false;
        value_set_new(a, *out, text_of(a, key, strlen(key)), item);
    }
    return true;
}

static bool convert(
    struct value_arena *a, const json_t *json, unsigned depth, struct value *out, struct error *err)
{
    if (depth > VALUE_DEPTH)
        return error_set(err, "the request is nested deeper than %d levels", VALUE_DEPTH);
    switch (json_typeof(json)) {
    case JSON_OBJECT:
        return convert_map(a, json, depth, out, err);
    case JSON_ARRAY:
        return convert_list(a, json, depth, out, err);
    case JSON_STRING:
        *out = text_of(a, json_string_value(json), json_string_length(json));
        return true;
    case JSON_INTEGER:
        *out = value_integer(json_integer_value(json));
        return true;
    case JSON_REAL:
        *out = value_float(json_real_value(json));
        return true;
    case JSON_TRUE:
    case JSON_FALSE:
        *out = value_bool(json_is_true(json));
        return true;
    case JSON_NULL:
        break;
    }
    *out = value_null;
    return true;
}

bool json_to_value(struct value_arena *a, const json_t *json, struct value *out, struct error *err)
{
    if (!convert(a, json, 0, out, err))
        return false;
    return !value_arena_failed(a) || value_arena_explain(a, "the request", err);
}

/* Many templates write '<|' + message.role + '|>'. A role that is one of these words can only make a
 * delimiter that the template's author thought of; any other stays the client's text. */
static void trust_role(struct value message)
{
    static const char *const roles[] = {
        "system", "developer", "user", "assistant", "tool", "function", "ipython", "model"};
    struct value *role = (struct value *)(uintptr_t)value_find(message, span_of("role"));
    for (size_t i = 0; role && i < sizeof(roles) / sizeof(roles[0]); i++)
        if (value_is(*role, roles[i]))
            role->text.origin = VALUE_FROM_TEMPLATE;
}

/* ---- calls in a message ---- */

/* A member that may be changed: the messages were made here, and no one has seen them yet. NULL for none. */
static struct value *member(struct value map, const char *name)
{
    return (struct value *)(uintptr_t)value_find(map, span_of(name));
}

static void leave_out(struct value_map *m, const char *name)
{
    size_t kept = 0;
    for (size_t i = 0; i < m->n; i++)
        if (!value_is(m->pairs[i].key, name))
            m->pairs[kept++] = m->pairs[i];
    m->n = kept;
}

void json_parse_value(struct value_arena *a, struct value *text, bool objects_only)
{
    bool no_memory;
    json_error_t why;
    struct error ignored = {0};
    struct value parsed;
    if (text->kind != VALUE_STRING || http_json_bytes(value_span(*text)) > HTTP_JSON_MAX)
        return;
    json_t *json = json_parse(value_span(*text), JSON_DECODE_ANY | JSON_ALLOW_NUL, &why, &no_memory);
    if (no_memory)
        value_arena_fail(a);
    bool wanted = json && (!objects_only || json_is_object(json));
    if (wanted && convert(a, json, 0, &parsed, &ignored))
        *text = parsed;
    json_decref(json);
}

/* Clients send the arguments of a call as JSON in a string, and templates go through them as a map. */
static void parse_arguments(struct value_arena *a, struct value call)
{
    struct value *arguments = member(call, "arguments");
    if (arguments)
        json_parse_value(a, arguments, false);
}

/* The calls of a message as templates take them; beside calls a content that is null or missing is an empty text. */
static void settle_calls(struct value_arena *a, struct value message)
{
    struct value *calls = member(message, "tool_calls"), *call = member(message, "function_call");
    if (calls && (calls->kind == VALUE_NULL || (calls->kind == VALUE_LIST && calls->list->n == 0)))
        leave_out(message.map, "tool_calls");
    if (call && call->kind == VALUE_NULL)
        leave_out(message.map, "function_call");
    calls = member(message, "tool_calls");
    call = member(message, "function_call");
    for (size_t i = 0; calls && calls->kind == VALUE_LIST && i < calls->list->n; i++) {
        struct value *function = member(calls->list->items[i], "function");
        parse_arguments(a, function ? *function : value_undefined);
    }
    parse_arguments(a, call ? *call : value_undefined);
    const struct value *content = member(message, "content");
    if ((calls || call) && (!content || content->kind == VALUE_NULL))
        value_set(a, message, value_literal("content"), value_literal(""));
}

/* ---- the variables ---- */

static bool set(struct value_arena *a, struct value vars, const char *name, struct value v)
{
    return value_set(a, vars, value_literal(name), v);
}

/* A member as a variable, or `otherwise` where the request has none or null. */
static bool take(struct value_arena *a, const json_t *request, const char *name, json_type type,
    struct value otherwise, struct value vars, struct error *err)
{
    const json_t *member = json_object_get(request, name);
    struct value v = otherwise;
    if (member && !json_is_null(member)) {
        bool truth = type == JSON_TRUE && json_is_boolean(member);
        if (!truth && json_typeof(member) != type)
            return error_set(err, "'%s' must be %s", name,
                type == JSON_ARRAY    ? "a list"
                : type == JSON_STRING ? "a string"
                : type == JSON_OBJECT ? "an object"
                                      : "true or false");
        if (!json_to_value(a, member, &v, err))
            return false;
    }
    if (v.kind != VALUE_UNDEFINED)
        set(a, vars, name, v);
    return true;
}

static bool take_messages(struct value_arena *a, const json_t *request, struct value vars, struct error *err)
{
    struct value none = value_list(a, 0);
    if (!json_object_get(request, "messages"))
        return error_set(err, "'messages' is missing");
    if (!take(a, request, "messages", JSON_ARRAY, none, vars, err))
        return false;
    const struct value *messages = value_find(vars, span_of("messages"));
    for (size_t i = 0; messages && messages->kind == VALUE_LIST && i < messages->list->n; i++) {
        if (messages->list->items[i].kind != VALUE_MAP)
            return error_set(err, "'messages[%zu]' must be an object", i);
        trust_role(messages->list->items[i]);
        settle_calls(a, messages->list->items[i]);
    }
    return true;
}

static bool take_extra(struct value_arena *a, const json_t *request, struct value vars, struct error *err)
{
    const json_t *extra = json_object_get(request, "chat_template_kwargs");
    struct value all;
    if (!extra || json_is_null(extra))
        return true;
    if (!json_is_object(extra))
        return error_set(err, "'chat_template_kwargs' must be an object");
    if (!json_to_value(a, extra, &all, err))
        return false;
    for (size_t i = 0; i < all.map->n; i++)
        value_set(a, vars, all.map->pairs[i].key, all.map->pairs[i].value);
    return true;
}

bool json_chat_variables(struct value_arena *a, const json_t *request, struct value bos, struct value eos,
    struct value *out, struct error *err)
{
    if (!json_is_object(request))
        return error_set(err, "a chat request must be an object");
    struct value vars = value_map(a, 8);
    if (!take_messages(a, request, vars, err) ||
        !take(a, request, "tools", JSON_ARRAY, value_null, vars, err) ||
        !take(a, request, "documents", JSON_ARRAY, value_null, vars, err) ||
        !take(a, request, "add_generation_prompt", JSON_TRUE, value_bool(true), vars, err))
        return false;
    if (bos.kind == VALUE_STRING)
        set(a, vars, "bos_token", bos);
    if (eos.kind == VALUE_STRING)
        set(a, vars, "eos_token", eos);
    if (!take_extra(a, request, vars, err))
        return false;
    *out = vars;
    return !value_arena_failed(a) || value_arena_explain(a, "the request", err);
}
