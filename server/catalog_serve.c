/* catalog_serve.c - opens models for answers, each once, on the thread that needs it first; and reads the chat template of
 * --chat-template, which applies to all of them.
 */
#include "catalog_private.h"

#include "berth/engine/scheduler/engine.h"
#include "berth/base/log.h"
#include "berth/base/strbuf.h"
#include "berth/engine/chat/chat_format.h"
#include "berth/engine/scheduler/text_model.h"
#include "berth/engine/template/template.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* ---- the chat template for all ---- */

static bool read_file(struct catalog *c, FILE *f, struct error *err)
{
    c->chat_template = malloc(TEMPLATE_SOURCE_MAX + 1);
    if (!c->chat_template)
        return error_set(err, "out of memory");
    /* One byte more than the limit, so that parsing refuses a template that is too long. */
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
    return good || error_prefix(err, "--chat-template %s", shown);
}

/* A name that is not known is answered with those that are. */
static bool check_format(const struct catalog *c, struct error *err)
{
    struct strbuf names;
    const char *name = c->options->chat_format;
    if (!name[0] || chat_format_find(span_of(name)))
        return true;
    strbuf_init(&names, sizeof(err->text));
    for (size_t i = 0; chat_format_at(i); i++)
        if (i == 0 ||
            strcmp(chat_format_name(chat_format_at(i)), chat_format_name(chat_format_at(i - 1))) != 0)
            strbuf_format(&names, i ? ", %s" : "%s", chat_format_name(chat_format_at(i)));
    strbuf_format(&names, "%c", 0);
    error_set(err, "--chat-format: this format is not known; those that are: %s", names.text);
    strbuf_release(&names);
    return false;
}

bool catalog_use_engine(struct catalog *c, struct engine *e, struct error *err)
{
    c->engine = e;
    return catalog_check_aliases(c, err) && catalog_check_poolings(c, err) && check_format(c, err) &&
           (!c->options->chat_template[0] || read_template(c, err));
}

/* ---- served models ---- */

static void log_opened(const struct model *m, struct served_model *t, double seconds)
{
    struct served_description d = {.lacks = &m->not_served};
    if (t)
        d = served_model_describe(t);
    const struct text_model *text = text_model_of(t);
    const char *what = !d.answers               ? "cannot answer"
                       : d.kind == SERVED_EMBED ? "ready: embeddings"
                       : d.chats || !text       ? "ready"
                       : text_model_lacks(text, TEXT_TOKENIZER)
                           ? "ready: token ids only (no tokenizer)"
                           : "ready: completions only (no chat template)";
    log_line(d.answers ? LOG_INFO : LOG_WARN, what,
        LOG_FIELDS(log_text("id", m->id), log_seconds("seconds", seconds),
            d.lacks ? log_text("reason", d.lacks->text) : (struct log_field){.key = NULL}));
}

/* The caller holds m->opening. */
static void open_served(struct catalog *c, struct model *m)
{
    struct served_model_options o = {
        .id = m->id,
        .context = (size_t)c->options->context,
        .chat_template = {(const uint8_t *)c->chat_template, c->template_size},
        .chat_format = chat_format_find(span_of(c->options->chat_format)),
        .pooling = catalog_pooling(c, m->id),
    };
    double start = catalog_now();
    struct served_model *t = NULL;
    const char *companion = loaded_companion(&m->loaded);
    if (companion)
        error_set(&m->not_served, "the file is %s, and no model by itself", companion);
    else if (served_model_fits(&m->loaded))
        t = served_model_open(c->engine, &m->loaded, &o, &m->not_served);
    else
        error_set(&m->not_served, "%s", loaded_unread(&m->loaded));
    atomic_store_explicit(&m->served, t, memory_order_release);
    atomic_store_explicit(&m->tried, true, memory_order_release);
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

static bool is_required(const struct catalog *c, const struct model_list *l, const struct model *m)
{
    for (const char *at = c->options->require; *at;) {
        size_t size = strcspn(at, ",");
        if (size && list_find(c, l, (struct span){(const uint8_t *)at, size}) == m)
            return true;
        at += size + (at[size] == ',');
    }
    return false;
}

void catalog_open_all(struct catalog *c)
{
    struct error ignored;
    struct model_list *l = list_take(c);
    for (int required = 1; required >= 0; required--)
        for (size_t i = 0; c->engine && i < l->n && !atomic_load(&c->stopping); i++)
            if (model_state(l->models[i]) == MODEL_MAPPED && is_required(c, l, l->models[i]) == required)
                catalog_serve(c, l->models[i], &ignored);
    list_drop(c, l);
}

/* A model that is being opened at this moment is lost at the watcher's next look. */
void catalog_lose(struct model *m)
{
    struct served_model *t = model_served(m);
    if (t)
        served_model_lose(t, &m->reason);
}
