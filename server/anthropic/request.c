/* request.c - the fields of Anthropic's requests, in OpenAI's words. */
#include "anthropic_private.h"

#include <stdio.h>
#include <string.h>

/* clang-format off */
static const struct dialect_field fields[] = {
    {"model", FIELD_COPIED, NULL, SCHEMA_STRING},
    {"max_tokens", FIELD_COPIED, NULL, "{\"type\":\"integer\",\"minimum\":1}"},
    {"messages", FIELD_READ, NULL, "{\"type\":\"array\",\"minItems\":1,\"items\":{\"type\":\"object\",\"required\":[\"role\",\"content\"],\"properties\":{"
        "\"role\":{\"enum\":[\"user\",\"assistant\",\"system\"]},\"content\":{\"type\":[\"string\",\"array\"],\"items\":{\"type\":\"object\"}}}}}"},
    {"system", FIELD_READ, NULL, SCHEMA_STRING_OR_LIST},
    {"stop_sequences", FIELD_COPIED, "stop", SCHEMA_LIST},
    {"stream", FIELD_COPIED, NULL, SCHEMA_TRUTH},
    {"tools", FIELD_READ, NULL, SCHEMA_LIST},
    {"tool_choice", FIELD_READ, NULL, SCHEMA_OBJECT},
    {"thinking", FIELD_READ, NULL, SCHEMA_OBJECT},
    {"output_config", FIELD_READ, NULL, SCHEMA_OBJECT},
    {"output_format", FIELD_READ, NULL, SCHEMA_OBJECT},

    {"anthropic_beta", FIELD_IGNORED, NULL, NULL},
    {"anthropic_version", FIELD_IGNORED, NULL, NULL},
    {"betas", FIELD_IGNORED, NULL, NULL},
    {"cache_control", FIELD_IGNORED, NULL, NULL},
    {"context_management", FIELD_IGNORED, NULL, NULL},
    {"diagnostics", FIELD_IGNORED, NULL, NULL},
    {"inference_geo", FIELD_IGNORED, NULL, NULL},
    {"metadata", FIELD_IGNORED, NULL, NULL},
    {"service_tier", FIELD_IGNORED, NULL, NULL},
    {"speed", FIELD_IGNORED, NULL, NULL},
    {"user_profile_id", FIELD_IGNORED, NULL, NULL},
    {"workspace_id", FIELD_IGNORED, NULL, NULL},

    {"container", FIELD_REFUSED, ": this server runs no code", NULL},
    {"mcp_servers", FIELD_REFUSED, ": this server calls no other", NULL},
    {"prompt", FIELD_REFUSED, "; use 'messages'", NULL},
    {"max_tokens_to_sample", FIELD_REFUSED, "; use 'max_tokens'", NULL},
    {"max_completion_tokens", FIELD_REFUSED, "; use 'max_tokens'", NULL},
    {"stop", FIELD_REFUSED, "; use 'stop_sequences'", NULL},
    {"response_format", FIELD_REFUSED, "; use 'output_config.format'", NULL},
    {"reasoning_effort", FIELD_REFUSED, "; use 'output_config.effort'", NULL},
};
/* clang-format on */

bool messages_count_field(size_t i, struct route_field *out)
{
    bool there = translate_describe(fields, sizeof(fields) / sizeof(fields[0]), i, out);
    if (there)
        out->required = strcmp(out->name, "messages") == 0;
    return there;
}

bool messages_field(size_t i, struct route_field *out)
{
    bool there = messages_count_field(i, out);
    if (there && strcmp(out->name, "max_tokens") == 0)
        out->required = true;
    return there;
}

static bool store(json_t *chat, const char *name, json_t *value, struct api_error *c)
{
    return json_object_set_new(chat, name, value) == 0 || api_error_no_memory(c);
}

/* ---- tools ---- */

static bool read_tool(const json_t *tool, size_t index, json_t *tools, json_t *warnings, struct api_error *c)
{
    char param[96];
    const json_t *type = json_object_get(tool, "type"), *schema = json_object_get(tool, "input_schema");
    snprintf(param, sizeof(param), "tools[%zu]", index);
    if (!json_is_object(tool) || (!api_is_absent(type) && !json_is_string(type)))
        return api_error_bad(c, param, "'%s' must be an object that describes a tool", param);
    if (!api_is_absent(type) && !translate_is_word(type, "custom"))
        return translate_skipped_tool(warnings, index, type) || api_error_no_memory(c);
    if (!json_is_string(json_object_get(tool, "name")))
        return api_error_bad(c, param, "'%s.name' must be a string", param);
    if (!json_is_object(schema))
        return api_error_bad(c, param, "'%s.input_schema' must be a JSON Schema", param);
    return translate_tool(tools, json_object_get(tool, "name"), json_object_get(tool, "description"), schema,
               json_object_get(tool, "strict")) ||
           api_error_no_memory(c);
}

static bool read_tools(const json_t *request, json_t *chat, json_t *warnings, struct api_error *c)
{
    const json_t *given = json_object_get(request, "tools");
    if (api_is_absent(given))
        return true;
    if (!json_is_array(given))
        return api_error_bad(c, "tools", "'tools' must be a list of tools");
    json_t *tools = json_array();
    if (!store(chat, "tools", tools, c))
        return false;
    for (size_t i = 0; i < json_array_size(given); i++)
        if (!read_tool(json_array_get(given, i), i, tools, warnings, c))
            return false;
    return true;
}

/* auto, any, tool or none. */
static bool read_tool_choice(const json_t *request, json_t *chat, struct api_error *c)
{
    const json_t *choice = json_object_get(request, "tool_choice"), *type = json_object_get(choice, "type");
    bool tools = json_array_size(json_object_get(chat, "tools")) > 0;
    json_t *name = json_object_get(choice, "name");
    if (api_is_absent(choice))
        return true;
    if (json_is_true(json_object_get(choice, "disable_parallel_tool_use")) &&
        !store(chat, "parallel_tool_calls", json_false(), c))
        return false;
    if (translate_is_word(type, "auto"))
        return true;
    if (translate_is_word(type, "none"))
        return store(chat, "tool_choice", json_string("none"), c);
    if (!translate_is_word(type, "any") && !translate_is_word(type, "tool"))
        return api_error_bad(c, "tool_choice", "'tool_choice.type' must be auto, any, tool or none");
    if (!tools)
        return api_error_bad(c, "tool_choice", "'tool_choice' needs a tool in 'tools' that the client runs");
    if (translate_is_word(type, "any"))
        return store(chat, "tool_choice", json_string("required"), c);
    if (!json_is_string(name))
        return api_error_bad(c, "tool_choice", "'tool_choice.name' must be a string");
    return store(
        chat, "tool_choice", json_pack("{s:s, s:{s:O}}", "type", "function", "function", "name", name), c);
}

/* ---- thinking ---- */

static bool read_thinking(const json_t *request, json_t *chat, json_t *told, struct api_error *c)
{
    const json_t *thinking = json_object_get(request, "thinking"), *type = json_object_get(thinking, "type");
    json_t *budget = json_object_get(thinking, "budget_tokens");
    if (api_is_absent(thinking))
        return true;
    if (translate_is_word(type, "disabled"))
        return store(chat, "enable_thinking", json_false(), c);
    bool enabled = translate_is_word(type, "enabled");
    if (!enabled && !translate_is_word(type, "adaptive") && !translate_is_word(type, "between_tools"))
        return api_error_bad(c, "thinking", "'thinking.type' must be enabled, adaptive or disabled");
    if (translate_is_word(json_object_get(thinking, "display"), "omitted") &&
        !store(told, "omit", json_true(), c))
        return false;
    if (enabled && !api_is_absent(budget)) {
        if (!json_is_integer(budget) || json_integer_value(budget) < 1)
            return api_error_bad(
                c, "thinking.budget_tokens", "'thinking.budget_tokens' must be an integer of at least 1");
        if (!store(chat, "reasoning_budget", json_incref(budget), c))
            return false;
    }
    return store(chat, "enable_thinking", json_true(), c);
}

/* ---- the form of the answer ---- */

/* {"type": "json_schema", "schema": …}. */
static bool read_format(const json_t *format, const char *param, json_t *chat, struct api_error *c)
{
    json_t *schema = json_object_get(format, "schema");
    if (api_is_absent(format))
        return true;
    if (!translate_is_word(json_object_get(format, "type"), "json_schema") || !json_is_object(schema))
        return api_error_bad(c, param, "'%s' must have the type json_schema and a 'schema'", param);
    return store(chat, "response_format",
        json_pack("{s:s, s:{s:s, s:O, s:b}}", "type", "json_schema", "json_schema", "name", "answer",
            "schema", schema, "strict", 1),
        c);
}

/* The efforts above high have no name in OpenAI's words that templates know. */
static bool read_effort(const json_t *effort, json_t *chat, struct api_error *c)
{
    static const char *const words[][2] = {
        {"low", "low"}, {"medium", "medium"}, {"high", "high"}, {"xhigh", "high"}, {"max", "high"}};
    if (api_is_absent(effort))
        return true;
    for (size_t i = 0; i < sizeof(words) / sizeof(words[0]); i++)
        if (translate_is_word(effort, words[i][0]))
            return store(chat, "reasoning_effort", json_string(words[i][1]), c);
    return api_error_bad(
        c, "output_config.effort", "'output_config.effort' must be low, medium, high, xhigh or max");
}

static bool read_output(const json_t *request, json_t *chat, struct api_error *c)
{
    const json_t *config = json_object_get(request, "output_config");
    if (!api_is_absent(config) && !json_is_object(config))
        return api_error_bad(c, "output_config", "'output_config' must be an object");
    return read_format(json_object_get(request, "output_format"), "output_format", chat, c) &&
           read_format(json_object_get(config, "format"), "output_config.format", chat, c) &&
           read_effort(json_object_get(config, "effort"), chat, c);
}

/* ---- a whole request ---- */

bool messages_request_read(struct messages_request *m, const json_t *request, bool counts,
    struct byte_budget *memory, struct api_error *c)
{
    json_t *warnings = json_array();
    m->chat = json_object();
    m->told = json_pack("{s:o}", "warnings", warnings);
    if (!m->chat || !m->told)
        return api_error_no_memory(c);
    if (!counts && api_is_absent(json_object_get(request, "max_tokens")))
        return api_error_bad(c, "max_tokens", "'max_tokens' is missing");
    return translate_fields(request, fields, sizeof(fields) / sizeof(fields[0]), m->chat, c) &&
           read_tools(request, m->chat, warnings, c) && read_tool_choice(request, m->chat, c) &&
           read_thinking(request, m->chat, m->told, c) && read_output(request, m->chat, c) &&
           messages_translate(request, m->chat, memory, c);
}

void messages_request_release(struct messages_request *m)
{
    json_decref(m->chat);
    json_decref(m->told);
}
