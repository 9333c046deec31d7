/* asking.h - requests to a rig's engine, their answers, and the rows that they took.
 *
 * `wake` runs on the scheduler's thread. A job with `held` stops that thread from its first token on, until the test calls
 * let_go. Include it after cmocka.h.
 */
#ifndef BERTH_TESTS_ASKING_H
#define BERTH_TESTS_ASKING_H

#include "rig.h"

#include <semaphore.h>

#define MOST 2048 /* tokens of a prompt or an answer */
#define CHOICES 4
#define ROOMY ((uint64_t)1 << 30)

/* ---- an engine and its models ---- */

static const struct engine_options usual = {.threads = 2,
    .processors = 2,
    .kv_memory = ROOMY,
    .kv_type = ATTENTION_F16,
    .prefix_cache = true,
    .chunk = 64,
    .slots = 8,
    .queue = 64};

static inline uint64_t rows(const struct rig *r)
{
    return atomic_load(&r->m[0]->served.metrics.forward_rows);
}

static inline uint64_t pages(const struct rig *r, size_t n)
{
    return n * kv_cache_page_bytes(r->m[0]->cache);
}

/* ---- requests and their answers ---- */

static inline struct job_request request(const struct rig *r, const int32_t *ids, size_t n, size_t max_tokens)
{
    return (struct job_request){.kind = JOB_GENERATE,
        .model = &r->m[0]->served,
        .prompt = ids,
        .n_prompt = n,
        .n_choices = 1,
        .max_tokens = max_tokens,
        .cache_prompt = true,
        .sampling = {.temperature = 1, .top_p = 1, .typical_p = 1, .repetition_penalty = 1, .seed = 7}};
}

struct asked {
    struct job *j;
    sem_t woken, let_go;
    atomic_bool held;
    int32_t said[CHOICES][MOST];
    size_t n[CHOICES];
    enum job_finish finish[CHOICES];
    struct job_usage usage;
    enum result result;
};

static inline void on_wake(void *context)
{
    struct asked *a = context;
    sem_post(&a->woken);
    if (a->held)
        sem_wait(&a->let_go);
}

static inline void ask_held(struct asked *a, const struct job_request *q, bool held)
{
    enum result result;
    struct error err = {0};
    memset(a, 0, sizeof(*a));
    a->held = held;
    sem_init(&a->woken, 0, 0);
    sem_init(&a->let_go, 0, 0);
    a->j = job_new(q, on_wake, a);
    if ((result = served_model_submit(a->j, &err)) != RESULT_OK)
        fail_msg("%u: %s", result, err.text);
    if (held)
        sem_wait(&a->woken);
}

static inline void ask(struct asked *a, const struct job_request *q)
{
    ask_held(a, q, false);
}

static inline void let_go(struct asked *a)
{
    a->held = false;
    sem_post(&a->let_go);
}

static inline bool take(struct asked *a)
{
    bool ended;
    for (struct job_piece *p = job_take(a->j, &ended), *next; p; p = next) {
        next = p->next;
        for (size_t i = 0; i < p->n_tokens && !p->prompt; i++)
            a->said[p->choice][a->n[p->choice]++] = p->tokens[i].id;
        if (p->finish != JOB_RUNNING)
            a->finish[p->choice] = p->finish;
        job_piece_free(p);
    }
    return ended;
}

static inline void finish(struct asked *a)
{
    struct error why;
    while (!take(a))
        sem_wait(&a->woken);
    a->result = job_result(a->j, &why);
    a->usage = job_usage_of(a->j);
    job_release(a->j);
    sem_destroy(&a->woken);
    sem_destroy(&a->let_go);
}

/* Returns the rows that it took. */
static inline uint64_t ask_alone(struct rig *r, struct asked *a, const struct job_request *q)
{
    uint64_t before = rows(r);
    ask(a, q);
    finish(a);
    return rows(r) - before;
}

static inline void assert_same(const struct asked *a, const struct asked *b)
{
    assert_memory_equal(a->n, b->n, sizeof(a->n));
    assert_memory_equal(a->finish, b->finish, sizeof(a->finish));
    for (size_t i = 0; i < CHOICES; i++)
        assert_memory_equal(a->said[i], b->said[i], a->n[i] * sizeof(int32_t));
}

/* The request's answer without the cache. */
static inline void ask_without(struct rig *r, struct asked *a, struct job_request q)
{
    q.cache_prompt = false;
    ask_alone(r, a, &q);
    assert_int_equal(a->usage.cached_tokens, 0);
}

#endif
