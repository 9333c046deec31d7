/* test_embed.c - vectors of texts: their numbers, and that nothing changes their bytes. */
#include "engine/scheduler/scheduler_private.h"

#include "berth/engine/scheduler/engine.h"
#include "berth/kernels/isa.h"
#include "berth/loaders/loader.h"

#include "tiny_encoder.h"
#include "tiny_model.h"

#include <sched.h>
#include <semaphore.h>
#include <setjmp.h>
#include <stddef.h>

#include <cmocka.h>

#define TEXTS 24
#define ROOMY ((uint64_t)1 << 30)

static const struct engine_options usual = {.threads = 2,
    .processors = 2,
    .kv_memory = ROOMY,
    .kv_type = ATTENTION_F16,
    .prefix_cache = true,
    .chunk = 64,
    .slots = 4,
    .queue = 16};

/* ---- an engine with one model ---- */

struct rig {
    struct engine *e;
    struct encoder encoder;
    struct tiny tiny;
    struct loaded loaded;
    struct served_model *m;
};

static void open_model(struct rig *r, const struct gguf *g, enum pooling pooling)
{
    struct error err = {0};
    const struct served_model_options o = {.no_tokenizer = true, .pooling = pooling};
    r->loaded = (struct loaded){.checkpoint = &g->checkpoint};
    r->m = served_model_open(r->e, &r->loaded, &o, &err);
    if (!r->m)
        fail_msg("%s", err.text);
}

static void start_engine(struct rig *r, const struct engine_options *o)
{
    struct error err = {0};
    memset(r, 0, sizeof(*r));
    r->e = engine_new(o, &err);
    if (!r->e)
        fail_msg("%s", err.text);
}

static void start(
    struct rig *r, const struct engine_options *o, const char *arch, int of_file, enum pooling pooling)
{
    struct error err = {0};
    start_engine(r, o);
    for (size_t i = 0; i < ENCODER_FORMS; i++)
        if (strcmp(encoder_forms[i].arch, arch) == 0)
            encoder_make(&r->encoder, &encoder_forms[i], of_file, &err);
    if (!r->encoder.gguf)
        fail_msg("%s: %s", arch, err.text);
    open_model(r, r->encoder.gguf, pooling);
}

/* A decoder whose tokens see what is before them. */
static void start_causal(struct rig *r, const struct engine_options *o, enum pooling pooling)
{
    struct error err = {0};
    start_engine(r, o);
    tiny_make(&r->tiny, "llama", NULL, &err);
    open_model(r, r->tiny.gguf, pooling);
}

static void stop(struct rig *r)
{
    const struct model_metrics *m = served_model_metrics(r->m);
    assert_int_equal(atomic_load(&m->running), 0);
    assert_int_equal(atomic_load(&m->queued), 0);
    served_model_close(r->m);
    assert_int_equal(atomic_load(&engine_budget(r->e)->used), 0);
    engine_stop(r->e);
    engine_free(r->e);
    if (r->encoder.gguf)
        encoder_release(&r->encoder);
    else
        tiny_release(&r->tiny);
}

/* ---- texts and jobs ---- */

/* Texts of 1 … tokens, all different. */
struct texts {
    int32_t ids[TEXTS * 700];
    uint32_t sizes[TEXTS];
    size_t n, tokens;
};

static void add_text(struct texts *t, size_t size, uint32_t seed)
{
    for (size_t i = 0; i < size; i++) {
        seed = seed * 1664525u + 1013904223u;
        t->ids[t->tokens + i] = (int32_t)((seed >> 8) % ENC_VOCABULARY);
    }
    t->sizes[t->n++] = (uint32_t)size;
    t->tokens += size;
}

static void fill_texts(struct texts *t, size_t n)
{
    static const size_t sizes[] = {5, 1, 40, 63, 64, 65, 2, 130, 17, 3, 200, 31};
    t->n = t->tokens = 0;
    for (size_t i = 0; i < n; i++)
        add_text(t, sizes[i % 12] + i / 12, (uint32_t)i + 1);
}

static void on_wake(void *context)
{
    sem_post(context);
}

struct asked {
    struct job *j;
    sem_t woken;
};

static enum result ask(
    struct rig *r, struct asked *a, const struct texts *t, size_t dimensions, struct error *err)
{
    const struct job_request q = {.kind = JOB_EMBED,
        .model = r->m,
        .prompt = t->ids,
        .n_prompt = t->tokens,
        .text_sizes = t->sizes,
        .n_texts = t->n,
        .dimensions = dimensions,
        .normalizes = true};
    sem_init(&a->woken, 0, 0);
    a->j = job_new(&q, on_wake, &a->woken);
    assert_non_null(a->j);
    return served_model_submit(a->j, err);
}

static enum result wait_for(struct asked *a)
{
    bool ended;
    struct error why = {0};
    for (job_take(a->j, &ended); !ended; job_take(a->j, &ended))
        sem_wait(&a->woken);
    return job_result(a->j, &why);
}

/* The vectors of the texts, [n][dimensions]. */
static float *embed(struct rig *r, const struct texts *t, size_t dimensions)
{
    struct asked a;
    struct error err = {0};
    if (ask(r, &a, t, dimensions, &err) != RESULT_OK)
        fail_msg("%s", err.text);
    assert_int_equal(wait_for(&a), RESULT_OK);
    float *out = malloc(t->n * dimensions * sizeof(*out));
    memcpy(out, job_vectors_of(a.j), t->n * dimensions * sizeof(*out));
    assert_int_equal(job_usage_of(a.j).prompt_done, t->tokens);
    job_release(a.j);
    return out;
}

/* ---- the numbers ---- */

/* What pooling makes of the reference's vectors. */
static void pool(enum pooling p, const double *x, size_t n, size_t dimensions, double *out)
{
    double length = 0;
    for (size_t i = 0; i < dimensions; i++) {
        double sum = 0, weights = 0, most = x[i];
        for (size_t t = 0; t < n; t++) {
            double weight = p == POOLING_WEIGHTED_MEAN ? (double)t + 1 : 1;
            sum += weight * x[t * ENC_WIDTH + i];
            weights += weight;
            most = fmax(most, x[t * ENC_WIDTH + i]);
        }
        out[i] = p == POOLING_CLS    ? x[i]
                 : p == POOLING_LAST ? x[(n - 1) * ENC_WIDTH + i]
                 : p == POOLING_MAX  ? most
                                     : sum / weights;
        length += out[i] * out[i];
    }
    for (size_t i = 0; i < dimensions; i++)
        out[i] /= sqrt(length);
}

static void check_texts(
    const struct rig *r, enum pooling p, const struct texts *t, const float *got, size_t dimensions)
{
    size_t at = 0;
    for (size_t i = 0; i < t->n; at += t->sizes[i++]) {
        double *x = malloc(t->sizes[i] * ENC_WIDTH * sizeof(*x)), wanted[ENC_WIDTH];
        encoder_run(&r->encoder, t->ids + at, t->sizes[i], x);
        pool(p, x, t->sizes[i], dimensions, wanted);
        free(x);
        for (size_t k = 0; k < dimensions; k++)
            if (!(fabs((double)got[i * dimensions + k] - wanted[k]) < 2e-5))
                fail_msg("%s, %s, text %zu of %u tokens, element %zu: %g instead of %g",
                    r->encoder.form->arch, pooling_name(p), i, t->sizes[i], k,
                    (double)got[i * dimensions + k], wanted[k]);
    }
}

static void test_every_architecture_gives_the_numbers_of_its_formulas(void **state)
{
    static struct texts t;
    (void)state;
    fill_texts(&t, 12);
    add_text(&t, 600, 99);
    for (size_t f = 0; f < ENCODER_FORMS; f++) {
        struct rig r;
        start(&r, &usual, encoder_forms[f].arch, 1, POOLING_UNKNOWN);
        float *got = embed(&r, &t, ENC_WIDTH);
        check_texts(&r, POOLING_MEAN, &t, got, ENC_WIDTH);
        free(got);
        stop(&r);
    }
}

static void test_every_pooling_and_fewer_dimensions(void **state)
{
    static struct texts t;
    (void)state;
    fill_texts(&t, 12);
    static const enum pooling all[] = {
        POOLING_MEAN, POOLING_CLS, POOLING_LAST, POOLING_WEIGHTED_MEAN, POOLING_MAX};
    for (size_t p = 0; p < 5; p++) {
        struct rig r;
        start(&r, &usual, "bert", p < 3 ? (int)p + 1 : -1, p < 3 ? POOLING_UNKNOWN : all[p]);
        assert_int_equal(served_model_describe(r.m).pooling, all[p]);
        float *got = embed(&r, &t, ENC_WIDTH), *few = embed(&r, &t, 7);
        check_texts(&r, all[p], &t, got, ENC_WIDTH);
        check_texts(&r, all[p], &t, few, 7);
        free(got);
        free(few);
        stop(&r);
    }
}

/* ---- the same bytes ---- */

/* Each text alone, by one thread in plain C. */
static float *embed_plainly(struct rig *r, const struct texts *all)
{
    static struct texts one;
    float *out = malloc(all->n * ENC_WIDTH * sizeof(*out));
    size_t at = 0;
    for (size_t i = 0; i < all->n; at += all->sizes[i++]) {
        one.n = 1;
        one.tokens = one.sizes[0] = all->sizes[i];
        memcpy(one.ids, all->ids + at, one.tokens * sizeof(one.ids[0]));
        float *vector = embed(r, &one, ENC_WIDTH);
        memcpy(out + i * ENC_WIDTH, vector, ENC_WIDTH * sizeof(*out));
        free(vector);
    }
    return out;
}

/* Each number of threads with one of the chunks, by turns. */
static void check_ways(
    bool causal, const struct texts *t, const float *expected, const char *set, unsigned turn)
{
    static const size_t chunks[] = {1, 50, 512};
    for (unsigned threads = 1; threads <= 3; threads++) {
        struct rig r;
        struct engine_options o = usual;
        o.threads = threads;
        o.chunk = chunks[(threads + turn) % 3];
        if (causal)
            start_causal(&r, &o, POOLING_MEAN);
        else
            start(&r, &o, "bert", 1, POOLING_UNKNOWN);
        float *got = embed(&r, t, ENC_WIDTH);
        if (memcmp(got, expected, t->n * ENC_WIDTH * sizeof(*got)) != 0)
            fail_msg("%s, %s, %u threads, chunks of %zu: other bytes", causal ? "causal" : "bert", set,
                threads, o.chunk);
        free(got);
        stop(&r);
    }
}

static void test_neighbours_threads_chunks_and_instructions_change_no_byte(void **state)
{
    static struct texts t;
    (void)state;
    fill_texts(&t, 12);
    for (int causal = 0; causal < 2; causal++) {
        struct rig r;
        struct error err = {0};
        struct engine_options o = usual;
        o.threads = 1;
        assert_true(isa_select("plain", &err));
        if (causal)
            start_causal(&r, &o, POOLING_MEAN);
        else
            start(&r, &o, "bert", 1, POOLING_UNKNOWN);
        float *expected = embed_plainly(&r, &t);
        stop(&r);
        for (enum isa set = ISA_PLAIN; set < ISA_SETS; set++)
            if (isa_has(set) && isa_select(isa_name(set), &err))
                check_ways(causal, &t, expected, isa_name(set), set);
        assert_true(isa_select("auto", &err));
        free(expected);
    }
}

/* ---- many jobs ---- */

static void test_jobs_share_steps_and_get_their_own_vectors(void **state)
{
    enum { JOBS = 9 };
    static struct texts t[JOBS];
    struct asked a[JOBS];
    struct error err = {0};
    struct rig r;
    (void)state;
    start(&r, &usual, "bert", 1, POOLING_UNKNOWN);
    float *expected[JOBS];
    for (int i = 0; i < JOBS; i++) {
        t[i].n = t[i].tokens = 0;
        for (uint32_t k = 0; k < 1 + (uint32_t)i; k++)
            add_text(&t[i], 3 + 7 * k + (k == 4 ? 200 : 0), 100 * (uint32_t)i + k);
        expected[i] = embed(&r, &t[i], ENC_WIDTH);
    }
    for (int i = 0; i < JOBS; i++)
        assert_int_equal(ask(&r, &a[i], &t[i], ENC_WIDTH, &err), RESULT_OK);
    for (int i = 0; i < JOBS; i++) {
        assert_int_equal(wait_for(&a[i]), RESULT_OK);
        assert_memory_equal(job_vectors_of(a[i].j), expected[i], t[i].n * ENC_WIDTH * sizeof(float));
        job_release(a[i].j);
        free(expected[i]);
    }
    stop(&r);
}

/* Stops the engine's thread in the wake of a job's end, so that all that comes meanwhile is in the queue. */
struct plug {
    struct asked asked;
    sem_t there, go;
};

static void on_plug(void *context)
{
    struct plug *p = context;
    sem_post(&p->there);
    sem_wait(&p->go);
}

static void plug_in(struct rig *r, struct plug *p)
{
    static struct texts t;
    struct error err = {0};
    t.n = t.tokens = 0;
    add_text(&t, 2, 1);
    const struct job_request q = {.kind = JOB_EMBED,
        .model = r->m,
        .prompt = t.ids,
        .n_prompt = 2,
        .text_sizes = t.sizes,
        .n_texts = 1,
        .dimensions = 1};
    sem_init(&p->there, 0, 0);
    sem_init(&p->go, 0, 0);
    p->asked.j = job_new(&q, on_plug, p);
    assert_int_equal(served_model_submit(p->asked.j, &err), RESULT_OK);
    sem_wait(&p->there);
}

static void pull_out(struct plug *p)
{
    sem_post(&p->go);
    job_release(p->asked.j);
}

static uint64_t calls(const struct rig *r)
{
    return atomic_load(&served_model_metrics(r->m)->forward_calls);
}

static uint64_t calls_at_end; /* of the short job */
static struct rig *watched;

static void on_short(void *context)
{
    calls_at_end = calls(watched);
    sem_post(context);
}

/* A job of many texts is ahead; one of a single text waits for the step that runs, at most. */
static void test_a_long_list_holds_a_short_text_for_no_step(void **state)
{
    static struct texts many, one;
    struct rig r;
    struct plug p;
    struct asked a, b;
    struct error err = {0};
    (void)state;
    start(&r, &usual, "bert", 1, POOLING_UNKNOWN);
    many.n = many.tokens = one.n = one.tokens = 0;
    for (uint32_t i = 0; i < TEXTS; i++)
        add_text(&many, 60, i);
    add_text(&one, 4, 77);
    plug_in(&r, &p);
    uint64_t before = calls(&r);
    assert_int_equal(ask(&r, &a, &many, ENC_WIDTH, &err), RESULT_OK);
    const struct job_request q = {.kind = JOB_EMBED,
        .model = r.m,
        .prompt = one.ids,
        .n_prompt = 4,
        .text_sizes = one.sizes,
        .n_texts = 1,
        .dimensions = ENC_WIDTH};
    watched = &r;
    sem_init(&b.woken, 0, 0);
    b.j = job_new(&q, on_short, &b.woken);
    assert_int_equal(served_model_submit(b.j, &err), RESULT_OK);
    pull_out(&p);
    assert_int_equal(wait_for(&b), RESULT_OK);
    assert_int_equal(wait_for(&a), RESULT_OK);
    assert_true(calls_at_end - before <= 2);
    assert_true(calls(&r) - before >= TEXTS / 2);
    job_release(a.j);
    job_release(b.j);
    stop(&r);
}

/* ---- how jobs end otherwise ---- */

static void test_the_queue_is_bounded_in_tokens(void **state)
{
    enum { LARGE = 640, JOBS = 1 + ((1 << 20) / (TEXTS * LARGE)) };
    static struct texts t;
    static struct asked a[JOBS];
    struct rig r;
    struct plug p;
    struct error err = {0};
    size_t taken = 0;
    (void)state;
    start(&r, &usual, "bert", 1, POOLING_UNKNOWN);
    t.n = t.tokens = 0;
    for (uint32_t i = 0; i < TEXTS; i++)
        add_text(&t, LARGE, i);
    plug_in(&r, &p);
    enum result result = RESULT_OK;
    while (taken < JOBS && (result = ask(&r, &a[taken], &t, 1, &err)) == RESULT_OK)
        taken++;
    assert_int_equal(result, RESULT_BUSY);
    assert_int_equal(taken, (1 << 20) / (TEXTS * LARGE));
    assert_non_null(strstr(err.text, "tokens of texts are waiting"));
    assert_int_equal(atomic_load(&served_model_metrics(r.m)->jobs_refused), 1);
    for (size_t i = 0; i < taken; i++)
        job_cancel(a[i].j);
    pull_out(&p);
    for (size_t i = 0; i < taken; i++) {
        assert_int_equal(wait_for(&a[i]), RESULT_CANCELLED);
        job_release(a[i].j);
    }
    job_release(a[taken].j);
    float *vectors = embed(&r, &(struct texts){.ids = {1, 2}, .sizes = {2}, .n = 1, .tokens = 2}, 3);
    free(vectors);
    stop(&r);
}

static void *stop_engine(void *context)
{
    engine_stop(context);
    return NULL;
}

static void test_jobs_of_a_lost_file_and_of_a_stopped_engine_fail(void **state)
{
    static struct texts t;
    struct error why = {.text = "its file has changed"}, err = {0};
    (void)state;
    fill_texts(&t, 12);
    for (int stopped = 0; stopped < 2; stopped++) {
        struct rig r;
        struct plug p;
        struct asked a;
        pthread_t stopper;
        start(&r, &usual, "bert", 1, POOLING_UNKNOWN);
        plug_in(&r, &p);
        assert_int_equal(ask(&r, &a, &t, 4, &err), RESULT_OK);
        if (stopped)
            assert_int_equal(pthread_create(&stopper, NULL, stop_engine, r.e), 0);
        else
            served_model_lose(r.m, &why);
        while (stopped && !atomic_load(&r.e->stopping))
            sched_yield();
        pull_out(&p);
        assert_int_equal(wait_for(&a), stopped ? RESULT_STOPPING : RESULT_LOST);
        if (stopped)
            pthread_join(stopper, NULL);
        job_release(a.j);
        stop(&r);
    }
}

static void test_a_job_that_takes_too_long_ends(void **state)
{
    static struct texts t;
    struct engine_options o = usual;
    struct error err = {0};
    struct asked a;
    struct rig r;
    (void)state;
    fill_texts(&t, 12);
    o.job_timeout = 1e-9;
    start(&r, &o, "bert", 1, POOLING_UNKNOWN);
    assert_int_equal(ask(&r, &a, &t, 4, &err), RESULT_OK);
    assert_int_equal(wait_for(&a), RESULT_TIMEOUT);
    job_release(a.j);
    stop(&r);
}

/* Room for one long text at a time, in parts: nobody waits for ever, and nothing is left. */
static void test_little_memory_for_keys_and_values(void **state)
{
    enum { JOBS = 5 };
    static struct texts t[JOBS];
    struct asked a[JOBS];
    struct error err = {0};
    struct rig r;
    (void)state;
    for (int causal = 0; causal < 2; causal++) {
        float *expected[JOBS];
        for (int limited = 0; limited < 2; limited++) {
            if (causal)
                start_causal(&r, &usual, POOLING_LAST);
            else
                start(&r, &usual, "bert", 1, POOLING_UNKNOWN);
            for (int i = 0; i < JOBS; i++) {
                t[i].n = t[i].tokens = 0;
                for (uint32_t k = 0; k < 3; k++)
                    add_text(&t[i], k == 1 ? 300 : 20, 10 * (uint32_t)i + k);
                if (!limited)
                    expected[i] = embed(&r, &t[i], 9);
            }
            if (limited) {
                const struct text_model *m = text_model_of(r.m);
                kv_budget_set_limit(engine_budget(r.e), kv_cache_least_bytes_for(m->cache, 300));
                for (int i = 0; i < JOBS; i++)
                    assert_int_equal(ask(&r, &a[i], &t[i], 9, &err), RESULT_OK);
                for (int i = 0; i < JOBS; i++) {
                    assert_int_equal(wait_for(&a[i]), RESULT_OK);
                    assert_memory_equal(job_vectors_of(a[i].j), expected[i], 3 * 9 * sizeof(float));
                    job_release(a[i].j);
                    free(expected[i]);
                }
                kv_budget_set_limit(engine_budget(r.e), kv_cache_least_bytes_for(m->cache, 64));
                assert_int_equal(ask(&r, &a[0], &t[0], 9, &err), RESULT_TOO_LONG);
                job_release(a[0].j);
            }
            stop(&r);
        }
    }
}

/* ---- what is refused ---- */

static void check_refused(struct rig *r, struct job_request q, enum result wanted, const char *words)
{
    struct error err = {0};
    q.model = r->m;
    struct job *j = job_new(&q, NULL, NULL);
    assert_int_equal(served_model_submit(j, &err), wanted);
    if (!strstr(err.text, words))
        fail_msg("\"%s\" has no \"%s\"", err.text, words);
    job_release(j);
}

static void test_requests_that_make_no_sense_are_refused(void **state)
{
    struct rig r;
    static int32_t ids[700];
    const uint32_t sizes[] = {2, 2}, empty[] = {4, 0}, large[] = {700};
    (void)state;
    start(&r, &usual, "bert", 1, POOLING_UNKNOWN);
    const struct job_request good = {
        .kind = JOB_EMBED, .prompt = ids, .n_prompt = 4, .text_sizes = sizes, .n_texts = 2, .dimensions = 64};
    struct job_request q = good;
    q.kind = JOB_GENERATE;
    check_refused(&r, q, RESULT_UNSUPPORTED, "makes vectors");
    q = good;
    q.dimensions = 65;
    check_refused(&r, q, RESULT_BAD_REQUEST, "64 dimensions");
    q = good;
    q.text_sizes = empty;
    check_refused(&r, q, RESULT_BAD_REQUEST, "text 1 has no tokens");
    q = good;
    q.n_prompt = 3;
    check_refused(&r, q, RESULT_BAD_REQUEST, "2 texts of 4 tokens, and 3");
    q = good;
    q.text_sizes = large;
    q.n_texts = 1;
    q.n_prompt = 700;
    check_refused(&r, q, RESULT_TOO_LONG, "text 0 has 700 tokens; the model's context is 640");
    q = good;
    ids[3] = ENC_VOCABULARY;
    check_refused(&r, q, RESULT_BAD_REQUEST, "token 96");
    ids[3] = 0;
    stop(&r);
}

static void test_a_pooling_that_nobody_tells_is_not_guessed(void **state)
{
    static const struct {
        int of_file;
        const char *words;
    } rows[] = {{-1, "does not tell"}, {0, "there is no pooling"}, {4, "reranker"}, {77, "does not tell"}};
    (void)state;
    for (size_t i = 0; i < 4; i++) {
        struct rig r;
        start(&r, &usual, "bert", rows[i].of_file, POOLING_UNKNOWN);
        struct served_description d = served_model_describe(r.m);
        assert_int_equal(d.kind, SERVED_EMBED);
        assert_false(d.answers);
        assert_non_null(strstr(d.lacks->text, rows[i].words));
        stop(&r);
        start(&r, &usual, "bert", rows[i].of_file, POOLING_CLS);
        assert_true(served_model_describe(r.m).answers);
        stop(&r);
    }
}

static void test_a_decoder_generates_unless_a_pooling_is_told(void **state)
{
    struct rig r;
    (void)state;
    start_causal(&r, &usual, POOLING_UNKNOWN);
    assert_int_equal(served_model_describe(r.m).kind, SERVED_GENERATE);
    const uint32_t size = 2;
    check_refused(&r,
        (struct job_request){.kind = JOB_EMBED,
            .prompt = (int32_t[]){1, 2},
            .n_prompt = 2,
            .text_sizes = &size,
            .n_texts = 1,
            .dimensions = 64},
        RESULT_BAD_REQUEST, "makes no vectors");
    stop(&r);
    start_causal(&r, &usual, POOLING_LAST);
    assert_int_equal(served_model_describe(r.m).kind, SERVED_EMBED);
    stop(&r);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_every_architecture_gives_the_numbers_of_its_formulas),
        cmocka_unit_test(test_every_pooling_and_fewer_dimensions),
        cmocka_unit_test(test_neighbours_threads_chunks_and_instructions_change_no_byte),
        cmocka_unit_test(test_jobs_share_steps_and_get_their_own_vectors),
        cmocka_unit_test(test_a_long_list_holds_a_short_text_for_no_step),
        cmocka_unit_test(test_the_queue_is_bounded_in_tokens),
        cmocka_unit_test(test_jobs_of_a_lost_file_and_of_a_stopped_engine_fail),
        cmocka_unit_test(test_a_job_that_takes_too_long_ends),
        cmocka_unit_test(test_little_memory_for_keys_and_values),
        cmocka_unit_test(test_requests_that_make_no_sense_are_refused),
        cmocka_unit_test(test_a_pooling_that_nobody_tells_is_not_guessed),
        cmocka_unit_test(test_a_decoder_generates_unless_a_pooling_is_told),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
