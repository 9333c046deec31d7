/* job.h - one piece of work that the server submits and the engine answers.
 *
 * A job is a prompt and what is wanted of it: one or several answers (choices), or the log probabilities of the
 * prompt's own tokens. Or it is texts, and a vector of each is wanted. The server fills in a struct job_request, submits the job, and is woken whenever pieces of
 * answers are available: text with its tokens, in order for each choice. The text of a piece never ends inside a
 * character, and never contains the beginning of what may become a stop string.
 *
 * Server and scheduler each hold a reference to the job and release it once.
 */
#ifndef BERTH_JOB_H
#define BERTH_JOB_H

#include "berth/base/budget.h"
#include "berth/base/error.h"
#include "berth/engine/grammar/grammar.h"
#include "berth/engine/scheduler/result.h"
#include "berth/engine/scheduler/sampler.h"
#include "berth/base/text.h"

#include <stdatomic.h>
#include <stdbool.h>

#define JOB_LOGPROBS_MAX 20
#define JOB_CHOICES_MAX 128

struct served_model;

enum job_kind {
    JOB_GENERATE, /* answers; with echo_logprobs also the prompt's log probabilities */
    JOB_SCORE, /* the prompt's log probabilities only */
    JOB_EMBED, /* a vector for each of several texts */
};

struct job_request {
    enum job_kind kind;
    struct served_model *model;
    const int32_t *prompt; /* [n_prompt], at least one */
    size_t n_prompt;
    /* The texts of JOB_EMBED, whose tokens follow each other in the prompt. Their vectors have the first `dimensions`
     * elements of the model's, and then, with `normalizes`, a length of 1. n_choices is 0. */
    const uint32_t *text_sizes; /* [n_texts] tokens, each at least 1 */
    size_t n_texts, dimensions;
    bool normalizes;
    uint32_t n_choices; /* answers to this prompt; choice i uses seed + i */
    size_t max_tokens; /* of each answer; never beyond the context */
    struct sampler_options sampling;
    bool logprobs; /* tokens come with their log probabilities, */
    uint32_t n_top; /* and with this many of the most probable ones (0 to JOB_LOGPROBS_MAX) */
    /* The prompt's tokens come first, in pieces with `prompt` set; the first token's is NAN. */
    bool echo_logprobs;
    bool text; /* pieces have text; needs a tokenizer */
    bool special_text; /* special tokens as their text, not left out */
    const struct span *stops; /* [n_stops]; an answer ends before the first of these strings in it */
    size_t n_stops;
    const int32_t *stop_tokens; /* [n_stop_tokens]; end an answer as the model's own end tokens do */
    size_t n_stop_tokens;
    bool ignore_end; /* go on after the model's own end; without a grammar */
    bool end_token; /* pieces list the token that ends an answer, too: the last one, without text */
    /* What each answer may be. Pieces then have tags, and the model's end comes where the grammar allows it. An answer
     * that nothing can follow ends. The job holds a reference. NULL: anything. */
    struct grammar *grammar;
    /* After `budget` tokens with the tag `budget_tag` the tokens of budget_end come next, unless the grammar forbids
     * them: they end the reasoning. n_budget_end is 0 for no budget. */
    uint16_t budget_tag;
    size_t budget;
    const int32_t *budget_end; /* [n_budget_end] */
    size_t n_budget_end;
    bool cache_prompt; /* use prefixes that are kept, and keep this prompt's */
    /* When the client's request came: seconds of CLOCK_MONOTONIC; 0: when the job is submitted. */
    double arrived;
    double deadline; /* seconds from then, for the whole job; 0 for the engine's default */
    /* In which pieces count from their making to job_piece_free; a job that needs more fails. NULL: in none. */
    struct byte_budget *memory;
};

enum job_finish {
    JOB_RUNNING,
    JOB_STOP, /* the model's end, a stop token or a stop string */
    JOB_LENGTH, /* max_tokens or the context */
    JOB_FAILED, /* see job_result */
    JOB_CANCELLED,
};

struct job_token {
    int32_t id;
    float logprob; /* NAN where there is none */
    bool ends; /* it ended the answer; only with `end_token` of the request */
    struct sampler_logprob *top; /* [n_top] of the request, or NULL */
};

/* The next part of a choice. Made by the engine; freed by the caller of job_take. */
struct job_piece {
    struct job_piece *next;
    uint32_t choice;
    bool prompt; /* tokens of the prompt, not of an answer; only of choice 0 */
    uint16_t tag; /* of all of its text, by the request's grammar; 0 without one */
    struct job_token *tokens; /* [n_tokens]; 0 of them when the piece only carries a finish */
    size_t n_tokens;
    char *text; /* [text_size]; UTF-8 as far as the model's tokens are */
    size_t text_size;
    size_t generated; /* tokens of the choice so far, also those that no piece shows */
    enum job_finish finish; /* JOB_RUNNING but in a choice's last piece */
    int32_t stopped_by; /* of a last piece: which of the request's stop strings ended the choice; -1: none */
    struct byte_budget *memory; /* that its bytes were taken of */
    size_t bytes;
};
void job_piece_free(struct job_piece *p);

struct job;

/* Copies the request and everything that it points to, except the model. `wake(context)` is called on the engine's
 * thread, without locks, when pieces or the end have become available since the last job_take; it is not called after
 * job_release has returned. `wake` may be NULL. NULL without memory. */
struct job *job_new(const struct job_request *request, void (*wake)(void *context), void *context);
const struct job_request *job_request_of(const struct job *j);

/* Takes the pieces so far, oldest first; NULL when there are none. *ended: no more will come. */
struct job_piece *job_take(struct job *j, bool *ended);

/* How it ended; the reason is in `why` when it is neither RESULT_OK nor RESULT_CANCELLED. RESULT_OK as long as it has
 * not ended. */
enum result job_result(struct job *j, struct error *why);

/* The vectors of JOB_EMBED, [n_texts][dimensions], once it has ended with RESULT_OK. They live as long as the job. */
const float *job_vectors_of(const struct job *j);

struct job_usage {
    size_t prompt_tokens, cached_tokens;
    size_t generated_tokens; /* of all choices together */
    size_t prompt_done; /* tokens of the prompt that are computed so far */
    double queued_seconds, prompt_seconds, generate_seconds;
};
struct job_usage job_usage_of(struct job *j);

/* Ends the job within one step, wherever it is. Any thread. */
void job_cancel(struct job *j);
/* Gives the server's reference back. Cancels a job that has not ended. */
void job_release(struct job *j);

#endif
