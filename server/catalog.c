/* catalog.c - the list of models and the references to it.
 *
 * Models are objects with counted references, in a list that never changes. When the volume changes, a new list replaces
 * the old one. A reader takes a reference to the current list in three atomic steps and never waits for a load. An old
 * list is freed when no reader can be about to take a reference to it. The watcher closes models, not the request that
 * drops the last reference, because closing may take long.
 */
#include "catalog_private.h"

#include <stdlib.h>
#include <string.h>

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

bool watcher_sleep(struct catalog *c, double seconds)
{
    struct timespec deadline = deadline_after(seconds);
    pthread_mutex_lock(&c->lock);
    while (!atomic_load(&c->stopping))
        if (pthread_cond_timedwait(&c->wake, &c->lock, &deadline) != 0)
            break;
    pthread_mutex_unlock(&c->lock);
    return !atomic_load(&c->stopping);
}

/* ---- models ---- */

static char *escaped(const char *text)
{
    size_t size = strlen(text) * 4 + 1;
    char *out = malloc(size);
    if (out)
        text_escape(out, size, span_of(text));
    return out;
}

static void model_free(struct model *m)
{
    if (m->again)
        model_free(m->again);
    served_model_close(model_served(m));
    loaded_close(&m->loaded);
    pthread_mutex_destroy(&m->opening);
    free(m->id);
    free(m->file);
    free(m->path);
    free(m->manifest);
    free(m);
}

struct model *model_new(const struct scan_model *found)
{
    struct model *m = calloc(1, sizeof(*m));
    if (!m)
        return NULL;
    pthread_mutex_init(&m->opening, NULL);
    atomic_init(&m->references, 1);
    m->id = strdup(found->id);
    m->file = strdup(found->path);
    m->path = escaped(found->path);
    m->manifest = found->manifest ? strdup(found->manifest) : NULL;
    m->layout = found->layout;
    m->version = found->version;
    m->created = time(NULL);
    if (m->id && m->file && m->path && (m->manifest || !found->manifest))
        return m;
    model_free(m);
    return NULL;
}

void model_set_mapped(struct catalog *c, struct model *m)
{
    atomic_fetch_add(&c->mapped, 1);
    atomic_store_explicit(&m->state, MODEL_MAPPED, memory_order_release);
}

void model_set_failed(struct catalog *c, struct model *m)
{
    if (model_state(m) == MODEL_MAPPED)
        atomic_fetch_sub(&c->mapped, 1);
    atomic_fetch_add(&c->failed, 1);
    atomic_store_explicit(&m->state, MODEL_FAILED, memory_order_release);
}

static struct model *refer(struct model *m)
{
    if (m)
        atomic_fetch_add(&m->references, 1);
    return m;
}

void catalog_drop(struct catalog *c, struct model *m)
{
    if (!m || atomic_fetch_sub(&m->references, 1) != 1)
        return;
    m->next_retired = atomic_load(&c->retired);
    while (!atomic_compare_exchange_weak(&c->retired, &m->next_retired, m)) {
    }
}

/* ---- lists ---- */

struct model_list *list_new(size_t n)
{
    struct model_list *l = calloc(1, sizeof(*l) + n * sizeof(struct model *));
    if (l)
        atomic_init(&l->references, 1);
    return l;
}

struct model_list *list_take(struct catalog *c)
{
    atomic_fetch_add(&c->readers, 1);
    struct model_list *l = atomic_load(&c->list);
    atomic_fetch_add(&l->references, 1);
    atomic_fetch_sub(&c->readers, 1);
    return l;
}

void list_drop(struct catalog *c, struct model_list *l)
{
    if (atomic_fetch_sub(&l->references, 1) != 1)
        return;
    for (size_t i = 0; i < l->n; i++)
        catalog_drop(c, l->models[i]);
    free(l);
}

void list_publish(struct catalog *c, struct model_list *l)
{
    struct model_list *old = atomic_exchange(&c->list, l);
    old->next_old = c->old_lists;
    c->old_lists = old;
    catalog_sweep(c);
}

bool list_replace(struct catalog *c, const struct model *old, struct model *m)
{
    struct model_list *now = list_take(c), *l = list_new(now->n);
    for (size_t i = 0; l && i < now->n; i++)
        l->models[l->n++] = now->models[i] == old ? m : refer(now->models[i]);
    list_drop(c, now);
    if (l)
        list_publish(c, l);
    return l != NULL;
}

/* A reader that is counted after `list` was replaced finds the new list. So once no reader is counted, nobody takes a
 * reference to an old list any more. */
void catalog_sweep(struct catalog *c)
{
    while (c->old_lists && atomic_load(&c->readers) == 0) {
        struct model_list *l = c->old_lists;
        c->old_lists = l->next_old;
        list_drop(c, l);
    }
    struct model *m = atomic_exchange(&c->retired, NULL);
    while (m) {
        struct model *next = m->next_retired;
        model_free(m);
        m = next;
    }
}

/* ---- the catalog ---- */

struct catalog *catalog_new(const struct options *o, uint64_t memory, struct error *err)
{
    struct catalog *c = calloc(1, sizeof(*c));
    struct model_list *empty = list_new(0);
    if (!c || !empty) {
        free(c);
        free(empty);
        error_set(err, "no memory for the catalog");
        return NULL;
    }
    c->options = o;
    c->memory = memory;
    atomic_init(&c->list, empty);
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
    int failed = pthread_create(&c->watcher, NULL, watcher_run, c);
    return failed ? error_set(err, "cannot start the thread that loads models: %s", strerror(failed)) : true;
}

bool catalog_stop(struct catalog *c, double seconds)
{
    struct timespec deadline = deadline_after(seconds);
    pthread_mutex_lock(&c->lock);
    atomic_store(&c->stopping, true);
    pthread_cond_broadcast(&c->wake);
    while (!c->watcher_ended)
        if (pthread_cond_timedwait(&c->wake, &c->lock, &deadline) != 0)
            break;
    bool ended = c->watcher_ended;
    pthread_mutex_unlock(&c->lock);
    if (ended)
        pthread_join(c->watcher, NULL);
    return ended;
}

void catalog_free(struct catalog *c)
{
    if (!c)
        return;
    list_drop(c, atomic_load(&c->list));
    catalog_sweep(c);
    catalog_added_free(c);
    free(c->chat_template);
    if (c->volume_open)
        volume_close(&c->volume);
    pthread_cond_destroy(&c->wake);
    pthread_mutex_destroy(&c->lock);
    free(c);
}

/* ---- look-ups ---- */

struct catalog_progress catalog_progress(const struct catalog *c)
{
    return (struct catalog_progress){
        .ended = atomic_load_explicit(&c->ended, memory_order_acquire),
        .total = atomic_load(&c->total),
        .done = atomic_load(&c->done),
        .mapped = atomic_load(&c->mapped),
        .failed = atomic_load(&c->failed),
    };
}

/* Lower ones are listed first. */
enum rank { RANK_CHATS, RANK_ANSWERS, RANK_MAPPED, RANK_OTHERS, RANKS };

static enum rank rank_of(const struct model *m)
{
    const struct served_model *t = model_served(m);
    if (model_state(m) != MODEL_MAPPED)
        return RANK_OTHERS;
    if (!t)
        return RANK_MAPPED;
    struct served_description d = served_model_describe(t);
    return d.chats ? RANK_CHATS : d.answers ? RANK_ANSWERS : RANK_MAPPED;
}

/* The rank of each model is read once, because it may change meanwhile. */
static void order(const struct model_list *l, struct model **models, uint8_t *ranks)
{
    size_t at = 0;
    for (size_t i = 0; i < l->n; i++)
        ranks[i] = (uint8_t)rank_of(l->models[i]);
    for (uint8_t rank = 0; rank < RANKS; rank++)
        for (size_t i = 0; i < l->n; i++)
            if (ranks[i] == rank)
                models[at++] = refer(l->models[i]);
}

struct model **catalog_hold_all(struct catalog *c, size_t *n)
{
    struct model_list *l = list_take(c);
    struct model **models = l->n ? malloc(l->n * sizeof(struct model *)) : NULL;
    uint8_t *ranks = models ? malloc(l->n) : NULL;
    *n = ranks ? l->n : 0;
    if (ranks)
        order(l, models, ranks);
    free(ranks);
    list_drop(c, l);
    if (*n)
        return models;
    free(models);
    return NULL;
}

void catalog_drop_all(struct catalog *c, struct model **models, size_t n)
{
    for (size_t i = 0; i < n; i++)
        catalog_drop(c, models[i]);
    free(models);
}

struct model *catalog_hold(struct catalog *c, struct span name)
{
    struct model_list *l = list_take(c);
    struct model *m = refer(list_find(c, l, name));
    list_drop(c, l);
    return m;
}

struct model *catalog_hold_default(struct catalog *c)
{
    const char *name = c->options->default_model;
    return name && name[0] ? catalog_hold(c, span_of(name)) : NULL;
}
