/* output_private.h - turns the tokens of one answer into pieces of text that are final.
 *
 * Text is held back while a character is not complete and while its end may become a stop string. A token is sent with
 * the first byte of its text. Text that a stop string cuts away is never sent, nor are tokens whose text lies wholly
 * behind the cut. Stop strings are searched in the text, not in the tokens: the first one that is complete ends the
 * answer, however the tokens divide the text.
 */
#ifndef BERTH_OUTPUT_PRIVATE_H
#define BERTH_OUTPUT_PRIVATE_H

#include "berth/engine/scheduler/job.h"
#include "berth/engine/tokenizer/tokenizer.h"

/* The automata of a request's stop strings, shared by its answers. Borrows their text. */
struct output_stops;
struct output_stops *output_stops_new(const struct span *stops, size_t n); /* NULL without memory */
void output_stops_free(struct output_stops *s);

struct output;

/* `t` may be NULL where the request wants no text. With `prompt` it is for the prompt's own tokens, which nothing ends.
 * Request, tokenizer and stops must live longer. NULL without memory. */
struct output *output_new(const struct job_request *r, const struct tokenizer *t,
    const struct output_stops *stops, uint32_t choice, bool prompt);
void output_free(struct output *a);

enum output_result {
    OUTPUT_GOES_ON,
    OUTPUT_STOPPED, /* by an end token, which is sent only with `end_token`, or by a stop string */
    OUTPUT_NO_MEMORY,
};

/* Adds the next token, its log probability, and the most probable ones at its place (n_top of the request, or NULL). */
enum output_result output_add(struct output *a, int32_t id, float logprob, const struct sampler_logprob *top);

/* The answer's text has tags from now on, by a matcher, which takes each token. Borrowed. */
void output_set_grammar(struct output *a, struct grammar_matcher *m);
uint16_t output_tag(const struct output *a); /* of the last byte */

/* Makes pieces of what is final, one for each stretch with one tag; with a finish, of all that is left. The last one has
 * the finish. *piece is NULL when there is nothing to send. False without memory. */
bool output_take(struct output *a, enum job_finish finish, struct job_piece **piece);

#endif
