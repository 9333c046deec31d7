/* scheduler.c - turns of models, and the ends of requests that were cancelled or are too late.
 *
 * Models take turns, a step each. What a step computes is up to the model's kind of schedule.
 */
#include "scheduler_private.h"

#include <time.h>

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

bool schedule_is_intact(struct engine *e, struct schedule *s)
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

/* ---- turns ---- */

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

void schedule_count_step(struct schedule *s, size_t decode_rows, size_t prefill_rows, double seconds)
{
    struct model_metrics *m = &s->model->served.metrics;
    atomic_fetch_add_explicit(&m->forward_calls, 1, memory_order_relaxed);
    atomic_fetch_add_explicit(&m->forward_rows, decode_rows + prefill_rows, memory_order_relaxed);
    atomic_fetch_add_explicit(&m->forward_ns, (uint_fast64_t)(seconds * 1e9), memory_order_relaxed);
    prefill_learn(&s->prefill_cost, decode_rows, prefill_rows, seconds);
}

void scheduler_count_pages(const struct engine *e)
{
    for (const struct schedule *s = e->schedules; s; s = s->next) {
        struct model_metrics *m = &s->model->served.metrics;
        atomic_store_explicit(&m->kv_bytes, kv_cache_bytes(s->model->cache), memory_order_relaxed);
        atomic_store_explicit(&m->prefix_bytes, prefix_idle_bytes(s->prefixes), memory_order_relaxed);
    }
}

void scheduler_step(struct engine *e)
{
    struct schedule *s = next_turn(e);
    if (s && schedule_is_intact(e, s))
        s->kind->step(e, s);
    scheduler_count_pages(e);
}
