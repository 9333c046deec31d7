/* generate.c - the schedule of a model that generates text: lets slots begin, and runs a batch.
 *
 * In a step each slot that decodes has one row, and the slots in prefill share up to `chunk` rows. They get fewer where rows
 * are slow (prefill.c), for two reasons: a stream beside a long prompt keeps at least a third of its speed, and cancelled
 * jobs, which end between steps, do not wait long. No answer depends on this, because the bits of a row do not depend on its
 * batch.
 */
#include "scheduler_private.h"

#include "berth/base/log.h"

#define PROGRESS_SECONDS 1.0 /* between two lines in the log */

/* ---- submission ---- */

/* Whether the prompt and one token of an answer fit into the context and into the memory for sequences. */
static enum result check_fit(
    const struct engine *e, const struct text_model *m, const struct job_request *r, struct error *err)
{
    char needed[TEXT_NUMBER], limit[TEXT_NUMBER];
    size_t positions = request_computes(r) + request_samples(r);
    if (positions > m->context) {
        error_set(err,
            "the prompt has %zu tokens and leaves no room for an answer: the model's context is %zu",
            r->n_prompt, m->context);
        return RESULT_TOO_LONG;
    }
    uint64_t bytes = memory_of(e, m, positions), most = kv_budget_limit(&e->budget);
    if (bytes <= most)
        return RESULT_OK;
    error_set(err, "the prompt needs %s of KV cache; the KV cache limit is %s", text_bytes(needed, bytes),
        text_bytes(limit, most));
    return RESULT_TOO_LONG;
}

static enum result check_request(const struct job_request *r, struct error *err)
{
    if (r->kind == JOB_EMBED)
        error_set(err, "the model generates text, and makes no vectors of texts");
    else if (r->n_prompt == 0)
        error_set(err, "the prompt is empty");
    else if (r->n_choices == 0 || r->n_choices > JOB_CHOICES_MAX)
        error_set(err, "the number of choices must be 1 to %d", JOB_CHOICES_MAX);
    else if (r->n_top > JOB_LOGPROBS_MAX)
        error_set(err, "at most %d log probabilities a token", JOB_LOGPROBS_MAX);
    else
        return RESULT_OK;
    return RESULT_BAD_REQUEST;
}

static enum result check(
    const struct engine *e, const struct text_model *m, const struct job_request *r, struct error *err)
{
    enum result result = check_request(r, err);
    return result == RESULT_OK ? check_fit(e, m, r, err) : result;
}

/* Jobs of all models that wait for a slot, the new one, too. Jobs for which a slot is free are not counted, because the thread will begin
 * them in its next step. With the engine's lock. */
static size_t waiting(const struct engine *e)
{
    size_t n = 0, slots = e->options.slots;
    for (const struct schedule *s = e->schedules; s; s = s->next) {
        if (s->kind != &schedule_generate)
            continue;
        size_t taken = atomic_load(&s->n_taken);
        size_t free_slots = taken < slots ? slots - taken : 0;
        n += s->n_queued > free_slots ? s->n_queued - free_slots : 0;
    }
    return n;
}

static bool takes(struct engine *e, struct request *t, struct error *err)
{
    (void)t;
    return waiting(e) <= e->options.queue ||
           error_set(err, "the queue is full: %zu requests are waiting", waiting(e) - 1);
}

/* ---- which slots begin ---- */

/* The first slot of all may always begin, because waiting would free no memory. */
static bool may_begin(
    const struct engine *e, const struct schedule *s, const struct job_request *r, size_t positions)
{
    return memory_slots(e) == 0 || memory_allows(e, s->model, positions, prefix_pages_in_use(s, r));
}

static struct request *request_with_choices(const struct schedule *s)
{
    struct request *t = s->requests;
    while (t && (!t->prompt_computed || t->n_started == t->params->n_choices))
        t = t->next;
    return t;
}

static bool begin_again(const struct engine *e, struct schedule *s, struct slot *l)
{
    if (!may_begin(e, s, l->request->params, l->known + 1))
        return false;
    l->sequence = sequence_new(s->model->cache);
    if (!l->sequence) {
        request_no_memory(l->request);
        return true;
    }
    schedule_remove(s, l);
    schedule_insert(s, l);
    slot_take_prefix(l);
    return true;
}

/* While a preempted slot of any model waits for memory, no new slot begins. */
static bool any_is_preempted(const struct engine *e)
{
    for (const struct schedule *s = e->schedules; s; s = s->next)
        if (s->preempted)
            return true;
    return false;
}

static bool begin_choice(struct engine *e, struct schedule *s, struct request *t)
{
    bool fits = t->prompt ? memory_slots(e) == 0 || memory_allows(e, s->model, 2 * ATTENTION_BLOCK, 0)
                          : may_begin(e, s, t->params, t->params->n_prompt + 1);
    if (!fits)
        return false;
    s->choice_began = true;
    slot_start(t);
    return true;
}

static bool begin_queued(struct engine *e, struct schedule *s, struct request *t)
{
    if (!may_begin(e, s, t->params, request_computes(t->params) + 1))
        return false;
    s->choice_began = false;
    t = schedule_pop(e, s);
    if (request_admit(e, t))
        slot_start(t);
    return true;
}

/* Lets the oldest preempted slot begin again. Without one, the next choice of a request and the next request of the
 * queue begin in turns, so that a request of a hundred choices does not take all slots. False when nothing can begin, or
 * when there is no room for the one whose turn it is: the others wait behind it, so that none waits for ever. */
static bool begin_one(struct engine *e, struct schedule *s)
{
    if (s->preempted)
        return begin_again(e, s, s->preempted);
    if (any_is_preempted(e))
        return false;
    struct request *choices = request_with_choices(s);
    pthread_mutex_lock(&e->lock);
    struct request *queued = s->queue; /* stays there: only this thread takes requests out */
    pthread_mutex_unlock(&e->lock);
    if (choices && !(queued && s->choice_began))
        return begin_choice(e, s, choices);
    return queued && begin_queued(e, s, queued);
}

/* ---- the step ---- */

static void fail_batch(struct schedule *s, const struct error *why)
{
    for (struct slot *l; (l = slot_in_batch(s));)
        request_fail(l->request, RESULT_NO_MEMORY, why);
}

/* Logs the progress of a long prompt, at most once a second. */
static void log_progress(struct engine *e, const struct schedule *s)
{
    double now = scheduler_now();
    if (!log_enabled(LOG_DEBUG) || now - e->logged_progress < PROGRESS_SECONDS)
        return;
    for (size_t i = 0; i < s->n_slots; i++) {
        const struct request *t = s->slots[i]->request;
        if (slot_left(s->slots[i]) <= 1 || now - t->admitted < PROGRESS_SECONDS)
            continue;
        e->logged_progress = now;
        log_line(LOG_DEBUG, "reading a prompt",
            LOG_FIELDS(log_text("model", s->model->served.id),
                log_count("done", sequence_length(s->slots[i]->sequence)),
                log_count("of", s->slots[i]->known)));
        return;
    }
}

/* The flag that ends a forward call between layers: the job's own, when all rows are of one job. */
static const atomic_bool *stop_flag(const struct engine *e, const struct schedule *s)
{
    const struct slot *first = slot_in_batch(s);
    for (size_t i = 0; i < s->n_slots; i++)
        if (s->slots[i]->n_rows > 0 && s->slots[i]->request != first->request)
            return &e->stopping;
    return job_cancelled(first->request->job);
}

static void run_batch(struct engine *e, struct schedule *s, size_t n)
{
    struct error why = {0};
    float *logits = NULL;
    struct decoder_batch batch = {.rows = e->rows, .n = n, .causal = true};
    double start = scheduler_now();
    bool good =
        decoder_forward(s->model->decoder, e->workspace, e->pool, &batch, stop_flag(e, s), &logits, &why);
    if (!good && !why.text[0])
        return; /* stopped by its flag: the next sweep ends the request */
    size_t prefill = rows_of_prompts(s);
    schedule_count_step(s, n - prefill, prefill, scheduler_now() - start);
    if (!schedule_is_intact(e, s))
        return;
    if (good) {
        rows_hand_out(s, logits);
        if (!deliver_sample(e, s))
            good = error_set(&why, "memory is short");
    }
    if (!good) {
        fail_batch(s, &why);
        return;
    }
    log_progress(e, s);
    deliver_answers(s);
}

static void step(struct engine *e, struct schedule *s)
{
    while (s->n_slots < e->options.slots && begin_one(e, s))
        continue;
    rows_share(e, s);
    rows_reserve(e, s);
    size_t n = rows_count(s);
    if (n == 0)
        return;
    if (!rows_make_room(e, n)) {
        fail_batch(s, &(struct error){.text = "memory is short"});
        return;
    }
    rows_fill(e, s);
    run_batch(e, s, n);
}

const struct schedule_kind schedule_generate = {
    .keeps_prefixes = true, .check = check, .takes = takes, .step = step};
