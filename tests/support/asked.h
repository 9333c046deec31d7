/* asked.h - submits requests to the scheduler on tiny models and gathers their answers.
 *
 * When a test needs the scheduler to stop for a while, it uses a plug: a job whose wake does not return before the test
 * allows it. Wakes are called on the scheduler's thread. Include this after cmocka.h.
 */
#ifndef BERTH_TESTS_ASKED_H
#define BERTH_TESTS_ASKED_H

#include <math.h>
#include <pthread.h>
#include <semaphore.h>
#include <time.h>
#include <unistd.h>

#include "rig.h"

#define PATIENCE 1500 /* seconds after which the program has hung */
#define MOST_TOKENS 4096
#define MOST_CHOICES 8
#define NO_LIMIT ((uint64_t)1 << 30)

/* ---- an engine and its models ---- */

static const struct engine_options usual = {.threads = 2,
    .processors = 2,
    .kv_memory = NO_LIMIT,
    .kv_type = ATTENTION_F16,
    .chunk = 64,
    .slots = 8,
    .queue = 16};

static inline uint64_t calls(const struct rig *r, int model)
{
    return atomic_load(&r->m[model]->served.metrics.forward_calls);
}

static inline double now(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec + (double)t.tv_nsec * 1e-9;
}

/* Waits until the clock has passed `when`, for tests of deadlines. */
static inline void wait_until(double when)
{
    while (now() <= when)
        nanosleep(&(struct timespec){.tv_nsec = 1000000}, NULL);
}

/* Bytes of n pages of the first model. */
static inline uint64_t pages(struct rig *r, size_t n)
{
    return n * kv_cache_page_bytes(r->m[0]->cache);
}

/* ---- requests and their answers ---- */

static int32_t prompts[16][MOST_TOKENS];

static inline struct job_request request(struct rig *r, size_t number, size_t n_prompt, size_t max_tokens)
{
    fill(prompts[number], n_prompt, (uint32_t)number + 1);
    return (struct job_request){.kind = JOB_GENERATE,
        .model = &r->m[0]->served,
        .prompt = prompts[number],
        .n_prompt = n_prompt,
        .n_choices = 1,
        .max_tokens = max_tokens,
        .sampling = {
            .temperature = 1, .top_p = 1, .typical_p = 1, .repetition_penalty = 1, .seed = 100 + number}};
}

struct said {
    int32_t ids[MOST_TOKENS];
    float logprobs[MOST_TOKENS];
    int32_t best[MOST_TOKENS];
    size_t n;
    enum job_finish finish;
    char text[MOST_TOKENS];
    size_t text_size;
};

/* A job and its answers so far. */
struct asked {
    struct job *j;
    sem_t woken;
    sem_t let_go; /* of a plug */
    atomic_bool plug;
    uint64_t calls_at_wake; /* of the first model's forward calls, at the last wake */
    struct said said[MOST_CHOICES], prompt;
    enum result result;
    struct error why;
    struct job_usage usage;
};

static inline void on_wake(void *context)
{
    struct asked *a = context;
    a->calls_at_wake = atomic_load(&served_model_metrics(job_request_of(a->j)->model)->forward_calls);
    sem_post(&a->woken);
    if (a->plug)
        sem_wait(&a->let_go);
}

static inline bool try_ask(
    struct asked *a, const struct job_request *q, bool plug, enum result *result, struct error *err)
{
    memset(a, 0, sizeof(*a));
    a->plug = plug;
    sem_init(&a->woken, 0, 0);
    sem_init(&a->let_go, 0, 0);
    a->j = job_new(q, on_wake, a);
    assert_non_null(a->j);
    if ((*result = served_model_submit(a->j, err)) == RESULT_OK)
        return true;
    job_release(a->j);
    return false;
}

static inline void ask(struct asked *a, const struct job_request *q)
{
    enum result result;
    struct error err = {0};
    if (!try_ask(a, q, false, &result, &err))
        fail_msg("%u: %s", result, err.text);
}

/* Stops the scheduler as soon as the job has a piece. */
static inline void plug(struct asked *a, const struct job_request *q)
{
    enum result result;
    struct error err = {0};
    if (!try_ask(a, q, true, &result, &err))
        fail_msg("%u: %s", result, err.text);
    sem_wait(&a->woken);
}

static inline void unplug(struct asked *a)
{
    a->plug = false;
    sem_post(&a->let_go);
}

static inline void hear(struct asked *a, const struct job_piece *p)
{
    struct said *s = p->prompt ? &a->prompt : &a->said[p->choice];
    assert_int_equal(s->finish, JOB_RUNNING); /* no piece follows a finish */
    for (size_t i = 0; i < p->n_tokens; i++) {
        s->ids[s->n] = p->tokens[i].id;
        s->best[s->n] = p->tokens[i].top ? p->tokens[i].top[0].token : -1;
        s->logprobs[s->n++] = p->tokens[i].logprob;
    }
    memcpy(s->text + s->text_size, p->text, p->text_size);
    s->text_size += p->text_size;
    s->finish = p->finish;
}

static inline bool take(struct asked *a)
{
    bool ended;
    for (struct job_piece *p = job_take(a->j, &ended), *next; p; p = next) {
        next = p->next;
        hear(a, p);
        job_piece_free(p);
    }
    return ended;
}

/* Waits for the end, and releases the job. */
static inline void finish(struct asked *a)
{
    while (!take(a))
        sem_wait(&a->woken);
    a->result = job_result(a->j, &a->why);
    a->usage = job_usage_of(a->j);
    job_release(a->j);
    sem_destroy(&a->woken);
    sem_destroy(&a->let_go);
}

static inline void ask_alone(struct asked *a, const struct job_request *q)
{
    ask(a, q);
    finish(a);
}

static inline void assert_same(const struct said *a, const struct said *b)
{
    assert_int_equal(a->n, b->n);
    assert_memory_equal(a->ids, b->ids, a->n * sizeof(*a->ids));
    assert_int_equal(a->finish, b->finish);
}

/* They are too large for the stack. Not every test needs all of them. */
static struct asked alone[8], others[16], plugged;

/* Lets the scheduler measure the cost of rows; before that it takes few rows of prompts. */
static inline void warm_up(struct rig *r)
{
    struct job_request q = request(r, 14, 64, 1);
    for (int i = 0; i < 3; i++)
        ask_alone(&alone[7], &q);
}

#endif
