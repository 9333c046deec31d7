/* output_private.h - from the tokens of one answer to pieces of text that nothing will take back.
 *
 * Three things hold text back: a character that is not complete, the beginning of what may become a stop string, and
 * a token that is told only when the first byte of its text is. What a stop string cuts away was never told, nor were
 * the tokens that lie wholly behind the cut. Where the stop strings are looked for is the text, not the tokens: the
 * first one that is complete ends the answer, however the tokens cut the text.
 */
#ifndef BERTH_OUTPUT_PRIVATE_H
#define BERTH_OUTPUT_PRIVATE_H

#include "berth/engine/scheduler/job.h"
#include "berth/engine/tokenizer/tokenizer.h"

/* The stop strings of a request, ready to be looked for; shared by its answers. Borrows their text. */
struct output_stops;
struct output_stops *output_stops_new(const struct span *stops, size_t n); /* NULL without memory */
void output_stops_free(struct output_stops *s);

struct output;

/* `t` may be NULL where the request wants no text. With `prompt` it tells the prompt's own tokens, which nothing ends.
 * Request, tokenizer and stops must live longer. NULL without memory. */
struct output *output_new(const struct job_request *r, const struct tokenizer *t,
    const struct output_stops *stops, uint32_t choice, bool prompt);
void output_free(struct output *a);

enum output_result {
    OUTPUT_GOES_ON,
    OUTPUT_STOPPED, /* an end token, which is told only with `end_token`, or a stop string: JOB_STOP */
    OUTPUT_NO_MEMORY,
};

/* The next token, its log probability, and the best ones at its place (n_top of the request, or NULL). */
enum output_result output_add(struct output *a, int32_t id, float logprob, const struct sampler_logprob *top);

/* What can be told by now, and with a finish all that is left. *piece is NULL when there is nothing to tell. False
 * without memory. */
bool output_take(struct output *a, enum job_finish finish, struct job_piece **piece);

#endif
