/* props.c - what clients of llama.cpp and vLLM ask of a server before they send it work: the model's template and special
 * tokens, the slots, the text that a template makes.
 *
 * A volume may have several models: ?model=NAME says which one, and need not where only one can answer.
 */
#include "llamacpp_private.h"

#include "berth/base/strbuf.h"
#include "berth/engine/scheduler/engine.h"

#include <inttypes.h>
#include <string.h>

#define REPLY_MAX ((size_t)64 << 20)

/* ---- the model that a query names ---- */

typedef bool describe_model(
    struct strbuf *out, struct server *s, const struct requested_model *m, struct api_error *c);

static void describe(
    struct server *s, const struct http_request *q, struct reply *r, unsigned needs, describe_model *writes)
{
    struct api_error c = {0};
    struct requested_model m = {0};
    struct strbuf out;
    const char *name = http_request_query(q, "model");
    json_t *request = name && name[0] ? json_pack("{s:s}", "model", name) : json_object();
    strbuf_init(&out, REPLY_MAX);
    bool good = (request || api_error_no_memory(&c)) && requested_model_find(&m, s, request, needs, &c) &&
                writes(&out, s, &m, &c) && (!out.failed || api_error_no_memory(&c));
    if (good) {
        reply_buffer(r, 200, "application/json", &out);
    } else {
        strbuf_release(&out);
        api_error_reply(&c, q, r);
    }
    requested_model_release(&m, s);
    json_decref(request);
}

/* ---- parts ---- */

static struct span template_of(const struct model *m)
{
    struct span text = {0};
    struct error ignored = {0};
    if (!m->loaded.checkpoint ||
        checkpoint_chat_template(m->loaded.checkpoint, NULL, &text, &ignored) != CHECKPOINT_GOT)
        return (struct span){0};
    return text;
}

/* ,"name":"<|im_end|>", or null without such a token. */
static void add_special(
    struct strbuf *out, const char *name, const struct tokenizer *t, enum tokenizer_special which)
{
    struct strbuf piece;
    int32_t id = t ? tokenizer_special(t, which) : TOKENIZER_NONE;
    strbuf_format(out, ",\"%s\":", name);
    if (id == TOKENIZER_NONE) {
        strbuf_text(out, "null");
        return;
    }
    strbuf_init(&piece, 65536);
    tokenizer_piece(t, id, true, &piece);
    strbuf_json(out, (struct span){(const uint8_t *)piece.text, piece.size});
    strbuf_release(&piece);
}

static void add_text_or_null(struct strbuf *out, struct span text)
{
    if (text.at)
        strbuf_json(out, text);
    else
        strbuf_text(out, "null");
}

/* ---- /props ---- */

/* The name of the model's file; where it lies is nobody's business. */
static struct span name_of_file(const struct model *m)
{
    const char *slash = strrchr(m->path, '/');
    return span_of(slash ? slash + 1 : m->path);
}

static bool add_props(
    struct strbuf *out, struct server *s, const struct requested_model *m, struct api_error *c)
{
    size_t context = text_model_context(m->text);
    const struct tokenizer *t = text_model_tokenizer(m->text);
    struct span template = template_of(m->model);
    (void)c;
    strbuf_format(out, "{\"default_generation_settings\":{\"n_ctx\":%zu,\"params\":", context);
    llamacpp_add_settings(
        out, &(struct llamacpp_settings){.sampling = text_model_sampling(m->text),
                 .max_tokens =
                     s->options->max_tokens_default ? (size_t)s->options->max_tokens_default : SIZE_MAX});
    strbuf_format(out, "},\"total_slots\":%zu,\"model_alias\":", engine_options_of(s->engine)->slots);
    strbuf_json(out, span_of(m->model->id));
    strbuf_text(out, ",\"model_path\":");
    strbuf_json(out, name_of_file(m->model));
    strbuf_text(out, ",\"chat_template\":");
    strbuf_json(out, template);
    add_special(out, "bos_token", t, TOKENIZER_BOS);
    add_special(out, "eos_token", t, TOKENIZER_EOS);
    strbuf_format(out,
        ",\"modalities\":{\"vision\":false,\"audio\":false},\"n_ctx\":%zu,\"is_sleeping\":false"
        ",\"build_info\":\"berth-" BERTH_VERSION "\"}",
        context);
    return true;
}

void llamacpp_props(struct server *s, const struct http_request *q, struct reply *r)
{
    describe(s, q, r, 0, add_props);
}

/* ---- /slots ---- */

/* How many slots are taken, and nothing of whose text is in them. */
static bool add_slots(
    struct strbuf *out, struct server *s, const struct requested_model *m, struct api_error *c)
{
    size_t n = engine_options_of(s->engine)->slots;
    uint64_t running = atomic_load(&served_model_metrics(m->served)->running);
    (void)c;
    strbuf_text(out, "[");
    for (size_t i = 0; i < n; i++)
        strbuf_format(out,
            "%s{\"id\":%zu,\"id_task\":-1,\"n_ctx\":%zu,\"speculative\":false,\"is_processing\":%s}",
            i ? "," : "", i, text_model_context(m->text), i < running ? "true" : "false");
    strbuf_text(out, "]");
    return true;
}

/* With ?fail_on_no_slot=1 a load balancer learns whether there is a place. */
static bool add_free_slots(
    struct strbuf *out, struct server *s, const struct requested_model *m, struct api_error *c)
{
    if (atomic_load(&served_model_metrics(m->served)->running) >= engine_options_of(s->engine)->slots)
        return api_error_status(c, 503, NULL, NULL, "no slot available");
    return add_slots(out, s, m, c);
}

void llamacpp_slots(struct server *s, const struct http_request *q, struct reply *r)
{
    const char *fails = http_request_query(q, "fail_on_no_slot");
    describe(s, q, r, 0, fails && strcmp(fails, "0") != 0 ? add_free_slots : add_slots);
}

/* ---- /tokenizer_info ---- */

static bool add_tokenizer_info(
    struct strbuf *out, struct server *s, const struct requested_model *m, struct api_error *c)
{
    const struct tokenizer *t = text_model_tokenizer(m->text);
    (void)s;
    (void)c;
    strbuf_text(out, "{\"tokenizer_class\":");
    strbuf_json(out, span_of(tokenizer_model(t)));
    strbuf_format(
        out, ",\"vocab_size\":%zu,\"model_max_length\":%zu", tokenizer_size(t), text_model_context(m->text));
    add_special(out, "bos_token", t, TOKENIZER_BOS);
    add_special(out, "eos_token", t, TOKENIZER_EOS);
    add_special(out, "pad_token", t, TOKENIZER_PAD);
    add_special(out, "unk_token", t, TOKENIZER_UNKNOWN);
    strbuf_format(out, ",\"add_bos_token\":%s,\"add_eos_token\":%s,\"chat_template\":",
        tokenizer_adds_bos(t) ? "true" : "false", tokenizer_adds_eos(t) ? "true" : "false");
    add_text_or_null(out, template_of(m->model));
    strbuf_text(out, "}");
    return true;
}

void llamacpp_tokenizer_info(struct server *s, const struct http_request *q, struct reply *r)
{
    describe(s, q, r, NEEDS_TOKENIZER, add_tokenizer_info);
}

/* ---- /apply-template ---- */

static bool apply(
    struct server *s, const struct http_request *q, struct reply *r, json_t *request, struct api_error *c)
{
    struct requested_model m = {0};
    struct strbuf out;
    struct prompt p = prompt_for(s, q);
    p.keeps_text = true;
    const struct dialect_fields fields = {.others = completion_params_prompt_field};
    bool good = dialect_check(&fields, request, c) &&
                requested_model_find(&m, s, request, NEEDS_TOKENIZER | NEEDS_CHAT, c) &&
                prompt_of_chat(&p, &m, request, c);
    strbuf_init(&out, REPLY_MAX);
    out.budget = &s->request_memory;
    strbuf_text(&out, "{\"prompt\":");
    strbuf_json(&out, (struct span){(const uint8_t *)p.text, p.text_size});
    strbuf_text(&out, "}");
    good = good && (!out.failed || request_memory_refuse(c));
    if (good)
        reply_buffer(r, 200, "application/json", &out);
    else
        strbuf_release(&out);
    prompt_release(&p);
    requested_model_release(&m, s);
    return good;
}

static void run_apply(struct server *s, const struct http_request *q, struct reply *r)
{
    struct api_error c = {0};
    json_t *request = api_request(q, &c);
    if (!request || !apply(s, q, r, request, &c))
        api_error_reply(&c, q, r);
    json_decref(request);
}

void llamacpp_apply_template(struct server *s, const struct http_request *q, struct reply *r)
{
    api_run(s, q, r, run_apply);
}

/* ---- what is not done ---- */

void llamacpp_refused(struct server *s, const struct http_request *q, struct reply *r)
{
    (void)s;
    (void)q;
    reply_error(r, &llamacpp_dialect, 403,
        "This server changes neither its properties nor its slots at the request of a client", NULL, NULL);
}
