/* engine.h - what all models share: the compute threads, the memory for sequences, and the scheduler.
 *
 * The scheduler is one thread. In each step it picks the next model that has work and makes one forward call with rows
 * of many sequences: one token for each slot that answers, and parts of prompts, up to `chunk` rows. Jobs wait in a
 * bounded queue until there is a slot and room for their pages. Between steps the scheduler adapts the number of
 * threads to the processors that the process may use. No answer depends on any of this.
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
    unsigned processors; /* how many the process may use at the start */
    /* Returns how many processors there are now, and writes where the number is from: limits_watch_cpus, or a test's
     * own. Called with `watch` on the engine's thread, between two steps, at most every look_seconds. The engine then
     * has as many threads, up to threads_most (0: no limit). NULL: the number of threads stays. */
    unsigned (*processors_now)(struct limits_watch *watch, char from[LIMITS_FROM]);
    struct limits_watch *watch;
    double look_seconds;
    unsigned threads_most;
    uint64_t kv_memory; /* bytes for all sequences of all models */
    enum attention_type kv_type;
    bool prefix_cache; /* keep pages, while there is room, for prompts that begin with the same tokens */
    double prefix_age; /* seconds that a page is kept without use; 0 for no limit */
    /* Whether the process must free memory: memory_watch_is_short, or a test's own. Called with `memory_watch` on the
     * engine's thread, at most once a second, while prefixes are kept. NULL: never. */
    bool (*memory_is_short)(struct memory_watch *watch);
    struct memory_watch *memory_watch;
    size_t chunk; /* the most rows of prompts in a step; at least 1 */
    size_t slots; /* answers of one model that are made at the same time; at least 1 */
    size_t queue; /* jobs that may wait, of all models together */
    double queue_timeout; /* seconds from a request's arrival to its first step; 0 for no limit */
    double job_timeout; /* seconds from a request's arrival to its end; 0 for no limit */
};

struct engine;

/* Starts the threads. isa_select must have been called. NULL with the reason. */
struct engine *engine_new(const struct engine_options *o, struct error *err);
/* Ends the threads; jobs that are left fail with RESULT_STOPPING. Models are closed after this, then engine_free frees
 * the engine. */
void engine_stop(struct engine *e);
void engine_free(struct engine *e);

const struct engine_options *engine_options_of(const struct engine *e);
struct kv_budget *engine_budget(struct engine *e);
/* Compute threads now, and the processors they were chosen for. Any thread. */
unsigned engine_threads(const struct engine *e);
unsigned engine_processors(const struct engine *e);

/* Seconds since the scheduler's thread began its current step; 0 while it has no work. For /livez. */
double engine_heartbeat_age(const struct engine *e);

#endif
