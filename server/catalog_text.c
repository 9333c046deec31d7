/* catalog_text.c - aliases, the common chat template, and served models, each opened once by whoever needs it first.
 */
#include "catalog_private.h"

#include "berth/engine/scheduler/engine.h"
#include "berth/base/log.h"
#include "berth/engine/template/template.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* ---- aliases ---- */

/* The next entry of a list of NAME=ID with a comma between; false at its end. */
static bool next_alias(const char **at, struct span *name, struct span *id)
{
    while (**at == ',')
        ++*at;
    size_t size = strcspn(*at, ","), equals = strcspn(*at, "=,");
    *name = (struct span){(const uint8_t *)*at, equals};
    *id = (struct span){(const uint8_t *)*at + equals + 1, equals < size ? size - equals - 1 : 0};
    *at += size;
    return size > 0;
}

static bool check_aliases(const struct catalog *c, struct error *err)
{
    struct span name, id;
    for (const char *at = c->options->alias; next_alias(&at, &name, &id);) {
        char shown[200];
        text_escape(shown, sizeof(shown), name);
        if (name.size == 0 || id.size == 0)
            return error_set(err, "--alias: NAME=ID is needed, and %s is none", shown);
    }
    return true;
}

struct span catalog_id_of_alias(const struct catalog *c, struct span wanted)
{
    struct span name, id;
    for (const char *at = c->options->alias; next_alias(&at, &name, &id);)
        if (span_compare(name, wanted) == 0)
            return id;
    return (struct span){0};
}

struct span catalog_alias(const struct catalog *c, const char *wanted, size_t n)
{
    struct span name, id;
    for (const char *at = c->options->alias; next_alias(&at, &name, &id);)
        if (span_is(id, wanted) && n-- == 0)
            return name;
    return (struct span){0};
}

/* ---- the chat template for all ---- */

static bool read_file(struct catalog *c, FILE *f, struct error *err)
{
    c->chat_template = malloc(TEMPLATE_SOURCE_MAX + 1);
    if (!c->chat_template)
        return error_set(err, "no memory for it");
    /* One byte more than there may be: parsing refuses what is too long. */
    c->template_size = fread(c->chat_template, 1, TEMPLATE_SOURCE_MAX + 1, f);
    if (ferror(f))
        return error_set(err, "cannot be read");
    struct template *parsed =
        template_parse((struct span){(uint8_t *)c->chat_template, c->template_size}, err);
    template_free(parsed);
    return parsed != NULL;
}

static bool read_template(struct catalog *c, struct error *err)
{
    char shown[200];
    FILE *f = fopen(c->options->chat_template, "re");
    bool good = f ? read_file(c, f, err) : error_set(err, "%s", strerror(errno));
    if (f)
        fclose(f);
    text_escape(shown, sizeof(shown), span_of(c->options->chat_template));
    return good || error_prefix(err, "the chat template, %s", shown);
}

bool catalog_use_engine(struct catalog *c, struct engine *e, struct error *err)
{
    c->engine = e;
    return check_aliases(c, err) && (!c->options->chat_template[0] || read_template(c, err));
}

/* ---- served models ---- */

static void log_opened(const struct model *m, const struct served_model *t, double seconds)
{
    struct served_description d = {.lacks = &m->not_served};
    if (t)
        d = served_model_describe(t);
    log_line(d.answers ? LOG_INFO : LOG_WARN,
        d.answers ? "a model is ready to answer" : "a model cannot answer",
        LOG_FIELDS(log_text("id", m->id), log_seconds("seconds", seconds),
            d.lacks ? log_text("lacks", d.lacks->text) : (struct log_field){.key = NULL}));
}

/* The caller holds m->opening. */
static void open_served(struct catalog *c, struct model *m)
{
    struct served_model_options o = {
        .id = m->id,
        .context = (size_t)c->options->context,
        .chat_template = {(const uint8_t *)c->chat_template, c->template_size},
    };
    double start = catalog_now();
    struct served_model *t = served_model_open(c->engine, &m->loaded, &o, &m->not_served);
    atomic_store_explicit(&m->served, t, memory_order_release);
    if (served_model_fits(&m->loaded))
        log_opened(m, t, catalog_now() - start);
}

struct served_model *model_served(const struct model *m)
{
    return atomic_load_explicit(&m->served, memory_order_acquire);
}

struct served_model *catalog_serve(struct catalog *c, struct model *m, struct error *err)
{
    struct served_model *t = model_served(m);
    if (t || !c->engine)
        return t;
    pthread_mutex_lock(&m->opening);
    if (!model_served(m) && !m->not_served.text[0])
        open_served(c, m);
    t = model_served(m);
    if (!t)
        *err = m->not_served;
    pthread_mutex_unlock(&m->opening);
    return t;
}

void catalog_open_all(struct catalog *c)
{
    struct error ignored;
    for (size_t i = 0; c->engine && i < c->n_models && !atomic_load(&c->stopping); i++)
        if (model_state(&c->models[i]) == MODEL_MAPPED)
            catalog_serve(c, &c->models[i], &ignored);
}

/* A model that is opened at this moment is caught at the watcher's next look. */
void catalog_lose(struct model *m)
{
    struct served_model *t = model_served(m);
    if (t)
        served_model_lose(t, &m->reason);
}
