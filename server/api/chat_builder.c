/* chat_builder.c - puts OpenAI's messages together from the messages, blocks and items of other dialects. */
#include "berth/server/api/translate.h"

#include <string.h>

#define TEXT_MAX ((size_t)64 << 20)

static json_t *string_of(struct span text)
{
    return json_stringn(text.size ? (const char *)text.at : "", text.size);
}

void chat_builder_init(struct chat_builder *b, struct byte_budget *memory)
{
    *b = (struct chat_builder){.messages = json_array(), .names = json_object()};
    strbuf_init(&b->text, TEXT_MAX);
    strbuf_init(&b->reasoning, TEXT_MAX);
    b->text.budget = b->reasoning.budget = memory;
}

void chat_builder_release(struct chat_builder *b)
{
    json_decref(b->messages);
    json_decref(b->names);
    json_decref(b->calls);
    strbuf_release(&b->text);
    strbuf_release(&b->reasoning);
}

static void append(struct chat_builder *b, json_t *message)
{
    b->failed |= json_array_append_new(b->messages, message) != 0;
}

void chat_builder_end_turn(struct chat_builder *b)
{
    if (!b->role)
        return;
    json_t *message = json_pack("{s:s, s:o}", "role", b->role, "content", string_of(strbuf_span(&b->text)));
    if (b->reasoning.size > 0)
        b->failed |=
            json_object_set_new(message, "reasoning_content", string_of(strbuf_span(&b->reasoning))) != 0;
    if (b->calls)
        b->failed |= json_object_set_new(message, "tool_calls", b->calls) != 0;
    b->calls = NULL;
    append(b, message);
    b->failed |= b->text.failed || b->reasoning.failed;
    strbuf_cut(&b->text, 0);
    strbuf_cut(&b->reasoning, 0);
    b->role = NULL;
}

/* Goes on with a message of this role, or begins one. */
static void begin(struct chat_builder *b, const char *role)
{
    if (b->role && strcmp(b->role, role) != 0)
        chat_builder_end_turn(b);
    b->role = role;
}

void chat_builder_message(struct chat_builder *b, const char *role, struct span text)
{
    if (strcmp(role, "user") != 0)
        chat_builder_end_turn(b);
    begin(b, role);
    if (b->text.size > 0 && text.size > 0)
        strbuf_text(&b->text, "\n\n");
    strbuf_add(&b->text, text);
    if (strcmp(role, "user") != 0)
        chat_builder_end_turn(b);
}

void chat_builder_say(struct chat_builder *b, struct span text)
{
    begin(b, "assistant");
    strbuf_add(&b->text, text);
}

void chat_builder_reason(struct chat_builder *b, struct span text)
{
    begin(b, "assistant");
    strbuf_add(&b->reasoning, text);
}

bool chat_builder_has_answer(const struct chat_builder *b)
{
    return b->role && strcmp(b->role, "assistant") == 0 && (b->text.size > 0 || b->calls);
}

void chat_builder_call(struct chat_builder *b, const json_t *id, const json_t *name, json_t *arguments)
{
    const char *key = json_string_value(id);
    json_t *shown = json_incref((json_t *)(uintptr_t)name);
    begin(b, "assistant");
    if (!b->calls)
        b->calls = json_array();
    b->failed |= json_object_set(b->names, key, shown) != 0;
    b->failed |=
        json_array_append_new(b->calls, json_pack("{s:s, s:s, s:{s:o, s:O}}", "id", key, "type", "function",
                                            "function", "name", shown, "arguments", arguments)) != 0;
}

void chat_builder_result(struct chat_builder *b, const json_t *id, struct span text)
{
    const char *key = json_string_value(id);
    json_t *name = json_object_get(b->names, key);
    chat_builder_end_turn(b);
    append(b, json_pack("{s:s, s:s, s:O*, s:o}", "role", "tool", "tool_call_id", key, "name", name, "content",
                  string_of(text)));
}

bool chat_builder_end(struct chat_builder *b, json_t *request, struct api_error *c)
{
    chat_builder_end_turn(b);
    if (b->failed || json_object_set(request, "messages", b->messages) != 0)
        return api_error_no_memory(c);
    return true;
}
