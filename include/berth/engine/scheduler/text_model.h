/* text_model.h - what a model of text has beside jobs: a tokenizer, a chat template, a context.
 *
 * Each part may be missing, with a reason for the client: a model without a tokenizer still takes prompts of token
 * ids, one without a chat template still completes text, and one whose architecture is not supported answers nothing.
 * A text model is a served model. It does not change once it is open, so all functions may be called from any thread.
 */
#ifndef BERTH_TEXT_MODEL_H
#define BERTH_TEXT_MODEL_H

#include "berth/engine/chat/chat_format.h"
#include "berth/engine/scheduler/served_model.h"
#include "berth/engine/template/chat_template.h"
#include "berth/engine/tokenizer/tokenizer.h"

struct text_model;

/* The same model as a text model; NULL when it is of another kind, or NULL itself. */
struct text_model *text_model_of(struct served_model *m);
struct served_model *text_model_served(struct text_model *m);

enum text_part {
    TEXT_DECODER, /* without it nothing can be answered */
    TEXT_TOKENIZER,
    TEXT_CHAT,
    TEXT_PARTS
};

/* Why a part is missing; NULL when it is there. */
const struct error *text_model_lacks(const struct text_model *m, enum text_part part);

const struct tokenizer *text_model_tokenizer(const struct text_model *m); /* NULL when it is missing */
const struct chat_template *text_model_chat(const struct text_model *m); /* NULL when it is missing */

/* The sampling settings of a request that sets none: general.sampling.* of the file, else sampler_defaults. Without
 * biases, and with seed 0. */
const struct sampler_options *text_model_sampling(const struct text_model *m);

#define TEXT_STOPS_MAX 16
#define TEXT_STOP_BYTES 1024

/* What else requests leave open and the model's manifest says (loaded_open_manifest). Spans live as long as the model. */
struct text_defaults {
    struct span system; /* the first message of a chat that begins with none of the system; empty: none */
    struct span other_template; /* what kind of chat template the model has that is not run: "Go template" */
    struct span stops[TEXT_STOPS_MAX]; /* of a request without stops */
    size_t n_stops;
    size_t max_tokens; /* of a request without a limit; 0: none */
    uint64_t seed; /* of a request without a seed, where `seeded` */
    bool seeded;
};
const struct text_defaults *text_model_defaults(const struct text_model *m);

/* How the model's family writes reasoning and calls of tools, by its template. Never NULL. */
const struct chat_format *text_model_chat_format(const struct text_model *m);

/* The vocabulary, for grammars; made by the first thread that asks. NULL with the reason; needs a tokenizer. */
const struct token_trie *text_model_vocabulary(struct text_model *m, struct error *err);

/* Grammars that were made lately for this model, by what they were made from, so that the turns of a chat make each one
 * once. Find returns a reference, or NULL, and the notes of that time; keep takes its own reference. */
struct grammar *text_model_find_grammar(struct text_model *m, struct span source, struct json_notes *notes);
void text_model_keep_grammar(
    struct text_model *m, struct span source, struct grammar *g, const struct json_notes *notes);

/* All 0 without a decoder. */
size_t text_model_context(const struct text_model *m); /* positions a sequence may have */
size_t text_model_n_embd(const struct text_model *m); /* elements of a token's vector */
size_t text_model_n_vocab(const struct text_model *m); /* token ids are below this */

/* Appends the ids of a prompt that the model's chat template made. Special tokens are recognized where the template wrote
 * them. The token that begins a text comes first, once, where the file asks for one. Text of a message never becomes a
 * token that ends an answer or that the template writes around messages. Needs a tokenizer. False with the reason. */
bool text_model_chat_ids(
    struct text_model *m, const struct template_text *prompt, struct tokenizer_ids *ids, struct error *err);

#endif
