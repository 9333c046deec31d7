/* chat_messages.c - checks the messages and tools of a chat request, field by field, before anything runs. */
#include "chat_private.h"

#include <stdio.h>
#include <string.h>

static const char *const roles[] = {
    "system", "developer", "user", "assistant", "tool", "function", "ipython", "model"};

/* ---- the messages ---- */

static bool check_parts(const json_t *parts, size_t index, struct api_error *c)
{
    char param[96];
    size_t size = 0;
    for (size_t i = 0; i < json_array_size(parts); i++) {
        const json_t *part = json_array_get(parts, i), *text = json_object_get(part, "text");
        const json_t *type = json_object_get(part, "type");
        snprintf(param, sizeof(param), "messages[%zu].content[%zu]", index, i);
        if (!value_is_word(type, "text"))
            return api_error_status(c, 400, json_is_string(type) ? "unsupported_content" : NULL, param,
                "'%s' must be a part of type 'text': this server understands no other", param);
        if (!json_is_string(text))
            return api_error_bad(c, param, "'%s.text' must be a string", param);
        size += json_string_length(text) + 1;
    }
    return size <= TOKENIZER_TEXT_MAX ||
           api_error_bad(c, "messages", "'messages[%zu].content' is too long", index);
}

static bool check_role(const json_t *message, size_t index, struct api_error *c)
{
    char param[96];
    const json_t *role = json_object_get(message, "role");
    snprintf(param, sizeof(param), "messages[%zu].role", index);
    for (size_t i = 0; i < sizeof(roles) / sizeof(roles[0]); i++)
        if (value_is_word(role, roles[i]))
            return true;
    return api_error_bad(
        c, param, "'%s' must be one of system, developer, user, assistant, tool and function", param);
}

static bool has_calls(const json_t *message)
{
    return json_array_size(json_object_get(message, "tool_calls")) > 0 ||
           json_is_object(json_object_get(message, "function_call"));
}

/* A content is a string or a list of parts. It may be missing where the assistant called a tool instead. */
static bool check_content(const json_t *message, size_t index, struct api_error *c)
{
    char param[96];
    const json_t *content = json_object_get(message, "content");
    if (json_is_string(content))
        return true;
    if (json_is_array(content))
        return check_parts(content, index, c);
    if ((!content || json_is_null(content)) && has_calls(message))
        return true;
    snprintf(param, sizeof(param), "messages[%zu].content", index);
    return api_error_bad(c, param, "'%s' must be a string or a list of parts", param);
}

bool chat_messages_check(const json_t *request, struct api_error *c)
{
    const json_t *messages = json_object_get(request, "messages");
    if (!json_is_array(messages) || json_array_size(messages) == 0)
        return api_error_bad(c, "messages", "'messages' must be a list with at least one message");
    for (size_t i = 0; i < json_array_size(messages); i++) {
        char param[96];
        const json_t *message = json_array_get(messages, i);
        snprintf(param, sizeof(param), "messages[%zu]", i);
        if (!json_is_object(message))
            return api_error_bad(c, param, "'%s' must be an object", param);
        if (!check_role(message, i, c) || !check_content(message, i, c))
            return false;
    }
    return true;
}

/* ---- tools ---- */

static bool check_function(const json_t *function, const char *param, struct api_error *c)
{
    const json_t *name = json_object_get(function, "name");
    if (!json_is_object(function) || !json_is_string(name))
        return api_error_bad(c, param, "'%s' must be an object with a string 'name'", param);
    const json_t *parameters = json_object_get(function, "parameters");
    if (!api_is_absent(parameters) && !json_is_object(parameters) && !json_is_boolean(parameters))
        return api_error_bad(c, param, "'%s.parameters' must be a JSON Schema", param);
    return chat_tool_is_named(api_text(name)) ||
           api_error_bad(c, param, "'%s.name' must have " CHAT_NAME_RULE, param);
}

static bool check_tools(const json_t *tools, struct api_error *c)
{
    if (!json_is_array(tools))
        return api_error_bad(c, "tools", "'tools' must be a list of tools");
    for (size_t i = 0; i < json_array_size(tools); i++) {
        char param[96];
        const json_t *tool = json_array_get(tools, i);
        snprintf(param, sizeof(param), "tools[%zu].type", i);
        if (!value_is_word(json_object_get(tool, "type"), "function"))
            return api_error_bad(c, param, "'%s' must be 'function'", param);
        snprintf(param, sizeof(param), "tools[%zu].function", i);
        if (!check_function(json_object_get(tool, "function"), param, c))
            return false;
    }
    return true;
}

/* `functions` is what `tools` was called before. */
static bool tools_of_functions(json_t *request, const json_t *functions, struct api_error *c)
{
    json_t *tools = json_array();
    if (!json_is_array(functions)) {
        json_decref(tools);
        return api_error_bad(c, "functions", "'functions' must be a list of functions");
    }
    for (size_t i = 0; i < json_array_size(functions); i++) {
        char param[96];
        json_t *function = json_array_get(functions, i);
        snprintf(param, sizeof(param), "functions[%zu]", i);
        if (!check_function(function, param, c)) {
            json_decref(tools);
            return false;
        }
        json_array_append_new(tools, json_pack("{s:s, s:O}", "type", "function", "function", function));
    }
    return json_object_set_new(request, "tools", tools) == 0 || api_error_no_memory(c);
}

static bool is_none(const json_t *list)
{
    return !list || json_is_null(list) || (json_is_array(list) && json_array_size(list) == 0);
}

/* Leaves in `tools` those that the template is to see. An empty list is left out: many templates would write of tools
 * all the same. */
bool chat_tools_settle(json_t *request, struct api_error *c)
{
    const json_t *tools = json_object_get(request, "tools"),
                 *functions = json_object_get(request, "functions");
    if (!is_none(tools) && !check_tools(tools, c))
        return false;
    if (is_none(tools) && !is_none(functions) && !tools_of_functions(request, functions, c))
        return false;
    bool refused =
        value_is_word(json_object_get(request, is_none(tools) ? "function_call" : "tool_choice"), "none");
    if (refused || is_none(json_object_get(request, "tools")))
        json_object_del(request, "tools");
    return true;
}
