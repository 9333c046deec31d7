/* test_prefix.c - what has been read is not read again, and nobody sees it in an answer: forward rows are counted, and
 * answers compared with those of requests that keep away from the cache.
 *
 * `wake` runs on the scheduler's thread: a job that is asked with `held` keeps it still from its first token on, until
 * the test lets go.
 */
#include "berth/kernels/isa.h"

#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <setjmp.h>

#include <fcntl.h>
#include <sched.h>
#include <semaphore.h>
#include <sys/stat.h>
#include <unistd.h>

#include "scratch.h"

#include <cmocka.h>

#include "rig.h"

#define PATIENCE 1500 /* seconds after which the program has hung */
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

static uint64_t rows(const struct rig *r)
{
    return atomic_load(&r->m[0]->served.metrics.forward_rows);
}

static uint64_t pages(const struct rig *r, size_t n)
{
    return n * kv_cache_page_bytes(r->m[0]->cache);
}

/* ---- requests and what comes of them ---- */

static struct job_request request(const struct rig *r, const int32_t *ids, size_t n, size_t max_tokens)
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

static void on_wake(void *context)
{
    struct asked *a = context;
    sem_post(&a->woken);
    if (a->held)
        sem_wait(&a->let_go);
}

static void ask_held(struct asked *a, const struct job_request *q, bool held)
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

static void ask(struct asked *a, const struct job_request *q)
{
    ask_held(a, q, false);
}

static void let_go(struct asked *a)
{
    a->held = false;
    sem_post(&a->let_go);
}

static bool take(struct asked *a)
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

static void finish(struct asked *a)
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
static uint64_t ask_alone(struct rig *r, struct asked *a, const struct job_request *q)
{
    uint64_t before = rows(r);
    ask(a, q);
    finish(a);
    return rows(r) - before;
}

static void assert_same(const struct asked *a, const struct asked *b)
{
    assert_memory_equal(a->n, b->n, sizeof(a->n));
    assert_memory_equal(a->finish, b->finish, sizeof(a->finish));
    for (size_t i = 0; i < CHOICES; i++)
        assert_memory_equal(a->said[i], b->said[i], a->n[i] * sizeof(int32_t));
}

/* The request's answer without the cache. */
static void ask_without(struct rig *r, struct asked *a, struct job_request q)
{
    q.cache_prompt = false;
    ask_alone(r, a, &q);
    assert_int_equal(a->usage.cached_tokens, 0);
}

static struct asked wanted[24], got[24], first, other; /* large: not for the stack */
static int32_t text[MOST], another[MOST];

/* ---- what is read ---- */

static void test_a_shared_beginning_is_read_once_to_the_token(void **state)
{
    (void)state;
    struct rig r;
    rig_start(&r, &usual);
    fill(text, 1040, 1);
    struct job_request q = request(&r, text, 1040, 1);
    assert_int_equal(ask_alone(&r, &first, &q), 1040);
    assert_int_equal(first.usage.cached_tokens, 0);
    fill(text + 1000, 20, 2); /* they part inside a page */
    q = request(&r, text, 1020, 5);
    assert_int_equal(ask_alone(&r, &got[0], &q), 20 + 4);
    assert_int_equal(got[0].usage.cached_tokens, 1000);
    assert_int_equal(got[0].usage.prompt_tokens, 1020);
    assert_int_equal(got[0].usage.prompt_done, 1020);
    assert_int_equal(atomic_load(&r.m[0]->served.metrics.cached_tokens), 1000);
    assert_int_equal(atomic_load(&r.m[0]->served.metrics.prompt_tokens), 1040 + 20);
    ask_without(&r, &wanted[0], q);
    assert_same(&got[0], &wanted[0]);
    rig_stop(&r);
}

static void test_of_a_prompt_that_is_kept_whole_the_last_token_is_read(void **state)
{
    (void)state;
    static const size_t lengths[] = {1, 9, 63, 64, 65, 127, 128, 129, 200, 256};
    struct rig r;
    rig_start(&r, &usual);
    for (uint32_t i = 0; i < sizeof(lengths) / sizeof(*lengths); i++) {
        size_t n = lengths[i];
        fill(text, n, 10 + i);
        struct job_request q = request(&r, text, n, 12);
        assert_int_equal(ask_alone(&r, &first, &q), n + 11);
        /* 12 tokens were sampled and 11 of them read, so what is kept ends behind the prompt. */
        size_t cached = n > 1 + (n - 1) % 64 && (n - 1) % 64 < 8 ? n - 1 - (n - 1) % 64 : n > 8 ? n - 1 : 0;
        assert_int_equal(ask_alone(&r, &got[0], &q), n - cached + 11);
        assert_int_equal(got[0].usage.cached_tokens, cached);
        assert_same(&got[0], &first);
    }
    rig_stop(&r);
}

static void test_the_next_turn_of_a_chat_reads_what_is_new(void **state)
{
    (void)state;
    struct rig r;
    size_t n = 100;
    rig_start(&r, &usual);
    fill(text, n, 3);
    struct job_request q = request(&r, text, n, 90);
    ask_alone(&r, &first, &q);
    for (size_t turn = 0; turn < 4; turn++) {
        /* What was sampled last has not been read. */
        size_t known = n + 89;
        memcpy(text + n, first.said[0], 90 * sizeof(*text));
        n += 90;
        fill(text + n, 30, 20 + (uint32_t)turn);
        n += 30;
        q = request(&r, text, n, 90);
        assert_int_equal(ask_alone(&r, &first, &q), n - known + 89);
        assert_int_equal(first.usage.cached_tokens, known);
        ask_without(&r, &wanted[0], q);
        assert_same(&first, &wanted[0]);
    }
    /* The pages of all of that, and no second copy of any. */
    while (atomic_load(&r.m[0]->served.metrics.kv_bytes) != pages(&r, (n + 89 + 63) / 64))
        sched_yield();
    rig_stop(&r);
}

static void test_a_prompt_that_others_are_reading_is_read_once(void **state)
{
    (void)state;
    struct rig r;
    struct engine_options o = usual;
    o.chunk = 128;
    rig_start(&r, &o);
    fill(another, 1, 1);
    struct job_request q = request(&r, another, 1, 2);
    ask_held(&first, &q, true);
    uint64_t before = rows(&r);
    fill(text, 700, 4);
    for (size_t i = 0; i < 6; i++) { /* then each its own way */
        fill(another, 700, 4);
        fill(another + 640, 60, 50 + (uint32_t)i);
        q = request(&r, another, 700, 3);
        ask(&got[i], &q);
    }
    let_go(&first);
    finish(&first);
    for (size_t i = 0; i < 6; i++)
        finish(&got[i]);
    assert_int_equal(rows(&r) - before, 1 + 640 + 6 * (60 + 2));
    for (size_t i = 0; i < 6; i++) {
        assert_int_equal(got[i].usage.cached_tokens, i == 0 ? 0 : 640);
        fill(another, 700, 4);
        fill(another + 640, 60, 50 + (uint32_t)i);
        ask_without(&r, &wanted[i], request(&r, another, 700, 3));
        assert_same(&got[i], &wanted[i]);
    }
    rig_stop(&r);
}

static void test_choices_share_what_is_kept(void **state)
{
    (void)state;
    struct rig r;
    rig_start(&r, &usual);
    fill(text, 300, 5);
    struct job_request q = request(&r, text, 300, 20);
    q.n_choices = CHOICES;
    assert_int_equal(ask_alone(&r, &first, &q), 300 + 3 + 4 * 19);
    assert_int_equal(first.usage.cached_tokens, 0);
    assert_int_equal(ask_alone(&r, &got[0], &q), 1 + 3 + 4 * 19);
    assert_int_equal(got[0].usage.cached_tokens, 299);
    ask_without(&r, &wanted[0], q);
    assert_same(&first, &wanted[0]);
    assert_same(&got[0], &wanted[0]);
    rig_stop(&r);
}

/* ---- recurrent states ---- */

/* A model with a recurrent state goes on only where there is a state: behind what others have read to the end, or at a
 * checkpoint. */
static void test_a_recurrent_model_goes_on_where_a_state_is_kept(void **state)
{
    (void)state;
    struct rig r;
    rig_start(&r, &usual);
    size_t every = kv_cache_checkpoint_every(r.m[2]->cache);
    assert_int_equal(every, ATTENTION_BLOCK);
    static const struct {
        size_t same, n, cached;
    } steps[] = {
        {300, 350, 300}, {280, 330, 256}, {256, 257, 256}, {256, 256, 192}, {63, 200, 0}, {64, 200, 64}};
    for (size_t i = 0; i < sizeof(steps) / sizeof(*steps); i++) {
        fill(text, 300, 100 + (uint32_t)i);
        struct job_request q = request(&r, text, 300, 1);
        q.model = &r.m[2]->served;
        ask_alone(&r, &first, &q);
        assert_int_equal(first.usage.cached_tokens, 0);
        fill(text + steps[i].same, 350 - steps[i].same, 200 + (uint32_t)i);
        q = request(&r, text, steps[i].n, 30);
        q.model = &r.m[2]->served;
        ask_alone(&r, &got[0], &q);
        if (got[0].usage.cached_tokens != steps[i].cached)
            fail_msg("step %zu: %zu tokens were cached", i, got[0].usage.cached_tokens);
        ask_without(&r, &wanted[0], q);
        assert_same(&got[0], &wanted[0]);
    }
    rig_stop(&r);
}

static void test_choices_of_a_recurrent_model_begin_behind_the_prompt(void **state)
{
    (void)state;
    struct rig r;
    rig_start(&r, &usual);
    atomic_uint_fast64_t *counted = &r.m[2]->served.metrics.forward_rows;
    fill(text, 300, 5);
    struct job_request q = request(&r, text, 300, 20);
    q.model = &r.m[2]->served;
    q.n_choices = CHOICES;
    uint64_t before = atomic_load(counted);
    ask_without(&r, &wanted[0], q);
    assert_int_equal(atomic_load(counted) - before, 300 + 3 + 4 * 19);
    ask_alone(&r, &got[0], &q);
    assert_same(&got[0], &wanted[0]);
    q.n_choices = 1;
    for (size_t i = 0; i < CHOICES; i++, q.sampling.seed++) { /* each is what a request of its own says */
        ask_without(&r, &first, q);
        assert_int_equal(first.n[0], wanted[0].n[i]);
        assert_memory_equal(first.said[0], wanted[0].said[i], first.n[0] * sizeof(int32_t));
    }
    rig_stop(&r);
}

/* ---- who does without ---- */

static void test_without_cache_prompt_nothing_is_taken_and_nothing_kept(void **state)
{
    (void)state;
    struct rig r;
    rig_start(&r, &usual);
    fill(text, 220, 6);
    struct job_request q = request(&r, text, 220, 1), without = q;
    without.cache_prompt = false;
    assert_int_equal(ask_alone(&r, &got[0], &without), 220);
    assert_int_equal(ask_alone(&r, &got[1], &q), 220);
    assert_int_equal(ask_alone(&r, &got[2], &without), 220);
    assert_int_equal(ask_alone(&r, &got[3], &q), 1);
    rig_stop(&r);
    struct engine_options o = usual;
    o.prefix_cache = false;
    rig_start(&r, &o);
    q.model = &r.m[0]->served;
    assert_int_equal(ask_alone(&r, &got[0], &q), 220);
    assert_int_equal(ask_alone(&r, &got[0], &q), 220);
    while (atomic_load(&r.m[0]->served.metrics.kv_bytes) > 0)
        sched_yield();
    rig_stop(&r);
}

static void test_a_prompt_that_is_scored_is_read_whole(void **state)
{
    (void)state;
    struct rig r;
    rig_start(&r, &usual);
    fill(text, 200, 7);
    struct job_request q = request(&r, text, 200, 1);
    ask_alone(&r, &got[0], &q);
    q.echo_logprobs = true;
    assert_int_equal(ask_alone(&r, &got[0], &q), 200);
    q.kind = JOB_SCORE;
    assert_int_equal(ask_alone(&r, &got[0], &q), 199);
    q.kind = JOB_GENERATE;
    q.echo_logprobs = false;
    q.max_tokens = 0;
    assert_int_equal(ask_alone(&r, &got[0], &q), 0);
    assert_int_equal(got[0].finish[0], JOB_LENGTH);
    rig_stop(&r);
}

static void test_models_do_not_share(void **state)
{
    (void)state;
    struct rig r;
    rig_start(&r, &usual);
    fill(text, 220, 8);
    struct job_request q = request(&r, text, 220, 4);
    ask_alone(&r, &got[0], &q);
    q.model = &r.m[1]->served;
    ask_alone(&r, &got[0], &q);
    assert_int_equal(got[0].usage.cached_tokens, 0);
    ask_alone(&r, &got[1], &q);
    assert_int_equal(got[1].usage.cached_tokens, 219);
    assert_same(&got[0], &got[1]);
    rig_stop(&r);
}

/* ---- memory ---- */

static void test_the_oldest_is_dropped_first_and_nobody_is_preempted_for_what_is_kept(void **state)
{
    (void)state;
    struct rig r;
    rig_start(&r, &usual);
    engine_budget(r.e)->limit = pages(&r, 7);
    /* Prompts of 2 pages; one that is there needs a third, for a copy to write its last token in. */
    static const struct {
        uint32_t prompt;
        size_t cached;
    } steps[] = {{0, 0}, {1, 0}, {2, 0}, {0, 127}, {3, 0}, {0, 127}, {2, 127}, {1, 0}, {1, 127}, {3, 0}};
    for (size_t i = 0; i < sizeof(steps) / sizeof(*steps); i++) {
        fill(text, 128, 30 + steps[i].prompt);
        struct job_request q = request(&r, text, 128, 1);
        ask_alone(&r, &got[0], &q);
        if (got[0].usage.cached_tokens != steps[i].cached)
            fail_msg("step %zu: %zu tokens were cached", i, got[0].usage.cached_tokens);
        assert_true(atomic_load(&engine_budget(r.e)->used) <= pages(&r, 7));
    }
    assert_int_equal(atomic_load(&r.m[0]->served.metrics.preemptions), 0);
    /* One that wants all of the memory gets it. */
    fill(text, 384, 40);
    struct job_request q = request(&r, text, 384, 65);
    ask_alone(&r, &got[0], &q);
    assert_int_equal(got[0].n[0], 65);
    rig_stop(&r);
}

static void test_one_model_gives_its_pages_to_another(void **state)
{
    (void)state;
    struct rig r;
    rig_start(&r, &usual);
    uint64_t limit = 4 * kv_cache_page_bytes(r.m[1]->cache);
    engine_budget(r.e)->limit = limit;
    for (uint32_t i = 0; i < 8; i++) {
        fill(text, 200, 60 + i);
        struct job_request q = request(&r, text, 200, 30);
        q.model = &r.m[i % 2]->served;
        ask_alone(&r, &got[0], &q);
        assert_int_equal(got[0].result, RESULT_OK);
        assert_int_equal(got[0].n[0], 30);
        assert_true(atomic_load(&engine_budget(r.e)->used) <= limit);
    }
    assert_int_equal(atomic_load(&r.m[0]->served.metrics.preemptions), 0);
    rig_stop(&r);
}

static void test_what_is_kept_and_what_is_in_use_are_told_apart(void **state)
{
    (void)state;
    struct rig r;
    rig_start(&r, &usual);
    struct model_metrics *m = &r.m[0]->served.metrics;
    fill(text, 128, 9);
    struct job_request q = request(&r, text, 128, 1);
    ask_alone(&r, &got[0], &q);
    while (atomic_load(&m->kv_bytes) != pages(&r, 2) || atomic_load(&m->prefix_bytes) != pages(&r, 2))
        sched_yield();
    q = request(&r, text, 129, 300);
    ask_held(&got[0], &q, true);
    for (size_t i = 1; i < 3; i++)
        ask(&got[i], &q);
    ask(&other, &q);
    other.held = true; /* before it can be woken: until all have come nobody goes on, and none ends */
    let_go(&got[0]);
    sem_wait(&other.woken);
    /* Two pages for all of them together, and those of each beyond. */
    assert_true(atomic_load(&m->kv_bytes) <= pages(&r, 2 + 3 * 5));
    assert_int_equal(atomic_load(&m->prefix_bytes), 0);
    let_go(&other);
    for (size_t i = 0; i < 3; i++)
        finish(&got[i]);
    finish(&other);
    rig_stop(&r);
}

static void test_pages_that_are_shared_are_asked_for_once(void **state)
{
    (void)state;
    struct rig r;
    rig_start(&r, &usual);
    engine_budget(r.e)->limit = pages(&r, 10); /* eight for both, and one for each */
    fill(text, 516, 90);
    struct job_request q = request(&r, text, 516, 60);
    ask_held(&other, &q, true);
    uint64_t before = atomic_load(&r.m[0]->served.metrics.forward_calls);
    fill(another, 516, 90);
    fill(another + 512, 20, 91);
    q = request(&r, another, 532, 10);
    ask(&got[0], &q);
    let_go(&other);
    finish(&other);
    finish(&got[0]);
    assert_int_equal(got[0].usage.cached_tokens, 512);
    /* The second had no calls of its own: it need not wait for the first one's end. */
    assert_int_equal(atomic_load(&r.m[0]->served.metrics.forward_calls) - before, 59);
    assert_int_equal(atomic_load(&r.m[0]->served.metrics.preemptions), 0);
    rig_stop(&r);
}

/* ---- all of it together ---- */

struct mix {
    uint32_t seed;
    uint64_t memory; /* in pages, and two states; 0: all there is */
    bool cancels;
    int model;
    enum attention_type type;
};

static uint32_t dice(struct mix *m, uint32_t n)
{
    m->seed = m->seed * 1664525u + 1013904223u;
    return (m->seed >> 8) % n;
}

/* A prompt of pieces from a small stock, so that many begin alike and part anywhere. */
static size_t write_prompt(struct mix *m, int32_t *ids)
{
    size_t n = 0;
    for (uint32_t i = 0, parts = 1 + dice(m, 4); i < parts; i++) {
        uint32_t part = dice(m, 3);
        size_t size = 20 + 47 * part + 30 * i;
        fill(ids + n, size, 1000 + part + 3 * i);
        n += size;
    }
    return n - dice(m, 5);
}

static void run_mix(struct mix m)
{
    static int32_t prompts[24][MOST];
    struct job_request q[24];
    bool cancelled[24] = {false};
    struct rig r;
    struct engine_options o = usual;
    o.chunk = 48;
    o.slots = 5;
    o.threads = 1;
    o.kv_type = m.type;
    rig_start(&r, &o);
    if (m.memory > 0) /* some end when they fill it, and always at the same token */
        engine_budget(r.e)->limit = kv_cache_least_bytes_for(r.m[m.model]->cache, m.memory * ATTENTION_BLOCK);
    for (size_t i = 0; i < 24; i++) {
        q[i] = request(&r, prompts[i], write_prompt(&m, prompts[i]), 1 + dice(&m, 80));
        q[i].model = &r.m[m.model]->served;
        q[i].n_choices = 1 + (dice(&m, 4) == 0 ? dice(&m, CHOICES) : 0);
        q[i].sampling.seed = i;
        ask_without(&r, &wanted[i], q[i]);
    }
    uint64_t alone = atomic_load(&r.m[m.model]->served.metrics.forward_rows);
    for (size_t round = 0; round < 2; round++) {
        for (size_t i = 0; i < 24; i++) {
            ask(&got[i], &q[i]);
            cancelled[i] = m.cancels && dice(&m, 4) == 0;
            if (i >= 8 && cancelled[i - 8])
                job_cancel(got[i - 8].j);
        }
        for (size_t i = 0; i < 24; i++) {
            if (cancelled[i])
                job_cancel(got[i].j);
            finish(&got[i]);
            if (got[i].finish[0] != JOB_CANCELLED && !cancelled[i])
                assert_same(&got[i], &wanted[i]);
        }
    }
    assert_true(atomic_load(&r.m[m.model]->served.metrics.cached_tokens) > 0);
    if (m.memory == 0)
        assert_true(atomic_load(&r.m[m.model]->served.metrics.forward_rows) - alone < alone);
    else
        assert_true(atomic_load(&r.m[m.model]->served.metrics.preemptions) > 0);
    rig_stop(&r);
}

static void test_answers_are_the_same_bytes_with_the_cache(void **state)
{
    (void)state;
    run_mix((struct mix){.seed = 1});
    run_mix((struct mix){.seed = 2, .model = 1});
    run_mix((struct mix){.seed = 1, .type = ATTENTION_Q8_0});
    run_mix((struct mix){.seed = 3, .model = 2});
    run_mix((struct mix){.seed = 4, .model = 3});
}

static void test_answers_are_the_same_bytes_where_memory_is_short(void **state)
{
    (void)state;
    for (uint32_t i = 0; i < 4; i++)
        run_mix((struct mix){.seed = 3 + i, .memory = 10 + 2 * i, .model = (int)i % 2});
    run_mix((struct mix){.seed = 7, .memory = 12, .type = ATTENTION_Q8_0});
    for (uint32_t i = 0; i < 4; i++)
        run_mix((struct mix){.seed = 30 + i, .memory = 10 + 2 * i, .model = 2});
}

static void test_answers_are_the_same_bytes_while_others_leave(void **state)
{
    (void)state;
    for (uint32_t i = 0; i < 4; i++)
        run_mix(
            (struct mix){.seed = 20 + i, .memory = i % 2 ? 12 : 0, .cancels = true, .model = i < 2 ? 0 : 2});
}

/* ---- a model that is lost ---- */

static void test_a_lost_model_gives_back_what_it_kept(void **state)
{
    (void)state;
    struct rig r;
    struct volume v;
    struct error err = {0};
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
    fill(text, 128, 70);
    struct job_request q = request(&r, text, 128, 100);
    q.model = m;
    ask_alone(&r, &got[0], &q);
    assert_true(atomic_load(&engine_budget(r.e)->used) > 0);
    ask_held(&other, &q, true);
    assert_return_code(
        utimensat(AT_FDCWD, "m.gguf", (struct timespec[2]){{.tv_sec = 1}, {.tv_sec = 1}}, 0), 0);
    let_go(&other);
    finish(&other);
    assert_int_equal(other.result, RESULT_LOST);
    q.model = &r.m[0]->served; /* its turn comes when the other's step has ended */
    q.cache_prompt = false;
    ask_alone(&r, &got[1], &q);
    while (atomic_load(&engine_budget(r.e)->used) > 0)
        sched_yield();
    served_model_close(m);
    loaded_close(&file);
    volume_close(&v);
    rig_stop(&r);
    scratch_teardown(&scratch);
}

static void test_an_engine_that_stops_leaves_nothing(void **state)
{
    (void)state;
    struct rig r;
    rig_start(&r, &usual);
    fill(text, 500, 80);
    struct job_request q = request(&r, text, 500, 1);
    ask_alone(&r, &got[0], &q);
    q = request(&r, text, 400, 1500);
    ask(&got[0], &q);
    sem_wait(&got[0].woken);
    engine_stop(r.e);
    finish(&got[0]);
    assert_int_equal(got[0].result, RESULT_STOPPING);
    rig_stop(&r);
}

int main(int argc, char **argv)
{
    struct error err = {0};
    if (!isa_select("auto", &err))
        return 1;
    alarm(PATIENCE);
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_a_shared_beginning_is_read_once_to_the_token),
        cmocka_unit_test(test_of_a_prompt_that_is_kept_whole_the_last_token_is_read),
        cmocka_unit_test(test_the_next_turn_of_a_chat_reads_what_is_new),
        cmocka_unit_test(test_a_prompt_that_others_are_reading_is_read_once),
        cmocka_unit_test(test_choices_share_what_is_kept),
        cmocka_unit_test(test_a_recurrent_model_goes_on_where_a_state_is_kept),
        cmocka_unit_test(test_choices_of_a_recurrent_model_begin_behind_the_prompt),
        cmocka_unit_test(test_without_cache_prompt_nothing_is_taken_and_nothing_kept),
        cmocka_unit_test(test_a_prompt_that_is_scored_is_read_whole),
        cmocka_unit_test(test_models_do_not_share),
        cmocka_unit_test(test_the_oldest_is_dropped_first_and_nobody_is_preempted_for_what_is_kept),
        cmocka_unit_test(test_one_model_gives_its_pages_to_another),
        cmocka_unit_test(test_what_is_kept_and_what_is_in_use_are_told_apart),
        cmocka_unit_test(test_pages_that_are_shared_are_asked_for_once),
        cmocka_unit_test(test_answers_are_the_same_bytes_with_the_cache),
        cmocka_unit_test(test_answers_are_the_same_bytes_where_memory_is_short),
        cmocka_unit_test(test_answers_are_the_same_bytes_while_others_leave),
        cmocka_unit_test(test_a_lost_model_gives_back_what_it_kept),
        cmocka_unit_test(test_an_engine_that_stops_leaves_nothing),
    };
    cmocka_set_test_filter(argc > 1 ? argv[1] : NULL);
    return cmocka_run_group_tests(tests, NULL, NULL);
}
