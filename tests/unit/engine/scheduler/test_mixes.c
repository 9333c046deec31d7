/* test_mixes.c - random mixes of requests through a real engine: each answer has the bits that the same request gets alone
 * in an engine of its own.
 *
 * A round is an engine with random options (threads, which may change during the round, chunk, slots, prefix cache,
 * kernels, memory so short that slots are preempted) and some requests that arrive one by one while others run. They have
 * common beginnings, several choices, scores and all kinds of sampling. Some are cancelled and some released early: their
 * pieces until then must be the beginning of their answer.
 *
 *     SEED=N      the first round's seed (default 1); round i has SEED + i, so that a failure can be repeated alone
 *     ROUNDS=N    how many (default 24)
 */
#include "berth/kernels/isa.h"
#include "berth/base/log.h"

#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <setjmp.h>

#include <semaphore.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "every.h"
#include "rig.h"

#define PATIENCE 1500 /* seconds after which a round has hung */
#define ROUNDS 24
#define REQUESTS_MOST 10
#define CHOICES_MOST 4
#define PROMPT_MOST 460
#define NEW_MOST 100
#define TOP_MOST 4
#define BASES 2

/* ---- random numbers ---- */

static uint64_t chance;

static uint32_t sample(uint32_t below)
{
    chance += 0x9e3779b97f4a7c15u;
    uint64_t z = chance;
    z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9u;
    z = (z ^ (z >> 27)) * 0x94d049bb133111ebu;
    return (uint32_t)(((z ^ (z >> 31)) >> 32) % below);
}

static bool one_in(uint32_t n)
{
    return sample(n) == 0;
}

/* ---- answers ---- */

struct mixed_piece {
    int32_t id;
    float logprob;
    struct sampler_logprob top[TOP_MOST];
};

struct mixed_answer {
    struct mixed_piece tokens[PROMPT_MOST + NEW_MOST];
    size_t n;
    enum job_finish finish;
};

struct answers {
    struct mixed_answer choices[CHOICES_MOST], prompt;
    enum result result;
    struct job_usage usage;
};

/* A request, its answer in the mix, and its answer alone. */
struct mixed_request {
    struct job_request params;
    int32_t prompt[PROMPT_MOST], stop;
    struct sampler_bias bias;
    int model;
    unsigned patience; /* wakes of any job after which it is cancelled; 0: never */
    bool let_go; /* rather than cancelled */
    struct job *job; /* NULL before it is submitted and after it is released */
    bool gone; /* released early: how it ended is unknown */
    struct answers mixed, alone;
};

static struct mixed_request all[REQUESTS_MOST]; /* large */
static int32_t bases[BASES][PROMPT_MOST];
static sem_t woken; /* by any job */

static void on_wake(void *context)
{
    (void)context;
    sem_post(&woken);
}

static void hear(const struct job_request *r, struct answers *a, const struct job_piece *p)
{
    struct mixed_answer *s = p->prompt ? &a->prompt : &a->choices[p->choice];
    assert_int_equal(s->finish, JOB_RUNNING);
    for (size_t i = 0; i < p->n_tokens; i++) {
        struct mixed_piece *t = &s->tokens[s->n++];
        t->id = p->tokens[i].id;
        t->logprob = p->tokens[i].logprob;
        for (uint32_t k = 0; p->tokens[i].top && k < r->n_top; k++)
            t->top[k] = p->tokens[i].top[k];
    }
    s->finish = p->finish;
}

static bool take(struct job *j, struct answers *a)
{
    bool ended;
    for (struct job_piece *p = job_take(j, &ended), *next; p; p = next) {
        next = p->next;
        hear(job_request_of(j), a, p);
        job_piece_free(p);
    }
    return ended;
}

static void settle(struct job *j, struct answers *a)
{
    struct error why;
    a->result = job_result(j, &why);
    a->usage = job_usage_of(j);
    job_release(j);
}

static struct job *submit(struct rig *r, struct mixed_request *q)
{
    enum result result;
    struct error err = {0};
    q->params.model = &r->m[q->model]->served;
    struct job *j = job_new(&q->params, on_wake, NULL);
    assert_non_null(j);
    if ((result = served_model_submit(j, &err)) != RESULT_OK)
        fail_msg("%u: %s", result, err.text);
    return j;
}

/* ---- requests ---- */

static struct sampler_options draw_sampling(struct mixed_request *q)
{
    static const float temperatures[] = {0, 0.7f, 1, 1, 2};
    struct sampler_options s = {.temperature = temperatures[sample(5)],
        .top_p = one_in(3) ? 0.9f : 1,
        .top_k = one_in(4) ? 1 + sample(40) : 0,
        .min_p = one_in(5) ? 0.02f : 0,
        .typical_p = one_in(6) ? 0.8f : 1,
        .repetition_penalty = one_in(3) ? 1.3f : 1,
        .frequency_penalty = one_in(5) ? 0.4f : 0,
        .seed = sample(1000)};
    if (one_in(5)) {
        q->bias = (struct sampler_bias){(int32_t)sample(TINY_VOCABULARY), one_in(2) ? -100 : 3};
        s.bias = &q->bias;
        s.n_bias = 1;
    }
    return s;
}

/* A part of a text that other prompts share, often whole pages of it, and mostly some tokens of its own. */
static size_t draw_prompt(int32_t *out)
{
    size_t n = one_in(6) ? 0 : sample(3) == 0 ? ATTENTION_BLOCK * (1 + sample(5)) : sample(400);
    size_t own = one_in(4) && n > 0 ? 0 : 1 + sample(50);
    memcpy(out, bases[sample(BASES)], n * sizeof(*out));
    fill(out + n, own, sample(UINT32_MAX));
    return n + own;
}

static void draw_request(struct mixed_request *q)
{
    memset(q, 0, sizeof(*q));
    q->model = one_in(3) ? 1 : (int)sample(RIG_MODELS);
    q->stop = (int32_t)sample(TINY_VOCABULARY);
    q->params = (struct job_request){.kind = one_in(8) ? JOB_SCORE : JOB_GENERATE,
        .prompt = q->prompt,
        .n_prompt = draw_prompt(q->prompt),
        .n_choices = one_in(3) ? 2 + sample(CHOICES_MOST - 1) : 1,
        .max_tokens = one_in(12) ? sample(2) : 1 + sample(NEW_MOST - 1),
        .sampling = draw_sampling(q),
        .logprobs = !one_in(4),
        .echo_logprobs = one_in(6),
        .stop_tokens = &q->stop,
        .n_stop_tokens = one_in(4),
        .cache_prompt = !one_in(5)};
    q->params.n_top = q->params.logprobs ? sample(TOP_MOST + 1) : 0;
    q->patience = one_in(5) ? 1 + sample(60) : 0;
    q->let_go = one_in(3);
}

/* ---- the engine ---- */

struct restless {
    uint64_t asked, seed;
    unsigned changes, last;
};

/* Changes the number of processors from time to time. */
static unsigned processors_now(struct limits_watch *context, char from[LIMITS_FROM])
{
    struct restless *r = (struct restless *)(void *)context;
    snprintf(from, LIMITS_FROM, "the test");
    uint64_t bits = (r->asked++ / 3 + r->seed) * 0x9e3779b97f4a7c15u;
    unsigned n = 1 + (unsigned)(bits >> 61) % 4;
    r->changes += n != r->last;
    r->last = n;
    return n;
}

static struct engine_options draw_options(struct restless *restless)
{
    static const size_t chunks[] = {1, 5, 16, 64, 64, 100, 256, 1000};
    struct engine_options o = {.threads = 1 + sample(4),
        .processors = 1 + sample(4),
        .kv_memory = (uint64_t)1 << 30,
        .kv_type = one_in(3) ? ATTENTION_F32 : ATTENTION_F16,
        .prefix_cache = !one_in(3),
        .chunk = chunks[sample(8)],
        .slots = 1 + sample(8),
        .queue = REQUESTS_MOST};
    *restless = (struct restless){.seed = sample(UINT32_MAX)};
    if (one_in(2)) {
        o.processors_now = processors_now;
        o.watch = (struct limits_watch *)(void *)restless;
    }
    return o;
}

/* Room for the largest answer, which must not end for lack of memory, and for a few pages more. */
static uint64_t short_memory(const struct rig *r, size_t n)
{
    uint64_t most = 0;
    for (size_t i = 0; i < n; i++) {
        size_t positions = all[i].params.n_prompt + all[i].params.max_tokens + 1;
        size_t whole = (positions / ATTENTION_BLOCK + 1) * ATTENTION_BLOCK;
        uint64_t bytes = kv_cache_bytes_for(r->m[all[i].model]->cache, whole, whole);
        most = bytes > most ? bytes : most;
    }
    return most + sample(3) * kv_cache_page_bytes(r->m[1]->cache);
}

/* ---- a round ---- */

static struct coverage {
    uint64_t requests, compared, cancelled, preempted, cached, thread_changes;
} seen;

/* Takes all pieces that there are, and cancels or releases some jobs. */
static size_t attend(size_t n)
{
    size_t running = 0;
    for (size_t i = 0; i < n; i++) {
        struct mixed_request *q = &all[i];
        if (!q->job)
            continue;
        if (take(q->job, &q->mixed)) {
            settle(q->job, &q->mixed);
            q->job = NULL;
            continue;
        }
        if (q->patience > 0 && --q->patience == 0) {
            job_cancel(q->job);
            if (q->let_go) {
                job_release(q->job);
                q->job = NULL;
                q->gone = true;
                continue;
            }
        }
        running++;
    }
    return running;
}

static void mix(struct rig *r, size_t n)
{
    size_t submitted = 0;
    for (size_t running = 0; submitted < n || running > 0; running = attend(submitted)) {
        if (submitted < n && (running == 0 || one_in(2))) {
            all[submitted].job = submit(r, &all[submitted]);
            submitted++;
        } else {
            sem_wait(&woken);
        }
    }
    for (size_t i = 0; i < n; i++) /* also those that were released, whose end wakes nothing */
        while (atomic_load(&served_model_metrics(all[i].params.model)->running) +
                   atomic_load(&served_model_metrics(all[i].params.model)->queued) >
               0)
            usleep(100);
}

static void count_coverage(const struct rig *r, size_t n, const struct restless *restless)
{
    seen.requests += n;
    seen.thread_changes += restless->changes;
    for (int i = 0; i < RIG_MODELS; i++) {
        seen.preempted += atomic_load(&r->m[i]->served.metrics.preemptions);
        seen.cached += atomic_load(&r->m[i]->served.metrics.cached_tokens);
        seen.cancelled += atomic_load(&r->m[i]->served.metrics.jobs_ended[JOB_CANCELLED]);
    }
}

static void ask_alone(struct mixed_request *q, enum attention_type kv_type)
{
    struct rig r;
    const struct engine_options o = {.threads = 1,
        .processors = 1,
        .kv_memory = (uint64_t)1 << 30,
        .kv_type = kv_type,
        .chunk = 128,
        .slots = 1};
    rig_start(&r, &o);
    struct job *j = submit(&r, q);
    while (!take(j, &q->alone))
        sem_wait(&woken);
    settle(j, &q->alone);
    rig_stop(&r);
}

/* The whole answer, or its beginning when the request was cancelled. */
static void compare(
    const struct mixed_answer *mixed, const struct mixed_answer *alone, bool whole, const char *what)
{
    if (whole && (mixed->n != alone->n || mixed->finish != alone->finish))
        fail_msg("%s: %zu tokens and finish %d, alone %zu and %d", what, mixed->n, mixed->finish, alone->n,
            alone->finish);
    if (mixed->n > alone->n)
        fail_msg("%s: %zu tokens, alone %zu", what, mixed->n, alone->n);
    for (size_t i = 0; i < mixed->n; i++)
        if (memcmp(&mixed->tokens[i], &alone->tokens[i], sizeof(mixed->tokens[i])) != 0)
            fail_msg("%s: token %zu is %d (%a), alone %d (%a)", what, i, mixed->tokens[i].id,
                (double)mixed->tokens[i].logprob, alone->tokens[i].id, (double)alone->tokens[i].logprob);
}

static void check(struct mixed_request *q, size_t number, uint64_t seed, enum attention_type kv_type)
{
    char what[96];
    ask_alone(q, kv_type);
    bool whole = !q->gone;
    for (uint32_t i = 0; i < q->params.n_choices; i++)
        whole = whole && q->mixed.choices[i].finish != JOB_CANCELLED;
    for (uint32_t i = 0; i <= q->params.n_choices; i++) {
        bool prompt = i == q->params.n_choices;
        snprintf(what, sizeof(what), "SEED=%llu: request %zu, %s %u", (unsigned long long)seed, number,
            prompt ? "the prompt of model" : "choice", prompt ? (unsigned)q->model : i);
        compare(prompt ? &q->mixed.prompt : &q->mixed.choices[i],
            prompt ? &q->alone.prompt : &q->alone.choices[i], whole, what);
    }
    if (!whole)
        return;
    seen.compared++;
    assert_int_equal(q->mixed.result, q->alone.result);
    assert_int_equal(q->mixed.usage.generated_tokens, q->alone.usage.generated_tokens);
    assert_int_equal(q->mixed.usage.prompt_done, q->alone.usage.prompt_done);
}

/* The instruction sets of the machine take turns by the number of the round. */
static void select_kernels(uint64_t number)
{
    enum isa sets[ISA_SETS];
    struct error err = {0};
    size_t n = 0;
    for (int i = 0; i < ISA_SETS; i++)
        if (isa_has((enum isa)i))
            sets[n++] = (enum isa)i;
    if (!isa_select(isa_name(sets[number % n]), &err))
        fail_msg("%s", err.text);
}

static void play_round(uint64_t seed)
{
    struct rig r;
    struct restless restless;
    struct error err = {0};
    chance = seed * 0x2545f4914f6cdd1du;
    for (size_t i = 0; i < BASES; i++)
        fill(bases[i], PROMPT_MOST, sample(UINT32_MAX));
    struct engine_options o = draw_options(&restless);
    size_t n = 3 + sample(REQUESTS_MOST - 2);
    for (size_t i = 0; i < n; i++)
        draw_request(&all[i]);
    select_kernels(seed);
    rig_start(&r, &o);
    if (one_in(2))
        engine_budget(r.e)->limit = short_memory(&r, n);
    mix(&r, n);
    count_coverage(&r, n, &restless);
    rig_stop(&r);
    if (!isa_select("auto", &err))
        fail_msg("%s", err.text);
    for (size_t i = 0; i < n; i++)
        check(&all[i], i, seed, o.kv_type);
}

static uint64_t number_from(const char *name, uint64_t otherwise)
{
    const char *text = getenv(name);
    return text ? strtoull(text, NULL, 10) : otherwise;
}

static void test_every_answer_in_a_mix_is_what_it_is_alone(void **state)
{
    (void)state;
    uint64_t seed = number_from("SEED", 1), rounds = number_from("ROUNDS", (ROUNDS + every() - 1) / every());
    sem_init(&woken, 0, 0);
    print_message("SEED=%llu ROUNDS=%llu\n", (unsigned long long)seed, (unsigned long long)rounds);
    for (uint64_t i = 0; i < rounds; i++) {
        alarm(PATIENCE);
        play_round(seed + i);
    }
    sem_destroy(&woken);
    print_message(
        "%llu requests, %llu compared whole, %llu cancelled; %llu times pages were taken away, %llu tokens "
        "came from the cache, threads changed %llu times\n",
        (unsigned long long)seen.requests, (unsigned long long)seen.compared,
        (unsigned long long)seen.cancelled, (unsigned long long)seen.preempted,
        (unsigned long long)seen.cached, (unsigned long long)seen.thread_changes);
    if (rounds < ROUNDS)
        return;
    /* The rounds must have covered all of this. */
    assert_true(seen.compared > seen.requests / 2);
    assert_true(seen.cancelled > 0 && seen.preempted > 0 && seen.cached > 0 && seen.thread_changes > 0);
}

int main(void)
{
    log_setup(LOG_ERROR, LOG_FORMAT_TEXT);
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_every_answer_in_a_mix_is_what_it_is_alone),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
