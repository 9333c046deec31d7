/* answer_form.c - what a request says about the form of its answer: structured output, tools, reasoning.
 *
 * The fields of OpenAI, vLLM, SGLang, TGI and llama.cpp mean the same few things, one row each. A request has at most one
 * of them. The grammar is looked up among the model's kept ones by the text of everything that it is made from.
 */
#include "chat_private.h"

#include "berth/server/api/json_value.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define ARENA_MAX ((size_t)64 << 20)
#define CHOICES_MAX 4096
#define TOOLS_MAX 1024

/* ---- structured output ---- */

/* A field, the member of it that counts, and what its value is. */
struct form_field {
    const char *name, *member; /* member: NULL for the field itself */
    enum chat_answer_kind kind;
};

static const struct form_field form_fields[] = {
    {"guided_json", NULL, CHAT_ANSWER_SCHEMA},
    {"guided_regex", NULL, CHAT_ANSWER_REGEX},
    {"guided_choice", NULL, CHAT_ANSWER_CHOICE},
    {"guided_grammar", NULL, CHAT_ANSWER_GBNF},
    {"guided_json_object", NULL, CHAT_ANSWER_JSON},
    {"structured_outputs", "json", CHAT_ANSWER_SCHEMA},
    {"structured_outputs", "regex", CHAT_ANSWER_REGEX},
    {"structured_outputs", "choice", CHAT_ANSWER_CHOICE},
    {"structured_outputs", "grammar", CHAT_ANSWER_GBNF},
    {"structured_outputs", "json_object", CHAT_ANSWER_JSON},
    {"json_schema", NULL, CHAT_ANSWER_SCHEMA},
    {"regex", NULL, CHAT_ANSWER_REGEX},
    {"ebnf", NULL, CHAT_ANSWER_GBNF},
    {"grammar", NULL, CHAT_ANSWER_GBNF},
};

#define N_FORM_FIELDS (sizeof(form_fields) / sizeof(form_fields[0]))

/* What was found: where, for messages, and the value. */
struct asked_form {
    enum chat_answer_kind kind;
    const json_t *value;
    char param[96];
};

static bool is_absent(const json_t *value)
{
    return !value || json_is_null(value) || json_is_false(value) ||
           (json_is_string(value) && json_string_length(value) == 0) ||
           (json_is_object(value) && json_object_size(value) == 0) ||
           (json_is_array(value) && json_array_size(value) == 0);
}

static bool bad_format(struct api_error *c, const char *param, const char *what)
{
    return api_error_bad(c, param, "'%s' must be %s", param, what);
}

/* response_format: OpenAI's three types, llama.cpp's json_object with a schema, and TGI's types with a value. */
static bool read_response_format(const json_t *format, struct asked_form *f, struct api_error *c)
{
    const json_t *type = json_object_get(format, "type"), *schema = json_object_get(format, "schema");
    const json_t *wrapped = json_object_get(format, "json_schema");
    if (value_is_word(type, "text"))
        return true;
    if (value_is_word(type, "json_object")) {
        *f = (struct asked_form){
            schema ? CHAT_ANSWER_SCHEMA : CHAT_ANSWER_JSON, schema, "response_format.schema"};
    } else if (value_is_word(type, "json_schema")) {
        bool bare = schema && !wrapped;
        *f = (struct asked_form){CHAT_ANSWER_SCHEMA, bare ? schema : json_object_get(wrapped, "schema"),
            "response_format.json_schema.schema"};
        if (!f->value && json_is_object(wrapped))
            f->kind = CHAT_ANSWER_JSON; /* OpenAI lets the schema out, and has any object then */
        if (!f->value && !json_is_object(wrapped))
            return bad_format(c, "response_format.json_schema", "an object with a 'schema'");
    } else if (value_is_word(type, "json")) {
        *f = (struct asked_form){
            CHAT_ANSWER_SCHEMA, json_object_get(format, "value"), "response_format.value"};
    } else if (value_is_word(type, "regex")) {
        *f =
            (struct asked_form){CHAT_ANSWER_REGEX, json_object_get(format, "value"), "response_format.value"};
    } else if (value_is_word(type, "grammar")) {
        *f = (struct asked_form){
            CHAT_ANSWER_GBNF, json_object_get(format, "grammar"), "response_format.grammar"};
    } else {
        return bad_format(
            c, "response_format.type", "text, json_object, json_schema, json, regex or grammar");
    }
    return true;
}

/* One field of the table. */
static bool read_form_field(
    const struct form_field *row, const json_t *request, struct asked_form *f, struct api_error *c)
{
    const json_t *value = json_object_get(request, row->name);
    if (row->member && !is_absent(value) && !json_is_object(value))
        return bad_format(c, row->name, "an object");
    if (row->member)
        value = json_object_get(value, row->member);
    if (is_absent(value))
        return true;
    if (f->kind != CHAT_ANSWER_FREE)
        return api_error_bad(c, row->name, "'%s' and '%s' both say what the answer must be; give one of them",
            row->name, f->param);
    *f = (struct asked_form){.kind = row->kind, .value = value};
    snprintf(f->param, sizeof(f->param), row->member ? "%s.%s" : "%s", row->name, row->member);
    return true;
}

static bool find_form(const json_t *request, struct asked_form *f, struct api_error *c)
{
    const json_t *format = json_object_get(request, "response_format");
    *f = (struct asked_form){.kind = CHAT_ANSWER_FREE};
    bool given = format && !json_is_null(format);
    if (given && !json_is_object(format))
        return bad_format(c, "response_format", "an object with a 'type'");
    if (given && !read_response_format(format, f, c))
        return false;
    for (size_t i = 0; i < N_FORM_FIELDS; i++)
        if (!read_form_field(&form_fields[i], request, f, c))
            return false;
    return true;
}

bool answer_form_is_asked(const json_t *request)
{
    struct asked_form f;
    struct api_error ignored = {0};
    return !find_form(request, &f, &ignored) || f.kind != CHAT_ANSWER_FREE;
}

/* ---- from JSON to a form ---- */

/* A form while it is made, with the memory that it points into. */
struct form_work {
    struct chat_form form;
    struct value_arena *arena;
    struct span *choices;
    struct chat_tool *tools;
    json_t *parsed; /* of a schema that came as a string */
};

static void release_work(struct form_work *w)
{
    value_arena_free(w->arena);
    free(w->choices);
    free(w->tools);
    json_decref(w->parsed);
}

static bool to_value(
    struct form_work *w, const json_t *json, const char *param, struct value *out, struct api_error *c)
{
    struct error err = {0};
    return json_to_value(w->arena, json, out, &err) || api_error_of(c, param, &err);
}

/* vLLM's clients send a schema as a string, too. */
static bool take_schema(struct form_work *w, const struct asked_form *f, struct api_error *c)
{
    const json_t *schema = f->value;
    json_error_t why;
    bool no_memory;
    if (json_is_string(schema)) {
        w->parsed = json_parse(api_text(schema), JSON_DECODE_ANY, &why, &no_memory);
        schema = w->parsed;
        if (!schema && no_memory)
            return api_error_no_memory(c);
    }
    if (!json_is_object(schema) && !json_is_boolean(schema))
        return bad_format(c, f->param, "a JSON Schema");
    return to_value(w, schema, f->param, &w->form.answer.schema, c);
}

static bool take_choices(struct form_work *w, const struct asked_form *f, struct api_error *c)
{
    size_t n = json_array_size(f->value);
    if (n == 0 || n > CHOICES_MAX)
        return bad_format(c, f->param, "a list of 1 to 4096 strings");
    w->choices = calloc(n, sizeof(*w->choices));
    if (!w->choices)
        return api_error_no_memory(c);
    for (size_t i = 0; i < n; i++) {
        if (!json_is_string(json_array_get(f->value, i)))
            return bad_format(c, f->param, "a list of strings");
        w->choices[i] = api_text(json_array_get(f->value, i));
    }
    w->form.answer.choices = w->choices;
    w->form.answer.n_choices = n;
    return true;
}

static bool take_form(struct form_work *w, const struct asked_form *f, struct api_error *c)
{
    w->form.answer.kind = f->kind;
    switch (f->kind) {
    case CHAT_ANSWER_SCHEMA:
        return take_schema(w, f, c);
    case CHAT_ANSWER_CHOICE:
        return take_choices(w, f, c);
    case CHAT_ANSWER_REGEX:
    case CHAT_ANSWER_GBNF:
        w->form.answer.source = api_text(f->value);
        return json_is_string(f->value) || bad_format(c, f->param, "a string");
    case CHAT_ANSWER_JSON:
        return !f->value || json_is_true(f->value) || bad_format(c, f->param, "true or false");
    case CHAT_ANSWER_FREE:
        break;
    }
    return true;
}

/* ---- tools ---- */

static bool take_tool(struct form_work *w, const json_t *tool, size_t index, struct api_error *c)
{
    const json_t *function = json_object_get(tool, "function"), *strict = json_object_get(function, "strict");
    const json_t *parameters = json_object_get(function, "parameters");
    struct chat_tool *out = &w->tools[w->form.n_tools++];
    char param[96];
    snprintf(param, sizeof(param), "tools[%zu].function.parameters", index);
    *out = (struct chat_tool){
        .name = api_text(json_object_get(function, "name")), .strict = json_is_true(strict)};
    if (!parameters || json_is_null(parameters))
        return true;
    if (!json_is_object(parameters) && !json_is_boolean(parameters))
        return bad_format(c, param, "a JSON Schema");
    return to_value(w, parameters, param, &out->parameters, c);
}

static bool take_tools(struct form_work *w, const json_t *tools, struct api_error *c)
{
    size_t n = json_array_size(tools);
    if (n > TOOLS_MAX)
        return api_error_bad(c, "tools", "'tools' may have %d tools; this one has %zu", TOOLS_MAX, n);
    w->tools = calloc(n ? n : 1, sizeof(*w->tools));
    w->form.tools = w->tools;
    if (!w->tools)
        return api_error_no_memory(c);
    for (size_t i = 0; i < n; i++)
        if (!take_tool(w, json_array_get(tools, i), i, c))
            return false;
    return true;
}

static bool is_named(const struct chat_tool *tool, const json_t *name)
{
    return json_is_string(name) && json_string_length(name) == tool->name.size &&
           memcmp(json_string_value(name), tool->name.at, tool->name.size) == 0;
}

/* The tool with this name; n_tools for none. */
static size_t find_tool(const struct chat_form *form, const json_t *name)
{
    size_t i = 0;
    while (i < form->n_tools && !is_named(&form->tools[i], name))
        i++;
    return i;
}

static bool take_named(struct form_work *w, const json_t *name, struct api_error *c)
{
    w->form.choice = CHAT_TOOLS_NAMED;
    w->form.named = find_tool(&w->form, name);
    return w->form.named < w->form.n_tools ||
           api_error_bad(c, "tool_choice", "'tool_choice' names no tool of 'tools'");
}

/* {"type": "allowed_tools", "allowed_tools": {"mode": …, "tools": […]}}: keeps these tools alone. */
static bool take_allowed(struct form_work *w, const json_t *choice, struct api_error *c)
{
    const json_t *allowed = json_object_get(choice, "allowed_tools");
    if (!json_is_object(allowed))
        allowed = choice;
    const json_t *tools = json_object_get(allowed, "tools");
    size_t kept = 0;
    for (size_t i = 0; i < json_array_size(tools); i++) {
        const json_t *tool = json_array_get(tools, i), *function = json_object_get(tool, "function");
        size_t at = find_tool(&w->form, json_object_get(function ? function : tool, "name"));
        if (at >= w->form.n_tools || at < kept)
            return api_error_bad(c, "tool_choice", "'tool_choice' allows a tool that is not in 'tools'");
        struct chat_tool found = w->tools[at];
        w->tools[at] = w->tools[kept];
        w->tools[kept++] = found;
    }
    w->form.n_tools = kept;
    w->form.choice =
        value_is_word(json_object_get(allowed, "mode"), "required") ? CHAT_TOOLS_REQUIRED : CHAT_TOOLS_AUTO;
    return kept > 0 || api_error_bad(c, "tool_choice", "'tool_choice' allows no tool");
}

static bool take_choice(struct form_work *w, const json_t *request, struct api_error *c)
{
    const json_t *choice = json_object_get(request, "tool_choice");
    if (!choice || json_is_null(choice))
        choice = json_object_get(request, "function_call");
    w->form.choice = w->form.n_tools > 0 ? CHAT_TOOLS_AUTO : CHAT_TOOLS_NONE;
    if (!choice || json_is_null(choice) || value_is_word(choice, "auto"))
        return true;
    if (value_is_word(choice, "none")) {
        w->form.choice = CHAT_TOOLS_NONE;
        return true;
    }
    if (w->form.n_tools == 0)
        return api_error_bad(c, "tool_choice", "'tool_choice' needs 'tools'");
    if (value_is_word(choice, "required") || value_is_word(choice, "any")) {
        w->form.choice = CHAT_TOOLS_REQUIRED;
        return true;
    }
    if (value_is_word(json_object_get(choice, "type"), "allowed_tools"))
        return take_allowed(w, choice, c);
    const json_t *function = json_object_get(choice, "function");
    if (json_is_object(choice))
        return take_named(w, json_object_get(function ? function : choice, "name"), c);
    return bad_format(c, "tool_choice", "none, auto, required or an object that names a tool");
}

/* ---- reasoning ---- */

/* reasoning_format, as llama.cpp has it: "none" leaves reasoning in the text. */
static bool take_reasoning(struct form_work *w, const json_t *request, struct api_error *c)
{
    static const char *const split[] = {"auto", "deepseek", "deepseek-legacy", "parsed", "hidden"};
    const json_t *format = json_object_get(request, "reasoning_format");
    w->form.split_reasoning = true;
    if (!format || json_is_null(format))
        return true;
    w->form.split_reasoning = !value_is_word(format, "none") && !value_is_word(format, "raw");
    for (size_t i = 0; w->form.split_reasoning && i < sizeof(split) / sizeof(split[0]); i++)
        if (value_is_word(format, split[i]))
            return true;
    return !w->form.split_reasoning ||
           bad_format(c, "reasoning_format", "auto, deepseek, parsed, none or raw");
}

/* ---- the grammar ---- */

/* Everything that the grammar is made from, as text; NULL when memory is short. */
static char *source_of(
    const json_t *request, const struct chat_form *form, const struct asked_form *f, bool opens)
{
    const json_t *parallel = json_object_get(request, "parallel_tool_calls");
    const json_t *choice = json_object_get(request, "tool_choice");
    if (!choice)
        choice = json_object_get(request, "function_call");
    json_t *source = json_pack("[i, O?, O?, O?, O?, b, b, s]", (int)f->kind, (json_t *)(uintptr_t)f->value,
        json_object_get(request, "tools"), (json_t *)(uintptr_t)choice, (json_t *)(uintptr_t)parallel,
        form->split_reasoning, opens, form->format ? chat_format_name(form->format) : "");
    char *text = source ? json_dumps(source, JSON_COMPACT) : NULL;
    json_decref(source);
    return text;
}

static bool build(struct form_work *w, const struct asked_form *f, struct grammar **grammar,
    struct json_notes *notes, struct api_error *c)
{
    struct error err = {0};
    if (!take_form(w, f, c))
        return false;
    *grammar = chat_form_build(&w->form, notes, &err);
    if (*grammar)
        return true;
    if (err.no_memory)
        return api_error_of(c, NULL, &err);
    const char *param = f->kind != CHAT_ANSWER_FREE ? f->param : "tools";
    if (f->kind == CHAT_ANSWER_JSON)
        param = "response_format";
    return api_error_status(c, 400, "invalid_schema", param, "'%s' cannot be enforced: %s", param, err.text);
}

/* The values of tools are needed for a grammar that is not kept, and their choice is checked either way. */
static bool make_grammar(struct form_work *w, const struct requested_model *m, const json_t *request,
    const struct asked_form *f, struct grammar **grammar, struct json_notes *notes, struct api_error *c)
{
    struct error err = {0};
    if (chat_form_is_free(&w->form))
        return true;
    w->form.trie = text_model_vocabulary(m->text, &err);
    if (!w->form.trie)
        return api_error_of(c, NULL, &err);
    bool opens = w->form.format && chat_format_opens_reasoning(w->form.format, w->form.prompt_end);
    char *source = source_of(request, &w->form, f, opens);
    if (!source)
        return api_error_no_memory(c);
    *grammar = text_model_find_grammar(m->text, span_of(source), notes);
    bool good = *grammar || build(w, f, grammar, notes, c);
    if (good)
        text_model_keep_grammar(m->text, span_of(source), *grammar, notes);
    free(source);
    return good;
}

bool answer_form_grammar(const struct requested_model *m, const json_t *request, const struct prompt *prompt,
    struct byte_budget *memory, struct grammar **grammar, struct chat_form *form, struct json_notes *notes,
    struct api_error *c)
{
    struct asked_form f;
    struct form_work w = {.arena = value_arena_new(ARENA_MAX)};
    *grammar = NULL;
    if (!w.arena)
        return api_error_no_memory(c);
    value_arena_count(w.arena, memory);
    bool good = find_form(request, &f, c), parallel = true;
    w.form.answer.kind = f.kind;
    if (prompt) {
        w.form.format = text_model_chat_format(m->text);
        w.form.prompt_end = (struct span){(const uint8_t *)prompt->end, prompt->end_size};
        good = good && api_truth(request, "parallel_tool_calls", true, &parallel, c) &&
               take_reasoning(&w, request, c) && take_tools(&w, json_object_get(request, "tools"), c) &&
               take_choice(&w, request, c);
        w.form.parallel = parallel && w.form.choice != CHAT_TOOLS_NAMED; /* one call of that tool is meant */
    }
    good = good && make_grammar(&w, m, request, &f, grammar, notes, c);
    *form = (struct chat_form){
        .format = w.form.format, .split_reasoning = w.form.split_reasoning, .prompt_end = w.form.prompt_end};
    release_work(&w);
    return good;
}

bool answer_form_check(const struct requested_model *m, const json_t *request, const struct prompt *prompt,
    struct byte_budget *memory, struct api_error *c)
{
    struct grammar *grammar = NULL;
    struct chat_form form = {0};
    struct json_notes notes = {0};
    bool good = answer_form_grammar(m, request, prompt, memory, &grammar, &form, &notes, c);
    grammar_drop(grammar);
    return good;
}
