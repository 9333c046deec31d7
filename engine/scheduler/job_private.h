/* job_private.h - the engine's side of a job. */
#ifndef BERTH_JOB_PRIVATE_H
#define BERTH_JOB_PRIVATE_H

#include "berth/engine/scheduler/job.h"

/* The engine takes its reference when it accepts a job, and gives it back with job_drop after job_end. */
void job_hold(struct job *j);
void job_drop(struct job *j);

/* Becomes true when the job is cancelled; decoder_forward looks at it between layers. */
const atomic_bool *job_cancelled(const struct job *j);

/* A piece with room for so many tokens and bytes, in one block of memory, which counts in the budget `memory`. The text
 * is not NUL-terminated. Token i's `top` is set when n_top is not 0. NULL without memory. */
struct job_piece *job_piece_new(
    uint32_t choice, size_t n_tokens, uint32_t n_top, size_t text_size, struct byte_budget *memory);

/* Appends a piece and wakes the server. The job must not have ended. */
void job_push(struct job *j, struct job_piece *piece);

/* Where the vectors of JOB_EMBED are written, [n_texts][dimensions]. */
float *job_vectors(struct job *j);

/* Ends the job: no piece may follow. `why` is NULL for RESULT_OK and RESULT_CANCELLED. */
void job_end(struct job *j, enum result result, const struct error *why);

/* Replaces the figures that job_usage_of returns. */
void job_set_usage(struct job *j, const struct job_usage *usage);

#endif
