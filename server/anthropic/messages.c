/* messages.c - from Anthropic's system text and messages of blocks to OpenAI's messages.
 *
 * A message of the user becomes one message for each result of a tool and one for each stretch of text. A message of the
 * assistant stays one: its thinking, its text and its calls.
 */
#include "anthropic_private.h"

#include <stdio.h>
#include <string.h>
#include <strings.h>

#define TEXT_MAX ((size_t)64 << 20)
#define BILLING "x-anthropic-billing-header:"

/* ---- texts ---- */

static bool refuse_block(const json_t *type, const char *param, struct api_error *c)
{
    char shown[64];
    text_escape(shown, sizeof(shown), api_text(type));
    return json_is_string(type)
               ? api_error_status(c, 400, "unsupported_content", param,
                     "'%s' is a block of type '%s', which this server does not support here", param, shown)
               : api_error_bad(c, param, "'%s' must be a block with a 'type'", param);
}

/* The text of a block that is one: of type text, or a document of plain text. */
static bool block_text(const json_t *block, const char *param, const json_t **text, struct api_error *c)
{
    const json_t *type = json_object_get(block, "type"), *source = json_object_get(block, "source");
    *text = json_object_get(block, "text");
    if (translate_is_word(type, "document") && translate_is_word(json_object_get(source, "type"), "text"))
        *text = json_object_get(source, "data");
    else if (!translate_is_word(type, "text"))
        return refuse_block(type, param, c);
    return json_is_string(*text) || api_error_bad(c, param, "'%s' must have a text that is a string", param);
}

static void add_line(struct strbuf *out, struct span text)
{
    if (out->size > 0 && text.size > 0)
        strbuf_text(out, "\n");
    strbuf_add(out, text);
}

/* A content of text alone: a string, or a list of blocks, which are joined by newlines. */
static bool add_content(struct strbuf *out, const json_t *content, const char *param, struct api_error *c)
{
    char at[96];
    const json_t *text;
    if (json_is_string(content)) {
        add_line(out, api_text(content));
        return true;
    }
    if (!json_is_array(content))
        return api_error_bad(c, param, "'%s' must be a string or a list of blocks", param);
    for (size_t i = 0; i < json_array_size(content); i++) {
        snprintf(at, sizeof(at), "%.60s[%zu]", param, i);
        if (!block_text(json_array_get(content, i), at, &text, c))
            return false;
        add_line(out, api_text(text));
    }
    return true;
}

/* Claude Code begins its system text with a line for billing, which differs in each request: with it, no prompt would
 * begin as an earlier one did. It tells the model nothing, and is left out. */
static struct span without_billing(struct span text)
{
    size_t size = strlen(BILLING);
    if (text.size < size || memcmp(text.at, BILLING, size) != 0)
        return text;
    const uint8_t *end = memchr(text.at, '\n', text.size);
    size_t line = end ? (size_t)(end - text.at) + 1 : text.size;
    return (struct span){text.at + line, text.size - line};
}

/* The system text: a string or a list of blocks. */
static bool add_system(
    struct chat_builder *b, struct strbuf *room, const json_t *system, const char *param, struct api_error *c)
{
    char at[96];
    const json_t *text;
    strbuf_cut(room, 0);
    if (json_is_string(system))
        add_line(room, without_billing(api_text(system)));
    else if (!json_is_array(system))
        return api_error_bad(c, param, "'%s' must be a string or a list of blocks", param);
    for (size_t i = 0; i < json_array_size(system); i++) {
        snprintf(at, sizeof(at), "%.60s[%zu]", param, i);
        if (!block_text(json_array_get(system, i), at, &text, c))
            return false;
        add_line(room, without_billing(api_text(text)));
    }
    if (room->size > 0)
        chat_builder_message(b, "system", strbuf_span(room));
    return true;
}

/* ---- messages ---- */

static bool need_string(const json_t *block, const char *name, const char *param, struct api_error *c)
{
    return json_is_string(json_object_get(block, name)) ||
           api_error_bad(c, param, "'%s.%s' must be a string", param, name);
}

/* Templates have no place for the mark of a failure, so the text says it. */
static bool add_result(
    struct chat_builder *b, struct strbuf *room, const json_t *block, const char *param, struct api_error *c)
{
    char at[96];
    const json_t *content = json_object_get(block, "content");
    bool failed = json_is_true(json_object_get(block, "is_error"));
    snprintf(at, sizeof(at), "%.80s.content", param);
    strbuf_cut(room, 0);
    if (!need_string(block, "tool_use_id", param, c))
        return false;
    if (content && !json_is_null(content) && !add_content(room, content, at, c))
        return false;
    if (failed && strncasecmp(room->text, "error", 5) != 0) {
        struct strbuf said;
        strbuf_init(&said, TEXT_MAX);
        said.budget = room->budget;
        strbuf_text(&said, "Error: ");
        strbuf_add(&said, strbuf_span(room));
        b->failed |= said.failed;
        chat_builder_result(b, json_object_get(block, "tool_use_id"), strbuf_span(&said));
        strbuf_release(&said);
    } else {
        chat_builder_result(b, json_object_get(block, "tool_use_id"), strbuf_span(room));
    }
    return true;
}

static bool add_user(struct chat_builder *b, struct strbuf *text, struct strbuf *room, const json_t *content,
    const char *param, struct api_error *c)
{
    char at[96];
    bool told = false;
    strbuf_cut(text, 0);
    if (!json_is_array(content) && !add_content(text, content, param, c))
        return false;
    for (size_t i = 0; i < json_array_size(content); i++) {
        const json_t *block = json_array_get(content, i), *said;
        snprintf(at, sizeof(at), "%.60s[%zu]", param, i);
        if (!translate_is_word(json_object_get(block, "type"), "tool_result")) {
            if (!block_text(block, at, &said, c))
                return false;
            add_line(text, api_text(said));
            continue;
        }
        if (text->size > 0)
            chat_builder_message(b, "user", strbuf_span(text));
        strbuf_cut(text, 0);
        told = true;
        if (!add_result(b, room, block, at, c))
            return false;
    }
    if (text->size > 0 || !told)
        chat_builder_message(b, "user", strbuf_span(text));
    return true;
}

static bool add_call(struct chat_builder *b, const json_t *block, const char *param, struct api_error *c)
{
    json_t *input = json_object_get(block, "input");
    if (!need_string(block, "id", param, c) || !need_string(block, "name", param, c))
        return false;
    if (!json_is_object(input))
        return api_error_bad(c, param, "'%s.input' must be an object", param);
    chat_builder_call(b, json_object_get(block, "id"), json_object_get(block, "name"), input);
    return true;
}

static bool add_assistant_block(
    struct chat_builder *b, const json_t *block, const char *param, struct api_error *c)
{
    const json_t *type = json_object_get(block, "type"), *text;
    if (translate_is_word(type, "tool_use"))
        return add_call(b, block, param, c);
    if (translate_is_word(type, "redacted_thinking"))
        return true;
    if (translate_is_word(type, "thinking")) {
        if (!need_string(block, "thinking", param, c))
            return false;
        chat_builder_reason(b, api_text(json_object_get(block, "thinking")));
        return true;
    }
    if (!block_text(block, param, &text, c))
        return false;
    chat_builder_say(b, api_text(text));
    return true;
}

static bool add_assistant(
    struct chat_builder *b, const json_t *content, const char *param, struct api_error *c)
{
    char at[96];
    if (json_is_string(content))
        chat_builder_say(b, api_text(content));
    else if (!json_is_array(content))
        return api_error_bad(c, param, "'%s' must be a string or a list of blocks", param);
    for (size_t i = 0; i < json_array_size(content); i++) {
        snprintf(at, sizeof(at), "%.60s[%zu]", param, i);
        if (!add_assistant_block(b, json_array_get(content, i), at, c))
            return false;
    }
    chat_builder_end_turn(b);
    return true;
}

static bool add_message(
    struct chat_builder *b, struct strbuf room[2], const json_t *message, size_t index, struct api_error *c)
{
    char param[96];
    const json_t *role = json_object_get(message, "role"), *content = json_object_get(message, "content");
    snprintf(param, sizeof(param), "messages[%zu].content", index);
    if (translate_is_word(role, "user"))
        return add_user(b, &room[0], &room[1], content, param, c);
    if (translate_is_word(role, "assistant"))
        return add_assistant(b, content, param, c);
    if (translate_is_word(role, "system"))
        return add_system(b, &room[0], content, param, c);
    snprintf(param, sizeof(param), "messages[%zu].role", index);
    return api_error_bad(c, param, "'%s' must be user or assistant", param);
}

/* A last message of the assistant is the beginning of the answer. */
static bool settle_prefill(const json_t *messages, json_t *chat, struct api_error *c)
{
    const json_t *last = json_array_get(messages, json_array_size(messages) - 1);
    if (!translate_is_word(json_object_get(last, "role"), "assistant") ||
        json_object_get(last, "tool_calls") || json_string_length(json_object_get(last, "content")) == 0)
        return true;
    return json_object_set_new(chat, "continue_final_message", json_true()) == 0 || api_error_no_memory(c);
}

bool messages_translate(const json_t *request, json_t *chat, struct byte_budget *memory, struct api_error *c)
{
    struct chat_builder b;
    struct strbuf room[2];
    const json_t *messages = json_object_get(request, "messages"),
                 *system = json_object_get(request, "system");
    if (!json_is_array(messages) || json_array_size(messages) == 0)
        return api_error_bad(c, "messages", "'messages' must be a list with at least one message");
    chat_builder_init(&b, memory);
    for (size_t i = 0; i < 2; i++) {
        strbuf_init(&room[i], TEXT_MAX);
        room[i].budget = memory;
    }
    bool good = !system || json_is_null(system) || add_system(&b, &room[0], system, "system", c);
    for (size_t i = 0; good && i < json_array_size(messages); i++) {
        good = add_message(&b, room, json_array_get(messages, i), i, c);
        b.failed |= room[0].failed || room[1].failed;
    }
    good =
        good && chat_builder_end(&b, chat, c) && settle_prefill(json_object_get(chat, "messages"), chat, c);
    strbuf_release(&room[0]);
    strbuf_release(&room[1]);
    chat_builder_release(&b);
    return good;
}
