/* fields_describe.c - what the fields of completion requests are, as JSON Schema for /openapi.json. */
#include "fields_private.h"

#include "berth/server/http/route.h"

#include <stdio.h>
#include <string.h>

#define OR_NULL(type) "{\"type\":[\"" type "\",\"null\"]}"
#define OR_ABSENT(schema) "{\"anyOf\":[" schema ",{\"enum\":[null,false,\"\",[],{}]}]}"
#define CHOICE "{\"anyOf\":[{\"enum\":[\"none\",\"auto\",\"required\",\"any\",null]},{\"type\":\"object\"}]}"
#define IDS "{\"type\":\"array\",\"minItems\":1,\"items\":{\"type\":\"integer\",\"minimum\":0}}"
#define FUNCTION                                                                                             \
    "{\"type\":\"object\",\"required\":[\"name\"],\"properties\":{\"name\":{\"type\":\"string\","            \
    "\"pattern\":\"^[A-Za-z0-9_.:/-]{1,64}$\"},\"parameters\":{\"type\":[\"object\",\"boolean\",\"null\"]}}}"

/* Schemas of fields that are read elsewhere, or by a function of their own. */
static const struct {
    const char *name, *schema;
} own[] = {
    {"model", OR_NULL("string")},
    {"messages",
        "{\"type\":\"array\",\"minItems\":1,\"items\":{\"$ref\":\"#/components/schemas/ChatMessage\"}}"},
    {"prompt", "{\"anyOf\":[{\"type\":\"string\"},{\"type\":\"array\",\"minItems\":1,\"items\":{\"anyOf\":["
               "{\"type\":\"string\"}," IDS "]}}," IDS "]}"},
    {"suffix", OR_NULL("string")},
    {"stream_options",
        "{\"type\":[\"object\",\"null\"],\"properties\":{\"include_usage\":" OR_NULL("boolean") "}}"},
    {"logit_bias",
        "{\"type\":[\"object\",\"null\"],\"additionalProperties\":{\"type\":\"number\",\"minimum\":-100,"
        "\"maximum\":100},\"propertyNames\":{\"pattern\":\"^[0-9]{1,2}$\"}}"},
    {"seed", OR_NULL("integer")},
    {"stop",
        "{\"anyOf\":[{\"type\":[\"string\",\"null\"],\"maxLength\":1024},{\"type\":\"array\",\"maxItems\":16,"
        "\"items\":{\"type\":\"string\",\"minLength\":1,\"maxLength\":1024}}]}"},
    {"logprobs", "{\"anyOf\":[{\"type\":\"integer\",\"minimum\":0,\"maximum\":20},{\"enum\":[false,null]}]}"},
    {"tools",
        "{\"type\":[\"array\",\"null\"],\"items\":{\"type\":\"object\",\"required\":[\"type\",\"function\"],"
        "\"properties\":{\"type\":{\"const\":\"function\"},\"function\":" FUNCTION "}}}"},
    {"functions", "{\"type\":[\"array\",\"null\"],\"items\":" FUNCTION "}"},
    {"tool_choice", CHOICE},
    {"function_call", CHOICE},
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
    {"reasoning_format",
        "{\"enum\":[\"auto\",\"deepseek\",\"deepseek-legacy\",\"parsed\",\"hidden\",\"none\",\"raw\",null]}"},
    {"guided_json", OR_ABSENT("{\"type\":[\"object\",\"string\",\"boolean\"]}")},
    {"guided_json_object", OR_ABSENT("{\"const\":true}")},
    {"guided_regex", OR_ABSENT("{\"type\":\"string\"}")},
    {"guided_choice", OR_ABSENT("{\"type\":\"array\",\"maxItems\":4096,\"items\":{\"type\":\"string\"}}")},
    {"guided_grammar", OR_ABSENT("{\"type\":\"string\"}")},
    {"structured_outputs", OR_ABSENT("{\"type\":\"object\"}")},
    {"json_schema", OR_ABSENT("{\"type\":[\"object\",\"string\",\"boolean\"]}")},
    {"regex", OR_ABSENT("{\"type\":\"string\"}")},
    {"ebnf", OR_ABSENT("{\"type\":\"string\"}")},
    {"grammar", OR_ABSENT("{\"type\":\"string\"}")},
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
    double least = (double)f->least;
    if (f->kind == ELSEWHERE || f->kind == OWN)
        snprintf(out->schema, sizeof(out->schema), "%s", own_schema(f->name));
    else if (f->kind == TRUTH)
        snprintf(out->schema, sizeof(out->schema), "%s", OR_NULL("boolean"));
    else if (f->kind == TOKENS)
        snprintf(out->schema, sizeof(out->schema), "{\"type\":[\"integer\",\"null\"],\"minimum\":-1%s}",
            f->least > 0 ? ",\"not\":{\"const\":0}" : "");
    else if (f->most >= MANY)
        snprintf(
            out->schema, sizeof(out->schema), "{\"type\":[\"%s\",\"null\"],\"minimum\":%g}", type, least);
    else
        snprintf(out->schema, sizeof(out->schema),
            "{\"type\":[\"%s\",\"null\"],\"minimum\":%g,\"maximum\":%g}", type, least, (double)f->most);
}

static void describe_row(const struct field *f, struct route_field *out)
{
    *out = (struct route_field){
        .name = f->name, .use = f->treatment == HONOURED ? ROUTE_FIELD_TAKEN : ROUTE_FIELD_IGNORED};
    out->required = strcmp(f->name, "messages") == 0 || strcmp(f->name, "prompt") == 0;
    write_schema(f, out);
}

static bool describe(size_t i, enum fields_route route, struct route_field *out)
{
    const struct field *f;
    const struct refused_field *refused;
    for (size_t at = 0; (f = field_at(at)); at++)
        if ((f->routes & (unsigned)route) && i-- == 0) {
            describe_row(f, out);
            return true;
        }
    for (size_t at = 0; (refused = refused_field_at(at)); at++)
        if ((refused->routes & (unsigned)route) && i-- == 0) {
            *out = (struct route_field){.name = refused->name, .use = ROUTE_FIELD_REFUSED};
            refused_field_tell(refused, out->schema, sizeof(out->schema));
            return true;
        }
    return false;
}

static const struct field *find(const char *name, enum fields_route route)
{
    const struct field *f;
    for (size_t at = 0; (f = field_at(at)); at++)
        if ((f->routes & (unsigned)route) && f->treatment == HONOURED && strcmp(f->name, name) == 0)
            return f;
    return NULL;
}

bool completion_params_schema(const char *name, char *out, size_t size)
{
    struct route_field described;
    const struct field *f = find(name, FOR_COMPLETIONS);
    if (!f)
        return false;
    describe_row(f, &described);
    snprintf(out, size, "%s", described.schema);
    return true;
}

bool completion_params_prompt_field(size_t i, struct route_field *out)
{
    /* Each ends with a NUL, the list with an empty one. */
    static const char names[] = "model\0messages\0tools\0functions\0tool_choice\0function_call\0documents\0"
                                "chat_template_kwargs\0reasoning_effort\0enable_thinking\0think\0thinking\0"
                                "add_generation_prompt\0continue_final_message\0";
    const char *name = names;
    for (; *name && i > 0; i--)
        name += strlen(name) + 1;
    const struct field *f = *name ? find(name, FOR_CHAT) : NULL;
    if (f)
        describe_row(f, out);
    return f != NULL;
}

bool completion_params_chat_field(size_t i, struct route_field *out)
{
    return describe(i, FOR_CHAT, out);
}

bool completion_params_text_field(size_t i, struct route_field *out)
{
    return describe(i, FOR_COMPLETIONS, out);
}
