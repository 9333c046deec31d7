/* job.h - one piece of work between the server, which asks, and the engine, which answers.
 *
 * A job is a prompt and what is wanted of it: one or several answers (choices), or the probabilities of the
 * prompt's own tokens. The server fills in a struct job_request, hands the job to the scheduler, and is woken
 * whenever there is something to take: pieces of text with their tokens, in order for each choice. Text in pieces
 * never ends inside a character, and holds nothing that a stop string may still take back.
 *
 * Two hold a job, server and scheduler; each releases it once.
 */
#ifndef BERTH_JOB_H
#define BERTH_JOB_H

#include "berth/base/error.h"
#include "berth/engine/scheduler/result.h"
#include "berth/engine/scheduler/sampler.h"
#include "berth/base/text.h"

#include <stdatomic.h>
#include <stdbool.h>

#define JOB_LOGPROBS_MAX 20
#define JOB_CHOICES_MAX 128

struct served_model;

enum job_kind {
    JOB_GENERATE, /* answers; with echo_logprobs the prompt's too */
    JOB_SCORE, /* the prompt's log probabilities alone */
};

struct job_request {
    enum job_kind kind;
    struct served_model *model;
    const int32_t *prompt; /* [n_prompt], at least one */
    size_t n_prompt;
    uint32_t n_choices; /* answers to this prompt; choice i uses seed + i */
    size_t max_tokens; /* of each answer; never beyond the context */
    struct sampler_options sampling;
    bool logprobs; /* with every token its log probability, */
    uint32_t n_top; /* and this many of the best (0 to JOB_LOGPROBS_MAX) */
    bool echo_logprobs; /* the prompt's tokens first, in pieces with `prompt` set; the first has NAN */
    bool text; /* pieces have text; needs a tokenizer */
    bool special_text; /* special tokens as their text, not left out */
    const struct span *stops; /* [n_stops]: end the answer where it contains one; it is left out */
    size_t n_stops;
    const int32_t *stop_tokens; /* [n_stop_tokens], beside the model's own ends */
    size_t n_stop_tokens;
    bool ignore_end; /* go on after the model's own end */
    bool end_token; /* pieces list the token that ends an answer, too: the last one, without text */
    bool cache_prompt; /* read no beginning again that the engine has kept, and keep this one */
    double arrived; /* when the client's request came: seconds of CLOCK_MONOTONIC; 0: when the job is submitted */
    double deadline; /* seconds from then, for the whole job; 0 for the engine's default */
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

/* What a choice has to say next. Made by the engine, freed by who took it. */
struct job_piece {
    struct job_piece *next;
    uint32_t choice;
    bool prompt; /* tokens of the prompt, not of an answer; only of choice 0 */
    struct job_token *tokens; /* [n_tokens]; none when only a finish is told */
    size_t n_tokens;
    char *text; /* [text_size], UTF-8 where the model made any; "" without text */
    size_t text_size;
    size_t generated; /* tokens of the choice so far, also those that no piece shows */
    enum job_finish finish; /* with a choice's last piece; JOB_RUNNING before */
};
void job_piece_free(struct job_piece *p);

struct job;

/* Copies the request (all that its pointers point to, but for the model). `wake(context)` is called, from the
 * engine's thread and without locks held, when pieces or the end have become available since the last take; never
 * after job_release has returned. NULL without memory. */
struct job *job_new(const struct job_request *request, void (*wake)(void *context), void *context);
const struct job_request *job_request_of(const struct job *j);

/* The pieces so far, oldest first, and whether they are the last ones; NULL when there are none. */
struct job_piece *job_take(struct job *j, bool *ended);

/* How it ended; the reason is in `why` when it is neither RESULT_OK nor RESULT_CANCELLED. RESULT_OK as long as it has
 * not ended. */
enum result job_result(struct job *j, struct error *why);

struct job_usage {
    size_t prompt_tokens, cached_tokens, generated_tokens; /* generated: over all choices */
    size_t prompt_done; /* tokens of the prompt that were worked on so far */
    double queued_seconds, prompt_seconds, generate_seconds;
};
struct job_usage job_usage_of(struct job *j);

/* The client has left, or wants no more: the job ends within one step, wherever it is. Any thread. */
void job_cancel(struct job *j);
void job_release(struct job *j); /* the server's hold; cancels a job that has not ended */

#endif
