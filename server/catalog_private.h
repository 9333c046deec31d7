/* catalog_private.h - what the files of the catalog share.
 *
 * catalog.c       lists, references, look-ups, the catalog's life
 * catalog_names.c ids, aliases, the default model
 * catalog_load.c  the first load: volume, scan, files
 * catalog_serve.c models opened for answers
 * catalog_ready.c readiness
 * catalog_watch.c the model watcher, a thread
 */
#ifndef BERTH_CATALOG_PRIVATE_H
#define BERTH_CATALOG_PRIVATE_H

#include "berth/server/catalog.h"
#include "berth/engine/scheduler/pooling.h"
#include "berth/loaders/scan.h"

/* The models at one time, sorted by id. It never changes; a new list replaces it. */
struct model_list {
    atomic_size_t references; /* the catalog's, and those of readers */
    struct model_list *next_old;
    size_t n;
    struct model *models[]; /* [n], each with a reference */
};

struct catalog {
    const struct options *options;
    uint64_t memory; /* bytes that the process may use */
    struct engine *engine; /* NULL: models are not opened for answers */
    char *chat_template; /* [template_size], or NULL */
    size_t template_size;
    struct volume volume; /* of the watcher, like the three below */
    bool volume_open;
    size_t n_files; /* names that the first scan examined */
    struct added_names *added; /* models that came after the first load */

    struct model_list *_Atomic list; /* never NULL */
    atomic_size_t readers; /* threads between the load of `list` and its reference */
    /* Replaced; a reader may still be about to take a reference; the watcher's. */
    struct model_list *old_lists;
    struct model *_Atomic retired; /* models without references, for the watcher to close */

    atomic_bool ended, stopping;
    atomic_bool opened; /* each model that was mapped by the first load has been opened, or cannot be */
    atomic_size_t total, done, mapped, failed;

    pthread_t watcher;
    pthread_mutex_t lock; /* of the two below */
    pthread_cond_t wake; /* stopping was set, or the watcher has ended */
    bool watcher_ended;
};

double catalog_now(void); /* seconds, monotonic */

/* ---- lists ---- */

/* The list of this moment with a reference, for list_drop. Never waits. */
struct model_list *list_take(struct catalog *c);
void list_drop(struct catalog *c, struct model_list *l);

/* Makes `l` the list that readers get, and takes over the caller's reference. The watcher's. */
void list_publish(struct catalog *c, struct model_list *l);

/* Publishes the list of this moment with `m`, and the caller's reference to it, in the place of `old`. False without
 * memory. The watcher's. */
bool list_replace(struct catalog *c, const struct model *old, struct model *m);

/* An empty list with room for n models and one reference. NULL when memory is short. */
struct model_list *list_new(size_t n);

/* A model that is loading, with one reference. Copies the texts. NULL when memory is short. */
struct model *model_new(const struct scan_model *found);

/* Frees the lists and closes the models without references. The watcher's. */
void catalog_sweep(struct catalog *c);

/* ---- names ---- */

/* The model in the list that a name means, without a reference: an id, an alias, or either without regard to case,
 * ".gguf" or ":latest". NULL for none. */
struct model *list_find(const struct catalog *c, const struct model_list *l, struct span name);

bool catalog_check_aliases(const struct catalog *c, struct error *err);
bool catalog_check_poolings(const struct catalog *c, struct error *err); /* the same of --pooling */
enum pooling catalog_pooling(
    const struct catalog *c, const char *id); /* POOLING_UNKNOWN where it names none */

/* Warns of options that name models which are not on the volume. */
void catalog_warn_of_names(struct catalog *c);

/* ---- loading ---- */

/* Scans the volume, publishes its models and loads one after the other. */
void catalog_first_load(struct catalog *c);

/* Loads the file of a model that has failed into another model, whose state stays MODEL_LOADING, with one reference.
 * NULL when the file cannot be loaded. */
struct model *catalog_load_again(struct catalog *c, const struct model *failed);

/* Logs models that were added to the volume since, once each: they need a restart. */
void catalog_look_for_added(struct catalog *c);
void catalog_added_free(struct catalog *c);

void model_set_mapped(struct catalog *c, struct model *m);
void model_set_failed(struct catalog *c, struct model *m);

/* Waits for `seconds`, less when the catalog is to stop. Returns whether to go on. The watcher's. */
bool watcher_sleep(struct catalog *c, double seconds);

/* ---- serving ---- */

/* Opens all models that are mapped: required ones first, then by id. The watcher's. */
void catalog_open_all(struct catalog *c);

/* Called when the file of a model has changed: its jobs fail. */
void catalog_lose(struct model *m);

void *watcher_run(void *catalog);

#endif
