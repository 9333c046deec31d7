/* fields_describe.c - what the fields of completion requests are, as JSON Schema for /openapi.json. */
#include "fields_private.h"

#include "berth/server/http/route.h"

#include <stdio.h>
#include <string.h>

#define OR_NULL(type) "{\"type\":[\"" type "\",\"null\"]}"
#define FUNCTION                                                                                             \
    "{\"type\":\"object\",\"required\":[\"name\"],\"properties\":{\"name\":{\"type\":\"string\","            \
    "\"pattern\":\"^[A-Za-z0-9_-]{1,64}$\"},\"parameters\":{\"type\":\"object\"}}}"

/* Schemas of fields that are read elsewhere, or by a function of their own. */
static const struct {
    const char *name, *schema;
} own[] = {
    {"model", OR_NULL("string")},
    {"messages",
        "{\"type\":\"array\",\"minItems\":1,\"items\":{\"$ref\":\"#/components/schemas/ChatMessage\"}}"},
    {"prompt",
        "{\"anyOf\":[{\"type\":\"string\"},{\"type\":\"array\",\"minItems\":1,\"items\":{\"type\":\"string\"}}]}"},
    {"stream_options",
        "{\"type\":[\"object\",\"null\"],\"properties\":{\"include_usage\":" OR_NULL("boolean") "}}"},
    {"logit_bias",
        "{\"type\":[\"object\",\"null\"],\"additionalProperties\":{\"type\":\"number\",\"minimum\":-100,"
        "\"maximum\":100},\"propertyNames\":{\"pattern\":\"^[0-9]{1,2}$\"}}"},
    {"seed", OR_NULL("integer")},
    {"stop",
        "{\"anyOf\":[{\"type\":[\"string\",\"null\"],\"maxLength\":256},{\"type\":\"array\",\"maxItems\":16,"
        "\"items\":{\"type\":\"string\",\"minLength\":1,\"maxLength\":256}}]}"},
    {"logprobs", "{\"anyOf\":[{\"type\":\"integer\",\"minimum\":0,\"maximum\":20},{\"enum\":[false,null]}]}"},
    {"tools",
        "{\"type\":[\"array\",\"null\"],\"items\":{\"type\":\"object\",\"required\":[\"type\",\"function\"],"
        "\"properties\":{\"type\":{\"const\":\"function\"},\"function\":" FUNCTION "}}}"},
    {"functions", "{\"type\":[\"array\",\"null\"],\"items\":" FUNCTION "}"},
    {"tool_choice", "{\"anyOf\":[{\"enum\":[\"none\",\"auto\",\"required\",null]},{\"type\":\"object\"}]}"},
    {"function_call", "{\"anyOf\":[{\"enum\":[\"none\",\"auto\",null]},{\"type\":\"object\"}]}"},
    {"parallel_tool_calls", OR_NULL("boolean")},
    {"response_format",
        "{\"type\":[\"object\",\"null\"],\"required\":[\"type\"],\"properties\":{\"type\":{\"enum\":"
        "[\"text\",\"json_object\",\"json_schema\",\"json\",\"regex\",\"grammar\"]}}}"},
    {"reasoning_effort", OR_NULL("string")},
    {"stop_token_ids",
        "{\"type\":[\"array\",\"null\"],\"maxItems\":16,\"items\":{\"type\":\"integer\",\"minimum\":0}}"},
    {"cache_salt", OR_NULL("string")},
    {"add_generation_prompt", OR_NULL("boolean")},
    {"chat_template_kwargs", OR_NULL("object")},
    {"documents", OR_NULL("array")},
    {"add_special", OR_NULL("boolean")},
    {"continue_final_message", OR_NULL("boolean")},
    {"enable_thinking", OR_NULL("boolean")},
    {"think", OR_NULL("boolean")},
    {"thinking", "{\"type\":[\"object\",\"boolean\",\"null\"]}"},
    {"reasoning_format", "{\"enum\":[\"auto\",\"deepseek\",\"parsed\",\"none\",\"raw\",null]}"},
    {"guided_json", "{\"type\":[\"object\",\"string\",\"null\"]}"},
    {"guided_json_object", OR_NULL("boolean")},
    {"guided_regex", OR_NULL("string")},
    {"guided_choice", "{\"type\":[\"array\",\"null\"],\"items\":{\"type\":\"string\"}}"},
    {"guided_grammar", OR_NULL("string")},
    {"structured_outputs", OR_NULL("object")},
    {"json_schema", OR_NULL("object")},
    {"regex", OR_NULL("string")},
    {"ebnf", OR_NULL("string")},
    {"grammar", OR_NULL("string")},
};

/* The log probabilities of a chat are true or false, those of a completion a number. */
static const char *own_schema(const char *name)
{
    for (size_t i = 0; i < sizeof(own) / sizeof(own[0]); i++)
        if (strcmp(own[i].name, name) == 0)
            return own[i].schema;
    return "{}";
}

static void write_schema(const struct field *f, struct route_field *out)
{
    const char *type = f->kind == NUMBER ? "number" : "integer";
    double least = f->kind == TOKENS ? -1 : (double)f->least;
    if (f->kind == ELSEWHERE || f->kind == OWN)
        snprintf(out->schema, sizeof(out->schema), "%s", own_schema(f->name));
    else if (f->kind == TRUTH)
        snprintf(out->schema, sizeof(out->schema), "%s", OR_NULL("boolean"));
    else if (f->kind == TOKENS)
        snprintf(out->schema, sizeof(out->schema),
            "{\"type\":[\"integer\",\"null\"],\"minimum\":%g,\"not\":{\"const\":0}}", least);
    else if (f->most >= MANY)
        snprintf(
            out->schema, sizeof(out->schema), "{\"type\":[\"%s\",\"null\"],\"minimum\":%g}", type, least);
    else
        snprintf(out->schema, sizeof(out->schema),
            "{\"type\":[\"%s\",\"null\"],\"minimum\":%g,\"maximum\":%g}", type, least, (double)f->most);
}

static bool describe(size_t i, enum fields_route route, struct route_field *out)
{
    const struct field *f;
    for (size_t at = 0; (f = field_at(at)); at++)
        if ((f->routes & (unsigned)route) && f->treatment == HONOURED && i-- == 0)
            break;
    if (!f)
        return false;
    out->name = f->name;
    out->required = strcmp(f->name, "messages") == 0 || strcmp(f->name, "prompt") == 0;
    write_schema(f, out);
    return true;
}

bool completion_params_chat_field(size_t i, struct route_field *out)
{
    return describe(i, FOR_CHAT, out);
}

bool completion_params_text_field(size_t i, struct route_field *out)
{
    return describe(i, FOR_COMPLETIONS, out);
}
