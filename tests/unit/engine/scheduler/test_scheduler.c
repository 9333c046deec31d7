/* test_scheduler.c - many requests at a time on real, tiny models: nobody sees the others in an answer, everybody gets
 * on, and whoever leaves costs nothing from the next step on.
 *
 * Where a test needs to know what the scheduler has in hand, it holds it still: a job's wake is called on the
 * scheduler's thread, and a `plug` is a job whose wake does not return before the test lets it.
 */
#include "berth/kernels/isa.h"
#include "berth/base/log.h"

#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <setjmp.h>

#include <fcntl.h>
#include <math.h>
#include <pthread.h>
#include <semaphore.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "scratch.h"

#include <cmocka.h>

#include "rig.h"

#define PATIENCE 120 /* seconds that the whole program may take */
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

static uint64_t calls(const struct rig *r, int model)
{
    return atomic_load(&r->m[model]->served.metrics.forward_calls);
}

static double now(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec + (double)t.tv_nsec * 1e-9;
}

/* Waits until the clock has passed `when`: for deadlines, which nothing else tells. */
static void wait_until(double when)
{
    while (now() <= when)
        nanosleep(&(struct timespec){.tv_nsec = 1000000}, NULL);
}

/* ---- requests and what comes of them ---- */

static int32_t prompts[16][MOST_TOKENS];

static struct job_request request(struct rig *r, size_t number, size_t n_prompt, size_t max_tokens)
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

/* A job, and all that it has said. */
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

static void on_wake(void *context)
{
    struct asked *a = context;
    a->calls_at_wake = atomic_load(&served_model_metrics(job_request_of(a->j)->model)->forward_calls);
    sem_post(&a->woken);
    if (a->plug)
        sem_wait(&a->let_go);
}

static bool try_ask(
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

static void ask(struct asked *a, const struct job_request *q)
{
    enum result result;
    struct error err = {0};
    if (!try_ask(a, q, false, &result, &err))
        fail_msg("%u: %s", result, err.text);
}

/* Holds the scheduler still as soon as the job has said something. */
static void plug(struct asked *a, const struct job_request *q)
{
    enum result result;
    struct error err = {0};
    if (!try_ask(a, q, true, &result, &err))
        fail_msg("%u: %s", result, err.text);
    sem_wait(&a->woken);
}

static void unplug(struct asked *a)
{
    a->plug = false;
    sem_post(&a->let_go);
}

static void hear(struct asked *a, const struct job_piece *p)
{
    struct said *s = p->prompt ? &a->prompt : &a->said[p->choice];
    assert_int_equal(s->finish, JOB_RUNNING); /* nothing comes behind a finish */
    for (size_t i = 0; i < p->n_tokens; i++) {
        s->ids[s->n] = p->tokens[i].id;
        s->best[s->n] = p->tokens[i].top ? p->tokens[i].top[0].token : -1;
        s->logprobs[s->n++] = p->tokens[i].logprob;
    }
    memcpy(s->text + s->text_size, p->text, p->text_size);
    s->text_size += p->text_size;
    s->finish = p->finish;
}

static bool take(struct asked *a)
{
    bool ended;
    for (struct job_piece *p = job_take(a->j, &ended), *next; p; p = next) {
        next = p->next;
        hear(a, p);
        job_piece_free(p);
    }
    return ended;
}

/* Waits for the end, and gives the job back. */
static void finish(struct asked *a)
{
    while (!take(a))
        sem_wait(&a->woken);
    a->result = job_result(a->j, &a->why);
    a->usage = job_usage_of(a->j);
    job_release(a->j);
    sem_destroy(&a->woken);
    sem_destroy(&a->let_go);
}

static void ask_alone(struct asked *a, const struct job_request *q)
{
    ask(a, q);
    finish(a);
}

static void assert_same(const struct said *a, const struct said *b)
{
    assert_int_equal(a->n, b->n);
    assert_memory_equal(a->ids, b->ids, a->n * sizeof(*a->ids));
    assert_int_equal(a->finish, b->finish);
}

/* They are large: not for the stack. */
static struct asked alone[8], others[16], plugged;

/* Tells the scheduler what rows cost: what it does not know it tries with few. */
static void warm_up(struct rig *r)
{
    struct job_request q = request(r, 14, 64, 1);
    for (int i = 0; i < 3; i++)
        ask_alone(&alone[7], &q);
}

/* ---- batches ---- */

static void test_eight_requests_together_take_the_calls_of_one(void **state)
{
    (void)state;
    struct rig r;
    struct engine_options o = usual;
    o.chunk = 80;
    rig_start(&r, &o);
    warm_up(&r);
    struct job_request q = request(&r, 15, 1, 1);
    plug(&plugged, &q);
    uint64_t before = calls(&r, 0);
    for (size_t i = 0; i < 8; i++) {
        q = request(&r, i, 10, 10);
        ask(&others[i], &q);
    }
    unplug(&plugged);
    for (size_t i = 0; i < 8; i++)
        finish(&others[i]);
    assert_int_equal(calls(&r, 0) - before, 10); /* all prompts and the first token in one, then nine more */
    finish(&plugged);
    rig_stop(&r);
}

static void test_an_answer_is_the_same_alone_and_among_others(void **state)
{
    (void)state;
    struct rig r;
    rig_start(&r, &usual);
    for (size_t i = 0; i < 8; i++) {
        struct job_request q = request(&r, i, 5 + 40 * i, 60);
        ask_alone(&alone[i], &q);
        assert_int_equal(alone[i].said[0].n, 60);
        assert_int_equal(alone[i].said[0].finish, JOB_LENGTH);
    }
    for (size_t i = 0; i < 8; i++) {
        struct job_request q = request(&r, i, 5 + 40 * i, 60);
        ask(&others[i], &q);
    }
    for (size_t i = 0; i < 8; i++) {
        finish(&others[i]);
        assert_same(&others[i].said[0], &alone[i].said[0]);
    }
    rig_stop(&r);
}

static void test_an_answer_does_not_depend_on_chunk_or_threads(void **state)
{
    (void)state;
    static const size_t chunks[] = {1, 7, 64, 1000};
    static const enum attention_type types[] = {ATTENTION_F16, ATTENTION_Q8_0};
    struct rig r;
    for (size_t i = 0; i < 8; i++) {
        struct engine_options o = usual;
        o.kv_type = types[i / 4];
        o.chunk = chunks[i % 4];
        o.threads = 1 + (unsigned)i % 4;
        rig_start(&r, &o);
        assert_int_equal(kv_cache_type(r.m[0]->cache), o.kv_type);
        struct job_request q = request(&r, 0, 333, 20);
        ask_alone(&others[i], &q);
        assert_same(&others[i].said[0], &others[i / 4 * 4].said[0]);
        rig_stop(&r);
    }
}

/* ---- processors that come and go ---- */

struct processors {
    atomic_uint n, asked;
};

static unsigned processors_now(struct limits_watch *context, char from[LIMITS_FROM])
{
    struct processors *p = (struct processors *)(void *)context;
    snprintf(from, LIMITS_FROM, "the test");
    atomic_fetch_add(&p->asked, 1);
    return atomic_load(&p->n);
}

/* Another number at every look, and a look at every step. */
static unsigned processors_in_turn(struct limits_watch *context, char from[LIMITS_FROM])
{
    static const unsigned turns[] = {1, 3, 4, 2, 0, 4};
    struct processors *p = (struct processors *)(void *)context;
    snprintf(from, LIMITS_FROM, "the test");
    return turns[atomic_fetch_add(&p->asked, 1) % 6];
}

static void test_an_answer_is_the_same_while_threads_come_and_go(void **state)
{
    (void)state;
    struct rig r;
    struct processors p = {0};
    struct engine_options o = usual;
    rig_start(&r, &o);
    for (size_t i = 0; i < 4; i++) {
        struct job_request q = request(&r, i, 300 - 70 * i, 80);
        q.logprobs = true;
        ask_alone(&alone[i], &q);
    }
    rig_stop(&r);
    o.processors_now = processors_in_turn;
    o.watch = (struct limits_watch *)(void *)&p;
    rig_start(&r, &o);
    for (size_t i = 0; i < 4; i++) {
        struct job_request q = request(&r, i, 300 - 70 * i, 80);
        q.logprobs = true;
        ask(&others[i], &q);
    }
    for (size_t i = 0; i < 4; i++) {
        finish(&others[i]);
        assert_same(&others[i].said[0], &alone[i].said[0]);
        assert_memory_equal(others[i].said[0].logprobs, alone[i].said[0].logprobs, 80 * sizeof(float));
    }
    assert_true(p.asked >= 80);
    rig_stop(&r);
}

static void test_threads_follow_the_processors_up_to_the_most_there_may_be(void **state)
{
    (void)state;
    static const struct {
        unsigned processors, threads;
    } rows[] = {{1, 1}, {3, 3}, {3, 3}, {0, 1}, {4, 3}, {5, 3}, {2, 2}};
    struct rig r;
    struct processors p = {0};
    struct engine_options o = usual;
    o.threads_most = 3;
    o.processors_now = processors_now;
    o.watch = (struct limits_watch *)(void *)&p;
    rig_start(&r, &o);
    assert_int_equal(engine_threads(r.e), 2);
    for (size_t i = 0; i < sizeof(rows) / sizeof(*rows); i++) {
        atomic_store(&p.n, rows[i].processors);
        struct job_request q = request(&r, 0, 5, 3);
        ask_alone(&others[0], &q);
        assert_int_equal(engine_threads(r.e), rows[i].threads);
        assert_int_equal(engine_processors(r.e), rows[i].processors);
        assert_int_equal(others[0].said[0].n, 3);
    }
    rig_stop(&r);
}

static void test_processors_are_not_looked_at_more_often_than_asked_nor_at_rest(void **state)
{
    (void)state;
    struct rig r;
    struct processors p = {.n = 2};
    struct engine_options o = usual;
    o.processors_now = processors_now;
    o.watch = (struct limits_watch *)(void *)&p;
    o.look_seconds = 1000;
    rig_start(&r, &o);
    assert_int_equal(p.asked, 0);
    struct job_request q = request(&r, 0, 5, 50);
    ask_alone(&others[0], &q);
    ask_alone(&others[0], &q);
    assert_int_equal(p.asked, 1);
    rig_stop(&r);
}

static void test_usage_counts_what_was_read_and_written(void **state)
{
    (void)state;
    struct rig r;
    rig_start(&r, &usual);
    struct job_request q = request(&r, 0, 130, 7);
    ask_alone(&alone[0], &q);
    assert_int_equal(alone[0].usage.prompt_tokens, 130);
    assert_int_equal(alone[0].usage.prompt_done, 130);
    assert_int_equal(alone[0].usage.generated_tokens, 7);
    assert_true(alone[0].usage.prompt_seconds > 0);
    assert_int_equal(atomic_load(&r.m[0]->served.metrics.prompt_tokens), 130);
    assert_int_equal(atomic_load(&r.m[0]->served.metrics.generated_tokens), 7);
    assert_int_equal(atomic_load(&r.m[0]->served.metrics.forward_rows), 130 + 6);
    assert_int_equal(atomic_load(&r.m[0]->served.metrics.jobs_ended[JOB_LENGTH]), 1);
    rig_stop(&r);
}

/* ---- memory ---- */

static uint64_t pages(struct rig *r, size_t n)
{
    return n * kv_cache_page_bytes(r->m[0]->cache);
}

static void test_an_answer_is_the_same_when_its_pages_were_taken_away(void **state)
{
    (void)state;
    struct rig r;
    rig_start(&r, &usual);
    for (size_t i = 0; i < 6; i++) {
        struct job_request q = request(&r, i, 40 + i, 120);
        ask_alone(&alone[i], &q);
    }
    engine_budget(r.e)->limit = pages(&r, 7); /* each needs three in the end */
    uint64_t before = calls(&r, 0);
    for (size_t i = 0; i < 6; i++) {
        struct job_request q = request(&r, i, 40 + i, 120);
        ask(&others[i], &q);
    }
    for (size_t i = 0; i < 6; i++) {
        finish(&others[i]);
        assert_same(&others[i].said[0], &alone[i].said[0]);
    }
    assert_true(atomic_load(&r.m[0]->served.metrics.preemptions) > 0);
    /* The oldest is spared: two calls for its prompt, at the worst, and one for each token. */
    assert_true(others[0].calls_at_wake - before <= 122);
    rig_stop(&r);
}

static void test_choices_are_the_same_when_their_pages_were_taken_away(void **state)
{
    (void)state;
    struct rig r;
    rig_start(&r, &usual);
    struct job_request q = request(&r, 0, 100, 100);
    q.n_choices = 6;
    ask_alone(&alone[0], &q);
    engine_budget(r.e)->limit = pages(&r, 6);
    ask_alone(&others[0], &q);
    for (size_t i = 0; i < 6; i++)
        assert_same(&others[0].said[i], &alone[0].said[i]);
    assert_true(atomic_load(&r.m[0]->served.metrics.preemptions) > 0);
    rig_stop(&r);
}

static void test_an_answer_that_fills_the_memory_ends_there(void **state)
{
    (void)state;
    struct rig r;
    rig_start(&r, &usual);
    engine_budget(r.e)->limit = pages(&r, 2);
    struct job_request q = request(&r, 0, 28, 1000);
    ask_alone(&alone[0], &q);
    assert_int_equal(alone[0].said[0].finish, JOB_LENGTH);
    /* 128 positions: the prompt and 100 tokens are read, and one more was sampled from the last. */
    assert_int_equal(alone[0].said[0].n, 101);
    rig_stop(&r);
}

static void test_two_models_share_the_memory(void **state)
{
    (void)state;
    struct rig r;
    rig_start(&r, &usual);
    for (size_t i = 0; i < 4; i++) {
        struct job_request q = request(&r, i, 30, 100);
        q.model = &r.m[i % 2]->served;
        ask_alone(&alone[i], &q);
    }
    engine_budget(r.e)->limit = kv_cache_page_bytes(r.m[1]->cache) * 4; /* the larger one */
    for (size_t i = 0; i < 4; i++) {
        struct job_request q = request(&r, i, 30, 100);
        q.model = &r.m[i % 2]->served;
        ask(&others[i], &q);
    }
    for (size_t i = 0; i < 4; i++) {
        finish(&others[i]);
        assert_same(&others[i].said[0], &alone[i].said[0]);
    }
    rig_stop(&r);
}

/* ---- refusals ---- */

static void assert_refused(const struct job_request *q, enum result wanted, const char *reason)
{
    enum result result;
    struct error err = {0};
    if (try_ask(&others[15], q, false, &result, &err))
        fail_msg("not refused: %s", reason);
    assert_int_equal(result, wanted);
    if (!strstr(err.text, reason))
        fail_msg("\"%s\" does not say \"%s\"", err.text, reason);
}

static void test_what_can_never_be_done_is_refused_at_once(void **state)
{
    (void)state;
    struct rig r;
    rig_start(&r, &usual);
    struct job_request q = request(&r, 0, 0, 1);
    assert_refused(&q, RESULT_BAD_REQUEST, "the prompt is empty");
    q = request(&r, 0, TINY_CONTEXT, 1);
    assert_refused(&q, RESULT_TOO_LONG, "4096 tokens");
    q = request(&r, 0, 3, 1);
    prompts[0][1] = TINY_VOCABULARY;
    assert_refused(&q, RESULT_BAD_REQUEST, "token 96 of the prompt");
    q = request(&r, 0, 3, 1);
    q.n_choices = 0;
    assert_refused(&q, RESULT_BAD_REQUEST, "choices");
    q = request(&r, 0, 3, 1);
    q.text = true;
    assert_refused(&q, RESULT_UNSUPPORTED, "tokenizer");
    engine_budget(r.e)->limit = pages(&r, 1);
    q = request(&r, 0, 64, 1);
    assert_refused(&q, RESULT_TOO_LONG, "memory");
    q = request(&r, 0, 63, 1);
    ask_alone(&alone[0], &q);
    assert_int_equal(alone[0].said[0].n, 1);
    rig_stop(&r);
}

static void test_a_full_queue_refuses_and_free_slots_are_no_queue(void **state)
{
    (void)state;
    struct rig r;
    struct engine_options o = usual;
    o.slots = 3;
    o.queue = 2;
    rig_start(&r, &o);
    struct job_request q = request(&r, 15, 5, 50);
    plug(&plugged, &q); /* one slot of three */
    for (size_t i = 0; i < 4; i++) {
        q = request(&r, i, 5, 5);
        ask(&others[i], &q);
    }
    assert_refused(&q, RESULT_BUSY, "queue is full");
    assert_int_equal(atomic_load(&r.m[0]->served.metrics.jobs_refused), 1);
    assert_int_equal(atomic_load(&r.m[0]->served.metrics.queued), 4);
    unplug(&plugged);
    for (size_t i = 0; i < 4; i++) {
        finish(&others[i]);
        assert_int_equal(others[i].said[0].n, 5);
    }
    finish(&plugged);
    rig_stop(&r);
}

static void test_a_slot_is_free_when_its_job_is_heard_to_have_ended(void **state)
{
    (void)state;
    struct rig r;
    struct engine_options o = usual;
    o.slots = 2;
    o.queue = 0;
    rig_start(&r, &o);
    for (size_t i = 0; i < 100; i++) {
        struct job_request q = request(&r, 0, 5, 1 + i % 3);
        for (size_t k = 0; k < 2; k++)
            ask(&others[k], &q); /* fails where it is refused */
        if (i % 4 == 0)
            job_cancel(others[1].j);
        finish(&others[0]);
        finish(&others[1]);
    }
    while (atomic_load(&r.m[0]->served.metrics.kv_bytes) > 0)
        sched_yield();
    rig_stop(&r);
}

static void test_who_waits_too_long_for_a_slot_fails_as_a_queue_timeout(void **state)
{
    (void)state;
    struct rig r;
    struct engine_options o = usual;
    o.slots = 1;
    o.queue_timeout = 0.02;
    rig_start(&r, &o);
    struct job_request q = request(&r, 15, 5, 50);
    plug(&plugged, &q);
    q = request(&r, 0, 5, 5);
    ask(&others[0], &q);
    wait_until(now() + 0.02);
    unplug(&plugged);
    finish(&others[0]);
    assert_int_equal(others[0].result, RESULT_QUEUE_TIMEOUT);
    assert_int_equal(others[0].said[0].finish, JOB_FAILED);
    assert_non_null(strstr(others[0].why.text, "waited"));
    finish(&plugged);
    assert_int_equal(plugged.said[0].n, 50);
    rig_stop(&r);
}

static void test_a_job_that_takes_too_long_fails_as_a_timeout(void **state)
{
    (void)state;
    struct rig r;
    rig_start(&r, &usual);
    struct job_request q = request(&r, 0, 5, 50);
    q.deadline = 0.05;
    plug(&plugged, &q);
    wait_until(now() + 0.05);
    unplug(&plugged);
    finish(&plugged);
    assert_int_equal(plugged.result, RESULT_TIMEOUT);
    assert_int_equal(plugged.said[0].finish, JOB_FAILED);
    assert_int_equal(plugged.said[0].n, 1);
    rig_stop(&r);
}

/* What the server did with a request before it became a job counts, too: a free slot does not help one that is late. */
static void test_timeouts_count_from_the_request_s_arrival(void **state)
{
    (void)state;
    struct rig r;
    struct engine_options o = usual;
    o.queue_timeout = 1;
    o.job_timeout = 5;
    rig_start(&r, &o);
    struct job_request q = request(&r, 0, 5, 3);
    q.arrived = now() - 1.1;
    ask_alone(&others[0], &q);
    assert_int_equal(others[0].result, RESULT_QUEUE_TIMEOUT);
    assert_true(others[0].usage.queued_seconds >= 1.1);
    q.arrived = now() - 5.1;
    ask_alone(&others[0], &q);
    assert_int_equal(others[0].result, RESULT_TIMEOUT);
    q.arrived = now() - 0.1;
    ask_alone(&others[0], &q);
    assert_int_equal(others[0].result, RESULT_OK);
    assert_int_equal(others[0].said[0].n, 3);
    q.arrived = now() + 100; /* of another clock: now */
    ask_alone(&others[0], &q);
    assert_int_equal(others[0].result, RESULT_OK);
    rig_stop(&r);
}

/* ---- those who leave ---- */

static void test_a_job_cancelled_in_the_queue_is_never_begun(void **state)
{
    (void)state;
    struct rig r;
    struct engine_options o = usual;
    o.slots = 1;
    rig_start(&r, &o);
    struct job_request q = request(&r, 15, 5, 20);
    plug(&plugged, &q);
    for (size_t i = 0; i < 3; i++) {
        q = request(&r, i, 5, 5);
        ask(&others[i], &q);
    }
    job_cancel(others[1].j);
    unplug(&plugged);
    finish(&others[1]);
    assert_int_equal(others[1].said[0].finish, JOB_CANCELLED);
    assert_int_equal(others[1].usage.prompt_done, 0);
    assert_int_equal(others[1].result, RESULT_CANCELLED);
    finish(&others[0]);
    finish(&others[2]);
    assert_int_equal(others[2].said[0].n, 5);
    finish(&plugged);
    rig_stop(&r);
}

static void test_a_job_cancelled_while_its_prompt_is_read_ends_within_a_step(void **state)
{
    (void)state;
    struct rig r;
    struct engine_options o = usual;
    o.chunk = 8;
    rig_start(&r, &o);
    struct job_request q = request(&r, 0, 3000, 5);
    ask(&others[0], &q);
    while (job_usage_of(others[0].j).prompt_done == 0)
        sched_yield();
    job_cancel(others[0].j);
    uint64_t at_cancel = calls(&r, 0);
    finish(&others[0]);
    assert_int_equal(others[0].said[0].finish, JOB_CANCELLED);
    assert_true(calls(&r, 0) - at_cancel <= 1);
    assert_true(others[0].usage.prompt_done < 3000);
    rig_stop(&r);
}

static void test_a_job_cancelled_while_it_answers_says_no_more_and_frees_its_slot(void **state)
{
    (void)state;
    struct rig r;
    struct engine_options o = usual;
    o.slots = 1;
    rig_start(&r, &o);
    struct job_request q = request(&r, 0, 5, 2000);
    plug(&plugged, &q);
    q = request(&r, 1, 5, 5);
    ask(&others[1], &q);
    job_cancel(plugged.j);
    uint64_t at_cancel = calls(&r, 0);
    unplug(&plugged);
    finish(&others[1]);
    assert_int_equal(calls(&r, 0) - at_cancel, 5);
    finish(&plugged);
    assert_int_equal(plugged.said[0].finish, JOB_CANCELLED);
    assert_int_equal(plugged.said[0].n, 1);
    rig_stop(&r);
}

/* Jobs are released at all stages; a wake after that would touch what is no longer there. */
static void test_a_released_job_wakes_nobody(void **state)
{
    (void)state;
    struct rig r;
    struct engine_options o = usual;
    o.slots = 3;
    rig_start(&r, &o);
    for (size_t i = 0; i < 200; i++) {
        struct asked *a = calloc(1, sizeof(*a));
        assert_non_null(a);
        struct job_request q = request(&r, i % 8, 3 + i, 1 + i % 30);
        q.n_choices = 1 + (uint32_t)i % 3;
        ask(a, &q);
        bool ended = false;
        for (size_t k = 0; k < i % 7 && !ended; k++) {
            sem_wait(&a->woken);
            ended = take(a);
        }
        job_release(a->j);
        memset(a, 0xff, sizeof(*a));
        free(a);
    }
    while (atomic_load(&r.m[0]->served.metrics.running) + atomic_load(&r.m[0]->served.metrics.queued) > 0)
        sched_yield();
    rig_stop(&r);
}

/* ---- choices ---- */

static void test_choices_are_what_separate_requests_with_the_next_seeds_say(void **state)
{
    (void)state;
    struct rig r;
    struct engine_options o = usual;
    o.slots = 3; /* fewer than choices */
    rig_start(&r, &o);
    for (size_t i = 0; i < 5; i++) {
        struct job_request q = request(&r, 0, 70, 30);
        q.sampling.seed += i;
        ask_alone(&alone[i], &q);
    }
    assert_memory_not_equal(alone[0].said[0].ids, alone[1].said[0].ids, 30 * sizeof(int32_t));
    uint64_t prompt = atomic_load(&r.m[0]->served.metrics.prompt_tokens),
             rows = atomic_load(&r.m[0]->served.metrics.forward_rows);
    struct job_request q = request(&r, 0, 70, 30);
    q.n_choices = 5;
    ask_alone(&others[0], &q);
    for (size_t i = 0; i < 5; i++)
        assert_same(&others[0].said[i], &alone[i].said[0]);
    assert_int_equal(atomic_load(&r.m[0]->served.metrics.prompt_tokens) - prompt, 70);
    /* The prompt once, its last token again for four, and all tokens but the last of each. */
    assert_int_equal(atomic_load(&r.m[0]->served.metrics.forward_rows) - rows, 70 + 4 + 5 * 29);
    assert_int_equal(others[0].usage.generated_tokens, 150);
    rig_stop(&r);
}

static void test_a_request_of_many_choices_lets_others_have_their_turn(void **state)
{
    (void)state;
    struct rig r;
    struct engine_options o = usual;
    o.slots = 2;
    rig_start(&r, &o);
    struct job_request q = request(&r, 0, 5, 40);
    q.n_choices = 8;
    plug(&plugged, &q);
    q = request(&r, 1, 5, 5);
    ask(&others[1], &q);
    q = request(&r, 2, 5, 5);
    ask(&others[2], &q);
    uint64_t before = calls(&r, 0);
    unplug(&plugged);
    finish(&others[1]);
    finish(&others[2]);
    /* The first two choices have both slots for 40 steps; all eight would have them for 160. */
    assert_true(others[1].calls_at_wake - before <= 50);
    assert_true(others[2].calls_at_wake - before <= 60);
    finish(&plugged);
    for (size_t i = 0; i < 8; i++)
        assert_int_equal(plugged.said[i].n, 40);
    rig_stop(&r);
}

/* ---- turns ---- */

/* When the one is done, the other is at most a step behind, whichever is looked at. */
static void test_two_models_take_turns(void **state)
{
    (void)state;
    struct rig r;
    rig_start(&r, &usual);
    for (int looked_at = 0; looked_at < 2; looked_at++) {
        struct job_request q = request(&r, 15, 1, 1);
        plug(&plugged, &q);
        uint64_t before = calls(&r, 1 - looked_at);
        for (size_t i = 0; i < 2; i++) {
            q = request(&r, i, 3, 200);
            q.model = &r.m[i]->served;
            ask(&others[i], &q);
        }
        unplug(&plugged);
        finish(&plugged);
        finish(&others[looked_at]);
        assert_true(calls(&r, 1 - looked_at) - before >= 199);
        finish(&others[1 - looked_at]);
    }
    rig_stop(&r);
}

static void test_a_stream_goes_on_in_every_step_beside_a_long_prompt(void **state)
{
    (void)state;
    struct rig r;
    struct engine_options o = usual;
    o.chunk = 16;
    rig_start(&r, &o);
    struct job_request q = request(&r, 0, 4, 3000);
    plug(&plugged, &q);
    q = request(&r, 1, 1600, 1);
    ask(&others[1], &q);
    uint64_t before = calls(&r, 0);
    unplug(&plugged);
    finish(&others[1]);
    uint64_t taken = calls(&r, 0) - before;
    assert_true(taken >= 100);
    take(&plugged);
    assert_true(plugged.said[0].n >= 100);
    job_cancel(plugged.j);
    finish(&plugged);
    rig_stop(&r);
}

static void test_a_short_prompt_does_not_wait_for_a_long_one(void **state)
{
    (void)state;
    struct rig r;
    struct engine_options o = usual;
    o.chunk = 16;
    rig_start(&r, &o);
    warm_up(&r);
    struct job_request q = request(&r, 15, 1, 1);
    plug(&plugged, &q);
    q = request(&r, 0, 2000, 1);
    ask(&others[0], &q);
    q = request(&r, 1, 32, 1);
    ask(&others[1], &q);
    uint64_t before = calls(&r, 0);
    unplug(&plugged);
    finish(&others[1]);
    assert_int_equal(others[1].calls_at_wake - before, 4); /* half of the rows are for the longer one */
    finish(&others[0]);
    assert_true(others[0].calls_at_wake - before <= 2000 / 16 + 2);
    finish(&plugged);
    rig_stop(&r);
}

/* ---- probabilities ---- */

static void test_the_score_of_a_prompt_is_what_its_tokens_had_when_they_were_drawn(void **state)
{
    (void)state;
    struct rig r;
    struct engine_options o = usual;
    o.chunk = 13;
    rig_start(&r, &o);
    struct job_request q = request(&r, 0, 50, 40);
    q.logprobs = true;
    q.n_top = 3;
    q.sampling.temperature = 0;
    ask_alone(&alone[0], &q);
    const struct said *s = &alone[0].said[0];
    assert_int_equal(s->n, 40);
    for (size_t i = 0; i < 40; i++)
        assert_int_equal(s->best[i], s->ids[i]);
    memcpy(prompts[0] + 50, s->ids, 40 * sizeof(int32_t));
    q = (struct job_request){
        .kind = JOB_SCORE, .model = &r.m[0]->served, .prompt = prompts[0], .n_prompt = 90, .n_choices = 1};
    ask_alone(&others[0], &q);
    const struct said *p = &others[0].prompt;
    assert_int_equal(p->n, 90);
    assert_int_equal(others[0].said[0].n, 0);
    assert_int_equal(others[0].said[0].finish, JOB_LENGTH);
    assert_true(isnan(p->logprobs[0]));
    assert_memory_equal(p->ids, prompts[0], 90 * sizeof(int32_t));
    assert_memory_equal(p->logprobs + 50, s->logprobs, 40 * sizeof(float));
    for (size_t i = 1; i < 50; i++)
        assert_true(p->logprobs[i] < 0);
    rig_stop(&r);
}

static void test_an_echoed_prompt_comes_before_the_answer_and_changes_nothing_of_it(void **state)
{
    (void)state;
    struct rig r;
    rig_start(&r, &usual);
    for (size_t n = 1; n < 200; n += 99) {
        struct job_request q = request(&r, 0, n, 10);
        ask_alone(&alone[0], &q);
        q.echo_logprobs = true;
        q.n_top = 2;
        q.n_choices = 2;
        ask_alone(&others[0], &q);
        assert_same(&others[0].said[0], &alone[0].said[0]);
        assert_int_equal(others[0].prompt.n, n);
        assert_int_equal(others[0].said[1].n, 10);
    }
    rig_stop(&r);
}

static void test_nothing_to_write_is_an_answer_of_no_tokens(void **state)
{
    (void)state;
    struct rig r;
    rig_start(&r, &usual);
    struct job_request q = request(&r, 0, 5, 0);
    q.n_choices = 3;
    ask_alone(&alone[0], &q);
    for (size_t i = 0; i < 3; i++) {
        assert_int_equal(alone[0].said[i].n, 0);
        assert_int_equal(alone[0].said[i].finish, JOB_LENGTH);
    }
    assert_int_equal(calls(&r, 0), 0);
    q.kind = JOB_SCORE;
    q.n_prompt = 1;
    ask_alone(&alone[0], &q);
    assert_int_equal(alone[0].prompt.n, 1);
    q.n_prompt = 5;
    ask_alone(&alone[0], &q);
    assert_int_equal(alone[0].prompt.n, 5);
    assert_int_equal(alone[0].said[2].finish, JOB_LENGTH);
    rig_stop(&r);
}

static void test_an_answer_ends_at_the_context_s_end(void **state)
{
    (void)state;
    struct rig r;
    rig_start(&r, &usual);
    r.m[0]->context = 200;
    struct job_request q = request(&r, 0, 195, 1000);
    ask_alone(&alone[0], &q);
    assert_int_equal(alone[0].said[0].n, 5);
    assert_int_equal(alone[0].said[0].finish, JOB_LENGTH);
    rig_stop(&r);
}

static void test_where_no_token_can_be_drawn_the_job_fails(void **state)
{
    (void)state;
    struct rig r;
    rig_start(&r, &usual);
    struct sampler_bias bias[TINY_VOCABULARY];
    for (int32_t i = 0; i < TINY_VOCABULARY; i++)
        bias[i] = (struct sampler_bias){i, -100};
    struct job_request q = request(&r, 0, 5, 10);
    q.sampling.bias = bias;
    q.sampling.n_bias = TINY_VOCABULARY;
    ask_alone(&alone[0], &q);
    assert_int_equal(
        alone[0].result, RESULT_BAD_REQUEST); /* whoever asks so is told; it is no fault of the server */
    assert_int_equal(alone[0].said[0].finish, JOB_FAILED);
    rig_stop(&r);
}

static void test_a_stop_token_ends_an_answer_and_is_not_told(void **state)
{
    (void)state;
    struct rig r;
    rig_start(&r, &usual);
    struct job_request q = request(&r, 0, 5, 30);
    ask_alone(&alone[0], &q);
    int32_t stop = alone[0].said[0].ids[12];
    size_t first = 0;
    while (alone[0].said[0].ids[first] != stop)
        first++;
    q.stop_tokens = &stop;
    q.n_stop_tokens = 1;
    ask_alone(&others[0], &q);
    assert_int_equal(others[0].said[0].n, first);
    assert_int_equal(others[0].said[0].finish, JOB_STOP);
    assert_memory_equal(others[0].said[0].ids, alone[0].said[0].ids, first * sizeof(int32_t));
    rig_stop(&r);
}

/* ---- text ---- */

/* A vocabulary for the tiny model: token i is "i ". */
static struct gguf *words(struct writer *w)
{
    struct error err = {0};
    char word[16];
    write_header(w, 3, 0, 4);
    write_pair_text(w, "tokenizer.ggml.model", "llama");
    write_pair_array(w, "tokenizer.ggml.tokens", GGUF_STRING, TINY_VOCABULARY);
    for (int i = 0; i < TINY_VOCABULARY; i++) {
        snprintf(word, sizeof(word), "%d ", i);
        write_text(w, word);
    }
    write_pair_array(w, "tokenizer.ggml.token_type", GGUF_I32, TINY_VOCABULARY);
    for (int i = 0; i < TINY_VOCABULARY; i++)
        write_u32(w, 4);
    write_pair_array(w, "tokenizer.ggml.scores", GGUF_F32, TINY_VOCABULARY);
    write_zeros(w, TINY_VOCABULARY * sizeof(float));
    return gguf_read(writer_done(w), &err);
}

static void test_text_comes_with_its_tokens_and_ends_at_a_stop_string(void **state)
{
    (void)state;
    struct rig r;
    struct writer w = {0};
    struct error err = {0};
    struct gguf *g = words(&w);
    rig_start(&r, &usual);
    r.m[0]->tokenizer = g ? tokenizer_new(&g->checkpoint, &err) : NULL;
    assert_non_null(r.m[0]->tokenizer);
    struct job_request q = request(&r, 0, 5, 20);
    q.text = true;
    q.echo_logprobs = true;
    ask_alone(&alone[0], &q);
    char wanted[400] = "", stop[40];
    size_t size = 0, cut = 0;
    const struct said *s = &alone[0].said[0];
    for (size_t i = 0; i < s->n; i++) {
        cut = i == 10 ? size : cut;
        size += (size_t)snprintf(wanted + size, sizeof(wanted) - size, "%d ", s->ids[i]);
    }
    assert_int_equal(s->n, 20);
    assert_string_equal(s->text, wanted);
    assert_int_equal(alone[0].prompt.n, 5);
    snprintf(stop, sizeof(stop), "%d %d %d", s->ids[10], s->ids[11], s->ids[12]);
    q.stops = (struct span[]){span_of("nowhere"), span_of(stop)};
    q.n_stops = 2;
    ask_alone(&others[0], &q);
    assert_int_equal(others[0].said[0].finish, JOB_STOP);
    assert_int_equal(others[0].said[0].n, 10);
    assert_int_equal(others[0].said[0].text_size, cut);
    assert_memory_equal(others[0].said[0].text, wanted, cut);
    assert_int_equal(others[0].usage.generated_tokens, 13);
    rig_stop(&r);
    gguf_free(g);
    writer_release(&w);
}

/* ---- models that are lost, engines that stop ---- */

static void test_a_file_that_changes_fails_its_model_and_no_other(void **state)
{
    (void)state;
    struct rig r;
    struct volume v;
    struct error err = {0};
    enum result result;
    void *scratch;
    scratch_setup(&scratch);
    rig_start(&r, &usual);
    scratch_bytes("m.gguf", r.tiny[0].w.at, r.tiny[0].w.size);
    assert_int_equal(volume_open(&v, "m.gguf", &err), VOLUME_OPEN);
    struct loaded file;
    assert_true(loaded_open(&file, &v, v.single, &err));
    struct served_model *m =
        served_model_open(r.e, &file, &(struct served_model_options){.no_tokenizer = true}, &err);
    assert_non_null(m);

    struct job_request q = request(&r, 0, 5, 1000);
    q.model = m;
    plug(&plugged, &q);
    ask(&others[1], &q);
    q = request(&r, 1, 5, 20);
    ask(&others[0], &q);
    assert_return_code(
        utimensat(AT_FDCWD, "m.gguf", (struct timespec[2]){{.tv_sec = 1}, {.tv_sec = 1}}, 0), 0);
    unplug(&plugged);
    finish(&plugged);
    finish(&others[0]);
    finish(&others[1]);
    assert_int_equal(plugged.result, RESULT_LOST);
    assert_int_equal(plugged.said[0].n, 1);
    assert_int_equal(plugged.said[0].finish, JOB_FAILED);
    assert_int_equal(others[1].result, RESULT_LOST);
    assert_non_null(strstr(plugged.why.text, "m.gguf"));
    assert_int_equal(others[0].said[0].n, 20);
    q = request(&r, 1, 5, 20);
    q.model = m;
    assert_false(try_ask(&others[2], &q, false, &result, &err));
    assert_int_equal(result, RESULT_LOST);
    served_model_close(m);
    loaded_close(&file);
    volume_close(&v);
    rig_stop(&r);
    scratch_teardown(&scratch);
}

static void test_an_engine_that_stops_fails_what_is_left(void **state)
{
    (void)state;
    struct rig r;
    struct engine_options o = usual;
    o.slots = 1;
    rig_start(&r, &o);
    struct job_request q = request(&r, 0, 5, 4000);
    ask(&others[0], &q);
    ask(&others[1], &q);
    sem_wait(&others[0].woken);
    engine_stop(r.e);
    for (size_t i = 0; i < 2; i++) {
        finish(&others[i]);
        assert_int_equal(others[i].result, RESULT_STOPPING);
        assert_int_equal(others[i].said[0].finish, JOB_FAILED);
    }
    assert_refused(&q, RESULT_STOPPING, "stopping");
    rig_stop(&r);
}

static void test_an_idle_engine_sleeps_and_a_busy_one_has_a_heartbeat(void **state)
{
    (void)state;
    struct rig r;
    rig_start(&r, &usual);
    struct job_request q = request(&r, 0, 5, 10);
    plug(&plugged, &q);
    wait_until(now() + 0.01);
    assert_true(engine_heartbeat_age(r.e) >= 0.01);
    unplug(&plugged);
    finish(&plugged);
    while (engine_heartbeat_age(r.e) > 0)
        sched_yield();
    struct timespec before, after;
    wait_until(now() + 0.01); /* the pool's members spin for a moment */
    clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &before);
    nanosleep(&(struct timespec){.tv_nsec = 200000000}, NULL);
    clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &after);
    double used = (double)(after.tv_sec - before.tv_sec) + (double)(after.tv_nsec - before.tv_nsec) * 1e-9;
    assert_true(used < 0.005);
    rig_stop(&r);
}

int main(int argc, char **argv)
{
    struct error err = {0};
    if (!isa_select("auto", &err))
        return 1;
    log_setup(LOG_ERROR, LOG_FORMAT_TEXT);
    alarm(PATIENCE);
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_eight_requests_together_take_the_calls_of_one),
        cmocka_unit_test(test_an_answer_is_the_same_alone_and_among_others),
        cmocka_unit_test(test_an_answer_does_not_depend_on_chunk_or_threads),
        cmocka_unit_test(test_an_answer_is_the_same_while_threads_come_and_go),
        cmocka_unit_test(test_threads_follow_the_processors_up_to_the_most_there_may_be),
        cmocka_unit_test(test_processors_are_not_looked_at_more_often_than_asked_nor_at_rest),
        cmocka_unit_test(test_usage_counts_what_was_read_and_written),
        cmocka_unit_test(test_an_answer_is_the_same_when_its_pages_were_taken_away),
        cmocka_unit_test(test_choices_are_the_same_when_their_pages_were_taken_away),
        cmocka_unit_test(test_an_answer_that_fills_the_memory_ends_there),
        cmocka_unit_test(test_two_models_share_the_memory),
        cmocka_unit_test(test_what_can_never_be_done_is_refused_at_once),
        cmocka_unit_test(test_a_full_queue_refuses_and_free_slots_are_no_queue),
        cmocka_unit_test(test_a_slot_is_free_when_its_job_is_heard_to_have_ended),
        cmocka_unit_test(test_who_waits_too_long_for_a_slot_fails_as_a_queue_timeout),
        cmocka_unit_test(test_a_job_that_takes_too_long_fails_as_a_timeout),
        cmocka_unit_test(test_timeouts_count_from_the_request_s_arrival),
        cmocka_unit_test(test_a_job_cancelled_in_the_queue_is_never_begun),
        cmocka_unit_test(test_a_job_cancelled_while_its_prompt_is_read_ends_within_a_step),
        cmocka_unit_test(test_a_job_cancelled_while_it_answers_says_no_more_and_frees_its_slot),
        cmocka_unit_test(test_a_released_job_wakes_nobody),
        cmocka_unit_test(test_choices_are_what_separate_requests_with_the_next_seeds_say),
        cmocka_unit_test(test_a_request_of_many_choices_lets_others_have_their_turn),
        cmocka_unit_test(test_two_models_take_turns),
        cmocka_unit_test(test_a_stream_goes_on_in_every_step_beside_a_long_prompt),
        cmocka_unit_test(test_a_short_prompt_does_not_wait_for_a_long_one),
        cmocka_unit_test(test_the_score_of_a_prompt_is_what_its_tokens_had_when_they_were_drawn),
        cmocka_unit_test(test_an_echoed_prompt_comes_before_the_answer_and_changes_nothing_of_it),
        cmocka_unit_test(test_nothing_to_write_is_an_answer_of_no_tokens),
        cmocka_unit_test(test_an_answer_ends_at_the_context_s_end),
        cmocka_unit_test(test_where_no_token_can_be_drawn_the_job_fails),
        cmocka_unit_test(test_a_stop_token_ends_an_answer_and_is_not_told),
        cmocka_unit_test(test_text_comes_with_its_tokens_and_ends_at_a_stop_string),
        cmocka_unit_test(test_a_file_that_changes_fails_its_model_and_no_other),
        cmocka_unit_test(test_an_engine_that_stops_fails_what_is_left),
        cmocka_unit_test(test_an_idle_engine_sleeps_and_a_busy_one_has_a_heartbeat),
    };
    cmocka_set_test_filter(argc > 1 ? argv[1] : NULL);
    return cmocka_run_group_tests(tests, NULL, NULL);
}
