/* chat.c - POST /v1/chat/completions: from messages to a prompt, by the model's own template.
 *
 * Text that the template writes may become special tokens, text of clients may not: a message cannot forge a turn.
 */
#include "berth/base/log.h"
#include "berth/engine/template/chat.h"
#include "berth/server/openai/json_value.h"
#include "openai_private.h"

#include <stdio.h>
#include <string.h>
#include <time.h>

#define ARENA_MAX ((size_t)256 << 20)

static const char *const roles[] = {
    "system", "developer", "user", "assistant", "tool", "function", "ipython", "model"};

/* A string may hold U+0000, so its length counts. */
static bool is_word(const json_t *value, const char *word)
{
    return json_is_string(value) && json_string_length(value) == strlen(word) &&
           memcmp(json_string_value(value), word, strlen(word)) == 0;
}

/* ---- the messages ---- */

static bool check_parts(const json_t *parts, size_t index, struct api_error *c)
{
    char param[96];
    size_t size = 0;
    for (size_t i = 0; i < json_array_size(parts); i++) {
        const json_t *part = json_array_get(parts, i), *text = json_object_get(part, "text");
        const json_t *type = json_object_get(part, "type");
        snprintf(param, sizeof(param), "messages[%zu].content[%zu]", index, i);
        if (!is_word(type, "text"))
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
        if (is_word(role, roles[i]))
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

static bool check_messages(const json_t *request, struct api_error *c)
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
    return (json_is_object(function) && json_is_string(json_object_get(function, "name"))) ||
           api_error_bad(c, param, "'%s' must be an object with a string 'name'", param);
}

static bool check_tools(const json_t *tools, struct api_error *c)
{
    if (!json_is_array(tools))
        return api_error_bad(c, "tools", "'tools' must be a list of tools");
    for (size_t i = 0; i < json_array_size(tools); i++) {
        char param[96];
        const json_t *tool = json_array_get(tools, i);
        snprintf(param, sizeof(param), "tools[%zu].type", i);
        if (!is_word(json_object_get(tool, "type"), "function"))
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
static bool settle_tools(json_t *request, struct api_error *c)
{
    const json_t *tools = json_object_get(request, "tools"),
                 *functions = json_object_get(request, "functions");
    if (!is_none(tools) && !check_tools(tools, c))
        return false;
    if (is_none(tools) && !is_none(functions) && !tools_of_functions(request, functions, c))
        return false;
    bool refused =
        is_word(json_object_get(request, is_none(tools) ? "function_call" : "tool_choice"), "none");
    if (refused || is_none(json_object_get(request, "tools")))
        json_object_del(request, "tools");
    return true;
}

/* Templates take `reasoning_effort` as a variable. */
static bool settle_effort(json_t *request, struct api_error *c)
{
    json_t *effort = json_object_get(request, "reasoning_effort");
    json_t *kwargs = json_object_get(request, "chat_template_kwargs");
    if (!effort || json_is_null(effort))
        return true;
    if (!json_is_string(effort))
        return api_error_bad(c, "reasoning_effort", "'reasoning_effort' must be a string");
    if (!json_is_object(kwargs)) {
        if (kwargs && !json_is_null(kwargs))
            return api_error_bad(c, "chat_template_kwargs", "'chat_template_kwargs' must be an object");
        kwargs = json_object();
        json_object_set_new(request, "chat_template_kwargs", kwargs);
    }
    return json_object_set(kwargs, "reasoning_effort", effort) == 0 || api_error_no_memory(c);
}

/* ---- the prompt ---- */

static bool add_rendered(
    struct prompt *p, struct text_model *t, const struct template_text *text, struct api_error *c)
{
    struct error err = {0};
    return prompt_check_size(t, text->size, "messages", c) &&
           (text_model_chat_ids(t, text, &p->ids, &err) || prompt_failed(p, "messages", &err, c));
}

static bool refuse(const struct chat_prompt *chat, const struct error *err, struct api_error *c)
{
    char param[96] = "messages";
    if (chat->refused != CHAT_NO_MESSAGE)
        snprintf(param, sizeof(param), "messages[%zu]", chat->refused);
    return api_error_of(c, param, err);
}

static void tell_moved(const struct model *m)
{
    log_line(LOG_WARN,
        "the model's chat template leaves system messages out; they are put before the first user's text",
        LOG_FIELDS(log_text("model", m->id)));
}

bool prompt_of_chat(struct prompt *p, const struct requested_model *m, json_t *request, struct api_error *c)
{
    struct error err = {0};
    struct value variables;
    struct chat_prompt chat = {.refused = CHAT_NO_MESSAGE};
    const struct chat_template *template = text_model_chat(m->text);
    if (!check_messages(request, c) || !settle_tools(request, c) || !settle_effort(request, c))
        return false;
    struct value_arena *arena = value_arena_new(ARENA_MAX);
    if (arena)
        value_arena_count(arena, p->memory);
    bool good = arena ? json_chat_variables(arena, request, template->bos, template->eos, &variables, &err)
                      : error_no_memory(&err, "the request");
    good = good && chat_render(template, arena, variables, (int64_t)time(NULL), &chat, &err);
    if (good && chat.moved_first)
        tell_moved(m->model);
    good = good ? add_rendered(p, m->text, &chat.text, c) : refuse(&chat, &err, c);
    template_text_release(&chat.text);
    value_arena_free(arena);
    return good;
}

/* ---- the route ---- */

static bool answer(struct server *s, const struct http_request *q, struct reply *r, json_t *request,
    struct requested_model *m, struct completion_params *w, struct api_error *c)
{
    struct prompt prompt = prompt_for(s, q);
    bool good = requested_model_find(m, s, request, NEEDS_DECODER | NEEDS_TOKENIZER | NEEDS_CHAT, c) &&
                completion_params_for_model(w, text_model_n_vocab(m->text), c) &&
                prompt_of_chat(&prompt, m, request, c) &&
                completion_start(s, q, r, FOR_CHAT, w, m, &prompt, 1, c);
    prompt_release(&prompt);
    return good;
}

static void run(struct server *s, const struct http_request *q, struct reply *r)
{
    struct api_error c = {0};
    struct completion_params w = {0};
    struct requested_model m = {0};
    json_t *request = openai_request(q, &c);
    if (!request || !completion_params_read(&w, request, FOR_CHAT, &c) ||
        !answer(s, q, r, request, &m, &w, &c))
        api_error_reply(&c, r);
    completion_params_release(&w);
    requested_model_release(&m, s);
    json_decref(request);
}

void openai_chat(struct server *s, const struct http_request *q, struct reply *r)
{
    openai_run(s, q, r, run);
}
