/* models.c - the models of the volume in OpenAI's shape, with the members that clients of other servers look for.
 *
 * `context_length` and `max_model_len` are what prompt and answer may have together; `meta` has llama.cpp's names. What
 * only berth has is in the member `berth`. An alias is a model of its own whose `root` is the id of the file's model.
 */
#include "models_private.h"
#include "openai_private.h"

#include "berth/engine/scheduler/text_model.h"

#include <inttypes.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <strings.h>

/* null stands for a text or number that the file does not give. */
static json_t *text_or_null(const char *text)
{
    return text && text[0] ? json_string(text) : json_null();
}

static json_t *number_or_null(uint64_t number)
{
    return number ? json_integer((json_int_t)number) : json_null();
}

/* The shortest decimal that is the same float: 0.8, not 0.800000012. */
static json_t *real(float number)
{
    char text[32];
    int digits = 1;
    do
        snprintf(text, sizeof(text), "%.*g", digits, (double)number);
    while (strtof(text, NULL) != number && digits++ < 9);
    return json_real(strtod(text, NULL));
}

static json_t *describe_loaded(const struct model *m, enum model_state state)
{
    /* The watcher writes these while the model loads. */
    static const struct loaded nothing;
    const struct loaded *l = state == MODEL_LOADING ? &nothing : &m->loaded;
    const struct model_info *info = &l->info;
    return json_pack("{s:o, s:o, s:o, s:o, s:o, s:o, s:o, s:I, s:I, s:I, s:o}", "kind",
        text_or_null(info->kind), "format", text_or_null(info->format), "name", text_or_null(info->name),
        "architecture", text_or_null(info->architecture), "quantization", text_or_null(info->quantization),
        "parameters", number_or_null(info->parameters), "context", number_or_null(info->context), "files",
        (json_int_t)l->n_maps, "bytes_mapped", (json_int_t)loaded_mapped_bytes(l), "bytes_resident",
        (json_int_t)loaded_resident_bytes(l), "load_seconds",
        state == MODEL_LOADING ? json_null() : json_real(m->load_seconds));
}

/* What the model can do, and why not more. null until it is opened. */
static json_t *describe_answers(const struct model *m)
{
    const struct served_model *t = model_served(m);
    if (!t)
        return json_pack("{s:n, s:n, s:n, s:n, s:n, s:n, s:n, s:n, s:n}", "generates", "chats", "embeds",
            "pooling", "dimensions", "max_context", "kv_type", "kv_bytes_per_token", "lacks");
    struct served_description d = served_model_describe(t);
    return json_pack("{s:b, s:b, s:b, s:o, s:o, s:o, s:o, s:o, s:o}", "generates",
        d.kind == SERVED_GENERATE && d.answers, "chats", d.chats, "embeds",
        d.kind == SERVED_EMBED && d.answers, "pooling",
        d.pooling ? json_string(pooling_name(d.pooling)) : json_null(), "dimensions",
        number_or_null(d.n_embd), "max_context", number_or_null(d.context), "kv_type",
        text_or_null(d.kv_type), "kv_bytes_per_token", number_or_null(d.kv_bytes_per_token), "lacks",
        text_or_null(d.lacks ? d.lacks->text : NULL));
}

static json_t *describe_aliases(const struct server *s, const struct model *m)
{
    json_t *names = json_array();
    struct span name;
    for (size_t i = 0; (name = catalog_alias(s->catalog, m->id, i)).size > 0; i++)
        json_array_append_new(names, json_stringn((const char *)name.at, name.size));
    return names;
}

static void merge(json_t *into, json_t *members)
{
    json_object_update(into, members);
    json_decref(members);
}

static json_t *describe_berth(const struct server *s, const struct model *m, enum model_state state)
{
    char version[24];
    snprintf(version, sizeof(version), "%" PRIu64, m->version);
    json_t *berth = json_pack("{s:s, s:o, s:s, s:s}", "state", model_state_name(state), "reason",
        state == MODEL_FAILED ? json_string(m->reason.text) : json_null(), "version", version, "path",
        m->path);
    merge(berth, describe_loaded(m, state));
    merge(berth, describe_answers(m));
    json_object_set_new(berth, "aliases", describe_aliases(s, m));
    return berth;
}

/* How many tokens prompt and answer may have together; 0 when that is not known. */
static uint64_t context_of(const struct server *s, const struct model *m, uint64_t trained)
{
    const struct served_model *served = model_served(m);
    if (served)
        return served_model_describe(served).context;
    uint64_t most = s->options->context;
    return most > 0 && most < trained ? most : trained;
}

static bool can_chat(const struct model *m)
{
    const struct served_model *served = model_served(m);
    return served && served_model_describe(served).chats;
}

static json_t *describe_capabilities(const struct model *m)
{
    json_t *names = json_array();
    const struct served_model *served = model_served(m);
    const struct text_model *text = text_model_of(model_served(m));
    struct served_description d = {0};
    if (served)
        d = served_model_describe(served);
    if (served && d.kind == SERVED_GENERATE && d.answers)
        json_array_append_new(names, json_string("completion"));
    if (served && d.kind == SERVED_EMBED && d.answers)
        json_array_append_new(names, json_string("embedding"));
    if (d.chats)
        json_array_append_new(names, json_string("chat"));
    if (d.chats)
        json_array_append_new(names, json_string("tools"));
    if (d.chats && text && chat_format_reasons(text_model_chat_format(text)))
        json_array_append_new(names, json_string("thinking"));
    return names;
}

/* The sampling fields of a request that has none. */
static json_t *describe_sampling(const struct model *m)
{
    const struct text_model *t = text_model_of(model_served(m));
    if (!t || text_model_lacks(t, TEXT_DECODER) ||
        served_model_describe(model_served(m)).kind != SERVED_GENERATE)
        return json_null();
    const struct sampler_options *d = text_model_sampling(t);
    return json_pack("{s:o, s:I, s:o, s:o, s:o, s:o, s:o, s:o}", "temperature", real(d->temperature), "top_k",
        (json_int_t)d->top_k, "top_p", real(d->top_p), "min_p", real(d->min_p), "typical_p",
        real(d->typical_p), "repetition_penalty", real(d->repetition_penalty), "presence_penalty",
        real(d->presence_penalty), "frequency_penalty", real(d->frequency_penalty));
}

/* `id` is the model's own or an alias of it. */
static json_t *describe(const struct server *s, const struct model *m, struct span id)
{
    enum model_state state = model_state(m);
    bool loaded = state != MODEL_LOADING;
    uint64_t trained = loaded ? m->loaded.info.context : 0, context = context_of(s, m, trained);
    json_t *meta = json_pack("{s:o, s:o, s:o, s:o}", "n_ctx", number_or_null(context), "n_ctx_train",
        number_or_null(trained), "n_params", number_or_null(loaded ? m->loaded.info.parameters : 0), "size",
        number_or_null(loaded ? loaded_mapped_bytes(&m->loaded) : 0));
    return json_pack("{s:o, s:s, s:I, s:s, s:s, s:n, s:o, s:o, s:o, s:o, s:o, s:o}", "id",
        json_stringn((const char *)id.at, id.size), "object", "model", "created", (json_int_t)m->created,
        "owned_by", "berth", "root", m->id, "parent", "context_length", number_or_null(context),
        "max_model_len", number_or_null(context), "capabilities", describe_capabilities(m),
        "default_parameters", describe_sampling(m), "meta", meta, "berth", describe_berth(s, m, state));
}

static uint64_t context_of_model(const struct server *s, const struct model *m)
{
    return context_of(s, m, model_state(m) == MODEL_LOADING ? 0 : m->loaded.info.context);
}

/* The lists of a reply. */
struct model_lists {
    json_t *data, *others; /* those that can chat; the others */
    json_t *codex; /* as Codex wants them; NULL for a reply in Anthropic's shape */
};

static void append_id(
    const struct server *s, const struct model_lists *l, const struct model *m, struct span id)
{
    uint64_t context = context_of_model(s, m);
    bool chats = can_chat(m);
    json_array_append_new(
        chats ? l->data : l->others, l->codex ? describe(s, m, id) : models_anthropic(m, id, context));
    if (l->codex && chats)
        json_array_append_new(l->codex, models_codex(id, context));
}

/* The model and its aliases. */
static void append_model(const struct server *s, const struct model_lists *l, const struct model *m)
{
    struct span name;
    append_id(s, l, m, span_of(m->id));
    for (size_t i = 0; (name = catalog_alias(s->catalog, m->id, i)).size > 0; i++)
        append_id(s, l, m, name);
}

/* Anthropic's clients ask at the same path. */
static bool is_anthropic(const struct http_request *q)
{
    return http_request_header(q, "anthropic-version") != NULL;
}

/* Models that can chat come first, since many clients take the first one. */
void openai_models(struct server *s, const struct http_request *q, struct reply *r)
{
    size_t n;
    struct model **models = catalog_hold_all(s->catalog, &n);
    struct model_lists l = {json_array(), json_array(), is_anthropic(q) ? NULL : json_array()};
    for (size_t i = 0; i < n; i++)
        append_model(s, &l, models[i]);
    json_array_extend(l.data, l.others);
    json_decref(l.others);
    catalog_drop_all(s->catalog, models, n);
    bool told = json_array_size(l.codex) > 0 || http_request_query(q, "client_version");
    reply_json(r, 200,
        is_anthropic(q) ? models_anthropic_list(l.data)
                        : json_pack("{s:s, s:o, s:O*}", "object", "list", "data", l.data, "models",
                              told ? l.codex : NULL));
    json_decref(l.codex);
}

/* The alias of the model that equals `name` but for case, or else the model's id. */
static struct span name_of(const struct server *s, const struct model *m, struct span name)
{
    struct span alias;
    for (size_t i = 0; (alias = catalog_alias(s->catalog, m->id, i)).size > 0; i++)
        if (alias.size == name.size &&
            strncasecmp((const char *)alias.at, (const char *)name.at, name.size) == 0)
            return alias;
    return span_of(m->id);
}

void openai_model(struct server *s, const struct http_request *q, struct reply *r)
{
    struct span asked = http_request_param(q, "id");
    struct model *m = catalog_hold(s->catalog, asked);
    if (m) {
        struct span name = name_of(s, m, asked);
        reply_json(r, 200,
            is_anthropic(q) ? models_anthropic(m, name, context_of_model(s, m)) : describe(s, m, name));
        catalog_drop(s->catalog, m);
        return;
    }
    char id[200], message[300];
    text_escape(id, sizeof(id), asked);
    snprintf(message, sizeof(message), "The model '%s' does not exist; /v1/models lists those that do", id);
    if (is_anthropic(q))
        reply_json(r, 404, models_anthropic_unknown(message, r->request_id));
    else
        reply_error(r, &openai_dialect, 404, message, "model", "model_not_found");
}
