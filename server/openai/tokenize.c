/* tokenize.c - POST /v1/tokenize and /v1/detokenize: what a model's tokenizer makes of text, and back.
 *
 * The text is that of a completion's prompt, or the messages of a chat: exactly what would be sent to the
 * model. Neither needs the model to be one that can answer. Both take and tell what llama.cpp's and vLLM's routes of
 * these names do: a `content`, `add_special_tokens`, `return_token_strs`.
 */
#include "openai_private.h"

#include "berth/server/api/translate.h"

#include <string.h>

#define REPLY_MAX ((size_t)256 << 20)
#define PIECE_MAX 65536

/* ---- the fields ---- */

#define SCHEMA_TEXT "{\"type\":\"string\"}"

/* clang-format off */
static const struct dialect_field tokenize_rows[] = {
    {"text", FIELD_READ | FIELD_ONE_OF, NULL, SCHEMA_TEXT},
    {"prompt", FIELD_READ | FIELD_ONE_OF, NULL, SCHEMA_TEXT},
    {"content", FIELD_READ | FIELD_ONE_OF, NULL, SCHEMA_TEXT},
    {"messages", FIELD_READ | FIELD_ONE_OF, NULL, "{\"type\":\"array\",\"minItems\":1,\"items\":{\"$ref\":\"#/components/schemas/ChatMessage\"}}"},
    {"add_special", FIELD_READ, NULL, SCHEMA_TRUTH},
    {"add_special_tokens", FIELD_READ, NULL, SCHEMA_TRUTH},
    {"parse_special", FIELD_READ, NULL, SCHEMA_TRUTH},
    {"with_pieces", FIELD_READ, NULL, SCHEMA_TRUTH},
    {"return_token_strs", FIELD_READ, NULL, SCHEMA_TRUTH},

    {"chat_template", FIELD_REFUSED, NULL, NULL},
};

static const struct dialect_field detokenize_rows[] = {
    {"model", FIELD_READ, NULL, SCHEMA_STRING},
    {"tokens", FIELD_READ | FIELD_REQUIRED, NULL, "{\"type\":\"array\",\"items\":{\"type\":\"integer\",\"minimum\":0}}"},
    {"special", FIELD_READ, NULL, SCHEMA_TRUTH},
};
/* clang-format on */

static const struct dialect_fields tokenize_fields = {.rows = tokenize_rows,
    .n = sizeof(tokenize_rows) / sizeof(tokenize_rows[0]),
    .others = completion_params_prompt_field};
static const struct dialect_fields detokenize_fields = {
    .rows = detokenize_rows, .n = sizeof(detokenize_rows) / sizeof(detokenize_rows[0])};

bool openai_tokenize_field(size_t i, struct route_field *out)
{
    return dialect_describe(&tokenize_fields, i, out);
}

bool openai_detokenize_field(size_t i, struct route_field *out)
{
    return dialect_describe(&detokenize_fields, i, out);
}

/* ---- tokenize ---- */

/* The text is in llama.cpp's field, whose special tokens are left out unless asked for. */
static bool is_content(const json_t *request)
{
    return json_object_get(request, "content") != NULL;
}

static bool ids_of_text(struct prompt *p, const struct text_model *t, const json_t *request,
    const char *field, struct api_error *c)
{
    const json_t *text = json_object_get(request, field);
    struct tokenizer_text in = {.text = {(const uint8_t *)json_string_value(text), json_string_length(text)}};
    if (!json_is_string(text))
        return api_error_bad(c, field, "'%s' must be a string", field);
    return api_truth(request, "add_special_tokens", !is_content(request), &in.add_special, c) &&
           api_truth(request, "add_special", in.add_special, &in.add_special, c) &&
           api_truth(request, "parse_special", true, &in.parse_special, c) &&
           prompt_add_text(p, t, &in, field, c);
}

/* The one of the four that says what to take apart. */
static bool read_text(struct prompt *p, const struct requested_model *m, json_t *request, struct api_error *c)
{
    if (json_object_get(request, "messages"))
        return prompt_of_chat(p, m, request, c);
    const char *tools = api_is_absent(json_object_get(request, "tools")) ? "functions" : "tools";
    if (!api_is_absent(json_object_get(request, tools)))
        return api_error_bad(c, tools, "'%s' needs 'messages'", tools);
    const char *field = json_object_get(request, "prompt") ? "prompt" : "text";
    return ids_of_text(p, m->text, request, is_content(request) ? "content" : field, c);
}

static bool is_text(struct span s)
{
    size_t size = 1;
    for (size_t pos = 0; pos < s.size && size > 0; pos += size)
        size = text_character((struct span){s.at + pos, s.size - pos});
    return size > 0;
}

/* A list of {"id", "piece"}, as llama.cpp has it: a piece that is no text is a list of its bytes. */
static void add_ids_with_pieces(
    struct strbuf *out, const struct tokenizer *t, const struct tokenizer_ids *ids)
{
    struct strbuf piece;
    strbuf_init(&piece, PIECE_MAX);
    for (size_t i = 0; i < ids->n; i++) {
        piece.size = 0;
        tokenizer_piece(t, ids->at[i], true, &piece);
        strbuf_text(out, i ? ",{\"id\":" : "{\"id\":");
        strbuf_integer(out, ids->at[i]);
        strbuf_text(out, ",\"piece\":");
        if (is_text(strbuf_span(&piece))) {
            strbuf_json(out, strbuf_span(&piece));
        } else {
            for (size_t k = 0; k < piece.size; k++)
                strbuf_format(out, k ? ",%u" : "[%u", (uint8_t)piece.text[k]);
            strbuf_text(out, "]");
        }
        strbuf_text(out, "}");
    }
    strbuf_release(&piece);
}

/* The tokens as the file has them. */
static void add_token_strs(struct strbuf *out, const struct tokenizer *t, const struct tokenizer_ids *ids)
{
    strbuf_text(out, ",\"token_strs\":[");
    for (size_t i = 0; i < ids->n; i++) {
        strbuf_text(out, i ? "," : "");
        strbuf_json(out, tokenizer_text_of(t, ids->at[i]));
    }
    strbuf_text(out, "]");
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
        strbuf_json(out, strbuf_span(&piece));
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

static bool reply_ids(struct reply *r, const struct requested_model *m, const struct prompt *p,
    const json_t *request, struct api_error *c)
{
    const struct tokenizer_ids *ids = &p->ids;
    const struct tokenizer *t = text_model_tokenizer(m->text);
    bool pieces, strs, content = is_content(request);
    struct strbuf out;
    if (!api_truth(request, "with_pieces", false, &pieces, c) ||
        !api_truth(request, "return_token_strs", false, &strs, c))
        return false;
    begin(&out, m, p->memory);
    strbuf_format(
        &out, ",\"count\":%zu,\"max_model_len\":%zu,\"tokens\":[", ids->n, text_model_context(m->text));
    if (pieces && content)
        add_ids_with_pieces(&out, t, ids);
    else
        add_ids(&out, ids);
    strbuf_text(&out, "]");
    if (pieces && !content)
        add_pieces(&out, t, ids);
    if (strs)
        add_token_strs(&out, t, ids);
    return end(&out, r, c);
}

static bool tokenize(struct server *s, const struct http_request *q, struct reply *r, json_t *request,
    struct requested_model *m, struct api_error *c)
{
    struct prompt p = prompt_for(s, q);
    unsigned needs = json_object_get(request, "messages") ? NEEDS_TOKENIZER | NEEDS_CHAT : NEEDS_TOKENIZER;
    bool good = requested_model_find(m, s, request, needs, c) && read_text(&p, m, request, c) &&
                reply_ids(r, m, &p, request, c);
    prompt_release(&p);
    return good;
}

/* ---- detokenize ---- */

/* Below /v1 the text is in `text`; at the root in `prompt` for vLLM's clients, and in `content` for llama.cpp's. */
static bool reply_text(struct reply *r, const struct http_request *q, const struct requested_model *m,
    const struct strbuf *text, struct api_error *c)
{
    static const char *const of_v1[] = {"text", NULL}, *const of_root[] = {"prompt", "content", NULL};
    struct strbuf out;
    if (text->failed)
        return request_memory_refuse(c);
    begin(&out, m, text->budget);
    for (const char *const *name = strstr(q->path, "/v1/") ? of_v1 : of_root; *name; name++) {
        strbuf_format(&out, ",\"%s\":", *name);
        strbuf_json(&out, strbuf_span(text));
    }
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
    bool good = reply_text(r, q, m, &text, c);
    strbuf_release(&text);
    prompt_release(&p);
    return good;
}

/* ---- the routes ---- */

typedef bool answer_request(struct server *s, const struct http_request *q, struct reply *r, json_t *request,
    struct requested_model *m, struct api_error *c);

static void answer(struct server *s, const struct http_request *q, struct reply *r,
    const struct dialect_fields *fields, answer_request *run)
{
    struct api_error c = {0};
    struct requested_model m = {0};
    json_t *request = api_request(q, &c);
    if (!request || !dialect_check(fields, request, &c) || !run(s, q, r, request, &m, &c))
        api_error_reply(&c, q, r);
    requested_model_release(&m, s);
    json_decref(request);
}

static void run_tokenize(struct server *s, const struct http_request *q, struct reply *r)
{
    answer(s, q, r, &tokenize_fields, tokenize);
}

static void run_detokenize(struct server *s, const struct http_request *q, struct reply *r)
{
    answer(s, q, r, &detokenize_fields, detokenize);
}

void openai_tokenize(struct server *s, const struct http_request *q, struct reply *r)
{
    api_run(s, q, r, run_tokenize);
}

void openai_detokenize(struct server *s, const struct http_request *q, struct reply *r)
{
    api_run(s, q, r, run_detokenize);
}
