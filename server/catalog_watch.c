/* catalog_watch.c - the model watcher: a thread that loads the models, opens them, and then checks once a second whether a
 * mapped file has changed.
 *
 * A model whose file changed has failed. Its file is loaded again. When the file is still the same at a later look,
 * nobody is writing it, and the new model takes the failed one's place. Models without a checkpoint are left as they are,
 * since they answer nothing.
 *
 * From time to time it scans the volume for models that were added. They are not served before a restart, which is logged
 * once for each.
 */
#include "catalog_private.h"

#include "berth/base/log.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define LOOK_SECONDS 1.0
#define MEASURE_EVERY 10 /* looks */
#define LOAD_EVERY 2 /* looks, of a model that has failed */
#define SCAN_FILES_MAX 20000 /* a volume with more names is not scanned again, because that takes too long */
#define ADDED_MAX 1000 /* further models are not logged */

/* Ids and paths of added models that were logged. */
struct added_names {
    size_t n;
    char *names[ADDED_MAX];
};

static void look_at(struct catalog *c, struct model *m)
{
    struct error changed = {0};
    if (model_state(m) == MODEL_FAILED)
        catalog_lose(m);
    if (model_state(m) != MODEL_MAPPED || loaded_intact(&m->loaded, &changed))
        return;
    m->reason = changed;
    model_set_failed(c, m);
    catalog_lose(m);
    log_line(LOG_ERROR, "a model's file changed under its map",
        LOG_FIELDS(log_text("id", m->id), log_text("reason", m->reason.text)));
}

/* Puts a model that was loaded anew in the failed one's place, if its file has stayed the same since. */
static void replace(struct catalog *c, struct model *failed)
{
    struct error changed = {0};
    struct model *again = failed->again;
    failed->again = NULL;
    if (!loaded_intact(&again->loaded, &changed) || !list_replace(c, failed, again)) {
        catalog_drop(c, again);
        return;
    }
    atomic_fetch_sub(&c->failed, 1);
    model_set_mapped(c, again);
    log_line(LOG_INFO, "a failed model is served again", LOG_FIELDS(log_text("id", again->id)));
    catalog_open_all(c);
}

static void load_again(struct catalog *c, struct model *m)
{
    if (model_state(m) != MODEL_FAILED || !m->loaded.checkpoint)
        return;
    if (m->again)
        replace(c, m);
    else
        m->again = catalog_load_again(c, m);
}

static void look_at_all(struct catalog *c, bool load)
{
    struct model_list *l = list_take(c);
    for (size_t i = 0; i < l->n; i++) {
        look_at(c, l->models[i]);
        if (load)
            load_again(c, l->models[i]);
    }
    list_drop(c, l);
}

/* ---- models that were added ---- */

/* A file that two manifests name is two models. */
static bool is_listed(const struct model_list *l, const struct scan_model *found)
{
    for (size_t i = 0; i < l->n; i++)
        if (strcmp(l->models[i]->file, found->path) == 0 &&
            (!found->manifest || strcmp(l->models[i]->id, found->id) == 0))
            return true;
    return false;
}

static bool is_known(const struct model_list *l, const char *id)
{
    for (size_t i = 0; i < l->n; i++)
        if (strcmp(l->models[i]->id, id) == 0)
            return true;
    return false;
}

static bool is_told(const struct added_names *a, const char *name)
{
    for (size_t i = 0; i < a->n; i++)
        if (strcmp(a->names[i], name) == 0)
            return true;
    return false;
}

/* A known id with another file is a name that means something else now: a tag, or a revision. */
static void tell(struct added_names *a, const struct model_list *l, const struct scan_model *found)
{
    char *name = NULL;
    if (asprintf(&name, "%s %s", found->id, found->path) < 0)
        return;
    if (is_told(a, name)) {
        free(name);
        return;
    }
    a->names[a->n++] = name;
    log_line(LOG_WARN,
        is_known(l, found->id) ? "a model has another file now; restart berth to serve it"
                               : "a model was added; restart berth to serve it",
        LOG_FIELDS(log_text("id", found->id)));
}

static void compare(struct catalog *c, const struct scan *s)
{
    struct model_list *l = list_take(c);
    for (size_t i = 0; i < s->n_models && c->added->n < ADDED_MAX; i++)
        if (!s->models[i].reason && !is_listed(l, &s->models[i]))
            tell(c->added, l, &s->models[i]);
    list_drop(c, l);
}

void catalog_look_for_added(struct catalog *c)
{
    struct volume late, *v = c->volume_open ? &c->volume : &late;
    struct error ignored = {0};
    struct scan s = {0};
    if (c->n_files > SCAN_FILES_MAX)
        return;
    c->added = c->added ? c->added : calloc(1, sizeof(*c->added));
    if (!c->added || (!c->volume_open && volume_open(&late, c->options->models, &ignored) != VOLUME_OPEN))
        return;
    if (scan_volume(&s, v, &ignored))
        compare(c, &s);
    scan_release(&s);
    if (!c->volume_open)
        volume_close(&late);
}

void catalog_added_free(struct catalog *c)
{
    for (size_t i = 0; c->added && i < c->added->n; i++)
        free(c->added->names[i]);
    free(c->added);
}

/* ---- the thread ---- */

void *watcher_run(void *catalog)
{
    struct catalog *c = catalog;
    catalog_first_load(c);
    catalog_open_all(c);
    mapping_measure();
    for (unsigned looks = 1; watcher_sleep(c, LOOK_SECONDS); looks++) {
        look_at_all(c, looks % LOAD_EVERY == 0);
        catalog_sweep(c);
        if (looks % MEASURE_EVERY != 0)
            continue;
        mapping_measure();
        catalog_look_for_added(c);
    }
    pthread_mutex_lock(&c->lock);
    c->watcher_ended = true;
    pthread_cond_broadcast(&c->wake);
    pthread_mutex_unlock(&c->lock);
    return NULL;
}
