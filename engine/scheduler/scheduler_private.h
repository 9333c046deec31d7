/* scheduler_private.h - requests, slots and models as the scheduler sees them.
 *
 * A request is the engine's side of a job that was accepted. A slot is one of its answers while it is generated: the known
 * tokens (the prompt, then the sampled ones) and a sequence of the tokens that are computed. A step computes rows of slots.
 * A slot of which only the last known token is not computed decodes: it gets one row and samples the next token from it. A
 * slot with more tokens to compute is in prefill: it gets part of the prefill budget. When memory runs out, a slot is
 * preempted: its sequence is freed. Later it computes its known tokens again, as a new slot would, and goes on.
 *
 * What a model does with its requests is its schedule's kind: generate.c answers with text, embed.c with vectors.
 *
 * Files: engine.c (threads, submission, the list of models), scheduler.c (turns of models, the ends of requests),
 * generate.c (a step that generates), embed.c (a step that embeds), rows.c (the rows of a step that generates),
 * prefill.c (the prefill budget), deliver.c (from logits to pieces), request.c (the life of requests and slots),
 * memory.c (pages and preemption), prefix.c (use of the prefix cache). All members belong to the scheduler's thread
 * unless they are said to be under the engine's lock.
 */
#ifndef BERTH_SCHEDULER_PRIVATE_H
#define BERTH_SCHEDULER_PRIVATE_H

#include "output_private.h"
#include "job_private.h"
#include "pooling_private.h"
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
    double deadline; /* of the whole request; 0 for none */
    /* The members below are set when it is admitted. */
    uint64_t number; /* in the order of admission, over all models */
    struct output_stops *stops;
    struct output *echo; /* of the prompt's tokens, where they are wanted */
    size_t n_echoed; /* tokens of the prompt that were added to `echo` */
    struct sequence *prompt; /* all but the prompt's last token, for choices that have no slot yet */
    bool prompt_computed;
    uint32_t n_started, n_ended; /* choices */
    enum job_finish finish; /* of the first choice that ended */
    struct job_usage usage;
    struct embedding *embedding; /* of texts, embed.c; NULL for none */
};

struct slot {
    struct slot *next; /* while it is preempted */
    struct request *request;
    uint32_t choice;
    struct sequence *sequence; /* NULL while it is preempted */
    struct sampler *sampler;
    struct output *output;
    struct grammar_matcher *grammar; /* NULL: any token may come */
    size_t n_budget; /* tokens so far that count in the request's budget */
    size_t n_forced; /* tokens of budget_end that came already */
    int32_t *sampled; /* [n_sampled] */
    size_t n_sampled, room;
    size_t known; /* tokens that are computed before it samples or ends */
    double last_token; /* by scheduler_now */
    struct prefix_node *path; /* the node of the prefix cache that it uses; NULL for none */
    bool kept_prompt; /* the state at its prompt's end is in the prefix cache, or was */
    uint64_t compared; /* number + 1 of the request that its prompt was compared with last, */
    size_t common; /* and how many tokens they share, up to where a sequence can begin */
    /* Of the current step. */
    bool prefills; /* it has more than one token to compute */
    bool waits; /* another slot computes the tokens that it needs */
    size_t n_rows;
    float *logits; /* of its last row; NULL when it samples nothing in this step */
    const float
        *echo_logits; /* of n_echo rows, which give the next tokens of the prompt their log probabilities */
    size_t n_echo;
    int32_t token;
    float logprob;
    struct sampler_logprob top[JOB_LOGPROBS_MAX];
};

/* Measured costs of a model's recent steps, see prefill.c. 0: not yet known. */
struct prefill_cost {
    double base_seconds; /* of each step, and */
    double row_seconds; /* for each of its rows */
};

/* What a model does with its requests. The list of models, their queues and turns, and the ends of requests are the same for
 * all kinds. */
struct schedule_kind {
    bool keeps_prefixes; /* of prompts */
    /* Whether the model can do what the job asks. Any thread. */
    enum result (*check)(
        const struct engine *e, const struct text_model *m, const struct job_request *r, struct error *err);
    /* Whether the queue has room for the request, which counts in n_queued already. With the engine's lock. False with the
     * reason. */
    bool (*takes)(struct engine *e, struct request *t, struct error *err);
    /* One step of a model that has requests, and whose file is intact. */
    void (*step)(struct engine *e, struct schedule *s);
    /* Frees pages that requests from this number on can do without. False when there are none. NULL: there are never any. */
    bool (*give_back)(struct schedule *s, uint64_t number);
    /* Frees what the kind has of a request that ends. NULL for nothing. */
    void (*release)(struct request *t);
};
extern const struct schedule_kind schedule_generate, schedule_embed;

/* A model's part in the engine: text_model.schedule. */
struct schedule {
    struct schedule *next; /* in the engine's list */
    const struct schedule_kind *kind;
    struct text_model *model;
    /* Under the engine's lock. */
    struct request *queue, **queue_end;
    size_t n_queued;
    atomic_bool leaving; /* set under the lock; read without */
    bool gone;
    atomic_size_t n_taken; /* slots, with those that are preempted: no new job gets these */
    /* The thread's. */
    struct request *requests; /* admitted, oldest first */
    struct slot **slots; /* [n_slots], those that have a sequence, oldest first */
    size_t n_slots;
    struct slot *preempted; /* slots without a sequence, oldest first */
    struct prefix_cache *prefixes; /* NULL: nothing is kept */
    bool choice_began; /* the last slot that began was a further choice of a request */
    struct prefill_cost prefill_cost;
    /* Of one that embeds. */
    uint64_t turn; /* the request of this number, or the next one, is the first of the next step */
    atomic_size_t tokens_waiting; /* tokens of texts that have no vector yet; grows under the lock */
};

struct engine {
    struct engine_options options;
    struct kv_budget budget;
    struct pool *pool;
    pthread_t thread;
    pthread_mutex_t lock;
    pthread_cond_t work, left; /* there is something to do; a schedule is gone */
    _Atomic(struct schedule *)
        schedules; /* grows at its head, and the thread removes entries; both under the lock */
    bool stopped; /* under the lock: the thread has ended */
    atomic_bool stopping;
    atomic_uint threads, processors; /* the pool's size, and the processors it was made for */
    atomic_uint_fast64_t turned_ns; /* when the thread last began a step; 0 while it has nothing to do */
    /* The thread's. */
    struct schedule *served; /* the model of the last step */
    uint64_t n_admitted;
    struct prefix_clock prefix_clock; /* of all models' caches of prefixes */
    double swept_prefixes; /* when idle prefixes were last looked at */
    struct decoder_workspace *workspace;
    struct decoder_row *rows; /* [rows_room] */
    size_t rows_room;
    float *copies; /* a copy of logits for each thread, where log probabilities are wanted */
    size_t copies_room;
    double logged_progress; /* when progress was last logged */
    double looked; /* when processors were last counted */
};

double scheduler_now(void); /* seconds, monotonic */

/* ---- scheduler.c ---- */

/* The bytes of each model's pages, for the metrics. */
void scheduler_count_pages(const struct engine *e);
/* One step of one model. */
void scheduler_step(struct engine *e);
/* False when the model's file has changed. Then all of its jobs have failed. */
bool schedule_is_intact(struct engine *e, struct schedule *s);
/* Counts a forward call, and learns from it what rows cost. */
void schedule_count_step(struct schedule *s, size_t decode_rows, size_t prefill_rows, double seconds);
/* Ends requests of all models that were cancelled or are too late, and all requests of models that are leaving. */
void scheduler_sweep(struct engine *e);

/* ---- rows.c ---- */

size_t slot_left(const struct slot *l); /* known tokens that are not computed yet */
bool slot_has_echo(const struct slot *l); /* its rows give the prompt's tokens their log probabilities */
void rows_share(const struct engine *e, struct schedule *s); /* fills in each slot's n_rows */
void rows_reserve(
    struct engine *e, struct schedule *s); /* takes pages for the rows; slots may be preempted or end */
size_t rows_count(const struct schedule *s);
size_t rows_of_prompts(const struct schedule *s); /* of these */
bool rows_make_room(struct engine *e, size_t n); /* false without memory */
void rows_fill(struct engine *e, const struct schedule *s);
void rows_hand_out(
    const struct schedule *s, float *logits); /* sets the slots' pointers into the logits of a call */
struct slot *slot_in_batch(const struct schedule *s); /* the first with rows, or NULL */

/* ---- prefill.c ---- */

/* Learns from a step that had so many rows of answers and of prompts. */
void prefill_learn(struct prefill_cost *p, size_t decode_rows, size_t prefill_rows, double seconds);
double prefill_decode_seconds(
    const struct prefill_cost *p, size_t decoding); /* what a step without prompts takes */

/* The slots of all models. */
struct prefill_load {
    size_t decoding, prefilling; /* slots */
    double decode_seconds; /* for one token of each slot that decodes */
};
struct prefill_load rows_load(const struct engine *e); /* rows.c */
/* The prefill budget: rows that all prompts may have together in a step, 1 to `chunk`. */
size_t prefill_budget(const struct prefill_cost *p, const struct prefill_load *l, size_t chunk);

/* ---- deliver.c ---- */

bool deliver_sample(struct engine *e,
    const struct schedule *s); /* a token for each slot that samples; false without memory */
void deliver_answers(
    struct schedule *s); /* sends the results of the step to the jobs of all slots in the batch */

/* ---- request.c ---- */

bool request_samples(const struct job_request *r); /* it wants at least one token */
size_t request_computes(const struct job_request *r); /* tokens of the prompt that must be computed */
void request_fail(struct request *t, enum result result, const struct error *why);
void request_end(struct request *t, enum job_finish finish, enum result result, const struct error *why);
void request_push(struct request *t, struct job_piece *pieces, size_t generated); /* sends a list of pieces */
void request_no_memory(struct request *t); /* fails it with RESULT_NO_MEMORY */
void request_update_usage(struct request *t);
bool request_send_echo(struct request *t,
    enum job_finish finish); /* sends the pieces of `echo`; false: the request has failed */
/* Ends a request that was never admitted. */
void request_refuse(struct request *t, enum job_finish finish, enum result result, const struct error *why);
bool request_admit(struct engine *e, struct request *t); /* false without memory: the request has failed */
/* Starts the next choice of a request in a free slot. The request may end here: without memory, or when its last choice
 * has nothing to do. */
void slot_start(struct request *t);
void slot_end(struct slot *l, enum job_finish finish);
bool slot_is_older(const struct slot *a, const struct slot *b);
int32_t slot_token(const struct slot *l, size_t position);
bool slot_append(struct slot *l, int32_t token); /* false without memory */
void schedule_fail_all(struct engine *e, struct schedule *s, enum result result, const struct error *why);
void schedule_insert(struct schedule *s, struct slot *l); /* into `slots`, by age */
void schedule_remove(struct schedule *s, struct slot *l); /* from `slots` or `preempted` */

/* ---- memory.c ---- */

/* The least bytes for a sequence. */
uint64_t memory_of(const struct engine *e, const struct text_model *m, size_t positions);
/* True when a sequence of so many positions, of which other slots hold so many pages already, fits beside the pages that
 * are in use and those that the slots are known to need. */
bool memory_allows(const struct engine *e, const struct text_model *m, size_t positions, size_t pages_in_use);
/* Makes `n` positions of the slot writable. Drops prefixes and preempts younger slots for that. False when the slot
 * itself was preempted, or, with *alone, when no other slot is left and memory does not suffice. */
bool memory_reserve(struct engine *e, struct slot *l, size_t n, bool *alone);
size_t memory_slots(const struct engine *e); /* slots of all models */
/* Frees some memory that is kept to save time: idle prefixes, prompts of choices without a slot, parts of texts of requests
 * from this number on. False when there is none. */
bool memory_drop_kept(struct engine *e, uint64_t number);

/* ---- prefix.c ---- */

/* Frees the pages of prefixes that have been idle for too long, and all idle ones while memory is short. Looks at most
 * once a second. */
void prefixes_sweep(struct engine *e);
bool prefixes_are_kept(const struct engine *e); /* some page is idle: there will be something to sweep */

void slot_take_prefix(
    struct slot *l); /* shares cached pages of the tokens that it has to compute, except the last */
void slot_keep_prefix(struct slot *l); /* puts the pages that it has filled into the cache */
/* Before a step in which the slot fills a page: thins what it has put into the cache in the steps before. */
void slot_thin_prefix(struct slot *l);
void slot_leave_prefix(struct slot *l); /* the same, with its last page, before its sequence is freed */
/* True when it can wait for `ahead`, which computes the tokens that it needs. */
bool slot_may_wait(const struct slot *ahead, struct slot *l);
/* How many pages of the request's prompt, from its beginning, other slots hold, so that it would share them. */
size_t prefix_pages_in_use(const struct schedule *s, const struct job_request *r);

/* ---- engine.c ---- */

/* NULL without memory. */
struct schedule *schedule_new(struct engine *e, struct text_model *m, const struct schedule_kind *kind);
void schedule_leave(
    struct schedule *s, struct engine *e); /* waits until the thread does not use it any more; frees it */
struct request *schedule_pop(
    struct engine *e, struct schedule *s); /* takes the first of its queue; NULL for none */

#endif
