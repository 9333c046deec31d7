/* scheduler.c - one step: chooses the model, lets slots begin, and runs a batch.
 *
 * Models take turns. In a step each slot that decodes has one row, and the slots in prefill share up to `chunk` rows. They
 * get fewer where rows are slow (prefill.c), for two reasons: a stream beside a long prompt keeps at least a third of its
 * speed, and cancelled jobs, which end between steps, do not wait long. No answer depends on this, because the bits of a
 * row do not depend on its batch.
 */
#include "scheduler_private.h"

#include "berth/base/log.h"

#include <time.h>

#define PROGRESS_SECONDS 1.0 /* between two lines in the log */

double scheduler_now(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec + (double)t.tv_nsec * 1e-9;
}

/* ---- requests that must end ---- */

struct verdict {
    enum job_finish finish;
    enum result result;
    struct error why;
};

/* True when the request must end; *v says how. */
static bool is_over(const struct engine *e, const struct request *t, double now, struct verdict *v)
{
    *v = (struct verdict){.finish = JOB_FAILED, .result = RESULT_STOPPING};
    if (atomic_load_explicit(job_cancelled(t->job), memory_order_relaxed)) {
        *v = (struct verdict){.finish = JOB_CANCELLED, .result = RESULT_CANCELLED};
    } else if (atomic_load(&e->stopping)) {
        error_set(&v->why, "the server is stopping");
    } else if (t->schedule->leaving) {
        error_set(&v->why, "the model is being unloaded");
    } else if (t->deadline > 0 && now > t->deadline) {
        v->result = RESULT_TIMEOUT;
        error_set(&v->why, "the request took longer than %.3g seconds", t->deadline - t->arrived);
    } else if (t->admitted <= 0 && e->options.queue_timeout > 0 &&
               now - t->arrived > e->options.queue_timeout) {
        v->result = RESULT_QUEUE_TIMEOUT;
        error_set(
            &v->why, "the request waited longer than %.3g seconds for its turn", e->options.queue_timeout);
    } else {
        return false;
    }
    return true;
}

/* Removes the first request from the queue that must end. NULL when there is none. */
static struct request *take_from_queue(struct engine *e, struct schedule *s, double now, struct verdict *v)
{
    struct request *found = NULL;
    pthread_mutex_lock(&e->lock);
    for (struct request **at = &s->queue; *at; at = &(*at)->next) {
        if (!is_over(e, *at, now, v))
            continue;
        found = *at;
        *at = found->next;
        if (s->queue_end == &found->next)
            s->queue_end = at;
        s->n_queued--;
        break;
    }
    pthread_mutex_unlock(&e->lock);
    if (found)
        atomic_fetch_sub_explicit(&s->model->served.metrics.queued, 1, memory_order_relaxed);
    return found;
}

void scheduler_sweep(struct engine *e)
{
    struct verdict v;
    double now = scheduler_now();
    for (struct schedule *s = e->schedules; s; s = s->next) {
        for (struct request *t; (t = take_from_queue(e, s, now, &v));)
            request_refuse(t, v.finish, v.result, &v.why);
        for (struct request *t = s->requests, *next; t; t = next) {
            next = t->next;
            if (is_over(e, t, now, &v))
                request_end(t, v.finish, v.result, &v.why);
        }
    }
}

/* False when the model's file has changed. Then all of its jobs have failed. */
static bool is_intact(struct engine *e, struct schedule *s)
{
    struct error why = {0};
    struct served_model *m = &s->model->served;
    if (!served_model_is_lost(m) && !loaded_intact(m->loaded, &why))
        served_model_lose(m, &why);
    if (!served_model_is_lost(m))
        return true;
    schedule_fail_all(e, s, RESULT_LOST, &m->lost_reason);
    while (prefix_give_back(s->prefixes))
        continue;
    return false;
}

/* ---- which slots begin ---- */

static bool has_work(struct engine *e, struct schedule *s)
{
    pthread_mutex_lock(&e->lock);
    bool queued = s->queue != NULL;
    pthread_mutex_unlock(&e->lock);
    return queued || s->requests;
}

/* The next model that has work, after the one of the last step. */
static struct schedule *next_turn(struct engine *e)
{
    struct schedule *first = e->served && e->served->next ? e->served->next : e->schedules, *s = first;
    do {
        if (!s || has_work(e, s))
            break;
        s = s->next ? s->next : e->schedules;
    } while (s != first);
    e->served = s;
    return s && has_work(e, s) ? s : NULL;
}

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

static void count_step(struct schedule *s, size_t n, double seconds)
{
    struct model_metrics *m = &s->model->served.metrics;
    size_t prefill = rows_of_prompts(s);
    atomic_fetch_add_explicit(&m->forward_calls, 1, memory_order_relaxed);
    atomic_fetch_add_explicit(&m->forward_rows, n, memory_order_relaxed);
    atomic_fetch_add_explicit(&m->forward_ns, (uint_fast64_t)(seconds * 1e9), memory_order_relaxed);
    prefill_learn(&s->prefill_cost, n - prefill, prefill, seconds);
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
    count_step(s, n, scheduler_now() - start);
    if (!is_intact(e, s))
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

void scheduler_count_pages(const struct engine *e)
{
    for (const struct schedule *s = e->schedules; s; s = s->next) {
        struct model_metrics *m = &s->model->served.metrics;
        atomic_store_explicit(&m->kv_bytes, kv_cache_bytes(s->model->cache), memory_order_relaxed);
        atomic_store_explicit(&m->prefix_bytes, prefix_idle_bytes(s->prefixes), memory_order_relaxed);
    }
}

static void serve(struct engine *e, struct schedule *s)
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

void scheduler_step(struct engine *e)
{
    struct schedule *s = next_turn(e);
    if (s && is_intact(e, s))
        serve(e, s);
    scheduler_count_pages(e);
}
