/* answer_private.h - from the tokens of one answer to pieces of text that nothing will take back.
 *
 * Three things hold text back: a character that is not complete, the beginning of what may become a stop string, and
 * a token that is told only when the first byte of its text is. What a stop string cuts away was never told, nor were
 * the tokens that lie wholly behind the cut. Where the stop strings are looked for is the text, not the tokens: the
 * first one that is complete ends the answer, however the tokens cut the text.
 */
#ifndef BERTH_ANSWER_PRIVATE_H
#define BERTH_ANSWER_PRIVATE_H

#include "berth/engine/scheduler/job.h"
#include "berth/engine/tokenizer/tokenizer.h"

/* The stop strings of a request, ready to be looked for; shared by its answers. Borrows their text. */
struct answer_stops;
struct answer_stops *answer_stops_new(const struct span *stops, size_t n); /* NULL without memory */
void answer_stops_free(struct answer_stops *s);

struct answer;

/* `t` may be NULL where the request wants no text. With `prompt` it tells the prompt's own tokens, which nothing ends.
 * Request, tokenizer and stops must live longer. NULL without memory. */
struct answer *answer_new(const struct job_request *r, const struct tokenizer *t,
    const struct answer_stops *stops, uint32_t choice, bool prompt);
void answer_free(struct answer *a);

enum answer_result {
    ANSWER_GOES_ON,
    ANSWER_STOPPED, /* an end token, which is not told, or a stop string: JOB_STOP */
    ANSWER_NO_MEMORY,
};

/* The next token, its log probability, and the best ones at its place (n_top of the request, or NULL). */
enum answer_result answer_add(struct answer *a, int32_t id, float logprob, const struct sampler_logprob *top);

/* What can be told by now, and with a finish all that is left. *piece is NULL when there is nothing to tell. False
 * without memory. */
bool answer_take(struct answer *a, enum job_finish finish, struct job_piece **piece);

#endif
