/* models.c - the models of the volume in Ollama's shape, and what this server does not do.
 *
 * Names without a tag are told with ":latest", as Ollama tells them, since clients look for them so. A digest is made of
 * the model's name, size and time of change, and not of its bytes: it tells two files apart, and nothing more.
 */
#include "ollama_private.h"

#include "berth/base/strbuf.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#define LIST_MAX ((size_t)64 << 20)

/* Whether the model can be asked, as far as is known: files of other formats, and models that the engine cannot run, are
 * of no use to a client. */
static bool is_told(const struct model *m)
{
    const struct served_model *served = model_served(m);
    if (model_state(m) != MODEL_MAPPED || !m->loaded.checkpoint || m->loaded.n_maps == 0)
        return false;
    return served ? served_model_describe(served).answers : !atomic_load(&m->tried);
}

/* ---- parts of an object ---- */

static uint64_t mix(uint64_t hash, uint64_t word)
{
    hash = (hash ^ word) * 0x9e3779b97f4a7c15u;
    hash = (hash ^ hash >> 29) * 0xbf58476d1ce4e5b9u;
    return hash ^ hash >> 32;
}

static void add_digest(struct strbuf *out, const struct model *m)
{
    strbuf_text(out, ",\"digest\":\"");
    for (uint64_t part = 1; part <= 4; part++) {
        uint64_t hash = mix(part, loaded_mapped_bytes(&m->loaded));
        hash = mix(hash, (uint64_t)mapping_modified(m->loaded.maps[0]));
        for (const char *c = m->path; *c; c++)
            hash = mix(hash, (uint8_t)*c);
        strbuf_format(out, "%016" PRIx64, hash);
    }
    strbuf_text(out, "\"");
}

/* "494.03M", "8.0B", as Ollama rounds them. */
static void add_parameter_size(struct strbuf *out, uint64_t n)
{
    double number = (double)n;
    if (n >= 1000000000)
        strbuf_format(out, "\"%.1fB\"", number / 1e9);
    else if (n >= 1000000)
        strbuf_format(out, "\"%.2fM\"", number / 1e6);
    else
        strbuf_format(out, "\"%.2fK\"", number / 1e3);
}

void ollama_add_details(struct strbuf *out, const struct model *m)
{
    const struct model_info *info = &m->loaded.info;
    struct span family = span_of(info->architecture);
    strbuf_text(out, "{\"parent_model\":\"\",\"format\":");
    strbuf_json(out, span_of(info->format));
    strbuf_text(out, ",\"family\":");
    strbuf_json(out, family);
    strbuf_text(out, ",\"families\":[");
    strbuf_json(out, family);
    strbuf_text(out, "],\"parameter_size\":");
    add_parameter_size(out, info->parameters);
    strbuf_text(out, ",\"quantization_level\":");
    strbuf_json(out, span_of(info->quantization));
    strbuf_text(out, "}");
}

/* "name" and "model", size, digest, details: what lists of models have in common. */
static void add_common(struct strbuf *out, const struct model *m, struct span id)
{
    char name[512];
    bool tagged = memchr(id.at, ':', id.size) != NULL;
    snprintf(name, sizeof(name), "%.*s%s", (int)id.size, (const char *)id.at, tagged ? "" : ":latest");
    strbuf_text(out, "{\"name\":");
    strbuf_json(out, span_of(name));
    strbuf_text(out, ",\"model\":");
    strbuf_json(out, span_of(name));
    strbuf_format(out, ",\"size\":%" PRIu64, loaded_mapped_bytes(&m->loaded));
    add_digest(out, m);
    strbuf_text(out, ",\"details\":");
    ollama_add_details(out, m);
}

/* ---- lists ---- */

static void add_tag(struct strbuf *out, const struct model *m, struct span id)
{
    add_common(out, m, id);
    strbuf_text(out, ",\"modified_at\":");
    ollama_add_time(out, mapping_modified(m->loaded.maps[0]), 0);
    strbuf_text(out, "}");
}

/* A model that is mapped stays: it expires in a time that is far, and that every client can read. */
static void add_running(struct strbuf *out, const struct model *m, struct span id)
{
    struct served_description d = served_model_describe(model_served(m));
    add_common(out, m, id);
    strbuf_format(
        out, ",\"size_vram\":0,\"context_length\":%zu,\"expires_at\":\"2299-12-31T00:00:00Z\"}", d.context);
}

static void reply_list(struct server *s, struct reply *r, bool running)
{
    size_t n, told = 0;
    struct strbuf out;
    struct span name;
    struct model **models = catalog_hold_all(s->catalog, &n);
    strbuf_init(&out, LIST_MAX);
    strbuf_text(&out, "{\"models\":[");
    for (size_t i = 0; i < n; i++) {
        if (!is_told(models[i]) || (running && !model_served(models[i])))
            continue;
        strbuf_text(&out, told++ ? "," : "");
        (running ? add_running : add_tag)(&out, models[i], span_of(models[i]->id));
        for (size_t k = 0; !running && (name = catalog_alias(s->catalog, models[i]->id, k)).size > 0; k++) {
            strbuf_text(&out, ",");
            add_tag(&out, models[i], name);
        }
    }
    catalog_drop_all(s->catalog, models, n);
    strbuf_text(&out, "]}");
    if (!out.failed) {
        reply_buffer(r, 200, "application/json", &out);
        return;
    }
    strbuf_release(&out);
    reply_error(r, &ollama_dialect, 503, "no memory for the list", NULL, NULL);
}

void ollama_tags(struct server *s, const struct http_request *q, struct reply *r)
{
    (void)q;
    reply_list(s, r, false);
}

void ollama_ps(struct server *s, const struct http_request *q, struct reply *r)
{
    (void)q;
    reply_list(s, r, true);
}

void ollama_version(struct server *s, const struct http_request *q, struct reply *r)
{
    (void)s;
    (void)q;
    reply_constant(r, 200, "application/json",
        "{\"version\":\"" OLLAMA_API_VERSION "\",\"server\":\"berth " BERTH_VERSION "\"}");
}

/* ---- what is not done ---- */

void ollama_refused(struct server *s, const struct http_request *q, struct reply *r)
{
    (void)s;
    bool embeds = strncmp(q->route->path, "/api/embed", strlen("/api/embed")) == 0;
    reply_error(r, &ollama_dialect, 403,
        embeds ? "berth makes embeddings at /v1/embeddings alone"
               : "berth serves the models of its volume and changes none: put the file of a model there",
        NULL, NULL);
}
