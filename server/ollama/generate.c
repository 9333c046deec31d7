/* generate.c - POST /api/chat and /api/generate.
 *
 * Ollama loads and unloads models by requests without a prompt. Models of the volume are always there, so such a request
 * is answered at once.
 */
#include "ollama_private.h"

#include "berth/server/api/fill_in_middle.h"

#include <stdlib.h>
#include <string.h>

/* ---- requests that only load or unload ---- */

/* 0, "0", "0s", "0m": the model is to be unloaded at once. */
static bool is_unload(const json_t *keep_alive)
{
    char *end;
    if (json_is_number(keep_alive))
        return json_number_value(keep_alive) == 0;
    if (!json_is_string(keep_alive) || json_string_length(keep_alive) == 0)
        return false;
    double number = strtod(json_string_value(keep_alive), &end);
    return number == 0 && end != json_string_value(keep_alive) && strlen(end) <= 2;
}

static bool asks_nothing(const json_t *asked, bool chat)
{
    const json_t *list = json_object_get(asked, "messages"), *prompt = json_object_get(asked, "prompt");
    if (chat)
        return !list || json_is_null(list) || (json_is_array(list) && json_array_size(list) == 0);
    return (!prompt || json_is_null(prompt) || (json_is_string(prompt) && json_string_length(prompt) == 0)) &&
           json_string_length(json_object_get(asked, "suffix")) == 0;
}

static bool reply_loaded(
    struct server *s, struct reply *r, const json_t *asked, bool chat, struct api_error *c)
{
    struct requested_model m = {0};
    struct strbuf out;
    bool good = ollama_check_options(asked, c) && requested_model_find(&m, s, asked, 0, c);
    if (!good) {
        requested_model_release(&m, s);
        return false;
    }
    const json_t *name = json_object_get(asked, "model");
    strbuf_init(&out, 65536);
    ollama_add_head(&out, json_is_string(name) ? span_of(json_string_value(name)) : span_of(m.model->id));
    strbuf_text(&out, chat ? ",\"message\":{\"role\":\"assistant\",\"content\":\"\"}" : ",\"response\":\"\"");
    strbuf_format(&out, ",\"done\":true,\"done_reason\":\"%s\"}",
        is_unload(json_object_get(asked, "keep_alive")) ? "unload" : "load");
    requested_model_release(&m, s);
    if (out.failed) {
        strbuf_release(&out);
        return api_error_no_memory(c);
    }
    reply_buffer(r, 200, "application/json", &out);
    return true;
}

/* ---- the answers ---- */

static bool fill_prompt(struct prompt *p, const struct requested_model *m,
    const struct translated_request *call, struct api_error *c)
{
    struct fill_in_middle f = {.prefix = json_object_get(call->asked, "prompt"),
        .prefix_name = "prompt",
        .suffix = json_object_get(call->asked, "suffix"),
        .most = json_integer_value(json_object_get(call->request, "max_tokens"))};
    return fill_in_middle_prompt(p, m->text, &f, "suffix", c);
}

/* What the writer repeats of the request: its model's name. */
static json_t *kept_of(const json_t *asked)
{
    json_t *kept = json_object(), *model = json_object_get(asked, "model");
    if (model && json_object_set(kept, "model", model) != 0) {
        json_decref(kept);
        return NULL;
    }
    return kept;
}

/* Of a model without a chat template the prompt is the whole text, as Ollama has it. One whose own template cannot be run
 * would answer to another prompt than it does there, and is refused as a chat is. */
static bool mark_raw(struct server *s, json_t *asked, struct api_error *c)
{
    struct requested_model m = {0};
    bool good = requested_model_find(&m, s, asked, 0, c);
    if (good && text_model_lacks(m.text, TEXT_CHAT) && !text_model_defaults(m.text)->other_template.size &&
        json_string_length(json_object_get(asked, "system")) == 0)
        good = json_object_set_new(asked, "raw", json_true()) == 0 || api_error_no_memory(c);
    requested_model_release(&m, s);
    return good;
}

static bool answer(struct server *s, const struct http_request *q, struct reply *r, json_t *asked, bool chat,
    struct api_error *c)
{
    bool raw = false;
    if (!ollama_check(asked, chat ? OLLAMA_CHAT : OLLAMA_GENERATE, c))
        return false;
    if (asks_nothing(asked, chat))
        return reply_loaded(s, r, asked, chat, c);
    if (!chat && !mark_raw(s, asked, c))
        return false;
    struct translated_request call = {.request = json_object(),
        .writer = chat ? &ollama_chat_writer : &ollama_generate_writer,
        .original = kept_of(asked),
        .asked = asked,
        .limit_only = true};
    bool good = (call.request && call.original) || api_error_no_memory(c);
    good = good && (chat ? ollama_chat_fields(asked, call.request, c)
                         : ollama_generate_fields(s->options, asked, call.request, &raw, c));
    if (json_string_length(json_object_get(asked, "suffix")) > 0 && !chat)
        call.make_prompt = fill_prompt;
    good = good && (raw ? completion_answer(s, q, r, &call, c) : chat_answer(s, q, r, &call, c));
    json_decref(call.request);
    json_decref(call.original);
    return good;
}

void ollama_reply_refusal(
    const json_t *asked, struct api_error *c, const struct http_request *q, struct reply *r)
{
    if (c->code && strcmp(c->code, "model_not_found") == 0) {
        char name[200];
        struct error before = c->message;
        const json_t *model = json_object_get(asked, "model");
        const char *known = strstr(before.text, "The models are: ");
        text_escape(name, sizeof(name), span_of(json_is_string(model) ? json_string_value(model) : ""));
        error_set(&c->message, "model '%s' not found. %s", name, known ? known : "");
    }
    api_error_reply(c, q, r);
}

static void run(struct server *s, const struct http_request *q, struct reply *r, bool chat)
{
    struct api_error c = {0};
    json_t *asked = api_request(q, &c);
    if (!asked || !answer(s, q, r, asked, chat, &c))
        ollama_reply_refusal(asked, &c, q, r);
    json_decref(asked);
}

static void run_chat(struct server *s, const struct http_request *q, struct reply *r)
{
    run(s, q, r, true);
}

static void run_generate(struct server *s, const struct http_request *q, struct reply *r)
{
    run(s, q, r, false);
}

void ollama_chat(struct server *s, const struct http_request *q, struct reply *r)
{
    api_run(s, q, r, run_chat);
}

void ollama_generate(struct server *s, const struct http_request *q, struct reply *r)
{
    api_run(s, q, r, run_generate);
}
