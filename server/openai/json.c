/* json.c - the objects and events of OpenAI's answers, written as text.
 *
 * A stream writes some hundred bytes for each token, so no tree of values is built first. The members are those of
 * OpenAI's reference, in its order.
 */
#include "completion_private.h"

#include <inttypes.h>
#include <string.h>

/* ---- objects ---- */

static void add_head(const struct completion *a, struct strbuf *out)
{
    const char *kind = a->route != FOR_CHAT ? "text_completion"
                       : a->stream          ? "chat.completion.chunk"
                                            : "chat.completion";
    strbuf_format(
        out, "{\"id\":\"%s\",\"object\":\"%s\",\"created\":%" PRId64 ",\"model\":", a->id, kind, a->created);
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
    bool stop = a->choices[index].finish == JOB_STOP;
    strbuf_format(out, ",\"finish_reason\":%s", !ended ? "null" : stop ? "\"stop\"" : "\"length\"");
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
    size_t prompt = 0, cached = 0, generated = 0;
    for (size_t i = 0; i < a->n_prompts; i++) {
        prompt += a->prompts[i].prompt.ids.n;
        cached += a->prompts[i].usage.cached_tokens;
        generated += a->prompts[i].usage.generated_tokens;
    }
    add_counts(prompt, generated, out);
    strbuf_format(out, ",\"prompt_tokens_details\":{\"cached_tokens\":%zu}}", cached);
}

static void add_choice(const struct completion *a, size_t index, struct strbuf *out)
{
    const struct delta *f = &a->choices[index].delta;
    struct span text = {(const uint8_t *)f->text.text, f->text.size};
    strbuf_format(out, "%s{\"index\":%zu,", index ? "," : "", index);
    strbuf_text(out, a->route == FOR_CHAT ? "\"message\":{\"role\":\"assistant\",\"content\":" : "\"text\":");
    strbuf_json(out, text);
    strbuf_text(out, a->route == FOR_CHAT ? ",\"refusal\":null}" : "");
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

void openai_write_whole(const struct completion *a, struct strbuf *out)
{
    add_head(a, out);
    strbuf_text(out, ",\"choices\":[");
    for (size_t i = 0; i < a->n_prompts * a->n_choices; i++)
        add_choice(a, i, out);
    strbuf_text(out, "]");
    add_usage(a, out);
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

void openai_write_begin(const struct completion *a, size_t index, struct strbuf *out)
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

void openai_write_fragment(
    const struct completion *a, size_t index, const struct delta *f, struct strbuf *out)
{
    if (f->text.size == 0 && f->ids.size == 0 && f->tokens.size == 0)
        return;
    begin_event(a, index, out);
    strbuf_text(out, a->route == FOR_CHAT ? "\"delta\":{\"content\":" : "\"text\":");
    strbuf_json(out, (struct span){(const uint8_t *)f->text.text, f->text.size});
    strbuf_text(out, a->route == FOR_CHAT ? "}" : "");
    add_logprobs(a, f, out);
    add_finish(a, index, false, out);
    if (a->token_ids) {
        strbuf_text(out, ",");
        add_list(out, "token_ids", &f->ids);
        if (a->route != FOR_CHAT && !a->choices[index].begun)
            add_prompt_ids(a, index / a->n_choices, out);
    }
    end_event(a, index, out);
}

void openai_write_finish(const struct completion *a, size_t index, struct strbuf *out)
{
    begin_event(a, index, out);
    strbuf_text(out, a->route == FOR_CHAT ? "\"delta\":{}" : "\"text\":\"\"");
    add_logprobs(a, NULL, out);
    add_finish(a, index, true, out);
    end_event(a, index, out);
}

void openai_write_usage(const struct completion *a, struct strbuf *out)
{
    strbuf_text(out, "data: ");
    add_head(a, out);
    strbuf_text(out, ",\"choices\":[]");
    add_usage(a, out);
    strbuf_text(out, "}\n\n");
}

void openai_write_error(unsigned status, const char *code, const char *message, struct strbuf *out)
{
    strbuf_text(out, "data: {\"error\":{\"message\":");
    strbuf_json(out, span_of(message));
    strbuf_format(out, ",\"type\":\"%s\",\"param\":null,\"code\":",
        status >= 500 ? "server_error" : "invalid_request_error");
    if (code)
        strbuf_format(out, "\"%s\"}}\n\n", code);
    else
        strbuf_text(out, "null}}\n\n");
}

void openai_write_done(struct strbuf *out)
{
    strbuf_text(out, "data: [DONE]\n\n");
}
