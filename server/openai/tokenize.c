/* tokenize.c - POST /v1/tokenize and /v1/detokenize: what a model's tokenizer makes of text, and back.
 *
 * The text is that of a completion's prompt, or the messages of a chat: exactly what would be sent to the
 * model. Neither needs the model to be one that can answer.
 */
#include "openai_private.h"

#include <string.h>

#define REPLY_MAX ((size_t)256 << 20)
#define PIECE_MAX 65536

/* ---- tokenize ---- */

static bool ids_of_text(struct prompt *p, const struct text_model *t, const json_t *request,
    const char *field, struct api_error *c)
{
    const json_t *text = json_object_get(request, field);
    struct tokenizer_text in = {.text = {(const uint8_t *)json_string_value(text), json_string_length(text)}};
    if (!json_is_string(text))
        return api_error_bad(c, field, "'%s' must be a string", field);
    return api_truth(request, "add_special", true, &in.add_special, c) &&
           api_truth(request, "parse_special", true, &in.parse_special, c) &&
           prompt_add_text(p, t, &in, field, c);
}

/* The one of the three that says what to take apart. */
static bool read_text(struct prompt *p, const struct requested_model *m, json_t *request, struct api_error *c)
{
    if (json_object_get(request, "messages"))
        return prompt_of_chat(p, m, request, c);
    return ids_of_text(p, m->text, request, json_object_get(request, "prompt") ? "prompt" : "text", c);
}

static void add_pieces(struct strbuf *out, const struct tokenizer *t, const struct tokenizer_ids *ids)
{
    struct strbuf piece;
    strbuf_init(&piece, PIECE_MAX);
    strbuf_text(out, ",\"pieces\":[");
    for (size_t i = 0; i < ids->n; i++) {
        piece.size = 0;
        tokenizer_piece(t, ids->at[i], true, &piece);
        strbuf_text(out, i ? "," : "");
        strbuf_json(out, (struct span){(const uint8_t *)piece.text, piece.size});
    }
    strbuf_text(out, "]");
    strbuf_release(&piece);
}

static void add_ids(struct strbuf *out, const struct tokenizer_ids *ids)
{
    for (size_t i = 0; i < ids->n; i++) {
        if (i > 0)
            strbuf_add(out, (struct span){(const uint8_t *)",", 1});
        strbuf_integer(out, ids->at[i]);
    }
}

/* Begins a reply. */
static void begin(struct strbuf *out, const struct requested_model *m, struct byte_budget *memory)
{
    strbuf_init(out, REPLY_MAX);
    out->budget = memory;
    strbuf_text(out, "{\"model\":");
    strbuf_json(out, span_of(m->model->id));
}

static bool end(struct strbuf *out, struct reply *r, struct api_error *c)
{
    strbuf_text(out, "}");
    if (out->failed) {
        strbuf_release(out);
        return request_memory_refuse(c);
    }
    reply_buffer(r, 200, "application/json", out);
    return true;
}

static bool reply_ids(struct reply *r, const struct requested_model *m, const struct prompt *p, bool pieces,
    struct api_error *c)
{
    const struct tokenizer_ids *ids = &p->ids;
    struct strbuf out;
    begin(&out, m, p->memory);
    strbuf_format(
        &out, ",\"count\":%zu,\"max_model_len\":%zu,\"tokens\":[", ids->n, text_model_context(m->text));
    add_ids(&out, ids);
    strbuf_text(&out, "]");
    if (pieces)
        add_pieces(&out, text_model_tokenizer(m->text), ids);
    return end(&out, r, c);
}

static bool tokenize(struct server *s, const struct http_request *q, struct reply *r, json_t *request,
    struct requested_model *m, struct api_error *c)
{
    bool pieces = false;
    struct prompt p = prompt_for(s, q);
    unsigned needs = json_object_get(request, "messages") ? NEEDS_TOKENIZER | NEEDS_CHAT : NEEDS_TOKENIZER;
    bool good = requested_model_find(m, s, request, needs, c) &&
                api_truth(request, "with_pieces", false, &pieces, c) && read_text(&p, m, request, c) &&
                reply_ids(r, m, &p, pieces, c);
    prompt_release(&p);
    return good;
}

/* ---- detokenize ---- */

static bool reply_text(
    struct reply *r, const struct requested_model *m, const struct strbuf *text, struct api_error *c)
{
    struct strbuf out;
    if (text->failed)
        return request_memory_refuse(c);
    begin(&out, m, text->budget);
    strbuf_text(&out, ",\"text\":");
    strbuf_json(&out, (struct span){(const uint8_t *)text->text, text->size});
    return end(&out, r, c);
}

static bool detokenize(struct server *s, const struct http_request *q, struct reply *r, json_t *request,
    struct requested_model *m, struct api_error *c)
{
    bool special;
    struct prompt p = prompt_for(s, q);
    struct strbuf text;
    const json_t *tokens = json_object_get(request, "tokens");
    if (!requested_model_find(m, s, request, NEEDS_TOKENIZER, c) ||
        !api_truth(request, "special", true, &special, c))
        return false;
    if (!json_is_array(tokens))
        return api_error_bad(c, "tokens", "'tokens' must be a list of token ids");
    if (!prompt_add_ids(&p, tokenizer_size(text_model_tokenizer(m->text)), tokens, "tokens", c)) {
        prompt_release(&p);
        return false;
    }
    struct detokenizer d = {.tokenizer = text_model_tokenizer(m->text), .special = special, .strip = true};
    strbuf_init(&text, REPLY_MAX / 4);
    text.budget = p.memory;
    for (size_t i = 0; i < p.ids.n; i++)
        detokenizer_add(&d, p.ids.at[i], &text);
    detokenizer_end(&d, &text);
    bool good = reply_text(r, m, &text, c);
    strbuf_release(&text);
    prompt_release(&p);
    return good;
}

/* ---- the routes ---- */

typedef bool answer_request(struct server *s, const struct http_request *q, struct reply *r, json_t *request,
    struct requested_model *m, struct api_error *c);

static void answer(struct server *s, const struct http_request *q, struct reply *r, answer_request *run)
{
    struct api_error c = {0};
    struct requested_model m = {0};
    json_t *request = api_request(q, &c);
    if (!request || !run(s, q, r, request, &m, &c))
        api_error_reply(&c, q, r);
    requested_model_release(&m, s);
    json_decref(request);
}

static void run_tokenize(struct server *s, const struct http_request *q, struct reply *r)
{
    answer(s, q, r, tokenize);
}

static void run_detokenize(struct server *s, const struct http_request *q, struct reply *r)
{
    answer(s, q, r, detokenize);
}

void openai_tokenize(struct server *s, const struct http_request *q, struct reply *r)
{
    api_run(s, q, r, run_tokenize);
}

void openai_detokenize(struct server *s, const struct http_request *q, struct reply *r)
{
    api_run(s, q, r, run_detokenize);
}
