/* text_model_private.h - a text model's parts, for the scheduler. */
#ifndef BERTH_TEXT_MODEL_PRIVATE_H
#define BERTH_TEXT_MODEL_PRIVATE_H

#include "berth/engine/scheduler/model_operations.h"
#include "berth/engine/scheduler/text_model.h"

#include "berth/engine/model/decoder.h"

struct schedule;
struct kept_grammars;

struct text_model {
    struct served_model served; /* first: the two are cast into each other */
    struct tokenizer *tokenizer; /* NULL: it is missing */
    struct chat_template chat; /* parsed == NULL: it is missing */
    _Atomic(struct tokenizer_guard *) guard; /* of the template's marks; NULL until the first chat */
    const struct chat_format *chat_format;
    _Atomic(struct token_trie *) trie; /* NULL until the first answer with a grammar */
    struct kept_grammars *grammars;
    struct decoder *decoder; /* NULL: it is missing */
    struct error missing[TEXT_PARTS]; /* why, for each part that is */
    struct kv_cache *cache; /* the scheduler's; NULL without a decoder */
    size_t context; /* 0 without a decoder */
    struct sampler_options sampling; /* the defaults of requests */
    struct text_defaults defaults; /* the rest of them */
    enum pooling pooling; /* of a model that embeds */
    struct schedule *schedule; /* the scheduler's; NULL without a decoder */
};

/* text_model.c: what all kinds of text models share. As the operations of these names. */
struct served_model *text_model_open(const struct model_operations *operations, struct engine *e,
    struct loaded *l, const struct served_model_options *o, struct error *err);
void text_model_close(struct served_model *served);

/* embed_model.c: sets the pooling that the options or the file tell. False with the reason where neither does. */
bool embed_choose_pooling(struct text_model *m, const struct served_model_options *o, struct error *err);

/* sampling.c: the sampling settings of a file; where it has none, sampler_defaults. */
struct sampler_options sampling_of_checkpoint(const struct checkpoint *k);
struct text_defaults defaults_of_checkpoint(const struct checkpoint *k);

/* grammars.c: */
struct kept_grammars *kept_grammars_new(void); /* NULL without memory */
void kept_grammars_free(struct kept_grammars *k); /* NULL is fine */
const struct token_trie *text_model_trie(const struct text_model *m); /* which was made; NULL before */

/* engine.c: puts a job of this model into its queue. */
enum result engine_submit(struct engine *e, struct job *j, struct error *err);

#endif
