/* show.c - POST /api/show: what a model's file says of itself, and what the model can do.
 */
#include "ollama_private.h"

#include "berth/base/strbuf.h"
#include "berth/server/api/fill_in_middle.h"

#include <inttypes.h>
#include <math.h>
#include <stdio.h>

#define PARAMETERS_MAX ((size_t)128 << 10)
#define SHOW_MAX ((size_t)64 << 20)

static void add_member(struct strbuf *out, const char *name, struct span value)
{
    strbuf_format(out, ",\"%s\":", name);
    strbuf_json(out, value);
}

/* ---- what the file says ---- */

static void add_value(struct strbuf *out, const struct checkpoint_value *v)
{
    uint64_t whole;
    double real;
    if (v->is_array)
        strbuf_text(out, "null"); /* the vocabulary: it has a hundred thousand entries */
    else if (v->kind == CHECKPOINT_STRING)
        strbuf_json(out, v->bytes);
    else if (v->kind == CHECKPOINT_BOOL)
        strbuf_text(out, checkpoint_item_u64(v, 0, &whole) && whole ? "true" : "false");
    else if (v->kind == CHECKPOINT_REAL && checkpoint_item_f64(v, 0, &real) && isfinite(real))
        strbuf_format(out, "%.*g", v->width == 4 ? 7 : 15, real);
    else if (v->kind != CHECKPOINT_REAL && checkpoint_item_u64(v, 0, &whole))
        strbuf_format(out, "%" PRIu64, whole);
    else
        strbuf_text(out, "null");
}

/* The keys of the file, and the number of parameters, which Ollama counts, too. The template has a member of its own. */
static void add_info(struct strbuf *out, const struct model *m)
{
    const struct checkpoint *c = m->loaded.checkpoint;
    strbuf_text(out, ",\"model_info\":{");
    strbuf_format(out, "\"general.parameter_count\":%" PRIu64, m->loaded.info.parameters);
    for (size_t i = 0; c && i < c->n_values; i++) {
        if (span_is(c->values[i].key, "tokenizer.chat_template") ||
            span_is(c->values[i].key, "general.parameter_count"))
            continue;
        strbuf_text(out, ",");
        strbuf_json(out, c->values[i].key);
        strbuf_text(out, ":");
        add_value(out, &c->values[i]);
    }
    strbuf_text(out, "}");
}

static struct span text_of_key(const struct model *m, const char *key)
{
    struct span text = {0};
    struct error ignored = {0};
    if (!m->loaded.checkpoint ||
        checkpoint_get_text(m->loaded.checkpoint, key, &text, &ignored) != CHECKPOINT_GOT)
        return (struct span){0};
    return text;
}

/* ---- what the model does ---- */

/* Lines of a Modelfile: the settings of a request that has none. */
static void add_parameters(struct strbuf *out, const struct text_model *t)
{
    struct strbuf text;
    const struct sampler_options *d = text_model_sampling(t);
    const struct text_defaults *more = text_model_defaults(t);
    strbuf_init(&text, PARAMETERS_MAX);
    strbuf_format(&text,
        "temperature %.6g\ntop_k %u\ntop_p %.6g\nmin_p %.6g\nrepeat_penalty %.6g\nnum_ctx %zu",
        (double)d->temperature, d->top_k, (double)d->top_p, (double)d->min_p, (double)d->repetition_penalty,
        text_model_context(t));
    if (more->max_tokens)
        strbuf_format(&text, "\nnum_predict %zu", more->max_tokens);
    for (size_t i = 0; i < more->n_stops; i++) {
        strbuf_text(&text, "\nstop ");
        strbuf_json(&text, more->stops[i]);
    }
    add_member(out, "parameters", strbuf_span(&text));
    if (more->system.size)
        add_member(out, "system", more->system);
    strbuf_release(&text);
}

static void add_capabilities(struct strbuf *out, const struct requested_model *m)
{
    const struct text_model *t = m->text;
    bool embeds = served_model_describe(m->served).kind == SERVED_EMBED,
         runs = !text_model_lacks(t, TEXT_DECODER);
    bool answers = runs && !embeds, chats = answers && !text_model_lacks(t, TEXT_CHAT);
    const struct {
        const char *name;
        bool has;
    } rows[] = {
        {"completion", answers},
        {"embedding", runs && embeds},
        {"tools", chats},
        {"thinking", chats && chat_format_reasons(text_model_chat_format(t))},
        {"insert", answers && fill_in_middle_is_known(text_model_tokenizer(t))},
    };
    size_t told = 0;
    strbuf_text(out, ",\"capabilities\":[");
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++)
        if (rows[i].has)
            strbuf_format(out, "%s\"%s\"", told++ ? "," : "", rows[i].name);
    strbuf_text(out, "]");
}

static void add_modelfile(struct strbuf *out, const struct model *m)
{
    char text[600];
    snprintf(text, sizeof(text), "# what berth serves; there is no Modelfile\nFROM %s\n", m->id);
    add_member(out, "modelfile", span_of(text));
}

static bool reply_shown(struct reply *r, const struct requested_model *m, struct api_error *c)
{
    struct strbuf out;
    const struct model *model = m->model;
    strbuf_init(&out, SHOW_MAX);
    strbuf_text(&out, "{\"details\":");
    ollama_add_details(&out, model);
    add_member(&out, "license", text_of_key(model, "general.license"));
    add_modelfile(&out, model);
    add_parameters(&out, m->text);
    add_member(&out, "template", text_of_key(model, "tokenizer.chat_template"));
    add_capabilities(&out, m);
    add_info(&out, model);
    strbuf_text(&out, ",\"modified_at\":");
    ollama_add_time(&out, mapping_modified(model->loaded.maps[0]), 0);
    strbuf_text(&out, "}");
    if (out.failed) {
        strbuf_release(&out);
        return api_error_no_memory(c);
    }
    reply_buffer(r, 200, "application/json", &out);
    return true;
}

/* The model is named by "model", and in older clients by "name". */
static void run_show(struct server *s, const struct http_request *q, struct reply *r)
{
    struct api_error c = {0};
    struct requested_model m = {0};
    json_t *asked = api_request(q, &c);
    if (asked && !json_object_get(asked, "model") && json_object_get(asked, "name"))
        json_object_set(asked, "model", json_object_get(asked, "name"));
    if (!asked || !ollama_check(asked, OLLAMA_SHOW, &c) || !requested_model_find(&m, s, asked, 0, &c) ||
        !reply_shown(r, &m, &c))
        ollama_reply_refusal(asked, &c, q, r);
    requested_model_release(&m, s);
    json_decref(asked);
}

void ollama_show(struct server *s, const struct http_request *q, struct reply *r)
{
    api_run(s, q, r, run_show);
}
