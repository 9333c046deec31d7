/* docs.c - /openapi.json and the page /docs, both made from the tables of routes. */
#include "fastapi_private.h"

#include "berth/base/strbuf.h"
#include "berth/server/http/http.h"
#include "berth/server/json/body.h"
#include "berth/server/server.h"

#include <stdio.h>
#include <string.h>

/* Components of the document, as JSON. A route's row names those of its answers. */
struct schema {
    const char *name, *json;
};

/* clang-format off */
#define STRING_OR_NULL "{\"type\":[\"string\",\"null\"]}"
#define INTEGER_OR_NULL "{\"type\":[\"integer\",\"null\"]}"
#define BOOLEAN_OR_NULL "{\"type\":[\"boolean\",\"null\"]}"
#define PROGRESS "{\"type\":\"object\",\"properties\":{\"done\":{\"type\":\"integer\"},\"total\":{\"type\":\"integer\"}}}"

#define COMPLETION(object, content) \
    "{\"type\":\"object\",\"required\":[\"id\",\"object\",\"created\",\"model\",\"choices\"],\"properties\":{" \
    "\"id\":{\"type\":\"string\"},\"object\":{\"const\":\"" object "\"},\"created\":{\"type\":\"integer\"}," \
    "\"model\":{\"type\":\"string\"},\"choices\":{\"type\":\"array\",\"items\":{\"type\":\"object\",\"properties\":{" \
    "\"index\":{\"type\":\"integer\"}," content ",\"finish_reason\":{\"enum\":[\"stop\",\"length\",\"tool_calls\"]}}}}," \
    "\"usage\":{\"$ref\":\"#/components/schemas/Usage\"}}}"

static const struct schema schemas[] = {
    {"Any", "{\"type\":\"object\"}"},
    {"List", "{\"type\":\"array\",\"items\":{\"type\":\"object\"}}"},
    {"Detail", "{\"type\":\"object\",\"required\":[\"detail\"],\"properties\":{\"detail\":{\"type\":\"string\"}}}"},
    {"Error", "{\"type\":\"object\",\"required\":[\"error\"],\"properties\":{\"error\":{\"type\":\"string\"}}}"},
    {"ChatMessage", "{\"type\":\"object\",\"required\":[\"role\",\"content\"],\"properties\":{\"role\":{\"enum\":[\"system\","
        "\"developer\",\"user\",\"assistant\",\"tool\",\"function\"]},\"content\":{\"anyOf\":[{\"type\":\"string\"},"
        "{\"type\":\"array\",\"items\":{\"type\":\"object\",\"required\":[\"type\",\"text\"],\"properties\":{\"type\":"
        "{\"const\":\"text\"},\"text\":{\"type\":\"string\"}}}}]}}}"},
    {"OllamaMessage", "{\"type\":\"object\",\"required\":[\"role\"],\"properties\":{\"role\":{\"enum\":[\"system\",\"user\","
        "\"assistant\",\"tool\"]},\"content\":" STRING_OR_NULL ",\"thinking\":" STRING_OR_NULL ",\"tool_calls\":{\"type\":"
        "\"array\"},\"tool_name\":" STRING_OR_NULL "}}"},
    {"Message", "{\"type\":\"object\",\"required\":[\"message\"],\"properties\":{\"message\":{\"type\":\"string\"}}}"},
    {"Health", "{\"type\":\"object\",\"required\":[\"status\"],\"properties\":{\"status\":{\"type\":\"string\"}}}"},
    {"Readiness", "{\"type\":\"object\",\"required\":[\"status\"],\"properties\":{\"status\":{\"type\":\"string\"},"
        "\"reason\":{\"type\":\"string\"},\"models\":" PROGRESS "}}"},
    {"ServerLive", "{\"type\":\"object\",\"required\":[\"live\"],\"properties\":{\"live\":{\"type\":\"boolean\"}}}"},
    {"ServerReady", "{\"type\":\"object\",\"required\":[\"ready\"],\"properties\":{\"ready\":{\"type\":\"boolean\"},"
        "\"status\":{\"type\":\"string\"},\"reason\":{\"type\":\"string\"},\"models\":" PROGRESS "}}"},
    {"ModelDetails", "{\"type\":\"object\",\"required\":[\"state\",\"version\",\"path\"],\"properties\":{"
        "\"state\":{\"type\":\"string\",\"enum\":[\"loading\",\"mapped\",\"failed\"]},\"reason\":" STRING_OR_NULL ","
        "\"version\":{\"type\":\"string\"},\"path\":{\"type\":\"string\"},\"kind\":" STRING_OR_NULL ","
        "\"format\":" STRING_OR_NULL ",\"name\":" STRING_OR_NULL ",\"architecture\":" STRING_OR_NULL ","
        "\"quantization\":" STRING_OR_NULL ",\"parameters\":" INTEGER_OR_NULL ",\"context\":" INTEGER_OR_NULL ","
        "\"files\":{\"type\":\"integer\"},\"bytes_mapped\":{\"type\":\"integer\"},"
        "\"bytes_resident\":{\"type\":\"integer\"},\"load_seconds\":{\"type\":[\"number\",\"null\"]},"
        "\"generates\":" BOOLEAN_OR_NULL ",\"chats\":" BOOLEAN_OR_NULL ",\"max_context\":" INTEGER_OR_NULL ","
        "\"kv_type\":" STRING_OR_NULL ",\"kv_bytes_per_token\":" INTEGER_OR_NULL ","
        "\"lacks\":" STRING_OR_NULL ",\"aliases\":{\"type\":\"array\",\"items\":{\"type\":\"string\"}}}}"},
    {"Model", "{\"type\":\"object\",\"required\":[\"id\",\"object\",\"created\",\"owned_by\",\"berth\"],\"properties\":{"
        "\"id\":{\"type\":\"string\"},\"object\":{\"const\":\"model\"},\"created\":{\"type\":\"integer\"},"
        "\"owned_by\":{\"type\":\"string\"},\"berth\":{\"$ref\":\"#/components/schemas/ModelDetails\"}}}"},
    {"ModelList", "{\"type\":\"object\",\"required\":[\"object\",\"data\"],\"properties\":{\"object\":{\"const\":\"list\"},"
        "\"data\":{\"type\":\"array\",\"items\":{\"$ref\":\"#/components/schemas/Model\"}}}}"},
    {"Usage", "{\"type\":\"object\",\"properties\":{\"prompt_tokens\":{\"type\":\"integer\"},"
        "\"completion_tokens\":{\"type\":\"integer\"},\"total_tokens\":{\"type\":\"integer\"}}}"},
    {"ChatCompletion", COMPLETION("chat.completion",
        "\"message\":{\"type\":\"object\",\"properties\":{\"role\":{\"const\":\"assistant\"},"
        "\"content\":" STRING_OR_NULL ",\"reasoning_content\":" STRING_OR_NULL ",\"tool_calls\":{\"type\":\"array\"}}}")},
    {"Completion", COMPLETION("text_completion", "\"text\":{\"type\":\"string\"}")},
    {"EmbeddingList", "{\"type\":\"object\",\"properties\":{\"object\":{\"const\":\"list\"},\"data\":{\"type\":\"array\",\"items\":"
        "{\"properties\":{\"index\":{\"type\":\"integer\"},\"embedding\":{\"type\":[\"array\",\"string\"]}}}},"
        "\"model\":{\"type\":\"string\"},\"usage\":{\"$ref\":\"#/components/schemas/Usage\"}}}"},
    {"Tokens", "{\"type\":\"object\",\"required\":[\"tokens\",\"count\"],\"properties\":{\"model\":{\"type\":\"string\"},"
        "\"count\":{\"type\":\"integer\"},\"tokens\":{\"type\":\"array\",\"items\":{\"type\":[\"integer\",\"object\"]}}}}"},
    {"Text", "{\"type\":\"object\",\"required\":[\"text\"],\"properties\":{\"model\":{\"type\":\"string\"},"
        "\"text\":{\"type\":\"string\"}}}"},
    {"LlamaCppError", "{\"type\":\"object\",\"required\":[\"error\"],\"properties\":{\"error\":{\"type\":\"object\","
        "\"required\":[\"code\",\"message\",\"type\"],\"properties\":{\"code\":{\"type\":\"integer\"},"
        "\"message\":{\"type\":\"string\"},\"type\":{\"type\":\"string\"},\"param\":" STRING_OR_NULL "}}}}"},
    {"OpenAIError", "{\"type\":\"object\",\"required\":[\"error\"],\"properties\":{\"error\":{\"type\":\"object\","
        "\"required\":[\"message\",\"type\",\"param\",\"code\"],\"properties\":{\"message\":{\"type\":\"string\"},"
        "\"type\":{\"type\":\"string\"},\"param\":" STRING_OR_NULL ",\"code\":" STRING_OR_NULL "}}}}"},
    {"AnthropicMessage", "{\"type\":\"object\",\"required\":[\"id\",\"type\",\"role\",\"model\",\"content\",\"stop_reason\","
        "\"usage\"],\"properties\":{\"id\":{\"type\":\"string\"},\"type\":{\"const\":\"message\"},\"model\":{\"type\":"
        "\"string\"},\"content\":{\"type\":\"array\",\"items\":{\"type\":\"object\"}},\"stop_reason\":{\"enum\":[\"end_turn\","
        "\"max_tokens\",\"stop_sequence\",\"tool_use\"]},\"usage\":{\"type\":\"object\"}}}"},
    {"AnthropicError", "{\"type\":\"object\",\"required\":[\"type\",\"error\"],\"properties\":{\"type\":{\"const\":\"error\"},"
        "\"error\":{\"type\":\"object\",\"required\":[\"type\",\"message\"],\"properties\":{\"type\":{\"type\":\"string\"},"
        "\"message\":{\"type\":\"string\"}}},\"request_id\":" STRING_OR_NULL "}}"},
    {"Response", "{\"type\":\"object\",\"required\":[\"id\",\"object\",\"status\",\"output\"],\"properties\":{\"id\":"
        "{\"type\":\"string\"},\"object\":{\"const\":\"response\"},\"status\":{\"enum\":[\"completed\",\"incomplete\"]},"
        "\"output\":{\"type\":\"array\",\"items\":{\"type\":\"object\"}},\"usage\":{\"type\":[\"object\",\"null\"]}}}"},
    {"InputTokens", "{\"type\":\"object\",\"required\":[\"input_tokens\"],\"properties\":{\"input_tokens\":{\"type\":"
        "\"integer\"}}}"},
};
/* clang-format on */

#define COUNT_OF(array) (sizeof(array) / sizeof((array)[0]))

static json_t *describe_answer(const struct route_answer *a)
{
    json_t *schema = a->schema
                         ? json_pack("{s:o}", "$ref", json_sprintf("#/components/schemas/%s", a->schema))
                         : json_pack("{s:s}", "type", "string");
    return json_pack("{s:s, s:{s:{s:o}}}", "description", a->what, "content", a->media, "schema", schema);
}

/* "get /v1/models/{id}" becomes "get_v1_models_id". */
static json_t *operation_id(const struct route *route)
{
    char id[128];
    size_t used = 0;
    for (const char *part[] = {route->method, route->path, NULL}, **p = part; *p; p++)
        for (const char *c = *p; *c && used + 2 < sizeof(id); c++) {
            bool letter = (*c >= 'a' && *c <= 'z') || (*c >= '0' && *c <= '9') || (*c >= 'A' && *c <= 'Z');
            char lower = *c >= 'A' && *c <= 'Z' ? (char)(*c + 32) : *c;
            if (letter)
                id[used++] = lower;
            else if (used && id[used - 1] != '_')
                id[used++] = '_';
        }
    while (used && id[used - 1] == '_')
        used--;
    return json_stringn(id, used);
}

/* The names in the pattern. */
static json_t *describe_parameters(const char *pattern)
{
    json_t *all = json_array();
    for (const char *at = strchr(pattern, '{'); at; at = strchr(at + 1, '{'))
        json_array_append_new(
            all, json_pack("{s:s%, s:s, s:b, s:{s:s}}", "name", at + 1, strcspn(at + 1, "}"), "in", "path",
                     "required", 1, "schema", "type", "string"));
    return all;
}

/* What a body's members are. Names that are ignored or refused are told beside the schema: they are no part of what a
 * client should send. */
static json_t *describe_fields(const struct route *route)
{
    struct route_field f;
    json_t *taken = json_object(), *required = json_array(), *one_of = json_array();
    json_t *ignored = json_array(), *refused = json_object(), *seen = json_object();
    for (size_t i = 0; route->field(i, &f); i++) {
        if (json_object_get(seen, f.name))
            continue;
        json_object_set_new(seen, f.name, json_true());
        if (f.use == ROUTE_FIELD_TAKEN)
            json_object_set_new(taken, f.name, json_loads(f.schema, 0, NULL));
        else if (f.use == ROUTE_FIELD_IGNORED)
            json_array_append_new(ignored, json_string(f.name));
        else
            json_object_set_new(refused, f.name, json_string(f.schema));
        if (f.required)
            json_array_append_new(required, json_string(f.name));
        if (f.one_of)
            json_array_append_new(one_of, json_pack("{s:[s]}", "required", f.name));
    }
    json_t *schema = json_pack("{s:s, s:o, s:o, s:o, s:o}", "type", "object", "required", required,
        "properties", taken, "x-ignored", ignored, "x-refused", refused);
    if (json_array_size(one_of) > 0)
        json_object_set(schema, "anyOf", one_of);
    json_decref(one_of);
    json_decref(seen);
    return schema;
}

static json_t *describe_body(const struct route *route)
{
    json_t *schema =
        route->field ? describe_fields(route) : json_pack("{s:s}", "description", "It is not looked at");
    return json_pack("{s:b, s:{s:{s:o}}}", "required", route->field != NULL, "content", "application/json",
        "schema", schema);
}

/* Statuses that the server itself gives, and to which routes. */
enum { ALL = 0, TAKES = 1, KEYED = 2, SLOW = 4 };

static const struct {
    unsigned status, to;
    const char *what;
} common[] = {
    {400, ALL, "The request is not understood, or something in it cannot be honoured"},
    {401, KEYED, "The server has API keys, and the request shows none of them"},
    {408, TAKES, "The body took too long"},
    {413, TAKES, "The body is too large"},
    {415, TAKES, "The body is compressed"},
    {403, ALL, "The Host or Origin header names another server"},
    {414, ALL, "The path is too long"},
    {429, ALL, "Too many requests wait, or too many connections are open"},
    {431, ALL, "The headers are too large"},
    {500, SLOW, "The model failed"},
    {503, ALL, "The server has no room for the request, is loading, or stops"},
    {504, SLOW, "The request took too long"},
};

static void add_common(json_t *responses, const struct route *route, const struct dialect *d)
{
    unsigned has =
        (route->body_max > 0 ? TAKES : 0u) | (d->needs_key ? KEYED : 0u) | (route->slow ? SLOW : 0u);
    for (size_t i = 0; i < COUNT_OF(common) && !route->probe; i++) {
        char status[16];
        struct route_answer a = {common[i].status, common[i].what, "application/json", d->error};
        snprintf(status, sizeof(status), "%u", common[i].status);
        if ((common[i].to & has) == common[i].to && !json_object_get(responses, status))
            json_object_set_new(responses, status, describe_answer(&a));
    }
}

static json_t *describe_route(const struct route *route, const struct dialect *dialect)
{
    json_t *responses = json_object();
    for (size_t i = 0; i < ROUTE_ANSWERS_MAX && route->answers[i].status; i++) {
        char status[16];
        snprintf(status, sizeof(status), "%u", route->answers[i].status);
        json_t *answer = describe_answer(&route->answers[i]);
        if (route->stream && route->answers[i].status == 200)
            json_object_set_new(
                json_object_get(answer, "content"), route->stream, json_pack("{s:{}}", "schema"));
        json_object_set_new(responses, status, answer);
    }
    add_common(responses, route, dialect);
    json_t *operation =
        json_pack("{s:[s], s:s, s:s, s:o, s:o}", "tags", route->tag, "summary", route->summary, "description",
            route->description, "operationId", operation_id(route), "responses", responses);
    if (route->body_max > 0)
        json_object_set_new(operation, "requestBody", describe_body(route));
    json_t *parameters = describe_parameters(route->path);
    if (json_array_size(parameters) > 0)
        json_object_set(operation, "parameters", parameters);
    json_decref(parameters);
    return operation;
}

static json_t *describe_paths(const struct router *r)
{
    json_t *paths = json_object();
    for (size_t i = 0; i < router_size(r); i++) {
        const struct route *route = router_row(r, i);
        json_t *path = json_object_get(paths, route->path);
        if (!path) {
            path = json_object();
            json_object_set_new(paths, route->path, path);
        }
        char method[16] = {0};
        for (size_t k = 0; route->method[k] && k + 1 < sizeof(method); k++)
            method[k] = (char)(route->method[k] + 32);
        json_object_set_new(path, method, describe_route(route, router_dialect(r, i)));
    }
    return paths;
}

static json_t *make_openapi(const struct router *r)
{
    json_t *components = json_object();
    for (size_t i = 0; i < COUNT_OF(schemas); i++)
        json_object_set_new(components, schemas[i].name, json_loads(schemas[i].json, 0, NULL));
    return json_pack("{s:s, s:{s:s, s:s, s:s, s:{s:s, s:s}}, s:o, s:{s:o}}", "openapi", "3.1.0", "info",
        "title", "berth", "version", BERTH_VERSION, "description",
        "A model server: mounted models over HTTP.", "license", "name", "Apache-2.0", "identifier",
        "Apache-2.0", "paths", describe_paths(r), "components", "schemas", components);
}

static void add_route(struct strbuf *b, const struct route *route)
{
    strbuf_format(b, "<h2><code>%s %s</code></h2>\n<p><b>%s.</b> %s</p>\n<table>\n", route->method,
        route->path, route->summary, route->description);
    for (size_t k = 0; k < ROUTE_ANSWERS_MAX && route->answers[k].status; k++)
        strbuf_format(b, "<tr><th>%u</th><td>%s</td><td><code>%s</code></td></tr>\n",
            route->answers[k].status, route->answers[k].what, route->answers[k].media);
    strbuf_text(b, "</table>\n");
}

/* The texts in the tables are constants of the program; they need no escapes in HTML. */
static char *make_docs(const struct router *r, bool page, size_t *size)
{
    struct strbuf b;
    strbuf_init(&b, 1024 * 1024);
    strbuf_text(&b, "<!doctype html>\n<html lang=\"en\">\n<head>\n<meta charset=\"utf-8\">\n"
                    "<meta name=\"viewport\" content=\"width=device-width\">\n<title>berth</title>\n<style>\n"
                    "body{font:16px/1.5 sans-serif;max-width:50em;margin:2em auto;padding:0 1em;color:#222}\n"
                    "code{font-size:1em}h2{font-size:1em;margin:2em 0 0}p{margin:.3em 0}"
                    "td,th{text-align:left;padding:.1em 1em .1em 0;vertical-align:top}\n"
                    "@media(prefers-color-scheme:dark){body{background:#181818;color:#ddd}a{color:#8bf}}\n"
                    "</style>\n</head>\n<body>\n");
    strbuf_format(&b,
        "<h1>berth %s</h1>\n<p>The routes of this server. For programs: "
        "<a href=\"openapi.json\">openapi.json</a></p>\n",
        BERTH_VERSION);
    if (page)
        strbuf_text(
            &b, "<p>For people, with requests to copy and to try: <a href=\"ui#reference\">ui</a></p>\n");
    for (size_t i = 0; i < router_size(r); i++)
        add_route(&b, router_row(r, i));
    strbuf_text(&b, "</body>\n</html>\n");
    return strbuf_take(&b, size);
}

void fastapi_openapi(struct server *s, const struct http_request *q, struct reply *r)
{
    (void)q;
    reply_json(r, 200, make_openapi(http_router(s->http)));
}

void fastapi_docs(struct server *s, const struct http_request *q, struct reply *r)
{
    (void)q;
    size_t size = 0;
    char *text = make_docs(http_router(s->http), s->options->ui, &size);
    reply_owned(r, 200, "text/html; charset=utf-8", text, size);
}
