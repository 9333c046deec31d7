/* completions.c - completions: prompts of text or token ids, one or many.
 *
 * The client writes the whole prompt here, so special tokens in its text are parsed, as other servers do.
 */
#include "chat_private.h"

#include "berth/server/api/fill_in_middle.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define PROMPTS_MAX 128
#define CHOICES_MAX 1024 /* over all prompts of a request */

/* ---- the field `prompt` ---- */

/* Stores the text that an echo of a prompt of token ids shows. */
static bool keep_text_of_ids(struct prompt *p, const struct text_model *t)
{
    struct strbuf text;
    struct detokenizer d = {.tokenizer = text_model_tokenizer(t), .strip = true};
    strbuf_init(&text, TOKENIZER_TEXT_MAX);
    text.budget = p->memory;
    for (size_t i = 0; text_model_tokenizer(t) && i < p->ids.n; i++)
        detokenizer_add(&d, p->ids.at[i], &text);
    if (text_model_tokenizer(t))
        detokenizer_end(&d, &text);
    p->text = strbuf_take(&text, &p->text_size);
    return p->text != NULL;
}

static bool keep_text(struct prompt *p, struct span text)
{
    p->text = malloc(text.size + 1);
    if (!p->text)
        return false;
    memcpy(p->text, text.at, text.size);
    p->text_size = text.size;
    return true;
}

/* Of an empty prompt the token that begins a text is left, where the model has one. */
static bool begin_if_empty(struct prompt *p, const struct text_model *t)
{
    int32_t bos =
        text_model_tokenizer(t) ? tokenizer_special(text_model_tokenizer(t), TOKENIZER_BOS) : TOKENIZER_NONE;
    if (p->ids.n > 0 || bos == TOKENIZER_NONE)
        return true;
    int32_t *at = realloc(p->ids.at, sizeof(*at));
    if (!at)
        return false;
    at[0] = bos;
    p->ids = (struct tokenizer_ids){.at = at, .n = 1, .room = 1};
    return true;
}

/* The prompt for the text between a prompt and the request's suffix. */
static bool read_middle(struct prompt *p, const struct text_model *t, const json_t *value, bool add_special,
    const json_t *suffix, const char *param, struct api_error *c)
{
    struct fill_in_middle f = {
        .prefix = value, .prefix_name = param, .suffix = suffix, .whole = true, .bare = !add_special};
    if (!json_is_string(value))
        return api_error_status(c, 400, "unsupported_parameter", "suffix",
            "'suffix' is not supported together with a prompt of token ids");
    return fill_in_middle_prompt(p, t, &f, "suffix", c);
}

/* One prompt: a string or a list of ids. */
static bool read_prompt(struct prompt *p, const struct text_model *t, const json_t *value, bool add_special,
    const struct completion_params *w, const char *param, struct api_error *c)
{
    bool kept = true, echo = w->echo;
    if (w->suffix)
        return read_middle(p, t, value, add_special, w->suffix, param, c);
    if (json_is_array(value)) {
        if (!prompt_add_ids(p, text_model_n_vocab(t), value, param, c))
            return false;
        kept = !echo || keep_text_of_ids(p, t);
    } else if (!text_model_tokenizer(t)) {
        return api_error_status(c, 400, "model_not_supported", param,
            "This model takes prompts of token ids only: %.500s", text_model_lacks(t, TEXT_TOKENIZER)->text);
    } else {
        struct span text = {(const uint8_t *)json_string_value(value), json_string_length(value)};
        struct tokenizer_text in = {.text = text, .add_special = add_special, .parse_special = true};
        if (!prompt_add_text(p, t, &in, param, c))
            return false;
        kept = !echo || keep_text(p, text);
    }
    return (kept && begin_if_empty(p, t)) || api_error_no_memory(c);
}

void prompts_release(struct prompts *all)
{
    for (size_t i = 0; i < all->n; i++)
        prompt_release(&all->at[i]);
    free(all->at);
}

/* A list of strings or of lists is several prompts; a string or a list of ids is one. */
static bool is_several(const json_t *prompt)
{
    const json_t *first = json_array_get(prompt, 0);
    return json_is_string(first) || json_is_array(first);
}

bool prompts_of_completion(struct prompts *all, struct server *s, const struct http_request *q,
    const struct text_model *t, const json_t *request, const struct completion_params *w, struct api_error *c)
{
    bool add_special;
    const json_t *prompt = json_object_get(request, "prompt");
    if (!api_truth(request, "add_special", true, &add_special, c))
        return false;
    if (!json_is_string(prompt) && !(json_is_array(prompt) && json_array_size(prompt) > 0))
        return api_error_bad(c, "prompt",
            "'prompt' must be a string, a list of strings, a list of token ids or a list of such lists");
    size_t n = is_several(prompt) ? json_array_size(prompt) : 1;
    if (n > PROMPTS_MAX || n * (size_t)w->n > CHOICES_MAX)
        return api_error_bad(
            c, "prompt", "a request may have at most %d prompts and %d choices", PROMPTS_MAX, CHOICES_MAX);
    all->at = calloc(n, sizeof(*all->at));
    if (!all->at)
        return api_error_no_memory(c);
    all->n = n;
    for (size_t i = 0; i < n; i++)
        all->at[i] = prompt_for(s, q);
    if (!is_several(prompt))
        return read_prompt(&all->at[0], t, prompt, add_special, w, "prompt", c);
    for (size_t i = 0; i < n; i++) {
        char param[96];
        const json_t *one = json_array_get(prompt, i);
        snprintf(param, sizeof(param), "prompt[%zu]", i);
        if (!json_is_string(one) && !json_is_array(one))
            return api_error_bad(c, param, "'%s' must be a string or a list of token ids", param);
        if (!read_prompt(&all->at[i], t, one, add_special, w, param, c))
            return false;
    }
    return true;
}

/* The prompt of a dialect that makes it itself. */
static bool make_prompt(struct prompts *all, struct server *s, const struct http_request *q,
    const struct requested_model *m, const struct translated_request *call, struct api_error *c)
{
    all->at = calloc(1, sizeof(*all->at));
    if (!all->at)
        return api_error_no_memory(c);
    all->n = 1;
    all->at[0] = prompt_for(s, q);
    return call->make_prompt(&all->at[0], m, call, c) &&
           (begin_if_empty(&all->at[0], m->text) || api_error_no_memory(c));
}

/* ---- the answer ---- */

static bool start(struct server *s, const struct http_request *q, struct reply *r,
    const struct translated_request *call, struct completion_params *w, struct requested_model *m,
    struct api_error *c)
{
    struct prompts all = {0};
    struct json_notes notes = {0};
    struct chat_form form = {0};
    struct completion_setup setup = {.route = FOR_COMPLETIONS,
        .writer = call->writer,
        .params = w,
        .model = m,
        .form = &form,
        .request = call->original};
    w->limit_only = call->limit_only;
    unsigned needs = NEEDS_DECODER | (answer_form_is_asked(call->request) ? NEEDS_TOKENIZER : 0);
    bool good =
        requested_model_find(m, s, call->request, needs, c) &&
        completion_params_for_model(w, text_model_n_vocab(m->text), c) &&
        answer_form_grammar(m, call->request, NULL, &s->request_memory, &setup.grammar, &form, &notes, c) &&
        (call->make_prompt ? make_prompt(&all, s, q, m, call, c)
                           : prompts_of_completion(&all, s, q, m->text, call->request, w, c));
    setup.prompts = all.at;
    setup.n_prompts = all.n;
    good = good && completion_start(s, q, r, &setup, c);
    grammar_drop(setup.grammar);
    prompts_release(&all);
    return good;
}

/* A dialect that makes the prompt has a field of its own for what is behind the answer, or a prompt of ids. */
static bool check_suffix(
    const struct completion_params *w, const struct translated_request *call, struct api_error *c)
{
    return !w->suffix || !call->make_prompt ||
           api_error_status(c, 400, "unsupported_parameter", "suffix",
               "'suffix' is not supported together with a prompt of token ids");
}

bool completion_answer(struct server *s, const struct http_request *q, struct reply *r,
    const struct translated_request *call, struct api_error *c)
{
    struct completion_params w = {0};
    struct requested_model m = {0};
    bool good = completion_params_read(&w, call->request, FOR_COMPLETIONS, c) && check_suffix(&w, call, c) &&
                start(s, q, r, call, &w, &m, c);
    completion_params_release(&w);
    requested_model_release(&m, s);
    return good;
}
