/* catalog.h - the models of the volume: the list of them, their state, and references to them.
 *
 * One thread, the model watcher, scans the volume, loads each model and then looks once a second whether a file
 * changed while it is mapped. Models are objects with counted references. A list of models never changes; a new list
 * replaces it. A reader gets the current list from atomics and never waits for a load.
 *
 * A model that fails stays failed. When the file of one that the engine could read is whole again, the watcher loads it
 * as another model, which takes the failed one's place. A model that failed at the first load needs a restart.
 *
 * Mapping a model takes a moment. Opening it for answers (its tokenizer, its template) takes longer: the watcher does
 * so after the first load, model after model, and a request that comes earlier opens the model that it needs.
 */
#ifndef BERTH_CATALOG_H
#define BERTH_CATALOG_H

#include "berth/engine/scheduler/served_model.h"
#include "berth/loaders/loader.h"
#include "berth/server/options.h"

#include <pthread.h>
#include <stdatomic.h>
#include <time.h>

enum model_state {
    MODEL_LOADING,
    MODEL_MAPPED, /* in memory, validated and described; it may still be unable to answer */
    MODEL_FAILED, /* for the reason given */
    MODEL_STATES
};

const char *model_state_name(enum model_state state);

/* One model. The first group never changes; the second is written by the watcher before `state` says so and
 * may be read after model_state() returned a state other than MODEL_LOADING. */
struct model {
    char *id;
    char *path; /* below the volume, escaped */
    char *file; /* the same, bytes as the directory has them */
    char *manifest; /* of scan_model, or NULL */
    const char *layout; /* of scan_model, or NULL */
    uint64_t version;

    struct loaded loaded; /* empty when the load itself failed */
    struct error reason; /* of MODEL_FAILED */
    double load_seconds;
    time_t created;

    pthread_mutex_t opening; /* held while `served` and `not_served` are written */
    struct served_model *_Atomic served; /* NULL until it is opened, or when it cannot be */
    struct error not_served; /* why it cannot be opened */
    atomic_bool tried; /* to open it; `served` and `not_served` will not change */

    atomic_int state; /* enum model_state */
    atomic_size_t references; /* of lists and of requests; for the catalog alone, like the next */
    struct model *next_retired;
    struct model *again; /* of a failed model: its file, loaded anew, or NULL; the watcher's */
};

enum model_state model_state(const struct model *m);

struct catalog;

/* How far the first load is. */
struct catalog_progress {
    bool ended;
    size_t total, done; /* models found, and tried so far */
    size_t mapped, failed;
};

/* `memory` is how many bytes the process may use. A model that is larger is served, slowly, and a warning is logged. */
struct catalog *catalog_new(const struct options *o, uint64_t memory, struct error *err);

/* Before the start: models are to be opened for answers on this engine, which must live longer. Reads the chat
 * template and checks the aliases that the options name. False with the reason. Without an engine models are only
 * mapped. */
bool catalog_use_engine(struct catalog *c, struct engine *e, struct error *err);

/* Starts the watcher, which loads the models. Returns at once. */
bool catalog_start(struct catalog *c, struct error *err);

/* Tells the watcher to end, also in the middle of a load, and waits for it for up to `seconds`, because a disk may hang.
 * False when it did not end; then the catalog must not be freed. */
bool catalog_stop(struct catalog *c, double seconds);
void catalog_free(
    struct catalog *c); /* after engine_stop, and after catalog_stop returned true, or when never started */

/* Reads atomics and never waits. */
struct catalog_progress catalog_progress(const struct catalog *c);

/* True when the first load has ended and every required model can answer now; without such a list, when at least one
 * model can, or when the volume has none. Otherwise the reason. Never waits. */
bool catalog_ready(struct catalog *c, struct error *err);

/* Whether at least one model can answer now; otherwise the reason. Never waits. */
bool catalog_some_answers(struct catalog *c, struct error *err);

/* The models: those that can chat, then those that can answer otherwise, then those that are only mapped, then the
 * rest, each group by id. An array that the caller frees with catalog_drop_all; NULL and *n = 0 when there are none. */
struct model **catalog_hold_all(struct catalog *c, size_t *n);
void catalog_drop_all(struct catalog *c, struct model **models, size_t n);

/* The model that the name means, or NULL: an id or an alias, exactly or without regard to case and to the endings
 * ".gguf" and ":latest"; else the path of its file. A model that is held stays; give it back with catalog_drop. */
struct model *catalog_hold(struct catalog *c, struct span name);

/* The model that --default-model names, which answers requests for names that nobody knows; NULL for none. */
struct model *catalog_hold_default(struct catalog *c);
void catalog_drop(struct catalog *c, struct model *m);

/* The n-th alias (from 0) of the model with this id, not NUL-terminated; empty when there are no more. */
struct span catalog_alias(const struct catalog *c, const char *id, size_t n);

/* The served model of a model that is mapped, opened now if it is not open yet, which may take some hundred
 * milliseconds. NULL with the reason, fit for a client, when no kind of model fits the file. */
struct served_model *catalog_serve(struct catalog *c, struct model *m, struct error *err);

/* The same where it is open already; NULL otherwise. */
struct served_model *model_served(const struct model *m);

#endif
