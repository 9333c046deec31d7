/* job.c - a queue of pieces between two threads, and the request that both read.
 *
 * The server is woken without the lock held, so that it may take pieces inside the call. job_release therefore waits
 * for a call that is under way, unless it is made inside that call. Between two calls of job_take the server is woken
 * once, so a slow client does not cost the engine a call for each token.
 */
#include "job_private.h"

#include <math.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>

struct job {
    struct job_request params; /* what it points to is owned */
    void (*wake)(void *context);
    void *context;
    atomic_bool cancelled;
    pthread_mutex_t lock; /* protects all members below */
    pthread_cond_t woken;
    unsigned holders;
    bool notified; /* the server was woken since its last job_take */
    bool waking;
    pthread_t waker;
    struct job_piece *first, **end;
    bool ended;
    enum result result;
    struct error why;
    struct job_usage usage;
    float *vectors; /* of JOB_EMBED; the engine's until the end, and then the server's */
};

/* ---- the request's copy ---- */

/* Replaces *at by a copy, or by NULL where size is 0. False without memory. */
static bool copy_bytes(const void **at, size_t size)
{
    void *copy = size ? malloc(size) : NULL;
    if (size && !copy)
        return false;
    if (size)
        memcpy(copy, *at, size);
    *at = copy;
    return true;
}

static bool copy_stops(struct job_request *r, const struct span *stops)
{
    size_t size = r->n_stops * sizeof(*stops);
    for (size_t i = 0; i < r->n_stops; i++)
        size += stops[i].size;
    struct span *copy = size ? malloc(size) : NULL;
    r->stops = copy;
    if (!copy)
        return size == 0;
    uint8_t *text = (uint8_t *)(copy + r->n_stops);
    for (size_t i = 0; i < r->n_stops; i++) {
        if (stops[i].size)
            memcpy(text, stops[i].at, stops[i].size);
        copy[i] = (struct span){text, stops[i].size};
        text += stops[i].size;
    }
    return true;
}

static void free_request(struct job_request *r)
{
    free((void *)r->prompt);
    free((void *)r->text_sizes);
    free((void *)r->sampling.bias);
    free((void *)r->stops);
    free((void *)r->stop_tokens);
    free((void *)r->budget_end);
    grammar_drop(r->grammar);
}

static bool copy_request(struct job_request *to, const struct job_request *from)
{
    *to = *from;
    if (!from->logprobs && !from->echo_logprobs)
        to->n_top = 0;
    to->prompt = to->stop_tokens = to->budget_end = NULL;
    to->text_sizes = NULL;
    to->grammar = grammar_hold(from->grammar);
    to->sampling.bias = NULL;
    to->stops = NULL;
    const void *prompt = from->prompt, *bias = from->sampling.bias, *ends = from->stop_tokens,
               *last = from->budget_end, *sizes = from->text_sizes;
    if (copy_bytes(&sizes, from->n_texts * sizeof(*from->text_sizes)))
        to->text_sizes = sizes;
    if (copy_bytes(&prompt, from->n_prompt * sizeof(*from->prompt)))
        to->prompt = prompt;
    if (copy_bytes(&bias, from->sampling.n_bias * sizeof(*from->sampling.bias)))
        to->sampling.bias = bias;
    if (copy_bytes(&ends, from->n_stop_tokens * sizeof(*from->stop_tokens)))
        to->stop_tokens = ends;
    if (copy_bytes(&last, from->n_budget_end * sizeof(*from->budget_end)))
        to->budget_end = last;
    return copy_stops(to, from->stops) && (to->budget_end || !from->n_budget_end) &&
           (to->text_sizes || !from->n_texts) && (to->prompt || !from->n_prompt) &&
           (to->sampling.bias || !from->sampling.n_bias) && (to->stop_tokens || !from->n_stop_tokens);
}

/* ---- the life of a job ---- */

struct job *job_new(const struct job_request *request, void (*wake)(void *context), void *context)
{
    struct job *j = calloc(1, sizeof(*j));
    if (!j)
        return NULL;
    size_t elements = request->n_texts * request->dimensions;
    j->vectors = elements ? calloc(elements, sizeof(*j->vectors)) : NULL;
    if (!copy_request(&j->params, request) || (elements && !j->vectors)) {
        free_request(&j->params);
        free(j->vectors);
        free(j);
        return NULL;
    }
    j->wake = wake;
    j->context = context;
    j->holders = 1;
    j->end = &j->first;
    pthread_mutex_init(&j->lock, NULL);
    pthread_cond_init(&j->woken, NULL);
    return j;
}

const struct job_request *job_request_of(const struct job *j)
{
    return &j->params;
}

static void free_job(struct job *j)
{
    for (struct job_piece *p = j->first, *next; p; p = next) {
        next = p->next;
        job_piece_free(p);
    }
    free_request(&j->params);
    free(j->vectors);
    pthread_cond_destroy(&j->woken);
    pthread_mutex_destroy(&j->lock);
    free(j);
}

float *job_vectors(struct job *j)
{
    return j->vectors;
}

const float *job_vectors_of(const struct job *j)
{
    return j->vectors;
}

void job_hold(struct job *j)
{
    pthread_mutex_lock(&j->lock);
    j->holders++;
    pthread_mutex_unlock(&j->lock);
}

void job_drop(struct job *j)
{
    pthread_mutex_lock(&j->lock);
    bool last = --j->holders == 0;
    pthread_mutex_unlock(&j->lock);
    if (last)
        free_job(j);
}

void job_release(struct job *j)
{
    job_cancel(j);
    pthread_mutex_lock(&j->lock);
    j->wake = NULL;
    while (j->waking && !pthread_equal(j->waker, pthread_self()))
        pthread_cond_wait(&j->woken, &j->lock);
    pthread_mutex_unlock(&j->lock);
    job_drop(j);
}

void job_cancel(struct job *j)
{
    atomic_store_explicit(&j->cancelled, true, memory_order_relaxed);
}

const atomic_bool *job_cancelled(const struct job *j)
{
    return &j->cancelled;
}

/* ---- from the engine to the server ---- */

struct job_piece *job_piece_new(
    uint32_t choice, size_t n_tokens, uint32_t n_top, size_t text_size, struct byte_budget *memory)
{
    size_t tokens = n_tokens * sizeof(struct job_token);
    size_t tops = n_tokens * n_top * sizeof(struct sampler_logprob);
    size_t bytes = sizeof(struct job_piece) + tokens + tops + text_size;
    if (!byte_budget_take(memory, bytes))
        return NULL;
    struct job_piece *p = malloc(bytes);
    if (!p) {
        byte_budget_give(memory, bytes);
        return NULL;
    }
    *p = (struct job_piece){.choice = choice,
        .n_tokens = n_tokens,
        .text_size = text_size,
        .stopped_by = -1,
        .memory = memory,
        .bytes = bytes};
    p->tokens = (struct job_token *)(p + 1);
    struct sampler_logprob *top = (struct sampler_logprob *)(p->tokens + n_tokens);
    for (size_t i = 0; i < n_tokens; i++)
        p->tokens[i] = (struct job_token){.id = 0, .logprob = NAN, .top = n_top ? top + i * n_top : NULL};
    p->text = (char *)(top + n_tokens * n_top);
    return p;
}

void job_piece_free(struct job_piece *p)
{
    byte_budget_give(p->memory, p->bytes);
    free(p);
}

/* Called with the lock held. Releases it while the server is woken. */
static void wake(struct job *j)
{
    if (!j->wake || j->notified)
        return;
    void (*call)(void *context) = j->wake;
    j->notified = j->waking = true;
    j->waker = pthread_self();
    pthread_mutex_unlock(&j->lock);
    call(j->context);
    pthread_mutex_lock(&j->lock);
    j->waking = false;
    pthread_cond_broadcast(&j->woken);
}

void job_push(struct job *j, struct job_piece *piece)
{
    piece->next = NULL;
    pthread_mutex_lock(&j->lock);
    *j->end = piece;
    j->end = &piece->next;
    wake(j);
    pthread_mutex_unlock(&j->lock);
}

void job_end(struct job *j, enum result result, const struct error *why)
{
    pthread_mutex_lock(&j->lock);
    j->ended = true;
    j->result = result;
    if (why)
        j->why = *why;
    wake(j);
    pthread_mutex_unlock(&j->lock);
}

void job_set_usage(struct job *j, const struct job_usage *usage)
{
    pthread_mutex_lock(&j->lock);
    j->usage = *usage;
    pthread_mutex_unlock(&j->lock);
}

/* ---- what the server takes ---- */

struct job_piece *job_take(struct job *j, bool *ended)
{
    pthread_mutex_lock(&j->lock);
    struct job_piece *first = j->first;
    j->first = NULL;
    j->end = &j->first;
    j->notified = false;
    *ended = j->ended;
    pthread_mutex_unlock(&j->lock);
    return first;
}

enum result job_result(struct job *j, struct error *why)
{
    pthread_mutex_lock(&j->lock);
    enum result result = j->result;
    *why = j->why;
    pthread_mutex_unlock(&j->lock);
    return result;
}

struct job_usage job_usage_of(struct job *j)
{
    pthread_mutex_lock(&j->lock);
    struct job_usage usage = j->usage;
    pthread_mutex_unlock(&j->lock);
    return usage;
}
