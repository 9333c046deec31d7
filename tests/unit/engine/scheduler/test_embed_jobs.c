/* test_embed_jobs.c - jobs that make vectors: how they share steps, how they end, and what is refused. */
#include <pthread.h>
#include <sched.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

#include "embedding.h"

/* ---- many jobs ---- */

static void test_jobs_share_steps_and_get_their_own_vectors(void **state)
{
    enum { JOBS = 9 };
    static struct texts t[JOBS];
    struct asked a[JOBS];
    struct error err = {0};
    struct embed_rig r;
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

static void plug_in(struct embed_rig *r, struct plug *p)
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

static uint64_t calls(const struct embed_rig *r)
{
    return atomic_load(&served_model_metrics(r->m)->forward_calls);
}

static uint64_t calls_at_end; /* of the short job */
static struct embed_rig *watched;

static void on_short(void *context)
{
    calls_at_end = calls(watched);
    sem_post(context);
}

/* A job of many texts is ahead; one of a single text waits for the step that runs, at most. */
static void test_a_long_list_holds_a_short_text_for_no_step(void **state)
{
    static struct texts many, one;
    struct embed_rig r;
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
    struct embed_rig r;
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
        struct embed_rig r;
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
    struct embed_rig r;
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
    struct embed_rig r;
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
                kv_budget_set_limit(engine_budget(r.e), kv_cache_least_bytes_for(m->cache, 300, 300));
                for (int i = 0; i < JOBS; i++)
                    assert_int_equal(ask(&r, &a[i], &t[i], 9, &err), RESULT_OK);
                for (int i = 0; i < JOBS; i++) {
                    assert_int_equal(wait_for(&a[i]), RESULT_OK);
                    assert_memory_equal(job_vectors_of(a[i].j), expected[i], 3 * 9 * sizeof(float));
                    job_release(a[i].j);
                    free(expected[i]);
                }
                kv_budget_set_limit(engine_budget(r.e), kv_cache_least_bytes_for(m->cache, 64, 64));
                assert_int_equal(ask(&r, &a[0], &t[0], 9, &err), RESULT_TOO_LONG);
                job_release(a[0].j);
            }
            stop(&r);
        }
    }
}

/* ---- what is refused ---- */

static void check_refused(struct embed_rig *r, struct job_request q, enum result wanted, const char *words)
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
    struct embed_rig r;
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
        struct embed_rig r;
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
    struct embed_rig r;
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
