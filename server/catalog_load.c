/* catalog_load.c - the first load: opens the volume, lists its models and loads one after the other.
 *
 * All of it runs on the watcher's thread. A model's state is written last, after everything that readers may read once
 * they have seen the state.
 */
#include "catalog_private.h"

#include "berth/engine/scheduler/engine.h"
#include "berth/server/kv_memory.h"
#include "berth/base/log.h"
#include "berth/base/strbuf.h"

#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>

#define WAIT_FOR_VOLUME_SECONDS 0.25
#define PROGRESS_SECONDS 5
#define OTHER_FILES 64 /* descriptors for everything but models and connections */

/* ---- the volume ---- */

static void log_no_models(const struct options *o, const char *reason)
{
    char advice[400];
    snprintf(advice, sizeof(advice), "no model is loaded; put a .gguf in %.300s", o->models);
    log_line(LOG_WARN, advice,
        LOG_FIELDS(log_text("reason", reason),
            log_text("for_example", "docker run -v \"$(pwd)/models:/app/models\" berth")));
}

/* False when there is nothing to scan. */
static bool open_volume(struct catalog *c)
{
    struct error err = {0};
    bool told = false;
    for (;;) {
        enum volume_result result = volume_open(&c->volume, c->options->models, &err);
        c->volume_open = result == VOLUME_OPEN;
        if (result != VOLUME_MISSING || !c->options->wait_for_volume)
            break;
        if (!told)
            log_line(LOG_INFO, "waiting for the models to be mounted",
                LOG_FIELDS(log_text("models", c->options->models)));
        told = true;
        if (!watcher_sleep(c, WAIT_FOR_VOLUME_SECONDS))
            return false;
    }
    if (!c->volume_open)
        log_no_models(c->options, err.text);
    return c->volume_open;
}

static void log_layouts(const struct scan *s)
{
    for (size_t i = 0; i < s->n_layouts; i++)
        log_line(LOG_INFO, "directory recognized",
            LOG_FIELDS(log_text("layout", s->layouts[i].title),
                log_text("path", s->layouts[i].path[0] ? s->layouts[i].path : ".")));
}

static void log_scan(const struct catalog *c, const struct scan *s)
{
    char reason[600], deep[300];
    log_layouts(s);
    if (s->n_models == 0 && s->too_deep) {
        text_escape(deep, sizeof(deep), span_of(s->too_deep));
        snprintf(reason, sizeof(reason),
            "there is no model file in its first %d levels; deeper directories are not scanned (first: %s)",
            SCAN_DEPTH, deep);
        log_no_models(c->options, reason);
    } else if (s->n_models == 0) {
        log_no_models(c->options, "there is no model file in it");
    } else if (s->too_deep) {
        log_line(LOG_INFO, "directories that lie deeper than berth scans were left out",
            LOG_FIELDS(log_count("levels", SCAN_DEPTH), log_text("first", s->too_deep)));
    }
    if (s->n_left_out > 0)
        log_line(LOG_WARN, "the volume has more models than berth lists",
            LOG_FIELDS(log_count("listed", s->n_models), log_count("left_out", s->n_left_out)));
}

/* Publishes the models of the scan, all of them loading. NULL when there are none. */
static struct model_list *list_models(struct catalog *c, const struct scan *s)
{
    struct model_list *l = s->n_models ? list_new(s->n_models) : NULL;
    for (size_t i = 0; l && i < s->n_models; i++) {
        struct model *m = model_new(&s->models[i]);
        if (!m) {
            log_line(LOG_ERROR, "no memory for the list of models", NULL);
            list_drop(c, l);
            return NULL;
        }
        l->models[l->n++] = m;
    }
    atomic_store(&c->total, l ? l->n : 0);
    if (l)
        list_publish(c, l);
    return l;
}

/* ---- loading ---- */

/* Every mapped file keeps a descriptor open. Some are reserved for connections, because otherwise no client could
 * connect. */
static void limit_files(const struct catalog *c)
{
    struct rlimit files;
    char why[200];
    if (getrlimit(RLIMIT_NOFILE, &files) != 0 || files.rlim_cur == RLIM_INFINITY)
        return;
    size_t most = (size_t)files.rlim_cur, kept = (size_t)c->options->max_connections + OTHER_FILES;
    if (kept > most / 2)
        kept = most / 2;
    snprintf(why, sizeof(why),
        "not loaded: the process may open %zu files, and %zu are kept for connections; raise the limit (ulimit -n)",
        most, kept);
    mapping_limit(most - kept, why);
}

struct reading {
    struct catalog *catalog;
    const char *name;
    double told; /* when progress was last logged */
};

static bool reading_progress(void *context, uint64_t done, uint64_t total)
{
    struct reading *r = context;
    double now = catalog_now();
    if (now - r->told >= PROGRESS_SECONDS) {
        log_line(LOG_INFO, "reading a model into memory",
            LOG_FIELDS(log_text("file", r->name), log_count("done", done), log_count("bytes", total)));
        r->told = now;
    }
    return !atomic_load(&r->catalog->stopping);
}

/* Reads the pages into memory where --prefault asks for it, or where page faults would be slow. */
static bool bring_in(struct catalog *c, struct loaded *l, struct error *err)
{
    for (size_t i = 0; i < l->n_maps; i++) {
        struct mapping *m = l->maps[i];
        struct reading r = {.catalog = c, .name = mapping_name(m), .told = catalog_now()};
        if (c->options->prefault) {
            if (!mapping_prefault(m, reading_progress, &r, err))
                return err->text[0] == '\0';
        } else if (mapping_is_remote(m)) {
            if (!mapping_read_ahead(m, reading_progress, &r, err))
                return err->text[0] == '\0';
        }
    }
    return true;
}

static void log_model(const struct catalog *c, const struct model *m)
{
    struct strbuf line;
    enum model_state state = model_state(m);
    strbuf_init(&line, 65536);
    strbuf_format(&line, "Loading model from %s/%s", c->volume.path, m->path);
    bool known = m->loaded.info.format && m->loaded.info.format[0];
    struct log_field fields[] = {
        log_text("id", m->id),
        log_text("format", known ? m->loaded.info.format : "unknown"),
        log_count("bytes", loaded_mapped_bytes(&m->loaded)),
        log_seconds("seconds", m->load_seconds),
        log_text("state", model_state_name(state)),
        state == MODEL_FAILED ? log_text("reason", m->reason.text) : (struct log_field){.key = NULL},
        {.key = NULL},
    };
    log_line(state == MODEL_FAILED ? LOG_ERROR : LOG_INFO, line.failed ? m->path : line.text, fields);
    strbuf_release(&line);
}

static bool map_model(struct catalog *c, struct model *m)
{
    double start = catalog_now();
    bool good = m->manifest ? loaded_open_manifest(&m->loaded, &c->volume, m->manifest, &m->reason)
                            : loaded_open(&m->loaded, &c->volume, m->file, &m->reason);
    good = good && bring_in(c, &m->loaded, &m->reason);
    m->load_seconds = catalog_now() - start;
    return good;
}

struct model *catalog_load_again(struct catalog *c, const struct model *failed)
{
    const struct scan_model found = {.id = failed->id,
        .path = failed->file,
        .manifest = failed->manifest,
        .layout = failed->layout,
        .version = failed->version};
    struct model *m = model_new(&found);
    if (m && map_model(c, m))
        return m;
    catalog_drop(c, m);
    return NULL;
}

static void load_model(struct catalog *c, struct model *m, const char *reason)
{
    bool good = reason ? error_set(&m->reason, "%s", reason) : map_model(c, m);
    if (good)
        model_set_mapped(c, m);
    else
        model_set_failed(c, m);
    log_model(c, m);
    atomic_fetch_add(&c->done, 1);
}

/* ---- memory ---- */

/* Whether an earlier model of the list has the same weights, as names in a store may. */
static bool is_counted(const struct model_list *l, size_t index)
{
    const struct model *m = l->models[index];
    for (size_t i = 0; m->manifest && i < index; i++)
        if (l->models[i]->manifest && strcmp(l->models[i]->file, m->file) == 0)
            return true;
    return false;
}

/* Pages that two maps show are in memory once. */
static uint64_t all_mapped_bytes(struct catalog *c)
{
    uint64_t bytes = 0;
    struct model_list *l = list_take(c);
    for (size_t i = 0; i < l->n; i++)
        bytes += is_counted(l, i) ? 0 : loaded_mapped_bytes(&l->models[i]->loaded);
    list_drop(c, l);
    return bytes;
}

/* Mapped pages that do not fit into memory are dropped and read again, which is slow. */
static void warn_of_size(struct catalog *c)
{
    uint64_t bytes = all_mapped_bytes(c);
    if (bytes > c->memory)
        log_line(LOG_WARN,
            "the models are larger than the memory that may be used: using all of them will be slow",
            LOG_FIELDS(log_count("bytes", bytes), log_count("memory_bytes", c->memory)));
}

/* Called after the first load, because the default depends on the size of the models. */
static void set_budget(struct catalog *c)
{
    if (!c->engine)
        return;
    struct kv_budget *budget = engine_budget(c->engine);
    const char *from = "--kv-memory";
    if (!c->options->kv_memory)
        kv_budget_set_limit(budget, kv_memory_default(c->memory, all_mapped_bytes(c), &from));
    char shown[TEXT_NUMBER];
    log_line(LOG_INFO, "KV cache limit",
        LOG_FIELDS(log_text("memory", text_bytes(shown, kv_budget_limit(budget))),
            log_count("bytes", kv_budget_limit(budget)), log_text("from", from)));
}

/* ---- the first load ---- */

static void load_all(struct catalog *c)
{
    struct error err = {0};
    struct scan s = {0};
    if (!scan_volume(&s, &c->volume, &err)) {
        log_no_models(c->options, err.text);
        scan_release(&s);
        return;
    }
    c->n_files = s.n_files;
    struct model_list *l = list_models(c, &s);
    log_scan(c, &s);
    for (size_t i = 0; l && i < l->n && !atomic_load(&c->stopping); i++)
        load_model(c, l->models[i], s.models[i].reason);
    scan_release(&s);
}

void catalog_first_load(struct catalog *c)
{
    double start = catalog_now();
    limit_files(c);
    if (open_volume(c))
        load_all(c);
    if (atomic_load(&c->stopping))
        return;
    set_budget(c);
    atomic_store_explicit(&c->ended, true, memory_order_release);
    warn_of_size(c);
    catalog_warn_of_names(c);
    struct catalog_progress p = catalog_progress(c);
    log_line(LOG_INFO, "first load ended",
        LOG_FIELDS(log_count("models", p.total), log_count("mapped", p.mapped), log_count("failed", p.failed),
            log_seconds("seconds", catalog_now() - start)));
}
