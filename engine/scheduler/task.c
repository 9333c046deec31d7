/* task.c - tasks and lanes from their beginning to their end.
 *
 * A task begins with one lane, for its first choice, which reads the prompt. When that is done the state of the
 * prompt is kept, but for its last token, and every other choice begins with a copy of it in which it reads that one
 * token: so each draws from logits of its own, which are the same bits. A task ends when all of its choices have, or
 * all at once.
 */
#include "scheduler_private.h"

#include <math.h>
#include <stdlib.h>

/* ---- what a choice has to read ---- */

bool task_draws(const struct job_request *r)
{
    return r->kind == JOB_GENERATE && r->max_tokens > 0;
}

static bool echoes(const struct job_request *r)
{
    return r->kind == JOB_SCORE || r->echo_logprobs;
}

/* A choice that draws reads the whole prompt. To score the prompt its last token need not be read. */
static size_t known_at_first(const struct job_request *r, uint32_t choice)
{
    if (task_draws(r))
        return r->n_prompt;
    return echoes(r) && choice == 0 ? r->n_prompt - 1 : 0;
}

size_t task_reads(const struct job_request *r)
{
    return known_at_first(r, 0);
}

/* ---- lanes in their schedule ---- */

bool lane_is_older(const struct lane *a, const struct lane *b)
{
    return a->task->number < b->task->number || (a->task->number == b->task->number && a->choice < b->choice);
}

void schedule_insert(struct schedule *s, struct lane *l)
{
    size_t at = s->n_lanes++;
    for (; at > 0 && lane_is_older(l, s->lanes[at - 1]); at--)
        s->lanes[at] = s->lanes[at - 1];
    s->lanes[at] = l;
}

void schedule_remove(struct schedule *s, struct lane *l)
{
    struct lane **aside = &s->aside;
    while (*aside && *aside != l)
        aside = &(*aside)->next;
    if (*aside) {
        *aside = l->next;
        return;
    }
    size_t kept = 0;
    for (size_t i = 0; i < s->n_lanes; i++)
        if (s->lanes[i] != l)
            s->lanes[kept++] = s->lanes[i];
    s->n_lanes = kept;
}

static void lane_free(struct lane *l)
{
    sequence_free(l->sequence);
    sampler_free(l->sampler);
    answer_free(l->answer);
    free(l->drawn);
    free(l);
}

/* Its slot is free before the server hears that it has ended, and can ask for the next. */
static void lane_drop(struct lane *l)
{
    schedule_remove(l->task->schedule, l);
    lane_leave_prefix(l);
    atomic_fetch_sub(&l->task->schedule->n_taken, 1);
    lane_free(l);
}

/* ---- lanes ---- */

static struct lane *lane_new(struct task *t, uint32_t choice)
{
    const struct job_request *r = t->request;
    const struct text_model *m = r->model;
    struct lane *l = calloc(1, sizeof(*l));
    if (!l)
        return NULL;
    struct sampler_options sampling = r->sampling;
    sampling.seed += choice;
    *l = (struct lane){.task = t, .choice = choice, .known = known_at_first(r, choice)};
    l->sampler = sampler_new(&sampling, decoder_vocabulary(m->decoder));
    l->answer = answer_new(r, m->tokenizer, t->stops, choice, false);
    l->sequence = choice > 0 && t->prompt ? sequence_fork(t->prompt, sequence_length(t->prompt))
                                          : sequence_new(m->cache);
    if (!l->sampler || !l->answer || !l->sequence) {
        lane_free(l);
        return NULL;
    }
    sampler_see_prompt(l->sampler, r->prompt, r->n_prompt);
    return l;
}

void task_no_memory(struct task *t)
{
    struct error why = {0};
    error_set(&why, "memory is short");
    task_fail(t, 503, &why);
}

void lane_start(struct task *t)
{
    struct lane *l = lane_new(t, t->n_started);
    if (!l) {
        task_no_memory(t);
        return;
    }
    t->n_started++;
    if (t->n_started == t->request->n_choices) {
        sequence_free(t->prompt);
        t->prompt = NULL;
    }
    schedule_insert(t->schedule, l);
    atomic_fetch_add(&t->schedule->n_taken, 1);
    if (l->known > 0) {
        lane_take_prefix(l);
        return;
    }
    t->prompt_read = true; /* as far as anybody needs it */
    lane_end(l, JOB_LENGTH);
}

int32_t lane_token(const struct lane *l, size_t position)
{
    const struct job_request *r = l->task->request;
    return position < r->n_prompt ? r->prompt[position] : l->drawn[position - r->n_prompt];
}

bool lane_append(struct lane *l, int32_t token)
{
    if (l->n_drawn == l->room) {
        size_t room = l->room ? 2 * l->room : 64;
        int32_t *more = realloc(l->drawn, room * sizeof(*more));
        if (!more)
            return false;
        l->drawn = more;
        l->room = room;
    }
    l->drawn[l->n_drawn++] = token;
    l->known++;
    return true;
}

static void push(struct task *t, struct job_piece *p)
{
    if (p)
        job_push(t->job, p);
}

/* The last piece of a choice that has no more to say. */
static void push_finish(struct task *t, uint32_t choice, enum job_finish finish)
{
    struct job_piece *p = job_piece_new(choice, 0, 0, 0);
    if (p)
        p->finish = finish;
    push(t, p);
}

bool task_tell_echo(struct task *t, enum job_finish finish)
{
    struct job_piece *p;
    if (!answer_take(t->echo, finish, &p)) {
        task_no_memory(t);
        return false;
    }
    push(t, p);
    return true;
}

void lane_end(struct lane *l, enum job_finish finish)
{
    struct task *t = l->task;
    struct job_piece *p = NULL;
    if (t->echo && l->choice == 0 && !task_tell_echo(t, finish))
        return;
    if (!answer_take(l->answer, finish, &p)) {
        task_no_memory(t);
        return;
    }
    lane_drop(l);
    push(t, p);
    if (t->finish == JOB_RUNNING)
        t->finish = finish;
    if (++t->n_ended == t->request->n_choices)
        task_end(t, t->finish, 0, NULL);
}

/* ---- tasks ---- */

bool task_admit(struct engine *e, struct task *t)
{
    const struct job_request *r = t->request;
    struct text_model *m = r->model;
    t->number = e->n_admitted++;
    t->admitted = scheduler_now();
    t->usage.queued_seconds = t->admitted - t->submitted;
    t->usage.prompt_tokens = r->n_prompt;
    struct task **at = &t->schedule->tasks;
    while (*at)
        at = &(*at)->next;
    *at = t;
    t->next = NULL;
    atomic_fetch_add_explicit(&m->metrics.running, 1, memory_order_relaxed);
    model_histogram_add(&m->metrics.queue_time, t->usage.queued_seconds);
    t->stops = answer_stops_new(r->stops, r->n_stops);
    t->echo = t->stops && echoes(r) ? answer_new(r, m->tokenizer, t->stops, 0, true) : NULL;
    if (!t->stops ||
        (echoes(r) && (!t->echo || answer_add(t->echo, r->prompt[0], NAN, NULL) != ANSWER_GOES_ON))) {
        task_no_memory(t);
        return false;
    }
    t->n_echoed = 1;
    return !t->echo || task_tell_echo(t, r->n_prompt > 1 ? JOB_RUNNING : JOB_LENGTH);
}

void task_tell_usage(struct task *t)
{
    double now = scheduler_now();
    double read = t->first_token > 0 ? t->first_token : now;
    t->usage.prompt_seconds = t->admitted > 0 ? read - t->admitted : 0;
    t->usage.generate_seconds = now - read;
    job_set_usage(t->job, &t->usage);
}

/* Tells the server the end, counts it, and forgets the task. */
static void close_task(struct task *t, enum job_finish finish, unsigned status, const struct error *why)
{
    struct model_metrics *m = &t->request->model->metrics;
    task_tell_usage(t);
    atomic_fetch_add_explicit(&m->jobs_ended[finish], 1, memory_order_relaxed);
    model_histogram_add(&m->whole, scheduler_now() - t->submitted);
    job_end(t->job, status, why);
    job_drop(t->job);
    answer_stops_free(t->stops);
    answer_free(t->echo);
    sequence_free(t->prompt);
    free(t);
}

/* A lane of the task that has not ended; NULL when there is none. */
static struct lane *lane_of(const struct task *t)
{
    const struct schedule *s = t->schedule;
    for (size_t i = 0; i < s->n_lanes; i++)
        if (s->lanes[i]->task == t)
            return s->lanes[i];
    for (struct lane *l = s->aside; l; l = l->next)
        if (l->task == t)
            return l;
    return NULL;
}

void task_end(struct task *t, enum job_finish finish, unsigned status, const struct error *why)
{
    struct task **at = &t->schedule->tasks;
    for (struct lane *l; (l = lane_of(t));) {
        uint32_t choice = l->choice;
        lane_drop(l);
        push_finish(t, choice, finish);
    }
    for (; t->n_started < t->request->n_choices; t->n_started++)
        push_finish(t, t->n_started, finish);
    while (*at != t)
        at = &(*at)->next;
    *at = t->next;
    atomic_fetch_sub_explicit(&t->request->model->metrics.running, 1, memory_order_relaxed);
    close_task(t, finish, status, why);
}

void task_fail(struct task *t, unsigned status, const struct error *why)
{
    task_end(t, JOB_FAILED, status, why);
}

void task_refuse(struct task *t, enum job_finish finish, unsigned status, const struct error *why)
{
    for (uint32_t i = 0; i < t->request->n_choices; i++)
        push_finish(t, i, finish);
    t->usage.queued_seconds = scheduler_now() - t->submitted;
    t->usage.prompt_tokens = t->request->n_prompt;
    close_task(t, finish, status, why);
}

void schedule_fail_all(struct engine *e, struct schedule *s, unsigned status, const struct error *why)
{
    while (s->tasks)
        task_fail(s->tasks, status, why);
    for (struct task *t; (t = schedule_pop(e, s));)
        task_refuse(t, JOB_FAILED, status, why);
}
