/* catalog.h - the models of the volume: what there is, in which state, and who is using it.
 *
 * One thread, the watcher, scans the volume, loads each model and from then on looks once a second whether
 * a file changed under its map. Requests look models up and hold them while they use them. What probes ask
 * often (has the first load ended, how far is it, how many serve) is kept in atomics and never waits for
 * the watcher.
 *
 * To be mapped takes a model a moment; to be made ready for answers (its tokenizer, its template) takes longer,
 * and nothing waits for it but who wants an answer: the watcher does it after the first load, model after model,
 * and a request that is faster does it for its own.
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
    MODEL_MAPPED, /* in memory, validated and described */
    MODEL_FAILED, /* for the reason given; for ever, until berth is restarted */
    MODEL_STATES
};

const char *model_state_name(enum model_state state);

/* One model. The first group never changes; the second is written by the watcher before `state` says so and
 * may be read after model_state() returned a state other than MODEL_LOADING. */
struct model {
    const char *id;
    const char *path; /* below the volume, escaped */
    uint64_t version;

    struct loaded loaded; /* empty when the load itself failed */
    struct error reason; /* of MODEL_FAILED */
    double load_seconds;
    time_t created;

    pthread_mutex_t opening; /* held while `served` and `not_served` are written */
    struct served_model *_Atomic served; /* NULL until it is opened, or when it cannot be */
    struct error not_served; /* why it cannot be opened */

    atomic_int state; /* enum model_state */
    atomic_size_t holders; /* requests that use it; it must not be unmapped before they are done */
};

enum model_state model_state(const struct model *m);

struct catalog;

/* How far the first load is. */
struct catalog_progress {
    bool ended;
    size_t total, done; /* models found, and tried so far */
    size_t mapped, failed;
};

/* `memory` is what the process may use, in bytes: models larger than that are served, slowly, with a
 * warning. */
struct catalog *catalog_new(const struct options *o, uint64_t memory, struct error *err);

/* Before the start: models are to be made ready for answers, on this engine, which must live longer. Reads the
 * chat template and the aliases that the options name. False with the reason. Without it models are mapped
 * and that is all. */
bool catalog_use_engine(struct catalog *c, struct engine *e, struct error *err);

/* Starts the watcher. Returns at once; the load goes on behind. */
bool catalog_start(struct catalog *c, struct error *err);

/* Tells the watcher to end, also in the middle of a load, and waits up to `seconds` for it: a disk that hangs
 * must not keep the process from ending. False when it did not end; then the catalog must not be freed. */
bool catalog_stop(struct catalog *c, double seconds);
void catalog_free(
    struct catalog *c); /* after engine_stop, and after catalog_stop returned true, or when never started */

/* From atomics: never blocks. */
struct catalog_progress catalog_progress(const struct catalog *c);

/* True while the first load has ended and every required model, or without such a list at least one model where the
 * volume has any, is mapped. Otherwise the reason; a model that is lost later makes it false. */
bool catalog_ready(struct catalog *c, struct error *err);

/* The models, those that are mapped first, then by id: an array the caller frees with catalog_drop_all.
 * NULL and *n = 0 when there are none. */
struct model **catalog_hold_all(struct catalog *c, size_t *n);
void catalog_drop_all(struct catalog *c, struct model **models, size_t n);

/* The model with this id or alias, or NULL. A model that is held stays; give it back with catalog_drop. */
struct model *catalog_hold(struct catalog *c, struct span id);
void catalog_drop(struct catalog *c, struct model *m);

/* The n-th alias (from 0) of the model with this id, not NUL-terminated; empty when there are no more. */
struct span catalog_alias(const struct catalog *c, const char *id, size_t n);

/* The served model of a model that is mapped, opened now if it is not open yet, which may take some hundred
 * milliseconds. NULL with the reason, fit for a client, when no kind of model fits the file. */
struct served_model *catalog_serve(struct catalog *c, struct model *m, struct error *err);

/* The same where it is open already; NULL otherwise. */
struct served_model *model_served(const struct model *m);

#endif
