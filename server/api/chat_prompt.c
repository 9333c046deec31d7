/* chat_prompt.c - from the messages of a chat to a prompt, by the model's own template.
 *
 * Text that the template writes may become special tokens, text of clients may not: a message cannot forge a turn.
 */
#include "chat_private.h"

#include "berth/base/log.h"
#include "berth/engine/template/chat.h"
#include "berth/server/api/json_value.h"

#include <stdio.h>
#include <string.h>
#include <time.h>

#define ARENA_MAX ((size_t)256 << 20)

/* ---- what the template gets as variables ---- */

/* The object of variables; NULL with the error. */
static json_t *template_kwargs(json_t *request, struct api_error *c)
{
    json_t *kwargs = json_object_get(request, "chat_template_kwargs");
    if (json_is_object(kwargs))
        return kwargs;
    if (kwargs && !json_is_null(kwargs)) {
        api_error_bad(c, "chat_template_kwargs", "'chat_template_kwargs' must be an object");
        return NULL;
    }
    kwargs = json_object();
    if (json_object_set_new(request, "chat_template_kwargs", kwargs) == 0)
        return kwargs;
    api_error_no_memory(c);
    return NULL;
}

/* A field of the request that templates take as a variable: its names, the least of them wins. */
static bool settle_variable(json_t *request, const char *field, const char *variable, struct api_error *c)
{
    json_t *value = json_object_get(request, field);
    if (!value || json_is_null(value))
        return true;
    json_t *kwargs = template_kwargs(request, c);
    return kwargs && (json_object_set(kwargs, variable, value) == 0 || api_error_no_memory(c));
}

/* Sets a member that the request does not have. */
static bool set_if_absent(json_t *request, const char *name, json_t *value, struct api_error *c)
{
    const json_t *known = json_object_get(request, name);
    if (!value || (known && !json_is_null(known)))
        return true;
    return json_object_set(request, name, value) == 0 || api_error_no_memory(c);
}

bool chat_thinking_settle(json_t *request, struct api_error *c)
{
    json_t *thinking = json_object_get(request, "thinking"), *think = json_object_get(request, "think");
    const json_t *type = json_object_get(thinking, "type");
    if (think && !json_is_null(think) && !json_is_boolean(think))
        return api_error_bad(c, "think", "'think' must be true or false");
    if (json_is_object(thinking)) {
        bool off = value_is_word(type, "disabled");
        if (!off && !value_is_word(type, "enabled") && !value_is_word(type, "adaptive"))
            return api_error_bad(c, "thinking", "'thinking.type' must be enabled, adaptive or disabled");
        return set_if_absent(request, "enable_thinking", off ? json_false() : json_true(), c) &&
               (off ||
                   set_if_absent(request, "reasoning_budget", json_object_get(thinking, "budget_tokens"), c));
    }
    if (thinking && !json_is_null(thinking) && !json_is_boolean(thinking))
        return api_error_bad(c, "thinking", "'thinking' must be an object with a 'type', or true or false");
    return set_if_absent(request, "enable_thinking", json_is_boolean(thinking) ? thinking : NULL, c) &&
           set_if_absent(request, "enable_thinking", json_is_boolean(think) ? think : NULL, c);
}

/* Templates take `reasoning_effort` and `enable_thinking` as variables. An effort of "none" is no thinking. */
static bool settle_reasoning(json_t *request, struct api_error *c)
{
    const json_t *effort = json_object_get(request, "reasoning_effort");
    const json_t *thinks = json_object_get(request, "enable_thinking");
    if (effort && !json_is_null(effort) && !json_is_string(effort))
        return api_error_bad(c, "reasoning_effort", "'reasoning_effort' must be a string");
    if (thinks && !json_is_null(thinks) && !json_is_boolean(thinks))
        return api_error_bad(c, "enable_thinking", "'enable_thinking' must be true or false");
    bool none = value_is_word(effort, "none") && (!thinks || json_is_null(thinks));
    if (none && json_object_set_new(request, "enable_thinking", json_false()) != 0)
        return api_error_no_memory(c);
    return settle_variable(request, "reasoning_effort", "reasoning_effort", c) &&
           settle_variable(request, "enable_thinking", "enable_thinking", c);
}

/* ---- an answer that continues the last message ---- */

/* The last message's text, when the request wants it to be continued; NULL otherwise. */
static bool last_text(json_t *request, const json_t **out, struct api_error *c)
{
    bool continues;
    const json_t *messages = json_object_get(request, "messages");
    const json_t *last = json_array_get(messages, json_array_size(messages) - 1);
    *out = NULL;
    if (!api_truth(request, "continue_final_message", false, &continues, c) || !continues)
        return !c->status;
    if (!value_is_word(json_object_get(last, "role"), "assistant") ||
        !json_is_string(json_object_get(last, "content")))
        return api_error_bad(c, "continue_final_message",
            "'continue_final_message' needs a last message of the assistant whose content is a string");
    *out = json_object_get(last, "content");
    return json_object_set_new(request, "add_generation_prompt", json_false()) == 0 || api_error_no_memory(c);
}

static bool is_white(char byte)
{
    return byte == ' ' || byte == '\n' || byte == '\t' || byte == '\r';
}

/* Cuts a prompt behind the last place of the message's text. Templates may trim it: white space at its ends does not
 * count, and none is left at the end of the prompt. */
static bool cut_behind(struct template_text *prompt, const json_t *message, struct api_error *c)
{
    const char *text = json_string_value(message);
    size_t size = json_string_length(message);
    for (; size > 0 && is_white(text[size - 1]); size--)
        ;
    for (; size > 0 && is_white(text[0]); size--)
        text++;
    for (size_t at = prompt->size; size > 0 && at >= size; at--) {
        if (memcmp(prompt->text + at - size, text, size) != 0)
            continue;
        prompt->size = at;
        return true;
    }
    return api_error_bad(c, "continue_final_message",
        size > 0
            ? "the model's chat template does not show the last message as it is, so that it cannot be continued"
            : "the last message is empty: leave it out to begin an answer");
}

static bool add_rendered(
    struct prompt *p, struct text_model *t, const struct template_text *text, struct api_error *c)
{
    struct error err = {0};
    return prompt_check_size(t, text->size, "messages", c) &&
           (text_model_chat_ids(t, text, &p->ids, &err) || prompt_failed(p, "messages", &err, c));
}

/* ---- the system text of the model ---- */

/* Puts the model's system text before a chat that begins with none, as Ollama does. *added says whether. */
static bool add_system(const struct requested_model *m, json_t *request, size_t *added, struct api_error *c)
{
    struct span text = text_model_defaults(m->text)->system;
    json_t *messages = json_object_get(request, "messages");
    const json_t *role = json_object_get(json_array_get(messages, 0), "role");
    *added = text.size > 0 && !value_is_word(role, "system") && !value_is_word(role, "developer");
    if (!*added)
        return true;
    json_t *message = json_pack("{s:s, s:s%}", "role", "system", "content", (const char *)text.at, text.size);
    return (message && json_array_insert_new(messages, 0, message) == 0) || api_error_no_memory(c);
}

/* ---- the prompt ---- */

/* Messages are counted as the client sent them: `added` are in front of them. */
static bool refuse(const struct chat_prompt *chat, size_t added, const struct error *err, struct api_error *c)
{
    char param[96] = "messages";
    if (chat->refused != CHAT_NO_MESSAGE && chat->refused >= added)
        snprintf(param, sizeof(param), "messages[%zu]", chat->refused - added);
    return api_error_of(c, param, err);
}

static void tell_moved(const struct model *m)
{
    log_line(LOG_WARN,
        "the model's chat template leaves system messages out; they are put before the first user's text",
        LOG_FIELDS(log_text("model", m->id)));
}

static void keep_end(struct prompt *p, struct template_text *text)
{
    p->end_size = text->size < PROMPT_END_MAX ? text->size : PROMPT_END_MAX;
    memcpy(p->end, text->text + text->size - p->end_size, p->end_size);
    if (!p->keeps_text)
        return;
    p->text = text->text;
    p->text_size = text->size;
    text->text = NULL;
}

/* Renders the template for a request that is checked. */
static bool render(struct prompt *p, const struct requested_model *m, json_t *request, const json_t *last,
    size_t added, struct api_error *c)
{
    struct error err = {0};
    struct value variables;
    struct chat_prompt chat = {.refused = CHAT_NO_MESSAGE};
    const struct chat_template *template = text_model_chat(m->text);
    struct value_arena *arena = value_arena_new(ARENA_MAX);
    if (arena)
        value_arena_count(arena, p->memory);
    bool good = arena ? json_chat_variables(arena, request, template->bos, template->eos, &variables, &err)
                      : error_no_memory(&err, "the request");
    good = good && chat_tools_for_template(
                       arena, text_model_chat_format(m->text), template->parsed, &variables, &err);
    good = good && chat_render(template, arena, variables, (int64_t)time(NULL), &chat, &err);
    if (good && chat.moved_first)
        tell_moved(m->model);
    if (!good)
        refuse(&chat, added, &err, c);
    good = good && (!last || cut_behind(&chat.text, last, c)) && add_rendered(p, m->text, &chat.text, c);
    if (good)
        keep_end(p, &chat.text);
    template_text_release(&chat.text);
    value_arena_free(arena);
    return good;
}

bool prompt_of_chat(struct prompt *p, const struct requested_model *m, json_t *request, struct api_error *c)
{
    const json_t *last;
    size_t added;
    return chat_messages_check(request, c) && chat_tools_settle(request, c) &&
           chat_thinking_settle(request, c) && settle_reasoning(request, c) &&
           add_system(m, request, &added, c) && last_text(request, &last, c) &&
           render(p, m, request, last, added, c);
}
