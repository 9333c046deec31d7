/* models.c - the models of the volume, in OpenAI's shape with what berth knows beside it. */
#include "openai_private.h"

#include <inttypes.h>
#include <math.h>
#include <stdio.h>

/* null instead of a text or number that the file does not give */
static json_t *text_or_null(const char *text)
{
    return text && text[0] ? json_string(text) : json_null();
}

static json_t *number_or_null(uint64_t number)
{
    return number ? json_integer((json_int_t)number) : json_null();
}

static json_t *describe_loaded(const struct model *m, enum model_state state)
{
    /* While it loads, the watcher writes these. */
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

/* What the model can be asked for, and why not; null while nobody has needed to know. */
static json_t *describe_answers(const struct model *m)
{
    const struct served_model *t = model_served(m);
    if (!t)
        return json_pack("{s:n, s:n, s:n, s:n, s:n, s:n}", "generates", "chats", "max_context", "kv_type",
            "kv_bytes_per_token", "lacks");
    struct served_description d = served_model_describe(t);
    return json_pack("{s:b, s:b, s:o, s:o, s:o, s:o}", "generates", d.kind == SERVED_GENERATE && d.answers,
        "chats", d.chats, "max_context", number_or_null(d.context), "kv_type", text_or_null(d.kv_type),
        "kv_bytes_per_token", number_or_null(d.kv_bytes_per_token), "lacks",
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

static json_t *describe(const struct server *s, const struct model *m)
{
    enum model_state state = model_state(m);
    char version[24];
    snprintf(version, sizeof(version), "%" PRIu64, m->version);
    json_t *berth = json_pack("{s:s, s:o, s:s, s:s}", "state", model_state_name(state), "reason",
        state == MODEL_FAILED ? json_string(m->reason.text) : json_null(), "version", version, "path",
        m->path);
    merge(berth, describe_loaded(m, state));
    merge(berth, describe_answers(m));
    json_object_set_new(berth, "aliases", describe_aliases(s, m));
    return json_pack("{s:s, s:s, s:I, s:s, s:o}", "id", m->id, "object", "model", "created",
        (json_int_t)m->created, "owned_by", "berth", "berth", berth);
}

void openai_models(struct server *s, const struct http_request *q, struct reply *r)
{
    size_t n;
    (void)q;
    struct model **models = catalog_hold_all(s->catalog, &n);
    json_t *data = json_array();
    for (size_t i = 0; i < n; i++)
        json_array_append_new(data, describe(s, models[i]));
    catalog_drop_all(s->catalog, models, n);
    reply_json(r, 200, json_pack("{s:s, s:o}", "object", "list", "data", data));
}

void openai_model(struct server *s, const struct http_request *q, struct reply *r)
{
    struct span asked = http_request_param(q, "id");
    struct model *m = catalog_hold(s->catalog, asked);
    if (m) {
        reply_json(r, 200, describe(s, m));
        catalog_drop(s->catalog, m);
        return;
    }
    char id[200], message[300];
    text_escape(id, sizeof(id), asked);
    snprintf(message, sizeof(message), "The model '%s' does not exist; /v1/models lists those that do", id);
    reply_error(r, &openai_dialect, 404, message, "model", "model_not_found");
}
