/* request.c - from Ollama's requests to OpenAI's fields.
 *
 * What Ollama sets when it loads a model (num_ctx, num_gpu, keep_alive …) changes nothing here and is ignored. Options
 * that change the answer keep their names, so that a refusal names them as the client wrote them.
 */
#include "ollama_private.h"

#include "berth/server/options.h"

#include <stdio.h>
#include <string.h>

/* What is added to messages does not count in the memory of requests, so there are not too many. */
#define MESSAGES_MAX 65536
#define CALLS_MAX 4096 /* of all messages */

/* False when memory is short. `value` is borrowed. */
static bool put(json_t *out, const char *name, json_t *value, struct api_error *c)
{
    return json_object_set(out, name, value) == 0 || api_error_no_memory(c);
}

static bool put_new(json_t *out, const char *name, json_t *value, struct api_error *c)
{
    return json_object_set_new(out, name, value) == 0 || api_error_no_memory(c);
}

static bool is_empty(const json_t *value)
{
    return api_is_absent(value) || json_is_false(value) ||
           (json_is_string(value) && json_string_length(value) == 0) ||
           (json_is_array(value) && json_array_size(value) == 0) ||
           (json_is_object(value) && json_object_size(value) == 0);
}

static bool is_one_of(const json_t *value, const char *const *words)
{
    for (; json_is_string(value) && *words; words++)
        if (strcmp(json_string_value(value), *words) == 0)
            return true;
    return false;
}

/* ---- fields ---- */

#define CHAT ((unsigned)FIELD_ON * OLLAMA_CHAT)
#define GENERATE ((unsigned)FIELD_ON * OLLAMA_GENERATE)
#define SHOW ((unsigned)FIELD_ON * OLLAMA_SHOW)
#define BOTH (CHAT | GENERATE)

/* clang-format off */
static const struct dialect_field fields[] = {
    {"model", FIELD_READ, NULL, SCHEMA_STRING},
    {"name", FIELD_READ | SHOW, NULL, SCHEMA_STRING},
    {"messages", FIELD_READ | CHAT, NULL, "{\"type\":[\"array\",\"null\"],\"items\":{\"$ref\":\"#/components/schemas/OllamaMessage\"}}"},
    {"tools", FIELD_READ | CHAT, NULL, SCHEMA_LIST},
    {"prompt", FIELD_READ | GENERATE, NULL, SCHEMA_STRING},
    {"suffix", FIELD_READ | GENERATE, NULL, SCHEMA_STRING},
    {"system", FIELD_READ | GENERATE, NULL, SCHEMA_STRING},
    {"raw", FIELD_READ | GENERATE, NULL, SCHEMA_TRUTH},
    {"format", FIELD_READ | BOTH, NULL, "{\"anyOf\":[{\"enum\":[\"json\",\"\",null]},{\"type\":\"object\"}]}"},
    {"think", FIELD_READ | BOTH, NULL, "{\"enum\":[true,false,\"low\",\"medium\",\"high\",\"\",null]}"},
    {"stream", FIELD_READ | BOTH, NULL, SCHEMA_TRUTH},
    {"logprobs", FIELD_READ | BOTH, NULL, SCHEMA_TRUTH},
    {"top_logprobs", FIELD_READ | BOTH, NULL, "{\"type\":[\"integer\",\"null\"],\"minimum\":0,\"maximum\":20}"},
    {"options", FIELD_READ | BOTH, NULL, SCHEMA_OBJECT},
    {"keep_alive", FIELD_READ | BOTH, NULL, "{\"default\":null}"},

    {"truncate", FIELD_IGNORED | BOTH, NULL, NULL},
    {"shift", FIELD_IGNORED | BOTH, NULL, NULL},

    {"images", FIELD_REFUSED | BOTH, ": this server takes text only", NULL},
    {"template", FIELD_REFUSED | BOTH, ": the model's own template is used; with 'raw' the prompt is the whole text", NULL},
    {"context", FIELD_REFUSED | BOTH, ": send the messages so far to /api/chat", NULL},
};
/* clang-format on */

#define N_FIELDS (sizeof(fields) / sizeof(fields[0]))

/* ---- options ---- */

/* An option that changes the answer, and the field that it is. */
struct ollama_option {
    const char *name, *field;
};

static const struct ollama_option ollama_options[] = {
    {"temperature", "temperature"},
    {"top_k", "top_k"},
    {"top_p", "top_p"},
    {"min_p", "min_p"},
    {"typical_p", "typical_p"},
    {"repeat_penalty", "repeat_penalty"},
    {"presence_penalty", "presence_penalty"},
    {"frequency_penalty", "frequency_penalty"},
    {"stop", "stop"},
    {"repeat_last_n", "repeat_last_n"},
    {"penalize_newline", "penalize_nl"},
    {"tfs_z", "tfs_z"},
    {"mirostat", "mirostat"},
};

/* num_predict below 0 is no limit; so is 0, which Ollama does not tell from a missing one. */
static bool put_limit(const json_t *options, json_t *out, struct api_error *c)
{
    const json_t *n = json_object_get(options, "num_predict");
    if (api_is_absent(n))
        return true;
    if (!json_is_number(n))
        return api_error_bad(c, "options.num_predict", "'options.num_predict' must be an integer");
    if (json_number_value(n) <= 0)
        return put_new(out, "max_tokens", json_integer(-1), c);
    return put(out, "max_tokens", json_object_get(options, "num_predict"), c);
}

/* -1 stands for a seed of chance. */
static bool put_seed(const json_t *options, json_t *out, struct api_error *c)
{
    json_t *seed = json_object_get(options, "seed");
    if (api_is_absent(seed) || (json_is_number(seed) && json_number_value(seed) == -1))
        return true;
    return put(out, "seed", seed, c);
}

/* Appends "name":SCHEMA; of an option that is refused unless it changes nothing, any value. */
static void add_option(char *out, size_t size, const char *name, const char *field)
{
    char schema[ROUTE_SCHEMA_MAX] = "{}";
    size_t used = strlen(out);
    completion_params_schema(field, schema, sizeof(schema));
    snprintf(out + used, size - used, ",\"%s\":%.400s", name, schema);
}

static void describe_options(struct route_field *out)
{
    size_t size = sizeof(out->schema);
    snprintf(
        out->schema, size, "{\"type\":[\"object\",\"null\"],\"properties\":{\"num_predict\":" SCHEMA_NUMBER);
    add_option(out->schema, size - 2, "seed", "seed");
    for (size_t i = 0; i < sizeof(ollama_options) / sizeof(ollama_options[0]); i++)
        add_option(out->schema, size - 2, ollama_options[i].name, ollama_options[i].field);
    strcat(out->schema, "}}");
}

static bool describe(enum ollama_route route, size_t i, struct route_field *out)
{
    const struct dialect_fields d = {.rows = fields, .n = N_FIELDS, .route = route};
    bool there = dialect_describe(&d, i, out);
    if (there && strcmp(out->name, "options") == 0)
        describe_options(out);
    return there;
}

bool ollama_chat_field(size_t i, struct route_field *out)
{
    return describe(OLLAMA_CHAT, i, out);
}

bool ollama_generate_field(size_t i, struct route_field *out)
{
    return describe(OLLAMA_GENERATE, i, out);
}

bool ollama_show_field(size_t i, struct route_field *out)
{
    return describe(OLLAMA_SHOW, i, out);
}

bool ollama_check(const json_t *asked, enum ollama_route route, struct api_error *c)
{
    const struct dialect_fields d = {.rows = fields, .n = N_FIELDS, .route = route};
    return dialect_check(&d, asked, c);
}

static bool put_options(const json_t *asked, json_t *out, struct api_error *c)
{
    const json_t *options = json_object_get(asked, "options");
    if (api_is_absent(options))
        return true;
    if (!json_is_object(options))
        return api_error_bad(c, "options", "'options' must be an object");
    for (size_t i = 0; i < sizeof(ollama_options) / sizeof(ollama_options[0]); i++) {
        json_t *value = json_object_get(options, ollama_options[i].name);
        if (!api_is_absent(value) && !put(out, ollama_options[i].field, value, c))
            return false;
    }
    return put_limit(options, out, c) && put_seed(options, out, c);
}

bool ollama_check_options(const json_t *asked, struct api_error *c)
{
    struct completion_params w = {0};
    json_t *out = json_object();
    bool good = (out || api_error_no_memory(c)) && put_options(asked, out, c) &&
                completion_params_read(&w, out, FOR_COMPLETIONS, c);
    completion_params_release(&w);
    json_decref(out);
    return good;
}

/* ---- fields of both routes ---- */

static bool put_format(json_t *asked, json_t *out, struct api_error *c)
{
    json_t *format = json_object_get(asked, "format");
    if (api_is_absent(format) || (json_is_string(format) && json_string_length(format) == 0))
        return true;
    if (is_one_of(format, (const char *const[]){"json", NULL}))
        return put_new(out, "response_format", json_pack("{s:s}", "type", "json_object"), c);
    if (!json_is_object(format))
        return api_error_bad(c, "format", "'format' must be \"json\" or a JSON Schema");
    return put_new(out, "response_format",
        json_pack(
            "{s:s, s:{s:s, s:O}}", "type", "json_schema", "json_schema", "name", "format", "schema", format),
        c);
}

static bool put_think(json_t *asked, json_t *out, struct api_error *c)
{
    static const char *const efforts[] = {"low", "medium", "high", NULL};
    json_t *think = json_object_get(asked, "think");
    if (api_is_absent(think) || (json_is_string(think) && json_string_length(think) == 0))
        return true;
    if (json_is_boolean(think))
        return put(out, "enable_thinking", think, c);
    if (!is_one_of(think, efforts))
        return api_error_bad(c, "think", "'think' must be true, false, \"low\", \"medium\" or \"high\"");
    return put(out, "reasoning_effort", think, c) && put_new(out, "enable_thinking", json_true(), c);
}

static bool put_stream(const json_t *asked, json_t *out, struct api_error *c)
{
    bool stream;
    return api_truth(asked, "stream", true, &stream, c) && put_new(out, "stream", json_boolean(stream), c);
}

static bool put_logprobs(json_t *asked, json_t *out, bool raw, struct api_error *c)
{
    bool wanted;
    json_t *top = json_object_get(asked, "top_logprobs");
    if (!api_truth(asked, "logprobs", false, &wanted, c) || !wanted)
        return !c->status;
    if (api_is_absent(top))
        return raw ? put_new(out, "logprobs", json_integer(0), c) : put_new(out, "logprobs", json_true(), c);
    if (raw)
        return put(out, "logprobs", top, c);
    return put_new(out, "logprobs", json_true(), c) && put(out, "top_logprobs", top, c);
}

static bool put_common(json_t *asked, json_t *out, bool raw, struct api_error *c)
{
    json_t *model = json_object_get(asked, "model");
    return (api_is_absent(model) || put(out, "model", model, c)) && put_options(asked, out, c) &&
           put_format(asked, out, c) && (raw || put_think(asked, out, c)) && put_stream(asked, out, c) &&
           put_logprobs(asked, out, raw, c);
}

/* ---- messages ---- */

/* Ollama's calls have no ids, and results come in the order of the calls; some templates need ids. */
struct calls_so_far {
    const json_t *open; /* calls of the assistant's last message; borrowed */
    size_t answered; /* of these */
    size_t n; /* calls of all messages */
};

static bool settle_calls(json_t *message, struct calls_so_far *calls, struct api_error *c)
{
    json_t *list = json_object_get(message, "tool_calls");
    if (!json_is_array(list))
        return true;
    calls->open = list;
    calls->answered = 0;
    for (size_t i = 0; i < json_array_size(list); i++) {
        json_t *call = json_array_get(list, i);
        if (!json_is_object(call))
            continue;
        if (++calls->n > CALLS_MAX)
            return api_error_bad(
                c, "messages", "'messages' may have %d calls of tools, all together", CALLS_MAX);
        if (!json_object_get(call, "type") && !put_new(call, "type", json_string("function"), c))
            return false;
        const json_t *id = json_object_get(call, "id");
        if ((!json_is_string(id) || json_string_length(id) == 0) &&
            !put_new(call, "id", json_sprintf("call%05zu", calls->n % 100000), c))
            return false;
    }
    return true;
}

static bool settle_result(json_t *message, struct calls_so_far *calls, struct api_error *c)
{
    json_t *name = json_object_get(message, "tool_name");
    json_t *call = json_array_get(calls->open, calls->answered++);
    json_t *id = json_object_get(call, "id");
    if (!api_is_absent(name) && !json_object_get(message, "name") && !put(message, "name", name, c))
        return false;
    return !id || json_object_get(message, "tool_call_id") || put(message, "tool_call_id", id, c);
}

static bool settle_message(json_t *message, size_t index, struct calls_so_far *calls, struct api_error *c)
{
    char param[96];
    json_t *thinking = json_object_get(message, "thinking");
    snprintf(param, sizeof(param), "messages[%zu].images", index);
    if (!is_empty(json_object_get(message, "images")))
        return api_error_status(c, 400, "unsupported_content", param,
            "'%s' is not supported: this server takes text only", param);
    if (api_is_absent(json_object_get(message, "content")) &&
        !put_new(message, "content", json_string(""), c))
        return false;
    if (!is_empty(thinking) && !put(message, "reasoning_content", thinking, c))
        return false;
    if (is_one_of(json_object_get(message, "role"), (const char *const[]){"tool", NULL}))
        return settle_result(message, calls, c);
    return settle_calls(message, calls, c);
}

static bool put_messages(json_t *asked, json_t *out, struct api_error *c)
{
    json_t *messages = json_object_get(asked, "messages");
    struct calls_so_far calls = {0};
    if (json_array_size(messages) > MESSAGES_MAX)
        return api_error_bad(c, "messages", "'messages' may have %d messages", MESSAGES_MAX);
    for (size_t i = 0; i < json_array_size(messages); i++) {
        json_t *message = json_array_get(messages, i);
        if (json_is_object(message) && !settle_message(message, i, &calls, c))
            return false;
    }
    return put(out, "messages", messages, c);
}

bool ollama_chat_fields(json_t *asked, json_t *out, struct api_error *c)
{
    json_t *tools = json_object_get(asked, "tools");
    return put_common(asked, out, false, c) && put_messages(asked, out, c) &&
           (api_is_absent(tools) || put(out, "tools", tools, c));
}

/* ---- prompts ---- */

/* A system text, where there is one, and the prompt as the user's message. */
static bool put_turns(json_t *asked, json_t *out, struct api_error *c)
{
    json_t *system = json_object_get(asked, "system"), *prompt = json_object_get(asked, "prompt");
    json_t *messages = json_array();
    if (!is_empty(system))
        json_array_append_new(messages, json_pack("{s:s, s:O}", "role", "system", "content", system));
    json_array_append_new(messages, json_pack("{s:s, s:O}", "role", "user", "content", prompt));
    return put_new(out, "messages", messages, c);
}

/* A completion has a limit where the request has none: OpenAI's, which is not Ollama's. */
static bool put_text(const struct options *o, json_t *asked, json_t *out, struct api_error *c)
{
    json_int_t most = o->max_tokens_default ? (json_int_t)o->max_tokens_default : -1;
    json_t *prompt = json_object_get(asked, "prompt");
    return (api_is_absent(prompt) ? put_new(out, "prompt", json_string(""), c)
                                  : put(out, "prompt", prompt, c)) &&
           (json_object_get(out, "max_tokens") || put_new(out, "max_tokens", json_integer(most), c));
}

bool ollama_generate_fields(
    const struct options *o, json_t *asked, json_t *out, bool *raw, struct api_error *c)
{
    bool fills = !is_empty(json_object_get(asked, "suffix"));
    if (!api_truth(asked, "raw", false, raw, c))
        return false;
    *raw = *raw || fills;
    return put_common(asked, out, *raw, c) && (*raw ? put_text(o, asked, out, c) : put_turns(asked, out, c));
}
