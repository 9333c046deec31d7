/* embeddings.c - POST /v1/embeddings: vectors of texts, as OpenAI's, with vLLM's truncate_prompt_tokens and normalize.
 *
 * A request is one job with all of its texts. The reply is written in slices, since a long one takes longer than an HTTP
 * thread may be busy.
 */
#include "openai_private.h"

#include "berth/base/float_text.h"
#include "berth/server/api/translate.h"
#include "berth/server/http/stream.h"
#include "berth/server/result.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#define INPUTS_MAX 2048 /* as OpenAI has it */
#define REPLY_MAX ((size_t)1 << 30)
#define SLICE 8192 /* numbers that one look writes */
#define JOB_BYTES 2048 /* of a request beside its tokens and vectors */
#define BYTES_PER_TOKEN 64 /* of a text that is cut: more than its tokens can have */

struct embeddings {
    struct async_reply async; /* first: the two are cast into each other */
    struct server *server;
    const struct dialect *dialect;
    struct requested_model model;
    struct suspended *suspended;
    struct job *job;
    bool base64;
    size_t n_texts, dimensions, n_tokens;
    size_t held; /* bytes taken of the server's request_memory */
    struct strbuf out; /* the reply, so far */
    size_t text, element; /* what of the vectors comes next */
};

/* ---- the fields ---- */

/* clang-format off */
static const struct dialect_field rows[] = {
    {"model", FIELD_READ, NULL, SCHEMA_STRING},
    {"input", FIELD_READ | FIELD_REQUIRED, NULL,
     "{\"anyOf\":[{\"type\":\"string\",\"minLength\":1},{\"type\":\"array\",\"minItems\":1,\"maxItems\":2048,\"items\":{\"anyOf\":["
     "{\"type\":\"string\",\"minLength\":1},{\"type\":\"integer\",\"minimum\":0},"
     "{\"type\":\"array\",\"minItems\":1,\"items\":{\"type\":\"integer\",\"minimum\":0}}]}}]}"},
    {"encoding_format", FIELD_READ, NULL, "{\"enum\":[\"float\",\"base64\",null]}"},
    {"dimensions", FIELD_READ, NULL, "{\"type\":[\"integer\",\"null\"],\"minimum\":1}"},
    {"truncate_prompt_tokens", FIELD_READ, NULL, "{\"type\":[\"integer\",\"null\"],\"minimum\":-1}"},
    {"normalize", FIELD_READ, NULL, SCHEMA_TRUTH},
    {"user", FIELD_IGNORED, NULL, NULL},
    {"priority", FIELD_IGNORED, NULL, NULL},
    {"request_id", FIELD_IGNORED, NULL, NULL},
};
/* clang-format on */

static const struct dialect_fields fields = {.rows = rows, .n = sizeof(rows) / sizeof(rows[0])};

bool openai_embeddings_field(size_t i, struct route_field *out)
{
    return dialect_describe(&fields, i, out);
}

/* ---- the texts ---- */

/* What a request asks for. */
struct asked {
    const struct text_model *model;
    size_t cut; /* texts are cut to so many tokens; 0: a longer one is an error */
    struct tokenizer_ids ends; /* what the tokenizer puts around an empty text */
    struct prompt all; /* the tokens of all texts */
    uint32_t *sizes; /* [n] */
    size_t n;
};

/* Cuts the tokens behind `before` to the limit. Those that end every text stay at the end. */
static void cut_tokens(struct asked *a, size_t before, bool is_text)
{
    int32_t *ids = a->all.ids.at + before;
    size_t n = a->all.ids.n - before, kept = 0;
    if (a->cut == 0 || n <= a->cut)
        return;
    while (
        is_text && kept < a->ends.n && kept < a->cut && a->ends.at[a->ends.n - 1 - kept] == ids[n - 1 - kept])
        kept++;
    memmove(ids + a->cut - kept, ids + n - kept, kept * sizeof(*ids));
    a->all.ids.n = before + a->cut;
}

/* The beginning of a text that has all tokens that are kept. */
static struct span cut_text(const struct asked *a, struct span text)
{
    size_t most = a->cut < (SIZE_MAX >> 1) / BYTES_PER_TOKEN ? (a->cut + 1) * BYTES_PER_TOKEN : SIZE_MAX;
    if (a->cut == 0 || text.size <= most)
        return text;
    while (most > 0 && (text.at[most] & 0xc0) == 0x80)
        most--;
    return (struct span){text.at, most};
}

static bool add_string(struct asked *a, const json_t *value, const char *param, struct api_error *c)
{
    struct tokenizer_text in = {
        .text = cut_text(a, api_text(value)), .add_special = true, .parse_special = true};
    if (json_string_length(value) == 0)
        return api_error_bad(c, param, "'%s' must not be an empty string", param);
    if (!text_model_tokenizer(a->model))
        return api_error_status(c, 400, "model_not_supported", param,
            "This model takes prompts of token ids only: %.500s",
            text_model_lacks(a->model, TEXT_TOKENIZER)->text);
    return prompt_add_text(&a->all, a->model, &in, param, c);
}

static bool add_ids(struct asked *a, const json_t *list, const char *param, struct api_error *c)
{
    size_t vocabulary = text_model_n_vocab(a->model);
    for (size_t i = 0; i < json_array_size(list); i++) {
        int32_t id;
        if (!api_token_id(json_array_get(list, i), vocabulary, &id))
            return api_error_bad(
                c, param, "'%s[%zu]' is not a token id; this model has 0 to %zu", param, i, vocabulary - 1);
        if (!prompt_add_id(&a->all, id, c))
            return false;
    }
    return true;
}

/* A string or a list of ids. */
static bool add_text(struct asked *a, const json_t *value, const char *param, struct api_error *c)
{
    size_t before = a->all.ids.n, context = text_model_context(a->model);
    bool is_text = json_is_string(value);
    if (!(is_text ? add_string(a, value, param, c) : add_ids(a, value, param, c)))
        return false;
    cut_tokens(a, before, is_text);
    size_t n = a->all.ids.n - before;
    if (n == 0)
        return api_error_bad(c, param, "'%s' has no tokens", param);
    if (n > context)
        return api_error_status(c, 400, "context_length_exceeded", param,
            "This model's maximum context length is %zu tokens. However, '%s' has %zu tokens. Please reduce its "
            "length, or cut it by 'truncate_prompt_tokens': -1.",
            context, param, n);
    a->sizes[a->n++] = (uint32_t)n;
    return true;
}

static bool read_texts(struct asked *a, const json_t *input, struct api_error *c)
{
    const json_t *first = json_array_get(input, 0);
    bool several = json_is_string(first) || json_is_array(first);
    size_t n = several ? json_array_size(input) : 1;
    if (!json_is_string(input) && !first)
        return api_error_bad(c, "input",
            "'input' must be a string, a list of strings, of token ids or of such lists, and not empty");
    if (n > INPUTS_MAX)
        return api_error_bad(c, "input", "'input' may have %d texts; this one has %zu", INPUTS_MAX, n);
    a->sizes = calloc(n, sizeof(*a->sizes));
    if (!a->sizes)
        return api_error_no_memory(c);
    if (!several)
        return add_text(a, input, "input", c);
    for (size_t i = 0; i < n; i++) {
        char param[32];
        const json_t *one = json_array_get(input, i);
        snprintf(param, sizeof(param), "input[%zu]", i);
        if (json_is_string(first) ? !json_is_string(one) : !json_is_array(one))
            return api_error_bad(c, param, "'%s' must be a %s, as the first is", param,
                json_is_string(first) ? "string" : "list");
        if (!add_text(a, one, param, c))
            return false;
    }
    return true;
}

/* ---- the job ---- */

static bool read_limits(struct embeddings *e, struct asked *a, const json_t *request, struct api_error *c)
{
    int64_t dimensions, cut, width = (int64_t)text_model_n_embd(a->model);
    int64_t context = (int64_t)text_model_context(a->model);
    const json_t *format = json_object_get(request, "encoding_format");
    if (!api_integer(request, "dimensions", width, &dimensions, c) ||
        !api_integer(request, "truncate_prompt_tokens", 0, &cut, c))
        return false;
    if (dimensions < 1 || dimensions > width)
        return api_error_bad(c, "dimensions", "'dimensions' must be 1 to %" PRId64, width);
    if (cut < -1 || cut > context)
        return api_error_bad(
            c, "truncate_prompt_tokens", "'truncate_prompt_tokens' must be -1, or 1 to %" PRId64, context);
    e->base64 = json_is_string(format) && strcmp(json_string_value(format), "base64") == 0;
    e->dimensions = (size_t)dimensions;
    a->cut = (size_t)(cut == -1 ? context : cut);
    return true;
}

static bool read_ends(struct asked *a, struct api_error *c)
{
    struct error err = {0};
    const struct tokenizer *t = text_model_tokenizer(a->model);
    struct tokenizer_text empty = {.add_special = true};
    return a->cut == 0 || !t || tokenizer_encode(t, &empty, &a->ends, &err) || api_error_of(c, "input", &err);
}

static void wake(void *context)
{
    struct embeddings *e = context;
    suspended_wake(e->suspended);
}

static bool submit(struct embeddings *e, const struct http_request *q, const struct asked *a, bool normalizes,
    struct api_error *c)
{
    struct error err = {0};
    const struct job_request request = {.kind = JOB_EMBED,
        .model = e->model.served,
        .prompt = a->all.ids.at,
        .n_prompt = a->all.ids.n,
        .text_sizes = a->sizes,
        .n_texts = a->n,
        .dimensions = e->dimensions,
        .normalizes = normalizes,
        .arrived = q->arrived};
    e->job = job_new(&request, wake, e);
    if (!e->job)
        return api_error_no_memory(c);
    enum result result = served_model_submit(e->job, &err);
    if (result == RESULT_OK)
        return true;
    struct result_reply reply = result_reply(result);
    c->retry_after = reply.retry_after;
    return api_error_status(c, reply.status, reply.code, NULL, "%s", err.text);
}

/* Takes what stays until the reply is made: the job's copies, and vectors. */
static bool hold(struct embeddings *e, const struct asked *a, struct api_error *c)
{
    size_t bytes = JOB_BYTES + a->all.ids.n * sizeof(int32_t) +
                   a->n * (sizeof(uint32_t) + e->dimensions * sizeof(float));
    if (!byte_budget_take(&e->server->request_memory, bytes))
        return request_memory_refuse(c);
    e->held = bytes;
    e->n_texts = a->n;
    e->n_tokens = a->all.ids.n;
    return true;
}

static bool start(
    struct embeddings *e, const struct http_request *q, const json_t *request, struct api_error *c)
{
    bool normalizes;
    struct asked a = {.model = e->model.text, .all = prompt_for(e->server, q)};
    bool good = read_limits(e, &a, request, c) && api_truth(request, "normalize", true, &normalizes, c) &&
                read_ends(&a, c) && read_texts(&a, json_object_get(request, "input"), c) && hold(e, &a, c) &&
                submit(e, q, &a, normalizes, c);
    tokenizer_ids_release(&a.ends);
    prompt_release(&a.all);
    free(a.sizes);
    return good;
}

/* ---- the reply ---- */

static struct embeddings *embeddings_of(struct async_reply *l)
{
    return (struct embeddings *)(void *)l;
}

static void add(struct strbuf *out, const char *text, size_t size)
{
    strbuf_add(out, (struct span){(const uint8_t *)text, size});
}

static void add_numbers(struct strbuf *out, const float *x, size_t n, bool first)
{
    for (size_t i = 0; i < n; i++) {
        char text[FLOAT_TEXT + 1] = ",";
        size_t size = float_text(text + 1, x[i]);
        add(out, text + (first && i == 0), size + !(first && i == 0));
    }
}

/* n bytes as base64, with padding where they are no multiple of three. */
static void add_base64(struct strbuf *out, const uint8_t *bytes, size_t n)
{
    static const char digits[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    for (size_t i = 0; i < n; i += 3) {
        size_t left = n - i;
        uint32_t three = (uint32_t)bytes[i] << 16 | (left > 1 ? (uint32_t)bytes[i + 1] << 8 : 0) |
                         (left > 2 ? bytes[i + 2] : 0);
        const char four[] = {digits[three >> 18], digits[three >> 12 & 63],
            left > 1 ? digits[three >> 6 & 63] : '=', left > 2 ? digits[three & 63] : '='};
        add(out, four, sizeof(four));
    }
}

/* The next numbers of a vector, at most `most`: a multiple of three for base64. Bytes are little-endian, as on all
 * machines that berth runs on. Returns how many there were. */
static size_t add_elements(struct embeddings *e, size_t most)
{
    const float *x = job_vectors_of(e->job) + e->text * e->dimensions + e->element;
    size_t left = e->dimensions - e->element, n = left <= most ? left : most / 3 * 3;
    bool first = e->element == 0, last = n == left;
    if (first) {
        strbuf_text(&e->out, e->text > 0 ? "," : "");
        strbuf_format(&e->out, "{\"object\":\"embedding\",\"index\":%zu,\"embedding\":%c", e->text,
            e->base64 ? '"' : '[');
    }
    if (e->base64)
        add_base64(&e->out, (const uint8_t *)(const void *)x, n * sizeof(*x));
    else
        add_numbers(&e->out, x, n, first);
    if (last)
        strbuf_text(&e->out, e->base64 ? "\"}" : "]}");
    e->element = last ? 0 : e->element + n;
    e->text += last;
    return n;
}

/* Writes a slice of the reply. False when it is not the last. */
static bool write_slice(struct embeddings *e)
{
    if (e->text == 0 && e->element == 0)
        strbuf_text(&e->out, "{\"object\":\"list\",\"data\":[");
    for (size_t left = SLICE, n; e->text < e->n_texts; left -= n) {
        n = add_elements(e, left);
        if (left < n + 3)
            return false;
    }
    strbuf_text(&e->out, "],\"model\":");
    strbuf_json(&e->out, span_of(e->model.model->id));
    strbuf_format(
        &e->out, ",\"usage\":{\"prompt_tokens\":%zu,\"total_tokens\":%zu}}", e->n_tokens, e->n_tokens);
    return true;
}

static enum async_reply_state fail(struct embeddings *e, struct reply *r, enum result result, const char *why)
{
    struct result_reply reply = result_reply(result);
    reply_error(r, e->dialect, reply.status, why, NULL, reply.code);
    reply_retry_after(r, reply.retry_after);
    return ASYNC_WHOLE;
}

static enum async_reply_state look(struct async_reply *l, bool begin, struct reply *r)
{
    bool ended;
    struct error why = {0};
    struct embeddings *e = embeddings_of(l);
    (void)begin;
    job_take(e->job, &ended);
    if (!ended)
        return ASYNC_NOT_YET;
    enum result result = job_result(e->job, &why);
    if (result != RESULT_OK)
        return fail(e, r, result, why.text);
    if (!write_slice(e))
        return ASYNC_AGAIN;
    if (e->out.failed)
        return fail(e, r, RESULT_NO_MEMORY, "memory is short");
    reply_buffer(r, 200, "application/json", &e->out);
    return ASYNC_WHOLE;
}

static void release(struct async_reply *l)
{
    struct embeddings *e = embeddings_of(l);
    if (e->job)
        job_release(e->job);
    strbuf_release(&e->out);
    requested_model_release(&e->model, e->server);
    byte_budget_give(&e->server->request_memory, e->held);
    free(e);
}

static const struct async_reply_kind kind = {.look = look, .release = release};

/* ---- the route ---- */

static bool answer(struct server *s, const struct http_request *q, struct reply *r, const json_t *request,
    struct api_error *c)
{
    struct embeddings *e = calloc(1, sizeof(*e));
    if (!e)
        return api_error_no_memory(c);
    *e = (struct embeddings){
        .async.kind = &kind, .server = s, .dialect = q->dialect, .suspended = q->suspended};
    strbuf_init(&e->out, REPLY_MAX);
    e->out.budget = &s->request_memory;
    if (dialect_check(&fields, request, c) &&
        requested_model_find(&e->model, s, request, NEEDS_DECODER | NEEDS_EMBEDDING, c) &&
        start(e, q, request, c)) {
        r->async = &e->async;
        return true;
    }
    release(&e->async);
    return false;
}

static void run(struct server *s, const struct http_request *q, struct reply *r)
{
    struct api_error c = {0};
    json_t *request = api_request(q, &c);
    if (!request || !answer(s, q, r, request, &c))
        api_error_reply(&c, q, r);
    json_decref(request);
}

void openai_embeddings(struct server *s, const struct http_request *q, struct reply *r)
{
    api_run(s, q, r, run);
}
