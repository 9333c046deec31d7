/* responses_input.c - from the items of a Responses request to the messages of a chat.
 *
 * An answer of the model is several items: reasoning, messages, calls. They become one message of the assistant, up to the
 * next item that is not of the model.
 */
#include "responses_private.h"

#include <stdio.h>
#include <string.h>

#define TEXT_MAX ((size_t)64 << 20)

/* What is made on the way. */
struct input {
    struct chat_builder builder;
    struct strbuf text;
    struct strbuf system; /* the instructions, and what other texts of the system come before all messages */
    bool talks; /* a message of another role has come */
};

/* ---- texts ---- */

/* The text of a part: of a message, of reasoning, or of what a tool gave back. */
static const json_t *part_text(const json_t *part)
{
    static const char *const types[] = {
        "input_text", "output_text", "text", "reasoning_text", "summary_text"};
    const json_t *type = json_object_get(part, "type");
    if (translate_is_word(type, "refusal"))
        return json_object_get(part, "refusal");
    for (size_t i = 0; i < sizeof(types) / sizeof(types[0]); i++)
        if (translate_is_word(type, types[i]))
            return json_object_get(part, "text");
    return NULL;
}

static bool refuse_part(const json_t *part, const char *param, struct api_error *c)
{
    char shown[64];
    const json_t *type = json_object_get(part, "type");
    text_escape(shown, sizeof(shown), api_text(type));
    return json_is_string(type)
               ? api_error_status(c, 400, "unsupported_content", param,
                     "'%s' is a part of type '%s', which this server does not support", param, shown)
               : api_error_bad(c, param, "'%s' must be a part with a 'type'", param);
}

/* Appends a content: a string, or a list of parts with text. Parts of the client are joined by newlines, those of the model
 * are not. */
static bool add_content(
    struct strbuf *out, const json_t *content, const char *between, const char *param, struct api_error *c)
{
    char at[96];
    if (json_is_string(content)) {
        strbuf_add(out, api_text(content));
        return true;
    }
    if (!json_is_array(content))
        return api_error_bad(c, param, "'%s' must be a string or a list of parts", param);
    for (size_t i = 0; i < json_array_size(content); i++) {
        const json_t *part = json_array_get(content, i), *text = part_text(part);
        snprintf(at, sizeof(at), "%.60s[%zu]", param, i);
        if (!text)
            return refuse_part(part, at, c);
        if (!json_is_string(text))
            return api_error_bad(c, at, "'%s' must have a text that is a string", at);
        strbuf_text(out, i ? between : "");
        strbuf_add(out, api_text(text));
    }
    return true;
}

/* ---- items ---- */

/* Texts of the system at the beginning become one message: few templates take several. */
static void end_system(struct input *in)
{
    if (!in->talks && in->system.size > 0)
        chat_builder_message(&in->builder, "system", strbuf_span(&in->system));
    in->talks = true;
}

static void add_system(struct input *in, const char *role, struct span text)
{
    if (in->talks) {
        chat_builder_message(&in->builder, role, text);
        return;
    }
    if (in->system.size > 0 && text.size > 0)
        strbuf_text(&in->system, "\n\n");
    strbuf_add(&in->system, text);
}

static bool add_message(struct input *in, const json_t *item, const char *param, struct api_error *c)
{
    char at[96];
    const json_t *role = json_object_get(item, "role"), *content = json_object_get(item, "content");
    bool model = translate_is_word(role, "assistant");
    snprintf(at, sizeof(at), "%.80s.content", param);
    strbuf_cut(&in->text, 0);
    if (!add_content(&in->text, content, model ? "" : "\n", at, c))
        return false;
    if (translate_is_word(role, "system") || translate_is_word(role, "developer")) {
        add_system(in, translate_is_word(role, "system") ? "system" : "developer", strbuf_span(&in->text));
        return true;
    }
    if (!model && !translate_is_word(role, "user"))
        return api_error_bad(c, param, "'%s.role' must be user, assistant, system or developer", param);
    end_system(in);
    if (!model) {
        chat_builder_message(&in->builder, "user", strbuf_span(&in->text));
        return true;
    }
    if (chat_builder_has_answer(&in->builder) && in->builder.text.size > 0)
        chat_builder_say(&in->builder, span_of("\n\n"));
    chat_builder_say(&in->builder, strbuf_span(&in->text));
    return true;
}

static bool need_string(const json_t *item, const char *name, const char *param, struct api_error *c)
{
    return json_is_string(json_object_get(item, name)) ||
           api_error_bad(c, param, "'%s.%s' must be a string", param, name);
}

/* A custom tool has a text in place of arguments. */
static bool add_call(struct input *in, const json_t *item, const char *param, struct api_error *c)
{
    bool custom = translate_is_word(json_object_get(item, "type"), "custom_tool_call");
    const char *name = custom ? "input" : "arguments";
    json_t *arguments = json_object_get(item, name);
    if (!need_string(item, "call_id", param, c) || !need_string(item, "name", param, c) ||
        !need_string(item, name, param, c))
        return false;
    end_system(in);
    json_t *wrapped = custom ? json_pack("{s:O}", "input", arguments) : json_incref(arguments);
    chat_builder_call(&in->builder, json_object_get(item, "call_id"), json_object_get(item, "name"), wrapped);
    json_decref(wrapped);
    return true;
}

static bool add_result(struct input *in, const json_t *item, const char *param, struct api_error *c)
{
    char at[96];
    snprintf(at, sizeof(at), "%.80s.output", param);
    strbuf_cut(&in->text, 0);
    if (!need_string(item, "call_id", param, c) ||
        !add_content(&in->text, json_object_get(item, "output"), "\n", at, c))
        return false;
    end_system(in);
    chat_builder_result(&in->builder, json_object_get(item, "call_id"), strbuf_span(&in->text));
    return true;
}

/* Reasoning that comes after text or calls begins another answer. */
static bool add_reasoning(struct input *in, const json_t *item, const char *param, struct api_error *c)
{
    char at[96];
    const json_t *content = json_object_get(item, "content"), *summary = json_object_get(item, "summary");
    bool whole = json_array_size(content) > 0;
    snprintf(at, sizeof(at), "%.80s.%s", param, whole ? "content" : "summary");
    strbuf_cut(&in->text, 0);
    if ((whole || !api_is_absent(summary)) && !add_content(&in->text, whole ? content : summary, "\n", at, c))
        return false;
    end_system(in);
    if (chat_builder_has_answer(&in->builder))
        chat_builder_end_turn(&in->builder);
    if (in->text.size > 0)
        chat_builder_reason(&in->builder, strbuf_span(&in->text));
    return true;
}

/* What other servers did between: nothing that the model has to see again. */
static bool add_nothing(struct input *in, const json_t *item, const char *param, struct api_error *c)
{
    (void)in, (void)item, (void)param, (void)c;
    return true;
}

static bool refuse_reference(struct input *in, const json_t *item, const char *param, struct api_error *c)
{
    (void)in, (void)item;
    return api_error_status(c, 400, "unsupported_content", param,
        "'%s' is a reference to an item that this server has not: send the item itself", param);
}

static const struct {
    const char *type;
    bool (*add)(struct input *in, const json_t *item, const char *param, struct api_error *c);
} kinds[] = {
    {"message", add_message},
    {"function_call", add_call},
    {"function_call_output", add_result},
    {"custom_tool_call", add_call},
    {"custom_tool_call_output", add_result},
    {"reasoning", add_reasoning},
    {"web_search_call", add_nothing},
    {"item_reference", refuse_reference},
};

static bool add_item(struct input *in, const json_t *item, size_t index, struct api_error *c)
{
    char param[96], shown[64];
    const json_t *type = json_object_get(item, "type");
    snprintf(param, sizeof(param), "input[%zu]", index);
    if (!json_is_object(item))
        return api_error_bad(c, param, "'%s' must be an object", param);
    if (api_is_absent(type))
        return add_message(in, item, param, c);
    for (size_t i = 0; i < sizeof(kinds) / sizeof(kinds[0]); i++)
        if (translate_is_word(type, kinds[i].type))
            return kinds[i].add(in, item, param, c);
    text_escape(shown, sizeof(shown), api_text(type));
    return api_error_status(c, 400, "unsupported_content", param,
        "'%s' is an item of type '%s', which this server does not support", param, shown);
}

/* ---- all of it ---- */

/* Clients probe with an empty input: it is an empty message of the user. */
static bool add_input(struct input *in, const json_t *input, struct api_error *c)
{
    if (!api_is_absent(input) && !json_is_string(input) && !json_is_array(input))
        return api_error_bad(c, "input", "'input' must be a string or a list of items");
    for (size_t i = 0; i < json_array_size(input); i++)
        if (!add_item(in, json_array_get(input, i), i, c))
            return false;
    if (in->talks && !json_is_string(input))
        return true;
    end_system(in);
    chat_builder_message(&in->builder, "user", api_text(input));
    return true;
}

/* An answer that is kept. A call that was cut is left out: its arguments are no JSON. */
static bool add_output(struct input *in, const json_t *output, struct api_error *c)
{
    bool said = false;
    for (size_t i = 0; i < json_array_size(output); i++) {
        const json_t *item = json_array_get(output, i);
        bool cut = translate_is_word(json_object_get(item, "type"), "function_call") &&
                   translate_is_word(json_object_get(item, "status"), "incomplete");
        if (!cut && !add_item(in, item, i, c))
            return false;
        said |= !cut;
    }
    if (said)
        chat_builder_end_turn(&in->builder);
    return true;
}

/* `turns`: the newest first. */
static bool add_turns(struct input *in, const json_t *turns, struct api_error *c)
{
    for (size_t i = json_array_size(turns); i-- > 0;) {
        const json_t *turn = json_array_get(turns, i);
        if (!add_input(in, json_array_get(turn, 0), c) || !add_output(in, json_array_get(turn, 1), c))
            return false;
    }
    return true;
}

bool responses_translate(
    const json_t *request, const json_t *turns, json_t *chat, struct byte_budget *memory, struct api_error *c)
{
    struct input in = {0};
    const json_t *instructions = json_object_get(request, "instructions");
    if (!api_is_absent(instructions) && !json_is_string(instructions))
        return api_error_bad(c, "instructions", "'instructions' must be a string");
    chat_builder_init(&in.builder, memory);
    strbuf_init(&in.text, TEXT_MAX);
    strbuf_init(&in.system, TEXT_MAX);
    in.text.budget = in.system.budget = memory;
    add_system(&in, "system", api_text(instructions));
    bool good = add_turns(&in, turns, c) && add_input(&in, json_object_get(request, "input"), c);
    in.builder.failed |= in.text.failed || in.system.failed;
    good = good && chat_builder_end(&in.builder, chat, c);
    strbuf_release(&in.text);
    strbuf_release(&in.system);
    chat_builder_release(&in.builder);
    return good;
}
