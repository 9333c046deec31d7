/* scheduler_private.h - what the scheduler's thread has in hand.
 *
 * A job that was accepted is a task. Each of its answers that is worked on is a lane: the tokens that are known of it
 * (prompt, then those drawn) and a sequence that has read some of them. All that a step does is to let lanes read: a
 * lane that has read all but its last token gets one row and draws the next token from it, one that has more to read
 * gets a part of the rows that are there for prompts. So a lane whose sequence was taken away, because memory ran out,
 * is like one that was just begun: it reads again what is known, and goes on.
 *
 * Files: engine.c (threads, submission, the list of models), scheduler.c (a step), scheduler_rows.c (what it reads),
 * scheduler_pace.c (how much of prompts), scheduler_deliver.c (what comes of it), scheduler_task.c (tasks and lanes from
 * beginning to end), scheduler_memory.c (who gets pages, who has to give some back), scheduler_prefix.c (what need not be
 * read again). Whatever is not said to be under the engine's lock belongs to the scheduler's thread.
 */
#ifndef BERTH_SCHEDULER_PRIVATE_H
#define BERTH_SCHEDULER_PRIVATE_H

#include "answer_private.h"
#include "job_private.h"
#include "prefix_private.h"

#include "berth/engine/scheduler/engine.h"

#include <pthread.h>

struct task {
    struct task *next; /* in its model's queue, then among its tasks */
    struct schedule *schedule;
    struct job *job;
    const struct job_request *request;
    double submitted, admitted, first_token; /* by scheduler_now; 0: not yet */
    double deadline; /* of the whole; 0 for none */
    /* From here on: once it is admitted. */
    uint64_t number; /* in the order of admission, over all models */
    struct answer_stops *stops;
    struct answer *echo; /* of the prompt's tokens, where they are to be told */
    size_t n_echoed; /* tokens of the prompt that `echo` has seen */
    struct sequence
        *prompt; /* what it has read, kept for choices that have no slot yet: all but the last token */
    bool prompt_read;
    uint32_t n_started, n_ended; /* choices */
    enum job_finish finish; /* of the first choice that ended */
    struct job_usage usage;
};

struct lane {
    struct lane *next; /* while it is aside */
    struct task *task;
    uint32_t choice;
    struct sequence *sequence; /* NULL while it is aside */
    struct sampler *sampler;
    struct answer *answer;
    int32_t *drawn; /* [n_drawn] */
    size_t n_drawn, room;
    size_t known; /* tokens that it has to read before it draws, or ends */
    double last_token; /* by scheduler_now */
    struct prefix_node *path; /* where it stands in the cache of prefixes; NULL: nowhere */
    uint64_t compared; /* number + 1 of the task that its prompt was compared with last, */
    size_t common; /* and how many tokens they share, in whole pages */
    /* Of the current step. */
    bool reads; /* more than the token that it draws behind */
    bool waits; /* another lane reads what it would have to read */
    size_t n_rows;
    float *logits; /* of its last row; NULL when it draws nothing in this step */
    const float *echo_logits; /* of the n_echo rows that the prompt's next tokens are scored by */
    size_t n_echo;
    int32_t token;
    float logprob;
    struct sampler_logprob top[JOB_LOGPROBS_MAX];
};

/* What steps of a model have cost lately: see scheduler_pace.c. 0: not yet known. */
struct pace {
    double base_seconds; /* of a step, beside */
    double row_seconds; /* for each of its rows */
};

/* A model's part in the engine: text_model.scheduling. */
struct schedule {
    struct schedule *next; /* of the engine's list; see there */
    struct text_model *model;
    /* Under the engine's lock. */
    struct task *queue, **queue_end;
    size_t n_queued;
    atomic_bool leaving; /* set under the lock; the thread may look without */
    bool gone;
    atomic_size_t n_taken; /* lanes, those that are aside as well: slots that no new job will get */
    /* The thread's. */
    struct task *tasks; /* admitted, oldest first */
    struct lane **lanes; /* [n_lanes of slots] that have a sequence, oldest first */
    size_t n_lanes;
    struct lane *aside; /* that gave their pages back, oldest first */
    struct prefix_cache *prefixes; /* NULL: nothing is kept */
    bool choice_began; /* the lane that began last was a further choice of a task */
    struct pace pace;
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
    uint64_t prefix_clock; /* goes on when somebody leaves pages to a cache of prefixes */
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

/* One step of one model. */
void scheduler_step(struct engine *e);
/* Ends what was cancelled or is too late, and all of models that are leaving; of every model. */
void scheduler_sweep(struct engine *e);

/* ---- scheduler_rows.c ---- */

size_t lane_left(const struct lane *l); /* tokens that it has to read */
bool lane_has_echo(const struct lane *l); /* it is the one that tells the prompt's tokens */
void rows_share(const struct engine *e, struct schedule *s); /* fills in each lane's n_rows */
void rows_reserve(
    struct engine *e, struct schedule *s); /* takes pages for them; lanes may be set aside, or end */
size_t rows_count(const struct schedule *s);
size_t rows_of_prompts(const struct schedule *s); /* of these */
bool rows_make_room(struct engine *e, size_t n); /* false without memory */
void rows_fill(struct engine *e, const struct schedule *s);
void rows_hand_out(const struct schedule *s, float *logits); /* those of the call, to the lanes */
struct lane *lane_in_batch(const struct schedule *s); /* the first with rows, or NULL */

/* ---- scheduler_pace.c ---- */

/* A step of so many rows of answers and of prompts has taken so long. */
void pace_learn(struct pace *p, size_t answering, size_t reading, double seconds);
double pace_of_answers(const struct pace *p, size_t answering); /* seconds of a step without prompts */

/* Who is at work, in all models. */
struct pace_load {
    size_t answering, reading; /* lanes */
    double answer_seconds; /* for a token for each that answers */
};
/* Rows of prompts that all who read may have together, 1 to `chunk`. */
size_t pace_rows(const struct pace *p, const struct pace_load *l, size_t chunk);

/* ---- scheduler_deliver.c ---- */

bool deliver_draw(
    struct engine *e, const struct schedule *s); /* a token for each that draws; false without memory */
void deliver_answers(struct schedule *s); /* all lanes of the batch, which leave it */

/* ---- scheduler_task.c ---- */

bool task_draws(const struct job_request *r); /* anything at all */
size_t task_reads(const struct job_request *r); /* tokens of the prompt that have to be read */
void task_fail(struct task *t, unsigned status, const struct error *why);
void task_end(struct task *t, enum job_finish finish, unsigned status, const struct error *why);
void task_no_memory(struct task *t); /* fails it for that */
void task_tell_usage(struct task *t);
bool task_tell_echo(
    struct task *t, enum job_finish finish); /* what `echo` has to say; false: the task has failed */
/* A task that was never admitted. */
void task_refuse(struct task *t, enum job_finish finish, unsigned status, const struct error *why);
bool task_admit(struct engine *e, struct task *t); /* false without memory: the task has failed */
/* Starts the next choice of a task in a free slot. That may end the task: for lack of memory, or because there is
 * nothing to do for its last choice. */
void lane_start(struct task *t);
void lane_end(struct lane *l, enum job_finish finish);
bool lane_is_older(const struct lane *a, const struct lane *b);
int32_t lane_token(const struct lane *l, size_t position);
bool lane_append(struct lane *l, int32_t token); /* false without memory */
void schedule_fail_all(struct engine *e, struct schedule *s, unsigned status, const struct error *why);
void schedule_insert(struct schedule *s, struct lane *l); /* among its lanes, by age */
void schedule_remove(struct schedule *s, struct lane *l); /* from lanes or from aside */

/* ---- scheduler_memory.c ---- */

uint64_t memory_of(const struct text_model *m, size_t positions); /* bytes of pages for a sequence */
/* True when a sequence of so many positions, of which others hold so many pages, fits beside all that is in use and has
 * been promised. */
bool memory_allows(const struct engine *e, const struct text_model *m, size_t positions, size_t pages_in_use);
/* Makes `n` positions of the lane writable; prefixes are dropped and younger lanes set aside for that. False when the
 * lane itself had to be set aside, or, with *alone, when it has all the memory there is and that is not enough. */
bool memory_reserve(struct engine *e, struct lane *l, size_t n, bool *alone);
size_t memory_lanes(const struct engine *e); /* lanes of all models */

/* ---- scheduler_prefix.c ---- */

void lane_take_prefix(struct lane *l); /* what is there of what it has to read, but for the last token */
void lane_keep_prefix(struct lane *l); /* the pages that it has filled */
void lane_leave_prefix(struct lane *l); /* those, and the last one; its sequence is about to be freed */
/* True when it may wait for `ahead`, which is reading, rather than read the same. */
bool lane_may_wait(const struct lane *ahead, struct lane *l);
/* Of the request's prompt, from its beginning, those that others hold and that it would share. */
size_t prefix_pages_in_use(const struct schedule *s, const struct job_request *r);

/* ---- engine.c ---- */

struct schedule *schedule_new(struct engine *e, struct text_model *m); /* NULL without memory */
void schedule_leave(
    struct schedule *s, struct engine *e); /* waits until the thread knows it no more; frees it */
struct task *schedule_pop(struct engine *e, struct schedule *s); /* the first of its queue, or NULL */

#endif
