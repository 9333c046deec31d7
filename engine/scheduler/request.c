/* request.c - the life of requests and slots.
 *
 * A request begins with one slot, for its first choice, which computes the prompt. Then the sequence of the prompt without
 * its last token is kept. Each further choice begins with a fork of it and computes that one token, so it samples from
 * logits of its own, which have the same bits. A request ends when all of its choices have ended, or fails as a whole.
 */
#include "scheduler_private.h"

#include <math.h>
#include <stdlib.h>

/* ---- what a choice computes ---- */

bool request_samples(const struct job_request *r)
{
    return r->kind == JOB_GENERATE && r->max_tokens > 0;
}

static bool echoes(const struct job_request *r)
{
    return r->kind == JOB_SCORE || r->echo_logprobs;
}

/* A choice that samples computes the whole prompt. To score a prompt, its last token is not needed. */
static size_t known_at_first(const struct job_request *r, uint32_t choice)
{
    if (request_samples(r))
        return r->n_prompt;
    return echoes(r) && choice == 0 ? r->n_prompt - 1 : 0;
}

size_t request_computes(const struct job_request *r)
{
    return known_at_first(r, 0);
}

/* ---- slots in their schedule ---- */

bool slot_is_older(const struct slot *a, const struct slot *b)
{
    return a->request->number < b->request->number ||
           (a->request->number == b->request->number && a->choice < b->choice);
}

void schedule_insert(struct schedule *s, struct slot *l)
{
    size_t at = s->n_slots++;
    for (; at > 0 && slot_is_older(l, s->slots[at - 1]); at--)
        s->slots[at] = s->slots[at - 1];
    s->slots[at] = l;
}

void schedule_remove(struct schedule *s, struct slot *l)
{
    struct slot **preempted = &s->preempted;
    while (*preempted && *preempted != l)
        preempted = &(*preempted)->next;
    if (*preempted) {
        *preempted = l->next;
        return;
    }
    size_t kept = 0;
    for (size_t i = 0; i < s->n_slots; i++)
        if (s->slots[i] != l)
            s->slots[kept++] = s->slots[i];
    s->n_slots = kept;
}

static void slot_free(struct slot *l)
{
    sequence_free(l->sequence);
    sampler_free(l->sampler);
    output_free(l->output);
    grammar_matcher_free(l->grammar);
    free(l->sampled);
    free(l);
}

/* Frees the slot before the server learns that the answer has ended, so that its next request finds a free one. */
static void slot_drop(struct slot *l)
{
    schedule_remove(l->request->schedule, l);
    slot_leave_prefix(l);
    atomic_fetch_sub(&l->request->schedule->n_taken, 1);
    slot_free(l);
}

/* ---- slots ---- */

static struct slot *slot_new(struct request *t, uint32_t choice)
{
    const struct job_request *r = t->params;
    const struct text_model *m = t->schedule->model;
    struct slot *l = calloc(1, sizeof(*l));
    if (!l)
        return NULL;
    struct sampler_options sampling = r->sampling;
    sampling.seed += choice;
    *l = (struct slot){.request = t, .choice = choice, .known = known_at_first(r, choice)};
    l->sampler = sampler_new(&sampling, decoder_n_vocab(m->decoder));
    l->output = output_new(r, m->tokenizer, t->stops, choice, false);
    l->sequence = choice > 0 && t->prompt ? sequence_fork(t->prompt, sequence_length(t->prompt))
                                          : sequence_new(m->cache);
    l->grammar = r->grammar ? grammar_matcher_new(r->grammar, text_model_trie(m)) : NULL;
    if (!l->sampler || !l->output || !l->sequence || (r->grammar && !l->grammar)) {
        slot_free(l);
        return NULL;
    }
    sampler_set_grammar(l->sampler, l->grammar);
    output_set_grammar(l->output, l->grammar);
    sampler_see_prompt(l->sampler, r->prompt, r->n_prompt);
    sequence_mark(l->sequence, r->n_prompt - 1); /* where other choices and requests with this prompt begin */
    return l;
}

void request_no_memory(struct request *t)
{
    struct error why = {0};
    error_set(&why, "memory is short");
    request_fail(t, RESULT_NO_MEMORY, &why);
}

void slot_start(struct request *t)
{
    struct slot *l = slot_new(t, t->n_started);
    if (!l) {
        request_no_memory(t);
        return;
    }
    t->n_started++;
    if (t->n_started == t->params->n_choices) {
        sequence_free(t->prompt);
        t->prompt = NULL;
    }
    schedule_insert(t->schedule, l);
    atomic_fetch_add(&t->schedule->n_taken, 1);
    if (l->known > 0) {
        slot_take_prefix(l);
        return;
    }
    t->prompt_computed = true; /* nothing of it is needed */
    slot_end(l, JOB_LENGTH);
}

int32_t slot_token(const struct slot *l, size_t position)
{
    const struct job_request *r = l->request->params;
    return position < r->n_prompt ? r->prompt[position] : l->sampled[position - r->n_prompt];
}

bool slot_append(struct slot *l, int32_t token)
{
    if (l->n_sampled == l->room) {
        size_t room = l->room ? 2 * l->room : 64;
        int32_t *more = realloc(l->sampled, room * sizeof(*more));
        if (!more)
            return false;
        l->sampled = more;
        l->room = room;
    }
    l->sampled[l->n_sampled++] = token;
    l->known++;
    return true;
}

void request_push(struct request *t, struct job_piece *pieces, size_t generated)
{
    for (struct job_piece *next; pieces; pieces = next) {
        next = pieces->next;
        pieces->generated = generated;
        job_push(t->job, pieces);
    }
}

/* Sends an empty last piece of a choice. */
static void push_finish(struct request *t, uint32_t choice, enum job_finish finish)
{
    struct job_piece *p = job_piece_new(choice, 0, 0, 0, NULL);
    if (!p)
        return;
    p->finish = finish;
    p->next = NULL;
    request_push(t, p, 0);
}

bool request_send_echo(struct request *t, enum job_finish finish)
{
    struct job_piece *p;
    if (!output_take(t->echo, finish, &p)) {
        request_no_memory(t);
        return false;
    }
    request_push(t, p, 0);
    return true;
}

void slot_end(struct slot *l, enum job_finish finish)
{
    struct request *t = l->request;
    struct job_piece *p = NULL;
    if (t->echo && l->choice == 0 && !request_send_echo(t, finish))
        return;
    if (!output_take(l->output, finish, &p)) {
        request_no_memory(t);
        return;
    }
    size_t generated = l->n_sampled;
    slot_drop(l);
    request_push(t, p, generated);
    if (t->finish == JOB_RUNNING)
        t->finish = finish;
    if (++t->n_ended == t->params->n_choices)
        request_end(t, t->finish, RESULT_OK, NULL);
}

/* ---- requests ---- */

bool request_admit(struct engine *e, struct request *t)
{
    const struct job_request *r = t->params;
    struct text_model *m = t->schedule->model;
    t->number = e->n_admitted++;
    t->admitted = scheduler_now();
    t->usage.queued_seconds = t->admitted - t->arrived;
    t->usage.prompt_tokens = r->n_prompt;
    struct request **at = &t->schedule->requests;
    while (*at)
        at = &(*at)->next;
    *at = t;
    t->next = NULL;
    atomic_fetch_add_explicit(&m->served.metrics.running, 1, memory_order_relaxed);
    model_histogram_add(&m->served.metrics.queue_time, t->usage.queued_seconds);
    t->stops = output_stops_new(r->stops, r->n_stops);
    t->echo = t->stops && echoes(r) ? output_new(r, m->tokenizer, t->stops, 0, true) : NULL;
    if (!t->stops ||
        (echoes(r) && (!t->echo || output_add(t->echo, r->prompt[0], NAN, NULL) != OUTPUT_GOES_ON))) {
        request_no_memory(t);
        return false;
    }
    t->n_echoed = 1;
    return !t->echo || request_send_echo(t, r->n_prompt > 1 ? JOB_RUNNING : JOB_LENGTH);
}

void request_update_usage(struct request *t)
{
    double now = scheduler_now();
    double read = t->first_token > 0 ? t->first_token : now;
    t->usage.prompt_seconds = t->admitted > 0 ? read - t->admitted : 0;
    t->usage.generate_seconds = now - read;
    job_set_usage(t->job, &t->usage);
}

/* Ends the job, counts it, and frees the request. */
static void close_request(
    struct request *t, enum job_finish finish, enum result result, const struct error *why)
{
    struct model_metrics *m = &t->schedule->model->served.metrics;
    request_update_usage(t);
    if (t->schedule->kind->release)
        t->schedule->kind->release(t);
    atomic_fetch_add_explicit(&m->jobs_ended[finish], 1, memory_order_relaxed);
    model_histogram_add(&m->whole, scheduler_now() - t->arrived);
    job_end(t->job, result, why);
    job_drop(t->job);
    output_stops_free(t->stops);
    output_free(t->echo);
    sequence_free(t->prompt);
    free(t);
}

/* Some slot of the request; NULL when it has none. */
static struct slot *slot_of(const struct request *t)
{
    const struct schedule *s = t->schedule;
    for (size_t i = 0; i < s->n_slots; i++)
        if (s->slots[i]->request == t)
            return s->slots[i];
    for (struct slot *l = s->preempted; l; l = l->next)
        if (l->request == t)
            return l;
    return NULL;
}

void request_end(struct request *t, enum job_finish finish, enum result result, const struct error *why)
{
    struct request **at = &t->schedule->requests;
    for (struct slot *l; (l = slot_of(t));) {
        uint32_t choice = l->choice;
        slot_drop(l);
        push_finish(t, choice, finish);
    }
    for (; t->n_started < t->params->n_choices; t->n_started++)
        push_finish(t, t->n_started, finish);
    while (*at != t)
        at = &(*at)->next;
    *at = t->next;
    atomic_fetch_sub_explicit(&t->schedule->model->served.metrics.running, 1, memory_order_relaxed);
    close_request(t, finish, result, why);
}

void request_fail(struct request *t, enum result result, const struct error *why)
{
    request_end(t, JOB_FAILED, result, why);
}

void request_refuse(struct request *t, enum job_finish finish, enum result result, const struct error *why)
{
    for (uint32_t i = 0; i < t->params->n_choices; i++)
        push_finish(t, i, finish);
    t->usage.queued_seconds = scheduler_now() - t->arrived;
    t->usage.prompt_tokens = t->params->n_prompt;
    close_request(t, finish, result, why);
}

void schedule_fail_all(struct engine *e, struct schedule *s, enum result result, const struct error *why)
{
    while (s->requests)
        request_fail(s->requests, result, why);
    for (struct request *t; (t = schedule_pop(e, s));)
        request_refuse(t, JOB_FAILED, result, why);
}
