/* catalog.c - the watcher thread and the list it keeps.
 *
 * The list is built once, before `listed` is set, and not changed after; so readers need no lock. A model's
 * state is the one thing that moves: the watcher writes everything else first and the state last. Its served
 * model is opened once, under a lock of its own, by whoever needs it first.
 */
#include "catalog_private.h"

#include "berth/engine/scheduler/engine.h"
#include "berth/base/log.h"
#include "berth/base/strbuf.h"
#include "berth/server/kv_memory.h"

#include <stdlib.h>
#include <string.h>

#define WAIT_FOR_VOLUME_SECONDS 0.25
#define LOOK_AFTER_SECONDS 1.0
#define MEASURE_EVERY 10 /* looks */

static const char *const state_names[MODEL_STATES] = {"loading", "mapped", "failed"};

const char *model_state_name(enum model_state state)
{
    return state_names[state];
}

enum model_state model_state(const struct model *m)
{
    return (enum model_state)atomic_load_explicit(&m->state, memory_order_acquire);
}

double catalog_now(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec + (double)t.tv_nsec * 1e-9;
}

static struct timespec deadline_after(double seconds)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    uint64_t ns = (uint64_t)t.tv_nsec + (uint64_t)(seconds * 1e9);
    t.tv_sec += (time_t)(ns / 1000000000);
    t.tv_nsec = (long)(ns % 1000000000);
    return t;
}

/* Waits, less long when the catalog is to stop. Returns whether to go on. */
static bool keeper_sleep(struct catalog *c, double seconds)
{
    struct timespec deadline = deadline_after(seconds);
    pthread_mutex_lock(&c->lock);
    while (!atomic_load(&c->stopping))
        if (pthread_cond_timedwait(&c->wake, &c->lock, &deadline) != 0)
            break;
    pthread_mutex_unlock(&c->lock);
    return !atomic_load(&c->stopping);
}

static void set_failed(struct catalog *c, struct model *m)
{
    if (model_state(m) == MODEL_MAPPED)
        atomic_fetch_sub(&c->mapped, 1);
    atomic_fetch_add(&c->failed, 1);
    atomic_store_explicit(&m->state, MODEL_FAILED, memory_order_release);
}

/* ---- opening the volume ---- */

static void log_no_models(const struct options *o, const char *reason)
{
    log_line(LOG_WARN,
        "no models: mount a directory of them, as in docker run -v \"$(pwd)/models:/app/models\" berth",
        LOG_FIELDS(log_text("models", o->models), log_text("reason", reason)));
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
        if (!keeper_sleep(c, WAIT_FOR_VOLUME_SECONDS))
            return false;
    }
    if (!c->volume_open)
        log_no_models(c->options, err.text);
    return c->volume_open;
}

static char *escaped(const char *text)
{
    size_t size = strlen(text) * 4 + 1;
    char *out = malloc(size);
    if (out)
        text_escape(out, size, span_of(text));
    return out;
}

static bool list_models(struct catalog *c)
{
    struct error err = {0};
    if (!scan_volume(&c->scan, &c->volume, &err)) {
        log_no_models(c->options, err.text);
        return false;
    }
    size_t n = c->scan.n_models;
    c->models = calloc(n ? n : 1, sizeof(*c->models));
    c->paths = calloc(n ? n : 1, sizeof(*c->paths));
    if (!c->models || !c->paths) {
        log_line(LOG_ERROR, "no memory for the list of models", NULL);
        return false;
    }
    for (size_t i = 0; i < n; i++) {
        const struct scan_model *found = &c->scan.models[i];
        c->paths[i] = escaped(found->path);
        c->models[i] = (struct model){
            .id = found->id,
            .path = c->paths[i] ? c->paths[i] : found->id,
            .version = found->version,
            .created = time(NULL),
        };
        pthread_mutex_init(&c->models[i].opening, NULL);
    }
    c->n_models = n;
    atomic_store_explicit(&c->listed, true, memory_order_release);
    if (n == 0)
        log_no_models(c->options, "there is no model file in it");
    if (c->scan.n_left_out > 0)
        log_line(LOG_WARN, "the volume holds more models than berth lists",
            LOG_FIELDS(log_count("listed", n), log_count("left_out", c->scan.n_left_out)));
    return n > 0;
}

/* ---- loading ---- */

struct reading {
    struct catalog *catalog;
    const char *name;
    double told; /* when progress was last logged */
};

static bool reading_progress(void *context, uint64_t done, uint64_t total)
{
    struct reading *r = context;
    double now = catalog_now();
    if (now - r->told >= 5) {
        log_line(LOG_INFO, "reading a model into memory",
            LOG_FIELDS(log_text("file", r->name), log_count("done", done), log_count("bytes", total)));
        r->told = now;
    }
    return !atomic_load(&r->catalog->stopping);
}

/* Brings the pages in where that is asked for, or where faulting them one by one would be slow. */
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

static void load_model(struct catalog *c, struct model *m, const struct scan_model *found)
{
    double start = catalog_now();
    bool good = !found->reason;
    if (!good)
        error_set(&m->reason, "%s", found->reason);
    else if ((good = loaded_open(&m->loaded, &c->volume, found->path, &m->reason)))
        good = bring_in(c, &m->loaded, &m->reason);
    m->load_seconds = catalog_now() - start;
    if (good) {
        atomic_fetch_add(&c->mapped, 1);
        atomic_store_explicit(&m->state, MODEL_MAPPED, memory_order_release);
    } else {
        set_failed(c, m);
    }
    log_model(c, m);
    atomic_fetch_add(&c->done, 1);
}

static uint64_t all_mapped_bytes(const struct catalog *c)
{
    uint64_t bytes = 0;
    for (size_t i = 0; i < c->n_models; i++)
        bytes += loaded_mapped_bytes(&c->models[i].loaded);
    return bytes;
}

/* Mapped pages that do not fit are dropped and read again: nothing dies of it, and everything gets slow. */
static void warn_of_size(const struct catalog *c)
{
    uint64_t bytes = all_mapped_bytes(c);
    if (bytes > c->memory)
        log_line(LOG_WARN,
            "the models are larger than the memory that may be used: using all of them will be slow",
            LOG_FIELDS(log_count("bytes", bytes), log_count("memory_bytes", c->memory)));
}

/* Only after the first load is it known how much memory the models leave. */
static void set_budget(struct catalog *c)
{
    if (!c->engine)
        return;
    struct kv_budget *budget = engine_budget(c->engine);
    const char *from = "--kv-memory";
    if (!c->options->kv_memory)
        kv_budget_set_limit(budget, kv_memory_default(c->memory, all_mapped_bytes(c), &from));
    char shown[TEXT_NUMBER];
    log_line(LOG_INFO, "memory for what models have read",
        LOG_FIELDS(log_text("memory", text_bytes(shown, kv_budget_limit(budget))),
            log_count("bytes", kv_budget_limit(budget)), log_text("from", from)));
}

static void first_load(struct catalog *c)
{
    double start = catalog_now();
    if (open_volume(c) && list_models(c))
        for (size_t i = 0; i < c->n_models && !atomic_load(&c->stopping); i++)
            load_model(c, &c->models[i], &c->scan.models[i]);
    if (atomic_load(&c->stopping))
        return;
    set_budget(c);
    atomic_store_explicit(&c->ended, true, memory_order_release);
    warn_of_size(c);
    log_line(LOG_INFO, "first load ended",
        LOG_FIELDS(log_count("models", c->n_models), log_count("mapped", atomic_load(&c->mapped)),
            log_count("failed", atomic_load(&c->failed)), log_seconds("seconds", catalog_now() - start)));
}

/* ---- the watcher ---- */

static void look_after(struct catalog *c)
{
    for (size_t i = 0; i < c->n_models; i++) {
        struct model *m = &c->models[i];
        if (model_state(m) == MODEL_FAILED)
            catalog_lose(m);
        if (model_state(m) != MODEL_MAPPED || loaded_intact(&m->loaded, &m->reason))
            continue;
        set_failed(c, m);
        catalog_lose(m);
        log_line(LOG_ERROR, "a model's file changed under its map",
            LOG_FIELDS(log_text("id", m->id), log_text("reason", m->reason.text)));
    }
}

static void *keeper_run(void *context)
{
    struct catalog *c = context;
    first_load(c);
    catalog_open_all(c);
    mapping_measure();
    for (unsigned looks = 1; keeper_sleep(c, LOOK_AFTER_SECONDS); looks++) {
        look_after(c);
        if (looks % MEASURE_EVERY == 0)
            mapping_measure();
    }
    pthread_mutex_lock(&c->lock);
    c->keeper_ended = true;
    pthread_cond_broadcast(&c->wake);
    pthread_mutex_unlock(&c->lock);
    return NULL;
}

struct catalog *catalog_new(const struct options *o, uint64_t memory, struct error *err)
{
    struct catalog *c = calloc(1, sizeof(*c));
    if (!c) {
        error_set(err, "no memory for the catalog");
        return NULL;
    }
    c->options = o;
    c->memory = memory;
    pthread_condattr_t monotonic;
    pthread_condattr_init(&monotonic);
    pthread_condattr_setclock(&monotonic, CLOCK_MONOTONIC);
    pthread_cond_init(&c->wake, &monotonic);
    pthread_condattr_destroy(&monotonic);
    pthread_mutex_init(&c->lock, NULL);
    return c;
}

bool catalog_start(struct catalog *c, struct error *err)
{
    int failed = pthread_create(&c->watcher, NULL, keeper_run, c);
    return failed ? error_set(err, "cannot start the thread that loads models: %s", strerror(failed)) : true;
}

bool catalog_stop(struct catalog *c, double seconds)
{
    struct timespec deadline = deadline_after(seconds);
    pthread_mutex_lock(&c->lock);
    atomic_store(&c->stopping, true);
    pthread_cond_broadcast(&c->wake);
    while (!c->keeper_ended)
        if (pthread_cond_timedwait(&c->wake, &c->lock, &deadline) != 0)
            break;
    bool ended = c->keeper_ended;
    pthread_mutex_unlock(&c->lock);
    if (ended)
        pthread_join(c->watcher, NULL);
    return ended;
}

void catalog_free(struct catalog *c)
{
    if (!c)
        return;
    for (size_t i = 0; i < c->n_models; i++) {
        served_model_close(model_served(&c->models[i]));
        loaded_close(&c->models[i].loaded);
        pthread_mutex_destroy(&c->models[i].opening);
        free(c->paths[i]);
    }
    free(c->chat_template);
    free(c->models);
    free(c->paths);
    scan_release(&c->scan);
    if (c->volume_open)
        volume_close(&c->volume);
    pthread_cond_destroy(&c->wake);
    pthread_mutex_destroy(&c->lock);
    free(c);
}

/* ---- what requests ask ---- */

static bool is_listed(const struct catalog *c)
{
    return atomic_load_explicit(&c->listed, memory_order_acquire);
}

struct catalog_progress catalog_progress(const struct catalog *c)
{
    return (struct catalog_progress){
        .ended = atomic_load_explicit(&c->ended, memory_order_acquire),
        .total = is_listed(c) ? c->n_models : 0,
        .done = atomic_load(&c->done),
        .mapped = atomic_load(&c->mapped),
        .failed = atomic_load(&c->failed),
    };
}

static struct model *find(struct catalog *c, struct span id)
{
    for (size_t i = 0; is_listed(c) && i < c->n_models; i++)
        if (span_is(id, c->models[i].id))
            return &c->models[i];
    return NULL;
}

static bool required_are_mapped(struct catalog *c, struct error *err)
{
    for (const char *at = c->options->require; *at;) {
        size_t size = strcspn(at, ",");
        struct span id = {(const uint8_t *)at, size};
        char shown[200];
        text_escape(shown, sizeof(shown), id);
        struct model *m = size ? find(c, id) : NULL;
        if (size && !m)
            return error_set(err, "the required model %s is not on the volume", shown);
        if (m && model_state(m) == MODEL_FAILED)
            return error_set(err, "the required model %s has failed: %.400s", shown, m->reason.text);
        at += size + (at[size] == ',');
    }
    return true;
}

bool catalog_ready(struct catalog *c, struct error *err)
{
    struct catalog_progress p = catalog_progress(c);
    if (!p.ended)
        return error_set(err, "models are loading");
    if (c->options->require[0] && !required_are_mapped(c, err))
        return false;
    if (!c->options->require[0] && p.mapped == 0 && p.total > 0)
        return error_set(err, "none of the %zu models on the volume can be used", p.total);
    return true;
}

/* A model that changes its state while the list is made appears once all the same: its state is asked
 * once. */
struct model **catalog_hold_all(struct catalog *c, size_t *n)
{
    *n = 0;
    size_t count = is_listed(c) ? c->n_models : 0, n_mapped = 0, n_others = 0;
    struct model **models = count ? malloc(2 * count * sizeof(struct model *)) : NULL;
    if (!models)
        return NULL;
    struct model **others = models + count;
    for (size_t i = 0; i < count; i++) {
        struct model *m = &c->models[i];
        atomic_fetch_add(&m->holders, 1);
        if (model_state(m) == MODEL_MAPPED)
            models[n_mapped++] = m;
        else
            others[n_others++] = m;
    }
    memmove(models + n_mapped, others, n_others * sizeof(struct model *));
    *n = count;
    return models;
}

void catalog_drop_all(struct catalog *c, struct model **models, size_t n)
{
    for (size_t i = 0; i < n; i++)
        catalog_drop(c, models[i]);
    free(models);
}

struct model *catalog_hold(struct catalog *c, struct span id)
{
    struct model *m = find(c, id);
    if (!m)
        m = find(c, catalog_id_of_alias(c, id));
    if (m)
        atomic_fetch_add(&m->holders, 1);
    return m;
}

void catalog_drop(struct catalog *c, struct model *m)
{
    (void)c;
    if (m)
        atomic_fetch_sub(&m->holders, 1);
}
