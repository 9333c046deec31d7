/* json.c - the objects and events of OpenAI's answers, written as text.
 *
 * A stream writes some hundred bytes for each token, so no tree of values is built first. The members are those of
 * OpenAI's reference, in its order.
 */
#include "openai_private.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

/* ---- objects ---- */

static void add_head(const struct completion *a, struct strbuf *out)
{
    const char *kind = a->route != FOR_CHAT ? "text_completion"
                       : a->stream          ? "chat.completion.chunk"
                                            : "chat.completion";
    strbuf_format(out, "{\"id\":\"%s%s\",\"object\":\"%s\",\"created\":%" PRId64 ",\"model\":",
        a->route == FOR_CHAT ? "chatcmpl-" : "cmpl-", a->id, kind, a->created);
    strbuf_json(out, span_of(a->requested_model.model->id));
    strbuf_text(out, ",\"system_fingerprint\":\"berth-" BERTH_VERSION "\"");
}

static void add_list(struct strbuf *out, const char *name, const struct strbuf *items)
{
    strbuf_format(out, "\"%s\":[", name);
    delta_add_part(out, items);
    strbuf_text(out, "]");
}

static void add_logprobs(const struct completion *a, const struct delta *f, struct strbuf *out)
{
    strbuf_text(out, ",\"logprobs\":");
    if (!a->logprobs || !f) {
        strbuf_text(out, "null");
        return;
    }
    strbuf_text(out, "{");
    if (a->route == FOR_CHAT) {
        add_list(out, "content", &f->tokens);
        strbuf_text(out, ",\"refusal\":null}");
        return;
    }
    add_list(out, "tokens", &f->tokens);
    strbuf_text(out, ",");
    add_list(out, "token_logprobs", &f->logprobs);
    strbuf_text(out, ",");
    add_list(out, "top_logprobs", &f->top);
    strbuf_text(out, ",");
    add_list(out, "text_offset", &f->offsets);
    strbuf_text(out, "}");
}

static void add_finish(const struct completion *a, size_t index, bool ended, struct strbuf *out)
{
    static const struct finish_words words = {.stop = "stop", .length = "length", .calls = "tool_calls"};
    if (ended)
        strbuf_format(out, ",\"finish_reason\":\"%s\"", choice_finish_word(&a->choices[index], &words));
    else
        strbuf_text(out, ",\"finish_reason\":null");
}

static void add_prompt_ids(const struct completion *a, size_t prompt, struct strbuf *out)
{
    const struct tokenizer_ids *ids = &a->prompts[prompt].prompt.ids;
    strbuf_text(out, ",\"prompt_token_ids\":[");
    for (size_t i = 0; i < ids->n; i++) {
        if (i > 0)
            strbuf_add(out, (struct span){(const uint8_t *)",", 1});
        strbuf_integer(out, ids->at[i]);
    }
    strbuf_text(out, "]");
}

static void add_counts(size_t prompt, size_t generated, struct strbuf *out)
{
    strbuf_format(out, ",\"usage\":{\"prompt_tokens\":%zu,\"completion_tokens\":%zu,\"total_tokens\":%zu",
        prompt, generated, prompt + generated);
}

static void add_usage(const struct completion *a, struct strbuf *out)
{
    struct completion_totals t = completion_totals_of(a);
    add_counts(t.prompt, t.generated, out);
    strbuf_format(out, ",\"prompt_tokens_details\":{\"cached_tokens\":%zu}", t.cached);
    if (a->route == FOR_CHAT)
        strbuf_format(out, ",\"completion_tokens_details\":{\"reasoning_tokens\":%zu}", t.reasoning);
    strbuf_text(out, "}");
}

/* What of the tools' schemas is not enforced: a member of berth's own, there only when something is. */
static void add_notes(const struct completion *a, struct strbuf *out)
{
    if (a->notes.n == 0)
        return;
    strbuf_text(out, ",\"warnings\":[");
    for (size_t i = 0; i < a->notes.n; i++) {
        char note[sizeof(a->notes.at[0]) + 16];
        snprintf(note, sizeof(note), "not enforced: %s", a->notes.at[i]);
        strbuf_text(out, i ? "," : "");
        strbuf_json(out, span_of(note));
    }
    if (a->notes.more > 0)
        strbuf_format(out, ",\"and %zu more\"", a->notes.more);
    strbuf_text(out, "]");
}

/* {"id":…,"type":"function","function":{"name":…,"arguments":… */
static void add_call_head(const char *id, struct span name, struct strbuf *out)
{
    strbuf_format(out, "\"id\":\"%s\",\"type\":\"function\",\"function\":{\"name\":", id);
    strbuf_json(out, name);
    strbuf_text(out, ",\"arguments\":");
}

static void add_message(const struct choice *c, struct strbuf *out)
{
    strbuf_text(out, "\"message\":{\"role\":\"assistant\",\"content\":");
    if (c->delta.text.size == 0 && (c->n_gathered > 0 || c->delta.reasoning.size > 0))
        strbuf_text(out, "null");
    else
        strbuf_json(out, strbuf_span(&c->delta.text));
    if (c->delta.reasoning.size > 0) {
        strbuf_text(out, ",\"reasoning_content\":");
        strbuf_json(out, strbuf_span(&c->delta.reasoning));
    }
    for (size_t i = 0; i < c->n_gathered; i++) {
        strbuf_text(out, i ? ",{" : ",\"tool_calls\":[{");
        add_call_head(c->calls[i].id, strbuf_span(&c->calls[i].name), out);
        strbuf_json(out, strbuf_span(&c->calls[i].arguments));
        strbuf_text(out, "}}");
    }
    strbuf_text(out, c->n_gathered > 0 ? "],\"refusal\":null,\"annotations\":[]}"
                                       : ",\"refusal\":null,\"annotations\":[]}");
}

static void add_choice(const struct completion *a, size_t index, struct strbuf *out)
{
    const struct delta *f = &a->choices[index].delta;
    strbuf_format(out, "%s{\"index\":%zu,", index ? "," : "", index);
    if (a->route == FOR_CHAT) {
        add_message(&a->choices[index], out);
    } else {
        strbuf_text(out, "\"text\":");
        strbuf_json(out, strbuf_span(&f->text));
    }
    add_logprobs(a, f, out);
    add_finish(a, index, true, out);
    if (a->token_ids) {
        strbuf_text(out, ",");
        add_list(out, "token_ids", &f->ids);
        if (a->route != FOR_CHAT)
            add_prompt_ids(a, index / a->n_choices, out);
    }
    strbuf_text(out, "}");
}

static void write_whole(const struct completion *a, struct strbuf *out)
{
    add_head(a, out);
    strbuf_text(out, ",\"choices\":[");
    for (size_t i = 0; i < a->n_prompts * a->n_choices; i++)
        add_choice(a, i, out);
    strbuf_text(out, "]");
    add_usage(a, out);
    add_notes(a, out);
    if (a->token_ids && a->route == FOR_CHAT)
        add_prompt_ids(a, 0, out);
    strbuf_text(out, "}");
}

/* ---- events ---- */

static void begin_event(const struct completion *a, size_t index, struct strbuf *out)
{
    strbuf_text(out, "data: ");
    add_head(a, out);
    strbuf_format(out, ",\"choices\":[{\"index\":%zu,", index);
}

/* The usage in an event of a choice is that of its prompt and of the choice so far. Where usage comes in the last
 * event alone, the others have null. */
static void end_event(const struct completion *a, size_t index, struct strbuf *out)
{
    strbuf_text(out, "}]");
    if (a->continuous_usage) {
        add_counts(a->prompts[index / a->n_choices].prompt.ids.n, a->choices[index].generated, out);
        strbuf_text(out, "}");
    } else if (a->include_usage) {
        strbuf_text(out, ",\"usage\":null");
    }
    strbuf_text(out, "}\n\n");
}

static void write_begin(struct completion *a, size_t index, struct strbuf *out)
{
    if (a->route != FOR_CHAT)
        return;
    begin_event(a, index, out);
    strbuf_text(out, "\"delta\":{\"role\":\"assistant\",\"content\":\"\",\"refusal\":null}");
    add_logprobs(a, NULL, out);
    add_finish(a, index, false, out);
    if (a->token_ids)
        add_prompt_ids(a, 0, out);
    end_event(a, index, out);
}

/* The delta of a chat's event. */
static void add_delta(
    const struct completion *a, size_t index, const struct completion_event *e, struct strbuf *out)
{
    strbuf_text(out, "\"delta\":{");
    switch (e->kind) {
    case CHAT_TEXT:
    case CHAT_REASONING:
        strbuf_text(out, e->kind == CHAT_TEXT ? "\"content\":" : "\"reasoning_content\":");
        strbuf_json(out, e->text);
        break;
    case CHAT_CALL_BEGIN:
        strbuf_format(out, "\"tool_calls\":[{\"index\":%zu,", e->call);
        add_call_head(a->choices[index].call_id, e->text, out);
        strbuf_text(out, "\"\"}}]");
        break;
    case CHAT_CALL_ARGUMENTS:
        strbuf_format(out, "\"tool_calls\":[{\"index\":%zu,\"function\":{\"arguments\":", e->call);
        strbuf_json(out, e->text);
        strbuf_text(out, "}}]");
        break;
    case CHAT_CALL_ID:
    case CHAT_CALL_END:
        break;
    }
    strbuf_text(out, "}");
}

static void write_event(
    struct completion *a, size_t index, const struct completion_event *e, struct strbuf *out)
{
    if ((e->text.size == 0 || e->kind == CHAT_CALL_END) && !e->lists)
        return;
    begin_event(a, index, out);
    if (a->route == FOR_CHAT) {
        add_delta(a, index, e, out);
    } else {
        strbuf_text(out, "\"text\":");
        strbuf_json(out, e->text);
    }
    add_logprobs(a, e->lists, out);
    add_finish(a, index, false, out);
    if (a->token_ids) {
        static const struct strbuf none = {0};
        strbuf_text(out, ",");
        add_list(out, "token_ids", e->lists ? &e->lists->ids : &none);
        if (a->route != FOR_CHAT && !a->choices[index].begun)
            add_prompt_ids(a, index / a->n_choices, out);
    }
    end_event(a, index, out);
}

static void write_finish(struct completion *a, size_t index, struct strbuf *out)
{
    begin_event(a, index, out);
    strbuf_text(out, a->route == FOR_CHAT ? "\"delta\":{}" : "\"text\":\"\"");
    add_logprobs(a, NULL, out);
    add_finish(a, index, true, out);
    end_event(a, index, out);
}

static void write_end(struct completion *a, struct strbuf *out)
{
    if (a->include_usage) {
        strbuf_text(out, "data: ");
        add_head(a, out);
        strbuf_text(out, ",\"choices\":[]");
        add_usage(a, out);
        add_notes(a, out);
        strbuf_text(out, "}\n\n");
    }
    strbuf_text(out, "data: [DONE]\n\n");
}

static void write_fail(struct completion *a, struct strbuf *out)
{
    strbuf_text(out, "data: {\"error\":{\"message\":");
    strbuf_json(out, span_of(a->why.text));
    strbuf_format(out, ",\"type\":\"%s\",\"param\":null,\"code\":",
        a->status >= 500 ? "server_error" : "invalid_request_error");
    if (a->code)
        strbuf_format(out, "\"%s\"}}\n\n", a->code);
    else
        strbuf_text(out, "null}}\n\n");
    strbuf_text(out, "data: [DONE]\n\n");
}

const struct completion_writer openai_writer = {
    .stream_type = "text/event-stream; charset=utf-8",
    .whole = write_whole,
    .begin = write_begin,
    .event = write_event,
    .finish = write_finish,
    .end = write_end,
    .fail = write_fail,
};
