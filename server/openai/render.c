/* render.c - POST /v1/chat/completions/render and /v1/completions/render: what a request would send to the model.
 *
 * Routers ask for it to find out which server has a prompt's prefix in its cache. The reply has vLLM's shape: the token
 * ids of each prompt, and the sampling parameters with the model's defaults filled in.
 */
#include "openai_private.h"

#include <inttypes.h>
#include <stdio.h>

#define REPLY_MAX ((size_t)256 << 20)

/* What is rendered. */
struct render {
    struct completion_params params;
    struct requested_model model;
    struct prompts prompts;
    const json_t *request;
    enum fields_route route;
};

static void add_sampling(struct strbuf *out, const struct render *w, size_t room)
{
    const struct completion_params *p = &w->params;
    strbuf_format(out,
        ",\"sampling_params\":{\"n\":%" PRId64 ",\"temperature\":%.7g,\"top_p\":%.7g,\"top_k\":%" PRId64
        ",\"min_p\":%.7g,\"typical_p\":%.7g,\"presence_penalty\":%.7g,\"frequency_penalty\":%.7g"
        ",\"repetition_penalty\":%.7g,\"ignore_eos\":%s,\"min_tokens\":0,\"stop\":[",
        p->n, p->temperature, p->top_p, p->top_k, p->min_p, p->typical_p, p->presence_penalty,
        p->frequency_penalty, p->repetition_penalty, p->ignore_end ? "true" : "false");
    for (size_t i = 0; i < p->n_stops; i++) {
        strbuf_text(out, i ? "," : "");
        strbuf_json(out, p->stops[i]);
    }
    strbuf_text(out, "],\"stop_token_ids\":[");
    for (size_t i = 0; i < p->n_stop_tokens; i++)
        strbuf_format(out, i ? ",%" PRId32 : "%" PRId32, p->stop_tokens[i]);
    strbuf_format(out, "],\"max_tokens\":%" PRIu64,
        p->max_tokens >= 0 && (uint64_t)p->max_tokens < room ? (uint64_t)p->max_tokens : (uint64_t)room);
    if (p->seeded)
        strbuf_format(out, ",\"seed\":%" PRId64, p->seed);
    else
        strbuf_text(out, ",\"seed\":null");
    if (p->logprobs)
        strbuf_format(out, ",\"logprobs\":%" PRId64 "}", p->n_top);
    else
        strbuf_text(out, ",\"logprobs\":null}");
}

static void add_prompt(struct strbuf *out, const struct render *w, size_t index, const char *id)
{
    const struct tokenizer_ids *ids = &w->prompts.at[index].ids;
    size_t context = text_model_context(w->model.text);
    char name[REQUEST_ID_MAX + 48];
    snprintf(name, sizeof(name), "%s-%s-%zu", w->route == FOR_CHAT ? "chatcmpl" : "cmpl", id, index);
    strbuf_text(out, "{\"request_id\":");
    strbuf_json(out, span_of(name));
    strbuf_text(out, ",\"model\":");
    strbuf_json(out, span_of(w->model.model->id));
    strbuf_text(out, ",\"token_ids\":[");
    for (size_t i = 0; i < ids->n; i++) {
        strbuf_text(out, i ? "," : "");
        strbuf_integer(out, ids->at[i]);
    }
    strbuf_text(out, "],\"features\":null");
    add_sampling(out, w, context > ids->n ? context - ids->n : 0);
    strbuf_format(out, ",\"stream\":%s}", w->params.stream ? "true" : "false");
}

static bool reply_rendered(struct server *s, const struct http_request *q, struct reply *r,
    const struct render *w, struct api_error *c)
{
    struct strbuf out;
    bool list = w->route != FOR_CHAT;
    strbuf_init(&out, REPLY_MAX);
    out.budget = &s->request_memory;
    strbuf_text(&out, list ? "[" : "");
    for (size_t i = 0; i < w->prompts.n; i++) {
        strbuf_text(&out, i ? "," : "");
        add_prompt(&out, w, i, q->id);
    }
    strbuf_text(&out, list ? "]" : "");
    if (out.failed) {
        strbuf_release(&out);
        return request_memory_refuse(c);
    }
    reply_buffer(r, 200, "application/json", &out);
    return true;
}

static bool read_chat(
    struct render *w, struct server *s, const struct http_request *q, json_t *request, struct api_error *c)
{
    w->prompts.at = calloc(1, sizeof(*w->prompts.at));
    if (!w->prompts.at)
        return api_error_no_memory(c);
    w->prompts.n = 1;
    w->prompts.at[0] = prompt_for(s, q);
    return requested_model_find(&w->model, s, request, NEEDS_TOKENIZER | NEEDS_CHAT, c) &&
           prompt_of_chat(&w->prompts.at[0], &w->model, request, c) &&
           answer_form_check(&w->model, request, &w->prompts.at[0], &s->request_memory, c);
}

static bool read_completion(
    struct render *w, struct server *s, const struct http_request *q, json_t *request, struct api_error *c)
{
    bool formed = answer_form_is_asked(request);
    return requested_model_find(&w->model, s, request, formed ? NEEDS_TOKENIZER : 0, c) &&
           (!formed || answer_form_check(&w->model, request, NULL, &s->request_memory, c)) &&
           prompts_of_completion(&w->prompts, s, q, w->model.text, request, &w->params, c);
}

static void render(struct server *s, const struct http_request *q, struct reply *r, enum fields_route route)
{
    struct api_error c = {0};
    struct render w = {.route = route};
    json_t *request = api_request(q, &c);
    bool good = request && completion_params_read(&w.params, request, route, &c) &&
                (route == FOR_CHAT ? read_chat : read_completion)(&w, s, q, request, &c) &&
                completion_params_for_model(&w.params, text_model_n_vocab(w.model.text), &c);
    if (good) {
        completion_params_set_sampling(&w.params, text_model_sampling(w.model.text));
        good = reply_rendered(s, q, r, &w, &c);
    }
    if (!good)
        api_error_reply(&c, q, r);
    completion_params_release(&w.params);
    prompts_release(&w.prompts);
    requested_model_release(&w.model, s);
    json_decref(request);
}

static void run_chat(struct server *s, const struct http_request *q, struct reply *r)
{
    render(s, q, r, FOR_CHAT);
}

static void run_completions(struct server *s, const struct http_request *q, struct reply *r)
{
    render(s, q, r, FOR_COMPLETIONS);
}

void openai_render_chat(struct server *s, const struct http_request *q, struct reply *r)
{
    api_run(s, q, r, run_chat);
}

void openai_render_completions(struct server *s, const struct http_request *q, struct reply *r)
{
    api_run(s, q, r, run_completions);
}
