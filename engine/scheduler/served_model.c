/* served_model.c - the table of the kinds of models, and the calls that go to a model's row. */
#include "berth/engine/scheduler/model_operations.h"

#include <stddef.h>

static const struct model_operations *const kinds[] = {&text_embedding, &text_generation};

static const char *const names[SERVED_KINDS] = {
    [SERVED_GENERATE] = "generate",
    [SERVED_EMBED] = "embed",
    [SERVED_RERANK] = "rerank",
    [SERVED_INFER] = "infer",
};

const char *served_kind_name(enum served_kind kind)
{
    return names[kind];
}

static const struct model_operations *kind_of(const struct loaded *l, const struct served_model_options *o)
{
    for (size_t i = 0; i < sizeof(kinds) / sizeof(kinds[0]); i++)
        if (kinds[i]->claims(l, o))
            return kinds[i];
    return NULL;
}

bool served_model_fits(const struct loaded *l)
{
    return kind_of(l, &(struct served_model_options){0}) != NULL;
}

struct served_model *served_model_open(
    struct engine *e, struct loaded *l, const struct served_model_options *o, struct error *err)
{
    const struct model_operations *kind = kind_of(l, o);
    if (kind)
        return kind->open(e, l, o, err);
    error_set(err, "the file is no language model in a format that berth can run");
    return NULL;
}

void served_model_close(struct served_model *m)
{
    if (m)
        m->operations->close(m);
}

struct served_description served_model_describe(const struct served_model *m)
{
    struct served_description d = {.kind = m->operations->kind};
    m->operations->describe(m, &d);
    return d;
}

const struct model_metrics *served_model_metrics(const struct served_model *m)
{
    return &m->metrics;
}

enum result served_model_submit(struct job *j, struct error *err)
{
    struct served_model *m = job_request_of(j)->model;
    if (!served_model_is_lost(m))
        return m->operations->submit(m, j, err);
    *err = m->lost_reason;
    return RESULT_LOST;
}

void served_model_init(struct served_model *m, const struct model_operations *operations, struct engine *e,
    struct loaded *l, const struct served_model_options *o)
{
    m->operations = operations;
    m->engine = e;
    m->loaded = l;
    m->id = o->id ? o->id : "";
}

bool served_model_is_lost(const struct served_model *m)
{
    return atomic_load_explicit(&m->lost, memory_order_acquire);
}

void served_model_lose(struct served_model *m, const struct error *reason)
{
    if (atomic_exchange(&m->losing, true))
        return;
    m->lost_reason = *reason;
    atomic_store_explicit(&m->lost, true, memory_order_release);
}
