/* chat.c - from a chat request to its reply, which comes later. */
#include "chat_private.h"

/* The ids that end the reasoning, where the request has a budget for it. */
static bool make_reasoning_end(struct completion_setup *setup, struct api_error *c)
{
    struct error err = {0};
    const struct text_model *t = setup->model->text;
    struct tokenizer_text in = {
        .text = chat_format_reasoning_end(text_model_chat_format(t)), .parse_special = true};
    if (setup->params->reasoning_budget < 0 || in.text.size == 0)
        return true;
    return tokenizer_encode(text_model_tokenizer(t), &in, &setup->reasoning_end, &err) ||
           api_error_of(c, "reasoning_budget", &err);
}

static bool start(struct server *s, const struct http_request *q, struct reply *r,
    const struct translated_request *call, struct completion_params *w, struct requested_model *m,
    struct api_error *c)
{
    struct prompt prompt = prompt_for(s, q);
    struct json_notes notes = {0};
    struct chat_form form = {0};
    struct completion_setup setup = {.route = FOR_CHAT,
        .writer = call->writer,
        .params = w,
        .model = m,
        .prompts = &prompt,
        .n_prompts = 1,
        .notes = &notes,
        .form = &form,
        .request = call->original,
        .request_more = call->original_more};
    bool good = requested_model_find(m, s, call->request, NEEDS_DECODER | NEEDS_TOKENIZER | NEEDS_CHAT, c) &&
                completion_params_for_model(w, text_model_n_vocab(m->text), c) &&
                prompt_of_chat(&prompt, m, call->request, c) &&
                answer_form_grammar(
                    m, call->request, &prompt, &s->request_memory, &setup.grammar, &form, &notes, c) &&
                make_reasoning_end(&setup, c) && completion_start(s, q, r, &setup, c);
    grammar_drop(setup.grammar);
    tokenizer_ids_release(&setup.reasoning_end);
    prompt_release(&prompt);
    return good;
}

bool chat_answer(struct server *s, const struct http_request *q, struct reply *r,
    const struct translated_request *call, struct api_error *c)
{
    struct completion_params w = {0};
    struct requested_model m = {0};
    bool good = chat_thinking_settle(call->request, c) &&
                completion_params_read(&w, call->request, FOR_CHAT, c) && start(s, q, r, call, &w, &m, c);
    completion_params_release(&w);
    requested_model_release(&m, s);
    return good;
}
