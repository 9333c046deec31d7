/* served_model.h - a model that takes jobs, as catalog and dialects see it, whatever its kind.
 *
 * A kind of model is a row of operations (model_operations.h). The functions here choose the row for a loaded file
 * and call it, so the catalog opens, describes and closes models without knowing their kinds, and a dialect submits
 * jobs to any of them. text_model.h has what only models of text have.
 */
#ifndef BERTH_SERVED_MODEL_H
#define BERTH_SERVED_MODEL_H

#include "berth/engine/scheduler/job.h"
#include "berth/engine/scheduler/model_metrics.h"
#include "berth/engine/scheduler/pooling.h"
#include "berth/engine/scheduler/result.h"

struct chat_format;
struct engine;
struct loaded;
struct served_model;

enum served_kind {
    SERVED_GENERATE, /* text from text */
    SERVED_EMBED, /* vectors from text */
    SERVED_RERANK, /* scores from pairs of texts */
    SERVED_INFER, /* tensors from tensors */
    SERVED_KINDS
};

const char *served_kind_name(enum served_kind kind); /* "generate", "embed", … */

struct served_model_options {
    const char *id; /* borrowed, and must live as long as the model; NULL for none */
    bool as_float; /* multiply in float32 also where weights are quantized */
    /* Positions a sequence may have, where that is less than the model's; 0: the model's own. */
    size_t context;
    struct span chat_template; /* a template's source instead of the file's; .at NULL for none */
    const struct chat_format *chat_format; /* instead of what the template tells; NULL for none */
    enum pooling pooling; /* of a text's vector, instead of what the file says; POOLING_UNKNOWN for none */
    bool no_tokenizer; /* leave the tokenizer out: for callers that need ids alone */
};

bool served_model_fits(const struct loaded *l); /* some kind of model fits the file */

/* Opens a loaded file as a model of the kind that fits it. `l` must live longer than the model. NULL with the reason
 * when no kind fits or memory is short. A model that lacks a part opens all the same: see the description. */
struct served_model *served_model_open(
    struct engine *e, struct loaded *l, const struct served_model_options *o, struct error *err);

/* Waits, at most for the rest of a step, until the engine does not use the model any more, and frees it. All of its jobs
 * must have been released. NULL is fine. */
void served_model_close(struct served_model *m);

/* What a model can do. Pointers live as long as the model. */
struct served_description {
    enum served_kind kind;
    bool answers; /* it takes jobs of its kind */
    bool chats; /* it has a chat template, and can use it */
    enum pooling pooling; /* of a model that makes vectors; else POOLING_UNKNOWN */
    size_t n_embd; /* elements of its vectors; else 0 */
    size_t context; /* positions a sequence may have; 0 where there are no sequences */
    const char *kv_type; /* element type of cached keys and values; NULL without a cache */
    uint64_t kv_bytes_per_token; /* 0 without a cache */
    size_t kv_page_tokens; /* positions of a page of the cache; 0 without a cache */
    bool prefix_cache; /* prefixes of prompts are kept and shared */
    const struct error *lacks; /* the gravest part that is missing, and why; NULL when nothing is */
};
struct served_description served_model_describe(const struct served_model *m);

const struct model_metrics *served_model_metrics(const struct served_model *m);

/* Hands the job to the model that its request names. RESULT_OK: the job will end by itself, and is still to be
 * released by the caller. Otherwise the reason is in `err`, and the job never runs. */
enum result served_model_submit(struct job *j, struct error *err);

/* Marks the model as lost: its jobs fail with RESULT_LOST and this reason. The first reason stays. Any thread: the
 * engine calls it when it finds a file changed, and whoever watches files may. */
void served_model_lose(struct served_model *m, const struct error *reason);

#endif
