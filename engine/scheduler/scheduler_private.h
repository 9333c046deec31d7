/* scheduler_private.h - what the scheduler's thread has in hand.
 *
 * A job that was accepted is a request. Each of its answers that is worked on is a slot: the tokens that are known of it
 * (prompt, then those sampled) and a sequence that has read some of them. All that a step does is to let slots read: a
 * slot that has read all but its last token gets one row and samples the next token from it, one that has more to read
 * gets a part of the rows that are there for prompts. So a slot whose sequence was taken away, because memory ran out,
 * is like one that was just begun: it reads again what is known, and goes on.
 *
 * Files: engine.c (threads, submission, the list of models), scheduler.c (a step), rows.c (what it reads),
 * prefill.c (how much of prompts), deliver.c (what comes of it), request.c (requests and slots from
 * beginning to end), memory.c (who gets pages, who has to give some back), prefix.c (what need not be
 * read again). Whatever is not said to be under the engine's lock belongs to the scheduler's thread.
 */
#ifndef BERTH_SCHEDULER_PRIVATE_H
#define BERTH_SCHEDULER_PRIVATE_H

#include "output_private.h"
#include "job_private.h"
#include "prefix_private.h"
#include "text_model_private.h"

#include "berth/engine/scheduler/engine.h"
#include "berth/loaders/loader.h"

#include <pthread.h>

struct request {
    struct request *next; /* in its model's queue, then among its requests */
    struct schedule *schedule;
    struct job *job;
    const struct job_request *params;
    double arrived, admitted, first_token; /* by scheduler_now; 0: not yet */
    double deadline; /* of the whole; 0 for none */
    /* From here on: once it is admitted. */
    uint64_t number; /* in the order of admission, over all models */
    struct output_stops *stops;
    struct output *echo; /* of the prompt's tokens, where they are to be told */
    size_t n_echoed; /* tokens of the prompt that `echo` has seen */
    struct sequence
        *prompt; /* what it has read, kept for choices that have no slot yet: all but the last token */
    bool prompt_read;
    uint32_t n_started, n_ended; /* choices */
    enum job_finish finish; /* of the first choice that ended */
    struct job_usage usage;
};

struct slot {
    struct slot *next; /* while it is preempted */
    struct request *request;
    uint32_t choice;
    struct sequence *sequence; /* NULL while it is preempted */
    struct sampler *sampler;
    struct output *output;
    int32_t *sampled; /* [n_sampled] */
    size_t n_sampled, room;
    size_t known; /* tokens that it has to read before it samples, or ends */
    double last_token; /* by scheduler_now */
    struct prefix_node *path; /* where it stands in the cache of prefixes; NULL: nowhere */
    uint64_t compared; /* number + 1 of the request that its prompt was compared with last, */
    size_t common; /* and how many tokens they share, in whole pages */
    /* Of the current step. */
    bool reads; /* more than the token that it samples behind */
    bool waits; /* another slot reads what it would have to read */
    size_t n_rows;
    float *logits; /* of its last row; NULL when it samples nothing in this step */
    const float *echo_logits; /* of the n_echo rows that the prompt's next tokens are scored by */
    size_t n_echo;
    int32_t token;
    float logprob;
    struct sampler_logprob top[JOB_LOGPROBS_MAX];
};

/* What steps of a model have cost lately: see prefill.c. 0: not yet known. */
struct prefill_cost {
    double base_seconds; /* of a step, beside */
    double row_seconds; /* for each of its rows */
};

/* A model's part in the engine: text_model.schedule. */
struct schedule {
    struct schedule *next; /* of the engine's list; see there */
    struct text_model *model;
    /* Under the engine's lock. */
    struct request *queue, **queue_end;
    size_t n_queued;
    atomic_bool leaving; /* set under the lock; the thread may look without */
    bool gone;
    atomic_size_t n_taken; /* slots, those that are preempted as well: slots that no new job will get */
    /* The thread's. */
    struct request *requests; /* admitted, oldest first */
    struct slot **slots; /* [n_slots of slots] that have a sequence, oldest first */
    size_t n_slots;
    struct slot *preempted; /* that gave their pages back, oldest first */
    struct prefix_cache *prefixes; /* NULL: nothing is kept */
    bool choice_began; /* the slot that began last was a further choice of a request */
    struct prefill_cost prefill_cost;
};

struct engine {
    struct engine_options options;
    struct kv_budget budget;
    struct pool *pool;
    pthread_t thread;
    pthread_mutex_t lock;
    pthread_cond_t work, left; /* there is something to do; a schedule is gone */
    _Atomic(struct schedule *)
        schedules; /* grows at its head and is cut by the thread, both under the lock */
    bool stopped; /* under the lock: the thread has ended */
    atomic_bool stopping;
    atomic_uint threads, processors; /* as last looked at; the pool's size, and what it was made for */
    atomic_uint_fast64_t turned_ns; /* when the thread last began a step; 0 while it has nothing to do */
    /* The thread's. */
    struct schedule *served; /* the last one whose turn it was */
    uint64_t n_admitted;
    struct prefix_clock prefix_clock; /* of all models' caches of prefixes */
    double swept_prefixes; /* when idle prefixes were last looked at */
    struct decoder_workspace *workspace;
    struct decoder_row *rows; /* [rows_room] */
    size_t rows_room;
    float *copies; /* logits for each member of the pool, where log probabilities are wanted */
    size_t copies_room;
    double told_progress; /* when the log was told last */
    double looked; /* for processors, the last time */
};

double scheduler_now(void); /* seconds, monotonic */

/* ---- scheduler.c ---- */

/* The bytes of each model's pages, for the metrics. */
void scheduler_count_pages(const struct engine *e);
/* One step of one model. */
void scheduler_step(struct engine *e);
/* Ends what was cancelled or is too late, and all of models that are leaving; of every model. */
void scheduler_sweep(struct engine *e);

/* ---- rows.c ---- */

size_t slot_left(const struct slot *l); /* tokens that it has to read */
bool slot_has_echo(const struct slot *l); /* it is the one that tells the prompt's tokens */
void rows_share(const struct engine *e, struct schedule *s); /* fills in each slot's n_rows */
void rows_reserve(
    struct engine *e, struct schedule *s); /* takes pages for them; slots may be preempted, or end */
size_t rows_count(const struct schedule *s);
size_t rows_of_prompts(const struct schedule *s); /* of these */
bool rows_make_room(struct engine *e, size_t n); /* false without memory */
void rows_fill(struct engine *e, const struct schedule *s);
void rows_hand_out(const struct schedule *s, float *logits); /* those of the call, to the slots */
struct slot *slot_in_batch(const struct schedule *s); /* the first with rows, or NULL */

/* ---- prefill.c ---- */

/* A step of so many rows of answers and of prompts has taken so long. */
void prefill_learn(struct prefill_cost *p, size_t answering, size_t reading, double seconds);
double prefill_answer_seconds(
    const struct prefill_cost *p, size_t answering); /* seconds of a step without prompts */

/* Who is at work, in all models. */
struct prefill_load {
    size_t answering, reading; /* slots */
    double answer_seconds; /* for a token for each that answers */
};
/* Rows of prompts that all who read may have together, 1 to `chunk`. */
size_t prefill_budget(const struct prefill_cost *p, const struct prefill_load *l, size_t chunk);

/* ---- deliver.c ---- */

bool deliver_sample(
    struct engine *e, const struct schedule *s); /* a token for each that samples; false without memory */
void deliver_answers(struct schedule *s); /* all slots of the batch, which leave it */

/* ---- request.c ---- */

bool request_samples(const struct job_request *r); /* anything at all */
size_t request_reads(const struct job_request *r); /* tokens of the prompt that have to be read */
void request_fail(struct request *t, enum result result, const struct error *why);
void request_end(struct request *t, enum job_finish finish, enum result result, const struct error *why);
void request_no_memory(struct request *t); /* fails it for that */
void request_tell_usage(struct request *t);
bool request_tell_echo(
    struct request *t, enum job_finish finish); /* what `echo` has to say; false: the request has failed */
/* A request that was never admitted. */
void request_refuse(struct request *t, enum job_finish finish, enum result result, const struct error *why);
bool request_admit(struct engine *e, struct request *t); /* false without memory: the request has failed */
/* Starts the next choice of a request in a free slot. That may end the request: for lack of memory, or because there is
 * nothing to do for its last choice. */
void slot_start(struct request *t);
void slot_end(struct slot *l, enum job_finish finish);
bool slot_is_older(const struct slot *a, const struct slot *b);
int32_t slot_token(const struct slot *l, size_t position);
bool slot_append(struct slot *l, int32_t token); /* false without memory */
void schedule_fail_all(struct engine *e, struct schedule *s, enum result result, const struct error *why);
void schedule_insert(struct schedule *s, struct slot *l); /* among its slots, by age */
void schedule_remove(struct schedule *s, struct slot *l); /* from slots or from preempted */

/* ---- memory.c ---- */

uint64_t memory_of(const struct text_model *m, size_t positions); /* the least bytes for a sequence */
/* True when a sequence of so many positions, of which others hold so many pages, fits beside all that is in use and has
 * been promised. */
bool memory_allows(const struct engine *e, const struct text_model *m, size_t positions, size_t pages_in_use);
/* Makes `n` positions of the slot writable; prefixes are dropped and younger slots preempted for that. False when the
 * slot itself had to be preempted, or, with *alone, when it has all the memory there is and that is not enough. */
bool memory_reserve(struct engine *e, struct slot *l, size_t n, bool *alone);
size_t memory_slots(const struct engine *e); /* slots of all models */

/* ---- prefix.c ---- */

/* Gives back the pages of prefixes that have been idle for too long, and all idle ones while memory is short. Looks once
 * a second at most. */
void prefixes_sweep(struct engine *e);
bool prefixes_are_kept(const struct engine *e); /* some page is idle: there will be something to sweep */

void slot_take_prefix(struct slot *l); /* what is there of what it has to read, but for the last token */
void slot_keep_prefix(struct slot *l); /* the pages that it has filled */
void slot_leave_prefix(struct slot *l); /* those, and the last one; its sequence is about to be freed */
/* True when it may wait for `ahead`, which is reading, rather than read the same. */
bool slot_may_wait(const struct slot *ahead, struct slot *l);
/* Of the request's prompt, from its beginning, those that others hold and that it would share. */
size_t prefix_pages_in_use(const struct schedule *s, const struct job_request *r);

/* ---- engine.c ---- */

struct schedule *schedule_new(struct engine *e, struct text_model *m); /* NULL without memory */
void schedule_leave(
    struct schedule *s, struct engine *e); /* waits until the thread knows it no more; frees it */
struct request *schedule_pop(struct engine *e, struct schedule *s); /* the first of its queue, or NULL */

#endif
