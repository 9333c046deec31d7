/* embedding.h - an engine with one model that makes vectors, texts for it, and jobs. Include it after cmocka.h.
 */
#ifndef BERTH_TESTS_EMBEDDING_H
#define BERTH_TESTS_EMBEDDING_H

#include "engine/scheduler/scheduler_private.h"

#include "berth/engine/scheduler/engine.h"
#include "berth/loaders/loader.h"

#include "tiny_encoder.h"
#include "tiny_model.h"

#include <semaphore.h>

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

struct embed_rig {
    struct engine *e;
    struct encoder encoder;
    struct tiny tiny;
    struct loaded loaded;
    struct served_model *m;
};

static inline void open_model(struct embed_rig *r, const struct gguf *g, enum pooling pooling)
{
    struct error err = {0};
    const struct served_model_options o = {.no_tokenizer = true, .pooling = pooling};
    r->loaded = (struct loaded){.checkpoint = &g->checkpoint};
    r->m = served_model_open(r->e, &r->loaded, &o, &err);
    if (!r->m)
        fail_msg("%s", err.text);
}

static inline void start_engine(struct embed_rig *r, const struct engine_options *o)
{
    struct error err = {0};
    memset(r, 0, sizeof(*r));
    r->e = engine_new(o, &err);
    if (!r->e)
        fail_msg("%s", err.text);
}

static inline void start(
    struct embed_rig *r, const struct engine_options *o, const char *arch, int of_file, enum pooling pooling)
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
static inline void start_causal(struct embed_rig *r, const struct engine_options *o, enum pooling pooling)
{
    struct error err = {0};
    start_engine(r, o);
    tiny_make(&r->tiny, "llama", NULL, &err);
    open_model(r, r->tiny.gguf, pooling);
}

static inline void stop(struct embed_rig *r)
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

static inline void add_text(struct texts *t, size_t size, uint32_t seed)
{
    for (size_t i = 0; i < size; i++) {
        seed = seed * 1664525u + 1013904223u;
        t->ids[t->tokens + i] = (int32_t)((seed >> 8) % ENC_VOCABULARY);
    }
    t->sizes[t->n++] = (uint32_t)size;
    t->tokens += size;
}

static inline void fill_texts(struct texts *t, size_t n)
{
    static const size_t sizes[] = {5, 1, 40, 63, 64, 65, 2, 130, 17, 3, 200, 31};
    t->n = t->tokens = 0;
    for (size_t i = 0; i < n; i++)
        add_text(t, sizes[i % 12] + i / 12, (uint32_t)i + 1);
}

static inline void on_wake(void *context)
{
    sem_post(context);
}

struct asked {
    struct job *j;
    sem_t woken;
};

static inline enum result ask(
    struct embed_rig *r, struct asked *a, const struct texts *t, size_t dimensions, struct error *err)
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

static inline enum result wait_for(struct asked *a)
{
    bool ended;
    struct error why = {0};
    for (job_take(a->j, &ended); !ended; job_take(a->j, &ended))
        sem_wait(&a->woken);
    return job_result(a->j, &why);
}

/* The vectors of the texts, [n][dimensions]. */
static inline float *embed(struct embed_rig *r, const struct texts *t, size_t dimensions)
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

#endif
