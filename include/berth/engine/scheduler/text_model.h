/* text_model.h - a mapped language model made ready to answer: tokenizer, chat template, decoder, cache.
 *
 * Each part may be missing, with a reason fit for a client: a model without a tokenizer still takes prompts of
 * token ids, one without a template still completes text, one whose architecture is not known answers nothing.
 * Read-only once made, but for the cache, which is the scheduler's.
 */
#ifndef BERTH_TEXT_MODEL_H
#define BERTH_TEXT_MODEL_H

#include "berth/engine/template/chat_template.h"
#include "berth/engine/model/decoder.h"
#include "berth/engine/scheduler/model_metrics.h"
#include "berth/engine/tokenizer/tokenizer.h"

struct engine;

struct text_model {
    struct loaded *loaded; /* of the model, not owned */
    const char *id; /* by which the log names it, not owned */
    struct tokenizer *tokenizer; /* NULL: no_tokenizer says why */
    struct error no_tokenizer;
    struct chat_template chat; /* parsed == NULL: no_chat says why */
    struct error no_chat;
    struct decoder *decoder; /* NULL: no_decoder says why; nothing can be answered then */
    struct error no_decoder;
    struct kv_cache *cache; /* NULL without a decoder */
    size_t context; /* positions a sequence may have: the model's, or less where options say so */
    struct model_metrics metrics;
    atomic_bool lost; /* its file changed under the map: jobs fail. See text_model_lose */
    atomic_bool losing;
    struct error lost_reason; /* before `lost` is set */
    struct engine *engine;
    void *scheduling; /* the scheduler's own; NULL without a decoder */
};

struct text_model_options {
    const char *id; /* lives as long as the model; NULL: it has none */
    bool as_float;
    size_t context; /* 0: the model's own */
    struct span chat_template; /* a template's source instead of the file's; .at NULL for none */
    bool no_tokenizer; /* leave it out: for tools that need ids alone */
};

/* Makes what can be made of a loaded GGUF model. NULL with the reason only when memory is short or `l` is no
 * GGUF; whatever else is wrong is a reason in a part. */
struct text_model *text_model_new(
    struct engine *e, struct loaded *l, const struct text_model_options *o, struct error *err);

/* No job of it may be left but such as were released. Waits, for the rest of a step, until the scheduler has let go
 * of them. NULL is fine. */
void text_model_free(struct text_model *m);

/* The ids of a prompt that the model's chat template made: special tokens where the template's author wrote them, and
 * the token that begins a text in front, once, where the file wants one. Needs a tokenizer. False with the reason. */
bool text_model_chat_ids(const struct text_model *m, const struct template_text *prompt,
    struct tokenizer_ids *ids, struct error *err);

/* Marks the model as lost; the first reason stays. From any thread: the scheduler calls it when it finds the file
 * changed, and whoever watches the files may. */
void text_model_lose(struct text_model *m, const struct error *reason);

#endif
