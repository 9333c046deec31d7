/* engine.h - what all models share to answer: the compute threads, the memory for their sequences, the scheduler.
 *
 * The scheduler is one thread. In every step it picks a model that has work, in turns, and makes one forward call
 * with rows of many sequences: a token for each that is answering, and pieces of prompts, up to `chunk` rows. Jobs
 * wait in a bounded queue until there is a slot and room for their pages. Whether the process may use as many
 * processors as before is looked at between steps; no answer depends on it.
 */
#ifndef BERTH_ENGINE_H
#define BERTH_ENGINE_H

#include "berth/engine/scheduler/job.h"
#include "berth/base/limits.h"
#include "berth/base/memory_watch.h"
#include "berth/engine/model/kv_cache.h"
#include "berth/engine/scheduler/text_model.h"

struct engine_options {
    unsigned threads; /* compute threads to begin with, at least 1 */
    unsigned processors; /* that the process may use then */
    /* Returns how many processors there are now, and writes where the number is from: limits_watch_cpus, or a test's
     * own. Called with `watch` on the engine's thread, between two steps, at most every look_seconds. The engine then
     * has as many threads, up to threads_most (0: no limit). NULL: the number of threads stays. */
    unsigned (*processors_now)(struct limits_watch *watch, char from[LIMITS_FROM]);
    struct limits_watch *watch;
    double look_seconds;
    unsigned threads_most;
    uint64_t kv_memory; /* bytes for all sequences of all models */
    enum attention_type kv_type;
    bool prefix_cache; /* keep what was read, while memory has room, for prompts that begin in the same way */
    double prefix_age; /* seconds that it is kept without use; 0 for no limit */
    /* Whether the process must give memory back: memory_watch_is_short, or a test's own. Called with `memory_watch` on the
     * engine's thread, at most once a second, while prefixes are kept. NULL: never. */
    bool (*memory_is_short)(struct memory_watch *watch);
    struct memory_watch *memory_watch;
    size_t chunk; /* rows a step that hold prompts; at least 1 */
    size_t slots; /* sequences of one model that are worked on together */
    size_t queue; /* jobs that may wait, over all models */
    double queue_timeout; /* seconds from a request's arrival to its first step; 0 for no limit */
    double job_timeout; /* seconds from a request's arrival to its end; 0 for no limit */
};

struct engine;

/* Starts the threads. NULL with the reason. isa_select comes before. */
struct engine *engine_new(const struct engine_options *o, struct error *err);
/* Ends the threads; jobs that are left fail with RESULT_STOPPING. Models are closed after this, then engine_free frees
 * the engine. */
void engine_stop(struct engine *e);
void engine_free(struct engine *e);

const struct engine_options *engine_options_of(const struct engine *e);
struct kv_budget *engine_budget(struct engine *e);
/* In force, as last looked at. */
unsigned engine_threads(const struct engine *e);
unsigned engine_processors(const struct engine *e);

/* Seconds since the scheduler's thread was last seen to turn; 0 while it has nothing to do. For /livez. */
double engine_heartbeat_age(const struct engine *e);

#endif
