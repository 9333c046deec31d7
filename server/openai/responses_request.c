/* responses_request.c - the fields of a Responses request, in the words of a chat request, and what the answer repeats.
 *
 * A response has most fields of its request in it. They are made here, once, as the text of members.
 */
#include "responses_private.h"

#include "berth/server/response_store.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* clang-format off */
static const struct dialect_field fields[] = {
    {"model", FIELD_COPIED, NULL, SCHEMA_STRING},
    {"input", FIELD_READ, NULL, SCHEMA_STRING_OR_LIST},
    {"instructions", FIELD_READ, NULL, SCHEMA_STRING},
    {"max_output_tokens", FIELD_COPIED, "max_tokens", "{\"type\":[\"integer\",\"null\"],\"minimum\":1}"},
    {"stream", FIELD_COPIED, NULL, SCHEMA_TRUTH},
    {"tools", FIELD_READ, NULL, SCHEMA_LIST},
    {"tool_choice", FIELD_READ, NULL, "{\"type\":[\"string\",\"object\",\"null\"]}"},
    {"parallel_tool_calls", FIELD_COPIED, NULL, SCHEMA_TRUTH},
    {"stop", FIELD_COPIED, NULL, SCHEMA_STRING_OR_LIST},
    {"text", FIELD_READ, NULL, SCHEMA_OBJECT},
    {"reasoning", FIELD_READ, NULL, SCHEMA_OBJECT},
    {"top_logprobs", FIELD_READ, NULL, "{\"type\":[\"integer\",\"null\"],\"minimum\":0,\"maximum\":20}"},
    {"include", FIELD_READ, NULL, SCHEMA_LIST},
    {"truncation", FIELD_READ, NULL, "{\"enum\":[\"auto\",\"disabled\",null]}"},
    {"metadata", FIELD_READ, NULL, SCHEMA_OBJECT},
    {"previous_response_id", FIELD_READ, NULL, SCHEMA_STRING},
    {"store", FIELD_READ, NULL, SCHEMA_TRUTH},

    {"access_programs", FIELD_IGNORED, NULL, NULL},
    {"background_options", FIELD_IGNORED, NULL, NULL},
    {"client_metadata", FIELD_IGNORED, NULL, NULL},
    {"context_management", FIELD_IGNORED, NULL, NULL},
    {"image", FIELD_IGNORED, NULL, NULL},
    {"max_tool_calls", FIELD_IGNORED, NULL, NULL},
    {"prompt_cache_key", FIELD_IGNORED, NULL, NULL},
    {"prompt_cache_options", FIELD_IGNORED, NULL, NULL},
    {"prompt_cache_retention", FIELD_IGNORED, NULL, NULL},
    {"safety_identifier", FIELD_IGNORED, NULL, NULL},
    {"service_tier", FIELD_IGNORED, NULL, NULL},
    {"stream_options", FIELD_IGNORED, NULL, NULL},
    {"user", FIELD_IGNORED, NULL, NULL},

    {"background", FIELD_REFUSED, ": a response is answered while the client waits", NULL},
    {"conversation", FIELD_REFUSED, ": this server keeps no conversations; send all of it as 'input'", NULL},
    {"prompt", FIELD_REFUSED, ": this server has no prompt templates; use 'instructions' and 'input'", NULL},
    {"moderation", FIELD_REFUSED, NULL, NULL},
    {"messages", FIELD_REFUSED, "; use 'input'", NULL},
    {"max_tokens", FIELD_REFUSED, "; use 'max_output_tokens'", NULL},
    {"max_completion_tokens", FIELD_REFUSED, "; use 'max_output_tokens'", NULL},
    {"response_format", FIELD_REFUSED, "; use 'text.format'", NULL},
    {"reasoning_effort", FIELD_REFUSED, "; use 'reasoning.effort'", NULL},
};
/* clang-format on */

bool responses_field(size_t i, struct route_field *out)
{
    return translate_describe(fields, sizeof(fields) / sizeof(fields[0]), i, out);
}

static bool store(json_t *object, const char *name, json_t *value, struct api_error *c)
{
    return json_object_set_new(object, name, value) == 0 || api_error_no_memory(c);
}

/* The value itself, or null. */
static json_t *or_null(const json_t *value)
{
    return value ? json_incref((json_t *)(uintptr_t)value) : json_null();
}

/* A request while it is read. */
struct responses_reading {
    const json_t *request;
    json_t *chat; /* OpenAI's chat request */
    json_t *echo; /* what the answer repeats */
    json_t *told, *warnings;
};

/* ---- tools ---- */

/* A function, as the answer repeats it. */
static json_t *echoed_tool(const json_t *tool)
{
    return json_pack("{s:s, s:o, s:o, s:o, s:o}", "type", "function", "name",
        or_null(json_object_get(tool, "name")), "description", or_null(json_object_get(tool, "description")),
        "parameters", or_null(json_object_get(tool, "parameters")), "strict",
        or_null(json_object_get(tool, "strict")));
}

/* Agents send tools of types that only OpenAI's servers run, beside functions of their own. */
static bool read_tool(struct responses_reading *r, const json_t *tool, size_t index, json_t *tools,
    json_t *echo, struct api_error *c)
{
    char param[96];
    const json_t *type = json_object_get(tool, "type"), *schema = json_object_get(tool, "parameters");
    snprintf(param, sizeof(param), "tools[%zu]", index);
    if (!json_is_string(type))
        return api_error_bad(c, param, "'%s' must be an object with a 'type'", param);
    if (!translate_is_word(type, "function"))
        return translate_skipped_tool(r->warnings, index, type) || api_error_no_memory(c);
    if (!json_is_string(json_object_get(tool, "name")))
        return api_error_bad(c, param, "'%s.name' must be a string", param);
    if (!api_is_absent(schema) && !json_is_object(schema))
        return api_error_bad(c, param, "'%s.parameters' must be a JSON Schema", param);
    return (translate_tool(tools, json_object_get(tool, "name"), json_object_get(tool, "description"), schema,
                json_object_get(tool, "strict")) &&
               json_array_append_new(echo, echoed_tool(tool)) == 0) ||
           api_error_no_memory(c);
}

static bool read_tools(struct responses_reading *r, struct api_error *c)
{
    const json_t *given = json_object_get(r->request, "tools");
    json_t *tools = json_array(), *echo = json_array();
    if (!store(r->chat, "tools", tools, c) || !store(r->echo, "tools", echo, c))
        return false;
    if (!api_is_absent(given) && !json_is_array(given))
        return api_error_bad(c, "tools", "'tools' must be a list of tools");
    for (size_t i = 0; i < json_array_size(given); i++)
        if (!read_tool(r, json_array_get(given, i), i, tools, echo, c))
            return false;
    return true;
}

/* none, auto, required, a function, or some functions of which the model takes one. */
static bool read_tool_choice(struct responses_reading *r, struct api_error *c)
{
    json_t *choice = json_object_get(r->request, "tool_choice");
    const json_t *type = json_object_get(choice, "type");
    if (!store(r->echo, "tool_choice", api_is_absent(choice) ? json_string("auto") : json_incref(choice), c))
        return false;
    if (api_is_absent(choice) || translate_is_word(choice, "auto"))
        return true;
    if (!json_is_string(choice) && !translate_is_word(type, "function") &&
        !translate_is_word(type, "allowed_tools"))
        return api_error_bad(c, "tool_choice",
            "'tool_choice' must be none, auto, required, or an object of type function or allowed_tools");
    return store(r->chat, "tool_choice", json_incref(choice), c);
}

/* ---- the form of the answer ---- */

/* What the answer repeats of a schema has all members. */
static json_t *echoed_schema(const json_t *format)
{
    const json_t *strict = json_object_get(format, "strict");
    return json_pack("{s:s, s:o, s:o, s:o, s:b}", "type", "json_schema", "name",
        or_null(json_object_get(format, "name")), "description",
        or_null(json_object_get(format, "description")), "schema", or_null(json_object_get(format, "schema")),
        "strict", json_is_true(strict));
}

static bool read_format(struct responses_reading *r, json_t *format, json_t **echo, struct api_error *c)
{
    static const char *const words[] = {"text", "json_object"};
    const json_t *type = json_object_get(format, "type");
    json_t *schema = json_object_get(format, "schema");
    if (api_is_absent(format)) {
        *echo = json_pack("{s:s}", "type", "text");
        return true;
    }
    for (size_t i = 0; i < 2; i++) {
        if (!translate_is_word(type, words[i]))
            continue;
        *echo = json_pack("{s:s}", "type", words[i]);
        return i == 0 || store(r->chat, "response_format", json_pack("{s:s}", "type", words[i]), c);
    }
    if (!translate_is_word(type, "json_schema"))
        return api_error_bad(
            c, "text.format.type", "'text.format.type' must be text, json_object or json_schema");
    if (!json_is_object(schema) || !json_is_string(json_object_get(format, "name")))
        return api_error_bad(c, "text.format", "'text.format' must have a string 'name' and a 'schema'");
    *echo = echoed_schema(format);
    return store(r->chat, "response_format",
        json_pack("{s:s, s:{s:O, s:O, s:b}}", "type", "json_schema", "json_schema", "name",
            json_object_get(format, "name"), "schema", schema, "strict",
            json_is_true(json_object_get(format, "strict"))),
        c);
}

static bool read_text(struct responses_reading *r, struct api_error *c)
{
    const json_t *text = json_object_get(r->request, "text");
    const json_t *verbosity = json_object_get(text, "verbosity");
    json_t *format = NULL;
    if (!api_is_absent(text) && !json_is_object(text))
        return api_error_bad(c, "text", "'text' must be an object");
    if (!read_format(r, json_object_get(text, "format"), &format, c)) {
        json_decref(format);
        return false;
    }
    return store(r->echo, "text",
        json_pack("{s:o, s:o*}", "format", format, "verbosity",
            json_is_string(verbosity) ? or_null(verbosity) : NULL),
        c);
}

/* ---- reasoning ---- */

/* A model's reasoning is its own text. A client that asks for a summary gets that text in the place of the summary. */
static bool read_reasoning(struct responses_reading *r, struct api_error *c)
{
    const json_t *reasoning = json_object_get(r->request, "reasoning");
    const json_t *effort = json_object_get(reasoning, "effort"),
                 *summary = json_object_get(reasoning, "summary");
    if (api_is_absent(summary))
        summary = json_object_get(reasoning, "generate_summary");
    if (!api_is_absent(reasoning) && !json_is_object(reasoning))
        return api_error_bad(c, "reasoning", "'reasoning' must be an object");
    if (!api_is_absent(effort) && !json_is_string(effort))
        return api_error_bad(c, "reasoning.effort", "'reasoning.effort' must be a string");
    if (!api_is_absent(summary) && !json_is_string(summary))
        return api_error_bad(c, "reasoning.summary", "'reasoning.summary' must be a string");
    if (!api_is_absent(effort) && !store(r->chat, "reasoning_effort", or_null(effort), c))
        return false;
    bool summed = !api_is_absent(summary) && !translate_is_word(summary, "none");
    return store(r->told, "summary", json_boolean(summed), c) &&
           store(r->echo, "reasoning",
               json_pack("{s:o, s:o}", "effort", or_null(effort), "summary", or_null(summary)), c);
}

/* ---- log probabilities ---- */

static bool read_logprobs(struct responses_reading *r, struct api_error *c)
{
    const json_t *include = json_object_get(r->request, "include");
    json_t *top = json_object_get(r->request, "top_logprobs");
    bool wanted = json_is_integer(top) && json_integer_value(top) > 0;
    if (!api_is_absent(include) && !json_is_array(include))
        return api_error_bad(c, "include", "'include' must be a list of strings");
    for (size_t i = 0; i < json_array_size(include); i++)
        wanted |= translate_is_word(json_array_get(include, i), "message.output_text.logprobs");
    if (wanted && !store(r->chat, "logprobs", json_true(), c))
        return false;
    if (!api_is_absent(top) && !store(r->chat, "top_logprobs", json_incref(top), c))
        return false;
    return store(r->echo, "top_logprobs", api_is_absent(top) ? json_integer(0) : json_incref(top), c);
}

/* ---- what is only repeated ---- */

static bool check_rest(const struct responses_reading *r, struct api_error *c)
{
    const json_t *truncation = json_object_get(r->request, "truncation");
    const json_t *metadata = json_object_get(r->request, "metadata");
    if (!api_is_absent(truncation) && !translate_is_word(truncation, "auto") &&
        !translate_is_word(truncation, "disabled"))
        return api_error_bad(c, "truncation", "'truncation' must be auto or disabled");
    return api_is_absent(metadata) || json_is_object(metadata) ||
           api_error_bad(c, "metadata", "'metadata' must be an object");
}

/* Members that are as the request has them: null, a number or an empty object where it does not. */
static bool echo_rest(struct responses_reading *r, struct api_error *c)
{
    static const struct {
        const char *name;
        json_type type;
    } rows[] = {
        {"instructions", JSON_NULL},
        {"max_output_tokens", JSON_NULL},
        {"max_tool_calls", JSON_NULL},
        {"safety_identifier", JSON_NULL},
        {"prompt_cache_key", JSON_NULL},
        {"user", JSON_NULL},
        {"metadata", JSON_OBJECT},
        {"parallel_tool_calls", JSON_TRUE},
        {"presence_penalty", JSON_INTEGER},
        {"frequency_penalty", JSON_INTEGER},
    };
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        json_t *given = json_object_get(r->request, rows[i].name);
        json_t *value = !api_is_absent(given)         ? json_incref(given)
                        : rows[i].type == JSON_NULL   ? json_null()
                        : rows[i].type == JSON_OBJECT ? json_object()
                        : rows[i].type == JSON_TRUE   ? json_true()
                                                      : json_integer(0);
        if (!store(r->echo, rows[i].name, value, c))
            return false;
    }
    json_t *fixed =
        json_pack("{s:s, s:b, s:s}", "truncation", "disabled", "background", 0, "service_tier", "default");
    bool good = fixed && json_object_update(r->echo, fixed) == 0;
    json_decref(fixed);
    return good || api_error_no_memory(c);
}

/* Stores the members that are repeated as text: "a":1,"b":2. */
static bool keep_echo(struct responses_reading *r, struct api_error *c)
{
    char *text = json_dumps(r->echo, JSON_COMPACT);
    size_t size = text ? strlen(text) : 0;
    bool good = size > 2 && store(r->told, "echo", json_stringn(text + 1, size - 2), c);
    free(text);
    return good || api_error_no_memory(c);
}

/* The messages of the chat: what the request goes on from, and its own. */
static bool read_messages(
    struct responses_request *m, struct server *s, const json_t *request, struct api_error *c)
{
    json_t *turns = m->previous ? responses_turns(m->previous, &s->request_memory, &m->held, c) : NULL;
    bool good =
        (turns || !m->previous) && responses_translate(request, turns, m->chat, &s->request_memory, c);
    json_decref(turns);
    return good;
}

bool responses_request_read(struct responses_request *m, struct server *s, const struct http_request *q,
    json_t *request, struct api_error *c)
{
    struct responses_reading r = {request, json_object(), json_object(), json_object(), json_array()};
    m->chat = r.chat;
    m->told = r.told;
    bool good = store(r.told, "warnings", r.warnings, c) && r.chat && r.echo &&
                responses_resolve(m, s, q, request, c) &&
                translate_fields(request, fields, sizeof(fields) / sizeof(fields[0]), r.chat, c) &&
                read_tools(&r, c) && read_tool_choice(&r, c) && read_text(&r, c) && read_reasoning(&r, c) &&
                read_logprobs(&r, c) && check_rest(&r, c) && echo_rest(&r, c) &&
                responses_read_kept(m, s, q, request, r.echo, c) && keep_echo(&r, c) &&
                read_messages(m, s, request, c);
    json_decref(r.echo);
    return good || (!c->status && api_error_no_memory(c));
}

void responses_request_release(struct responses_request *m, struct server *s)
{
    json_decref(m->chat);
    json_decref(m->told);
    if (m->previous)
        response_store_drop(s->responses, m->previous);
    byte_budget_give(&s->request_memory, m->held);
}
