/* chat.c - POST /v1/chat/completions: from messages to a prompt, by the model's own template.
 *
 * Of what the template writes, its own words may become special tokens and what clients wrote may not: a
 * message cannot forge a turn.
 */
#include "berth/server/api.h"

#include "berth/server/openai/json_value.h"
#include "openai_private.h"

#include <stdio.h>
#include <string.h>
#include <time.h>

#define ARENA_MAX ((size_t)256 << 20)

static const char *const roles[] = {
    "system", "developer", "user", "assistant", "tool", "function", "ipython", "model"};

/* ---- the messages ---- */

/* Texts of a list of parts, with a newline between, as most servers put them together for templates that know
 * nothing of parts. */
static json_t *join_parts(const json_t *parts, size_t index, struct api_error *c)
{
    char param[96];
    struct strbuf text;
    strbuf_init(&text, TOKENIZER_TEXT_MAX);
    for (size_t i = 0; i < json_array_size(parts); i++) {
        const json_t *part = json_array_get(parts, i), *value = json_object_get(part, "text");
        const char *type = json_string_value(json_object_get(part, "type"));
        snprintf(param, sizeof(param), "messages[%zu].content[%zu]", index, i);
        if (!type || strcmp(type, "text") != 0)
            api_error_status(c, 400, type ? "unsupported_content" : NULL, param,
                "'%s' must be a part of type 'text': this server understands no other", param);
        else if (!json_is_string(value))
            api_error_bad(c, param, "'%s.text' must be a string", param);
        if (c->status) {
            strbuf_release(&text);
            return NULL;
        }
        strbuf_text(&text, i ? "\n" : "");
        strbuf_add(
            &text, (struct span){(const uint8_t *)json_string_value(value), json_string_length(value)});
    }
    json_t *joined = text.failed ? NULL : json_stringn(text.text, text.size);
    strbuf_release(&text);
    if (!joined)
        api_error_bad(c, "messages", "'messages[%zu].content' is too long", index);
    return joined;
}

static bool check_role(const json_t *message, size_t index, struct api_error *c)
{
    char param[96];
    const char *role = json_string_value(json_object_get(message, "role"));
    snprintf(param, sizeof(param), "messages[%zu].role", index);
    for (size_t i = 0; role && i < sizeof(roles) / sizeof(roles[0]); i++)
        if (strcmp(role, roles[i]) == 0)
            return true;
    return api_error_bad(
        c, param, "'%s' must be one of system, developer, user, assistant, tool and function", param);
}

/* Makes a message's content a string, or null where the assistant has called a tool instead. */
static bool settle_content(json_t *message, size_t index, struct api_error *c)
{
    char param[96];
    json_t *content = json_object_get(message, "content");
    snprintf(param, sizeof(param), "messages[%zu].content", index);
    if (json_is_string(content))
        return true;
    if (json_is_array(content)) {
        json_t *joined = join_parts(content, index, c);
        return joined && json_object_set_new(message, "content", joined) == 0;
    }
    bool calls = json_object_get(message, "tool_calls") || json_object_get(message, "function_call");
    if ((!content || json_is_null(content)) && calls)
        return true;
    return api_error_bad(c, param, "'%s' must be a string or a list of parts", param);
}

static bool settle_messages(const json_t *request, struct api_error *c)
{
    json_t *messages = json_object_get(request, "messages");
    if (!json_is_array(messages) || json_array_size(messages) == 0)
        return api_error_bad(c, "messages", "'messages' must be a list with at least one message");
    for (size_t i = 0; i < json_array_size(messages); i++) {
        char param[96];
        json_t *message = json_array_get(messages, i);
        snprintf(param, sizeof(param), "messages[%zu]", i);
        if (!json_is_object(message))
            return api_error_bad(c, param, "'%s' must be an object", param);
        if (!check_role(message, i, c) || !settle_content(message, i, c))
            return false;
    }
    return true;
}

/* What of the request templates are to see under another name, or not at all. */
static bool settle_variables(json_t *request, struct api_error *c)
{
    json_t *effort = json_object_get(request, "reasoning_effort");
    json_t *kwargs = json_object_get(request, "chat_template_kwargs");
    /* A list without tools is none; many templates would write of tools all the same. */
    json_object_del(request, "tools");
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
    return json_object_set(kwargs, "reasoning_effort", effort) == 0 ||
           api_error_status(c, 500, NULL, NULL, "no memory for the request");
}

/* ---- the prompt ---- */

static bool add_rendered(
    struct prompt *p, const struct text_model *t, const struct template_text *text, struct api_error *c)
{
    struct error err = {0};
    return prompt_check_size(t, text->size, "messages", c) &&
           (text_model_chat_ids(t, text, &p->ids, &err) || api_error_bad(c, "messages", "%s", err.text));
}

bool prompt_of_chat(struct prompt *p, const struct text_model *t, json_t *request, struct api_error *c)
{
    struct error err = {0};
    struct value variables;
    struct template_text text = {0};
    const struct chat_template *chat = text_model_chat(t);
    if (!settle_messages(request, c) || !settle_variables(request, c))
        return false;
    struct value_arena *arena = value_arena_new(ARENA_MAX);
    bool good = arena && json_chat_variables(arena, request, chat->bos, chat->eos, &variables, &err) &&
                template_render(chat->parsed, variables, (int64_t)time(NULL), NULL, &text, &err);
    if (good)
        good = add_rendered(p, t, &text, c);
    else
        api_error_bad(c, "messages", "%s", arena ? err.text : "no memory for the request");
    template_text_release(&text);
    value_arena_free(arena);
    return good;
}

/* ---- the route ---- */

static bool answer(struct server *s, const struct http_request *q, struct reply *r, json_t *request,
    struct requested_model *m, struct completion_params *w, struct api_error *c)
{
    struct prompt prompt = {0};
    bool good = requested_model_find(m, s, request, NEEDS_DECODER | NEEDS_TOKENIZER | NEEDS_CHAT, c) &&
                completion_params_for_model(w, text_model_n_vocab(m->text), c) &&
                prompt_of_chat(&prompt, m->text, request, c) &&
                completion_start(s, q, r, FOR_CHAT, w, m, &prompt, 1, c);
    prompt_release(&prompt);
    return good;
}

void api_chat(struct server *s, const struct http_request *q, struct reply *r)
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
